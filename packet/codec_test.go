package packet

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
)

// The bytes that the codec rows quote: a bare SYN of either family.
const (
	bare4 = `450000281234000001061775c6120101c61203029c4001bb0102030400000000500200007db90000`
	bare6 = `600123450014060120010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304
		0000000050020000b2680000`
)

// codec is the one table for both directions: what is encoded must give these
// bytes, and these bytes, decoded, what was encoded. The bytes were made by scapy.
var codec = []struct {
	name  string
	value any // Probe, *Segment or *ICMPError; of the latter Quote is filled in by the test
	bytes string
}{
	{"probe v4, bare", Probe{Src: src4, Dst: dst4, TTL: 1, ID: 0x1234, Seq: 0x01020304, Flags: SYN}, bare4},
	{"probe v4, Linux options, ECN, DF, TOS",
		Probe{Src: src4, Dst: dst4, TTL: 255, TOS: 0x28, ID: 0x1234, DontFragment: true, Seq: 0x01020304, Flags: SYN | ECE | CWR, Window: 64240, Options: linuxSYN(99)},
		`4528003c12344000ff06d937c6120101c61203029c4001bb0102030400000000a0c2faf019c30000020405b40402080a
		000000630000000001030307`},
	{"probe v4, payload",
		Probe{Src: src4, Dst: dst4, TTL: 1, ID: 0x1234, Seq: 0x01020304, Flags: SYN, Length: 60},
		`4500003c1234000001061761c6120101c61203029c4001bb010203040000000050020000557300006162636465666768
		696a6b6c6d6e6f7071727374`},
	{"probe v6, ACK",
		Probe{Src: src6, Dst: dst6, TTL: 1, FlowLabel: 0x12345, Seq: 0x01020304, Ack: 0xfffefdfc, Flags: ACK, Window: 1},
		`600123450014060120010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304
		fffefdfc50100001b45d0000`},
	{"probe v6, Linux options, traffic class",
		Probe{Src: src6, Dst: dst6, TTL: 64, TOS: 0xb8, FlowLabel: 0x12345, Seq: 0x01020304, Flags: SYN, Window: 64800, Options: linuxSYN(99)},
		`6b8123450028064020010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304
		00000000a002fd204d020000020405b40402080a000000630000000001030307`},
	{"probe v6, AccECN, odd payload longer than the alphabet",
		Probe{Src: src6, Dst: dst6, TTL: 1, FlowLabel: 0x12345, Seq: 0x01020304, Flags: SYN | ECE | CWR | AE, Window: 64800, Options: linuxSYN(99), Length: 107},
		`600123450043060120010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304
		00000000a1c2fd205b8b0000020405b40402080a0000006300000000010303076162636465666768696a6b6c6d6e6f70
		7172737475767778797a61`},
	{"segment v4, SYN+ACK",
		&Segment{Src: dst4, Dst: src4, TTL: 62, DontFragment: true, Seq: 5, Ack: 6, Flags: SYN | ACK, Window: 65160, Options: must(Options{}.WithMSS(1260))},
		`4500002c000040003e06aca4c6120302c612010101bb9c4000000005000000066012fe886c270000020404ec`},
	{"segment v6, RST, urgent pointer, odd payload",
		&Segment{Src: dst6, Dst: src6, TTL: 62, FlowLabel: 1, Seq: 5, Ack: 6, Flags: RST | ACK | URG, Urgent: 7, Payload: []byte("\x00\xffx")},
		`600000010017063e20010db800030000000000000000000220010db800010000000000000000000101bb9c4000000005
		00000006503400003d28000700ff78`},
	{"v4 time exceeded, the RFC 792 minimum",
		&ICMPError{Src: rtr4, Dst: src4.Addr(), TTL: 64, TOS: 0xc0, ID: 9, Type: 11, QuoteLength: 28},
		`45c00038000900004001ead4c6120202c61201010b0052fe00000000450000281234000001061775c6120101c6120302
		9c4001bb01020304`},
	{"v4 time exceeded, whole quote",
		&ICMPError{Src: rtr4, Dst: src4.Addr(), TTL: 64, TOS: 0xc0, ID: 9, Type: 11},
		`45c00044000900004001eac8c6120202c61201010b00854200000000450000281234000001061775c6120101c6120302
		9c4001bb0102030400000000500200007db90000`},
	{"v4 fragmentation needed",
		&ICMPError{Src: rtr4, Dst: src4.Addr(), TTL: 64, ID: 9, Type: 3, Code: 4, MTU: 1300},
		`45000044000900004001eb88c6120202c61201010304882a00000514450000281234000001061775c6120101c6120302
		9c4001bb0102030400000000500200007db90000`},
	{"v4 parameter problem",
		&ICMPError{Src: rtr4, Dst: src4.Addr(), TTL: 64, ID: 9, Type: 12, Pointer: 20},
		`45000044000900004001eb88c6120202c61201010c00704214000000450000281234000001061775c6120101c6120302
		9c4001bb0102030400000000500200007db90000`},
	{"v6 time exceeded",
		&ICMPError{Src: rtr6, Dst: src6.Addr(), TTL: 64, FlowLabel: 3, Type: 3},
		`6000000300443a4020010db800020000000000000000000220010db8000100000000000000000001030017c800000000
		600123450014060120010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304
		0000000050020000b2680000`},
	{"v6 reject route",
		&ICMPError{Src: rtr6, Dst: src6.Addr(), TTL: 64, Type: 1, Code: 6},
		`6000000000443a4020010db800020000000000000000000220010db8000100000000000000000001010619c200000000
		600123450014060120010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304
		0000000050020000b2680000`},
	{"v6 packet too big",
		&ICMPError{Src: rtr6, Dst: src6.Addr(), TTL: 64, Type: 2, MTU: 70000},
		`6000000000443a4020010db800020000000000000000000220010db80001000000000000000000010200075700011170
		600123450014060120010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304
		0000000050020000b2680000`},
	{"v6 parameter problem, quote cut",
		&ICMPError{Src: rtr6, Dst: src6.Addr(), TTL: 64, Type: 4, Code: 1, Pointer: 0x01020304, QuoteLength: 48},
		`6000000000383a4020010db800020000000000000000000220010db80001000000000000000000010401153801020304
		600123450014060120010db800010000000000000000000120010db80003000000000000000000029c4001bb01020304`},
}

