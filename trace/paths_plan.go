package trace

import (
	"iter"
	"slices"

	"go.example/tcptraceroute/packet"
)

// plan looks at what is known, and decides what is to be sent.
func (p *Paths) plan() {
	p.stale = false
	p.survey()
	p.wants = p.wants[:0]
	last := 0
	for i := range p.spots[:p.top] {
		if len(p.spots[i]) > 0 {
			last = i
		}
	}
	for _, w := range p.opening {
		if p.opens(w) {
			p.wants = append(p.wants, w)
		}
	}
	p.again()
	p.beyond()
	p.confirm()
	p.onwards()
	p.lastOfEach()
	sought := make([]sought, last+1)
	for ttl := p.first - 1; ttl <= last; ttl++ {
		p.test(ttl, &sought[ttl])
		p.repeat(ttl)
	}
	for ttl := last; ttl >= p.first; ttl-- {
		p.search(ttl, sought[ttl], &sought[ttl-1])
	}
	p.shuffle()
}

// again asks once more where there was no answer, and no verdict yet.
func (p *Paths) again() {
	for i, f := range p.flows {
		for ttl := p.first; ttl <= p.top && !f.over(ttl); ttl++ {
			c := &f.cells[ttl]
			if (c.tries > 0 && c.tries < 2*fastTries || c.unclear) && c.open() && p.afford(f, ttl) {
				p.want(i, ttl)
			}
		}
	}
}

// beyond asks a few hops further where no flow of a node was answered at the hop at which the target answers others: by
// that node the target may be farther, and the router between may be silent.
func (p *Paths) beyond() {
	if p.end == 0 {
		return
	}
	to := p.farther()
	for i := range p.spots[p.end-1] {
		all := p.unanswered(p.end-1, p.spots[p.end-1][i].key)
		if len(all) < fastTries || slices.ContainsFunc(all, func(a *pathAsk) bool { return a.ttl == to }) {
			continue
		}
		if c := &p.flows[all[0].flow].cells[to]; c.open() && c.tries == 0 && p.afford(p.flows[all[0].flow], to) {
			p.want(all[0].flow, to)
		}
	}
}

// farther is the TTL with which a SYN gets to the target even if that is some hops farther than to others.
func (p *Paths) farther() int { return min(p.end+nearer, p.last) }

// unanswered are the SYNs of the search that went from a spot to where the target answers others or farther, if none of
// them was answered.
func (p *Paths) unanswered(ttl, key int) (all []*pathAsk) {
	if !p.lastSpared(ttl, key) {
		return nil
	}
	through := p.spotAt(ttl, key).flows
	if slices.ContainsFunc(through, func(i int) bool { return p.flows[i].ends > 0 }) {
		return nil
	}
	for _, a := range p.unheard {
		if a.key != (packet.Key{}) && a.ttl > ttl && slices.Contains(through, a.flow) {
			all = append(all, a)
		}
	}
	return all
}

// afford reports whether one more probe of a flow may be sent to a TTL.
func (p *Paths) afford(f *pathFlow, ttl int) bool {
	return !p.gets(f, ttl) || p.syns+p.toTarget() < p.planned()
}

// over reports whether what a flow meets at a TTL is known not to matter: it has ended there or before.
func (f *pathFlow) over(ttl int) bool {
	return f.ends > 0 && ttl >= f.ends || f.loops > 0 && ttl > f.loops
}

// used reports whether a probe of the flow was sent.
func (f *pathFlow) used() bool {
	return slices.ContainsFunc(f.cells, func(c cell) bool {
		return len(c.seen) > 0 || c.silent || c.tries > 0 || c.flying > 0
	})
}

// planned is how many SYNs the target is meant to get at the most. One is kept back for a flow that the target turns
// out to be nearer to than to all others, and one for each probe in flight to a hop where it may be.
func (p *Paths) planned() int {
	most := p.o.TargetSYNs - min(1, p.o.TargetSYNs/DefaultTargetSYNs)
	for _, a := range p.flying {
		if a.blind && !a.counts {
			most--
		}
	}
	return most
}

// open reports whether nothing is known of a cell, and nothing is done about that.
func (c *cell) open() bool {
	return len(c.seen) == 0 && !c.silent && !c.doubt && !c.planned && c.flying == 0
}

// asked reports whether a flow was, is or will be asked at a hop, or needn't be.
func (c *cell) asked() bool { return !c.open() || c.tries > 0 }

