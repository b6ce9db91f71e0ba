package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

func ends(src, dst string) Ends {
	return Ends{netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)}
}

// A host's NAT has changed everything that it can change.
var translations = []Translation{
	{ProtoTCP, ends("10.66.0.1:40000", "10.96.0.10:443"), ends("198.18.1.1:20123", "198.18.9.2:8080")},
	{ProtoTCP, ends("[2001:db8:66::1]:40000", "[2001:db8:96::10]:443"), ends("[2001:db8:1::1]:20123", "[2001:db8:9::2]:8080")},
	{ProtoEcho, ends("10.66.0.1:40000", "10.96.0.10:0"), ends("198.18.1.1:20123", "198.18.9.2:0")},
	{ProtoEcho, ends("[2001:db8:66::1]:40000", "[2001:db8:96::10]:0"), ends("[2001:db8:1::1]:20123", "[2001:db8:9::2]:0")},
}

// sealed is an echo message between these ends, with all checksums right.
func sealed(b []byte, e Ends, id uint16) []byte {
	b = bytes.Clone(b)
	var ip IP
	ip.parse(b)
	at, acc := 8, uint64(0)
	if ip.Version == 4 {
		at = 12
	}
	copy(b[at:], e.Src.Addr().AsSlice())
	copy(b[at+len(e.Src.Addr().AsSlice()):], e.Dst.Addr().AsSlice())
	msg := b[ip.HeaderLength:]
	binary.BigEndian.PutUint16(msg[4:], id)
	msg[2], msg[3] = 0, 0
	if ip.Version == 6 {
		acc = pseudo(b, protocolICMPv6, len(msg))
	}
	binary.BigEndian.PutUint16(msg[2:], ^fold(sum(acc, msg)))
	CompleteIPChecksum(b)
	return b
}

// probeBetween is a probe as it was made, and as it left.
func probeBetween(t *testing.T, tr *Translation) (made, left []byte) {
	p := Probe{Protocol: tr.Protocol, Src: tr.Made.Src, Dst: tr.Made.Dst, TTL: 3, ID: 77, Seq: 0x12345678, EchoSeq: 9, Flags: SYN, Length: 90}
	made = must(p.AppendBinary(nil))
	if tr.Protocol == ProtoEcho {
		return made, sealed(made, tr.Left, tr.Left.Src.Port())
	}
	p.Src, p.Dst = tr.Left.Src, tr.Left.Dst
	return made, must(p.AppendBinary(nil))
}

// What comes back is what would have come back without the host's NAT, byte for byte.
func TestUndo(t *testing.T) {
	for _, tr := range translations {
		made, left := probeBetween(t, &tr)
		router := netip.MustParseAddr("198.18.5.5")
		kind := uint8(ICMPv4TimeExceeded)
		if tr.version() == 6 {
			router, kind = netip.MustParseAddr("2001:db8:5::5"), ICMPv6TimeExceeded
		}
		exceeded := func(from netip.Addr, to Ends, quote []byte, length int) []byte {
			return must(AppendICMP(nil, &ICMPError{Src: from, Dst: to.Src.Addr(), TTL: 60, Type: kind, Quote: quote, QuoteLength: length}))
		}
		type answer struct {
			what       string
			came, want []byte
		}
		all := []answer{
			{"a router", exceeded(router, tr.Left, left, len(left)), exceeded(router, tr.Made, made, len(made))},
			{"the host itself", exceeded(tr.Left.Src.Addr(), tr.Left, left, len(left)), exceeded(tr.Made.Src.Addr(), tr.Made, made, len(made))},
			{"the target", exceeded(tr.Left.Dst.Addr(), tr.Left, left, len(left)), exceeded(tr.Made.Dst.Addr(), tr.Made, made, len(made))},
			{"a short quote", exceeded(router, tr.Left, left, len(left)-len(left)%4-40), exceeded(router, tr.Made, made, len(made)-len(made)%4-40)},
		}
		if tr.Protocol == ProtoTCP {
			s := func(e Ends) []byte {
				return must(AppendTCP(nil, &Segment{Src: e.Dst, Dst: e.Src, Flags: SYN | ACK, Seq: 7, Ack: 0x12345679}))
			}
			all = append(all, answer{"SYN+ACK", s(tr.Left), s(tr.Made)})
		} else {
			back, ok := AppendEchoReply(nil, left, 60, 1)
			want, ok2 := AppendEchoReply(nil, made, 60, 1)
			if !ok || !ok2 {
				t.Fatal("no echo reply")
			}
			all = append(all, answer{"echo reply", back, want})
		}
		for _, a := range all {
			got := bytes.Clone(a.came)
			if !tr.Undo(got) || !bytes.Equal(got, a.want) {
				t.Errorf("%v from %v: %s:\n% x\nwant\n% x", tr.Protocol, tr.Left.Src, a.what, got, a.want)
			}
			var r Reply
			bad := bytes.Clone(a.came)
			bad[len(bad)-1] ^= 1
			if tr.Undo(bad); Parse(bad, &r) != nil || r.Checksum != CheckBad {
				t.Errorf("%v from %v: %s: a wrong checksum became %v", tr.Protocol, tr.Left.Src, a.what, r.Checksum)
			}
			if again := bytes.Clone(a.want); tr.Undo(again) || !bytes.Equal(again, a.want) {
				t.Errorf("%v from %v: %s: changed a packet that the host's NAT has changed back itself", tr.Protocol, tr.Left.Src, a.what)
			}
		}
	}
}

