package trace_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/trace"
)

var shortBranches = flag.Int("short-branches", 12, "how many networks in which one branch is much shorter to search, of each kind")

// One of four branches is much shorter, as if a transparent proxy on it answered in the target's name. No graph that
// lacks a branch is said to be complete: not if the ordinary trace took the short one and spent the target's SYNs, nor
// if the target has answered flows of which nothing tells where they met it.
func TestPathsShortBranch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first   time.Duration // to the first router and back, more than the links
		link    time.Duration
		routers int      // on the short branch
		before  []uint64 // seeds with which graphs were falsely complete, or the target got 26 to 50 SYNs, before (IPv4)
	}{
		{0, 100 * time.Microsecond, 0, []uint64{91, 99, 107}},
		{40 * time.Millisecond, 100 * time.Microsecond, 0, []uint64{99, 196}},
		{4 * time.Millisecond, 2 * time.Millisecond, 0, []uint64{34, 38, 58, 99}},
		{0, 100 * time.Microsecond, 1, nil},
		{40 * time.Millisecond, 100 * time.Microsecond, 1, nil},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, %v, %d routers, v6 %v", c.first, c.link, c.routers, v6), func(t *testing.T) {
				seeds := slices.Clone(c.before)
				for seed := range uint64(*shortBranches) {
					seeds = append(seeds, seed)
				}
				lacking, whole, wrong, most := 0, 0, 0, 0
				for _, seed := range seeds {
					n := newTopology(v6).line(2)
					sharing := n.ends
					long := n.wide(3).line(8).ends
					n.ends = sharing
					n.ends = append(n.line(c.routers).ends, long...)
					p := delayed(n.target(), c.link)
					p.Nodes[0].Router.Link.Delay = max(c.first/2, c.link)
					d := discover(t, search{seed: seed, path: p})
					if len(d.wrong) > 0 {
						t.Errorf("seed %d: wrong: %v", seed, d.wrong)
					}
					if len(d.missing) == 0 {
						whole++
					} else if lacking++; d.Complete {
						t.Logf("seed %d: complete with %.3f, and lacks %v", seed, d.Confidence, d.missing)
						wrong++
					}
					// More of the flows that are sent at once may find the target near than was to be expected.
					if most = max(most, d.total); d.total > trace.DefaultTargetSYNs+3 {
						t.Errorf("seed %d: %d SYNs at the target, %d told", seed, d.total, d.TargetSYNs)
					}
				}
				t.Logf("%d whole, %d not, of these %d said to be complete; at most %d SYNs", whole, lacking, wrong, most)
				if wrong > len(seeds)/50 { // 1 in 100 nodes lacks a successor
					t.Errorf("%d of %d graphs are said to be complete, and are not", wrong, len(seeds))
				}
			})
		}
	}
}
