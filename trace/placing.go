package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// When an answer of the target fits several probes of the path's own flow, another answer to that flow often tells no
// more: SYN cookies have one number for equal SYNs, and a target that our resets don't reach sends its first answer
// again. So the hops in question are asked by ports that no other probe has (ProbePorts), as the control probe is. The
// port tells which of them is answered: the target is no farther than the nearest that it answers, and farther than
// any that it does not.

// placement is what the answers to such probes have told.
type placement struct {
	since time.Time // when an answer fitted several probes of the path's own flow
	at    int       // the lowest TTL of those that the target has answered; 0: it has answered none
	vain  int       // the highest TTL below that of those that it has not answered in time
	vains int       // how many of them had that TTL
	guess int       // the TTL of the first such probe, where the target is most likely
	came  uint8     // the TTL that is left of the answer that fitted several probes
	over  bool      // it came to nothing, or other ports go another way, or two boxes answer
}

// routersTime is how long routers are given to tell which probes did not get to the target.
const routersTime = 2 * apart

// mostVain is how often the hop is asked where the target is most likely: a probe or its answer may have been lost.
const mostVain = 2

// places reports whether the target's hop is being looked for by ports of their own. Where answers name their probes
// there is no need to. A search for all paths asks other flows itself.
func (p *Path) places() bool {
	l := &p.placement
	switch {
	case !p.mixed || p.target.tags || p.o.SilentSYNs > 0 || l.over || p.placedByPort():
		return false
	case p.slow.knocks > 0 || p.slow.active || p.sweeping() || p.injection.known || p.refusals.some():
		return false
	case p.placingPorts() == 0 && p.placingAsk() == nil:
		return false
	}
	return l.guess > 0 || p.openTo(p.guess())
}

// openTo reports whether all hops before this one are known, but for some next door: where more are silent, a limit on
// SYNs may have dropped the probes to them, and those to the target.
func (p *Path) openTo(guess int) bool {
	silent := 0
	for ttl := p.o.FirstTTL; ttl < guess; ttl++ {
		if !p.shown(ttl) {
			silent++
		}
	}
	return silent == 0 || guess < p.o.FirstTTL+nearHops && silent <= 1
}

// nearHops is how many hops are next door.
const nearHops = firstAhead + 1

// guess is the hop where the target is most likely.
func (p *Path) guess() int {
	if p.estimate > p.lastRouter && p.estimate <= p.limit {
		return p.estimate
	}
	return p.lastRouter + 1
}

// placedByPort reports whether the target's hop was found: it answers there, and not at the hop before.
func (p *Path) placedByPort() bool {
	l := &p.placement
	switch {
	case l.at == 0 || l.over:
		return false
	case l.at-1 <= p.lastRouter:
		return true
	}
	return l.vain == l.at-1 && !p.vainAgain()
}

// vainAgain reports whether a hop that has not answered is asked once more, or is being asked.
func (p *Path) vainAgain() bool {
	l := &p.placement
	if l.vain == 0 || l.vain != l.guess || l.vains >= mostVain {
		return false
	}
	return p.placingPorts() > 0 || p.placingAsk() != nil
}

// placingPorts is how many ports are left.
func (p *Path) placingPorts() int { return len(p.ports) + len(p.spare) }

// placingAsk is the probe whose answer is waited for; nil: there is none.
func (p *Path) placingAsk() *ask {
	if i := slices.IndexFunc(p.pending, func(a *ask) bool { return a.control() && !a.missing }); i >= 0 {
		return p.pending[i]
	}
	return nil
}

// placingDue is the TTL of the next such probe; 0: none is to be sent now, and at is when that may change by itself.
func (p *Path) placingDue(now time.Time) (ttl int, at time.Time) {
	if !p.places() {
		return 0, at
	}
	if a := p.placingAsk(); a != nil {
		if at = a.sent.Add(min(settled(p.target.rtt), p.o.Wait)); now.Before(at) {
			return 0, at
		}
		a.missing = true // its answer counts if it comes all the same
		p.placingVain(a.ttl)
		return p.placingDue(now)
	}
	if at = p.placement.since.Add(routersTime); now.Before(at) {
		return 0, at
	}
	l := &p.placement
	switch {
	case p.vainAgain():
		ttl = l.vain
	case l.at > 0:
		ttl = l.at - 1
	default:
		ttl = max(p.guess(), l.vain+1)
	}
	syns := p.syns.since(p.lastRouter + 1 - p.o.FirstTTL)
	tooMany := l.guess > 0 && syns > max(2*p.o.Queries, leastTargetSYNs)
	if ttl > p.limit || p.placingPorts() == 0 || p.portsVain(now) || tooMany || p.o.Budget.full(ttl) {
		l.over = true
		return 0, time.Time{}
	}
	return ttl, time.Time{}
}

