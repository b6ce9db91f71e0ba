package record

import (
	"cmp"
	"iter"
	"slices"

	"go.example/tcptraceroute/trace"
)

// Fold is the fold of a trace that keeps every result, those too that no hop shows: what is unknown, and what was
// probed beyond the end of the path.
type Fold struct {
	*trace.Trace
	entries        map[int]*Entry
	distanceProbes []*Entry // by ports of their own, by TTL
	unsent         bool     // there was nothing to fold, for this host could send nothing
	queries        int      // for how many probes an entry has room from the beginning
}

// Entry is all that came of one TTL.
type Entry struct {
	TTL     int
	Probes  []trace.Result // the outcomes, in order of sending
	Notices []trace.Result // about probes that have their outcome already, or none for sure; in order of coming
	Beyond  bool           // it is of no hop: behind the answer that the path ended with, or of distance probes
}

// NewFold begins a fold that folds the results into t too.
func NewFold(t *trace.Trace) *Fold {
	return &Fold{Trace: t, entries: make(map[int]*Entry)}
}

// Add takes a result in.
func (r *Fold) Add(res trace.Result) {
	amended := r.Take(res)
	ttl := int(res.Probe.TTL)
	e := r.entries[ttl]
	switch {
	case res.Role != trace.RoleHop:
		i, found := slices.BinarySearchFunc(r.distanceProbes, ttl, func(e *Entry, ttl int) int { return e.TTL - ttl })
		if !found {
			r.distanceProbes = slices.Insert(r.distanceProbes, i, &Entry{TTL: ttl, Beyond: true})
		}
		e = r.distanceProbes[i]
	case e == nil:
		e = &Entry{TTL: ttl, Probes: make([]trace.Result, 0, r.queries)}
		r.entries[ttl] = e
	}
	if !res.Outcome.Final() {
		if amended != nil {
			res = e.amend(*amended, res)
		}
		e.Notices = append(e.Notices, res)
		return
	}
	i, _ := slices.BinarySearchFunc(e.Probes, res, func(a, b trace.Result) int { return cmp.Compare(a.N, b.N) })
	e.Probes = slices.Insert(e.Probes, i, res)
}

// amend gives a probe the outcome that a notice has told of. It returns the notice as it is to be shown then: of two
// answers, the one that was the outcome before.
func (e *Entry) amend(now, notice trace.Result) trace.Result {
	i := slices.IndexFunc(e.Probes, func(p trace.Result) bool { return p.N == now.N })
	if i < 0 {
		return notice
	}
	if before := e.Probes[i]; before.Outcome == trace.Answered {
		notice, notice.Outcome = before, trace.Duplicate
	}
	e.Probes[i] = now
	return notice
}

// Entries yields every TTL that was probed, in order, and last those of the distance probes and strays that no hop
// shows.
func (r *Fold) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		var strays Entry
		end := r.EndTTL() // it may have nothing but probes with other TTLs
		for ttl := range 256 {
			if r.entries[ttl] == nil && ttl != end {
				continue
			}
			if far := r.Strays(ttl); len(far) > 0 {
				strays = Entry{TTL: ttl, Probes: far, Beyond: true}
			}
			if e := r.Entry(ttl); len(e.Probes)+len(e.Notices) > 0 && !yield(e) {
				return
			}
		}
		if len(strays.Probes) > 0 && !yield(strays) {
			return
		}
		for _, s := range r.distanceProbes {
			e := *s
			if e.Probes = r.unplaced(e.Probes); len(e.Probes)+len(e.Notices) > 0 && !yield(e) {
				return
			}
		}
	}
}

// Entry is all that came of one TTL. That of the target has the distance probes that it answered (see trace.Trace.Hop).
func (r *Fold) Entry(ttl int) Entry {
	e := Entry{TTL: ttl}
	if own := r.entries[ttl]; own != nil {
		e = *own
	}
	e.Probes = without(e.Probes, r.Strays(ttl))
	end, at := r.end()
	if end == nil || end.Outcome != trace.Answered || ttl < at {
		return e
	}
	if ttl == at {
		e.Probes = slices.Concat(e.Probes, r.placed())
		return e
	}
	e.Beyond, e.Probes = true, r.unplaced(e.Probes)
	return e
}

// placed are the probes with other TTLs that the last hop shows.
func (r *Fold) placed() (distant []trace.Result) {
	end, last := r.end()
	if end == nil || end.Outcome != trace.Answered {
		return nil
	}
	own := r.entries[last]
	for _, p := range r.Hop(last).Probes {
		if own == nil || !slices.ContainsFunc(own.Probes, func(o trace.Result) bool { return o.N == p.N }) {
			distant = append(distant, p)
		}
	}
	return distant
}

// unplaced are those of some results that the target's hop doesn't show.
func (r *Fold) unplaced(results []trace.Result) []trace.Result {
	return without(results, r.placed())
}

// without are some results without others.
func without(results, others []trace.Result) []trace.Result {
	if len(others) == 0 {
		return results
	}
	return slices.DeleteFunc(slices.Clone(results), func(p trace.Result) bool {
		return slices.ContainsFunc(others, func(s trace.Result) bool { return s.N == p.N })
	})
}

// End is the target's answer, or the refusal, that the path ended with; nil where it came to no end.
func (r *Fold) End() *trace.Result {
	end, _ := r.end()
	return end
}

// EndTTL is the hop that shows End, which may be nearer than its probe's TTL says; 0: none does.
func (r *Fold) EndTTL() int {
	_, ttl := r.end()
	return ttl
}

func (r *Fold) end() (end *trace.Result, hop int) {
	for ttl := r.First(); ttl <= r.Last(); ttl++ {
		probes := r.Hop(ttl).Probes
		for i := range probes {
			if probes[i].FromTarget() || probes[i].Refused() {
				res := probes[i] // so that only this one gets to the heap
				return &res, ttl
			}
		}
	}
	return r.Unplaced(), 0
}

// nothingSent reports whether there was no way, or probes failed, and nothing shows that any other left this host.
func (r *Fold) nothingSent() bool {
	failed := false
	for e := range r.Entries() {
		for _, p := range e.Probes {
			failed = failed || p.Outcome == trace.Failed
			if p.Outcome == trace.Answered || p.Outcome == trace.Lost {
				return false
			}
		}
		if len(e.Notices) > 0 {
			return false
		}
	}
	return failed || r.unsent
}
