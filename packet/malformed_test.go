package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// malformed is a packet that no honest stack would send, or one that stands at
// the edge of what is allowed. err nil: it must parse, as kind.
type malformed struct {
	name string
	b    []byte
	err  error
	kind Kind
	// more is what else must hold of the reply.
	more func(r *Reply) bool
}

// put returns a copy of b with these bytes at offset.
func put(b []byte, offset int, with ...byte) []byte {
	c := slices.Clone(b)
	copy(c[offset:], with)
	return c
}

// resized is the packet b cut to n bytes, with a total or payload length that
// says so.
func resized(b []byte, n int) []byte {
	c := slices.Clone(b[:n])
	if c[0]>>4 == 4 && n >= 4 {
		binary.BigEndian.PutUint16(c[2:], uint16(n))
	} else if n >= ipv6HeaderLen {
		binary.BigEndian.PutUint16(c[4:], uint16(n-ipv6HeaderLen))
	}
	return c
}

// insert4 is an IPv4 packet with NOP options up to a header of ihl words.
func insert4(b []byte, ihl int) []byte {
	opts := make([]byte, ihl*4-ipv4HeaderLen)
	for i := range opts {
		opts[i] = 1
	}
	c := slices.Insert(slices.Clone(b), ipv4HeaderLen, opts...)
	c[0] = 0x40 | byte(ihl)
	binary.BigEndian.PutUint16(c[2:], uint16(len(c)))
	CompleteIPChecksum(c)
	return c
}

// chained is an IPv6 packet with these extension headers in front of its payload,
// each of 8 bytes (of length field 0).
func chained(b []byte, headers ...byte) []byte {
	c := slices.Clone(b)
	next := c[6]
	for i := len(headers) - 1; i >= 0; i-- {
		c = slices.Insert(c, ipv6HeaderLen, next, 0, 0, 0, 0, 0, 0, 0)
		next = headers[i]
	}
	c[6] = next
	binary.BigEndian.PutUint16(c[4:], uint16(len(c)-ipv6HeaderLen))
	return c
}

