package sim

import (
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

func TestHiddenRoutersAreNoHops(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const path = "router $1 delay=1ms\nrouter $2 hidden delay=2ms\nrouter $3 hidden delay=3ms\nrouter $4 delay=4ms\ntarget $T delay=5ms"
		if r := f.one(t, path, f.syn(2)); r.From() != f.addr("$4") || r.at != ms(20) || r.IP.TTL != 254 {
			t.Errorf("TTL 2: %v at %v with TTL %d", r.From(), r.at, r.IP.TTL)
		}
		if r := f.one(t, path, f.syn(3)); r.From() != f.target || r.at != ms(30) || r.IP.TTL != 62 {
			t.Errorf("TTL 3: %v at %v with TTL %d", r.From(), r.at, r.IP.TTL)
		}
		b, _ := f.syn(9).AppendBinary(nil)
		m := f.network(t, path)
		hops, err := m.Route(b)
		if err != nil || len(hops) != 2 || hops[1] != f.addr("$4") {
			t.Errorf("route: %v, %v", hops, err)
		}
	})
}

// An error from inside a tunnel goes on to the tunnel's end, and only there turns
// back. Its TTL tells.
func TestDetour(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const path = "router $1 delay=1ms\nrouter $2 delay=2ms detour=2 mpls=16001/0/1\nrouter $3 delay=3ms detour=1\nrouter $4 delay=4ms detour=9\ntarget $T delay=5ms"
		for _, c := range []struct {
			ttl, left uint8
			at        time.Duration
		}{{1, 255, ms(2)}, {2, 250, ms(20)}, {3, 251, ms(20)}, {4, 252, ms(20)}} {
			r := f.one(t, path, f.syn(c.ttl))
			if r.Kind != packet.KindTimeExceeded || r.at != c.at || r.IP.TTL != c.left {
				t.Errorf("TTL %d: %v from %v at %v with TTL %d, want %v and %d", c.ttl, r.Kind, r.From(), r.at, r.IP.TTL, c.at, c.left)
			}
		}
		lossy := "router $1 delay=1ms detour=1\nrouter $2 loss=1\ntarget $T"
		f.none(t, lossy, f.syn(1))
	})
}

func TestSourceRate(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1 source-rate=1s/2\ntarget $T")
		count := func(at time.Duration, host string, probes int) int {
			for range probes {
				p := f.syn(1)
				p.Src = netip.AddrPortFrom(f.addr(host), testPort)
				inject(t, m, at, p)
			}
			return len(receive(t, m, at))
		}
		for i, c := range []struct {
			at   time.Duration
			host string
			want int
		}{{0, "$a", 2}, {0, "$b", 2}, {ms(999), "$a", 0}, {ms(1000), "$a", 1}, {ms(5000), "$b", 2}, {ms(5000), "$c", 2}} {
			if got := count(c.at, c.host, 5); got != c.want {
				t.Errorf("%d: %d answers to 5 probes of %s, want %d", i, got, c.host, c.want)
			}
		}
		if limited := m.Truth(0).Hops[0].Members[0].Limited; limited != 30-9 {
			t.Errorf("%d limited", limited)
		}
	})
}

// A path that ends at a real host hands its packets out, and takes the answers in.
func TestRealHost(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const path = "router $1 delay=1ms\nrouter $2 delay=2ms dnat=$a snat=$b\nrouter $3 delay=3ms\ntarget $T real delay=4ms"
		m := f.network(t, path)
		if e, err := m.Expect(must(f.syn(9).AppendBinary(nil))); err != nil || !e.End.Real || len(e.Hops) != 4 || e.Hops[3].RTT != ms(20) {
			t.Errorf("expected: %+v, %v", e, err)
		}
		inject(t, m, 0, f.syn(9))
		if due, ok := m.NextOut(); ok {
			t.Errorf("known at once to come out at %v, though a router has to translate it", due)
		}
		buf := make([]byte, 2000)
		if _, ok := m.ReceiveReal(ms(10)-1, buf); ok {
			t.Error("handed out before it gets there")
		}
		r, ok := m.ReceiveReal(ms(10), buf)
		var seen packet.Reply
		if err := packet.Parse(buf[:r.N], &seen); !ok || err != nil || r.Due != ms(10) || r.Probe != 1 {
			t.Fatalf("%+v, %v, %v", r, ok, err)
		}
		if seen.IP.Dst != f.addr("$a") || seen.IP.Src != f.addr("$b") || seen.IP.TTL != 6 || seen.Checksum != packet.CheckGood {
			t.Errorf("handed out: %+v", seen.IP)
		}
		answer, err := packet.AppendTCP(nil, &packet.Segment{
			Src: netip.AddrPortFrom(seen.IP.Dst, 80), Dst: netip.AddrPortFrom(seen.IP.Src, seen.TCP.SrcPort), TTL: 64,
			Flags: packet.SYN | packet.ACK, Ack: seen.TCP.Seq + 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.InjectReal(ms(11), answer); err != nil {
			t.Fatal(err)
		}
		all := receive(t, m, ms(21))
		if len(all) != 1 || all[0].From() != f.target || all[0].IP.Dst != f.host || all[0].TCP.DstPort != testPort || all[0].IP.TTL != 61 || all[0].at != ms(21) {
			t.Errorf("received: %+v", all)
		}
		if reset, ok := m.ReceiveReal(ms(100), buf); !ok || reset.Due != ms(21)+hostRSTDelay+ms(10) {
			t.Errorf("the host's reset: %+v, %v", reset, ok)
		}
		for _, b := range [][]byte{nil, answer[:10], must(f.syn(3).AppendBinary(nil))} {
			if err := m.InjectReal(ms(200), b); err == nil {
				t.Errorf("took % x", b)
			}
		}
	})
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Whatever a real host sends, the routers on its way take it.
func FuzzInjectReal(f *testing.F) {
	for _, fam := range families {
		p := fam.syn(9)
		b := must(p.AppendBinary(nil))
		f.Add(b)
		if fam.v4 {
			copy(b[12:], must(fam.syn(9).AppendBinary(nil))[16:20])
		} else {
			copy(b[8:], must(fam.syn(9).AppendBinary(nil))[24:40])
		}
		f.Add(b)
		e, err := packet.AppendICMP(nil, &packet.ICMPError{Src: fam.target, Dst: fam.host, TTL: 64, Type: unreachable.icmpType(fam.v4), Quote: must(p.AppendBinary(nil))})
		f.Add(must(e, err))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fam := range families {
			m := fam.network(t, "router $1 dnat=$a snat=$b random-isn\nrouter $2 set-seq=+1\ntarget $T real")
			inject(t, m, 0, fam.syn(9))
			m.InjectReal(ms(1), b) // an error: not a packet of the target
			buf := make([]byte, 100)
			for {
				if _, _, ok := m.Receive(time.Hour, buf); !ok {
					break
				}
			}
		}
	})
}
