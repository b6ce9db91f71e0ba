package terminal

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/names"
)

// A panic still ends the program, and the terminal is whole before that: in this goroutine, and in those of name look-ups.
func TestGuard(t *testing.T) {
	r := &Rescue{}
	whole := 0
	done := r.Changes(func() { whole++ })
	panics := func() (v any) {
		defer func() { v = recover() }()
		defer r.Guard()
		panic("a mistake")
	}
	if v := panics(); v != "a mistake" || whole != 1 {
		t.Errorf("panic %v, the terminal was made whole %d times", v, whole)
	}

	caught := make(chan any)
	n := names.New(names.Options{
		Policy:     names.All,
		LookupAddr: func(context.Context, string) ([]string, error) { panic("another mistake") },
		Guard:      func() { caught <- recover() },
	})
	n.Start(netip.MustParseAddr("192.0.2.1"))
	if v := <-caught; v != "another mistake" {
		t.Errorf("the look-up's panic is %v", v)
	}
	n.Close()

	done()
	func() {
		defer r.Guard()
	}()
	if panics(); whole != 1 {
		t.Error("a terminal that is whole is changed")
	}
	r = nil
	if v := panics(); v != "a mistake" {
		t.Errorf("panic %v of a program that is part of another", v)
	}
	r.Begin()
	r.Writes(nil)
	r.Changes(nil)()
}

// After a signal the program may go on for as long as somebody takes what it prints, however slowly. It ends 100 ms after the
// reader has stood still, and within 250 ms if the reader never took anything.
func TestGiveUp(t *testing.T) {
	read, full, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer full.Close()
	for err == nil {
		full.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = full.Write(make([]byte, 4096))
	}
	for _, tt := range []struct {
		name  string
		out   *os.File
		begun bool
		takes []time.Duration // when a piece is taken, from the signal on
		ends  time.Duration
		why   string
	}{
		{"looks a name up", nil, false, nil, blockedAfter, ""},
		{"nobody reads", full, true, nil, blockedAfter, "nobody reads it"},
		{"stands still", full, true, []time.Duration{140 * time.Millisecond}, 240 * time.Millisecond, "nobody reads it"},
		{"is slow", full, true, every(90*time.Millisecond, 100), 9100 * time.Millisecond, "nobody reads it"},
		{"is never ready", nil, true, nil, blockedAfter + lastResort + 10*time.Millisecond, "it was not ready in 5s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &Rescue{begun: tt.begun}
				if tt.out == full {
					r.outputs = []*os.File{full}
				}
				var taken bytes.Buffer
				w, start := r.InPieces(&taken), time.Now()
				go func() {
					for _, at := range tt.takes {
						time.Sleep(at - time.Since(start))
						w.Write([]byte("piece"))
					}
				}()
				why := r.giveUp()
				if took := time.Since(start); took != tt.ends || why != tt.why || taken.Len() != 5*len(tt.takes) {
					t.Errorf("ended after %v: %q, want %v: %q", took, why, tt.ends, tt.why)
				}
			})
		})
	}
}

// every is n instants, so far apart.
func every(d time.Duration, n int) (all []time.Duration) {
	for i := range n {
		all = append(all, time.Duration(i+1)*d)
	}
	return all
}

// What is written in pieces is all written, and an error ends it.
func TestPieces(t *testing.T) {
	var out bytes.Buffer
	text := bytes.Repeat([]byte("0123456789"), pieceSize/4)
	r := &Rescue{}
	if n, err := r.InPieces(&out).Write(text); n != len(text) || err != nil || !bytes.Equal(out.Bytes(), text) {
		t.Errorf("%d of %d bytes, %v", n, len(text), err)
	}
	if n, err := r.InPieces(&out).Write(nil); n != 0 || err != nil {
		t.Errorf("%d bytes of none, %v", n, err)
	}
	read, closed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	closed.Close()
	if n, err := r.InPieces(closed).Write(text); n != 0 || err == nil {
		t.Errorf("%d bytes written to a closed file, %v", n, err)
	}
}