func TestCodec(t *testing.T) {
	for _, c := range codec {
		t.Run(c.name, func(t *testing.T) {
			want := unhex(t, c.bytes)
			prefix := []byte("prefix")
			var got []byte
			var err error
			switch v := c.value.(type) {
			case Probe:
				got, err = v.AppendBinary(prefix)
			case *Segment:
				got, err = AppendTCP(prefix, v)
			case *ICMPError:
				v.Quote = unhex(t, bare4)
				if v.Src.Is6() {
					v.Quote = unhex(t, bare6)
				}
				got, err = AppendICMP(prefix, v)
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "prefix"+string(want) {
				t.Errorf("encoded:\n%x\nwant:\n%x", got[len(prefix):], want)
			}

			var r Reply
			if err := Parse(want, &r); err != nil {
				t.Fatal(err)
			}
			if r.Checksum != CheckGood || r.IP.Version == 4 && r.IP.Checksum != CheckGood {
				t.Errorf("checksums: IP %v, upper layer %v", r.IP.Checksum, r.Checksum)
			}
			switch v := c.value.(type) {
			case Probe:
				if got := probeOf(&r.IP, &r.TCP); got != v {
					t.Errorf("decoded:\n%+v\nwant:\n%+v", got, v)
				}
			case *Segment:
				if got := segmentOf(&r); !reflect.DeepEqual(got, v) {
					t.Errorf("decoded:\n%+v\nwant:\n%+v", got, v)
				}
			case *ICMPError:
				got := ICMPError{Src: r.IP.Src, Dst: r.IP.Dst, TTL: r.IP.TTL, TOS: r.IP.TOS, ID: r.IP.ID, FlowLabel: r.IP.FlowLabel,
					DontFragment: r.IP.DontFragment, Type: r.Type, Code: r.Code, MTU: r.MTU, Pointer: r.Pointer, Quote: v.Quote, QuoteLength: v.QuoteLength}
				if !reflect.DeepEqual(&got, v) {
					t.Errorf("decoded:\n%+v\nwant:\n%+v", got, v)
				}
				p := Probe{Src: src4, ID: 0x1234, Seq: 0x01020304}
				if v.Src.Is6() {
					p = Probe{Src: src6, Seq: 0x01020304}
				}
				if r.Quote.Key() != p.Key() {
					t.Errorf("key %+v, want %+v", r.Quote.Key(), p.Key())
				}
			}
		})
	}
}

// probeOf is the probe that makes the packet with these headers.
func probeOf(h *IP, t *TCP) Probe {
	p := Probe{
		TTL: h.TTL, TOS: h.TOS, ID: h.ID, FlowLabel: h.FlowLabel, DontFragment: h.DontFragment,
		Seq: t.Seq, Ack: t.Ack, Flags: t.Flags, Window: t.Window, Options: t.Options,
	}
	p.Src, p.Dst = endpoints(h, t)
	if len(t.Payload) > 0 {
		p.Length = uint16(h.TotalLength)
	}
	return p
}

// TestEncodeErrors: what can't be encoded is refused, and leaves b as it was.
func TestEncodeErrors(t *testing.T) {
	mapped := netip.AddrPortFrom(netip.AddrFrom16(src4.Addr().As16()), 1)
	probe := func(change func(*Probe)) func([]byte) ([]byte, error) {
		p := probe4()
		change(&p)
		return p.AppendBinary
	}
	segment := func(change func(*Segment)) func([]byte) ([]byte, error) {
		s := Segment{Src: src6, Dst: dst6}
		change(&s)
		return func(b []byte) ([]byte, error) { return AppendTCP(b, &s) }
	}
	icmp := func(change func(*ICMPError)) func([]byte) ([]byte, error) {
		e := ICMPError{Src: rtr6, Dst: src6.Addr(), Type: ICMPv6TimeExceeded, Quote: must(probe6().AppendBinary(nil))}
		change(&e)
		return func(b []byte) ([]byte, error) { return AppendICMP(b, &e) }
	}
	object := must(AppendMPLS(nil, Label{Label: 1}))
	for _, c := range []struct {
		name   string
		encode func([]byte) ([]byte, error)
		want   error
	}{
		{"probe: no addresses", Probe{}.AppendBinary, ErrAddress},
		{"probe: no destination", probe(func(p *Probe) { p.Dst = netip.AddrPort{} }), ErrAddress},
		{"probe: families differ", probe(func(p *Probe) { p.Dst = dst6 }), ErrAddress},
		{"probe: mapped source", probe(func(p *Probe) { p.Src, p.Dst = mapped, dst6 }), ErrAddress},
		{"probe: mapped destination", probe(func(p *Probe) { p.Src, p.Dst = src6, mapped }), ErrAddress},
		{"probe: flow label of 21 bits", probe(func(p *Probe) { p.Src, p.Dst, p.FlowLabel = src6, dst6, 1<<20 }), ErrFlowLabel},
		{"probe: flags of 13 bits", probe(func(p *Probe) { p.Flags = 1 << 12 }), ErrFlags},
		{"segment: families differ", segment(func(s *Segment) { s.Src = src4 }), ErrAddress},
		{"segment: flow label", segment(func(s *Segment) { s.FlowLabel = 1 << 31 }), ErrFlowLabel},
		{"segment: flags", segment(func(s *Segment) { s.Flags = 0x8000 }), ErrFlags},
		{"segment: v6 payload too long", segment(func(s *Segment) { s.Payload = make([]byte, 65516) }), ErrLength},
		{"segment: v4 payload too long", segment(func(s *Segment) { s.Src, s.Dst, s.Payload = src4, dst4, make([]byte, 65496) }), ErrLength},
		{"icmp: families differ", icmp(func(e *ICMPError) { e.Dst = src4.Addr() }), ErrAddress},
		{"icmp: flow label", icmp(func(e *ICMPError) { e.FlowLabel = 1 << 20 }), ErrFlowLabel},
		{"icmp: quote too long", icmp(func(e *ICMPError) { e.Quote, e.QuoteLength = make([]byte, 65528), 65528 }), ErrLength},
		{"icmp: extensions in too big", icmp(func(e *ICMPError) { e.Type, e.Extensions = ICMPv6TooBig, object }), ErrExtensions},
		{"icmp: extensions in an echo", icmp(func(e *ICMPError) { e.Src, e.Dst, e.Type, e.Extensions = rtr4, src4.Addr(), 8, object }), ErrExtensions},
		{"icmp: MTU of 17 bits", icmp(func(e *ICMPError) { e.Src, e.Dst, e.Type, e.Code, e.MTU = rtr4, src4.Addr(), 3, 4, 65536 }), ErrField},
		{"icmp: pointer of 9 bits", icmp(func(e *ICMPError) { e.Src, e.Dst, e.Type, e.Pointer = rtr4, src4.Addr(), 12, 256 }), ErrField},
		{"object too long", func(b []byte) ([]byte, error) { return AppendObject(b, 9, 9, make([]byte, 65532)) }, ErrLength},
		{"label of 21 bits", func(b []byte) ([]byte, error) { return AppendMPLS(b, Label{Label: 1 << 20}) }, ErrLabel},
		{"traffic class of 4 bits", func(b []byte) ([]byte, error) { return AppendMPLS(b, Label{}, Label{TC: 8}) }, ErrLabel},
		{"label stack too high", func(b []byte) ([]byte, error) { return AppendMPLS(b, make([]Label, 16383)...) }, ErrLength},
		{"interface name of 64 bytes", func(b []byte) ([]byte, error) { return AppendInterface(b, Interface{Name: make([]byte, 64)}) }, ErrInterface},
		{"interface name that ends in zero", func(b []byte) ([]byte, error) { return AppendInterface(b, Interface{Name: []byte("x\x00")}) }, ErrInterface},
		{"interface role", func(b []byte) ([]byte, error) { return AppendInterface(b, Interface{Role: 4}) }, ErrInterface},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.encode([]byte("as it was"))
			if !errors.Is(err, c.want) || string(b) != "as it was" {
				t.Errorf("got %q, %v, want %v", b, err, c.want)
			}
		})
	}
}

