package trace_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// echo is a trace by ICMP echo.
func echo(p sim.Path) *setup {
	s := newSetup(p)
	s.path.Protocol = packet.ProtoEcho
	return s
}

func TestEcho(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, parallel := range []int{1, 16} {
			s := echo(chain(v6, 9, 5*time.Millisecond))
			s.path.Parallel = parallel
			o := s.trace(t)
			o.wantHops(t, 3, route(v6, 9)...)
			if !o.trace.Reached() {
				t.Error("not reached")
			}
			first := o.sent[0].Probe
			for _, sent := range o.sent {
				if p := sent.Probe; p.Protocol != packet.ProtoEcho || p.Src != first.Src || p.Seq != first.Seq || p.FlowLabel != first.FlowLabel {
					t.Errorf("%+v is not of the flow of %+v", p, first)
				}
			}
			if n := o.truth.Target.Echoes; n > 3+8 {
				t.Errorf("the target answered %d times", n)
			}
			if o.counts.NearMisses+o.counts.Unrelated+o.counts.Late+o.counts.Duplicates > 0 && parallel == 1 {
				t.Errorf("%+v", o.counts)
			}
		}
	})
}

// The target's answers name their probes, so any number of them may be in flight.
func TestEchoTakesOneRoundTripAPass(t *testing.T) {
	s := echo(chain(false, 6, 50*time.Millisecond))
	s.path.FirstTTL = 6
	o := s.trace(t)
	if o.took > 2*600*time.Millisecond {
		t.Errorf("three probes to a target that is 600 ms away took %v", o.took)
	}
	if got := o.hop(6); len(got) != 3 || got[0] == "*" {
		t.Errorf("%v", got)
	}
}

// What routers do to quotes: the RFC 792 minimum, with and without padding, a scrubbed IP ID.
func TestEchoQuotes(t *testing.T) {
	id := uint16(77)
	mpls := sim.Extensions{MPLS: []packet.Label{{Label: 16, TTL: 1}}}
	for i, a := range []sim.Answers{
		{Quote: sim.QuoteMinimum}, {Quote: sim.QuoteMinimum, Extensions: mpls}, {Extensions: mpls}, {QuoteAs: sim.Rewrite{ID: &id}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			bothFamilies(t, func(t *testing.T, v6 bool) {
				p := chain(v6, 5, 5*time.Millisecond)
				p.Routers[2].Answers = a
				echo(p).trace(t).wantHops(t, 3, route(v6, 5)...)
			})
		})
	}
}

// TCP is dropped, echo passes, and the two run in one engine on one port.
func TestEchoBesideTCP(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		p := chain(v6, 6, 5*time.Millisecond)
		p.Routers[3].Rules = []sim.Rule{{Action: sim.Drop}}
		s := echo(p)
		s.trace(t).wantHops(t, 3, route(v6, 6)...)
		s.path.Protocol = packet.ProtoTCP
		s.path.MaxTTL = 6
		s.trace(t).wantHops(t, 3, route(v6, 6, 5, 6)...)
	})
}

func TestEchoFilteredTarget(t *testing.T) {
	p := chain(false, 5, 5*time.Millisecond)
	p.Target.NoEcho = true
	s := echo(p)
	s.path.MaxTTL = 7
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 7, 5, 6, 7)...)
	if o.trace.Reached() {
		t.Error("reached")
	}
}

func TestEchoTrouble(t *testing.T) {
	p := chain(false, 8, 5*time.Millisecond)
	for i := range p.Routers {
		p.Routers[i].Link.Duplicate = 1
		p.Routers[i].Link.Jitter = 30 * time.Millisecond
	}
	s := echo(p)
	s.path.Patient = true
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 8)...)
	if o.counts.Duplicates == 0 {
		t.Error("no duplicates counted")
	}
	for _, r := range o.results {
		if r.Outcome == trace.Shared || r.Outcome == trace.Rewritten {
			t.Errorf("%v", r.Outcome)
		}
	}
}

// Against the truth, on paths of a simulated Internet with all its troubles: no answer is taken for a wrong probe's, and
// what answers TCP probes on the way answers these.
func TestEchoAcrossTheInternet(t *testing.T) {
	t.Parallel()
	const paths = 150
	network := sim.Internet(7, paths, sim.InternetOptions{})
	answered, replies := 0, 0
	for i := range paths {
		synctest.Test(t, func(t *testing.T) {
			m, err := sim.New(sim.Scenario{Seed: uint64(i), Paths: network.Paths[i : i+1]})
			if err != nil {
				t.Fatal(err)
			}
			c := sim.NewConn(m)
			defer c.Close()
			o := newSetup(network.Paths[i]).path
			o.Protocol, o.Rand = packet.ProtoEcho, rand.New(rand.NewPCG(uint64(i), 7))
			plan, err := trace.NewPath(o)
			if err != nil {
				t.Fatal(err)
			}
			var results []trace.Result
			if _, err := trace.Run(t.Context(), c, plan, trace.Options{}, func(r trace.Result) { results = append(results, r) }); err != nil {
				t.Error(err)
			}
			b, err := c.Sent()[0].Probe.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			truth, err := m.Expect(b)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Outcome != trace.Answered {
					continue
				}
				answered++
				ttl, from := int(r.Probe.TTL), r.Reply.From()
				switch {
				case r.Evidence != trace.ByTag:
					t.Errorf("path %d, TTL %d: evidence %v", i, ttl, r.Evidence)
				case r.FromTarget():
					replies++
					if from != o.Target.Addr() || ttl <= len(truth.Hops) && truth.Hops[ttl-1].Kind == packet.KindTimeExceeded {
						t.Errorf("path %d, TTL %d: a reply, but the truth is %+v", i, ttl, truth.Hops[ttl-1])
					}
				case ttl > len(truth.Hops) || !slices.Contains(truth.Hops[ttl-1].Addrs, from):
					t.Errorf("path %d, TTL %d: %v, the truth is %+v", i, ttl, from, truth)
				}
			}
		})
	}
	if answered < 15*paths || replies < 2*paths {
		t.Errorf("%d answers, %d of them replies, on %d paths", answered, replies, paths)
	}
}
