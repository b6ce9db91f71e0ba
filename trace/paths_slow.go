package trace

import (
	"math"
	"slices"
	"time"
)

// Slow hops. Routers answer only so many probes a second: Linux six at once, and then one a second for each source of
// probes. Their silence must not be taken for a router that doesn't answer, nor for a missing branch. So a hop at which
// some flows are not answered, and others are, is asked in rounds with pauses, while other hops go on (see briefRest).

// suspect remembers that a flow was not answered at a hop where others were.
func (p *Paths) suspect(flow, ttl int) {
	c, h := &p.flows[flow].cells[ttl], &p.hops[ttl]
	if c.doubt {
		return
	}
	c.doubt, c.clean = true, 0
	h.doubts = append(h.doubts, flow)
	h.next = later(h.next, h.last.Add(h.rest))
}

// trust ends the doubt about a flow that was answered after all.
func (p *Paths) trust(a *pathAsk) {
	c, h := &p.flows[a.flow].cells[a.ttl], &p.hops[a.ttl]
	if c.doubt {
		c.doubt, h.limited = false, true
		h.doubts = slices.DeleteFunc(h.doubts, func(f int) bool { return f == a.flow })
	}
	c.silent = false
}

// slow reports whether a hop is asked in rounds.
func (p *Paths) slow(ttl int) bool { return len(p.hops[ttl].doubts) > 0 || p.hops[ttl].limited }

// doubted reports whether anything is still in doubt.
func (p *Paths) doubted() bool {
	return slices.ContainsFunc(p.hops, func(h pathHop) bool { return len(h.doubts) > 0 })
}

// slowTurn is the next probe of a round; else ready is when the next round begins.
func (p *Paths) slowTurn(now time.Time) (w want, ready time.Time, ok bool) {
	for ttl := p.first; ttl <= p.last; ttl++ {
		h := &p.hops[ttl]
		if !p.slow(ttl) {
			continue
		}
		if len(h.asked) == 0 && h.flying == 0 {
			if now.Before(h.next) {
				if len(h.doubts) > 0 || p.wanted(ttl) {
					ready = sooner(ready, h.next)
				}
				continue
			}
			p.beginRound(ttl, h)
		}
		for len(h.asked) > 0 {
			w := want{h.asked[0], ttl}
			if at, ok := p.free(now, w); !ok {
				ready = sooner(ready, at)
				break
			}
			h.asked = h.asked[1:]
			h.flying++
			h.next = now.Add(h.rest)
			p.wants = slices.DeleteFunc(p.wants, func(o want) bool { return o == w })
			return w, ready, true
		}
	}
	return w, ready, false
}

func (p *Paths) wanted(ttl int) bool {
	return slices.ContainsFunc(p.wants, func(w want) bool { return w.ttl == ttl })
}

// beginRound chooses whom a round asks: those in doubt, if there are any, that were silent least often first.
func (p *Paths) beginRound(ttl int, h *pathHop) {
	h.got, h.alone = 0, len(h.doubts) > 0
	defer func() { h.size = len(h.asked) }()
	if h.alone {
		h.asked = append(h.asked, h.doubts...)
		clean := func(flow int) int { return p.flows[flow].cells[ttl].clean }
		slices.SortStableFunc(h.asked, func(a, b int) int { return clean(a) - clean(b) })
		h.asked = h.asked[:min(len(h.asked), max(h.batch, slowMost))]
		return
	}
	for _, w := range p.wants {
		if w.ttl == ttl && len(h.asked) < h.batch {
			h.asked = append(h.asked, w.flow)
		}
	}
}

// endTurn takes in what became of a probe of a round.
func (p *Paths) endTurn(a *pathAsk, answered bool) {
	h := &p.hops[a.ttl]
	if !a.round {
		return
	}
	a.round = false
	c := &p.flows[a.flow].cells[a.ttl]
	if h.flying--; answered {
		h.got++
	} else if c.doubt && h.rest == longRest && h.alone {
		c.clean++
	}
	if h.flying > 0 || len(h.asked) > 0 {
		return
	}
	switch {
	case h.got > 0:
		h.batch = min(2*h.got, slowMost)
		h.limited = h.got < h.size || h.size < slowMost/2 // else there was no limit
		for _, f := range h.doubts {
			p.flows[f].cells[a.ttl].clean = 0 // it was perhaps not their turn
		}
	case h.rest < longRest:
		h.next, h.rest = h.next.Add(longRest-h.rest), longRest
	}
	h.doubts = slices.DeleteFunc(h.doubts, func(f int) bool {
		c := &p.flows[f].cells[a.ttl]
		if c.clean < p.roundsNeeded(f, a.ttl) && (c.tries < fastTries || !p.deadEnd(f, a.ttl)) {
			return false
		}
		c.doubt, c.silent = false, true
		return true
	})
}

// deadEnd reports whether a flow passes a node beyond which so many flows have met silence, and no flow anything else,
// that the node has no other successor: further flows need no rounds.
func (p *Paths) deadEnd(flow, ttl int) bool {
	at := p.flows[flow].pos[ttl-1]
	if at < 0 {
		return false
	}
	s := &p.spots[ttl-1][at]
	return len(s.next) == 1 && s.next[0] == silentValue && s.n >= p.rule.flows(1)
}

// roundsNeeded is how many rounds of silence it takes until a flow has met a router that doesn't answer, rather than a
// branch that loses packets: by the loss beyond each of the routers before, of the flows that came by the same one. If
// it is not known which router that was, the worst one counts.
func (p *Paths) roundsNeeded(flow, ttl int) int {
	rounds := cleanRounds
	for before := p.first - 1; before < ttl; before++ {
		for at := range p.spots[before] {
			if own := p.flows[flow].pos[before]; own >= 0 && own != at {
				continue
			}
			if rate := p.lossFrom(before, at); rate > 0 {
				rounds = max(rounds, int(math.Ceil(math.Log(falseSilence)/math.Log(rate))))
			}
		}
	}
	return min(rounds, mostCleanRounds)
}

// lossFrom is the share of the probes to the hops beyond a spot that were lost, of flows that pass the spot and were
// answered there in the end.
func (p *Paths) lossFrom(before, at int) float64 {
	lost, answered := 0, 0
	for _, f := range p.flows {
		if f.pos[before] != at {
			continue
		}
		for _, c := range f.cells[before+1:] {
			if len(c.seen) > 0 && !inName(c.seen[0]) { // which has its own reasons not to answer
				lost, answered = lost+c.tries, answered+len(c.seen)
			}
		}
	}
	if lost == 0 {
		return 0
	}
	return float64(lost) / float64(lost+answered)
}
