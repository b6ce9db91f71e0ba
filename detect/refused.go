package detect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
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

// The least length that each link carries (RFC 791 3.2, RFC 8200 5).
const (
	leastMTU4 = 68
	leastMTU6 = 1280
)

// whyRefused is what the refusal means, as far as it can be: that a packet is too big can't be true of one that each
// link carries. It is a word for no, like others, then.
func (p *path) whyRefused() refusal {
	why := meaning(p.refusal.Reply)
	if why == tooBig && p.length() <= when(p.target.Addr().Is4(), leastMTU4, leastMTU6) {
		return prohibited
	}
	return why
}

// refused finds who says no by ICMP.
func refused(f *facts) []Finding {
	if f.refusal == nil {
		return nil
	}
	r := f.refusal.Reply
	from := r.From()
	ttl := f.refusedAt
	after, before := f.location(ttl)
	at := fmt.Sprint(after)
	if after != before {
		at = fmt.Sprintf("%d to %d", after, before)
	}
	x := Finding{Confidence: Certain, Weight: weightFatal, After: after, Before: before}
	x.Evidence = append(x.Evidence, fmt.Sprintf("%v answered probes with TTL %d by ICMP: %s.", from, f.refusal.Probe.TTL,
		refusalText(r)))
	port := f.target.Port()
	router := fmt.Sprintf("the router %v, hop %s,", from, at)
	front, all := f.refusedInFront(), either
	if front == nil {
		all = f.compareRefusals(&x, ttl)
	}
	flows := f.portFlows(after)
	kind := f.whyRefused()
	if kind != meaning(r) {
		x.Evidence = append(x.Evidence, fmt.Sprintf("Each link has to carry packets of %d bytes: length is not why.",
			f.length()))
	}
	switch {
	case kind != tooBig && front == nil && len(flows.passed) > 0:
		f.refusedPartly(&x, from, at, flows)
		return []Finding{x}
	case kind == tooBig:
		x.Code, x.Weight = MTULimit, weightTrap
		x.Title = fmt.Sprintf("Packets of %d bytes don't fit beyond %v, hop %s", f.length(), from, at)
		f.doubtLimit(&x, front != nil)
		x.Advice = "Nothing to do as long as this ICMP message gets to both ends. Where a firewall drops it, big " +
			"packets vanish: clamp the MSS there, or let ICMP through."
	case from.WithZone("") == f.target.Addr() && kind == noHost && f.waited() >= neighbourWait:
		f.behindCantBeReached(&x, after)
	case front != nil:
		f.rejectedInFront(&x, *front)
	case from.WithZone("") == f.target.Addr():
		x.Code, x.Confidence = RejectedByTarget, when(f.alive(ttl-1), Likely, Possible)
		x.Title = fmt.Sprintf("The target, or a firewall right in front of it, rejects port %d by ICMP", port)
		x.Advice = "Check the target's own firewall or security group first. Or a router in front of it says no in its name."
		switch {
		case f.ownHop() > 0:
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "At a hop before it the target's address says that the TTL is over: a NAT speaks "+
				"in its name there, and a router or a machine beyond may have said no.")
		case f.refusedFromTarget():
			x.Confidence = Certain
			x.Advice = "Check the target's own firewall first: it says no, or one right in front of it does (security group, " +
				"hypervisor, bridge)."
		}
	case all == passes && kind == noHost && f.waited() >= neighbourWait:
		x.Code, x.Confidence = UnreachableHost, Likely
		x.Title = fmt.Sprintf("What port %d is sent on to can't be reached from %v, hop %s", port, from, at)
		x.Evidence = append(x.Evidence, f.waitText())
		x.Advice = fmt.Sprintf("Other probes get farther: this port goes another way, or is translated to another "+
			"machine, which is down, or a router in front of it is. Ask whoever runs %v.", from)
	case (kind == noHost || kind == noRoute) && f.handedOn():
		f.handedOnRefused(&x, kind, fmt.Sprintf("%v, hop %s", from, at))
	case all == passes:
		x.Code = RejectedByRouter
		x.Title = fmt.Sprintf("Port %d is rejected by %s, and others pass", port, strings.TrimSuffix(router, ","))
		x.Advice = fmt.Sprintf("Ask whoever runs %v: a firewall rule there says no (in the words %q), and lets others "+
			"pass.", from, refusalText(r))
		if kind == noHost {
			x.Confidence = Likely
			x.Evidence = append(x.Evidence, "It said so at once: it may also have asked in vain before, for a next hop by "+
				"which this port alone goes.")
		}
	case kind == noRoute:
		x.Code, x.Confidence = UnreachableNetwork, Likely // ports that were not tried may pass
		x.Title = fmt.Sprintf("No route: %s says that it doesn't know the way to %v", router, f.target.Addr())
		x.Advice = fmt.Sprintf("Ask whoever runs %v: routing is broken there, or the address isn't announced, or a "+
			"rule there rejects all but ports that were not tried.", from)
	case kind == noHost:
		x.Code = UnreachableHost
		x.Title = fmt.Sprintf("Beyond %v, hop %s, nobody answers on the next link: the target is down or not there, or "+
			"a router in front of it is", from, at)
		x.Advice = fmt.Sprintf("Check that the target is running and has this address. If its link isn't one of %v, ask "+
			"whoever runs that router: its next hop gives no answer.", from)
		if f.target.Addr().Is6() {
			x.Advice += " A firewall that drops neighbour discovery (ICMPv6) looks the same."
		}
		if f.waited() >= neighbourWait {
			x.Evidence = append(x.Evidence, f.waitText())
		} else {
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "It said so at once: it had asked before, or it has a route that rejects "+
				"this address, of which some routers say the same.")
		}
	case all == vanishes:
		x.Code = RejectedByRouter
		x.Title = fmt.Sprintf("All that was tried to %v is rejected by %s", f.target.Addr(), strings.TrimSuffix(router, ","))
		x.Advice = fmt.Sprintf("Ask whoever runs %v: a firewall rule there, or a route that prohibits this address, "+
			"says no to all that was tried.", from)
	default:
		x.Code = RejectedByRouter
		x.Title = fmt.Sprintf("Port %d is rejected by %s", port, strings.TrimSuffix(router, ","))
		x.Advice = fmt.Sprintf("Ask whoever runs %v: a firewall rule there, or a route that prohibits this address, "+
			"says no.", from)
	}
	f.doubtRefusal(&x, all, flows)
	f.orOwnNAT(&x)
	if front == nil && all != passes {
		return f.byOtherWay(x, kind, flows.refused)
	}
	return []Finding{x}
}

