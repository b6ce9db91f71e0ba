package trace_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// One of several routers side by side, or a router alone, rejects one packet in three. The list goes on to the target, whose
// state is shown.
func TestSomePacketsRefused(t *testing.T) {
	t.Parallel()
	const seeds = 400
	bad := 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 5))
		v6 := rng.IntN(2) == 0
		n := []int{2, 3, 5, 8, 12, 16}[rng.IntN(6)]
		at := 1 + rng.IntN(n-1)
		scale := []time.Duration{100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond}[rng.IntN(3)]
		p := chain(v6, n, 0)
		for i := range p.Routers {
			p.Routers[i].Delay = scale/10 + time.Duration(rng.Int64N(int64(scale)))
		}
		p.Target.Delay = scale / 2
		r := &p.Routers[at-1]
		r.Rules = []sim.Rule{{Action: sim.Reject, Code: 1, Share: 1. / 3}}
		if rng.IntN(2) == 0 {
			r.Addrs = append(r.Addrs, netip.AddrFrom16(other(r.Addrs[0], 7)).Unmap())
			r.PerPacket = rng.IntN(2) == 0
		}
		s := withProbePorts(newSetup(p))
		s.scenario.Seed = seed
		o := s.trace(t)
		what := fmt.Sprintf("seed %d: target at %d, hop %d (%d routers, per packet %v) rejects, IPv6 %v", seed, n, at, len(r.Addrs), r.PerPacket, v6)
		open := func(r trace.Result) bool { return r.Outcome == trace.Answered && r.FromTarget() }
		if o.trace.Last() != n || !slices.ContainsFunc(o.trace.Hop(n).Probes, open) {
			bad++
			t.Logf("%s: ends at hop %d, %v; hop %d %v", what, o.trace.Last(), o.hop(o.trace.Last()), min(n, o.trace.Last()), o.hop(min(n, o.trace.Last())))
		}
		for ttl := 1; ttl <= min(n, o.trace.Last()); ttl++ {
			for _, got := range o.trace.Hop(ttl).Probes {
				refused := got.Refused() && ttl > at
				if got.Outcome == trace.Answered && !refused && (ttl == n) != got.FromTarget() {
					t.Errorf("%s: hop %d: %v from %v", what, ttl, got.Reply.Kind, got.From())
				}
			}
		}
	}
	// All probes to a hop and beyond may be refused by chance.
	if bad > seeds/50 {
		t.Errorf("%d of %d traces don't show the target", bad, seeds)
	}
	t.Logf("%d of %d traces don't show the target", bad, seeds)
}

// A refusal of all packets ends the path where it is, also if the probes of others get through.
func TestAllPacketsRefused(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, n := range []int{3, 9, 16} {
			for at := 1; at < n; at += 3 {
				p := chain(v6, n, 3*time.Millisecond)
				p.Routers[at-1].Rules = []sim.Rule{{Action: sim.Reject, Code: 1}}
				o := withProbePorts(newSetup(p)).trace(t)
				o.wantHops(t, 3, append(route(v6, at), address(v6, at))...)
			}
		}
	})
}

// written is how many probes the rows of a report have that writes each as soon as it is complete.
func (o *outcome) written(p trace.PathOptions) (rows []int) {
	f, next := trace.NewTrace(p), p.FirstTTL
	write := func() {
		for next = max(next, 1); next <= f.Last() && f.Complete(next); next++ {
			rows = append(rows, len(f.Hop(next).Probes))
		}
	}
	for _, r := range o.results {
		f.Add(r)
		write()
	}
	f.Finish()
	write()
	return rows
}

// somewhat draws a path with a router that does something with some of the packets, and how it is traced.
func somewhat(seed uint64, rule sim.Rule) (s *setup, n int, what string) {
	rng := rand.New(rand.NewPCG(seed, 9))
	v6 := rng.IntN(2) == 0
	n = []int{2, 3, 4, 5, 7, 9, 12, 16}[rng.IntN(8)]
	at := 1 + rng.IntN(n-1)
	p := chain(v6, n, 0)
	scale := []time.Duration{20 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond}[rng.IntN(4)]
	for i := range p.Routers {
		p.Routers[i].Delay = scale/10 + time.Duration(rng.Int64N(int64(scale)))
	}
	p.Target.Delay = scale / 2
	p.Routers[at-1].Rules = []sim.Rule{rule}
	s = withProbePorts(newSetup(p))
	s.scenario.Seed = seed
	s.path.Queries = []int{1, 3, 3, 10}[rng.IntN(4)]
	what = fmt.Sprintf("seed %d: target at %d, hop %d is it, %d probes per hop, links of %v, IPv6 %v", seed, n, at, s.path.Queries, scale, v6)
	return s, n, what
}

// wrongRows checks that the list ends at the target, and says how many rows don't show their own router.
func (o *outcome) wrongRows(t *testing.T, what string, n int) (length bool, rows int) {
	t.Helper()
	for ttl := 1; ttl <= min(n, o.trace.Last()); ttl++ {
		if own := address(o.sent[0].Probe.Dst.Addr().Is6(), ttl).String(); !slices.Contains(o.hop(ttl), own) {
			rows++
		}
	}
	if length = o.trace.Last() != n; length || rows > 0 {
		t.Logf("%s: the list ends at %d, %d rows don't have their router", what, o.trace.Last(), rows)
	}
	return length, rows
}

