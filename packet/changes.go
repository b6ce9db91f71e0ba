package packet

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
)

// Field is a part of a packet that the network may have changed on the way.
type Field uint8

const (
	FieldSource          Field = iota + 1 // IP source address
	FieldSourcePort                       // TCP
	FieldDestination                      // IP destination address
	FieldDestinationPort                  // TCP
	FieldID                               // IPv4 identification
	FieldDSCP                             // the upper six bits of the TOS byte or the traffic class
	FieldECN                              // the lower two
	FieldDontFragment                     // IPv4: 0 or 1
	FieldFlowLabel                        // IPv6
	FieldTotalLength                      // of the whole packet, bytes
	FieldSeq
	FieldAck
	FieldFlags
	FieldWindow
	FieldUrgent
	FieldMSS
	FieldWindowScale
	FieldSACKPermitted
	FieldTimestamps // Number: TSval in the upper 32 bits, TSecr in the lower
	FieldFastOpen
	FieldMPTCP
	FieldOption   // another TCP option, of the kind that Change.Option tells
	FieldChecksum // of TCP: neither that of what is quoted nor that of what was sent
)

var fieldNames = [...]string{
	FieldSource: "source address", FieldSourcePort: "source port", FieldDestination: "destination address",
	FieldDestinationPort: "destination port", FieldID: "IP ID", FieldDSCP: "DSCP", FieldECN: "ECN",
	FieldDontFragment: "don't-fragment bit", FieldFlowLabel: "flow label", FieldTotalLength: "total length",
	FieldSeq: "sequence number", FieldAck: "acknowledgement number", FieldFlags: "TCP flags", FieldWindow: "window",
	FieldUrgent: "urgent pointer", FieldMSS: "MSS", FieldWindowScale: "window scale", FieldSACKPermitted: "SACK permitted",
	FieldTimestamps: "timestamps", FieldFastOpen: "Fast Open", FieldMPTCP: "Multipath TCP", FieldOption: "TCP option",
	FieldChecksum: "TCP checksum",
}

func (f Field) String() string {
	if int(f) < len(fieldNames) && fieldNames[f] != "" {
		return fieldNames[f]
	}
	return fmt.Sprintf("field %d", uint8(f))
}

// IsOption reports whether the field is a TCP option.
func (f Field) IsOption() bool { return f >= FieldMSS && f <= FieldOption }

// Alteration is how a field was changed. All but Altered are of TCP options.
type Alteration uint8

const (
	Altered     Alteration = iota // another value
	Removed                       // not there any more
	Overwritten                   // NOPs in its place
	Added                         // not sent
)

func (a Alteration) String() string {
	switch a {
	case Removed:
		return "removed"
	case Overwritten:
		return "overwritten"
	case Added:
		return "added"
	}
	return "altered"
}

// Change is one difference between a packet that was sent and what came to where
// it was quoted. It is comparable. The values of a field are addresses where it
// is an address, else numbers; of an option without a value, or with a longer
// one, the number is the length of its data.
type Change struct {
	Field              Field
	Alteration         Alteration
	Option             uint8 // the option's kind, where Field.IsOption
	Sent, Seen         uint64
	SentAddr, SeenAddr netip.Addr
}

// SentText and SeenText are the values in words, "" where there is none: an
// option that was not sent, or not seen.
func (c Change) SentText() string {
	if c.Alteration == Added {
		return ""
	}
	return c.text(c.Sent, c.SentAddr)
}

// SeenText: see SentText.
func (c Change) SeenText() string {
	if c.Alteration == Removed || c.Alteration == Overwritten {
		return ""
	}
	return c.text(c.Seen, c.SeenAddr)
}

func (c Change) text(n uint64, a netip.Addr) string {
	switch c.Field {
	case FieldSource, FieldDestination:
		return a.String()
	case FieldFlags:
		return Flags(n).String()
	case FieldID, FieldChecksum:
		return fmt.Sprintf("0x%04x", n)
	case FieldFlowLabel:
		return fmt.Sprintf("0x%05x", n)
	case FieldTimestamps:
		return fmt.Sprintf("%d/%d", n>>32, uint32(n))
	case FieldFastOpen, FieldMPTCP, FieldOption:
		return fmt.Sprintf("%d bytes", n)
	case FieldSACKPermitted:
		return "present"
	}
	return fmt.Sprint(n)
}

