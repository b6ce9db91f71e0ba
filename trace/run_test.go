package trace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var (
	source4 = netip.MustParseAddrPort("198.18.0.1:40000")
	source6 = netip.MustParseAddrPort("[2001:db8::1]:40000")
)

// address is that of hop n, or of the target.
func address(v6 bool, n int) netip.Addr {
	if v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::2", n))
	}
	return netip.MustParseAddr(fmt.Sprintf("198.18.%d.2", n))
}

// chain is a path whose target is hop n, every link with this delay.
func chain(v6 bool, n int, delay time.Duration) sim.Path {
	var p sim.Path
	for i := 1; i < n; i++ {
		p.Routers = append(p.Routers, sim.Router{Addrs: []netip.Addr{address(v6, i)}, Link: sim.Link{Delay: delay}})
	}
	p.Target = sim.Target{Addr: address(v6, n), Link: sim.Link{Delay: delay}}
	return p
}

// outcome is all that a run showed.
type outcome struct {
	trace   *trace.Trace
	results []trace.Result
	counts  trace.Counts
	err     error
	took    time.Duration
	truth   sim.Truth
	sent    []sim.Sent
}

// setup is what a run is made from; a test changes what it is about.
type setup struct {
	scenario sim.Scenario
	path     trace.PathOptions
	run      trace.Options
	conn     func(*sim.Conn) trace.Conn // wraps the network
	during   func(ctx context.Context, cancel context.CancelCauseFunc, c *sim.Conn)
}

func newSetup(p sim.Path) *setup {
	s := &setup{scenario: sim.Scenario{Seed: 1, Paths: []sim.Path{p}}}
	s.path.Source = source4
	if p.Target.Addr.Is6() {
		s.path.Source = source6
	}
	s.path.Target = netip.AddrPortFrom(p.Target.Addr, 443)
	return s
}

func (s *setup) trace(t *testing.T) *outcome {
	t.Helper()
	o := new(outcome)
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(s.scenario)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		s.path.Rand = rand.New(rand.NewPCG(s.scenario.Seed, 7))
		plan, err := trace.NewPath(s.path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		if s.during != nil {
			go s.during(ctx, cancel, c)
		}
		var conn trace.Conn = c
		if s.conn != nil {
			conn = s.conn(c)
		}
		start := time.Now()
		o.trace = trace.NewTrace(s.path)
		o.counts, o.err = trace.Run(ctx, conn, plan, s.run, func(r trace.Result) {
			o.results = append(o.results, r)
			o.trace.Add(r)
		})
		o.took = time.Since(start)
		o.trace.Finish()
		o.truth, o.sent = c.Truth(0), c.Sent()
	})
	checkOutcomes(t, o)
	return o
}

// checkOutcomes holds for every run: each probe has exactly one outcome, and no answer came before its probe.
func checkOutcomes(t *testing.T, o *outcome) {
	t.Helper()
	seen := make(map[int]trace.Outcome)
	for _, r := range o.results {
		if r.Reply != nil && r.RTT() < 0 {
			t.Errorf("probe %d: RTT %v", r.N, r.RTT())
		}
		if !r.Outcome.Final() {
			continue
		}
		if before, ok := seen[r.N]; ok {
			t.Errorf("probe %d: %v after %v", r.N, r.Outcome, before)
		}
		seen[r.N] = r.Outcome
	}
	if len(seen) != len(o.sent) {
		t.Errorf("%d outcomes of %d probes", len(seen), len(o.sent))
	}
}

// hop is what a hop shows, in short: address or "*" for each probe.
func (o *outcome) hop(ttl int) []string {
	var s []string
	for _, r := range o.trace.Hop(ttl).Probes {
		switch r.Outcome {
		case trace.Answered:
			s = append(s, r.Reply.From().String())
		case trace.Failed:
			s = append(s, r.Err.Error())
		default:
			s = append(s, "*")
		}
	}
	return s
}

// wantHops checks the whole trace; a hop that is "" is silent.
func (o *outcome) wantHops(t *testing.T, queries int, want ...netip.Addr) {
	t.Helper()
	if o.err != nil {
		t.Errorf("error: %v", o.err)
	}
	if got := o.trace.Last(); got != len(want) {
		t.Errorf("the path has %d hops, want %d", got, len(want))
	}
	for i, a := range want {
		s := "*"
		if a.IsValid() {
			s = a.String()
		}
		if i >= o.trace.Last() {
			return
		}
		if got := o.hop(i + 1); !slices.Equal(got, slices.Repeat([]string{s}, queries)) {
			t.Errorf("hop %d: %v, want %d times %s", i+1, got, queries, s)
		}
	}
}

// route is the addresses of a chain.
func route(v6 bool, n int, silent ...int) []netip.Addr {
	var a []netip.Addr
	for i := 1; i <= n; i++ {
		if slices.Contains(silent, i) {
			a = append(a, netip.Addr{})
		} else {
			a = append(a, address(v6, i))
		}
	}
	return a
}

func bothFamilies(t *testing.T, test func(t *testing.T, v6 bool)) {
	t.Run("IPv4", func(t *testing.T) { test(t, false) })
	t.Run("IPv6", func(t *testing.T) { test(t, true) })
}