// A router rejects every so manieth packet, in strict turn, or what is over a limit. The target stands in its row, and
// each row shows its own router. A row that a report has written already doesn't turn out to be another one.
func TestPacketsRefusedByCount(t *testing.T) {
	t.Parallel()
	every := func(d time.Duration, burst int) sim.Rule {
		return sim.Rule{Action: sim.Reject, Code: 1, Over: sim.Rate{Every: d, Burst: burst}}
	}
	for name, rule := range map[string]sim.Rule{
		"every third":           {Action: sim.Reject, Code: 1, InTurn: 3},
		"every fourth":          {Action: sim.Reject, Code: 1, InTurn: 4},
		"over 5 a second":       every(200*time.Millisecond, 3),
		"over 20 a second":      every(50*time.Millisecond, 5),
		"every third, SYNs":     {Action: sim.Reject, Code: 1, InTurn: 3, Segments: sim.OnlySYN},
		"over 5 a second, SYNs": {Action: sim.Reject, Code: 1, Over: sim.Rate{Every: 200 * time.Millisecond, Burst: 3}, Segments: sim.OnlySYN},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const seeds = 200
			lengths, rows := 0, 0
			for seed := range uint64(seeds) {
				s, n, what := somewhat(seed, rule)
				o := s.trace(t)
				length, wrong := o.wrongRows(t, what, n)
				if length {
					lengths++
				}
				rows += wrong
				var final []int
				for ttl := 1; ttl <= o.trace.Last(); ttl++ {
					final = append(final, len(o.trace.Hop(ttl).Probes))
				}
				if written := o.written(s.path); !slices.Equal(written, final) {
					t.Errorf("%s: the rows written have %v probes, in the end %v", what, written, final)
				}
			}
			t.Logf("of %d lists %d end at a wrong hop, and %d rows don't have their router", seeds, lengths, rows)
			if lengths > seeds/50 || rows > seeds/10 {
				t.Errorf("of %d lists %d end at a wrong hop, and %d rows don't have their router", seeds, lengths, rows)
			}
		})
	}
}

// One of several ways refuses all packets, and it is that of the path's own flow. That others get to the target doesn't
// make the list go on.
func TestOwnFlowRefused(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, n := range []int{3, 9, 16} {
			for at := 1; at < n; at += 3 {
				for _, queries := range []int{1, 3, 10} {
					p := chain(v6, n, 3*time.Millisecond)
					port := source4.Port()
					p.Routers[at-1].Rules = []sim.Rule{{Action: sim.Reject, Code: 1, Lo: port, Hi: port, Source: true}}
					s := withProbePorts(newSetup(p))
					s.path.Queries = queries
					o := s.trace(t)
					o.wantHops(t, queries, append(route(v6, at), address(v6, at))...)
					if o.took > 8*time.Second {
						t.Errorf("target at %d, refused at %d, %d probes per hop: it took %v", n, at, queries, o.took)
					}
				}
			}
		}
	})
}

// A device in line resets some of the SYNs, and lets the others pass. The list goes on to the target if it has answered
// any probe: all that were sent may be reset by chance.
func TestSomeReset(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]sim.Rule{
		"every other, at random":  {Action: sim.Reset, Share: 1. / 2},
		"one in three, at random": {Action: sim.Reset, Share: 1. / 3},
		"every other":             {Action: sim.Reset, InTurn: 2},
		"every third":             {Action: sim.Reset, InTurn: 3},
		"over 5 a second":         {Action: sim.Reset, Over: sim.Rate{Every: 200 * time.Millisecond, Burst: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const seeds = 400
			wrong, reset := 0, 0
			for seed := range uint64(seeds) {
				s, n, what := somewhat(seed, rule)
				o := s.trace(t)
				if length, _ := o.wrongRows(t, what, n); length {
					if _, accepts := o.kinds(); accepts == 0 {
						reset++
					} else {
						wrong++
					}
				}
				if len(o.sent) > 12*n+100 {
					t.Errorf("%s: %d probes", what, len(o.sent))
				}
			}
			what := fmt.Sprintf("of %d lists %d end at a wrong hop though the target has answered, and %d because all were reset", seeds, wrong, reset)
			t.Log(what)
			if wrong > seeds/40 || reset > seeds/8 {
				t.Error(what)
			}
		})
	}
}

// A row that a report has written, because its hop was complete, doesn't change any more: where a limit on SYNs dropped
// the only probe to a hop, it is asked again, and the target may turn out to be there: 24 of these rows did.
func TestWrittenRowsStay(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, n := range []int{3, 5, 6, 8} {
			for _, every := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond} {
				for _, queries := range []int{1, 2, 3} {
					p := chain(v6, n, 10*time.Microsecond)
					p.Routers[0].SYNs = sim.Rate{Every: every, Burst: 5}
					s := withProbePorts(newSetup(p))
					s.path.Queries = queries
					o := s.trace(t)
					for i, had := range o.written(s.path) {
						if now := len(o.trace.Hop(i + 1).Probes); now != had {
							t.Errorf("target at %d, a SYN in %v, -q %d: row %d was written with %d probes of %d", n, every, queries, i+1, had, now)
						}
					}
				}
			}
		}
	})
}
