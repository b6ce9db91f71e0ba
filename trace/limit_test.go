package trace_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
)

var bothLimits = flag.Int("both-limits", 300, "how many random paths with a limit on SYNs and SYN+ACKs to trace")

// TestSYNLimitsBothWays: a limit that counts SYN+ACKs too, as the rule "tcp flags syn" of nft does, makes answers of the
// target missing, of which the distance is known. It is shown there, and gets few SYNs.
func TestSYNLimitsBothWays(t *testing.T) {
	t.Parallel()
	wrong, many, syns := 0, 0, map[int]int{}
	for seed := range uint64(*bothLimits) {
		rng := rand.New(rand.NewPCG(seed, 57))
		n := 2 + rng.IntN(13)
		p := chain(rng.IntN(2) == 0, n, 0)
		scale := []time.Duration{50 * time.Microsecond, time.Millisecond, 5 * time.Millisecond}[rng.IntN(3)]
		for i := range p.Routers {
			p.Routers[i].Delay = time.Duration(1 + rng.Int64N(int64(scale)))
		}
		p.Target.Delay = time.Duration(1 + rng.Int64N(int64(scale)))
		at := 1 + rng.IntN(n-1)
		rate, burst := []int{5, 10, 20, 50}[rng.IntN(4)], []int{1, 2, 5, 10}[rng.IntN(4)]
		p.Routers[at-1].Limits = sim.Limits{SYNs: sim.Rate{Every: time.Second / time.Duration(rate), Burst: burst}, Both: true}
		s := withProbePorts(newSetup(p))
		s.scenario.Seed = seed
		o := s.trace(t)
		what := fmt.Sprintf("seed %d: %d hops, %d a second and %d at once at hop %d, links of %v", seed, n, rate, burst, at, scale)
		syns[o.truth.Target.SYN]++
		if o.truth.Target.SYN > 8 {
			many++
			t.Logf("%s: %d SYNs at the target", what, o.truth.Target.SYN)
		}
		if o.trace.Last() != n || !slices.Contains(o.shown(o.trace.Last()), p.Target.Addr.String()) {
			wrong++
			t.Logf("%s: the last hop is %d, %v", what, o.trace.Last(), o.shown(o.trace.Last()))
		}
	}
	t.Logf("%d wrong, %d with more than 8 SYNs; %v", wrong, many, syns)
	if wrong > *bothLimits/100 || many > *bothLimits/100 {
		t.Errorf("of %d targets %d are at a wrong hop, %d get more than 8 SYNs", *bothLimits, wrong, many)
	}
}
