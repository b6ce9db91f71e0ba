package trace

import (
	"testing"
	"time"
)

// TestMemory: how long a probe is remembered follows the slowest answer of its target, within bounds.
func TestMemory(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name          string
		wait, slowest time.Duration // 0: no answer
		known, gone   time.Duration // ages at which it is still remembered, and no longer
	}{
		{"a fast target", 3 * s, 50 * time.Millisecond, 15 * s, 16 * s},
		{"a slow target", 3 * s, 1400 * time.Millisecond, 28 * s, 31 * s},
		{"a very slow target", 3 * s, 20 * s, 60 * s, 61 * s},
		{"no answer", 3 * s, 0, 60 * s, 61 * s},
		{"a long wait", 40 * s, 50 * time.Millisecond, 80 * s, 81 * s},
		{"a long wait, no answer", 40 * s, 0, 80 * s, 81 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &engine{o: new(Options), m: newMatcher()}
			for i := range 3 {
				action := Send(families[0].probe(3, uint32(i)))
				action.Wait = tt.wait
				f := e.m.add(action, i+1, sentAt.Add(time.Duration(i)*time.Microsecond))
				f.flow.slowest = tt.slowest
				f.outcome = Lost
				e.done[0].push(f)
			}
			for at := sentAt; at.Before(sentAt.Add(tt.known)); at = at.Add(s) {
				e.expire(at, nil)
			}
			if e.expire(sentAt.Add(tt.known), nil); len(e.m.flights) != 3 {
				t.Errorf("after %v: %d of 3 are remembered", tt.known, len(e.m.flights))
			}
			if e.expire(sentAt.Add(tt.gone), nil); len(e.m.flights) != 0 || !e.m.empty() {
				t.Errorf("after %v: %d of 3 are remembered", tt.gone, len(e.m.flights))
			}
		})
	}
}
