package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// This file follows probes out of the host. NAT, marks and routing by marks come after the send: where they are at
// work, a probe leaves with other addresses, other ports or by another interface than it was made with, and what
// comes back to the packet socket bears those. The packet socket hears copies of what leaves as well; a filter in the
// kernel lets only those through that are not as they were meant. So it costs nothing where they are.

const (
	// How many flows are followed. The filter knows each by its sequence number, which no NAT changes.
	maxFollowed = 64

	// How many probes are remembered, to know the one that left in another shape.
	maxRemembered = 256

	// How many translations are remembered. A connection's end makes room for another one of the same flow.
	maxTranslations = 256

	// How many departures are told of.
	maxDepartures = 16
)

// flows is what is known of the probes that were sent. Send and Recv both look at it.
type flows struct {
	mu         sync.Mutex
	changed    bool // since the filters were made
	opening    bool // a connection is being opened, or is translated: its segments are heard behind the translation
	ports      []uint16
	followed   []followed
	firsts     []word       // of followed, one each
	remembered []remembered // a ring
	next       int          // in remembered
	mark       uint32       // of all probes
	below      []int        // interfaces that what is meant for another one goes through

	translations []translated // newest last
	departures   []Departure
	copied       bool         // a copy of a probe was heard
	whole        []uint32     // sequence numbers of flows of which a probe has left with the TTL that it was made with
	round        []netip.Addr // where probes were sent to that have left twice, see comesRound
}

// translated is a translation, and whether it leads to this host itself.
type translated struct {
	packet.Translation
	home bool
}

// followed is a flow that the filter knows.
type followed struct {
	protocol packet.Protocol
	src, dst netip.AddrPort // without zones
	index    int            // the interface that it should leave by; 0: not known
	seq, ack uint32
	last     uint32 // what a host acknowledges that takes all of the probe: Probe.NextSeq
	flags    packet.Flags
}

// remembered is a probe that was sent.
type remembered struct {
	followed
	tag      uint32
	ttl, tos uint8
	iface    string
	left     uint8        // the TTL with which it has left by this interface; 0: it was not seen to
	made     packet.Probe // as it was sent
}

// follow remembers a probe that is about to be sent.
func (f *flows) follow(p *packet.Probe, index int, iface string) {
	src, dst := netip.AddrPortFrom(p.Src.Addr().WithZone(""), p.Src.Port()),
		netip.AddrPortFrom(p.Dst.Addr().WithZone(""), p.Dst.Port())
	if p.Protocol == packet.ProtoEcho {
		dst = netip.AddrPortFrom(dst.Addr(), 0)
	}
	flow := followed{p.Protocol, src, dst, index, p.Seq, p.Ack, p.NextSeq(), p.Flags}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := remembered{flow, p.Key().Tag, p.TTL, p.TOS, iface, 0, *p}
	if len(f.remembered) < maxRemembered {
		f.remembered = append(f.remembered, r)
	} else {
		f.remembered[f.next] = r
		f.next = (f.next + 1) % maxRemembered
	}
	flow.src = netip.AddrPortFrom(src.Addr(), 0) // filters know all ports
	if slices.Contains(f.followed, flow) {
		return
	}
	if len(f.followed) == maxFollowed {
		if len(f.translations) == 0 {
			return // nothing is translated here
		}
		f.followed, f.firsts = slices.Delete(f.followed, 0, 1), slices.Delete(f.firsts, 0, 1)
	}
	f.followed, f.firsts, f.changed = append(f.followed, flow), append(f.firsts, tagWord(p)), true
}

// tagWord is where a probe's tag stands (Probe.Key).
func tagWord(p *packet.Probe) word {
	tag := p.Key().Tag
	switch {
	case p.Src.Addr().Is4():
		return word{uint32(p.ID), 4, 2, false}
	case p.Protocol == packet.ProtoEcho:
		return word{tag, 6, 2, true}
	}
	at := uint32(20) // where options begin
	for o := range p.Options.All() {
		if o.Kind == packet.OptionTimestamps && len(o.Data) == 8 {
			return word{tag, at + 2, 4, true}
		}
		at++
		if o.Kind > packet.OptionNOP {
			at += 1 + uint32(len(o.Data))
		}
	}
	return word{tag, 14, 2, true}
}

