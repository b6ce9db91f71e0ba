package trace

import (
	"slices"
)

// count counts the SYNs of the ordinary trace that may have got to the target: those that nobody answered, too. But if
// the target has answered others, and not where this flow goes, the trace knew where it is, and sent it only a few.
func (p *Paths) count(known []Result) {
	most := len(known)
	if p.end == 0 && slices.ContainsFunc(known, Result.FromTarget) {
		most = SearchSYNs / unheardShare
	}
	own := p.flows[0]
	farthest := func(a, b Result) int { return int(b.Probe.TTL) - int(a.Probe.TTL) }
	for _, r := range slices.SortedStableFunc(slices.Values(known), farthest) {
		silent := r.Reply == nil && r.Outcome != Failed && (r.Role == RoleDistance || int(r.Probe.TTL) >= p.reach)
		if silent && r.Role != RoleDistance {
			silent = most > 0
			most--
		}
		if r.Outcome.Final() && (silent || p.gotTo(r)) {
			p.syns++
		}
		if r.Outcome.Final() && silent {
			p.unheard = append(p.unheard, &pathAsk{ttl: int(r.Probe.TTL), counts: true})
		}
		if r.Outcome.Final() && r.Role == RoleHop && r.Probe.Src.Port() == own.port && r.FromTarget() &&
			p.value(r) == resetValue {
			own.reset = append(own.reset, &pathAsk{ttl: int(r.Probe.TTL), counts: true})
		}
	}
	p.recount()
}

func (p *Paths) newFlow(port uint16) int {
	n := p.last + 2
	p.flows = append(p.flows, &pathFlow{port: port, label: p.maker.label(port),
		cells: make([]cell, n), pos: make([]int, n), blur: make([]bool, n)})
	return len(p.flows) - 1
}

// moreFlow is the index of a new flow; false if there are enough.
func (p *Paths) moreFlow() (int, bool) {
	n := len(p.flows) - 1
	if n >= len(p.o.Ports) {
		return 0, false
	}
	return p.newFlow(p.o.Ports[n]), true
}

// cutLoop takes back how far routers have answered if the trace went round in a loop, or one router answered at all
// hops from some on: the target may be nearer to flows that don't.
func (p *Paths) cutLoop() {
	var round circle
	first := map[int]int{} // TTLs by value
	row, before := 0, unknownValue
	for ttl := p.first; ttl <= p.far; ttl++ {
		v, _ := p.valueAt(p.flows[0], ttl)
		if row++; v != before {
			row = 0
		}
		if before = v; v >= firstAddr && row > turnsToLoop {
			p.far = ttl - row
			return
		}
		if round.closes(v) {
			p.far = first[v] + (ttl-first[v])/turnsToLoop - 1
			return
		}
		if first[v] == 0 {
			first[v] = ttl
		}
	}
}

// know takes in a result of the ordinary trace.
func (p *Paths) know(r Result) {
	ttl := int(r.Probe.TTL)
	if ttl < p.first || ttl > p.last || r.Reply == nil || r.Outcome != Answered && r.Outcome != Late {
		return
	}
	p.slowest = max(p.slowest, r.RTT())
	p.accepts = p.accepts || p.value(r) == targetValue
	if r.Role != RoleHop || r.Probe.Src.Port() != p.flows[0].port || r.FromTarget() && r.Outcome != Answered {
		return
	}
	p.flows[0].label = r.Probe.FlowLabel
	p.meet(0, ttl, r)
}

