package trace

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// Stats is the pure fold of results into figures for each hop, for traces that go on: its memory doesn't grow with
// their number. The zero value is not ready: use NewStats.
type Stats struct {
	first    int
	hops     []HopStats
	end      int       // the TTL of the target, or of a refusal; 0: not known
	told     time.Time // when the probe was sent that told it
	answered int       // the last TTL that answered
	asked    int       // the highest TTL with an outcome
	heard    *Result   // the last answer of the target, or the last refusal
	refusals refusals
	claims   claims
	newest   time.Time // when the newest probe of all was sent
}

// HopStats is what is known of one TTL.
type HopStats struct {
	TTL int

	Received int // answered probes
	Lost     int // those that nobody answered in time
	Failed   int // those that never left this host: no loss
	Unknown  int // those of which it can't be told: no loss

	Late, Duplicates int // answers after the wait, second answers; of each probe the first few

	Last, Best, Worst time.Duration // round-trip times
	mean, squares     float64       // Welford's, in ns
	logs              float64       // the mean of the times' logarithms, in ns

	Jitter, WorstJitter time.Duration // how far two answers in a row are apart; the longest
	jitters, smooth     float64       // their mean, and RFC 3550's smoothed one, in ns

	State   *Result // the last answer, where it is the target's or a refusal; else nil
	Err     error   // of the last probe that failed
	Changes int     // how often the responder was another than before

	refused int // of Received: those that say that probes go no further

	responders []Responder // by first appearance
	others     int         // answers of responders that have no place
	changes    ring[Change]
	history    ring[Sample]
}

// Responder is one that answered at a hop.
type Responder struct {
	Addr        netip.Addr
	Count       int
	First, Last time.Time // when its answers came
}

// Change is a change of a hop's responder.
type Change struct {
	At       time.Time
	From, To netip.Addr
}

// Sample is one probe of a hop's history.
type Sample struct {
	Sent    time.Time // or when that was tried
	Outcome Outcome   // Answered, Lost, Failed or Unknown
	RTT     time.Duration
}

// What Stats keeps of a hop, whatever comes.
const (
	keptSamples    = 512
	keptResponders = 16
	keptChanges    = 16
)

// NewStats begins to count for the path that o describes.
func NewStats(o PathOptions) *Stats {
	o = o.withDefaults()
	t := &Stats{first: o.FirstTTL, hops: make([]HopStats, o.MaxTTL-o.FirstTTL+1), claims: newClaims(o.FirstTTL, o.MaxTTL)}
	t.Reset()
	return t
}

// Reset forgets all figures, but not where the path ends.
func (t *Stats) Reset() {
	for i := range t.hops {
		t.hops[i] = HopStats{TTL: t.first + i, State: t.hops[i].State}
	}
}

// First is the first TTL.
func (t *Stats) First() int { return t.first }

// Last is the last TTL that belongs to the path as far as is known now: where the target or a refusal answers, else the
// first one beyond what answers that has been asked.
func (t *Stats) Last() int {
	if t.end > 0 {
		return t.end
	}
	return min(max(t.answered, t.first-1)+1, max(t.asked, t.first-1))
}

// Asked is the highest TTL that was asked.
func (t *Stats) Asked() int { return t.asked }

// Ended reports whether the last hop is the target, or one that says that probes go no further.
func (t *Stats) Ended() bool { return t.end > 0 }

// Reached reports whether the target ever answered, or refused: see [Trace.Reached].
func (t *Stats) Reached() bool { return t.heard != nil }

// End is the answer that the path ends with, and its hop: the target's, or a refusal. ttl is 0 if no hop is known to be
// the one that it came from. nil: there is none.
func (t *Stats) End() (r *Result, ttl int) {
	if t.end > 0 && t.Hop(t.end).State != nil {
		return t.Hop(t.end).State, t.end
	}
	return t.heard, 0
}

// Hop is the hop at a TTL between First and Last.
func (t *Stats) Hop(ttl int) *HopStats { return &t.hops[ttl-t.first] }

// Newest is when the last probe of all was sent that has an outcome.
func (t *Stats) Newest() time.Time { return t.newest }

// Rounds is how often the hop was asked that was asked most.
func (t *Stats) Rounds() int {
	n := 0
	for ttl := t.first; ttl <= t.Last(); ttl++ {
		n = max(n, t.Hop(ttl).Sent())
	}
	return n
}

