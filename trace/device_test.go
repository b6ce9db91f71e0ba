package trace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
)

// deviceChain is a path to hop n over links of one random scale. Every other router is a Linux host.
func deviceChain(rng *rand.Rand, n int) (p sim.Path, what string) {
	v6 := rng.IntN(2) == 0
	p = chain(v6, n, 0)
	scale := []time.Duration{20 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond}[rng.IntN(4)]
	for i := range p.Routers {
		p.Routers[i].Delay = scale/10 + time.Duration(rng.Int64N(int64(scale)))
		p.Routers[i].Linux = rng.IntN(2) == 0
	}
	p.Target.Delay = scale / 2
	return p, fmt.Sprintf("target at %d, links of %v, IPv6 %v", n, scale, v6)
}

// A device answers every SYN in the target's name, and lets it go on. If the last router is silent, only the device
// answers at its hop, and the target stands one hop farther away, where both do. Of 200 lists each 107 and 158 ended at
// that router, and in 53 and 15 the target had no hop.
func TestDeviceBeforeASilentRouter(t *testing.T) {
	t.Parallel()
	const seeds = 100
	for _, near := range []bool{true, false} {
		for _, queries := range []int{1, 3} {
			t.Run(fmt.Sprintf("near %v, -q %d", near, queries), func(t *testing.T) {
				t.Parallel()
				wrong := 0
				for seed := range uint64(seeds) {
					rng := rand.New(rand.NewPCG(seed, 32))
					n, at := 2, 1
					if !near {
						n = 3 + rng.IntN(8)
						at = 1 + rng.IntN(n-1)
					}
					p, what := deviceChain(rng, n)
					p.Routers[n-2].Silent = 1
					p.Target.State = []sim.State{sim.Open, sim.Open, sim.Closed}[rng.IntN(3)]
					in := sim.Inject{Kind: []sim.Action{sim.Reset, sim.Accept}[rng.IntN(2)], Least: uint8(1 + rng.IntN(2))}
					in.TTL = []uint8{64, 128, 255}[rng.IntN(3)]
					if (in.Kind == sim.Reset) != (p.Target.State == sim.Closed) && rng.IntN(4) == 0 {
						in.TTL = uint8(64 - n + at) // it seems to be as far away as the target
					}
					p.Routers[at-1].Inject = in
					s := withProbePorts(newSetup(p))
					s.path.Queries, s.scenario.Seed = queries, seed
					o := s.trace(t)
					if o.trace.Last() != n || o.trace.Unplaced() != nil {
						wrong++
						t.Logf("seed %d: %s, device at %d: %+v: the list ends at %d", seed, what, at, in, o.trace.Last())
					}
					if o.truth.Target.SYN > 12+queries {
						t.Errorf("seed %d: %s, device at %d: %+v: %d SYNs", seed, what, at, in, o.truth.Target.SYN)
					}
				}
				if t.Logf("%d of %d wrong", wrong, seeds); wrong > seeds/50 {
					t.Errorf("%d of %d wrong", wrong, seeds)
				}
			})
		}
	}
}

// The same where the last TTL that is asked is that of the target, or one next to it: the trace ends, and the list does so
// at the target, where higher TTLs are asked.
func TestDeviceNearTheLastTTL(t *testing.T) {
	t.Parallel()
	for _, kind := range []sim.Action{sim.Reset, sim.Accept} {
		for silent := 1; silent <= 3; silent++ {
			for last := 11; last <= 15; last++ {
				for _, queries := range []int{1, 3} {
					const n = 12
					p := chain(silent%2 == 0, n, time.Millisecond)
					for i := n - 1 - silent; i < n-1; i++ {
						p.Routers[i].Silent = 1
					}
					p.Routers[3].Inject = sim.Inject{Kind: kind, TTL: 128}
					s := withProbePorts(newSetup(p))
					s.path.MaxTTL, s.path.Queries = last, queries
					o := s.trace(t)
					if o.trace.Last() > max(n, last) || last > n && silent == 1 && o.trace.Last() != n {
						t.Errorf("%d silent, TTL up to %d, -q %d, %v: the list ends at %d", silent, last, queries, kind, o.trace.Last())
					}
				}
			}
		}
	}
}

// A device answers half of the SYNs itself, and lets the others pass. It stands at the first router that is asked, or
// before it, or that router is silent: so nothing was heard of a router when the device has answered. The list ends at
// the target if that has answered any probe. Of 200 lists each between 12 and 50 ended at a router.
func TestSomeAnsweredAtTheFirstHop(t *testing.T) {
	t.Parallel()
	const seeds = 100
	for name, rule := range map[string]sim.Rule{
		"half are reset":              {Action: sim.Reset, Share: .5},
		"every other is reset":        {Action: sim.Reset, InTurn: 2},
		"half are accepted":           {Action: sim.Accept, Share: .5},
		"every other SYN is accepted": {Action: sim.Accept, InTurn: 2, Segments: sim.OnlySYN},
	} {
		for _, silent := range []bool{false, true} {
			for _, queries := range []int{1, 3} {
				t.Run(fmt.Sprintf("%s, silent %v, -q %d", name, silent, queries), func(t *testing.T) {
					t.Parallel()
					wrong := 0
					for seed := range uint64(seeds) {
						rng := rand.New(rand.NewPCG(seed, 31))
						first, at := 1, 1
						if !silent {
							first = 2 + rng.IntN(2)
							at = first - rng.IntN(2)
						}
						n := first + 1 + rng.IntN(6)
						p, what := deviceChain(rng, n)
						if silent {
							p.Routers[0].Silent = 1
						}
						p.Routers[at-1].Rules = []sim.Rule{rule}
						if rule.Action == sim.Accept {
							p.Target.State = sim.Closed
						}
						s := withProbePorts(newSetup(p))
						s.path.FirstTTL, s.path.Queries, s.scenario.Seed = first, queries, seed
						o := s.trace(t)
						if resets, accepts := o.kinds(); resets == 0 || accepts == 0 {
							continue // nothing tells the device from the target
						}
						if o.trace.Last() != n || o.trace.Unplaced() != nil {
							wrong++
							t.Logf("seed %d: %s, from %d on, device at %d: the list ends at %d", seed, what, first, at, o.trace.Last())
						}
						if o.truth.Target.SYN > 12 {
							t.Errorf("seed %d: %s, from %d on, device at %d: %d SYNs", seed, what, first, at, o.truth.Target.SYN)
						}
					}
					if t.Logf("%d of %d wrong", wrong, seeds); wrong > seeds/30 {
						t.Errorf("%d of %d wrong", wrong, seeds)
					}
				})
			}
		}
	}
}
