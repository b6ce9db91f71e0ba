package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// summary is what tests compare: how it ended, how it left, and what came in for it.
func (a *Attempt) summary() string {
	s := fmt.Sprint([]string{"silent", "opened", "refused", "rejected", "failed"}[a.State])
	if a.Err != nil {
		s += fmt.Sprintf(" (%v)", a.Err)
	}
	switch {
	case !a.Followed:
		return s + ", not followed"
	case a.Left == nil:
		return s + ", not sent"
	}
	s += ", by " + strings.Join(a.Left.Interfaces, "+")
	if a.Left.Ends.Src.Addr() != a.Source.Addr() {
		s += fmt.Sprintf(" from %v", a.Left.Ends.Src.Addr())
	}
	if a.Left.Ends.Dst != a.Target {
		s += fmt.Sprintf(" to %v", a.Left.Ends.Dst)
	}
	if a.Left.Mark != 0 {
		s += fmt.Sprintf(" with mark %d", a.Left.Mark)
	}
	last := ""
	for _, c := range a.Came {
		flags := c.Reply.TCP.Flags.String()
		if c.Reply.Checksum == packet.CheckBad {
			flags = "damaged " + flags
		}
		if flags != last {
			s, last = s+", "+flags, flags
		}
	}
	return s
}

// An ordinary connection is what this host makes of it, and what its packets say is known apart from that.
func TestAttempt(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		at := func(h *lab.Host) netip.Addr {
			if v6 {
				return h.V6()
			}
			return h.V4()
		}
		ip, lo := "ip", "127.0.0.1:8080"
		target := at(p.Target)
		service := netip.MustParseAddrPort("10.96.0.10:99")
		if v6 {
			ip, lo, service = "ip6", "[::1]:8080", netip.MustParseAddrPort("[2001:db8:96::10]:99")
		}
		open80 := netip.AddrPortFrom(target, 80)
		p.Target.Listen(t, 80)
		p.Source.Listen(t, 8080)
		p.Routers[0].Filter(t, "forward", "tcp dport 83 drop", "tcp dport 84 reject with icmpx type admin-prohibited")
		p.Source.NFT(t, `
			chain input { type filter hook input priority filter; tcp sport 80 meta mark 1 drop; tcp sport 80 ct mark 85 drop; }
			chain output { type filter hook output priority filter; tcp dport 86 drop
				tcp dport 87 reject with tcp reset; tcp dport 88 reject; tcp dport 89 meta mark set 7; }
			chain nat { type nat hook output priority -100; tcp dport 85 ct mark set 85 dnat `+ip+" to "+open80.String()+`
				tcp dport 90 redirect to :8080; `+
			ip+" daddr "+service.Addr().String()+" tcp dport 99 dnat "+ip+" to "+open80.String()+`; }
			chain post { type nat hook postrouting priority srcnat; tcp dport 91 masquerade to :20000-20100 fully-random; }`)
		for _, tt := range []struct {
			to   netip.AddrPort
			want string
		}{
			{open80, "opened, by eth0, SYN|ACK"},
			{netip.AddrPortFrom(target, 81), "refused, by eth0, RST|ACK"},
			{netip.AddrPortFrom(target, 83), "silent, by eth0"},
			{netip.AddrPortFrom(target, 84), "rejected, by eth0"},
			{netip.AddrPortFrom(target, 85), "silent, by eth0 to " + open80.String() + ", SYN|ACK"},
			{netip.AddrPortFrom(target, 86), "silent, not sent"},
			{netip.AddrPortFrom(target, 87), "refused, not sent"},
			{netip.AddrPortFrom(target, 88), "rejected, not sent"},
			{netip.AddrPortFrom(target, 89), "refused, by eth0 with mark 7, RST|ACK"},
			{netip.AddrPortFrom(target, 90), "opened, by lo to " + lo + ", SYN|ACK"},
			{netip.AddrPortFrom(target, 91), "refused, not followed"},
			{service, "opened, by eth0 to " + open80.String() + ", SYN|ACK"},
			{netip.MustParseAddrPort("[2001:db8:ffff::1]:80"), "failed (no route to host), not sent"},
		} {
			t.Run(fmt.Sprintf("%v", tt.to), func(t *testing.T) {
				if tt.to.Addr().Is6() != v6 {
					return // no way there, in one family
				}
				if !strings.HasSuffix(tt.want, "not sent") { // others that leave at that time may be this one, translated
					t.Parallel()
				}
				open(t, p.Source, Options{Attempts: true}, func(c *Conn) {
					if tt.to.Addr().As16() == netip.MustParseAddr("2001:db8:ffff::1").As16() {
						p.Source.IP(t, "-6 route add unreachable 2001:db8:ffff::/48")
					}
					a, err := c.Attempt(t.Context(), AttemptOptions{
						Source: at(p.Source), Target: tt.to, Wait: 1500 * time.Millisecond,
					})
					if err != nil {
						t.Error(err)
						return
					}
					if s := a.summary(); s != tt.want {
						t.Errorf("%s\nwant %s: %+v", s, tt.want, a)
					}
					if a.Source.Port()%2 != 0 {
						t.Errorf("from port %d: the kernel's connections have even ones", a.Source.Port())
					}
					if asked := a.SYNs; (a.State == AttemptSilent) != (asked > 1) {
						t.Errorf("%d SYNs", asked)
					}
				})
			})
		}
		t.Cleanup(func() {
			if n := p.Target.Counters(t)["TcpPassiveOpens"]; n != 0 {
				t.Errorf("%d connections came to the target's program", n)
			}
		})
	}
}

