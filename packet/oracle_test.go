package packet

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var oracleSeed = flag.Uint64("oracle", 4884, "the seed of TestOracle")

// TestOracle compares this package with gopacket, another implementation, on
// generated packets: both must encode the same bytes, and read the same from
// them, checksums included, which are wrong in some.
func TestOracle(t *testing.T) {
	const packets = 120_000
	seed := *oracleSeed
	rng := rand.New(rand.NewPCG(seed, 792))
	o := oracle{rng: rng, buf: gopacket.NewSerializeBuffer()}
	var b []byte
	var r Reply
	kinds := map[Kind]int{}
	bad := 0
	for i := range packets {
		b = b[:0]
		if rng.IntN(2) == 0 {
			b = o.segment(t, b)
		} else {
			b = o.icmp(t, b)
		}
		if rng.IntN(4) == 0 { // the last byte is covered by a checksum, whatever it is
			bad++
			b[len(b)-1] ^= 1 << rng.IntN(8)
		}
		if err := Parse(b, &r); err != nil {
			t.Fatalf("seed %d, packet %d: %v\n%x", seed, i, err, b)
		}
		kinds[r.Kind]++
		o.compare(t, b, &r)
		if t.Failed() {
			t.Fatalf("seed %d, packet %d:\n%x\n%+v", seed, i, b, r)
		}
	}
	t.Log(kinds, bad)
	for _, k := range []Kind{KindTCP, KindTimeExceeded, KindUnreachable, KindTooBig, KindParameterProblem} {
		if kinds[k] < 1000 {
			t.Errorf("%v: only %d packets", k, kinds[k])
		}
	}
}

type oracle struct {
	rng  *rand.Rand
	buf  gopacket.SerializeBuffer
	ip4  layers.IPv4
	ip6  layers.IPv6
	tcp  layers.TCP
	icm4 layers.ICMPv4
	icm6 layers.ICMPv6
	mem  [1500]byte
}

var serialize = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}

func (o *oracle) bytes(n int) []byte {
	b := o.mem[:n]
	for i := range b {
		b[i] = byte(o.rng.Uint32())
	}
	return b
}

func (o *oracle) addrs() (src, dst netip.Addr) {
	if o.rng.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte(o.bytes(4))), netip.AddrFrom4([4]byte(o.bytes(4)))
	}
	// Not IPv4-mapped.
	s, d := [16]byte(o.bytes(16)), [16]byte(o.bytes(16))
	s[0], d[0] = 0x20, 0xfe
	return netip.AddrFrom16(s), netip.AddrFrom16(d)
}

// options are random but well-formed, as gopacket keeps no others.
func (o *oracle) options() (opts Options, same []layers.TCPOption) {
	for range o.rng.IntN(5) {
		var next Options
		var err error
		switch o.rng.IntN(6) {
		case 0:
			next, err = opts.WithMSS(uint16(o.rng.Uint32()))
		case 1:
			next, err = opts.WithTimestamps(o.rng.Uint32(), o.rng.Uint32())
		case 2:
			next, err = opts.WithSACK(SACKBlock{o.rng.Uint32(), o.rng.Uint32()})
		case 3:
			next, err = opts.With(OptionNOP)
		case 4:
			next, err = opts.WithWindowScale(uint8(o.rng.Uint32()))
		case 5:
			next, err = opts.WithSACKPermitted()
		}
		if err == nil {
			opts = next
		}
	}
	for opt := range opts.All() {
		l := uint8(1)
		if opt.Kind != OptionNOP {
			l = uint8(2 + len(opt.Data))
		}
		same = append(same, layers.TCPOption{OptionType: layers.TCPOptionKind(opt.Kind), OptionLength: l, OptionData: bytes.Clone(opt.Data)})
	}
	return opts, same
}

