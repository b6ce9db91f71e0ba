package detect_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// unaligned is a connection on which sending takes its time, so that never do two things happen at one instant: else the
// scheduler decides which of them comes first, and two runs with one seed differ.
type unaligned struct {
	*sim.Conn
	rng *rand.Rand
}

func (c unaligned) Send(p packet.Probe) (time.Time, error) {
	time.Sleep(time.Duration(c.rng.IntN(10_000)))
	return c.Conn.Send(p)
}

// measuredGraph searches and measures all paths of a network, in virtual time.
func measuredGraph(t *testing.T, seed uint64, p sim.Path) (g trace.Graph) {
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(sim.Scenario{Seed: seed, Paths: []sim.Path{p}})
		if err != nil {
			t.Fatal(err)
		}
		c := unaligned{sim.NewConn(m), rand.New(rand.NewPCG(seed, 7))}
		defer c.Close()
		o := trace.PathOptions{Target: netip.AddrPortFrom(p.Target.Addr, 443), Source: netip.MustParseAddrPort("192.0.2.1:40000"),
			ProbePorts: []uint16{40001, 40002, 40003, 40004}, Rand: rand.New(rand.NewPCG(seed, 9))}
		var known []trace.Result
		run := func(plan trace.Plan, err error, emit func(trace.Result)) {
			if err == nil {
				_, err = trace.Run(context.Background(), c, plan, trace.Options{Observe: func(trace.Event) { synctest.Wait() }}, emit)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		path, err := trace.NewPath(o)
		run(path, err, func(r trace.Result) { known = append(known, r) })
		po := trace.PathsOptions{Path: o, Known: known, BranchFlows: trace.LossFlows}
		for i := range 255 {
			po.Ports = append(po.Ports, 41000+uint16(i))
		}
		paths, err := trace.NewPaths(po)
		run(paths, err, func(trace.Result) {})
		loss, err := trace.NewPathsLoss(paths, trace.PathsLossOptions{})
		run(loss, err, func(trace.Result) {})
		g = loss.Graph()
	})
	return g
}

// fourWide is a diamond of four members, 10.0.0.2 to 10.0.0.5, behind 10.0.0.1 at hop 2; 10.0.0.6 is beyond. Nothing leads
// to the nodes from 7 on.
func fourWide() sim.Path {
	p := sim.Path{Target: sim.Target{Addr: netip.MustParseAddr("203.0.113.9")}}
	for i := range 7 {
		n := sim.Node{Router: sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}}}
		n.Router.Delay = 2 * time.Millisecond
		switch i {
		case 0:
			n.Next = []sim.Next{{Node: 1}}
		case 1:
			n.Next = []sim.Next{{Node: 2}, {Node: 3}, {Node: 4}, {Node: 5}}
		case 6:
			n.Next = []sim.Next{{Node: 0}}
		default:
			n.Next = []sim.Next{{Node: 6}}
		}
		p.Nodes = append(p.Nodes, n)
	}
	for i := 7; i < 40; i++ { // a loop from 10.0.0.1 on, as if the third member sent back: no packet comes to its end
		n := p.Nodes[3-i%2*2]
		n.Next = []sim.Next{{Node: (i + 1) % 40}}
		p.Nodes = append(p.Nodes, n)
	}
	return p
}

// Paths of which one is narrower are said with the router that says so, or with what may look the same.
func TestNarrowBranches(t *testing.T) {
	g := measuredGraph(t, 7, fourWide())
	from := netip.MustParseAddr("10.0.0.3")
	for i := range g.Ways {
		g.Ways[i].MTU = &trace.MTU{Size: 1500, First: 1500}
	}
	if all := detect.InPaths(&g); len(all) > 0 {
		t.Errorf("all are alike:\n%s", details(all))
	}
	g.Ways[1].MTU = &trace.MTU{Size: 1400, First: 1500, Narrow: true, TTL: 3, From: from}
	g.Ways[2].MTU = &trace.MTU{Size: 1420, First: 1500, Narrow: true, BlackHole: true}
	g.Ways[3].MTU = &trace.MTU{First: 1500} // not known
	all := detect.InPaths(&g)
	if len(all) != 2 || all[0].Code != detect.MTUBlackHole || all[0].Confidence != detect.Possible ||
		!strings.HasPrefix(all[0].Title, "Packets of more than 1420 bytes vanish on ") ||
		all[1].Code != detect.MTULimit || all[1].Confidence != detect.Likely || all[1].After != 3 ||
		!strings.HasPrefix(all[1].Title, "Packets of more than 1400 bytes don't fit beyond 10.0.0.3 (hop 3) on ") {
		t.Errorf("said\n%s", details(all))
	}
}

