package trace

import (
	"net/netip"
	"strconv"
	"testing"

	"go.example/tcptraceroute/packet"
)

// manyFlows is a matcher with so many flows from one port, each to a target of its own, with a probe in flight, and the
// probes.
func manyFlows(n int) (*matcher, []packet.Probe) {
	m := newMatcher()
	probes := make([]packet.Probe, n)
	for i := range probes {
		p := families[0].probe(3, uint32(i))
		p.Dst, p.Seq = netip.AddrPortFrom(targetAddr(i), 443), uint32(i)*0x9e3779b1
		m.add(Send(p), i+1, sentAt)
		probes[i] = p
	}
	return m, probes
}

// targetAddr is the address of the nth of many targets.
func targetAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestManyFlowsOnOnePort: each answer finds its own flow among those that share a port, whatever proves it; what proves
// nothing finds none.
func TestManyFlowsOnOnePort(t *testing.T) {
	const n = 100
	m, probes := manyFlows(n)
	f := families[0]
	for i, p := range probes {
		quoted := binary(t, p)
		other := p
		other.Seq++
		from := f
		from.dst = p.Dst
		elsewhere := f
		elsewhere.dst = netip.AddrPortFrom(targetAddr(n+i), 443)
		ack := func(s *packet.Segment) { s.Ack = p.Seq + 1 }
		for name, tt := range map[string]struct {
			answer []byte
			want   Verdict
		}{
			"time exceeded":              {f.timeExceeded(t, quoted), Believed},
			"SYN+ACK":                    {from.answer(t, ack), Believed},
			"SYN+ACK from elsewhere":     {elsewhere.answer(t, ack), FromElsewhere},
			"another sequence number":    {f.timeExceeded(t, binary(t, other)), NearMiss},
			"another number, translated": {f.timeExceeded(t, binary(t, withDst(other, elsewhere.dst))), NearMiss},
			"another acknowledgement":    {from.answer(t, func(s *packet.Segment) { s.Ack = p.Seq + 2 }), NearMiss},
		} {
			got := judge(m, parsed(t, tt.answer))
			if got.verdict != tt.want || tt.want != NearMiss && (got.flight == nil || got.flight.n != i+1) {
				t.Errorf("flow %d: %s: %+v, want %v", i, name, got, tt.want)
			}
		}
	}
	for _, k := range []int{50, 0, n - 1} {
		m.forget(m.flights[probes[k].Key()])
		if got := judge(m, parsed(t, f.timeExceeded(t, binary(t, probes[k])))); got.verdict != NearMiss || got.flight != nil {
			t.Errorf("flow %d, forgotten: %+v", k, got)
		}
	}
	for _, p := range probes {
		if f := m.flights[p.Key()]; f != nil {
			m.forget(f)
		}
	}
	if !m.empty() {
		t.Errorf("left over: %d flows", len(m.bySeq))
	}
}

func withDst(p packet.Probe, dst netip.AddrPort) packet.Probe { p.Dst = dst; return p }

// BenchmarkMatch judges answers to flows that share one port: what one costs must not grow with how many there are.
func BenchmarkMatch(b *testing.B) {
	f := families[0]
	for _, n := range []int{1, 100, 10_000} {
		m, probes := manyFlows(n)
		quote := parsed(b, f.timeExceeded(b, binary(b, probes[0])))
		segment := parsed(b, f.answer(b, func(*packet.Segment) {}))
		for _, kind := range []struct {
			name   string
			want   Verdict
			answer func(p *packet.Probe) *packet.Reply
		}{
			{"quote", Believed, func(p *packet.Probe) *packet.Reply {
				quote.Quote.IP.Dst, quote.Quote.IP.ID, quote.Quote.TCP.Seq = p.Dst.Addr(), p.ID, p.Seq
				return quote
			}},
			{"segment", Believed, func(p *packet.Probe) *packet.Reply {
				segment.IP.Src, segment.TCP.Ack = p.Dst.Addr(), p.Seq+1
				return segment
			}},
			{"miss", NearMiss, func(p *packet.Probe) *packet.Reply {
				quote.Quote.IP.Dst, quote.Quote.IP.ID, quote.Quote.TCP.Seq = p.Dst.Addr(), p.ID, p.Seq+1
				return quote
			}},
		} {
			b.Run(kind.name+"/flows="+strconv.Itoa(n), func(b *testing.B) {
				i := 0
				for b.Loop() {
					if got := judge(m, kind.answer(&probes[i])); got.verdict != kind.want {
						b.Fatal(got)
					}
					if i += 7919; i >= n { // a prime: flow after flow, but not in the order of memory
						i %= n
					}
				}
			})
		}
	}
}