// valueAt is what a flow meets at a hop, as far as is known or can be told from other flows.
func (p *Paths) valueAt(f *pathFlow, ttl int) (value int, known bool) {
	switch c := &f.cells[ttl]; {
	case len(c.seen) > 0:
		return c.seen[0], true
	case c.silent:
		return silentValue, true
	}
	u := p.hops[ttl].uniform
	if u == unknownValue || f.ends > 0 && ttl >= f.ends || p.end == 0 && p.gets(f, ttl) {
		return u, false
	}
	return u, p.end == 0 || ttl < p.end || ttl <= f.router // else a flow may be where the target has answered others
}

// survey finds out which flows pass which nodes, and what they have met beyond them.
func (p *Paths) survey() {
	p.top = min(p.last, p.far+2)
	for ttl := p.first; ttl <= p.top; ttl++ {
		p.compare(ttl)
	}
	for i := range p.spots {
		p.spots[i] = p.spots[i][:0]
	}
	p.spots[p.first-1] = append(p.spots[p.first-1], spot{key: rootKey})
	for i := range p.flows {
		p.place(i)
	}
	for ttl := p.first - 1; ttl < p.top; ttl++ {
		for i := range p.spots[ttl] {
			p.look(ttl, &p.spots[ttl][i])
		}
	}
	if p.end == 0 && !p.alone {
		p.recharge()
	}
}

// compare finds out whether all flows meet one and the same at a hop.
func (p *Paths) compare(ttl int) {
	h := &p.hops[ttl]
	h.uniform, h.met, h.past = unknownValue, 0, 0
	same := true
	for _, f := range p.flows {
		c := &f.cells[ttl]
		seen := c.seen
		if len(seen) == 0 && c.silent {
			seen = []int{silentValue}
		}
		if f.over(ttl) && ttl != f.ends {
			seen = nil
		}
		for _, v := range seen {
			same = same && (h.uniform == unknownValue || h.uniform == v) && !p.final(v)
			h.uniform = v
		}
		if h.met += min(len(seen), 1); f.router >= ttl {
			h.past++
		}
	}
	if !same || h.met < p.rule.flows(1) {
		h.uniform = unknownValue
	}
}

// place finds out which nodes a flow passes.
func (p *Paths) place(flow int) {
	f := p.flows[flow]
	for ttl := range f.pos {
		f.pos[ttl], f.blur[ttl] = -1, false
	}
	root := &p.spots[p.first-1][0]
	root.flows = append(root.flows, flow)
	f.pos[p.first-1] = 0
	before, blur := rootKey, false
	var round circle
	f.loops = 0
	for ttl := p.first; ttl <= p.top && (f.ends == 0 || ttl < f.ends); ttl++ {
		value, known := p.valueAt(f, ttl)
		if !blur && round.closes(value) {
			f.loops = ttl
			break
		}
		blur = blur && p.hops[ttl].uniform < firstAddr
		f.blur[ttl] = blur
		key := value
		switch {
		case blur:
			key = mergedKey
		case !known:
		case value == silentValue && before == unknownValue:
			known = false // nobody knows which of the silent ones
		case value == silentValue:
			key = p.star(spotName{ttl, before})
		}
		if !known {
			before = unknownValue
			continue
		}
		f.pos[ttl] = p.pass(ttl, key, flow)
		before, blur = key, blur || p.sprays[spotName{ttl, key}] == spraying
	}
}

// circle finds out whether a flow goes round: it comes to a router for the third time, and to others between.
type circle struct {
	last  int
	times map[int]int // by value
}

// closes takes in the next value, and reports whether the flow has come to that router for the third time.
func (c *circle) closes(value int) bool {
	if value < firstAddr || value == c.last {
		return false
	}
	if c.times == nil {
		c.times = map[int]int{}
	}
	c.last = value
	c.times[value]++
	return c.times[value] > turnsToLoop
}

// star is the key of what is silent beyond another spot.
func (p *Paths) star(n spotName) int {
	k, ok := p.stars[n]
	if !ok {
		k = firstStar - len(p.stars)
		p.stars[n] = k
	}
	return k
}

