package trace

import (
	"cmp"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
)

// Graph is all that is known of the ways to one target: the routers as nodes, and the links between them.
type Graph struct {
	Nodes []Node // in order of TTL
	Links []Link // in order of their ends
	Ways  []Way  // the different ways that flows take from the first hop to the last, in order of their nodes

	Flows      int     // how many were used
	Probes     int     // how many were sent for this, the ordinary trace not counted
	TargetSYNs int     // how many SYNs may have reached the target, with those of the ordinary trace
	Asked      float64 // the confidence that was asked for, of each node
	Confidence float64 // that nothing is missing, beyond what Node.Spared and Node.Hidden say
	Tested     bool    // the search came to its end: each node that was to be tested has the confidence asked for
	// Complete: Tested, the target answered, all ways were seen to get there, no node is Unlinked or Untried, no router
	// was silent, which may be several, and no flow was refused on the way, for what is beyond is not known; and there are
	// no OtherSources. Beyond Node.Spared there may be other ways all the same, if there are several last nodes, each of
	// which got a part of the target's SYNs.
	Complete bool
	Reached  bool // the target answered
	// OtherSources are where this host's connections from other source ports leave from: it shares them out over several
	// links. Their ways are not among these. It is for who knows this host's routes to set: see LeaveOut.
	OtherSources []netip.Addr

	Loss *Loss // what was measured of the ways; nil: nobody asked
}

// LeaveOut says that connections from other source ports leave from these addresses, if there are any.
func (g *Graph) LeaveOut(sources []netip.Addr) {
	g.OtherSources, g.Complete = sources, g.Complete && len(sources) == 0
}

// Node is a router at one TTL. A router that ways of different length lead to has a node for each of its TTLs.
type Node struct {
	TTL    int
	Addr   netip.Addr // invalid: a router between two known ones that doesn't answer
	Target bool       // it is the target
	// Refusal is what ended the flows that got here: an ICMP error, or a reset in the target's name though the target
	// answers other flows otherwise. Only the kind, the ICMP type and code, the flags and the sender are set. nil: nothing
	// did, or this is the target.
	Refusal *packet.Reply

	Flows int     // how many flows passed it, and showed where they went next
	Next  int     // how many different successors they showed
	Sure  float64 // the probability that it has no other, if it distributes flows evenly; 0: one could not be placed
	// Hidden is the share of the flows below which a successor may be missing, with the confidence asked for: not all
	// routers distribute the flows evenly.
	Hidden float64
	// PerPacket: packets of one flow met several addresses beyond it. It sends each packet its own way, so no flow keeps
	// to one, or the next router answers from several of its addresses.
	PerPacket bool
	// Alternates: PerPacket, and one of those addresses answered the flow again after another one had. A change of route
	// doesn't look so.
	Alternates bool
	Spared     bool // it was tested less than asked for: its successors are, or may be, the target
	// Untried: the last router beyond it leads to the target, but no SYN was left for a flow that shows it of those that
	// pass this node. It may give packets a TTL of its own, and then they might end at the last router each time.
	Untried bool
	// Unanswered is how many SYNs of flows that pass it were to get to the target, if the target answered none of them,
	// not even one that was sent a few hops further than to where it answers others; else 0. If it answers nobody, any.
	Unanswered int

	// MayBe are nodes at the same TTL that may be the same router with another address: they have the same neighbours, and
	// the IP IDs of their answers count on together (IPv4).
	MayBe []int

	// SharesBy is what the node, which has several successors, tells flows apart by. 0: that is not known.
	SharesBy FlowFields
}

// Link is a link that one flow was seen to take: by its probes at two TTLs in a row.
type Link struct {
	From, To int     // indices in Graph.Nodes
	Flows    int     // how many different flows were seen on it
	Share    float64 // of the flows that pass From, as far as is known where they went next
}

