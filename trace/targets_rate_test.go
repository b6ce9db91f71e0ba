package trace_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// TestTargetsReachTheRate: with 300 targets open, 50 ms away, neither their number nor the pace keeps packets from leaving
// at 20,000 a second. Time is the simulation's, so it is none of the processor's.
func TestTargetsReachTheRate(t *testing.T) {
	t.Parallel()
	const targets, open, rate, least = 1000, 300, 20_000, 18_000
	var s sim.Scenario
	for i := range targets {
		p := sim.Path{Target: sim.Target{Addr: netip.AddrFrom4([4]byte{198, 18, byte(i), byte(1 + i>>8)})}}
		for ttl := 1; ttl < 8+i%17; ttl++ {
			p.Routers = append(p.Routers, sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(ttl), byte(i >> 8), byte(i)})}})
		}
		p.Routers[0].Link.Delay = 25 * time.Millisecond
		s.Paths = append(s.Paths, p)
	}
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(s)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		random, next, ended := rand.New(rand.NewPCG(1, 2)), 0, 0
		var lastBegun time.Time
		plan := trace.NewTargets(trace.TargetsOptions{Open: open, Nearby: 2,
			Next: func() (trace.Offer, bool) {
				if next == targets {
					return trace.Offer{}, false
				}
				target := s.Paths[next].Target.Addr
				next++
				return trace.Offer{Addr: target, Begin: func(int) trace.Plan {
					lastBegun = time.Now()
					p, err := trace.NewPath(trace.PathOptions{Target: netip.AddrPortFrom(target, 80), Rand: random,
						Source: netip.MustParseAddrPort("192.0.2.1:40000"), ProbePorts: []uint16{40001, 40002, 40003, 40004}})
					if err != nil {
						t.Fatal(err)
					}
					return p
				}}, true
			},
			Over: func(int, bool) { ended++ },
		})
		start := time.Now()
		pace := trace.NewPace(rate, 16)
		if _, err = trace.Run(t.Context(), c, plan, trace.Options{Pace: pace}, func(trace.Result) {}); err != nil || ended != targets {
			t.Fatalf("%v, %d targets", err, ended)
		}
		left := 0
		for _, p := range c.Sent() {
			if !p.At.After(lastBegun) { // afterwards fewer and fewer are open
				left++
			}
		}
		if n := float64(left) / lastBegun.Sub(start).Seconds(); n < least {
			t.Errorf("%.0f packets a second", n)
		} else {
			t.Logf("%.0f packets a second", n)
		}
	})
}
