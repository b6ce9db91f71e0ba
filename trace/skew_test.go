package trace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
)

// Where answers of some routers in the midst of the path come a shorter way back than the others', the target still gets
// few SYNs, and all hops are shown.
func TestShorterWayBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			r := rand.New(rand.NewPCG(seed, 6))
			n, v6 := 5+r.IntN(14), r.IntN(2) == 1
			p := chain(v6, n, time.Duration(500+r.IntN(2500))*time.Microsecond)
			p.Target.State = state
			by, first := 1+r.IntN(6), 2+r.IntN(n-2)
			last := first + r.IntN(n-first)
			for i := range p.Routers {
				p.Routers[i].TTL = 64
				if hop := i + 1; first <= hop && hop <= last {
					p.Routers[i].TTL += uint8(min(by, i))
				}
			}
			s := withProbePorts(newSetup(p))
			s.scenario.Seed = seed
			o := s.trace(t)
			name := fmt.Sprintf("seed %d: %d hops, %d to %d by a way shorter by %d, state %d", seed, n, first, last, by, state)
			if got := o.trace.Last(); got != n {
				t.Errorf("%s: the path has %d hops", name, got)
			}
			o.wantPath(t, p)
			if got := o.truth.Target.SYN; got > 6 {
				t.Errorf("%s: %d SYNs at the target", name, got)
			}
		}
	}
}