// sendPlacing sends it.
func (p *Path) sendPlacing(ttl int, now time.Time) Action {
	if p.placement.guess == 0 {
		p.placement.guess = ttl
	}
	if len(p.spare) == 0 {
		return p.sendByProbePort(ttl, now)
	}
	port := p.spare[0]
	p.spare = p.spare[1:]
	return p.sendBy(port, ttl, now)
}

// placingVain takes in that the target has not answered a probe by a port of its own in time.
func (p *Path) placingVain(ttl int) {
	l := &p.placement
	switch {
	case l.at > 0 && ttl >= l.at || ttl < l.vain:
	case ttl == l.vain:
		l.vains++
	default:
		l.vain, l.vains = ttl, 1
	}
}

// learnPlace takes in what became of a probe to a hop by a port of its own.
func (p *Path) learnPlace(a *ask, r Result) {
	l := &p.placement
	switch {
	case r.FromTarget() && p.mixed && p.cameOtherwise(r):
		l.over = true
	case r.FromTarget():
		if l.at == 0 || a.ttl < l.at {
			l.at = a.ttl
		}
		if l.vain >= l.at {
			l.vain = 0
		}
		p.hop(a.ttl).kinds |= kindOf(r)
	case !a.missing && (r.Outcome == Lost || r.Outcome == Answered):
		p.placingVain(a.ttl)
	}
	p.endPlacing()
}

// othersApart reports whether distance probes were answered from other distances than an answer to the path's own flow,
// of which this TTL is left; 0: there was none.
func (p *Path) othersApart(came uint8) bool {
	return came != 0 && p.leastTTL != 0 && (came < p.leastTTL || came > p.mostTTL)
}

// cameOtherwise reports whether the target has answered other ports from another distance than the path's own flow.
func (p *Path) cameOtherwise(r Result) bool {
	came := p.placement.came
	return r.Reply.IP.TTL != came || p.leastTTL != 0 && (p.leastTTL != came || p.mostTTL != came)
}

// hearDistance takes in from how far the target has answered a distance probe.
func (p *Path) hearDistance(r Result) {
	left, l := r.Reply.IP.TTL, &p.placement
	p.mostTTL = max(p.mostTTL, left)
	if p.leastTTL == 0 || left < p.leastTTL {
		p.leastTTL = left
	}
	if placed := p.placedByPort(); l.came != 0 && left != l.came && !l.over {
		l.over = true
		if placed && p.limit == l.at {
			h := p.hop(l.at)
			h.shown, h.byTarget, h.answered, h.reached = false, false, false, false
			p.mixed, p.limit, p.estimate = true, p.bound(), 0
		}
	}
}

// endPlacing takes in that the target's hop was found, if it was.
func (p *Path) endPlacing() {
	if !p.mixed || !p.placedByPort() || p.injection.known {
		return
	}
	p.placeAt(p.placement.at)
}

// placeAt takes in that a hop is the target's.
func (p *Path) placeAt(at int) {
	p.placement.at, p.placement.over = at, false
	h := p.hop(at)
	h.shown, h.byTarget, h.answered = true, true, true
	h.best, h.rtt = p.target.least, max(h.rtt, p.target.rtt)
	p.mixed, p.estimate = false, at
	p.answeredTo, p.known = max(p.answeredTo, at), max(p.known, at)
	p.reached(at)
}

// settledByPort reports whether nothing depends any more on the answer to a probe of the path's own flow, because the
// target's hop was found by others.
func (p *Path) settledByPort(a *ask) bool {
	return !a.byProbePort && a.doubted && a.ttl >= p.placement.at && p.placement.at == p.limit && p.placedByPort()
}

// apartFrom takes in that the target has answered the path's own flow from another distance than distance probes: these
// go another way, and what was learned by their ports of the hop before says nothing. A probe to that hop may have been
// answered just as well.
func (p *Path) apartFrom(r Result) {
	if r.Reply.Kind != packet.KindTCP || !p.othersApart(r.Reply.IP.TTL) || p.rounds.on() || p.target.tags ||
		p.injection.known {
		return
	}
	for _, a := range p.pending {
		if !a.byProbePort && a.ttl > p.lastRouter && a.ttl < int(r.Probe.TTL) {
			p.shadow(a)
		}
	}
}
