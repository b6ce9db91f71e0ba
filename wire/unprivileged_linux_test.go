package wire

import (
	"context"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// connect is an Unprivileged inside a host, closed when t ends, with a port reserved on the address. f runs inside too.
func connect(t *testing.T, h *lab.Host, src netip.Addr, f func(c *Unprivileged, src netip.AddrPort)) {
	t.Helper()
	h.Do(t, func() {
		c, err := OpenUnprivileged(Options{})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		n, err := c.Reserve(port(src, 0))
		if err != nil {
			t.Error(err)
			return
		}
		f(c, port(src, n))
	})
}

// stamped is a probe with a timestamp.
func stamped(src, dst netip.AddrPort, ttl uint8, tag uint32) packet.Probe {
	o, _ := packet.Options{}.WithTimestamps(tag, 0)
	return packet.Probe{Src: src, Dst: dst, TTL: ttl, ID: uint16(tag), Seq: 1000, Flags: packet.SYN, Options: o}
}

// hear is the next packet.
func hear(t *testing.T, c *Unprivileged) (r packet.Reply, at time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	buf := make([]byte, 2048)
	n, at, err := c.Recv(ctx, buf)
	if err != nil {
		t.Error(err)
		return r, at
	}
	if err := packet.Parse(buf[:n], &r); err != nil || r.Checksum != packet.CheckGood {
		t.Errorf("%v, checksum %v: % x", err, r.Checksum, buf[:n])
	}
	return *r.Clone(), at
}

// Each answer comes as the packet that it may have been, in the terms of the probe.
func TestConnections(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	p.Target.Filter(t, "input", "tcp dport 85 reject")
	for _, a := range []struct{ src, dst, r2 netip.Addr }{
		{p.Source.V4(), p.Target.V4(), p.Hop(2).V4()}, {p.Source.V6(), p.Target.V6(), p.Hop(2).V6()},
	} {
		connect(t, p.Source, a.src, func(c *Unprivileged, src netip.AddrPort) {
			tag := uint32(0)
			send := func(ttl uint8, to uint16) (packet.Reply, packet.Probe) {
				t.Helper()
				tag++
				probe := stamped(src, port(a.dst, to), ttl, tag)
				sent, err := c.Send(probe)
				if err != nil {
					t.Error(err)
				}
				r, at := hear(t, c)
				if rtt := at.Sub(sent); rtt <= 0 || rtt > 5*time.Second {
					t.Errorf("the answer came %v after the probe", rtt)
				}
				if r.IP.Dst != src.Addr() {
					t.Errorf("the answer is to %v", r.IP.Dst)
				}
				return r, probe
			}
			r, probe := send(2, 80)
			if r.Kind != packet.KindTimeExceeded || r.From() != a.r2 || r.Quote.Key() != probe.Key() || r.IP.TTL != 63 || r.IP.TOS != 0xc0 && a.src.Is4() {
				t.Errorf("hop 2: %+v", r)
			}
			r, probe = send(9, 80)
			if _, ecr, _ := r.TCP.Options.Timestamps(); r.Kind != packet.KindTCP || r.TCP.Flags != packet.SYN|packet.ACK ||
				r.TCP.Ack != probe.NextSeq() || ecr != tag || r.From() != a.dst {
				t.Errorf("open: %+v", r)
			}
			first := r.TCP.Seq
			if r, _ = send(9, 80); r.TCP.Flags != packet.SYN|packet.ACK || r.TCP.Seq == first {
				t.Errorf("open again: %+v", r)
			}
			if r, _ = send(9, 81); r.TCP.Flags != packet.RST|packet.ACK || r.TCP.Ack != probe.NextSeq() {
				t.Errorf("closed: %+v", r)
			}
			if r, _ = send(9, 85); r.Kind != packet.KindUnreachable || r.From() != a.dst {
				t.Errorf("rejected: %+v", r)
			}
			if n := c.Repeated(); n != 0 || c.wait >= time.Second { // when the kernel repeats a SYN
				t.Errorf("%d SYNs sent again, a probe waits for %v", n, c.wait)
			}
		})
	}
	if n := p.Target.Counters(t)["TcpPassiveOpens"]; n != 0 {
		t.Errorf("%d connections came to the target's program", n)
	}
}

// refusedByRouter is a probe whose connection a router's ICMP error has ended, unread by anybody, and f what is to be
// seen of it. The router is the test itself.
func refusedByRouter(t *testing.T, kind, code uint8, f func(c *Unprivileged, tr *try, router netip.Addr)) {
	t.Helper()
	lab.NeedTUN(t)
	h := lab.New(t).Host(t, "host")
	tun := h.TUN(t, "tun0")
	h.Add(t, "addr", "198.18.0.1/24 dev tun0")
	src, dst, router := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.9"), netip.MustParseAddr("198.18.0.2")
	connect(t, h, src, func(c *Unprivileged, src netip.AddrPort) {
		probe := stamped(src, port(dst, 80), 2, 1)
		fd, err := c.socket(&probe)
		if err != nil {
			t.Error(err)
			return
		}
		to, _ := sockaddr(dst, 80)
		if err := unix.Connect(fd, to); err != unix.EINPROGRESS {
			t.Errorf("connect: %v", err)
		}
		tr := &try{fd: fd, probe: probe, sent: c.clock.look(), over: time.NewTimer(0)}
		c.tries = append(c.tries, tr)
		if c.Backlog() {
			t.Error("nothing has come in, and something is to be read")
		}
		syn := make([]byte, 2048)
		for r := (packet.Reply{}); r.TCP.DstPort != 80; { // router solicitations pass too
			n, err := tun.Read(syn)
			if err != nil {
				t.Error(err)
				return
			}
			if packet.Parse(syn[:n], &r); r.TCP.DstPort == 80 {
				syn = syn[:n]
			}
		}
		answer, err := packet.AppendICMP(nil, &packet.ICMPError{Src: router, Dst: src.Addr(), TTL: 64, Type: kind, Code: code, Quote: syn})
		if err != nil {
			t.Error(err)
		}
		if _, err := tun.Write(answer); err != nil {
			t.Error(err)
		}
		wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if _, err := unix.Ppoll(wait, nil, nil); err != nil || wait[0].Revents&unix.POLLOUT == 0 {
			t.Errorf("poll says %#x, %v", wait[0].Revents, err)
		}
		if info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO); err != nil || info.State != tcpClose {
			t.Errorf("state %d, %v", info.State, err)
		}
		f(c, tr, router)
	})
}

