package picture

import (
	"strings"
	"testing"
)

func TestAway(t *testing.T) {
	for hops, want := range map[int]string{1: "1 hop away", 2: "2 hops away", 255: "255 hops away"} {
		if got := away(hops); got != want {
			t.Errorf("%d: %q, want %q", hops, got, want)
		}
	}
}

// Ticks are at round numbers, the last of them at or above the longest time.
func TestAxis(t *testing.T) {
	for _, tt := range []struct{ v, end, step float64 }{
		{0, 1, 0.2}, {-1, 1, 0.2}, {0.004, 0.004, 0.001}, {0.9, 1, 0.2}, {1, 1, 0.2}, {1.3, 1.5, 0.5}, {6, 6, 1}, {6.1, 8, 2},
		{13, 15, 5}, {43, 50, 10}, {180, 200, 50}, {999, 1000, 200}, {3000, 3000, 500}, {12345, 15000, 5000},
	} {
		end, step := axis(tt.v)
		if d, e := end/tt.end, step/tt.step; d < 0.999 || d > 1.001 || e < 0.999 || e > 1.001 {
			t.Errorf("%v: to %v by %v, want %v by %v", tt.v, end, step, tt.end, tt.step)
		}
	}
}

// A name that is too long keeps its end, which says whose it is.
func TestShown(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"gw.example", "gw.example"},
		{strings.Repeat("a", longest), strings.Repeat("a", longest)},
		{"ae-12-3512.edge7.frankfurt1.some-provider.example.net", "ae-12-3512.edge7.fran...ome-provider.example.net"},
	} {
		if got := shown(tt.name); got != tt.want || len(got) > longest {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
