package packet

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
)

func echo4() Probe {
	return Probe{Protocol: ProtoEcho, Src: src4, Dst: dst4, TTL: 3, ID: 0x1234, Seq: 0x01020304, EchoSeq: 0xbeef}
}

func echo6() Probe {
	return Probe{Protocol: ProtoEcho, Src: src6, Dst: dst6, TTL: 3, FlowLabel: 0x12345, Seq: 0x01020304, EchoSeq: 0xbeef}
}

// The bytes were put together apart from the encoder, and their last word found by trying all.
func TestEchoBytes(t *testing.T) {
	long := echo4()
	long.Length = 37
	for _, tt := range []struct {
		p    Probe
		want string
	}{
		{echo4(), `4500002212340000030115 80 c6120101c6120302 0800 0206 9c40beef 01020304 96c3`},
		{long, `45000025123400000301157d c6120101c6120302 0800 0206 9c40beef 01020304 d260 616263`},
		{echo6(), `60012345000e3a03 20010db8000100000000000000000001 20010db8000300000000000000000002
			8000 0206 9c40beef 01020304 c301`},
	} {
		b, err := tt.p.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := unhex(t, tt.want); !bytes.Equal(b, want) {
			t.Errorf("%x\nwant\n%x", b, want)
		}
	}
}

// All probes of a flow have the same bytes in front of their sequence number, TTL and IP ID apart: load balancers that
// hash them send all the same way.
func TestEchoFlowIsConstant(t *testing.T) {
	for _, p := range []Probe{echo4(), echo6()} {
		n := p.HeaderLength() - icmpHeaderLen - echoDataLen
		var first []byte
		for seq := range 0x10000 {
			p.EchoSeq, p.TTL = uint16(seq), uint8(seq)
			b := must(p.AppendBinary(nil))
			var r Reply
			if err := Parse(b, &r); err != nil || r.Checksum != CheckGood {
				t.Fatalf("%+v: %v, checksum %v", p, err, r.Checksum)
			}
			if first == nil {
				first = b[n : n+6]
			}
			if !bytes.Equal(b[n:n+6], first) {
				t.Fatalf("%+v: %x, the first %x", p, b[n:], first)
			}
		}
	}
	for _, seq := range []uint32{0, 0xffffffff, 0x0000ffff, 0x12341234, 0x1234edcb} {
		if c := EchoChecksum(seq); c == 0 || c == 0xffff {
			t.Errorf("%#x: checksum %#x", seq, c)
		}
	}
}

// What a router quotes of an echo request names the probe as far as it goes, and so does the target's answer.
func TestEchoThereAndBack(t *testing.T) {
	for _, p := range []Probe{echo4(), echo6()} {
		b := must(p.AppendBinary(nil))
		least := len(b) - echoDataLen
		for _, tt := range []struct {
			quote  int
			hasID  bool
			hasKey bool
		}{{least - 1, false, false}, {least, true, false}, {least + 3, true, false}, {least + 4, true, true}, {len(b), true, true}} {
			e := icmpAbout(p, b)
			e.QuoteLength = tt.quote
			var r Reply
			if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil {
				t.Fatal(err)
			}
			q := &r.Quote.Echo
			if q.HasID() != tt.hasID || r.Quote.HasKey() != tt.hasKey {
				t.Errorf("%d bytes quoted: %+v", tt.quote, q)
			}
			if !tt.hasID {
				if r.Kind != KindOther {
					t.Errorf("%d bytes quoted: %v", tt.quote, r.Kind)
				}
				continue
			}
			if r.Kind != KindTimeExceeded || q.ID != p.Src.Port() || q.Seq != p.EchoSeq || q.ChecksumField != EchoChecksum(p.Seq) {
				t.Errorf("%d bytes quoted: %v, %+v", tt.quote, r.Kind, q)
			}
			if tt.hasKey && r.Quote.Key() != p.Key() {
				t.Errorf("%d bytes quoted: key %+v, want %+v", tt.quote, r.Quote.Key(), p.Key())
			}
		}

		answer, ok := AppendEchoReply([]byte("prefix"), append(b, "link padding"...), 57, 7)
		var r Reply
		if err := Parse(bytes.TrimPrefix(answer, []byte("prefix")), &r); !ok || err != nil {
			t.Fatal(ok, err)
		}
		secret, whole := r.Echo.Secret()
		if r.Kind != KindEcho || r.Checksum != CheckGood || r.From() != p.Dst.Addr() || r.IP.Dst != p.Src.Addr() || r.IP.TTL != 57 ||
			r.Echo.ID != p.Src.Port() || r.Echo.Seq != p.EchoSeq || secret != p.Seq || !whole {
			t.Errorf("answer: %+v", r)
		}
		if _, ok := AppendEchoReply(nil, bytes.TrimPrefix(answer, []byte("prefix")), 64, 0); ok {
			t.Error("an answer is answered")
		}
	}
}