func TestCleanPath(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			p := chain(v6, 9, 2*time.Millisecond)
			p.Target.State = state
			o := newSetup(p).trace(t)
			o.wantHops(t, 3, route(v6, 9)...)
			if !o.trace.Reached() {
				t.Error("not reached")
			}
			if n := o.truth.Target.SYN; n > 3+8 {
				t.Errorf("%d SYNs at the target", n)
			}
			for ttl := 1; ttl <= 9; ttl++ {
				for _, r := range o.trace.Hop(ttl).Probes {
					if want := time.Duration(ttl) * 4 * time.Millisecond; r.RTT() != want {
						t.Errorf("hop %d: RTT %v, want %v", ttl, r.RTT(), want)
					}
				}
			}
		}
	})
}

// However far the target is and whatever the window, its own probes are told apart and its distance is right.
func TestDistances(t *testing.T) {
	t.Parallel()
	for _, distance := range []int{1, 2, 5, 15, 16, 17, 30} {
		for _, delay := range []time.Duration{10 * time.Microsecond, time.Millisecond, 20 * time.Millisecond} {
			for _, window := range []int{1, 2, 16, 100} {
				s := newSetup(chain(false, distance, delay))
				s.path.Parallel = window
				o := s.trace(t)
				o.wantHops(t, 3, route(false, distance)...)
				if n, most := len(o.sent), 3*distance+max(window, 8); n > most {
					t.Errorf("distance %d, delay %v, window %d: %d probes sent, at most %d", distance, delay, window, n, most)
				}
				if t.Failed() {
					t.Fatalf("distance %d, delay %v, window %d", distance, delay, window)
				}
			}
		}
	}
}

// The behaviour of a listening Linux in SYN_RECV, with a round trip much longer than the spacing of the probes: in all of
// 100 seeds the state, the distance and every answer are right, and no probe too many is called lost.
func TestParallelProbesAtAListeningTarget(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		p := chain(seed%2 == 1, 10, 10*time.Millisecond)
		p.Target.Jitter = time.Duration(seed%5) * time.Millisecond
		s := newSetup(p)
		s.scenario.Seed = seed + 1
		o := s.trace(t)
		o.wantHops(t, 3, route(seed%2 == 1, 10)...)
		for _, r := range o.trace.Hop(10).Probes {
			if !r.FromTarget() || !r.Reply.TCP.Flags.Has(packet.SYN|packet.ACK) {
				t.Errorf("seed %d: the target's state: %v", seed, r.Outcome)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestSilentRouters(t *testing.T) {
	for _, silent := range [][]int{{1}, {4}, {8}, {7, 8}, {1, 2, 3, 4, 5, 6, 7, 8}} {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			for _, wait := range []time.Duration{0, time.Second} {
				p := chain(false, 9, time.Millisecond)
				for _, n := range silent {
					p.Routers[n-1].Silent = 1
				}
				p.Target.State = state
				s := newSetup(p)
				s.path.Wait, s.path.Patient = wait, wait != 0
				o := s.trace(t)
				o.wantHops(t, 3, route(false, 9, silent...)...)
				// One wait for the whole trace, and not one for each probe.
				limit := 1300 * time.Millisecond
				if len(silent) == 2 {
					limit = 1500 * time.Millisecond
				}
				if len(silent) == 8 { // and not even the distance can be told before they have been waited for
					limit = 5 * time.Second
				}
				if o.took > limit {
					t.Errorf("silent %v, state %v, wait %v: took %v", silent, state, wait, o.took)
				}
			}
		}
	}
}

func TestFilteredTarget(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, tt := range []struct {
			patient bool
			limit   time.Duration
		}{{true, 6 * time.Second}, {false, 4 * time.Second}} {
			p := chain(v6, 30, time.Millisecond)
			p.Routers[6].Rules = []sim.Rule{{Action: sim.Drop}}
			for i := 6; i < len(p.Routers); i++ {
				p.Routers[i].Silent = 1
			}
			s := newSetup(p)
			s.path.Patient = tt.patient
			o := s.trace(t)
			o.wantHops(t, 3, append(route(v6, 6), make([]netip.Addr, 24)...)...)
			if o.trace.Reached() {
				t.Error("reached")
			}
			if o.took > tt.limit {
				t.Errorf("took %v, limit %v", o.took, tt.limit)
			}
			if len(o.sent) != 90 {
				t.Errorf("%d probes sent, want 90", len(o.sent))
			}
		}
	})
}

// Asked one by one, every probe waits for the outcome of the one before, hop by hop.
func TestOneByOne(t *testing.T) {
	p := chain(false, 4, 5*time.Millisecond)
	p.Routers[1].Silent = 1
	s := newSetup(p)
	s.path.Parallel = 1
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 4, 2)...)
	if want := 9*time.Second + 3*(10+30+40)*time.Millisecond; o.took < want || o.took > want+20*time.Millisecond {
		t.Errorf("took %v, want %v", o.took, want)
	}
	for i, sent := range o.sent {
		if want := i/3 + 1; int(sent.Probe.TTL) != want {
			t.Errorf("probe %d has TTL %d, want %d", i+1, sent.Probe.TTL, want)
		}
	}
	if o.truth.Target.SYN != 3 {
		t.Errorf("%d SYNs at the target", o.truth.Target.SYN)
	}
}

// No router gets a burst, and the window is kept.
func TestManners(t *testing.T) {
	p := chain(false, 20, 10*time.Millisecond)
	s := newSetup(p)
	s.path.Parallel = 8
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 20)...)
	last := make(map[uint8]time.Time)
	open := 0
	for i, sent := range o.sent {
		if before, ok := last[sent.Probe.TTL]; ok && sent.At.Sub(before) < 2500*time.Microsecond {
			t.Errorf("TTL %d twice within %v", sent.Probe.TTL, sent.At.Sub(before))
		}
		last[sent.Probe.TTL] = sent.At
		if i > 0 && sent.At.Sub(o.sent[i-1].At) < trace.DefaultSpacing {
			t.Errorf("two probes within %v", sent.At.Sub(o.sent[i-1].At))
		}
		open = 0
		for _, r := range o.results {
			if r.Outcome.Final() && !r.Sent.After(sent.At) && (r.Reply == nil || r.Recv.After(sent.At)) && sent.At.Sub(r.Sent) < 500*time.Millisecond {
				open++
			}
		}
		if open > 8 {
			t.Errorf("%d probes in flight", open)
		}
	}
	if open == 0 {
		t.Error("nothing was counted as in flight")
	}
}