func TestProbeLengths(t *testing.T) {
	full := must(Options{}.With(254, make([]byte, 38)...))
	for _, c := range []struct {
		p                       Probe
		header, payload, packet int
		next                    uint32
	}{
		{Probe{Src: src4, Dst: dst4, Seq: 1, Flags: SYN}, 40, 0, 40, 2},
		{Probe{Src: src4, Dst: dst4, Seq: 1, Flags: SYN, Length: 39}, 40, 0, 40, 2},
		{Probe{Src: src4, Dst: dst4, Seq: 1, Flags: SYN, Length: 41}, 40, 1, 41, 3},
		{Probe{Src: src4, Dst: dst4, Seq: 1, Flags: ACK}, 40, 0, 40, 1},
		{Probe{Src: src4, Dst: dst4, Seq: 0xffffffff, Flags: SYN | FIN, Length: 65535}, 40, 65495, 65535, 65496},
		{Probe{Src: src4, Dst: dst4, Options: full}, 80, 0, 80, 0},
		{Probe{Src: src6, Dst: dst6, Options: full, Length: 1500}, 100, 1400, 1500, 1400},
		{Probe{Src: src6, Dst: dst6, Options: must(Options{}.WithWindowScale(1)), Length: 65535}, 64, 65471, 65535, 65471},
	} {
		b, err := c.p.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.p.HeaderLength() != c.header || c.p.PayloadLength() != c.payload || len(b) != c.packet || c.p.NextSeq() != c.next {
			t.Errorf("%+v: header %d, payload %d, packet %d, next %d", c.p, c.p.HeaderLength(), c.p.PayloadLength(), len(b), c.p.NextSeq())
		}
		var r Reply
		if err := Parse(b, &r); err != nil || r.Checksum != CheckGood || len(r.TCP.Payload) != c.payload {
			t.Errorf("%+v: %v, checksum %v, payload %d", c.p, err, r.Checksum, len(r.TCP.Payload))
		}
		for _, x := range r.TCP.Payload {
			if x < 'a' || x > 'z' {
				t.Fatalf("payload byte %#x", x)
			}
		}
	}
}