// String is the change in words, as in "MSS 1460 -> 1380".
func (c Change) String() string {
	name := c.Field.String()
	if c.Field == FieldOption {
		name = fmt.Sprintf("TCP option %d", c.Option)
	}
	if c.Alteration != Altered {
		return name + " " + c.Alteration.String()
	}
	return fmt.Sprintf("%s %s -> %s", name, c.SentText(), c.SeenText())
}

// Changes yields in what the quoted packet differs from the probe, which it must
// be the quote of, as far as it was quoted. What a router rightly changes (the
// TTL, and with it the IPv4 checksum) is none, and neither is what a stack is
// known to make of a packet before it quotes it: total length, fragment field
// and IP ID in host byte order, a total length without or with twice the header.
//
// It allocates nothing.
func (q *Quote) Changes(p Probe) iter.Seq[Change] {
	return func(yield func(Change) bool) { q.changes(&p, yield) }
}

func (q *Quote) changes(p *Probe, yield func(Change) bool) {
	if q.IP.Version != 0 && (q.IP.Version == 4) == p.Src.Addr().Is4() && q.ipChanges(p, yield) && q.isTCP() {
		q.tcpChanges(p, yield)
	}
}

// differ yields a change where two numbers are not the same, and reports whether
// to go on.
func differ(yield func(Change) bool, f Field, sent, seen uint64) bool {
	return sent == seen || yield(Change{Field: f, Sent: sent, Seen: seen})
}

func differAddr(yield func(Change) bool, f Field, sent, seen netip.Addr) bool {
	sent = sent.WithZone("")
	return sent == seen || yield(Change{Field: f, SentAddr: sent, SeenAddr: seen})
}

func (q *Quote) ipChanges(p *Probe, yield func(Change) bool) bool {
	h := &q.IP
	ok := differAddr(yield, FieldSource, p.Src.Addr(), h.Src) &&
		differAddr(yield, FieldDestination, p.Dst.Addr(), h.Dst) &&
		differ(yield, FieldDSCP, uint64(p.TOS>>2), uint64(h.TOS>>2)) &&
		differ(yield, FieldECN, uint64(p.TOS&3), uint64(h.TOS&3))
	if !ok {
		return false
	}
	if h.Version == 6 {
		ok = differ(yield, FieldFlowLabel, uint64(p.FlowLabel), uint64(h.FlowLabel))
	} else {
		ok = (p.ID == swap16(h.ID) || differ(yield, FieldID, uint64(p.ID), uint64(h.ID))) &&
			differ(yield, FieldDontFragment, bit(p.DontFragment), bit(h.DontFragment || h.swappedDF()))
	}
	return ok && (q.lengthFits(p) || differ(yield, FieldTotalLength, uint64(p.length()), uint64(h.TotalLength)))
}

// swappedDF: the don't-fragment bit in host byte order looks like an offset of
// 512 bytes.
func (h *IP) swappedDF() bool { return h.FragmentOffset == 512 && !h.MoreFragments }

func swap16(v uint16) uint16 { return v<<8 | v>>8 }

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// length is that of the whole packet.
func (p *Probe) length() int { return p.HeaderLength() + p.PayloadLength() }

// lengthFits reports whether the quoted total length may stand for the probe's.
func (q *Quote) lengthFits(p *Probe) bool {
	h := &q.IP
	if h.TotalLength == p.length() {
		return true
	}
	if h.Version == 6 {
		return false
	}
	if h.MoreFragments || h.HeaderLength != ipv4HeaderLen {
		return true // cut on the way, or with IP options put in: nothing to compare with
	}
	for _, n := range [...]int{h.TotalLength, int(swap16(uint16(h.TotalLength)))} {
		switch n - p.length() {
		case 0, -ipv4HeaderLen, ipv4HeaderLen:
			return true
		}
	}
	return false
}

