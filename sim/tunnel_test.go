package sim

import (
	"net/netip"
	"testing"
	"time"

	"tcptraceroute/packet"
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