// One flow: all that routers may choose the path by is the same in all probes; the tag is not.
func TestOneFlow(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		o := newSetup(chain(v6, 5, time.Millisecond)).trace(t)
		tags := make(map[uint32]bool)
		for _, s := range o.sent {
			p, first := s.Probe, o.sent[0].Probe
			tags[p.Key().Tag] = true
			p.TTL, p.ID, p.Options = first.TTL, first.ID, first.Options
			if p != first {
				t.Errorf("probe differs: %+v, %+v", p, first)
			}
		}
		if len(tags) != len(o.sent) {
			t.Errorf("%d tags for %d probes", len(tags), len(o.sent))
		}
	})
}

func TestAPortForEachProbe(t *testing.T) {
	s := newSetup(chain(false, 5, time.Millisecond))
	for i := range uint16(90) {
		s.path.Ports = append(s.path.Ports, 50000+i)
	}
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 5)...)
	seen := make(map[uint16]bool)
	for _, sent := range o.sent {
		port := sent.Probe.Src.Port()
		if seen[port] || sent.Probe.Seq != o.sent[0].Probe.Seq {
			t.Errorf("port %d, sequence number %d", port, sent.Probe.Seq)
		}
		seen[port] = true
	}
}

func TestRefused(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		p := chain(v6, 12, time.Millisecond)
		p.Routers[4].Rules = []sim.Rule{{Action: sim.Reject, Code: 1}}
		o := newSetup(p).trace(t)
		want := append(route(v6, 5), address(v6, 5))
		o.wantHops(t, 3, want...)
		if !o.trace.Reached() || !o.trace.Hop(6).Probes[0].Refused() {
			t.Error("the refusal doesn't end the path")
		}
	})
}

// A router that answers slowly, and answers that come when the wait is over: late is said, and nothing is credited twice.
func TestLateAnswers(t *testing.T) {
	p := chain(false, 6, time.Millisecond)
	p.Routers[2].Slow = 1
	p.Routers[2].Late = sim.Held{P: 1, By: 1500 * time.Millisecond}
	s := newSetup(p)
	s.path.Wait, s.path.Patient, s.path.Queries = time.Second, true, 4
	o := s.trace(t)
	o.wantHops(t, 4, route(false, 6, 3)...)

	// Given long enough, all of them count.
	s.path.Wait = 2 * time.Second
	s.trace(t).wantHops(t, 4, route(false, 6)...)
}

func TestALateAnswerIsSaid(t *testing.T) {
	p := chain(false, 3, time.Millisecond)
	p.Routers[0].Late = sim.Held{P: 1, By: 1200 * time.Millisecond}
	p.Routers[1].Late = sim.Held{P: 1, By: 900 * time.Millisecond}
	s := newSetup(p)
	s.path.Wait, s.path.Patient, s.path.Parallel = time.Second, true, 1
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 3, 1)...)
	if o.counts.Late != 3 {
		t.Errorf("%d late answers, want 3", o.counts.Late)
	}
	for _, r := range o.trace.Hop(1).Extra {
		if r.Outcome != trace.Late || r.RTT() < 1200*time.Millisecond {
			t.Errorf("%v after %v", r.Outcome, r.RTT())
		}
	}
}

// Loss, duplicates, reordering and jitter: whatever answers at least once is shown where it is, and nothing else.
func TestTrouble(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			v6 := seed%2 == 1
			p := chain(v6, 10, 3*time.Millisecond)
			link := sim.Link{
				Delay: 3 * time.Millisecond, Loss: []float64{0, 0.01, 0.03}[seed%3],
				Duplicate: []float64{0, 0.3, 1}[seed/3%3], Jitter: time.Duration(seed%4) * 5 * time.Millisecond,
				Held: sim.Held{P: []float64{0, 0.5}[seed/2%2], By: 4 * time.Millisecond},
			}
			if p.Target.State = state; seed%5 != 0 {
				p.Routers[2].Link = link
			}
			p.Target.Link = link
			s := newSetup(p)
			s.scenario.Seed = seed + 1
			o := s.trace(t)
			if o.err != nil {
				t.Fatalf("seed %d: %v", seed, o.err)
			}
			for ttl := 1; ttl <= o.trace.Last(); ttl++ {
				for _, r := range o.trace.Hop(ttl).Probes {
					if r.Outcome == trace.Answered && r.Reply.From() != address(v6, ttl) {
						t.Errorf("seed %d, state %v: hop %d is %v", seed, state, ttl, r.Reply.From())
					}
				}
			}
			if o.trace.Reached() && o.trace.Unplaced() == nil && o.trace.Last() != 10 {
				t.Errorf("seed %d, state %v: %d hops", seed, state, o.trace.Last())
			}
		}
	}
}

