package cli

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// outcome is what became of probe n, sent with a TTL.
func outcome(n int, ttl uint8, fate trace.Outcome, kind packet.Kind) trace.Result {
	r := trace.Result{Probe: packet.Probe{TTL: ttl}, N: n, Outcome: fate}
	if fate == trace.Answered {
		r.Reply = &packet.Reply{Kind: kind}
	}
	return r
}

// drawn is what was written since it was looked at last.
type drawn struct {
	mu sync.Mutex // synctest orders what a goroutine writes before a look at it, and not after one
	b  bytes.Buffer
}

func (s *drawn) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

// take is what was written, which it forgets.
func (s *drawn) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.b.Reset()
	return s.b.String()
}

// What the line says while a trace goes on, and that it is wiped before a hop is written and at the end.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen drawn
		a := newAwaited(trace.PathOptions{Queries: 2, MaxTTL: 9})
		s := startStatus(&screen, &screen, 80, a.say)
		wants := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := screen.take(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		const wipe = "\r\x1b[K"
		wants("")
		time.Sleep(statusDelay)
		wants(wipe + "[0 s] waiting for hop 1")
		a.add(outcome(1, 1, trace.Answered, packet.KindTimeExceeded))
		a.add(outcome(2, 3, trace.Answered, packet.KindTimeExceeded))
		a.add(outcome(3, 4, trace.Lost, 0))
		time.Sleep(statusPace)
		wants(wipe + "[0 s] waiting for hop 1 (1 of 2), 2, 3, and what is beyond")
		time.Sleep(statusPace)
		wants("")
		a.add(outcome(4, 1, trace.Answered, packet.KindTimeExceeded))
		s.Write([]byte(" 1  x"))
		time.Sleep(5 * statusPace) // not in the middle of a line
		wants(wipe + " 1  x")
		s.Write([]byte("\n"))
		time.Sleep(statusPace)
		wants("\n" + wipe + "[1 s] waiting for hop 2 (0 of 2), 3, and what is beyond")
		for ttl := range uint8(8) {
			a.add(outcome(10+int(ttl), ttl+2, trace.Answered, packet.KindTimeExceeded))
		}
		time.Sleep(statusPace)
		wants(wipe + "[1 s] waiting for hop 2 (1 of 2), 5, 6, 7, 8, 1 more")
		for ttl := range uint8(8) {
			a.add(outcome(20+int(ttl), ttl+2, trace.Lost, 0))
		}
		time.Sleep(statusPace)
		wants(wipe + "[1 s] looking up names")
		s.stop()
		wants(wipe)
	})
}

// Once the target has answered, nothing is awaited beyond it; a narrow terminal gets what fits.
func TestStatusFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		a := newAwaited(trace.PathOptions{})
		s := startStatus(&screen, &screen, 20, a.say)
		a.add(outcome(1, 6, trace.Answered, packet.KindTCP))
		time.Sleep(statusDelay)
		synctest.Wait()
		if got, want := screen.String(), "\r\x1b[K[0 s] waiting for h"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		s.stop()
		if got, want := a.say(0), "waiting for hop 1 (0 of 3), 2, 3, 4, 5, 1 more"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
	var none *status // where nobody looks
	none.stop()
}

// Who gets colours.
func TestColored(t *testing.T) {
	for _, tt := range []struct {
		option  string
		width   int
		noColor string
		want    bool
	}{
		{"", 80, "", true}, {"", 0, "", false}, {"", 80, "1", false},
		{"auto", 80, "", true}, {"auto", 0, "", false}, {"auto", 80, "1", false},
		{"always", 0, "", true}, {"always", 80, "1", true},
		{"never", 80, "", false},
	} {
		t.Setenv("NO_COLOR", tt.noColor)
		p := program{}
		p.terminal.color, p.width.out = tt.option, tt.width
		if got := p.colored(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	_, stderr, code := invoke("--color", "blue", "host")
	if want := "Argument of --color must be auto, always or never: blue\n"; stderr != want || code != 1 {
		t.Errorf("%q, exit code %d", stderr, code)
	}
}

// A file is no terminal, and neither is a buffer, nor anything where TERM says so.
func TestWidth(t *testing.T) {
	t.Setenv("TERM", "xterm")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if width(null) != 0 || width(&strings.Builder{}) != 0 {
		t.Error("a terminal?")
	}
}
