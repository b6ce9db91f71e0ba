package detect

import (
	"math"
	"testing"
)

// The probabilities are those of R's fisher.test(matrix(c(LOST, SENT-LOST, LOST, SENT-LOST), 2), alternative = "less").
func TestChanceOfMore(t *testing.T) {
	for _, tt := range []struct {
		a, b tried
		want float64
	}{
		{tried{2, 20}, tried{6, 20}, 0.1176},
		{tried{0, 20}, tried{5, 20}, 0.0236},
		{tried{0, 20}, tried{4, 20}, 0.0530},
		{tried{0, 9}, tried{2, 3}, 0.0455},
		{tried{3, 20}, tried{3, 20}, 0.6692},
		{tried{20, 20}, tried{0, 20}, 1},
		{tried{0, 20}, tried{0, 20}, 1},
		{tried{0, 0}, tried{3, 3}, 1},
		{tried{10, 1000}, tried{60, 1000}, 1e-9},
	} {
		if got := chanceOfMore(tt.a, tt.b); math.Abs(got-tt.want) > 0.0001 {
			t.Errorf("%v, %v: %.4f, want %.4f", tt.a, tt.b, got, tt.want)
		}
	}
	for n := range 12 { // against all ways to lose
		for a := range n + 1 {
			for b := range n + 1 {
				if got, want := chanceOfMore(tried{a, n}, tried{b, n}), counted(a, b, n); math.Abs(got-want) > 1e-9 {
					t.Fatalf("%d and %d of %d: %v, want %v", a, b, n, got, want)
				}
			}
		}
	}
}

// counted is the same by the counting of all ways in which a+b of 2n probes can be lost.
func counted(a, b, n int) float64 {
	as, all := 0, 0
	ways := func(n, k int) int {
		w := 1
		for i := range k {
			w = w * (n - i) / (i + 1)
		}
		return w
	}
	for lost := max(0, a+b-n); lost <= min(n, a+b); lost++ {
		w := ways(n, lost) * ways(n, a+b-lost)
		if all += w; lost >= b {
			as += w
		}
	}
	return float64(as) / float64(all)
}
