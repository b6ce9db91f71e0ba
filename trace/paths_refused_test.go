package trace_test

import (
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// A member that refuses, by ICMP or by a reset in the target's name, is the end of a path of its own, and nothing else
// is missing or wrong. It doesn't matter whether the ordinary trace came by it.
func TestPathsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		rule sim.Rule
		kind packet.Kind
	}{
		{"reject", sim.Rule{Action: sim.Reject, Code: 1}, packet.KindUnreachable},
		{"reset", sim.Rule{Action: sim.Reset}, packet.KindTCP},
	} {
		t.Run(c.name, func(t *testing.T) {
			more := 0
			for seed := range uint64(40) {
				width := 2 + int(seed)/2%4
				n := newTopology(seed%2 == 1).line(2).wide(width)
				bad := n.ends[int(seed)%width]
				n.Nodes[bad].Router.Rules = []sim.Rule{c.rule}
				ttl := 4
				n.line(3)
				d := discover(t, search{seed: seed, path: delayed(n.target(), 3*time.Millisecond), loss: new(trace.PathsLossOptions)})
				refused := 0
				for _, w := range d.Ways {
					end := d.Refuses(w)
					if end == nil {
						if last := w.Nodes[len(w.Nodes)-1]; !d.Nodes[last].Target && d.Nodes[last].TTL != 6 {
							t.Errorf("seed %d: a path ends at %+v", seed, d.Nodes[last])
						}
						continue
					}
					before := d.Nodes[w.Nodes[len(w.Nodes)-2]].Addr
					if refused++; end.TTL != ttl || end.Refusal.Kind != c.kind || before != n.Nodes[bad].Router.Addrs[0] {
						t.Errorf("seed %d: refused at %d by %v beyond %v", seed, end.TTL, end.Refusal, before)
					}
					if w.Share < 0.3/float64(width) || w.Share > 3/float64(width) {
						t.Errorf("seed %d: a share of %v", seed, w.Share)
					}
				}
				targets := slices.DeleteFunc(slices.Clone(d.Nodes), func(n trace.Node) bool { return !n.Target })
				if refused != 1 || len(targets) != 1 || targets[0].TTL != 7 || d.TargetSYNs < d.total {
					t.Errorf("seed %d: %d refused; targets %v, %d SYNs of %d counted", seed, refused, targets, d.TargetSYNs, d.total)
				}
				if len(d.Suspects()) > 0 {
					t.Errorf("seed %d: what is refused is not lost: %v", seed, d.Suspects())
				}
				if len(d.Ways) != width || !d.Complete || d.total > trace.DefaultTargetSYNs {
					t.Logf("seed %d: %d of %d paths, complete %v, %d SYNs", seed, len(d.Ways), width, d.Complete, d.total)
					more++
				}
			}
			if more > 2 { // one in a hundred searches misses something
				t.Errorf("%d searches found less", more)
			}
		})
	}
}
