package trace

import (
	"slices"
	"time"
)

// Learn implements Plan.
func (p *Paths) Learn(now time.Time, r Result) {
	a, ok := r.Note.(*pathAsk)
	if !ok {
		return
	}
	p.stale = true
	switch r.Outcome {
	case Answered:
		p.close(a)
		if p.doubtful(a, r) {
			p.flows[a.flow].cells[a.ttl].unclear = true
			p.confuse(now, a, r)
			p.endTurn(a, false)
			return
		}
		p.answer(now, a, r)
	case Lost:
		p.close(a)
		p.silence(a)
	case Failed, Unknown:
		p.close(a)
		p.flows[a.flow].cells[a.ttl].tries++ // so that this comes to an end
		p.endTurn(a, false)
	case Late:
		if r.FromTarget() && r.Evidence != ByTag && !p.connects() { // a connection is its probe's own
			p.confuse(now, a, r)
			return
		}
		if c := &p.flows[a.flow].cells[a.ttl]; len(c.seen) == 0 {
			p.trust(a)
			p.answer(now, a, r)
		}
	case Shared:
		if p.sole(a, r) {
			p.answer(now, a, r)
			return
		}
		p.confuse(now, a, r)
	case Duplicate:
		switch {
		case r.FromTarget():
			p.repeated(a.flow)
		case r.Evidence == ByTag && !r.Refused():
			p.disproves(a, r)
		}
	case Rewritten:
		if p.scraps++; p.scraps >= rewriteProof {
			p.alone, p.reach = true, p.first
		}
	}
}

// close takes a probe out of those in flight.
func (p *Paths) close(a *pathAsk) {
	a.over = true
	f := p.flows[a.flow]
	f.flying--
	f.cells[a.ttl].flying--
	if i := slices.Index(p.flying, a); i >= 0 {
		p.flying = slices.Delete(p.flying, i, i+1)
	}
}

func (p *Paths) answer(now time.Time, a *pathAsk, r Result) {
	f := p.flows[a.flow]
	p.meet(a.flow, a.ttl, r)
	at := p.gotTo(r)
	if r.FromTarget() {
		f.ready = now.Add(resetTime + r.RTT()/resetShare)
	}
	switch {
	case at:
		p.arrived(f, a)
	case a.counts:
		p.syns--
		a.counts = false
	}
	if r.FromTarget() && p.value(r) == resetValue {
		f.reset = append(f.reset, a)
		p.recount()
	}
	if c := &f.cells[a.ttl]; c.doubt {
		p.trust(a)
	}
	p.endTurn(a, true)
}

// sole reports whether all probes of a flow that an answer of the target may belong to had one TTL: then it doesn't
// matter which of them it was. Those that were answered before don't count if it is a reset: that comes once.
func (p *Paths) sole(a *pathAsk, r Result) bool {
	f, reset := p.flows[a.flow], p.value(r) == resetValue
	for ttl := f.router + 1; ttl <= p.last; ttl++ {
		c := &f.cells[ttl]
		if ttl != a.ttl && (c.flying > 0 || c.tries > 0 || c.unclear || len(c.seen) > 0 && !reset) {
			return false
		}
	}
	return a.ttl > f.router
}

// confuse takes in that the target has answered a flow, but not which of its probes. From now on none that may be
// answered by it is in flight with another of its flow, and those that were are sent anew. If only older ones are
// meant, which were given up before, it is enough to ask once more.
func (p *Paths) confuse(now time.Time, a *pathAsk, r Result) {
	f, low := p.flows[a.flow], p.first
	for ttl := p.first; ttl <= p.last; ttl++ {
		if s := f.cells[ttl].seen; len(s) > 0 && !p.final(s[0]) {
			low = ttl + 1
		}
	}
	f.ready = now.Add(p.timeout())
	reset := p.accepts && p.value(r) == resetValue
	switch {
	case reset: // not the target's, which may be as far as ever
		f.resets = low
	default:
		p.arrived(f, a)
	}
	f.told = !reset && f.ends == 0
	if !slices.ContainsFunc(p.flying, func(b *pathAsk) bool { return b.flow == a.flow && b != a }) {
		a.unclear = true
		return
	}
	if reset {
		return
	}
	p.reach = min(p.reach, low)
	for _, b := range append(p.flying, a) {
		if b.flow == a.flow && b.ttl >= p.reach && !b.counts {
			b.counts = true
			p.syns++
		}
	}
}

// doubtful reports whether a reset that the target hasn't sent may be the answer to another probe of its flow. What
// resets flows may be at any hop, so probes to hops that were not thought to be the target's count, too.
func (p *Paths) doubtful(a *pathAsk, r Result) bool {
	if !r.FromTarget() || r.Evidence == ByTag || p.connects() || !p.accepts || p.value(r) != resetValue {
		return false
	}
	router := p.flows[a.flow].router
	return slices.ContainsFunc(p.flying, func(b *pathAsk) bool {
		return b.flow == a.flow && b.ttl > router && b.ttl != a.ttl
	})
}

// disproves takes in that a router has answered a probe, though an answer in the target's name was taken for the
// probe's: it was another one's.
func (p *Paths) disproves(a *pathAsk, r Result) {
	f := p.flows[a.flow]
	c := &f.cells[a.ttl]
	if len(c.seen) != 1 || !inName(c.seen[0]) {
		return
	}
	c.seen = nil
	ended := func(c cell) bool { return len(c.seen) > 0 && p.final(c.seen[0]) }
	f.ends = max(0, slices.IndexFunc(f.cells, ended))
	p.meet(a.flow, a.ttl, r)
}

// silence takes in that a probe was not answered.
func (p *Paths) silence(a *pathAsk) {
	c, h := &p.flows[a.flow].cells[a.ttl], &p.hops[a.ttl]
	c.tries++
	if a.counts || p.end == 0 {
		p.unheard = append(p.unheard, a)
	}
	defer p.endTurn(a, false)
	switch {
	case len(c.seen) > 0 || c.silent || c.flying > 0 || c.doubt:
	case c.tries < fastTries && (!p.slow(a.ttl) || p.deadEnd(a.flow, a.ttl)):
	case p.deadEnd(a.flow, a.ttl):
		c.silent = true
	case p.gets(p.flows[a.flow], a.ttl) && !a.unclear:
		c.tries = 2 * fastTries // enough of those
	case a.unclear:
	case h.mute && p.roundsNeeded(a.flow, a.ttl) == cleanRounds:
		c.silent = true
	default:
		p.suspect(a.flow, a.ttl)
	}
}

// mayEnd reports whether the target is next to a spot, or may be for all that is known.
func (p *Paths) mayEnd(ttl int, s *spot) bool {
	return slices.ContainsFunc(s.next, inName) || len(s.next) == 0 && p.lastHop(ttl, s)
}

// spared reports whether a spot was tested less than others, as the target is spared SYNs.
func (p *Paths) spared(ttl int, s *spot) bool {
	return p.mayEnd(ttl, s) && s.n < p.rule.flows(max(1, len(s.next)))
}
