package trace

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"
)

// Section is a part of the ways in which they differ: from a router that all of them pass to the next one that all of
// them pass.
type Section struct {
	From     int // index in Graph.Nodes of the router before the section; -1: this host
	To       int // index of the router beyond it, with its lowest TTL; -1: all ways meet at the target again
	Branches []Branch
}

// Branch is one way through a section.
type Branch struct {
	Nodes []int    // indices in Graph.Nodes; -1: a router that does not answer
	Ports []uint16 // source ports of the flows that take it: of each way by it in turn
	// Dead says that nobody beyond the last of Nodes answered these flows. Where exactly they go from there is not known.
	Dead bool
}

// Loss is what was measured of the ways of a graph, after they were found.
type Loss struct {
	Flows    []FlowLoss
	Probes   int           // how many each branch was to get at least
	Complete bool          // each branch has got them
	Pace     time.Duration // the longest pause that was needed between two probes to a router, 0: none

	// Target: what a section lets through was measured at the target, and at the routers beyond it that all ways pass.
	// Else at the first of these routers alone.
	Target bool
	Looks  int // how often the figures are looked at, at the most; 0: as often as by PathsLoss
}

// FlowLoss is what came of the probes of one flow to one router.
type FlowLoss struct {
	Node  int // index in Graph.Nodes
	Port  uint16
	Sent  int
	Lost  int
	Moved int             // how many of the answers another router gave: the flow goes another way now
	RTTs  []time.Duration // of the other answers, in the order in which they came
}

// compare orders figures by router and flow.
func (f FlowLoss) compare(o FlowLoss) int {
	return cmp.Or(f.Node-o.Node, int(f.Port)-int(o.Port))
}

// Targets are the nodes that are the target, in order of TTL.
func (g *Graph) Targets() (all []int) {
	for i, n := range g.Nodes {
		if n.Target {
			all = append(all, i)
		}
	}
	return all
}

// Measures reports whether what came of probes to a node says what a section lets through.
func (g *Graph) Measures(s Section, node int) bool {
	if g.Loss.Target {
		return g.Nodes[node].Target
	}
	return g.same(node, s.To)
}

// Sections are the parts of the graph in which the ways differ, in order. There are none if no way is known as a whole.
func (g *Graph) Sections() []Section {
	var live, dead []Way
	for _, w := range g.Ways {
		switch {
		case g.Settled(w):
		case g.arrives(w):
			live = append(live, w)
		case g.Reached: // else a way that seems to be broken may as well be a shorter one, so the target might get all
			dead = append(dead, w)
		}
	}
	if len(live) == 0 || !g.Reached && g.partly(live) {
		return nil
	}
	cuts := g.cuts(live, dead)
	all := make([]Section, len(cuts)+1)
	for i := range all {
		all[i] = Section{From: -1, To: -1}
		if i > 0 {
			all[i].From = g.lowest(cuts[i-1])
		}
		if i < len(cuts) {
			all[i].To = g.lowest(cuts[i])
		}
	}
	for port, w := range inTurn(live) {
		for i, nodes := range g.split(w, cuts) {
			all[i].add(nodes, port, false)
		}
	}
	for port, w := range inTurn(dead) {
		parts := g.split(w, cuts)
		all[len(parts)-1].add(trimmed(parts[len(parts)-1]), port, true)
	}
	return slices.DeleteFunc(all, func(s Section) bool { return len(s.Branches) < 2 })
}

// partly reports whether some flows that pass a node of these ways were answered beyond it, and others were not. Then
// those that go on are known only by having been answered: where fewer flows were tried, more of the others are among
// them, and that branch would seem to lose more.
func (g *Graph) partly(ways []Way) bool {
	links, next := map[[2]int]bool{}, make([]int, len(g.Nodes)) // next: how many successors ways go on by
	for _, w := range g.Ways {
		nodes := trimmed(w.Nodes)
		for i := 1; i < len(nodes); i++ {
			link := [2]int{nodes[i-1], nodes[i]}
			if link[0] >= 0 && !links[link] {
				links[link] = true
				next[link[0]]++
			}
		}
	}
	return slices.ContainsFunc(ways, func(w Way) bool {
		return slices.ContainsFunc(w.Nodes, func(n int) bool {
			return n >= 0 && !g.Nodes[n].PerPacket && next[n] > 0 && g.Nodes[n].Next > next[n]
		})
	})
}