// An attempt that is followed is told apart from others, and from probes; what is heard twice counts once.
func TestAttemptHeard(t *testing.T) {
	src, dst := netip.MustParseAddrPort("198.18.1.1:40000"), netip.MustParseAddrPort("198.18.5.2:80")
	other := netip.MustParseAddrPort("198.18.1.1:5000")
	syn := func(from netip.AddrPort, seq uint32, index int) aboutBeginning {
		return aboutBeginning{
			heard: heard{outgoing: true, index: index}, from: from, to: dst,
			Reply: packet.Reply{TCP: packet.TCP{Seq: seq, Flags: packet.SYN}},
		}
	}
	answer := func(ack uint32, stamp int64, check packet.Check) aboutBeginning {
		return aboutBeginning{
			heard: heard{stamp: stamp}, from: dst, to: src,
			Reply: packet.Reply{TCP: packet.TCP{Ack: ack, Flags: packet.SYN | packet.ACK}, Checksum: check},
		}
	}
	again := syn(other, 8, 2)
	again.stamp = 1
	elsewhere, bare := answer(10, 1, packet.CheckGood), answer(10, 1, packet.CheckGood)
	elsewhere.from, bare.TCP.Flags = other, packet.RST
	type heardOf = []aboutBeginning
	good := answer(10, 1, packet.CheckGood)
	for _, tt := range []struct {
		name string
		all  heardOf
		want string
		syns int
	}{
		{"nothing", nil, "silent, not sent", 1},
		{"probes", heardOf{syn(other, 7, 2)}, "silent, not sent", 1},
		{"somebody else's, or translated", heardOf{syn(other, 8, 2)}, "silent, not followed", 1},
		{"somebody else's, for it was sent once", heardOf{syn(other, 8, 2), syn(other, 8, 3)}, "silent, not sent", 3},
		{"translated, and repeated", heardOf{syn(other, 8, 2), again}, "silent, not followed", 3},
		{"stacked interfaces", heardOf{syn(src, 9, 2), syn(src, 9, 3), syn(src, 9, 2)}, "silent, by if2+if3", 1},
		{"beside somebody else's", heardOf{syn(other, 8, 2), syn(src, 9, 2), good}, "silent, by if2, SYN|ACK", 1},
		{"damaged", heardOf{syn(src, 9, 2), answer(10, 1, packet.CheckBad)}, "silent, by if2, damaged SYN|ACK", 1},
		{"from elsewhere", heardOf{syn(src, 9, 2), elsewhere}, "silent, by if2", 1},
		{"a reset without ACK", heardOf{syn(src, 9, 2), bare}, "silent, by if2", 1},
		{"an answer to something else", heardOf{syn(src, 9, 2), answer(9, 1, packet.CheckGood)}, "silent, by if2", 1},
	} {
		a := Attempt{Source: src, Target: dst, SYNs: max(tt.syns, 1)}
		a.took(tt.all, func(seq uint32) bool { return seq == 7 }, func(i int) string { return fmt.Sprintf("if%d", i) })
		if s := a.summary(); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
	a := Attempt{Source: src, Target: dst}
	twice := answer(10, 1, packet.CheckGood)
	all := []aboutBeginning{syn(src, 9, 2), twice, twice, answer(10, 2, packet.CheckGood)}
	if a.took(all, func(uint32) bool { return false }, func(int) string { return "" }); len(a.Came) != 2 {
		t.Errorf("%d answers, want 2", len(a.Came))
	}
}

// A connection has the mark of the probes, though no privilege is left to set it: twice in each family.
func TestAttemptWithMark(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	p.Source.NFT(t, "chain output { type filter hook output priority filter; tcp dport 80 tcp flags syn meta mark != 7 drop; }")
	for _, target := range []netip.Addr{p.Target.V4(), p.Target.V6()} {
		source := p.Source.V4()
		if target.Is6() {
			source = p.Source.V6()
		}
		open(t, p.Source, Options{Attempts: true, Mark: 7}, func(c *Conn) {
			o := AttemptOptions{Source: source, Target: netip.AddrPortFrom(target, 80), Wait: 1500 * time.Millisecond}
			for range mostMarked {
				const want = "opened, by eth0 with mark 7, SYN|ACK"
				if a, err := c.Attempt(t.Context(), o); err != nil || a.summary() != want {
					t.Errorf("%s, %v; want %s", a.summary(), err, want)
				}
			}
			if _, err := c.Attempt(t.Context(), o); !errors.Is(err, ErrPrivilege) {
				t.Errorf("one more: %v", err)
			}
		})
	}
}
