package sim

import (
	"encoding/binary"
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// Byte offsets in the headers (RFC 791 3.1, RFC 8200 3, RFC 9293 3.1).
const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	tcpHeaderLen  = 20
	icmpHeaderLen = 8
	ipv4Sum       = 10
	tcpSum        = 16
	protocolICMP  = 1
	protocolTCP   = 6

	protocolICMPv6 = 58
)

// notTCP is where the TCP header starts in a packet that has none: beyond any
// packet, so that what would be written there isn't.
const notTCP = 1 << 16

// Rewrite changes fields of a packet. What is left zero stays as it is. The
// checksums are carried along: a packet that was right stays right.
type Rewrite struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	Seq              int32   // added to the sequence number
	ID               *uint16 // IPv4
	TOS, TTL         *uint8
	FlowLabel        *uint32 // IPv6, 20 bits
}

// apply changes the packet whose IP header b starts with.
func (w *Rewrite) apply(b []byte) {
	l4 := transport(b)
	if w.Src.IsValid() {
		putAddr(b, l4, false, w.Src.As16())
	}
	if w.Dst.IsValid() {
		putAddr(b, l4, true, w.Dst.As16())
	}
	if w.SrcPort != 0 {
		put16(b, l4, w.SrcPort, l4+tcpSum)
	}
	if w.DstPort != 0 {
		put16(b, l4+2, w.DstPort, l4+tcpSum)
	}
	if w.Seq != 0 {
		add32(b, l4+4, uint32(w.Seq), l4+tcpSum)
	}
	if w.TTL != nil {
		putTTL(b, *w.TTL)
	}
	if isIPv4(b) {
		if w.ID != nil {
			put16(b, 4, *w.ID, ipv4Sum)
		}
		if w.TOS != nil {
			put16(b, 0, uint16(b[0])<<8|uint16(*w.TOS), ipv4Sum)
		}
		return
	}
	first := binary.BigEndian.Uint32(b)
	if w.TOS != nil {
		first = first&^0xff00000 | uint32(*w.TOS)<<20
	}
	if w.FlowLabel != nil {
		first = first&^0xfffff | *w.FlowLabel&0xfffff
	}
	binary.BigEndian.PutUint32(b, first)
}

func isIPv4(b []byte) bool { return b[0]>>4 == 4 }

// transport returns the offset of the TCP header in b, which starts with an IP
// header; notTCP where it has another payload or is a fragment that isn't the
// first. The packet may be cut short behind its IP header. IPv6 extension
// headers are not walked.
func transport(b []byte) int {
	switch {
	case len(b) >= ipv4HeaderLen && isIPv4(b) && b[9] == protocolTCP && binary.BigEndian.Uint16(b[6:])&0x1fff == 0:
		return int(b[0]&0x0f) * 4
	case len(b) >= ipv6HeaderLen && !isIPv4(b) && b[6] == protocolTCP:
		return ipv6HeaderLen
	}
	return notTCP
}

// put16 writes v at off, and corrects the checksums at these offsets (RFC 1624,
// equation 3). All offsets are even; what is not there is left out.
func put16(b []byte, off int, v uint16, sums ...int) {
	if off+2 > len(b) {
		return
	}
	old := binary.BigEndian.Uint16(b[off:])
	binary.BigEndian.PutUint16(b[off:], v)
	for _, s := range sums {
		if s+2 <= len(b) {
			acc := uint32(^binary.BigEndian.Uint16(b[s:])) + uint32(^old) + uint32(v)
			acc = acc>>16 + acc&0xffff
			acc = acc>>16 + acc&0xffff
			binary.BigEndian.PutUint16(b[s:], ^uint16(acc))
		}
	}
}

// add32 adds n to a sequence or acknowledgement number.
func add32(b []byte, off int, n uint32, sum int) {
	if off+4 > len(b) {
		return
	}
	n += binary.BigEndian.Uint32(b[off:])
	put16(b, off, uint16(n>>16), sum)
	put16(b, off+2, uint16(n), sum)
}

// putAddr writes the source or the destination address, in the 16-byte form.
// Both are part of the TCP checksum too.
func putAddr(b []byte, l4 int, dst bool, a [16]byte) {
	off, from, ipSum := 12, 12, ipv4Sum
	if !isIPv4(b) {
		off, from, ipSum = 8, 0, notTCP
	}
	if dst {
		off += 16 - from
	}
	for ; from < 16; from += 2 {
		put16(b, off, binary.BigEndian.Uint16(a[from:]), ipSum, l4+tcpSum)
		off += 2
	}
}

