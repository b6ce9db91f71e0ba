package trace_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// flights counts the probes in flight by source port.
type flights struct {
	trace.Plan
	byPort map[uint16]int
	most   int
}

func (f *flights) Next(now time.Time) trace.Action {
	a := f.Plan.Next(now)
	if a.Do == trace.DoSend {
		port := a.Probe.Src.Port()
		f.byPort[port]++
		f.most = max(f.most, f.byPort[port])
	}
	return a
}

func (f *flights) Learn(now time.Time, r trace.Result) {
	if r.Outcome.Final() {
		f.byPort[r.Probe.Src.Port()]--
	}
	f.Plan.Learn(now, r)
}

// By connections, of which a port has one at a time, the same is found, with as few SYNs at the target.
func TestPathsConnections(t *testing.T) {
	t.Parallel()
	n := *graphs / 4
	if testing.Short() {
		n /= 5
	}
	truth, missing, complete, claimed := 0, 0, 0, 0.0
	for seed := range uint64(n) {
		silent := float64(seed%2) / 10
		p := randomTopology(rand.New(rand.NewPCG(seed, 1)), silent)
		d := discover(t, search{seed: seed, path: p, flows: 2048, connects: true})
		if len(d.wrong) > 0 || d.total > trace.DefaultTargetSYNs || d.inFlight > 1 {
			t.Errorf("seed %d: wrong: %v; %d SYNs at the target, %d in flight by one port",
				seed, d.wrong, d.total, d.inFlight)
		}
		truth += d.truth
		missing += len(d.missing)
		claimed += d.Confidence
		if len(d.missing) == 0 {
			complete++
		}
	}
	t.Logf("%d of %d nodes and links missing; %d of %d complete, %.1f claimed", missing, truth, complete, n, claimed)
	if missing > truth/30 {
		t.Errorf("%d of %d nodes and links missing", missing, truth)
	}
}

// By connections, too, the member that drops packets is named, and no other.
func TestPathsConnectionsBadMember(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		n := newTopology(seed%2 == 1).line(1).wide(4)
		bad := &n.Nodes[n.ends[1]].Router
		bad.Rules = []sim.Rule{{Action: sim.Drop, Share: []float64{0, 0.3}[seed/2%2]}} // 0: all
		n.line(2)
		d := discover(t, search{seed: seed, path: delayed(n.target(), 2*time.Millisecond), connects: true,
			loss: new(trace.PathsLossOptions)})
		said := d.Suspects()
		if len(said) != 1 || len(said[0].Nodes) != 1 || d.Nodes[said[0].Nodes[0]].Addr != bad.Addrs[0] {
			t.Errorf("seed %d: %v drops packets, said %v", seed, bad.Addrs[0], said)
		}
		if len(d.wrong) > 0 {
			t.Errorf("seed %d: wrong: %v", seed, d.wrong)
		}
	}
}

// What looks at the flow label stays hidden, for connections all have the same, and nothing is said of it.
func TestPathsConnectionsLabel(t *testing.T) {
	t.Parallel()
	for by, want := range map[sim.Choice]int{sim.ByLabel: 1, sim.ByPortsAndLabel: 4} {
		p := newTopology(true).line(2).wide(4).line(1).target()
		for i := range p.Nodes {
			p.Nodes[i].By = by
		}
		d := discover(t, search{seed: 1, path: delayed(p, time.Millisecond), connects: true, kind: true})
		if len(d.Ways) != want {
			t.Errorf("%v: %d paths, not %d", by, len(d.Ways), want)
		}
		for _, node := range d.Nodes {
			if node.SharesBy&trace.FieldLabel != 0 {
				t.Errorf("%v: hop %d shares out by %v", by, node.TTL, node.SharesBy)
			}
		}
	}
}