// trimmed are the nodes of a way up to the last that answered.
func trimmed(nodes []int) []int {
	for len(nodes) > 0 && nodes[len(nodes)-1] < 0 {
		nodes = nodes[:len(nodes)-1]
	}
	return nodes
}

// inTurn are the flows of ways: the first of each way, then the second. So the first flows of a branch that several
// ways share are of all of them.
func inTurn(ways []Way) iter.Seq2[uint16, Way] {
	return func(yield func(uint16, Way) bool) {
		for k, more := 0, true; more; k++ {
			more = false
			for _, w := range ways {
				if k >= len(w.Ports) {
					continue
				}
				if more = true; !yield(w.Ports[k], w) {
					return
				}
			}
		}
	}
}

// add adds a flow to the branch with these nodes.
func (s *Section) add(nodes []int, port uint16, dead bool) {
	i := slices.IndexFunc(s.Branches, func(b Branch) bool { return b.Dead == dead && slices.Equal(b.Nodes, nodes) })
	if i < 0 {
		i = len(s.Branches)
		s.Branches = append(s.Branches, Branch{Nodes: slices.Clone(nodes), Dead: dead})
	}
	s.Branches[i].Ports = append(s.Branches[i].Ports, port)
}

// Refuses is the node that refuses the flows of a way; nil: none does.
func (g *Graph) Refuses(w Way) *Node {
	if len(w.Nodes) > 0 {
		if last := w.Nodes[len(w.Nodes)-1]; last >= 0 && g.Nodes[last].Refusal != nil {
			return &g.Nodes[last]
		}
	}
	return nil
}

// Circle are the nodes that packets on a way go round and round; none: they don't.
func (g *Graph) Circle(w Way) []int {
	if len(w.Nodes) == 0 || w.Nodes[len(w.Nodes)-1] < 0 {
		return nil
	}
	at := g.places(w, g.Nodes[w.Nodes[len(w.Nodes)-1]].Addr)
	at = slices.DeleteFunc(at, func(i int) bool { return i > 0 && g.same(w.Nodes[i-1], w.Nodes[i]) })
	if len(at) <= turnsToLoop {
		return nil
	}
	return w.Nodes[at[0]:at[1]]
}

// Settled reports whether it is known what becomes of the packets on a way that ends before the target: they are
// refused, or go round.
func (g *Graph) Settled(w Way) bool { return g.Refuses(w) != nil || len(g.Circle(w)) > 0 }

// arrives reports whether a way gets to the target, or may for all that is known: the target is spared SYNs. If the
// target answers nobody, the ways that get farthest count, and those that get to the same router.
func (g *Graph) arrives(w Way) bool {
	if len(w.Nodes) == 0 {
		return false
	}
	last := w.Nodes[len(w.Nodes)-1]
	if last < 0 {
		return false
	}
	n := g.Nodes[last]
	if !g.Reached {
		top := g.Nodes[len(g.Nodes)-1].TTL
		return slices.ContainsFunc(g.Nodes, func(o Node) bool { return o.TTL == top && (o.TTL == n.TTL || o.Addr == n.Addr) })
	}
	return n.Target || slices.ContainsFunc(g.Nodes, func(o Node) bool { return o.Target && o.TTL > n.TTL })
}

// cuts are the addresses of the routers that all ways pass, in order. Ways that end in silence would pass them, for all
// that is known: no router that they are known to pass is as far away.
func (g *Graph) cuts(ways, dead []Way) (all []netip.Addr) {
	at := make([]int, len(ways)) // the place of the last cut on each way
	for _, node := range ways[0].Nodes {
		if node < 0 || g.Nodes[node].Target {
			continue
		}
		if slices.ContainsFunc(dead, func(w Way) bool { return g.avoids(w, node) }) {
			continue
		}
		a, next := g.Nodes[node].Addr, make([]int, len(ways))
		everywhere := true
		for i, w := range ways {
			once := g.places(w, a)
			everywhere = everywhere && len(once) == 1 && (len(all) == 0 || once[0] > at[i])
			if everywhere {
				next[i] = once[0]
			}
		}
		if everywhere {
			all, at = append(all, a), next
		}
	}
	return all
}