// pass adds a flow to a spot, and returns the spot's index.
func (p *Paths) pass(ttl, key, flow int) int {
	all := p.spots[ttl]
	i := slices.IndexFunc(all, func(s spot) bool { return s.key == key })
	if i < 0 {
		i = len(all)
		if all = all[:min(i+1, cap(all))]; len(all) == i {
			all = append(all, spot{})
		}
		all[i] = spot{key: key, flows: all[i].flows[:0], next: all[i].next[:0]}
		p.spots[ttl] = all
	}
	all[i].flows = append(all[i].flows, flow)
	return i
}

// look finds out what the flows of a spot have met beyond it.
func (p *Paths) look(ttl int, s *spot) {
	s.next, s.n, s.due = s.next[:0], 0, 0
	name := spotName{ttl, s.key}
	each := s.key == mergedKey || p.sprays[name] == spraying // each packet counts
	for _, i := range s.flows {
		c := &p.flows[i].cells[ttl+1]
		switch {
		case len(c.seen) > 0:
			for _, v := range c.seen {
				if !slices.Contains(s.next, v) {
					s.next = append(s.next, v)
				}
			}
			if s.n++; each {
				s.n += len(c.seen) - 1
			}
			if p.sprays[name] == spraysUnknown && s.key != mergedKey && s.key != rootKey {
				p.sprays[name] = p.spraysBy(c)
			}
		case c.silent:
			if s.n++; !slices.Contains(s.next, silentValue) {
				s.next = append(s.next, silentValue)
			}
		case c.flying > 0 || c.doubt || c.planned || c.unclear || c.tries > 0 && c.tries < 2*fastTries:
			s.due++
		}
	}
}

// vague is how many flows of a spot were asked where they go from there, or were answered by the target, and it could
// not be found out: they may have met anything.
func (p *Paths) vague(ttl int, s *spot) (n int) {
	for _, i := range s.flows {
		f := p.flows[i]
		c := &f.cells[ttl+1]
		if len(c.seen) == 0 && !c.silent && (c.unclear || c.tries > 0 || f.told) {
			n++
		}
	}
	return n
}

// spraysBy is what the answers to one flow say of the node before.
func (p *Paths) spraysBy(c *cell) sprayed {
	for _, v := range c.seen {
		if v != c.seen[0] {
			return spraying
		}
	}
	if len(c.seen) >= p.rule.alike() {
		return steady
	}
	return spraysUnknown
}

// explores reports whether it matters where flows go from a spot.
func (p *Paths) explores(ttl int, s *spot) bool {
	switch {
	case ttl >= p.top:
		return false
	case s.key <= firstStar || s.key == mergedKey:
		return ttl < p.far
	}
	return true
}

// sought are flows that are to be asked at a TTL.
type sought struct {
	n    int
	from []int // the spots before, by index, that they should come from
}

// test asks for what the nodes of a hop lack.
func (p *Paths) test(ttl int, seek *sought) {
	for i := range p.spots[ttl] {
		s := &p.spots[ttl][i]
		if !p.explores(ttl, s) {
			continue
		}
		lack := p.need(ttl, s) - s.n - s.due
		lack = min(lack, p.targetShare(ttl, s))
		lack -= p.forward(ttl, s, lack)
		last := p.mayEnd(ttl, s) && (len(p.flying) > 0 || !p.testable(ttl, s)) // more flows are sought for it last of all
		if lack <= 0 || last {
			continue
		}
		if s.key == rootKey || p.hops[ttl].uniform != unknownValue {
			for range lack { // any flow passes
				if f, ok := p.moreFlow(); ok {
					p.want(f, ttl+1)
				}
			}
			continue
		}
		p.seek(ttl, i, lack, seek)
	}
}

// need is how many flows a node needs.
func (p *Paths) need(ttl int, s *spot) int {
	n := p.rule.flows(max(1, len(s.next)))
	if len(s.next) > 1 && !p.slow(ttl+1) && ttl+1 < p.reach {
		n = max(n, p.o.BranchFlows)
	}
	if len(s.next) == 1 {
		n = max(n, s.n+s.due+len(p.untried(ttl, s, false)))
	}
	return n
}

// untried are the nodes right before a last one, by their place in spots, by which no flow was seen to get from there
// to the target; those by which one is being sent count only if seen is true. That flows get there by others doesn't
// show it: each may give packets another TTL.
func (p *Paths) untried(ttl int, s *spot, seen bool) (all []int) {
	if ttl <= p.first || !slices.ContainsFunc(s.next, p.isTarget) {
		return nil
	}
	for i := range p.spots[ttl-1] {
		passes, tried := false, false
		for _, k := range s.flows {
			f := p.flows[k]
			if f.pos[ttl-1] != i {
				continue
			}
			c := &f.cells[ttl+1]
			passes = true
			tried = tried || f.ends == ttl+1 || !seen && c.asked()
		}
		if passes && !tried {
			all = append(all, i)
		}
	}
	return all
}

