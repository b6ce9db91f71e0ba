package sim_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

func TestMain(m *testing.M) { lab.Main(m) }

// world is a chain of real routers and the model of it:
//
//	source - r1 - r2 - target (listens on 80)
type world struct {
	name         string
	v4           bool
	chain        *lab.Path
	capture      *lab.Capture
	fd           int
	host, target netip.Addr
	seen         int // packets of the capture that were looked at
	port         uint16
}

// flowLabel is that of all probes. The kernel's own resets, which would disturb, have another, or the IP ID 0.
const flowLabel = 0x12345

func newWorlds(t *testing.T) []*world {
	t.Helper()
	c := lab.Chain(t, lab.ChainOptions{Hops: 3})
	c.Target.Listen(t, 80)
	c.Target.Sysctl(t, "net.ipv4.tcp_rmem", "4096 131072 6291456") // its scale of windows follows from that
	c.Source.Filter(t, "output", "ip id 0 tcp flags & rst == rst drop", fmt.Sprintf("ip6 flowlabel != %d tcp flags & rst == rst drop", flowLabel))
	var worlds []*world
	for _, v4 := range []bool{true, false} {
		w := &world{name: "IPv6", v4: v4, chain: c, host: c.Source.V6(), target: c.Target.V6(), port: 20000}
		family := unix.AF_INET6
		if v4 {
			w.name, w.host, w.target = "IPv4", c.Source.V4(), c.Target.V4()
			family = unix.AF_INET
		}
		c.Source.Do(t, func() {
			var err error
			if w.fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
				t.Fatal(err)
			}
		})
		t.Cleanup(func() { unix.Close(w.fd) })
		w.capture = c.Links[0].A.Capture(t)
		worlds = append(worlds, w)
	}
	return worlds
}

// model is a fresh model of the chain. The words of router 1 and of the target can be added to.
func (w *world) model(t *testing.T, router1, target string) *sim.Model {
	t.Helper()
	return w.modelOf(t, w.target, router1, target)
}

// modelOf is model for a target that the source calls by another name.
func (w *world) modelOf(t *testing.T, name netip.Addr, router1, target string) *sim.Model {
	t.Helper()
	r := func(i int) netip.Addr {
		if w.v4 {
			return w.chain.Routers[i].V4()
		}
		return w.chain.Routers[i].V6()
	}
	s, err := sim.Parse(fmt.Sprintf("no-host-rst\nrouter %v linux %s\nrouter %v linux\ntarget %v closed open=80 %s", r(0), router1, r(1), name, target))
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// probe is a SYN to port 80, or what change makes of it.
func (w *world) probe(ttl uint8, change func(p *packet.Probe)) packet.Probe {
	p := packet.Probe{
		Src: netip.AddrPortFrom(w.host, w.port), Dst: netip.AddrPortFrom(w.target, 80),
		TTL: ttl, ID: 0x4567, FlowLabel: flowLabel, Seq: 0x10203040, Flags: packet.SYN, Window: 5840,
	}
	if w.v4 {
		p.FlowLabel = 0
	} else {
		p.ID = 0
	}
	if change != nil {
		change(&p)
	}
	return p
}

func (w *world) send(t *testing.T, b []byte) {
	t.Helper()
	var to unix.Sockaddr
	if w.v4 {
		to = &unix.SockaddrInet4{Addr: [4]byte(b[16:20])}
	} else {
		to = &unix.SockaddrInet6{Addr: [16]byte(b[24:40])}
	}
	if err := unix.Sendto(w.fd, b, 0, to); err != nil {
		t.Fatal(err)
	}
}

// compare sends packets by the chain and by the model, and compares the answers.
func (w *world) compare(t *testing.T, m *sim.Model, probes ...[]byte) {
	t.Helper()
	for _, b := range probes {
		w.send(t, b)
	}
	// The closed port's answer to a probe sent after the others comes after theirs.
	end := w.probe(9, func(p *packet.Probe) {
		p.Src, p.Dst = netip.AddrPortFrom(w.host, 19999), netip.AddrPortFrom(w.target, 9)
		p.Seq = uint32(w.port)
	})
	w.send(t, encoded(t, end))
	var kernel [][]byte
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		done := false
		packets := w.capture.Packets()
		for ; w.seen < len(packets) && !done; w.seen++ {
			p := packets[w.seen]
			var r packet.Reply
			if p.Out || packet.Parse(p.Data, &r) != nil || !answers(&r) || (r.IP.Version == 4) != w.v4 {
				continue
			}
			if done = r.Kind == packet.KindTCP && r.TCP.DstPort == 19999 && r.TCP.Ack == end.Seq+1; !done {
				kernel = append(kernel, p.Data)
			}
		}
		if done {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the last probe is not answered")
		}
	}
	var model [][]byte
	for i, b := range probes {
		if err := m.Inject(time.Duration(i)*time.Microsecond, b); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 2000)
	for {
		n, _, ok := m.Receive(100*time.Millisecond, buf)
		if !ok {
			break
		}
		model = append(model, slices.Clone(buf[:n]))
	}
	if len(kernel) != len(model) {
		t.Errorf("the kernel gives %d answers, the model %d\nkernel %s\nmodel  %s", len(kernel), len(model), dump(kernel), dump(model))
		return
	}
	var kernelStart, modelStart uint32
	for i := range kernel {
		k, s := mask(t, kernel[i], &kernelStart), mask(t, model[i], &modelStart)
		if !slices.Equal(k, s) {
			t.Errorf("answer %d\nkernel %x\nmodel  %x\n       %s", i+1, k, s, marks(k, s))
		}
	}
}

