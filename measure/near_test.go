package measure

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// TestManyNear: who stands at a near hop that limits its answers is taken over from the traces to other targets, and nobody
// is said to stand on a way where somebody else does, or who never answers.
func TestManyNear(t *testing.T) {
	t.Parallel()
	const targets = 600
	const limited = "router 10.0.%d.%d device=%d%d rate=1s/6 delay=1ms\n"
	third := func(int) string { return "router 10.0.3.1 device=3\n" }
	half := func(first, second string) func(int) string {
		return func(i int) string { return []string{first, second}[i/3%2] }
	}
	for _, tt := range []struct {
		name          string
		second, third func(target int) string // the routers at hops 2 and 3
		rate          int                     // packets a second
		least, most   int                     // for how many targets hop 2 is taken over
		wrong         int                     // of these, at the most
	}{
		{"one router", func(int) string { return fmt.Sprintf(limited, 2, 1, 2, 1) }, third, 300, 200, targets, 0},
		{"and the next limits too", func(int) string { return fmt.Sprintf(limited, 2, 1, 2, 1) },
			func(i int) string { return fmt.Sprintf(limited, 3, 1, 3, 1) + "router 10.0.4.1 device=4\n" }, 300, 200, targets, 0},
		{"a tree", func(i int) string { return fmt.Sprintf(limited, 2, i%3, 2, i%3) },
			func(i int) string { return fmt.Sprintf("router 10.0.3.%d device=3%d\n", i%12, i%12) }, 50, 50, targets, 0},
		{"two ways that meet again", half(fmt.Sprintf(limited, 2, 1, 2, 1), fmt.Sprintf(limited, 2, 2, 2, 2)), third, 300, 0, 0, 0},
		{"two ways by flow", func(int) string { return "router 10.0.2.1,10.0.2.2 device=21 rate=1s/6\n" }, third, 300, 0, 0, 0},
		{"one of two never answers", half("router 10.0.2.1 device=21\n", "router *\n"), third, 300, 0, 0, 0},
		{"and packets are lost", half("router 10.0.2.1 device=21 loss=0.1\n", "router * loss=0.1\n"), third, 300, 0, 0, 0},
		{"then one that never answers", func(i int) string {
			if i < targets/2 {
				return fmt.Sprintf(limited, 2, 1, 2, 1)
			}
			return "router *\n"
		}, third, 300, 100, targets, nearShare},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, network, list := &manySim{}, "", ""
			stands := make(map[string]string) // the router at hop 2
			for i := range targets {
				target := fmt.Sprintf("198.18.%d.%d", i%250, 1+i/250)
				second := tt.second(i)
				network += "router 10.0.0.1 device=1 rate=1s/6 delay=1ms\n" + second + tt.third(i) + "target " + target + " open\n"
				list += target + "\n"
				stands[target] = strings.Fields(second)[1]
			}
			m.Rate = tt.rate
			taken, wrong, seen := 0, 0, 0
			m.runWith(t, network, list, time.Hour, func(c *sim.Conn) Network { return &gatewaySim{simNetwork{Conn: c}} },
				func(l record.Listed) {
					if shown := answering(l.Trace.Fold(), nil); len(shown) > 1 && shown[1].IsValid() {
						seen++
					}
					a := l.Trace.Inferred[2]
					if !a.IsValid() {
						return
					}
					for _, r := range l.Trace.Results {
						if r.Outcome == trace.Answered && r.Probe.TTL == 2 {
							t.Errorf("%s: %v is taken over, and %v answered", l.Host, a, r.Reply.From())
						}
					}
					if taken++; a.String() != stands[l.Host] {
						wrong++
					}
				})
			t.Logf("hop 2: seen %d, taken over %d, %d of them wrong, in %v", seen, taken, wrong, m.took)
			if taken < tt.least || taken > tt.most || wrong > tt.wrong || len(m.lines) != targets {
				t.Errorf("taken over for %d, %d of them wrong; %d targets", taken, wrong, len(m.lines))
			}
		})
	}
}
