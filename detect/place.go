package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.example/tcptraceroute/packet"
)

// hopName is a hop in words: its number and, where it is known, its address.
func (f *facts) hopName(ttl int) string {
	if ttl < f.first() {
		return "this host"
	}
	if a := f.router(ttl); a.IsValid() {
		return fmt.Sprintf("hop %d (%v)", ttl, a)
	}
	if d := f.farthest(); d > 0 && ttl == d && (f.flow == nil || f.flow.lastRouter() < ttl) { // else ways differ
		return fmt.Sprintf("hop %d (the target)", ttl)
	}
	return fmt.Sprintf("hop %d", ttl)
}

// router is who answered at a TTL, in the trace itself or else in another one that isn't known to go another way: one
// with the same ports first, which load balancers send the same way.
func (f *facts) router(ttl int) netip.Addr {
	if h := f.at(ttl); h != nil && len(h.routers) > 0 {
		return h.routers[0]
	}
	for _, p := range []*path{f.ack, f.syn, f.echo, f.port, f.flow} {
		if p == nil || f.parted(p, ttl) {
			continue
		}
		if h := p.at(ttl); h != nil && len(h.routers) > 0 {
			return h.routers[0]
		}
	}
	return netip.Addr{}
}

// parted reports whether another trace is known to have left this one's way before a hop: the nearest one that tells
// decides.
func (f *facts) parted(p *path, ttl int) bool {
	for _, h := range slices.Backward(f.hops) {
		if h.ttl >= ttl {
			continue
		}
		if w, _ := f.wayAt(p, h.ttl); w != unknownWay {
			return w == otherWay
		}
	}
	return false
}

// between is a place in words.
func (f *facts) between(after, before int) string {
	if after == before {
		return "at " + f.hopName(after)
	}
	if after < f.first() && f.hostMayDoIt() {
		return "at this host itself, or between it and " + f.hopName(before)
	}
	return "between " + f.hopName(after) + " and " + f.hopName(before)
}

// owner is whom to ask about a place.
func (f *facts) owner(after, before int) string {
	var who []string
	for _, ttl := range []int{after, before} {
		if a := f.router(ttl); a.IsValid() && ttl >= f.first() && packet.Impossible(a) == "" {
			who = append(who, a.String())
		}
		if after == before {
			break
		}
	}
	if len(who) == 0 {
		return "whoever runs this network"
	}
	return "whoever runs " + strings.Join(who, " and ")
}

// times counts in words.
func times(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
