package trace_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// Two addresses whose answers are numbered by one counter may be one router; two routers side by side are not, whatever
// counters they have.
func TestPathsFaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		one  bool
		ids  func(rng *rand.Rand) func(netip.Addr) uint16
	}{
		{"one counter", true, func(rng *rand.Rand) func(netip.Addr) uint16 {
			id := uint16(rng.Uint32())
			return func(a netip.Addr) uint16 {
				if member := a.As4()[3]; member != 2 && member != 3 { // as the topology numbers them
					return 0
				}
				id += 1 + uint16(rng.IntN(40))
				return id
			}
		}},
		{"a counter each", false, func(rng *rand.Rand) func(netip.Addr) uint16 {
			ids := map[netip.Addr]uint16{}
			return func(a netip.Addr) uint16 {
				if ids[a] == 0 {
					ids[a] = uint16(rng.Uint32())
				}
				ids[a] += 1 + uint16(rng.IntN(40))
				return ids[a]
			}
		}},
		{"a counter each, which others use too, from 0", false, func(rng *rand.Rand) func(netip.Addr) uint16 {
			ids := map[netip.Addr]uint16{}
			return func(a netip.Addr) uint16 { ids[a] += 1 + uint16(rng.IntN(40)); return ids[a] }
		}},
		{"a counter each, from 0", false, func(*rand.Rand) func(netip.Addr) uint16 {
			ids := map[netip.Addr]uint16{}
			return func(a netip.Addr) uint16 { ids[a]++; return ids[a] }
		}},
		{"always 0", false, func(*rand.Rand) func(netip.Addr) uint16 { return func(netip.Addr) uint16 { return 0 } }},
		{"at random", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := 0
			const runs = 100
			for seed := range uint64(runs) {
				var ids func(netip.Addr) uint16
				if c.ids != nil {
					ids = c.ids(rand.New(rand.NewPCG(seed, 3)))
				}
				d := discover(t, search{seed: seed, ids: ids, path: delayed(newTopology(false).line(2).wide(2).line(1).target(), time.Millisecond)})
				if len(d.Nodes) < 5 {
					t.Errorf("seed %d: %d nodes", seed, len(d.Nodes))
				}
				for i, n := range d.Nodes {
					for _, k := range n.MayBe {
						if n.TTL != 3 || d.Nodes[k].TTL != 3 || k == i {
							t.Errorf("seed %d: nodes %d and %d", seed, i, k)
						}
						said++
					}
				}
			}
			if t.Logf("said in %d of %d", said/2, runs); c.one && said < 2*runs*8/10 || !c.one && said > 0 {
				t.Errorf("said in %d of %d", said/2, runs)
			}
		})
	}
}