// partedBefore reports whether a further trace of another kind has come to a hop by another router than who refuses
// there, and got farther.
func (f *facts) partedBefore(w witness, at int) bool {
	h, from := w.at(at), f.refusal.Reply.From()
	if w.path == f.flow || at < f.first() || h == nil || len(h.routers) == 0 || slices.Contains(h.routers, from) {
		return false
	}
	return w.distance() > at || w.lastRouter() > at && w.refusal == nil
}

// byOtherWay weighs that others went another way than what is refused, and got farther: what lies beyond who refuses is
// their way's business, and not the target's. refused is how many flows to the port were refused.
func (f *facts) byOtherWay(x Finding, kind refusal, refused int) []Finding {
	from, port := f.refusal.Reply.From(), f.target.Port()
	all := f.others()
	all = slices.DeleteFunc(all, func(w witness) bool { return !f.partedBefore(w, x.After) })
	if len(all) == 0 || x.Before > x.After+1 || kind == tooBig || f.handedOn() {
		return []Finding{x}
	}
	if kind == noHost && x.Code == UnreachableHost {
		x.Confidence = min(x.Confidence, Likely)
		x.Title = fmt.Sprintf("Beyond %v, hop %d, nobody answers on the next link: port %d goes by that router, and "+
			"others go another way", from, x.After, port)
		x.Advice = fmt.Sprintf("Ask whoever runs %v first: its next hop gives no answer. Then ask %s why port %d is sent "+
			"that way: a route or a rule chooses it, or one member of a load-balanced group is broken.", from,
			f.owner(x.After-1, x.After-1), port)
	}
	i := slices.IndexFunc(all, func(w witness) bool { return w.path == f.port })
	if i < 0 || refused < 2 {
		return []Finding{x}
	}
	other := Finding{
		Code: OtherWay, Confidence: Possible, Weight: weightNotice, After: x.After - 1, Before: x.After,
		Title: fmt.Sprintf("Port %d takes another way than port %d, by %v, which refuses it", port, f.port.target.Port(),
			from),
		Evidence: []string{
			fmt.Sprintf("All of %s to port %d were refused by %v, and those to port %d came by %v and got farther.",
				times(refused, "flow", "flows"), port, from, f.port.target.Port(), f.port.at(x.After).routers[0]),
		},
		Advice: fmt.Sprintf("Ask %s: a router there may choose the way by port. Or one member of a load-balanced group "+
			"refuses, and all of these went by it by chance.", f.owner(x.After-1, x.After-1)),
	}
	return []Finding{x, other}
}

