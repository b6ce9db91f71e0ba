package compare

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The tests give the probabilities that tables of them give.
func TestChances(t *testing.T) {
	t.Parallel()
	sample := func(v ...float64) []float64 { return v }
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"Fisher, 3 of 3 and 0 of 3", fisher(outcomes{3, 0}, outcomes{0, 3}), 0.1},
		{"Fisher, the lady tasting tea", fisher(outcomes{3, 1}, outcomes{1, 3}), 34.0 / 70},
		{"Fisher, the same", fisher(outcomes{5, 5}, outcomes{50, 50}), 1},
		{"Fisher, nothing", fisher(outcomes{}, outcomes{0, 9}), 1},
		{"ranks, 3 and 3 apart", ranks([]stratum{{sample(1, 2, 3), sample(4, 5, 6)}}), 2.0 / 20},
		{"ranks, 4 and 4 almost", ranks([]stratum{{sample(1, 2, 3, 5), sample(4, 6, 7, 8)}}), 4.0 / 70},
		{"ranks, ties", ranks([]stratum{{sample(1, 1, 1), sample(1, 1, 1)}}), 1},
		{"ranks, two strata", ranks([]stratum{{sample(1, 2, 3), sample(4, 5, 6)}, {sample(11, 12, 13), sample(14, 15, 16)}}), 2.0 / 400},
		{"ranks, strata that contradict", ranks([]stratum{{sample(1, 2), sample(3, 4)}, {sample(3, 4), sample(1, 2)}}), 1},
		{"no responder in common, 3 and 3", disjoint(3, 3, 2), 1.0 / 32},
		{"no responder in common, 1 and 1", disjoint(1, 1, 2), 0.5},
	} {
		if math.Abs(tt.got-tt.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

// The bound of disjoint holds, however many responders there are and whatever their shares.
func TestDisjointIsABound(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, k := range []int{2, 3, 4} {
		for _, n := range []int{1, 2, 3, 5} {
			const runs = 20000
			least := 0
			for range runs {
				var seen [4][2]int
				for i := range 2 * n {
					seen[rng.IntN(k)][i/n]++
				}
				met, members := false, 0
				for _, s := range seen {
					met = met || s[0] > 0 && s[1] > 0
					if s[0]+s[1] > 0 {
						members++
					}
				}
				if !met && disjoint(n, n, members) <= 0.05 {
					least++
				}
			}
			if share := float64(least) / runs; share > 0.06 {
				t.Errorf("%d responders, %d answers each: what should happen in 5 %% happens in %.1f %%", k, n, 100*share)
			}
		}
	}
}
