package terminal

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/report"
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

// none is where nothing ends the program but its context.
var none *Rescue

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
		a := report.NewAwaited(trace.PathOptions{Queries: 2, MaxTTL: 9})
		s := none.StartStatus(&screen, &screen, 80, a.Say)
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
		a.Add(outcome(1, 1, trace.Answered, packet.KindTimeExceeded))
		a.Add(outcome(2, 3, trace.Answered, packet.KindTimeExceeded))
		a.Add(outcome(3, 4, trace.Lost, 0))
		time.Sleep(statusPace)
		wants(wipe + "[0 s] waiting for hop 1 (1 of 2), 2, 3, and what is beyond")
		time.Sleep(statusPace)
		wants("")
		a.Add(outcome(4, 1, trace.Answered, packet.KindTimeExceeded))
		s.Write([]byte(" 1  x"))
		time.Sleep(5 * statusPace) // not in the middle of a line
		wants(wipe + " 1  x")
		s.Write([]byte("\n"))
		time.Sleep(statusPace)
		wants("\n" + wipe + "[1 s] waiting for hop 2 (0 of 2), 3, and what is beyond")
		for ttl := range uint8(8) {
			a.Add(outcome(10+int(ttl), ttl+2, trace.Answered, packet.KindTimeExceeded))
		}
		time.Sleep(statusPace)
		wants(wipe + "[1 s] waiting for hop 2 (1 of 2), 5, 6, 7, 8, 1 more")
		for ttl := range uint8(8) {
			a.Add(outcome(20+int(ttl), ttl+2, trace.Lost, 0))
		}
		time.Sleep(statusPace)
		wants(wipe + "[1 s] looking up names")
		s.Stop()
		wants(wipe)
	})
}

// Once the target has answered, nothing is awaited beyond it; a narrow terminal gets what fits.
func TestStatusFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		a := report.NewAwaited(trace.PathOptions{})
		s := none.StartStatus(&screen, &screen, 20, a.Say)
		a.Add(outcome(1, 6, trace.Answered, packet.KindTCP))
		time.Sleep(statusDelay)
		synctest.Wait()
		if got, want := screen.String(), "\r\x1b[K[0 s] waiting for h"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		s.Stop()
		if got, want := a.Say(0), "waiting for hop 1 (0 of 3), 2, 3, 4, 5, 1 more"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
	var status *Status // where nobody looks
	status.Stop()
}

// A file is no terminal, and neither is a buffer, nor anything where TERM says so.
func TestWidth(t *testing.T) {
	t.Setenv("TERM", "xterm")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if Width(null) != 0 || Width(&strings.Builder{}) != 0 {
		t.Error("a terminal?")
	}
}