// Way is one way from the first hop to the last.
type Way struct {
	Nodes []int    // indices in Graph.Nodes, by hop; -1: a router that doesn't answer
	Ports []uint16 // source ports of the flows that take it, in the order in which they were used
	Share float64  // of all flows, an estimate: the product of the shares at each node
	MTU   *MTU     // how large a packet passes it as far as its last router; nil: that was not measured
	MSS   *MSS     // which MSS gets to its last router; nil: that was not measured, or no router quotes it
}

// WayBy returns the index of the first of Ways that goes by a router; -1: none does.
func (g *Graph) WayBy(router netip.Addr) int {
	return slices.IndexFunc(g.Ways, func(w Way) bool {
		return slices.ContainsFunc(w.Nodes, func(n int) bool { return n >= 0 && g.Nodes[n].Addr == router })
	})
}

// Branches are the nodes with several successors.
func (g *Graph) Branches() (all []int) {
	for i, n := range g.Nodes {
		if n.Next > 1 {
			all = append(all, i)
		}
	}
	return all
}

// Unlinked are the last nodes before the target for which no SYN was left that could have shown the link to it.
func (g *Graph) Unlinked() (all []int) {
	for i, n := range g.Nodes {
		from := func(l Link) bool { return l.From == i }
		if g.Reached && n.Spared && n.Unanswered == 0 && !slices.ContainsFunc(g.Links, from) {
			all = append(all, i)
		}
	}
	return all
}

// Disguised reports whether routers answered in the target's name, as those beyond address translation do. They can't
// be told apart, so nobody knows how many ways there are.
func (g *Graph) Disguised(target netip.Addr) bool {
	return slices.ContainsFunc(g.Nodes, func(n Node) bool { return !n.Target && n.Refusal == nil && n.Addr == target })
}

// drawing collects a Graph.
type drawing struct {
	g     Graph
	value []int // of each node
	nodes map[nodeName]int
	links map[[2]int]map[int]bool // the flows of each
}

// nodeName identifies a node. A silent one is named by its known neighbours.
type nodeName struct {
	ttl, value  int
	before      int // the value of the last known node before it
	after, span int // that of the first one beyond it, and how many TTLs lie between the two
}

// draw makes the graph of what is known now.
func (p *Paths) draw() Graph {
	p.survey()
	d := drawing{nodes: map[nodeName]int{}, links: map[[2]int]map[int]bool{}}
	for i, f := range p.flows {
		d.follow(p, i, f)
	}
	if p.end > 0 && len(d.g.Nodes) > 0 && !slices.ContainsFunc(d.g.Nodes, func(n Node) bool { return n.Target }) {
		d.target(p) // no flow shows who is before it
	}
	d.order()
	g := &d.g
	for ends, flows := range d.links {
		g.Links = append(g.Links, Link{From: ends[0], To: ends[1], Flows: len(flows)})
	}
	slices.SortFunc(g.Links, func(a, b Link) int {
		if a.From != b.From {
			return a.From - b.From
		}
		return a.To - b.To
	})
	d.share(p)
	d.faces(p)
	g.Probes, g.TargetSYNs, g.Reached = p.sent, p.syns, p.end > 0
	for _, f := range p.flows {
		if f.used() {
			g.Flows++
		}
	}
	d.judge(p)
	d.ways(p)
	// Where no way is known, there may be any number; beyond a router that sends each packet its own way, too.
	target := p.o.Path.Target.Addr()
	if len(g.Ways) == 0 || len(g.Nodes) == 0 || slices.ContainsFunc(g.Nodes, func(n Node) bool { return n.PerPacket }) ||
		g.Disguised(target) {
		g.Confidence, g.Tested = 0, false
	}
	hidden := slices.ContainsFunc(g.Nodes, func(n Node) bool {
		return !n.Addr.IsValid() || n.Refusal != nil && (n.Refusal.Kind == packet.KindTCP || n.Addr != target)
	}) || slices.ContainsFunc(g.Ways, func(w Way) bool { return slices.Contains(w.Nodes, -1) })
	g.Complete = g.Tested && g.Reached && !hidden && len(g.Unlinked()) == 0 && !d.untested() && !d.endless(p)
	return d.g
}

