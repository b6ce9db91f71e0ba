package trace

import (
	"math"
	"slices"
	"time"
)

type want struct{ flow, ttl int }

// begin sends the first flows. On a short path they go to all hops side by side, but for the hop before the target,
// which has flows of its own: the target may be nearer to some, and of two probes of one flow it doesn't say which it
// answers. On a long path the target might be so much nearer that it got many SYNs: each flow is sent to the last
// router that is known first, and side by side to the others when a router has answered it there.
func (p *Paths) begin() {
	last := p.far
	if p.end > 0 {
		last = p.end - 1
	}
	if head := min(p.flows[0].router, last); p.end > 0 && head-p.first >= shortPath {
		p.head = head
		p.open(p.first, head)
		if head < last {
			p.open(last, last)
		}
		return
	}
	if p.end > 0 {
		p.open(last, last)
		last--
	}
	p.open(p.first, last)
}

// open sends as many new flows as a hop with one router needs to these hops.
func (p *Paths) open(from, to int) {
	for range p.rule.flows(1) - 1 {
		if from > to {
			return
		}
		flow, ok := p.moreFlow()
		if !ok {
			return
		}
		for ttl := max(from, p.first); ttl <= to; ttl++ {
			p.opening = append(p.opening, want{flow, ttl})
			p.flows[flow].cells[ttl].planned = true
		}
	}
}

// opens reports whether it is time for a probe of the opening. What it is no longer needed for is taken back. So is
// what waits for a flow's answer at the head though the flow isn't sent there any more, as the target has turned out to
// be nearer: it would wait forever, and count as being asked.
func (p *Paths) opens(w want) bool {
	f := p.flows[w.flow]
	c, head := &f.cells[w.ttl], &f.cells[p.head]
	waits := w.ttl < p.head && f.router < p.head && !head.silent && head.tries < fastTries
	inVain := waits && p.gets(f, p.head) && head.flying == 0
	if inVain || p.gets(f, w.ttl) || f.ends > 0 && (w.ttl > f.ends || p.head > 0 && f.ends <= p.head) {
		c.planned = false
	}
	if p.end == 0 && w.ttl > p.first { // the target may be so near that it would get all of them
		before := &f.cells[w.ttl-1]
		return c.planned && (len(before.seen) > 0 || before.silent || before.doubt)
	}
	return c.planned && !waits
}

func (p *Paths) want(flow, ttl int) { p.wants = append(p.wants, want{flow, ttl}) }

// shuffle mixes what is to be sent, for some routers send packets their ways in turn.
func (p *Paths) shuffle() {
	p.rng.Shuffle(len(p.wants), func(i, j int) { p.wants[i], p.wants[j] = p.wants[j], p.wants[i] })
}

// may reports whether a probe may be sent now; ready is when that changes by itself.
func (p *Paths) may(now time.Time, w want) (ready time.Time, ok bool) {
	if p.slow(w.ttl) {
		return ready, false // it has its turns
	}
	return p.free(now, w)
}

// free reports whether a flow may have one more probe in flight. Of those that may get to the target it has only one,
// for the target's answer names no more than the flow.
func (p *Paths) free(now time.Time, w want) (ready time.Time, ok bool) {
	f := p.flows[w.flow]
	switch {
	case p.connects() && f.flying > 0:
		return ready, false
	case p.head > 0 && w.ttl > f.router && !p.near(f, w.ttl):
		return ready, float64(p.syns)+p.risked(w.ttl) < float64(p.o.TargetSYNs+1)
	case !p.near(f, w.ttl):
		return ready, true
	case now.Before(f.ready):
		return f.ready, false
	case p.syns+p.arrivals(w.ttl) > p.o.TargetSYNs:
		return ready, false
	}
	one := slices.ContainsFunc(p.flying, func(a *pathAsk) bool { return a.flow == w.flow && p.near(f, a.ttl) })
	return ready, !one
}

// near reports whether a flow's probe to this TTL may get to the target: that may be nearer to some flows than to the
// ordinary trace's. Once it is known to be, it may be so by any number of hops.
func (p *Paths) near(f *pathFlow, ttl int) bool {
	reset := f.resets > 0 && ttl >= f.resets
	return p.alone || ttl > f.router &&
		(ttl >= p.reach-nearer || reset || p.blind(ttl) || p.uneven() || p.gets(f, ttl))
}

