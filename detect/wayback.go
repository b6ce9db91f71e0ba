package detect

import (
	"fmt"

	"go.example/tcptraceroute/packet"
)

const (
	// oddBack is by how many hops the way back must differ from the way out to be worth a word; routers' habits and
	// parallel links make for a few.
	oddBack = 4

	// backHops is how many hops in a row must agree for it to be likely, if the target is not among them.
	backHops = 3
)

// lostOnWayBack is that some connections vanish though all came to the last router before the target in the same way.
// No load balancer stands between that router and the target. So it may be the way back that has several members, one
// of them broken.
func (d *drop) lostOnWayBack(x *Finding) {
	x.Code, x.Confidence = WayBack, Possible
	x.Title = fmt.Sprintf("Some connections to port %d get no answer: the answers may be lost on the way back",
		d.target.Port())
	x.Evidence = append(x.Evidence, fmt.Sprintf(
		"Those that are answered and those that are not all came by %s, the last router before the target.",
		d.hopName(d.last)))
	x.Advice = fmt.Sprintf("Ask whoever runs the target for a trace back to this host: answers choose their way by the "+
		"ports too, and one way may be broken. Or of several machines with this address, or links to it, one is broken, "+
		"drops this port or filters by source port: ask %s. To see which ports are hit: --track-port.",
		d.owner(d.last, d.last))
}

// wayBack finds answers that come by a way much longer or shorter than the probe's, as their own TTL tells. That holds
// for the end of the path, not for single hops: an answer from inside of an MPLS tunnel goes to the tunnel's end first.
func wayBack(f *facts) []Finding {
	if d := f.distance(); d > 0 && d <= gatewayDistance || f.stranger != nil || f.cycle() > 0 || len(timeToLive(f)) > 0 {
		return nil
	}
	var last *hop
	start, agree, offset := 0, 0, 0
	for i := range f.hops {
		h := &f.hops[i]
		n, known := h.excess()
		switch {
		case !known:
			continue
		case n < oddBack && n > -oddBack:
			start, agree = 0, 0
		case start == 0 || (n > 0) != (offset > 0):
			start, agree = h.ttl, 1
		case n-offset > 1 || offset-n > 1:
			agree = 1 // it grows or shrinks: a tunnel, as above
		default:
			agree++
		}
		last, offset = h, n
	}
	if start == 0 || last == nil || last.ttl-1+offset > longestWay {
		return nil // no way is that long: these answers begin with an unusual TTL, or it is set on the way back
	}
	x := Finding{Code: AsymmetricReturn, Confidence: Possible, Weight: weightNotice, After: max(f.first()-1, start-1),
		Before: start}
	how := "longer"
	if offset < 0 {
		how = "shorter"
	}
	x.Title = fmt.Sprintf("The way back is about %d hops %s than the way out, from %s on", max(offset, -offset), how,
		f.hopName(start))
	x.Evidence = append(x.Evidence, fmt.Sprintf("By its TTL the answer from hop %d has passed %d routers; the "+
		"probe passed %d.", last.ttl, last.ttl-1+offset, last.ttl-1))
	x.Advice = "Trace from the other end too: times beyond that place, and faults seen there, may belong to the way back."
	if agree >= backHops || agree > 1 && last.ttl == f.distance() {
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, fmt.Sprintf("%d hops in a row agree.", agree))
	} else {
		x.Evidence = append(x.Evidence, "Few hops tell: they may give their answers an unusual TTL, or something "+
			"sets it on the way back, or they are inside a tunnel, from whose end answers turn back.")
	}
	return []Finding{x}
}

// excess is by how many routers the way back is longer than the way out; false where no answer tells, or they disagree.
func (h *hop) excess() (n int, known bool) {
	for r := range h.replies() {
		if r.Reply.IP.TTL == 0 || r.Reply.Extensions.Len() > 0 || r.Reply.Kind == packet.KindEcho || r.Refused() {
			return 0, false // a refusal may come from a router farther ahead than the probe's TTL says
		}
		m := backLength(r.Reply.IP.TTL) - (h.ttl - 1)
		if known && m != n {
			return 0, false
		}
		n, known = m, true
	}
	return n, known
}
