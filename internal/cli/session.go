package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// sessionConfig is what is asked for that needs an open connection.
type sessionConfig struct {
	inSession bool
	mtu       bool
	session   *wire.Session // nil: none, or not yet
}

func sessionOptions() []option {
	return []option{
		{long: "in-session", facts: []fact{{on: func(c *config) bool { return c.inSession }, raw: true, not: []conflict{{
			"-A, -E, -l, -p, -P, --track-port, --mark, --syn, --mss, --accecn, --explain, --report, --live",
			"{} doesn't go with --in-session, whose probes are those of an ordinary connection",
		}}}},
			help: "open a connection and send the probes inside it, as segments that a stateful firewall takes for its own; " +
				"falls back to SYNs, and says why, if no connection can be opened",
			set: do(func(c *config) { c.inSession = true })},
		{long: "mtu", facts: []fact{{on: func(c *config) bool { return c.mtu }, raw: true, not: []conflict{
			{"--report, --live", "--mtu doesn't go with what goes round by round"},
			{"--format", "--mtu doesn't go with {}: its result is a line of text"},
		}}}, help: "after the trace: how large a packet gets to the target, which hop narrows it, and whether it " +
			"says so or swallows larger ones; measured inside a connection", set: do(func(c *config) { c.mtu = true })},
	}
}

// sessionWait is how long a connection may take to open.
const sessionWait = 3 * time.Second

// openSession opens a connection to the target, and says on stderr why it can't.
func (p *program) openSession(ctx context.Context, conn medium, from netip.Addr, instead string) *wire.Session {
	raw, ok := conn.(*wire.Conn)
	if !ok {
		return nil
	}
	s, err := raw.OpenSession(ctx, wire.SessionOptions{
		Source: netip.AddrPortFrom(from, 0), Target: p.path.Target, Interface: p.iface, TOS: uint8(p.path.TOS),
		Wait: sessionWait,
	})
	if err != nil && ctx.Err() != nil {
		return nil // interrupted: the trace says so
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "No connection to probe in (%s): %s\n", quoted(err.Error()), instead)
		return nil
	}
	return s
}

// inside makes path options those of probes inside a session.
func inside(o trace.PathOptions, s *wire.Session) trace.PathOptions {
	o.Source, o.ProbePorts = s.Source(), nil
	o.Session = &trace.Session{Next: s.Next, Ack: s.Ack, Timestamps: s.Timestamps, TSval: s.TSval, TSecr: s.TSecr}
	return o
}

// enterSession opens the connection that the trace goes inside of, and tells its port.
func (p *program) enterSession(ctx context.Context, conn medium, from netip.Addr) (port uint16, ok bool) {
	if !p.inSession {
		return 0, false
	}
	p.session = p.openSession(ctx, conn, from, "probing by SYNs")
	if p.session == nil {
		return 0, false
	}
	p.path = inside(p.path, p.session)
	return p.path.Source.Port(), true
}

// leaveSession closes the connection, where there is one.
func (p *program) leaveSession() {
	if p.session != nil {
		p.session.Close()
		p.session = nil
	}
}

// sessionRun is what came of a trace inside a connection.
type sessionRun struct {
	results []trace.Result
	counts  trace.Counts
	err     error
}

// traceInside traces inside the connection, where there is one. Nothing is shown before the end, because until then the
// connection may turn out to be of no use: the result is then nil, and the trace begins anew, by SYNs.
func (p *program) traceInside(ctx context.Context, conn medium) (*sessionRun, error) {
	if p.session == nil {
		return nil, nil
	}
	awaited, seen := newAwaited(p.path), trace.NewTrace(p.path)
	status := p.showStatus(awaited.say)
	run := new(sessionRun)
	run.counts, run.err = trace.Run(ctx, p.session, p.plan, p.engine(conn), func(r trace.Result) {
		p.lookUp(r)
		awaited.add(r)
		seen.Add(r)
		run.results = append(run.results, r)
	})
	status.stop()
	seen.Finish()
	why := lostSession(run.err)
	if run.err == nil {
		why = trace.CheckSession(seen, p.session.Closed(), p.session.TTL())
	}
	if why == nil {
		return run, nil
	}
	if err := p.goBySYNs(conn); err != nil {
		return nil, err
	}
	fmt.Fprintf(p.stderr, "The connection can't be probed in (%s): probing by SYNs from port %d\n", quoted(why.Error()),
		p.path.Source.Port())
	return nil, nil
}

