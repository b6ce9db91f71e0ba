package trace

import (
	"math"
	"testing"
)

// The numbers are those of the literature (Veitch, Augustin, Friedman, Teixeira: Failure control in multipath route tracing,
// 2009), computed there by another formula.
func TestStopping(t *testing.T) {
	for _, c := range []struct {
		eps  float64
		need map[int]int // by the number of successors seen
	}{
		{0.05, map[int]int{1: 6, 2: 11, 3: 16, 4: 21, 5: 27, 6: 33, 7: 38, 8: 44, 9: 51, 11: 63, 15: 90, 31: 203, 63: 453, 127: 998}},
		{0.01, map[int]int{1: 8, 2: 15, 3: 21, 4: 28, 5: 36, 6: 43, 7: 51, 8: 58, 9: 66, 11: 82, 15: 115, 31: 255, 63: 557, 127: 1206}},
	} {
		s := stopping{eps: c.eps}
		for k, want := range c.need {
			if got := s.flows(k); got != want {
				t.Errorf("%g: after %d successors %d flows, want %d", c.eps, k, got, want)
			}
			if below, at := missed(k+1, c.need[k]-1), missed(k+1, c.need[k]); below <= c.eps || at > c.eps {
				t.Errorf("%g: of %d successors one is missed with %g and %g", c.eps, k+1, below, at)
			}
		}
	}
	if got, want := missed(3, 5), 1-150.0/243; math.Abs(got-want) > 1e-12 { // 150 of 3^5 sequences have all three
		t.Errorf("missed %g, want %g", got, want)
	}
	s := stopping{eps: 0.05}
	if got := s.hidden(29); got < 0.09 || got > 0.1 {
		t.Errorf("a branch with %g of the flows may be hidden", got)
	}
}
