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

// randomChain is a path of so many hops, of either family, with links of a random scale.
func randomChain(rng *rand.Rand, n int) (p sim.Path, scale time.Duration) {
	p = chain(rng.IntN(2) == 0, n, 0)
	scale = []time.Duration{50 * time.Microsecond, time.Millisecond, 5 * time.Millisecond}[rng.IntN(3)]
	for i := range p.Routers {
		p.Routers[i].Delay = time.Duration(1 + rng.Int64N(int64(scale)))
	}
	return p, scale
}

// TestSYNLimitsBothWays: a limit that counts SYN+ACKs too, as the rule "tcp flags syn" of nft does, makes answers of the
// target missing, of which the distance is known. It is shown there, and gets few SYNs.
func TestSYNLimitsBothWays(t *testing.T) {
	t.Parallel()
	wrong, many, syns := 0, 0, map[int]int{}
	for seed := range uint64(*bothLimits) {
		rng := rand.New(rand.NewPCG(seed, 57))
		n := 2 + rng.IntN(13)
		p, scale := randomChain(rng, n)
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

// sentFrom is how many probes were sent to a hop and those beyond it.
func (o *outcome) sentFrom(ttl int) (n int) {
	for _, sent := range o.sent {
		if int(sent.Probe.TTL) >= ttl {
			n++
		}
	}
	return n
}

// TestSYNLimitAtTarget: a target, or a firewall right in front of it, that takes one or two SYNs a second drops nearly
// all that are sent to the hops that may be its own. It is shown at its hop all the same, by the TTL of its answers.
func TestSYNLimitAtTarget(t *testing.T) {
	t.Parallel()
	wrong, sent := 0, []int{}
	for seed := range uint64(*bothLimits) {
		rng := rand.New(rand.NewPCG(seed, 58))
		n := 2 + rng.IntN(11)
		p, scale := randomChain(rng, n)
		rate, burst := 1+rng.IntN(2), 1+rng.IntN(2)
		p.Routers[n-2].Limits = sim.Limits{SYNs: sim.Rate{Every: time.Second / time.Duration(rate), Burst: burst}}
		s := withProbePorts(newSetup(p))
		s.scenario.Seed = seed
		o := s.trace(t)
		sent = append(sent, o.sentFrom(n))
		if o.trace.Last() != n || !slices.Contains(o.shown(n), p.Target.Addr.String()) {
			wrong++
			t.Logf("seed %d: %d hops, %d a second and %d at once, links of %v: the last hop is %d, %v", seed, n, rate, burst,
				scale, o.trace.Last(), o.shown(o.trace.Last()))
		}
	}
	slices.Sort(sent)
	t.Logf("%d wrong; SYNs: median %d, most %d", wrong, sent[len(sent)/2], sent[len(sent)-1])
	if wrong > *bothLimits/100 {
		t.Errorf("%d of %d targets are at a wrong hop", wrong, *bothLimits)
	}
}

// TestTargetFallsSilent: a target that answers one to four SYNs, and then none, as one that bans who asks too much. It
// is not looked for at each hop up to the last, and stands at no other hop. It got 37 SYNs, and the list had 30 rows.
func TestTargetFallsSilent(t *testing.T) {
	t.Parallel()
	for _, queries := range []int{1, 3} {
		placed, rows, sent := 0, 0, []int{}
		for seed := range uint64(*bothLimits) {
			rng := rand.New(rand.NewPCG(seed, 59))
			n := 2 + rng.IntN(11)
			p, scale := randomChain(rng, n)
			answers := 1 + rng.IntN(4)
			p.Routers[n-2].Limits = sim.Limits{SYNs: sim.Rate{Every: time.Hour, Burst: answers}}
			s := withProbePorts(newSetup(p))
			s.scenario.Seed, s.path.Queries = seed, queries
			o := s.trace(t)
			beyond := o.sentFrom(n)
			sent = append(sent, beyond)
			at := 0 // the row of the target
			for h := range o.trace.Hops() {
				if slices.Contains(o.shown(h.TTL), p.Target.Addr.String()) {
					at = h.TTL
				}
			}
			rows = max(rows, o.trace.Last()-n)
			switch {
			case at == n:
				placed++
			case at != 0 || o.trace.Unplaced() == nil:
				t.Errorf("-q %d, seed %d: %d hops, %d answers, links of %v: it is shown at hop %d, %d SYNs", queries, seed, n, answers,
					scale, at, beyond)
			}
		}
		slices.Sort(sent)
		t.Logf("-q %d: %d of %d at their hop; SYNs: median %d, most %d; at most %d rows beyond", queries, placed, *bothLimits,
			sent[len(sent)/2], sent[len(sent)-1], rows)
		if sent[len(sent)/2] > 14 || sent[len(sent)-1] > 24 || rows > 2 {
			t.Errorf("-q %d: up to %d rows beyond the target, SYNs: %v", queries, rows, sent)
		}
	}
}