func (o *oracle) headers(src, dst netip.Addr, ttl, tos uint8, id uint16, flow uint32, df bool, proto4, proto6 layers.IPProtocol) gopacket.SerializableLayer {
	if src.Is4() {
		o.ip4 = layers.IPv4{Version: 4, IHL: 5, TOS: tos, Id: id, TTL: ttl, Protocol: proto4, SrcIP: net.IP(src.AsSlice()), DstIP: net.IP(dst.AsSlice())}
		if df {
			o.ip4.Flags = layers.IPv4DontFragment
		}
		return &o.ip4
	}
	o.ip6 = layers.IPv6{Version: 6, TrafficClass: tos, FlowLabel: flow, HopLimit: ttl, NextHeader: proto6, SrcIP: net.IP(src.AsSlice()), DstIP: net.IP(dst.AsSlice())}
	return &o.ip6
}

// segment encodes a random TCP packet both ways.
func (o *oracle) segment(t *testing.T, b []byte) []byte {
	src, dst := o.addrs()
	n := o.rng.Uint64()
	s := Segment{
		Src: netip.AddrPortFrom(src, uint16(n)), Dst: netip.AddrPortFrom(dst, uint16(n>>16)), TTL: uint8(n >> 32), TOS: uint8(n >> 40),
		ID: uint16(n >> 48), FlowLabel: o.rng.Uint32() & 0xfffff, DontFragment: n&1 != 0,
		Seq: o.rng.Uint32(), Ack: o.rng.Uint32(), Flags: Flags(o.rng.Uint32() & 0x1ff), Window: uint16(n >> 3), Urgent: uint16(n >> 5),
	}
	var opts []layers.TCPOption
	s.Options, opts = o.options()
	s.Payload = bytes.Clone(o.bytes(o.rng.IntN(50)))
	b, err := AppendTCP(b, &s)
	if err != nil {
		t.Fatal(err)
	}
	ip := o.headers(src, dst, s.TTL, s.TOS, s.ID, s.FlowLabel, s.DontFragment, layers.IPProtocolTCP, layers.IPProtocolTCP)
	f := s.Flags
	o.tcp = layers.TCP{SrcPort: layers.TCPPort(s.Src.Port()), DstPort: layers.TCPPort(s.Dst.Port()), Seq: s.Seq, Ack: s.Ack,
		FIN: f.Has(FIN), SYN: f.Has(SYN), RST: f.Has(RST), PSH: f.Has(PSH), ACK: f.Has(ACK), URG: f.Has(URG), ECE: f.Has(ECE), CWR: f.Has(CWR), NS: f.Has(AE),
		Window: s.Window, Urgent: s.Urgent, Options: opts}
	if err := o.tcp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)); err != nil {
		t.Fatal(err)
	}
	o.same(t, b, ip, &o.tcp, gopacket.Payload(s.Payload))
	return b
}

