package trace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// watch is a run of rounds and what it showed.
type watch struct {
	stats   *trace.Stats
	results []trace.Result
	sent    []sim.Sent
	took    time.Duration
	err     error
}

// rounds runs rounds over a scenario in virtual time; during may stop them.
func rounds(t *testing.T, s sim.Scenario, interval time.Duration, count int, during func(ctx context.Context, stop func(), r *trace.Rounds, c *sim.Conn)) *watch {
	t.Helper()
	w := new(watch)
	target := s.Paths[0].Target.Addr
	o := trace.PathOptions{Source: source4, Target: netip.AddrPortFrom(target, 443), Rand: rand.New(rand.NewPCG(1, 7))}
	if target.Is6() {
		o.Source = source6
	}
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(s)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		plan, err := trace.NewRounds(o, interval, count)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		if during != nil {
			go during(ctx, func() { cancel(errStopped) }, plan, c)
		}
		w.stats = trace.NewStats(o)
		start := time.Now()
		_, w.err = trace.Run(ctx, c, plan, trace.Options{}, func(r trace.Result) {
			w.results = append(w.results, r)
			w.stats.Add(r)
		})
		w.took = time.Since(start)
		w.sent = c.Sent()
	})
	if errors.Is(w.err, errStopped) {
		w.err = nil
	}
	if w.err != nil {
		t.Errorf("error: %v", w.err)
	}
	w.paced(t, interval)
	return w
}

var errStopped = errors.New("stopped by the test")

// after stops the rounds when this time is over.
func after(d time.Duration) func(context.Context, func(), *trace.Rounds, *sim.Conn) {
	return func(_ context.Context, stop func(), _ *trace.Rounds, _ *sim.Conn) {
		time.Sleep(d)
		stop()
	}
}

// paced checks that no hop was asked again before the interval was over.
func (w *watch) paced(t *testing.T, interval time.Duration) {
	t.Helper()
	last := make(map[uint8]time.Time)
	for _, r := range byNumber(w.results) {
		if at, ok := last[r.Probe.TTL]; ok && r.Sent.Sub(at) < interval {
			t.Errorf("hop %d was asked %v after it was asked before", r.Probe.TTL, r.Sent.Sub(at))
		}
		last[r.Probe.TTL] = r.Sent
	}
}

// byNumber is the outcomes in order of sending.
func byNumber(all []trace.Result) []trace.Result {
	var sent []trace.Result
	for _, r := range all {
		if r.Outcome.Final() {
			sent = append(sent, r)
		}
	}
	slices.SortFunc(sent, func(a, b trace.Result) int { return a.N - b.N })
	return sent
}

// line is a hop's figures in short.
func (w *watch) hop(ttl int) (sent, received int, from netip.Addr) {
	h := w.stats.Hop(ttl)
	return h.Sent(), h.Received, h.Responder()
}

func TestRoundsAskEveryHopOnceARound(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			p := chain(v6, 9, 2*time.Millisecond)
			p.Target.State = state
			w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, 10, nil)
			if w.stats.Last() != 9 || !w.stats.Reached() {
				t.Errorf("the path ends at %d, reached: %v", w.stats.Last(), w.stats.Reached())
			}
			for ttl := 1; ttl <= 9; ttl++ {
				sent, received, from := w.hop(ttl)
				if sent != 10 || received != 10 || from != address(v6, ttl) {
					t.Errorf("hop %d: %d sent, %d received, %v", ttl, sent, received, from)
				}
			}
			if w.took < 9*time.Second || w.took > 11*time.Second {
				t.Errorf("10 rounds of a second took %v", w.took)
			}
			if n := len(w.sent); n > 90+8+1+3 { // those beyond the target in the first round, one more, and in rounds 2, 4 and 8
				t.Errorf("%d probes for 10 rounds of 9 hops", n)
			}
		}
	})
}

// TestRoundsSpread: but for the first round, the probes of a round are spread over its interval.
func TestRoundsSpread(t *testing.T) {
	p := chain(false, 9, 2*time.Millisecond)
	w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, 5, nil)
	var before time.Time
	for _, r := range byNumber(w.results) {
		if r.N > 40 && r.Sent.Sub(before) < 95*time.Millisecond {
			t.Errorf("probe %d to hop %d came %v after the one before", r.N, r.Probe.TTL, r.Sent.Sub(before))
		}
		before = r.Sent
	}
}

