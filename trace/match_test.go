package trace

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

var (
	src4, dst4 = netip.MustParseAddrPort("198.18.0.1:40000"), netip.MustParseAddrPort("198.18.9.2:443")
	src6, dst6 = netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8:9::2]:443")
	hop4, hop6 = netip.MustParseAddr("198.18.3.2"), netip.MustParseAddr("2001:db8:3::2")
)

// family is one of the two, with what a test needs of it.
type family struct {
	name          string
	src, dst      netip.AddrPort
	hop           netip.Addr
	teType, teMax uint8 // ICMP time exceeded and destination unreachable
}

var families = []family{
	{"IPv4", src4, dst4, hop4, 11, 3},
	{"IPv6", src6, dst6, hop6, 3, 1},
}

const flowSeq = 0x89abcdef

func (f family) probe(ttl uint8, tag uint32) packet.Probe {
	p := packet.Probe{Src: f.src, Dst: f.dst, TTL: ttl, Seq: flowSeq, Flags: packet.SYN}
	if f.src.Addr().Is4() {
		p.ID = uint16(tag)
		return p
	}
	p.FlowLabel = 0xabcde
	p.Options, _ = p.Options.WithTimestamps(tag, 0)
	return p
}

// header is how long the IP header of a probe is.
func (f family) header() int {
	if f.src.Addr().Is4() {
		return 20
	}
	return 40
}

// error is an ICMP error from a hop about a packet.
func (f family) icmp(t testing.TB, from netip.Addr, typ, code uint8, quote []byte) []byte {
	t.Helper()
	b, err := packet.AppendICMP(nil, &packet.ICMPError{Src: from, Dst: f.src.Addr(), TTL: 60, Type: typ, Code: code, Quote: quote})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f family) timeExceeded(t testing.TB, quote []byte) []byte {
	return f.icmp(t, f.hop, f.teType, 0, quote)
}

