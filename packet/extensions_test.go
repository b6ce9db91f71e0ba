package packet

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

// TestExtensionLayout: where AppendICMP puts things, in both forms.
func TestExtensionLayout(t *testing.T) {
	object := must(AppendMPLS(nil, Label{Label: 299792, TC: 3, Bottom: true, TTL: 1}))
	long4, long6 := probe4(), probe6()
	long4.Length, long6.Length = 1500, 1500
	for _, c := range []struct {
		p            Probe
		cut          int
		nonCompliant bool
		region       int // bytes in front of the extensions
		field        byte
	}{
		{probe4(), 0, false, 128, 32},
		{probe4(), 0, true, 128, 0},
		{probe4(), 28, false, 128, 32},
		{probe4(), 28, true, 128, 0},
		{probe6(), 48, false, 128, 16},
		{probe6(), 0, false, 128, 16},
		{probe6(), 0, true, 128, 0},
		{long4, 130, false, 128, 32}, // cut to a multiple of 4
		{long4, 132, false, 132, 33},
		{long4, 1500, false, 1020, 255}, // what the length field can say
		{long4, 1500, true, 128, 0},
		{long4, 0, false, 536, 134},  // 576 - 20 - 8 - 12, and so a multiple of 4 already
		{long6, 0, false, 1216, 152}, // 1280 - 40 - 8 - 16 = 1220, cut to a multiple of 8
		{long6, 137, false, 136, 17},
		{long6, 1500, false, 1500 / 8 * 8, 187},
	} {
		name := fmt.Sprintf("%v cut to %d, non-compliant %v", c.p.Src.Addr(), c.cut, c.nonCompliant)
		quote := must(c.p.AppendBinary(nil))
		e := icmpAbout(c.p, quote)
		e.QuoteLength, e.NonCompliant, e.Extensions = c.cut, c.nonCompliant, object
		b := must(AppendICMP(nil, &e))
		head := ipv4HeaderLen
		field := 5
		if c.p.Src.Addr().Is6() {
			head, field = ipv6HeaderLen, 4
		}
		msg := b[head:]
		if msg[field] != c.field || len(msg) != icmpHeaderLen+c.region+extensionHeaderLen+len(object) {
			t.Errorf("%s: length field %d, message of %d bytes", name, msg[field], len(msg))
			continue
		}
		region := msg[icmpHeaderLen:][:c.region]
		quoted := min(len(quote), c.region)
		if c.cut > 0 && c.cut < quoted {
			quoted = c.cut
		}
		if !bytes.Equal(region[:quoted], quote[:quoted]) || bytes.Trim(region[quoted:], "\x00") != nil {
			t.Errorf("%s: quote or padding wrong: %x", name, region)
		}
		var r Reply
		if err := Parse(b, &r); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Checksum != CheckGood || r.Extensions.Checksum != CheckGood || r.Extensions.Compliant == c.nonCompliant || objects(&r.Extensions) != "mpls:299792/3/1/1" {
			t.Errorf("%s: %v %+v", name, r.Checksum, r.Extensions)
		}
		// Padding is told from the packet, also where only 8 bytes of TCP are quoted.
		if r.Quote.Bytes != quoted || r.Quote.TCP.Checksum == CheckBad {
			t.Errorf("%s: quote of %d bytes, checksum %v", name, r.Quote.Bytes, r.Quote.TCP.Checksum)
		}
		if has := quoted >= 60; r.Quote.HasKey() != (has || c.p.Src.Addr().Is4()) || r.Quote.HasKey() && r.Quote.Key() != c.p.Key() {
			t.Errorf("%s: key %v %+v", name, r.Quote.HasKey(), r.Quote.Key())
		}
	}
	// 12 bytes of TCP, with an acknowledgement number, and padding.
	ack := probe4()
	ack.Flags, ack.Ack = ACK, 0xfedcba98
	q := must(ack.AppendBinary(nil))
	for n, want := range map[int]int{28: 28, 32: 32} {
		e := icmpAbout(ack, q)
		e.QuoteLength, e.Extensions = n, object
		var r Reply
		if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil || r.Quote.Bytes != want || r.Quote.TCP.HasAck() != (n == 32) {
			t.Errorf("%d bytes of an ACK: %v %+v", n, err, r.Quote)
		}
	}
	// Found by fuzzing: extensions that leave no room in 576 bytes took all of the quote.
	e := icmpAbout(probe4(), must(probe4().AppendBinary(nil)))
	e.Extensions = must(AppendObject(nil, 9, 9, make([]byte, 500)))
	var r Reply
	if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil || r.Quote.Bytes != 60 || r.Quote.TCP.Checksum != CheckGood || r.Extensions.Len() != 508 {
		t.Errorf("long extensions: %v %+v", err, r)
	}
	// Without extensions: no padding, and cut where the RFCs say.
	for _, c := range []struct {
		p    Probe
		want int
	}{{long4, 576}, {long6, 1280}, {probe4(), 20 + 8 + 60}, {probe6(), 40 + 8 + 80}} {
		if b := timeExceeded(c.p); len(b) != c.want {
			t.Errorf("%v: %d bytes, want %d", c.p.Src, len(b), c.want)
		}
	}
}

