package trace_test

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var lateTargets = flag.Int("late-targets", 200, "how many targets of the simulated Internet to trace side by side with a late reader")

// manyTraces is what traces side by side came to.
type manyTraces struct {
	verdict
	counts trace.Counts
	fates  map[trace.Outcome]int
}

// traceMany traces paths of the simulated Internet side by side, at most so many at a time, with one pace over all and
// the same ports.
func traceMany(t *testing.T, paths []sim.Path, open int, over func(*sim.Conn) trace.Conn) (v manyTraces) {
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(sim.Scenario{Seed: *internetSeed, Paths: paths})
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		rng := rand.New(rand.NewPCG(*internetSeed, 9))
		g := trace.NewGroup()
		var folds []*trace.Trace
		var options []trace.PathOptions
		add := func() {
			if len(folds) == len(paths) {
				return
			}
			o := trace.PathOptions{
				Target:     netip.AddrPortFrom(paths[len(folds)].Target.Addr, sim.InternetPort),
				Source:     netip.AddrPortFrom(sim.InternetHosts4.Addr().Next(), 40000),
				ProbePorts: []uint16{40001, 40002, 40003, 40004}, Rand: rng,
			}
			if o.Target.Addr().Is6() {
				o.Source = netip.AddrPortFrom(sim.InternetHosts6.Addr().Next(), 40000)
			}
			plan, err := trace.NewPath(o)
			if err != nil {
				t.Fatal(err)
			}
			folds, options = append(folds, trace.NewTrace(o)), append(options, o)
			g.Add(plan)
		}
		g.Over = func(int) { add() }
		for range open {
			add()
		}
		begin := time.Now()
		v.fates = make(map[trace.Outcome]int)
		run := trace.Options{Pace: trace.NewPace(5000, 16)}
		v.counts, err = trace.Run(t.Context(), over(c), g, run, func(r trace.Result) {
			i, r := g.Of(r)
			folds[i].Add(r)
			v.fates[r.Outcome]++
		})
		if err != nil {
			t.Fatal(err)
		}
		v.took = time.Since(begin)
		first := make(map[netip.AddrPort]sim.Sent)
		for _, s := range c.Sent() {
			if _, ok := first[s.Probe.Dst]; !ok && s.Probe.Src.Port() == 40000 {
				first[s.Probe.Dst] = s
			}
		}
		v.probes = len(c.Sent())
		for i, f := range folds {
			f.Finish()
			b, err := first[options[i].Target].Probe.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			truth, err := m.Expect(b)
			if err != nil {
				t.Fatal(err)
			}
			v.compare(f, truth)
		}
	})
	return v
}

// TestLateReaderOfMany: a host that traces many targets and reads late shows no wrong hop for that, and misses hardly one.
func TestLateReaderOfMany(t *testing.T) {
	t.Parallel()
	targets := *lateTargets
	if testing.Short() {
		targets /= 4
	}
	paths := sim.Internet(*internetSeed, targets, sim.InternetOptions{}).Paths
	punctual := traceMany(t, paths, 300, func(c *sim.Conn) trace.Conn { return c })
	late := traceMany(t, paths, 300, func(c *sim.Conn) trace.Conn {
		return &lateConn{Conn: c, start: time.Now(), by: 300 * time.Millisecond, every: 400 * time.Millisecond}
	})
	for name, v := range map[string]manyTraces{"in time": punctual, "late": late} {
		t.Logf("%s: took %v; %d probes; %d hops found, %d missed, %d wrong", name, v.took, v.probes, v.found, v.missed, len(v.wrong))
		for _, w := range v.wrong {
			t.Logf("%s: %s", name, w)
		}
	}
	if len(late.wrong) > len(punctual.wrong) {
		t.Errorf("%d wrong hops, in time %d", len(late.wrong), len(punctual.wrong))
	}
	if more := late.missed - punctual.missed; more > 2+targets/200 {
		t.Errorf("%d hops more are missed", more)
	}
}

// TestLostHereOfMany: where this host loses one answer in 50, no hop is wrong or lost for that, and every trace ends.
func TestLostHereOfMany(t *testing.T) {
	t.Parallel()
	paths := sim.Internet(*internetSeed, 100, sim.InternetOptions{}).Paths
	whole := traceMany(t, paths, 30, func(c *sim.Conn) trace.Conn { return c })
	losing := traceMany(t, paths, 30, func(c *sim.Conn) trace.Conn { return &losingConn{Conn: c, every: 50} })
	for name, v := range map[string]manyTraces{"whole": whole, "losing": losing} {
		t.Logf("%s: took %v; %d probes, %v; %d lost here; %d hops found, %d missed, %d wrong", name, v.took, v.probes, v.fates,
			v.counts.LostHere, v.found, v.missed, len(v.wrong))
	}
	if len(losing.wrong) > len(whole.wrong) || losing.counts.LostHere == 0 {
		t.Errorf("%d wrong hops: %v; %d answers lost here", len(losing.wrong), losing.wrong, losing.counts.LostHere)
	}
	if more := losing.missed - whole.missed; more > 2 {
		t.Errorf("%d hops more are missed", more)
	}
}
