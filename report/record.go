package report

import (
	"cmp"
	"iter"
	"slices"

	"tcptraceroute/trace"
)

// Record is the fold of a trace that keeps every result, those too that no hop shows: what is unknown, and what was
// probed beyond the end of the path.
type Record struct {
	*trace.Trace
	entries map[int]*Entry
}

// Entry is all that came of one TTL.
type Entry struct {
	TTL     int
	Probes  []trace.Result // the outcomes, in order of sending
	Notices []trace.Result // about probes that have their outcome already, or none for sure; in order of coming
	Beyond  bool           // behind the answer that the path ended with
}

// NewRecord begins a record that folds the results into t too.
func NewRecord(t *trace.Trace) *Record {
	return &Record{Trace: t, entries: make(map[int]*Entry)}
}

// Add takes a result in.
func (r *Record) Add(res trace.Result) {
	r.Trace.Add(res)
	ttl := int(res.Probe.TTL)
	e := r.entries[ttl]
	if e == nil {
		e = &Entry{TTL: ttl}
		r.entries[ttl] = e
	}
	if !res.Fate.Outcome() {
		e.Notices = append(e.Notices, res)
		return
	}
	i, _ := slices.BinarySearchFunc(e.Probes, res, func(a, b trace.Result) int { return cmp.Compare(a.N, b.N) })
	e.Probes = slices.Insert(e.Probes, i, res)
}

// Entries yields every TTL that was probed, in order.
func (r *Record) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for ttl := range 256 {
			if r.entries[ttl] == nil {
				continue
			}
			if e := r.Entry(ttl); len(e.Probes)+len(e.Notices) > 0 && !yield(e) {
				return
			}
		}
	}
}

// Entry is all that came of one TTL. That of the target has the scouts that it answered, which the highest TTL then has
// not (see trace.Trace.Hop).
func (r *Record) Entry(ttl int) Entry {
	e := Entry{TTL: ttl}
	if own := r.entries[ttl]; own != nil {
		e = *own
	}
	end := r.End()
	if end == nil || end.Fate != trace.Answered || ttl < int(end.Probe.TTL) {
		return e
	}
	last := int(end.Probe.TTL)
	var scouts []trace.Result
	for _, p := range r.Hop(last).Probes {
		if int(p.Probe.TTL) != last {
			scouts = append(scouts, p)
		}
	}
	if ttl == last {
		e.Probes = slices.Concat(e.Probes, scouts)
		return e
	}
	e.Beyond = true
	e.Probes = slices.DeleteFunc(slices.Clone(e.Probes), func(p trace.Result) bool {
		return slices.ContainsFunc(scouts, func(s trace.Result) bool { return s.N == p.N })
	})
	return e
}

// End is the target's answer, or the refusal, that the path ended with; nil where it came to no end.
func (r *Record) End() *trace.Result {
	for ttl := r.First(); ttl <= r.Last(); ttl++ {
		for _, res := range r.Hop(ttl).Probes {
			if res.FromTarget() || res.Refused() {
				return &res
			}
		}
	}
	return r.Unplaced()
}
