package trace_test

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// overheard notes what a plan is asked and told: Learn where there is a result, else Next.
type overheard struct {
	trace.Plan
	steps []step
}

type step struct {
	now    time.Time
	result *trace.Result
}

func (a *overheard) Next(now time.Time) trace.Action {
	a.steps = append(a.steps, step{now, nil})
	return a.Plan.Next(now)
}

func (a *overheard) Learn(now time.Time, r trace.Result) {
	a.steps = append(a.steps, step{now, &r})
	a.Plan.Learn(now, r)
}

// BenchmarkPath says what a plan takes of the processor a probe, without the engine and the network: 40 paths of the
// simulated Internet are traced once, and what their plans were asked and told is repeated.
func BenchmarkPath(b *testing.B) {
	const seed = 1
	paths := sim.Internet(seed, 40, sim.InternetOptions{}).Paths
	begin := func(i int) *trace.Path {
		o := trace.PathOptions{Target: netip.AddrPortFrom(paths[i].Target.Addr, sim.InternetPort),
			Source:     netip.AddrPortFrom(sim.InternetHosts4.Addr().Next(), 40000),
			ProbePorts: []uint16{40001, 40002, 40003, 40004}, Rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		if o.Target.Addr().Is6() {
			o.Source = netip.AddrPortFrom(sim.InternetHosts6.Addr().Next(), 40000)
		}
		p, err := trace.NewPath(o)
		if err != nil {
			b.Error(err)
		}
		return p
	}
	plans := make([]overheard, len(paths))
	sent := make([]int, len(paths))
	var all sync.WaitGroup
	for i, p := range paths {
		all.Go(func() {
			m, err := sim.New(sim.Scenario{Seed: seed + uint64(i), Paths: []sim.Path{p}})
			if err != nil {
				b.Error(err)
				return
			}
			c := sim.NewConn(m)
			defer c.Close()
			plans[i].Plan = begin(i)
			counts, err := trace.Run(b.Context(), c, &plans[i], trace.Options{}, func(trace.Result) {})
			if err != nil {
				b.Error(err)
			}
			sent[i] = counts.Sent
		})
	}
	all.Wait()
	probes := 0
	for _, n := range sent {
		probes += n
	}
	before := cpu(b)
	for b.Loop() {
		for i := range plans {
			p := begin(i)
			for _, s := range plans[i].steps {
				if s.result == nil {
					p.Next(s.now)
				} else {
					p.Learn(s.now, *s.result)
				}
			}
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N*probes)/1000, "cpu-µs/probe")
}