// corpus is the collection of malformed packets. Every packet of a bug that was
// fixed belongs here too.
func corpus() []malformed {
	var all []malformed
	add := func(b []byte, err error, kind Kind, more func(*Reply) bool, format string, args ...any) {
		all = append(all, malformed{fmt.Sprintf(format, args...), b, err, kind, more})
	}
	p4, p6 := probe4(), probe6()
	syn4, syn6 := must(p4.AppendBinary(nil)), must(p6.AppendBinary(nil))
	te4, te6 := timeExceeded(p4), timeExceeded(p6)
	about := func(p Probe, quote []byte) []byte {
		e := icmpAbout(p, quote)
		return must(AppendICMP(nil, &e))
	}
	quoteIs := func(p Probe) func(*Reply) bool {
		return func(r *Reply) bool { return r.Quote.HasKey() && r.Quote.Key() == p.Key() }
	}

	// Header lengths, told truly: every pair of outer and quoted length.
	for i := 5; i <= 15; i++ {
		for j := 5; j <= 15; j++ {
			add(insert4(about(p4, insert4(syn4, j)), i), nil, KindTimeExceeded, func(r *Reply) bool {
				return len(r.IP.Options) == i*4-20 && len(r.Quote.IP.Options) == j*4-20 && r.Quote.Key() == p4.Key() &&
					r.Quote.TCP.Checksum == CheckGood && r.Checksum == CheckGood
			}, "IHL %d and %d", i, j)
		}
	}
	// And told falsely: the bytes are those of 5 and 5. Beyond an outer length of 5
	// the message starts in the middle, where none of the words looks like an error,
	// and two like an echo reply: zeros, with a checksum that is not theirs.
	for i := range 16 {
		for j := range 16 {
			b := put(put(te4, 28, 0x40|byte(j)), 0, 0x40|byte(i))
			switch {
			case i < 5:
				if j == 5 {
					add(b, ErrHeader, 0, nil, "false IHL %d", i)
				}
			case i > 5:
				kind := KindOther
				if b[4*i] == 0 && b[4*i+1] == 0 {
					kind = KindEcho
				}
				add(b, nil, kind, func(r *Reply) bool { return r.Checksum == CheckBad }, "false IHL %d and %d", i, j)
			case j < 5:
				add(b, errQuoteHeader, 0, nil, "false quoted IHL %d", j)
			default:
				add(b, nil, KindTimeExceeded, func(r *Reply) bool {
					return r.Quote.TCP.Have == 60-4*j && r.Quote.HasKey() == (j <= 13) && (j == 5 || r.Quote.Key() != p4.Key())
				}, "false quoted IHL %d", j)
			}
		}
	}
	add(put(te4, 0, 0x4f)[:59], ErrTruncated, 0, nil, "IHL beyond the end")
	add(about(p4, put(syn4, 0, 0x4f)[:59]), errQuoteTruncated, 0, nil, "quoted IHL beyond the end")

	// Cut at every byte, as by a capture with a short snap length.
	mpls := icmpAbout(p4, syn4)
	mpls.Extensions = must(AppendMPLS(nil, Label{Label: 16}))
	te4mpls := must(AppendICMP(nil, &mpls))
	synack := must(AppendTCP(nil, &Segment{Src: dst4, Dst: src4, TTL: 9, Flags: SYN | ACK, Options: linuxSYN(1)}))
	rst6 := must(AppendTCP(nil, &Segment{Src: dst6, Dst: src6, TTL: 9, Flags: RST}))
	for _, c := range []struct {
		name string
		b    []byte
	}{{"v4 time exceeded with MPLS", te4mpls}, {"v6 time exceeded", te6}, {"v4 SYN+ACK", synack}, {"v6 RST", rst6}} {
		for n := range len(c.b) {
			add(c.b[:n], ErrTruncated, 0, nil, "%s cut to %d", c.name, n)
		}
	}
	// Cut at every byte, with a total length that fits: as by a router that quotes less.
	for n := ipv4HeaderLen; n < len(te4); n++ {
		err, kind, more := error(nil), KindTimeExceeded, func(r *Reply) bool {
			return r.Quote.TCP.Have == n-48 && r.Quote.HasKey() == (n >= 56) && r.Checksum == CheckBad &&
				(!r.Quote.HasKey() || r.Quote.Key() == p4.Key())
		}
		if n < 28 {
			err, kind, more = ErrTruncated, 0, nil
		} else if n < 48 {
			err, kind, more = errQuoteTruncated, 0, nil
		}
		add(resized(te4, n), err, kind, more, "v4 time exceeded of %d bytes", n)
	}
	for n := ipv6HeaderLen; n < len(te6); n++ {
		err, kind, more := error(nil), KindTimeExceeded, func(r *Reply) bool {
			return r.Quote.TCP.Have == n-88 && !r.Quote.HasKey() && (n < 96 || r.Quote.TCP.Seq == p6.Seq)
		}
		if n < 48 {
			err, kind, more = ErrTruncated, 0, nil
		} else if n < 88 {
			err, kind, more = errQuoteTruncated, 0, nil
		}
		add(resized(te6, n), err, kind, more, "v6 time exceeded of %d bytes", n)
	}
	for n := ipv4HeaderLen; n < len(synack); n++ {
		err := ErrTruncated
		if n >= 40 {
			err = ErrTCPHeader // the data offset is beyond the end
		}
		add(resized(synack, n), err, 0, nil, "v4 SYN+ACK of %d bytes", n)
	}

	// Total lengths.
	add(nil, ErrTruncated, 0, nil, "no bytes")
	for n := range 20 {
		add(put(te4, 2, 0, byte(n)), ErrHeader, 0, nil, "v4 total length %d", n)
	}
	add(put(te4, 2, 0xff, 0xff), ErrTruncated, 0, nil, "v4 total length 65535")
	add(put(te4, 2, byte(len(te4)), 0), ErrTruncated, 0, nil, "v4 total length in host order")
	add(put(te6, 4, 0, 0), ErrTruncated, 0, nil, "v6 payload length 0")
	add(put(te6, 4, 0xff, 0xff), ErrTruncated, 0, nil, "v6 payload length 65535")
	add(resized(syn4, 20), ErrTruncated, 0, nil, "v4 with no payload")
	add(resized(syn6, 40), ErrTruncated, 0, nil, "v6 with no payload")
	for _, n := range []int{1, 19, 20, 39, 40, 1500, 65535} {
		add(make([]byte, n), ErrVersion, 0, nil, "%d zeros", n)
		ones := slices.Repeat([]byte{0xff}, n)
		add(ones, ErrVersion, 0, nil, "%d times 0xff", n)
		// A header of 0x44, or of 0x66: the length says more than there is, or less than the header.
		err := ErrHeader
		if n < ipv4HeaderLen {
			err = ErrTruncated
		}
		add(slices.Repeat([]byte{0x44}, n), err, 0, nil, "%d times 0x44", n)
		err = ErrTruncated
		kind := KindOther
		if n == 65535 {
			err = nil // next header 0x66 is none of ours
		}
		add(slices.Repeat([]byte{0x66}, n), err, kind, nil, "%d times 0x66", n)
	}
	fixed := put(te4, 28+2, 0xff, 0xff)
	add(fixed, nil, KindTimeExceeded, quoteIs(p4), "quoted total length 65535")
	add(put(te4, 28+2, 0, 0), nil, KindTimeExceeded, quoteIs(p4), "quoted total length 0")
	add(put(te4, 28+2, 0, 19), nil, KindTimeExceeded, quoteIs(p4), "quoted total length 19")
	add(put(te4, 28+2, 0, 21), nil, KindTimeExceeded, quoteIs(p4), "quoted total length 21")
	add(put(te6, 48+4, 0, 0), nil, KindTimeExceeded, quoteIs(p6), "v6 quoted payload length 0")
	add(put(te6, 48+4, 0xff, 0xff), nil, KindTimeExceeded, quoteIs(p6), "v6 quoted payload length 65535")

	// Versions.
	for v := range byte(16) {
		if v != 4 && v != 6 {
			add(put(te4, 0, v<<4|5), ErrVersion, 0, nil, "version %d", v)
		}
		if v != 4 {
			add(put(te4, 28, v<<4|5), errQuoteVersion, 0, nil, "v4 quotes version %d", v)
		}
		if v != 6 {
			add(put(te6, 48, v<<4|5), errQuoteVersion, 0, nil, "v6 quotes version %d", v)
		}
	}
	add(about(p4, syn6), errQuoteVersion, 0, nil, "v4 quotes a whole v6 packet")
	add(about(p6, syn4), errQuoteVersion, 0, nil, "v6 quotes a whole v4 packet")
	add(put(te4, 0, 0x65), ErrTruncated, 0, nil, "v4 that says v6")
	add(put(te6, 0, 0x45), ErrHeader, 0, nil, "v6 that says v4")
	add(put(te4, 9, protocolICMPv6), nil, KindOther, nil, "ICMPv6 in v4")
	add(put(te6, 6, protocolICMP), nil, KindOther, nil, "ICMP in v6")
	add(put(te4, 20, ICMPv6TimeExceeded), nil, KindUnreachable, quoteIs(p4), "v4 with the type of v6 time exceeded")
	add(put(te6, 40, ICMPv4TimeExceeded), nil, KindOther, nil, "v6 with the type of v4 time exceeded")

	// ICMP types and codes.
	for _, c := range []struct {
		b         []byte
		offset    int
		typ, code byte
	}{
		{te4, 20, 0, 1}, {te4, 20, 4, 0}, {te4, 20, 5, 1}, {te4, 20, 8, 0}, {te4, 20, 11, 1}, {te4, 20, 11, 255}, {te4, 20, 13, 0}, {te4, 20, 255, 255},
		{te6, 40, 0, 0}, {te6, 40, 3, 1}, {te6, 40, 3, 2}, {te6, 40, 5, 0}, {te6, 40, 100, 0}, {te6, 40, 127, 0}, {te6, 40, 128, 0}, {te6, 40, 129, 1}, {te6, 40, 137, 0}, {te6, 40, 255, 0},
	} {
		add(put(c.b, c.offset, c.typ, c.code), nil, KindOther, func(r *Reply) bool {
			return r.Type == c.typ && r.Code == c.code && r.Checksum == CheckBad && r.Quote.IP.Version == 0
		}, "v%d ICMP %d/%d", c.b[0]>>4, c.typ, c.code)
	}
	add(put(te4, 20, 3, 255), nil, KindUnreachable, quoteIs(p4), "v4 unreachable code 255")
	add(put(te4, 20, 12, 255), nil, KindParameterProblem, quoteIs(p4), "v4 parameter problem code 255")
	add(put(te6, 40, 1, 255), nil, KindUnreachable, quoteIs(p6), "v6 unreachable code 255")
	add(put(te6, 40, 2, 255), nil, KindTooBig, quoteIs(p6), "v6 too big code 255")
	add(put(te6, 40, 4, 255), nil, KindParameterProblem, quoteIs(p6), "v6 parameter problem code 255")

	// Checksums.
	bad := func(at func(*Reply) Check) func(*Reply) bool { return func(r *Reply) bool { return at(r) == CheckBad } }
	add(put(te4, 10, 0, 0), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.IP.Checksum }), "IP checksum 0")
	add(put(te4, 10, 0xff, 0xff), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.IP.Checksum }), "IP checksum 0xffff")
	add(put(te4, 22, 0, 0), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.Checksum }), "ICMP checksum 0")
	add(put(te6, 42, 0, 0), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.Checksum }), "ICMPv6 checksum 0")
	add(put(te6, 23, 99), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.Checksum }), "ICMPv6 from another address")
	add(put(synack, 36, 0, 0), nil, KindTCP, bad(func(r *Reply) Check { return r.Checksum }), "TCP checksum 0")
	add(put(synack, 15, 99), nil, KindTCP, bad(func(r *Reply) Check { return r.Checksum }), "TCP from another address")
	add(put(rst6, 56, 0xff, 0xff), nil, KindTCP, bad(func(r *Reply) Check { return r.TCP.Checksum }), "v6 TCP checksum 0xffff")
	add(about(p4, put(syn4, 10, 0, 0)), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.Quote.IP.Checksum }), "quoted IP checksum 0")
	add(about(p4, put(syn4, 36, 0, 0)), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.Quote.TCP.Checksum }), "quoted TCP checksum 0")
	add(about(p6, put(syn6, 56, 0, 0)), nil, KindTimeExceeded, bad(func(r *Reply) Check { return r.Quote.TCP.Checksum }), "v6 quoted TCP checksum 0")
	zeros := resized(te4, 28)
	clear(zeros[20:])
	add(zeros, nil, KindEcho, bad(func(r *Reply) Check { return r.Checksum }), "an ICMP message of zeros")

	// IPv6 extension headers.
	for _, h := range []struct {
		name string
		b    byte
	}{{"hop-by-hop", headerHopByHop}, {"routing", headerRouting}, {"destination options", headerDestOpts}, {"fragment", headerFragment}, {"AH", headerAH}} {
		for n := 1; n <= maxExtensionHops+1; n++ {
			chain := slices.Repeat([]byte{h.b}, n)
			err, kind, more, errQ := error(nil), KindTimeExceeded, quoteIs(p6), error(nil)
			if n > maxExtensionHops {
				err, kind, more, errQ = ErrExtensionHeaders, 0, nil, errQuoteExtensionHeaders
			}
			add(chained(te6, chain...), err, kind, more, "%d times %s", n, h.name)
			add(about(p6, chained(syn6, chain...)), errQ, kind, more, "%d times %s, quoted", n, h.name)
		}
		add(resized(put(chained(te6, h.b), 41, 0xff), 48), ErrTruncated, 0, nil, "%s longer than the packet", h.name)
		one := chained(te6, h.b)
		if h.b != headerFragment {
			add(put(one, 41, 0xff), ErrTruncated, 0, nil, "%s of length 255", h.name)
			add(about(p6, put(chained(syn6, h.b), 41, 0xff)), errQuoteTruncated, 0, nil, "%s of length 255, quoted", h.name)
		}
		for n := 40; n < 48; n++ {
			add(resized(one, n), ErrTruncated, 0, nil, "%s cut to %d bytes", h.name, n-40)
		}
		// The message behind it is then read as another such header, and leads to a protocol that is none of ours.
		add(put(one, 40, h.b), nil, KindOther, nil, "%s that names itself as the next", h.name)
	}
	mixed := chained(te6, headerHopByHop, headerDestOpts, headerRouting, headerFragment, headerAH, headerDestOpts)
	add(mixed, nil, KindTimeExceeded, func(r *Reply) bool { return r.IP.HeaderLength == 88 && r.Quote.Key() == p6.Key() }, "all extension headers")
	add(put(te6, 6, 59), nil, KindOther, nil, "no next header")
	add(put(te6, 6, 50), nil, KindOther, nil, "ESP")
	add(chained(put(te6, 6, 59), headerHopByHop), nil, KindOther, func(r *Reply) bool { return r.IP.Protocol == 59 }, "no next header behind hop-by-hop")
	add(put(te6, 6, 41), nil, KindOther, nil, "v6 in v6")
	add(put(te4, 9, 4), nil, KindOther, nil, "v4 in v4")
	add(append(resized(chained(te6, headerDestOpts), 40), 59, 0, 0, 0, 0, 0, 0, 0), ErrHeader, 0, nil, "extension header behind the payload length")

	// Fragments.
	unknown := func(r *Reply) bool { return r.Checksum == CheckUnknown && r.IP.MoreFragments }
	add(put(te4, 6, 0x20, 0), nil, KindTimeExceeded, unknown, "v4 first fragment of an ICMP error")
	add(put(synack, 6, 0x20, 0), nil, KindTCP, unknown, "v4 first fragment of a segment")
	add(put(te4, 6, 0, 1), nil, KindOther, func(r *Reply) bool { return r.IP.FragmentOffset == 8 && r.Type == 0 }, "v4 second fragment")
	add(put(te4, 6, 0x1f, 0xff), nil, KindOther, func(r *Reply) bool { return r.IP.FragmentOffset == 65528 }, "v4 last fragment there can be")
	add(put(te4, 6, 0xff, 0xff), nil, KindOther, func(r *Reply) bool { return r.IP.DontFragment && r.IP.MoreFragments }, "v4 all fragment bits")
	add(put(chained(te6, headerFragment), 42, 0, 1), nil, KindTimeExceeded, unknown, "v6 first fragment")
	add(put(chained(te6, headerFragment), 42, 0, 8), nil, KindOther, func(r *Reply) bool { return r.IP.FragmentOffset == 8 && r.IP.Protocol == protocolICMPv6 }, "v6 second fragment")
	add(put(chained(te6, headerFragment, headerDestOpts), 42, 0, 8), nil, KindOther, func(r *Reply) bool { return r.IP.Protocol == headerDestOpts }, "v6 second fragment of an extension header")
	add(about(p4, put(syn4, 6, 0x20, 0)), nil, KindTimeExceeded, func(r *Reply) bool { return r.Quote.Key() == p4.Key() && r.Quote.TCP.Checksum == CheckUnknown }, "v4 quotes a first fragment")
	add(about(p4, put(syn4, 6, 0, 3)), nil, KindOther, func(r *Reply) bool { return r.Quote.IP.FragmentOffset == 24 && r.Quote.TCP.Have == 0 }, "v4 quotes a second fragment")
	add(about(p4, put(syn4, 6, 0x20, 0x40)), nil, KindOther, nil, "v4 quotes a fragment of offset 512 with more to come")
	add(about(p6, put(chained(syn6, headerFragment), 42, 2, 0)), nil, KindOther, nil, "v6 quotes a fragment of offset 512")
	add(about(p6, put(chained(syn6, headerFragment), 42, 0, 1)), nil, KindTimeExceeded, quoteIs(p6), "v6 quotes a first fragment")

	// What is quoted is not ours.
	for _, proto := range []byte{0, 1, 2, 17, 50, 58, 132, 255} {
		add(about(p4, put(syn4, 9, proto)), nil, KindOther, func(r *Reply) bool { return r.Quote.IP.Protocol == proto && r.Quote.TCP.Have == 0 }, "v4 quotes protocol %d", proto)
	}
	for _, proto := range []byte{1, 4, 17, 41, 50, 58, 59, 255} {
		add(about(p6, put(syn6, 6, proto)), nil, KindOther, func(r *Reply) bool { return r.Quote.IP.Protocol == proto && r.Quote.TCP.Have == 0 }, "v6 quotes protocol %d", proto)
	}
	e4, e6 := icmpAbout(p4, nil), icmpAbout(p6, nil)
	add(must(AppendICMP(nil, &e4)), errQuoteTruncated, 0, nil, "v4 quotes nothing")
	add(must(AppendICMP(nil, &e6)), errQuoteTruncated, 0, nil, "v6 quotes nothing")
	add(about(p4, te4), nil, KindOther, nil, "v4 quotes an ICMP error")
	add(about(p6, te6), nil, KindOther, nil, "v6 quotes an ICMP error")

	// TCP data offsets.
	for n := range byte(16) {
		b := put(synack, 32, n<<4)
		switch {
		case n < 5 || n > 10:
			add(b, ErrTCPHeader, 0, nil, "TCP data offset %d", n)
		default:
			add(b, nil, KindTCP, func(r *Reply) bool { return r.TCP.Options.Len() == int(n)*4-20 && len(r.TCP.Payload) == 40-int(n)*4 }, "TCP data offset %d", n)
		}
		add(about(p4, put(syn4, 32, n<<4)), nil, KindTimeExceeded, func(r *Reply) bool {
			return r.Quote.Key() == p4.Key() && r.Quote.TCP.DataOffset == int(n)*4 && r.Quote.TCP.HasOptions() == (n <= 10) &&
				r.Quote.TCP.Options.Len() == max(0, min(int(n), 10)*4-20)
		}, "quoted TCP data offset %d", n)
	}
	// TCP options: nothing that can be read, nothing that goes on for ever.
	for _, o := range []struct {
		name string
		b    []byte
	}{
		{"all zero lengths", []byte{2, 0, 3, 0, 4, 0, 5, 0, 8, 0, 34, 0, 2, 0, 2, 0, 2, 0, 2, 0}},
		{"length 1", []byte{2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1}},
		{"length 255", slices.Repeat([]byte{255}, 20)},
		{"length one too long", []byte{254, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"only End", make([]byte, 20)},
		{"only NOP", slices.Repeat([]byte{1}, 20)},
	} {
		add(put(synack, 40, o.b...), nil, KindTCP, func(r *Reply) bool {
			_, mss := r.TCP.Options.MSS()
			_, _, ts := r.TCP.Options.Timestamps()
			_, _, sack := r.TCP.Options.SACK()
			return !mss && !ts && !sack && r.TCP.Options.Len() == 20
		}, "TCP options: %s", o.name)
	}

	// RFC 4884.
	extended := func(p Probe, quote []byte, objects []byte) []byte {
		e := icmpAbout(p, quote)
		e.Extensions = objects
		return must(AppendICMP(nil, &e))
	}
	object := func(n int, class, ctype byte, data ...byte) []byte {
		return append([]byte{byte(n >> 8), byte(n), class, ctype}, data...)
	}
	for _, p := range []Probe{p4, p6} {
		quote := must(p.AppendBinary(nil))
		v := quote[0] >> 4
		head, field, unit := 20, 5, 4
		if v == 6 {
			head, field, unit = 40, 4, 8
		}
		ext := head + icmpHeaderLen + minExtendedQuote
		for _, n := range []int{0, 1, 2, 3, 9, 65535} {
			add(extended(p, quote, object(n, ClassMPLS, 1, 0, 1, 1, 1)), nil, KindTimeExceeded, func(r *Reply) bool {
				return objects(&r.Extensions) == "" && r.Extensions.Checksum == CheckGood && quoteIs(p)(r)
			}, "v%d object of length %d", v, n)
		}
		nested := object(12, ClassMPLS, 1, object(8, ClassMPLS, 1, 0, 1, 1, 1)...)
		add(extended(p, quote, nested), nil, KindTimeExceeded, func(r *Reply) bool {
			return objects(&r.Extensions) == "mpls:128/0/1/1,16/0/1/1"
		}, "v%d object in an object", v)
		add(extended(p, quote, object(4, ClassMPLS, 1)), nil, KindTimeExceeded, func(r *Reply) bool { return objects(&r.Extensions) == "obj:1/1/" }, "v%d empty label stack", v)
		add(extended(p, quote, object(7, ClassMPLS, 1, 1, 2, 3)), nil, KindTimeExceeded, func(r *Reply) bool { return objects(&r.Extensions) == "obj:1/1/010203" }, "v%d three bytes of a label", v)
		add(extended(p, quote, []byte{0, 4, 1}), nil, KindTimeExceeded, func(r *Reply) bool { return objects(&r.Extensions) == "" && r.Extensions.Len() == 7 }, "v%d three bytes of an object header", v)
		many := slices.Repeat(object(4, 9, 9), 100)
		add(extended(p, quote, many), nil, KindTimeExceeded, func(r *Reply) bool { n, _, _ := walk(r); return n == 100 }, "v%d a hundred empty objects", v)
		for ctype := range 16 {
			add(extended(p, quote, object(4, ClassInterface, byte(ctype))), nil, KindTimeExceeded, func(r *Reply) bool {
				want := "bad interface"
				if ctype == 0 {
					want = "if:0/0/invalid IP//0"
				}
				return objects(&r.Extensions) == want
			}, "v%d interface %04b with nothing in it", v, ctype)
		}
		good := extended(p, quote, object(8, ClassMPLS, 1, 0, 1, 1, 1))
		for version := range byte(16) {
			if version != extensionVersion {
				add(put(good, ext, version<<4), nil, KindTimeExceeded, func(r *Reply) bool {
					return r.Extensions.Len() == 0 && r.Extensions.Checksum == CheckBad && quoteIs(p)(r)
				}, "v%d extensions of version %d", v, version)
			}
		}
		add(put(good, ext+2, 0xff, 0xff), nil, KindTimeExceeded, func(r *Reply) bool {
			return r.Extensions.Checksum == CheckBad && objects(&r.Extensions) == "mpls:16/0/1/1"
		}, "v%d extensions with a bad checksum", v)
		add(put(good, ext+2, 0, 0), nil, KindTimeExceeded, func(r *Reply) bool {
			return r.Extensions.Checksum == CheckUnknown && objects(&r.Extensions) == "mpls:16/0/1/1"
		}, "v%d extensions without a checksum", v)
		for n := 1; n < extensionHeaderLen; n++ {
			add(resized(good, ext+n), nil, KindTimeExceeded, func(r *Reply) bool {
				return r.Extensions.Len() == 0 && r.Extensions.Checksum == CheckBad && quoteIs(p)(r)
			}, "v%d %d bytes of extensions", v, n)
		}
		add(resized(good, ext), nil, KindTimeExceeded, func(r *Reply) bool {
			return r.Extensions.Len() == 0 && r.Extensions.Checksum == CheckUnknown && quoteIs(p)(r)
		}, "v%d length field, and no extensions", v)
		// The length field: what it can't be is ignored, and the structure found at byte 128.
		for n := range 256 {
			said := n * unit
			add(put(good, head+field, byte(n)), nil, KindTimeExceeded, func(r *Reply) bool {
				e := &r.Extensions
				switch {
				case e.LengthField != said || !quoteIs(p)(r):
					return false
				case said == minExtendedQuote:
					return e.Compliant && e.Checksum == CheckGood
				case said > minExtendedQuote && said < minExtendedQuote+12:
					return e.Compliant && e.Checksum == CheckBad && e.Len() == 0
				}
				return !e.Compliant && e.Checksum == CheckGood && e.Len() == 12
			}, "v%d length field %d", v, n)
		}
		// The form before RFC 4884 needs a right checksum, or it is part of the quote.
		old := put(good, head+field, 0)
		add(put(old, ext+2, 0, 0), nil, KindTimeExceeded, func(r *Reply) bool { return r.Extensions.Len() == 0 && quoteIs(p)(r) }, "v%d old form without a checksum", v)
		add(put(old, ext+2, 1, 2), nil, KindTimeExceeded, func(r *Reply) bool { return r.Extensions.Len() == 0 && quoteIs(p)(r) }, "v%d old form with a bad checksum", v)
		add(put(old, ext, 0x10), nil, KindTimeExceeded, func(r *Reply) bool { return r.Extensions.Len() == 0 && quoteIs(p)(r) }, "v%d old form of another version", v)
		add(resized(old, ext+3), nil, KindTimeExceeded, func(r *Reply) bool { return r.Extensions.Len() == 0 }, "v%d old form, cut", v)
		// A whole quote that goes on behind byte 128 is no extension structure.
		long := p
		long.Length = 400
		add(about(long, must(long.AppendBinary(nil))), nil, KindTimeExceeded, func(r *Reply) bool {
			return r.Extensions.Len() == 0 && r.Quote.Bytes == 400 && r.Quote.TCP.Checksum == CheckGood
		}, "v%d long quote, no extensions", v)
	}
	// Types that have no length field keep their bytes to themselves.
	e := icmpAbout(p6, syn6)
	e.Type, e.MTU = ICMPv6TooBig, 0xffffffff
	add(must(AppendICMP(nil, &e)), nil, KindTooBig, func(r *Reply) bool { return r.MTU == 0xffffffff && r.Extensions.LengthField == 0 }, "too big with an MTU of all ones")
	e = icmpAbout(p4, syn4)
	e.Type, e.Code = ICMPv4Unreachable, codeFragmentationNeeded
	add(must(AppendICMP(nil, &e)), nil, KindUnreachable, func(r *Reply) bool { return r.MTU == 0 }, "fragmentation needed without an MTU")
	add(put(te4, 20, 3, 3, 0, 0, 0, 0, 5, 0x78), nil, KindUnreachable, func(r *Reply) bool { return r.MTU == 0 }, "port unreachable with bytes where the MTU would be")
	return all
}

// TestMalformed: no panic, no allocation, and the error or kind that is due.
func TestMalformed(t *testing.T) {
	all := corpus()
	if len(all) < 400 {
		t.Errorf("%d packets, want at least 400", len(all))
	}
	t.Logf("%d packets", len(all))
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.name] {
			t.Errorf("%q stands twice", c.name)
		}
		seen[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			b := slices.Clip(c.b)
			r, err := inspect(t, b)
			if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if errors.Is(err, ErrQuote) != errors.Is(c.err, ErrQuote) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if r.Kind != c.kind {
				t.Errorf("kind %v, want %v", r.Kind, c.kind)
			}
			if c.more != nil && !c.more(r) {
				t.Errorf("not as expected: %+v", r)
			}
			var again Reply
			if n := testing.AllocsPerRun(3, func() {
				_ = Parse(b, &again)
				walk(&again)
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
