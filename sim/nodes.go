package sim

import (
	"errors"
	"slices"
	"time"
)

// Node is a router of a graph of routers ([Path.Nodes]), with the links that leave it.
type Node struct {
	Router Router // without a Fork
	Next   []Next // the links, at least one
	By     Choice // what decides which link a packet takes, if there are several
	// Nodes with the same seed choose alike, as routers of one maker do that have no seed of their own; 0: the node has
	// its own.
	Seed uint64
	// Remap is the instant from which on the node distributes the flows anew, as after a change of its table; 0: never.
	Remap time.Duration
}

// Next is a link to another node.
type Next struct {
	Node  int     // the index in Path.Nodes, higher than that of the node that the link leaves; 0: the target
	Share float64 // of the flows; 0: an equal part of what the others leave
}

// NodeLink is a link of the graph, at one of the TTLs at which packets cross it. Nodes are indices in Path.Nodes, -1 is
// the target.
type NodeLink struct {
	TTL      int // of From
	From, To int
}

// NodeLinks returns all links that packets with some source port can cross, in order of TTL. A node to which ways of
// different length lead is met at several TTLs.
func (p *Path) NodeLinks() []NodeLink {
	var all []NodeLink
	at := map[int]bool{0: true}
	for ttl := 1; len(at) > 0; ttl++ {
		next := map[int]bool{}
		for i := range p.Nodes {
			if !at[i] {
				continue
			}
			for _, to := range p.Nodes[i].Next {
				link := NodeLink{TTL: ttl, From: i, To: to.Node}
				if to.Node == 0 {
					link.To = -1
				} else {
					next[to.Node] = true
				}
				if !slices.Contains(all, link) {
					all = append(all, link)
				}
			}
		}
		at = next
	}
	return all
}

// vertex is the state of a Node.
type vertex struct {
	*node
	spec *Node
	salt uint64
}

func newVertices(devices map[uint32]*node, salt uint64, nodes []Node) (all []vertex) {
	for i := range nodes {
		own := mix(salt ^ uint64(i)<<8 ^ 10)
		v := vertex{node: newNode(&nodes[i].Router, mix(own^2), mix(own^3)), spec: &nodes[i], salt: own}
		if v.spec.Seed != 0 {
			v.salt = mix(v.spec.Seed)
		}
		if h := nodes[i].Router.Home; h != nil {
			v.home = newSteps(devices, mix(own^8), h.Routers)
		}
		all = append(all, v)
	}
	return all
}

// next is the index of the vertex that a packet goes to; 0: the target.
func (v *vertex) next(now time.Duration, b []byte, random uint64) int {
	links := v.spec.Next
	if len(links) == 1 {
		return links[0].Node
	}
	salt := v.salt
	if v.spec.Remap > 0 && now >= v.spec.Remap {
		salt = mix(salt ^ 11)
	}
	u := v.spec.By.unit(b, salt, random)
	for i := range links {
		if u -= shareOf(links, func(l Next) float64 { return l.Share }, i); u < 0 {
			return links[i].Node
		}
	}
	return links[len(links)-1].Node
}

// walk is the route that a packet takes from vertex to vertex.
func (g *graph) walk(now time.Duration, b []byte, random uint64) *route {
	var room [64]byte
	taken := room[:0]
	for i, first := 0, true; i > 0 || first; first = false {
		taken = append(taken, byte(i>>8), byte(i))
		i = g.vertices[i].next(now, b, mix(random^uint64(i)))
	}
	if r := g.routes[string(taken)]; r != nil {
		return r
	}
	r := &route{path: g.path, graph: g}
	for i := 0; i < len(taken); i += 2 {
		r.nodes = append(r.nodes, g.vertices[int(taken[i])<<8|int(taken[i+1])].node)
	}
	g.routes[string(taken)] = r
	return r
}

// each calls f for each router with its hop, that by the longest way.
func (g *graph) each(f func(n *node, hop int)) {
	if len(g.vertices) == 0 {
		walkNodes(g.steps, 1, f)
		return
	}
	hops := make([]int, len(g.vertices))
	for i := range g.vertices {
		v := &g.vertices[i]
		f(v.node, hops[i]+1)
		for _, to := range v.spec.Next {
			hops[to.Node] = max(hops[to.Node], hops[i]+1)
		}
	}
}

var errNodes = errors.New("nodes: each with links to later nodes or the target, whose shares leave some for all, " +
	"and no forks")

func validateNodes(p *Path, v4 bool) error {
	if len(p.Nodes) == 0 {
		return nil
	}
	if len(p.Routers)+len(p.Changes) > 0 || len(p.Nodes) > 1<<16 {
		return errors.New("nodes: in place of routers and changes, at most 65536")
	}
	hops := make([]int, len(p.Nodes))
	for i := range p.Nodes {
		n := &p.Nodes[i]
		if err := n.validate(i, len(p.Nodes), v4); err != nil {
			return err
		}
		for _, to := range n.Next {
			hops[to.Node] = max(hops[to.Node], hops[i]+1)
		}
	}
	if slices.Max(hops) > mostRouters {
		return errors.New("more than 254 routers")
	}
	return nil
}

// validate checks the node with the index i of so many.
func (n *Node) validate(i, nodes int, v4 bool) error {
	if n.Router.Fork != nil || n.By >= numberOfChoices || len(n.Next) == 0 || len(n.Next) > 1<<16 || n.Remap < 0 {
		return errNodes
	}
	if err := n.Router.validate(v4); err != nil {
		return err
	}
	if h := n.Router.Home; h != nil {
		if err := h.validate(v4); err != nil {
			return err
		}
	}
	sum, equal := 0.0, 0
	for _, to := range n.Next {
		if to.Node != 0 && (to.Node <= i || to.Node >= nodes) || validateShare(to.Share) != nil {
			return errNodes
		}
		sum += to.Share
		if to.Share == 0 {
			equal++
		}
	}
	if sum > 1+shareTolerance || equal > 0 && sum >= 1 {
		return errNodes
	}
	return nil
}

// shareOf is what part of the flows takes one of several ways. The wanted share of a way is 0 if it takes an equal part
// of what the others leave.
func shareOf[T any](ways []T, wanted func(T) float64, i int) float64 {
	if s := wanted(ways[i]); s > 0 {
		return s
	}
	rest, equal := 1.0, 0
	for _, w := range ways {
		s := wanted(w)
		rest -= s
		if s == 0 {
			equal++
		}
	}
	return max(0, rest) / float64(equal)
}
