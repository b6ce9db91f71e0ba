package trace

import (
	"math/rand/v2"
	"testing"
)

// No ID comes again before all others have come, whatever the key; none is 0; and those in a row differ by all sorts of
// numbers.
func TestIDsDontComeAgain(t *testing.T) {
	for seed := range uint64(20) {
		n := ids{key: rand.New(rand.NewPCG(seed, 1)).Uint64(), count: uint16(seed * 4099)}
		var seen [1 << 16]bool
		steps := make(map[uint16]bool)
		var before uint16
		for i := range 1<<16 - 1 {
			id := n.next()
			if id == 0 || seen[id] {
				t.Fatalf("seed %d: ID %d after %d others", seed, id, i)
			}
			seen[id] = true
			steps[id-before] = true
			before = id
		}
		if len(steps) < 1<<15 {
			t.Errorf("seed %d: only %d differences between one ID and the next", seed, len(steps))
		}
	}
}
