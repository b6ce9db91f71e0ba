package packet

import "net/netip"

// Probe is everything that determines the bytes of one packet that we send. It
// is comparable.
//
// An echo request has its flow's name in the same fields as a TCP segment: its
// identifier is the source port, and Seq is the secret in its data, of which its
// checksum is made. It has no destination port, Ack, Flags, Window and Options.
type Probe struct {
	Protocol Protocol
	// Of one family, and never IPv4-mapped. A zone (link-local) is for the socket;
	// it never gets on the wire.
	Src, Dst     netip.AddrPort
	TTL          uint8  // IPv6: hop limit
	TOS          uint8  // IPv6: traffic class
	ID           uint16 // IPv4 identification; not in IPv6
	FlowLabel    uint32 // IPv6, 20 bits; not in IPv4
	DontFragment bool   // IPv4; not in IPv6
	Seq, Ack     uint32
	EchoSeq      uint16 // ICMP sequence number of an echo request
	Flags        Flags
	Window       uint16
	Options      Options // padded to 32 bits with zeros by the encoder
	// Length of the whole packet in bytes, IP header included; the rest is
	// printable payload. Less than HeaderLength, 0 too: just the headers.
	Length uint16
}

// Key is what comes back in an answer and names the probe.
type Key struct {
	Port uint16 // source port; of an echo request the identifier
	Seq  uint32
	Tag  uint32 // tells the probes of one flow apart, see Probe.Key
}

// Key names the probe. The tag is the IP identification in IPv4; in IPv6 the
// TSval where there is a timestamps option, else the window. Of an echo request
// it is its ICMP sequence number.
func (p Probe) Key() Key {
	if p.Protocol == ProtoEcho {
		return Key{p.Src.Port(), p.Seq, uint32(p.EchoSeq)}
	}
	p.Options.n = uint8(p.Options.paddedLen()) // as they will be quoted: padding can complete a malformed option
	return Key{p.Src.Port(), p.Seq, tag(p.Src.Addr().Is4(), p.ID, &p.Options, p.Window)}
}

func tag(v4 bool, id uint16, o *Options, window uint16) uint32 {
	if v4 {
		return uint32(id)
	}
	if val, _, ok := o.Timestamps(); ok {
		return val
	}
	return uint32(window)
}

// IPProtocol is the number of what the probe is in its IP header.
func (p *Probe) IPProtocol() int {
	if p.Protocol == ProtoEcho {
		return int(icmpProtocol(p.Src.Addr().Is4()))
	}
	return protocolTCP
}

// HeaderLength is the number of bytes of the IP and TCP headers; of an echo
// request those of the ICMP header, and what its data begin with, count as such.
func (p Probe) HeaderLength() int {
	n := ipv6HeaderLen
	if p.Src.Addr().Is4() {
		n = ipv4HeaderLen
	}
	if p.Protocol == ProtoEcho {
		return n + icmpHeaderLen + echoDataLen
	}
	return n + tcpHeaderLen + p.Options.paddedLen()
}

// PayloadLength is the number of bytes behind that.
func (p Probe) PayloadLength() int { return max(0, int(p.Length)-p.HeaderLength()) }

// NextSeq is the sequence number that follows the probe: what a host that took
// all of it acknowledges. A SYN counts as one, and so do a FIN and each byte of
// payload (RFC 9293 3.4). A host that answers a SYN may leave its payload aside
// and acknowledge Seq+1 only.
func (p Probe) NextSeq() uint32 {
	n := p.Seq + uint32(p.PayloadLength())
	if p.Flags.Has(SYN) {
		n++
	}
	if p.Flags.Has(FIN) {
		n++
	}
	return n
}

// The payload: letters only, so that none of it, quoted whole, looks like the
// version field of an ICMP extension structure (RFC 4884 7).
const alphabet = "abcdefghijklmnopqrstuvwxyz"

// AppendBinary appends the whole IP packet, with right checksums. Errors:
// [ErrAddress], [ErrFlowLabel], [ErrFlags]; b is then returned unchanged.
func (p Probe) AppendBinary(b []byte) ([]byte, error) {
	if p.Protocol == ProtoEcho {
		return p.appendEcho(b)
	}
	h := outgoing{p.Src.Addr(), p.Dst.Addr(), protocolTCP, p.TTL, p.TOS, p.ID, p.FlowLabel, p.DontFragment}
	s := Segment{Src: p.Src, Dst: p.Dst, Seq: p.Seq, Ack: p.Ack, Flags: p.Flags, Window: p.Window, Options: p.Options}
	n := p.PayloadLength()
	start := len(b)
	b, err := s.appendHeaders(b, &h, n)
	if err != nil {
		return b, err
	}
	b = appendPayload(b, n)
	finishTCP(b[start:], h.headerLen())
	return b, nil
}

func appendPayload(b []byte, n int) []byte {
	for ; n > 0; n -= len(alphabet) {
		b = append(b, alphabet[:min(n, len(alphabet))]...)
	}
	return b
}