// targetShare is how many probes may be sent on from a node, as some may get to the target.
func (p *Paths) targetShare(ttl int, s *spot) int {
	left := p.planned() - p.syns - p.toTarget()
	switch {
	case p.testable(ttl, s):
		return left
	case p.accepts && slices.Contains(s.next, resetValue): // by something nearer than the target, as a rule
		return min(left, p.o.TargetSYNs-p.resets)
	case slices.ContainsFunc(s.next, inName):
		return min(left, spareSYNs+p.lastHops()-p.syns-p.toTarget())
	case ttl+1 < p.reach && s.n == 0 && p.end > 0 && p.far >= p.end:
		return 1 - s.due // ways have different lengths, so this one may be another short one
	case !p.lastHop(ttl, s):
		return len(p.o.Ports) + 1
	case len(s.next) > 0:
		return left
	}
	return min(1-s.due, left)
}

// testable reports whether the target may get as many SYNs as rule out other ways beyond all last hops. Those are known
// when enough flows have been asked there, and all were answered on the way.
func (p *Paths) testable(ttl int, s *spot) bool {
	silent := func(c cell) bool { return len(c.seen) == 0 && (c.silent || c.tries > 0) }
	unanswered := func(f *pathFlow) bool { return slices.ContainsFunc(f.cells[p.first:ttl+1], silent) }
	if !slices.ContainsFunc(s.next, p.isTarget) || p.hops[ttl].met < p.rule.flows(1) ||
		slices.ContainsFunc(p.flows, unanswered) {
		return false
	}
	lack := 0
	for before, at := range p.spots {
		for i := range at {
			if s := &at[i]; p.mayEnd(before, s) {
				lack += max(0, p.rule.flows(max(1, len(s.next)))-s.n-s.due)
			}
		}
	}
	return lack <= p.planned()-p.syns
}

// toTarget is how many wanted probes may get to the target.
func (p *Paths) toTarget() (n int) {
	for _, w := range p.wants {
		if p.gets(p.flows[w.flow], w.ttl) {
			n++
		}
	}
	return n
}

// lastHops is how many nodes have the target behind them.
func (p *Paths) lastHops() (n int) {
	for _, at := range p.spots {
		for i := range at {
			if slices.ContainsFunc(at[i].next, inName) {
				n++
			}
		}
	}
	return n
}

// forward asks for flows that pass a node to be sent on, up to a number, and returns how many there were.
func (p *Paths) forward(ttl int, s *spot, most int) (n int) {
	for _, i := range p.spread(ttl, s) {
		if n >= most {
			break
		}
		f := p.flows[i]
		if c := &f.cells[ttl+1]; c.open() && c.tries == 0 && !f.over(ttl+1) {
			p.want(i, ttl+1)
			n++
		}
	}
	return n
}

// spread are the flows of a spot. If those that are sent on get to the target, they come in such an order that its few
// SYNs come by as many of the nodes before as may be.
func (p *Paths) spread(ttl int, s *spot) []int {
	if ttl <= p.first || !p.lastHop(ttl, s) {
		return s.flows
	}
	by := map[int]int{} // how many flows are or will be sent on, by the node before
	for _, i := range s.flows {
		if p.flows[i].cells[ttl+1].asked() {
			by[p.flows[i].pos[ttl-1]]++
		}
	}
	turn := make(map[int]int, len(s.flows))
	for _, i := range s.flows {
		turn[i] = by[p.flows[i].pos[ttl-1]]
		if !p.flows[i].cells[ttl+1].asked() {
			by[p.flows[i].pos[ttl-1]]++
		}
	}
	return slices.SortedStableFunc(slices.Values(s.flows), func(a, b int) int { return turn[a] - turn[b] })
}

