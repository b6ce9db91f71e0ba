package packet

import "encoding/binary"

// A Check says what came of verifying a checksum.
type Check uint8

const (
	CheckUnknown Check = iota // no checksum there, or not all that it covers
	CheckGood
	CheckBad
)

func (c Check) String() string {
	switch c {
	case CheckGood:
		return "good"
	case CheckBad:
		return "bad"
	}
	return "unknown"
}

// verify says whether a sum over bytes that hold their checksum is that of right
// ones: all ones, which is 0 modulo 0xffff, but not the sum of nothing but zeros.
func verify(acc uint64) Check {
	if acc != 0 && acc%0xffff == 0 {
		return CheckGood
	}
	return CheckBad
}

// sum adds b to a running ones' complement sum (RFC 1071). All pieces but the
// last must have an even length. The 64-bit accumulator holds sums of 32-bit
// words, so it cannot overflow below 16 GiB, and is folded only once.
func sum(acc uint64, b []byte) uint64 {
	for len(b) >= 16 {
		v, w := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:16])
		acc += v>>32 + v&0xffffffff + w>>32 + w&0xffffffff
		b = b[16:]
	}
	if len(b) >= 8 {
		v := binary.BigEndian.Uint64(b)
		acc += v>>32 + v&0xffffffff
		b = b[8:]
	}
	if len(b) >= 4 {
		acc += uint64(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint64(b[0]) << 8
	}
	return acc
}

func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// pseudo is the sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) of a packet
// that starts with this IP header. length is that of the upper-layer packet.
func pseudo(header []byte, protocol uint8, length int) uint64 {
	acc := uint64(protocol) + uint64(length)
	if header[0]>>4 == 4 {
		return sum(acc, header[12:20])
	}
	return sum(acc, header[8:40])
}

// Checksum returns the Internet checksum of b (RFC 1071): the ones' complement
// of the ones' complement sum of its 16-bit words, an odd last byte padded with
// zero. Over bytes that hold their right checksum it is 0.
func Checksum(b []byte) uint16 { return ^fold(sum(0, b)) }

// CompleteIPChecksum writes the right header checksum into a packet that starts
// with an IPv4 header. It reports false, and changes nothing, where b does not
// hold a whole IPv4 header.
func CompleteIPChecksum(b []byte) bool {
	if len(b) < ipv4HeaderLen || b[0]>>4 != 4 {
		return false
	}
	n := int(b[0]&0x0f) * 4
	if n < ipv4HeaderLen || n > len(b) {
		return false
	}
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], Checksum(b[:n]))
	return true
}

// CompleteTCPChecksum writes the right checksum into the TCP segment of a whole
// IP packet, either family, as checksum offload leaves it to the network card
// to do. It reports false, and changes nothing, where b is not a whole and
// unfragmented IP packet with a TCP header in it.
func CompleteTCPChecksum(b []byte) bool {
	var r Reply
	if Parse(b, &r) != nil || r.Kind != KindTCP || r.IP.MoreFragments || r.IP.SegmentsLeft > 0 {
		return false
	}
	seg := b[r.IP.HeaderLength:r.IP.TotalLength]
	seg[16], seg[17] = 0, 0
	binary.BigEndian.PutUint16(seg[16:], ^fold(sum(pseudo(b, protocolTCP, len(seg)), seg)))
	return true
}
