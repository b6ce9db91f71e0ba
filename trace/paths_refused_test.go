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
	t.Parallel()
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
				for _, node := range d.Nodes {
					if node.Refusal != nil && node.TTL != ttl {
						t.Errorf("seed %d: a refusal at hop %d", seed, node.TTL)
					}
				}
				targets := slices.DeleteFunc(slices.Clone(d.Nodes), func(n trace.Node) bool { return !n.Target })
				if refused != 1 || len(targets) != 1 || targets[0].TTL != 7 || d.TargetSYNs < d.total {
					t.Errorf("seed %d: %d refused; targets %v, %d SYNs of %d counted", seed, refused, targets, d.TargetSYNs, d.total)
				}
				if len(d.Suspects()) > 0 {
					t.Errorf("seed %d: what is refused is not lost: %v", seed, d.Suspects())
				}
				if d.Complete {
					t.Errorf("seed %d: complete, though nobody knows what is beyond who refuses", seed)
				}
				if len(d.Ways) != width || !d.Tested || d.total > trace.DefaultTargetSYNs {
					t.Logf("seed %d: %d of %d paths, tested %v, %d SYNs", seed, len(d.Ways), width, d.Tested, d.total)
					more++
				}
			}
			if more > 2 { // one in a hundred searches misses something
				t.Errorf("%d searches found less", more)
			}
		})
	}
}

// A branch that sends packets back is a loop, which is not followed to the highest TTL. The loss of the other branches is
// measured at the router beyond all the same, and not at the target.
func TestPathsLoop(t *testing.T) {
	t.Parallel()
	less := 0
	for seed := range uint64(20) {
		n := newTopology(seed%2 == 1).line(2).wide(3)
		back := n.ends[int(seed)%3]
		n.line(2)
		ends := n.ends
		n.Nodes[back].Next = nil
		n.ends = []int{back}
		for i := range 40 { // the simulator goes no way back
			n.line(1)
			n.Nodes[n.ends[0]].Router.Addrs = n.Nodes[[]int{1, back}[i%2]].Router.Addrs
		}
		n.ends = append(n.ends, ends...)
		d := discover(t, search{seed: seed, path: delayed(n.target(), 3*time.Millisecond), loss: new(trace.PathsLossOptions)})
		loops := 0
		for _, w := range d.Ways {
			if round := d.Circle(w); len(round) > 0 {
				loops++
				if len(round) != 2 || d.Nodes[round[0]].TTL != 2 || d.Nodes[round[1]].Addr != n.Nodes[back].Router.Addrs[0] {
					t.Errorf("seed %d: a loop of %v", seed, round)
				}
			}
		}
		if d.total > trace.DefaultTargetSYNs || len(d.Suspects()) > 0 || d.Moved() > 0 {
			t.Errorf("seed %d: %d SYNs at the target, %d flows moved, suspects %v", seed, d.total, d.Moved(), d.Suspects())
		}
		measured := 0
		for _, f := range d.Loss.Flows {
			measured += len(f.RTTs)
		}
		if loops != 1 || len(d.Ways) != 3 || measured == 0 {
			t.Logf("seed %d: %d paths, %d loops, %d round trips", seed, len(d.Ways), loops, measured)
			less++
		}
	}
	if less > 1 {
		t.Errorf("%d searches found less", less)
	}
}

// A target that refuses by ICMP gets no more SYNs than it may, and those that it gets are counted.
func TestPathsRefusedByTarget(t *testing.T) {
	t.Parallel()
	for _, most := range []int{12, 16} {
		for seed := range uint64(20) {
			n := newTopology(seed%2 == 1).line(2).wide(3).line(2)
			n.Target.Rules = []sim.Rule{{Action: sim.Reject, Code: 1}}
			refused := 0
			count := func(r trace.Result) {
				if r.Outcome == trace.Answered && r.Refused() && r.From() == n.Target.Addr {
					refused++
				}
			}
			d := discover(t, search{seed: seed, path: delayed(n.target(), 3*time.Millisecond), most: most, emit: count})
			if refused == 0 || refused > most || d.TargetSYNs < refused {
				t.Errorf("seed %d: %d SYNs of %d counted, %d allowed", seed, d.TargetSYNs, refused, most)
			}
		}
	}
}
