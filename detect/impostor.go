package detect

import (
	"fmt"

	"tcptraceroute/packet"
)

// impostor finds answers in the target's name that come from something in front of it: firewalls that reset, SYN proxies
// and gateways that end TCP.
func impostor(f *facts) []Finding {
	d := f.impostorDistance()
	switch {
	case f.gatewayEnds():
		return nil
	case d == 0 && f.neighbourResets():
		return []Finding{f.neighbour()}
	case d == 0:
		return injected(f)
	}
	after := max(d-1, f.first()-1)
	x := Finding{After: after, Before: d, Confidence: Likely, Weight: weightFatal}
	port, place := f.target.Port(), f.between(after, d)
	x.Evidence = append(x.Evidence, f.answerText(f.path))
	for _, w := range f.others() {
		if w.distance() > d {
			x.Evidence = append(x.Evidence, fmt.Sprintf("But for %s: %s", w.what, f.answerText(w.path)))
			if h := w.at(d); h != nil && len(h.routers) > 0 {
				x.Evidence = append(x.Evidence, fmt.Sprintf("For %s hop %d is the router %v.", w.what, d, h.routers[0]))
				x.Confidence = Certain
			}
			break
		}
	}
	if d < f.farthest() && f.answer.Reply.TCP.Flags.Has(packet.RST) {
		x.Code = ResetOnPath
		x.Title = fmt.Sprintf("Port %d is reset by something in front of the target, %s", port, place)
		x.Advice = fmt.Sprintf("The target has probably not seen the SYN. A firewall answers in its name: ask %s.", f.owner(after, d))
		return []Finding{x}
	}
	x.Code = TCPProxy
	x.Title = fmt.Sprintf("Port %d is answered by a TCP proxy in front of the target, %s", port, place)
	x.Advice = "A SYN proxy, a load balancer or a transparent proxy accepts the connection in the target's name. That it is accepted doesn't mean that the target is up, or that the port is open there."
	if d <= gatewayDistance {
		x.Advice += " So near to this host it may be the gateway of a container or a virtual machine, or a security program."
	}
	x.Weight = weightTrap
	return []Finding{x}
}

// impostorDistance is the hop at which something else answers in the target's name; 0: nothing does, as far as can be
// seen. The target answers probes of another kind from farther away. Ways that differ in length explain that too, but the
// target's answers then come with one TTL; where the TTL is not known, a router must be seen at that hop.
func (f *facts) impostorDistance() int {
	d := f.distance()
	if d == 0 || f.answer.Reply.Kind != packet.KindTCP {
		return 0
	}
	for _, w := range f.others() {
		if w.distance() <= d {
			continue
		}
		if a, b := w.answer.Reply.IP.TTL, f.answer.Reply.IP.TTL; a != 0 && b != 0 {
			if a != b {
				return d
			}
		} else if h := w.at(d); h != nil && len(h.routers) > 0 {
			return d
		}
	}
	return 0
}

// neighbourResets reports whether a reset seems to be that of something right in front of the target, at the same
// distance: it has come another way than the target's answers to two other kinds of probes, which agree.
func (f *facts) neighbourResets() bool {
	return f.distance() > 0 && f.answer.Reply.TCP.Flags.Has(packet.RST) && f.port.distance() == f.distance() && f.echo.distance() == f.distance() &&
		f.port.back() == f.echo.back() && f.port.back() != f.back() && f.port.back() >= 0 && f.back() >= 0
}

func (f *facts) neighbour() Finding {
	d := f.distance()
	after := max(d-1, f.first()-1)
	return Finding{
		Code: ResetOnPath, Confidence: Likely, Weight: weightFatal, After: after, Before: d,
		Title: fmt.Sprintf("Port %d is reset by something right in front of the target, %s", f.target.Port(), f.between(after, d)),
		Evidence: []string{
			f.answerText(f.path),
			fmt.Sprintf("For %s to port %d: %s", f.kind(), f.port.target.Port(), f.answerText(f.port)),
			fmt.Sprintf("For ICMP echo requests: %s", f.answerText(f.echo)),
			"These two agree, and the reset has come another way.",
		},
		Advice: fmt.Sprintf("A firewall answers in the target's name: ask %s. (Or the target has a firewall of its own that gives its resets another TTL.)", f.owner(after, d)),
	}
}

// injected finds a reset that comes in addition to the target's own SYN+ACK.
func injected(f *facts) []Finding {
	d := f.distance()
	if d == 0 || !f.answer.Reply.TCP.Flags.Has(packet.SYN|packet.ACK) {
		return nil
	}
	for _, h := range f.hops {
		for _, r := range h.extra {
			if r.FromTarget() && r.Reply.Kind == packet.KindTCP && r.Reply.TCP.Flags.Has(packet.RST) && r.Reply.IP.TTL != f.answer.Reply.IP.TTL {
				return []Finding{{
					Code: ResetOnPath, Confidence: Likely, Weight: weightFatal, After: f.first() - 1, Before: d,
					Title: fmt.Sprintf("Somebody on the path resets connections to port %d that the target accepts", f.target.Port()),
					Evidence: []string{
						f.answerText(f.path),
						fmt.Sprintf("A reset came too, with a TTL of %d: not from the same machine.", r.Reply.IP.TTL),
					},
					Advice: "Something that watches the traffic sends resets in the target's name. The difference of the TTLs hints at how far away it is.",
				}}
			}
		}
	}
	return nil
}
