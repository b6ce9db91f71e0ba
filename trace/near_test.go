package trace_test

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var nearRuns = flag.Int("near", 20, "how many traces to each kind of target nearby")

// nearTarget is a target that makes answers to SYNs of one flow hard to tell apart, or does not.
type nearTarget struct {
	name     string
	target   sim.Target
	noResets bool // this host doesn't reset what the target accepts
}

var nearTargets = []nearTarget{
	{name: "open"},
	{name: "closed", target: sim.Target{State: sim.Closed}},
	{name: "one cookie", target: sim.Target{Defence: sim.Defence{Cookies: true}}},
	{name: "changing cookies", target: sim.Target{Defence: sim.Defence{Changing: true}}},
	{name: "open, never reset", noResets: true},
}

// near is a path to such a target at hop n, on which answers come at uneven times.
func (k *nearTarget) near(seed uint64, n, queries int) *setup {
	rng := rand.New(rand.NewPCG(seed, 5))
	p := chain(false, n, time.Duration(100+rng.IntN(30000/n))*time.Microsecond)
	k.target.Addr, k.target.Link = p.Target.Addr, p.Target.Link
	p.Target = k.target
	jitter, late := time.Duration(rng.IntN(3000))*time.Microsecond, rng.IntN(3)
	for i := range p.Routers {
		r := &p.Routers[i]
		switch r.Jitter = jitter; late {
		case 1:
			r.Late = sim.Held{P: 0.2, By: time.Duration(rng.IntN(30)) * time.Millisecond}
		case 2:
			r.Slow = time.Duration(rng.IntN(3000)) * time.Microsecond
		}
	}
	if p.Target.Jitter = jitter; late > 0 {
		p.Target.Held = sim.Held{P: 0.2, By: time.Duration(rng.IntN(30)) * time.Millisecond}
	}
	s := withProbePorts(newSetup(p))
	s.scenario.Seed, s.scenario.NoHostRST, s.path.Queries = seed, k.noResets, queries
	return s
}

// A target nearby has answered several probes of the path's own flow before anything is known. It stands at its hop all
// the same, no row is empty, and it gets few SYNs: with one probe a hop, 2 as a rule. Of 100 traces to an open one at
// hop 1, 4 were wrong, with the same cookie for all SYNs 3 at hop 2, and where no reset came 69 at hop 1.
func TestNear(t *testing.T) {
	t.Parallel()
	for _, k := range nearTargets {
		for _, queries := range []int{1, 2, 3} {
			for n := 1; n <= 5; n++ {
				var syns []int
				for i := range *nearRuns + 1 {
					seed := uint64(i)
					if i == *nearRuns {
						seed = 500 // where a target at hop 1 answers its own probe after the next was sent: it stood at hop 2
					}
					o := k.near(seed, n, queries).trace(t)
					if last := o.trace.Last(); last != n || o.trace.Unplaced() != nil {
						t.Errorf("%s, -q %d, seed %d: %d hops, want %d", k.name, queries, seed, last, n)
					}
					for h := range o.trace.Hops() {
						if len(h.Probes) == 0 {
							t.Errorf("%s, %d hops, -q %d, seed %d: row %d is empty", k.name, n, queries, seed, h.TTL)
						}
					}
					syns = append(syns, o.truth.Target.SYN)
				}
				if slices.Sort(syns); syns[len(syns)-1] > 7+queries || queries == 1 && n > 1 && syns[len(syns)/2] > 3 {
					t.Errorf("%s, %d hops, -q %d: SYNs at the target: %v", k.name, n, queries, syns)
				}
			}
		}
	}
}

// otherWay has half of the flows take a way that is longer or shorter by one router. One router in four is silent.
func otherWay(p *sim.Path, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 6))
	other := make([]sim.Router, len(p.Routers)+[]int{-1, 1}[rng.IntN(2)])
	for i := range other {
		delay := time.Duration(100+rng.IntN(5000)) * time.Microsecond
		other[i] = sim.Router{Addrs: []netip.Addr{address(false, 100+i)}, Link: sim.Link{Delay: delay}}
		if i < len(p.Routers) && rng.IntN(2) == 0 {
			other[i] = p.Routers[i]
		}
		other[i].Silent = float64(rng.IntN(4) / 3)
	}
	for i := range p.Routers {
		p.Routers[i].Silent = float64(rng.IntN(4) / 3)
	}
	p.Changes = []sim.Change{{Share: 0.5, Routers: other}}
}