// untested reports whether a router was tested less than asked for though that isn't because there are several last
// ones, each of which gets its part of the target's SYNs: the only one is to be tested, and so is one that is known to
// lead elsewhere, too.
func (d *drawing) untested() bool {
	lasts := map[int]bool{}
	for i, n := range d.g.Nodes {
		if n.Spared {
			lasts[i] = true
		}
	}
	for _, l := range d.g.Links {
		if d.g.Nodes[l.To].Target {
			lasts[l.From] = true
		}
	}
	return slices.ContainsFunc(d.g.Nodes, func(n Node) bool { return n.Spared && (n.Next > 1 || len(lasts) == 1) })
}

// endless reports whether some flows were not seen to get to the target though routers answer them. So it is where one
// router answers at two hops in a row, as long as no flow shows where it goes from there.
func (d *drawing) endless(p *Paths) bool {
	for range p.standing() {
		return true
	}
	if slices.ContainsFunc(d.g.Nodes, func(n Node) bool { return n.Untried }) {
		return true
	}
	return slices.ContainsFunc(d.g.Ways, func(w Way) bool { return !d.g.arrives(w) })
}

// node finds a node, or adds it.
func (d *drawing) node(p *Paths, name nodeName) int {
	i, ok := d.nodes[name]
	if !ok {
		i = len(d.g.Nodes)
		d.nodes[name] = i
		n := Node{TTL: name.ttl, Addr: p.address(name.value), Refusal: p.refusal(name.value)}
		n.Target = inName(name.value) && n.Refusal == nil
		d.g.Nodes, d.value = append(d.g.Nodes, n), append(d.value, name.value)
	}
	return i
}

// target adds the target where it answered first.
func (d *drawing) target(p *Paths) {
	value := resetValue
	if p.accepts {
		value = targetValue
	}
	d.node(p, nodeName{ttl: p.end, value: value})
}

func (d *drawing) link(from, to, flow int) {
	ends := [2]int{from, to}
	if d.links[ends] == nil {
		d.links[ends] = map[int]bool{}
	}
	d.links[ends][flow] = true
}

// follow adds the nodes and links that a flow has shown. last is the last known node on its way, from which links can
// be drawn.
func (d *drawing) follow(p *Paths, flow int, f *pathFlow) {
	last, lastTTL := -1, 0
	for ttl := p.first; ttl <= p.top && (ttl == f.ends || !f.over(ttl)); ttl++ {
		c := &f.cells[ttl]
		switch {
		case len(c.seen) == 0 && !c.silent:
			last = -1
			continue
		case len(c.seen) == 0:
			if f.blur[ttl] {
				last = -1
			}
			continue // a run of silent ones; drawn when its end is known
		}
		if p.final(c.seen[0]) && (last < 0 || f.blur[ttl-1]) && ttl > p.first {
			return // it may be nearer
		}
		var here int
		for k, value := range c.seen {
			here = d.node(p, nodeName{ttl: ttl, value: value})
			if last < 0 || f.blur[ttl-1] || k > 0 && !f.blur[ttl] {
				continue
			}
			d.join(p, flow, last, lastTTL, here, ttl)
		}
		if last, lastTTL = here, ttl; f.blur[ttl] {
			last = -1
		}
	}
}

// join draws the link between two nodes, with the silent ones between them.
func (d *drawing) join(p *Paths, flow, from, fromTTL, to, ttl int) {
	before, after := d.value[from], d.value[to]
	for t := fromTTL + 1; t < ttl; t++ {
		silent := d.node(p, nodeName{ttl: t, value: silentValue, before: before, after: after, span: ttl - fromTTL})
		d.link(from, silent, flow)
		from = silent
	}
	d.link(from, to, flow)
}

