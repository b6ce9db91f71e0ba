package trace_test

import (
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
)

// A router rejects some of the packets, or a device resets them. Round by round, too, the list ends at the target, or
// doesn't say where it ends: not where all of a hop's probes were rejected or reset by chance, nor where whoever does
// that keeps step with the rounds.
func TestSomePacketsRefusedInRounds(t *testing.T) {
	t.Parallel()
	over5 := sim.Rate{Every: 200 * time.Millisecond, Burst: 3} // of more probes than that in each round
	for name, c := range map[string]struct {
		rule          sim.Rule
		wrong, unsaid int // at most, of 200 lists
	}{
		"every third is rejected":           {sim.Rule{Action: sim.Reject, Code: 1, InTurn: 3}, 0, 4},
		"every fourth is rejected":          {sim.Rule{Action: sim.Reject, Code: 1, InTurn: 4}, 0, 4},
		"a random third is rejected":        {sim.Rule{Action: sim.Reject, Code: 1, Share: 1. / 3}, 0, 4},
		"what is over 5 a second, rejected": {sim.Rule{Action: sim.Reject, Code: 1, Over: over5}, 10, 30},
		"every third is reset":              {sim.Rule{Action: sim.Reset, InTurn: 3}, 2, 4},
		"every other one is reset":          {sim.Rule{Action: sim.Reset, InTurn: 2}, 8, 4},
		"a random third is reset":           {sim.Rule{Action: sim.Reset, Share: 1. / 3}, 2, 4},
		"a random half is reset":            {sim.Rule{Action: sim.Reset, Share: 1. / 2}, 4, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong, unsaid := 0, 0
			for seed := range uint64(100) {
				s, n, what := somewhat(seed, c.rule)
				for _, interval := range []time.Duration{time.Second, 250 * time.Millisecond} {
					w := rounds(t, s.scenario, interval, 10, nil)
					switch last := w.stats.Last(); {
					case !w.stats.Ended():
						unsaid++
					case last != n:
						wrong++
						t.Logf("%s, every %v: the list ends at %d", what, interval, last)
					}
				}
			}
			t.Logf("of 200 lists %d end at a wrong hop, and %d nowhere", wrong, unsaid)
			if wrong > c.wrong || unsaid > c.unsaid {
				t.Errorf("of 200 lists %d end at a wrong hop, and %d nowhere", wrong, unsaid)
			}
		})
	}
}