// Add takes a result in.
func (t *Stats) Add(r Result) {
	ttl := int(r.Probe.TTL)
	if ttl < t.first || ttl-t.first >= len(t.hops) {
		return
	}
	h := t.Hop(ttl)
	t.claims.add(r)
	if r.Outcome == Answered {
		t.place(r)
		if t.refusals.at(r, true) && t.Hop(max(t.refusals.end(), t.first)).Received == 0 {
			h = t.Hop(max(t.refusals.end(), t.first)) // its own has no answer yet
		}
	}
	if r.Outcome.Final() {
		t.asked = max(t.asked, ttl)
		sent := later(r.Sent, r.Tried)
		h.remember(Sample{sent, r.Outcome, r.RTT()})
		t.newest = later(t.newest, sent)
	}
	switch r.Outcome {
	case Answered:
		h.answer(r)
		if !r.FromTarget() || !t.claims.exposed(ttl) { // else a router stands there
			h.respond(r.Reply.From(), r.Recv)
		}
	case Lost:
		h.Lost++
	case Failed:
		h.Failed++
		h.Err = r.Err
	case Unknown:
		h.Unknown++
	case Late:
		h.Late++
	case Duplicate:
		h.Duplicates++
		if s := h.State; s != nil && s.N == r.N && s.FromTarget() && r.Reply.Kind == packet.KindTimeExceeded &&
			r.Evidence == ByTag {
			t.expose(r)
		}
	case Shared:
		t.hear(r)
	}
	if t.claims.known && t.refusals.end() == 0 {
		t.end, _ = t.claims.target()
	}
}

// place takes in what an answer says of where the path ends. A router that answers there moves the end out again,
// unless its probe was sent before the one that told.
func (t *Stats) place(r Result) {
	ttl, before := int(r.Probe.TTL), t.refusals.end()
	t.refusals.add(r)
	refused := max(t.refusals.end(), t.first)
	switch {
	case r.FromTarget() || r.Refused():
		if r.Refused() {
			ttl = refused
		}
		if r.Refused() && t.refusals.end() == 0 {
			t.hear(r)
			break // others get past it
		}
		if r.FromTarget() && t.claims.exposed(ttl) {
			break
		}
		t.hear(r)
		if r.FromTarget() && t.end == 0 && (t.claims.doubtful(ttl) || t.untested(ttl)) {
			return
		}
		if t.end == 0 || ttl <= t.end || t.Hop(t.end).gone(r.Sent) {
			t.end = ttl
		}
		t.told = later(t.told, r.Sent)
	case t.end > 0 && ttl >= t.end && r.Sent.After(t.told):
		t.end = 0
		t.refusals.forget()
		t.answered = ttl
	case t.end > 0 && t.end == before && refused > before:
		t.end = refused // the quotes were wrong
	}
	if t.end == 0 || ttl <= t.end {
		t.answered = max(t.answered, ttl)
	}
}

// untested reports whether a nearer hop than this one, beyond all routers, may be the target's, because all answers to
// its probes are those of somebody on the way who refuses some of the packets.
func (t *Stats) untested(ttl int) bool {
	for i := max(t.claims.farthest()+1, t.first); i < ttl; i++ {
		if h := t.Hop(i); h.refused > 0 && h.refused == h.Received {
			return true
		}
	}
	return false
}

// hear keeps the last answer of the target, or the last refusal.
func (t *Stats) hear(r Result) { t.heard = &r }

// expose takes in that a router has answered a probe, too, that was answered in the target's name: a device on the way
// did. Who stands at the hop is the router.
func (t *Stats) expose(r Result) {
	h := t.Hop(int(r.Probe.TTL))
	impostor := h.State.Reply.From()
	h.responders = slices.DeleteFunc(h.responders, func(p Responder) bool { return p.Addr == impostor })
	h.respond(r.From(), r.Recv)
	if t.heard != nil && t.heard.N == r.N {
		t.heard = nil
	}
	h.State = nil
}

// gone reports whether the hop has not answered for some time before an instant.
func (h *HopStats) gone(at time.Time) bool {
	lost := 0
	for i := 0; i < h.Samples() && lost < goneAfter; i++ {
		switch s := h.Sample(i); {
		case s.Outcome == Answered:
			return false
		case s.Outcome == Lost && s.Sent.Before(at):
			lost++
		}
	}
	return lost == goneAfter
}

// remember puts a sample where it belongs in the order of sending: that a probe is lost is known later than that the
// next was answered.
func (h *HopStats) remember(s Sample) {
	h.history.push(keptSamples, s)
	for i := 1; i < len(h.history.items) && h.history.back(i).Sent.After(s.Sent); i++ {
		h.history.swap(i, i-1)
	}
}

func (h *HopStats) answer(r Result) {
	rtt := r.RTT()
	if h.Received > 0 {
		h.Jitter = (rtt - h.Last).Abs()
	} else {
		h.Best, h.Worst = rtt, rtt
	}
	h.Received++
	if r.Refused() {
		h.refused++
	}
	h.Last, h.Best, h.Worst = rtt, min(h.Best, rtt), max(h.Worst, rtt)
	n, before := float64(h.Received), h.mean
	h.mean += (float64(rtt) - before) / n
	h.squares += (float64(rtt) - before) * (float64(rtt) - h.mean)
	h.logs += (math.Log(float64(max(rtt, 1))) - h.logs) / n
	h.WorstJitter = max(h.WorstJitter, h.Jitter)
	h.jitters += (float64(h.Jitter) - h.jitters) / n
	h.smooth += (float64(h.Jitter) - h.smooth) / 16 // RFC 3550 6.4.1
	h.State = nil
	if r.FromTarget() || r.Refused() {
		h.State = &r
	}
}