// Paths on which another MSS arrives are said with the place where it is changed.
func TestClampedBranches(t *testing.T) {
	asSent := trace.MSS{Sent: 1460, Arrived: 1460}
	common := trace.MSS{Sent: 1460, Arrived: 1400, After: 1, Before: 2}
	for _, c := range []struct {
		name string
		ways [4]trace.MSS // zero: not known
		want []string
	}{
		{"alike", [4]trace.MSS{asSent, asSent, {}, asSent}, nil},
		{"changed before the branches", [4]trace.MSS{common, common, common, common}, nil},
		{"one lower", [4]trace.MSS{asSent, {Sent: 1460, Arrived: 1360, After: 3, Before: 4}, asSent, {}}, []string{
			"mss-clamped likely 3-4 The MSS is changed to 1360 between 10.0.0.3 (hop 3) and 10.0.0.6 (hop 4) on "}},
		{"two lower", [4]trace.MSS{common, {Sent: 1460, Arrived: 1360, After: 3, Before: 4},
			{Sent: 1460, Arrived: 1360, After: 3, Before: 4}, common}, []string{
			"mss-clamped likely 3-4 The MSS is changed to 1360 between 10.0.0.3 (hop 3) and 10.0.0.6 (hop 4) on ",
			"mss-clamped likely 3-4 The MSS is changed to 1360 between 10.0.0.4 (hop 3) and 10.0.0.6 (hop 4) on "}},
		{"one higher", [4]trace.MSS{{Sent: 1460, Arrived: 8960, Before: 1}, asSent, asSent, asSent}, []string{
			"mss-raised likely 0-1 The MSS is changed to 8960 between this host and 10.0.0.0 (hop 1) on "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := measuredGraph(t, 7, fourWide())
			for i := range g.Ways {
				if g.Ways[i].MSS = &c.ways[i]; c.ways[i].Sent == 0 {
					g.Ways[i].MSS = nil
				}
			}
			all := detect.InPaths(&g)
			ok := len(all) == len(c.want)
			for i := range min(len(all), len(c.want)) {
				said := fmt.Sprintf("%s %v %d-%d %s", all[i].Code, all[i].Confidence, all[i].After, all[i].Before, all[i].Title)
				ok = ok && strings.HasPrefix(said, c.want[i])
			}
			if !ok {
				t.Errorf("want %q, said\n%s", c.want, details(all))
			}
		})
	}
}

// Of a broken branch that the trace shows too, only what the measurement of all paths knows is said.
func TestWithPaths(t *testing.T) {
	p := fourWide()
	p.Nodes[3].Router.Rules = []sim.Rule{{Action: sim.Reject, Code: 13}}
	g := measuredGraph(t, 7, p)
	of := func(code detect.Code, c detect.Confidence, after int) detect.Finding {
		return detect.Finding{Code: code, Confidence: c, After: after, Before: after + 1, Title: "of the trace"}
	}
	for _, c := range []struct {
		x    detect.Finding
		kept bool
	}{
		{of(detect.BrokenBranch, detect.Likely, 3), false},
		{of(detect.BrokenBranch, detect.Possible, 2), false},
		{of(detect.BrokenBranch, detect.Certain, 3), true},
		{of(detect.BrokenBranch, detect.Likely, 7), true},
		{of(detect.PortOpen, detect.Certain, 3), true},
	} {
		all := detect.WithPaths([]detect.Finding{c.x}, &g)
		kept := slices.ContainsFunc(all, func(x detect.Finding) bool { return x.Title == c.x.Title })
		if kept != c.kept || len(all) != 1+len(detect.InPaths(&g)) && kept {
			t.Errorf("%v %v after hop %d: kept %v\n%s", c.x.Code, c.x.Confidence, c.x.After, kept, details(all))
		}
	}
}

