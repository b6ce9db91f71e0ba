package wire

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

func TestMain(m *testing.M) { lab.Main(m) }

// open is a Conn inside a host, closed when t ends. f runs inside too.
func open(t *testing.T, h *lab.Host, o Options, f func(c *Conn)) {
	t.Helper()
	h.Do(t, func() {
		c, err := Open(o)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(c)
	})
}

func port(a netip.Addr, n uint16) netip.AddrPort { return netip.AddrPortFrom(a, n) }

// receive waits for a packet that decodes to what is wanted.
func receive(t *testing.T, c *Conn, want func(*packet.Reply) bool) time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	buf := make([]byte, 2048)
	for {
		n, at, err := c.Recv(ctx, buf)
		if err != nil {
			t.Error(err)
			return at
		}
		var r packet.Reply
		if err := packet.Parse(buf[:n], &r); err != nil {
			t.Errorf("%v: % x", err, buf[:n])
		}
		if want(&r) {
			if r.Checksum != packet.CheckGood {
				t.Errorf("checksum %v", r.Checksum)
			}
			return at
		}
	}
}

// A SYN goes out and comes back, for both families, on a link and on loopback, with the kernel's times.
func TestThereAndBack(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		ttl      uint8
		want     packet.Kind
	}{
		{"time exceeded", p.Source.V4(), p.Target.V4(), 1, packet.KindTimeExceeded},
		{"reset", p.Source.V4(), p.Target.V4(), 9, packet.KindTCP},
		{"IPv6 time exceeded", p.Source.V6(), p.Target.V6(), 1, packet.KindTimeExceeded},
		{"IPv6 reset", p.Source.V6(), p.Target.V6(), 9, packet.KindTCP},
		{"loopback", netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1"), 1, packet.KindTCP},
		{"IPv6 loopback", netip.IPv6Loopback(), netip.IPv6Loopback(), 1, packet.KindTCP},
		{"own address", p.Source.V4(), p.Source.V4(), 1, packet.KindTCP},
		{"echo, time exceeded", p.Source.V4(), p.Target.V4(), 1, packet.KindTimeExceeded},
		{"echo reply", p.Source.V4(), p.Target.V4(), 9, packet.KindEcho},
		{"IPv6 echo, time exceeded", p.Source.V6(), p.Target.V6(), 1, packet.KindTimeExceeded},
		{"IPv6 echo reply", p.Source.V6(), p.Target.V6(), 9, packet.KindEcho},
		{"echo on loopback", netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1"), 1, packet.KindEcho},
		{"IPv6 echo on loopback", netip.IPv6Loopback(), netip.IPv6Loopback(), 1, packet.KindEcho},
	} {
		t.Run(tt.name, func(t *testing.T) {
			open(t, p.Source, Options{}, func(c *Conn) {
				n, err := c.Reserve(port(tt.src, 0))
				if err != nil {
					t.Error(err)
					return
				}
				probe := packet.Probe{Src: port(tt.src, n), Dst: port(tt.dst, 80), TTL: tt.ttl, ID: 7, Seq: 99, Flags: packet.SYN}
				if strings.Contains(tt.name, "echo") {
					probe.Protocol, probe.EchoSeq = packet.ProtoEcho, 8
				}
				before := time.Now()
				sent, err := c.Send(probe)
				if err != nil {
					t.Error(err)
					return
				}
				at := receive(t, c, func(r *packet.Reply) bool {
					switch r.Kind {
					case packet.KindTCP:
						return tt.want == r.Kind && r.TCP.DstPort == n && r.TCP.Ack == 100
					case packet.KindEcho:
						secret, _ := r.Echo.Secret()
						return tt.want == r.Kind && r.Echo.ID == n && r.Echo.Seq == 8 && secret == 99
					}
					return tt.want == r.Kind && r.Quote.Key() == probe.Key()
				})
				if sent.Before(before) || at.Before(sent) || time.Now().Before(at) {
					t.Errorf("called at %v, sent at %v, received at %v", before, sent, at)
				}
				if len(c.unstamped) != 0 {
					t.Error("the kernel's stamp of sending is missing")
				}
			})
		})
	}
}

// The kernel hands up what can be an answer, and nothing else.
func TestFilter(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	for _, many := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("IPv6 %v, range %v", v6, many), func(t *testing.T) {
				us, them := p.Source.V4(), p.Target.V4()
				te, unreachable, echo := uint8(11), uint8(3), uint8(8)
				if v6 {
					us, them, te, unreachable, echo = p.Source.V6(), p.Target.V6(), 3, 1, 128
				}
				ports := []uint16{41000}
				if many {
					for i := range uint16(2 * maxListed) {
						ports = append(ports, 41001+i)
					}
				}
				last := ports[len(ports)-1]
				probe := func(src uint16) []byte {
					b, _ := packet.Probe{Src: port(us, src), Dst: port(them, 80), TTL: 1, Flags: packet.SYN}.AppendBinary(nil)
					return b
				}
				icmp := func(typ uint8, quote []byte) []byte {
					b, err := packet.AppendICMP(nil, &packet.ICMPError{Src: them, Dst: us, TTL: 9, Type: typ, Quote: quote})
					if err != nil {
						t.Fatal(err)
					}
					return b
				}
				tcp := func(dst uint16) []byte {
					b, err := packet.AppendTCP(nil, &packet.Segment{Src: port(them, 80), Dst: port(us, dst), TTL: 9, Flags: packet.RST})
					if err != nil {
						t.Fatal(err)
					}
					return b
				}
				ping := func(id uint16) []byte {
					b, _ := packet.Probe{Protocol: packet.ProtoEcho, Src: port(us, id), Dst: port(them, 0), TTL: 9, EchoSeq: id}.AppendBinary(nil)
					return b
				}
				pong := func(id uint16) []byte {
					b, _ := packet.AppendEchoReply(nil, ping(id), 9, 0)
					return b
				}
				// What this host's NAT has given another port is known by its numbers.
				syn := packet.Probe{Src: port(us, ports[0]), Dst: port(them, 80), TTL: 1, Seq: 0x11223344, Flags: packet.SYN, Length: 100}
				ack := packet.Probe{Src: port(us, ports[0]), Dst: port(them, 80), TTL: 1, Seq: 0x21223344, Ack: 0x31223344, Flags: packet.ACK}
				request := packet.Probe{Protocol: packet.ProtoEcho, Src: port(us, ports[0]), Dst: port(them, 0), TTL: 1, Seq: 0x41223344}
				answer := func(s packet.Segment) []byte {
					s.Src, s.Dst, s.TTL = port(them, 80), port(us, 40999), 9
					b, _ := packet.AppendTCP(nil, &s)
					return b
				}
				translated := func(p packet.Probe, seq uint32) []byte {
					p.Src, p.Seq, p.Length = port(us, 40999), seq, 0
					b, _ := p.AppendBinary(nil)
					return b
				}
				translatedPong := func(seq uint32) []byte {
					b, _ := packet.AppendEchoReply(nil, translated(request, seq), 9, 0)
					return b
				}
				header := 20
				if v6 {
					header = 40
				}
				notRequest := ping(ports[0])
				notRequest[len(notRequest)-14]++ // its type
				udp := probe(ports[0])
				if v6 {
					udp[6] = 17
				} else {
					udp[9] = 17
				}
				packets := []struct {
					name  string
					bytes []byte
					pass  bool
				}{
					{"TCP to another port", tcp(40999), false},
					{"TCP to a port above", tcp(last + 1), false},
					{"TCP to us", tcp(ports[0]), true},
					{"TCP to our last port", tcp(last), true},
					{"time exceeded about another's SYN", icmp(te, probe(40999)), false},
					{"time exceeded", icmp(te, probe(ports[0])), true},
					{"unreachable about our last port", icmp(unreachable, probe(last)), true},
					{"about UDP", icmp(te, udp), false},
					{"an echo that looks the same", icmp(echo, probe(ports[0])), false},
					{"an echo reply to another", pong(40999), false},
					{"an echo reply", pong(ports[0]), true},
					{"an echo reply to our last identifier", pong(last), true},
					{"time exceeded about another's echo request", icmp(te, ping(40999)), false},
					{"time exceeded about an echo request", icmp(te, ping(ports[0])), true},
					{"unreachable about our last echo request", icmp(unreachable, ping(last)), true},
					{"time exceeded about another ICMP message", icmp(te, notRequest), false},
					{"another number acknowledged", answer(packet.Segment{Flags: packet.SYN | packet.ACK, Ack: syn.Seq}), false},
					{"our SYN acknowledged", answer(packet.Segment{Flags: packet.SYN | packet.ACK, Ack: syn.Seq + 1}), true},
					{"our SYN's payload acknowledged", answer(packet.Segment{Flags: packet.RST | packet.ACK, Ack: syn.NextSeq()}), true},
					{"our ACK reset", answer(packet.Segment{Flags: packet.RST, Seq: ack.Ack}), true},
					{"another ACK reset", answer(packet.Segment{Flags: packet.RST, Seq: ack.Ack + 1}), false},
					{"time exceeded about another number", icmp(te, translated(syn, syn.Seq+1)), false},
					{"time exceeded about our number", icmp(te, translated(syn, syn.Seq)), true},
					{"an echo reply with our number", translatedPong(request.Seq), true},
					{"an echo reply with another number", translatedPong(request.Seq + 1), false},
					{"time exceeded about our echo request", icmp(te, translated(request, request.Seq)), true},
					{"time exceeded about an echo request with another number", icmp(te, translated(request, request.Seq+1)), false},
					{"time exceeded about the beginning of an echo request", icmp(te, translated(request, request.Seq)[:header+8]), false},
					{"the end", tcp(ports[0]), true},
				}
				if !v6 {
					fragment := tcp(ports[0])
					fragment[7], fragment[38] = 1, 9
					packets[0].bytes = fragment // a later fragment
				}
				var sender int
				p.Target.Do(t, func() { sender = rawSender(t, v6) })
				defer unix.Close(sender)
				open(t, p.Source, Options{}, func(c *Conn) {
					for _, n := range ports {
						if err := c.Use(n); err != nil {
							t.Error(err)
							return
						}
					}
					for _, p := range []packet.Probe{syn, ack, request} {
						c.flows.follow(&p, 0, "")
					}
					if err := c.listen(); err != nil {
						t.Error(err)
						return
					}
					want := 0
					for _, pk := range packets {
						to, _ := sockaddr(us, 0)
						if err := unix.Sendto(sender, pk.bytes, 0, to); err != nil {
							t.Errorf("%s: %v", pk.name, err)
						}
						if pk.pass {
							want++
						}
					}
					buf := make([]byte, 2048)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					var got []string
					for range want {
						n, _, err := c.Recv(ctx, buf)
						if err != nil {
							t.Errorf("after %q: %v", got, err)
							return
						}
						i := slices.IndexFunc(packets, func(x struct {
							name  string
							bytes []byte
							pass  bool
						}) bool {
							return string(x.bytes[len(x.bytes)-20:]) == string(buf[n-20:n]) && len(x.bytes) == n && !slices.Contains(got, x.name)
						})
						if i < 0 || !packets[i].pass {
							t.Errorf("after %q unwanted: % x", got, buf[:n])
							return
						}
						got = append(got, packets[i].name)
					}
				})
			})
		}
	}
}

