package trace

import (
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// The matcher's part for echo requests. What authenticates an answer is the secret in their data; where a router quotes
// less, the checksum, which holds half of it, and the IP ID (IPv4) or the flow label (IPv6): the checksum alone would
// be too easy to guess. Which probe it is tells the ICMP sequence number, always.

// judgeEcho decides on an echo reply, which brings all data back.
func (m *matcher) judgeEcho(r *packet.Reply) match {
	local, remote := netip.AddrPortFrom(r.IP.Dst, r.Echo.ID), netip.AddrPortFrom(r.IP.Src, 0)
	flows := m.between(packet.ProtoEcho, local, remote)
	if len(flows) == 0 {
		return match{verdict: Unrelated}
	}
	secret, whole := r.Echo.Secret()
	fl := m.bySeq[flowID{r.Echo.ID, secret}]
	if !whole || fl == nil || fl.ends() != flows[0].ends() {
		return match{verdict: NearMiss}
	}
	f := m.flights[packet.Key{Port: r.Echo.ID, Seq: fl.first.Seq, Tag: uint32(r.Echo.Seq)}]
	if f == nil {
		return match{verdict: NearMiss}
	}
	return match{f.verdict(), f, ByTag}
}

// judgeQuotedEcho decides on an ICMP error that quotes an echo request.
func (m *matcher) judgeQuotedEcho(r *packet.Reply) match {
	q := &r.Quote
	for _, fl := range m.echoFlows(&q.Echo) {
		f := m.flights[packet.Key{Port: q.Echo.ID, Seq: fl.first.Seq, Tag: uint32(q.Echo.Seq)}]
		if !fl.quotes(r) || f == nil || !f.quotedBy(q) {
			continue
		}
		if fl.ourselves(r) {
			return match{verdict: OwnAddress}
		}
		return match{f.verdict(), f, ByTag}
	}
	local, remote := netip.AddrPortFrom(r.IP.Dst, q.Echo.ID), netip.AddrPortFrom(q.IP.Dst, 0)
	for _, fl := range m.near(packet.ProtoEcho, local, remote) {
		if fl.quotes(r) {
			return match{verdict: NearMiss}
		}
	}
	return match{verdict: Unrelated}
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