// Loss is counted as it is: over 1000 probes it lies within the 99.9 % interval of the binomial distribution.
func TestLossIsExact(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.1, 0.3, 0.5} {
		p := chain(false, 3, time.Millisecond)
		p.Routers[1].Silent = loss
		s := newSetup(p)
		s.path.Queries, s.path.Parallel, s.path.Spacing = 1000, 64, time.Microsecond
		s.path.Wait, s.path.Patient = time.Second, true
		s.path.MaxTTL = 2
		o := s.trace(t)
		lost := 0
		for _, r := range o.trace.Hop(2).Probes {
			if r.Outcome == trace.Lost {
				lost++
			}
		}
		// 3.29 standard deviations.
		mean, most := 1000*loss, map[float64]float64{0: 0, 0.1: 31.3, 0.3: 47.7, 0.5: 52.1}[loss]
		if d := float64(lost) - mean; d > most || d < -most {
			t.Errorf("loss %v: %d of 1000 lost", loss, lost)
		}
		if n := len(o.trace.Hop(1).Probes); n != 1000 {
			t.Errorf("%d probes of hop 1", n)
		}
	}
}

func TestThroughNAT(t *testing.T) {
	addr := netip.MustParseAddr
	var id uint16 = 4242
	for _, tt := range []struct {
		name string
		edit func(p *sim.Path)
	}{
		{"DNAT, translated back", func(p *sim.Path) {
			p.Routers[3].NAT.Dst = netip.MustParseAddrPort("10.6.35.86:8443")
		}},
		{"DNAT, quotes left as they are", func(p *sim.Path) {
			p.Routers[3].NAT.Dst, p.Routers[3].NAT.RawQuote = netip.MustParseAddrPort("10.6.35.86:8443"), true
		}},
		{"SNAT, source left in the quote", func(p *sim.Path) {
			p.Routers[2].QuoteAs.Src = addr("203.0.113.9")
			p.Routers[4].QuoteAs.Src = addr("203.0.113.9")
		}},
		{"time exceeded from the target's address", func(p *sim.Path) { p.Routers[5].From = p.Target.Addr }},
		{"IP ID rewritten", func(p *sim.Path) { p.Routers[2].RandomID = true }},
		{"one IP ID for all", func(p *sim.Path) { p.Routers[2].Set.ID = &id }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, state := range []sim.State{sim.Open, sim.Closed} {
				p := chain(false, 9, 2*time.Millisecond)
				p.Target.State = state
				tt.edit(&p)
				want := route(false, 9)
				if p.Routers[5].From.IsValid() {
					want[5] = p.Target.Addr
				}
				newSetup(p).trace(t).wantHops(t, 3, want...)
			}
		})
	}
}

// Who does not want answers through NAT believes none.
func TestStrict(t *testing.T) {
	p := chain(false, 6, time.Millisecond)
	p.Routers[2].NAT.Dst, p.Routers[2].NAT.RawQuote = netip.MustParseAddrPort("10.6.35.86:443"), true
	s := newSetup(p)
	s.path.Strict = true
	s.trace(t).wantHops(t, 3, route(false, 6, 4, 5)...)
}

// A firewall that randomises sequence numbers hides the hops behind it, until --loose; then they are marked.
func TestRandomisedSequenceNumbers(t *testing.T) {
	p := chain(false, 9, 2*time.Millisecond)
	p.Routers[2].RandomISN = true
	s := newSetup(p)
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 9, 4, 5, 6, 7, 8)...)
	if o.counts.NearMisses < 15 {
		t.Errorf("%d near misses", o.counts.NearMisses)
	}
	s.path.Loose = true
	o = s.trace(t)
	o.wantHops(t, 3, route(false, 9)...)
	for ttl := 1; ttl <= 8; ttl++ {
		for _, r := range o.trace.Hop(ttl).Probes {
			if want := ttl > 3; (r.Evidence == trace.Unverified) != want {
				t.Errorf("hop %d: evidence %v", ttl, r.Evidence)
			}
		}
	}
}

// A router that quotes wrong sequence numbers is no hop, and the timer can be raised.
func TestWrongQuotes(t *testing.T) {
	p := chain(false, 9, 2*time.Millisecond)
	p.Routers[3].QuoteAs.Seq = 1000000
	s := newSetup(p)
	s.path.Queries = 16
	o := s.trace(t)
	o.wantHops(t, 16, route(false, 9, 4)...)
	if o.counts.NearMisses < trace.NearMissAlarm {
		t.Errorf("%d near misses", o.counts.NearMisses)
	}
}

// Ten thousand packets that nobody asked for change nothing: random bytes, genuine answers with a bit turned or cut
// short, and forged ones with random numbers.
func TestForgeries(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		p := chain(v6, 9, 4*time.Millisecond)
		p.Routers[4].Silent = 1
		s := newSetup(p)
		clean := s.trace(t)
		s.during = func(ctx context.Context, _ context.CancelCauseFunc, c *sim.Conn) {
			rng := rand.New(rand.NewPCG(3, 4))
			for range 10_000 {
				select {
				case <-ctx.Done():
					return
				case <-time.After(20 * time.Microsecond):
				}
				c.Forge(time.Now(), forgery(rng, c.Sent(), v6))
			}
		}
		o := s.trace(t)
		if got, want := fmt.Sprint(allHops(o)), fmt.Sprint(allHops(clean)); got != want {
			t.Errorf("with forgeries:\n%s\nwithout:\n%s", got, want)
		}
		c := o.counts
		if n := c.Malformed + c.NearMisses + c.Unrelated + c.BadChecksum; n < 9000 {
			t.Errorf("only %d forgeries noticed: %+v", n, c)
		}
	})
}

func allHops(o *outcome) (all [][]string) {
	for ttl := 1; ttl <= o.trace.Last(); ttl++ {
		all = append(all, o.hop(ttl))
	}
	return all
}