// That the path changes is explained by a router that sends each packet its own way, if one flow was answered in turn
// beyond it. If it was answered otherwise once, the route may have changed.
func TestWithPathsSprayed(t *testing.T) {
	p := fourWide()
	for i := range p.Nodes {
		if len(p.Nodes[i].Next) > 1 {
			p.Nodes[i].By = sim.ByPacket
		}
	}
	g := measuredGraph(t, 7, p)
	at := slices.IndexFunc(g.Nodes, func(n trace.Node) bool { return n.Alternates })
	if at < 0 {
		t.Fatalf("no router is known to alternate: %+v", g.Nodes)
	}
	x := detect.Finding{Code: detect.LoadBalancer, Confidence: detect.Possible, After: g.Nodes[at].TTL,
		Before: g.Nodes[at].TTL + 1, Title: "The path changes"}
	for _, alternates := range []bool{true, false} {
		g.Nodes[at].Alternates = alternates
		all := detect.WithPaths([]detect.Finding{x}, &g)
		if explained := all[0].Confidence == detect.Likely && all[0].Title != x.Title; explained != alternates {
			t.Errorf("alternates %v:\n%s", alternates, details(all))
		}
	}
}

// Where one branch loses packets and others don't, answers that are missing beyond it show no limit. Before it, and where
// nothing is lost at all hops beyond, they do.
func TestWithPathsLossIsNoLimit(t *testing.T) {
	t.Parallel()
	p := fourWide()
	p.Nodes[3].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.3}}
	g := measuredGraph(t, 7, p)
	for _, c := range []struct {
		x    detect.Finding
		kept bool
	}{
		{detect.Finding{Code: detect.RateLimited, Confidence: detect.Likely, After: 2, Before: 5}, false},
		{detect.Finding{Code: detect.ICMPRateLimit, Confidence: detect.Possible, After: 4, Before: 4}, false},
		{detect.Finding{Code: detect.ICMPRateLimit, Confidence: detect.Likely, After: 4, Before: 4}, true},
		{detect.Finding{Code: detect.RateLimited, Confidence: detect.Likely, After: 1, Before: 2}, true},
	} {
		all := detect.WithPaths([]detect.Finding{c.x}, &g)
		if kept := len(all) > len(detect.InPaths(&g)); kept != c.kept {
			t.Errorf("%v %v at hop %d, kept %v is right:\n%s", c.x.Code, c.x.Confidence, c.x.Before, c.kept, details(all))
		}
	}
}

