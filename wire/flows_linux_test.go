package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// However many ports and targets there are, the kernel takes the filters.
func TestFilterSize(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	for _, ports := range []int{1, maxListed, maxListed + 1} {
		for _, targets := range []int{1, 40, 2 * maxFollowed} {
			t.Run(fmt.Sprintf("%d ports, %d targets", ports, targets), func(t *testing.T) {
				open(t, p.Source, Options{Sessions: true}, func(c *Conn) {
					for i := range ports {
						if err := c.Use(uint16(20000 + i)); err != nil {
							t.Error(err)
						}
					}
					for i := range targets {
						to := netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", 0x100+i))
						for _, protocol := range []packet.Protocol{packet.ProtoTCP, packet.ProtoEcho} {
							probe := packet.Probe{Protocol: protocol, Src: port(p.Source.V6(), 20000), Dst: port(to, 80), TTL: 1, Seq: uint32(i + 1), Flags: packet.SYN}
							c.flows.follow(&probe, 2, "eth0")
						}
					}
					c.flows.opening = true
					if err := c.listen(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// followedBy makes flows to so many targets, and a probe of each.
func followedBy(v6 bool, protocol packet.Protocol, targets int) (f *flows, probes []packet.Probe) {
	src, dst := netip.MustParseAddr("198.18.1.1"), netip.MustParseAddr("198.18.5.1")
	if v6 {
		src, dst = netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:5::1")
	}
	f = &flows{ports: []uint16{40000, 40001}, mark: 7}
	for i := range targets {
		p := packet.Probe{Protocol: protocol, Src: port(src, 40000), Dst: port(dst, 80), TTL: 3, ID: 100, EchoSeq: 100,
			Seq: 0x01020304 + uint32(i)}
		if protocol == packet.ProtoTCP {
			p.Flags, p.Window = packet.SYN, 100
		}
		f.follow(&p, 2, "eth0")
		probes, dst = append(probes, p), dst.Next()
	}
	return f, probes
}

// Of what leaves the filter keeps the first probe of each flow, and each that is not as it was meant.
func TestFilterLeaving(t *testing.T) {
	type leaves struct {
		packet.Probe
		mark, index uint32
	}
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []packet.Protocol{packet.ProtoTCP, packet.ProtoEcho} {
			f, probes := followedBy(v6, protocol, 3)
			code, err := filter(f.wanted())
			if err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct {
				name   string
				change func(*leaves)
				keeps  bool
			}{
				{"as it was meant", func(*leaves) {}, false},
				{"by our other port", func(l *leaves) { l.Src = port(l.Src.Addr(), 40001) }, false},
				{"a probe of no flow", func(l *leaves) { l.Seq, l.mark = 9, 8 }, false},
				{"the first", func(l *leaves) { l.ID, l.Window, l.EchoSeq = l.ID-1, l.Window-1, l.EchoSeq-1 }, true},
				{"another source", func(l *leaves) { l.Src = port(l.Src.Addr().Next(), 40000) }, true},
				{"another source port", func(l *leaves) { l.Src = port(l.Src.Addr(), 9) }, true},
				{"another flow's destination", func(l *leaves) { l.Dst = probes[0].Dst }, true},
				{"another destination port", func(l *leaves) { l.Dst = port(l.Dst.Addr(), 81) }, protocol == packet.ProtoTCP},
				{"another mark", func(l *leaves) { l.mark = 8 }, true},
				{"another interface", func(l *leaves) { l.index = 3 }, true},
			} {
				for i, p := range probes[1:] {
					p.ID, p.Window, p.EchoSeq = p.ID+1, p.Window+1, p.EchoSeq+1
					l := leaves{p, 7, 2}
					tt.change(&l)
					b, err := l.AppendBinary(nil)
					if err != nil {
						t.Fatal(err)
					}
					if got := kept(t, code, b, v6, l.mark, l.index); got != tt.keeps {
						t.Errorf("IPv6 %v, protocol %v, flow %d, %s: kept is %v", v6, protocol, i+1, tt.name, got)
					}
				}
			}
		}
	}
}

// Of what comes the filter keeps an ICMP error that quotes one of our ports, however little follows.
func TestFilterShortQuotes(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		f, probes := followedBy(v6, packet.ProtoTCP, 1)
		code, err := filter(f.wanted())
		if err != nil {
			t.Fatal(err)
		}
		header, timeExceeded := 20, uint8(packet.ICMPv4TimeExceeded)
		if v6 {
			header, timeExceeded = 40, packet.ICMPv6TimeExceeded
		}
		p := probes[0]
		other := p
		other.Src, other.Seq = port(p.Src.Addr(), 9), 9
		for _, tt := range []struct {
			name  string
			probe packet.Probe
			bytes int
			keeps bool
		}{
			{"8 bytes", p, 8, true}, {"7 bytes", p, 7, true}, {"the ports", p, 4, true}, {"our port", p, 2, true},
			{"no port", p, 1, false}, {"the IP header", p, 0, false},
			{"8 bytes of another port", other, 8, false}, {"another port", other, 4, false},
		} {
			quote, err := tt.probe.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := packet.AppendICMP(nil, &packet.ICMPError{Src: p.Dst.Addr(), Dst: p.Src.Addr(), TTL: 9, Type: timeExceeded,
				Quote: quote[:header+tt.bytes]})
			if err != nil {
				t.Fatal(err)
			}
			if got := passes(t, code, b, packetHost, v6, 0, 0); got != tt.keeps {
				t.Errorf("IPv6 %v, %s: kept is %v", v6, tt.name, got)
			}
		}
	}
}

// kept runs a filter on a packet that leaves.
func kept(t *testing.T, code []bpf.RawInstruction, b []byte, v6 bool, mark, index uint32) bool {
	t.Helper()
	return passes(t, code, b, packetOutgoing, v6, mark, index)
}

// passes runs a filter on a packet of a type that packet(7) lists.
func passes(t *testing.T, code []bpf.RawInstruction, b []byte, packetType uint32, v6 bool, mark, index uint32) bool {
	t.Helper()
	values := map[bpf.Extension]uint32{
		bpf.ExtType: packetType, bpf.ExtProto: etherIPv4, extMark: mark, bpf.ExtInterfaceIndex: index,
	}
	if v6 {
		values[bpf.ExtProto] = etherIPv6
	}
	program, _ := bpf.Disassemble(code)
	for i, in := range program {
		if what, ok := in.(bpf.LoadExtension); ok && what.Num != bpf.ExtLen {
			program[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: values[what.Num]}
		}
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// A filter is made and compiled anew for each flow that comes: so each makes it longer by a few instructions only.
func TestFilterGrowth(t *testing.T) {
	length := func(targets int) int {
		f, _ := followedBy(false, packet.ProtoTCP, targets)
		code, err := filter(f.wanted())
		if err != nil {
			t.Fatal(err)
		}
		return len(code)
	}
	if n := length(2) - length(1); n > 11 {
		t.Errorf("%d instructions a flow", n)
	}
}

// A probe that leaves as it was meant is no departure, and neither is one that goes through what its interface is
// made of; each difference is told, once for each flow.
func TestDepartures(t *testing.T) {
	src, dst := netip.MustParseAddrPort("198.18.1.1:40000"), netip.MustParseAddrPort("198.18.5.2:80")
	probe := packet.Probe{Src: src, Dst: dst, TTL: 3, ID: 77, Seq: 0x01020304, Flags: packet.SYN}
	probe.Options, _ = packet.Options{}.WithMSS(1460)
	change := func(f func(p *packet.Probe)) packet.Probe {
		p := probe
		f(&p)
		return p
	}
	other := netip.MustParseAddrPort("198.18.2.1:20123")
	for _, tt := range []struct {
		name string
		left packet.Probe
		h    heard
		want string
	}{
		{"as it was meant", probe, heard{index: 2}, ""},
		{"by a lower interface", probe, heard{index: 3}, ""},
		{"by another interface", probe, heard{index: 4}, "they left by if4, not by eth0"},
		{"marked", probe, heard{index: 2, mark: 7}, "they left with mark 0x7, not with mark 0x0"},
		{"another source", change(func(p *packet.Probe) { p.Src = other }), heard{index: 2}, "they left from 198.18.2.1:20123, not from 198.18.1.1:40000"},
		{"another port", change(func(p *packet.Probe) { p.Src = netip.AddrPortFrom(src.Addr(), 9) }), heard{index: 2}, "they left from port 9, not from port 40000"},
		{"another destination", change(func(p *packet.Probe) { p.Dst = other }), heard{index: 2}, "they left to 198.18.2.1:20123, not to 198.18.5.2:80"},
		{"another TTL", change(func(p *packet.Probe) { p.TTL = 64 }), heard{index: 2}, "they left with TTL 64, not with TTL 3"},
		{"another MSS", change(func(p *packet.Probe) { p.Options, _ = packet.Options{}.WithMSS(1200) }), heard{index: 2},
			"they left with MSS 1200, not with MSS 1460"},
		{"no MSS", change(func(p *packet.Probe) { p.Options = packet.Options{} }), heard{index: 2},
			"they left without MSS, not with MSS 1460"},
		{"all", change(func(p *packet.Probe) { p.Src, p.Dst, p.TOS = other, src, 0xb8 }), heard{index: 4, mark: 7},
			"they left from 198.18.2.1:20123 to 198.18.1.1:40000 by if4 with mark 0x7 with TOS 0xb8, not from 198.18.1.1:40000 to 198.18.5.2:80 by eth0 with mark 0x0 with TOS 0x0"},
		{"another flow", change(func(p *packet.Probe) { p.Src, p.Seq = other, 9 }), heard{index: 4}, ""},
		{"our own reset", change(func(p *packet.Probe) { p.Src, p.Flags = other, packet.RST }), heard{index: 2}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Conn
			c.flows.follow(&probe, 2, "eth0")
			b, err := tt.left.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				c.flows.left(b, tt.h, func(index int) string { return fmt.Sprintf("if%d", index) }, func(over, below int) bool { return over == 2 && below == 3 })
			}
			if ours := !strings.Contains(tt.name, "another flow") && tt.name != "our own reset"; c.Copies() != ours {
				t.Errorf("a copy of a probe was heard: %v", !ours)
			}
			got := ""
			for _, d := range c.Departures() {
				got += d.String()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A probe that comes back to this host and leaves again, forwarded, says nothing of how it left at first. A host that
// lowers the TTL of all that it sends is found all the same.
func TestComesRound(t *testing.T) {
	src, dst := netip.MustParseAddrPort("198.18.1.1:40000"), netip.MustParseAddrPort("198.18.5.2:80")
	first := packet.Probe{Src: src, Dst: dst, TTL: 30, ID: 77, Seq: 0x01020304, Flags: packet.SYN}
	next := first
	next.TTL, next.ID = 5, 78
	forwarded := next
	forwarded.TTL--
	masqueraded := forwarded
	masqueraded.Src = netip.MustParseAddrPort("198.18.101.2:20123")
	set := first
	set.TTL, set.Src = 64, netip.MustParseAddrPort("198.18.101.2:20123")
	for _, tt := range []struct {
		name   string
		copies []packet.Probe
		index  int
		want   int
	}{
		{"forwarded", []packet.Probe{first, forwarded}, 2, 0},
		{"forwarded by another interface", []packet.Probe{first, forwarded}, 4, 0},
		{"masqueraded by the machine that sends it on", []packet.Probe{first, masqueraded}, 4, 0},
		{"lowered from the first on", []packet.Probe{forwarded}, 2, 1},
		{"sent on by a bridge", []packet.Probe{first, first, next}, 4, 0},
		{"sent on with a TTL that is set", []packet.Probe{first, set, set}, 4, 0},
		{"another port by another interface", []packet.Probe{first, next}, 4, 1},
	} {
		var c Conn
		c.flows.follow(&first, 2, "eth0")
		c.flows.follow(&next, 2, "eth0")
		for i, p := range tt.copies {
			b, err := p.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			index := 2
			if i > 0 {
				index = tt.index
			}
			c.flows.left(b, heard{index: index}, func(int) string { return "eth1" }, func(int, int) bool { return false })
		}
		if d := c.Departures(); len(d) != tt.want || tt.want == 0 && len(c.flows.translations) > 0 {
			t.Errorf("%s: %v, %v", tt.name, d, c.flows.translations)
		}
	}
}

// Loops end, and only what is really stacked counts.
func TestReaches(t *testing.T) {
	beneath := map[int][]int{1: {2}, 2: {3, 4}, 4: {1}}
	for _, tt := range []struct {
		from, to int
		want     bool
	}{{1, 2, true}, {1, 3, true}, {1, 4, true}, {3, 1, false}, {1, 5, false}, {5, 5, false}} {
		if got := reaches(beneath, tt.from, tt.to); got != tt.want {
			t.Errorf("from %d to %d: %v", tt.from, tt.to, got)
		}
	}
}

// A raw IPv6 socket's packet gets its header back.
func TestHeaderAgain(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Target.Listen(t, 80)
	for _, v6 := range []bool{false, true} {
		src, dst, hop := p.Source.V4(), p.Target.V4(), p.Routers[0].V4()
		if v6 {
			src, dst, hop = p.Source.V6(), p.Target.V6(), p.Routers[0].V6()
		}
		open(t, p.Source, Options{}, func(c *Conn) {
			// As where packet sockets are refused.
			c.recv.Close() // and with it the packet socket
			var err error
			if c.ears, err = rawEars(append(rawTCP, rawICMP...)...); err != nil {
				t.Fatal(err)
			}
			if c.recv, c.recvFD, err = listen(c.ears); err != nil {
				t.Fatal(err)
			}
			n, err := c.Reserve(port(src, 0))
			if err != nil {
				t.Fatal(err)
			}
			for ttl := range uint8(2) {
				probe := packet.Probe{Src: port(src, n), Dst: port(dst, 80), TTL: ttl + 1, ID: 7, Seq: 99, Flags: packet.SYN, TOS: 16}
				if _, err := c.Send(probe); err != nil {
					t.Fatal(err)
				}
				receive(t, c, func(r *packet.Reply) bool {
					good := r.Checksum == packet.CheckGood && r.IP.Dst == src
					if ttl == 0 {
						return good && r.Kind == packet.KindTimeExceeded && r.From() == hop && r.IP.TTL == 64
					}
					return good && r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.SYN|packet.ACK) && r.IP.TTL == 63
				})
			}
		})
	}
}

// A copy that comes when its probe is forgotten, on a busy host, is no translation to the port of another flow with the same
// number, and no other TTL. A port that is none of ours is a translation all the same.
func TestDepartureForgotten(t *testing.T) {
	dst := netip.MustParseAddrPort("198.18.5.2:80")
	probe := func(port uint16, n int) packet.Probe {
		return packet.Probe{Src: netip.AddrPortFrom(netip.MustParseAddr("198.18.1.1"), port), Dst: dst, TTL: uint8(1 + n%30),
			ID: uint16(n), Seq: 0x01020304, Flags: packet.SYN}
	}
	for _, tt := range []struct {
		port       uint16
		sent, want int
	}{{40000, 300, 0}, {40001, 300, 0}, {50000, 300, 1}, {50000, 3, 1}, {40001, 3, 1}} {
		f := flows{ports: []uint16{40000, 40001}}
		for n := range tt.sent {
			p := probe(40000, n)
			f.follow(&p, 2, "eth0")
		}
		copied := probe(tt.port, 1)
		if tt.sent < maxRemembered {
			copied.ID = 9 // on the way out something has changed it
		}
		b, err := copied.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		f.left(b, heard{index: 2}, func(int) string { return "eth0" }, func(int, int) bool { return false })
		if len(f.translations) != tt.want || tt.want == 0 && len(f.departures) > 0 {
			t.Errorf("%+v: %+v, %+v", tt, f.translations, f.departures)
		}
	}
}
