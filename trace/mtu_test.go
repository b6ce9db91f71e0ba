package trace

import (
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// narrow is a path for one search: what its hops do with packets larger than what their links take.
type narrow struct {
	hops   int           // the target's TTL
	at     int           // the hop whose link is narrow; 0: none
	mtu    int           // of it
	silent bool          // it says nothing
	says   int           // what it says the MTU is; 0: the truth, -1: nothing, as routers before RFC 1191
	deaf   bool          // the target answers nothing
	dies   int           // it answers no more after so many answers; 0: it goes on
	limits time.Duration // it answers once in so long

	answers int
	last    time.Time
}

func hopAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n), 2}) }

// answer is what becomes of a probe.
func (n *narrow) answer(p packet.Probe, now time.Time) Result {
	r := Result{Probe: p, Outcome: Answered, Reply: &packet.Reply{}}
	size, from := int(p.Length), hopAddr(min(int(p.TTL), n.hops))
	switch {
	case n.at > 0 && int(p.TTL) > n.at && size > n.mtu:
		if n.silent {
			return Result{Probe: p, Outcome: Lost}
		}
		from = hopAddr(n.at)
		r.Reply.Kind, r.Reply.Type, r.Reply.Code, r.Reply.MTU = packet.KindUnreachable, 3, 4, uint32(n.mtu)
		if n.says != 0 {
			r.Reply.MTU = uint32(max(n.says, 0))
		}
	case int(p.TTL) < n.hops:
		r.Reply.Kind = packet.KindTimeExceeded
	case n.deaf, n.dies > 0 && n.answers >= n.dies, !n.last.IsZero() && now.Sub(n.last) < n.limits:
		return Result{Probe: p, Outcome: Lost}
	default:
		n.answers++
		n.last = now
		r.Reply.Kind = packet.KindTCP
	}
	r.Reply.IP.Src, r.Reply.IP.Version = from, 4
	return r
}

// The search finds the size to the byte and the hop, in a bounded number of probes.
func TestMTUSearch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		path   narrow
		first  int
		want   MTU
		probes int // at the most
	}{
		{"wide", narrow{hops: 6}, 1500, MTU{Size: 1500, First: 1500}, 2},
		{"wider than IPv4's length field", narrow{hops: 6}, 65536, MTU{Size: 65535, First: 65535}, 2},
		{"told", narrow{hops: 6, at: 3, mtu: 1413}, 1500,
			MTU{Size: 1413, First: 1500, Narrow: true, TTL: 3, From: hopAddr(3)}, 3},
		{"told without the size", narrow{hops: 6, at: 3, mtu: 1413, says: -1}, 1500,
			MTU{Size: 1413, First: 1500, Narrow: true, TTL: 3, From: hopAddr(3)}, 14},
		{"told a size that is too large", narrow{hops: 6, at: 3, mtu: 1413, says: 1500}, 1500,
			MTU{Size: 1413, First: 1500, Narrow: true, TTL: 3, From: hopAddr(3)}, 14},
		{"black hole", narrow{hops: 6, at: 3, mtu: 1413, silent: true}, 1500,
			MTU{Size: 1413, First: 1500, Narrow: true, TTL: 3, From: hopAddr(3), BlackHole: true}, 32},
		{"black hole on a plateau", narrow{hops: 6, at: 5, mtu: 1400, silent: true}, 1500,
			MTU{Size: 1400, First: 1500, Narrow: true, TTL: 5, From: hopAddr(5), BlackHole: true}, 20},
		{"black hole at the first hop", narrow{hops: 6, at: 1, mtu: 1280, silent: true}, 9000,
			MTU{Size: 1280, First: 9000, Narrow: true, TTL: 1, From: hopAddr(1), BlackHole: true}, 24},
		{"silent target", narrow{hops: 6, deaf: true}, 1500, MTU{First: 1500}, 2},
		{"silent from the second on", narrow{hops: 6, dies: 1}, 1500, MTU{First: 1500}, 40},
		{"silent in the midst of it", narrow{hops: 6, at: 3, mtu: 1413, silent: true, dies: 3}, 1500, MTU{First: 1500}, 40},
		{"silent at the end", narrow{hops: 6, at: 3, mtu: 1413, silent: true, dies: 5}, 1500, MTU{First: 1500}, 40},
		{"limited answers", narrow{hops: 6, limits: 500 * time.Millisecond}, 1500, MTU{Size: 1500, First: 1500}, 3},
		{"black hole and limited answers", narrow{hops: 6, at: 3, mtu: 1413, silent: true, limits: 500 * time.Millisecond}, 1500,
			MTU{Size: 1413, First: 1500, Narrow: true, TTL: 3, From: hopAddr(3), BlackHole: true}, 32},
	} {
		o := MTUOptions{First: tt.first, Path: PathOptions{
			Target: netip.AddrPortFrom(hopAddr(tt.path.hops), 80), Source: netip.MustParseAddrPort("198.18.0.1:40000"),
			Session: &Session{Next: 5000, Ack: 9000, Timestamps: true, TSval: 1, TSecr: 2},
		}}
		for ttl := 1; ttl < tt.path.hops; ttl++ {
			o.Hops = append(o.Hops, hopAddr(ttl))
		}
		s, err := NewMTUSearch(o)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for now := time.Now(); ; now = now.Add(time.Millisecond) {
			mv := s.Next(now)
			if mv.Do == DoWait && mv.Until.IsZero() {
				break
			}
			if mv.Do == DoWait {
				now = mv.Until
				continue
			}
			n++
			p := mv.Probe
			if !p.DontFragment || p.Seq+uint32(p.PayloadLength()) != 5000 || p.PayloadLength() < 1 {
				t.Fatalf("%s: %+v", tt.name, p)
			}
			if again := s.Next(now); again.Do != DoWait {
				t.Fatalf("%s: two probes in flight", tt.name)
			}
			s.Learn(now, tt.path.answer(p, now))
		}
		if n > tt.probes {
			t.Errorf("%s: %d probes, want %d at the most", tt.name, n, tt.probes)
		}
		if got := s.Found(); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