// answer is a TCP segment from the target.
func (f family) answer(t testing.TB, edit func(*packet.Segment)) []byte {
	t.Helper()
	s := packet.Segment{
		Src: f.dst, Dst: f.src, TTL: 60, Seq: 77, Ack: flowSeq + 1, Flags: packet.SYN | packet.ACK, Window: 65535,
	}
	edit(&s)
	b, err := packet.AppendTCP(nil, &s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func binary(t testing.TB, p packet.Probe) []byte {
	t.Helper()
	b, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parsed(t testing.TB, b []byte) *packet.Reply {
	t.Helper()
	r := new(packet.Reply)
	if err := packet.Parse(b, r); err != nil {
		t.Fatalf("parse % x: %v", b, err)
	}
	return r
}

var sentAt = time.Unix(1000, 0)

// newFlow is a matcher with probes of these TTLs in flight.
func newFlow(f family, trust Trust, ttls ...uint8) (*matcher, []*flight) {
	m := newMatcher()
	var flights []*flight
	for i, ttl := range ttls {
		action := Send(f.probe(ttl, 100+1000*uint32(i)))
		action.Trust = trust
		flights = append(flights, m.add(action, i+1, sentAt))
	}
	return m, flights
}

func judge(m *matcher, r *packet.Reply) match { return m.judge(r, sentAt.Add(10*time.Millisecond)) }

// field is bits of a packet that an answer must bring back unchanged.
type field struct {
	name       string
	byte, bits int // the bits count from the most significant of the byte
	skip       int
}

var quoted4 = []field{
	{"protocol", 9, 8, 0}, {"IP ID", 4, 16, 0}, {"source", 12, 32, 0}, {"destination", 16, 32, 0},
	{"source port", 20, 16, 0}, {"destination port", 22, 16, 0}, {"sequence number", 24, 32, 0},
}

var quoted6 = []field{
	{"source", 8, 128, 0}, {"destination", 24, 128, 0}, {"source port", 40, 16, 0},
	{"destination port", 42, 16, 0}, {"sequence number", 44, 32, 0}, {"TSval", 62, 32, 0},
}

// Where all has to fit, an ICMP error of which any single bit that identifies the probe is wrong is not believed.
func TestEveryBitOfTheQuoteCounts(t *testing.T) {
	for _, f := range families {
		fields := quoted4
		if f.src.Addr().Is6() {
			fields = quoted6
		}
		t.Run(f.name, func(t *testing.T) {
			m, flights := newFlow(f, TrustStrict, 3, 4)
			quote := binary(t, flights[0].probe)
			if got := judge(m, parsed(t, f.timeExceeded(t, quote))); got != (match{Believed, flights[0], ByTag}) {
				t.Fatalf("the untouched answer: %+v", got)
			}
			flipped := 0
			for _, fd := range fields {
				for bit := range fd.bits {
					bad := append([]byte(nil), quote...)
					at := fd.skip + bit
					bad[fd.byte+at/8] ^= 0x80 >> (at % 8)
					var r packet.Reply
					if packet.Parse(f.timeExceeded(t, bad), &r) == nil {
						if got := judge(m, &r); got.verdict == Believed {
							t.Errorf("%s, bit %d flipped: believed", fd.name, bit)
						}
					}
					flipped++
				}
			}
			if flipped < 144 {
				t.Errorf("only %d bits flipped", flipped)
			}
		})
	}
}

// The IPv6 flow label is no proof, for a NAT64 sets it to 0: any other is believed where sequence number and tag are right. It
// is no help to a forger either: with any bit of those wrong nothing is believed, whether the label is right or not.
func TestFlowLabel(t *testing.T) {
	f := families[1]
	full, _ := packet.Options{}.WithMSS(1440)
	for range 9 { // no room for timestamps: the tag is in the window
		full, _ = full.WithSACKPermitted()
		full, _ = full.With(packet.OptionNOP)
	}
	for _, tt := range []struct {
		name  string
		edit  func(*packet.Probe)
		proof []field
	}{
		{"timestamps", func(*packet.Probe) {}, []field{{"sequence number", 44, 32, 0}, {"TSval", 62, 32, 0}}},
		{"window", func(p *packet.Probe) { p.Options, p.Window = full, 100 }, []field{{"sequence number", 44, 32, 0}, {"window", 54, 16, 0}}},
	} {
		p := f.probe(3, 100)
		tt.edit(&p)
		m := newMatcher()
		fl := m.add(Send(p), 1, sentAt)
		for _, label := range []uint32{p.FlowLabel, 0, 1, 0xfffff} {
			q := p
			q.FlowLabel = label
			quote := binary(t, q)
			if got := judge(m, parsed(t, f.timeExceeded(t, quote))); got != (match{Believed, fl, ByTag}) {
				t.Errorf("%s: label %#x: %v", tt.name, label, got.verdict)
			}
			for _, fd := range tt.proof {
				for bit := range fd.bits {
					bad := append([]byte(nil), quote...)
					bad[fd.byte+bit/8] ^= 0x80 >> (bit % 8)
					if got := judge(m, parsed(t, f.timeExceeded(t, bad))); got.verdict == Believed {
						t.Errorf("%s: label %#x: %s, bit %d flipped: believed", tt.name, label, fd.name, bit)
					}
				}
			}
		}
	}
}

// Where the label is another and so little is quoted that it holds no tag, as a NAT64 makes of the 8 bytes of an IPv4 router,
// an answer counts as where an IP ID was rewritten: for the only probe in flight.
func TestFlowLabelWithoutTag(t *testing.T) {
	f := families[1]
	p := f.probe(5, 100)
	p.FlowLabel = 0
	r := parsed(t, f.timeExceeded(t, binary(t, p)[:48]))
	m, flights := newFlow(f, 0, 5)
	if got := judge(m, r); got != (match{TagRewritten, flights[0], ByFlow}) {
		t.Errorf("side by side: %v", got.verdict)
	}
	flights[0].flow.alone = true
	if got := judge(m, r); got != (match{Believed, flights[0], ByFlow}) {
		t.Errorf("alone: %v", got.verdict)
	}
}

// The outer packet must be for us, and a TCP answer must come from the target's address and port to our port, with our
// number acknowledged: any single wrong bit refuses it.
func TestEveryBitOfTheAnswerCounts(t *testing.T) {
	for _, f := range families {
		ip := 20
		addrs := []field{{"source", 12, 32, 0}, {"destination", 16, 32, 0}}
		if f.src.Addr().Is6() {
			ip = 40
			addrs = []field{{"source", 8, 128, 0}, {"destination", 24, 128, 0}}
		}
		fields := append(addrs, field{"source port", ip, 16, 0}, field{"destination port", ip + 2, 16, 0},
			field{"acknowledgement number", ip + 8, 32, 0})
		t.Run(f.name, func(t *testing.T) {
			m, flights := newFlow(f, 0, 9)
			good := f.answer(t, func(*packet.Segment) {})
			if got := judge(m, parsed(t, good)); got.verdict != Believed || got.flight != flights[0] {
				t.Fatalf("the untouched answer: %+v", got)
			}
			for _, fd := range fields {
				for bit := range fd.bits {
					bad := append([]byte(nil), good...)
					bad[fd.byte+bit/8] ^= 0x80 >> (bit % 8)
					bad[ip+16], bad[ip+17] = 0, 0
					if f.src.Addr().Is4() {
						packet.CompleteIPChecksum(bad)
					}
					packet.CompleteTCPChecksum(bad)
					r := parsed(t, bad)
					if got := judge(m, r); got.verdict == Believed {
						t.Errorf("%s, bit %d flipped: believed", fd.name, bit)
					}
				}
			}
		})
	}
}

// What is not the target's proof is never taken for its answer, nor for a hop.
func TestNotAnAnswer(t *testing.T) {
	for _, f := range families {
		tests := []struct {
			name  string
			bytes []byte
			want  Verdict
		}{
			{"RST without ACK", f.answer(t, func(s *packet.Segment) { s.Flags = packet.RST }), NearMiss},
			{"RST with a wrong acknowledgement", f.answer(t, func(s *packet.Segment) { s.Flags, s.Ack = packet.RST|packet.ACK, flowSeq+2 }), NearMiss},
			{"SYN+ACK with a wrong acknowledgement", f.answer(t, func(s *packet.Segment) { s.Ack = flowSeq }), NearMiss},
			{"ACK with another acknowledgement", f.answer(t, func(s *packet.Segment) { s.Flags, s.Ack = packet.ACK, 12345 }), NearMiss},
			{"SYN (simultaneous open)", f.answer(t, func(s *packet.Segment) { s.Flags = packet.SYN }), NearMiss},
			{"FIN without ACK", f.answer(t, func(s *packet.Segment) { s.Flags = packet.FIN }), NearMiss},
			{"from another address", f.answer(t, func(s *packet.Segment) { s.Src = netip.AddrPortFrom(f.hop, f.dst.Port()) }), FromElsewhere},
			{"from another port", f.answer(t, func(s *packet.Segment) { s.Src = withPort(f.dst, 80) }), FromElsewhere},
			{"from another address, with a wrong acknowledgement", f.answer(t, func(s *packet.Segment) {
				s.Src, s.Ack = netip.AddrPortFrom(f.hop, f.dst.Port()), flowSeq
			}), Unrelated},
			{"to another port", f.answer(t, func(s *packet.Segment) { s.Dst = withPort(f.src, 40001) }), Unrelated},
			{"to another address", f.answer(t, func(s *packet.Segment) { s.Dst = netip.AddrPortFrom(f.hop, f.src.Port()) }), Unrelated},
			{"time exceeded from our own address", f.icmp(t, f.src.Addr(), f.teType, 0, binary(t, f.probe(9, 100))), OwnAddress},
			{"quote with another sequence number", f.timeExceeded(t, binary(t, func() packet.Probe { p := f.probe(9, 100); p.Seq++; return p }())), NearMiss},
			{"quote of ports alone", f.timeExceeded(t, binary(t, f.probe(9, 100))[:f.header()+4]), ShortQuote},
			{"quote of another flow's ports alone", f.timeExceeded(t, binary(t, func() packet.Probe { p := f.probe(9, 100); p.Src = withPort(p.Src, 40001); return p }())[:f.header()+4]), Unrelated},
			{"quote of an IP header alone", f.timeExceeded(t, binary(t, f.probe(9, 100))[:f.header()]), Unrelated},
			{"quote of ports alone from our own address", f.icmp(t, f.src.Addr(), f.teType, 0, binary(t, f.probe(9, 100))[:f.header()+4]), Unrelated},
			{"quote of another flow", f.timeExceeded(t, binary(t, func() packet.Probe { p := f.probe(9, 100); p.Src = withPort(p.Src, 40001); return p }())), Unrelated},
			{"reassembly time exceeded", f.icmp(t, f.hop, f.teType, 1, binary(t, f.probe(9, 100))), Unrelated},
			{"bad checksum", func() []byte {
				b := f.answer(t, func(*packet.Segment) {})
				b[len(b)-1] ^= 1
				b[len(b)-3] ^= 1
				return b
			}(), BadChecksum},
		}
		for _, tt := range tests {
			t.Run(f.name+"/"+tt.name, func(t *testing.T) {
				m, _ := newFlow(f, 0, 9)
				if got := judge(m, parsed(t, tt.bytes)); got.verdict != tt.want {
					t.Errorf("got %v, want %v", got.verdict, tt.want)
				}
			})
		}
	}
}

func TestAnswersBelieved(t *testing.T) {
	for _, f := range families {
		probe := f.probe(9, 100)
		nat := probe
		nat.Dst = netip.AddrPortFrom(f.hop, 8080)
		cloud := probe
		cloud.Src = netip.AddrPortFrom(f.hop, probe.Src.Port())
		minimum := binary(t, probe)
		if f.src.Addr().Is4() {
			minimum = minimum[:28] // RFC 792
		}
		tests := []struct {
			name  string
			bytes []byte
		}{
			{"SYN+ACK", f.answer(t, func(*packet.Segment) {})},
			{"RST", f.answer(t, func(s *packet.Segment) { s.Flags, s.Seq = packet.RST|packet.ACK, 0 })},
			{"other flags", f.answer(t, func(s *packet.Segment) { s.Flags = packet.FIN | packet.ACK })},
			{"shortest quote", f.timeExceeded(t, minimum)},
			{"whole quote", f.timeExceeded(t, binary(t, probe))},
			{"through DNAT, not translated back", f.timeExceeded(t, binary(t, nat))},
			{"through a cloud's NAT, source left", f.timeExceeded(t, binary(t, cloud))},
			{"time exceeded from the target's own address", f.icmp(t, f.dst.Addr(), f.teType, 0, binary(t, probe))},
			{"unreachable", f.icmp(t, f.hop, f.teMax, 1, binary(t, probe))},
		}
		for _, tt := range tests {
			t.Run(f.name+"/"+tt.name, func(t *testing.T) {
				m, flights := newFlow(f, 0, 9)
				got := judge(m, parsed(t, tt.bytes))
				if got.verdict != Believed || got.flight != flights[0] {
					t.Errorf("got %v", got.verdict)
				}
			})
		}
	}
}

// A probe with ACK is answered by a RST whose sequence number is the one that the probe acknowledged.
func TestAnswerToACK(t *testing.T) {
	for _, flags := range []packet.Flags{packet.ACK, packet.SYN | packet.ACK} {
		f := families[0]
		p := f.probe(9, 100)
		p.Flags, p.Ack = flags, 0x12345678
		m := newMatcher()
		m.add(Send(p), 1, sentAt)
		rst := func(seq uint32) *packet.Reply {
			return parsed(t, f.answer(t, func(s *packet.Segment) { s.Flags, s.Seq, s.Ack = packet.RST, seq, 0 }))
		}
		if got := judge(m, rst(p.Ack)); got.verdict != Believed {
			t.Errorf("%v: the right number: %v", flags, got.verdict)
		}
		if got := judge(m, rst(p.Ack+1)); got.verdict != NearMiss {
			t.Errorf("%v: a wrong number: %v", flags, got.verdict)
		}
	}
}

// A closed port acknowledges the SYN's payload too, an open one need not.
func TestAnswerToPayload(t *testing.T) {
	f := families[0]
	p := f.probe(9, 100)
	p.Length = 100
	for _, tt := range []struct {
		ack  uint32
		want Verdict
	}{{flowSeq + 1, Believed}, {flowSeq + 61, Believed}, {flowSeq + 60, NearMiss}, {flowSeq + 62, NearMiss}} {
		m := newMatcher()
		m.add(Send(p), 1, sentAt)
		r := parsed(t, f.answer(t, func(s *packet.Segment) { s.Flags, s.Ack = packet.RST|packet.ACK, tt.ack }))
		if got := judge(m, r); got.verdict != tt.want {
			t.Errorf("acknowledging %d: %v, want %v", tt.ack-flowSeq, got.verdict, tt.want)
		}
	}
}

// A TCP answer names only the flow, so it counts only where one probe can be meant.
func TestWhichProbe(t *testing.T) {
	f := families[0]
	at := sentAt.Add(10 * time.Millisecond)
	answer := parsed(t, f.answer(t, func(*packet.Segment) {}))
	t.Run("several", func(t *testing.T) {
		m, flights := newFlow(f, 0, 8, 9, 10)
		if got := m.judge(answer, at); got.verdict != IsShared || got.flight != flights[0] {
			t.Errorf("%v", got.verdict)
		}
	})
	t.Run("the others ended at routers", func(t *testing.T) {
		m, flights := newFlow(f, 0, 7, 8, 9)
		te := parsed(t, f.timeExceeded(t, binary(t, flights[1].probe)))
		m.settle(m.judge(te, at), te, at)
		if got := m.judge(answer, at); got.verdict != Believed || got.flight != flights[2] {
			t.Errorf("%v", got.verdict)
		}
	})
	t.Run("the others were passed", func(t *testing.T) {
		m, flights := newFlow(f, 0, 8, 9)
		flights[0].passed = true
		flights[0].flow.wait = time.Millisecond // so that its answer would have come by now
		if got := m.judge(answer, at); got.verdict != Believed || got.flight != flights[1] {
			t.Errorf("%v", got.verdict)
		}
		te := parsed(t, f.timeExceeded(t, binary(t, flights[0].probe)))
		if got := m.judge(te, at); got.verdict != Believed || got.flight != flights[0] {
			t.Errorf("its router's answer: %v", got.verdict)
		}
	})
	t.Run("late", func(t *testing.T) {
		m, flights := newFlow(f, 0, 9)
		flights[0].outcome = Lost
		if got := m.judge(answer, at); got.verdict != IsLate {
			t.Errorf("%v", got.verdict)
		}
	})
	t.Run("second", func(t *testing.T) {
		m, _ := newFlow(f, 0, 9, 9)
		m.flights[packet.Key{Port: 40000, Seq: flowSeq, Tag: 1100}].outcome = Lost
		m.settle(m.judge(answer, at), answer, at)
		// The same SYN+ACK again, while another probe waits: a retransmission.
		m.add(Send(f.probe(9, 200)), 3, at)
		if got := m.judge(answer, at.Add(time.Second)); got.verdict != IsDuplicate {
			t.Errorf("%v", got.verdict)
		}
	})
	t.Run("before its question", func(t *testing.T) {
		m, _ := newFlow(f, 0, 9)
		if got := m.judge(answer, sentAt.Add(-time.Millisecond)); got.verdict != Unrelated {
			t.Errorf("%v", got.verdict)
		}
	})
	t.Run("named by the timestamp", func(t *testing.T) {
		f := families[1]
		m, flights := newFlow(f, 0, 8, 9, 10)
		r := parsed(t, f.answer(t, func(s *packet.Segment) { s.Options, _ = s.Options.WithTimestamps(5, 1100) }))
		if got := m.judge(r, at); got != (match{Believed, flights[1], ByTag}) {
			t.Errorf("%v", got.verdict)
		}
	})
	t.Run("far too fast for the target", func(t *testing.T) {
		m, flights := newFlow(f, 0, 9)
		flights[0].outcome = Lost
		flights[0].flow.best, flights[0].flow.worst = 100*time.Millisecond, 100*time.Millisecond
		later := m.add(Send(f.probe(9, 7000)), 2, sentAt.Add(100*time.Millisecond))
		if got := m.judge(answer, sentAt.Add(140*time.Millisecond)); got.verdict != IsLate || got.flight != flights[0] {
			t.Errorf("40 ms after the second probe: %v", got.verdict)
		}
		if got := m.judge(answer, sentAt.Add(200*time.Millisecond)); got.verdict != Believed || got.flight != later {
			t.Errorf("100 ms after it: %v", got.verdict)
		}
	})
}

// Of several probes that an answer of the target fits, it is that of the only one that it is in time for.
func TestInTime(t *testing.T) {
	const ms = time.Millisecond
	f := families[0]
	answer := parsed(t, f.answer(t, func(*packet.Segment) {}))
	for _, tt := range []struct {
		name        string
		best, worst time.Duration // by another flow
		sent        []time.Duration
		at          time.Duration
		of          int  // from 1; 0: nobody's for sure
		vouched     bool // the last, which then has the highest TTL
	}{
		{"the others were sent after it", 50 * ms, 51 * ms, []time.Duration{0, 4 * ms, 7 * ms}, 50 * ms, 1, false},
		{"not long enough after it", 50 * ms, 51 * ms, []time.Duration{0, 2 * ms}, 50 * ms, 0, false},
		{"not long enough where times differ", 50 * ms, 54 * ms, []time.Duration{0, 5 * ms}, 50 * ms, 0, false},
		{"it is late", 50 * ms, 51 * ms, []time.Duration{0, 20 * ms}, 65 * ms, 0, false},
		{"one sent long ago may be meant", 97 * ms, 98 * ms, []time.Duration{0, 87 * ms}, 181 * ms, 0, false},
		{"one sent long ago may be meant too", 97 * ms, 98 * ms, []time.Duration{0, 87 * ms}, 184 * ms, 0, false},
		{"nothing is known", 0, 0, []time.Duration{0, 40 * ms}, 50 * ms, 0, false},
		{"those before it don't get there", 50 * ms, 51 * ms, []time.Duration{0, 2 * ms, 6 * ms}, 56 * ms, 3, true},
		{"it comes early", 50 * ms, 51 * ms, []time.Duration{0, 2 * ms, 6 * ms}, 56*ms - ms/2, 3, true},
		{"it may be the one's before it", 50 * ms, 51 * ms, []time.Duration{0, 2 * ms, 6 * ms}, 53 * ms, 0, true},
		{"it is the one's before it", 50 * ms, 51 * ms, []time.Duration{0, 2 * ms, 6 * ms}, 50 * ms, 0, true},
		{"it comes too late for all", 50 * ms, 51 * ms, []time.Duration{0, 2 * ms, 6 * ms}, 61 * ms, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMatcher()
			var flights []*flight
			for i, sent := range tt.sent {
				ttl := 12 - i
				if tt.vouched && i == len(tt.sent)-1 {
					ttl = 13
				}
				flights = append(flights, m.add(Send(f.probe(uint8(ttl), 100+uint32(i))), i+1, sentAt.Add(sent)))
			}
			if tt.vouched {
				flights[len(flights)-1].trust = TrustFirst
			}
			flights[0].flow.best, flights[0].flow.worst = tt.best, tt.worst
			switch got := m.judge(answer, sentAt.Add(tt.at)); {
			case tt.of == 0 && got.verdict != IsShared:
				t.Errorf("%v of probe %d", got.verdict, got.flight.n)
			case tt.of > 0 && (got.verdict != Believed || got.flight != flights[tt.of-1]):
				t.Errorf("%v of probe %d, not %d", got.verdict, got.flight.n, tt.of)
			}
		})
	}
}

// A probe that was sent before the one before it had its time: the answer is that one's whose time is like the times known,
// and nobody's where both may be.
func TestOvertaken(t *testing.T) {
	const ms = time.Millisecond
	f := families[0]
	answer := parsed(t, f.answer(t, func(s *packet.Segment) { s.Flags = packet.RST | packet.ACK }))
	for _, tt := range []struct {
		name        string
		best, worst time.Duration // by another flow
		ttl         uint8         // of the first probe; the second has 12
		second, at  time.Duration // after the first
		want        Verdict
		of          int // 1 or 2
	}{
		{"in time for the second", 72 * ms, 72 * ms, 12, 92 * ms, 164 * ms, Believed, 2},
		{"a little early for it", 72 * ms, 72 * ms, 12, 92 * ms, 160 * ms, Believed, 2},
		{"far too early", 72 * ms, 72 * ms, 12, 92 * ms, 112 * ms, Believed, 1},
		{"the first had another TTL", 72 * ms, 72 * ms, 11, 92 * ms, 112 * ms, IsLate, 1},
		{"early, but the first had its time", 99 * ms, 122 * ms, 12, 166 * ms, 258 * ms, Believed, 2},
		{"as fast as never before", 100 * ms, 100 * ms, 12, 70 * ms, 130 * ms, Believed, 1},
		{"as fast as the known times may by chance not be", 100 * ms, 100 * ms, 12, 70 * ms, 140 * ms, IsShared, 2},
		{"as fast as may be", 100 * ms, 130 * ms, 12, 70 * ms, 140 * ms, IsShared, 2},
		{"the first had its time", 72 * ms, 72 * ms, 12, 164 * ms, 210 * ms, Believed, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, flights := newFlow(f, 0, tt.ttl)
			flights[0].passed = true
			flights = append(flights, m.add(Send(f.probe(12, 7000)), 2, sentAt.Add(tt.second)))
			flights[0].flow.best, flights[0].flow.worst = tt.best, tt.worst
			if got := m.judge(answer, sentAt.Add(tt.at)); got.verdict != tt.want || got.flight != flights[tt.of-1] {
				t.Errorf("%v of probe %d, want %v of probe %d", got.verdict, got.flight.n, tt.want, tt.of)
			}
		})
	}
}

// A SYN+ACK that comes later or sooner than ever for the probe in flight, and as late as one that is sent again for want of an ACK, is
// nobody's.
func TestSentAgain(t *testing.T) {
	const ms = time.Millisecond
	f := families[0]
	answer := parsed(t, f.answer(t, func(*packet.Segment) {}))
	for _, tt := range []struct {
		lost time.Duration // when a probe to another hop was sent that nobody has answered, before the one in flight
		at   time.Duration // after the one in flight
		want Verdict
	}{
		{1000 * ms, 45 * ms, Believed},
		{985 * ms, 60 * ms, IsShared},
		{1015 * ms, 30 * ms, IsShared},
		{2985 * ms, 60 * ms, IsShared}, // the second time
		{3015 * ms, 30 * ms, IsShared},
		{985 * ms, 75 * ms, Believed}, // another moment
		{1985 * ms, 60 * ms, Believed},
	} {
		m, flights := newFlow(f, 0, 21)
		flights[0].outcome = Lost
		last := m.add(Send(f.probe(20, 7000)), 2, sentAt.Add(tt.lost))
		last.flow.best, last.flow.worst = 45*ms, 45*ms
		if got := m.judge(answer, sentAt.Add(tt.lost+tt.at)); got.verdict != tt.want {
			t.Errorf("lost %v before, after %v: %v of probe %d, want %v", tt.lost, tt.at, got.verdict, got.flight.n, tt.want)
		}
	}
}

// Where the network rewrites the IP ID, an error names only the flow; it counts once the plan sends one probe at a time.
func TestRewrittenTag(t *testing.T) {
	for _, f := range families {
		p := f.probe(5, 100)
		rewritten := f.probe(5, 999)
		r := parsed(t, f.timeExceeded(t, binary(t, rewritten)))
		m := newMatcher()
		fl := m.add(Send(p), 1, sentAt)
		if got := judge(m, r); got.verdict != TagRewritten {
			t.Errorf("%s: not trusted: %v", f.name, got.verdict)
		}
		fl.flow.alone = true
		if got := judge(m, r); got != (match{Believed, fl, ByFlow}) {
			t.Errorf("%s: trusted: %v", f.name, got.verdict)
		}
		m.add(Send(f.probe(6, 101)), 2, sentAt)
		if got := judge(m, r); got.verdict != TagRewritten {
			t.Errorf("%s: trusted, but two in flight: %v", f.name, got.verdict)
		}
	}
}

// Where the network writes tags of its own, one of them may be that of another probe in flight by chance. It is believed no
// more once two tags have come back that were never sent, unless only one probe is in flight.
func TestRewrittenTagOfAnother(t *testing.T) {
	for _, f := range families {
		m := newMatcher()
		fl := m.add(Send(f.probe(3, 100)), 1, sentAt)
		m.add(Send(f.probe(9, 101)), 2, sentAt)
		named := parsed(t, f.timeExceeded(t, binary(t, f.probe(9, 100))))
		for i := range 2 {
			if got := judge(m, named); got != (match{Believed, fl, ByTag}) {
				t.Errorf("%s: after %d unknown tags: %v", f.name, i, got.verdict)
			}
			unknown := parsed(t, f.timeExceeded(t, binary(t, f.probe(5, 998+uint32(i)))))
			m.settle(judge(m, unknown), unknown, sentAt.Add(time.Millisecond))
		}
		if got := judge(m, named); got.verdict != TagRewritten {
			t.Errorf("%s: after two unknown tags: %v", f.name, got.verdict)
		}
		fl.flow.alone = true
		if got := judge(m, named); got != (match{Believed, fl, ByTag}) {
			t.Errorf("%s: one at a time: %v", f.name, got.verdict)
		}
	}
}

// A damaged tag may be that of another probe. The quoted checksum is still that of the probe that was answered.
func TestDamagedTagOfAnother(t *testing.T) {
	f := families[1]
	m := newMatcher()
	fl := m.add(Send(f.probe(3, 100)), 1, sentAt)
	m.add(Send(f.probe(9, 101)), 2, sentAt)
	quote := binary(t, f.probe(9, 101))
	if quote[65]--; quote[65] != 100 {
		t.Fatalf("byte 65 is no tag: %d", quote[65])
	}
	if got := judge(m, parsed(t, f.timeExceeded(t, quote))); got.verdict != TagRewritten || got.evidence != ByFlow {
		t.Errorf("with the checksum of another probe: %v, %v", got.verdict, got.evidence)
	}
	quote[57] ^= 0x55 // as where a NAT puts back addresses in quotes, and not the checksum
	if got := judge(m, parsed(t, f.timeExceeded(t, quote))); got != (match{Believed, fl, ByTag}) {
		t.Errorf("with the checksum of no probe: %v, %v", got.verdict, got.evidence)
	}
}

// Where a firewall rewrites sequence numbers, an error is believed only if that was allowed, and is marked.
func TestRewrittenSequenceNumber(t *testing.T) {
	f := families[0]
	quote := f.probe(5, 100)
	quote.Seq += 1000000
	r := parsed(t, f.timeExceeded(t, binary(t, quote)))
	m, _ := newFlow(f, 0, 5)
	if got := judge(m, r); got.verdict != NearMiss {
		t.Errorf("strictly: %v", got.verdict)
	}
	m, flights := newFlow(f, TrustLoose, 5)
	if got := judge(m, r); got.verdict != TagRewritten {
		t.Errorf("loosely, at first: %v", got.verdict)
	}
	flights[0].flow.alone = true
	if got := judge(m, r); got != (match{Believed, flights[0], Unverified}) {
		t.Errorf("loosely, one at a time: %+v", got)
	}
	quote.ID++
	r = parsed(t, f.timeExceeded(t, binary(t, quote)))
	if got := judge(m, r); got.verdict != NearMiss {
		t.Errorf("loosely, with another ID: %v", got.verdict)
	}
}

func TestForget(t *testing.T) {
	m, flights := newFlow(families[0], 0, 1, 2)
	for _, f := range flights {
		m.forget(f)
		m.forget(f) // twice does no harm
	}
	if !m.empty() || len(m.flights) != 0 {
		t.Errorf("left over: %d flows, %d probes", len(m.bySeq), len(m.flights))
	}
}

// TestTagComesRound: a probe with the tag of the only one of its flow takes its place, and the flow stays.
func TestTagComesRound(t *testing.T) {
	f := families[0]
	m, flights := newFlow(f, 0, 3)
	flights[0].outcome = Lost
	again := m.add(Send(flights[0].probe), 2, sentAt)
	if again.flow != flights[0].flow || len(again.flow.flights) != 1 {
		t.Errorf("%d probes in the flow", len(again.flow.flights))
	}
	if got := judge(m, parsed(t, f.timeExceeded(t, binary(t, again.probe)))); got != (match{Believed, again, ByTag}) {
		t.Errorf("its answer: %+v", got)
	}
	m.forget(flights[0])
	if m.forget(again); !m.empty() || len(m.flights) != 0 {
		t.Errorf("left over: %d flows, %d probes", len(m.bySeq), len(m.flights))
	}
}

var (
	randomReplies = flag.Int("random", 1_000_000, "how many random answers to forge")
	forgerySeed   = flag.Uint64("forgery-seed", 1, "the seed of the forger")
)

// Nobody who can't see the probes forges an answer: addresses and ports right, numbers random. The command in the
// README's table of proofs runs it with -random 1000000000.
func TestRandomForgeries(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			forge(t, f, *randomReplies/len(families))
		})
	}
}

