package trace

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// judgeICMP decides on an ICMP error by the packet it quotes. Its sequence number has to be the flow's, and its tag
// names the probe. The IPv6 flow label proves nothing and refuses nothing: a NAT64 sets it to 0 (RFC 7915 5.1), and
// whoever has guessed the sequence number would need the tag too, which has more bits.
func (m *matcher) judgeICMP(r *packet.Reply, at time.Time) match {
	q := &r.Quote
	switch {
	case q.IP.Protocol != protocolTCP:
		return match{verdict: Unrelated}
	case !q.TCP.HasSeq():
		return m.judgeShortQuote(r)
	}
	fl := m.bySeq[flowID{q.TCP.SrcPort, q.TCP.Seq}]
	if fl == nil || !fl.quotes(r) {
		return m.judgeOtherSeq(r, at)
	}
	if fl.ourselves(r) {
		return match{verdict: OwnAddress}
	}
	f := m.tagged(fl, q)
	if f != nil && fl.named(f) && !fl.sumOfAnother(f, q) {
		return match{f.verdict(), f, ByTag}
	}
	only, several := fl.unanswered(at)
	switch {
	case only == nil:
		return match{TagRewritten, fl.newest(at, anyFlight), ByFlow}
	case !fl.alone || several || only.shared || f != nil: // a tag that was rewritten may be that of a probe before
		return match{TagRewritten, only, ByFlow}
	}
	return fl.bySender(only, r, at)
}

// judgeShortQuote decides on an ICMP error that quotes less of a segment than its first 8 bytes (RFC 792), so that
// nothing proves that its sender has seen a probe. If the ports are those of a flow, it is said why a hop is silent.
func (m *matcher) judgeShortQuote(r *packet.Reply) match {
	q := &r.Quote
	local, remote := netip.AddrPortFrom(r.IP.Dst, q.TCP.SrcPort), netip.AddrPortFrom(q.IP.Dst, q.TCP.DstPort)
	ours := func(fl *flow) bool { return fl.quotes(r) && !fl.ourselves(r) }
	if r.Checksum == packet.CheckBad || !slices.ContainsFunc(m.between(packet.ProtoTCP, local, remote), ours) {
		return match{verdict: Unrelated}
	}
	return match{verdict: ShortQuote}
}

// bySender judges an ICMP error that names no probe, where one is in flight. It may be the late answer to one that was
// given up, for another hop. Then who sent it tells: a router that has answered for one of these hops before, and not
// for the other.
func (fl *flow) bySender(only *flight, r *packet.Reply, at time.Time) match {
	horizon := max(fl.wait, DefaultWait)
	late := func(f *flight) bool {
		return f.outcome != Pending && f.recv.IsZero() && f.probe.TTL != only.probe.TTL && at.Sub(f.sent) < horizon
	}
	here := slices.Contains(fl.senders, senderOf(only, r))
	there := fl.newest(at, func(f *flight) bool { return late(f) && slices.Contains(fl.senders, senderOf(f, r)) })
	switch {
	case here && there == nil, fl.newest(at, late) == nil:
		return match{Believed, only, ByFlow}
	case !here && there != nil:
		return match{IsLate, there, ByFlow}
	}
	return match{TagRewritten, only, ByFlow}
}

// sender is who has answered for a hop, and how.
type sender struct {
	ttl  uint8
	kind packet.Kind
	from netip.Addr
}

func senderOf(f *flight, r *packet.Reply) sender { return sender{f.probe.TTL, r.Kind, r.IP.Src} }

// mostSenders are remembered of a flow.
const mostSenders = 512

// judgeOtherSeq decides on an ICMP error that quotes no flow's sequence number.
func (m *matcher) judgeOtherSeq(r *packet.Reply, at time.Time) match {
	q := &r.Quote
	verdict := Unrelated
	local, remote := netip.AddrPortFrom(r.IP.Dst, q.TCP.SrcPort), netip.AddrPortFrom(q.IP.Dst, q.TCP.DstPort)
	for _, fl := range m.near(packet.ProtoTCP, local, remote) {
		if !fl.quotes(r) {
			continue
		}
		verdict = NearMiss
		if !m.loose {
			break
		}
		f := m.tagged(fl, q)
		if f == nil || fl.trust&TrustLoose == 0 {
			continue
		}
		if !fl.alone {
			return match{TagRewritten, f, Unverified}
		}
		if only, several := fl.candidates(at, anyFlight); only == f && !several {
			return match{Believed, f, Unverified}
		}
	}
	return match{verdict: verdict}
}

// quotes reports whether an ICMP error quotes addresses and ports that can be those of the flow.
func (fl *flow) quotes(r *packet.Reply) bool {
	q := &r.Quote
	echo := fl.first.Protocol == packet.ProtoEcho
	return echo == q.Echo.HasID() && r.IP.Dst == fl.src.Addr() && q.IP.Version == r.IP.Version && fl.addressed(q)
}

// tagged returns the flow's probe that the quoted tag names; nil if there is none.
func (m *matcher) tagged(fl *flow, q *packet.Quote) *flight {
	if !q.HasKey() {
		return nil
	}
	return m.flights[packet.Key{Port: q.TCP.SrcPort, Seq: fl.first.Seq, Tag: q.Key().Tag}]
}

// named reports whether a probe is believed to be the one that an ICMP error names by its tag. Where the network writes
// tags of its own, one may be another probe's by chance: with 48 probes in flight, one answer in a thousand shows a
// wrong hop.
func (fl *flow) named(f *flight) bool {
	if f.outcome == Pending && fl.alone {
		return true
	}
	return fl.scrubbed == 0 || f.outcome == Pending && fl.scrubbed < rewriteProof
}

// sumOfAnother reports whether a quoted packet has the tag of one probe and the TCP checksum of another one, that
// nobody answered so far. Then the tag was damaged in the quote: whoever rewrites it on the way brings the checksum up
// to date.
func (fl *flow) sumOfAnother(f *flight, q *packet.Quote) bool {
	if _, _, sum := q.Checksum(f.probe); sum != packet.SumNeither {
		return false
	}
	return slices.ContainsFunc(fl.flights, func(g *flight) bool {
		if g == f || !g.recv.IsZero() {
			return false
		}
		_, _, sum := q.Checksum(g.probe)
		return sum == packet.SumSent
	})
}

// addressed reports whether the quoted packet's addresses and ports can be those of the flow. NAT on the way may have
// rewritten the destination, and a cloud's gateway leaves its public address as the source; the source port is what the
// flow was found by.
func (fl *flow) addressed(q *packet.Quote) bool {
	if fl.trust&TrustStrict == 0 {
		return true
	}
	return q.IP.Dst == fl.dst.Addr().WithZone("") && (q.TCP.DstPort == fl.dst.Port() || q.Echo.HasID()) &&
		q.IP.Src == fl.src.Addr()
}
