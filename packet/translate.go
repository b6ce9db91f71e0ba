package packet

import (
	"encoding/binary"
	"net/netip"
)

// Ends are the addresses and ports of a packet that leaves. Of an ICMP echo
// request the source port is the identifier, and the destination port means
// nothing.
type Ends struct{ Src, Dst netip.AddrPort }

// A Translation is what this host's own NAT does to a flow: the ends that its
// packets were made with, and those that they left with.
type Translation struct {
	Protocol   Protocol
	Made, Left Ends // addresses without a zone
}

// Undo gives an answer to the packets that left the ends that they were made
// with, as the host's own NAT does before it hands the answer to a program. It
// changes b, which starts at the IP header, in place, and reports whether b
// answers this flow. Checksums are brought up to date, so that a wrong one stays
// wrong. The sender of an ICMP error is left as it is, unless it is one of the
// ends: Linux would put the destination in a router's place.
func (t *Translation) Undo(b []byte) bool {
	var ip IP
	if ip.parse(b) != nil || ip.FragmentOffset != 0 || len(b) < ip.HeaderLength+8 || ip.Version != t.version() {
		return false
	}
	e := editor{b: b, v4: ip.Version == 4, body: ip.HeaderLength}
	switch {
	case ip.Protocol == protocolTCP && t.Protocol == ProtoTCP:
		return t.undoTCP(&e, &ip)
	case ip.Protocol != icmpProtocol(e.v4):
		return false
	case b[e.body] == echoReply(e.v4):
		return t.undoEcho(&e, &ip)
	}
	return ip.Dst == t.Left.Src.Addr() && t.undoError(&e, &ip)
}

// UndoRest is Undo for an answer whose receiver the host's own NAT has already
// put back, and whose sender it hasn't. Linux puts them back at two hooks, and
// where bridges pass packets to its firewall, a bridge's packet socket hears what
// comes between. UndoRest reports false where only one end was translated: there
// is no half of that.
func (t *Translation) UndoRest(b []byte) bool {
	if t.Made.Src == t.Left.Src || t.Made.Dst == t.Left.Dst {
		return false
	}
	rest := Translation{t.Protocol, t.Made, Ends{t.Made.Src, t.Left.Dst}}
	return rest.Undo(b)
}

// FromReceiver gives an ICMP error its receiver as its sender: the host has sent
// it to itself, and its NAT has put somebody else there. It reports whether b is
// an ICMP error.
func FromReceiver(b []byte) bool {
	var ip IP
	if ip.parse(b) != nil || ip.FragmentOffset != 0 || len(b) < ip.HeaderLength+8 ||
		ip.Protocol != icmpProtocol(ip.Version == 4) {
		return false
	}
	e := editor{b: b, v4: ip.Version == 4, body: ip.HeaderLength}
	if b[e.body] == echoReply(e.v4) || b[e.body] == echoRequest(e.v4) {
		return false
	}
	e.setAddress(sender, ip.Dst, e.pseudo(e.body+2)...)
	return true
}

func (t *Translation) version() uint8 {
	if t.Left.Src.Addr().Is4() {
		return 4
	}
	return 6
}

func (t *Translation) undoTCP(e *editor, ip *IP) bool {
	src := netip.AddrPortFrom(ip.Src, e.word(e.body))
	dst := netip.AddrPortFrom(ip.Dst, e.word(e.body+2))
	if src != t.Left.Dst || dst != t.Left.Src || len(e.b) < e.body+tcpHeaderLen {
		return false
	}
	sum := e.body + 16
	e.setWord(e.body, t.Made.Dst.Port(), sum)
	e.setWord(e.body+2, t.Made.Src.Port(), sum)
	e.setAddress(sender, t.Made.Dst.Addr(), sum)
	e.setAddress(receiver, t.Made.Src.Addr(), sum)
	return true
}

func (t *Translation) undoEcho(e *editor, ip *IP) bool {
	id := e.body + 4
	if t.Protocol != ProtoEcho || ip.Src != t.Left.Dst.Addr() || ip.Dst != t.Left.Src.Addr() ||
		e.word(id) != t.Left.Src.Port() {
		return false
	}
	sum := e.body + 2
	e.setWord(id, t.Made.Src.Port(), sum)
	e.setAddress(sender, t.Made.Dst.Addr(), e.pseudo(sum)...)
	e.setAddress(receiver, t.Made.Src.Addr(), e.pseudo(sum)...)
	return true
}