// lostSession is why there is no connection any more; nil: that is not what ended the run.
func lostSession(err error) error {
	if lost, ok := errors.AsType[*wire.SessionError](err); ok {
		return lost
	}
	return nil
}

// goBySYNs leaves the connection, and makes the plan one of SYNs.
func (p *program) goBySYNs(conn medium) error {
	p.leaveSession()
	ports, err := p.freePorts(conn, p.own)
	if err != nil {
		return err
	}
	p.path.Session = nil
	p.path.Source, p.path.ProbePorts = netip.AddrPortFrom(p.path.Source.Addr(), ports[0]), ports[1:]
	p.plan, err = p.newPlan()
	return err
}

const (
	// The MTU search waits mtuTimeoutFactor times as long as the slowest hop took, within these bounds.
	mtuTimeoutFactor = 3
	mtuLeastWait     = 300 * time.Millisecond
	mtuMostWait      = 3 * time.Second
)

// mtuBySYNs is how the MTU is measured where there is no connection.
const mtuBySYNs = "measuring the MTU by SYNs with a payload, which may not pass"

// searchMTU finds the path's MTU and prints it.
func (p *program) searchMTU(ctx context.Context, conn medium, known *trace.Trace) error {
	o := trace.MTUOptions{Path: p.path, First: p.linkMTU}
	wait := mtuLeastWait
	for ttl := 1; ttl <= known.Last(); ttl++ {
		var who netip.Addr
		if ttl >= known.First() {
			for _, r := range known.Hop(ttl).Probes {
				if wait = max(wait, mtuTimeoutFactor*r.RTT()); r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded {
					who = r.Reply.From()
				}
			}
		}
		o.Hops = append(o.Hops, who)
	}
	wait = min(wait, mtuMostWait)
	if p.session == nil {
		p.session = p.openSession(ctx, conn, p.own, mtuBySYNs)
	}
	found, err := p.mtuInside(ctx, conn, o, wait)
	session := p.session != nil
	if err == nil && !session {
		o.Path = p.path
		found, err = p.measureMTU(ctx, conn, o, wait)
	}
	if err != nil {
		return err
	}
	p.asking.MTU = mtuEvidence(found, session)
	if _, err := fmt.Fprintln(p.stdout, report.MTU(&record.MTU{MTU: found, InSession: session})); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// mtuInside measures the MTU inside the connection, where there is one. If the connection turns out to be of no use,
// it is left, and there is no result.
func (p *program) mtuInside(
	ctx context.Context, conn medium, o trace.MTUOptions, wait time.Duration,
) (none trace.MTU, err error) {
	if p.session == nil {
		return none, nil
	}
	o.Path = inside(o.Path, p.session)
	found, err := p.measureMTU(ctx, p.session, o, wait)
	why := lostSession(err)
	if err == nil && found.Size == 0 {
		why = trace.ErrSessionSilent
	}
	if why == nil {
		return found, err
	}
	if err := p.goBySYNs(conn); err != nil {
		return none, err
	}
	fmt.Fprintf(p.stderr, "The connection can't be probed in (%s): %s\n", quoted(why.Error()), mtuBySYNs)
	return none, nil
}

// measureMTU carries the search out.
func (p *program) measureMTU(
	ctx context.Context, conn medium, o trace.MTUOptions, wait time.Duration,
) (trace.MTU, error) {
	o.Wait = wait
	plan, err := trace.NewMTUSearch(o)
	if err != nil {
		return trace.MTU{}, err
	}
	_, err = trace.Run(ctx, conn, plan, p.engine(conn), func(trace.Result) {})
	return plan.Found(), err
}

// mtuEvidence is the result for findings; nil: it proves nothing. Large SYNs that vanish outside of a session are no
// black hole: firewalls drop SYNs with a payload.
func mtuEvidence(m trace.MTU, session bool) *detect.PathMTU {
	if m.Size == 0 || m.BlackHole && !session {
		return nil
	}
	found := detect.PathMTU(m)
	return &found
}