// TestRoundsSilentHopsBeforeTheTarget: hops that may be the target for all that is known don't keep it from its turn.
func TestRoundsSilentHopsBeforeTheTarget(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
		p := chain(false, 9, 10*time.Millisecond)
		for _, i := range []int{5, 6, 7} { // hops 6, 7, 8
			p.Routers[i].Silent = 1
		}
		w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, interval, 0, after(60*time.Second))
		for ttl := 1; ttl <= 9; ttl++ {
			sent, received, _ := w.hop(ttl)
			silent := ttl >= 6 && ttl <= 8
			want := int(60 * time.Second / interval)
			switch {
			case ttl < 6 && (sent < want*9/10 || received != sent):
				t.Errorf("every %v: hop %d: %d sent, %d received", interval, ttl, sent, received)
			case silent && received != 0:
				t.Errorf("every %v: hop %d answered", interval, ttl)
			case ttl == 9 && (received < sent-1 || sent < 52):
				t.Errorf("every %v: the target: %d sent, %d received", interval, sent, received)
			}
		}
	}
}

// TestRoundsFollowTheRoute: the path becomes longer, then shorter than before, and the stats follows.
func TestRoundsFollowTheRoute(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
				p := chain(v6, 6, 10*time.Millisecond)
				p.Target.State = state
				longer := append(slices.Clone(p.Routers), chain(v6, 12, 10*time.Millisecond).Routers[6:9]...) // the target is hop 9
				shorter := slices.Clone(p.Routers[:3])                                                        // hop 4
				p.Changes = []sim.Change{{Time: 10 * time.Second, Routers: longer}, {Time: 20 * time.Second, Routers: shorter}}
				for _, end := range []struct {
					at   time.Duration
					last int
				}{{9 * time.Second, 6}, {19 * time.Second, 9}, {40 * time.Second, 4}} {
					w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, interval, 0, after(end.at))
					if w.stats.Last() != end.last {
						t.Errorf("%v, every %v: after %v the path ends at %d, want %d", state, interval, end.at, w.stats.Last(), end.last)
					}
					h := w.stats.Hop(end.last)
					back := 0
					for back+1 < h.Samples() && h.Sample(back).Outcome == trace.Unknown { // in flight when it ended
						back++
					}
					if recent := h.Sample(back); h.State == nil || recent.Outcome != trace.Answered {
						t.Errorf("%v, every %v: after %v the target's last probe was %v", state, interval, end.at, recent.Outcome)
					}
				}
			}
		}
	})
}

// TestRoundsSilentRouterAtTheEnd: the way becomes longer, and where the target was stands a router that never answers.
func TestRoundsSilentRouterAtTheEnd(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, state := range []sim.State{sim.Open, sim.Closed} {
			for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
				p := chain(v6, 6, 10*time.Millisecond)
				p.Target.State = state
				longer := append(slices.Clone(p.Routers), chain(v6, 12, 10*time.Millisecond).Routers[6:8]...) // the target is hop 8
				longer[5].Silent = 1
				p.Changes = []sim.Change{{Time: 10 * time.Second, Routers: longer}}
				w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, interval, 0, after(40*time.Second))
				sent, received, _ := w.hop(8)
				turn := max(interval, 200*time.Millisecond) // it is 160 ms away
				if want := int(20 * time.Second / turn); w.stats.Last() != 8 || received < want || sent > received+3 {
					t.Errorf("%v, every %v: the path ends at %d, hop 8: %d of %d answered", state, interval, w.stats.Last(), received, sent)
				}
			}
		}
	})
}

// TestRoundsTargetGoesAndComes: the target is silent for some time. It stays where it was, and is asked all the while.
func TestRoundsTargetGoesAndComes(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
		p := chain(false, 6, 10*time.Millisecond)
		down := slices.Clone(p.Routers)
		down[4].Rules = []sim.Rule{{Action: sim.Drop, Hi: 65535}}
		p.Changes = []sim.Change{{Time: 10 * time.Second, Routers: down}, {Time: 30 * time.Second, Routers: slices.Clone(p.Routers)}}
		w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, interval, 0, after(60*time.Second))
		sent, received, _ := w.hop(6)
		turn := max(interval, 150*time.Millisecond) // it is 120 ms away
		if w.stats.Last() != 6 || sent < int(50*time.Second/turn) || received < int(33*time.Second/turn) {
			t.Errorf("every %v: the path ends at %d; of %d probes %d were answered", interval, w.stats.Last(), sent, received)
		}
	}
}

