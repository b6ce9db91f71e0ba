package detect

import (
	"cmp"
	"net/netip"
	"slices"
)

// An End is where the path to a target that was not reached ends.
type End struct {
	Refused bool       // somebody said that the probes go no further; else there is silence
	Last    netip.Addr // who refused, or the last router that answered; invalid: nobody did
}

// Ends counts where the paths to many targets end. The zero value has counted none.
type Ends struct {
	counts    map[End]int
	all       int
	past      map[netip.Addr]past // by router
	explained map[End]int
	causes    map[End][]SharedCause
}

// past is what is known of the hop after a router, by the traces that got past both: how many there are, and in how
// many of them that hop was silent.
type past struct{ traces, lacking int }

// mostPast is how many routers are kept in mind for that. The near ones, which most paths share, come first.
const mostPast = 4096

// Pass counts the routers that a trace got past, whether it reached its target or not. hops is who answered at each
// hop, from any hop on; invalid: nobody did.
func (e *Ends) Pass(hops []netip.Addr) {
	if e.past == nil {
		e.past = make(map[netip.Addr]past)
	}
	for len(hops) > 0 && !hops[len(hops)-1].IsValid() {
		hops = hops[:len(hops)-1]
	}
	for i, router := range hops {
		p, known := e.past[router]
		if i+2 >= len(hops) || !router.IsValid() || !known && len(e.past) == mostPast {
			continue
		}
		if p.traces++; !hops[i+1].IsValid() {
			p.lacking++
		}
		e.past[router] = p
	}
}

// A SharedCause is why the paths to several targets end at the same place.
type SharedCause struct {
	Code Code
	// Confidence is the lowest of the targets' findings. If not all targets whose paths end there were explained, it is
	// no higher than Likely.
	Confidence Confidence
	Beyond     bool // the fault is between the last router that answered and the next one
	Targets    int  // that were explained by this cause
}

// Explain adds what an explanation says about one of the targets that were counted, the weightiest finding first.
// last is the hop of the last router that answered.
func (e *Ends) Explain(end End, last int, all []Finding) {
	if e.explained == nil {
		e.explained, e.causes = make(map[End]int), make(map[End][]SharedCause)
	}
	e.explained[end]++
	if len(all) == 0 || all[0].Weight < weightFatal {
		return
	}
	x := &all[0]
	c := SharedCause{Code: x.Code, Confidence: x.Confidence, Targets: 1,
		Beyond: !end.Refused && end.Last.IsValid() && x.After == last && x.Before > last}
	for i := range e.causes[end] {
		if known := &e.causes[end][i]; known.Code == c.Code && known.Beyond == c.Beyond {
			known.Targets++
			known.Confidence = min(known.Confidence, c.Confidence)
			return
		}
	}
	e.causes[end] = append(e.causes[end], c)
}

// causesOf are the causes that were found where so many paths end, that of the most targets first.
func (e *Ends) causesOf(end End, targets int) []SharedCause {
	all := slices.Clone(e.causes[end])
	for i := range all {
		if e.explained[end] < targets {
			all[i].Confidence = min(all[i].Confidence, Likely) // what holds for some of them may not hold for all
		}
	}
	slices.SortStableFunc(all, func(a, b SharedCause) int {
		return cmp.Or(b.Targets-a.Targets, cmp.Compare(a.Code, b.Code))
	})
	return all
}

// Add counts one.
func (e *Ends) Add(end End) {
	if e.counts == nil {
		e.counts = make(map[End]int)
	}
	e.counts[end]++
	e.all++
}

// A SharedEnd is where the paths to several targets end.
type SharedEnd struct {
	End
	Targets int // whose paths end there
	Of      int // targets that were not reached

	// Past is how many traces of the run got past the last router and the hop after it. Lacking is in how many of them
	// that hop was silent: because routers limit their answers, for example. So a path that seems to end there may go
	// farther.
	Past, Lacking int

	Explained int           // targets of these that were explained
	Causes    []SharedCause // what the explanations say; none: they know no cause
}

const (
	mostShared  = 5  // are said
	leastShared = 20 // a place that fewer than one in so many share is no common cause
)

// MayGoOn reports whether the paths may go farther than is seen: the hop after the last router that answered is silent
// in at least a tenth of the traces that got past both.
func (s *SharedEnd) MayGoOn() bool { return s.Lacking > 1 && s.Lacking*10 >= s.Past }

// Shared returns the places where the paths to several targets end, those of the most targets first. Only explanations
// say why: the router after the last one that answers may be at fault, or each target's own network.
func (e *Ends) Shared() []SharedEnd {
	var all []SharedEnd
	for end, n := range e.counts {
		if n > 1 && n*leastShared >= e.all {
			s := SharedEnd{End: end, Targets: n, Of: e.all, Explained: e.explained[end], Causes: e.causesOf(end, n)}
			if !end.Refused {
				s.Past, s.Lacking = e.past[end.Last].traces, e.past[end.Last].lacking
			}
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b SharedEnd) int {
		refused := 0
		if a.Refused != b.Refused {
			refused = 1
			if a.Refused {
				refused = -1
			}
		}
		return cmp.Or(b.Targets-a.Targets, a.Last.Compare(b.Last), refused)
	})
	return all[:min(len(all), mostShared)]
}
