package record

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// Rounds are the figures of a measurement that went on round by round. They don't grow with the number of rounds.
type Rounds struct {
	Interval time.Duration // of a round
	Count    int           // that were asked for; 0: without end
	Outcome  Outcome       // by the last answer of the target, or the last refusal
	Hops     []RoundsHop   // those of the path as it was last
}

// RoundsHop are the figures of one hop.
type RoundsHop struct {
	TTL                                              int
	Received, Lost, Failed, Unknown                  int // what became of the probes
	Late, Duplicates                                 int // answers after the wait, second answers
	Last, Best, Average, Worst, Deviation, Geometric time.Duration
	Jitter, AverageJitter, WorstJitter, SmoothJitter time.Duration
	Responders                                       []trace.Responder // the most frequent first
	Others                                           int               // answers of further responders
	Changes                                          int               // how often the responder was another than before
}

// Sent is how many probes were sent and either answered or lost.
func (h *RoundsHop) Sent() int { return h.Received + h.Lost }

// Loss is the share of probes that nobody answered, 0 to 1.
func (h *RoundsHop) Loss() float64 {
	if h.Sent() == 0 {
		return 0
	}
	return float64(h.Lost) / float64(h.Sent())
}

// RoundsOf are the figures so far.
func RoundsOf(t *trace.Stats) *Rounds {
	r := &Rounds{Outcome: Outcome{Reached: t.Reached(), State: NoAnswer}}
	failed := 0
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		h := t.Hop(ttl)
		all, others := h.Responders()
		r.Hops = append(r.Hops, RoundsHop{
			TTL: h.TTL, Received: h.Received, Lost: h.Lost, Failed: h.Failed, Unknown: h.Unknown, Late: h.Late,
			Duplicates: h.Duplicates, Last: h.Last, Best: h.Best, Average: h.Average(), Worst: h.Worst,
			Deviation: h.Deviation(), Geometric: h.Geometric(), Jitter: h.Jitter, AverageJitter: h.AverageJitter(),
			WorstJitter: h.WorstJitter, SmoothJitter: h.SmoothJitter(), Others: others, Changes: h.Changes,
			Responders: slices.SortedStableFunc(slices.Values(all),
				func(a, b trace.Responder) int { return cmp.Compare(b.Count, a.Count) }),
		})
		failed += h.Failed
	}
	if end, ttl := t.End(); end != nil {
		r.Outcome.answered(end, ttl)
	}
	if !slices.ContainsFunc(r.Hops, func(h RoundsHop) bool { return h.Sent()+h.Unknown+h.Late > 0 }) && failed > 0 {
		r.Outcome.State = Unsent
	}
	return r
}

// answered takes in the answer that the path ends with.
func (o *Outcome) answered(r *trace.Result, ttl int) {
	o.Addr, o.TTL = r.Reply.From(), ttl
	o.State, o.Mark = Refused, Mark(r.Reply)
	switch r.Reply.Kind {
	case packet.KindTCP:
		o.State = PortStateOf(*r)
	case packet.KindEcho:
		o.State = Echo
	}
}

// Addresses are those of all responders, each once.
func (r *Rounds) Addresses() (all []netip.Addr) {
	for i := range r.Hops {
		for _, x := range r.Hops[i].Responders {
			if !slices.Contains(all, x.Addr) {
				all = append(all, x.Addr)
			}
		}
	}
	return all
}
