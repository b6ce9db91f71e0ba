package main

import (
	"math"
	"testing"
)

func TestStatistics(t *testing.T) {
	for _, tt := range []struct {
		values        []float64
		median, q, q0 float64
	}{
		{[]float64{3}, 3, 3, 3},
		{[]float64{4, 1, 2, 3}, 2.5, 4, 1},
		{[]float64{5, 4, 1, 2, 3}, 3, 5, 1},
	} {
		if m, q, q0 := median(tt.values), quantile(tt.values, 0.95), quantile(tt.values, 0); m != tt.median || q != tt.q || q0 != tt.q0 {
			t.Errorf("%v: %v, %v, %v", tt.values, m, q, q0)
		}
	}
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	if q := quantile(hundred, 0.95); q != 95 {
		t.Errorf("95 %% of 1 to 100: %v", q)
	}
	for _, v := range []float64{median(nil), quantile(nil, 0.5), largest(nil)} {
		if !math.IsNaN(v) {
			t.Errorf("of nothing: %v", v)
		}
	}
}