// avoids reports whether a way is known to go on from the TTL of a node without having passed that router.
func (g *Graph) avoids(w Way, node int) bool {
	far := 0
	for _, n := range w.Nodes {
		if n >= 0 {
			far = g.Nodes[n].TTL
		}
	}
	return far >= g.Nodes[node].TTL && len(g.places(w, g.Nodes[node].Addr)) == 0
}

// places are the indices of a router in Way.Nodes.
func (g *Graph) places(w Way, a netip.Addr) (all []int) {
	for i, node := range w.Nodes {
		if node >= 0 && g.Nodes[node].Addr == a && !g.Nodes[node].Target {
			all = append(all, i)
		}
	}
	return all
}

// split divides a way at the routers that all ways pass, as far as it gets. The target belongs to no part.
func (g *Graph) split(w Way, cuts []netip.Addr) [][]int {
	parts := [][]int{nil}
	for _, node := range w.Nodes {
		i := len(parts) - 1
		switch {
		case node >= 0 && g.Nodes[node].Target:
			return parts
		case node >= 0 && i < len(cuts) && g.Nodes[node].Addr == cuts[i]:
			parts = append(parts, nil)
		default:
			parts[i] = append(parts[i], node)
		}
	}
	return parts
}

// lowest is the node of a router with the lowest TTL.
func (g *Graph) lowest(a netip.Addr) int {
	return slices.IndexFunc(g.Nodes, func(n Node) bool { return n.Addr == a && !n.Target })
}

// same reports whether two nodes are one router, at two TTLs or one.
func (g *Graph) same(a, b int) bool {
	return a >= 0 && b >= 0 && g.Nodes[a].Addr.IsValid() && g.Nodes[a].Addr == g.Nodes[b].Addr
}

// Crossing is what came of probes that took a way or a link.
type Crossing struct {
	Sent, Lost int
	RTTs       []time.Duration // of those that were answered as far as they were to get, the shortest first
}

// OnWay is what came of the probes of a way's flows, to the last router that they were sent to.
func (g *Graph) OnWay(w Way) (c Crossing) {
	last := -1
	for _, s := range g.Sections() {
		last = s.To
	}
	if g.Loss == nil {
		return c
	}
	for _, f := range g.Loss.Flows {
		measured := g.Measures(Section{To: last}, f.Node) || !g.Loss.Target && last < 0 && g.lastGoal(w) == f.Node
		if measured && slices.Contains(w.Ports, f.Port) {
			c.add(f)
		}
	}
	slices.Sort(c.RTTs)
	return c
}

// lastGoal is the node that the flows of a way are sent to if no router beyond the last section is passed by all.
func (g *Graph) lastGoal(w Way) int {
	sections := g.Sections()
	if len(sections) == 0 {
		return -1
	}
	s := sections[len(sections)-1]
	for i := range s.Branches {
		if b := &s.Branches[i]; slices.Contains(b.Ports, w.Ports[0]) {
			return g.goal(s, b, w.Ports[0])
		}
	}
	return -1
}

// OnLink is what came of the probes that had to take a link, to where loss was measured beyond it.
func (g *Graph) OnLink(l Link) (c Crossing) {
	if g.Loss == nil {
		return c
	}
	for _, s := range g.Sections() {
		for i := range s.Branches {
			b := &s.Branches[i]
			if !g.hasLink(s, b, l) {
				continue
			}
			for _, f := range g.Loss.Flows {
				if slices.Contains(b.Ports, f.Port) && g.Measures(s, f.Node) {
					c.add(f)
				}
			}
		}
	}
	slices.Sort(c.RTTs)
	return c
}

func (c *Crossing) add(f FlowLoss) {
	c.Sent, c.Lost, c.RTTs = c.Sent+f.Sent, c.Lost+f.Lost, append(c.RTTs, f.RTTs...)
}

// hasLink reports whether a branch has a link.
func (g *Graph) hasLink(s Section, b *Branch, l Link) bool {
	for ends := range g.linksOf(s, b) {
		if g.same(ends[0], l.From) && g.same(ends[1], l.To) {
			return true
		}
	}
	return false
}
