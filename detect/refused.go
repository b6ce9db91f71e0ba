package detect

import (
	"fmt"
	"slices"
	"time"

	"tcptraceroute/packet"
)

// refusal is what an ICMP error that ends a path means.
type refusal uint8

const (
	prohibited refusal = iota // a filter says no
	noRoute
	noHost
	tooBig
)

// meaning reads type and code (RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1).
func meaning(r *packet.Reply) refusal {
	if r.Kind == packet.KindTooBig {
		return tooBig
	}
	if r.Kind != packet.KindUnreachable {
		return prohibited
	}
	if r.IP.Version == 6 {
		switch r.Code {
		case 0:
			return noRoute
		case 3:
			return noHost
		}
		return prohibited
	}
	switch r.Code {
	case 0, 6, 11:
		return noRoute
	case 1, 7, 8, 12:
		return noHost
	case 4:
		return tooBig
	}
	return prohibited
}

// refused finds who says no by ICMP.
func refused(f *facts) []Finding {
	if f.refusal == nil {
		return nil
	}
	r := f.refusal.Reply
	from := r.From()
	ttl := f.refusedAt
	after, before := f.seat(ttl)
	at := fmt.Sprint(after)
	if after != before {
		at = fmt.Sprintf("%d to %d", after, before)
	}
	x := Finding{Confidence: Certain, Weight: weightFatal, After: after, Before: before}
	x.Evidence = append(x.Evidence, fmt.Sprintf("%v answered probes with TTL %d by ICMP: %s.", from, f.refusal.Probe.TTL, refusalText(r)))
	port := f.target.Port()
	router := fmt.Sprintf("the router %v, hop %s,", from, at)
	switch meaning(r) {
	case noRoute:
		x.Code = UnreachableNetwork
		x.Title = fmt.Sprintf("No route: %s doesn't know the way to %v", router, f.target.Addr())
		x.Advice = fmt.Sprintf("Routing is broken there, or the address isn't announced. Ask whoever runs %v.", from)
	case noHost:
		x.Code = UnreachableHost
		x.Title = fmt.Sprintf("The target can't be reached from %v, hop %s: it is down, or not there", from, at)
		x.Advice = "The last router gets no answer from the target on its own link. Is the address right, and the machine running?"
		if w := f.waited(); w >= neighbourWait {
			x.Evidence = append(x.Evidence, fmt.Sprintf("It said so after %v: it had asked for the target on its link, and waited.", w.Round(10*time.Millisecond)))
		} else {
			x.Confidence = Likely
			x.Evidence = append(x.Evidence, "It said so at once: it had asked before, or it has a route that rejects this address, of which some routers say the same.")
		}
	case tooBig:
		x.Code, x.Weight = MTULimit, weightTrap
		x.Title = fmt.Sprintf("Packets of %d bytes don't fit behind %v, hop %s", f.length(), from, at)
		if r.MTU > 0 {
			x.Title += fmt.Sprintf(": the limit is %d bytes", r.MTU)
		}
		x.Advice = "That is no fault as long as this ICMP message gets to both ends. Where a firewall drops it, big packets vanish: clamp the MSS, or let ICMP through."
	default:
		if from == f.target.Addr() {
			x.Code = RejectedByTarget
			x.Title = fmt.Sprintf("The target itself rejects port %d by ICMP", port)
			x.Advice = "Its own firewall says no. (A router in front of it may do so in its name.) Look at the rules on the target."
			x.Confidence = Likely
			break
		}
		x.Code = RejectedByRouter
		x.Title = fmt.Sprintf("Port %d is rejected by %s", port, router)
		x.Title = x.Title[:len(x.Title)-1]
		x.Advice = fmt.Sprintf("A firewall rule there says no, and says so. Ask whoever runs %v.", from)
	}
	return []Finding{x}
}

// neighbourWait is more than routers take for anything but to ask for a neighbour: Linux waits 3 s, others 1 s or 2.
const neighbourWait = 800 * time.Millisecond

// waited is the longest that it took to be refused.
func (f *facts) waited() (longest time.Duration) {
	for i := range f.hops {
		for r := range f.hops[i].replies() {
			if r.Refused() {
				longest = max(longest, r.RTT())
			}
		}
	}
	return longest
}

// seat is the hop where who refused a probe with this TTL sits: where it said time exceeded too. Else it is that of the
// probe, or a silent one right before: a router looks at the TTL first and then at its rules, and may not have said so to
// the first that it refused.
func (f *facts) seat(ttl int) (after, before int) {
	for _, h := range f.hops {
		if slices.Contains(h.routers, f.refusal.Reply.From()) {
			return h.ttl, h.ttl
		}
	}
	after = ttl
	for h := f.at(after - 1); h != nil && len(h.routers) == 0 && f.refusal.Reply.From() != f.target.Addr(); h = f.at(after - 1) {
		after--
	}
	return after, ttl
}

// length is that of the refused probe.
func (f *facts) length() int {
	p := &f.refusal.Probe
	return p.HeaderLength() + p.PayloadLength()
}

// refusalText is an ICMP error in the words of its specification.
func refusalText(r *packet.Reply) string {
	switch {
	case r.Kind == packet.KindTooBig:
		return "packet too big"
	case r.Kind == packet.KindParameterProblem:
		return "parameter problem"
	case r.IP.Version == 6:
		switch r.Code {
		case 0:
			return "no route to destination"
		case 1:
			return "administratively prohibited"
		case 3:
			return "address unreachable"
		case 4:
			return "port unreachable"
		case 5:
			return "source address failed policy"
		case 6:
			return "reject route"
		}
		return fmt.Sprintf("destination unreachable, code %d", r.Code)
	}
	names := [...]string{
		"network unreachable", "host unreachable", "protocol unreachable", "port unreachable", "fragmentation needed",
		"source route failed", "network unknown", "host unknown", "source host isolated",
		"network administratively prohibited", "host administratively prohibited", "network unreachable for this TOS",
		"host unreachable for this TOS", "communication administratively prohibited", "host precedence violation",
		"precedence cutoff in effect",
	}
	if int(r.Code) < len(names) {
		return names[r.Code]
	}
	return fmt.Sprintf("destination unreachable, code %d", r.Code)
}