// TestKey: the tag is what tells the probes of one flow apart, in what was sent
// and in what was quoted.
func TestKey(t *testing.T) {
	bare := probe6()
	bare.Options, bare.Window = Options{}, 777
	scoped := probe6()
	scoped.Src = netip.AddrPortFrom(netip.MustParseAddr("fe80::1%eth9"), 40000)
	scoped.Dst = netip.AddrPortFrom(netip.MustParseAddr("fe80::2%eth9"), 443)
	plain := probe4()
	plain.Options = Options{}
	// Found by fuzzing: the zeros of the padding are the rest of the option.
	padded := probe6()
	padded.Options = ParseOptions([]byte{48, 2, OptionTimestamps, 10, 1, 2, 3, 4, 5})
	for _, c := range []struct {
		name string
		p    Probe
		tag  uint32
	}{
		{"v4: the IP ID", probe4(), 0x1234},
		{"v4 without options: the IP ID", plain, 0x1234},
		{"v6: TSval", probe6(), 99},
		{"v6 without timestamps: the window", bare, 777},
		{"v6 with a zone", scoped, 99},
		{"v6: timestamps completed by the padding", padded, 0x01020304},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := Key{Port: 40000, Seq: 0x01020304, Tag: c.tag}
			if c.p.Key() != want {
				t.Errorf("probe: %+v, want %+v", c.p.Key(), want)
			}
			var r Reply
			if err := Parse(timeExceeded(c.p), &r); err != nil || r.Kind != KindTimeExceeded {
				t.Fatal(err, r.Kind)
			}
			if !r.Quote.HasKey() || r.Quote.Key() != want {
				t.Errorf("quote: %+v, want %+v", r.Quote.Key(), want)
			}
			if c.p.FlowLabel != r.Quote.IP.FlowLabel && c.p.Src.Addr().Is6() {
				t.Errorf("flow label %#x", r.Quote.IP.FlowLabel)
			}
		})
	}
}

