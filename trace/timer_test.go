package trace_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// testAlarm is Go's timer; it counts how often it is set, and may ring too early.
type testAlarm struct {
	*time.Timer
	early bool
	sets  int
}

func (a *testAlarm) Set(d time.Duration) {
	a.sets++
	if a.early {
		d = max(d/2, 1)
	}
	a.Reset(d)
}
func (a *testAlarm) C() <-chan time.Time { return a.Timer.C }
func (a *testAlarm) Run()                {}
func (a *testAlarm) Stop()               { a.Timer.Stop() }

// asked counts how often a plan is asked.
type asked struct {
	trace.Plan
	n int
}

func (p *asked) Next(now time.Time) trace.Action {
	p.n++
	return p.Plan.Next(now)
}

// TestAlarm: the timer isn't set anew for each answer, and one that rings too early changes nothing: the plan is not asked
// before its time, and the same packets leave.
func TestAlarm(t *testing.T) {
	type leaving struct {
		p  packet.Probe
		at time.Duration
	}
	var first []leaving
	firstAsked := 0
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m, err := sim.New(sim.Scenario{Seed: 1, Paths: []sim.Path{chain(false, 12, 10*time.Millisecond)}})
			if err != nil {
				t.Fatal(err)
			}
			conn := sim.NewConn(m)
			defer conn.Close()
			s := newSetup(chain(false, 12, 10*time.Millisecond))
			s.path.Rand = rand.New(rand.NewPCG(1, 7))
			path, err := trace.NewPath(s.path)
			if err != nil {
				t.Fatal(err)
			}
			plan := &asked{Plan: path}
			timer := &testAlarm{Timer: time.NewTimer(time.Hour), early: early}
			begin := time.Now()
			if _, err := trace.Run(t.Context(), conn, plan, trace.Options{NewTimer: func() trace.Timer { return timer }},
				func(trace.Result) {}); err != nil {
				t.Fatal(err)
			}
			var left []leaving
			for _, s := range conn.Sent() {
				left = append(left, leaving{s.Probe, s.At.Sub(begin)})
			}
			if early {
				if !slices.Equal(left, first) || plan.n > firstAsked+firstAsked/10 {
					t.Errorf("with an timer that rings early: %d probes, asked %d times; else %d and %d", len(left), plan.n,
						len(first), firstAsked)
				}
				return
			}
			first, firstAsked = left, plan.n
			if waits := plan.n - len(left); 10*timer.sets > 9*waits {
				t.Errorf("the timer was set %d times for %d waits", timer.sets, waits)
			}
		})
	}
}
