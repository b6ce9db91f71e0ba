package packet

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// TestAllocs: decoding allocates nothing, and neither does encoding into a buffer
// that is large enough.
func TestAllocs(t *testing.T) {
	var r Reply
	for _, c := range captures(t) {
		if n := testing.AllocsPerRun(10, func() {
			if Parse(c.bytes, &r) != nil {
				t.Error(c.name)
			}
			walk(&r)
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
	buf := make([]byte, 0, 2000)
	p4, p6 := probe4(), probe6()
	p6.Length = 1500
	s := &Segment{Src: dst6, Dst: src6, Flags: SYN | ACK, Options: linuxSYN(1)}
	quote := must(p6.AppendBinary(nil))
	e := icmpAbout(p6, quote)
	e.Extensions = must(AppendMPLS(nil, Label{Label: 1}))
	for name, f := range map[string]func() error{
		"probe v4":         func() error { return second(p4.AppendBinary(buf)) },
		"probe v6":         func() error { return second(p6.AppendBinary(buf)) },
		"probe with error": func() error { p := p4; p.Dst = dst6; _, _ = p.AppendBinary(buf); return nil },
		"segment":          func() error { return second(AppendTCP(buf, s)) },
		"icmp error":       func() error { return second(AppendICMP(buf, &e)) },
		"completed":        func() error { CompleteTCPChecksum(quote); return nil },
		"key":              func() error { p6.Key(); p4.NextSeq(); return nil },
	} {
		if n := testing.AllocsPerRun(10, func() {
			if err := f(); err != nil {
				t.Error(name, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// largest are packets of 64 KiB that make the decoders work as hard as they can.
func largest(tb testing.TB) map[string][]byte {
	const most = 65535
	all := map[string][]byte{}
	for _, p := range []Probe{probe4(), probe6()} {
		v, head := 4, 20
		if p.Src.Addr().Is6() {
			v, head = 6, 40
		}
		long := p
		long.Length = most
		b := must(long.AppendBinary(nil))
		all[fmt.Sprintf("v%d segment", v)] = b

		e := icmpAbout(p, b)
		e.QuoteLength = most - 100
		all[fmt.Sprintf("v%d quote", v)] = must(AppendICMP(nil, &e))

		room := most - head - icmpHeaderLen - minExtendedQuote - extensionHeaderLen
		e = icmpAbout(p, must(p.AppendBinary(nil)))
		e.Extensions = slices.Repeat([]byte{0, 4, ClassMPLS, 1}, room/4)
		all[fmt.Sprintf("v%d empty objects", v)] = must(AppendICMP(nil, &e))
		e.Extensions = must(AppendMPLS(nil, make([]Label, room/4-1)...))
		all[fmt.Sprintf("v%d label stack", v)] = must(AppendICMP(nil, &e))
		e.Extensions = slices.Repeat(must(AppendInterface(nil, Interface{Role: 2, Index: 1, Addr: rtr6, Name: []byte("e0"), MTU: 9000})), room/36)
		all[fmt.Sprintf("v%d interfaces", v)] = must(AppendICMP(nil, &e))
		e.NonCompliant = true
		all[fmt.Sprintf("v%d interfaces, old form", v)] = must(AppendICMP(nil, &e))
	}
	chain := chained(probe6Bytes(), slices.Repeat([]byte{headerDestOpts}, 8)...)
	all["v6 extension headers"] = append(chain, make([]byte, most-len(chain))...)
	for _, fill := range []byte{0x00, 0x01, 0x40, 0x45, 0x60, 0xff} {
		all[fmt.Sprintf("%d times %#x", most+1, fill)] = slices.Repeat([]byte{fill}, most+1)
	}
	for name, b := range all {
		if len(b) < most-100 {
			tb.Errorf("%s: only %d bytes", name, len(b))
		}
	}
	return all
}

func probe6Bytes() []byte { return must(probe6().AppendBinary(nil)) }

// TestLimits: 64 KiB of input allocate nothing, in every decoder. BenchmarkLargest says how long they take.
func TestLimits(t *testing.T) {
	for name, b := range largest(t) {
		t.Run(name, func(t *testing.T) {
			var r Reply
			if n := testing.AllocsPerRun(5, func() { _ = Parse(b, &r); walk(&r) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// BenchmarkLargest reads what fills a packet of 64 KiB: it should take less than 1 ms.
func BenchmarkLargest(b *testing.B) {
	all := largest(b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			var r Reply
			for b.Loop() {
				_ = Parse(all[name], &r)
				walk(&r)
			}
		})
	}
}

// benchmarks are the packets that a trace sees most.
func benchmarks() []struct {
	name string
	b    []byte
} {
	type packet = struct {
		name string
		b    []byte
	}
	var all []packet
	for _, p := range []Probe{probe4(), probe6()} {
		v, bare := "v4", p
		if p.Src.Addr().Is6() {
			v = "v6"
		}
		bare.Options = Options{}
		e := icmpAbout(p, must(p.AppendBinary(nil)))
		e.Extensions = must(AppendMPLS(nil, Label{Label: 16, Bottom: true}))
		least := icmpAbout(p, e.Quote)
		least.QuoteLength = p.HeaderLength() - 32
		s := &Segment{Src: p.Dst, Dst: p.Src, Flags: SYN | ACK, Options: p.Options}
		rst := &Segment{Src: p.Dst, Dst: p.Src, Flags: RST | ACK}
		all = append(all,
			packet{v + "/time exceeded, 8 bytes", must(AppendICMP(nil, &least))},
			packet{v + "/time exceeded, bare SYN", timeExceeded(bare)},
			packet{v + "/time exceeded, SYN with options", timeExceeded(p)},
			packet{v + "/time exceeded, MPLS", must(AppendICMP(nil, &e))},
			packet{v + "/SYN+ACK", must(AppendTCP(nil, s))},
			packet{v + "/RST", must(AppendTCP(nil, rst))},
		)
	}
	return all
}

func BenchmarkParse(b *testing.B) {
	for _, c := range benchmarks() {
		b.Run(c.name, func(b *testing.B) {
			var r Reply
			b.ReportAllocs()
			for b.Loop() {
				if err := Parse(c.b, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGopacket reads the same headers, the quoted ones too where it can (it
// refuses the 8 bytes of RFC 792), but no extensions, and verifies no checksum.
func BenchmarkGopacket(b *testing.B) {
	var (
		ip4, quoted4 layers.IPv4
		ip6, quoted6 layers.IPv6
		tcp          layers.TCP
		icmp4        layers.ICMPv4
		icmp6        layers.ICMPv6
		payload      gopacket.Payload
		decoded      []gopacket.LayerType
	)
	for _, c := range benchmarks() {
		first := layers.LayerTypeIPv4
		if c.b[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
		p := gopacket.NewDecodingLayerParser(first, &ip4, &ip6, &tcp, &icmp4, &icmp6, &payload)
		p.IgnoreUnsupported = true
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := p.DecodeLayers(c.b, &decoded); err != nil {
					b.Fatal(err)
				}
				switch decoded[1] {
				case layers.LayerTypeICMPv4:
					_ = quoted4.DecodeFromBytes(icmp4.Payload, gopacket.NilDecodeFeedback)
					_ = tcp.DecodeFromBytes(quoted4.Payload, gopacket.NilDecodeFeedback)
				case layers.LayerTypeICMPv6:
					_ = quoted6.DecodeFromBytes(icmp6.Payload[4:], gopacket.NilDecodeFeedback)
					_ = tcp.DecodeFromBytes(quoted6.Payload, gopacket.NilDecodeFeedback)
				}
			}
		})
	}
}

func BenchmarkAppendProbe(b *testing.B) {
	for name, p := range map[string]Probe{"v4": probe4(), "v6": probe6()} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 1500)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.AppendBinary(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKey(b *testing.B) {
	var r Reply
	if err := Parse(timeExceeded(probe6()), &r); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r.Quote.Key()
	}
}
