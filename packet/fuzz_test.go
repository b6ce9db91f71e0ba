package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
)

// Every target is seeded with the captures of testdata, and with the malformed
// corpus where that is short enough to be mutated with profit. To run one:
//
//	go test ./packet -run '^$' -fuzz '^FuzzParseIPv4$' -fuzztime 60s

// seeds calls add with the bytes that a decoder behind the IP header sees, and
// with the header's values.
func seeds(f *testing.F, version uint8, add func(b []byte, h *IP)) {
	f.Helper()
	n := 0
	for _, c := range captures(f) {
		var h IP
		if err := h.parse(c.bytes); err != nil {
			f.Fatal(err)
		}
		if h.Version == version || version == 0 {
			add(c.bytes, &h)
			n++
		}
	}
	for _, c := range corpus() {
		var h IP
		if len(c.b) <= 300 && h.parse(c.b) == nil && (h.Version == version || version == 0) && h.TotalLength >= h.HeaderLength && h.TotalLength <= len(c.b) {
			add(c.b, &h)
			n++
		}
	}
	if n < 50 {
		f.Fatalf("only %d seeds", n)
	}
}

func fuzzParse(f *testing.F, version byte) {
	seeds(f, version, func(b []byte, _ *IP) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			b[0] = version<<4 | b[0]&0x0f
		}
		r, err := inspect(t, b)
		if err != nil {
			return
		}
		// The other direction: what was read must be enough to write it again.
		again, ok := encode(t, b, r)
		if !ok {
			return
		}
		if r.Checksum != CheckGood {
			return
		}
		want := b[:r.IP.TotalLength]
		if len(again) != len(want) {
			// Only padding of a quote to whole words can differ, which the encoder insists on.
			if r.Extensions.Len() == 0 {
				t.Errorf("encoded again: %d bytes, want %d", len(again), len(want))
			}
			return
		}
		var r2 Reply
		if err := Parse(again, &r2); err != nil || r2.Kind != r.Kind || r2.Quote.Key() != r.Quote.Key() || r2.Checksum != CheckGood {
			t.Errorf("encoded again: %v\n%x\nwant\n%x", err, again, want)
		}
		if r.Kind == KindTCP && !bytes.Equal(again, want) && !reservedBits(want, r) {
			t.Errorf("encoded again:\n%x\nwant\n%x", again, want)
		}
	})
}

// reservedBits: the IPv4 fragment field's first bit, which nothing sets; and a
// checksum of 0xffff where 0 is meant, of equal worth (RFC 1624 3).
func reservedBits(b []byte, r *Reply) bool {
	h := r.IP.HeaderLength
	return r.IP.Version == 4 && (b[6]&0x80 != 0 || binary.BigEndian.Uint16(b[10:]) == 0xffff) || binary.BigEndian.Uint16(b[h+16:]) == 0xffff
}

func FuzzParseIPv4(f *testing.F) { fuzzParse(f, 4) }
func FuzzParseIPv6(f *testing.F) { fuzzParse(f, 6) }

// fuzzICMP fuzzes the message alone: the header and checksum around it are right.
func fuzzICMP(f *testing.F, version uint8, h outgoing) {
	seeds(f, version, func(b []byte, ip *IP) {
		if isICMP(ip) {
			f.Add(b[ip.HeaderLength:ip.TotalLength])
		}
	})
	f.Fuzz(func(t *testing.T, msg []byte) {
		b, err := h.append(nil, len(msg))
		if err != nil {
			return
		}
		n := len(b)
		b = append(b, msg...)
		if len(msg) >= icmpHeaderLen {
			b[n+2], b[n+3] = 0, 0
			acc := uint64(0)
			if version == 6 {
				acc = pseudo(b, protocolICMPv6, len(msg))
			}
			binary.BigEndian.PutUint16(b[n+2:], ^fold(sum(acc, b[n:])))
		}
		r, err := inspect(t, b)
		if len(msg) < icmpHeaderLen {
			if err != ErrTruncated {
				t.Errorf("%d bytes: %v", len(msg), err)
			}
			return
		}
		// A message of zeros has no right checksum: 0xffff is written as such.
		if r.Checksum != CheckGood || r.Type != msg[0] || r.Code != msg[1] {
			t.Errorf("checksum %v, type %d, code %d", r.Checksum, r.Type, r.Code)
		}
		// What is quoted is read as if it stood alone.
		if r.Kind != KindOther && r.Kind != KindEcho {
			var q Quote
			region := b[n+icmpHeaderLen : len(b)-r.Extensions.Len()]
			if r.Extensions.Compliant { // also where there is no structure behind it
				region = b[n+icmpHeaderLen:][:r.Extensions.LengthField]
			}
			if err := q.parse(version, region); err != nil || !reflect.DeepEqual(q, r.Quote) {
				t.Errorf("quote: %+v, alone: %+v, %v", r.Quote, q, err)
			}
		}
	})
}

