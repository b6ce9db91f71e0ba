package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	longestCycle = 8 // hops
	leastTurns   = 2 // how often a loop must have been gone round
	leastAnswers = 4 // at how many hops its only router that answers must have done so
)

// loop finds packets that go round in a circle until their TTL is used up.
func loop(f *facts) []Finding {
	if f.cycle() == 0 {
		return nil
	}
	start, n := f.circle()
	last := f.hops[len(f.hops)-1].ttl
	var members []string
	for ttl := start; ttl < start+n; ttl++ {
		if a := f.inCircle(ttl, n); a.IsValid() {
			members = append(members, a.String())
		} else {
			members = append(members, "a silent router")
		}
	}
	after := start // or silent hops before belong to it
	for h := f.at(after - 1); h != nil && !h.answered(); h = f.at(after - 1) {
		after--
	}
	evidence := []string{fmt.Sprintf("The same %d routers answer in turn from hop %d to hop %d, and the target "+
		"never does.", n, start, f.lastRouter())}
	if after < start {
		evidence = append(evidence, "The silent hops right before may belong to it.")
	}
	confidence := Certain
	if f.inTurn(start, n) == 1 {
		// One probe after the other, a limit of the router on its errors may fall into step with them.
		confidence = when(f.regular(start, n) > 1, Likely, Possible)
		evidence[0] = fmt.Sprintf("%v answers at every %s hop from hop %d to hop %d, and nobody at those between: the "+
			"others of the circle say nothing.", f.only(start), ordinal(n), start, f.lastRouter())
		evidence = append(evidence, "Or the TTL is set too low before that router, and it limits how often it answers.")
	}
	if passed := f.passedBy(); len(passed) > 0 {
		confidence = min(confidence, Likely)
		evidence[0] = fmt.Sprintf("The same %d routers answer in turn from hop %d to hop %d.", n, start, f.lastRouter())
		evidence = append(evidence, passed...)
		evidence = append(evidence, "So not all connections go round: one of several ways does, or the way has just changed.")
	}
	if silent := last - f.lastRouter(); silent >= n && !slices.ContainsFunc(f.controls(), f.wentRound) {
		// An ordinary connection's SYNs, some seconds apart, would expire in the circle, and a router say so.
		confidence = min(confidence, when(len(f.controls()) > 0, Possible, Likely))
		evidence = append(evidence, fmt.Sprintf("Beyond hop %d, %s silent. Routers limit how often they answer; or the path "+
			"ends there, and those on it share addresses.", f.lastRouter(), times(silent, "hop is", "hops are")))
	}
	return []Finding{{
		Code: RoutingLoop, Confidence: confidence, Weight: weightFatal, After: after, Before: start + n - 1,
		Title: fmt.Sprintf("Routing loop from hop %d on: packets go round between %s", start,
			strings.Join(members, ", ")),
		Evidence: evidence,
		Advice: "Ask whoever runs these routers: they point at each other for this destination, so one of them has " +
			"lost the real route.",
	}}
}

// inTurn is how many routers of a circle answer.
func (f *facts) inTurn(start, n int) int {
	members := map[netip.Addr]bool{}
	for ttl := start; ttl < start+n; ttl++ {
		if a := f.inCircle(ttl, n); a.IsValid() {
			members[a] = true
		}
	}
	return len(members)
}

// ordinal is a small number as in "every second hop".
func ordinal(n int) string {
	names := [...]string{2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth"}
	return names[n]
}

// wentRound reports whether an ordinary connection has expired, and not because this host gives it a low TTL.
func (f *facts) wentRound(c Control) bool {
	return c.expired() && (c.Left == nil || int(c.Left.TTL) > f.lastRouter())
}

// cycle is the length of the circle that the end of the path goes round in; 0: there is none.
func (f *facts) cycle() int {
	_, n := f.circle()
	return n
}

// circle is the first hop of the circle that the end of the path goes round in, and its length; 0: there is none. From
// that hop on all routers that are known repeat after so many hops. Silent hops fit any circle, for routers limit their
// ICMP errors, and in a loop each one is asked often: so the whole stretch counts, not its end.
func (f *facts) circle() (start, length int) {
	if f.answer != nil || f.refusal != nil || len(f.hops) == 0 {
		return 0, 0
	}
	for n := 2; n <= longestCycle; n++ {
		if start := f.turns(n); start > 0 {
			return start, n
		}
	}
	return 0, 0
}

// turns is the first known hop from which on the path goes round in a circle of n hops, as far as can be seen; 0: it
// doesn't. It has to have gone round leastTurns times after the first, and each member but silent ones has to have been
// seen as often.
func (f *facts) turns(n int) (start int) {
	last := f.hops[len(f.hops)-1].ttl
	members, addresses := map[int]netip.Addr{}, map[netip.Addr]bool{}
	var known []int // hops, the last first
	for ttl := last; ttl >= f.first(); ttl-- {
		a := f.only(ttl)
		if !a.IsValid() {
			if h := f.at(ttl); h != nil && len(h.routers) > 1 {
				break
			}
			continue
		}
		if m, ok := members[ttl%n]; ok && m != a {
			break
		}
		members[ttl%n], addresses[a] = a, true
		known = append(known, ttl)
	}
	for len(known) > 1 && known[len(known)-1]+n <= last && !f.again(known, n) {
		// Nobody has answered in its place again: it may stand before the circle.
		ttl := known[len(known)-1]
		known = known[:len(known)-1]
		if delete(members, ttl%n); !slices.ContainsFunc(known, func(t int) bool { return f.only(t) == f.only(ttl) }) {
			delete(addresses, f.only(ttl))
		}
	}
	if len(known) > 0 {
		start = known[len(known)-1]
	}
	repeats := len(known) - len(members)
	switch {
	case len(known) == 0, last-start+1 < n*(leastTurns+1), repeats < leastTurns*len(members):
		return 0
	case len(addresses) == 1 && f.regular(start, n) == 0:
		return 0 // it is one router that answers at every hop, or at some: it may limit its errors
	}
	return start
}

// regular is how many probes, at the least, had each hop of a stretch up to the last one, if a router has answered all
// probes at every n-th hop, and nobody any of those between: so it looks where all others of a circle are silent. 0: it
// doesn't. A router that answers some of what comes to it would hardly choose so.
func (f *facts) regular(start, n int) (probes int) {
	last, turns := f.hops[len(f.hops)-1].ttl, 0
	for ttl := start; ttl <= last; ttl++ {
		h := f.at(ttl)
		mine := (ttl-start)%n == 0
		if h == nil || h.answered() != mine || mine == (h.lost > 0) {
			return 0
		}
		turns += when(mine, 1, 0)
		if probes == 0 || len(h.results) < probes {
			probes = len(h.results)
		}
	}
	return when(turns >= leastAnswers, probes, 0)
}

// again reports whether the first of the known hops has been seen another time, a turn later or more.
func (f *facts) again(known []int, n int) bool {
	first := known[len(known)-1]
	return slices.ContainsFunc(known[:len(known)-1], func(ttl int) bool { return (ttl-first)%n == 0 })
}

// only is the router at a hop, where it is always the same.
func (p *path) only(ttl int) netip.Addr {
	if h := p.at(ttl); h != nil && len(h.routers) == 1 {
		return h.routers[0]
	}
	return netip.Addr{}
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
