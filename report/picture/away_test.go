package picture

import "testing"

func TestAway(t *testing.T) {
	for hops, want := range map[int]string{1: "1 hop away", 2: "2 hops away", 255: "255 hops away"} {
		if got := away(hops); got != want {
			t.Errorf("%d: %q, want %q", hops, got, want)
		}
	}
}