// respond counts a responder.
func (h *HopStats) respond(from netip.Addr, at time.Time) {
	var last *Responder // that answered
	var same *Responder
	for i := range h.responders {
		p := &h.responders[i]
		if last == nil || p.Last.After(last.Last) {
			last = p
		}
		if p.Addr == from {
			same = p
		}
	}
	if last != nil && last.Addr != from {
		h.Changes++
		h.changes.push(keptChanges, Change{at, last.Addr, from})
	}
	switch {
	case same != nil:
		same.Count++
		same.Last = at
	case len(h.responders) < keptResponders:
		h.responders = append(h.responders, Responder{from, 1, at, at})
	default:
		h.others++
	}
}

// Sent is how many probes were sent and either answered or lost.
func (h *HopStats) Sent() int { return h.Received + h.Lost }

// Loss is the share of probes that nobody answered, 0 to 1.
func (h *HopStats) Loss() float64 {
	if h.Sent() == 0 {
		return 0
	}
	return float64(h.Lost) / float64(h.Sent())
}

// Average is the mean round-trip time.
func (h *HopStats) Average() time.Duration { return time.Duration(math.Round(h.mean)) }

// Geometric is the geometric mean of the round-trip times.
func (h *HopStats) Geometric() time.Duration {
	if h.Received == 0 {
		return 0
	}
	return time.Duration(math.Round(math.Exp(h.logs)))
}

// Deviation is the standard deviation of the round-trip times, of a sample.
func (h *HopStats) Deviation() time.Duration {
	if h.Received < 2 {
		return 0
	}
	return time.Duration(math.Round(math.Sqrt(h.squares / float64(h.Received-1))))
}

// AverageJitter is the mean jitter; the first answer counts as none, as in mtr.
func (h *HopStats) AverageJitter() time.Duration { return time.Duration(math.Round(h.jitters)) }

// SmoothJitter is the interarrival jitter of RFC 3550 6.4.1.
func (h *HopStats) SmoothJitter() time.Duration { return time.Duration(math.Round(h.smooth)) }

// Responders are those that answered, in order of first appearance, and how many answers came from others still.
func (h *HopStats) Responders() (all []Responder, others int) { return h.responders, h.others }

// Responder is who answered last; no address where nobody has.
func (h *HopStats) Responder() netip.Addr {
	var last Responder
	for _, p := range h.responders {
		if last.Count == 0 || p.Last.After(last.Last) {
			last = p
		}
	}
	return last.Addr
}

// RecentChanges are the last changes of the responder, the oldest first.
func (h *HopStats) RecentChanges() []Change { return h.changes.all() }

// Samples is how many probes of the hop's history are kept.
func (h *HopStats) Samples() int { return len(h.history.items) }

// Sample is one of them: 0 is the newest.
func (h *HopStats) Sample(back int) Sample { return h.history.back(back) }

// LossKind is what a hop's loss means, by what the hops behind it show.
type LossKind uint8

const (
	NoLoss   LossKind = iota // nothing was lost, or nothing is known
	Harmless                 // hops behind have less: the hop only answers seldom, and passes packets on
	Carried                  // all hops behind have it too: packets are lost here or before
	AtEnd                    // the target itself, or the last hop that answers, has it
)

// LossKind judges the loss at a hop. Loss on the way shows at every hop behind: where one behind has clearly less, the
// hop forwards what it doesn't answer.
func (t *Stats) LossKind(ttl int) LossKind {
	h := t.Hop(ttl)
	if h.Lost == 0 {
		return NoLoss
	}
	behind, any := 1.0, false
	for k := ttl + 1; k <= t.Last(); k++ {
		if o := t.Hop(k); o.Received > 0 {
			behind, any = min(behind, o.Loss()), true
		}
	}
	switch {
	case !any:
		return AtEnd
	case behind <= h.Loss()/2:
		return Harmless
	}
	return Carried
}

// ring keeps the last few of many.
type ring[T any] struct {
	items []T
	next  int // where the oldest is, once it is full
}

func (r *ring[T]) push(keep int, v T) {
	if len(r.items) < keep {
		r.items = append(r.items, v)
		return
	}
	r.items[r.next] = v
	r.next = (r.next + 1) % keep
}

// at is where the item is that was pushed i before the last.
func (r *ring[T]) at(i int) int { return (r.next + len(r.items) - 1 - i) % len(r.items) }

func (r *ring[T]) back(i int) T { return r.items[r.at(i)] }

func (r *ring[T]) swap(i, j int) {
	a, b := r.at(i), r.at(j)
	r.items[a], r.items[b] = r.items[b], r.items[a]
}

func (r *ring[T]) all() []T {
	all := make([]T, 0, len(r.items))
	for i := len(r.items) - 1; i >= 0; i-- {
		all = append(all, r.back(i))
	}
	return all
}
