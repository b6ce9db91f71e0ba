package trace

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemory: how long a probe is remembered follows the slowest answer of its target, within bounds.
func TestMemory(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name          string
		wait, slowest time.Duration // 0: no answer
		ended         bool          // its target has come to its end
		known, gone   time.Duration // ages at which it is still remembered, and no longer
	}{
		{"a fast target", 3 * s, 50 * time.Millisecond, false, 15 * s, 16 * s},
		{"a slow target", 3 * s, 1400 * time.Millisecond, false, 28 * s, 31 * s},
		{"a very slow target", 3 * s, 20 * s, false, 60 * s, 61 * s},
		{"no answer", 3 * s, 0, false, 60 * s, 61 * s},
		{"a long wait", 40 * s, 50 * time.Millisecond, false, 80 * s, 81 * s},
		{"a long wait, no answer", 40 * s, 0, false, 80 * s, 81 * s},
		{"a fast target that has ended", 3 * s, 50 * time.Millisecond, true, s, 2 * s},
		{"a slow target that has ended", 3 * s, 150 * time.Millisecond, true, 3 * s, 4 * s},
		{"a very slow target that has ended", 3 * s, 20 * s, true, 15 * s, 16 * s},
		{"no answer of a target that has ended", 3 * s, 0, true, s, 2 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &engine{o: new(Options), m: newMatcher()}
			for i := range 3 {
				action := Send(families[0].probe(3, uint32(i)))
				action.Wait = tt.wait
				f := e.m.add(action, i+1, sentAt.Add(time.Duration(i)*time.Microsecond))
				f.flow.slowest = tt.slowest
				f.outcome = Lost
				e.done[0].push(f)
				if tt.ended {
					e.carryOut(EndFlow(f.key))
				}
			}
			for at := sentAt; at.Before(sentAt.Add(tt.known)); at = at.Add(s) {
				e.expire(at, nil)
			}
			if e.expire(sentAt.Add(tt.known), nil); len(e.m.flights) != 3 {
				t.Errorf("after %v: %d of 3 are remembered", tt.known, len(e.m.flights))
			}
			if e.expire(sentAt.Add(tt.gone), nil); len(e.m.flights) != 0 || !e.m.empty() {
				t.Errorf("after %v: %d of 3 are remembered", tt.gone, len(e.m.flights))
			}
		})
	}
}

// flowEnds notes which flows a plan uses, and which it ends.
type flowEnds struct {
	Plan
	used, ended map[flowID]bool
	t           *testing.T
}

func (p *flowEnds) Next(now time.Time) Action {
	a := p.Plan.Next(now)
	switch a.Do {
	case DoSend:
		id := flowID{a.Probe.Src.Port(), a.Probe.Seq}
		if p.used[id] = true; p.ended[id] {
			p.t.Errorf("%+v is used after its end", id)
		}
	case DoEndFlow:
		p.ended[flowID{a.Key.Port, a.Key.Seq}] = true
	}
	return a
}

// TestTargetsEndFlows: each flow of a target ends with the target, also if this one ends before its time.
func TestTargetsEndFlows(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"whole": 0, "cut short": 5 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, next := newMany(t, 20), 0
				defer m.conn.Close()
				targets := NewTargets(TargetsOptions{Open: 5, Nearby: 5, Timeout: timeout, Next: func() (Offer, bool) {
					if next == 20 {
						return Offer{}, false
					}
					plan, _ := m.path(next)
					next++
					return Offer{Addr: targetAddr(next - 1), Begin: func(int) Plan { return plan }}, true
				}})
				plan := &flowEnds{targets, make(map[flowID]bool), make(map[flowID]bool), t}
				if _, err := Run(t.Context(), m.conn, plan, Options{}, func(Result) {}); err != nil {
					t.Fatal(err)
				}
				if len(plan.used) < 20 || !maps.Equal(plan.used, plan.ended) {
					t.Errorf("%d flows were used, %d have ended", len(plan.used), len(plan.ended))
				}
			})
		})
	}
}