func TestInterface(t *testing.T) {
	for _, c := range []struct {
		name string
		i    Interface
		hex  string
	}{
		{"nothing but the role", Interface{Role: RoleOutgoing}, "0004 02 80"},
		{"index", Interface{Index: 0x01020304}, "0008 02 08 01020304"},
		{"IPv4 address", Interface{Role: RoleNextHop, Addr: rtr4}, "000c 02 c4 00010000 c6120202"},
		{"IPv6 address", Interface{Role: RoleSubIncoming, Addr: rtr6}, "0018 02 44 00020000 20010db8000200000000000000000002"},
		{"name, padded", Interface{Name: []byte("eth0")}, "000c 02 02 08 65746830 000000"},
		{"name that fits", Interface{Name: []byte("lo0")}, "0008 02 02 04 6c6f30"},
		{"hostile name", Interface{Name: []byte("\x1b]0;")}, "000c 02 02 08 1b5d303b 000000"},
		{"MTU", Interface{MTU: 9000}, "0008 02 01 00002328"},
		{"all", Interface{Role: RoleIncoming, Index: 1, Addr: rtr4, Name: []byte("a"), MTU: 2},
			"0018 02 0f 00000001 00010000c6120202 04610000 00000002"},
		{"longest name", Interface{Name: bytes.Repeat([]byte("n"), 63)}, "0044 02 02 40" + fmt.Sprintf("%x", bytes.Repeat([]byte("n"), 63))},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := unhex(t, c.hex)
			b, err := AppendInterface(nil, c.i)
			if err != nil || !bytes.Equal(b, want) {
				t.Errorf("encoded %x, %v, want %x", b, err, want)
			}
			got, err := Object{want[2], want[3], want[4:]}.Interface()
			if err != nil || !reflect.DeepEqual(got, c.i) {
				t.Errorf("decoded %+v, %v, want %+v", got, err, c.i)
			}
		})
	}
}

