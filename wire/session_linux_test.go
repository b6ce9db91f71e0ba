package wire

import (
	"errors"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

func TestSessionState(t *testing.T) {
	o, _ := packet.Options{}.WithSACKPermitted()
	o, _ = o.WithTimestamps(7, 1<<20)
	got := answered(&packet.TCP{Seq: 1<<32 - 1, Ack: 1000, Options: o})
	if want := (SessionState{Next: 1000, Ack: 0, SACK: true, Timestamps: true, TSval: 1<<20 - older, TSecr: 7}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := answered(&packet.TCP{Seq: 1, Ack: 2}); got != (SessionState{Next: 2, Ack: 2}) {
		t.Errorf("%+v", got)
	}
}

// TestRefusedSession: once a connection is over or was refused, answers to other probes are heard by one ear alone.
func TestRefusedSession(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	p.Target.Listen(t, 80)
	open(t, p.Source, Options{Sessions: true}, func(c *Conn) {
		from := port(p.Source.V4(), 0)
		_, err := c.OpenSession(t.Context(), SessionOptions{Source: from, Target: port(p.Target.V4(), 81), Wait: 10 * time.Second})
		if lost, ok := errors.AsType[*SessionError](err); !ok || lost.Why != "refused" {
			t.Errorf("%v, want a refusal", err)
		}
		if c.flows.opening {
			t.Error("refused, but answers are heard twice")
		}
		s, err := c.OpenSession(t.Context(), SessionOptions{Source: from, Target: port(p.Target.V4(), 80), Wait: 10 * time.Second})
		if err != nil {
			t.Error(err)
			return
		}
		s.flows.opening = true // as where this host translates the connection
		if err := s.Close(); err != nil || c.flows.opening {
			t.Errorf("closed: %v, answers are heard twice: %v", err, c.flows.opening)
		}
	})
}
