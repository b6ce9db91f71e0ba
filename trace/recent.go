package trace

import "slices"

// Recent keeps the last few outcomes of each hop of a trace that goes on, so that what is so now can be looked at as a
// Trace. The zero value is not ready: use NewRecent.
type Recent struct {
	o    PathOptions
	keep int
	hops map[uint8]*ring[Result]
}

// NewRecent keeps so many outcomes of each hop of the path that o describes.
func NewRecent(o PathOptions, keep int) *Recent {
	o.Queries = keep
	return &Recent{o: o, keep: keep, hops: make(map[uint8]*ring[Result])}
}

// Add takes a result in.
func (r *Recent) Add(res Result) {
	switch res.Outcome {
	case Answered, Lost, Failed:
	default:
		return
	}
	h := r.hops[res.Probe.TTL]
	if h == nil {
		h = new(ring[Result])
		r.hops[res.Probe.TTL] = h
	}
	h.push(r.keep, res)
}

// Reset forgets everything.
func (r *Recent) Reset() { clear(r.hops) }

// Trace is the trace that the outcomes would be if there were no others.
func (r *Recent) Trace() *Trace {
	var all []Result
	for _, h := range r.hops {
		all = append(all, h.items...)
	}
	slices.SortFunc(all, func(a, b Result) int { return a.N - b.N })
	t := NewTrace(r.o)
	for _, res := range all {
		t.Add(res)
	}
	t.Finish()
	return t
}