// On a bridge the receiver of an answer has been put back already, and the sender hasn't.
func TestUndoRest(t *testing.T) {
	for _, tr := range translations {
		made, _ := probeBetween(t, &tr)
		half := Ends{tr.Made.Src, tr.Left.Dst}
		_, left := probeBetween(t, &Translation{tr.Protocol, tr.Made, half})
		came, want := answers(t, tr.Protocol, half, left), answers(t, tr.Protocol, tr.Made, made)
		for i := range came {
			if got := bytes.Clone(came[i]); tr.Undo(got) || !tr.UndoRest(got) || !bytes.Equal(got, want[i]) {
				t.Errorf("%v, half translated as %v:\n% x\nwant\n% x", tr.Protocol, half, got, want[i])
			}
		}
		_, left = probeBetween(t, &tr)
		for _, came := range [][][]byte{answers(t, tr.Protocol, tr.Left, left), answers(t, tr.Protocol, tr.Made, made)} {
			for i := range came {
				if got := bytes.Clone(came[i]); tr.UndoRest(got) || !bytes.Equal(got, came[i]) {
					t.Errorf("%v: changed a packet that isn't half translated: % x", tr.Protocol, got)
				}
			}
		}
		one := Translation{tr.Protocol, tr.Made, Ends{tr.Left.Src, tr.Made.Dst}}
		if _, left := probeBetween(t, &one); one.UndoRest(answers(t, tr.Protocol, one.Left, left)[0]) {
			t.Errorf("%v: half of one end", tr.Protocol)
		}
	}
}

// answers are a router's error about a probe that left with these ends, and the target's answer to it.
func answers(t *testing.T, protocol Protocol, left Ends, probe []byte) [][]byte {
	router, kind := netip.MustParseAddr("198.18.5.5"), uint8(ICMPv4TimeExceeded)
	if left.Src.Addr().Is6() {
		router, kind = netip.MustParseAddr("2001:db8:5::5"), ICMPv6TimeExceeded
	}
	all := [][]byte{must(AppendICMP(nil, &ICMPError{
		Src: router, Dst: left.Src.Addr(), TTL: 60, Type: kind, Quote: probe, QuoteLength: len(probe),
	}))}
	if protocol == ProtoTCP {
		return append(all, must(AppendTCP(nil, &Segment{
			Src: left.Dst, Dst: left.Src, Flags: SYN | ACK, Seq: 7, Ack: 0x12345679,
		})))
	}
	back, ok := AppendEchoReply(nil, probe, 60, 1)
	if !ok {
		t.Fatal("no echo reply")
	}
	return append(all, back)
}

// A NAT that is farther away has changed the quote too: only what the host did is taken back.
func TestUndoQuoteOfAnotherNAT(t *testing.T) {
	tr := translations[0]
	made, left := probeBetween(t, &tr)
	farther := netip.MustParseAddr("203.0.113.9")
	for _, b := range [][]byte{made, left} {
		copy(b[16:20], farther.AsSlice())
	}
	of := func(e Ends, quote []byte) []byte {
		return must(AppendICMP(nil, &ICMPError{Src: farther, Dst: e.Src.Addr(), TTL: 60, Type: ICMPv4TimeExceeded, Quote: quote, QuoteLength: 28}))
	}
	// The quote's own checksum was wrong, and stays as wrong as it was.
	got := of(tr.Left, left)
	var r Reply
	if !tr.Undo(got) || Parse(got, &r) != nil || r.Checksum != CheckGood || r.IP.Dst != tr.Made.Src.Addr() || r.IP.Src != farther ||
		r.Quote.IP.Dst != farther || r.Quote.IP.Src != tr.Made.Src.Addr() || r.Quote.TCP.SrcPort != 40000 || r.Quote.TCP.DstPort != 443 {
		t.Errorf("%+v", r)
	}
	if want := of(tr.Made, made); !bytes.Equal(got[:20], want[:20]) {
		t.Errorf("% x\nwant % x", got[:20], want[:20])
	}
}

// What the host says itself bears its own address, whatever its NAT has put there.
func TestFromReceiver(t *testing.T) {
	for _, tr := range translations {
		made, _ := probeBetween(t, &tr)
		kind := uint8(ICMPv4Unreachable)
		if tr.version() == 6 {
			kind = ICMPv6Unreachable
		}
		from := func(a netip.Addr) []byte {
			return must(AppendICMP(nil, &ICMPError{Src: a, Dst: tr.Made.Src.Addr(), TTL: 64, Type: kind, Code: 1, Quote: made}))
		}
		got, want := from(tr.Made.Dst.Addr()), from(tr.Made.Src.Addr())
		if !FromReceiver(got) || !bytes.Equal(got, want) {
			t.Errorf("% x\nwant % x", got, want)
		}
		if tr.Protocol == ProtoTCP {
			segment := must(AppendTCP(nil, &Segment{Src: tr.Made.Dst, Dst: tr.Made.Src, Flags: RST}))
			if FromReceiver(segment) {
				t.Error("a segment")
			}
		}
	}
}

func FuzzUndo(f *testing.F) {
	for i := range translations {
		b, _ := (&Probe{Protocol: translations[i].Protocol, Src: translations[i].Left.Dst, Dst: translations[i].Left.Src, Flags: SYN}).AppendBinary(nil)
		f.Add(i, b)
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		var before, after Reply
		berr := Parse(b, &before)
		wasGood := before.Checksum == CheckGood
		tr := translations[uint(i)%uint(len(translations))]
		done := tr.Undo(b)
		aerr := Parse(b, &after)
		if (berr == nil) != (aerr == nil) || done && berr == nil && wasGood != (after.Checksum == CheckGood) {
			t.Errorf("%v, %v became %v, %v", berr, before.Checksum, aerr, after.Checksum)
		}
	})
}
