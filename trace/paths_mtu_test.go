package trace_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// Of each way it is found how large a packet passes, to the byte, which router says so or lets larger ones vanish, and
// where the MSS is changed. A router that answers only so often makes no black hole. The target gets no probe more.
func TestPathsMTU(t *testing.T) {
	t.Parallel()
	seeds := uint64(12)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		n := newTopology(seed%2 == 1).line(2).wide(4)
		told, hole, slow, clamped := n.ends[0], n.ends[1], n.ends[2], n.ends[3]
		n.Nodes[0].Router.Mangle.MSS, n.Nodes[clamped].Router.Mangle.MSS = 1400, 1340
		n.Nodes[told].Router.Longest, n.Nodes[told].Router.Told = 1432, true
		n.Nodes[hole].Router.Longest = 1387
		n.Nodes[slow].Router.SourceRate = sim.Rate{Every: time.Second, Burst: 6}
		n.line(1)
		last := n.ends[0]
		n.Nodes[last].Router.SourceRate = sim.Rate{Every: 100 * time.Millisecond, Burst: 6}
		path := delayed(n.target(), 3*time.Millisecond)
		syns := discover(t, search{seed: seed, path: path}).total
		d := discover(t, search{seed: seed, path: path, mtu: 1500})
		for _, w := range d.Ways {
			want := trace.MTU{Size: 1500, First: 1500}
			via := func(node int) bool {
				a := n.Nodes[node].Router.Addrs[0]
				return slices.ContainsFunc(w.Nodes, func(i int) bool { return i >= 0 && d.Nodes[i].Addr == a })
			}
			at := func(node int) netip.Addr { return n.Nodes[node].Router.Addrs[0] }
			switch {
			case via(told):
				want = trace.MTU{Size: 1432, First: 1500, Narrow: true, TTL: 3, From: at(told)}
			case via(hole):
				want = trace.MTU{Size: 1387, First: 1500, Narrow: true, TTL: 3, From: at(hole), BlackHole: true}
			}
			size := 1460
			if seed%2 == 1 {
				size = 1440
			}
			mss := trace.MSS{Sent: size, Arrived: 1400, After: 1, Before: 2}
			if via(clamped) {
				mss = trace.MSS{Sent: size, Arrived: 1340, After: 3, Before: 4}
			}
			if w.MSS == nil || *w.MSS != mss {
				t.Errorf("seed %d: way %v: MSS %+v, want %+v", seed, w.Nodes, w.MSS, mss)
			}
			if w.MTU == nil || *w.MTU != want {
				t.Errorf("seed %d: way %v: %+v, want %+v", seed, w.Nodes, w.MTU, want)
			}
		}
		if len(d.Ways) < 4 || d.total != syns {
			t.Errorf("seed %d: %d ways, %d SYNs at the target, %d without", seed, len(d.Ways), d.total, syns)
		}
	}
}