// meet takes in what a flow has met at a TTL.
func (p *Paths) meet(flow, ttl int, r Result) {
	f := p.flows[flow]
	c, h := &f.cells[ttl], &p.hops[ttl]
	switch {
	case r.FromTarget():
		c.seen = append(c.seen, p.value(r))
		p.arrive(f, ttl, c.seen[len(c.seen)-1] == resetValue)
	case r.Refused() && (ttl < f.router || f.ends > 0 && ttl > f.ends):
		c.silent = len(c.seen) == 0 // others of its packets pass, or its end is known
		return
	case r.Refused():
		c.seen = append(c.seen, p.value(r))
		f.ends = ttl
	default:
		c.seen = append(c.seen, p.value(r))
		p.number(p.value(r), r)
		f.router = max(f.router, ttl)
		p.passes(f)
		if f.ends > 0 && ttl > f.ends { // somebody on the way answered in the target's name, or refuses some packets
			for ; f.ends < ttl; f.ends++ {
				if c := &f.cells[f.ends]; len(c.seen) > 0 && p.final(c.seen[0]) {
					c.seen, c.silent = nil, true
				}
			}
			f.ends = 0
		}
	}
	if p.far = max(p.far, ttl); p.end == 0 && !p.alone {
		p.reach = max(p.reach, p.far+1)
	}
	p.slowest = max(p.slowest, r.RTT())
	c.silent = c.silent && len(c.seen) == 0
	if h.mute {
		h.mute = false
		for i, f := range p.flows { // perhaps the router has only answered few
			if c := &f.cells[ttl]; c.silent && c.tries > 0 {
				c.silent = false
				p.suspect(i, ttl)
			}
		}
	}
}

// passes takes in how far routers have answered a flow.
func (p *Paths) passes(f *pathFlow) {
	for ttl, c := range f.cells[:f.router+1] {
		for _, v := range c.seen {
			at := spotName{ttl, v}
			p.extent[at] = max(p.extent[at], f.router)
		}
	}
}

// arrive takes in that a flow was answered in the target's name. A reset is the target's answer as long as it answers
// no flow otherwise; if it does, something on some of the ways resets the flows, and may be far from the target.
func (p *Paths) arrive(f *pathFlow, ttl int, reset bool) {
	switch {
	case !reset && !p.accepts:
		p.accepts, p.end, p.reach = true, ttl, max(p.reach, ttl)
		p.excuse(p.end)
	case reset && p.accepts:
	case p.end == 0 || ttl < p.end:
		p.end = ttl
		p.excuse(p.end)
	}
	if p.reach > 0 && p.end > 0 {
		p.reach = min(p.reach, p.end)
	}
	if f.told = false; f.ends == 0 || ttl < f.ends {
		f.ends = ttl
	}
	p.recount()
}

// excuse takes back that the target may have got what nobody answered and was sent to lower TTLs than this one: the
// target is no nearer, or answers others there. These probes were lost, most likely on a way that is broken.
func (p *Paths) excuse(ttl int) {
	p.unheard = slices.DeleteFunc(p.unheard, func(a *pathAsk) bool {
		if a.ttl < ttl && a.counts && !a.arrived {
			a.counts = false
			p.syns--
		}
		return !a.counts
	})
}

// recount finds out which of the probes that were reset have got to the target. If that answers other flows otherwise,
// it is not what resets flows that are reset nearer than it is.
func (p *Paths) recount() {
	for _, f := range p.flows {
		for _, a := range f.reset {
			nearer := p.accepts && (a.ttl < p.end || f.ends > 0 && f.ends < p.end)
			switch {
			case nearer && a.counts:
				p.syns, p.resets = p.syns-1, p.resets+1
			case !nearer && !a.counts:
				p.syns, p.resets = p.syns+1, p.resets-1
			}
			a.counts = !nearer
		}
	}
}

// repeated takes in that the target has answered a flow once more, after one of its probes was answered: others of its
// probes may have got there, too.
func (p *Paths) repeated(flow int) {
	for _, b := range p.flying {
		if b.flow == flow && b.near && !b.counts {
			b.counts = true
			p.syns++
		}
	}
}

// arrived counts a SYN that has got to the target. If the one that was answered, as far as is known, was answered
// before, it was another one of its flow.
func (p *Paths) arrived(f *pathFlow, a *pathAsk) {
	for _, b := range slices.Concat([]*pathAsk{a}, f.asks) {
		if seen := f.cells[b.ttl].seen; b.arrived || len(seen) > 0 && !p.final(seen[0]) {
			continue // or a router has answered it
		}
		if b.arrived = true; !b.counts {
			b.counts = true
			p.syns++
		}
		return
	}
}