// seek asks for so many flows at a hop that about as many as are lacking pass the spot with the index i.
func (p *Paths) seek(ttl, i, lack int, seek *sought) {
	here := map[int]bool{} // the spots from which flows come to it
	for _, f := range p.spots[ttl][i].flows {
		if at := p.flows[f].pos[ttl-1]; at >= 0 {
			here[at] = true
		}
	}
	through, all := 0, 0 // flows from those spots: to this one, and to any
	for _, f := range p.flows {
		if f.pos[ttl] < 0 || !here[f.pos[ttl-1]] {
			continue
		}
		if all++; f.pos[ttl] == i {
			through++
		}
	}
	if through == 0 {
		through, all = len(p.spots[ttl][i].flows), p.hops[ttl].met
	}
	seek.n = max(seek.n, min((lack*all+through-1)/through, max(atLeastGrow, p.hops[ttl].met)))
	for at := range p.spots[ttl-1] {
		if here[at] && !slices.Contains(seek.from, at) {
			seek.from = append(seek.from, at)
		}
	}
}

// search sends flows to a hop of which it isn't known what they meet there, first those that come from the right spots.
// At hops where some flows get to the target, only those are sent; more of them are sought one TTL before.
func (p *Paths) search(ttl int, s sought, before *sought) {
	if s.n == 0 {
		return
	}
	var near, any []int
	for i, f := range p.flows {
		c := &f.cells[ttl]
		switch {
		case f.over(ttl) || f.pos[ttl] >= 0 || len(c.seen) > 0 || c.silent:
		case c.asked():
			s.n-- // is being asked
		case f.pos[ttl-1] < 0:
			any = append(any, i)
		case slices.Contains(s.from, f.pos[ttl-1]):
			near = append(near, i)
		}
	}
	far := ttl >= p.reach || p.end == 0
	if far {
		any = nil
	}
	if ttl >= p.reach {
		s.n = min(s.n, p.planned()-p.syns-p.toTarget())
	}
	for _, i := range append(near, any...) {
		if s.n > 0 {
			p.want(i, ttl)
			s.n--
		}
	}
	if far && p.hops[ttl-1].uniform == unknownValue && ttl > p.first {
		for _, i := range s.from {
			if s.n > 0 {
				p.seek(ttl-1, i, s.n, before)
			}
		}
		return
	}
	for ; s.n > 0; s.n-- {
		i, ok := p.moreFlow()
		if !ok {
			return
		}
		p.want(i, ttl)
	}
}

// stretch is a link as a flow shows it: its ends, with nothing but silent routers between them.
type stretch struct{ fromTTL, from, toTTL, to int }

// confirm sees to it that of each link one flow shows both ends, and what is silent between them: what is only inferred
// for all flows that are known to take it is asked of one of them.
func (p *Paths) confirm() {
	shown := map[stretch]bool{}
	type inferred struct {
		stretch
		flow int
	}
	var open []inferred
	for i, f := range p.flows {
		p.confirmSilence(i, f)
		for s := range p.stretches(f) {
			if slices.ContainsFunc(f.cells[s.fromTTL:s.toTTL+1], func(c cell) bool { return c.open() }) {
				open = append(open, inferred{s, i})
			} else {
				shown[s] = true
			}
		}
	}
	for _, s := range open {
		cells := p.flows[s.flow].cells
		asked := func(c cell) bool { return c.open() && c.tries > 0 }
		if shown[s.stretch] || slices.ContainsFunc(cells[s.fromTTL:s.toTTL+1], asked) {
			continue
		}
		shown[s.stretch] = true
		for ttl := s.fromTTL; ttl <= s.toTTL; ttl++ {
			if cells[ttl].open() && ttl < p.reach {
				p.want(s.flow, ttl)
			}
		}
	}
}

// onwards asks a flow one hop further that meets one and the same router at two hops in a row. The flow may never get
// any further, as where a router gives packets another TTL, though others that meet this router at the second of the
// hops do.
func (p *Paths) onwards() {
	for ttl, flows := range p.standing() {
		asked := func(i int) bool { return p.flows[i].cells[ttl+1].asked() }
		if !slices.ContainsFunc(flows, asked) && p.afford(p.flows[flows[0]], ttl+1) {
			p.want(flows[0], ttl+1)
		}
	}
}