// TestRoundsRouteBecomesFaster: the target's answers are believed though they come sooner than ever before.
func TestRoundsRouteBecomesFaster(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
		p := chain(false, 6, 20*time.Millisecond)
		p.Target.State = sim.Closed
		p.Changes = []sim.Change{{Time: 30 * time.Second, Routers: chain(false, 6, time.Millisecond).Routers}}
		w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, interval, 0, after(60*time.Second))
		h := w.stats.Hop(6)
		if h.Best > 100*time.Millisecond || h.Loss() > 0.05 {
			t.Errorf("every %v: best %v, loss %v of %d", interval, h.Best, h.Loss(), h.Sent())
		}
	}
}

// TestRoundsFilteredTarget: nothing answers beyond hop 4, and what is beyond that is asked seldom.
func TestRoundsFilteredTarget(t *testing.T) {
	p := chain(false, 9, 2*time.Millisecond)
	p.Routers[3].Rules = []sim.Rule{{Action: sim.Drop, Hi: 65535}}
	w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, 0, after(60*time.Second))
	if w.stats.Ended() || w.stats.Reached() {
		t.Error("the end is known")
	}
	asked := make(map[uint8]int)
	for _, r := range byNumber(w.results) {
		asked[r.Probe.TTL]++
	}
	if asked[2] < 58 || asked[20] > 3 || asked[20] < 2 {
		t.Errorf("hop 2 was asked %d times, hop 20 %d times", asked[2], asked[20])
	}
	w = rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, 5, nil)
	if w.took > 15*time.Second {
		t.Errorf("5 rounds took %v", w.took)
	}
}

// TestRoundsKeepTheSpacing however short the interval is: users who are not root have no more than it allows.
func TestRoundsKeepTheSpacing(t *testing.T) {
	p := chain(false, 9, 2*time.Millisecond)
	o := trace.PathOptions{Source: source4, Target: netip.AddrPortFrom(p.Target.Addr, 443), Spacing: 5 * time.Millisecond}
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(sim.Scenario{Seed: 1, Paths: []sim.Path{p}})
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		plan, err := trace.NewRounds(o, trace.LeastInterval, 50)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trace.Run(t.Context(), c, plan, trace.Options{}, func(trace.Result) {}); err != nil {
			t.Fatal(err)
		}
		var last time.Time
		for i, s := range c.Sent() {
			if s.At.Sub(last) < o.Spacing {
				t.Errorf("probe %d came %v after the one before", i+1, s.At.Sub(last))
			}
			last = s.At
		}
		if n := len(c.Sent()); n < 9*50 {
			t.Errorf("%d probes", n)
		}
	})
}

// TestRoundsHeld: nothing is sent while the plan is held, and no burst comes after.
func TestRoundsHeld(t *testing.T) {
	p := chain(false, 5, 2*time.Millisecond)
	var from, to time.Time
	w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, 0, func(_ context.Context, stop func(), r *trace.Rounds, _ *sim.Conn) {
		time.Sleep(10 * time.Second)
		r.Hold(true)
		from = time.Now()
		time.Sleep(20 * time.Second)
		to = time.Now()
		r.Hold(false)
		time.Sleep(10 * time.Second)
		stop()
	})
	for _, r := range w.results {
		if r.Sent.After(from.Add(250*time.Millisecond)) && r.Sent.Before(to) {
			t.Errorf("hop %d was asked %v after the plan was held", r.Probe.TTL, r.Sent.Sub(from))
		}
		if r.Outcome == trace.Lost {
			t.Errorf("hop %d: lost", r.Probe.TTL)
		}
	}
	if sent, received, _ := w.hop(5); sent < 18 || sent > 22 || received < sent {
		t.Errorf("the target: %d sent, %d received", sent, received)
	}
}

