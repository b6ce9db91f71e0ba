package trace_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// withProbePorts gives the distance probes ports of their own, as the program does.
func withProbePorts(s *setup) *setup {
	s.path.ProbePorts = []uint16{41001, 41002, 41003, 41004, 41005, 41006}
	return s
}

// lossyConn loses probes before they get anywhere.
type lossyConn struct {
	trace.Conn
	lose func(n int, p packet.Probe) bool // n counts from 1
	n    int
}

func (c *lossyConn) Send(p packet.Probe) (time.Time, error) {
	if c.n++; c.lose(c.n, p) {
		p.Dst = netip.AddrPortFrom(nowhere(p.Dst.Addr()), p.Dst.Port())
		return c.Conn.Send(p)
	}
	return c.Conn.Send(p)
}

// nowhere is an address where nobody is.
func nowhere(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.MustParseAddr("203.0.113.1")
	}
	return netip.MustParseAddr("2001:db8:ffff::1")
}

func losing(s *setup, lose func(n int, p packet.Probe) bool) *setup {
	s.scenario.Paths = append(s.scenario.Paths, sim.Path{Target: sim.Target{Addr: nowhere(s.path.Target.Addr()), State: sim.Filtered}})
	s.conn = func(c *sim.Conn) trace.Conn { return &lossyConn{Conn: c, lose: lose} }
	return s
}

func own(p packet.Probe) bool { return p.Src.Port() == source4.Port() }

// trips is a time in round trips to the target.
func trips(n float64, rtt time.Duration) time.Duration { return time.Duration(n * float64(rtt)) }

// A trace takes two round trips where all goes well: one to learn the distance, one to ask the hops that are left. The target
// gets as many SYNs as were asked for, one of them by the path's own flow.
func TestTwoRoundTrips(t *testing.T) {
	const delay = 3 * time.Millisecond
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, n := range []int{1, 2, 8, 9, 15, 24} {
			o := withProbePorts(newSetup(chain(v6, n, delay))).trace(t)
			o.wantHops(t, 3, route(v6, n)...)
			rtt := 2 * time.Duration(n) * delay
			if most := trips(2, rtt) + 40*time.Millisecond; o.took > most {
				t.Errorf("%d hops: took %v, at most %v", n, o.took, most)
			}
			if most := 3 + max(0, 4-n+1); o.truth.Target.SYN > most {
				t.Errorf("%d hops: %d SYNs at the target, at most %d", n, o.truth.Target.SYN, most)
			}
			told := func(r trace.Result) bool {
				return own(r.Probe) && r.FromTarget() && (n < 4 || r.Outcome == trace.Answered)
			}
			if !slices.ContainsFunc(o.results, told) {
				t.Errorf("%d hops: the target is placed without an answer to the path's own flow", n)
			}
		}
	})
}

// What gets lost on the way costs one round trip more at the most, and what the target is asked stays bounded.
func TestLostOnTheWay(t *testing.T) {
	const n, delay = 12, 3 * time.Millisecond
	const rtt = 2 * n * delay
	at := 0 // how many probes have gone to the target's TTL
	for _, tt := range []struct {
		name  string
		lose  func(n int, p packet.Probe) bool
		trips float64
		stars int // at the target
	}{
		{"the first scout", func(n int, p packet.Probe) bool { return n == 1 }, 2, 0},
		{"the second scout", func(n int, p packet.Probe) bool { return n == 2 }, 2, 0},
		{"both scouts that are there first", func(n int, p packet.Probe) bool { return n <= 2 }, 6, 0},
		{"the path's own probe to the target", func(n int, p packet.Probe) bool {
			if own(p) && p.TTL == 12 {
				at++
			}
			return own(p) && p.TTL == 12 && at == 1
		}, 3.3, 1},
		{"that, and its second", func(n int, p packet.Probe) bool {
			if own(p) && p.TTL == 12 {
				at++
			}
			return own(p) && p.TTL == 12 && at <= 2
		}, 6, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothFamilies(t, func(t *testing.T, v6 bool) {
				at = 0
				o := losing(withProbePorts(newSetup(chain(v6, n, delay))), tt.lose).trace(t)
				if o.trace.Last() != n {
					t.Fatalf("the path has %d hops", o.trace.Last())
				}
				for ttl := 1; ttl < n; ttl++ {
					if got := o.hop(ttl); !slices.Equal(got, slices.Repeat([]string{address(v6, ttl).String()}, 3)) {
						t.Errorf("hop %d: %v", ttl, got)
					}
				}
				stars := 0
				for _, s := range o.hop(n) {
					if s == "*" {
						stars++
					}
				}
				if stars > tt.stars || len(o.hop(n)) != 3 {
					t.Errorf("hop %d: %v", n, o.hop(n))
				}
				if most := trips(tt.trips, rtt) + 50*time.Millisecond; o.took > most {
					t.Errorf("took %v, at most %v", o.took, most)
				}
				if o.truth.Target.SYN > 6 {
					t.Errorf("%d SYNs at the target", o.truth.Target.SYN)
				}
			})
		})
	}
}

