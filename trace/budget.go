package trace

import "go.example/tcptraceroute/packet"

// Each SYN that gets to the target may open a half-open connection there, so a plan counts them. As long as the target
// is where it was thought to be, hardly any SYN gets there that wasn't meant to. But when the target turns out to be
// nearer or farther, each SYN beyond the last router may get there: then each hop there is asked once before any is
// asked again.

// The target may get twice as many SYNs as a hop is asked, or leastTargetSYNs if that is more: it takes some to tell
// where the target is.
const leastTargetSYNs = 6

// If the target answers other flows, the path's own may get there too, and its answers be lost. A SYN more tells less
// then: SilentSYNs is divided by this.
const unheardShare = 2

// targetSYNs counts the SYNs that may have got to the target.
type targetSYNs struct {
	sent []int // to each hop, without those that did not get to the target
	lost []int // to each hop, left out of these because the target would have answered them, if it answers all
	from int   // the first hop that n counts
	n    int   // how many were sent to this hop and those beyond it
}

// add counts so many more SYNs to a hop.
func (s *targetSYNs) add(hop, more int) {
	s.sent[hop] += more
	if hop >= s.from {
		s.n += more
	}
}

// since returns how many SYNs were sent to a hop and those beyond it. They are summed up only if it is another hop than
// the last time.
func (s *targetSYNs) since(hop int) int {
	if hop != s.from {
		s.from, s.n = hop, 0
		for _, n := range s.sent[hop:] {
			s.n += n
		}
	}
	return s.n
}

// most is how many SYNs can have got to a target at this hop or beyond it, those included that it may have dropped.
func (s *targetSYNs) most(hop int) (n int) {
	for i := max(hop, 0); i < len(s.sent); i++ {
		n += s.sent[i] + s.lost[i]
	}
	return n
}

// tookAll reports whether a target whose hop seems to be known has got all the SYNs that it may get, see
// PathOptions.TargetSYNs, and would get one that is sent to this hop. Where a device may answer in its name, what is
// answered hasn't got to the target, and only more probes tell where that is.
func (p *Path) tookAll(ttl int) bool {
	most, first := p.o.TargetSYNs, max(p.lastRouter, p.farthest+1, p.limit)
	if most == 0 || ttl < first || !p.hop(p.limit).reached || p.injection.known || p.unequal() {
		return false
	}
	return p.syns.most(first-p.o.FirstTTL) >= most
}

// expected is the TTL from which on SYNs get to the target, by its own answers; 0: that isn't known, or something
// contradicts it.
func (p *Path) expected() int {
	if !p.target.answers || p.mixed || p.injection.known {
		return 0
	}
	return p.estimate
}

// ended reports whether a probe did not get to the target, by its outcome.
func (p *Path) ended(a *ask, r Result) bool {
	switch r.Outcome {
	case Failed:
		return true
	case Answered:
		return r.From() != p.o.Target.Addr()
	case Lost:
		return p.target.told && !p.target.rateLimitsSYNACK && !a.doubted // else the target would have answered it
	}
	return false
}

// oneTooMany reports whether another SYN to a hop is one too many, because the target may get it and nobody knows where
// the target is. What is left is kept for one SYN to each hop that may be the target.
func (p *Path) oneTooMany(ttl int) bool {
	h := p.hop(ttl)
	if h.asked == 0 || h.open || ttl <= p.lastRouter {
		return false
	}
	nearer := p.nearerByTTL()
	if nearer > 0 && nearer < ttl && ttl < p.limit && p.sendsSYNs() && p.mayBeLimited() && !p.o.Patient {
		return true // they are asked slowly, before the trace ends
	}
	if !p.targetLost() {
		return false
	}
	end := p.limit
	if p.estimate > 0 {
		end = min(end, p.estimate)
	}
	left := max(2*p.o.Queries, leastTargetSYNs) - p.syns.since(p.lastRouter+1-p.o.FirstTTL)
	return left <= end-p.lastRouter
}

// spent reports whether no more probes may be sent to a hop, see PathOptions.SilentSYNs, TargetSYNs, UnheardSYNs and
// Budget.
func (p *Path) spent(ttl int) bool {
	most, first := p.o.SilentSYNs, p.lastRouter+1
	switch {
	case p.tookAll(ttl), p.spared(ttl), p.o.Budget.full(ttl):
		return true
	case most == 0 || ttl < first || p.refusals.end() > 0 || !p.target.heard.IsZero():
		return false
	case !p.target.answers:
		return p.syns.since(first-p.o.FirstTTL) >= most
	}
	sent := 0
	for t := max(first, p.estimate); t <= p.o.MaxTTL; t++ {
		sent += p.hop(t).asked
	}
	return sent >= most/unheardShare
}

// sparing reports whether the target is to be spared though nothing has come from it: for all that is known, each SYN
// beyond the last router gets there, see PathOptions.UnheardSYNs.
func (p *Path) sparing() bool {
	return p.o.UnheardSYNs > 0 && (p.tried > 0 || p.o.Budget != nil) && p.sendsSYNs() &&
		!p.target.answers && !p.refusals.some() && p.rewritten == 0
}

// spared reports whether a target that nothing has come from has got all SYNs that it may get, and would get one that
// is sent to this hop. If a router farther on answers, those up to there did not get to the target, and others may.
func (p *Path) spared(ttl int) bool {
	beyond := p.lastRouter + 1
	return ttl >= beyond && p.sparing() && p.syns.since(beyond-p.o.FirstTTL) >= p.o.UnheardSYNs
}

// Spared reports whether hops were not asked because a target that nothing has come from may have got as many SYNs as
// it may get, see PathOptions.UnheardSYNs, SilentSYNs and Budget.
func (p *Path) Spared() bool {
	for ttl := p.lastRouter + 1; ttl <= p.limit; ttl++ {
		if p.hop(ttl).sends == 0 && p.spent(ttl) {
			return !p.target.answers
		}
	}
	return false
}

// Short reports whether for such a reason hops were asked less often than was wanted, or not at all, whoever has
// answered.
func (p *Path) Short() bool {
	for ttl := p.o.FirstTTL; ttl <= p.limit; ttl++ {
		wanted := p.o.Queries
		if ttl == p.limit {
			wanted -= p.credit
		}
		if p.hop(ttl).asked < wanted && p.spent(ttl) {
			return true
		}
	}
	return false
}

// sendsSYNs reports whether probes may open connections.
func (p *Path) sendsSYNs() bool {
	return p.o.Protocol == packet.ProtoTCP && p.o.Flags.Has(packet.SYN) && p.o.Session == nil
}

// targetLost reports whether the target answers SYNs, and not from where it was thought to be. A target that answered
// only after a pause does not count: it defends itself, and gets as many SYNs as it takes to find it.
func (p *Path) targetLost() bool {
	nextDoor := p.step == 1 && p.estimate == 0 && p.back-p.skew == p.lastRouter+1 && !p.single // it didn't answer there
	return p.target.answers && (p.step > 1 || nextDoor || p.mixed || p.wary) && !p.hop(p.limit).byTarget &&
		p.tried > 0 && p.slow.knocks == 0 && p.o.Protocol == packet.ProtoTCP && p.o.Flags.Has(packet.SYN)
}
