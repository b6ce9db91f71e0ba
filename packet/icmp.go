package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// ICMP types of the errors (RFC 792, RFC 4443) and codes that are treated apart.
const (
	ICMPv4Unreachable      = 3
	ICMPv4TimeExceeded     = 11
	ICMPv4ParameterProblem = 12

	ICMPv6Unreachable      = 1
	ICMPv6TooBig           = 2
	ICMPv6TimeExceeded     = 3
	ICMPv6ParameterProblem = 4

	codeTTLExceeded         = 0 // both families; 1 is fragment reassembly
	codeFragmentationNeeded = 4 // of ICMPv4Unreachable
)

const icmpHeaderLen = 8

// lengthField says where an error of this type has its RFC 4884 length field
// (4.1 to 4.6), counted from the start of the ICMP header, and the bytes it
// counts in; unit 0: it has none, and no extensions.
func lengthField(version, icmpType uint8) (offset, unit int) {
	if version == 4 {
		switch icmpType {
		case ICMPv4Unreachable, ICMPv4TimeExceeded, ICMPv4ParameterProblem:
			return 5, 4
		}
		return 0, 0
	}
	switch icmpType {
	case ICMPv6Unreachable, ICMPv6TimeExceeded:
		return 4, 8
	}
	return 0, 0
}

// parseICMP reads an ICMP message of r's family, in a packet that starts with
// header. whole: it isn't a fragment.
func (r *Reply) parseICMP(header, b []byte, whole bool) error {
	if len(b) < icmpHeaderLen {
		return ErrTruncated
	}
	r.Type, r.Code = b[0], b[1]
	v4 := r.IP.Version == 4
	if whole && v4 {
		r.Checksum = verify(sum(0, b))
	} else if whole && r.IP.SegmentsLeft == 0 {
		r.Checksum = verify(sum(pseudo(header, protocolICMPv6, len(b)), b))
	}
	var kind Kind
	if rest := binary.BigEndian.Uint32(b[4:8]); v4 {
		kind = r.errorICMPv4(rest)
	} else {
		kind = r.errorICMPv6(rest)
	}
	if kind == KindOther {
		if r.Type == echoReply(v4) && r.Code == 0 {
			r.Kind = KindEcho
			r.Echo.parse(b)
		}
		return nil
	}
	quoted := b[icmpHeaderLen:]
	if offset, unit := lengthField(r.IP.Version, r.Type); unit != 0 {
		quoted = r.Extensions.split(quoted, int(b[offset])*unit)
	}
	if err := r.Quote.parse(r.IP.Version, quoted); err != nil {
		return err
	}
	if r.Quote.isTCP() || r.Quote.isEcho() {
		r.Kind = kind
	}
	return nil
}

// errorICMPv4 returns which error a message is, and reads the second word of its
// header; KindOther if it is none.
func (r *Reply) errorICMPv4(rest uint32) Kind {
	switch r.Type {
	case ICMPv4Unreachable:
		if r.Code == codeFragmentationNeeded {
			r.MTU = rest & 0xffff // RFC 1191 4
		}
		return KindUnreachable
	case ICMPv4TimeExceeded:
		if r.Code == codeTTLExceeded {
			return KindTimeExceeded
		}
	case ICMPv4ParameterProblem:
		r.Pointer = rest >> 24
		return KindParameterProblem
	}
	return KindOther
}

// errorICMPv6 is errorICMPv4 for IPv6.
func (r *Reply) errorICMPv6(rest uint32) Kind {
	switch r.Type {
	case ICMPv6Unreachable:
		return KindUnreachable
	case ICMPv6TooBig:
		r.MTU = rest
		return KindTooBig
	case ICMPv6TimeExceeded:
		if r.Code == codeTTLExceeded {
			return KindTimeExceeded
		}
	case ICMPv6ParameterProblem:
		r.Pointer = rest
		return KindParameterProblem
	}
	return KindOther
}

// ICMPError is an ICMP error to be made, of the family of its addresses.
type ICMPError struct {
	Src, Dst     netip.Addr
	TTL, TOS     uint8
	ID           uint16 // IPv4
	FlowLabel    uint32 // IPv6, 20 bits
	DontFragment bool   // IPv4
	Type, Code   uint8
	MTU          uint32 // for v4 3/4 (16 bits) and v6 2/0
	Pointer      uint32 // for v4 12 (8 bits) and v6 4
	// Quote is the packet that the error is about, from its IP header. It is cut
	// to QuoteLength bytes; 0: to what makes the error no longer than 576 bytes
	// (RFC 1812 4.3.2.3) or, in IPv6, 1280 (RFC 4443 2.4), if extensions leave room.
	Quote       []byte
	QuoteLength int
	// Extensions are RFC 4884 objects, as AppendMPLS and its sisters make them;
	// empty: none. The quote is then padded with zeros as RFC 4884 5.1 asks.
	Extensions []byte
	// Structure is a whole extension structure in their place, as it stands, with
	// whatever is wrong with it: its header, then the objects.
	Structure []byte
	// NonCompliant leaves the length field 0 and puts the extensions behind the
	// 128th byte of the quote, as routers did before RFC 4884 (5.5).
	NonCompliant bool
}