// order sorts the nodes by TTL, and those of one TTL by address, so that another search of the same network names them
// alike. Those that don't answer come last.
func (d *drawing) order() {
	by := make([]int, len(d.g.Nodes))
	for i := range by {
		by[i] = i
	}
	slices.SortStableFunc(by, func(a, b int) int {
		one, other := &d.g.Nodes[a], &d.g.Nodes[b]
		switch {
		case one.TTL != other.TTL:
			return one.TTL - other.TTL
		case one.Addr.IsValid() != other.Addr.IsValid():
			if one.Addr.IsValid() {
				return -1
			}
			return 1
		}
		return one.Addr.Compare(other.Addr)
	})
	to := make([]int, len(by))
	nodes, values := make([]Node, len(by)), make([]int, len(by))
	for i, from := range by {
		to[from], nodes[i], values[i] = i, d.g.Nodes[from], d.value[from]
	}
	d.g.Nodes, d.value = nodes, values
	for name, i := range d.nodes {
		d.nodes[name] = to[i]
	}
	links := map[[2]int]map[int]bool{}
	for ends, flows := range d.links {
		links[[2]int{to[ends[0]], to[ends[1]]}] = flows
	}
	d.links = links
}

// judge says of each node how sure it is that no successor is missing, and the same of the whole.
func (d *drawing) judge(p *Paths) {
	g := &d.g
	g.Asked, g.Confidence, g.Tested = p.o.Confidence, 1, !p.late
	for ttl := p.first - 1; ttl < p.top; ttl++ {
		for i := range p.spots[ttl] {
			s := &p.spots[ttl][i]
			if !p.explores(ttl, s) {
				continue
			}
			sure, vague := 1-missed(len(s.next)+1, s.n), p.vague(ttl, s) > 0
			if vague {
				sure = 0
			}
			if !p.spared(ttl, s) || s.key == rootKey { // no node stands for the root, to say that it was spared
				g.Confidence *= sure
				g.Tested = g.Tested && s.n >= p.rule.flows(max(1, len(s.next))) && !vague
			}
			if k, ok := d.nodes[nodeName{ttl: ttl, value: s.key}]; ok && s.key >= targetValue {
				n := &g.Nodes[k]
				n.Flows, n.Next, n.Sure, n.Hidden = s.n, len(s.next), sure, p.rule.hidden(s.n)
				n.Spared, n.PerPacket = p.spared(ttl, s), p.sprays[spotName{ttl, s.key}] == spraying
				n.Alternates = n.PerPacket && slices.ContainsFunc(s.flows, func(i int) bool {
					return alternate(p.flows[i].cells[ttl+1].seen)
				})
				n.SharesBy, n.Unanswered = p.sharesBy(ttl, s), p.dies(ttl, s.key)
			}
			d.try(p, ttl, s)
		}
	}
}

// try marks the nodes right before the only last one by which no flow was seen to get to the target.
func (d *drawing) try(p *Paths, ttl int, s *spot) {
	for _, before := range p.untried(ttl, s, true) {
		k, ok := d.nodes[nodeName{ttl: ttl - 1, value: p.spots[ttl-1][before].key}]
		if ok && p.lastHops() == 1 {
			d.g.Nodes[k].Untried = true
		}
	}
}

// sharesBy is what a node tells flows apart by. In IPv4 flows differ in nothing but the port.
func (p *Paths) sharesBy(ttl int, s *spot) FlowFields {
	name := spotName{ttl, s.key}
	if len(s.next) > 1 && p.sprays[name] == steady && p.o.Path.Source.Addr().Is4() &&
		p.maker.o.Protocol != packet.ProtoEcho {
		return FieldPort
	}
	return p.kinds[name]
}

// share says what share of the flows through its first node each link takes.
func (d *drawing) share(p *Paths) {
	g := &d.g
	for i := range g.Links {
		l := &g.Links[i]
		from, value := &g.Nodes[l.From], d.value[l.To]
		alike, all := 0, 0 // flows on links from this node: those to nodes of the same value, and all
		for _, other := range g.Links {
			if other.From == l.From {
				if all += other.Flows; d.value[other.To] == value {
					alike += other.Flows
				}
			}
		}
		l.Share = float64(l.Flows) / float64(all)
		if s := p.spotAt(from.TTL, d.value[l.From]); s != nil && from.Addr.IsValid() {
			if part, known := p.part(from.TTL, s, value); known {
				l.Share = part * float64(l.Flows) / float64(alike)
			}
		}
	}
}