// doubtLimit names the limit of a link that says a packet is too big, and lowers the confidence where a filter may say
// so.
func (f *facts) doubtLimit(x *Finding, front bool) {
	limit, length := int(f.refusal.Reply.MTU), f.length()
	switch {
	case limit > 0 && limit < length:
		x.Title += fmt.Sprintf(": the limit is %d bytes", limit)
	default:
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "No limit is named that is less than that: a filter may reject in these words.")
	}
	if f.target.Addr().Is4() && !f.refusal.Probe.DontFragment {
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "The probes may be fragmented: a router has no need to say so.")
	}
	if f.refusal.Reply.From().WithZone("") == f.target.Addr() {
		x.Confidence = when(front, Possible, Likely)
		x.Evidence = append(x.Evidence, "It is said in the target's name, and beyond the target there is no link.")
	}
}

// behindCantBeReached is that it is said in the target's name that a machine doesn't answer on its link: by the target,
// of a machine that it hands the port on to, or by a NAT in front of it. If nothing shows that the target is up, it may
// be the target that the NAT can't reach.
func (f *facts) behindCantBeReached(x *Finding, after int) {
	port := f.target.Port()
	x.Code = UnreachableHost
	x.Title = fmt.Sprintf("The target, or a NAT in front of it, hands port %d on to a machine that it can't reach", port)
	x.Evidence = append(x.Evidence, f.waitText())
	x.Advice = "Check that the machine is running that this port is handed on to: a container, or a server of a " +
		"balancer. The target's address itself has answered other probes."
	if own := f.handover != nil && f.handover.confidence == Certain; !own && !f.alive(after) {
		x.Confidence = Likely
		x.Title = fmt.Sprintf("The machine that port %d leads to can't be reached, says somebody in the target's name", port)
		x.Evidence = append(x.Evidence, "Nothing else was answered in the target's name from there or beyond.")
		x.Advice = "Check that the target is running. Or it is up, and the machine is down that it, or a NAT in front of " +
			"it, hands this port on to."
	}
}

// handedOn reports whether the port is translated before the hop that refuses it: then it isn't the target that can't
// be reached.
func (f *facts) handedOn() bool {
	return f.handover != nil && f.handover.confidence >= Likely && f.handover.at < f.refusedAt
}

// handedOnRefused is that a router says it can't reach what the port is translated to.
func (f *facts) handedOnRefused(x *Finding, kind refusal, router string) {
	x.Code, x.Confidence = when(kind == noHost, UnreachableHost, UnreachableNetwork), Likely
	x.Title = fmt.Sprintf("What port %d is translated to can't be reached from %s", f.target.Port(), router)
	x.Evidence = append(x.Evidence, fmt.Sprintf("The port is translated at hop %d: the machine that is meant isn't %v.",
		f.handover.at, f.target.Addr()))
	x.Advice = fmt.Sprintf("Check that the machine is running to which port %d is translated, and that the translation "+
		"names the right one. Ask %s.", f.target.Port(), f.owner(max(f.handover.at-1, f.first()-1), f.handover.at))
	switch {
	case kind != noHost:
	case f.waited() < neighbourWait:
		x.Confidence = Possible
		x.Evidence = append(x.Evidence,
			"It said so at once: it had asked before, or it has a route that rejects the address.")
	default:
		x.Evidence = append(x.Evidence, f.waitText())
	}
}

// doubtRefusal lowers the confidence where too few others were asked, or which probe was refused isn't sure.
func (f *facts) doubtRefusal(x *Finding, all fate, flows portFlows) {
	r := f.refusal.Reply
	from := r.From()
	kind := f.whyRefused()
	noWay := kind == noRoute || kind == noHost && f.waited() < neighbourWait
	if all == either && noWay && x.Code != RejectedByTarget {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "No other port or protocol was seen there: a rule for this port may say the same.")
	}
	if x.Confidence == Certain && (kind == noHost || kind == noRoute) && x.Code != RejectedByTarget &&
		f.options.Protocol == packet.ProtoTCP && f.asks() && flows.refused < enoughFlows {
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, fmt.Sprintf("Only %s to this port were refused: one of several ways may be "+
			"dead, and others pass.", times(flows.refused, "source port", "source ports")))
	}
	if x.Code == RejectedByTarget || x.Code == RejectedByRouter && all != vanishes {
		f.orRefusedAbove(x)
	}
	own, seen := f.options.Source.Port(), f.before(from, f.maxTTL())
	if own != 0 && f.refusal.Probe.Src.Port() != own && !f.told() && !seen {
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(x.Evidence, "It refused a probe from another source port only, which may have gone another way.")
	}
	if !names(f.refusal) && !seen {
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(x.Evidence, "Which probe was refused isn't known for sure: its number was changed on the way.")
	}
}

