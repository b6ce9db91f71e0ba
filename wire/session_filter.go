package wire

import (
	"net/netip"
	"sync/atomic"

	"go.example/tcptraceroute/packet"
)

// SessionFilter decides which packets for a session's port may answer a probe. Everything else that the target sends
// is the business of the kernel that holds the connection: data, the FIN, keepalives. One goroutine calls Sent,
// another Judge.
type SessionFilter struct {
	source, target netip.AddrPort
	next, ack      uint32
	theirs         uint32        // the sequence number that the target sends next
	names          bool          // the target names what was repeated (RFC 2883)
	closed         bool          // the target has sent its FIN
	last           atomic.Uint32 // the sequence number of the last probe
}

// NewSessionFilter returns the filter of a connection on which nothing was sent yet. next and ack are those of
// [SessionState].
func NewSessionFilter(source, target netip.AddrPort, next, ack uint32) *SessionFilter {
	target = netip.AddrPortFrom(target.Addr().WithZone(""), target.Port())
	return &SessionFilter{source: source, target: target, next: next, ack: ack, theirs: ack}
}

// SessionVerdict is what a SessionFilter decides on a packet.
type SessionVerdict uint8

const (
	SessionAnswer SessionVerdict = iota // it may answer a probe
	SessionOwn                          // the target sent it of its own accord
	SessionReset                        // it resets the connection, or says that there is none
)

// Sent takes note of the probe that was sent last.
func (f *SessionFilter) Sent(p packet.Probe) { f.last.Store(p.Seq) }

// Closed reports whether the target has closed its side.
func (f *SessionFilter) Closed() bool { return f.closed }

// Ours reports whether r is a segment of the connection from the target.
func (f *SessionFilter) Ours(r *packet.Reply) bool {
	return r.Kind == packet.KindTCP && r.From() == f.target.Addr() && r.TCP.SrcPort == f.target.Port() &&
		r.TCP.DstPort == f.source.Port()
}

// Judge decides on a packet. Of the target's segments only a duplicate ACK answers a probe. A target that names what
// was repeated must name what was sent last, as long as it holds its side of the connection: from its FIN on, Linux
// answers by plain ACKs.
//
// A reset answers nothing, for it may have been sent of the target's own accord, while probes to nearer hops are on
// their way.
func (f *SessionFilter) Judge(b []byte) SessionVerdict {
	var r packet.Reply
	if packet.Parse(b, &r) != nil || !f.Ours(&r) || r.Checksum == packet.CheckBad || r.IP.Checksum == packet.CheckBad {
		return SessionAnswer // or it is none, and others count it
	}
	t := &r.TCP
	if t.Flags.Has(packet.RST) {
		if t.Seq == f.ack || t.Seq == f.theirs {
			return SessionReset
		}
		return SessionAnswer // forged: a near miss
	}
	f.follow(t)
	if t.Flags&(packet.SYN|packet.FIN|packet.ACK) != packet.ACK || len(t.Payload) > 0 || t.Ack != f.next {
		return SessionOwn
	}
	blocks, n, _ := t.Options.SACK()
	if n == 0 {
		if f.names && !f.closed || t.Seq+1 == f.theirs { // the latter is a keepalive (RFC 9293 3.8.4)
			return SessionOwn
		}
		return SessionAnswer
	}
	if blocks[0].Right != f.next || blocks[0].Left != f.last.Load() {
		return SessionOwn
	}
	f.names = true
	return SessionAnswer
}

// follow takes note of what a segment uses up of the target's sequence numbers.
func (f *SessionFilter) follow(t *packet.TCP) {
	fin := t.Flags.Has(packet.FIN)
	f.closed = f.closed || fin
	if t.Seq != f.theirs || t.Flags.Has(packet.SYN) {
		return
	}
	f.theirs += uint32(len(t.Payload))
	if fin {
		f.theirs++
	}
}
