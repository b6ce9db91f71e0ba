package trace

import (
	"time"
)

// notBefore is when a hop may be asked.
func (p *Path) notBefore(ttl int) time.Time {
	at := p.soon
	if p.exclusive(ttl) || p.delicate(ttl) {
		at = later(at, p.target.ready)
	}
	if log := p.slow.log; p.single && p.hop(ttl).vain > 0 && len(log) > 0 {
		// A limit on SYNs may have dropped the last one because another was sent right before it.
		at = later(at, log[len(log)-1].sent.Add(slowPause))
	}
	return at
}

// likeliest is the hop to ask in the place of this one, where both may be the target: the one that most likely is. If
// the target is not where it was thought to be, that is the nearest: its answer rules out the others, or itself.
func (p *Path) likeliest(now time.Time, any int) int {
	may := func(ttl int) bool {
		return any > p.lastRouter && ttl > p.lastRouter && ttl <= p.limit && p.hop(ttl).asked < p.wanted(ttl) &&
			!now.Before(p.turn(ttl))
	}
	switch {
	case p.mixed && p.step > 1 && may(p.lastRouter+1):
		return p.lastRouter + 1
	case p.mixed && p.estimate > 0 && may(p.estimate):
		return p.estimate
	case p.target.vague && may(p.limit):
		return p.limit
	}
	return any
}

// window is how many probes more may be in flight, and when there may be another. It takes note of those that have
// waited for slow: they don't count, and silence is what is known of their hops.
func (p *Path) window(now time.Time) (left int, more time.Time) {
	left = p.o.Parallel
	enough := p.whole / 2 // before it is lost
	if p.target.told {
		enough = max(enough, p.target.least+p.slack()) // the target may be nearer than its TTL says
	}
	enough = min(enough, p.inFlightTime())
	elsewhere := p.target.answers && !p.hop(p.limit).byTarget // other flows: answers to this one may be later than theirs
	for _, a := range p.pending {
		wait := enough
		switch t := p.earlyTimeout(a); {
		case elsewhere && a.ttl > p.lastRouter:
		case t > 0 && p.known >= p.o.FirstTTL: // else how late answers are isn't known yet
			wait = min(t, wait)
		}
		if p.uneven() && a.ttl > p.lastRouter {
			wait = max(wait, min(settled(p.target.rtt), slow)) // it may get to the target, whose answer may be under way
		}
		if free := a.sent.Add(wait); now.Before(free) {
			left--
			more = sooner(more, free)
		} else if !a.distance && !a.byProbePort {
			p.silence(a)
		}
	}
	return left, more
}

// least finds the hop to ask next, and the next among those that any number of probes may be in flight to. 0: none. Of
// which nothing is known yet, no hop is asked twice. due is when that may change by itself.
func (p *Path) least(now time.Time) (any, free int, due time.Time) {
	last, due := p.horizon(now)
	if p.refusing() {
		last = max(last, p.end())
	}
	for ttl := p.o.FirstTTL; ttl <= min(p.end(), last); ttl++ {
		asked, once := p.hop(ttl).asked, 0
		if ttl == p.o.MaxTTL && p.own != ownNone {
			once = 1
		}
		if asked >= p.wanted(ttl) || asked > once && p.unknown(ttl) {
			continue
		}
		if at := p.turn(ttl); now.Before(at) {
			due = sooner(due, at)
			continue
		}
		if any == 0 || p.before(ttl, any) {
			any = ttl
		}
		if !p.exclusive(ttl) && !p.delicate(ttl) && (free == 0 || p.before(ttl, free)) {
			free = ttl
		}
	}
	return any, free, due
}

// unknown reports whether nothing is known yet of a hop: nothing has come from it, nor from beyond. A distance probe's
// answer tells how far the target is, but that may be wrong as long as nobody has answered the path's own flow.
func (p *Path) unknown(ttl int) bool {
	if ttl <= p.known || p.hop(ttl).refused > 0 {
		return false
	}
	return p.known < p.o.FirstTTL || !p.target.answers && p.estimate == 0
}

// before reports whether hop a is asked before hop b, of two that may be asked now and a is the farther: the one that
// was asked least.
func (p *Path) before(a, b int) bool {
	switch {
	case p.nextToTarget(a):
		return true
	case p.nextToTarget(b):
		return false
	}
	x, y := p.hop(a).asked, p.hop(b).asked
	if x == y && x > 0 && p.anyOrder(a) && p.anyOrder(b) {
		return p.place(x, a) < p.place(x, b)
	}
	if x == y && p.estimate > 0 && p.distant() {
		return true // the farthest first, which takes longest
	}
	return x < y
}

// anyOrder reports whether it doesn't matter when a hop has its turn within a pass: it is not the target, nor thought
// to be right before it.
func (p *Path) anyOrder(ttl int) bool {
	return ttl <= p.lastRouter || ttl < p.estimate-1 && !p.delicate(ttl)
}

// place is where a hop stands in a pass. Each pass has an order of its own: with always the same one, probes and a
// router that sends packets by its ways in turn would keep step, and only one of the ways would ever be seen.
func (p *Path) place(pass, ttl int) uint64 {
	return scramble(uint64(p.flow.seq)<<16 + uint64(pass)<<8 + uint64(ttl))
}

// turn is when a hop may be asked again.
func (p *Path) turn(ttl int) time.Time {
	switch h := p.hop(ttl); {
	case h.retries > 0 && p.placed(ttl):
		return h.last.Add(knockPause) // it may send only so many refusals
	case ttl == p.estimate && p.nextToTarget(ttl-1):
		before := p.hop(ttl - 1)
		at := before.last.Add(p.apart())
		if left := p.wanted(ttl-1) - before.asked; left > 0 {
			at = later(p.soon, at).Add(time.Duration(left) * p.rest())
		}
		return at
	case h.asked == 0:
		return time.Time{}
	case h.sends > h.asked && p.placed(ttl) && p.target.opens:
		return h.last.Add(resendAnswerTime) // its answers may have been lost, so that nothing has reset it
	case h.asked >= p.o.Queries && ttl > p.farthest && p.refusedOnly(ttl):
		return h.last.Add(resendAnswerTime) // our resets may be refused too
	case p.anyOrder(ttl):
		return h.last.Add(p.rest() + time.Duration(p.place(h.asked, ttl)%mostShift)*min(p.o.Spacing, DefaultSpacing))
	default:
		return h.last.Add(p.rest())
	}
}

// begun is another hop than this one that is asked with care, if there is one with probes in flight and more to come:
// one after the other takes less time than in turn. 0: none.
func (p *Path) begun(any int) int {
	if any == 0 || !p.delicate(any) {
		return 0
	}
	for _, a := range p.pending {
		if ttl := a.ttl; ttl != any && ttl < p.estimate && !a.passed && !a.byProbePort && p.delicate(ttl) &&
			p.hop(ttl).asked < p.wanted(ttl) {
			return ttl
		}
	}
	return 0
}
