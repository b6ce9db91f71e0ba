package trace_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// deadTarget is a path on whose last link nobody has the target's address. The last router says so after a while.
func deadTarget(v6 bool, n int, delay, after time.Duration) sim.Path {
	p := chain(v6, n, delay)
	p.Routers[n-2].Unresolved = after
	return p
}

// wantDead checks that the list ends behind the routers with the last router's refusal.
func (o *outcome) wantDead(t *testing.T, v6 bool, n int) {
	t.Helper()
	if o.err != nil {
		t.Errorf("error: %v", o.err)
	}
	if !o.trace.Reached() {
		t.Error("no refusal is shown")
	}
	if got := o.trace.Last(); got != n {
		t.Errorf("the path has %d hops, want %d", got, n)
		return
	}
	for ttl := 1; ttl < n; ttl++ {
		for _, r := range o.trace.Hop(ttl).Probes {
			if r.Outcome == trace.Answered && (r.From() != address(v6, ttl) || r.Reply.Kind != packet.KindTimeExceeded) {
				t.Errorf("hop %d: %v from %v", ttl, r.Reply.Kind, r.From())
			}
		}
	}
	refused := func(r trace.Result) bool { return r.Refused() && r.From() == address(v6, n-1) }
	if !slices.ContainsFunc(o.trace.Hop(n).Probes, refused) {
		t.Errorf("hop %d: %v, no refusal", n, o.hop(n))
	}
}

// A target that is down: the last router reports it after three tries of a second to find it, and some time for its timers.
// That is just after the wait of the first probes.
func TestTargetDown(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, tt := range []struct {
			name string
			set  func(*setup)
		}{
			{"by default", func(*setup) {}},
			{"one probe per hop", func(s *setup) { s.path.Queries = 1 }},
			{"a wait of 3 s", func(s *setup) { s.path.Patient, s.path.Wait = true, 3*time.Second }},
			{"a wait of 3 s, one probe per hop", func(s *setup) { s.path.Patient, s.path.Wait, s.path.Queries = true, 3*time.Second, 1 }},
			{"a wait of 2 s", func(s *setup) { s.path.Patient, s.path.Wait = true, 2*time.Second }},
			{"a wait of 1 s", func(s *setup) { s.path.Patient, s.path.Wait = true, time.Second }},
			{"a wait of 5 s", func(s *setup) { s.path.Patient, s.path.Wait = true, 5*time.Second }},
			{"one after the other", func(s *setup) { s.path.Parallel = 1 }},
			{"one after the other, one probe per hop", func(s *setup) { s.path.Parallel, s.path.Queries = 1, 1 }},
			{"a port for each probe", func(s *setup) { s.path.Ports = []uint16{42000, 42001, 42002, 42003, 42004} }},
			{"no ports for scouts", func(s *setup) { s.path.ProbePorts = nil }},
			{"a small window", func(s *setup) { s.path.Parallel = 4 }},
		} {
			for i := range 2 * 2 * 2 * 3 {
				limited, n := i&1 > 0, 2+5*(i&2)
				delay := []time.Duration{100 * time.Microsecond, 15 * time.Millisecond}[i>>2&1]
				after := []time.Duration{3 * time.Second, 3070 * time.Millisecond, 3200 * time.Millisecond}[i>>3]
				if after+2*time.Duration(n-1)*delay > 3490*time.Millisecond {
					continue // more than half a second after the wait
				}
				t.Run(fmt.Sprintf("%s, limited %v, hop %d, delay %v, after %v", tt.name, limited, n, delay, after), func(t *testing.T) {
					s := withProbePorts(newSetup(deadTarget(v6, n, delay, after)))
					if limited {
						for i := range s.scenario.Paths[0].Routers { // as Linux does by default
							s.scenario.Paths[0].Routers[i].SourceRate = sim.Rate{Every: time.Second, Burst: 6}
						}
					}
					tt.set(s)
					s.trace(t).wantDead(t, v6, n)
				})
			}
		}
	})
}

// A path that is filtered by a drop takes at most half a second longer for that.
func TestDropTakesNoLonger(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		delay   time.Duration
		n       int
		queries int
		before  time.Duration // without the linger
	}{
		{100 * time.Microsecond, 2, 3, 3005 * time.Millisecond},
		{100 * time.Microsecond, 7, 3, 3004 * time.Millisecond},
		{5 * time.Millisecond, 7, 1, 3002 * time.Millisecond},
		{30 * time.Millisecond, 7, 3, 3723 * time.Millisecond},
		{30 * time.Millisecond, 7, 1, 3212 * time.Millisecond},
		{100 * time.Millisecond, 2, 3, 3158 * time.Millisecond},
		{100 * time.Millisecond, 7, 3, 7540 * time.Millisecond},
	} {
		bothFamilies(t, func(t *testing.T, v6 bool) {
			p := chain(v6, tt.n, tt.delay)
			p.Target.State = sim.Filtered
			for _, wait := range []time.Duration{0, 3 * time.Second} {
				s := withProbePorts(newSetup(p))
				s.path.Queries, s.path.Wait, s.path.Patient = tt.queries, wait, wait > 0
				o := s.trace(t)
				before := tt.before
				if s.path.Patient {
					before = o.sent[len(o.sent)-1].At.Add(wait).Sub(o.sent[0].At)
				}
				t.Logf("%v, %d hops, %d probes per hop: %v, before %v", tt.delay, tt.n, tt.queries, o.took, before)
				if o.took > before+500*time.Millisecond {
					t.Errorf("took %v, before %v", o.took, before)
				}
			}
		})
	}
}

// The same round by round: however often the last router has to look for the target, hardly a probe is lost.
func TestTargetDownInRounds(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, count := range []int{1, 2, 10, 30} {
			for _, interval := range []time.Duration{200 * time.Millisecond, time.Second} {
				const n = 4
				w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{deadTarget(v6, n, 3*time.Millisecond, 3070*time.Millisecond)}}, interval, count, nil)
				if w.stats.Last() != n || !w.stats.Reached() {
					t.Fatalf("%d rounds, one in %v: the path ends at %d, reached: %v", count, interval, w.stats.Last(), w.stats.Reached())
				}
				if h := w.stats.Hop(n); h.State == nil || !h.State.Refused() || h.Lost > 0 {
					t.Errorf("%d rounds, one in %v: hop %d: %d answers, %d lost", count, interval, n, h.Received, h.Lost)
				}
			}
		}
	})
}