// gets reports whether the target is taken to get a flow's probe to this TTL. A target that has answered nobody may be
// right beyond each router beyond which nobody has answered: ways may have different lengths.
func (p *Paths) gets(f *pathFlow, ttl int) bool {
	if ttl >= p.reach {
		return true
	}
	return p.end == 0 && f.router > 0 && ttl > p.extent[spotName{f.router, f.cells[f.router].seen[0]}]
}

// lastHop reports whether flows that are sent on from a spot are taken to get to the target.
func (p *Paths) lastHop(ttl int, s *spot) bool {
	return ttl+1 >= p.reach || p.end == 0 && p.extent[spotName{ttl, s.key}] == ttl
}

// recharge counts anew which SYNs a target may have got that has answered nobody, by what is known now.
func (p *Paths) recharge() {
	for _, a := range slices.Concat(p.unheard, p.flying) {
		switch gets := p.gets(p.flows[a.flow], a.ttl); {
		case gets && !a.counts:
			p.syns++
			a.counts = true
		case !gets && a.counts && !a.arrived:
			p.syns--
			a.counts = false
		}
	}
}

// uneven reports whether the target is known to be nearer to some flows than to that of the ordinary trace. By
// connections the trace's own distance is too rough for that.
func (p *Paths) uneven() bool { return p.end < p.traced && !p.connects() }

// blind reports whether the target may be nearer to some flows than to others, so that a probe to this TTL gets to it,
// and not enough is known of the hop to rule that out.
func (p *Paths) blind(ttl int) bool {
	return p.end > 0 && ttl < p.reach && p.hops[ttl].met < p.rule.flows(1) && (ttl >= p.end-nearer || p.head > 0)
}

// arrivals is how many SYNs may get to the target beside those that are counted, if one more is sent to this TTL: one
// more than can be expected, for the last SYNs that are left must not be spent by two probes at once.
func (p *Paths) arrivals(ttl int) int {
	n, expected := 1, p.mayArrive(ttl)
	for _, a := range p.flying {
		if a.near && !a.counts {
			n++
			expected += p.mayArrive(a.ttl)
		}
	}
	return min(n, 1+int(math.Ceil(expected)))
}

// mayArrive is the share of the flows that may meet the target at a TTL, or before. That it is nearer by more than one
// hop is rare on short paths.
func (p *Paths) mayArrive(ttl int) float64 {
	switch {
	case ttl >= p.reach:
		return 1
	case !p.blind(ttl):
		return p.rule.hidden(p.hops[ttl].met)
	case ttl < p.end-1 && p.head == 0:
		return 0.25
	}
	return 1
}

func (p *Paths) send(now time.Time, w want, round bool) Action {
	f := p.flows[w.flow]
	probe := p.maker.ProbeBy(f.port, w.ttl)
	probe.FlowLabel = f.label
	a := &pathAsk{key: probe.Key(), flow: w.flow, ttl: w.ttl, sent: now, round: round,
		counts: p.gets(f, w.ttl) && !p.alone, blind: p.blind(w.ttl) && w.ttl > f.router,
		near: p.near(f, w.ttl)}
	p.hops[w.ttl].last = now
	p.flying, f.asks = append(p.flying, a), append(f.asks, a)
	c := &f.cells[w.ttl]
	c.flying, c.planned, c.unclear = c.flying+1, false, false
	f.flying++
	p.sent++
	if p.soon = now.Add(p.maker.o.Spacing); a.counts {
		p.syns++
	}
	action := Send(probe)
	action.Note = a
	switch {
	case p.alone:
		action.Trust = TrustAlone
	case !p.near(f, w.ttl):
		action.Trust = TrustAside
	}
	return action
}

// risked is how many SYNs get to the target of those that are in flight to hops at which it isn't taken to be, and of
// one more to this TTL, if it is nearer to as many flows as may be.
func (p *Paths) risked(ttl int) float64 {
	expected := p.rule.hidden(p.hops[ttl].past)
	for _, a := range p.flying {
		if !a.counts && a.ttl > p.flows[a.flow].router {
			expected += p.rule.hidden(p.hops[a.ttl].past)
		}
	}
	return expected + math.Sqrt(expected)/2
}
