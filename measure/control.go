package measure

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

const (
	// ControlWait is how long an ordinary connection may take to open: the kernel has sent three SYNs by then, and the
	// fourth it sends no sooner than this.
	ControlWait = 2900 * time.Millisecond
	controlSYNs = 3

	// oneSYN is how long it is waited for if nothing at all has come from the target by then, or says that it can't be
	// reached: the kernel hasn't repeated its SYN yet, and the target may well get each.
	oneSYN = 800 * time.Millisecond

	// forQuestions is how many SYNs are left for a question and a second connection when the first one's is repeated.
	forQuestions = 2

	// repeatTime is how long after a SYN the kernel sends the next one, at the least.
	repeatTime = time.Second
)

// ordinary is a network that can be asked for ordinary connections.
type ordinary interface {
	Attempt(context.Context, wire.AttemptOptions) (wire.Attempt, error)
}

// control is an ordinary connection that was asked for.
type control struct {
	stop    context.CancelFunc
	enough  chan struct{} // closed when it is waited for no longer
	done    chan struct{} // closed when all that follows is known
	attempt wire.Attempt
	err     error // why it could not be asked for
}

// begin asks for an ordinary connection, beside the trace, if there can be one. A trace by connections is one anyway.
func (e *explainer) begin(ctx context.Context) {
	by, ok := e.m.t.conn.(ordinary)
	if e.m.Header.Connections || !ok || !e.m.budget.TakeOrdinary(0) {
		return
	}
	e.m.progress(Progress{Stage: Connecting, Most: controlSYNs})
	e.control = e.connect(ctx, by)
	go e.limitSYNs(e.control, forQuestions, e.heard.Load)
}

// limitSYNs gives an ordinary connection up before its kernel repeats a SYN that the target may not get if so many are
// to be left, or that nobody wants.
func (e *explainer) limitSYNs(c *control, left int, wanted func() bool) {
	for n := range controlSYNs {
		select {
		case <-c.done:
			return
		case <-time.After(oneSYN + time.Duration(min(n, 1))*(repeatTime-oneSYN)):
		}
		if n == controlSYNs-1 || !wanted() || !e.m.budget.TakeOrdinary(left) {
			close(c.enough)
			return
		}
	}
}

// hear takes in a result of the trace, while the ordinary connection is waited for.
func (e *explainer) hear(r trace.Result) {
	if r.FromTarget() || r.Refused() {
		e.heard.Store(true)
	}
}

// end ends the ordinary connection that begin asked for, whatever has come of it.
func (e *explainer) end() { e.control.end() }

func (e *explainer) connect(ctx context.Context, by ordinary) *control {
	ctx, stop := context.WithCancel(ctx)
	c := &control{stop: stop, enough: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.attempt, c.err = by.Attempt(ctx, wire.AttemptOptions{
			Source: e.m.own, Target: e.m.Header.Path.Target, Interface: e.m.t.o.Wire.Interface,
			TOS: uint8(e.m.Header.Path.TOS), Wait: ControlWait, Enough: c.enough,
		})
	}()
	return c
}

// refused reports whether the connection could not be asked for.
func (c *control) refused() bool {
	if c == nil {
		return true
	}
	select {
	case <-c.done:
		return c.err != nil
	default:
		return false
	}
}

// end ends it, whatever has come of it.
func (c *control) end() {
	if c != nil {
		c.stop()
		<-c.done
	}
}

// await waits for what came of the ordinary connection, and returns all that is known of this host's own part; nil:
// nothing.
func (e *explainer) await() *detect.Host {
	if e.control == nil || e.host != nil {
		return e.host
	}
	e.m.progress(Progress{Stage: Awaiting})
	<-e.control.done
	e.m.progress(Progress{Stage: Done})
	if e.control.err == nil {
		e.host = e.hostSeen()
		e.host.Controls = []detect.Control{e.controlOf(&e.control.attempt)}
	}
	return e.host
}

// askAgain asks for a second ordinary connection, if the first one leaves something in doubt.
func (e *explainer) askAgain(ctx context.Context) {
	by, ok := e.m.t.conn.(ordinary)
	if !ok || !detect.ControlAgain(*e.evidence) {
		return
	}
	if !e.m.budget.TakeOrdinary(0) {
		return
	}
	c := e.connect(ctx, by)
	defer c.end()
	go e.limitSYNs(c, 0, func() bool { return true })
	e.m.progress(Progress{Stage: AwaitingAgain})
	<-c.done
	e.m.progress(Progress{Stage: Done})
	if c.err == nil {
		e.host.Controls = append(e.host.Controls, e.controlOf(&c.attempt))
	}
}

// hearCopies takes note of copies that were heard only of further traces' probes: where this host stops those of the
// trace, there are no others.
func (e *explainer) hearCopies() {
	if raw, ok := e.m.t.conn.(interface{ Copies() bool }); ok && e.host != nil {
		e.host.Copies = raw.Copies()
	}
}

