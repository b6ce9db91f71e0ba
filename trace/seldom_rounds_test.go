package trace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
)

// A target that refuses no more than one connection in a second, or two, stands at its hop, round by round, too, however
// short the interval is, and whether or not the router before answers.
func TestTargetThatRefusesSeldomInRounds(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{250 * time.Millisecond, time.Second} {
		t.Run(fmt.Sprint(interval), func(t *testing.T) {
			wrong, traces := 0, 0
			for _, every := range []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
				for seed := range uint64(4 * *seldomSeeds) {
					rng := rand.New(rand.NewPCG(seed, 11))
					n := []int{2, 3, 4, 6, 9, 15}[rng.IntN(6)]
					p := chain(seed%2 == 1, n, time.Duration(50+rng.IntN(10000))*time.Microsecond)
					p.Target.State = sim.Closed
					p.Routers[n-2].SYNs = sim.Rate{Every: every}
					if n > 2 && seed%4 > 1 {
						p.Routers[n-2].Silent = 1
					}
					w := rounds(t, sim.Scenario{Seed: seed, Paths: []sim.Path{p}}, interval, int(15*time.Second/interval), nil)
					traces++
					if w.stats.Last() != n || !w.stats.Ended() {
						wrong++
						t.Logf("every %v, seed %d: hop %d for %d, silent before: %v", every, seed, w.stats.Last(), n, p.Routers[n-2].Silent == 1)
					}
				}
			}
			t.Logf("%d of %d lists end at a wrong hop", wrong, traces)
			if 20*wrong > traces {
				t.Errorf("%d of %d lists end at a wrong hop", wrong, traces)
			}
		})
	}
}

// The TTL of the target's answers names a hop where a silent router stands: the list goes on to the target all the same.
func TestSilentRouterIsNamedInRounds(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			p := chain(v6, 9, 3*time.Millisecond)
			p.Target.State, p.Target.TTL = state, 66 // hop 7, if it were 64
			p.Routers[6].Silent, p.Routers[7].Silent = 1, 1
			w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, 250*time.Millisecond, 0, after(20*time.Second))
			if sent, received, _ := w.hop(9); w.stats.Last() != 9 || received < 40 || sent > received+2 {
				t.Errorf("%v: the list ends at %d, hop 9: %d of %d answered", state, w.stats.Last(), received, sent)
			}
		}
	})
}