// answers tells what can answer a probe from what hosts say of themselves.
func answers(r *packet.Reply) bool {
	return r.Kind != packet.KindOther || r.IP.Protocol == unix.IPPROTO_ICMP && r.Type == packet.ICMPv4EchoReply ||
		r.IP.Protocol == unix.IPPROTO_ICMPV6 && r.Type == packet.ICMPv6EchoReply
}

func dump(all [][]byte) string {
	var lines []string
	for _, b := range all {
		lines = append(lines, hex.EncodeToString(b))
	}
	return strings.Join(lines, "\n       ")
}

func marks(a, b []byte) string {
	var line strings.Builder
	for i := range max(len(a), len(b)) {
		if i < len(a) && i < len(b) && a[i] == b[i] {
			line.WriteString("  ")
		} else {
			line.WriteString("^^")
		}
	}
	return strings.TrimRight(line.String(), " ")
}

// mask takes out what is random: the IP ID of an ICMP error, flow labels (but whether there is one), the sequence number that a
// host chooses (others count from it), and the time of a timestamp. Checksums are checked and taken out; that of a TCP segment,
// which a link between namespaces leaves unfinished, isn't checked here: the model's are in its other tests.
func mask(t *testing.T, b []byte, start *uint32) []byte {
	t.Helper()
	var r packet.Reply
	if err := packet.Parse(b, &r); err != nil {
		t.Fatalf("%v: %x", err, b)
	}
	b = slices.Clone(b)
	l4 := r.IP.HeaderLength
	if r.IP.Version == 4 {
		if r.IP.Checksum != packet.CheckGood {
			t.Errorf("IP checksum of %x", b)
		}
		clear(b[10:12])
		if r.Kind != packet.KindTCP {
			clear(b[4:6])
		}
	} else if binary.BigEndian.Uint32(b)&0xfffff != 0 {
		b[1], b[2], b[3] = b[1]&0xf0|0xf, 0xff, 0xff
	}
	if r.Kind != packet.KindTCP {
		if r.Checksum != packet.CheckGood {
			t.Errorf("checksum of %x", b)
		}
		clear(b[l4+2 : l4+4])
		return b
	}
	clear(b[l4+16 : l4+18])
	if r.TCP.Flags.Has(packet.SYN) {
		*start = r.TCP.Seq
	}
	if *start != 0 && !r.TCP.Flags.Has(packet.RST) {
		binary.BigEndian.PutUint32(b[l4+4:], r.TCP.Seq-*start)
	}
	for at := l4 + 20; at < l4+r.TCP.DataOffset; {
		switch kind := b[at]; {
		case kind <= packet.OptionNOP:
			at++
			continue
		case kind == packet.OptionTimestamps:
			clear(b[at+2 : at+6])
		}
		at += int(b[at+1])
	}
	return b
}

