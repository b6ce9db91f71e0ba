package trace_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// kinds are what balancers go by, and what is to be found of it.
var kinds = []struct {
	by   sim.Choice
	want trace.FlowFields
}{
	{sim.ByPorts, trace.FieldPort}, {sim.ByLabel, trace.FieldLabel}, {sim.ByPortsAndLabel, trace.FieldPort | trace.FieldLabel},
}

// What each balancer goes by is found, whatever the routers before it go by, and the target is not asked for it.
func TestPathsKind(t *testing.T) {
	t.Parallel()
	runs := uint64(60)
	if testing.Short() {
		runs = 12
	}
	for _, c := range []struct {
		name  string
		path  func(n *topology) *topology
		known float64 // of the balancers, at the least
		took  time.Duration
	}{
		{"2 wide", func(n *topology) *topology { return n.line(2).wide(2).line(2) }, 0.98, 300 * time.Millisecond},
		{"8 wide", func(n *topology) *topology { return n.line(2).wide(8).line(2) }, 0.98, 300 * time.Millisecond},
		{"one after another", func(n *topology) *topology { return n.line(1).wide(2).line(1).wide(3).line(2) }, 0.98, 300 * time.Millisecond},
		{"nested", func(n *topology) *topology { return n.line(2).wide(2).nested().line(2) }, 0.98, 600 * time.Millisecond},
		{"meshed", func(n *topology) *topology { return n.line(2).wide(4).meshed(4).line(2) }, 0.9, time.Second},
		{"unequal", func(n *topology) *topology { return n.line(2).diamond(1, 2, 3).line(2) }, 0.9, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, wrong, known, probes := 0, 0, 0, 0
			var took time.Duration
			for seed := range runs {
				rng := rand.New(rand.NewPCG(seed, 2))
				n := c.path(newTopology(seed%4 > 0))
				want := map[string]trace.FlowFields{}
				for i := range n.Nodes {
					kind := kinds[rng.IntN(len(kinds))]
					if !n.v6 {
						kind = kinds[0]
					}
					n.Nodes[i].By = kind.by
					want[n.Nodes[i].Router.Addrs[0].String()] = kind.want
				}
				d := discover(t, search{seed: seed, path: delayed(n.target(), 3*time.Millisecond), flows: 1024, kind: true})
				for _, node := range d.Nodes {
					switch {
					case node.Next < 2 && node.SharesBy != 0:
						t.Errorf("seed %d: %v has one successor, and shares out by %v", seed, node.Addr, node.SharesBy)
					case node.Next < 2 || node.Spared:
						continue
					case node.SharesBy == 0:
					case node.SharesBy != want[node.Addr.String()]:
						t.Logf("seed %d: %v shares out by %v, not %v", seed, node.Addr, node.SharesBy, want[node.Addr.String()])
						wrong++
					default:
						known++
					}
					all++
				}
				if d.syns > trace.DefaultTargetSYNs {
					t.Errorf("seed %d: %d SYNs at the target", seed, d.syns)
				}
				probes, took = max(probes, d.kindProbes), max(took, d.kindTook)
			}
			t.Logf("%d balancers, %d known, %d wrong; at most %d probes, %v", all, known, wrong, probes, took)
			if wrong > max(1, all/100) || float64(known) < c.known*float64(all)-1 || took > c.took {
				t.Error("too many are wrong or unknown, or it took too long")
			}
		})
	}
}

// Routers that answer ten times a second make it slower, and nothing wrong.
func TestPathsKindLimited(t *testing.T) {
	t.Parallel()
	for i, kind := range kinds {
		n := newTopology(true).line(2).wide(4).line(2)
		for k := range n.Nodes {
			n.Nodes[k].By = kind.by
			n.Nodes[k].Router.SourceRate = sim.Rate{Every: 100 * time.Millisecond, Burst: 6}
		}
		d := discover(t, search{seed: uint64(i), path: delayed(n.target(), time.Millisecond), kind: true})
		if got := d.Nodes[1].SharesBy; got != kind.want || d.kindTook > 11*time.Second {
			t.Errorf("shares out by %v, not %v; %v, %d probes", got, kind.want, d.kindTook, d.kindProbes)
		}
		t.Logf("%v: %v, %d probes", kind.want, d.kindTook, d.kindProbes)
	}
}

// A member that answers nothing is not taken for a way that flows keep to.
func TestPathsKindSilent(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		kind := kinds[seed%3]
		n := newTopology(true).line(2).wide(2 + int(seed/3))
		n.Nodes[2].Router.Silent = 1
		n.Nodes[1].By = kind.by
		d := discover(t, search{seed: seed, path: delayed(n.line(2).target(), time.Millisecond), kind: true})
		if got := d.Nodes[1].SharesBy; got != 0 && got != kind.want || d.kindTook > 8*time.Second {
			t.Errorf("seed %d: shares out by %v, not %v, after %v", seed, got, kind.want, d.kindTook)
		}
		t.Logf("%d members, %v: %v, %v, %d probes", 2+int(seed/3), kind.want, d.Nodes[1].SharesBy, d.kindTook, d.kindProbes)
	}
}