func FuzzICMPv4(f *testing.F) {
	fuzzICMP(f, 4, outgoing{src: rtr4, dst: src4.Addr(), protocol: protocolICMP})
}

func FuzzICMPv6(f *testing.F) {
	fuzzICMP(f, 6, outgoing{src: rtr6, dst: src6.Addr(), protocol: protocolICMPv6})
}

func FuzzQuote(f *testing.F) {
	seeds(f, 0, func(b []byte, h *IP) {
		f.Add(b, uint16(len(b)), h.Version == 6)
		if isICMP(h) && h.TotalLength-h.HeaderLength > icmpHeaderLen {
			q := b[h.HeaderLength+icmpHeaderLen : h.TotalLength]
			f.Add(q, uint16(48), h.Version == 6)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, v6 bool) {
		version := uint8(4)
		if v6 {
			version = 6
		}
		var whole, part Quote
		if err := whole.parse(version, b); err != nil {
			return
		}
		if whole.Bytes > len(b) || whole.IP.HeaderLength > len(b) || whole.IP.Version != version || !within(whole.IP.Options, b) || !within(whole.TCP.Payload, b) {
			t.Errorf("%+v of %d bytes", whole, len(b))
		}
		// A shorter quote never says anything else, only less.
		if int(cut) >= len(b) {
			return
		}
		if err := part.parse(version, b[:cut]); err != nil {
			return
		}
		// But for zeros that only turn out to be padding when there are more of them.
		padding := whole.isTCP() && whole.TCP.Have == 8 && part.TCP.Have <= 12 && part.TCP.Ack == 0
		if !padding && (part.Bytes > whole.Bytes || part.TCP.Have > whole.TCP.Have) || part.IP.Src != whole.IP.Src || part.IP.ID != whole.IP.ID || part.IP.FlowLabel != whole.IP.FlowLabel || part.IP.TTL != whole.IP.TTL {
			t.Errorf("cut to %d: %+v, whole %+v", cut, part, whole)
		}
		if part.HasKey() && (!whole.HasKey() || part.Key() != whole.Key()) {
			t.Errorf("cut to %d: key %+v, whole %+v", cut, part.Key(), whole.Key())
		}
	})
}

func FuzzTCP(f *testing.F) {
	seeds(f, 0, func(b []byte, h *IP) {
		if h.Protocol == protocolTCP {
			f.Add(b[h.HeaderLength:h.TotalLength])
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Alone: as much as is there.
		var alone TCP
		alone.parse(b)
		if alone.Have != len(b) || !within(alone.Payload, b) || alone.HasSeq() != (len(b) >= 8) {
			t.Errorf("%+v of %d bytes", alone, len(b))
		}
		// In a packet: the same, or an error.
		for _, h := range []outgoing{{src: rtr4, dst: src4.Addr(), protocol: protocolTCP}, {src: rtr6, dst: src6.Addr(), protocol: protocolTCP}} {
			p, err := h.append(nil, len(b))
			if err != nil {
				return
			}
			p = append(p, b...)
			r, err := inspect(t, p)
			if good := len(b) >= tcpHeaderLen && alone.DataOffset >= tcpHeaderLen && alone.DataOffset <= len(b); good != (err == nil) {
				t.Errorf("%d bytes, data offset %d: %v", len(b), alone.DataOffset, err)
			} else if good {
				got := r.TCP
				got.Checksum = CheckUnknown
				if !reflect.DeepEqual(got, alone) {
					t.Errorf("%+v, alone %+v", got, alone)
				}
				if !CompleteTCPChecksum(p) || Parse(p, r) != nil || r.Checksum != CheckGood {
					t.Errorf("completed: %v", r.Checksum)
				}
			}
		}
	})
}

func FuzzOptions(f *testing.F) {
	seeds(f, 0, func(b []byte, h *IP) {
		var r Reply
		if err := Parse(b, &r); err == nil && r.TCP.Options.Len()+r.Quote.TCP.Options.Len() > 0 {
			f.Add(r.TCP.Options.Append(nil))
			f.Add(r.Quote.TCP.Options.Append(nil))
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		o := ParseOptions(b)
		kept := b[:min(len(b), maxOptions)]
		if !bytes.Equal(o.Append(nil), kept) || o.Len() != len(kept) {
			t.Errorf("kept %x of %x", o.Append(nil), b)
		}
		var again Options
		var err error
		n := 0
		for opt := range o.All() {
			if n++; n > maxOptions {
				t.Fatal("more options than bytes")
			}
			if again, err = again.With(opt.Kind, opt.Data...); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(kept, again.Append(nil)) {
			t.Errorf("built %x from %x", again.Append(nil), kept)
		}
		// What is left is the end, or malformed.
		if rest := kept[again.Len():]; len(rest) > 0 && rest[0] != OptionEnd && (rest[0] == OptionNOP || len(rest) > 1 && rest[1] >= 2 && int(rest[1]) <= len(rest)) {
			t.Errorf("stopped before %x", rest)
		}
		// The typed readers say what All says: the first of a kind.
		var mss, ts, scale, sack, cookie, permitted *Option
		for opt := range o.All() {
			for kind, first := range map[uint8]**Option{OptionMSS: &mss, OptionTimestamps: &ts, OptionWindowScale: &scale, OptionSACK: &sack, OptionFastOpen: &cookie, OptionSACKPermitted: &permitted} {
				if opt.Kind == kind && *first == nil {
					*first = &opt
				}
			}
		}
		if v, ok := o.MSS(); ok != (mss != nil && len(mss.Data) == 2) || ok && v != binary.BigEndian.Uint16(mss.Data) {
			t.Errorf("MSS %d %v, option %v", v, ok, mss)
		}
		if v, e, ok := o.Timestamps(); ok != (ts != nil && len(ts.Data) == 8) || ok && (v != binary.BigEndian.Uint32(ts.Data) || e != binary.BigEndian.Uint32(ts.Data[4:])) {
			t.Errorf("timestamps %d %d %v, option %v", v, e, ok, ts)
		}
		if v, ok := o.WindowScale(); ok != (scale != nil && len(scale.Data) == 1) || ok && v != scale.Data[0] {
			t.Errorf("window scale %d %v, option %v", v, ok, scale)
		}
		if ok := o.SACKPermitted(); ok != (permitted != nil && len(permitted.Data) == 0) {
			t.Errorf("SACK permitted %v, option %v", ok, permitted)
		}
		if blocks, n, ok := o.SACK(); ok != (sack != nil && len(sack.Data) > 0 && len(sack.Data)%8 == 0) || ok && (n != len(sack.Data)/8 || blocks[n-1].Right != binary.BigEndian.Uint32(sack.Data[8*n-4:])) {
			t.Errorf("SACK %v %d %v, option %v", blocks, n, ok, sack)
		}
		if v, ok := o.FastOpen(); ok != (cookie != nil) || ok && !bytes.Equal(v, cookie.Data) {
			t.Errorf("Fast Open %x %v, option %v", v, ok, cookie)
		}
	})
}

// FuzzExtensionHeaders fuzzes what stands behind an IPv6 header.
func FuzzExtensionHeaders(f *testing.F) {
	seeds(f, 6, func(b []byte, h *IP) { f.Add(b[6], b[ipv6HeaderLen:h.TotalLength]) })
	f.Fuzz(func(t *testing.T, next byte, chain []byte) {
		h := outgoing{src: src6.Addr(), dst: dst6.Addr(), protocol: next}
		b, err := h.append(nil, len(chain))
		if err != nil {
			return
		}
		b = append(b, chain...)
		r, err := inspect(t, b)
		// Walk it again in the plainest way.
		at, n, proto, fragment := ipv6HeaderLen, 0, next, false
		for !fragment {
			if proto != headerHopByHop && proto != headerRouting && proto != headerFragment && proto != headerAH && proto != headerDestOpts {
				break
			}
			if n++; n > maxExtensionHops {
				if err != ErrExtensionHeaders {
					t.Errorf("%d extension headers: %v", n, err)
				}
				return
			}
			if at+8 > len(b) {
				if err != ErrTruncated {
					t.Errorf("cut at %d: %v", at, err)
				}
				return
			}
			size := 8 + 8*int(b[at+1])
			switch proto {
			case headerAH:
				size = 8 + 4*int(b[at+1])
			case headerFragment:
				size = 8
				fragment = b[at+2] != 0 || b[at+3]&0xf8 != 0
			}
			if at+size > len(b) {
				if err != ErrTruncated {
					t.Errorf("cut at %d: %v", at, err)
				}
				return
			}
			proto = b[at]
			at += size
		}
		if r.IP.HeaderLength != at || r.IP.Protocol != proto || (r.IP.FragmentOffset != 0) != fragment {
			t.Errorf("%+v, want %d bytes and protocol %d", r.IP, at, proto)
		}
		if fragment && (err != nil || r.Kind != KindOther) {
			t.Errorf("fragment: %v %v", err, r.Kind)
		}
	})
}

func FuzzExtensions(f *testing.F) {
	seeds(f, 0, func(b []byte, h *IP) {
		if isICMP(h) && h.TotalLength-h.HeaderLength >= icmpHeaderLen {
			msg := b[h.HeaderLength:h.TotalLength]
			f.Add(msg[icmpHeaderLen:], msg[4], false)
			f.Add(msg[icmpHeaderLen:], msg[5], true)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, field byte, v4 bool) {
		said := int(field) * 8
		if v4 {
			said = int(field) * 4
		}
		var e Extensions
		quoted := e.split(b, said)
		// Quote and extensions are two ends of the message.
		if !bytes.HasPrefix(b, quoted) || !bytes.HasSuffix(b, e.b) || !within(e.b, b) || len(quoted)+e.Len() > len(b) {
			t.Errorf("%d quoted, %d of extensions, in %d bytes", len(quoted), e.Len(), len(b))
		}
		if e.Len() > 0 && (len(quoted) < minExtendedQuote || len(quoted)+e.Len() != len(b)) || e.Compliant && len(quoted) != said {
			t.Errorf("%d quoted, %d said, %+v", len(quoted), said, e)
		}
		if e.Len() == 0 && e.Checksum == CheckGood || e.Len() > 0 && !e.Compliant && e.Checksum != CheckGood {
			t.Errorf("%+v", e)
		}
		// The objects follow one another without a gap, and can be built again.
		at := extensionHeaderLen
		for o := range e.Objects() {
			again, err := AppendObject(nil, o.Class, o.Type, o.Data)
			if err != nil || !within(o.Data, b) || !bytes.HasPrefix(e.b[at:], again) {
				t.Fatalf("object %+v at %d: %x, %v", o, at, again, err)
			}
			at += len(again)
		}
		if at > max(e.Len(), extensionHeaderLen) {
			t.Errorf("objects end at %d of %d", at, e.Len())
		}
	})
}

func FuzzMPLS(f *testing.F) {
	seeds(f, 0, func(b []byte, _ *IP) {
		var r Reply
		if Parse(b, &r) == nil {
			for o := range r.Extensions.Objects() {
				f.Add(o.Class, o.Type, o.Data)
			}
		}
	})
	f.Fuzz(func(t *testing.T, class, ctype uint8, data []byte) {
		o := Object{class, ctype, data}
		var stack []Label
		for l := range o.MPLS() {
			stack = append(stack, l)
		}
		if class != ClassMPLS || ctype != 1 {
			if stack != nil {
				t.Errorf("class %d, type %d: %v", class, ctype, stack)
			}
			return
		}
		again, err := AppendMPLS(nil, stack...)
		if len(data) > 0xffff-objectHeaderLen {
			return
		}
		if err != nil || !bytes.Equal(again[objectHeaderLen:], data[:len(data)/4*4]) {
			t.Errorf("%x, %v, want %x", again, err, data)
		}
	})
}

func FuzzNode(f *testing.F) {
	for _, n := range []Node{{}, {Addr: rtr4}, {Addr: rtr6, Name: []byte("core1")}, {Name: bytes.Repeat([]byte("n"), 63)}} {
		b, err := AppendNode(nil, n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[2], b[3], b[4:])
	}
	f.Fuzz(func(t *testing.T, class, ctype uint8, data []byte) {
		n, err := Object{class, ctype, data}.Node()
		if (err == ErrObject) != (class != ClassNode) {
			t.Fatal(err)
		}
		if len(n.Name) >= maxNameField || len(n.Name) > 0 && n.Name[len(n.Name)-1] == 0 {
			t.Fatalf("name % x", n.Name)
		}
		if err != nil {
			return
		}
		b, err := AppendNode(nil, n)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Object{b[2], b[3], b[4:]}.Node()
		if err != nil || again.Addr != n.Addr || !bytes.Equal(again.Name, n.Name) {
			t.Fatalf("%+v: %+v, %v", n, again, err)
		}
	})
}

func FuzzInterface(f *testing.F) {
	seeds(f, 0, func(b []byte, _ *IP) {
		var r Reply
		if Parse(b, &r) == nil {
			for o := range r.Extensions.Objects() {
				f.Add(o.Class, o.Type, o.Data)
			}
		}
	})
	f.Fuzz(func(t *testing.T, class, ctype uint8, data []byte) {
		i, err := Object{class, ctype, data}.Interface()
		if (err == ErrObject) != (class != ClassInterface) {
			t.Fatalf("class %d: %v", class, err)
		}
		if !within(i.Name, data) || len(i.Name) >= maxNameField || i.Role > RoleNextHop {
			t.Errorf("%+v", i)
		}
		if err != nil {
			return
		}
		// The other direction gives the same values, though not the same bytes: what
		// is zero is left out, and so are reserved bits.
		b, err := AppendInterface(nil, i)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Object{b[2], b[3], b[4:]}.Interface()
		if len(i.Name) == 0 {
			i.Name = nil
		}
		if err != nil || !reflect.DeepEqual(again, i) || int(binary.BigEndian.Uint16(b)) != len(b) {
			t.Errorf("%+v, %v, want %+v", again, err, i)
		}
	})
}

// FuzzProbe: what is sent is what Parse reads, and a router's quote of it has its key.
func FuzzProbe(f *testing.F) {
	seeds(f, 0, func(b []byte, h *IP) {
		var r Reply
		if Parse(b, &r) == nil && r.Kind == KindTCP {
			p := probeOf(&r.IP, &r.TCP)
			f.Add(h.Src.AsSlice(), h.Dst.AsSlice(), p.Src.Port(), p.Dst.Port(), p.TTL, p.TOS, p.ID, p.FlowLabel, p.DontFragment, p.Seq, p.Ack, uint16(p.Flags), p.Window, p.Options.Append(nil), p.Length, uint16(0))
		}
	})
	f.Fuzz(func(t *testing.T, src, dst []byte, sport, dport uint16, ttl, tos uint8, id uint16, flow uint32, df bool, seq, ack uint32, flags, window uint16, opts []byte, length, cut uint16) {
		p := Probe{TTL: ttl, TOS: tos, ID: id, FlowLabel: flow, DontFragment: df, Seq: seq, Ack: ack, Flags: Flags(flags), Window: window, Options: ParseOptions(opts), Length: length}
		s, _ := netip.AddrFromSlice(src)
		d, _ := netip.AddrFromSlice(dst)
		p.Src, p.Dst = netip.AddrPortFrom(s, sport), netip.AddrPortFrom(d, dport)
		b, err := p.AppendBinary(nil)
		if good := s.IsValid() && d.IsValid() && s.Is4() == d.Is4() && !s.Is4In6() && !d.Is4In6() && flow < 1<<20 && flags < 1<<flagBits; good != (err == nil) {
			t.Fatalf("%+v: %v", p, err)
		}
		if err != nil {
			if len(b) != 0 {
				t.Errorf("error, and %d bytes", len(b))
			}
			return
		}
		if len(b) != max(int(length), p.HeaderLength()) || len(b) != p.HeaderLength()+p.PayloadLength() {
			t.Errorf("%d bytes of %+v", len(b), p)
		}
		r, err := inspect(t, b)
		if err != nil || r.Kind != KindTCP || r.Checksum != CheckGood || s.Is4() && r.IP.Checksum != CheckGood {
			t.Fatalf("%v, %+v", err, r)
		}
		want := p
		want.Length = uint16(len(b)) // its reading, where there is payload
		if p.PayloadLength() == 0 {
			want.Length = 0
		}
		if s.Is4() {
			want.FlowLabel = 0
		} else {
			want.ID, want.DontFragment = 0, false
		}
		want.Options = ParseOptions(append(p.Options.Append(nil), 0, 0, 0)[:p.Options.paddedLen()])
		if got := probeOf(&r.IP, &r.TCP); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		e := icmpAbout(p, b)
		e.Dst = s
		e.QuoteLength = int(cut)
		m, err := AppendICMP(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = inspect(t, m); err != nil {
			return // cut within the IP header
		}
		if r.Kind != KindTimeExceeded || r.Checksum != CheckGood || r.Quote.HasKey() && r.Quote.Key() != p.Key() || r.Quote.TCP.Checksum == CheckBad {
			t.Errorf("quoted: %v %v %+v, want %+v", r.Kind, r.Checksum, r.Quote.Key(), p.Key())
		}
	})
}

// FuzzSegment: what AppendTCP writes is what Parse reads.
func FuzzSegment(f *testing.F) {
	seeds(f, 0, func(b []byte, h *IP) {
		var r Reply
		if Parse(b, &r) == nil && r.Kind == KindTCP {
			s := segmentOf(&r)
			f.Add(h.Version == 6, s.Src.Port(), s.Dst.Port(), s.TTL, s.TOS, s.Seq, s.Ack, uint16(s.Flags), s.Window, s.Urgent, s.Options.Append(nil), s.Payload)
		}
	})
	f.Fuzz(func(t *testing.T, v6 bool, sport, dport uint16, ttl, tos uint8, seq, ack uint32, flags, window, urgent uint16, opts, payload []byte) {
		s := &Segment{TTL: ttl, TOS: tos, Seq: seq, Ack: ack, Flags: Flags(flags) & 0xfff, Window: window, Urgent: urgent, Options: ParseOptions(opts)}
		if len(payload) > 0 {
			s.Payload = payload
		}
		s.Src, s.Dst = netip.AddrPortFrom(dst4.Addr(), sport), netip.AddrPortFrom(src4.Addr(), dport)
		if v6 {
			s.Src, s.Dst = netip.AddrPortFrom(dst6.Addr(), sport), netip.AddrPortFrom(src6.Addr(), dport)
		}
		b, err := AppendTCP(nil, s)
		if err != nil {
			if err != ErrLength || len(payload) < 60000 {
				t.Fatal(err)
			}
			return
		}
		r, err := inspect(t, b)
		if err != nil || r.Checksum != CheckGood {
			t.Fatal(err, r.Checksum)
		}
		s.Options = ParseOptions(append(s.Options.Append(nil), 0, 0, 0)[:s.Options.paddedLen()])
		if got := segmentOf(r); !reflect.DeepEqual(got, s) {
			t.Errorf("%+v, want %+v", got, s)
		}
	})
}

// FuzzICMPError: what AppendICMP writes is what Parse reads, extensions too.
func FuzzICMPError(f *testing.F) {
	seeds(f, 0, func(b []byte, h *IP) {
		var r Reply
		if Parse(b, &r) == nil && r.Quote.IP.Version != 0 {
			var ext []byte
			if r.Extensions.Len() > 0 {
				ext = r.Extensions.Bytes()[extensionHeaderLen:]
			}
			q := b[h.HeaderLength+icmpHeaderLen : h.TotalLength-r.Extensions.Len()]
			f.Add(h.Version == 6, r.Type, r.Code, r.MTU, r.Pointer, q, uint16(len(q)), ext, false)
		}
	})
	f.Fuzz(func(t *testing.T, v6 bool, typ, code uint8, mtu, pointer uint32, quote []byte, cut uint16, ext []byte, nonCompliant bool) {
		e := &ICMPError{Src: rtr4, Dst: src4.Addr(), TTL: 7, Type: typ, Code: code, MTU: mtu, Pointer: pointer, Quote: quote, QuoteLength: int(cut), Extensions: ext, NonCompliant: nonCompliant}
		head := ipv4HeaderLen
		if v6 {
			e.Src, e.Dst, head = rtr6, src6.Addr(), ipv6HeaderLen
		}
		b, err := AppendICMP(nil, e)
		if err != nil {
			if len(b) != 0 {
				t.Errorf("error, and %d bytes", len(b))
			}
			return
		}
		r, err := inspect(t, b)
		if r.Type != typ || r.Code != code || r.Checksum != CheckGood || len(b) < head+icmpHeaderLen {
			t.Fatalf("%d bytes, %v: %+v", len(b), err, r)
		}
		if cut == 0 && len(ext) < 200 && len(b) > 1280 {
			t.Errorf("%d bytes", len(b))
		}
		got := b[head+icmpHeaderLen:]
		n := min(len(quote), len(got))
		if len(ext) > 0 {
			tail := extensionHeaderLen + len(ext)
			got = got[:len(got)-tail]
			n = min(n, len(got))
			if !bytes.Equal(b[len(b)-len(ext):], ext) || len(got) < minExtendedQuote || Checksum(b[len(b)-tail:]) != 0 {
				t.Errorf("quote of %d bytes, extensions %x", len(got), b[len(b)-len(ext):])
			}
		}
		// The quote, cut or padded.
		for n > 0 && cut != 0 && n > int(cut) {
			n--
		}
		if bytes.Trim(got[n:], "\x00") != nil || !bytes.HasPrefix(quote, got[:n/8*8]) {
			t.Errorf("quote %x, want %x", got, quote)
		}
		if err != nil || r.Kind == KindOther || r.Kind == KindEcho {
			return
		}
		if len(ext) > 0 && r.Extensions.Checksum == CheckGood && (r.Extensions.Compliant == nonCompliant || !bytes.Equal(r.Extensions.Bytes()[extensionHeaderLen:], ext)) {
			t.Errorf("extensions %+v, want %x", r.Extensions, ext)
		}
		if len(ext) > 0 && r.Extensions.Len() != len(ext)+extensionHeaderLen && !zeroSum(b[len(b)-extensionHeaderLen-len(ext):]) {
			t.Errorf("extensions %+v, want %x", r.Extensions, ext)
		}
		switch {
		case v6 && typ == ICMPv6TooBig && r.MTU != mtu,
			!v6 && typ == ICMPv4Unreachable && code == codeFragmentationNeeded && r.MTU != mtu,
			r.Kind == KindParameterProblem && r.Pointer != pointer:
			t.Errorf("MTU %d, pointer %d", r.MTU, r.Pointer)
		}
	})
}

// zeroSum: a structure whose checksum comes out as 0 can't be told from one
// without a checksum (RFC 4884 7), and is not found where no length leads to it.
func zeroSum(structure []byte) bool { return structure[2]|structure[3] == 0 }

func FuzzChecksum(f *testing.F) {
	seeds(f, 0, func(b []byte, _ *IP) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		want := slowChecksum(b)
		if got := Checksum(b); got != want {
			t.Errorf("%#x, want %#x", got, want)
		}
		acc := sum(0, b)
		if good := verify(acc) == CheckGood; good != (want == 0) {
			t.Errorf("verify %v, checksum %#x", good, want)
		}
	})
}