// forgery is a packet that resembles an answer to one of the probes sent, but for the numbers that nobody can know.
func forgery(rng *rand.Rand, sent []sim.Sent, v6 bool) []byte {
	b := make([]byte, rng.IntN(200))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	if len(sent) == 0 || rng.IntN(4) == 0 {
		return b
	}
	p := sent[rng.IntN(len(sent))].Probe
	wrong := p
	wrong.Seq += 1 + rng.Uint32N(1<<32-1)
	var out []byte
	if rng.IntN(2) == 0 {
		typ := uint8(packet.ICMPv4TimeExceeded)
		if v6 {
			typ = packet.ICMPv6TimeExceeded
		}
		quote, _ := wrong.AppendBinary(nil)
		out, _ = packet.AppendICMP(nil, &packet.ICMPError{
			Src: address(v6, 7), Dst: p.Src.Addr(), TTL: 60, Type: typ, Quote: quote,
		})
	} else {
		out, _ = packet.AppendTCP(nil, &packet.Segment{
			Src: p.Dst, Dst: p.Src, TTL: 60, Seq: rng.Uint32(), Ack: wrong.Seq + 1,
			Flags: []packet.Flags{packet.SYN | packet.ACK, packet.RST | packet.ACK, packet.RST}[rng.IntN(3)],
		})
	}
	switch rng.IntN(3) {
	case 0:
		out = out[:rng.IntN(len(out))]
	case 1:
		// A damaged packet does not pass as another: its checksum is wrong, or it is not for us.
		out[rng.IntN(len(out))] ^= 1 << rng.IntN(8)
	}
	return out
}

func TestManyTargetsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const targets = 40
		var sc sim.Scenario
		var plans []trace.Plan
		var folds []*trace.Trace
		rng := rand.New(rand.NewPCG(5, 6))
		for i := range targets {
			p := chain(i%2 == 1, 3+i%9, time.Duration(i%7)*time.Millisecond)
			p.Target.Addr = netip.MustParseAddr(fmt.Sprintf("198.19.0.%d", i+1))
			if i%2 == 1 {
				p.Target.Addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:ffff::%x", i+1))
			}
			sc.Paths = append(sc.Paths, p)
			o := newSetup(p).path
			o.Rand = rng
			plan, err := trace.NewPath(o)
			if err != nil {
				t.Fatal(err)
			}
			plans, folds = append(plans, plan), append(folds, trace.NewTrace(o))
		}
		m, err := sim.New(sc)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		all := trace.NewGroup(plans...)
		if _, err := trace.Run(t.Context(), c, all, trace.Options{}, func(r trace.Result) {
			i, r := all.Of(r)
			folds[i].Add(r)
		}); err != nil {
			t.Fatal(err)
		}
		for i, f := range folds {
			if f.Last() != 3+i%9 || !f.Reached() {
				t.Errorf("target %d: %d hops, want %d", i, f.Last(), 3+i%9)
			}
			for ttl := 1; ttl < f.Last(); ttl++ {
				if !f.Complete(ttl) || f.Hop(ttl).Probes[0].Reply.From() != address(i%2 == 1, ttl) {
					t.Errorf("target %d, hop %d: %+v", i, ttl, f.Hop(ttl).Probes)
				}
			}
		}
	})
}

// A send that fails is this probe's fate, no loss, and the trace goes on.
func TestSendErrors(t *testing.T) {
	s := newSetup(chain(false, 6, time.Millisecond))
	s.during = func(_ context.Context, _ context.CancelCauseFunc, c *sim.Conn) {
		c.FailSend(func(n int, p packet.Probe) error {
			if n >= 4 && n < 9 {
				return syscall.ENETUNREACH
			}
			return nil
		})
	}
	o := s.trace(t)
	if o.err != nil || !o.trace.Reached() || o.trace.Last() != 6 {
		t.Errorf("%v, %d hops", o.err, o.trace.Last())
	}
	failed := 0
	for _, r := range o.results {
		switch r.Outcome {
		case trace.Failed:
			failed++
			if !errors.Is(r.Err, syscall.ENETUNREACH) {
				t.Error(r.Err)
			}
		case trace.Lost:
			t.Errorf("TTL %d lost", r.Probe.TTL)
		}
	}
	if failed != 5 {
		t.Errorf("%d probes failed, want 5", failed)
	}
}

// This host refuses the only probes to some hops, the target's among them. It is asked again, and stands where it is.
func TestSendErrorAtTheTarget(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, queries := range []int{1, 3} {
			for n := 5; n <= 12; n++ {
				s := withProbePorts(newSetup(chain(v6, n, time.Millisecond)))
				s.path.Queries = queries
				s.during = func(_ context.Context, _ context.CancelCauseFunc, c *sim.Conn) {
					failed := make(map[uint8]int)
					c.FailSend(func(_ int, p packet.Probe) error {
						if int(p.TTL) >= n-1 && p.TTL < 30 && failed[p.TTL] < queries {
							failed[p.TTL]++
							return syscall.EPERM
						}
						return nil
					})
				}
				o := s.trace(t)
				if at := targetAt(o.trace); at != n || o.trace.Last() != n {
					t.Errorf("%d probes per hop, target at %d: it is shown at %d: %v", queries, n, at, allHops(o))
				}
				if probes := len(o.trace.Hop(n).Probes); probes > queries {
					t.Errorf("%d probes per hop, target at %d: it has %d", queries, n, probes)
				}
			}
		}
	})
}

