package live

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// TestMarksAndFindingsAgree: whatever is lost where, what stands below the hops doesn't contradict their marks. Hops of which
// no answer is missed have no mark, those whose missing answers are no loss are marked by ~, and where packets are lost, the
// hops that share that and the target are marked by !.
func TestMarksAndFindingsAgree(t *testing.T) {
	row := regexp.MustCompile(`^.(..)([~!]?)`)
	harmless := regexp.MustCompile(`Missing answers at (.*) are no loss`)
	place := regexp.MustCompile(`Packets are lost between (?:this host|hop (\d+).*) and hop (\d+)`)
	hop := regexp.MustCompile(`hop (\d+)`)
	rng := rand.New(rand.NewPCG(1, 2))
	said := make(map[string]int)
	for range 500 {
		s := newScene(Options{Losses: detect.LossInRounds})
		hops := 2 + rng.IntN(8)
		loss := make([]float64, hops) // what is lost before, and what isn't answered
		limit := make([]float64, hops)
		for i := range hops {
			switch rng.IntN(5) {
			case 0:
				loss[i] = rng.Float64() * 0.3
			case 1:
				limit[i] = rng.Float64()
			case 2:
				limit[i] = float64(rng.IntN(2))
			}
		}
		s.v.width, s.v.height = 160, 60
		for range 5 + rng.IntN(60) {
			var round []string
			for i := range hops {
				got := rng.Float64() >= limit[i]
				for k := range i + 1 {
					got = got && rng.Float64() >= loss[k]
				}
				switch {
				case !got:
					round = append(round, "*")
				case i == hops-1:
					round = append(round, "203.0.113.5 9ms open")
				default:
					round = append(round, fmt.Sprintf("192.0.2.%d 9ms", i+1))
				}
			}
			s.round(round...)
		}
		shown := colours.ReplaceAllString(s.v.draw(s.s.stats), "")
		marks := make(map[string]string)
		for line := range strings.Lines(shown) {
			if m := row.FindStringSubmatch(line); m != nil {
				marks[strings.TrimSpace(m[1])] = m[2]
			}
		}
		for line := range strings.Lines(shown) {
			if m := harmless.FindStringSubmatch(line); m != nil {
				said["harmless"]++
				for _, h := range hop.FindAllStringSubmatch(m[1], -1) {
					if marks[h[1]] != "~" {
						t.Errorf("hop %s has the mark %q: %s", h[1], marks[h[1]], line)
					}
				}
			}
			if m := place.FindStringSubmatch(line); m != nil {
				said["lost"]++
				if before, last := m[2], fmt.Sprint(s.s.stats.Last()); marks[before] != "!" || marks[last] != "!" || m[1] != "" && marks[m[1]] == "~" {
					t.Errorf("hops %s, %s and %s have the marks %q, %q and %q: %s", m[1], before, last, marks[m[1]], marks[before], marks[last], line)
				}
			}
		}
		if t.Failed() {
			t.Fatal(shown)
		}
	}
	if said["harmless"] < 50 || said["lost"] < 50 {
		t.Errorf("what was said: %v", said)
	}
}
