package trace_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var injectSeeds = flag.Int("inject-seeds", 400, "how many random networks with a device that answers in the target's name")

// randomInjection is a path with a device on the way that answers in the target's name, and the target answers as well.
func randomInjection(seed uint64) (s *setup, n, at int, what string) {
	rng := rand.New(rand.NewPCG(seed, 3))
	v6 := rng.IntN(2) == 0
	n = []int{3, 4, 5, 7, 9, 12, 16}[rng.IntN(7)]
	at = 1 + rng.IntN(n-1)
	p := chain(v6, n, 0)
	scale := []time.Duration{100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond}[rng.IntN(4)]
	for i := range p.Routers {
		p.Routers[i].Delay = scale/10 + time.Duration(rng.Int64N(int64(scale)))
		if rng.IntN(12) == 0 && i+1 != at && i+1 != n-1 {
			p.Routers[i].Silent = 1
			what += fmt.Sprintf("hop %d silent, ", i+1)
		}
	}
	p.Target.Delay = scale/10 + time.Duration(rng.Int64N(int64(scale)))
	p.Target.State = []sim.State{sim.Open, sim.Open, sim.Closed}[rng.IntN(3)]
	in := sim.Inject{Kind: []sim.Action{sim.Reset, sim.Reset, sim.Accept}[rng.IntN(3)], Least: uint8(1 + rng.IntN(2))}
	in.TTL = []uint8{64, 64, 128, 255, uint8(64 - n + at), uint8(64 - n + at), 50}[rng.IntN(7)]
	in.Delay = []time.Duration{0, 0, scale / 2, scale * time.Duration(n)}[rng.IntN(4)]
	p.Routers[at-1].Inject = in
	s = withProbePorts(newSetup(p))
	s.scenario.Seed = seed
	s.path.Queries = []int{3, 3, 3, 1, 2}[rng.IntN(5)]
	if rng.IntN(4) == 0 {
		s.path.ProbePorts = nil
		what += "no scouts' ports, "
	}
	what = fmt.Sprintf("%starget at %d (%v), device at %d %+v, %d probes per hop, links of %v, IPv6 %v", what, n, p.Target.State, at, in, s.path.Queries, scale, v6)
	return s, n, at, what
}

// wantWhole checks that the list has all routers and the target where they are. Only from the device on may somebody answer
// in the target's name beside a router.
func (o *outcome) wantWhole(t *testing.T, s *setup, n, at int) (bad []string) {
	if o.err != nil {
		bad = append(bad, fmt.Sprintf("error: %v", o.err))
	}
	if got := o.trace.Last(); got != n {
		bad = append(bad, fmt.Sprintf("the path has %d hops", got))
	}
	target := s.path.Target.Addr()
	for ttl := 1; ttl <= min(n, o.trace.Last()); ttl++ {
		who := make(map[netip.Addr]bool)
		for _, r := range o.trace.Hop(ttl).Probes {
			if r.Outcome == trace.Answered {
				who[r.From()] = true
			}
		}
		want := target
		if ttl < n {
			want = s.scenario.Paths[0].Routers[ttl-1].Addrs[0]
			if s.scenario.Paths[0].Routers[ttl-1].Silent == 1 {
				want = netip.Addr{}
			}
		}
		if want.IsValid() && !who[want] {
			bad = append(bad, fmt.Sprintf("hop %d is not shown", ttl))
		}
		delete(who, want)
		if ttl < n && ttl >= at {
			delete(who, target)
		}
		if len(who) > 0 {
			bad = append(bad, fmt.Sprintf("hop %d: %v", ttl, who))
		}
	}
	return bad
}

// kinds are the kinds of answers in the target's name that were told.
func (o *outcome) kinds() (resets, accepts int) {
	for _, r := range o.results {
		if r.Reply == nil || r.Reply.Kind != packet.KindTCP {
			continue
		}
		if r.Reply.TCP.Flags.Has(packet.RST) {
			resets++
		} else {
			accepts++
		}
	}
	return resets, accepts
}

// A device on the way answers in the target's name, and the target does as well: all hops up to the real target are shown. What
// isn't told in time can't be known: where the device is near, and the next router and the target are far, the trace may be over
// before they answer.
func TestInjectedAnswers(t *testing.T) {
	t.Parallel()
	wrong := 0
	for seed := range uint64(*injectSeeds) {
		s, n, at, what := randomInjection(seed)
		o := s.trace(t)
		bad := o.wantWhole(t, s, n, at)
		in := s.scenario.Paths[0].Routers[at-1].Inject
		differ := (in.Kind == sim.Reset) != (s.scenario.Paths[0].Target.State == sim.Closed)
		if resets, accepts := o.kinds(); differ && in.Delay == 0 && s.path.Queries > 1 && (resets == 0 || accepts == 0) {
			bad = append(bad, fmt.Sprintf("%d resets, %d SYN+ACKs", resets, accepts))
		}
		if len(o.sent) > 12*n+100 {
			bad = append(bad, fmt.Sprintf("%d probes", len(o.sent)))
		}
		if len(bad) == 0 {
			continue
		}
		wrong++
		var hops []string
		for ttl := 1; ttl <= o.trace.Last(); ttl++ {
			hops = append(hops, strings.Join(slices.Compact(o.hop(ttl)), "/"))
		}
		t.Logf("seed %d: %s: %s\n\t%s", seed, what, strings.Join(bad, ", "), strings.Join(hops, " "))
	}
	if wrong > *injectSeeds/100 {
		t.Errorf("%d wrong of %d", wrong, *injectSeeds)
	}
	t.Logf("%d wrong of %d", wrong, *injectSeeds)
}

