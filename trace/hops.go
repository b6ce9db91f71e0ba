package trace

import (
	"slices"

	"tcptraceroute/packet"
)

// Trace is the pure fold of one path's results into hops. The zero value is not ready: use NewTrace.
type Trace struct {
	first, last int // TTLs
	queries     int
	hops        []Hop
	shared      *Result
	over        bool
}

// Hop is what is known of one TTL.
type Hop struct {
	TTL    int
	Probes []Result // the outcomes, in order of sending, without those that are Unknown
	Extra  []Result // notices: late and second answers
}

// NewTrace begins a trace of the path that o describes.
func NewTrace(o PathOptions) *Trace {
	o = o.withDefaults()
	t := &Trace{first: o.FirstTTL, last: o.MaxTTL, queries: o.Queries}
	t.hops = make([]Hop, o.MaxTTL-o.FirstTTL+1)
	for i := range t.hops {
		t.hops[i].TTL = o.FirstTTL + i
	}
	return t
}

// Add takes a result in.
func (t *Trace) Add(r Result) {
	ttl := int(r.Probe.TTL)
	if ttl < t.first || ttl-t.first >= len(t.hops) {
		return
	}
	h := &t.hops[ttl-t.first]
	switch r.Fate {
	case Answered, Lost, Failed:
		if h.Probes == nil {
			h.Probes = make([]Result, 0, t.queries)
		}
		h.Probes = inOrder(h.Probes, r)
		if r.FromTarget() || r.Refused() {
			t.last = min(t.last, ttl)
		}
	case Late, Duplicate:
		h.Extra = append(h.Extra, r)
	case Shared:
		if t.shared == nil {
			shared := r // so that only this one gets to the heap
			t.shared = &shared
		}
	}
}

// Finish says that no more results come: every hop is as complete as it gets.
func (t *Trace) Finish() { t.over = true }

// Last is the last TTL that belongs to the path as far as is known now: the target's, that of a refusal, else the
// highest that may be probed; once the trace is over, no further than anything was probed.
func (t *Trace) Last() int {
	if !t.over {
		return t.last
	}
	last := t.last
	if top := len(t.hops) - 1; last == t.hops[top].TTL && top > 0 && len(t.hops[top-1].Probes) == 0 {
		last-- // only a scout has got there
	}
	for ttl := last; ttl >= t.first; ttl-- {
		if len(t.hops[ttl-t.first].Probes) > 0 {
			return ttl
		}
	}
	return t.first - 1
}

// Complete reports whether the hop will not change any more.
func (t *Trace) Complete(ttl int) bool {
	return t.over || len(t.Hop(ttl).Probes) >= t.queries
}

// Hop is the hop at a TTL between the first and Last. That of the target has, where it was asked less often itself, the
// target's answers to scouts too, whose TTL is the highest, behind its own.
func (t *Trace) Hop(ttl int) Hop {
	h := t.hops[ttl-t.first]
	if ttl != t.last || !slices.ContainsFunc(h.Probes, Result.FromTarget) {
		return h
	}
	top := t.hops[len(t.hops)-1]
	for i := 0; ttl < top.TTL && i < len(top.Probes) && len(h.Probes) < t.queries; i++ {
		if top.Probes[i].FromTarget() {
			h.Probes = append(slices.Clip(h.Probes), top.Probes[i])
		}
	}
	return h
}

// inOrder inserts a result into those sorted by the order of sending.
func inOrder(s []Result, r Result) []Result {
	i, _ := slices.BinarySearchFunc(s, r, func(a, b Result) int { return a.N - b.N })
	return slices.Insert(s, i, r)
}

// First is the first TTL probed.
func (t *Trace) First() int { return t.first }

// Reached reports whether an answer came from the target, or an ICMP error other than time exceeded for a probe.
func (t *Trace) Reached() bool {
	if t.shared != nil {
		return true
	}
	for i := range t.hops {
		for _, r := range t.hops[i].Probes {
			if r.FromTarget() || r.Refused() {
				return true
			}
		}
	}
	return false
}

// Unplaced is the target's answer that no hop shows, because which probe it answered could not be told; nil where there
// is none.
func (t *Trace) Unplaced() *Result {
	if t.shared == nil || t.answered(packet.KindTCP) {
		return nil
	}
	return t.shared
}

func (t *Trace) answered(k packet.Kind) bool {
	for i := range t.hops {
		for _, r := range t.hops[i].Probes {
			if r.Reply != nil && r.Reply.Kind == k {
				return true
			}
		}
	}
	return false
}
