package trace_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// One of several routers side by side, or a router alone, rejects one packet in three. The list goes on to the target, whose
// state is shown.
func TestSomePacketsRefused(t *testing.T) {
	t.Parallel()
	const seeds = 400
	bad := 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 5))
		v6 := rng.IntN(2) == 0
		n := []int{2, 3, 5, 8, 12, 16}[rng.IntN(6)]
		at := 1 + rng.IntN(n-1)
		scale := []time.Duration{100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond}[rng.IntN(3)]
		p := chain(v6, n, 0)
		for i := range p.Routers {
			p.Routers[i].Delay = scale/10 + time.Duration(rng.Int64N(int64(scale)))
		}
		p.Target.Delay = scale / 2
		r := &p.Routers[at-1]
		r.Rules = []sim.Rule{{Action: sim.Reject, Code: 1, Share: 1. / 3}}
		if rng.IntN(2) == 0 {
			r.Addrs = append(r.Addrs, netip.AddrFrom16(other(r.Addrs[0], 7)).Unmap())
			r.PerPacket = rng.IntN(2) == 0
		}
		s := withProbePorts(newSetup(p))
		s.scenario.Seed = seed
		o := s.trace(t)
		what := fmt.Sprintf("seed %d: target at %d, hop %d (%d routers, per packet %v) rejects, IPv6 %v", seed, n, at, len(r.Addrs), r.PerPacket, v6)
		open := func(r trace.Result) bool { return r.Outcome == trace.Answered && r.FromTarget() }
		if o.trace.Last() != n || !slices.ContainsFunc(o.trace.Hop(n).Probes, open) {
			bad++
			t.Logf("%s: ends at hop %d, %v; hop %d %v", what, o.trace.Last(), o.hop(o.trace.Last()), min(n, o.trace.Last()), o.hop(min(n, o.trace.Last())))
		}
		for ttl := 1; ttl <= min(n, o.trace.Last()); ttl++ {
			for _, got := range o.trace.Hop(ttl).Probes {
				refused := got.Refused() && ttl > at
				if got.Outcome == trace.Answered && !refused && (ttl == n) != got.FromTarget() {
					t.Errorf("%s: hop %d: %v from %v", what, ttl, got.Reply.Kind, got.From())
				}
			}
		}
	}
	// All probes to a hop and beyond may be refused by chance.
	if bad > seeds/50 {
		t.Errorf("%d of %d traces don't show the target", bad, seeds)
	}
	t.Logf("%d of %d traces don't show the target", bad, seeds)
}

// A refusal of all packets ends the path where it is, also if the probes of others get through.
func TestAllPacketsRefused(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, n := range []int{3, 9, 16} {
			for at := 1; at < n; at += 3 {
				p := chain(v6, n, 3*time.Millisecond)
				p.Routers[at-1].Rules = []sim.Rule{{Action: sim.Reject, Code: 1}}
				o := withProbePorts(newSetup(p)).trace(t)
				o.wantHops(t, 3, append(route(v6, at), address(v6, at))...)
			}
		}
	})
}