// part is the share of the flows through a spot that met a value one TTL further, of those of which that is known.
func (p *Paths) part(ttl int, s *spot, value int) (share float64, known bool) {
	n, all := 0, 0
	for _, i := range s.flows {
		if v, ok := p.valueAt(p.flows[i], ttl+1); ok {
			if all++; v == value {
				n++
			}
		}
	}
	return float64(n) / float64(max(1, all)), n > 0
}

// ways are the different ways of the flows that are known from the first hop to the last. Flows that are known only in
// part are no ways of their own.
func (d *drawing) ways(p *Paths) {
	for _, f := range p.flows {
		nodes, share, ok := d.way(p, f)
		if !ok {
			continue
		}
		i := slices.IndexFunc(d.g.Ways, func(w Way) bool { return slices.Equal(w.Nodes, nodes) })
		if i < 0 {
			i = len(d.g.Ways)
			d.g.Ways = append(d.g.Ways, Way{Nodes: nodes, Share: share})
		}
		d.g.Ways[i].Ports = append(d.g.Ways[i].Ports, f.port)
	}
	slices.SortFunc(d.g.Ways, func(a, b Way) int {
		return slices.CompareFunc(a.Nodes, b.Nodes, func(a, b int) int { return cmp.Compare(uint(a), uint(b)) }) // -1 last
	})
}

// way is the way of a flow, and its share of all flows. Where the flow was not asked itself, the only successor of the
// node before is taken.
func (d *drawing) way(p *Paths, f *pathFlow) (nodes []int, share float64, whole bool) {
	before := rootKey
	var round circle
	share = 1
	for ttl := p.first; ttl <= p.top; ttl++ {
		value, known := p.valueAt(f, ttl)
		s := p.spotAt(ttl-1, before)
		if !known && s != nil && len(s.next) == 1 {
			value, known = s.next[0], true
		}
		if s != nil && known {
			if part, ok := p.part(ttl-1, s, value); ok {
				share *= part
			}
		}
		i, drawn := d.nodes[nodeName{ttl: ttl, value: value}]
		switch {
		case !known && len(nodes) > 0 && p.end > 0 && p.dies(ttl-1, before) > 0:
			return append(nodes, -1), share, true // it dies there, for all that is known
		case !known && len(nodes) > 0 && p.lastSpared(ttl-1, before):
			return nodes, share, true // but for the target
		case !known || f.blur[ttl] || value != silentValue && !drawn:
			return nil, 0, false
		case value == silentValue:
			before = p.star(spotName{ttl, before})
			i = -1
		default:
			before = value
		}
		nodes = append(nodes, i)
		if p.final(value) || p.end == 0 && ttl >= p.far || round.closes(value) {
			return nodes, share, true
		}
	}
	return nodes, share, p.top == p.last // it goes on, as a loop does
}

// lastSpared reports whether a spot is most likely the last before the target, which was spared a SYN by this way.
func (p *Paths) lastSpared(ttl, key int) bool {
	s := p.spotAt(ttl, key)
	if p.end == 0 {
		return s != nil && p.lastHop(ttl, s)
	}
	return ttl == p.end-1 && s != nil && s.n == 0
}

// dies is how many SYNs went beyond a spot and stayed unanswered, if that is enough to say that no flow gets to the
// target from there, or if the target has answered nobody; else 0.
func (p *Paths) dies(ttl, key int) int {
	all := p.unanswered(ttl, key)
	if p.end > 0 && !slices.ContainsFunc(all, func(a *pathAsk) bool { return a.ttl == p.farther() }) {
		return 0
	}
	return len(all)
}

// spotAt is a spot by its key; nil: there is none.
func (p *Paths) spotAt(ttl, key int) *spot {
	i := slices.IndexFunc(p.spots[ttl], func(s spot) bool { return s.key == key })
	if i < 0 {
		return nil
	}
	return &p.spots[ttl][i]
}