func ttl(b []byte) uint8 {
	if isIPv4(b) {
		return b[8]
	}
	return b[7]
}

// trafficClass is the TOS byte, in IPv6 the traffic class.
func trafficClass(b []byte) uint8 {
	if isIPv4(b) {
		return b[1]
	}
	return b[0]<<4 | b[1]>>4
}

// flowLabel is that of an IPv6 packet; 0 over IPv4.
func flowLabel(b []byte) uint32 {
	if isIPv4(b) {
		return 0
	}
	return binary.BigEndian.Uint32(b) & 0xfffff
}

func putTTL(b []byte, v uint8) {
	if isIPv4(b) {
		put16(b, 8, uint16(v)<<8|uint16(b[9]), ipv4Sum)
	} else {
		b[7] = v
	}
}

// icmpError returns the offset of the ICMP error in b; 0 where it is none. A real
// host may have sent b: its IP header is there, the rest need not be.
func icmpError(b []byte) int {
	at := ipv6HeaderLen
	if isIPv4(b) {
		at = int(b[0]&0x0f) * 4
	}
	if at+icmpHeaderLen > len(b) {
		return 0
	}
	switch {
	case isIPv4(b) && b[9] == protocolICMP && binary.BigEndian.Uint16(b[6:])&0x1fff == 0:
		switch b[at] {
		case packet.ICMPv4Unreachable, packet.ICMPv4TimeExceeded, packet.ICMPv4ParameterProblem:
			return at
		}
	case !isIPv4(b) && b[6] == protocolICMPv6 && b[at] < 128: // RFC 4443 2.1
		return at
	}
	return 0
}

// completeICMP writes the right checksum into the ICMP message at msg.
func completeICMP(b []byte, msg int) {
	binary.BigEndian.PutUint16(b[msg+2:], 0)
	acc := uint32(^packet.Checksum(b[msg:]))
	if !isIPv4(b) { // the pseudo-header, RFC 8200 8.1
		acc += uint32(^packet.Checksum(b[8:40])) + uint32(len(b)-msg) + protocolICMPv6
	}
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	binary.BigEndian.PutUint16(b[msg+2:], ^uint16(acc))
}

// tuple names a TCP flow in one direction; addresses in the 16-byte form.
type tuple struct {
	src, dst         [16]byte
	srcPort, dstPort uint16
}

// flowOf reads the tuple of a packet; without ports where they aren't there.
// The IP header must be.
func flowOf(b []byte) (f tuple) {
	if isIPv4(b) {
		f.src = netip.AddrFrom4([4]byte(b[12:16])).As16()
		f.dst = netip.AddrFrom4([4]byte(b[16:20])).As16()
	} else {
		f.src, f.dst = [16]byte(b[8:24]), [16]byte(b[24:40])
	}
	if l4 := transport(b); l4+4 <= len(b) {
		f.srcPort = binary.BigEndian.Uint16(b[l4:])
		f.dstPort = binary.BigEndian.Uint16(b[l4+2:])
	}
	return f
}

// put writes the tuple into a packet.
func (f *tuple) put(b []byte) {
	l4 := transport(b)
	putAddr(b, l4, false, f.src)
	putAddr(b, l4, true, f.dst)
	put16(b, l4, f.srcPort, l4+tcpSum)
	put16(b, l4+2, f.dstPort, l4+tcpSum)
}

func (f *tuple) reversed() tuple { return tuple{f.dst, f.src, f.dstPort, f.srcPort} }

// hash mixes the tuple with a salt.
func (f *tuple) hash(salt uint64) uint64 {
	for _, half := range [...][]byte{f.src[:8], f.src[8:], f.dst[:8], f.dst[8:]} {
		salt = mix(salt ^ binary.BigEndian.Uint64(half))
	}
	return mix(salt ^ uint64(f.srcPort)<<16 ^ uint64(f.dstPort))
}

// Addr of the 16-byte form, IPv4 where it is mapped.
func addrOf(a [16]byte) netip.Addr { return netip.AddrFrom16(a).Unmap() }