func rawSender(t *testing.T, v6 bool) int {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		t.Error(err)
	}
	return fd
}

// A reserved port is nobody else's, for as long as the Conn is open.
func TestReserve(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	for _, a := range []netip.Addr{p.Source.V4(), p.Source.V6(), netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		t.Run(a.String(), func(t *testing.T) {
			var n uint16
			open(t, p.Source, Options{}, func(c *Conn) {
				var err error
				if n, err = c.Reserve(port(a, 0)); err != nil {
					t.Error(err)
					return
				}
				if _, _, err := bind(port(a, n), false); !errors.Is(err, unix.EADDRINUSE) {
					t.Errorf("binding port %d again: %v", n, err)
				}
				other, err := Open(Options{})
				if err != nil {
					t.Error(err)
					return
				}
				defer other.Close()
				if _, err := other.Reserve(port(a, n)); !errors.Is(err, unix.EADDRINUSE) {
					t.Errorf("reserving port %d again: %v", n, err)
				}
			})
			p.Source.Do(t, func() {
				fd, _, err := bind(port(a, n), false)
				if err != nil {
					t.Errorf("after Close: %v", err)
					return
				}
				unix.Close(fd)
			})
		})
	}
	open(t, p.Source, Options{Port: 99}, func(c *Conn) {
		if got, err := c.Reserve(port(p.Source.V4(), 99)); err != nil || got != 99 {
			t.Errorf("the port reserved by Open: %d, %v", got, err)
		}
		for _, a := range []netip.Addr{p.Source.V4(), p.Source.V6()} {
			if _, _, err := bind(port(a, 99), false); !errors.Is(err, unix.EADDRINUSE) {
				t.Errorf("%v: %v", a, err)
			}
		}
		if _, err := c.Reserve(port(netip.MustParseAddr("203.0.113.9"), 0)); !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("another's address: %v", err)
		}
	})
}