// copied is a copy of a packet that left.
type copied struct {
	followed
	tag      uint32
	ttl, tos uint8
	mark     uint32
	index    int
	packet   packet.Quote // the copy, in the form that it would be quoted in
}

// read reads a copy. ok is false where it is none of a probe.
func (c *copied) read(b []byte) (ok bool) {
	var r packet.Reply
	if packet.Parse(b, &r) != nil || r.IP.FragmentOffset != 0 {
		return false
	}
	c.ttl, c.tos = r.IP.TTL, r.IP.TOS
	c.packet = packet.Quote{IP: r.IP, TCP: r.TCP, Bytes: len(b)}
	if r.Kind == packet.KindTCP {
		c.protocol, c.seq, c.flags = packet.ProtoTCP, r.TCP.Seq, r.TCP.Flags
		c.src, c.dst = netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort), netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort)
		// The tag is that of Probe.Key.
		c.tag = uint32(r.IP.ID)
		if r.IP.Version == 6 {
			c.tag = uint32(r.TCP.Window)
			if val, _, ok := r.TCP.Options.Timestamps(); ok {
				c.tag = val
			}
		}
		return true
	}
	body := b[min(r.IP.HeaderLength, len(b)):]
	if len(body) < 12 || !(r.IP.Version == 4 && body[0] == packet.ICMPv4EchoRequest || r.IP.Version == 6 &&
		body[0] == packet.ICMPv6EchoRequest) {
		return false
	}
	c.protocol, c.seq, c.tag = packet.ProtoEcho, binary.BigEndian.Uint32(body[8:]),
		uint32(binary.BigEndian.Uint16(body[6:]))
	c.src, c.dst = netip.AddrPortFrom(r.IP.Src, binary.BigEndian.Uint16(body[4:])), netip.AddrPortFrom(r.IP.Dst, 0)
	return true
}

// probe finds the probe that left as c; nil: it is none of ours.
func (f *flows) probe(c *copied) *remembered {
	var found *remembered
	for i := range f.remembered {
		r := &f.remembered[(f.next+len(f.remembered)-1-i)%len(f.remembered)] // the newest first
		if r.protocol != c.protocol || r.seq != c.seq || r.flags != c.flags || r.src.Addr().Is4() != c.src.Addr().Is4() {
			continue
		}
		if r.tag == c.tag {
			return r
		}
		if found == nil {
			found = r
		}
	}
	// When probes are forgotten already, a copy that comes late may be of one of those: another of its flows' probes with
	// the same number would look as if it had been changed.
	if len(f.remembered) == maxRemembered && slices.Contains(f.ports, c.src.Port()) {
		return nil
	}
	return found
}

// left takes note of a copy that is not as it was meant. name is the name of an interface, and under reports whether
// what leaves by the first interface goes through the second one in turn.
func (f *flows) left(b []byte, h heard, name func(int) string, under func(over, below int) bool) {
	index, mark := h.index, h.mark
	c := copied{mark: mark, index: index}
	if !c.read(b) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.probe(&c)
	if p == nil {
		return
	}
	f.copied = true
	through := slices.Contains(f.below, index) || p.index == 0 || index == p.index
	if !through && under(p.index, index) {
		f.below, through, f.changed = append(f.below, index), true, true
	}
	if f.comesRound(p, &c, through) {
		return
	}
	meant, left := packet.Ends{Src: p.src, Dst: p.dst}, packet.Ends{Src: c.src, Dst: c.dst}
	if meant != left {
		f.translate(translated{packet.Translation{Protocol: c.protocol, Made: meant, Left: left}, h.loopback})
	}
	changes := p.changes(&c)
	same := meant == left && through && mark == f.mark && c.ttl == p.ttl && c.tos == p.tos && len(changes) == 0
	if same || len(f.departures) == maxDepartures {
		return
	}
	if slices.ContainsFunc(f.departures, func(d Departure) bool { return d.Meant == meant }) {
		return
	}
	d := Departure{Meant: meant, Left: left, MeantInterface: p.iface, Interface: p.iface, MeantMark: f.mark, Mark: mark,
		MeantTTL: p.ttl, TTL: c.ttl, MeantTOS: p.tos, TOS: c.tos, Changes: changes, Loopback: h.loopback}
	if !through {
		d.Interface = name(index)
	}
	f.departures = append(f.departures, d)
}

