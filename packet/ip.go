package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Why a packet could not be read. Parse returns these values, or one that wraps
// them and [ErrQuote]; test with [errors.Is].
var (
	ErrTruncated        = errors.New("packet cut short")
	ErrVersion          = errors.New("wrong IP version")
	ErrHeader           = errors.New("malformed IP header")
	ErrExtensionHeaders = errors.New("too many IPv6 extension headers")
	ErrTCPHeader        = errors.New("malformed TCP header")
	ErrQuote            = errors.New("quoted packet")
)

// IANA protocol numbers, and the IPv6 extension headers that are walked
// (RFC 8200 4.1, RFC 4302).
const (
	protocolICMP     = 1
	protocolTCP      = 6
	protocolICMPv6   = 58
	headerHopByHop   = 0
	headerRouting    = 43
	headerFragment   = 44
	headerAH         = 51
	headerDestOpts   = 60
	maxExtensionHops = 8

	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
)

// IP is the IP header of a packet, of either family.
type IP struct {
	Src, Dst       netip.Addr
	Version        uint8  // 4 or 6; 0: there is none
	Protocol       uint8  // of the payload, behind all IPv6 extension headers
	TTL            uint8  // IPv6: hop limit
	TOS            uint8  // DSCP and ECN; IPv6: traffic class
	ID             uint16 // IPv4 identification
	FlowLabel      uint32 // IPv6, 20 bits
	TotalLength    int    // bytes, as the header says; IPv6: 40 + payload length
	HeaderLength   int    // bytes, IPv4 options or IPv6 extension headers included
	DontFragment   bool   // IPv4
	MoreFragments  bool
	FragmentOffset uint16 // bytes; where it is not 0, what follows is not a header
	SegmentsLeft   uint8  // IPv6 routing header: where it is not 0, Dst is not the final destination
	Options        []byte // IPv4 options, a slice of the input
	Checksum       Check  // of the IPv4 header; IPv6 has none: CheckUnknown
}

// parse reads the header at the start of b. It doesn't compare TotalLength with
// what is there: in a quoted packet it may have been changed on the way.
func (h *IP) parse(b []byte) error {
	if len(b) == 0 {
		return ErrTruncated
	}
	switch b[0] >> 4 {
	case 4:
		return h.parse4(b)
	case 6:
		return h.parse6(b)
	}
	return ErrVersion
}

// parse4 reads an IPv4 header (RFC 791 3.1).
func (h *IP) parse4(b []byte) error {
	if len(b) < ipv4HeaderLen {
		return ErrTruncated
	}
	n := int(b[0]&0x0f) * 4
	if n < ipv4HeaderLen {
		return ErrHeader
	}
	if n > len(b) {
		return ErrTruncated
	}
	frag := binary.BigEndian.Uint16(b[6:8])
	h.Src = netip.AddrFrom4([4]byte(b[12:16]))
	h.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	h.Version = 4
	h.TOS = b[1]
	h.TotalLength = int(binary.BigEndian.Uint16(b[2:4]))
	h.ID = binary.BigEndian.Uint16(b[4:6])
	h.DontFragment = frag&0x4000 != 0
	h.MoreFragments = frag&0x2000 != 0
	h.FragmentOffset = frag & 0x1fff * 8
	h.TTL = b[8]
	h.Protocol = b[9]
	h.HeaderLength = n
	if n > ipv4HeaderLen {
		h.Options = b[ipv4HeaderLen:n:n]
	}
	h.Checksum = verify(sum(0, b[:n]))
	return nil
}

