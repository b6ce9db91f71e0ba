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
	counts map[End]int
	all    int
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
}

const (
	mostShared  = 5  // are said
	leastShared = 20 // a place that fewer than one in so many share is no common cause
)

// Shared returns the places where the paths to several targets end, those of the most targets first. It says where, and
// not why: the router after the last one that answers may be at fault, or each target's own network.
func (e *Ends) Shared() []SharedEnd {
	var all []SharedEnd
	for end, n := range e.counts {
		if n > 1 && n*leastShared >= e.all {
			all = append(all, SharedEnd{end, n, e.all})
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
