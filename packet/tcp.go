package packet

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// Flags are the control bits of a TCP header (RFC 9293 3.1). Bits 9 to 11 are
// the reserved ones: kept as they came, 0 in what a host should send.
type Flags uint16

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE // RFC 3168
	CWR // RFC 3168
	AE  // RFC 9768
)

const flagBits = 12

// Has reports whether all of these flags are set.
func (f Flags) Has(all Flags) bool { return f&all == all }

// String names the flags, as in "SYN|ACK"; unnamed bits as in "0x200", none as "0".
func (f Flags) String() string {
	if f == 0 {
		return "0"
	}
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"} {
		if f.Has(1 << i) {
			names = append(names, name)
			f &^= 1 << i
		}
	}
	if f != 0 {
		names = append(names, "0x"+strconv.FormatUint(uint64(f), 16))
	}
	return strings.Join(names, "|")
}

const tcpHeaderLen = 20

// TCP is a TCP header, as much of it as was there (RFC 9293 3.1). Fields beyond
// Have are zero.
type TCP struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	DataOffset       int // bytes, as the header says: 0 to 60
	Flags            Flags
	Window           uint16
	ChecksumField    uint16 // as it stands in the header
	Urgent           uint16
	Options          Options // as far as they were there
	Have             int     // bytes of the segment that were there, payload included
	Payload          []byte  // a slice of the input
	Checksum         Check   // CheckUnknown where not all of the segment was there
}

// HasSeq reports whether ports and sequence number were there: the 8 bytes that
// RFC 792 asks a router to quote.
func (t *TCP) HasSeq() bool { return t.Have >= 8 }

// HasAck reports whether the acknowledgement number was there.
func (t *TCP) HasAck() bool { return t.Have >= 12 }

// HasFlags reports whether data offset and flags were there.
func (t *TCP) HasFlags() bool { return t.Have >= 14 }

// HasWindow reports whether the window was there.
func (t *TCP) HasWindow() bool { return t.Have >= 16 }

// HasChecksum reports whether the checksum field was there.
func (t *TCP) HasChecksum() bool { return t.Have >= 18 }

// HasOptions reports whether the whole header was there, with all its options.
func (t *TCP) HasOptions() bool { return t.Have >= tcpHeaderLen && t.Have >= t.DataOffset }

// parse reads as much of a TCP header as there is in b.
func (t *TCP) parse(b []byte) {
	t.Have = len(b)
	if len(b) >= tcpHeaderLen { // the usual case first, without a step per field
		t.Urgent = binary.BigEndian.Uint16(b[18:20])
		t.ChecksumField = binary.BigEndian.Uint16(b[16:18])
		t.Window = binary.BigEndian.Uint16(b[14:16])
		t.Flags = Flags(binary.BigEndian.Uint16(b[12:14]) & (1<<flagBits - 1))
		t.DataOffset = int(b[12]>>4) * 4
		t.Ack = binary.BigEndian.Uint32(b[8:12])
		t.Seq = binary.BigEndian.Uint32(b[4:8])
		t.DstPort = binary.BigEndian.Uint16(b[2:4])
		t.SrcPort = binary.BigEndian.Uint16(b[0:2])
		if t.DataOffset > tcpHeaderLen {
			t.Options.set(b[tcpHeaderLen:min(t.DataOffset, len(b))])
		}
		if n := t.DataOffset; n >= tcpHeaderLen && n < len(b) {
			t.Payload = b[n:len(b):len(b)]
		}
		return
	}
	if len(b) >= 2 {
		t.SrcPort = binary.BigEndian.Uint16(b)
	}
	if len(b) >= 4 {
		t.DstPort = binary.BigEndian.Uint16(b[2:])
	}
	if len(b) >= 8 {
		t.Seq = binary.BigEndian.Uint32(b[4:])
	}
	if len(b) >= 12 {
		t.Ack = binary.BigEndian.Uint32(b[8:])
	}
	if len(b) >= 14 {
		t.DataOffset = int(b[12]>>4) * 4
		t.Flags = Flags(binary.BigEndian.Uint16(b[12:]) & (1<<flagBits - 1))
	}
	if len(b) >= 16 {
		t.Window = binary.BigEndian.Uint16(b[14:])
	}
	if len(b) >= 18 {
		t.ChecksumField = binary.BigEndian.Uint16(b[16:])
	}
}

// verify checks the checksum of a segment that is all there, in a packet that
// starts with the IP header h.
func (t *TCP) verify(header []byte, h *IP, seg []byte) {
	// The pseudo-header holds the final destination, which a routing header that is
	// not used up keeps elsewhere (RFC 8200 8.1).
	if len(seg) >= tcpHeaderLen && h.SegmentsLeft == 0 {
		t.Checksum = verify(sum(pseudo(header, protocolTCP, len(seg)), seg))
	}
}

// Segment is a TCP packet to be made: what a host answers.
type Segment struct {
	Src, Dst     netip.AddrPort
	TTL, TOS     uint8
	ID           uint16 // IPv4
	FlowLabel    uint32 // IPv6, 20 bits
	DontFragment bool   // IPv4
	Seq, Ack     uint32
	Flags        Flags
	Window       uint16
	Urgent       uint16
	Options      Options
	Payload      []byte
}

// AppendTCP appends the IP packet that s describes, with right checksums.
// Errors: [ErrAddress], [ErrFlowLabel], [ErrFlags], [ErrLength]; b is then
// returned unchanged.
func AppendTCP(b []byte, s *Segment) ([]byte, error) {
	h := outgoing{s.Src.Addr(), s.Dst.Addr(), protocolTCP, s.TTL, s.TOS, s.ID, s.FlowLabel, s.DontFragment}
	start := len(b)
	b, err := s.appendHeaders(b, &h, len(s.Payload))
	if err != nil {
		return b, err
	}
	b = append(b, s.Payload...)
	finishTCP(b[start:], h.headerLen())
	return b, nil
}

// appendHeaders appends IP and TCP header of a segment with n bytes of payload,
// the TCP checksum still 0.
func (s *Segment) appendHeaders(b []byte, h *outgoing, n int) ([]byte, error) {
	if s.Flags >= 1<<flagBits {
		return b, ErrFlags
	}
	opts := s.Options.paddedLen()
	b, err := h.append(b, tcpHeaderLen+opts+n)
	if err != nil {
		return b, err
	}
	b = binary.BigEndian.AppendUint16(b, s.Src.Port())
	b = binary.BigEndian.AppendUint16(b, s.Dst.Port())
	b = binary.BigEndian.AppendUint32(b, s.Seq)
	b = binary.BigEndian.AppendUint32(b, s.Ack)
	b = binary.BigEndian.AppendUint16(b, uint16((tcpHeaderLen+opts)/4)<<12|uint16(s.Flags))
	b = binary.BigEndian.AppendUint16(b, s.Window)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, s.Urgent)
	return append(b, s.Options.b[:opts]...), nil
}

// finishTCP writes the checksum of a segment behind an IP header of n bytes.
func finishTCP(b []byte, n int) {
	seg := b[n:]
	binary.BigEndian.PutUint16(seg[16:], ^fold(sum(pseudo(b, protocolTCP, len(seg)), seg)))
}
