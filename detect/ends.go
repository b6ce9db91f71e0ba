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
	explained map[End]int
	causes    map[End][]SharedCause
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

	Explained int           // targets of these that were explained
	Causes    []SharedCause // what the explanations say; none: they know no cause
}

const (
	mostShared  = 5  // are said
	leastShared = 20 // a place that fewer than one in so many share is no common cause
)

// Shared returns the places where the paths to several targets end, those of the most targets first. Only explanations
// say why: the router after the last one that answers may be at fault, or each target's own network.
func (e *Ends) Shared() []SharedEnd {
	var all []SharedEnd
	for end, n := range e.counts {
		if n > 1 && n*leastShared >= e.all {
			all = append(all, SharedEnd{end, n, e.all, e.explained[end], e.causesOf(end, n)})
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