// What the measurement of all paths shows is said with its place, and nothing else is.
func TestInPaths(t *testing.T) {
	drop := func(n *sim.Node, share float64) { n.Router.Rules = []sim.Rule{{Action: sim.Drop, Share: share}} }
	for _, c := range []struct {
		name   string
		change func(nodes []sim.Node)
		want   []string // code, confidence, place, and a part of the title
	}{
		{name: "clean"},
		{"a member drops all", func(n []sim.Node) { drop(&n[2], 0) },
			[]string{"broken-branch likely 3-4 10.0.0.2 (hop 3) loses all packets"}},
		{"a member drops a third", func(n []sim.Node) { drop(&n[3], 0.3) },
			[]string{"lossy-branch likely 3-4 10.0.0.3 (hop 3) loses"}},
		{"the link to a member loses a third", func(n []sim.Node) { n[3].Router.Link.Loss = 0.3 },
			[]string{"lossy-branch likely 2-3 10.0.0.3 (hop 3) loses"}},
		{"two members drop", func(n []sim.Node) { drop(&n[2], 0); drop(&n[5], 0.3) },
			[]string{"broken-branch likely 3-4 10.0.0.2 (hop 3) loses all", "lossy-branch likely 3-4 10.0.0.5 (hop 3) loses"}},
		{"a member is silent, and drops all", func(n []sim.Node) { drop(&n[4], 0); n[4].Router.Silent = 1 },
			[]string{"broken-branch likely 2-4 connections die beyond 10.0.0.1 (hop 2), and others pass"}},
		{"a member is slow", func(n []sim.Node) { n[4].Router.Delay = 12 * time.Millisecond },
			[]string{"slow-branch likely 2-4 10.0.0.4 (hop 3) is slower: round trips take 20ms longer"}},
		{"a member answers late", func(n []sim.Node) { n[4].Router.Slow = 30 * time.Millisecond }, nil},
		{"a member limits its answers", func(n []sim.Node) {
			n[4].Router.SourceRate = sim.Rate{Every: 100 * time.Millisecond, Burst: 6}
		}, nil},
		{"the router beyond limits its answers", func(n []sim.Node) {
			n[6].Router.SourceRate = sim.Rate{Every: 100 * time.Millisecond, Burst: 6}
		}, nil},
		{"a member rejects", func(n []sim.Node) { n[3].Router.Rules = []sim.Rule{{Action: sim.Reject, Code: 13}} },
			[]string{"broken-branch likely 3-4 connections are rejected by 10.0.0.3 (hop 3), and others pass: communication admin"}},
		{"a member resets", func(n []sim.Node) { n[3].Router.Rules = []sim.Rule{{Action: sim.Reset}} },
			[]string{"broken-branch likely 3-4 connections are reset in the target's name beyond 10.0.0.3 (hop 3), and others"}},
		{"a member rejects, another one drops a third",
			func(n []sim.Node) { n[3].Router.Rules = []sim.Rule{{Action: sim.Reject, Code: 1}}; drop(&n[4], 0.3) },
			[]string{"broken-branch likely 3-4 rejected by 10.0.0.3 (hop 3), and others pass: host unreach", "lossy-branch likely 3-4 10.0.0.4"}},
		{"a rule rejects some source ports", func(n []sim.Node) {
			n[1].Router.Rules = []sim.Rule{{Action: sim.Reject, Code: 13, Lo: 41000, Hi: 41007, Source: true}}
		}, []string{"broken-branch possible 2-3 rejected by 10.0.0.1 (hop 2), and others pass"}},
		{"a member sends back", func(n []sim.Node) { n[3].Next = []sim.Next{{Node: 7}} },
			[]string{"routing-loop likely 2-3 connections go round in a loop: 10.0.0.1 (hop 2), 10.0.0.3 (hop 3)"}},
		{"all are rejected", func(n []sim.Node) { n[6].Router.Rules = []sim.Rule{{Action: sim.Reject, Code: 13}} }, nil},
		{"all are reset", func(n []sim.Node) { n[6].Router.Rules = []sim.Rule{{Action: sim.Reset}} }, nil},
		{"all lose", func(n []sim.Node) { drop(&n[1], 0.05) }, nil},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			p := fourWide()
			if c.change != nil {
				c.change(p.Nodes)
			}
			g := measuredGraph(t, 7, p)
			all := detect.InPaths(&g)
			said := details(all)
			for _, x := range all {
				i := slices.IndexFunc(c.want, func(want string) bool {
					head := fmt.Sprintf("%s %v %d-%d ", x.Code, x.Confidence, x.After, x.Before)
					title, ok := strings.CutPrefix(want, head)
					return ok && strings.Contains(x.Title, title)
				})
				if i < 0 {
					t.Errorf("said %s %v %d-%d %s", x.Code, x.Confidence, x.After, x.Before, x.Title)
				} else {
					c.want = slices.Delete(slices.Clone(c.want), i, i+1)
				}
			}
			if len(c.want) > 0 {
				t.Errorf("not said: %q\n%s", c.want, said)
			}
			t.Log("\n" + said)
		})
	}
}

// Where branches join at the last router before the target, which answers each of them by another address, a loss and a
// router that answers only some probes look the same. Both are said.
func TestInPathsLastOnly(t *testing.T) {
	for name, change := range map[string]func(nodes []sim.Node){
		"the member drops":      func(n []sim.Node) { n[3].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.3}} },
		"the last answers some": func(n []sim.Node) { n[8].Router.Silent = 0.3 },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			p := fourWide()
			for i := range 4 {
				last := &p.Nodes[7+i]
				last.Router = sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})}}
				last.Router.Delay = 2 * time.Millisecond
				p.Nodes[2+i].Next, last.Next = []sim.Next{{Node: 7 + i}}, []sim.Next{{Node: 0}}
			}
			change(p.Nodes)
			g := measuredGraph(t, 7, p)
			all := detect.InPaths(&g)
			if len(all) != 1 || all[0].Code != detect.LossyBranch || all[0].Confidence != detect.Possible ||
				all[0].After != 3 || all[0].Before != 4 || !strings.HasPrefix(all[0].Title,
				"Packets are lost between 10.0.0.3 (hop 3) and 10.0.1.1 (hop 4), or the latter answers only some probes: ") {
				t.Errorf("said\n%s", details(all))
			}
			t.Log("\n" + details(all))
		})
	}
}

