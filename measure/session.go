package measure

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// sessionWait is how long a connection may take to open.
const sessionWait = 3 * time.Second

// openSession opens a connection to the target. There is none if the network has none to give.
func (m *Measurement) openSession(ctx context.Context, forMTU bool) *wire.Session {
	raw, ok := m.t.conn.(interface {
		OpenSession(context.Context, wire.SessionOptions) (*wire.Session, error)
	})
	if !ok {
		return nil
	}
	o := m.Header.Path
	s, err := raw.OpenSession(ctx, wire.SessionOptions{Source: netip.AddrPortFrom(m.own, 0), Target: o.Target,
		Interface: m.t.o.Wire.Interface, TOS: uint8(o.TOS), Wait: sessionWait})
	switch {
	case err == nil:
		return s
	case ctx.Err() == nil: // else it is interrupted, which the trace says
		m.progress(Progress{Stage: NoSession, ForMTU: forMTU, Err: err})
	}
	return nil
}

// inside returns path options as those of probes inside a session.
func inside(o trace.PathOptions, s *wire.Session) trace.PathOptions {
	o.Source, o.ProbePorts = s.Source(), nil
	o.Session = &trace.Session{Next: s.Next, Ack: s.Ack, Timestamps: s.Timestamps, TSval: s.TSval, TSecr: s.TSecr}
	return o
}

// enterSession opens the connection that the trace goes inside of, if that is wanted and there is one to be had.
func (m *Measurement) enterSession(ctx context.Context) bool {
	if !m.InSession {
		return false
	}
	if m.session = m.openSession(ctx, false); m.session == nil {
		return false
	}
	m.Header.Path = inside(m.Header.Path, m.session)
	return true
}

// sessionRun is what came of a trace inside a connection.
type sessionRun struct {
	results []trace.Result
	counts  trace.Counts
	err     error
}

// traceInside traces inside the connection, if there is one. If the connection turns out to be of no use, there is no
// result, and the trace begins anew, by SYNs.
func (m *Measurement) traceInside(ctx context.Context) (*sessionRun, error) {
	if m.session == nil {
		return nil, nil
	}
	m.progress(Progress{Stage: InSession})
	seen, run := trace.NewTrace(m.Header.Path), new(sessionRun)
	run.counts, run.err = m.run(ctx, m.session, m.plan, func(r trace.Result) {
		m.heard(r)
		seen.Add(r)
		run.results = append(run.results, r)
	})
	seen.Finish()
	why := lostSession(run.err)
	if run.err == nil {
		why = trace.CheckSession(seen, m.session.Closed(), m.session.TTL())
	}
	if why == nil {
		return run, nil
	}
	var err error
	if m.Header.Path, err = m.bySYNs(); err == nil {
		err = m.choosePlan()
	}
	if err != nil {
		return nil, err
	}
	m.progress(Progress{Stage: SessionLost, Err: why})
	return nil, nil
}

// lostSession is why there is no connection any more; nil: that is not what ended the run.
func lostSession(err error) error {
	if lost, ok := errors.AsType[*wire.SessionError](err); ok {
		return lost
	}
	return nil
}

// bySYNs leaves the connection, and returns path options as those of SYNs.
func (m *Measurement) bySYNs() (trace.PathOptions, error) {
	m.Close()
	o := m.Header.Path
	o.Session, o.ProbePorts = nil, nil
	ports, err := m.freePorts(o.SourcePorts())
	if err != nil {
		return o, err
	}
	o.Source, o.ProbePorts = netip.AddrPortFrom(o.Source.Addr(), ports[0]), ports[1:]
	return o, nil
}

const (
	// The MTU search waits mtuTimeoutFactor times as long as the slowest hop took, within these bounds.
	mtuTimeoutFactor = 3
	mtuLeastWait     = 300 * time.Millisecond
	mtuMostWait      = 3 * time.Second
)

// searchMTU finds the path's MTU: inside a connection, and if there is none that is of use, by SYNs.
func (m *Measurement) searchMTU(ctx context.Context, known *trace.Trace) (*record.MTU, error) {
	o := trace.MTUOptions{Path: m.Header.Path, First: m.linkMTU, Wait: mtuLeastWait}
	for ttl := 1; ttl <= known.Last(); ttl++ {
		var who netip.Addr
		if ttl >= known.First() {
			for _, r := range known.Hop(ttl).Probes {
				o.Wait = max(o.Wait, mtuTimeoutFactor*r.RTT())
				if r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded {
					who = r.Reply.From()
				}
			}
		}
		o.Hops = append(o.Hops, who)
	}
	o.Wait = min(o.Wait, mtuMostWait)
	noSYN := func() (*record.MTU, error) {
		m.progress(Progress{Stage: SessionLost, ForMTU: true, Err: errNoSYN})
		return nil, nil
	}
	if m.session == nil {
		if !m.budget.TakeOrdinary(0) {
			return noSYN()
		}
		m.session = m.openSession(ctx, true)
	}
	if m.session != nil {
		o.Path = inside(o.Path, m.session)
		found, err := m.measureMTU(ctx, m.session, o)
		why := lostSession(err)
		if err == nil && found.Size == 0 {
			why = trace.ErrSessionSilent
		}
		if why == nil {
			return &record.MTU{MTU: found, InSession: true}, err
		}
		if m.budget != nil { // each of the search's SYNs would get to the target
			return noSYN()
		}
		if o.Path, err = m.bySYNs(); err != nil {
			return nil, err
		}
		m.progress(Progress{Stage: SessionLost, ForMTU: true, Err: why})
	}
	if m.budget != nil {
		return noSYN()
	}
	found, err := m.measureMTU(ctx, m.t.conn, o)
	return &record.MTU{MTU: found}, err
}

// errNoSYN is why no MTU is measured with Explain where no connection is of use.
var errNoSYN = errors.New("the target may get no more SYNs")

// measureMTU carries the search out.
func (m *Measurement) measureMTU(ctx context.Context, conn trace.Conn, o trace.MTUOptions) (trace.MTU, error) {
	plan, err := trace.NewMTUSearch(o)
	if err != nil {
		return trace.MTU{}, err
	}
	_, err = m.run(ctx, conn, plan, func(trace.Result) {})
	return plan.Found(), err
}

// mtuEvidence is the result for findings; nil: it proves nothing. Large SYNs that vanish outside of a session are no
// black hole: firewalls drop SYNs with a payload.
func mtuEvidence(m *record.MTU) *detect.PathMTU {
	if m == nil || m.Size == 0 || m.BlackHole && !m.InSession {
		return nil
	}
	return new(detect.PathMTU(m.MTU))
}