// TestRoundsIntervalChanges: the time of a round can be changed while rounds go on, and rounds with an end come to it.
func TestRoundsIntervalChanges(t *testing.T) {
	p := chain(false, 5, 2*time.Millisecond)
	var begun time.Time
	w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, 100*time.Millisecond, 0, func(_ context.Context, stop func(), r *trace.Rounds, _ *sim.Conn) {
		begun = time.Now()
		r.SetInterval(time.Second)
		time.Sleep(10 * time.Second)
		r.SetInterval(2 * time.Second)
		time.Sleep(20 * time.Second)
		r.SetInterval(100 * time.Millisecond)
		time.Sleep(5 * time.Second)
		stop()
	})
	var sent [3]int
	for _, r := range w.results {
		if r.Probe.TTL != 3 || !r.Outcome.Final() {
			continue
		}
		switch at := r.Sent.Sub(begun); {
		case at < 10*time.Second:
			sent[0]++
		case at < 30*time.Second:
			sent[1]++
		default:
			sent[2]++
		}
	}
	for i, want := range []int{10, 10, 50} {
		if sent[i] < want-want/8-1 || sent[i] > want+1 {
			t.Errorf("phase %d: hop 3 was asked %d times, want %d", i+1, sent[i], want)
		}
	}
	for _, interval := range []time.Duration{time.Nanosecond, 100 * time.Millisecond, 5 * time.Second} {
		w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, trace.LeastInterval, 20, func(_ context.Context, _ func(), r *trace.Rounds, _ *sim.Conn) {
			r.SetInterval(time.Second)
			time.Sleep(3500 * time.Millisecond)
			r.SetInterval(interval)
		})
		if sent, received, _ := w.hop(5); sent != 20 || received != 20 {
			t.Errorf("every %v: the target: %d sent, %d received, want 20", interval, sent, received)
		}
	}
}

// TestRandomNetworksInRounds: whatever the network does, no answer is believed that isn't one, no hop is asked too often,
// and the rounds come to their end.
func TestRandomNetworksInRounds(t *testing.T) {
	t.Parallel()
	all := []uint64{ // the first were traced wrongly once
		270012134,                       // a SYN+ACK that is sent again when the answer to the next probe is due, which is held up
		411015659,                       // the same, where times differ by up to a quarter
		411020854, 411040924, 411045860, // an answer that comes too late for the probe that is waited for, and in time for one sent aside
		411021559, 411070695, // the same, and too soon
		411085374,            // silent hops whose turn would come after the end
		412032504, 412042400, // answers at uneven or slow times, among many probes that all get to the target
		412042830, // answers that come as long after a probe as the one before by chance
		412054636, // a far router that may report that the target is down
		412020185, // the target's first answer fits several probes, and the rounds are as long as the wait
		440003981, // a router that answers 5 s late, when others' answers are waited for by its time
	}
	for seed := *firstSeed; seed < *firstSeed+uint64(*seeds)/3; seed++ {
		all = append(all, seed)
	}
	for _, seed := range all {
		n := randomNetwork(seed)
		n.interval = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}[seed%3]
		n.path.Queries, n.path.Ports = 12, nil
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := n.trace(t)
			if o.err != nil {
				t.Errorf("error: %v", o.err)
			}
			checkOutcomes(t, o)
			w := &watch{results: o.results}
			w.paced(t, n.interval-10*time.Microsecond) // what sending takes differs by as much
			if !n.collided() {
				for _, r := range o.results {
					if r.Outcome == trace.Answered {
						n.checkAnswer(t, r)
					}
				}
			}
			if end, who := n.end(); !n.noisy && !n.scrubbed && n.round(min(end, len(n.path0().Routers)+1)).most < n.patience() {
				answered, spent := make(map[int]int), 0 // spent: up to two rounds, on answers that fit several probes
				for _, r := range o.results {
					switch r.Outcome {
					case trace.Answered:
						answered[int(r.Probe.TTL)]++
					case trace.Shared:
						spent = 2
					}
				}
				for ttl := n.path.FirstTTL; ttl <= min(end, n.path.MaxTTL); ttl++ {
					want := n.path.Queries
					if ttl < end && (n.path0().Routers[ttl-1].Silent == 1 || !n.sees(ttl-1)) || ttl == end && !who[0].IsValid() {
						want = 0
					}
					if got := answered[ttl]; got > want || ttl < end && got < want && n.fits() || got < want-spent && n.fits() {
						t.Errorf("hop %d answered %d times, want %d", ttl, got, want)
					}
				}
			}
			// In so many intervals and a wait everything is sent, and then the last probes have their wait; what lies beyond the
			// last router may be reported by it up to 3.3 s later, and that has to come back.
			wait := n.path.ProbeWait()
			far := n.round(len(n.path0().Routers) + 1).least
			most := time.Duration(n.path.Queries)*n.interval + wait + max(wait, 3300*time.Millisecond+far) + 2*time.Second
			if n.path.Parallel > n.path.MaxTTL && o.took > most {
				t.Errorf("the rounds took %v, at most %v", o.took, most)
			}
			if most := 6*(len(o.sent)+len(o.results)) + 100; n.nexts > most {
				t.Errorf("the plan was asked %d times, at most %d", n.nexts, most)
			}
			if t.Failed() {
				n.dump(t, o)
				t.Errorf("every %v, %v", n.interval, n)
			}
		})
	}
}