// A silent router right before the target: its probes and the target's can't be told apart, so they are asked apart, and that
// costs no round trip.
func TestSilentBeforeTheTarget(t *testing.T) {
	const n, delay = 12, 3 * time.Millisecond
	bothFamilies(t, func(t *testing.T, v6 bool) {
		p := chain(v6, n, delay)
		p.Routers[n-2].Silent = 1
		o := withProbePorts(newSetup(p)).trace(t)
		o.wantHops(t, 3, route(v6, n, n-1)...)
		if most := trips(2, 2*n*delay) + 50*time.Millisecond; o.took > most {
			t.Errorf("took %v, at most %v", o.took, most)
		}
	})
}

// The control probe goes once, to the hop before the target, behind that hop's own probes and before the target's; it belongs to no hop.
func TestWitness(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		const n = 12
		o := withProbePorts(newSetup(chain(v6, n, 3*time.Millisecond))).trace(t)
		o.wantHops(t, 3, route(v6, n)...)
		var order []string
		for _, s := range o.sent {
			switch p := s.Probe; {
			case !own(p) && p.TTL < 30:
				order = append(order, "witness")
				if p.TTL != n-1 {
					t.Errorf("it has TTL %d", p.TTL)
				}
			case own(p) && p.TTL == n-1:
				order = append(order, "before")
			case own(p) && p.TTL == n:
				order = append(order, "target")
			}
		}
		if want := []string{"before", "before", "before", "witness", "target"}; !slices.Equal(order, want) {
			t.Errorf("%v, want %v", order, want)
		}
		for ttl := 1; ttl < n; ttl++ {
			for _, r := range o.trace.Hop(ttl).Probes {
				if !own(r.Probe) {
					t.Errorf("hop %d has a probe by port %d", ttl, r.Probe.Src.Port())
				}
			}
		}
	})
}

// The target may be one hop nearer than was guessed, or some, and its answers late by more than the probes to it and to the hop
// that is thought to be before it are apart. It is shown where it is.
func TestGuessTooHighAndLate(t *testing.T) {
	t.Parallel()
	const runs, n = 6, 12
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			for wrong := range 4 {
				for _, jitter := range []time.Duration{1, 2, 4, 6, 8, 12, 20} {
					for _, silent := range []int{0, n - 2, n - 1} {
						for seed := range uint64(runs) {
							p := chain(v6, n, 3*time.Millisecond)
							if silent > 0 {
								p.Routers[silent-1].Silent = 1
							}
							p.Target.State, p.Target.TTL = state, uint8(64-wrong)
							p.Target.Jitter = jitter * time.Millisecond
							s := withProbePorts(newSetup(p))
							s.scenario.Seed = seed + 1
							if o := s.trace(t); o.trace.Last() != n {
								t.Errorf("%v, guess wrong by %d, jitter %d ms, silent %d, seed %d: %d hops", state, wrong, jitter, silent, seed, o.trace.Last())
							}
						}
					}
				}
			}
		}
	})
}

// The guess may be beyond the last TTL that may be asked.
func TestGuessBeyondTheLast(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		const n = 12
		for wrong := range 4 {
			for last := n; last <= n+3; last++ {
				p := chain(v6, n, 3*time.Millisecond)
				p.Target.TTL = uint8(64 - wrong)
				s := withProbePorts(newSetup(p))
				s.path.MaxTTL = last
				s.trace(t).wantHops(t, 3, route(v6, n)...)
			}
		}
	})
}

// Distance probes go their own way through a load balancer, so what routers answer them is no hop of the path, nor is silence.
func TestScoutsBelongToNoHop(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, tt := range []struct {
			name  string
			state sim.State
			hops  int
		}{{"too far", sim.Open, 15}, {"filtered", sim.Filtered, 5}} {
			p := chain(v6, tt.hops, time.Millisecond)
			s := withProbePorts(newSetup(p))
			s.scenario.Paths[0].Target.State = tt.state
			s.path.MaxTTL = 10
			o := s.trace(t)
			if o.trace.Last() != 10 {
				t.Errorf("%s: the path has %d hops", tt.name, o.trace.Last())
			}
			for ttl := 1; ttl <= 10; ttl++ {
				probes := o.trace.Hop(ttl).Probes
				if len(probes) != 3 || !own(probes[0].Probe) || !own(probes[1].Probe) || !own(probes[2].Probe) {
					t.Errorf("%s: hop %d: %v", tt.name, ttl, probes)
				}
			}
			if o.trace.Reached() || o.trace.Unplaced() != nil {
				t.Errorf("%s: reached", tt.name)
			}
		}
	})
}