func (q *Quote) tcpChanges(p *Probe, yield func(Change) bool) {
	t := &q.TCP
	ok := true
	if t.Have >= 2 {
		ok = differ(yield, FieldSourcePort, uint64(p.Src.Port()), uint64(t.SrcPort))
	}
	if ok && t.Have >= 4 {
		ok = differ(yield, FieldDestinationPort, uint64(p.Dst.Port()), uint64(t.DstPort))
	}
	if ok && t.HasSeq() {
		ok = differ(yield, FieldSeq, uint64(p.Seq), uint64(t.Seq))
	}
	if ok && t.HasAck() {
		ok = differ(yield, FieldAck, uint64(p.Ack), uint64(t.Ack))
	}
	if ok && t.HasFlags() {
		ok = differ(yield, FieldFlags, uint64(p.Flags), uint64(t.Flags))
	}
	if ok && t.HasWindow() {
		ok = differ(yield, FieldWindow, uint64(p.Window), uint64(t.Window))
	}
	if ok && t.Have >= tcpHeaderLen {
		ok = differ(yield, FieldUrgent, 0, uint64(t.Urgent)) && q.optionChanges(p, yield)
	}
	if sent, seen, sum := q.Checksum(*p); ok && sum == SumNeither {
		yield(Change{Field: FieldChecksum, Sent: uint64(sent), Seen: uint64(seen)})
	}
}

func optionField(kind uint8) Field {
	switch kind {
	case OptionMSS:
		return FieldMSS
	case OptionWindowScale:
		return FieldWindowScale
	case OptionSACKPermitted:
		return FieldSACKPermitted
	case OptionTimestamps:
		return FieldTimestamps
	case OptionFastOpen:
		return FieldFastOpen
	case OptionMPTCP:
		return FieldMPTCP
	}
	return FieldOption
}

// optionChange is the change of a TCP option of this kind.
func optionChange(kind uint8, how Alteration, sent, seen []byte) Change {
	c := Change{Field: optionField(kind), Alteration: how, Option: kind}
	c.Sent, c.Seen = optionNumber(c.Field, sent), optionNumber(c.Field, seen)
	return c
}

// optionNumber is the value of an option, or the length of its data.
func optionNumber(f Field, data []byte) uint64 {
	switch {
	case f == FieldMSS && len(data) == 2:
		return uint64(binary.BigEndian.Uint16(data))
	case f == FieldWindowScale && len(data) == 1:
		return uint64(data[0])
	case f == FieldTimestamps && len(data) == 8:
		return binary.BigEndian.Uint64(data)
	}
	return uint64(len(data))
}

// optionChanges compares the TCP options. Their order doesn't matter. Where the
// quote ends among them, only those count that would have had to be there.
func (q *Quote) optionChanges(p *Probe, yield func(Change) bool) bool {
	seen, whole := &q.TCP.Options, q.TCP.HasOptions()
	at := 0 // where in the probe's header
	for sent, rest, ok := next(p.Options.b[:p.Options.n]); ok; sent, rest, ok = next(rest) {
		from := at
		at++
		if sent.Kind == OptionNOP {
			continue
		}
		at = from + 2 + len(sent.Data)
		data, found := seen.find(sent.Kind)
		switch {
		case found:
			if string(data) == string(sent.Data) {
				continue
			}
			if !yield(optionChange(sent.Kind, Altered, sent.Data, data)) {
				return false
			}
		case at <= int(seen.n) && q.TCP.DataOffset == tcpHeaderLen+p.Options.paddedLen() && allNOP(seen.b[from:at]):
			if !yield(optionChange(sent.Kind, Overwritten, sent.Data, nil)) {
				return false
			}
		case whole:
			if !yield(optionChange(sent.Kind, Removed, sent.Data, nil)) {
				return false
			}
		}
	}
	for opt, rest, ok := next(seen.b[:seen.n]); ok; opt, rest, ok = next(rest) {
		if opt.Kind == OptionNOP {
			continue
		}
		if _, ok := p.Options.find(opt.Kind); !ok && !yield(optionChange(opt.Kind, Added, nil, opt.Data)) {
			return false
		}
	}
	return true
}

func allNOP(b []byte) bool {
	for _, x := range b {
		if x != OptionNOP {
			return false
		}
	}
	return true
}

// Sum says what packet a quoted TCP checksum is the right one of.
type Sum uint8

const (
	SumUnknown Sum = iota // it was not quoted, or not enough was
	SumBoth               // what was sent: and no change that it covers
	SumQuoted             // what is quoted: who changed the packet brought the checksum up to date
	SumSent               // what was sent, though what is quoted differs: changed without it, or only in the quote
	SumNeither            // something else: more was changed than is quoted, or was changed back in the quote
)

func (s Sum) String() string {
	return [...]string{"unknown", "right", "right for what is quoted", "right for what was sent", "right for neither"}[s]
}