// orRefusedAbove weighs that only SYNs above a limit are refused. Others may have used it up before the first probe,
// and no trace lasts as long as such a limit may take to let the next one pass: nothing that is asked excludes it. Who
// refuses is certain all the same where this host's ordinary connections fare no better.
func (f *facts) orRefusedAbove(x *Finding) {
	if f.options.Protocol != packet.ProtoTCP || !f.asks() {
		return
	}
	if !f.rejectsConnections() {
		x.Confidence = min(x.Confidence, Likely)
	}
	x.Evidence = append(x.Evidence, "A limit on connections, which earlier ones have used up, refuses what is over it in "+
		"the same way: then others pass later.")
	x.Advice += " To exclude a limit, wait some minutes, then ask once (-q 1)."
}

// rejectsConnections reports whether this host's ordinary connections are rejected as the probes are, as far as any
// were asked for, or the probes are such connections.
func (f *facts) rejectsConnections() bool {
	from := f.refusal.Reply.From().WithZone("")
	return f.told() || len(f.controls()) > 0 && !slices.ContainsFunc(f.controls(), func(c Control) bool {
		return c.Outcome != Rejected || c.expired() || c.From.WithZone("") != from
	})
}

// compareRefusals says what became of other probes at the router that refuses: whether they pass it, or all are refused
// by it in the same way (vanishes).
func (f *facts) compareRefusals(x *Finding, ttl int) fate {
	r := f.refusal.Reply
	same := 0
	for _, w := range f.others() {
		if w.path == f.flow {
			continue
		}
		farther, from := 0, f.comesTo(w.path, x.Before)
		for _, h := range w.hops {
			if h.ttl > from && (len(h.routers) > 0 && !slices.Contains(h.routers, r.From())) {
				farther = h.ttl
				break
			}
		}
		switch {
		case farther == 0 && f.answer != nil: // in the target's name somebody answers even what is refused
		case farther == 0 && w.answer != nil && (w.distance() > x.After || r.IP.Src == f.target.Addr()):
			farther = max(w.distance(), ttl)
		case farther == 0 && w.refusal != nil && w.refusal.Reply.From() == r.From() && w.refusal.Reply.Code == r.Code:
			same++
			x.Evidence = append(x.Evidence, fmt.Sprintf("%s were refused there in the same way.", w.what))
		}
		if farther == 0 {
			continue
		}
		if h := w.at(x.After); h != nil && len(h.routers) > 0 && !slices.Contains(h.routers, r.From()) &&
			x.After >= f.first() {
			x.Evidence = append(x.Evidence, fmt.Sprintf("%s went another way: hop %d was %v for them.", w.what, x.After,
				h.routers[0]))
			continue
		}
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s got farther: %s.", w.what, fartherText(w.path, farther)))
		return passes
	}
	return when(same >= 2 || same == 1 && f.echo != nil && f.echo.refusal != nil, vanishes, either)
}

// fartherText says who answered probes that got farther, with this TTL. A router that refuses by the TTL makes that of
// the target's first answer higher than the target is far.
func fartherText(p *path, ttl int) string {
	if p.answer != nil && ttl >= p.distance() {
		return fmt.Sprintf("the target answered those with TTL %d and up", ttl)
	}
	return fmt.Sprintf("hop %d answered", ttl)
}

// refusedInFront is another kind of probe that the target answers from farther away than it seems to refuse from, and
// isn't known to have gone another way: then somebody else has refused in its name. nil: there is none.
func (f *facts) refusedInFront() *witness {
	if f.refusal.Reply.From().WithZone("") != f.target.Addr() || f.refusedAt < 2 {
		return nil
	}
	for _, w := range f.others() {
		back := w.distance() > f.refusedAt && w.back() >= 0 && w.back() == backLength(f.refusal.Reply.IP.TTL)
		if w.path != f.flow && w.distance() > f.refusedAt && !back && !f.cameBy(w.path, f.refusedAt-1, otherWay) {
			return &w
		}
	}
	return nil
}