// Errors of AppendICMP.
var (
	ErrExtensions = errors.New("ICMP type does not take extensions")
	ErrField      = errors.New("value does not fit its ICMP field")
)

// AppendICMP appends the IP packet that e describes, with right checksums.
// Errors: [ErrAddress], [ErrFlowLabel], [ErrLength], [ErrExtensions],
// [ErrField]; b is then returned unchanged.
func AppendICMP(b []byte, e *ICMPError) ([]byte, error) {
	h := outgoing{e.Src, e.Dst, protocolICMP, e.TTL, e.TOS, e.ID, e.FlowLabel, e.DontFragment}
	if err := h.valid(); err != nil {
		return b, err
	}
	version, longest := uint8(4), 576
	if !e.Src.Is4() {
		version, longest = 6, 1280
		h.protocol = protocolICMPv6
	}
	offset, unit := lengthField(version, e.Type)
	if len(e.Extensions)+len(e.Structure) > 0 && unit == 0 {
		return b, ErrExtensions
	}
	quote, pad, tail := e.layout(unit, longest-h.headerLen()-icmpHeaderLen)
	rest, err := e.rest(version)
	if err != nil {
		return b, err
	}
	if tail > 0 && !e.NonCompliant {
		rest[offset-4] = uint8((len(quote) + pad) / unit)
	}
	n := icmpHeaderLen + len(quote) + pad + tail
	start := len(b)
	if b, err = h.append(b, n); err != nil {
		return b, err
	}
	b = append(b, e.Type, e.Code, 0, 0)
	b = append(b, rest[:]...)
	b = append(b, quote...)
	b = append(b, make([]byte, pad)...)
	switch {
	case len(e.Structure) > 0:
		b = append(b, e.Structure...)
	case tail > 0:
		b = appendExtensions(b, e.Extensions)
	}
	msg := b[start+h.headerLen():]
	acc := uint64(0)
	if version == 6 {
		acc = pseudo(b[start:], protocolICMPv6, n)
	}
	binary.BigEndian.PutUint16(msg[2:], ^fold(sum(acc, msg)))
	return b, nil
}

// layout is what stands behind the ICMP header, in a message with this much room
// there: the quote, cut; the bytes of padding behind it; the bytes of extensions.
// unit is what the length field counts in.
func (e *ICMPError) layout(unit, room int) (quote []byte, pad, tail int) {
	tail = len(e.Structure)
	if tail == 0 && len(e.Extensions) > 0 {
		tail = extensionHeaderLen + len(e.Extensions)
	}
	if tail == 0 {
		if e.QuoteLength > 0 {
			room = e.QuoteLength
		}
		return e.Quote[:min(room, len(e.Quote))], 0, 0
	}
	room = max(room-tail, minExtendedQuote) // padding would take that much anyway
	if e.QuoteLength > 0 {
		room = e.QuoteLength
	}
	if e.NonCompliant {
		room = min(room, minExtendedQuote)
	} else {
		room = min(room, 255*unit) / unit * unit // what the length field can say
	}
	quote = e.Quote[:min(room, len(e.Quote))]
	padded := max(minExtendedQuote, (len(quote)+unit-1)/unit*unit)
	return quote, padded - len(quote), tail
}

// rest is the second word of the ICMP header, the length field apart.
func (e *ICMPError) rest(version uint8) (rest [4]byte, err error) {
	switch {
	case version == 4 && e.Type == ICMPv4Unreachable && e.Code == codeFragmentationNeeded:
		if e.MTU > 0xffff {
			return rest, ErrField
		}
		binary.BigEndian.PutUint16(rest[2:], uint16(e.MTU))
	case version == 4 && e.Type == ICMPv4ParameterProblem:
		if e.Pointer > 0xff {
			return rest, ErrField
		}
		rest[0] = uint8(e.Pointer)
	case version == 6 && e.Type == ICMPv6TooBig:
		binary.BigEndian.PutUint32(rest[:], e.MTU)
	case version == 6 && e.Type == ICMPv6ParameterProblem:
		binary.BigEndian.PutUint32(rest[:], e.Pointer)
	}
	return rest, nil
}
