package trace_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
)

// roundsEnds are networks where it is hard to see at which hop the target is. It is at hop 8.
var roundsEnds = map[string]func(p *sim.Path){
	"a silent hop, and a device beside it that resets": func(p *sim.Path) {
		p.Routers[2].Silent, p.Routers[2].Inject = 1, sim.Inject{Kind: sim.Reset, Least: 1}
	},
	"a silent hop, and a device beside it that accepts": func(p *sim.Path) {
		p.Target.State = sim.Closed
		p.Routers[2].Silent, p.Routers[2].Inject = 1, sim.Inject{Kind: sim.Accept, Least: 1}
	},
	"a device that resets what expires, too": func(p *sim.Path) {
		p.Routers[2].Inject = sim.Inject{Kind: sim.Reset, Least: 1}
	},
	"a device at the last router that resets what expires, too": func(p *sim.Path) {
		p.Routers[6].Inject = sim.Inject{Kind: sim.Reset, Least: 1}
	},
	"a device that accepts, as the target does": func(p *sim.Path) {
		p.Routers[5].Inject = sim.Inject{Kind: sim.Accept, Least: 2}
	},
	"a device that accepts what expires, too, as the target does": func(p *sim.Path) {
		p.Routers[5].Inject = sim.Inject{Kind: sim.Accept, Least: 1}
	},
	"a device that resets, as the target does": func(p *sim.Path) {
		p.Target.State = sim.Closed
		p.Routers[5].Inject = sim.Inject{Kind: sim.Reset, Least: 2}
	},
	"the target answers for an older connection": func(p *sim.Path) { p.Target.State = sim.Challenge },
	"an open target":  func(*sim.Path) {},
	"a closed target": func(p *sim.Path) { p.Target.State = sim.Closed },
}

// Round by round, the list never ends before the target, whoever answers in its name, and seldom beyond it.
func TestRoundsEndAtTheTarget(t *testing.T) {
	t.Parallel()
	const seeds, target = 40, 8
	for what, change := range roundsEnds {
		bothFamilies(t, func(t *testing.T, v6 bool) {
			ends := make(map[int]int)
			for seed := range uint64(seeds) {
				rng := rand.New(rand.NewPCG(seed, 9))
				scale := []time.Duration{50 * time.Microsecond, 2 * time.Millisecond, 10 * time.Millisecond}[rng.IntN(3)]
				delay := func() time.Duration { return time.Duration(rng.Int64N(int64(scale))) }
				p := chain(v6, target, 0)
				change(&p)
				for i := range p.Routers {
					r := &p.Routers[i]
					r.Delay, r.Jitter = delay(), scale/10
					if r.Inject.Kind != sim.Pass {
						r.Inject.Delay = []time.Duration{0, delay(), scale * time.Duration(rng.IntN(8))}[rng.IntN(3)]
					}
				}
				p.Target.Delay, p.Target.Jitter = delay(), scale/10
				interval := []time.Duration{time.Second, 300 * time.Millisecond}[rng.IntN(2)]
				w := rounds(t, sim.Scenario{Seed: seed, Paths: []sim.Path{p}}, interval, []int{5, 6, 10}[rng.IntN(3)], nil)
				ends[w.stats.Last()]++
				if end, ttl := w.stats.End(); end == nil || ttl > 0 && ttl != w.stats.Last() {
					t.Errorf("%s, seed %d: the list ends at %d, with %v of hop %d", what, seed, w.stats.Last(), end, ttl)
				}
			}
			beyond := 0
			for last, n := range ends {
				if last > target {
					beyond += n
				}
			}
			if beyond+ends[target] < seeds || beyond > seeds/8 {
				t.Errorf("%s: the lists end at %v", what, ends)
			}
		})
	}
}

// A target that answers later than the rounds last is shown at no hop that it isn't at.
func TestRoundsLateTarget(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for seed := range uint64(20) {
			p := chain(v6, 8, time.Millisecond)
			p.Target.Delay = 750*time.Millisecond + time.Duration(seed)*time.Millisecond
			p.Target.State = []sim.State{sim.Open, sim.Closed}[seed%2]
			w := rounds(t, sim.Scenario{Seed: seed, Paths: []sim.Path{p}}, 300*time.Millisecond, 6, nil)
			end, ttl := w.stats.End()
			if end == nil || w.stats.Last() != 8 || ttl != 0 && ttl != 8 {
				t.Errorf("seed %d: the list ends at %d, with an answer of hop %d", seed, w.stats.Last(), ttl)
			}
		}
	})
}