// TestHasKey: how much must be quoted before a key means something.
func TestHasKey(t *testing.T) {
	for _, c := range []struct {
		p    Probe
		want int // bytes of TCP header
	}{
		{probe4(), 8}, {probe6(), 40},
		{Probe{Src: src6, Dst: dst6, Seq: 1, Flags: SYN, Window: 5}, 20},
	} {
		b := must(c.p.AppendBinary(nil))
		ip := c.p.HeaderLength() - tcpHeaderLen - c.p.Options.Len()
		for n := ip; n <= len(b); n++ {
			e := icmpAbout(c.p, b)
			e.QuoteLength = n
			var r Reply
			if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil {
				t.Fatal(err)
			}
			if got := r.Quote.HasKey(); got != (n-ip >= c.want) {
				t.Errorf("%v: %d bytes of TCP: %v", c.p.Src, n-ip, got)
			} else if got && r.Quote.Key() != c.p.Key() {
				t.Errorf("%v: %d bytes of TCP: %+v", c.p.Src, n-ip, r.Quote.Key())
			}
		}
	}
}

func TestClone(t *testing.T) {
	for _, c := range captures(t) {
		b := append([]byte(nil), c.bytes...)
		var r Reply
		if err := Parse(b, &r); err != nil {
			t.Fatal(err)
		}
		clone := r.Clone()
		if !reflect.DeepEqual(clone, &r) {
			t.Errorf("%s: clone differs", c.name)
		}
		before := fields(&r)
		clear(b)
		if got := fields(clone); !reflect.DeepEqual(got, before) {
			t.Errorf("%s: the clone shares bytes with the input: %v, want %v", c.name, got, before)
		}
	}
	empty := (&Reply{}).Clone()
	if !reflect.DeepEqual(empty, &Reply{}) {
		t.Errorf("clone of nothing: %+v", empty)
	}
}