// changes are those that this host has made to the headers of a probe, of which this is the copy. Its addresses and
// ports are told apart, and its checksum, length and number follow from the rest.
func (p *remembered) changes(c *copied) (all []packet.Change) {
	if p.tag != c.tag {
		return nil // it is a copy of another one
	}
	for x := range c.packet.Changes(p.made) {
		switch x.Field {
		case packet.FieldSource, packet.FieldDestination, packet.FieldSourcePort, packet.FieldDestinationPort,
			packet.FieldChecksum, packet.FieldTotalLength, packet.FieldID:
		default:
			all = append(all, x)
		}
	}
	return all
}

// comesRound reports whether a copy is of a probe that had left before, and leaves this host a second time: a gateway
// or a bridge that is a machine on this host has sent it on, or a loop or a translated address has brought it back.
// What has changed it since is none of this host's doing. The first copy of the probe shows how that has left; of
// others to its target, whose first copies the filter keeps back if they are as they were meant, it shows that they
// come round, too. Who forwards a packet takes one off its TTL, and NAT of this host doesn't. through reports whether
// it has left by the interface that was meant.
func (f *flows) comesRound(p *remembered, c *copied, through bool) bool {
	same := p.tag == c.tag
	switch {
	case same && p.left > 0 && (!through || c.ttl < p.left):
		f.round = remember(f.round, p.dst.Addr())
		return true
	case slices.Contains(f.round, p.dst.Addr()) && p.left == 0 && (!through || c.ttl < p.ttl),
		slices.Contains(f.whole, p.seq) && c.ttl < p.ttl:
		return true
	}
	if same && through {
		p.left = c.ttl
	}
	if c.ttl == p.ttl {
		f.whole = remember(f.whole, p.seq)
	}
	return false
}

// remember adds something known of a flow to what is known of the last ones.
func remember[T comparable](all []T, x T) []T {
	if slices.Contains(all, x) {
		return all
	}
	if len(all) == maxFollowed {
		all = slices.Delete(all, 0, 1)
	}
	return append(all, x)
}

// translate remembers a translation.
func (f *flows) translate(t translated) {
	if slices.Contains(f.translations, t) {
		return
	}
	if len(f.translations) == maxTranslations {
		f.translations = slices.Delete(f.translations, 0, maxTranslations/2)
	}
	f.translations = append(f.translations, t)
}

// undo takes back what this host's NAT did to the flow that a packet answers, or what is left of that. A packet that is
// wholly as the NAT has sent it is looked for first: of the ends of one that is half translated fewer are known.
func (f *flows) undo(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, how := range []func(*packet.Translation, []byte) bool{
		(*packet.Translation).Undo, (*packet.Translation).UndoRest,
	} {
		for _, t := range slices.Backward(f.translations) {
			if (!f.opening || t.Protocol != packet.ProtoTCP || !isTCP(b)) && how(&t.Translation, b) {
				return
			}
		}
	}
}

// own makes an ICMP error that came in by the loopback interface what it is: our own kernel says why it could not
// deliver a probe that should leave by another one. With NAT it may bear any address.
func (f *flows) own(b []byte, index int) {
	var r packet.Reply
	if packet.Parse(b, &r) != nil || r.Kind != packet.KindUnreachable {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	home := func(t translated) bool { return t.home && t.Made.Src.Addr() == r.IP.Dst }
	about := func(p remembered) bool {
		return p.protocol == packet.ProtoTCP && p.seq == r.Quote.TCP.Seq && p.src.Addr() == r.IP.Dst && p.index != 0 &&
			p.index != index
	}
	if slices.ContainsFunc(f.remembered, about) && !slices.ContainsFunc(f.translations, home) {
		packet.FromReceiver(b)
	}
}

// isTCP reports whether a packet is a TCP segment; IPv6 extension headers are rare.
func isTCP(b []byte) bool {
	return len(b) > 9 && (b[0]>>4 == 4 && b[9] == protoTCP || b[0]>>4 == 6 && b[6] == protoTCP)
}

// Departures tells how probes have left that did not leave as they were meant, once for each flow, in the order in
// which that was seen. There are none where the kernel refuses packet sockets. It may be called at any time.
func (c *Conn) Departures() []Departure {
	c.flows.mu.Lock()
	defer c.flows.mu.Unlock()
	return slices.Clone(c.flows.departures)
}

// Copies reports whether copies of probes that left have been heard: what is not among the Departures has then left
// as it was meant.
func (c *Conn) Copies() bool {
	c.flows.mu.Lock()
	defer c.flows.mu.Unlock()
	return c.flows.copied
}

// elsewhere reports whether the probes of p's flow have left for another destination, or by another interface, than
// was meant.
func (f *flows) elsewhere(p *packet.Probe) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.departures, func(d Departure) bool {
		return d.Meant.Src == p.Src && (d.Left.Dst != d.Meant.Dst || d.Interface != d.MeantInterface)
	})
}