// Round by round, too, the list goes on to the target, and shows the routers.
func TestInjectedAnswersInRounds(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, kind := range []sim.Action{sim.Reset, sim.Accept} {
			for _, count := range []int{5, 20} {
				const n, at = 7, 3
				p := chain(v6, n, 2*time.Millisecond)
				p.Routers[at-1].Inject = sim.Inject{Kind: kind, Least: 2}
				w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, count, nil)
				if w.stats.Last() != n || !w.stats.Reached() {
					t.Errorf("kind %v, %d rounds: the path ends at %d, reached: %v", kind, count, w.stats.Last(), w.stats.Reached())
				}
				for ttl := 1; ttl < n; ttl++ {
					who, _ := w.stats.Hop(ttl).Responders()
					if want := p.Routers[ttl-1].Addrs[0]; len(who) != 1 || who[0].Addr != want || who[0].Count < count {
						t.Errorf("kind %v, %d rounds: at hop %d stand %v, want %v", kind, count, ttl, who, want)
					}
				}
			}
		}
	})
}

// Round by round, a device beside the way that is as quick as the router, or quicker, and also answers what expires there,
// ends the list nowhere: not at a hop that routers answer, nor at one that is silent but for the device.
func TestTapInRounds(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		const n, at = 8, 3
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			for _, silent := range []int{0, at + 1, at + 2} {
				for _, delay := range []time.Duration{0, 5 * time.Microsecond, 50 * time.Microsecond, 400 * time.Microsecond} {
					p := chain(v6, n, 5*time.Microsecond)
					p.Target.State = state
					in := sim.Inject{Kind: sim.Reset, Least: 1, Delay: delay}
					if state == sim.Closed {
						in.Kind = sim.Accept
					}
					p.Routers[at-1].Inject = in
					if silent > 0 {
						p.Routers[silent-1].Silent = 1
					}
					w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, 10, nil)
					what := fmt.Sprintf("%v, hop %d silent, delay %v", state, silent, delay)
					if w.stats.Last() != n || !w.stats.Reached() {
						t.Errorf("%s: the list ends at %d", what, w.stats.Last())
					}
					for ttl := 1; ttl < n; ttl++ {
						if got := w.stats.Hop(ttl).Responder(); ttl != silent && got != address(v6, ttl) {
							t.Errorf("%s: hop %d is %v", what, ttl, got)
						}
					}
				}
			}
		}
	})
}

// Round by round, on the random networks of TestInjectedAnswers, too, the list ends at the target. With the next router
// and the target far behind the device, who has answered what can't always be told.
func TestRandomInjectedAnswersInRounds(t *testing.T) {
	t.Parallel()
	wrong, all := 0, 0
	for seed := range uint64(*injectSeeds) {
		s, n, _, what := randomInjection(seed)
		for _, interval := range []time.Duration{time.Second, 250 * time.Millisecond} {
			all++
			if w := rounds(t, s.scenario, interval, 10, nil); w.stats.Last() != n {
				wrong++
				t.Logf("seed %d, every %v: %s: the list ends at %d", seed, interval, what, w.stats.Last())
			}
		}
	}
	t.Logf("%d wrong of %d", wrong, all)
	if 40*wrong > all {
		t.Errorf("%d wrong of %d", wrong, all)
	}
}

// A device that accepts every SYN stands at the first router that is asked, which is silent: nobody but the target's
// second answer to a distance probe says that the target is not there. Of 200 lists 77 ended at the device.
func TestDeviceAtASilentFirstHop(t *testing.T) {
	t.Parallel()
	const seeds = 200
	wrong := 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 4))
		n := []int{3, 4, 6, 8, 10, 14}[rng.IntN(6)]
		p := chain(false, n, time.Duration(50+rng.IntN(500))*time.Microsecond)
		device := sim.Inject{Kind: sim.Accept, TTL: []uint8{64, 128, uint8(64 - n + 1)}[rng.IntN(3)]}
		first := 1
		if seed%4 == 3 {
			first += rng.IntN(n - 2)
			device.TTL = uint8(63 + first) // as a neighbour's
		}
		s := withProbePorts(newSetup(p))
		s.scenario.Seed, s.path.Queries = seed, 1+rng.IntN(3)
		s.path.FirstTTL = first
		p.Routers[first-1].Silent, p.Routers[first-1].Inject = 1, device
		if o := s.trace(t); o.trace.Last() != n {
			wrong++
			t.Logf("seed %d: %d hops, want %d", seed, o.trace.Last(), n)
		}
	}
	if wrong > seeds/50 {
		t.Errorf("%d of %d wrong", wrong, seeds)
	}
}
