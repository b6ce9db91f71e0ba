package trace

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// PathsMTU is the plan that finds how large a packet passes each of the ways that Paths has found, as far as the last
// router of that way: a search for the MTU each, one after the other, by SYNs with a payload that routers answer. The
// target gets none of them.
type PathsMTU struct {
	ways     []int // indices in Graph.Ways
	searches []*MTUSearch
}

// mostMTUWays is how many ways are measured at the most.
const mostMTUWays = 16

// NewPathsMTU measures the ways of a graph that a search has found. first is the size that is tried first, the
// interface's MTU.
func NewPathsMTU(p *Paths, g *Graph, first int) (*PathsMTU, error) {
	m := &PathsMTU{}
	if len(g.Ways) < 2 || p.alone || p.maker.o.Protocol == packet.ProtoEcho {
		return m, nil
	}
	labels := map[uint16]uint32{}
	for _, f := range p.flows {
		labels[f.port] = f.label
	}
	for i, w := range g.Ways {
		hops, to := g.routers(w, p.first)
		if to == 0 || len(m.ways) == mostMTUWays {
			continue
		}
		port := w.Ports[0]
		o := MTUOptions{Path: p.o.Path, Wait: p.timeout(), First: first, Hops: hops, To: to, Label: labels[port]}
		o.Path.Source, o.Path.Ports, o.Path.ProbePorts = netip.AddrPortFrom(o.Path.Source.Addr(), port), nil, nil
		s, err := NewMTUSearch(o)
		if err != nil {
			return nil, err
		}
		m.ways, m.searches = append(m.ways, i), append(m.searches, s)
	}
	return m, nil
}

// routers are who answers on a way, from TTL 1 on, and the TTL of its last router; 0: none is, or the way is a loop.
func (g *Graph) routers(w Way, first int) (hops []netip.Addr, last int) {
	if len(g.Circle(w)) > 0 {
		return nil, 0
	}
	hops = make([]netip.Addr, first-1)
	for _, node := range w.Nodes {
		a := netip.Addr{}
		if node >= 0 && !g.Nodes[node].Target && g.Nodes[node].Refusal == nil {
			a, last = g.Nodes[node].Addr, g.Nodes[node].TTL
		}
		hops = append(hops, a)
	}
	return hops[:last], last
}

// Ways is how many ways are measured.
func (m *PathsMTU) Ways() int { return len(m.ways) }

// Next implements Plan.
func (m *PathsMTU) Next(now time.Time) Action {
	for _, s := range m.searches {
		if !s.over {
			return s.Next(now)
		}
	}
	return Action{}
}

// Learn implements Plan.
func (m *PathsMTU) Learn(now time.Time, r Result) {
	for _, s := range m.searches {
		if !s.over {
			s.Learn(now, r)
			return
		}
	}
}

// Add adds what was found to the graph.
func (m *PathsMTU) Add(g *Graph) {
	for i, way := range m.ways {
		g.Ways[way].MTU = new(m.searches[i].Found())
	}
}