// Where other ports take a way of another length, their answers say nothing of the path's own flow: without a look at
// the TTL of the answers 16 of 500 traces with one probe a hop were wrong, and 20 with three. Nor do they say anything of the
// hop before the target, or of how long its answers take: with that 55 of 4000 with one probe a hop were wrong, 6 are now.
func TestNearOtherWay(t *testing.T) {
	t.Parallel()
	for _, k := range nearTargets[:2] {
		for _, queries := range []int{1, 3} {
			wrong, missing := 0, 0
			for seed := range uint64(10 * *nearRuns) {
				s := k.near(seed, 2+int(seed%5), queries)
				otherWay(&s.scenario.Paths[0], seed)
				o := s.trace(t)
				m, err := sim.New(s.scenario)
				if err != nil {
					t.Fatal(err)
				}
				isOwn := func(x sim.Sent) bool { return x.Probe.Src == s.path.Source }
				b, err := o.sent[slices.IndexFunc(o.sent, isOwn)].Probe.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				truth, err := m.Expect(b)
				if err != nil {
					t.Fatal(err)
				}
				var v verdict
				if v.compare(o.trace, truth); len(v.wrong) > 0 {
					wrong++
				} else if o.trace.Last() != len(truth.Hops) || o.trace.Unplaced() != nil {
					missing++
				}
			}
			t.Logf("%s, -q %d: %d of %d wrong, %d without the target", k.name, queries, wrong, 10**nearRuns, missing)
			if most := 10 * *nearRuns / 100; wrong > most || missing > most {
				t.Errorf("%s, -q %d: %d of %d wrong, %d without the target", k.name, queries, wrong, 10**nearRuns, missing)
			}
		}
	}
}

// A lost probe or answer doesn't make a target nearby stand one hop too far, where others are answered.
func TestNearLoss(t *testing.T) {
	t.Parallel()
	wrong, traces := 0, 0
	for _, k := range nearTargets {
		for _, queries := range []int{2, 3} {
			for n := 1; n <= 5; n++ {
				for seed := range uint64(*nearRuns) {
					s := k.near(seed, n, queries)
					p := &s.scenario.Paths[0]
					for i := range p.Routers {
						p.Routers[i].Loss, p.Routers[i].Back.Loss = 0.02, 0.02
					}
					p.Target.Loss, p.Target.Back.Loss = 0.02, 0.02
					o := s.trace(t)
					if traces++; o.trace.Last() != n || o.trace.Unplaced() != nil {
						wrong++
						t.Logf("%s, -q %d, seed %d: %d hops, want %d", k.name, queries, seed, o.trace.Last(), n)
					}
				}
			}
		}
	}
	if wrong > traces/200 {
		t.Errorf("%d of %d wrong", wrong, traces)
	}
}

// The target's answers to probes to a hop by ports of their own are in the hop's row, and say that the path ends there.
func TestPlacedByOtherPorts(t *testing.T) {
	t.Parallel()
	s := nearTargets[2].near(0, 2, 2)
	o := s.trace(t)
	o.wantHops(t, 2, route(false, 2)...)
	control := func(r trace.Result) bool { return r.Role == trace.RoleControl && r.FromTarget() }
	if !slices.ContainsFunc(o.trace.Hop(2).Probes, control) {
		t.Errorf("hop 2: %v", o.hop(2))
	}
}

// A target that drops the first SYN of each flow answers no distance probe, nor any other by a port of its own. After three of
// them no more are sent: with one probe a hop it got up to 10 SYNs, with two 11 and with three 13.
func TestFirstSYNDropped(t *testing.T) {
	t.Parallel()
	for _, state := range []sim.State{sim.Open, sim.Closed} {
		for queries, most := range map[int]int{1: 8, 2: 9, 3: 11} {
			for seed := range uint64(2 * *nearRuns) {
				k := nearTarget{target: sim.Target{State: state, Defence: sim.Defence{DropFirst: true}}}
				n := 2 + int(seed%4)
				o := k.near(seed, n, queries).trace(t)
				if last := o.trace.Last(); last != n || o.trace.Unplaced() != nil {
					t.Errorf("%v, -q %d, seed %d: %d hops, want %d", state, queries, seed, last, n)
				}
				if syns := o.truth.Target.SYN; syns > most {
					t.Errorf("%v, -q %d, seed %d: %d SYNs at the target", state, queries, seed, syns)
				}
			}
		}
	}
}
