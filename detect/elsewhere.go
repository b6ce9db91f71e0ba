package detect

import (
	"fmt"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// elsewhere finds answers that have the number of a SYN, but come from another address or port than the SYN was sent
// to. No host takes them for an answer, so no connection comes of them. Only who has seen the SYN knows its number, so
// they are the target's, or those of a machine that the target's address is translated to.
func elsewhere(f *facts) []Finding {
	r := f.answerElsewhere()
	if r == nil {
		return nil
	}
	port, from := f.target.Port(), netip.AddrPortFrom(r.Reply.IP.Src, r.Reply.TCP.SrcPort)
	x := Finding{Code: AnsweredFromElsewhere, Confidence: Certain, Weight: weightFatal}
	x.After = max(f.lastRouter(), f.first()-1)
	x.Before = max(x.After+1, f.farthest())
	where := from.Addr().String()
	switch {
	case from.Addr() == f.target.Addr():
		where = fmt.Sprintf("port %d", from.Port())
	case from.Port() != port:
		where = from.String()
	}
	x.Title = fmt.Sprintf("Port %d is answered from %s, which nobody asked: connections can't open", port, where)
	x.Evidence = append(x.Evidence, fmt.Sprintf("%v with the number of our SYN to %v came from %v, with a TTL of %d.",
		r.Reply.TCP.Flags, f.target, from, r.Reply.IP.TTL))
	if f.answer != nil {
		x.Title = fmt.Sprintf("Some answers to port %d come from %s, which nobody asked: such connections can't "+
			"open", port, where)
		x.Weight = weightTrap
		x.Evidence = append(x.Evidence, f.answerText(f.path))
	}
	for _, w := range f.others() {
		if w.answer != nil && w.path != f.flow && w.path != f.loose {
			x.Evidence = append(x.Evidence, fmt.Sprintf("For %s: %s", w.what, f.answerText(w.path)))
		}
	}
	x.Advice = fmt.Sprintf("Check the server that has %v: with direct server return it has to answer from %v; if a NAT "+
		"or a load balancer translates for it, its way back has to lead through that.",
		from.Addr(), f.target.Addr())
	if from.Addr() == f.target.Addr() {
		x.Advice = fmt.Sprintf("Look at the rules of the NAT, port forward or load balancer that translates port %d to "+
			"%d, on %v or in front of it, and whether the way back leads through it. The address is right, the port is not.",
			port, from.Port(), from.Addr())
	}
	return []Finding{x}
}

// answerElsewhere is the first answer from elsewhere to a SYN to the port in question; nil: there is none. Who answers
// from where this host's own NAT sends the SYNs has been asked: that NAT takes its translation back.
func (f *facts) answerElsewhere() *trace.Result {
	for _, p := range append([]*path{f.path}, f.more...) {
		if p.target.Port() != f.target.Port() || p.options.Protocol != packet.ProtoTCP || !p.asks() {
			continue
		}
		if i := slices.IndexFunc(p.elsewhere, func(r trace.Result) bool {
			return r.Reply.IP.TTL != 0 && !f.sentTo(netip.AddrPortFrom(r.Reply.IP.Src, r.Reply.TCP.SrcPort))
		}); i >= 0 {
			return &p.elsewhere[i]
		}
	}
	return nil
}

// sentTo reports whether this host itself has sent probes or connections to an address and port in the target's place.
func (f *facts) sentTo(to netip.AddrPort) bool {
	if f.host.Host == nil {
		return false
	}
	return f.host.Probes != nil && f.host.Probes.Dst == to || slices.ContainsFunc(f.host.Controls, func(c Control) bool {
		return c.Left != nil && c.Left.Dst == to
	})
}
