package packet

import "encoding/binary"

// Protocol is what a probe is.
type Protocol uint8

const (
	ProtoTCP  Protocol = iota // a TCP segment
	ProtoEcho                 // an ICMP echo request of the addresses' family
)

func (p Protocol) String() string {
	if p == ProtoEcho {
		return "echo"
	}
	return "tcp"
}

// ICMP types of echo (RFC 792, RFC 4443 4).
const (
	ICMPv4EchoReply   = 0
	ICMPv4EchoRequest = 8

	ICMPv6EchoRequest = 128
	ICMPv6EchoReply   = 129
)

func echoRequest(v4 bool) uint8 {
	if v4 {
		return ICMPv4EchoRequest
	}
	return ICMPv6EchoRequest
}

func echoReply(v4 bool) uint8 {
	if v4 {
		return ICMPv4EchoReply
	}
	return ICMPv6EchoReply
}

// An echo probe begins with the ICMP header and this much data: Seq, and two bytes that bring the checksum to what Seq
// says. So all probes of a flow have one checksum, in the bytes that load balancers look at and routers always quote.
const echoDataLen = 4 + 2

// EchoChecksum is the ICMP checksum of every echo probe whose Seq this is: half of its bits.
func EchoChecksum(seq uint32) uint16 {
	c := uint16(seq>>16) ^ uint16(seq)
	if c == 0 || c == 0xffff { // of equal worth (RFC 1624 3): on the way one may become the other
		return 0x5a5a
	}
	return c
}

// Echo is an ICMP echo message, as much of it as was there. Fields beyond Have are zero.
type Echo struct {
	ID, Seq       uint16
	ChecksumField uint16 // as it stands in the header
	Have          int    // bytes of the message that were there, data included
	Data          []byte // a slice of the input
}

// HasID reports whether the whole header was there: the 8 bytes that RFC 792 asks a router to quote.
func (e *Echo) HasID() bool { return e.Have >= icmpHeaderLen }

// Secret is the Seq of the probe that the message is, or brings back, where enough of it was there.
func (e *Echo) Secret() (seq uint32, ok bool) {
	if len(e.Data) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(e.Data), true
}

// parse reads as much of an echo message as there is in b.
func (e *Echo) parse(b []byte) {
	e.Have = len(b)
	if len(b) >= 4 {
		e.ChecksumField = binary.BigEndian.Uint16(b[2:])
	}
	if len(b) >= icmpHeaderLen {
		e.ID = binary.BigEndian.Uint16(b[4:])
		e.Seq = binary.BigEndian.Uint16(b[6:])
	}
	if len(b) > icmpHeaderLen {
		e.Data = b[icmpHeaderLen:len(b):len(b)]
	}
}

// appendEcho is AppendBinary for an echo request.
func (p *Probe) appendEcho(b []byte) ([]byte, error) {
	v4 := p.Src.Addr().Is4()
	h := outgoing{p.Src.Addr(), p.Dst.Addr(), protocolICMPv6, p.TTL, p.TOS, p.ID, p.FlowLabel, p.DontFragment}
	if v4 {
		h.protocol = protocolICMP
	}
	n := p.PayloadLength()
	start := len(b)
	b, err := h.append(b, icmpHeaderLen+echoDataLen+n)
	if err != nil {
		return b, err
	}
	b = append(b, echoRequest(v4), 0)
	b = binary.BigEndian.AppendUint16(b, EchoChecksum(p.Seq))
	b = binary.BigEndian.AppendUint16(b, p.Src.Port())
	b = binary.BigEndian.AppendUint16(b, p.EchoSeq)
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = append(b, 0, 0)
	b = appendPayload(b, n)
	msg := b[start+h.headerLen():]
	acc := sum(0, msg)
	if !v4 {
		acc = sum(pseudo(b[start:], protocolICMPv6, len(msg)), msg)
	}
	binary.BigEndian.PutUint16(msg[icmpHeaderLen+4:], ^fold(acc))
	return b, nil
}

// AppendEchoReply appends the packet with which a host answers b, a whole IP packet that is an echo request: its data
// come back. ok is false, and dst unchanged, where b is none. id is the answer's IP ID (IPv4).
func AppendEchoReply(dst, b []byte, ttl uint8, id uint16) (answer []byte, ok bool) {
	var h IP
	if h.parse(b) != nil || h.TotalLength < h.HeaderLength+icmpHeaderLen || h.TotalLength > len(b) ||
		h.MoreFragments || h.FragmentOffset != 0 {
		return dst, false
	}
	v4 := h.Version == 4
	msg := b[h.HeaderLength:h.TotalLength]
	if h.Protocol != icmpProtocol(v4) || msg[0] != echoRequest(v4) || msg[1] != 0 {
		return dst, false
	}
	out := outgoing{h.Dst, h.Src, h.Protocol, ttl, h.TOS, id, h.FlowLabel, false}
	start := len(dst)
	dst, err := out.append(dst, len(msg))
	if err != nil {
		return dst, false
	}
	dst = append(dst, msg...)
	own := dst[start+out.headerLen():]
	own[0], own[2], own[3] = echoReply(v4), 0, 0
	acc := sum(0, own)
	if !v4 {
		acc = sum(pseudo(dst[start:], protocolICMPv6, len(own)), own)
	}
	binary.BigEndian.PutUint16(own[2:], ^fold(acc))
	return dst, true
}

func icmpProtocol(v4 bool) uint8 {
	if v4 {
		return protocolICMP
	}
	return protocolICMPv6
}
