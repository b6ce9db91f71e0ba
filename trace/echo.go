package trace

import "go.example/tcptraceroute/packet"

// The matcher's part for echo requests. What authenticates an answer is the secret in their data; where a router quotes
// less, the checksum, which holds half of it, and the IP ID (IPv4) or the flow label (IPv6): the checksum alone would be too
// easy to guess. Which probe it is tells the ICMP sequence number, always.

// judgeEcho decides on an echo reply, which brings all data back.
func (m *matcher) judgeEcho(r *packet.Reply) match {
	verdict := Unrelated
	secret, whole := r.Echo.Secret()
	for _, fl := range m.ports[r.Echo.ID] {
		if fl.first.Protocol != packet.ProtoEcho || r.IP.Dst != fl.src.Addr() || r.IP.Src != fl.dst.Addr().WithZone("") {
			continue
		}
		f := m.flights[packet.Key{Port: r.Echo.ID, Seq: fl.first.Seq, Tag: uint32(r.Echo.Seq)}]
		if f == nil || !whole || secret != fl.first.Seq {
			verdict = NearMiss
			continue
		}
		return match{f.verdict(), f, ByTag}
	}
	return match{verdict: verdict}
}

// judgeQuotedEcho decides on an ICMP error that quotes an echo request.
func (m *matcher) judgeQuotedEcho(r *packet.Reply) match {
	verdict := Unrelated
	q := &r.Quote
	for _, fl := range m.ports[q.Echo.ID] {
		if fl.first.Protocol != packet.ProtoEcho || r.IP.Dst != fl.src.Addr() || !m.addressed(fl, q) {
			continue
		}
		f := m.flights[packet.Key{Port: q.Echo.ID, Seq: fl.first.Seq, Tag: uint32(q.Echo.Seq)}]
		if f == nil || !f.quotedBy(q) {
			verdict = NearMiss
			continue
		}
		if fl.ourselves(r) {
			return match{verdict: OwnAddress}
		}
		return match{f.verdict(), f, ByTag}
	}
	return match{verdict: verdict}
}

// quotedBy reports whether a quoted echo request proves that its sender has seen this one.
func (f *flight) quotedBy(q *packet.Quote) bool {
	if secret, ok := q.Echo.Secret(); ok {
		return secret == f.probe.Seq
	}
	tagged := q.IP.ID == f.probe.ID
	if q.IP.Version == 6 {
		tagged = q.IP.FlowLabel == f.probe.FlowLabel
	}
	return tagged && q.Echo.ChecksumField == packet.EchoChecksum(f.probe.Seq)
}