// departed takes note of a copy of a packet that left.
func (c *Conn) departed(b []byte, h heard) {
	c.flows.left(b, h, c.route.named, c.route.under)
}

// named is the name of an interface that a packet has left by.
func (r *router) named(index int) string {
	l, err := r.link(index)
	if err != nil {
		return "another interface"
	}
	return l.name
}

// listen lets the ears hear answers to the flows as they are now. To make a filter takes a tenth of a millisecond.
func (c *Conn) listen() error {
	c.flows.mu.Lock()
	defer c.flows.mu.Unlock()
	if !c.flows.changed {
		return nil
	}
	for _, e := range c.ears {
		if err := e.attach(&c.flows); err != nil {
			return opError("filter", nil, err)
		}
	}
	c.flows.changed = false
	return nil
}

// cmsg appends a control message.
func cmsg(b []byte, level, kind int32, data []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(len(data)))...)
	word := unix.CmsgLen(0) - 8 // cmsg_len is as wide as the machine's words
	if word == 8 {
		binary.NativeEndian.PutUint64(b[at:], uint64(unix.CmsgLen(len(data))))
	} else {
		binary.NativeEndian.PutUint32(b[at:], uint32(unix.CmsgLen(len(data))))
	}
	binary.NativeEndian.PutUint32(b[at+word:], uint32(level))
	binary.NativeEndian.PutUint32(b[at+word+4:], uint32(kind))
	copy(b[at+unix.CmsgLen(0):], data)
	return b
}

// wanted is what filters let through for these flows.
func (f *flows) wanted() *wanted {
	w := &wanted{ports: f.ports}
	add := func(to *[]uint32, n uint32) {
		if !slices.Contains(*to, n) {
			*to = append(*to, n)
		}
	}
	for i := range f.followed {
		flow := &f.followed[i]
		first := f.firsts[i]
		if flow.protocol == packet.ProtoEcho {
			add(&w.echoed, flow.seq)
		} else {
			add(&w.quoted, flow.seq)
			add(&w.acknowledged, flow.last)
			if flow.flags.Has(packet.ACK) {
				add(&w.reset, flow.ack)
			} else {
				add(&w.acknowledged, flow.seq+1) // of a SYN without its payload
			}
		}
		w.leave(flow, first, f)
	}
	return w
}

// leave adds how the probes of a flow should leave.
func (w *wanted) leave(flow *followed, first word, f *flows) {
	l := leaving{echo: flow.protocol == packet.ProtoEcho, src: flow.src.Addr(), port: flow.dst.Port(), mark: f.mark}
	if flow.index != 0 {
		l.indexes = append([]int{flow.index}, f.below...)
	}
	alike := func(o leaving) bool {
		return o.echo == l.echo && o.src == l.src && o.port == l.port && slices.Equal(o.indexes, l.indexes)
	}
	i := slices.IndexFunc(w.leaving, alike)
	if i < 0 {
		i, w.leaving = len(w.leaving), append(w.leaving, l)
	}
	to := &w.leaving[i].to
	k := slices.IndexFunc(*to, func(d destination) bool { return d.addr == flow.dst.Addr() })
	if k < 0 {
		k, *to = len(*to), append(*to, destination{addr: flow.dst.Addr()})
	}
	d := &(*to)[k]
	if !slices.Contains(d.seqs, flow.seq) {
		d.seqs = append(d.seqs, flow.seq)
	}
	d.first = append(d.first, first)
}