// The trap: SO_ERROR is 0 once the error queue was drained, as it is of a connection that is open. Whoever goes by it
// takes a router for the target.
func TestErrorOfDrainedQueue(t *testing.T) {
	refusedByRouter(t, 11, 0, func(c *Unprivileged, tr *try, router netip.Addr) {
		var b, oob [512]byte
		if _, n, _, _, err := unix.Recvmsg(tr.fd, b[:], oob[:], unix.MSG_ERRQUEUE); err != nil {
			t.Error(err)
		} else if e, ok := parseError(oob[:n]); !ok || e.from != router || e.kind != 11 {
			t.Errorf("the error queue has %+v", e)
		}
		if errno, err := unix.GetsockoptInt(tr.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || errno != 0 {
			t.Errorf("SO_ERROR is %d, %v: there is no trap", errno, err)
		}
		if c.read(tr); len(c.arrived) > 0 {
			t.Errorf("a router is taken for the target: % x", c.arrived[0].b)
		}
	})
}

// The other trap: SO_ERROR of a connection that a router's "port unreachable" ended is that of a reset. The error may
// come in just after the queue was read, and is then in it before the connection is closed.
func TestErrorWhileTheStateIsRead(t *testing.T) {
	refusedByRouter(t, 3, 3, func(c *Unprivileged, tr *try, router netip.Addr) {
		if !c.Backlog() {
			t.Error("an answer is there, and nothing to be read")
		}
		if !c.answer(tr) || len(c.arrived) != 1 {
			t.Errorf("%d answers", len(c.arrived))
			return
		}
		c.end(tr)
		if !c.Backlog() {
			t.Error("an answer was taken from the kernel and not from Recv, and nothing is to be read")
		}
		if r, _ := hear(t, c); r.Kind != packet.KindUnreachable || r.From() != router {
			t.Errorf("a router's refusal became %+v", r)
		}
		if !c.Backlog() {
			t.Error("an answer may be on its way from Recv, and nothing is to be read")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := c.Recv(ctx, nil); err == nil || c.Backlog() {
			t.Errorf("all is read, and something is to be read (%v)", err)
		}
	})
}

// The port is nobody else's, also of those who share theirs, but for the same user's.
func TestSharedPort(t *testing.T) {
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	connect(t, p.Source, p.Source.V4(), func(c *Unprivileged, src netip.AddrPort) {
		if fd, _, err := bind(src, false); err != unix.EADDRINUSE {
			t.Errorf("port bound again: %v", err)
			unix.Close(fd)
		}
		if _, err := c.Send(packet.Probe{Src: src, Dst: port(p.Target.V4(), 0), TTL: 1, Protocol: packet.ProtoEcho}); err == nil {
			t.Error("sent an echo request")
		}
		if c.Use(80) == nil {
			t.Error("a port in use can be used")
		}
	})
}

// control makes a control message.
func control(level, kind int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0])) // its length is as wide as the machine's words
	h.SetLen(unix.CmsgLen(len(data)))
	h.Level, h.Type = int32(level), int32(kind)
	copy(b[unix.CmsgLen(0):], data)
	return b
}