// A branch right before the target from which nobody gets an answer is said, though few SYNs may show it. One that is
// longer by a silent router, or loses some, isn't.
func TestUnansweredBranches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(nodes []sim.Node)
		want   string
	}{
		{"clean", func([]sim.Node) {}, ""},
		{"drops all", func(n []sim.Node) { n[3].Router.Rules = []sim.Rule{{Action: sim.Drop}} },
			"broken-branch possible 3-4 10.0.0.3"},
		{"loses a tenth", func(n []sim.Node) { n[3].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.1}} }, ""},
		{"is longer by a silent router", func(n []sim.Node) {
			n[3].Next = []sim.Next{{Node: 6}}
			n[6].Router.Silent = 1
		}, ""},
	} {
		for seed := range uint64(5) {
			p := fourWide()
			for i := 2; i < 6; i++ {
				p.Nodes[i].Next = []sim.Next{{Node: 0}}
			}
			c.change(p.Nodes)
			g := measuredGraph(t, seed, p)
			said := ""
			for _, x := range detect.InPaths(&g) {
				said += fmt.Sprintf("%s %v %d-%d %s", x.Code, x.Confidence, x.After, x.Before,
					strings.Fields(x.Title[strings.LastIndex(x.Title, "beyond ")+1:])[1])
			}
			if said != c.want {
				t.Errorf("%s, seed %d: %q, want %q\n%s", c.name, seed, said, c.want, details(detect.InPaths(&g)))
			}
		}
	}
}

// What the graph of all paths shows is not said once more by the trace: a balancer, or an MTU of which the paths tell the
// share of the connections. What is elsewhere is.
func TestWithPathsOnce(t *testing.T) {
	t.Parallel()
	g := measuredGraph(t, 1, fourWide())
	small, large := trace.MTU{Size: 1400, TTL: 3, From: netip.MustParseAddr("10.0.0.2")}, trace.MTU{Size: 1500}
	for i := range g.Ways {
		g.Ways[i].MTU = &large
	}
	g.Ways[0].MTU = &small
	finding := func(code detect.Code, after int) detect.Finding {
		return detect.Finding{Code: code, Confidence: detect.Certain, After: after, Before: after + 1}
	}
	for _, c := range []struct {
		of   []detect.Finding
		want string
	}{
		{nil, "mtu-limit"},
		{[]detect.Finding{finding(detect.MTULimit, 3)}, "mtu-limit"},
		{[]detect.Finding{finding(detect.MTULimit, 6)}, "mtu-limit mtu-limit"},
		{[]detect.Finding{finding(detect.LoadBalancer, 2)}, "mtu-limit"},
		{[]detect.Finding{finding(detect.LoadBalancer, 4)}, "load-balancer mtu-limit"},
	} {
		var codes []string
		for _, x := range detect.WithPaths(c.of, &g) {
			codes = append(codes, string(x.Code))
		}
		if slices.Sort(codes); strings.Join(codes, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.of, codes, c.want)
		}
	}
}

// Where the target answers nobody, a way that ends before a router at which others come together is possibly broken: it
// may be a shorter one. It is said only if enough was asked there.
func TestEndingBranches(t *testing.T) {
	at := func(ttl int, last byte) trace.Node {
		return trace.Node{TTL: ttl, Addr: netip.AddrFrom4([4]byte{10, 0, 0, last}), Next: 1}
	}
	for _, c := range []struct {
		name       string
		unanswered int
		third      bool // there is a second way to the router beyond
		reached    bool
		want       string
	}{
		{"one of three", 4, true, false, "10.0.0.3 (hop 2), and others get to 10.0.0.5 (hop 3)"},
		{"too few SYNs", 3, true, false, ""},
		{"one of two", 4, false, false, ""},
		{"the target answers", 4, true, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := trace.Graph{Reached: c.reached, Nodes: []trace.Node{at(1, 1), at(2, 2), at(2, 3), at(2, 4), at(3, 5)}}
			g.Nodes[2].Next, g.Nodes[2].Unanswered = 0, c.unanswered
			g.Ways = []trace.Way{
				{Nodes: []int{0, 1, 4}, Ports: []uint16{1, 2}, Share: 0.5}, {Nodes: []int{0, 2}, Ports: []uint16{3, 4}, Share: 0.5},
			}
			if c.third {
				g.Ways = append(g.Ways, trace.Way{Nodes: []int{0, 3, 4}, Ports: []uint16{5, 6}})
			}
			all := detect.InPaths(&g)
			switch {
			case c.want == "" && len(all) > 0:
				t.Errorf("said\n%s", details(all))
			case c.want == "":
			case len(all) != 1 || all[0].Code != detect.BrokenBranch || all[0].Confidence != detect.Possible ||
				all[0].After != 2 || !strings.Contains(all[0].Title, c.want):
				t.Errorf("want %q, said\n%s", c.want, details(all))
			}
		})
	}
}
