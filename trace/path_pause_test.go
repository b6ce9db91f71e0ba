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

// paused is a path that checks how long it wants to be left alone.
type paused struct {
	*trace.Path
	t    *testing.T
	sent time.Time // when its last action was to send; zero: it was another, or something was learned since
	left int       // how often it wanted to be left alone right after that
}

func (p *paused) Next(now time.Time) trace.Action {
	if p.LooksTooLate(now) {
		p.t.Errorf("%v: the end of a wait would be seen too late", p.t.Name())
	}
	a := p.Path.Next(now)
	switch {
	case a.Do == trace.DoSend:
		p.sent = now
	case !p.sent.IsZero() && a.Do == trace.DoWait && a.Until.Sub(p.sent) <= trace.DefaultSpacing && !a.Until.IsZero():
		p.left++
	}
	if a.Do != trace.DoSend {
		p.sent = time.Time{}
	}
	return a
}

func (p *paused) Learn(now time.Time, r trace.Result) {
	p.sent = time.Time{}
	p.Path.Learn(now, r)
}

// TestPathPauses: a plan that doesn't work out the end of each wait each time that it is asked looks in time all the
// same, and right after a probe it is left alone no longer than the next takes.
func TestPathPauses(t *testing.T) {
	t.Parallel()
	left := 0
	for i, path := range sim.Internet(1, 100, sim.InternetOptions{}).Paths {
		synctest.Test(t, func(t *testing.T) {
			m, err := sim.New(sim.Scenario{Seed: 1 + uint64(i), Paths: []sim.Path{path}})
			if err != nil {
				t.Fatal(err)
			}
			c := sim.NewConn(m)
			defer c.Close()
			// A wait of a second at the most, for some: the least that a plan may rely on is shorter then.
			o := trace.PathOptions{Target: netip.AddrPortFrom(path.Target.Addr, sim.InternetPort),
				Source:     netip.AddrPortFrom(sim.InternetHosts4.Addr().Next(), 40000),
				ProbePorts: []uint16{40001, 40002, 40003, 40004}, Rand: rand.New(rand.NewPCG(1, uint64(i))),
				Wait: []time.Duration{0, trace.LeastWait, time.Second}[i%3]}
			if path.Target.Addr.Is6() {
				o.Source = netip.AddrPortFrom(sim.InternetHosts6.Addr().Next(), 40000)
			}
			p, err := trace.NewPath(o)
			if err != nil {
				t.Fatal(err)
			}
			plan := &paused{Path: p, t: t}
			if _, err := trace.Run(t.Context(), c, plan, trace.Options{}, func(trace.Result) {}); err != nil {
				t.Fatal(err)
			}
			left += plan.left
		})
	}
	if left == 0 {
		t.Error("no plan was left alone after a probe")
	}
}
