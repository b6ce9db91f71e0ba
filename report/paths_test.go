package report

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// wideGraph is a router, so many behind it, of which the last is silent, one behind those, and the target.
func wideGraph(width int) *trace.Graph {
	addr := func(hop, n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(hop), byte(n)}) }
	g := &trace.Graph{Flows: 24, Probes: 107, Asked: 0.99, Confidence: 0.973, Tested: true, Complete: true, Reached: true}
	g.Nodes = append(g.Nodes, trace.Node{TTL: 1, Addr: addr(1, 1), Flows: 24, Next: width, Sure: 0.99, Hidden: 0.17})
	end := width + 1
	for i := range width {
		n := trace.Node{TTL: 2, Addr: addr(2, i), Flows: 8, Next: 1, Sure: 0.99, Hidden: 0.44}
		if i == width-1 {
			n.Addr = netip.Addr{}
		}
		g.Nodes = append(g.Nodes, n)
		g.Links = append(g.Links, trace.Link{From: 0, To: i + 1, Flows: 3}, trace.Link{From: i + 1, To: end, Flows: 3})
		g.Ways = append(g.Ways, trace.Way{Nodes: []int{0, i + 1, end, end + 1}, Ports: []uint16{uint16(40000 + i)},
			Share: 1 / float64(width)})
	}
	g.Nodes = append(g.Nodes, trace.Node{TTL: 3, Addr: addr(3, 1), Flows: 8, Next: 1, Sure: 0.99, Hidden: 0.44},
		trace.Node{TTL: 4, Addr: addr(9, 9), Target: true})
	g.Links = append(g.Links, trace.Link{From: end, To: end + 1, Flows: 1})
	g.Ways[width-1].Nodes[1] = -1
	return g
}

func TestPaths(t *testing.T) {
	var b strings.Builder
	g := wideGraph(3)
	name := func(a netip.Addr) string {
		if a == g.Nodes[0].Addr {
			return "gw.example\x1b"
		}
		return ""
	}
	if err := WritePaths(&b, g, PathsOptions{Target: netip.MustParseAddr("198.18.9.9"), FirstTTL: 1, Name: name}); err != nil {
		t.Fatal(err)
	}
	const want = `3 paths to 198.18.9.9, seen by 24 flows and 107 probes
path  share   port  by
   1  33.3%  40000  2a
   2  33.3%  40001  2b
   3  33.3%  40002  2*
 1  gw.example\x1b (198.18.1.1)  -> 2a-2c
2a  198.18.2.0                   -> 3
2b  198.18.2.1                   -> 3
2c  *                            -> 3
 3  198.18.3.1                   -> 4
 4  198.18.9.9 target
No more paths, with 99 % for each node and 97.3 % for the whole, where routers
share out the flows evenly. A branch may be missing if it has less than 44 % of
the flows beyond hop 2a, or less than 17 % of the flows beyond hop 1.
Routers that don't answer (*) can't be told apart: where one stands, there may
be several.
A balancer that looks at addresses only stays hidden.
`
	if got := b.String(); got != want {
		t.Errorf("got:\n%s", got)
	}
}

// A graph of 16 routers side by side fits a terminal.
func TestPathsWide(t *testing.T) {
	var b strings.Builder
	if err := WritePaths(&b, wideGraph(16), PathsOptions{Target: netip.MustParseAddr("198.18.9.9"), FirstTTL: 1}); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/paths-16.txt"
	if want, err := os.ReadFile(golden); err != nil || b.String() != string(want) {
		t.Errorf("not as in %s: %v\n%s", golden, err, &b)
	}
}