// A quote that a router pads with zeros says no more than one without.
func TestEchoQuotePadded(t *testing.T) {
	for _, p := range []Probe{echo4(), echo6()} {
		b := must(p.AppendBinary(nil))
		e := icmpAbout(p, b[:len(b)-echoDataLen])
		e.Extensions = must(AppendMPLS(nil, Label{Label: 16, Bottom: true, TTL: 1}))
		var r Reply
		if err := Parse(must(AppendICMP(nil, &e)), &r); err != nil || r.Kind != KindTimeExceeded {
			t.Fatal(err, r.Kind)
		}
		if r.Quote.HasKey() || !r.Quote.Echo.HasID() || r.Extensions.Len() == 0 {
			t.Errorf("%+v, extensions of %d bytes", r.Quote.Echo, r.Extensions.Len())
		}
	}
}

func TestEchoErrors(t *testing.T) {
	for want, change := range map[error]func(*Probe){
		ErrAddress:   func(p *Probe) { p.Dst = dst4 },
		ErrFlowLabel: func(p *Probe) { p.FlowLabel = 1 << 20 },
	} {
		p := echo6()
		change(&p)
		if b, err := p.AppendBinary([]byte("x")); !errors.Is(err, want) || string(b) != "x" {
			t.Errorf("%q, %v, want %v", b, err, want)
		}
	}
}

// FuzzEcho: an echo request is what Parse reads; every host's answer to any packet that is one brings its data back.
func FuzzEcho(f *testing.F) {
	for _, p := range []Probe{echo4(), echo6()} {
		b := must(p.AppendBinary(nil))
		f.Add(p.Src.Addr().AsSlice(), p.Dst.Addr().AsSlice(), p.Src.Port(), p.EchoSeq, p.Seq, uint16(0), uint16(30), b)
		f.Add(p.Src.Addr().AsSlice(), p.Dst.Addr().AsSlice(), p.Src.Port(), p.EchoSeq, uint32(0), uint16(1500), uint16(48), timeExceeded(probe4()))
	}
	f.Fuzz(func(t *testing.T, src, dst []byte, id, eseq uint16, seq uint32, length, cut uint16, any []byte) {
		if answer, ok := AppendEchoReply(nil, any, 64, 1); ok {
			r, err := inspect(t, answer)
			if err != nil || r.Kind != KindEcho || r.Checksum != CheckGood {
				t.Errorf("answer %x to %x: %v", answer, any, err)
			}
		}
		s, _ := netip.AddrFromSlice(src)
		d, _ := netip.AddrFromSlice(dst)
		p := Probe{Protocol: ProtoEcho, Src: netip.AddrPortFrom(s, id), Dst: netip.AddrPortFrom(d, 0), EchoSeq: eseq, Seq: seq, Length: length}
		b, err := p.AppendBinary(nil)
		if err != nil {
			return
		}
		if len(b) != p.HeaderLength()+p.PayloadLength() || len(b) != max(int(length), p.HeaderLength()) {
			t.Errorf("%d bytes of %+v", len(b), p)
		}
		if r, err := inspect(t, b); err != nil || r.Kind != KindOther || r.Checksum != CheckGood {
			t.Errorf("%v: %+v", err, r)
		}
		e := icmpAbout(p, b)
		e.Dst, e.QuoteLength = s, int(cut)
		r, err := inspect(t, must(AppendICMP(nil, &e)))
		if err == nil && r.Quote.HasKey() && r.Quote.Key() != p.Key() {
			t.Errorf("quoted: %+v, want %+v", r.Quote.Key(), p.Key())
		}
	})
}
