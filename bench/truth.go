package main

import (
	"fmt"
	"net/netip"
	"slices"
)

// way is the truth about one flow: who answers at each TTL, from 1.
type way struct {
	hops     [][]netip.Addr // nobody: a hop that never answers
	distance int            // the TTL that brings the answer which ends a trace; 0: there is none
}

// at is who may answer a packet with this TTL.
func (w way) at(ttl int) []netip.Addr {
	switch {
	case ttl < 1:
		return nil
	case ttl <= len(w.hops):
		return w.hops[ttl-1]
	case w.distance > 0:
		return w.hops[w.distance-1]
	}
	return nil
}

// verdict is what a tool's output is worth.
type verdict struct {
	findable, found int
	missed          []int    // TTLs
	wrong           []string // "TTL ADDRESS, not ADDRESSES"
}

// judge compares what a tool printed with the ways that its flows went. sent are the flows of the probes by their
// TTL; a hop that a tool found without a probe of that TTL is judged by all flows.
func judge(printed []answer, flows []way, sent map[int][]way) verdict {
	var v verdict
	right := make(map[int]bool)
	said := make(map[answer]bool)
	for _, a := range printed {
		a.rtt, a.has = 0, false
		if said[a] {
			continue
		}
		said[a] = true
		ways := sent[a.ttl]
		if len(ways) == 0 {
			ways = flows
		}
		var may []netip.Addr
		for _, w := range ways {
			may = append(may, w.at(a.ttl)...)
		}
		if slices.Contains(may, a.addr) {
			right[a.ttl] = true
			continue
		}
		slices.SortFunc(may, netip.Addr.Compare)
		v.wrong = append(v.wrong, fmt.Sprintf("%d %v, not %v", a.ttl, a.addr, slices.Compact(may)))
	}
	if len(flows) == 0 {
		return v
	}
	for i, addrs := range flows[0].hops {
		if len(addrs) == 0 {
			continue
		}
		v.findable++
		if right[i+1] {
			v.found++
		} else {
			v.missed = append(v.missed, i+1)
		}
	}
	return v
}
