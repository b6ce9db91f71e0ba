package sim

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// nodes is a path of routers $1, $2, ..., each with its links.
func (f family) nodes(t *testing.T, by Choice, change func(*Path), links ...[]Next) *Model {
	t.Helper()
	p := Path{Target: Target{Addr: f.target}}
	for i, next := range links {
		p.Nodes = append(p.Nodes, Node{Router: Router{Addrs: []netip.Addr{f.addr("$" + string(rune('1'+i)))}}, Next: next, By: by})
	}
	change(&p)
	m, err := New(Scenario{NoHostRST: true, Paths: []Path{p}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func unchanged(*Path) {}

// meshed has ways of three and of four routers, and a mesh: 1 -> 2, 3; 2 -> 4, 5; 3 -> 4, 5, 6; 4 -> target; 5, 6 -> 7.
var meshed = [][]Next{{{Node: 1}, {Node: 2}}, {{Node: 3}, {Node: 4}}, {{Node: 3}, {Node: 4}, {Node: 5}}, {{}}, {{Node: 6}}, {{Node: 6}}, {{}}}

// Flows go only by links of the graph, each keeps to its way, and all links are used, by the shares of the flows.
func TestNodes(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.nodes(t, ByPorts, unchanged, meshed...)
		got := f.ways(t, m, byPort(f))
		if again := f.ways(t, f.nodes(t, ByPorts, unchanged, meshed...), byPort(f)); !slices.Equal(got, again) {
			t.Error("a flow changes its way")
		}
		// Half of the flows go by 2 and half of those by 4, half by 3 and a third of those by 4: 5/12 are short.
		if n := tally(got); len(n) != 2 || n[3] < 60 || n[3] > 110 {
			t.Errorf("routers passed, and how often: %v", n)
		}
		for _, h := range m.Truth(0).Hops {
			if h.Members[0].Arrived == 0 {
				t.Errorf("nobody came to %v at hop %d", h.Members[0].Addr, h.Hop)
			}
		}
		links := (&Path{Nodes: linked(meshed)}).NodeLinks()
		want := []NodeLink{{1, 0, 1}, {1, 0, 2}, {2, 1, 3}, {2, 1, 4}, {2, 2, 3}, {2, 2, 4}, {2, 2, 5}, {3, 3, -1}, {3, 4, 6}, {3, 5, 6}, {4, 6, -1}}
		if !slices.Equal(links, want) {
			t.Errorf("links %v", links)
		}
	})
}

func linked(links [][]Next) (all []Node) {
	for _, next := range links {
		all = append(all, Node{Next: next})
	}
	return all
}

// What decides at a node is what By says; nodes with one seed choose alike; after Remap flows go other ways.
func TestNodesDecide(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		diamond := [][]Next{{{Node: 1}, {}}, {{}}}
		byLabel := func(i int, p *packet.Probe) { p.FlowLabel = uint32(i) }
		for _, c := range []struct {
			by     Choice
			change func(int, *packet.Probe)
			ways   int
		}{
			{ByAddresses, byPort(f), 1}, {ByPorts, byPort(f), 2}, {ByLabel, byPort(f), 1}, {ByPacket, func(int, *packet.Probe) {}, 2},
			{ByLabel, byLabel, 2}, {ByPortsAndLabel, byPort(f), 2},
		} {
			if f.v4 && c.by == ByLabel {
				continue
			}
			if n := tally(f.ways(t, f.nodes(t, c.by, unchanged, diamond...), c.change)); len(n) != c.ways {
				t.Errorf("choice %d: %v", c.by, n)
			}
		}
		same := func(p *Path) { p.Nodes[0].Seed, p.Nodes[2].Seed = 5, 5 }
		twice := [][]Next{{{Node: 1}, {Node: 2}}, {{Node: 2}}, {{Node: 3}, {}}, {{}}}
		if n := tally(f.ways(t, f.nodes(t, ByPorts, same, twice...), byPort(f))); len(n) != 2 || n[3] > 0 {
			t.Errorf("one seed: %v", n)
		}
		remapped := f.ways(t, f.nodes(t, ByPorts, func(p *Path) { p.Nodes[0].Remap = 100 * time.Millisecond }, diamond...),
			func(i int, p *packet.Probe) { p.Src = netip.AddrPortFrom(f.host, 2000+uint16(i%100)) })
		if slices.Equal(remapped[:100], remapped[100:]) {
			t.Error("nothing was remapped")
		}
	})
}

// A graph that makes no sense is refused.
func TestNodesRefused(t *testing.T) {
	f := families[0]
	for name, nodes := range map[string][]Node{
		"no link":  {{}},
		"back":     {{Next: []Next{{Node: 1}}}, {Next: []Next{{Node: 1}}}},
		"nowhere":  {{Next: []Next{{Node: 2}}}, {Next: []Next{{}}}},
		"too much": {{Next: []Next{{Share: 1}, {Node: 1}}}, {Next: []Next{{}}}},
		"a fork":   {{Router: Router{Fork: &Fork{}}, Next: []Next{{}}}},
	} {
		if _, err := New(Scenario{Paths: []Path{{Nodes: nodes, Target: Target{Addr: f.target}}}}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
