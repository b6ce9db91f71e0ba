package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/wire"
)

const (
	// controlWait is how long an ordinary connection may take to open: the kernel has sent three SYNs by then, and the
	// fourth it sends no sooner than this.
	controlWait = 2900 * time.Millisecond
	controlSYNs = 3
)

// ordinary is a medium that can be asked for ordinary connections.
type ordinary interface {
	Attempt(context.Context, wire.AttemptOptions) (wire.Attempt, error)
}

// control is an ordinary connection that was asked for.
type control struct {
	stop    context.CancelFunc
	done    chan struct{} // closed when all that follows is known
	attempt wire.Attempt
	err     error // why it could not be asked for
}

// beginControl asks for an ordinary connection, beside the trace; nil: this run can't have one. A trace by
// connections is one anyway.
func (p *program) beginControl(ctx context.Context, conn medium) *control {
	by, ok := conn.(ordinary)
	if !p.explain || p.connecting || !ok || p.mark != 0 {
		return nil
	}
	fmt.Fprintf(p.stderr,
		"Asking this host for an ordinary connection too, which the target's program doesn't see: up to %d SYNs\n",
		controlSYNs)
	return p.connect(ctx, by)
}

func (p *program) connect(ctx context.Context, by ordinary) *control {
	ctx, stop := context.WithCancel(ctx)
	c := &control{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.attempt, c.err = by.Attempt(ctx, wire.AttemptOptions{
			Source: p.own, Target: p.path.Target, Interface: p.iface, TOS: uint8(p.path.TOS), Wait: controlWait,
		})
	}()
	return c
}

// end ends it, whatever has come of it.
func (c *control) end() {
	if c != nil {
		c.stop()
		<-c.done
	}
}

// awaitHost waits for what came of the control, and is all that is known of this host's own part; nil: nothing.
func (p *program) awaitHost(conn medium) *detect.Host {
	if p.control == nil || p.ownPart != nil {
		return p.ownPart
	}
	status := p.showStatus(func(time.Duration) string { return "waiting for an ordinary connection" })
	<-p.control.done
	status.stop()
	if p.control.err == nil {
		p.ownPart = p.hostSeen(conn)
		p.ownPart.Controls = []detect.Control{p.controlOf(conn, &p.control.attempt)}
	}
	return p.ownPart
}

// askAgain asks for a second ordinary connection, if the first one leaves something in doubt.
func (p *program) askAgain(ctx context.Context, conn medium) {
	by, ok := conn.(ordinary)
	if !ok || !detect.ControlAgain(*p.evidence) {
		return
	}
	c := p.connect(ctx, by)
	defer c.end()
	status := p.showStatus(func(time.Duration) string { return "waiting for a second ordinary connection" })
	<-c.done
	status.stop()
	if c.err == nil {
		p.ownPart.Controls = append(p.ownPart.Controls, p.controlOf(conn, &c.attempt))
	}
}

// hostSeen is how the probes left this host.
func (p *program) hostSeen(conn medium) *detect.Host {
	to := netip.AddrPortFrom(p.path.Target.Addr().WithZone(""), p.path.Target.Port())
	h := &detect.Host{Meant: detect.Leaving{Src: p.path.Source, Dst: to, Mark: p.mark, Loopback: p.route.Local}}
	if p.out != "" {
		h.Meant.Interfaces = []string{p.out}
	}
	h.Incoming = p.chains(conn, wire.HookPrerouting, wire.HookInput)
	h.Outgoing = p.chains(conn, wire.HookOutput, wire.HookPostrouting)
	raw, ok := conn.(interface {
		Copies() bool
		Departures() []wire.Departure
	})
	if !ok || !raw.Copies() {
		return h
	}
	left := h.Meant
	h.Probes = &left
	for _, d := range raw.Departures() {
		if d.Meant.Src != p.path.Source {
			continue
		}
		left.Src, left.Dst, left.Mark = d.Left.Src, d.Left.Dst, d.Mark
		left.Loopback = left.Loopback || d.Loopback
		if d.Interface != "" {
			left.Interfaces = []string{d.Interface}
		}
		h.Changed = "the probes" + strings.TrimPrefix(d.String(), "they")
		if d.Mark != d.MeantMark || d.Interface != d.MeantInterface {
			h.Rule = ruleOf(conn, wire.Leaving{Ends: d.Left, Mark: d.Mark, TOS: d.TOS}, p.path.Source)
		}
	}
	return h
}

// ruleOf names the rule by which packets were routed that left so. When it was looked at they had the source that
// they began with.
func ruleOf(conn medium, left wire.Leaving, source netip.AddrPort) string {
	by, ok := conn.(interface{ RouteRule(*wire.Leaving) string })
	if !ok {
		return ""
	}
	left.Ends.Src = source
	return by.RouteRule(&left)
}

// chains names those of this host's firewall that packets of the trace's family meet at some hooks.
func (p *program) chains(conn medium, hooks ...wire.Hook) (names []string) {
	by, ok := conn.(interface{ Chains() []wire.Chain })
	if !ok {
		return nil
	}
	const most = 6
	for _, c := range by.Chains() {
		seen := c.V6
		if p.path.Target.Addr().Is4() {
			seen = c.V4
		}
		if seen && slices.Contains(hooks, c.Hook) && len(names) < most {
			names = append(names, c.String())
		}
	}
	return names
}

// controlOf is an attempt as evidence.
func (p *program) controlOf(conn medium, a *wire.Attempt) detect.Control {
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
			Src: l.Ends.Src, Dst: l.Ends.Dst, Interfaces: l.Interfaces, Mark: l.Mark, Loopback: l.Loopback, Options: l.Options,
		}
		c.Rule = ruleOf(conn, *l, a.Source)
	}
	for _, came := range a.Came {
		if came.Flags.Has(packet.RST) {
			c.Reset++
		} else {
			c.Accepted++
		}
		c.Home = c.Home || came.Loopback
	}
	return c
}
