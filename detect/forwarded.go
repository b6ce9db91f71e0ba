package detect

import (
	"fmt"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
)

// forwarded finds that the target's address is translated for this port: what answers, or doesn't, is a machine beyond
// it. A container's published port is one, a port forward, a load balancer's address.
func forwarded(f *facts) []Finding {
	h := f.handover
	if h == nil {
		return f.otherForwarded()
	}
	port := f.target.Port()
	x := Finding{Code: Forwarded, Confidence: h.confidence, Weight: weightNotice, After: h.at, Before: h.at,
		Evidence: h.evidence}
	x.Title = fmt.Sprintf("Port %d is handed on by the target, hop %d, to a machine beyond it", port, h.at)
	x.Advice = "Check the machine beyond it too: the target translates this port, as for a container's published " +
		"port, a port forward or a load balancer's address."
	switch {
	case h.before:
		at := h.at
		for some := f.at(at - 1); some != nil && slices.Contains(some.routers, f.target.Addr()); some = f.at(at - 1) {
			at-- // of several machines that take the port in turn, not all are translated to
		}
		x.Code, x.After, x.Before = DNAT, max(at-1, f.first()-1), at
		x.Title = fmt.Sprintf("Port %d is translated in front of the target, %s", port, f.between(x.After, at))
		x.Advice = "Nothing to do if that is wanted: a router there changes the address or the port, and speaks in " +
			"the target's name. Else ask " +
			f.owner(x.After, at) + "."
	case h.whole:
		x.Title = fmt.Sprintf("The target's address is translated at hop %d, to a machine beyond it", h.at)
		x.Advice = "Check the machine beyond it too: a router translates the target's address, as for a 1:1 NAT or a " +
			"load balancer's address. Or that router only gives its ICMP errors the target's address, and translates nothing."
	case h.parts:
		x.Title = fmt.Sprintf("Port %d may be handed on by the target, hop %d, to a machine beyond it", port, h.at)
		x.Advice = "Check whether the target translates this port, as for a container's published port or a port forward. " +
			"Or whether its address is that of several machines."
	case h.confidence == Possible:
		x.Advice += " Or the router at that hop only gives its ICMP errors the target's address, and translates nothing."
	}
	if f.answer != nil {
		x.Evidence = append(x.Evidence, f.answerText(f.path))
	}
	f.orOwnNAT(&x)
	return []Finding{x}
}

// otherForwarded finds that the target hands another port on, that was asked to tell causes apart, where it answers
// this one itself.
func (f *facts) otherForwarded() []Finding {
	d := f.distance()
	if f.port == nil || d == 0 || f.stranger != nil || f.port.ownHop() != d {
		return nil
	}
	port := f.port.target.Port()
	return []Finding{{
		Code: Forwarded, Confidence: Likely, Weight: weightNotice, After: d, Before: d,
		Title: fmt.Sprintf("Port %d is handed on by the target, hop %d, to a machine beyond it; port %d is not", port, d,
			f.target.Port()),
		Evidence: []string{fmt.Sprintf("For port %d the target's own address says at hop %d that the TTL is over, as "+
			"a router does that sends packets on.", port, d)},
		Advice: fmt.Sprintf("Check whether port %d is to be handed on too: the target translates the other one, as a router "+
			"does with a port forward, and answers this one itself.", f.target.Port()),
	}}
}

// handover is where the port is handed on to another machine.
type handover struct {
	at         int // the hop
	confidence Confidence
	evidence   []string
	before     bool // a router in front of the target does it, in the target's name
	whole      bool // all probes go on from there, not only those to this port
	parts      bool // that other probes are answered from nearer is all that tells
}

// byTarget reports whether it is the target that hands the port on. It isn't where a hop may only have borrowed its
// address.
func (h *handover) byTarget() bool { return h != nil && !h.before && h.confidence >= Likely }

// findHandover finds the hop at which the target stands that hands the port on to a machine beyond it; nil: none does,
// as far as can be seen.
func (f *facts) findHandover() *handover {
	if f.options.Protocol != packet.ProtoTCP {
		return nil
	}
	if at := f.ownHop(); at > 0 {
		return f.speaksAsRouter(at)
	}
	return f.goesOn()
}

// ownHop is the first hop at which the target's own address says that the TTL is over, though probes go on beyond it;
// 0: none.
func (p *path) ownHop() int {
	for i := range p.hops {
		h := &p.hops[i]
		beyond := p.distance() > h.ttl || p.refusal != nil || p.answer == nil
		if p.only(h.ttl) == p.target.Addr() && beyond && len(h.sure) == 1 {
			return h.ttl
		}
	}
	return 0
}