// fits reports whether the rounds leave the time for each hop to be asked once in each: they end in any case, and the target
// is asked anew only when it has answered.
func (n *network) fits() bool {
	end, _ := n.end()
	far := n.round(min(end, len(n.path0().Routers)+1))
	turn := max(n.interval, far.most+far.most/16+(far.most-far.least)+10*time.Millisecond)
	silent := 0
	for i := range min(end-1, len(n.path0().Routers)) {
		if n.path0().Routers[i].Silent == 1 || !n.sees(i) {
			silent++
		}
	}
	if silent > 8 { // seconds pass until anything reaches the target, and then which one it was can't be told for as long
		return false
	}
	found := time.Duration(6+6*silent)*far.most + 100*time.Millisecond // each silent hop is asked alone at first
	return !n.path.Loose && found+time.Duration(n.path.Queries)*turn < time.Duration(n.path.Queries)*n.interval+n.path.ProbeWait()
}

// TestRoundsForDays: memory doesn't grow.
func TestRoundsForDays(t *testing.T) {
	o := trace.PathOptions{Source: source4, Target: netip.AddrPortFrom(address(false, 4), 443), Rand: rand.New(rand.NewPCG(1, 7))}
	synctest.Test(t, func(t *testing.T) {
		c := &endless{rng: rand.New(rand.NewPCG(2, 3)), in: make(chan endlessAnswer, 16), hops: 4}
		plan, err := trace.NewRounds(o, 20*time.Second, 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stats := trace.NewStats(o)
		start := time.Now()
		var early, n uint64
		trace.Run(ctx, c, plan, trace.Options{}, func(r trace.Result) {
			stats.Add(r)
			if n++; n%256 != 0 {
				return
			}
			switch at := time.Since(start); {
			case at > 3*24*time.Hour:
				cancel()
			case early == 0 && at > 4*time.Hour:
				early = heap()
			}
		})
		if now := heap(); now > early+256<<10 {
			t.Errorf("the heap was %d KiB after four hours and is %d KiB after three days", early>>10, now>>10)
		}
		if h := stats.Hop(2); h.Sent() < 12700 || h.Loss() < 0.28 || h.Loss() > 0.32 {
			t.Errorf("hop 2: %d sent, loss %v", h.Sent(), h.Loss())
		}
		runtime.KeepAlive(stats)
	})
}

// endless is a network that keeps no record: hop 2 loses a third of what it is asked, and its address changes.
type endless struct {
	rng  *rand.Rand
	in   chan endlessAnswer
	hops uint8
	n    int
}

type endlessAnswer struct {
	b  []byte
	at time.Time
}

func (c *endless) Send(p packet.Probe) (time.Time, error) {
	now := time.Now()
	c.n++
	if p.TTL == 2 && c.rng.Float64() < 0.3 {
		return now, nil
	}
	quote, err := p.AppendBinary(nil)
	if err != nil {
		return now, err
	}
	var b []byte
	if p.TTL < c.hops {
		from := address(false, int(p.TTL))
		if p.TTL == 2 {
			from = netip.AddrFrom4([4]byte{10, byte(c.n >> 16), byte(c.n >> 8), byte(c.n)})
		}
		b, err = packet.AppendICMP(nil, &packet.ICMPError{Src: from, Dst: p.Src.Addr(), TTL: 64, Type: 11, Quote: quote})
	} else {
		b, err = packet.AppendTCP(nil, &packet.Segment{
			Src: p.Dst, Dst: p.Src, TTL: 64, Seq: c.rng.Uint32(), Ack: p.Seq + 1, Flags: packet.SYN | packet.ACK,
		})
	}
	c.in <- endlessAnswer{b, now.Add(time.Millisecond)}
	return now, err
}

func (c *endless) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	select {
	case a := <-c.in:
		time.Sleep(time.Until(a.at))
		return copy(buf, a.b), a.at, nil
	case <-ctx.Done():
		return 0, time.Time{}, ctx.Err()
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