func TestSendErrorsWithoutEnd(t *testing.T) {
	s := newSetup(chain(false, 15, time.Millisecond))
	s.during = func(_ context.Context, _ context.CancelCauseFunc, c *sim.Conn) {
		c.FailSend(func(n int, p packet.Probe) error {
			if n >= 7 {
				return syscall.ENETDOWN
			}
			return nil
		})
	}
	o := s.trace(t)
	var send *trace.SendError
	if !errors.As(o.err, &send) || send.Probes != 20 || !errors.Is(o.err, syscall.ENETDOWN) {
		t.Errorf("error: %v", o.err)
	}
	if len(o.sent) != 27 {
		t.Errorf("%d probes", len(o.sent))
	}
}

// This host refuses all probes with a low TTL, more than would end a trace of which none leaves: those that leave are
// answered, and the others are said to have failed.
func TestLowTTLsRefused(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, c := range []struct {
			below int
			err   error
		}{{10, syscall.EPERM}, {10, syscall.EACCES}, {15, syscall.EPERM}} {
			s := withProbePorts(newSetup(chain(v6, 12, time.Millisecond)))
			s.during = func(_ context.Context, _ context.CancelCauseFunc, conn *sim.Conn) {
				conn.FailSend(func(_ int, p packet.Probe) error {
					if int(p.TTL) < c.below {
						return c.err
					}
					return nil
				})
			}
			o := s.trace(t)
			if o.err != nil || !o.trace.Reached() {
				t.Errorf("below %d: %v, reached: %v", c.below, o.err, o.trace.Reached())
			}
			if at := targetAt(o.trace); c.below < 12 && at != 12 {
				t.Errorf("below %d: the target is shown at %d: %v", c.below, at, allHops(o))
			}
			refused := 0
			for _, r := range o.results {
				if r.Outcome == trace.Failed && errors.Is(r.Err, c.err) {
					refused++
				}
			}
			if refused <= 20 || refused > c.below*6 {
				t.Errorf("below %d: %d probes were refused", c.below, refused)
			}
		}
	})
}

// Where nothing can be sent from the start, that is found out, and not taken for a path without hops.
func TestNothingCanBeSent(t *testing.T) {
	for _, last := range []int{1, 30} {
		s := newSetup(chain(false, 15, time.Millisecond))
		s.path.MaxTTL, s.path.Queries = last, 2
		s.conn = func(c *sim.Conn) trace.Conn {
			c.FailSend(func(int, packet.Probe) error { return syscall.EPERM })
			return c
		}
		o := s.trace(t)
		var send *trace.SendError
		if want := min(20, 2*last); len(o.sent) != want || !errors.Is(o.err, syscall.EPERM) || !errors.As(o.err, &send) || send.Probes != want {
			t.Errorf("last TTL %d: %d probes, %v", last, len(o.sent), o.err)
		}
	}
}

// lateStamps is a network whose probes leave a while after they were sent, which it can tell only afterwards.
type lateStamps struct{ *sim.Conn }

func (c lateStamps) Send(p packet.Probe) (time.Time, error) {
	sent, err := c.Conn.Send(p)
	return sent.Add(-50 * time.Millisecond), err
}

func (c lateStamps) Restamp(k packet.Key) (time.Time, bool) {
	for _, s := range c.Sent() {
		if s.Probe.Key() == k {
			return s.At, true
		}
	}
	return time.Time{}, false
}

func TestRestamp(t *testing.T) {
	s := newSetup(chain(false, 5, 2*time.Millisecond))
	s.conn = func(c *sim.Conn) trace.Conn { return lateStamps{c} }
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 5)...)
	for ttl := 1; ttl <= 5; ttl++ {
		for _, r := range o.trace.Hop(ttl).Probes {
			if want := time.Duration(ttl) * 4 * time.Millisecond; r.RTT() != want {
				t.Errorf("hop %d: RTT %v, want %v", ttl, r.RTT(), want)
			}
		}
	}
}

// What our own kernel says of an unresolved neighbour is a local matter, not a hop.
func TestNextHopUnreachable(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		p := chain(v6, 4, time.Millisecond)
		p.Routers[0].Rules = []sim.Rule{{Action: sim.Drop}}
		p.Routers[0].Silent = 1
		s := newSetup(p)
		s.path.MaxTTL = 3
		forgotten := errors.New("who it was")
		s.run.Fault = func(_ packet.Probe, unreachable bool) error {
			if unreachable {
				return fmt.Errorf("%w: %w", trace.ErrNextHop, forgotten)
			}
			return nil // the kernel has forgotten the neighbour
		}
		s.during = func(ctx context.Context, _ context.CancelCauseFunc, c *sim.Conn) {
			time.Sleep(2900 * time.Millisecond)
			for _, sent := range c.Sent() {
				typ, code := uint8(packet.ICMPv4Unreachable), uint8(1)
				if v6 {
					typ, code = packet.ICMPv6Unreachable, 3
				}
				quote, _ := sent.Probe.AppendBinary(nil)
				own := sent.Probe.Src.Addr()
				b, _ := packet.AppendICMP(nil, &packet.ICMPError{Src: own, Dst: own, TTL: 64, Type: typ, Code: code, Quote: quote})
				c.Forge(time.Now(), b)
			}
		}
		o := s.trace(t)
		for _, r := range o.results {
			if r.Outcome != trace.Failed || !errors.Is(r.Err, trace.ErrNextHop) || !errors.Is(r.Err, forgotten) {
				t.Errorf("%v: %v", r.Outcome, r.Err)
			}
		}
		if o.trace.Reached() || len(o.results) != 9 {
			t.Errorf("reached %v, %d results", o.trace.Reached(), len(o.results))
		}
	})
}