// icmp encodes a random ICMP error about a random probe both ways.
func (o *oracle) icmp(t *testing.T, b []byte) []byte {
	src, dst := o.addrs()
	n := o.rng.Uint64()
	p := Probe{
		Src: netip.AddrPortFrom(dst, uint16(n)), Dst: netip.AddrPortFrom(src, uint16(n>>16)), TTL: uint8(n >> 32), TOS: uint8(n >> 40),
		ID: uint16(n >> 48), FlowLabel: o.rng.Uint32() & 0xfffff, Seq: o.rng.Uint32(), Flags: SYN, Window: uint16(n >> 3), Length: uint16(o.rng.IntN(200)),
	}
	p.Options, _ = o.options()
	quote, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	head := p.HeaderLength() - tcpHeaderLen - p.Options.paddedLen()
	e := ICMPError{Src: src, Dst: dst, TTL: uint8(n), TOS: uint8(n >> 8), ID: uint16(n >> 16), FlowLabel: o.rng.Uint32() & 0xfffff, DontFragment: n&2 != 0,
		Code: uint8(o.rng.IntN(16)), Quote: quote, QuoteLength: head + 8 + o.rng.IntN(len(quote)-head-7)}
	var rest uint32
	if src.Is4() {
		e.Type = []uint8{ICMPv4Unreachable, ICMPv4TimeExceeded, ICMPv4ParameterProblem}[o.rng.IntN(3)]
		switch {
		case e.Type == ICMPv4Unreachable && e.Code == codeFragmentationNeeded:
			e.MTU = o.rng.Uint32() & 0xffff
			rest = e.MTU
		case e.Type == ICMPv4ParameterProblem:
			e.Pointer = o.rng.Uint32() & 0xff
			rest = e.Pointer << 24
		case e.Type == ICMPv4TimeExceeded:
			e.Code = 0
		}
	} else {
		e.Type = []uint8{ICMPv6Unreachable, ICMPv6TooBig, ICMPv6TimeExceeded, ICMPv6ParameterProblem}[o.rng.IntN(4)]
		switch e.Type {
		case ICMPv6TooBig:
			e.MTU = o.rng.Uint32()
			rest = e.MTU
		case ICMPv6ParameterProblem:
			e.Pointer = o.rng.Uint32()
			rest = e.Pointer
		case ICMPv6TimeExceeded:
			e.Code = 0
		}
	}
	if b, err = AppendICMP(b, &e); err != nil {
		t.Fatal(err)
	}
	ip := o.headers(src, dst, e.TTL, e.TOS, e.ID, e.FlowLabel, e.DontFragment, layers.IPProtocolICMPv4, layers.IPProtocolICMPv6)
	quote = quote[:e.QuoteLength]
	if src.Is4() {
		o.icm4 = layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(e.Type, e.Code), Id: uint16(rest >> 16), Seq: uint16(rest)}
		o.same(t, b, ip, &o.icm4, gopacket.Payload(quote))
		return b
	}
	o.icm6 = layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(e.Type, e.Code)}
	if err := o.icm6.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)); err != nil {
		t.Fatal(err)
	}
	field := []byte{byte(rest >> 24), byte(rest >> 16), byte(rest >> 8), byte(rest)}
	o.same(t, b, ip, &o.icm6, gopacket.Payload(append(field, quote...)))
	return b
}

func (o *oracle) same(t *testing.T, b []byte, l ...gopacket.SerializableLayer) {
	if err := gopacket.SerializeLayers(o.buf, serialize, l...); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, o.buf.Bytes()) {
		t.Fatalf("encoded\n%x, gopacket\n%x", b, o.buf.Bytes())
	}
}

// compare reads b with gopacket's decoders, layer by layer.
func (o *oracle) compare(t *testing.T, b []byte, r *Reply) {
	nl, payload := o.compareIP(t, b, &r.IP, true)
	switch {
	case r.IP.Protocol == protocolTCP:
		o.compareTCP(t, nl, payload, &r.TCP)
		if r.Kind != KindTCP {
			t.Errorf("kind %v", r.Kind)
		}
		return
	case r.IP.Version == 4:
		if err := o.icm4.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
			t.Fatal(err)
		}
		if r.Type != o.icm4.TypeCode.Type() || r.Code != o.icm4.TypeCode.Code() {
			t.Errorf("ICMP %d/%d", r.Type, r.Code)
		}
		if r.Kind == KindUnreachable && r.Code == codeFragmentationNeeded && r.MTU != uint32(o.icm4.Seq) || r.Kind == KindParameterProblem && r.Pointer != uint32(o.icm4.Id>>8) {
			t.Errorf("MTU %d, pointer %d", r.MTU, r.Pointer)
		}
		_, v := o.icm4.VerifyChecksum()
		if (r.Checksum == CheckGood) != v.Valid {
			t.Errorf("ICMP checksum %v, gopacket %+v", r.Checksum, v)
		}
		payload = o.icm4.Payload
	default:
		if err := o.icm6.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
			t.Fatal(err)
		}
		if err := o.icm6.SetNetworkLayerForChecksum(nl); err != nil {
			t.Fatal(err)
		}
		if r.Type != o.icm6.TypeCode.Type() || r.Code != o.icm6.TypeCode.Code() {
			t.Errorf("ICMPv6 %d/%d", r.Type, r.Code)
		}
		_, v := o.icm6.VerifyChecksum()
		if (r.Checksum == CheckGood) != v.Valid {
			t.Errorf("ICMPv6 checksum %v, gopacket %+v", r.Checksum, v)
		}
		payload = o.icm6.Payload[4:]
	}
	nl, payload = o.compareIP(t, payload, &r.Quote.IP, false)
	if len(payload) >= tcpHeaderLen && len(payload) >= r.Quote.TCP.DataOffset { // what gopacket can read
		o.compareTCP(t, nl, payload, &r.Quote.TCP)
	}
}