// parse6 reads an IPv6 header (RFC 8200 3) and walks its extension headers up
// to the payload, or up to a fragment header that says that there is none of
// the headers behind it here. Each one is at least 8 bytes long, so there can be
// no loop; the bound keeps the work per packet small.
func (h *IP) parse6(b []byte) error {
	if len(b) < ipv6HeaderLen {
		return ErrTruncated
	}
	first := binary.BigEndian.Uint32(b[0:4])
	h.Src = netip.AddrFrom16([16]byte(b[8:24]))
	h.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	h.Version = 6
	h.TOS = uint8(first >> 20)
	h.FlowLabel = first & 0xfffff
	h.TotalLength = ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:6]))
	h.Protocol = b[6]
	h.TTL = b[7]
	h.HeaderLength = ipv6HeaderLen
	for hops := 0; ; hops++ {
		var n int
		ext := b[h.HeaderLength:]
		switch h.Protocol {
		default:
			return nil
		case headerHopByHop, headerRouting, headerFragment, headerAH, headerDestOpts:
		}
		if hops == maxExtensionHops {
			return ErrExtensionHeaders
		}
		if len(ext) < 8 {
			return ErrTruncated
		}
		switch h.Protocol {
		case headerFragment:
			n = 8
			frag := binary.BigEndian.Uint16(ext[2:4])
			h.MoreFragments = frag&1 != 0
			h.FragmentOffset = frag &^ 7
		case headerAH:
			n = int(ext[1])*4 + 8
		default:
			n = int(ext[1])*8 + 8
			if h.Protocol == headerRouting {
				h.SegmentsLeft = max(h.SegmentsLeft, ext[3])
			}
		}
		if n > len(ext) {
			return ErrTruncated
		}
		h.Protocol = ext[0]
		h.HeaderLength += n
		if h.FragmentOffset != 0 {
			return nil
		}
	}
}

// Errors of the encoders.
var (
	ErrAddress   = errors.New("addresses are not both IPv4 or both IPv6")
	ErrFlowLabel = errors.New("flow label has more than 20 bits")
	ErrFlags     = errors.New("TCP flags have more than 12 bits")
	ErrLength    = errors.New("packet longer than its length field can say")
)

// outgoing is the IP header of a packet to be made.
type outgoing struct {
	src, dst     netip.Addr
	protocol     uint8
	ttl, tos     uint8
	id           uint16
	flowLabel    uint32
	dontFragment bool
}

func (h *outgoing) valid() error {
	// A 4in6 address would put an IPv4 address into an IPv6 header.
	if !h.src.IsValid() || !h.dst.IsValid() || h.src.Is4In6() || h.dst.Is4In6() || h.src.Is4() != h.dst.Is4() {
		return ErrAddress
	}
	if h.flowLabel > 0xfffff {
		return ErrFlowLabel
	}
	return nil
}

func (h *outgoing) headerLen() int {
	if h.src.Is4() {
		return ipv4HeaderLen
	}
	return ipv6HeaderLen
}

// append adds the header of a packet with n bytes of payload.
func (h *outgoing) append(b []byte, n int) ([]byte, error) {
	if err := h.valid(); err != nil {
		return b, err
	}
	if h.src.Is4() {
		n += ipv4HeaderLen
		if n > 0xffff {
			return b, ErrLength
		}
		start := len(b)
		b = append(b, 0x45, h.tos)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
		b = binary.BigEndian.AppendUint16(b, h.id)
		frag := uint16(0)
		if h.dontFragment {
			frag = 0x4000
		}
		b = binary.BigEndian.AppendUint16(b, frag)
		b = append(b, h.ttl, h.protocol, 0, 0)
		src, dst := h.src.As4(), h.dst.As4()
		b = append(append(b, src[:]...), dst[:]...)
		binary.BigEndian.PutUint16(b[start+10:], Checksum(b[start:]))
		return b, nil
	}
	if n > 0xffff {
		return b, ErrLength
	}
	b = binary.BigEndian.AppendUint32(b, 6<<28|uint32(h.tos)<<20|h.flowLabel)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, h.protocol, h.ttl)
	src, dst := h.src.As16(), h.dst.As16()
	return append(append(b, src[:]...), dst[:]...), nil
}
