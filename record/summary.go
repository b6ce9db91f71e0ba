package record

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// A Summary is what became of one target, without its hops.
type Summary struct {
	State string        // open, closed, other, echo, refused, no_answer or not_sent, as in the JSON
	Hops  int           // how far away the target is, or who refused; 0: not known
	RTT   time.Duration // the shortest of the last hop's
	From  netip.Addr    // who answered, or refused; invalid: nobody
	Mark  string        // of a refusal, the classic one

	// LastTTL and Last are the last router that answered; 0: none did.
	LastTTL int
	// Beyond says that the last hop that may be asked has answered, and was no end: the path goes on, or round in a loop.
	Beyond bool
	Last   netip.Addr
}

// Reached reports whether the target answered. A refusal, which somebody else sent, is no answer of the target.
func (s *Summary) Reached() bool {
	switch s.State {
	case "open", "closed", "other", "echo":
		return true
	}
	return false
}

// Summary folds the results and says what became of the target.
func (t *Trace) Summary() Summary { return t.SummaryOf(t.Fold()) }

// SummaryOf is Summary of a trace that is folded already.
func (t *Trace) SummaryOf(f *Fold) Summary {
	if t.Rounds != nil {
		return t.Rounds.summary()
	}
	o := outcomeOf(f.Outcome(), &t.Ending)
	s := Summary{State: o.State, Hops: o.TTL, Mark: o.Mark}
	if end := f.End(); end != nil {
		s.From, s.RTT = end.Reply.From(), end.RTT()
	}
	for ttl := f.First(); ttl <= f.Last(); ttl++ {
		for _, r := range f.Hop(ttl).Probes {
			switch {
			case r.Outcome != trace.Answered:
			case ttl == s.Hops && r.Reply.From() == s.From:
				s.RTT = min(s.RTT, r.RTT())
			case r.Reply.Kind == packet.KindTimeExceeded:
				s.LastTTL, s.Last = ttl, r.Reply.From()
			}
		}
	}
	s.Beyond = s.State == "no_answer" && s.LastTTL > 0 && s.LastTTL == t.Path.Effective().MaxTTL
	return s
}

// summary says what became of the target.
func (r *Rounds) summary() Summary {
	o := &r.Outcome
	s := Summary{State: string(o.State), Hops: o.TTL, From: o.Addr, Mark: o.Mark}
	for i := range r.Hops {
		switch h := &r.Hops[i]; {
		case h.TTL == o.TTL:
			s.RTT = h.Best
		case len(h.Responders) > 0:
			s.LastTTL, s.Last = h.TTL, h.Responders[0].Addr
		}
	}
	return s
}

// End is where the path ends to a target that was not reached, although probes were sent.
func (s *Summary) End() (end detect.End, ok bool) {
	switch s.State {
	case "refused":
		return detect.End{Refused: true, Last: s.From}, true
	case "no_answer":
		return detect.End{Last: s.Last}, true
	}
	return end, false
}
