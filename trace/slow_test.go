package trace_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

var (
	randomLimits = flag.Int("limits", 500, "how many random paths with a limit on SYNs to trace")
	slowPaths    = flag.Int("slow-paths", 400, "how many slow paths to trace")
)

// shown is what a hop shows of its probes: who answered, each once.
func (o *outcome) shown(ttl int) (who []string) {
	for _, s := range o.hop(ttl) {
		if s != "*" && !slices.Contains(who, s) {
			who = append(who, s)
		}
	}
	return who
}

// wantPath checks that every hop shows who stands there (nobody: not), and none anybody else, and that the target's row
// tells the state of its port.
func (o *outcome) wantPath(t *testing.T, p sim.Path, silent ...int) {
	t.Helper()
	end := len(p.Routers) + 1
	if o.err != nil || o.trace.Last() != end {
		t.Errorf("the last hop is %d, want %d (%v)", o.trace.Last(), end, o.err)
	}
	for ttl := 1; ttl <= o.trace.Last(); ttl++ {
		var want []string
		switch {
		case ttl == end:
			want = []string{p.Target.Addr.String()}
		case ttl < end && !slices.Contains(silent, ttl):
			want = []string{p.Routers[ttl-1].Addrs[0].String()}
		}
		if n := len(o.trace.Hop(ttl).Probes); n != 3 {
			t.Errorf("hop %d: %d probes", ttl, n)
		}
		if got := o.shown(ttl); !slices.Equal(got, want) {
			t.Errorf("hop %d shows %v, want %v", ttl, o.hop(ttl), want)
		}
	}
	if end > o.trace.Last() {
		return
	}
	for _, r := range o.trace.Hop(end).Probes {
		if r.FromTarget() && r.Reply.TCP.Flags.Has(packet.RST) != (p.Target.State == sim.Closed) {
			t.Errorf("flags %v of a port that is %v", r.Reply.TCP.Flags, p.Target.State)
		}
	}
}

// A router that forwards only so many SYNs: every hop is shown all the same, and soon.
func TestSYNLimits(t *testing.T) {
	t.Parallel()
	for _, distance := range []int{7, 8, 14, 24} {
		for _, rate := range []int{5, 10, 20, 50} {
			for _, burst := range []int{1, 2, 3, 5, 10} {
				for at := 1; at < min(distance, 8); at++ {
					for _, delay := range []time.Duration{50 * time.Microsecond, 5 * time.Millisecond} {
						for i, state := range []sim.State{sim.Open, sim.Closed} {
							v6 := (i+at+rate+burst)%2 == 0
							name := fmt.Sprintf("distance=%d/rate=%d/burst=%d/hop=%d/delay=%v/v6=%v/state=%d", distance, rate, burst, at, delay, v6, state)
							t.Run(name, func(t *testing.T) {
								p := chain(v6, distance, delay)
								p.Target.State = state
								p.Routers[at-1].SYNs = sim.Rate{Every: time.Second / time.Duration(rate), Burst: burst}
								o := withProbePorts(newSetup(p)).trace(t)
								o.wantPath(t, p)
								t.Logf("took %v, %d SYNs at the target, %d probes", o.took, o.truth.Target.SYN, len(o.sent))
								if o.took > 8*time.Second {
									t.Errorf("took %v", o.took)
								}
								if most := 6; o.truth.Target.SYN > most {
									t.Errorf("%d SYNs at the target, at most %d", o.truth.Target.SYN, most)
								}
							})
						}
					}
				}
			}
		}
	}
}

// defences are what stands before targets on the Internet.
var defences = []struct {
	name string
	sim.Defence
}{
	{"first SYN of a flow", sim.Defence{DropFirst: true}},
	{"first SYN of a source", sim.Defence{DropFirst: true, BySource: true}},
	{"one cookie", sim.Defence{Cookies: true}},
	{"changing cookies", sim.Defence{Changing: true}},
	{"first SYN and cookies", sim.Defence{DropFirst: true, Changing: true}},
	{"repeats after 1.5 s", sim.Defence{DropFirst: true, Pause: 1500 * time.Millisecond}},
	{"repeats of a source after 1.5 s", sim.Defence{DropFirst: true, Pause: 1500 * time.Millisecond, BySource: true}},
	{"one SYN in 1.5 s", sim.Defence{Pause: 1500 * time.Millisecond, Always: true}},
	{"one SYN in 1.5 s but the first", sim.Defence{DropFirst: true, Pause: 1500 * time.Millisecond, Always: true}},
	{"wrong acknowledgement", sim.Defence{BadACK: true, BySource: true}},
	{"wrong acknowledgement of a flow", sim.Defence{BadACK: true}},
}