// What our own kernel says at once comes of a rule: no next hop is to blame, which takes seconds to be looked for.
func TestRejectedAtOnce(t *testing.T) {
	p := chain(false, 4, time.Millisecond)
	p.Routers[0].Rules = []sim.Rule{{Action: sim.Drop}}
	p.Routers[0].Silent = 1
	s := newSetup(p)
	s.path.MaxTTL = 3
	s.run.Fault = func(_ packet.Probe, unreachable bool) error {
		if unreachable {
			return trace.ErrNextHop
		}
		return nil
	}
	s.during = func(_ context.Context, _ context.CancelCauseFunc, c *sim.Conn) {
		time.Sleep(5 * time.Millisecond)
		for _, sent := range c.Sent() {
			quote, _ := sent.Probe.AppendBinary(nil)
			own := sent.Probe.Src.Addr()
			b, _ := packet.AppendICMP(nil, &packet.ICMPError{Src: own, Dst: own, TTL: 64, Type: packet.ICMPv4Unreachable,
				Code: 1, Quote: quote})
			c.Forge(time.Now(), b)
		}
	}
	failed := 0
	for _, r := range s.trace(t).results {
		switch {
		case r.Outcome != trace.Failed:
		case !errors.Is(r.Err, trace.ErrUnreachable), errors.Is(r.Err, trace.ErrNextHop):
			t.Error(r.Err)
		default:
			failed++
		}
	}
	if failed == 0 {
		t.Error("nothing was rejected")
	}
}

// Where nothing at all was heard, our own host is asked what it knows.
func TestFault(t *testing.T) {
	p := chain(false, 4, time.Millisecond)
	p.Routers[0].Silent = 1
	p.Routers[0].Rules = []sim.Rule{{Action: sim.Drop}}
	fault := errors.New("next hop does not resolve")
	s := newSetup(p)
	s.path.MaxTTL = 2
	s.run.Fault = func(packet.Probe, bool) error { return fault }
	o := s.trace(t)
	if got := o.hop(1); !slices.Equal(got, slices.Repeat([]string{fault.Error()}, 3)) {
		t.Errorf("hop 1: %v", got)
	}
	// An answer that is read later, to a probe that was sent before, tells nothing of the way out since.
	s = newSetup(chain(false, 4, time.Millisecond))
	s.path.MaxTTL, s.path.Queries = 2, 1
	s.scenario.Paths[0].Routers[0].Rules = []sim.Rule{{Action: sim.Drop}}
	s.run.Fault = func(packet.Probe, bool) error { return fault }
	s.conn = func(c *sim.Conn) trace.Conn { return unhurried{c} }
	if got := s.trace(t).hop(2); !slices.Equal(got, []string{fault.Error()}) {
		t.Errorf("hop 2: %v", got)
	}
	// Once a probe that was sent later was answered, it is the network's silence.
	s = newSetup(chain(false, 4, time.Millisecond))
	s.scenario.Paths[0].Routers[1].Silent = 1
	s.run.Fault = func(packet.Probe, bool) error { return fault }
	s.trace(t).wantHops(t, 3, route(false, 4, 2)...)
}

func TestInterrupted(t *testing.T) {
	p := chain(false, 30, 10*time.Millisecond)
	p.Routers[2].Silent = 1
	s := newSetup(p)
	cause := errors.New("interrupted")
	s.during = func(ctx context.Context, cancel context.CancelCauseFunc, c *sim.Conn) {
		time.Sleep(300 * time.Millisecond)
		cancel(cause)
	}
	o := s.trace(t)
	if o.err != cause || o.took != 300*time.Millisecond {
		t.Errorf("%v after %v", o.err, o.took)
	}
	if got := o.hop(1); len(got) == 0 || got[0] != "198.18.1.2" {
		t.Errorf("hop 1: %v", got)
	}
	for _, r := range o.results {
		if r.Outcome == trace.Lost {
			t.Errorf("TTL %d is called lost", r.Probe.TTL)
		}
	}
}

// unhurried takes a microsecond to send a probe.
type unhurried struct{ *sim.Conn }

func (c unhurried) Send(p packet.Probe) (time.Time, error) {
	time.Sleep(time.Microsecond)
	return c.Conn.Send(p)
}

// brokenConn stops receiving with an error.
type brokenConn struct {
	*sim.Conn
	err error
}

func (c brokenConn) Recv(context.Context, []byte) (int, time.Time, error) {
	return 0, time.Time{}, c.err
}

func TestReceivingFails(t *testing.T) {
	s := newSetup(chain(false, 3, time.Millisecond))
	fault := errors.New("socket is gone")
	s.conn = func(c *sim.Conn) trace.Conn { return brokenConn{c, fault} }
	if o := s.trace(t); !errors.Is(o.err, fault) {
		t.Errorf("error: %v", o.err)
	}
}

// stoppedConn is a program that is stopped for a while in the middle of a send.
type stoppedConn struct {
	*sim.Conn
	sends *int
}

func (c stoppedConn) Send(p packet.Probe) (time.Time, error) {
	sent, err := c.Conn.Send(p)
	if *c.sends++; *c.sends == 12 {
		time.Sleep(5 * time.Second)
	}
	return sent, err
}

