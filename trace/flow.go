package trace

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// Flow makes the probes of one flow. They are as alike as retransmissions, so that they take one path and no firewall
// minds them: only TTL and tag differ. The tag is what tells them apart in answers.
type Flow struct {
	o        PathOptions
	seq, ack uint32
	labels   uint64 // IPv6: what flow labels are made of; 0: all are 0
	tag      uint32 // of the last probe, growing as a real TSval does
	ids      ids    // IP IDs (IPv4) and echo sequence numbers
	sent     int
}

// NewFlow is the flow that o describes: its source and target, and what its packets look like. The error is that of
// Validate, or says that the addresses don't go together.
func NewFlow(o PathOptions) (*Flow, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := o.validateFlow(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	f := &Flow{o: o, seq: o.Rand.Uint32(), tag: 1 + o.Rand.Uint32N(1<<31)}
	if o.Flags.Has(packet.ACK) {
		f.ack = o.Rand.Uint32()
	}
	if in := o.Session; in != nil {
		f.seq, f.ack, f.tag = in.Next, in.Ack, in.TSval
	}
	if o.Source.Addr().Is6() && o.Session == nil { // whose own label is 0
		if f.labels = o.LabelSeed; f.labels == 0 {
			f.labels = o.Rand.Uint64()
		}
	}
	f.ids.key = o.Rand.Uint64()
	return f, nil
}

// Probe makes the next probe. It goes by the source's port, or by the next one of Ports.
func (f *Flow) Probe(ttl int) packet.Probe {
	port := f.o.Source.Port()
	if n := len(f.o.Ports); n > 0 {
		port = f.o.Ports[f.sent%n]
	}
	return f.ProbeBy(port, ttl)
}

// ProbeBy makes the next probe, which goes by this source port: a router that balances by ports may take it for another
// flow.
func (f *Flow) ProbeBy(port uint16, ttl int) packet.Probe {
	f.sent++
	f.tag++
	p := f.packet(withPort(f.o.Source, port), f.tag)
	p.TTL = uint8(ttl)
	if p.Src.Addr().Is4() {
		p.ID = f.ids.next()
	}
	if p.Protocol == packet.ProtoEcho {
		p.EchoSeq = f.ids.next()
	}
	return p
}

// Sized makes the next probe, which is so long in bytes and must not be fragmented.
func (f *Flow) Sized(ttl, length int) packet.Probe {
	p := f.Probe(ttl)
	p.DontFragment = true
	if in := f.o.Session; in != nil {
		in.repeat(&p, length)
		return p
	}
	p.Length = uint16(length)
	p.Seq -= uint32(p.PayloadLength()) // a host that acknowledges the payload of a SYN is to be understood
	return p
}

// send sends a probe of the flow that waits so long, with the trust that the options ask for.
func (f *Flow) send(p packet.Probe, wait time.Duration) Action {
	a := Action{Do: DoSend, Probe: p, Wait: wait}
	if f.o.Strict {
		a.Trust |= TrustStrict
	}
	if f.o.Loose {
		a.Trust |= TrustLoose
	}
	return a
}

// Length is how long a packet is in bytes if this length is asked for: at least its headers.
func (f *Flow) Length(wanted int) int {
	p := f.packet(f.o.Source, 0)
	return max(wanted, p.HeaderLength())
}

// packet is a probe without TTL and IP ID. The tag goes into the timestamps option, if there is one: the target echoes
// it. IPv6, whose packets have no ID, always has one; if there is no room for it, the tag goes into the window.
func (f *Flow) packet(src netip.AddrPort, tag uint32) packet.Probe {
	p := packet.Probe{
		Protocol: f.o.Protocol, Src: src, Dst: f.o.Target, TOS: uint8(f.o.TOS), DontFragment: f.o.DontFragment,
		Seq: f.seq, FlowLabel: f.label(src.Port()), Length: uint16(f.o.Length),
	}
	if p.Protocol == packet.ProtoEcho {
		return p
	}
	p.Ack, p.Flags, p.Window, p.Options = f.ack, f.o.Flags, f.o.Window, f.o.Options
	if !stamp(&p.Options, tag) && src.Addr().Is6() {
		if o, err := p.Options.WithTimestamps(tag, 0); err == nil {
			p.Options = o
		} else {
			p.Window = uint16(tag)
		}
	}
	if f.o.Session != nil {
		p.FlowLabel = f.o.Session.FlowLabel
		f.o.Session.repeat(&p, 0)
	}
	return p
}

// label is the IPv6 flow label of the flow from a source port. Each flow has its own, as a kernel's connections have: a
// router that chooses the way by the label must not take two flows for one (RFC 6437 3).
func (f *Flow) label(port uint16) uint32 {
	if f.labels == 0 {
		return 0
	}
	return 1 + uint32(scramble(f.labels+uint64(port))%mostLabel)
}

// mostLabel is the highest flow label.
const mostLabel = 1<<20 - 1

// stamp writes TSval, and reports whether there is an option that it belongs into.
func stamp(o *packet.Options, val uint32) bool {
	for option := range o.All() {
		if option.Kind == packet.OptionTimestamps && len(option.Data) == 8 {
			copy(option.Data, []byte{byte(val >> 24), byte(val >> 16), byte(val >> 8), byte(val)})
			return true
		}
	}
	return false
}

// scramble is a number that looks random, and is another for each x (the finalizer of SplitMix64).
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ids are 16-bit numbers that look random, of which each comes once before any comes again: count encrypted. Nothing
// has to be remembered of those in use.
type ids struct {
	key   uint64
	count uint16
}

// next is an ID that no other probe in flight has. 0 is left to the kernel, which would fill it in.
func (n *ids) next() uint16 {
	for {
		n.count++
		left, right := byte(n.count>>8), byte(n.count)
		for round := range uint64(4) { // of a Feistel network, which maps each number to another
			left, right = right, left^byte(scramble(n.key+round<<8+uint64(right)))
		}
		if id := uint16(left)<<8 | uint16(right); id != 0 {
			return id
		}
	}
}
