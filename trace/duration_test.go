package trace_test

import (
	"fmt"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// TestManyQueriesEnd: a doubt costs a trace once, or a probe, not each of many probes. The bounds are in virtual time.
func TestManyQueriesEnd(t *testing.T) {
	t.Parallel()
	const (
		queries = 100
		wait    = 4 * time.Second
		lost    = 0.05 // of the target's answers
	)
	rewritten := func(p *sim.Path) { p.Routers[0].RandomID = true }
	lossy := func(p *sim.Path) { p.Target.Back.Loss = lost }
	lossyUnnamed := func(p *sim.Path) { p.Target.Back.Loss, p.Target.NoOptions = lost, true }
	for _, tt := range []struct {
		name       string
		v6         bool
		set        func(*sim.Path)
		most, busy time.Duration // busy: if the program reads nothing for most of the time
	}{
		{"calm, IPv4", false, func(*sim.Path) {}, 10 * time.Second, 30 * time.Second},
		{"calm, IPv6", true, func(*sim.Path) {}, 10 * time.Second, 30 * time.Second},
		{"no timestamps", true, func(p *sim.Path) { p.Target.NoOptions = true }, 10 * time.Second, 30 * time.Second},
		// What is in flight when that is found out has its whole wait, once. Then one probe is in flight at a time.
		{"IP ID rewritten", false, rewritten, 40 * time.Second, 100 * time.Second},
		// A lost SYN+ACK comes again after a second. The probes after it are not sent later for that.
		{"lost SYN+ACK, IPv4", false, lossy, 25 * time.Second, 40 * time.Second},
		{"lost SYN+ACK, IPv6", true, lossy, 25 * time.Second, 40 * time.Second},
		{"lost SYN+ACK, no timestamps", true, lossyUnnamed, 25 * time.Second, 40 * time.Second},
	} {
		for _, late := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s, read late by %v", tt.name, late), func(t *testing.T) {
				p := chain(tt.v6, 6, 5*time.Millisecond)
				tt.set(&p)
				s := newSetup(p)
				s.path.Queries, s.path.Wait, s.path.Patient = queries, wait, true
				s.path.ProbePorts = []uint16{60000, 60001, 60002, 60003}
				if late > 0 {
					s.conn = func(c *sim.Conn) trace.Conn {
						return &lateConn{Conn: c, start: time.Now(), by: late, every: 400 * time.Millisecond}
					}
				}
				o := s.trace(t)
				if o.err != nil {
					t.Fatal(o.err)
				}
				t.Logf("took %v, %d probes", o.took, len(o.sent))
				most := tt.most
				if late > 100*time.Millisecond {
					most = tt.busy
				}
				if o.took > most {
					t.Errorf("took %v, at most %v", o.took, most)
				}
				if hops := len(p.Routers) + 1; len(o.sent) > hops*queries+queries/5 {
					t.Errorf("%d probes to %d hops", len(o.sent), hops)
				}
			})
		}
	}
}
