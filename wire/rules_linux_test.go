package wire

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// The kernel names the rule that a packet was routed by, and none where all packets are.
func TestRouteRule(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	v4, v6 := p.Source.V4(), p.Source.V6()
	for _, v6 := range []bool{false, true} {
		ip, src := "", p.Source.V4()
		if v6 {
			ip, src = "-6 ", p.Source.V6()
		}
		via := map[bool]netip.Addr{false: p.Hop(1).V4(), true: p.Hop(1).V6()}[v6]
		p.Source.IP(t, fmt.Sprintf("%sroute add default via %v dev eth0 table 300", ip, via))
		for i, what := range []string{
			"fwmark 0x7/0xff", fmt.Sprintf("from %v ipproto tcp dport 81-82", src), "uidrange 0-0 dport 83",
		} {
			p.Source.IP(t, fmt.Sprintf("%srule add priority %d %s lookup 300", ip, 100+i, what))
		}
	}
	open(t, p.Source, Options{}, func(c *Conn) {
		for _, tt := range []struct {
			mark     uint32
			port     uint16
			want, v6 string
		}{
			{0, 80, "", ""},
			{7, 80, "100: from all fwmark 0x7 mask 0xff lookup 300", ""},
			{8, 80, "", ""},
			{0, 82, fmt.Sprintf("101: from %v/32 ipproto tcp dport 81-82 lookup 300", v4),
				fmt.Sprintf("101: from %v/128 ipproto tcp dport 81-82 lookup 300", v6)},
			{0, 83, "102: from all uidrange 0-0 dport 83-83 lookup 300", ""},
		} {
			if tt.v6 == "" {
				tt.v6 = tt.want
			}
			for _, ends := range []packet.Ends{
				{Src: port(v4, 5000), Dst: port(p.Target.V4(), tt.port)}, {Src: port(v6, 5000), Dst: port(p.Target.V6(), tt.port)},
			} {
				want := tt.want
				if ends.Dst.Addr().Is6() {
					want = tt.v6
				}
				if got := c.RouteRule(&Leaving{Ends: ends, Mark: tt.mark}); got != want {
					t.Errorf("%v with mark %d: %q, want %q", ends.Dst, tt.mark, got, want)
				}
			}
		}
	})
}

// Those chains of this host's firewall are named that packets come to, and that do something with them.
func TestChains(t *testing.T) {
	h := lab.New(t).Host(t, "host")
	h.NFT(t, `
		chain in { type filter hook input priority filter; tcp dport 25 drop; }
		chain closed { type filter hook input priority 5; policy drop; }
		chain idle { type filter hook output priority filter; }
		chain nat { type nat hook postrouting priority srcnat; masquerade; }
		chain called { tcp dport 26 drop; }`)
	open(t, h, Options{Chains: true}, func(c *Conn) {
		var got []string
		for _, chain := range c.Chains() {
			if !chain.V4 || !chain.V6 {
				t.Errorf("%+v", chain)
			}
			got = append(got, fmt.Sprintf("%d %s %v", chain.Hook, chain.Name, chain.Drops))
		}
		slices.Sort(got)
		if s := fmt.Sprint(got); s != "[1 closed true 1 in false 4 nat false]" {
			t.Error(s)
		}
	})
	open(t, h, Options{}, func(c *Conn) {
		if n := len(c.Chains()); n != 0 {
			t.Errorf("%d chains, and none were asked for", n)
		}
	})
}

func FuzzRules(f *testing.F) {
	f.Add([]byte{2, 0, 32, 0, 254, 0, 0, 1, 0, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 1, 8, 0, 6, 0, 1, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 6, 0, 1, 0, 'a', 0, 0, 0, 20, 0, 4, 0x80, 8, 0, 1, 0, 0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok := parseRule(b); ok && r.String() == "" {
			t.Errorf("%+v", r)
		}
		if c, ok := parseChain(b); ok && c.String() == "" {
			t.Errorf("%+v", c)
		}
	})
}
