package trace

import (
	"time"
)

// passBeside stops attributing answers to probes that were sent beside one to the hop where the target was thought to
// be: they were thought not to get that far, and would have its answer if it is late.
func (p *Path) passBeside() (Action, bool) {
	if !p.purge {
		return Action{}, false
	}
	for _, a := range p.pending {
		if !a.passed && !a.byProbePort && a.ttl > p.lastRouter {
			a.passed = true
			return Pass(a.key), true
		}
	}
	p.purge = false
	return Action{}, false
}

// passBlocker ends what a probe in flight keeps from being sent, because its answer is overdue.
func (p *Path) passBlocker(a *ask) Action {
	if a.doubted {
		return Withdraw(a.key)
	}
	if h := p.hop(a.ttl); !h.answered && p.estimate > 0 && a.ttl == p.estimate && h.asked > 1 {
		switch {
		case p.retries(a.ttl), p.retryDue(a.ttl):
		case !p.placed(a.ttl) || p.target.resets || h.sends > h.asked:
			p.missingAt(a.ttl)
			p.estimate, p.purge = 0, true // there is a silent hop where the target was thought to be
		case h.asked >= p.wanted(a.ttl):
			a.doubted = true // the target may have answered in vain, and was silent then: it is asked once more, see turn
			return Withdraw(a.key)
		}
	}
	a.passed = true
	return Pass(a.key)
}

// nextToTarget reports whether a hop is the one right before the target, by the estimate, and nothing is known of it:
// it may be silent, or be the target. So the target is asked after it, so long that an answer to the one is none to the
// other (apart): were it the target, it would answer the first. Such an answer, if it is late, looks like one to the
// second; but then the target answers the control probe too (controlDue).
func (p *Path) nextToTarget(ttl int) bool {
	return ttl == p.estimate-1 && p.estimate <= p.limit && p.lastRouter < ttl && p.distant() && !p.hop(ttl).answered &&
		p.hop(p.estimate).asked == 0 &&
		(p.controlled >= ttl || len(p.ports) > 0) && !p.echo()
}

// distant reports whether the target is so far away that the order matters in which hops are asked, which else is
// that of their distance: then a nearer hop has answered before the target does.
func (p *Path) distant() bool { return p.target.told && p.target.least > 2*apart && !p.wary }

// mayConfuse reports whether there is, or will be, another probe that an answer to this one could be taken for that of.
func (p *Path) mayConfuse(a *ask) bool {
	if !p.target.answers || p.echo() {
		return false
	}
	for _, b := range p.pending {
		// Which hops a flow ends at is known for that flow only.
		if b.ttl <= p.limit && (b.ttl > p.lastRouter || len(p.o.Ports) > 0 && b != a && b.key.Port == a.key.Port) {
			return true
		}
	}
	for ttl := p.lastRouter + 1; ttl <= p.limit; ttl++ {
		if p.hop(ttl).asked < p.wanted(ttl) {
			return true
		}
	}
	return false
}

// exclusive reports whether only one probe may be in flight beside a probe of this TTL.
func (p *Path) exclusive(ttl int) bool {
	return p.single || p.target.answers && ttl > p.lastRouter && (ttl >= p.estimate || p.mixed || p.rounds.on()) &&
		!p.echo()
}

// rival finds a probe in flight that one of this TTL could not be told from, if the target answers; nil: none. One to
// the same hop counts, too: if that is the target, the first answer says so, and the others are SYNs that nobody needs.
func (p *Path) rival(ttl int) *ask {
	if !p.exclusive(ttl) && !p.delicate(ttl) {
		return nil
	}
	for _, a := range p.pending {
		passed := a.passed && !p.untagged // a router may answer it still, and nothing would tell
		if !passed && !a.byProbePort && (p.exclusive(a.ttl) || p.delicate(a.ttl)) {
			return a
		}
	}
	return nil
}

// delicate reports whether a hop before the estimate may be the target for all that is known, and is asked with care
// because the target has answered one of several probes before.
func (p *Path) delicate(ttl int) bool { return p.wary && ttl > p.lastRouter }

// sharedAt takes in that the target has answered one of several probes to one hop, of which the oldest was sent so
// long ago. tooSoon: the hop was asked again before the first answer could have come. again: the answer may be one that
// the target sends again.
func (p *Path) sharedAt(one int, oldest time.Duration, tooSoon, delicate, again bool) {
	if p.rounds.on() && !p.target.told && !again { // one before may take longer than is thought
		p.target.rtt = min(2*p.target.rtt, p.o.Wait)
	}
	p.confused = p.confused || tooSoon
	if delicate && !again && !p.rounds.on() && oldest >= p.target.least-rttNoise {
		p.limit = min(p.limit, one)
		if p.estimate <= p.lastRouter || p.estimate > one {
			p.estimate = one
		}
	}
}
