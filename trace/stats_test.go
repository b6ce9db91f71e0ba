package trace_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// folded is Stats of results in a row, one a second.
func folded(results ...trace.Result) *trace.Stats {
	t := trace.NewStats(trace.PathOptions{})
	for i, r := range results {
		r.N = i + 1
		r.Sent = time.Unix(int64(i), 0)
		r.Recv = r.Sent.Add(time.Duration(r.Recv.Nanosecond()))
		t.Add(r)
	}
	return t
}

// answer is one by a router, after so many microseconds.
func answer(ttl uint8, from string, us int) trace.Result {
	a := netip.MustParseAddr(from)
	return trace.Result{
		Probe: packet.Probe{TTL: ttl}, Outcome: trace.Answered, Recv: time.Unix(0, int64(us)*1000),
		Reply: &packet.Reply{IP: packet.IP{Version: 4, Src: a}, Kind: packet.KindTimeExceeded},
	}
}

// end is one by the target.
func end(ttl uint8, from string, us int) trace.Result {
	r := answer(ttl, from, us)
	r.Reply.Kind = packet.KindTCP
	return r
}

func fate(ttl uint8, f trace.Outcome) trace.Result {
	return trace.Result{Probe: packet.Probe{TTL: ttl}, Outcome: f, Err: errors.New("local")}
}

func TestStatsFigures(t *testing.T) {
	const a = "198.18.1.2"
	stats := folded(answer(1, a, 2000), answer(1, a, 4000), fate(1, trace.Lost), answer(1, a, 4000), fate(1, trace.Failed),
		answer(1, a, 9000), fate(1, trace.Unknown), fate(1, trace.Late), answer(1, a, 5000))
	h := stats.Hop(1)
	us := func(d time.Duration) int { return int(d.Microseconds()) }
	got := []int{h.Sent(), h.Received, h.Lost, h.Failed, h.Unknown, h.Late, us(h.Last), us(h.Best), us(h.Worst), us(h.Average()),
		us(h.Deviation()), us(h.Jitter), us(h.WorstJitter), us(h.AverageJitter()), h.Samples()}
	// Mean 24/5; squares 7.84+.64+.64+17.64+.04 = 26.8, / 4 = 6.7, root 2.588; jitters 0, 2, 0, 5, 4.
	want := []int{6, 5, 1, 1, 1, 1, 5000, 2000, 9000, 4800, 2588, 4000, 5000, 2200, 8}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if l := h.Loss(); l != 1.0/6 {
		t.Errorf("loss %v", l)
	}
	// RFC 3550 6.4.1: J += (|D| - J)/16, of 0, 2, 0, 5, 4 ms.
	if j := us(h.SmoothJitter()); j != 645 {
		t.Errorf("smooth jitter %d", j)
	}
	stats.Reset()
	if h := stats.Hop(1); h.Sent() != 0 || h.Average() != 0 || h.Deviation() != 0 || h.Samples() != 0 || stats.Last() != 1 {
		t.Errorf("after a reset: %+v, last %d", h, stats.Last())
	}
}

func TestStatsResponders(t *testing.T) {
	stats := folded(answer(2, "10.0.0.1", 1), answer(2, "10.0.0.1", 1), answer(2, "10.0.0.2", 1), fate(2, trace.Lost), answer(2, "10.0.0.1", 1))
	h := stats.Hop(2)
	all, others := h.Responders()
	if len(all) != 2 || all[0].Count != 3 || all[1].Count != 1 || others != 0 || h.Responder() != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("%+v, others %d, now %v", all, others, h.Responder())
	}
	changes := h.RecentChanges()
	if h.Changes != 2 || len(changes) != 2 || changes[0].To != netip.MustParseAddr("10.0.0.2") || changes[1].From != changes[0].To || changes[1].At.Unix() != 4 {
		t.Errorf("%d changes: %+v", h.Changes, changes)
	}
	var many []trace.Result
	for i := range 40 {
		many = append(many, answer(2, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String(), 1))
	}
	h = folded(many...).Hop(2)
	if all, others := h.Responders(); len(all) != 16 || others != 24 || h.Changes < 24 || len(h.RecentChanges()) != 16 {
		t.Errorf("%d responders, %d others, %d changes", len(all), others, h.Changes)
	}
}

// TestStatsEnd: where the path ends follows the answers.
func TestStatsEnd(t *testing.T) {
	const router, target = "10.0.0.1", "10.0.0.9"
	for _, x := range []struct {
		name    string
		results []trace.Result
		last    int
		ended   bool
	}{
		{"nothing", nil, 0, false},
		{"silence", []trace.Result{fate(1, trace.Lost), fate(2, trace.Lost)}, 1, false},
		{"routers", []trace.Result{answer(1, router, 1), answer(2, router, 1), fate(3, trace.Lost), fate(4, trace.Lost)}, 3, false},
		{"target", []trace.Result{answer(1, router, 1), end(3, target, 1), fate(2, trace.Lost)}, 3, true},
		{"overshot", []trace.Result{end(5, target, 1), end(3, target, 1), fate(2, trace.Lost)}, 3, true},
		{"longer", []trace.Result{end(3, target, 1), answer(3, router, 1), fate(4, trace.Lost)}, 4, false},
		{"longer, and there", []trace.Result{end(3, target, 1), answer(3, router, 1), end(5, target, 1)}, 5, true},
		{"shorter", []trace.Result{end(5, target, 1), end(3, target, 1)}, 3, true},
		{"the target falls silent", []trace.Result{end(3, target, 1), fate(3, trace.Lost)}, 3, true},
	} {
		stats := folded(x.results...)
		if stats.Last() != x.last || stats.Ended() != x.ended || stats.Reached() != x.ended && x.name != "longer" {
			t.Errorf("%s: last %d, ended %v, reached %v", x.name, stats.Last(), stats.Ended(), stats.Reached())
		}
	}
}