// However wide a graph is, no line is wider than a terminal.
func TestPathsWidth(t *testing.T) {
	g := wideGraph(40)
	for i := 1; i <= 40; i++ { // to each other one, so that there are no ranges
		for k := 1; k <= 16; k++ {
			g.Links = append(g.Links, trace.Link{From: 0, To: 2*k - 1 + i%2})
		}
	}
	g.Nodes[5].PerPacket, g.Complete = true, false
	g.Nodes[3].Refusal = &packet.Reply{Kind: packet.KindTCP}
	g.Ways[2].Nodes = []int{0, 3}
	g.Ways[1].MTU, g.Ways[1].MSS = &trace.MTU{Size: 1400}, &trace.MSS{Sent: 1460, Arrived: 1360, After: 1, Before: 2}
	g.Loss = &trace.Loss{Complete: true}
	var b strings.Builder
	target := netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678")
	if err := WritePaths(&b, g, PathsOptions{Target: target, FirstTTL: 1}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 81 {
			t.Errorf("%d columns: %q", len(line)-1, line)
		}
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{"40002 - - - - 2c (reset in the target's name) ", "40001 - - 1400 1360 2b "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if !strings.Contains(b.String(), "each packet") || !strings.Contains(b.String(), "2an") {
		t.Errorf("got:\n%s", b.String())
	}
}

// What comes before the first hop that was asked isn't claimed to be known.
func TestPathsFirst(t *testing.T) {
	g := wideGraph(2)
	g.Tested = true
	var b strings.Builder
	o := PathsOptions{Target: netip.MustParseAddr("198.18.9.9"), FirstTTL: 3}
	if err := WritePaths(&b, g, o); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{" from hop 3 on, with ", "Hops before hop 3 were not asked: there may be more paths "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

// If this host shares its connections out over links with addresses of their own, the paths from one aren't all.
func TestPathsOtherSources(t *testing.T) {
	for _, others := range [][]netip.Addr{nil, {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.5")}} {
		g := trace.Graph{Nodes: []trace.Node{{TTL: 1, Addr: netip.MustParseAddr("198.18.9.9"), Target: true}},
			Ways: []trace.Way{{Nodes: []int{0}, Ports: []uint16{40000}, Share: 1}}, Tested: true, Reached: true, Complete: true}
		g.LeaveOut(others)
		var b strings.Builder
		if err := WritePaths(&b, &g, PathsOptions{Target: netip.MustParseAddr("198.18.9.9"), FirstTTL: 1}); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(b.String()), " ")
		for _, said := range []string{"At least 1 path", "the way that is known", "Others leave from 192.0.2.1, 192.0.2.5: "} {
			if strings.Contains(text, said) != (others != nil) {
				t.Errorf("other sources %v, %q:\n%s", others, said, &b)
			}
		}
		if claimed := strings.Contains(text, "the only way") || strings.Contains(text, "No more paths"); claimed != (others == nil) {
			t.Errorf("other sources %v:\n%s", others, &b)
		}
	}
}

// Where packets get to other network namespaces of the same kernel, any router that shares out flows may look at no port.
func TestPortsMayNotCount(t *testing.T) {
	g := &trace.Graph{Nodes: []trace.Node{{TTL: 1, Next: 1}, {TTL: 2, Next: 2}}}
	line := &trace.Graph{Nodes: g.Nodes[:1]}
	if PortsMayNotCount(g, true) == "" || PortsMayNotCount(g, false) != "" || PortsMayNotCount(line, true) != "" {
		t.Error("said where it isn't so, or the other way round")
	}
}

// Where routers are silent, and where the target is, no more is claimed than is known.
func TestPathsUnknown(t *testing.T) {
	const stars = "Routers that don't answer (*)"
	behind := wideGraph(3) // a silent hop before it
	for i := range behind.Nodes {
		behind.Nodes[i].TTL++
	}
	for i := range behind.Ways {
		behind.Ways[i].Nodes = append([]int{-1}, behind.Ways[i].Nodes...)
	}
	dead := wideGraph(3)
	dead.Ways[2].Nodes = dead.Ways[2].Nodes[:2] // 1, *
	loop := wideGraph(3)
	loop.Nodes = append(loop.Nodes, trace.Node{TTL: 4, Addr: netip.MustParseAddr("198.18.2.1")})
	loop.Ways[1].Nodes[3] = 6
	spared := wideGraph(3)
	spared.Ways[1].Nodes = spared.Ways[1].Nodes[:3]
	spared.Nodes[4].Spared = true
	unlinked := wideGraph(3)
	unlinked.Links, unlinked.Complete = unlinked.Links[:len(unlinked.Links)-1], false
	unlinked.Nodes[4].Spared = true
	short := wideGraph(2)
	short.Reached, short.Nodes[2].Addr, short.Ways[1].Nodes[1] = false, netip.MustParseAddr("198.18.2.2"), 2
	limit := wideGraph(2)
	limit.Reached, limit.Nodes, limit.Links = false, limit.Nodes[:3], nil
	limit.Ways[0].Nodes, limit.Ways[1].Nodes = []int{0, 1}, []int{0, 2}
	limit.Nodes[2].Addr = netip.MustParseAddr("198.18.2.2")
	round := wideGraph(3)
	for ttl, last := range []string{"198.18.1.1", "198.18.2.1", "198.18.1.1"} {
		round.Nodes = append(round.Nodes, trace.Node{TTL: 3 + ttl, Addr: netip.MustParseAddr(last)})
	}
	round.Ways[1].Nodes = []int{0, 2, 6, 7, 8}
	refused := wideGraph(3)
	refused.Nodes[2].Refusal = &packet.Reply{Kind: packet.KindUnreachable, Code: 13, IP: packet.IP{Version: 4}}
	refused.Ways[1].Nodes = []int{0, 2}
	declined := wideGraph(2)
	declined.Nodes[4].Refusal, declined.Nodes[4].Target = refused.Nodes[2].Refusal, false
	declined.Reached, declined.Complete, declined.Ways[1].Nodes[1] = false, false, 2
	all := wideGraph(2)
	all.Nodes[3].Refusal, all.Reached, all.Complete = refused.Nodes[2].Refusal, false, false
	all.Nodes, all.Links = all.Nodes[:4], nil
	all.Ways[0].Nodes, all.Ways[1].Nodes = []int{0, 1, 3}, []int{0, 2, 3}
	next := &trace.Graph{Nodes: []trace.Node{{TTL: 1, Addr: netip.MustParseAddr("198.18.9.9"), Target: true}},
		Ways: []trace.Way{{Nodes: []int{0}, Ports: []uint16{40000}, Share: 1}}, Asked: 0.99, Confidence: 0.75, Reached: true}
	apart := wideGraph(2) // they meet again at the target only
	apart.Nodes[1].Addr, apart.Nodes[2].Addr = netip.MustParseAddr("198.18.2.1"), netip.MustParseAddr("198.18.2.2")
	apart.Nodes[3] = trace.Node{TTL: 3, Addr: netip.MustParseAddr("198.18.9.9"), Target: true}
	apart.Nodes, apart.Links = apart.Nodes[:4], nil
	apart.Ways[0].Nodes, apart.Ways[1].Nodes = []int{0, 1, 3}, []int{0, 2, 3}
	apart.Loss = &trace.Loss{Complete: true, Flows: []trace.FlowLoss{{Node: 1, Port: 40000, Sent: 44},
		{Node: 2, Port: 40001, Sent: 44, Lost: 11}}}
	faces := wideGraph(4)
	faces.Nodes[1].MayBe, faces.Nodes[2].MayBe = []int{2}, []int{1}
	combined := wideGraph(3) // of which the last one's share was not seen as a whole
	combined.Ways = combined.Ways[:2]
	disguised := wideGraph(2)
	disguised.Nodes[1].Addr, disguised.Complete, disguised.Tested = netip.MustParseAddr("198.18.9.9"), false, false
	for _, tt := range []struct {
		name          string
		g             *trace.Graph
		want, wantNot []string
	}{
		{"faces", faces, []string{"Hops 2a, 2b may be one router with several addresses: they have the same"}, []string{"2b, 2a"}},
		{"limit", limit, []string{"The paths go on: hop 2, the last that was asked"}, []string{"target didn't answer"}},
		{"round", round, []string{"2 paths to 198.18.9.9, and 1 in a loop, by", "40001  2b 3b 4b (a loop from hop 1 on)\n"},
			[]string{"not seen", "2 refused"}},
		{"refused", refused, []string{"2 paths to 198.18.9.9, and 1 refused on the way, by", "40001  2b (!A)\n", "2b  198.18.2.1 !A",
			"beyond who refuses flows is not known"}, []string{"not seen"}},
		{"in other combinations", combined, []string{"At least 2 paths", "Nothing else is missing",
			"Another 33.3 % of the flows take these links in other combinations"}, []string{"No more paths"}},
		{"in the target's name", disguised, []string{"At least 2 paths", "Routers answer in the target's name",
			"so there may be more paths"}, []string{"No more paths", "Not all"}},
		{"refused by the target", declined, []string{"0 paths to 198.18.9.9, and 2 refused by the target, by", " 4  198.18.9.9 !A"},
			[]string{"on the way", "target didn't answer"}},
		{"all refused", all, []string{"0 paths to 198.18.9.9, and 2 refused on the way, by", "All paths are refused on the way:"},
			[]string{"target didn't answer", "--max-target-syns"}},
		{"next", next, []string{"At least 1 path", "\n75 %. The target answers the first hop"},
			[]string{"No more paths", "only way"}},
		{"apart", apart, []string{"11/44", "to the last router of each path", "so that alone\nis no sign of a lossy path"},
			[]string{"all paths pass. A path"}},
		{"nobody", &trace.Graph{Flows: 1, Probes: 2, Asked: 0.99, Ways: []trace.Way{{Nodes: []int{-1}, Ports: []uint16{7}}}},
			[]string{stars, "target didn't answer", "Not all", " 7  1*\n"}, []string{"No more paths"}},
		{"first hop", behind, []string{"40000  1* 3a\n", "40002  1* 3*\n", stars}, []string{"target didn't answer"}},
		{"dead", dead, []string{"2 paths to 198.18.9.9, and 1 not seen to get there, by", "40002  2* (not seen to get there)\n"},
			[]string{"2a (not", "3 paths"}},
		{"loop", loop, []string{"2 paths to 198.18.9.9, and 1 not seen to get there, by", "40001  2b 4b (not seen to get there)\n"},
			[]string{"2a (not", "3 paths"}},
		{"spared", spared, []string{"3 paths to 198.18.9.9, seen", "No more paths before the last routers",
			"Other ways to the target beyond 1 last router (3) are not ruled"}, []string{"At least", "get there", "no flow was seen"}},
		{"unlinked", unlinked, []string{"At least 3 paths to ", "From 1 last router (3) no flow was seen to get to the target",
			"(--max-target-syns)"}, nil},
		{"target", short, []string{"target didn't answer", "40001  2b\n"}, []string{stars}},
	} {
		var b strings.Builder
		o := PathsOptions{Target: netip.MustParseAddr("198.18.9.9"), FirstTTL: 1, MaxTTL: 2}
		if err := WritePaths(&b, tt.g, o); err != nil {
			t.Fatal(err)
		}
		for _, s := range tt.want {
			if !strings.Contains(b.String(), s) {
				t.Errorf("%s: no %q in\n%s", tt.name, s, b.String())
			}
		}
		for _, s := range tt.wantNot {
			if strings.Contains(b.String(), s) {
				t.Errorf("%s: %q in\n%s", tt.name, s, b.String())
			}
		}
	}
}