// What was due while the program was stopped is unknown and asked again, not lost; nothing is sent in a burst.
func TestStopped(t *testing.T) {
	p := chain(false, 20, 5*time.Millisecond)
	p.Routers[3].Silent = 1
	s := newSetup(p)
	s.conn = func(c *sim.Conn) trace.Conn { return stoppedConn{c, new(int)} }
	s.path.Wait, s.path.Patient = time.Second, true
	o := s.trace(t)
	o.wantHops(t, 3, route(false, 20, 4)...)
	unknown := 0
	for _, r := range o.results {
		if r.Outcome == trace.Unknown && r.Probe.TTL == 4 {
			unknown++
		}
	}
	if unknown == 0 {
		t.Error("the probe that was due meanwhile is not unknown")
	}
	for i := 1; i < len(o.sent); i++ {
		if d := o.sent[i].At.Sub(o.sent[i-1].At); d < trace.DefaultSpacing {
			t.Errorf("two probes within %v", d)
		}
	}
}

// twiceConn hands up every packet twice, as a packet socket does that sees it on a bridge and on its port.
type twiceConn struct {
	*sim.Conn
	again []byte
	at    time.Time
}

func (c *twiceConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	if c.again != nil {
		n := copy(buf, c.again)
		c.again = nil
		return n, c.at, nil
	}
	n, at, err := c.Conn.Recv(ctx, buf)
	if err == nil {
		c.again, c.at = slices.Clone(buf[:n]), at
	}
	return n, at, err
}

func TestSeenTwice(t *testing.T) {
	for _, state := range []sim.State{sim.Open, sim.Closed} {
		p := chain(false, 9, 2*time.Millisecond)
		p.Target.State = state
		s := newSetup(p)
		s.conn = func(c *sim.Conn) trace.Conn { return &twiceConn{Conn: c} }
		o := s.trace(t)
		o.wantHops(t, 3, route(false, 9)...)
		if o.counts.Duplicates != 0 {
			t.Errorf("%d duplicates", o.counts.Duplicates)
		}
	}
}

func TestRouteChange(t *testing.T) {
	p := chain(false, 10, 5*time.Millisecond)
	longer := slices.Clone(p.Routers)
	for i := range longer {
		longer[i].Addrs = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("198.19.%d.2", i+1))}
	}
	p.Changes = []sim.Change{{Packet: 14, Routers: longer}}
	s := newSetup(p)
	o := s.trace(t)
	if o.err != nil || o.trace.Last() != 10 {
		t.Errorf("%v, %d hops", o.err, o.trace.Last())
	}
	for ttl := 1; ttl < 10; ttl++ {
		for _, r := range o.trace.Hop(ttl).Probes {
			before := o.sent[r.N-1].At
			want := address(false, ttl)
			if r.N >= 14 {
				want = longer[ttl-1].Addrs[0]
			}
			if r.Outcome != trace.Answered || r.Reply.From() != want {
				t.Errorf("probe %d (TTL %d, %v): %v, want %v", r.N, ttl, before, r.Outcome, want)
			}
		}
	}
}

func TestOptionsChecked(t *testing.T) {
	good := newSetup(chain(false, 3, 0)).path
	for _, tt := range []struct {
		edit func(o *trace.PathOptions)
		want string
	}{
		{func(o *trace.PathOptions) { o.FirstTTL = -1 }, "TTL must be greater than 0"},
		{func(o *trace.PathOptions) { o.MaxTTL = 256 }, "TTL must be less than 256"},
		{func(o *trace.PathOptions) { o.FirstTTL, o.MaxTTL = 5, 3 }, "Minimum TTL (5) must be less than maximum TTL (3)"},
		{func(o *trace.PathOptions) { o.Queries = -1 }, "Number of queries must be at least 1"},
		{func(o *trace.PathOptions) { o.Wait = time.Millisecond }, "Timeout must be at least 1"},
		{func(o *trace.PathOptions) { o.Parallel = -1 }, "Number of parallel probes must be at least 1"},
		{func(o *trace.PathOptions) { o.Spacing = -1 }, "spacing must not be negative"},
		{func(o *trace.PathOptions) { o.TOS = 256 }, "TOS must be between 0 and 255"},
		{func(o *trace.PathOptions) { o.Length = 65536 }, "Packet length must be between 0 and 65535"},
		{func(o *trace.PathOptions) { o.Target = netip.AddrPort{} }, "trace: target and source address are needed"},
		{func(o *trace.PathOptions) { o.Source = source6 }, "trace: target 198.18.3.2 and source 2001:db8::1 are not of one family"},
	} {
		o := good
		tt.edit(&o)
		if _, err := trace.NewPath(o); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	if _, err := trace.NewPath(good); err != nil {
		t.Error(err)
	}
}

// behindConn has received everything only a while after it came in, as a program on a busy host has.
type behindConn struct {
	*sim.Conn
	by time.Duration
	mu sync.Mutex
	in int       // packets that came in and were not handed up yet
	up time.Time // when one was handed up last
}

func (c *behindConn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	n, at, err := c.Conn.Recv(ctx, buf)
	if err == nil {
		c.count(1)
		time.Sleep(c.by)
		c.count(-1)
	}
	return n, at, err
}

func (c *behindConn) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in += n; n < 0 {
		c.up = time.Now()
	}
}

func (c *behindConn) Backlog() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in > 0 || time.Since(c.up) < time.Millisecond // the next is taken at the same instant
}

// TestBacklog: where the program is late in reading, and not the answers, none is given up.
func TestBacklog(t *testing.T) {
	s := newSetup(chain(false, 4, time.Millisecond))
	s.path.MaxTTL = 3
	s.conn = func(c *sim.Conn) trace.Conn { return &behindConn{Conn: c, by: 10 * time.Millisecond} }
	s.trace(t).wantHops(t, 3, route(false, 3)...)
}