func TestStrings(t *testing.T) {
	for _, c := range []struct {
		got  fmt.Stringer
		want string
	}{
		{Flags(0), "0"}, {SYN | ACK, "SYN|ACK"}, {FIN | AE, "FIN|AE"}, {RST | 0x600, "RST|0x600"}, {Flags(0x800), "0x800"},
		{FIN | SYN | RST | PSH | ACK | URG | ECE | CWR | AE, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR|AE"},
		{CheckUnknown, "unknown"}, {CheckGood, "good"}, {CheckBad, "bad"},
		{KindOther, "other"}, {KindTCP, "tcp"}, {KindTimeExceeded, "time exceeded"}, {KindUnreachable, "unreachable"},
		{KindTooBig, "too big"}, {KindParameterProblem, "parameter problem"}, {KindEcho, "echo reply"}, {ProtoTCP, "tcp"}, {ProtoEcho, "echo"},
	} {
		if c.got.String() != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	if !(SYN | ACK).Has(SYN) || SYN.Has(SYN|ACK) || !SYN.Has(0) {
		t.Error("Has")
	}
}

func TestCompleteChecksums(t *testing.T) {
	for _, p := range []Probe{probe4(), probe6()} {
		good := must(p.AppendBinary(nil))
		n := p.HeaderLength() - tcpHeaderLen - p.Options.Len()
		bad := append([]byte(nil), good...)
		bad[n+16], bad[n+17] = 0xde, 0xad
		bad = append(bad, "link padding"...)
		if !CompleteTCPChecksum(bad) || string(bad[:len(good)]) != string(good) || string(bad[len(good):]) != "link padding" {
			t.Errorf("TCP: %x, want %x", bad, good)
		}
		if CompleteTCPChecksum(good[:len(good)-1]) {
			t.Error("TCP: completed a truncated packet")
		}
		fragment := append([]byte(nil), good...)
		if p.Src.Addr().Is4() {
			fragment[6] |= 0x20
			if CompleteTCPChecksum(fragment) {
				t.Error("TCP: completed a fragment")
			}
			good[8]-- // a router's TTL
			if CompleteIPChecksum(good[:19]) || !CompleteIPChecksum(good) {
				t.Error("IP: completed half a header, or not a whole one")
			}
			var r Reply
			if err := Parse(good, &r); err != nil || r.IP.Checksum != CheckGood || r.IP.TTL != 0 {
				t.Errorf("IP: %v %v", err, r.IP)
			}
			good[0] = 0x44
			if CompleteIPChecksum(good) {
				t.Error("IP: completed a header of 16 bytes")
			}
			good[0] = 0x4f
			if CompleteIPChecksum(good[:59]) {
				t.Error("IP: completed a header cut short")
			}
		} else if CompleteIPChecksum(good) {
			t.Error("IP: completed IPv6")
		}
	}
	if CompleteTCPChecksum(timeExceeded(probe4())) {
		t.Error("TCP: completed ICMP")
	}
	// What offload left unfinished on a veth device, and what the kernel would have sent.
	done := 0
	for _, c := range captures(t) {
		var r Reply
		if err := Parse(c.bytes, &r); err != nil {
			t.Fatal(err)
		}
		if c.file == "offload.txt" && r.Kind == KindTCP && r.Checksum == CheckBad {
			if !CompleteTCPChecksum(c.bytes) || Parse(c.bytes, &r) != nil || r.Checksum != CheckGood {
				t.Errorf("%s: not completed", c.name)
			}
			done++
		}
	}
	if done < 5 {
		t.Errorf("%d packets with unfinished checksums, want at least 5", done)
	}
}

func TestChecksum(t *testing.T) {
	// RFC 1071 3.
	if got := Checksum(unhex(t, "0001f203f4f5f6f7")); got != 0x220d {
		t.Errorf("%#x", got)
	}
	if Checksum(nil) != 0xffff {
		t.Errorf("%#x", Checksum(nil))
	}
	// An odd last byte, and what all ones and all zeros do to the carry.
	for n := range 300 {
		for _, fill := range []byte{0, 1, 0x80, 0xff} {
			b := make([]byte, n)
			for i := range b {
				b[i] = fill
			}
			if got, want := Checksum(b), slowChecksum(b); got != want {
				t.Errorf("%d times %#x: %#x, want %#x", n, fill, got, want)
			}
		}
	}
}

// slowChecksum is RFC 1071 word by word.
func slowChecksum(b []byte) uint16 {
	acc := uint32(0)
	for i, x := range b {
		if i%2 == 0 {
			acc += uint32(x) << 8
		} else {
			acc += uint32(x)
		}
		acc = acc&0xffff + acc>>16
	}
	return ^uint16(acc)
}
