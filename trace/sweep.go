package trace

import (
	"time"
)

// A sweep asks the hops beyond the last router that is known, whatever is answered in the target's name, see injection.

const (
	// sweepAhead is how many hops beyond the last router a sweep goes: it may overshoot the target by so many.
	sweepAhead = 4

	// silentTries is how often in a row a hop beyond that router is asked until it is known that nobody answers there.
	silentTries = 3
)

func (p *Path) sweeping() bool { return p.sweepTo > 0 }

// sweepOn begins a sweep.
func (p *Path) sweepOn() {
	p.injection.known, p.limit, p.sweepTo = true, p.o.MaxTTL, p.farthest+sweepAhead
}

// sweep asks each hop once that is not known to be a router's, and then waits for the routers' answers. Hops that a
// device may have hidden are asked again, one after the other: the device may answer every other packet.
func (p *Path) sweep(now, when time.Time) Action {
	var until time.Time
	for ttl := p.o.FirstTTL; ttl <= min(p.sweepTo, p.o.MaxTTL); ttl++ {
		h := p.hop(ttl)
		p.quieten(h, now)
		hidden := p.hidden(ttl)
		if h.router || ttl < p.farthest && h.asked > 0 && !hidden {
			continue
		}
		pause := p.sweepWait()
		if hidden && h.sends > slowTries {
			pause = max(pause, slowPause) // the device may answer what is over a limit
		}
		switch due := h.last.Add(pause); {
		case p.o.Budget.full(ttl):
			until = later(until, due)
		case !h.swept, hidden && !now.Before(due):
			return p.sweepHop(ttl, now, when)
		case hidden:
			return WaitUntil(sooner(when, due))
		default:
			until = later(until, due)
		}
	}
	if now.Before(until) {
		return WaitUntil(sooner(when, until))
	}
	if action, any := p.tellBoxes(now, when); any {
		return action
	}
	if action, any := p.endSwept(true); any {
		return action
	}
	p.endSweep(p.edge())
	return p.Next(now)
}

// quieten counts the probes to a hop in a row of which none was followed by an answer in the target's name.
func (p *Path) quieten(h *hop, now time.Time) {
	if !h.swept || h.judged == h.sends || now.Before(h.last.Add(p.sweepWait())) {
		return
	}
	h.judged = h.sends
	if h.quiet++; p.said.After(h.last) {
		h.quiet = 0
	}
}

// sweepHop asks a hop.
func (p *Path) sweepHop(ttl int, now, when time.Time) Action {
	if now.Before(p.soon) {
		return WaitUntil(sooner(when, p.soon))
	}
	h := p.hop(ttl)
	if action, any := p.endSwept(h.swept); any {
		return action
	}
	h.swept = true
	return p.ask(ttl, now)
}

// endSweep ends a sweep: the target is thought to be right beyond a hop.
func (p *Path) endSweep(edge int) {
	p.sweepTo, p.mixed, p.wary, p.purge = 0, false, true, false
	p.lastRouter = edge
	p.limit, p.estimate = p.o.MaxTTL, 0
	if !p.target.answers || edge == p.o.MaxTTL {
		return
	}
	p.limit, p.estimate = edge+1, edge+1
	if p.hop(edge+1).byPort > 0 && p.mayReach(edge+1) {
		p.placeAt(edge + 1)
	}
}

// edge is the last hop that is known to be before the target in a sweep: beyond the last router silent ones may follow,
// at which nobody answers, or a device alone.
func (p *Path) edge() int {
	ttl := p.farthest
	for ttl < min(p.sweepTo, p.o.MaxTTL-1) && p.isBefore(ttl+1) {
		ttl++
	}
	return ttl
}

// isBefore reports whether a hop beyond the last router is before the target for all that is known.
func (p *Path) isBefore(ttl int) bool {
	h := p.hop(ttl)
	if p.voices.two {
		return h.vainPorts >= mostVain && p.voices.lacks(ttl, p.farthest)
	}
	return h.quiet >= silentTries && h.kinds == 0
}

// tellBoxes asks the hops that may be the target's by ports of their own where a device answers beside it: its hop is
// the first from where both answers come.
func (p *Path) tellBoxes(now, when time.Time) (Action, bool) {
	if !p.voices.two || p.o.SilentSYNs > 0 {
		return Action{}, false
	}
	// A probe with the highest TTL is a distance probe, and tells no hop.
	for ttl := p.edge() + 1; ttl <= min(p.sweepTo, p.o.MaxTTL-1) && p.voices.lacks(ttl, p.farthest); ttl++ {
		h := p.hop(ttl)
		if until := later(p.soon, h.told); now.Before(until) {
			return WaitUntil(sooner(when, until)), true
		}
		if h.vainPorts = h.byPort; h.vainPorts >= mostVain {
			continue
		}
		if p.placingPorts() == 0 || p.o.Budget.full(ttl) {
			break
		}
		h.byPort++
		h.told = now.Add(min(settled(p.voices.took), p.o.Wait))
		return p.sendPlacing(ttl, now), true
	}
	return Action{}, false
}

// endSwept ends the wait for a probe that may have got to the target, if that is wanted, so that what is answered then
// is no answer to it.
func (p *Path) endSwept(wanted bool) (Action, bool) {
	for _, a := range p.pending {
		if wanted && a.ttl > p.farthest && !a.byProbePort {
			a.anew = true
			return Withdraw(a.key), true
		}
	}
	return Action{}, false
}

// hidden reports whether a device may have kept a hop from being seen, because it answers some of the packets in the
// target's name and lets others pass: nothing was answered at the hop but of the kind that the device answers.
func (p *Path) hidden(ttl int) bool {
	h := p.hop(ttl)
	var device kinds
	for i := p.o.FirstTTL; i <= p.farthest; i++ {
		if o := p.hop(i); o.router {
			device |= o.kinds
		}
	}
	switch {
	case p.o.SilentSYNs > 0 || h.router || ttl > p.farthest && p.voices.two:
		return false // see tellBoxes
	case ttl > p.farthest && ttl != p.edge()+1:
		return false
	case h.kinds == resets|accepts || device != 0 && h.kinds&^device != 0:
		return false // the target has answered, too
	case h.kinds == 0 && h.quiet > 0:
		return ttl > p.farthest && p.target.answers && h.quiet < silentTries
	}
	return h.sends < p.o.Queries+refusedMore
}

// sweepWait is how long a router's answer is waited for.
func (p *Path) sweepWait() time.Duration {
	var t time.Duration
	for ttl := p.o.FirstTTL; ttl <= p.farthest; ttl++ {
		if h := p.hop(ttl); h.router {
			t = max(t, h.best)
		}
	}
	return 2*t + earlyUnknown*p.jitter() + leastEarlyTimeout
}
