package trace_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var seldomSeeds = flag.Int("seldom", 20, "how many traces to each kind of target that refuses seldom")

// seldom traces a path at any time, while up to three SYNs of others, as this host's kernel sends them, use up the
// target's answers too. syns is how many probes of the trace may have got there.
func seldom(t *testing.T, p sim.Path, rng *rand.Rand, queries int) (found *trace.Trace, syns int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(sim.Scenario{Seed: rng.Uint64(), Paths: []sim.Path{p}})
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		o := newSetup(p).path
		o.Queries, o.Rand = queries, rand.New(rand.NewPCG(rng.Uint64(), 1))
		others := packet.Probe{Src: netip.AddrPortFrom(o.Source.Addr(), 50000), Dst: o.Target, TTL: 64, Flags: packet.SYN}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range rng.IntN(4) {
				time.Sleep(time.Duration(rng.Int64N(int64(1500 * time.Millisecond))))
				if _, err := c.Send(others); err != nil {
					t.Error(err)
				}
			}
		}()
		time.Sleep(500 * time.Millisecond)
		if found, err = trace.Find(t.Context(), c, o); err != nil {
			t.Error(err)
		}
		<-done
		for _, s := range c.Sent() {
			if s.Probe.Src != others.Src && int(s.Probe.TTL) > len(p.Routers) {
				syns++
			}
		}
	})
	return found, syns
}

// A target that refuses no more than two connections in a second, or one, or one in a second and a half, while others are
// refused there too, stands at its hop, whatever was answered first, and whether or not the router before answers. It
// was shown farther away by 39 of 40 traces with one probe for each hop, and by every other one with three; behind a
// silent router by 19 of 20, and by every third one. Where others took each of the answers, it is shown nowhere.
func TestTargetThatRefusesSeldom(t *testing.T) {
	t.Parallel()
	traces, wrong, silent, many := 0, 0, 0, 0
	for _, every := range []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
		for _, queries := range []int{1, 3} {
			for _, n := range []int{2, 3, 4, 6, 9, 15} {
				for seed := range uint64(2 * *seldomSeeds) {
					rng := rand.New(rand.NewPCG(seed, uint64(n*queries)))
					p := chain(seed%2 == 1, n, time.Duration(50+rng.IntN(10000))*time.Microsecond)
					p.Target.State = sim.Closed
					p.Routers[n-2].SYNs = sim.Rate{Every: every}
					if n > 2 && seed%4 > 1 {
						p.Routers[n-2].Silent = 1
					}
					found, syns := seldom(t, p, rng, queries)
					traces++
					end := 0
					for h := range found.Hops() {
						if slices.ContainsFunc(h.Probes, trace.Result.FromTarget) {
							end = h.TTL
							break
						}
					}
					switch what := fmt.Sprintf("every %v, %d probes, seed %d: hop %d for %d", every, queries, seed, end, n); {
					case end == 0:
						silent++
					case end != n:
						t.Log(what)
						wrong++
					case syns > 20:
						t.Logf("%s: %d SYNs", what, syns)
						many++
					}
				}
			}
		}
	}
	t.Logf("of %d traces %d show the target at a wrong hop, %d nowhere; %d more than 20 SYNs", traces, wrong, silent, many)
	if 200*wrong > traces || 20*silent > traces || 20*many > traces {
		t.Errorf("of %d traces %d show the target at a wrong hop, %d nowhere; %d more than 20 SYNs",
			traces, wrong, silent, many)
	}
}