// TestInterfaceMalformed: what was good before the malformed part is returned.
func TestInterfaceMalformed(t *testing.T) {
	for _, c := range []struct {
		name  string
		class uint8
		ctype uint8
		data  string
		want  Interface
		err   error
	}{
		{"another class", ClassMPLS, 8, "00000001", Interface{}, ErrObject},
		{"index cut", ClassInterface, 8, "000000", Interface{}, ErrInterface},
		{"address family cut", ClassInterface, 0xcc, "00000001 000100", Interface{Role: RoleNextHop, Index: 1}, ErrInterface},
		{"IPv4 address cut", ClassInterface, 4, "00010000 c61202", Interface{}, ErrInterface},
		{"IPv6 address cut", ClassInterface, 4, "00020000 20010db80001000000000000000000", Interface{}, ErrInterface},
		{"unknown address family", ClassInterface, 4, "00030000 c6120202", Interface{}, ErrInterface},
		{"no name", ClassInterface, 2, "", Interface{}, ErrInterface},
		{"name of length 0", ClassInterface, 2, "00000000", Interface{}, ErrInterface},
		{"name of no multiple of 4", ClassInterface, 2, "06616263 6465", Interface{}, ErrInterface},
		{"name beyond the end", ClassInterface, 2, "08616263", Interface{}, ErrInterface},
		{"name of 68 bytes", ClassInterface, 2, "44" + fmt.Sprintf("%x", make([]byte, 67)), Interface{}, ErrInterface},
		{"MTU cut", ClassInterface, 3, "04616263 0005", Interface{Name: []byte("abc")}, ErrInterface},
		{"name of zeros", ClassInterface, 2, "04000000", Interface{Name: []byte{}}, nil},
		{"more than it says", ClassInterface, 1, "000005dc ffff", Interface{MTU: 1500}, nil},
		{"reserved bits", ClassInterface, 0x31, "000005dc", Interface{MTU: 1500}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Object{c.class, c.ctype, unhex(t, c.data)}.Interface()
			if !errors.Is(err, c.err) || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v; want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestMPLS(t *testing.T) {
	stack := []Label{{16, 0, false, 254}, {0xfffff, 7, false, 255}, {0, 5, true, 0}}
	b := must(AppendMPLS(nil, stack...))
	if want := unhex(t, "0010 01 01 000100fe fffffeff 00000b00"); !bytes.Equal(b, want) {
		t.Errorf("%x, want %x", b, want)
	}
	o := Object{b[2], b[3], b[4:]}
	if got := slices.Collect(o.MPLS()); !reflect.DeepEqual(got, stack) {
		t.Errorf("%v", got)
	}
	o.Data = o.Data[:11] // the last label cut short
	if got := slices.Collect(o.MPLS()); len(got) != 2 {
		t.Errorf("%v", got)
	}
	for range o.MPLS() {
		break
	}
	for _, other := range []Object{{ClassMPLS, 2, o.Data}, {ClassInterface, 1, o.Data}, {0, 0, nil}} {
		if got := slices.Collect(other.MPLS()); got != nil {
			t.Errorf("class %d type %d: %v", other.Class, other.Type, got)
		}
	}
}

func TestObjects(t *testing.T) {
	b := must(AppendObject(nil, 247, 9, []byte("data")))
	b = must(AppendObject(b, 1, 2, nil))
	b = must(AppendMPLS(b, Label{Label: 3}))
	e := Extensions{b: appendExtensions(nil, b)}
	if got := objects(&e); got != "obj:247/9/64617461;obj:1/2/;mpls:3/0/0/0" {
		t.Error(got)
	}
	if !bytes.Equal(e.Bytes(), e.b) || e.Len() != len(e.b) {
		t.Error("Bytes, Len")
	}
	for range e.Objects() {
		break
	}
	none := Extensions{}
	for range none.Objects() {
		t.Error("an object in no extensions")
	}
}

// TestQuoteQuirks: what routers do to the quoted IP header is reported, and does
// not keep the probe from being recognised.
func TestQuoteQuirks(t *testing.T) {
	quote := must(probe4().AppendBinary(nil))
	six := must(probe6().AppendBinary(nil))
	for _, c := range []struct {
		name   string
		p      Probe
		quote  []byte
		change func(q []byte) []byte
		total  int // as reported
		bytes  int
		ip     Check
		tcp    Check
	}{
		{"as sent", probe4(), quote, nil, 60, 60, CheckGood, CheckGood},
		{"TTL counted down, checksum not", probe4(), quote, func(q []byte) []byte { q[8] = 0; return q }, 60, 60, CheckBad, CheckGood},
		{"total length in host order", probe4(), quote, func(q []byte) []byte { q[2], q[3] = q[3], q[2]; return q }, 60 << 8, 60, CheckBad, CheckUnknown},
		{"total length without the header", probe4(), quote, func(q []byte) []byte { q[3] -= 20; return q }, 40, 60, CheckBad, CheckUnknown},
		{"total length 0", probe4(), quote, func(q []byte) []byte { q[3] = 0; return q }, 0, 60, CheckBad, CheckUnknown},
		{"DF in host order", probe4(), quote, func(q []byte) []byte { q[6], q[7] = 0, 0x40; return q }, 60, 60, CheckBad, CheckGood},
		{"destination rewritten, checksums not", probe4(), quote, func(q []byte) []byte { q[19] ^= 1; return q }, 60, 60, CheckBad, CheckBad},
		{"padded", probe4(), quote, func(q []byte) []byte { return append(q, make([]byte, 68)...) }, 60, 60, CheckGood, CheckGood},
		{"cut", probe4(), quote, func(q []byte) []byte { return q[:59] }, 60, 59, CheckGood, CheckUnknown},
		{"sequence number only", probe4(), quote, func(q []byte) []byte { return q[:28] }, 60, 28, CheckGood, CheckUnknown},
		{"v6 as sent", probe6(), six, nil, 80, 80, CheckUnknown, CheckGood},
		{"v6 payload length 0", probe6(), six, func(q []byte) []byte { q[5] = 0; return q }, 40, 80, CheckUnknown, CheckUnknown},
		{"v6 padded", probe6(), six, func(q []byte) []byte { return append(q, make([]byte, 48)...) }, 80, 80, CheckUnknown, CheckGood},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := append([]byte(nil), c.quote...)
			if c.change != nil {
				q = c.change(q)
			}
			e := icmpAbout(c.p, q)
			var r Reply
			if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil {
				t.Fatal(err)
			}
			if r.Kind != KindTimeExceeded {
				t.Fatal(r.Kind)
			}
			if r.Quote.IP.TotalLength != c.total || r.Quote.Bytes != c.bytes || r.Quote.TCP.Have != c.bytes-r.Quote.IP.HeaderLength {
				t.Errorf("total length %d, bytes %d, have %d", r.Quote.IP.TotalLength, r.Quote.Bytes, r.Quote.TCP.Have)
			}
			if r.Quote.IP.Checksum != c.ip || r.Quote.TCP.Checksum != c.tcp {
				t.Errorf("IP checksum %v, TCP checksum %v", r.Quote.IP.Checksum, r.Quote.TCP.Checksum)
			}
			if r.Quote.Key() != c.p.Key() {
				t.Errorf("key %+v", r.Quote.Key())
			}
		})
	}
}

// TestRoutingHeader: with segments left the final destination, and so the
// pseudo-header, is not known; without, it is that of the IPv6 header.
func TestRoutingHeader(t *testing.T) {
	for left, want := range map[byte]Check{0: CheckGood, 1: CheckUnknown} {
		b := must(probe6().AppendBinary(nil))
		routing := append([]byte{protocolTCP, 2, 4, left, 0, 0, 0, 0}, make([]byte, 16)...)
		b = slices.Insert(b, ipv6HeaderLen, routing...)
		b[6] = headerRouting
		b[5] += byte(len(routing))
		var r Reply
		if err := Parse(b, &r); err != nil || r.Kind != KindTCP || r.Checksum != want || r.IP.SegmentsLeft != left || r.IP.HeaderLength != 64 {
			t.Errorf("%d left: %v %v %v %+v", left, err, r.Kind, r.Checksum, r.IP)
		}
		if CompleteTCPChecksum(b) != (left == 0) {
			t.Errorf("%d left: completed", left)
		}
		e := icmpAbout(probe6(), b)
		if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil || r.Quote.TCP.Checksum != want || r.Quote.Key() != probe6().Key() {
			t.Errorf("%d left, quoted: %v %v", left, err, r.Quote.TCP.Checksum)
		}
		// An ICMPv6 error that came with such a header.
		m := timeExceeded(probe6())
		m = slices.Insert(m, ipv6HeaderLen, routing...)
		m[40], m[6] = protocolICMPv6, headerRouting
		m[5] += byte(len(routing))
		if err := Parse(m, &r); err != nil || r.Kind != KindTimeExceeded || r.Checksum != want {
			t.Errorf("%d left, ICMP: %v %v %v", left, err, r.Kind, r.Checksum)
		}
	}
}

// TestFrom: the address is the sender's, an IPv4-mapped one too.
func TestFrom(t *testing.T) {
	b := timeExceeded(probe6())
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	copy(b[8:], mapped.AsSlice())
	var r Reply
	if err := Parse(b, &r); err != nil || r.From() != mapped || r.Checksum != CheckBad {
		t.Error(err, r.From(), r.Checksum)
	}
}

// The bytes of node identification objects, as draft-ietf-intarea-extended-icmp-nodeid has them: reserved bits and what
// follows are ignored.
func TestNode(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes string // with the object's header
		want  Node
		err   error
		exact bool // AppendNode makes the same
	}{
		{"nothing", "0004 05 00", Node{}, nil, true},
		{"IPv4 address", "000c 05 04 00010000 c6120202", Node{Addr: rtr4}, nil, true},
		{"IPv6 address", "0018 05 04 00020000 20010db8000200000000000000000002", Node{Addr: rtr6}, nil, true},
		{"name, padded", "000c 05 02 08 636f7265 000000", Node{Name: []byte("core")}, nil, true},
		{"both", "0014 05 06 00010000 c6120202 08 636f7265 000000", Node{rtr4, []byte("core")}, nil, true},
		{"hostile name", "000c 05 02 08 1b5d303b 000000", Node{Name: []byte("\x1b]0;")}, nil, true},
		{"reserved bits, and more behind", "0014 05 fb 08 636f7265 000000 0102030405060708", Node{Name: []byte("core")}, nil, false},
		{"address cut", "0010 05 06 00020000 20010db8 00020000", Node{}, ErrNode, false},
		{"name cut, behind an address", "0010 05 06 00010000 c6120202 08 636f72", Node{Addr: rtr4}, ErrNode, false},
		{"name of another length", "000c 05 02 07 636f7265 000000", Node{}, ErrNode, false},
		{"another class", "000c 02 02 08 636f7265 000000", Node{}, ErrObject, false},
	} {
		b := unhex(t, c.bytes)
		got, err := Object{b[2], b[3], b[4:]}.Node()
		if err != c.err || got.Addr != c.want.Addr || !bytes.Equal(got.Name, c.want.Name) {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.name, got, err, c.want, c.err)
		}
		if again, err := AppendNode(nil, got); c.exact && (err != nil || !bytes.Equal(again, b)) {
			t.Errorf("%s: % x, %v, want % x", c.name, again, err, b)
		}
	}
	for _, n := range []Node{{Name: bytes.Repeat([]byte("n"), 64)}, {Name: []byte("a\x00")}} {
		if b, err := AppendNode(nil, n); err != ErrNode || len(b) != 0 {
			t.Errorf("%q: % x, %v", n.Name, b, err)
		}
	}
}