func forge(t *testing.T, f family, n int) {
	ttls := make([]uint8, 90)
	for i := range ttls {
		ttls[i] = uint8(i/3 + 1)
	}
	m, flights := newFlow(f, 0, ttls...)
	rng := rand.New(rand.NewPCG(*forgerySeed, 2))
	te := parsed(t, f.timeExceeded(t, binary(t, flights[0].probe)))
	tcp := parsed(t, f.answer(t, func(*packet.Segment) {}))
	at := sentAt.Add(time.Millisecond)
	for i := range n {
		x := rng.Uint64()
		r := te
		switch {
		case x>>63 != 0:
			r = tcp
			tcp.TCP.Ack, tcp.TCP.Seq = uint32(x), uint32(x>>8)
			tcp.TCP.Flags = packet.Flags(x >> 40 & 0xff)
		case f.src.Addr().Is4():
			te.Quote.TCP.Seq, te.Quote.IP.ID = uint32(x), uint16(x>>32)
		default: // the label is known, and nobody looks at it
			te.Quote.TCP.Seq = uint32(x)
			te.Quote.TCP.Options, _ = packet.Options{}.WithTimestamps(uint32(x>>31), 0)
		}
		// Every fourth thousand million of a right sequence number is chance, and counts only with a right tag.
		if got := m.judge(r, at); got.verdict == Believed {
			t.Fatalf("forgery %d was believed: %s", i, fmt.Sprint(r))
		}
	}
}