// speaksAsRouter says what it means that the target's address says at a hop that a TTL is over: the target is there and
// sends on what it translates; or its address is translated there as a whole; or a router in front of it translates the
// port. ICMP echo tells these apart.
func (f *facts) speaksAsRouter(at int) *handover {
	h := &handover{at: at, confidence: Certain}
	h.evidence = []string{fmt.Sprintf("Hop %d is the target's own address: it says that the TTL is over, as a "+
		"router does that sends packets on.", at)}
	switch d, own := f.echo.distance(), f.echoesFrom(at); {
	case own == sameWay:
	case own == unknownWay && f.othersBetween(at):
		h.confidence = Possible
		h.evidence = append(h.evidence, "Routers beyond it speak in their own names, and nothing else was answered in "+
			"the target's name from there.")
	case own == unknownWay:
		h.confidence = Likely
	case f.echoPasses():
		h.confidence, h.before = Likely, true
		h.evidence = append(h.evidence, fmt.Sprintf("But for ICMP echo requests the target is hop %d, and another "+
			"router stands at a hop before it.", d))
	case f.othersBetween(at):
		h.confidence = Possible
		h.evidence = append(h.evidence, fmt.Sprintf("ICMP echo requests are answered from hop %d, and the routers "+
			"before it speak in their own names.", d))
	default:
		h.confidence, h.whole = Likely, d > f.echo.first()
		h.evidence = append(h.evidence, fmt.Sprintf("ICMP echo requests go on to hop %d as well: if the address is "+
			"translated, then as a whole.", d))
		if !h.whole { // by their TTL alone
			h.confidence = Possible
			h.evidence[len(h.evidence)-1] = fmt.Sprintf("By their TTL, answers to ICMP echo requests come from beyond hop "+
				"%d: a router there may translate this port alone, or the address as a whole.", at)
		}
	}
	return h
}

// echoesFrom reports whether who answers ICMP echo requests in the target's name is as far away as a hop (sameWay), or
// farther. Not all hops are asked by them: where the first that was asked is answered, the way back tells.
func (f *facts) echoesFrom(at int) way {
	switch d := f.echo.distance(); {
	case d == 0 || d < at:
		return unknownWay
	case d == at:
		return sameWay
	case d > f.echo.first():
		return otherWay
	}
	back := f.echo.back()
	e, known := f.excessBefore(at)
	switch {
	case back < 0:
	case known:
		return when(back == at-1+e, sameWay, otherWay)
	case f.distance() > at && f.back() >= 0:
		return when(back < f.back(), sameWay, otherWay)
	}
	return unknownWay
}

// echoPasses reports whether a router answers ICMP echo requests in its own name where the trace sees the target's.
func (f *facts) echoPasses() bool {
	return slices.ContainsFunc(f.hops, func(h hop) bool {
		other := f.echo.at(h.ttl)
		return f.only(h.ttl) == f.target.Addr() && other != nil && len(other.routers) > 0 &&
			!slices.Contains(other.routers, f.target.Addr())
	})
}

// othersBetween reports whether routers beyond a hop speak in their own names.
func (f *facts) othersBetween(ttl int) bool {
	return slices.ContainsFunc(f.hops, func(h hop) bool {
		return h.ttl > ttl && slices.ContainsFunc(h.routers, func(a netip.Addr) bool { return a != f.target.Addr() })
	})
}

// goesOn finds that the target answers other probes from a hop beyond which those of the trace go on.
func (f *facts) goesOn() *handover {
	target := f.target.Addr()
	if accept, _ := f.both(); accept != nil {
		return nil // something answers in its name, so that answers tell no distance
	}
	for _, w := range f.others() {
		d := w.distance()
		if d == 0 || w.answer.Reply.IP.TTL == 0 || w.path == f.flow {
			continue // another flow to the same port is translated alike
		}
		h := f.at(d)
		if h == nil || len(h.routers) != 1 || h.routers[0] == target || f.distance() != 0 && f.distance() <= d ||
			!f.cameBy(w.path, d-1, sameWay) || !f.backFits(w.path) {
			continue
		}
		return &handover{at: d, confidence: Possible, parts: true, evidence: []string{
			fmt.Sprintf("%s were answered by the target from hop %d, while %s to port %d go on from there: hop %d is %v "+
				"for them.",
				w.what, d, f.kind(), f.target.Port(), d, h.routers[0]),
			"Nothing says in the target's name that it sends packets on. So two machines may have the address, one of them " +
				"nearer (anycast), or the ways part there, or a device in front of the target answers the others.",
		}}
	}
	return nil
}

// backFits reports whether the way back of a trace's answer is as long as that from its distance, by what routers
// before it show.
func (f *facts) backFits(p *path) bool {
	e, known := f.excessBefore(p.distance())
	return !known || p.back() < 0 || p.back()-(p.distance()-1) == e
}

// excessBefore is by how much the way back is longer than the way out at the last hop before a distance that tells. It
// is known where the routers up to there agree, at two hops or at the first.
func (f *facts) excessBefore(distance int) (e int, known bool) {
	agree := 0
	for _, h := range slices.Backward(f.hops) {
		if h.ttl >= distance {
			continue
		}
		n, ok := h.excess()
		switch {
		case !ok:
			continue
		case agree > 0:
			return e, n == e
		}
		if e, agree = n, 1; h.ttl == 1 {
			return e, e == 0
		}
	}
	return e, false
}