// hostSeen is how the probes left this host.
func (e *explainer) hostSeen() *detect.Host {
	to := netip.AddrPortFrom(e.m.Header.Path.Target.Addr().WithZone(""), e.m.Header.Path.Target.Port())
	h := &detect.Host{Meant: detect.Leaving{
		Src: e.m.Header.Path.Source, Dst: to, Mark: e.m.Header.Mark, Loopback: e.m.route.Local,
	}}
	if e.m.Header.Interface != "" {
		h.Meant.Interfaces = []string{e.m.Header.Interface}
	}
	h.Incoming = e.chains(wire.HookPrerouting, wire.HookInput)
	h.Outgoing = e.chains(wire.HookOutput, wire.HookPostrouting)
	h.OtherWays = e.m.otherWays()
	raw, ok := e.m.t.conn.(interface {
		Copies() bool
		Departures() []wire.Departure
	})
	if !ok || !raw.Copies() {
		return h
	}
	left := h.Meant
	h.Probes = &left
	for _, d := range raw.Departures() {
		changed := "the probes" + strings.TrimPrefix(d.String(), "they")
		if d.TTL != d.MeantTTL && !h.SetsTTL { // whichever flow it is of
			h.SetsTTL, h.Changed = true, changed
		}
		for _, c := range d.Changes { // the filter shows one probe of all flows alone
			if h.Changed = cmp.Or(h.Changed, changed); !slices.Contains(h.Rewrites, c) {
				h.Rewrites = append(h.Rewrites, c)
			}
		}
		if d.Meant.Src != e.m.Header.Path.Source {
			continue
		}
		left.Src, left.Dst, left.Mark = d.Left.Src, d.Left.Dst, d.Mark
		left.Loopback = left.Loopback || d.Loopback
		if d.Interface != "" {
			left.Interfaces = []string{d.Interface}
		}
		h.Changed = changed
		if d.Mark != d.MeantMark || d.Interface != d.MeantInterface {
			h.Rule = ruleOf(e.m.t.conn, wire.Leaving{Ends: d.Left, Mark: d.Mark, TOS: d.TOS}, e.m.Header.Path.Source)
		}
	}
	return h
}

// ruleOf names the rule by which packets were routed that left so. When it was looked at they had the source that
// they began with.
func ruleOf(conn Network, left wire.Leaving, source netip.AddrPort) string {
	by, ok := conn.(interface{ RouteRule(*wire.Leaving) string })
	if !ok {
		return ""
	}
	left.Ends.Src = source
	return by.RouteRule(&left)
}

// byPort reports whether it is for its source port alone that a connection left by another interface than the probes:
// this host's routes send each of the two where it went. source is what the connection began with.
func (e *explainer) byPort(left wire.Leaving, source netip.AddrPort) bool {
	by, ok := e.m.t.conn.(interface{ RoutedBy(*wire.Leaving) string })
	if !ok || e.host.Probes == nil {
		return false
	}
	left.Ends.Src = source
	its := by.RoutedBy(&left)
	left.Ends.Src = netip.AddrPortFrom(source.Addr(), e.m.Header.Path.Source.Port())
	theirs := by.RoutedBy(&left)
	return its != theirs && slices.Contains(left.Interfaces, its) && slices.Contains(e.host.Probes.Interfaces, theirs)
}

// chains names those of this host's firewall that packets of the trace's family meet at some hooks.
func (e *explainer) chains(hooks ...wire.Hook) (names []string) {
	by, ok := e.m.t.conn.(interface{ Chains() []wire.Chain })
	if !ok {
		return nil
	}
	const most = 6
	for _, c := range by.Chains() {
		seen := c.V6
		if e.m.Header.Path.Target.Addr().Is4() {
			seen = c.V4
		}
		if seen && slices.Contains(hooks, c.Hook) && len(names) < most {
			names = append(names, c.String())
		}
	}
	return names
}

// controlOf is an attempt as evidence.
func (e *explainer) controlOf(a *wire.Attempt) detect.Control {
	c := detect.Control{Source: a.Source, SYNs: a.SYNs, Waited: a.Waited, From: a.From, Followed: a.Followed}
	switch a.State {
	case wire.AttemptOpened:
		c.Outcome = detect.Opened
	case wire.AttemptRefused:
		c.Outcome = detect.Refused
	case wire.AttemptRejected:
		c.Outcome, c.Said = detect.Rejected, detect.RejectionText(a.Source.Addr().Is4(), a.Type, a.Code)
	case wire.AttemptFailed:
		c.Outcome, c.Said = detect.NotBegun, a.Err.Error()
	}
	if l := a.Left; l != nil {
		c.Left = &detect.Leaving{
			Src: l.Ends.Src, Dst: l.Ends.Dst, Interfaces: l.Interfaces, Mark: l.Mark, TTL: l.TTL, Loopback: l.Loopback,
			Options: l.Options,
		}
		c.Rule = ruleOf(e.m.t.conn, *l, a.Source)
		c.ByPort = e.byPort(*l, a.Source)
	}
	for i := range a.Came {
		came := &a.Came[i]
		switch flaw := detect.FlawOf(&came.Reply, c.Left.Options, a.Stamps); {
		case flaw != detect.Flaw{}:
			if c.Flawed++; c.Flawed == 1 {
				c.Flaw = flaw
			}
		case came.Reply.TCP.Flags.Has(packet.RST):
			c.Reset++
		default:
			c.Accepted++
		}
		c.Home = c.Home || came.Loopback
	}
	return c
}
