package trace

import (
	"context"
	"iter"
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// Find traces one path from beginning to end. It is what most programs want of this package: [NewPath], [Run] and
// [NewTrace] put together.
//
// When ctx ends, it returns what is known until then, with ctx's cause as the error; and with any other error of the run
// too. Only where o doesn't make sense is there no Trace.
func Find(ctx context.Context, conn Conn, o PathOptions) (*Trace, error) {
	plan, err := NewPath(o)
	if err != nil {
		return nil, err
	}
	found := NewTrace(o)
	run := Options{Wait: o.RunWait()}
	if f, ok := conn.(interface{ Fault(packet.Probe) error }); ok {
		run.Fault = f.Fault
	}
	_, err = Run(ctx, conn, plan, run, found.Add)
	found.Finish()
	return found, err
}

// Hops are the hops from the first to the last that is known to belong to the path, silent ones too.
func (t *Trace) Hops() iter.Seq[Hop] {
	return func(yield func(Hop) bool) {
		for ttl := t.First(); ttl <= t.Last(); ttl++ {
			if !yield(t.Hop(ttl)) {
				return
			}
		}
	}
}

// From is who answered; the zero Addr where nobody did.
func (r Result) From() netip.Addr {
	if r.Reply == nil {
		return netip.Addr{}
	}
	return r.Reply.From()
}
