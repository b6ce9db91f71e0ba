package trace_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var settingTTL = flag.Int("setting-ttl", 30, "how many networks with a member that sets the TTL to search")

// A router on one of several ways gives all packets a TTL with which they don't get to the target. Such flows were never
// seen to arrive, so the graph is not complete.
func TestPathsMemberSetsTTL(t *testing.T) {
	t.Parallel()
	complete := 0
	for seed := range uint64(*settingTTL) {
		rng := rand.New(rand.NewPCG(seed, 11))
		n := newTopology(seed%2 == 1).line(1 + rng.IntN(4))
		width, before := 2+rng.IntN(4), len(n.Nodes)
		n.wide(width)
		behind := 1 + rng.IntN(4)
		n.line(behind)
		left := uint8(1 + rng.IntN(behind)) // how many routers further it dies
		n.Nodes[before+rng.IntN(width)].Router.Set.TTL = &left
		d := discover(t, search{seed: seed, path: delayed(n.target(), time.Duration(rng.IntN(3))*time.Millisecond)})
		if d.Complete {
			t.Errorf("seed %d: %d wide, %d behind, TTL %d: complete", seed, width, behind, left)
			complete++
		}
	}
	t.Logf("%d of %d complete", complete, *settingTTL)
}