func encoded(t *testing.T, p packet.Probe) []byte {
	t.Helper()
	b, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// options builds TCP options from hexadecimal digits.
func options(t *testing.T, digits string) (o packet.Options) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(b); {
		n := 1
		if b[at] > packet.OptionNOP {
			n = int(b[at+1])
		}
		if o, err = o.With(b[at], b[min(at+2, at+n):at+n]...); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	return o
}

// TestHonestErrors compares ICMP errors with those of Linux routers.
func TestHonestErrors(t *testing.T) {
	for _, w := range newWorlds(t) {
		t.Run(w.name, func(t *testing.T) {
			for _, c := range []struct {
				name   string
				change func(p *packet.Probe)
			}{
				{"plain", nil},
				{"TOS 0x10", func(p *packet.Probe) { p.TOS = 0x10 }},
				{"TOS 0xb8", func(p *packet.Probe) { p.TOS = 0xb8 }},
				{"TOS 0xff", func(p *packet.Probe) { p.TOS = 0xff }},
				{"TOS 0x02", func(p *packet.Probe) { p.TOS = 0x02 }},
				{"don't fragment", func(p *packet.Probe) { p.DontFragment = w.v4 }},
				{"options", func(p *packet.Probe) { p.Options = options(t, "020405b4 0402 080a 11223344 00000000 01 030307") }},
				{"100 bytes", func(p *packet.Probe) { p.Length = 100 }},
				{"527 bytes", func(p *packet.Probe) { p.Length = 527 }},
				{"548 bytes", func(p *packet.Probe) { p.Length = 548 }},
				{"549 bytes", func(p *packet.Probe) { p.Length = 549 }},
				{"1232 bytes", func(p *packet.Probe) { p.Length = 1232 }},
				{"1233 bytes", func(p *packet.Probe) { p.Length = 1233 }},
				{"1500 bytes", func(p *packet.Probe) { p.Length = 1500 }},
				{"echo", func(p *packet.Probe) { p.Protocol, p.Flags = packet.ProtoEcho, 0 }},
				{"long echo", func(p *packet.Probe) { p.Protocol, p.Flags, p.Length, p.TOS = packet.ProtoEcho, 0, 1400, 0xb9 }},
			} {
				t.Run(c.name, func(t *testing.T) {
					w.port++
					m := w.model(t, "", "")
					w.compare(t, m, encoded(t, w.probe(1, c.change)), encoded(t, w.probe(2, c.change)))
				})
			}
			if w.v4 {
				t.Run("IP options", func(t *testing.T) {
					w.port++
					b := encoded(t, w.probe(1, nil))
					b[0], b[3] = 0x46, b[3]+4
					b = slices.Insert(b, 20, 1, 1, 1, 0) // three NOPs and the end (RFC 791 3.1)
					clear(b[10:12])
					binary.BigEndian.PutUint16(b[10:], packet.Checksum(b[:24]))
					w.compare(t, w.model(t, "", ""), b)
				})
			}
			codes := 16
			if !w.v4 {
				codes = 7
			}
			for code := range codes {
				if w.v4 && code == 4 {
					continue // fragmentation needed has another form
				}
				t.Run(fmt.Sprint("unreachable ", code), func(t *testing.T) {
					w.port++
					w.chain.Routers[0].Reject(t, "tcp dport 80", uint8(code), uint8(code))
					m := w.model(t, fmt.Sprintf("reject=%d:80", code), "")
					w.compare(t, m, encoded(t, w.probe(9, nil)), encoded(t, w.probe(9, func(p *packet.Probe) { p.TOS, p.Length = 0xb8, 1300 })))
				})
			}
			t.Run("reset", func(t *testing.T) {
				w.port++
				w.chain.Routers[0].Reset(t, "tcp dport 80")
				m := w.model(t, "reset=80", "")
				w.compare(t, m, w.resetProbes(t)...)
			})
			t.Run("target rejects", func(t *testing.T) {
				w.port++
				w.chain.Target.Filter(t, "input", "tcp dport 80 reject with icmpx type admin-prohibited")
				code := 1
				if w.v4 {
					code = 13
				}
				m := w.model(t, "", fmt.Sprintf("reject=%d:80", code))
				w.compare(t, m, encoded(t, w.probe(9, nil)), encoded(t, w.probe(3, nil)))
			})
		})
	}
}

// resetProbes are segments that are answered by resets of all sorts, or by none.
func (w *world) resetProbes(t *testing.T) (all [][]byte) {
	t.Helper()
	for _, flags := range []packet.Flags{
		packet.SYN, packet.SYN | packet.ACK, packet.ACK, packet.FIN, packet.SYN | packet.FIN, packet.FIN | packet.ACK, packet.PSH,
		packet.RST, packet.RST | packet.ACK, packet.SYN | packet.ECE | packet.CWR,
	} {
		for _, length := range []uint16{0, 100} {
			all = append(all, encoded(t, w.probe(9, func(p *packet.Probe) {
				p.Flags, p.Length, p.Ack = flags, length, 0x55667788
				p.TOS = 0x10
			})))
		}
	}
	return append(all, encoded(t, w.probe(9, func(p *packet.Probe) { p.Options = options(t, "020405b4 0402 080a 11223344 00000000 01 030307") })))
}

// TestHonestTarget compares the target's TCP with that of Linux.
func TestHonestTarget(t *testing.T) {
	const linux = "020405b4 0402 080a 11223344 00000000 01 030307"
	for _, w := range newWorlds(t) {
		t.Run(w.name, func(t *testing.T) {
			for _, o := range []string{
				"", "020405b4", "02040218", "0402", "0101 0402", "030307", "03030e 00", "0101 080a 11223344 00000000", "0101 080a 11223344 55667788",
				linux, "020405b4 01 030307 0101 0402", "2202", "220a 0102030405060708", "020405b4 0402 080a 11223344 00000000 01 030307 1e0c 00 81 0102030405060708", "fd04f989",
				"020405b4 0402", "0402 080a 11223344 00000000", "01 030300 0402",
			} {
				t.Run("options "+o, func(t *testing.T) {
					w.port++
					w.compare(t, w.model(t, "", ""), encoded(t, w.probe(9, func(p *packet.Probe) { p.Options = options(t, o) })))
				})
			}
			set := func(flags packet.Flags, seq, ack uint32, o string) []byte {
				return encoded(t, w.probe(9, func(p *packet.Probe) { p.Flags, p.Seq, p.Ack, p.Options = flags, p.Seq+seq, ack, options(t, o) }))
			}
			for _, c := range []struct {
				name   string
				probes func() [][]byte
			}{
				{"echo", func() (all [][]byte) {
					for i, tos := range []uint8{0, 1, 0x10, 0xb8, 0xff} {
						all = append(all, encoded(t, w.probe(9, func(p *packet.Probe) {
							p.Protocol, p.Flags, p.TOS, p.EchoSeq, p.Length = packet.ProtoEcho, 0, tos, uint16(i), uint16(100*i)
							p.DontFragment = w.v4 && i == 3
						})))
					}
					return all
				}},
				{"TOS", func() [][]byte { return [][]byte{encoded(t, w.probe(9, func(p *packet.Probe) { p.TOS = 0xb8 }))} }},
				{"ECN", func() [][]byte { return [][]byte{set(packet.SYN|packet.ECE|packet.CWR, 0, 0, linux)} }},
				{"ECN with a marked SYN", func() [][]byte {
					return [][]byte{encoded(t, w.probe(9, func(p *packet.Probe) { p.Flags, p.TOS = p.Flags|packet.ECE|packet.CWR, 2 }))}
				}},
				{"ECE alone", func() [][]byte { return [][]byte{set(packet.SYN|packet.ECE, 0, 0, "")} }},
				{"payload", func() [][]byte { return [][]byte{encoded(t, w.probe(9, func(p *packet.Probe) { p.Length = 200 }))} }},
				{"SYN and PSH", func() [][]byte { return [][]byte{set(packet.SYN|packet.PSH, 0, 0, "")} }},
				{"SYN and FIN", func() [][]byte { return [][]byte{set(packet.SYN|packet.FIN, 0, 0, "")} }},
				{"SYN and ACK", func() [][]byte { return [][]byte{set(packet.SYN|packet.ACK, 0, 7, "")} }},
				{"ACK", func() [][]byte { return [][]byte{set(packet.ACK, 0, 0x778899aa, "")} }},
				{"FIN", func() [][]byte { return [][]byte{set(packet.FIN, 0, 0, "")} }},
				{"reset", func() [][]byte { return [][]byte{set(packet.RST, 0, 0, "")} }},
				{"no flags but PSH", func() [][]byte { return [][]byte{set(packet.PSH, 0, 0, "")} }},
				{"the same SYN five times", func() [][]byte { return slices.Repeat([][]byte{set(packet.SYN, 0, 0, linux)}, 5) }},
				{"another number", func() [][]byte { return [][]byte{set(packet.SYN, 0, 0, linux), set(packet.SYN, 1000, 0, linux)} }},
				{"another number twice", func() [][]byte {
					return [][]byte{set(packet.SYN, 0, 0, ""), set(packet.SYN, 1000, 0, ""), set(packet.SYN, 2000, 0, "")}
				}},
				{"another number out of the window", func() [][]byte { return [][]byte{set(packet.SYN, 0, 0, linux), set(packet.SYN, 1<<31, 0, linux)} }},
				{"wrong acknowledgement", func() [][]byte { return [][]byte{set(packet.SYN, 0, 0, ""), set(packet.ACK, 1, 99, "")} }},
				{"reset at the edge", func() [][]byte {
					return [][]byte{set(packet.SYN, 0, 0, ""), set(packet.RST, 1, 0, ""), set(packet.SYN, 7, 0, "")}
				}},
				{"reset in the window", func() [][]byte { return [][]byte{set(packet.SYN, 0, 0, ""), set(packet.RST, 100, 0, "")} }},
				{"reset out of the window", func() [][]byte {
					return [][]byte{set(packet.SYN, 0, 0, ""), set(packet.RST, 1<<30, 0, ""), set(packet.SYN, 0, 0, "")}
				}},
			} {
				t.Run(c.name, func(t *testing.T) {
					w.port++
					w.compare(t, w.model(t, "", ""), c.probes()...)
				})
			}
			t.Run("closed", func(t *testing.T) {
				w.port++
				probes := w.resetProbes(t)
				for _, b := range probes {
					l4 := 20
					if !w.v4 {
						l4 = 40
					}
					// To port 81; the checksum follows (RFC 1624).
					binary.BigEndian.PutUint16(b[l4+2:], 81)
					sum := uint32(binary.BigEndian.Uint16(b[l4+16:])) + 0xffff - 1
					binary.BigEndian.PutUint16(b[l4+16:], uint16(sum+sum>>16))
				}
				w.compare(t, w.model(t, "", ""), probes...)
			})
		})
	}
}

// TestHonestTranslation compares what translators make of packets, answers and quotes: Linux's connection tracking, and
// translation packet by packet, which leaves quotes as they are.
func TestHonestTranslation(t *testing.T) {
	for _, w := range newWorlds(t) {
		alias, other := netip.MustParseAddr("2001:db8:99::7"), netip.MustParseAddr("2001:db8:1::77")
		if w.v4 {
			alias, other = netip.MustParseAddr("198.18.99.7"), netip.MustParseAddr("198.18.1.77")
		}
		r1 := w.chain.Routers[0]
		for _, c := range []struct {
			name   string
			from   uint8 // the first TTL that is compared
			port   uint16
			words  string
			dst    netip.Addr
			kernel func(t *testing.T)
		}{
			{"destination", 1, 80, fmt.Sprintf("dnat=%v hide-hops", w.target), alias, func(t *testing.T) {
				r1.DNAT(t, netip.AddrPortFrom(alias, 80), netip.AddrPortFrom(w.target, 0))
			}},
			{"destination and port", 1, 8080, fmt.Sprintf("dnat=%v hide-hops", netip.AddrPortFrom(w.target, 80)), alias, func(t *testing.T) {
				r1.DNAT(t, netip.AddrPortFrom(alias, 8080), netip.AddrPortFrom(w.target, 80))
			}},
			// Linux translates before it looks at the TTL, so that its own error shows it too; the model's shows what came.
			{"destination, quotes left", 2, 80, fmt.Sprintf("dnat=%v raw-quote", w.target), alias, func(t *testing.T) {
				r1.Redirect(t, netip.AddrPortFrom(alias, 80), netip.AddrPortFrom(w.target, 0))
			}},
			{"source, quotes left", 1, 80, fmt.Sprintf("snat=%v raw-quote", other), w.target, func(t *testing.T) {
				r1.Masquerade(t, w.host, other)
			}},
			{"source", 1, 80, fmt.Sprintf("snat=%v", r1.Interfaces[1].V4), w.target, func(t *testing.T) {
				r1.NFT(t, "chain c { type nat hook postrouting priority srcnat; oif eth1 tcp dport 80 masquerade; }")
			}},
		} {
			if c.name == "source" && !w.v4 {
				c.words = fmt.Sprintf("snat=%v", r1.Interfaces[1].V6)
			}
			t.Run(w.name+"/"+c.name, func(t *testing.T) {
				c.kernel(t)
				w.port++
				var probes [][]byte
				for ttl := c.from; ttl <= 3; ttl++ {
					probes = append(probes, encoded(t, w.probe(ttl, func(p *packet.Probe) {
						p.Dst = netip.AddrPortFrom(c.dst, c.port)
						p.Options = options(t, "020405b4 0402 080a 11223344 00000000 01 030307")
					})))
				}
				w.compare(t, w.modelOf(t, c.dst, c.words, ""), probes...)
			})
		}
	}
}