// A branch of the network that swallows the path's own flow doesn't hide that the target answers others; how far away it is
// for this flow isn't known.
func TestOnlyScoutsGetThere(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		o := losing(withProbePorts(newSetup(chain(v6, 6, time.Millisecond))), func(_ int, p packet.Probe) bool { return own(p) && p.TTL > 3 }).trace(t)
		want := route(v6, 3)
		o.wantHops(t, 3, append(want, make([]netip.Addr, 30-3)...)...)
		if u := o.trace.Unplaced(); !o.trace.Reached() || u == nil || u.From() != address(v6, 6) || u.Role == trace.RoleHop {
			t.Errorf("reached %v, %v", o.trace.Reached(), u)
		}
	})
}

// A path with everything wrong at once, see TestEverythingWrong of the program: however late or few the answers are, none is
// shown at a hop where it is not from.
func TestNothingWrong(t *testing.T) {
	t.Parallel()
	const runs = 300
	for seed := range uint64(runs) {
		s, err := sim.Parse(`
			router 10.0.0.1 delay=1ms jitter=1ms
			router 10.0.0.2 delay=3ms jitter=3ms rate=1s/6
			router 10.0.0.3 delay=5ms jitter=5ms held=0.2/30ms loss=0.05
			router 10.0.0.4 delay=2ms silent
			router 10.0.0.5 delay=4ms jitter=2ms rate=500ms/1 slow=1ms
			router 10.0.0.6 delay=1ms
			router 10.0.0.7 delay=7ms jitter=8ms back-held=0.2/40ms
			router 10.0.0.8 delay=1ms silent
			router 10.0.0.9 delay=2ms jitter=1ms rate=100ms/1
			router 10.0.0.10 delay=4ms jitter=4ms
			router 10.0.0.11 delay=1ms
			target 198.18.12.2 delay=3ms
			`)
		if err != nil {
			t.Fatal(err)
		}
		run := withProbePorts(newSetup(s.Paths[0]))
		if seed%2 == 1 {
			run.scenario.Paths[0].Target.State = sim.Closed
		}
		run.scenario.Seed = seed + 1
		o := run.trace(t)
		if o.trace.Last() < 12 {
			t.Errorf("seed %d: the path has %d hops", seed, o.trace.Last())
		}
		for ttl := 1; ttl < min(o.trace.Last(), 12); ttl++ {
			for _, r := range o.trace.Hop(ttl).Probes {
				if from := s.Paths[0].Routers[ttl-1].Addrs[0]; r.Outcome == trace.Answered && r.From() != from {
					t.Errorf("seed %d: hop %d is %v, not %v", seed, ttl, r.From(), from)
				}
			}
		}
		for _, r := range o.trace.Hop(o.trace.Last()).Probes {
			if r.FromTarget() && (r.RTT() < 66*time.Millisecond || r.RTT() > 250*time.Millisecond) {
				t.Errorf("seed %d: %v to the target", seed, r.RTT())
			}
		}
	}
}

// The guess may be wrong: the way back is longer or shorter than the way out, or the target's answers start with an unusual
// TTL. The path is found all the same.
func TestWrongGuess(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, n := range []int{4, 8, 9, 14} {
			for wrong := -5; wrong <= 6; wrong++ {
				for _, silent := range [][]int{nil, {n - 1}, {n - 2, n - 1}, {n - 3}} {
					for _, delay := range []time.Duration{100 * time.Microsecond, 3 * time.Millisecond, 20 * time.Millisecond} {
						for _, state := range []sim.State{sim.Open, sim.Closed} {
							p := chain(v6, n, delay)
							for _, i := range silent {
								p.Routers[i-1].Silent = 1
							}
							p.Target.State, p.Target.TTL = state, uint8(64-wrong)
							s := newSetup(p)
							if wrong%2 == 0 {
								withProbePorts(s)
							}
							s.path.Spacing = trace.DefaultSpacing
							o := withProbePorts(s).trace(t)
							o.wantHops(t, 3, route(v6, n, silent...)...)
							if t.Failed() {
								t.Fatalf("%d hops, guess wrong by %d, silent %v, delay %v, %v: took %v", n, wrong, silent, delay, state, o.took)
							}
						}
					}
				}
			}
		}
	})
}