// rejectedInFront is the finding that something in front of the target rejects in its name.
func (f *facts) rejectedInFront(x *Finding, w witness) {
	x.Code, x.Confidence = RejectedByRouter, when(f.cameBy(w.path, f.refusedAt-1, sameWay), Likely, Possible)
	x.After, x.Before = f.refusedAt-1, f.refusedAt
	x.Title = fmt.Sprintf("Port %d is rejected in the target's name by something in front of it, %s", f.target.Port(),
		f.between(x.After, x.Before))
	x.Evidence = append(x.Evidence, fmt.Sprintf("But for %s: %s", w.what, f.answerText(w.path)))
	if h := w.at(f.refusedAt); h != nil && len(h.routers) > 0 && w.back() >= 0 &&
		w.back() != backLength(f.refusal.Reply.IP.TTL) {
		if e, known := f.excessBefore(f.refusedAt); known && backLength(f.refusal.Reply.IP.TTL) < f.refusedAt-1+e {
			x.Confidence = Certain // no way is so short from there, whatever way other probes take
		}
		x.Evidence = append(x.Evidence, fmt.Sprintf("For %s hop %d is the router %v.", w.what, h.ttl, h.routers[0]))
	}
	if x.Confidence == Possible {
		x.Evidence = append(x.Evidence, fmt.Sprintf("Whether both went the same way isn't known by hop %d. By a "+
			"shorter way it may have been the target itself.", x.After))
	}
	x.Advice = fmt.Sprintf("A firewall there answers as if it were the target. Ask %s.", f.owner(x.After, x.Before))
}

// refusedFromTarget reports whether the target's refusal came the same way back as its answers to other probes.
func (f *facts) refusedFromTarget() bool {
	for _, w := range f.others() {
		if w.answer != nil && w.back() >= 0 && f.refusal.Reply.IP.TTL != 0 && w.back() == backLength(f.refusal.Reply.IP.TTL) {
			return true
		}
	}
	return false
}

func (p *path) waitText() string {
	return fmt.Sprintf("It said so after %v: it had asked for the address on its link, and waited.",
		p.waited().Round(10*time.Millisecond))
}

// neighbourWait is more than routers take for anything but to ask for a neighbour: Linux waits 3 s, others 1 s or 2.
const neighbourWait = 800 * time.Millisecond

// waited is the longest that it took to be refused.
func (p *path) waited() (longest time.Duration) {
	for i := range p.hops {
		for r := range p.hops[i].replies() {
			if r.Refused() {
				longest = max(longest, r.RTT())
			}
		}
	}
	return longest
}

// location is the hop where who refused a probe with this TTL sits: where it said time exceeded too. Else it is that of
// the probe, or a silent one right before: a router looks at the TTL first and then at its rules, and may not have said
// so to the first that it refused.
func (f *facts) location(ttl int) (after, before int) {
	for _, h := range f.hops {
		if slices.Contains(h.routers, f.refusal.Reply.From()) {
			if before = h.ttl; after == 0 {
				after = h.ttl
			}
		}
	}
	switch {
	case after > 0 && after == before:
		return after, before
	case after > 0: // a NAT lets all hops beyond it speak in its name
		return after, max(before, ttl)
	case !names(f.refusal): // which probe was refused is a guess
		for _, w := range f.others() {
			for _, h := range w.hops {
				if slices.Contains(h.routers, f.refusal.Reply.From()) {
					return h.ttl, h.ttl
				}
			}
		}
	}
	after = ttl
	for h := f.at(after - 1); h != nil && len(h.routers) == 0 &&
		f.refusal.Reply.IP.Src != f.target.Addr(); h = f.at(after - 1) {
		after--
	}
	if after == f.first() && f.refusal.Reply.IP.Src != f.target.Addr() {
		after = 1 // what lies before the first hop that was asked isn't known
	}
	return after, ttl
}

// length is that of the refused probe.
func (p *path) length() int {
	probe := &p.refusal.Probe
	return probe.HeaderLength() + probe.PayloadLength()
}

// refusalText is an ICMP error in the words of its specification.
func refusalText(r *packet.Reply) string {
	switch {
	case r.Kind == packet.KindTCP:
		return "reset"
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