func TestStatsLossKind(t *testing.T) {
	for _, x := range []struct {
		name string
		lost []int // of 10, at hops 1, 2, ...; the last is the target
		want []trace.LossKind
	}{
		{"none", []int{0, 0, 0}, []trace.LossKind{trace.NoLoss, trace.NoLoss, trace.NoLoss}},
		{"a hop that limits its answers", []int{0, 5, 0}, []trace.LossKind{trace.NoLoss, trace.Harmless, trace.NoLoss}},
		{"a silent hop", []int{0, 10, 0}, []trace.LossKind{trace.NoLoss, trace.Harmless, trace.NoLoss}},
		{"loss from a hop on", []int{0, 4, 4, 5}, []trace.LossKind{trace.NoLoss, trace.Carried, trace.Carried, trace.AtEnd}},
		{"both", []int{0, 4, 9, 4}, []trace.LossKind{trace.NoLoss, trace.Carried, trace.Harmless, trace.AtEnd}},
		{"loss at the target", []int{0, 0, 1}, []trace.LossKind{trace.NoLoss, trace.NoLoss, trace.AtEnd}},
		{"the target is dead", []int{0, 0, 10}, []trace.LossKind{trace.NoLoss, trace.NoLoss, trace.AtEnd}},
	} {
		var results []trace.Result
		results = append(results, end(uint8(len(x.lost)), "10.0.0.9", 1)) // known from before
		for i, lost := range x.lost {
			for k := range 10 {
				switch ttl := uint8(i + 1); {
				case k < lost:
					results = append(results, fate(ttl, trace.Lost))
				case i == len(x.lost)-1:
					results = append(results, end(ttl, "10.0.0.9", 1))
				default:
					results = append(results, answer(ttl, "10.0.0.1", 1))
				}
			}
		}
		stats := folded(results...)
		for i, want := range x.want {
			if got := stats.LossKind(i + 1); got != want {
				t.Errorf("%s: hop %d: %v, want %v", x.name, i+1, got, want)
			}
		}
	}
}

// TestStatsKeepsTheLast: a history has an end, and it is the newest that stay.
func TestStatsKeepsTheLast(t *testing.T) {
	var results []trace.Result
	for i := range 2000 {
		results = append(results, answer(1, "10.0.0.1", i))
	}
	h := folded(results...).Hop(1)
	if h.Samples() != 512 || h.Sample(0).RTT != 1999*time.Microsecond || h.Sample(511).RTT != 1488*time.Microsecond {
		t.Errorf("%d samples, from %v to %v", h.Samples(), h.Sample(511).RTT, h.Sample(0).RTT)
	}
}

// TestStatsHistoryIsInOrderOfSending though losses are known later than answers, also where the ring comes round.
func TestStatsHistoryIsInOrderOfSending(t *testing.T) {
	stats := trace.NewStats(trace.PathOptions{})
	add := func(n int, f trace.Outcome) {
		r := fate(1, f)
		if f == trace.Answered {
			r = answer(1, "10.0.0.1", 1)
		}
		r.N, r.Sent = n, time.Unix(int64(n), 0)
		stats.Add(r)
	}
	for n := range 1000 {
		if n%5 != 0 {
			add(n, trace.Answered)
		}
		if n%5 == 4 && n > 5 {
			add(n-9, trace.Lost)
		}
	}
	h := stats.Hop(1)
	for back := 1; back < h.Samples(); back++ {
		s, after := h.Sample(back), h.Sample(back-1)
		if !s.Sent.Before(after.Sent) {
			t.Fatalf("%d back: %v, and then %v", back, s.Sent.Unix(), after.Sent.Unix())
		}
		if lost := s.Sent.Unix()%5 == 0; lost != (s.Outcome == trace.Lost) {
			t.Errorf("%d back: probe %d is %v", back, s.Sent.Unix(), s.Outcome)
		}
	}
}

// TestRecent: only the last outcomes of a hop count.
func TestRecent(t *testing.T) {
	recent := trace.NewRecent(trace.PathOptions{}, 3)
	n := 0
	add := func(r trace.Result) { n++; r.N = n; recent.Add(r) }
	for range 5 {
		add(answer(1, "10.0.0.1", 1))
		add(end(2, "10.0.0.9", 1)) // the target is near, and then far
	}
	for range 3 {
		add(fate(1, trace.Lost))
		add(fate(1, trace.Unknown))
		add(answer(2, "10.0.0.2", 1))
		add(end(3, "10.0.0.9", 1))
	}
	got := recent.Trace()
	if got.Last() != 3 || len(got.Hop(1).Probes) != 3 || got.Hop(1).Probes[0].Outcome != trace.Lost || got.Hop(2).Probes[0].FromTarget() {
		t.Errorf("last %d, hop 1 %v", got.Last(), got.Hop(1).Probes)
	}
	recent.Reset()
	if got := recent.Trace(); got.Last() != 0 {
		t.Errorf("after a reset the path has %d hops", got.Last())
	}
}