// extended makes a struct sock_extended_err with the sender's address.
func extended(origin, kind, code byte, from netip.Addr) []byte {
	b := make([]byte, sizeofExtendedErr, 64)
	b[4], b[5], b[6] = origin, kind, code
	if from.Is4() {
		return append(append(b, 2, 0, 0, 0), append(from.AsSlice(), make([]byte, 8)...)...)
	}
	return append(append(b, 10, 0, 0, 0, 0, 0, 0, 0), append(from.AsSlice(), make([]byte, 4)...)...)
}

func FuzzErrorQueue(f *testing.F) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	f.Add(control(unix.SOL_IP, unix.IP_RECVERR, extended(unix.SO_EE_ORIGIN_ICMP, 11, 0, v4)))
	f.Add(append(control(unix.SOL_IPV6, unix.IPV6_HOPLIMIT, []byte{61, 0, 0, 0}),
		control(unix.SOL_IPV6, unix.IPV6_RECVERR, extended(unix.SO_EE_ORIGIN_ICMP6, 3, 0, v6))...))
	f.Add(append(control(unix.SOL_IP, unix.IP_TOS, []byte{0xc0}), control(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, make([]byte, 16))...))
	f.Fuzz(func(t *testing.T, oob []byte) {
		if e, ok := parseError(oob); ok && !e.from.IsValid() {
			t.Errorf("%+v from nobody", e)
		}
	})
}

func TestParseError(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		name string
		oob  []byte
		want extendedError
		ok   bool
	}{
		{"IPv4", append(control(unix.SOL_IP, unix.IP_TTL, []byte{63, 0, 0, 0}), append(control(unix.SOL_IP, unix.IP_TOS, []byte{0xc0}),
			control(unix.SOL_IP, unix.IP_RECVERR, extended(unix.SO_EE_ORIGIN_ICMP, 3, 13, v4))...)...),
			extendedError{kind: 3, code: 13, from: v4, ttl: 63, tos: 0xc0}, true},
		{"IPv6", control(unix.SOL_IPV6, unix.IPV6_RECVERR, extended(unix.SO_EE_ORIGIN_ICMP6, 1, 4, v6)),
			extendedError{kind: 1, code: 4, from: v6}, true},
		{"local", control(unix.SOL_IP, unix.IP_RECVERR, extended(unix.SO_EE_ORIGIN_LOCAL, 0, 0, v4)), extendedError{}, false},
		{"no sender", control(unix.SOL_IP, unix.IP_RECVERR, extended(unix.SO_EE_ORIGIN_ICMP, 11, 0, v4)[:18]), extendedError{}, false},
		{"short", control(unix.SOL_IP, unix.IP_RECVERR, make([]byte, 15)), extendedError{}, false},
		{"nothing", nil, extendedError{}, false},
	} {
		if got, ok := parseError(tt.oob); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
}

// What the kernel leaves of a quoted packet and its extensions becomes the packet again, extensions and their faults
// included.
func TestRebuiltExtensions(t *testing.T) {
	label := packet.Label{Label: 16, Bottom: true, TTL: 1}
	for _, v6 := range []bool{false, true} {
		src, dst, from, header, icmp := "192.0.2.9", "192.0.2.7", "192.0.2.1", 20, uint8(11)
		if v6 {
			src, dst, from, header, icmp = "2001:db8::9", "2001:db8::7", "2001:db8::1", 40, 3
		}
		probe := stamped(port(netip.MustParseAddr(src), 40000), port(netip.MustParseAddr(dst), 80), 5, 7)
		quote, _ := probe.AppendBinary(nil)
		object, _ := packet.AppendMPLS(nil, label)
		for _, old := range []bool{false, true} {
			m := packet.ICMPError{Src: netip.MustParseAddr(from), Dst: probe.Src.Addr(), TTL: 60, Type: icmp,
				Quote: quote, Extensions: object, NonCompliant: old}
			b, err := packet.AppendICMP(nil, &m)
			if err != nil {
				t.Fatal(err)
			}
			payload := b[header+8+header:] // as the kernel hands it up
			e := extendedError{from: m.Src, kind: icmp, ttl: 60}
			if !old {
				e.data = uint32(leastExtended - header)
			}
			c := &Unprivileged{clock: newClock()}
			c.icmp(&try{probe: probe}, &e, payload)
			if len(c.arrived) != 1 {
				t.Fatalf("%d packets", len(c.arrived))
			}
			var want, got packet.Reply
			if packet.Parse(b, &want) != nil || packet.Parse(c.arrived[0].b, &got) != nil {
				t.Fatal("a packet can't be read")
			}
			if got.Extensions.Compliant == old || got.Extensions.Checksum != packet.CheckGood || got.Extensions.Len() != want.Extensions.Len() ||
				got.Quote.Key() != probe.Key() || got.Kind != want.Kind {
				t.Errorf("IPv6 %v, old %v: %+v\nwant %+v", v6, old, got, want)
			}
		}
	}
}