// The kernel's own decisions, for the flow that is sent.
func TestRoute(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	second := p.Link(t, p.Source, p.Routers[0])
	eth0, eth1 := p.Source.Interfaces[0], second.A
	for _, family := range []string{"", "-6 "} {
		via := second.B.V4
		if family != "" {
			via = second.B.V6
		}
		p.Source.Add(t, family+"route", fmt.Sprintf("default via %v dev %s table 7", via, eth1.Name))
		p.Source.Add(t, family+"rule", "sport 5000 ipproto tcp lookup 7")
		p.Source.Add(t, family+"rule", "fwmark 3 lookup 7")
	}
	p.Source.Add(t, "route", "unreachable 198.18.99.0/24")
	p.Source.Add(t, "route", "prohibit 198.18.98.0/24")
	p.Source.Add(t, "route", "blackhole 198.18.97.0/24")
	addr := netip.MustParseAddr
	zoned := eth0.Peer.LinkLocal.WithZone(eth0.Name)
	for _, tt := range []struct {
		name     string
		o        Options
		dst, src netip.AddrPort
		iface    string
		source   netip.Addr
		gateway  netip.Addr
		local    bool
		other    string
		err      error
	}{
		{name: "default", dst: port(p.Target.V4(), 80), iface: eth0.Name, source: eth0.V4, gateway: eth0.Peer.V4},
		{name: "default IPv6", dst: port(p.Target.V6(), 80), iface: eth0.Name, source: eth0.V6, gateway: eth0.Peer.V6},
		{name: "on the link", dst: port(eth0.Peer.V4, 80), iface: eth0.Name, source: eth0.V4},
		{name: "link-local", dst: port(zoned, 80), iface: eth0.Name, source: eth0.LinkLocal},
		{name: "loopback", dst: port(addr("127.0.0.1"), 80), iface: "lo", source: addr("127.0.0.1"), local: true},
		{name: "own address", dst: port(eth0.V4, 80), iface: "lo", source: eth0.V4, local: true},
		{name: "own IPv6 address", dst: port(eth0.V6, 80), iface: "lo", source: eth0.V6, local: true},
		{name: "by source port", dst: port(p.Target.V4(), 80), src: netip.AddrPortFrom(netip.Addr{}, 5000), iface: eth0.Name, source: eth0.V4, gateway: eth0.Peer.V4, other: eth1.Name},
		{name: "by source port, IPv6", dst: port(p.Target.V6(), 80), src: netip.AddrPortFrom(netip.Addr{}, 5000), iface: eth0.Name, source: eth0.V6, gateway: eth0.Peer.V6, other: eth1.Name},
		{name: "by mark", o: Options{Mark: 3}, dst: port(p.Target.V4(), 80), iface: eth1.Name, source: eth1.V4, gateway: second.B.V4},
		{name: "source given", dst: port(p.Target.V4(), 80), src: port(eth1.V4, 0), iface: eth0.Name, source: eth1.V4, gateway: eth0.Peer.V4},
		{name: "another's source", dst: port(p.Target.V4(), 80), src: port(addr("203.0.113.9"), 0), iface: eth0.Name, source: addr("203.0.113.9"), gateway: eth0.Peer.V4},
		{name: "unreachable", dst: port(addr("198.18.99.1"), 80), err: unix.EHOSTUNREACH},
		{name: "prohibited", dst: port(addr("198.18.98.1"), 80), err: unix.EACCES},
		{name: "blackhole", dst: port(addr("198.18.97.1"), 80), err: unix.EINVAL},
		{name: "no such zone", dst: port(addr("fe80::1%nosuch"), 80), err: unix.ENODEV},
	} {
		t.Run(tt.name, func(t *testing.T) {
			open(t, p.Source, tt.o, func(c *Conn) {
				got, err := c.Route(tt.dst, tt.src)
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if err != nil {
					return
				}
				want := Route{Source: tt.source, Interface: tt.iface, Gateway: tt.gateway, Local: tt.local, Elsewhere: tt.other, MTU: got.MTU}
				if tt.iface != "lo" {
					want.Kind = "veth"
				}
				if want.MSS = min(got.MTU, 65535) - 40; tt.dst.Addr().Is6() { // a packet less its headers
					want.MSS = got.MTU - 60
				}
				if got != want || got.MTU < 1280 {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		})
	}
}

// What the host itself refuses is the error of the send, and the stamps of later sends are theirs.
func TestSendErrors(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	for _, v6 := range []bool{false, true} {
		src, dst, fam := p.Source.V4(), p.Target.V4(), ""
		if v6 {
			src, dst, fam = p.Source.V6(), p.Target.V6(), "-6 "
		}
		for _, tt := range []struct {
			name   string
			errs   []error
			length uint16
			spoil  func(t *testing.T)
		}{
			{"firewall", []error{unix.EPERM}, 0, func(t *testing.T) { p.Source.Filter(t, "output", "tcp dport 80 drop") }},
			{"too long", []error{unix.EMSGSIZE}, 2000, func(*testing.T) {}},
			{"no route", []error{unix.ENETUNREACH, unix.EHOSTUNREACH}, 0, func(t *testing.T) {
				p.Source.Add(t, fam+"route", fmt.Sprintf("unreachable %v", dst))
			}},
			{"link down", []error{unix.ENETUNREACH, unix.ENETDOWN}, 0, func(t *testing.T) { t.Cleanup(p.Source.Interfaces[0].Down(t)) }},
		} {
			t.Run(fmt.Sprintf("%s, IPv6 %v", tt.name, v6), func(t *testing.T) {
				open(t, p.Source, Options{}, func(c *Conn) {
					n, err := c.Reserve(port(src, 0))
					if err != nil {
						t.Error(err)
						return
					}
					probe := packet.Probe{Src: port(src, n), Dst: port(dst, 80), TTL: 1, ID: 7, Flags: packet.SYN, Length: tt.length}
					t.Run("spoilt", func(t *testing.T) {
						tt.spoil(t)
						p.Source.Do(t, func() {
							_, err := c.Send(probe)
							if !slices.ContainsFunc(tt.errs, func(want error) bool { return errors.Is(err, want) }) {
								t.Errorf("error %v, want one of %v", err, tt.errs)
							}
						})
					})
					probe.Length = 0
					before := time.Now()
					sent, err := c.Send(probe)
					if err != nil || sent.Before(before) || len(c.unstamped) != 0 {
						t.Errorf("afterwards: %v, sent at %v, %d without stamp", err, sent, len(c.unstamped))
					}
				})
			})
		}
	}
}

// A neighbour that does not resolve is told apart from a network that is silent.
func TestFault(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	for _, v6 := range []bool{false, true} {
		src, nobody := p.Source.V4(), p.Target.V4()
		if v6 {
			src, nobody = p.Source.V6(), p.Target.V6()
		}
		for range 55 {
			nobody = nobody.Next()
		}
		open(t, p.Source, Options{}, func(c *Conn) {
			n, err := c.Reserve(port(src, 0))
			if err != nil {
				t.Error(err)
				return
			}
			probe := packet.Probe{Src: port(src, n), Dst: port(nobody, 80), TTL: 1, ID: 7, Flags: packet.SYN}
			if err := c.Fault(probe, false); err != nil {
				t.Errorf("before it was asked for: %v", err)
			}
			if _, err := c.Send(probe); err != nil {
				t.Error(err)
			}
			var fault *NextHopError
			err = c.Fault(probe, false)
			if !errors.As(err, &fault) || fault.NextHop != nobody || fault.Interface != "eth0" || !errors.Is(err, unix.EHOSTUNREACH) {
				t.Errorf("fault: %v", err)
			}
			p.Source.IP(t, fmt.Sprintf("neigh flush to %v", nobody)) // as the kernel itself forgets it a second later
			if err := c.Fault(probe, false); err != nil {
				t.Errorf("a neighbour that was forgotten: %v", err)
			}
			if err := c.Fault(probe, true); !errors.As(err, &fault) || fault.NextHop != nobody || fault.Interface != "eth0" {
				t.Errorf("a neighbour that was forgotten after the kernel's own answer: %v", err)
			}
			probe.Dst = port(p.Target.V4(), 80)
			if v6 {
				probe.Dst = port(p.Target.V6(), 80)
			}
			if err := c.Fault(probe, false); err != nil {
				t.Errorf("a neighbour that resolves: %v", err)
			}
			p.Source.IP(t, fmt.Sprintf("neigh replace %v lladdr 02:00:00:00:00:01 dev eth0 nud permanent", probe.Dst.Addr()))
			if err := c.Fault(probe, true); err != nil {
				t.Errorf("a neighbour that has resolved, and isn't meant: %v", err)
			}
		})
	}
}

// A probe that has to wait for its neighbour's address has left when that was known, and not when it was sent.
func TestRestamp(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	src, dst := p.Source.V4(), p.Target.V4()
	open(t, p.Source, Options{}, func(c *Conn) {
		n, err := c.Reserve(port(src, 0))
		if err != nil {
			t.Error(err)
		}
		p.Source.IP(t, fmt.Sprintf("neigh del %v dev eth0", dst))
		p.Target.IP(t, "link set eth0 arp off")
		probe := packet.Probe{Src: port(src, n), Dst: port(dst, 80), TTL: 1, ID: 7, Seq: 99, Flags: packet.SYN}
		sent, err := c.Send(probe)
		if err != nil {
			t.Error(err)
		}
		if _, ok := c.Restamp(probe.Key()); ok {
			t.Error("it has left though nobody answers for the address")
		}
		p.Target.IP(t, "link set eth0 arp on") // the kernel asks again after a second
		at := receive(t, c, func(r *packet.Reply) bool { return r.Kind == packet.KindTCP && r.TCP.DstPort == n })
		left, ok := c.Restamp(probe.Key())
		if !ok || left.Before(sent) || at.Before(left) || at.Sub(left) > left.Sub(sent) {
			t.Errorf("sent at %v, left at %v (%v), answered at %v", sent, left, ok, at)
		}
		if _, ok := c.Restamp(probe.Key()); ok {
			t.Error("it has left twice")
		}
	})
}

// What the kernel throws away because nobody reads is counted, once, and while something waits there is a backlog.
func TestLostHere(t *testing.T) {
	h := lab.Chain(t, lab.ChainOptions{Hops: 1}).Source
	open(t, h, Options{}, func(c *Conn) {
		local := netip.MustParseAddr("127.0.0.1")
		n, err := c.Reserve(port(local, 0))
		if err != nil {
			t.Error(err)
		}
		if c.Backlog() || c.LostHere() != 0 {
			t.Error("a backlog, or a loss, before anything was sent")
		}
		sent := 0
		for lost := 0; lost == 0 && sent < 100_000; lost = c.LostHere() {
			for range 500 {
				p := packet.Probe{Src: port(local, n), Dst: port(local, 9), TTL: 1, ID: uint16(1 + sent%60000), Seq: 99, Flags: packet.SYN}
				if _, err := c.Send(p); err != nil {
					t.Error(err)
				}
				sent++
			}
		}
		lost := c.LostHere()
		if lost == 0 || lost > 2*sent {
			t.Errorf("%d lost of %d", lost, sent)
		}
		if again := c.LostHere(); again != lost {
			t.Errorf("%d lost, and then %d", lost, again)
		}
		buf := make([]byte, 2048)
		for c.Backlog() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, _, err := c.Recv(ctx, buf)
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
	})
}

// Receiving ends with its context, and can go on with another.
func TestRecvEnds(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	open(t, p.Source, Options{}, func(c *Conn) {
		if err := errors.Join(c.Use(41000), c.listen()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, _, err := c.Recv(ctx, make([]byte, 100))
			done <- err
		}()
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("error %v", err)
		}
		fd := rawSender(t, false)
		defer unix.Close(fd)
		rst, _ := packet.AppendTCP(nil, &packet.Segment{Src: port(p.Source.V4(), 80), Dst: port(p.Source.V4(), 41000), TTL: 9, Flags: packet.RST})
		to, _ := sockaddr(p.Source.V4(), 0)
		if err := unix.Sendto(fd, rst, 0, to); err != nil {
			t.Error(err)
		}
		receive(t, c, func(r *packet.Reply) bool { return r.Kind == packet.KindTCP })
	})
}

// TestTryRecv: what has come in is returned in its order, also beside a Recv that waits, and then nothing.
func TestTryRecv(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	open(t, p.Source, Options{}, func(c *Conn) {
		if err := errors.Join(c.Use(41000), c.listen()); err != nil {
			t.Error(err)
		}
		fd := rawSender(t, false)
		defer unix.Close(fd)
		to, _ := sockaddr(p.Source.V4(), 0)
		const packets = 50
		send := func() {
			for seq := range uint32(packets) {
				rst, _ := packet.AppendTCP(nil, &packet.Segment{Src: port(p.Source.V4(), 80), Dst: port(p.Source.V4(), 41000), TTL: 9,
					Seq: seq, Flags: packet.RST})
				if err := unix.Sendto(fd, rst, 0, to); err != nil {
					t.Error(err)
				}
			}
		}
		seen := make(map[uint32]int)
		take := func(b []byte) (seq uint32) {
			var r packet.Reply
			if err := packet.Parse(b, &r); err != nil {
				t.Error(err)
			}
			seen[r.TCP.Seq]++
			return r.TCP.Seq
		}
		buf := make([]byte, 2048)
		n, _, err := c.TryRecv(buf)
		if n != 0 || err != nil {
			t.Errorf("%d bytes, %v, before anything was sent", n, err)
		}
		send()
		for want := range uint32(packets) {
			for n = 0; n == 0; {
				if n, _, err = c.TryRecv(buf); err != nil {
					t.Error(err)
					return
				}
			}
			if seq := take(buf[:n]); seq != want {
				t.Errorf("number %d, want %d", seq, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan []byte, packets)
		go func() {
			defer close(got)
			for {
				b := make([]byte, 2048)
				n, _, err := c.Recv(ctx, b)
				if err != nil {
					return
				}
				got <- b[:n]
			}
		}()
		send()
		for left := packets; left > 0; {
			select {
			case b := <-got:
				take(b)
				left--
				continue
			default:
			}
			if n, _, _ := c.TryRecv(buf); n > 0 {
				take(buf[:n])
				left--
			}
		}
		cancel()
		for range got {
			t.Error("one more")
		}
		for seq, n := range seen {
			if n != 2 {
				t.Errorf("number %d came %d times", seq, n)
			}
		}
	})
}

func TestOpenErrors(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	p.Source.Do(t, func() {
		if _, err := Open(Options{Interface: "nosuch"}); !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "nosuch") {
			t.Errorf("interface: %v", err)
		}
		fd, n, err := bind(port(netip.IPv4Unspecified(), 0), false)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		if _, err := Open(Options{Port: n}); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("port in use: %v", err)
		}
	})
}

// Whatever the kernel hands up, reading it neither fails nor lies.
func FuzzControlMessages(f *testing.F) {
	message := func(level, kind int32, data []byte) []byte {
		b := make([]byte, unix.CmsgSpace(len(data)))
		oob := unix.UnixRights(0) // for the shape of a header in this machine's byte order
		copy(b, oob[:unix.CmsgLen(0)])
		b[0] = byte(unix.CmsgLen(len(data)))
		b[unix.CmsgLen(0)-8], b[unix.CmsgLen(0)-4] = byte(level), byte(kind)
		copy(b[unix.CmsgLen(0):], data)
		return b
	}
	f.Add(message(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, make([]byte, 16)))
	f.Add(message(unix.SOL_SOCKET, unix.SCM_TIMESTAMPING, make([]byte, 48)))
	f.Add(append(message(unix.SOL_SOCKET, unix.SCM_TIMESTAMPING, slices.Repeat([]byte{1}, 48)), message(unix.SOL_IP, unix.IP_RECVERR, []byte{42, 0, 0, 0, 4, 15: 0})...))
	f.Fuzz(func(t *testing.T, oob []byte) {
		parseReceived(oob)
		if stamp, _, ok := parseStamp(oob); ok && stamp == 0 {
			t.Error("a stamp of no time")
		}
	})
}

// Only what is reserved or used is kept open.
func TestNothingLeaks(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	round := func() {
		open(t, p.Source, Options{}, func(c *Conn) {
			for range 20 {
				if _, err := c.Reserve(port(p.Source.V4(), 0)); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.Reserve(port(netip.MustParseAddr("203.0.113.9"), 0)); err == nil {
				t.Error("another's address was reserved")
			}
		})
		p.Source.Do(t, func() {
			if _, err := Open(Options{Interface: "nosuch"}); err == nil {
				t.Error("an interface that isn't there was taken")
			}
		})
	}
	round()
	before := count()
	for range 5 {
		round()
	}
	if after := count(); after > before {
		t.Errorf("%d files open, %d before", after, before)
	}
}

// What comes in is seen before the host's own firewall, as tcpdump sees it.
func TestBeforeTheFirewall(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Source.Filter(t, "input", "icmp type time-exceeded drop", "icmpv6 type time-exceeded drop")
	p.Source.NFT(t, "chain raw { type filter hook prerouting priority -300; icmp type time-exceeded drop; icmpv6 type time-exceeded drop; }")
	for _, a := range []struct{ src, dst, hop netip.Addr }{
		{p.Source.V4(), p.Target.V4(), p.Routers[0].V4()}, {p.Source.V6(), p.Target.V6(), p.Routers[0].V6()},
	} {
		open(t, p.Source, Options{}, func(c *Conn) {
			n, err := c.Reserve(port(a.src, 0))
			if err != nil {
				t.Error(err)
			}
			if _, err := c.Send(packet.Probe{Src: port(a.src, n), Dst: port(a.dst, 80), TTL: 1, ID: 7, Flags: packet.SYN}); err != nil {
				t.Error(err)
			}
			receive(t, c, func(r *packet.Reply) bool { return r.Kind == packet.KindTimeExceeded && r.From() == a.hop })
		})
	}
}
