package wire

import (
	"testing"
	"time"
)

// TestSteady interrupts readings of the clock: the one that is believed follows another closely.
func TestSteady(t *testing.T) {
	const soon, interrupted = 100 * time.Nanosecond, time.Millisecond
	for _, tt := range []struct {
		name string
		gaps []time.Duration // between readings
		want time.Duration   // after the first
	}{
		{"not interrupted", []time.Duration{soon}, soon},
		{"once", []time.Duration{interrupted, soon}, interrupted + soon},
		{"twice", []time.Duration{interrupted, interrupted, soon}, 2*interrupted + soon},
		{"again and again", []time.Duration{interrupted, interrupted, interrupted, interrupted, interrupted}, 5 * interrupted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := time.Now()
			next, gaps := first, tt.gaps
			got := steady(func() time.Time {
				now := next
				if len(gaps) > 0 {
					next, gaps = next.Add(gaps[0]), gaps[1:]
				} else {
					next = time.Time{} // read once more than it should
				}
				return now
			})
			if got.Sub(first) != tt.want {
				t.Errorf("the reading of %v after the first, not of %v", got.Sub(first), tt.want)
			}
		})
	}
}
