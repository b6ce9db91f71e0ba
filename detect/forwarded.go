package detect

import (
	"fmt"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
)

// forwarded finds that the target's address is translated for this port: what answers, or doesn't, is a machine behind it. A
// container's published port is one, a port forward, a load balancer's address.
func forwarded(f *facts) []Finding {
	at, why := f.forwardedAt, f.forwardedWhy
	if at == 0 {
		return nil
	}
	port := f.target.Port()
	x := Finding{Code: Forwarded, Confidence: Certain, Weight: weightNotice, After: at, Before: at, Evidence: []string{why}}
	x.Title = fmt.Sprintf("Port %d is handed on by the target, hop %d, to a machine behind it", port, at)
	x.Advice = "The target translates this port: a container's published port, a port forward or a load balancer's address. Look at the machine behind it too."
	if f.answer != nil {
		x.Evidence = append(x.Evidence, f.answerText(f.path))
	}
	return []Finding{x}
}

// findForwards finds the hop at which the target stands that hands the port on to a machine beyond it, and how that is known; 0: none
// does, as far as can be seen.
func (f *facts) findForwards() (at int, why string) {
	if f.options.Protocol != packet.ProtoTCP {
		return 0, ""
	}
	target := f.target.Addr()
	for i := range f.hops {
		h := &f.hops[i]
		beyond := f.distance() > h.ttl || f.refusal != nil || f.answer == nil
		if len(h.routers) == 1 && h.routers[0] == target && beyond && len(h.sure) == 1 {
			return h.ttl, fmt.Sprintf("Hop %d is the target's own address: it says that the TTL is over, as a router does that sends packets on.", h.ttl)
		}
	}
	for _, w := range f.others() {
		d := w.distance()
		if d == 0 || w.answer.Reply.IP.TTL == 0 {
			continue
		}
		h := f.at(d)
		if h == nil || len(h.routers) != 1 || h.routers[0] == target || f.distance() != 0 && f.distance() <= d || !f.sameRouter(w.path, d-1) || !f.backFits(w.path) {
			continue
		}
		return d, fmt.Sprintf("%s were answered by the target from hop %d, while %s to port %d go on from there: hop %d is %v for them.",
			w.what, d, f.kind(), f.target.Port(), d, h.routers[0])
	}
	return 0, ""
}

// sameRouter reports whether both traces are known to have come to a hop by the same router.
func (f *facts) sameRouter(p *path, ttl int) bool {
	if ttl < f.first() {
		return true // this host
	}
	a := f.only(ttl)
	return a.IsValid() && a == p.onlyRouter(ttl)
}

// otherRouter reports whether two traces are known to have come to a hop by different routers.
func (f *facts) otherRouter(p *path, ttl int) bool {
	a, b := f.at(ttl), p.at(ttl)
	if a == nil || b == nil || len(a.routers) == 0 || len(b.routers) == 0 {
		return false
	}
	return !slices.ContainsFunc(b.routers, func(r netip.Addr) bool { return slices.Contains(a.routers, r) })
}

// backFits reports whether the way back of a trace's answer is as long as that from its distance, by what routers before it show.
func (f *facts) backFits(p *path) bool {
	e, known := f.excessBefore(p.distance())
	return !known || p.back() < 0 || p.back()-(p.distance()-1) == e
}

// excessBefore is by how much the way back is longer than the way out at the last hop before a distance that tells. It is
// known where the routers up to there agree, at two hops or at the first.
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
