package detect

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	longestCycle = 8 // hops
	leastTurns   = 2 // how often a loop must have been gone round
)

// loop finds packets that go round in a circle until their TTL is used up.
func loop(f *facts) []Finding {
	n := f.cycle()
	if n == 0 {
		return nil
	}
	// It begins with the first hop from which on everything fits the circle.
	last := f.hops[len(f.hops)-1].ttl
	start := last - n + 1
	for start > f.first() && f.fits(start-1, n) {
		start--
	}
	for !f.only(start).IsValid() {
		start++ // silent hops before it need not belong to it
	}
	var members []string
	for ttl := start; ttl < start+n; ttl++ {
		if a := f.inCircle(ttl, n); a.IsValid() {
			members = append(members, a.String())
		} else {
			members = append(members, "a silent router")
		}
	}
	return []Finding{{
		Code: RoutingLoop, Confidence: Certain, Weight: weightFatal, After: start, Before: start + n - 1,
		Title:    fmt.Sprintf("Routing loop from hop %d on: packets go round between %s", start, strings.Join(members, ", ")),
		Evidence: []string{fmt.Sprintf("The same %d routers answer in turn from hop %d to hop %d, and the target never does.", n, start, last)},
		Advice:   "These routers point at each other for this destination: one of them has lost the real route. Ask whoever runs them.",
	}}
}

// cycle is the length of the circle that the end of the path goes round in; 0: there is none. All addresses known from
// some hop to the last one repeat after that many hops, at least leastTurns times over, and they are not all the same.
func (f *facts) cycle() int {
	if f.answer != nil || f.refusal != nil || len(f.hops) == 0 {
		return 0
	}
	last := f.hops[len(f.hops)-1].ttl
	for n := 2; n <= longestCycle; n++ {
		from := last - n*(leastTurns+1) + 1
		if from < f.first() {
			return 0
		}
		known := map[netip.Addr]bool{}
		repeats, silent := 0, 0
		ok := true
		for ttl := from; ttl <= last && ok; ttl++ {
			a := f.only(ttl)
			if !a.IsValid() {
				h := f.at(ttl)
				ok = h == nil || len(h.routers) == 0
				silent++
				continue
			}
			known[a] = true
			b := f.only(ttl - n)
			if ttl-n >= from && b.IsValid() {
				repeats++
				ok = a == b
			}
		}
		if ok && len(known) > 0 && (len(known) > 1 || silent > leastTurns) && repeats >= leastTurns*len(known) {
			return n
		}
	}
	return 0
}

// only is the router at a hop, where it is always the same.
func (f *facts) only(ttl int) netip.Addr {
	if h := f.at(ttl); h != nil && len(h.routers) == 1 {
		return h.routers[0]
	}
	return netip.Addr{}
}

// fits reports whether a hop may be a part of the circle that the hops beyond it go round in.
func (f *facts) fits(ttl, n int) bool {
	if h := f.at(ttl); h == nil || len(h.routers) > 1 {
		return false
	}
	return f.only(ttl) == f.inCircle(ttl+n, n)
}

// inCircle is the router of a circle at a hop, or the same one's a turn later.
func (f *facts) inCircle(ttl, n int) netip.Addr {
	for ; ttl <= f.hops[len(f.hops)-1].ttl; ttl += n {
		if a := f.only(ttl); a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}
