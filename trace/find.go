package trace

import (
	"cmp"
	"context"
	"iter"
	"net/netip"
)

// Find traces one path from beginning to end. It is what most programs want of this package: [NewPath], [Run] and
// [NewTrace] put together, with all that conn can do for a trace ([PathOptions.Prepare], [PathOptions.RunOptions]).
// Over a [Connector] the plan is a [Serial].
//
// When ctx ends, it returns what is known until then, with ctx's cause as the error; and with any other error of the
// run too. Only where o doesn't make sense is there no Trace.
func Find(ctx context.Context, conn Conn, o PathOptions) (*Trace, error) {
	if err := cmp.Or(o.Validate(), o.validateFlow()); err != nil {
		return nil, err
	}
	o = o.Prepare(conn)
	plan, err := o.plan(conn)
	if err != nil {
		return nil, err
	}
	found := NewTrace(o)
	_, err = Run(ctx, conn, plan, o.RunOptions(conn), found.Add)
	found.Finish()
	return found, err
}

// plan returns the plan that suits a connection.
func (o PathOptions) plan(conn Conn) (Plan, error) {
	if c, ok := conn.(Connector); ok {
		return NewSerial(o, c.ConnectWait())
	}
	return NewPath(o)
}

// SourcePorts returns how many source ports a trace needs to be fast, the Source's included.
func (o PathOptions) SourcePorts() int {
	if o.Session != nil || len(o.Ports) > 0 || o.Parallel == 1 {
		return 1
	}
	return 1 + MostProbePorts
}

// Prepare returns the options with the ProbePorts that they lack, if conn is a [Reserver]. It takes as many as there
// are.
func (o PathOptions) Prepare(conn Conn) PathOptions {
	c, ok := conn.(Reserver)
	if _, connects := conn.(Connector); !ok || connects || len(o.ProbePorts) > 0 {
		return o
	}
	from := o.Source.Addr()
	if from.Is6() && from.IsLinkLocalUnicast() && from.Zone() == "" {
		from = from.WithZone(o.zone(conn)) // an address of the link, not of the host
	}
	for range o.SourcePorts() - 1 {
		port, err := c.Reserve(netip.AddrPortFrom(from, 0))
		if err != nil {
			break // a trace with fewer ports is slower, and as good
		}
		o.ProbePorts = append(o.ProbePorts, port)
	}
	return o
}

// RunOptions returns the options of a run of this path over a connection: what conn knows of this host, as a [Faulter],
// [Timekeeper] and [Zoner].
func (o PathOptions) RunOptions(conn Conn) Options {
	run := Options{Zone: o.zone(conn)}
	if f, ok := conn.(Faulter); ok {
		run.Fault = f.Fault
	}
	if c, ok := conn.(Timekeeper); ok {
		run.NewTimer = c.NewTimer
	}
	return run
}

// zone returns the interface that probes leave by; "" if conn does not know it.
func (o PathOptions) zone(conn Conn) string {
	if c, ok := conn.(Zoner); ok {
		return c.Zone(o.Target, o.Source)
	}
	return ""
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