// standing are the flows that meet one and the same router at a TTL and at the one before, by TTL and router, if none
// of them shows where they go from there.
func (p *Paths) standing() iter.Seq2[int, []int] {
	return func(yield func(int, []int) bool) {
		for ttl := p.first + 1; ttl < p.top; ttl++ {
			for i := range p.spots[ttl] {
				flows := slices.Clone(p.spots[ttl][i].flows)
				flows = slices.DeleteFunc(flows, func(i int) bool { return !p.twice(p.flows[i], ttl) })
				shows := func(i int) bool {
					c := &p.flows[i].cells[ttl+1]
					return len(c.seen) > 0 || c.silent || p.flows[i].over(ttl+1)
				}
				if len(flows) > 0 && !slices.ContainsFunc(flows, shows) && !yield(ttl, flows) {
					return
				}
			}
		}
	}
}

// twice reports whether a flow meets one and the same router at a TTL and at the one before.
func (p *Paths) twice(f *pathFlow, ttl int) bool {
	value, known := p.valueAt(f, ttl)
	if !known || value < firstAddr || p.final(value) || f.blur[ttl] {
		return false
	}
	before, known := p.valueAt(f, ttl-1)
	return known && before == value
}

// lastOfEach asks one flow of each node right before the target, unless all flows pass the node: that others get there
// by the same routers doesn't show it, for this node may give packets another TTL.
func (p *Paths) lastOfEach() {
	last := p.end - 1
	if p.end == 0 || p.hops[last].uniform == silentValue {
		return
	}
	asked := func(i int) bool {
		return p.flows[i].cells[last].asked() || p.flows[i].over(last)
	}
	chosen := map[int]bool{}
	for ttl := p.first; ttl < last; ttl++ {
		for i := range p.spots[ttl] {
			s := &p.spots[ttl][i]
			through := func(i int) bool { return asked(i) || chosen[i] }
			if p.hops[ttl].uniform == unknownValue && s.key >= firstAddr && !slices.ContainsFunc(s.flows, through) {
				chosen[s.flows[0]] = true
				p.want(s.flows[0], last)
			}
		}
	}
}

// confirmSilence asks where a flow that is not answered was answered last, if that is only inferred from other flows:
// it may have gone another way.
func (p *Paths) confirmSilence(flow int, f *pathFlow) {
	for ttl := p.first; ttl < p.top; ttl++ {
		here, next := &f.cells[ttl], &f.cells[ttl+1]
		if here.open() && here.tries == 0 && next.silent && !f.over(ttl+1) && p.hops[ttl+1].uniform != silentValue {
			p.want(flow, ttl)
		}
	}
}

// stretches are the links of a flow.
func (p *Paths) stretches(f *pathFlow) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		from, fromTTL := unknownValue, 0
		for ttl := p.first; ttl <= p.top && (ttl == f.ends || !f.over(ttl)); ttl++ {
			value, known := p.valueAt(f, ttl)
			switch {
			case !known, value == silentValue && f.blur[ttl]:
				from = unknownValue
			case value == silentValue:
			default:
				if from != unknownValue && !yield(stretch{fromTTL, from, ttl, value}) {
					return
				}
				if from, fromTTL = value, ttl; f.blur[ttl] {
					from = unknownValue
				}
			}
		}
	}
}

// repeat sends one flow of each branch as often as shows whether it keeps to its way, or changes it to and fro: if it
// has changed only once, the route may have changed.
func (p *Paths) repeat(ttl int) {
	if ttl < p.first {
		return
	}
	for i := range p.spots[ttl] {
		s := &p.spots[ttl][i]
		if len(s.next) < 2 || s.key == mergedKey || p.sprays[spotName{ttl, s.key}] == steady {
			continue
		}
		best := -1 // the flow with the most answers
		for _, f := range s.flows {
			c := &p.flows[f].cells[ttl+1]
			if len(c.seen) > 0 && !inName(c.seen[0]) && (best < 0 || len(c.seen) > len(p.flows[best].cells[ttl+1].seen)) {
				best = f
			}
		}
		if best < 0 || ttl+1 >= p.reach || p.flows[best].cells[ttl+1].tries > 2*p.rule.alike() {
			continue
		}
		c := &p.flows[best].cells[ttl+1]
		if alternate(c.seen) {
			continue
		}
		for range p.rule.alike() - len(c.seen) - c.flying {
			p.want(best, ttl+1)
		}
	}
}

// alternate reports whether one value comes again after another one: A, B, A. A route that has changed once doesn't
// look so.
func alternate(seen []int) bool {
	for i := range seen {
		if i > 0 && seen[i] != seen[i-1] && slices.Contains(seen[:i-1], seen[i]) {
			return true
		}
	}
	return false
}