func TestDefendedTargets(t *testing.T) {
	t.Parallel()
	for _, d := range defences {
		for _, distance := range []int{2, 4, 5, 6, 7, 14, 24} {
			for _, delay := range []time.Duration{50 * time.Microsecond, 5 * time.Millisecond} {
				for _, v6 := range []bool{false, true} {
					for _, state := range []sim.State{sim.Open, sim.Closed} {
						name := fmt.Sprintf("%s/distance=%d/delay=%v/v6=%v/state=%d", d.name, distance, delay, v6, state)
						t.Run(name, func(t *testing.T) {
							p := chain(v6, distance, delay)
							p.Target.State, p.Target.Defence = state, d.Defence
							o := withProbePorts(newSetup(p)).trace(t)
							o.wantPath(t, p)
							t.Logf("took %v, %d SYNs at the target, %d probes", o.took, o.truth.Target.SYN, len(o.sent))
							if o.took > 5*time.Second {
								t.Errorf("took %v", o.took)
							}
						})
					}
				}
			}
		}
	}
}

// On a random path with a limit on SYNs, all hops are shown, with few exceptions, by few SYNs.
func TestRandomSYNLimits(t *testing.T) {
	t.Parallel()
	networks, wrong, many := *randomLimits, 0, 0
	for seed := range uint64(networks) {
		rng := rand.New(rand.NewPCG(seed, 21))
		n := 4 + rng.IntN(22)
		p := chain(rng.IntN(2) == 0, n, 0)
		scales := []time.Duration{100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond}
		scale := scales[rng.IntN(len(scales))]
		for i := range p.Routers {
			p.Routers[i].Delay = time.Duration(rng.Int64N(int64(scale)))
			p.Routers[i].Jitter = time.Duration(rng.Int64N(int64(scale / 10)))
		}
		p.Target.Delay = time.Duration(rng.Int64N(int64(scale)))
		p.Target.State = []sim.State{sim.Open, sim.Closed}[rng.IntN(2)]
		at := 1 + rng.IntN(min(n-1, 7))
		limit := sim.Rate{Every: time.Second / time.Duration(4+rng.IntN(50)), Burst: 1 + rng.IntN(12)}
		p.Routers[at-1].SYNs = limit
		s := withProbePorts(newSetup(p))
		s.scenario.Seed = seed
		o := s.trace(t)
		silent := o.trace.Last() != n
		for ttl := 1; ttl <= o.trace.Last(); ttl++ {
			who, want := o.shown(ttl), p.Target.Addr.String()
			if ttl < n {
				want = p.Routers[ttl-1].Addrs[0].String()
			}
			silent = silent || len(who) == 0
			if len(who) > 0 && !slices.Equal(who, []string{want}) {
				t.Errorf("seed %d: hop %d shows %v, want %v", seed, ttl, who, want)
			}
		}
		if silent {
			wrong++
			t.Logf("seed %d: %d hops, %+v at hop %d, links of %v: %d hops shown", seed, n, limit, at, scale, o.trace.Last())
		}
		if o.truth.Target.SYN > 6 {
			many++
		}
		if o.took > 8*time.Second {
			t.Errorf("seed %d: took %v", seed, o.took)
		}
	}
	if wrong > networks/100 || many > networks/100 {
		t.Errorf("%d of %d wrong, %d with more than 6 SYNs", wrong, networks, many)
	}
}

// On a path that is slow from some hop on, the target is shown where it is, by hardly ever more SYNs than twice the probes
// asked for.
func TestSlowPaths(t *testing.T) {
	t.Parallel()
	networks, many := *slowPaths, 0
	for seed := range uint64(networks) {
		rng := rand.New(rand.NewPCG(seed, 11))
		n := 2 + rng.IntN(14)
		p := chain(rng.IntN(2) == 0, n, time.Millisecond)
		slow := rng.IntN(min(n-1, 2) + 1) // the link that takes long
		far := time.Duration(300+rng.IntN(400)) * time.Millisecond
		if slow < n-1 {
			p.Routers[slow].Delay = far
		} else {
			p.Target.Delay = far
		}
		p.Target.Jitter = time.Duration(1+rng.IntN(20)) * time.Millisecond
		if rng.IntN(3) == 0 {
			p.Routers[n-2].Silent = 1
		}
		p.Target.State = []sim.State{sim.Open, sim.Closed}[rng.IntN(2)]
		s := withProbePorts(newSetup(p))
		s.scenario.Seed = seed
		o := s.trace(t)
		if o.trace.Last() != n {
			t.Errorf("seed %d: the last hop is %d, want %d", seed, o.trace.Last(), n)
		}
		if syns := o.truth.Target.SYN; syns > 6 {
			many++
			t.Logf("seed %d: %d hops, %v before hop %d: %d SYNs at the target", seed, n, far, slow+1, syns)
		}
	}
	if many > networks/50 {
		t.Errorf("%d of %d with more than 6 SYNs", many, networks)
	}
}
