package detect

import (
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// nat finds where addresses and ports are translated, where the quotes show it: most translators put the old ones back
// into the ICMP errors that pass them.
func nat(f *facts) []Finding {
	destination := f.translated(packet.FieldDestination, packet.FieldDestinationPort)
	source := f.translated(packet.FieldSource, packet.FieldSourcePort)
	all := append(f.translation(destination, DNAT, "destination"), f.translation(source, SNAT, "source")...)
	if destination != nil && source != nil && source.before == destination.before && source.after == destination.after {
		// A NAT puts back only what it knows. Who translates the source knows the destination as it is quoted: it was
		// translated there, or nearer. The other way round no answer would have come home.
		all[0].Confidence = min(all[0].Confidence, Likely)
		all[0].Evidence = append(all[0].Evidence, "The source is translated there too. So the destination may have been "+
			"translated nearer, by a NAT that puts it back into what hops before that say.")
	}
	return all
}

// translated is where an end of the connection is translated; nil: nowhere, as far as quotes show.
func (f *facts) translated(addr, port packet.Field) *rewrite {
	w := f.rewritten(addr, func(c packet.Change) bool { return c.Field == addr })
	if p := f.rewritten(port, func(c packet.Change) bool { return c.Field == port }); w == nil ||
		p != nil && p.before < w.before {
		w = p
	}
	return w
}

func (f *facts) translation(w *rewrite, code Code, end string) []Finding {
	if w == nil {
		return nil
	}
	q := &w.result.Reply.Quote
	was, is := f.ends(w.result.Probe, q, end == "destination")
	x := f.rewriteFinding(w, code, weightNotice, fmt.Sprintf("The %s is translated from %v to %v", end, was, is))
	if end == "destination" {
		x.Advice = fmt.Sprintf("Nothing to do if the connection is meant to go to %v. Else ask %s.", is,
			f.owner(w.after, w.before))
	} else {
		x.Advice = fmt.Sprintf("Check the rules of firewalls beyond it: they see connections from %v, and must allow "+
			"that address.", is.Addr())
	}
	return []Finding{x}
}

// ends are an end of the connection as it was sent and as it was quoted.
func (f *facts) ends(p packet.Probe, q *packet.Quote, destination bool) (was, is netip.AddrPort) {
	bare := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()) }
	if destination {
		was, is = bare(p.Dst), netip.AddrPortFrom(q.IP.Dst, q.TCP.DstPort)
		if q.TCP.Have < 4 {
			is = netip.AddrPortFrom(q.IP.Dst, was.Port())
		}
		return was, is
	}
	was, is = bare(p.Src), netip.AddrPortFrom(q.IP.Src, q.TCP.SrcPort)
	if q.TCP.Have < 2 {
		is = netip.AddrPortFrom(q.IP.Src, was.Port())
	}
	return was, is
}
