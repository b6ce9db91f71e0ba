package trace

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// Three kinds of TCP segments come because of our probes and answer none of them as they should: an answer with our
// number from another address than the probe went to, an answer of the target for an older connection with the same
// addresses and ports, and one that acknowledges nothing.

// elsewhere reports whether a segment answers a probe of the flow, by its number, from another address or port than the
// probe was sent to: a server behind a broken NAT or load balancer answers by its own address. No connection comes of
// that.
func (fl *flow) elsewhere(r *packet.Reply) bool {
	from := netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort)
	return from != netip.AddrPortFrom(fl.dst.Addr().WithZone(""), fl.dst.Port()) && r.IP.Src != fl.src.Addr() &&
		fl.acknowledges(&r.TCP)
}

// newestElsewhere is the probe that an answer from elsewhere is shown with: the one whose timestamp it brings back, or
// else the newest that may have got there.
func (fl *flow) newestElsewhere(r *packet.Reply, at time.Time) match {
	if _, ecr, ok := r.TCP.Options.Timestamps(); ok && ecr != 0 {
		if f := fl.byTimestamp(ecr); f != nil {
			return match{FromElsewhere, f, ByTag}
		}
	}
	return match{FromElsewhere, fl.newest(at, fl.beyond), ByFlow}
}

// older is what the target last said of another connection that it has with the flow's addresses and ports. It answers
// each SYN with an ACK that has the numbers of that connection (RFC 5961 4.2), and so nothing that only the target can
// know. It is believed when the same numbers come again after another SYN, as long as the target has not answered by
// the flow's own number: whoever can't see the probes would have to know when they are sent.
type older struct {
	seq, ack uint32
	ttl      uint8 // of the IP header
	at       time.Time
	proven   bool
}

// mayBeOlder reports whether a segment may be an answer for an older connection.
func (fl *flow) mayBeOlder(r *packet.Reply) bool {
	return opens(fl.first.Flags) && len(fl.opened) == 0 && bareACK(r.TCP.Flags) && len(r.TCP.Payload) == 0
}

// opens reports whether a segment asks for a connection: a SYN alone.
func opens(f packet.Flags) bool { return f&(packet.SYN|packet.ACK) == packet.SYN }

// bareACK reports whether a segment neither opens nor ends a connection.
func bareACK(f packet.Flags) bool {
	return f&(packet.SYN|packet.ACK|packet.RST|packet.FIN) == packet.ACK
}

// olderTime is how long after the first such answer the next one is believed: most targets have answered by the flow's
// own number by then if they do, and Linux answers so once in 500 ms.
const olderTime = 400 * time.Millisecond

// isOlder reports whether a segment is an answer for an older connection that is believed.
func (fl *flow) isOlder(r *packet.Reply, at time.Time) bool {
	o := &fl.older
	if o.at.IsZero() || !fl.mayBeOlder(r) || r.TCP.Seq != o.seq || r.TCP.Ack != o.ack || r.IP.TTL != o.ttl ||
		at.Sub(o.at) < olderTime {
		return false
	}
	f := fl.newest(at, fl.beyond)
	return f != nil && f.sent.After(o.at)
}

// forOlder reports whether a result is the target's answer for an older connection. Linux sends one each 500 ms.
func forOlder(r Result) bool {
	return r.FromTarget() && bareACK(r.Reply.TCP.Flags) && opens(r.Probe.Flags)
}

// olderFits makes an answer for an older connection one that fits several probes, unless it can only be this one's: so
// few of them are answered that it may be that of any that was sent lately, also of those that were given up. It may be
// anyone's where it is the first that is believed, for others may have come before, and where answers take about as
// long as the pause between two of them.
func (fl *flow) olderFits(got match, at time.Time) match {
	if got.verdict != Believed {
		return got
	}
	horizon := hauntFactor*max(fl.worst, fl.far) + hauntSlack
	other := fl.newest(at, func(g *flight) bool {
		return g.probe.TTL != got.flight.probe.TTL && g.recv.IsZero() && fl.beyond(g) && at.Sub(g.sent) < horizon
	})
	if !fl.older.proven || other != nil || max(fl.worst, fl.far) > olderTime*3/4 {
		got.verdict = IsShared
	}
	return got
}

// bare is what a target has sent that acknowledges nothing. Some answer a SYN by a reset without ACK, which no
// connection heeds, others by a SYN of their own (RFC 9293 3.5: both open at once). Neither has a number of ours, so
// it is not known to be an answer. It is believed when the target goes on for some time, says nothing else, and says
// this no more often than it was asked: whoever can't see the probes would have to guess their ports, and their number.
type bare struct {
	flags  packet.Flags
	ttl    uint8 // of the IP header
	first  time.Time
	n      int  // how many came
	sent   int  // how many probes were sent to the target
	proven bool // the target has acknowledged a probe
}

// bareTime is how long after the first such segment others are believed. The target's own answer, beside that of a
// device on the way, would be here.
const bareTime = 400 * time.Millisecond

// acknowledgesNothing reports whether a segment without ACK came where a SYN asks for one: a reset, or another SYN.
func acknowledgesNothing(sent, got packet.Flags) bool {
	return opens(sent) && !got.Has(packet.ACK) && got&(packet.SYN|packet.RST) != 0
}

// believesBare reports whether a segment that acknowledges nothing is believed to be an answer to a probe of the flow.
func (fl *flow) believesBare(r *packet.Reply, at time.Time) bool {
	b := &fl.bare
	return acknowledgesNothing(fl.first.Flags, r.TCP.Flags) && !b.proven && !b.first.IsZero() &&
		r.TCP.Flags == b.flags && r.IP.TTL == b.ttl && at.Sub(b.first) >= bareTime && b.n <= b.sent
}

// heardBare counts a segment that acknowledges nothing.
func (fl *flow) heardBare(r *packet.Reply, at time.Time) {
	b := &fl.bare
	if r.Kind != packet.KindTCP || !acknowledgesNothing(fl.first.Flags, r.TCP.Flags) {
		return
	}
	if b.n++; b.first.IsZero() || r.TCP.Flags != b.flags || r.IP.TTL != b.ttl {
		b.flags, b.ttl, b.first = r.TCP.Flags, r.IP.TTL, at
	}
}

// Proven reports whether the answer shows that its sender has seen the probe, or another one of its flow.
func (r Result) Proven() bool {
	return r.Evidence != Unverified && !r.Bare()
}

// Bare reports whether the target's answer to a SYN acknowledges nothing: no connection heeds it, so that it says
// nothing of the port.
func (r Result) Bare() bool {
	return r.FromTarget() && r.Reply.Kind == packet.KindTCP && acknowledgesNothing(r.Probe.Flags, r.Reply.TCP.Flags)
}

// remember remembers a segment that has a flow's ports, but not its number.
func (m *matcher) remember(r *packet.Reply, at time.Time) {
	if r.Kind != packet.KindTCP || r.Checksum == packet.CheckBad || r.IP.Checksum == packet.CheckBad {
		return
	}
	local, remote := netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort), netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort)
	for _, fl := range m.between(packet.ProtoTCP, local, remote) {
		fl.heardBare(r, at)
		if o := &fl.older; fl.mayBeOlder(r) && (r.TCP.Seq != o.seq || r.TCP.Ack != o.ack || r.IP.TTL != o.ttl) {
			*o = older{seq: r.TCP.Seq, ack: r.TCP.Ack, ttl: r.IP.TTL, at: at}
		}
	}
}