func (o *oracle) compareIP(t *testing.T, b []byte, h *IP, whole bool) (gopacket.NetworkLayer, []byte) {
	if b[0]>>4 == 4 {
		l := &o.ip4
		// gopacket calls a quote that is cut an error, but has read it all the same.
		if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil && whole {
			t.Fatal(err)
		}
		if net.IP(h.Src.AsSlice()).Equal(l.SrcIP) != true || !net.IP(h.Dst.AsSlice()).Equal(l.DstIP) || h.Version != l.Version || h.TTL != l.TTL || h.TOS != l.TOS ||
			h.ID != l.Id || h.Protocol != uint8(l.Protocol) || h.TotalLength != int(l.Length) || h.HeaderLength != int(l.IHL)*4 ||
			h.DontFragment != (l.Flags&layers.IPv4DontFragment != 0) || h.MoreFragments != (l.Flags&layers.IPv4MoreFragments != 0) || h.FragmentOffset != l.FragOffset*8 {
			t.Errorf("IPv4: %+v, gopacket %+v", h, l)
		}
		_, v := l.VerifyChecksum()
		if (h.Checksum == CheckGood) != v.Valid {
			t.Errorf("IPv4 checksum %v, gopacket %+v", h.Checksum, v)
		}
		return l, l.Payload
	}
	l := &o.ip6
	if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil && whole {
		t.Fatal(err)
	}
	if !net.IP(h.Src.AsSlice()).Equal(l.SrcIP) || !net.IP(h.Dst.AsSlice()).Equal(l.DstIP) || h.Version != l.Version || h.TTL != l.HopLimit || h.TOS != l.TrafficClass ||
		h.FlowLabel != l.FlowLabel || h.Protocol != uint8(l.NextHeader) || h.TotalLength != 40+int(l.Length) || h.HeaderLength != 40 {
		t.Errorf("IPv6: %+v, gopacket %+v", h, l)
	}
	return l, l.Payload
}

func (o *oracle) compareTCP(t *testing.T, nl gopacket.NetworkLayer, b []byte, h *TCP) {
	l := &o.tcp
	if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		t.Fatal(err)
	}
	var flags Flags
	for i, set := range []bool{l.FIN, l.SYN, l.RST, l.PSH, l.ACK, l.URG, l.ECE, l.CWR, l.NS} {
		if set {
			flags |= 1 << i
		}
	}
	if h.SrcPort != uint16(l.SrcPort) || h.DstPort != uint16(l.DstPort) || h.Seq != l.Seq || h.Ack != l.Ack || h.DataOffset != int(l.DataOffset)*4 || h.Flags != flags ||
		h.Window != l.Window || h.ChecksumField != l.Checksum || h.Urgent != l.Urgent || !bytes.Equal(h.Payload, l.Payload) || h.Have != len(b) {
		t.Errorf("TCP: %+v, gopacket %+v", h, l)
	}
	i := 0
	for opt := range h.Options.All() {
		if i >= len(l.Options) || uint8(l.Options[i].OptionType) != opt.Kind || !bytes.Equal(l.Options[i].OptionData, opt.Data) {
			t.Errorf("TCP option %d: %+v, gopacket %+v", i, opt, l.Options)
			return
		}
		i++
	}
	for ; i < len(l.Options); i++ {
		if l.Options[i].OptionType != layers.TCPOptionKindEndList {
			t.Errorf("TCP options: %d, gopacket %+v", i, l.Options)
		}
	}
	if h.Checksum == CheckUnknown {
		return // of a quote that is cut
	}
	if err := l.SetNetworkLayerForChecksum(nl); err != nil {
		t.Fatal(err)
	}
	_, v := l.VerifyChecksum()
	if (h.Checksum == CheckGood) != v.Valid {
		t.Errorf("TCP checksum %v, gopacket %+v", h.Checksum, v)
	}
}