// undoError is Undo for an ICMP error. What a NAT farther away has done to the
// quoted packet stays.
func (t *Translation) undoError(e *editor, ip *IP) bool {
	at := e.body + icmpHeaderLen
	var quoted IP
	if quoted.parse(e.b[at:]) != nil || quoted.Version != ip.Version || quoted.FragmentOffset != 0 {
		return false
	}
	head := at + quoted.HeaderLength
	if len(e.b) < head+8 {
		return false
	}
	var sums []int // those in the quote that cover its addresses
	e.whole = e.body + 2
	switch {
	case t.Protocol == ProtoTCP && quoted.Protocol == protocolTCP && e.word(head) == t.Left.Src.Port():
		if len(e.b) >= head+18 {
			sums = []int{head + 16}
		}
		e.setWord(head, t.Made.Src.Port(), sums...)
		if e.word(head+2) == t.Left.Dst.Port() {
			e.setWord(head+2, t.Made.Dst.Port(), sums...)
		}
	case t.Protocol == ProtoEcho && quoted.Protocol == icmpProtocol(e.v4) && e.b[head] == echoRequest(e.v4) &&
		e.word(head+4) == t.Left.Src.Port():
		e.setWord(head+4, t.Made.Src.Port(), head+2)
		sums = e.pseudo(head + 2)
	default:
		return false
	}
	src, dst := at+8, at+24
	if e.v4 {
		src, dst, sums = at+12, at+16, append(sums, at+10)
	}
	if quoted.Src == t.Left.Src.Addr() {
		e.set(src, t.Made.Src.Addr().AsSlice(), sums...)
	}
	if quoted.Dst == t.Left.Dst.Addr() {
		e.set(dst, t.Made.Dst.Addr().AsSlice(), sums...)
	}
	sum := e.pseudo(e.whole)
	e.whole = 0
	switch ip.Src {
	case t.Left.Src.Addr(): // our own kernel speaks
		e.setAddress(sender, t.Made.Src.Addr(), sum...)
	case t.Left.Dst.Addr():
		e.setAddress(sender, t.Made.Dst.Addr(), sum...)
	}
	e.setAddress(receiver, t.Made.Src.Addr(), sum...)
	return e.changed // else the quote has other ends
}

// editor changes 16-bit words of a packet, and with each the checksums that
// cover it (RFC 1624).
type editor struct {
	b     []byte
	v4    bool
	body  int // where the IP header ends
	whole int // the checksum that covers all that is changed now, other checksums included; 0: none

	changed bool // anything was
}

// side is an address of the IP header.
type side int

const (
	sender side = iota
	receiver
)

func (e *editor) word(at int) uint16 { return binary.BigEndian.Uint16(e.b[at:]) }

func (e *editor) setWord(at int, v uint16, sums ...int) {
	e.set(at, []byte{byte(v >> 8), byte(v)}, sums...)
}

// set writes an even number of bytes, which these checksums cover.
func (e *editor) set(at int, with []byte, sums ...int) {
	for i := 0; i+1 < len(with); i += 2 {
		was, is := e.word(at+i), binary.BigEndian.Uint16(with[i:])
		if was == is {
			continue
		}
		e.changed = true
		binary.BigEndian.PutUint16(e.b[at+i:], is)
		e.cover(e.whole, was, is)
		for _, sum := range sums {
			before := e.word(sum)
			e.cover(sum, was, is)
			e.cover(e.whole, before, e.word(sum))
		}
	}
}

// cover brings one checksum up to date after a word that it covers has changed.
func (e *editor) cover(sum int, was, is uint16) {
	if sum == 0 {
		return
	}
	binary.BigEndian.PutUint16(e.b[sum:], ^fold(uint64(^e.word(sum))+uint64(^was)+uint64(is)))
}

// pseudo is the checksum of an ICMP message where it covers the addresses of the
// IP header, as it does in IPv6.
func (e *editor) pseudo(sum int) []int {
	if e.v4 {
		return nil
	}
	return []int{sum}
}

// setAddress writes an address of the IP header.
func (e *editor) setAddress(s side, a netip.Addr, sums ...int) {
	if e.v4 {
		e.set(12+4*int(s), a.AsSlice(), append(sums, 10)...)
		return
	}
	e.set(8+16*int(s), a.AsSlice(), sums...)
}