// Checksum judges the quoted TCP checksum, and returns that of the probe and the
// quoted one. What the quote leaves out of the packet is taken to be as it was
// sent.
func (q *Quote) Checksum(p Probe) (sent, seen uint16, sum Sum) {
	t := &q.TCP
	if !t.HasChecksum() || !q.isTCP() || q.IP.Version == 0 || (q.IP.Version == 4) != p.Src.Addr().Is4() ||
		!p.Src.IsValid() {
		return 0, 0, SumUnknown
	}
	was := p.covered()
	sent, seen = ^fold(was), t.ChecksumField
	now, ok := q.covered(&p)
	quoted := t.Checksum == CheckGood || ok && same16(^fold(now), seen)
	switch {
	case quoted && same16(sent, seen):
		return sent, seen, SumBoth
	case quoted:
		return sent, seen, SumQuoted
	case same16(sent, seen):
		return sent, seen, SumSent
	case !ok && t.Checksum == CheckUnknown:
		return sent, seen, SumUnknown
	}
	return sent, seen, SumNeither
}

// same16: 0 and 0xffff are the same number in ones' complement.
func same16(a, b uint16) bool { return a == b || a%0xffff == 0 && b%0xffff == 0 }

// covered is the sum over what the probe's TCP checksum covers, itself taken as 0.
func (p *Probe) covered() uint64 {
	h := tcpWords{
		src: p.Src.Addr().As16(), dst: p.Dst.Addr().As16(), sport: p.Src.Port(), dport: p.Dst.Port(), seq: p.Seq, ack: p.Ack,
		offset: tcpHeaderLen + p.Options.paddedLen(), flags: p.Flags, window: p.Window,
	}
	return h.sum(p.length()-p.HeaderLength()+h.offset) + p.Options.sum() + payloadSum(p.PayloadLength(), nil)
}

// covered is the same of what is quoted; false where that can't be told.
func (q *Quote) covered(p *Probe) (uint64, bool) {
	t := &q.TCP
	h := tcpWords{
		src: q.IP.Src.As16(), dst: q.IP.Dst.As16(), sport: t.SrcPort, dport: t.DstPort, seq: t.Seq, ack: t.Ack,
		offset: t.DataOffset, flags: t.Flags, window: t.Window, urgent: t.Urgent,
	}
	options := t.Options
	if !t.HasOptions() {
		if t.DataOffset != tcpHeaderLen+p.Options.paddedLen() {
			return 0, false
		}
		rest := p.Options
		copy(rest.b[:], t.Options.b[:t.Options.n])
		options = rest
	}
	if !q.lengthFits(p) || q.IP.MoreFragments || q.IP.HeaderLength != p.HeaderLength()-tcpHeaderLen-p.Options.paddedLen() {
		return 0, false
	}
	n := p.length() - q.IP.HeaderLength // of the segment
	if t.DataOffset < tcpHeaderLen || t.DataOffset > n || len(t.Payload) > n-t.DataOffset {
		return 0, false
	}
	return h.sum(n) + options.sum() + payloadSum(n-t.DataOffset, t.Payload), true
}

// tcpWords are what a TCP checksum covers, options and payload apart.
type tcpWords struct {
	src, dst       [16]byte
	sport, dport   uint16
	seq, ack       uint32
	offset         int
	flags          Flags
	window, urgent uint16
}

// sum includes the pseudo-header of a segment of n bytes. The mapped form of an
// IPv4 address adds 0xffff, which is nothing.
func (h *tcpWords) sum(n int) uint64 {
	acc := sum(sum(protocolTCP+uint64(n), h.src[:]), h.dst[:])
	acc += uint64(h.sport) + uint64(h.dport) + uint64(h.seq) + uint64(h.ack)
	return acc + uint64(h.offset/4)<<12 + uint64(h.flags) + uint64(h.window) + uint64(h.urgent)
}

// sum of the options with their padding, which is zero.
func (o *Options) sum() uint64 { return sum(0, o.b[:]) }

// payloadSum is that of n bytes of payload: those quoted, and for the rest those
// that probes have.
func payloadSum(n int, quoted []byte) (acc uint64) {
	for i := range n {
		c := alphabet[i%len(alphabet)]
		if i < len(quoted) {
			c = quoted[i]
		}
		if i%2 == 0 {
			acc += uint64(c) << 8
		} else {
			acc += uint64(c)
		}
	}
	return acc
}
