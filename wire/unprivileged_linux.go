package wire

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// Unprivileged is the way to the network of a user who may not open raw sockets. Each probe is a connection that the
// kernel opens, with the probe's TTL; what an ICMP error says of it waits in the socket's error queue (IP_RECVERR in
// ip(7); for TCP since Linux 5.8).
//
// The kernel makes the packet, and judges what comes back by it: only what quotes the right sequence number is told.
// Recv writes it down as the packet that a raw socket would have seen, in the terms of the probe that was asked for.
// Of such a packet only the following is true, and nothing else in it is evidence: its source, its time, and of an
// ICMP error type, code, TTL, TOS and extensions (but not what it quotes), of a TCP segment whether it is a SYN+ACK
// or a RST.
//
// The rules, and why:
//
//   - One connection at a time from a port: two can't have the same addresses and ports. The next probe ends the one
//     before.
//   - One SYN a probe: the kernel repeats it after a second, so a probe is over before that ([ConnectWait]).
//   - The target's application never gets to know. Our kernel's ACK, which would complete the connection, is put off
//     (TCP_QUICKACK in tcp(7)), and then the connection is reset in its place.
//   - SO_ERROR proves nothing: it is 0 too where an error was taken from the queue. Only the state tells that a port
//     is open.
type Unprivileged struct {
	route *router
	iface string
	wake  int           // eventfd: there is more to wait for, or no more
	wait  time.Duration // how long a probe may be answered

	mu       sync.Mutex // of all that follows
	clock    *clock
	tries    []*try
	arrived  []arrival
	taken    bool                  // Recv has returned what is not read yet, for all that is known
	zones    map[uint16]netip.Addr // the addresses that ports are reserved on
	reserved []int
	prepared []int // sockets for the next connections; none: they are opened when they are needed

	// ordinary: TTL, path MTU discovery and IPv6 flow labels are the kernel's, as those of other programs' connections
	ordinary bool
	repeated int
	answers  uint32 // so that no SYN+ACK looks like the one before
}

// try is a probe on its way.
type try struct {
	fd    int // -1: it is over
	probe packet.Probe
	sent  instant
	over  *time.Timer
}

// arrival is a packet for Recv.
type arrival struct {
	b  []byte
	at time.Time
}

// OpenUnprivileged needs no privilege, but for a source port below 1024.
func OpenUnprivileged(o Options) (*Unprivileged, error) {
	c := &Unprivileged{clock: newClock(), iface: o.Interface, zones: make(map[uint16]netip.Addr), wake: -1,
		wait: ConnectWait}
	err := c.open(o)
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Unprivileged) open(o Options) (err error) {
	if o.Mark != 0 {
		return opError("mark", o.Mark, ErrPrivilege)
	}
	if c.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return opError("eventfd", nil, err)
	}
	if c.route, err = newRouter(o); err != nil {
		return err
	}
	if err := c.tryConnecting(); err != nil {
		return opError("connections can't be made", nil, err)
	}
	if o.Port != 0 {
		c.reserved, err = bindAny(o.Port, true)
	}
	return err
}

// tryConnecting makes all calls for the socket of a probe, in the family that there is, but for connect(2). What a
// sandbox refuses is then known before anything is sent, and isn't shown as silence.
func (c *Unprivileged) tryConnecting() (err error) {
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		fd, failed := c.socket(&packet.Probe{Src: netip.AddrPortFrom(any, 0), TTL: 1})
		switch {
		case failed == nil:
			unix.Close(fd)
			return nil
		case errors.Is(failed, unix.EADDRINUSE): // of all ports
			return nil
		}
		err = cmp.Or(err, failed)
	}
	return err
}

// Without is that of [Conn.Without].
func (c *Unprivileged) Without() []error {
	if c.route == nil || c.route.online() {
		return nil
	}
	return []error{c.route.without}
}

// Route is that of [Conn.Route], for connections: rules that look at ports apply.
func (c *Unprivileged) Route(dst, src netip.AddrPort) (Route, error) {
	return c.route.describe(dst, src, false)
}

// Fault is that of [Conn.Fault].
func (c *Unprivileged) Fault(p packet.Probe, unreachable bool) error {
	return c.route.fault(p, unreachable)
}

// Reserve is that of [Conn.Reserve].
func (c *Unprivileged) Reserve(src netip.AddrPort) (uint16, error) {
	fd, port, err := bind(src, true)
	if err != nil {
		return 0, opError("port of", src.Addr(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved = append(c.reserved, fd)
	c.zones[port] = src.Addr()
	return port, nil
}

// Spare is that of [Conn.Spare].
func (c *Unprivileged) Spare(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.reserved) == 0 {
		return nil
	}
	return spare(c.reserved[0], n)
}

// Use is refused: a port that somebody else uses can't be connected from.
func (c *Unprivileged) Use(port uint16) error { return opError("port", port, ErrPrivilege) }

// Source is that of [Conn.Source].
func (c *Unprivileged) Source(target netip.AddrPort) (netip.AddrPort, error) {
	return source(c, target)
}

// Zone is that of [Conn.Zone].
func (c *Unprivileged) Zone(dst, src netip.AddrPort) string { return zone(c, dst, src) }

// NewTimer is that of [Conn.NewTimer].
func (c *Unprivileged) NewTimer() Timer { return kernelTimer() }

// ConnectWait returns [ConnectWait]. A Conn with this method takes one probe at a time from each source port.
func (c *Unprivileged) ConnectWait() time.Duration { return ConnectWait }

// SyntheticPackets says that of its packets only what [Unprivileged] lists is evidence.
func (c *Unprivileged) SyntheticPackets() {}

// Send begins to connect. Of the probe it takes addresses, ports, TTL, TOS and DontFragment; the rest is the kernel's
// choice. The time is that of the call: the kernel tells none. An error is a local one: no route, an address that is
// gone. What the host's firewall drops looks like silence.
func (c *Unprivileged) Send(p packet.Probe) (sent time.Time, err error) {
	if p.Protocol != packet.ProtoTCP {
		return time.Time{}, opError("sending", nil, ErrPrivilege)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tries {
		if t.probe.Src == p.Src {
			c.read(t)
			c.end(t)
		}
	}
	t := &try{probe: p}
	if t.fd, err = c.socket(&p); err != nil {
		return time.Time{}, opError("sending", nil, err)
	}
	to, err := sockaddr(p.Dst.Addr(), p.Dst.Port())
	if err == nil {
		t.sent = c.clock.look()
		err = unix.Connect(t.fd, to)
	}
	c.tries = append(c.tries, t)
	t.over = time.AfterFunc(c.wait, func() { c.overdue(t) })
	switch {
	case c.read(t): // answered before the call was over
	case err == nil || err == unix.EINPROGRESS || err == unix.EINTR:
	case err == unix.ECONNREFUSED:
		c.segment(t, packet.RST|packet.ACK, c.clock.look().mono)
		c.end(t)
	default:
		c.end(t)
		return time.Time{}, opError("sending", nil, err)
	}
	c.rouse()
	return c.clock.time(t.sent.mono), nil
}

// rouse lets Recv look again.
func (c *Unprivileged) rouse() {
	if c.wake < 0 {
		return
	}
	unix.Write(c.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

// flowLabel of IPv6 is one for all probes of a path: 0. The kernel would take a random one for each connection, and
// routers that share load by it would send each another way.
const flowLabel = 0

// socket is one from which p is only a connect away.
func (c *Unprivileged) socket(p *packet.Probe) (fd int, err error) {
	v4 := p.Src.Addr().Is4()
	family, level := unix.AF_INET, unix.SOL_IP
	if !v4 {
		family, level = unix.AF_INET6, unix.SOL_IPV6
	}
	if len(c.prepared) > 0 {
		fd, c.prepared = c.prepared[0], c.prepared[1:]
	} else if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, opError("socket", nil, err)
	}
	set := func(level, name, value int) {
		if err == nil {
			err = opError("setsockopt", nil, unix.SetsockoptInt(fd, level, name, value))
		}
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) // without it times are those of this program's calls
	set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	set(unix.SOL_TCP, unix.TCP_QUICKACK, 0)
	set(unix.SOL_TCP, unix.TCP_SYNCNT, 1) // should we be stopped
	if v4 {
		if !c.ordinary {
			discover := unix.IP_PMTUDISC_DONT
			if p.DontFragment {
				discover = unix.IP_PMTUDISC_DO
			}
			set(level, unix.IP_TTL, int(p.TTL))
			set(level, unix.IP_MTU_DISCOVER, discover)
		}
		set(level, unix.IP_TOS, int(p.TOS))
		set(level, unix.IP_RECVERR, 1)
		set(level, unix.IP_RECVTTL, 1)
		set(level, unix.IP_RECVTOS, 1)
	} else {
		set(level, unix.IPV6_V6ONLY, 1)
		if !c.ordinary {
			set(level, unix.IPV6_UNICAST_HOPS, int(p.TTL))
			set(level, unix.IPV6_AUTOFLOWLABEL, flowLabel)
		}
		set(level, unix.IPV6_TCLASS, int(p.TOS))
		set(level, unix.IPV6_RECVERR, 1)
		set(level, unix.IPV6_RECVHOPLIMIT, 1)
		set(level, unix.IPV6_RECVTCLASS, 1)
	}
	if err == nil && c.iface != "" {
		err = unix.BindToDevice(fd, c.iface)
	}
	if err == nil {
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // should we be killed
	}
	if err == nil {
		// Kernels before 5.9 don't know it; then extensions are found only where they have to be looked for.
		rfc4884 := recverrRFC4884v4
		if !v4 {
			rfc4884 = recverrRFC4884v6
		}
		unix.SetsockoptInt(fd, level, rfc4884, 1)
		from := p.Src.Addr()
		if zoned := c.zones[p.Src.Port()]; zoned.WithZone("") == from {
			from = zoned
		}
		var sa unix.Sockaddr
		if sa, err = sockaddr(from, p.Src.Port()); err == nil {
			err = opError("bind", nil, unix.Bind(fd, sa))
		}
	}
	if err == nil { // answer asks for it, and would take a refusal for silence
		_, err = unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		err = opError("getsockopt", nil, err)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// IP_RECVERR_RFC4884 of linux/in.h, IPV6_RECVERR_RFC4884 of linux/in6.h.
const (
	recverrRFC4884v4 = 26
	recverrRFC4884v6 = 31
)

// States of a connection (linux/tcp_states.h).
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpSynRecv     = 3
	tcpClose       = 7
)

// read takes what the kernel knows of a probe. Where that is the end of it, the probe's socket is closed.
func (c *Unprivileged) read(t *try) (over bool) {
	over = c.errors(t) || c.answer(t)
	if over {
		c.end(t)
	}
	return over
}

// errors takes the ICMP errors about a probe.
func (c *Unprivileged) errors(t *try) (any bool) {
	var payload [2048]byte
	var oob [512]byte
	for {
		n, oobn, _, _, err := unix.Recvmsg(t.fd, payload[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return any
		}
		if e, ok := parseError(oob[:oobn]); ok {
			c.icmp(t, &e, payload[:n])
			any = true
		}
	}
}

// answer looks whether the connection is open, or was refused.
func (c *Unprivileged) answer(t *try) (over bool) {
	info, err := unix.GetsockoptTCPInfo(t.fd, unix.SOL_TCP, unix.TCP_INFO)
	if err != nil || info.State == tcpSynSent || info.State == tcpSynRecv {
		return false
	}
	now := c.clock.look()
	if info.State != tcpClose {
		c.segment(t, packet.SYN|packet.ACK, c.opened(t, now, info))
		return true
	}
	// An ICMP error, too, closes the connection, and "port unreachable" leaves the same error number as a reset. The
	// kernel queues it before: so it is here by now, if it came since the queue was read.
	if c.errors(t) {
		return true
	}
	errno, err := unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || errno == 0 {
		return false // not connected yet
	}
	at := min(now.mono, t.sent.mono+c.wait) // of the reset the kernel tells no time: it may have waited here
	switch unix.Errno(errno) {
	case unix.ECONNREFUSED:
		c.segment(t, packet.RST|packet.ACK, at)
	case unix.ECONNRESET: // it had been open (tcp_reset in the kernel)
		c.segment(t, packet.SYN|packet.ACK, at)
	}
	return true
}

// opened is when the SYN+ACK came in: the kernel has measured its round-trip time.
func (c *Unprivileged) opened(t *try, now instant, info *unix.TCPInfo) time.Duration {
	if info.Rtt == 0 {
		return now.mono
	}
	return min(now.mono, t.sent.mono+time.Duration(info.Rtt)*time.Microsecond)
}

// end closes a probe's connection, if it has one by a reset. To close the socket alone would not do while Recv waits
// for it.
func (c *Unprivileged) end(t *try) {
	i := slices.Index(c.tries, t)
	if i < 0 {
		return
	}
	c.tries = slices.Delete(slices.Clone(c.tries), i, i+1) // others are walking the old one
	if info, err := unix.GetsockoptTCPInfo(t.fd, unix.SOL_TCP, unix.TCP_INFO); err == nil {
		c.repeated += int(info.Total_retrans)
	}
	disconnect := unix.RawSockaddr{Family: unix.AF_UNSPEC} // connect(2)
	unix.Syscall(unix.SYS_CONNECT, uintptr(t.fd), uintptr(unsafe.Pointer(&disconnect)), unsafe.Sizeof(disconnect))
	unix.Close(t.fd)
	t.fd = -1
	t.over.Stop()
}

// overdue ends a probe that has waited long enough.
func (c *Unprivileged) overdue(t *try) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.fd >= 0 {
		c.read(t)
		c.end(t)
		c.rouse()
	}
}

// Repeated is how many SYNs the kernel has sent again, because this process was too late to prevent it.
func (c *Unprivileged) Repeated() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.repeated
}

// Recv implements the receiving half of a trace's connection. It may be called again after its ctx has ended.
func (c *Unprivileged) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rouse()
	})
	defer stop()
	c.mu.Lock()
	c.taken = false
	c.mu.Unlock()
	var wait []unix.PollFd
	for {
		if ctx.Err() != nil {
			return 0, time.Time{}, ctx.Err()
		}
		c.mu.Lock()
		if c.taken = len(c.arrived) > 0; c.taken {
			a := c.arrived[0]
			c.arrived = c.arrived[1:]
			c.mu.Unlock()
			return copy(buf, a.b), a.at, nil
		}
		tries, wake := c.tries, c.wake
		wait = append(wait[:0], unix.PollFd{Fd: int32(wake), Events: unix.POLLIN})
		for _, t := range tries {
			wait = append(wait, unix.PollFd{Fd: int32(t.fd), Events: unix.POLLOUT})
		}
		c.mu.Unlock()

		if _, err := unix.Ppoll(wait, nil, nil); err != nil && err != unix.EINTR {
			return 0, time.Time{}, opError("ppoll", nil, err)
		}
		if wait[0].Revents != 0 {
			var count [8]byte
			unix.Read(wake, count[:])
		}
		c.mu.Lock()
		for i, t := range tries {
			if wait[i+1].Revents != 0 && t.fd >= 0 {
				c.read(t)
			}
		}
		c.mu.Unlock()
	}
}

// Backlog is that of [Conn.Backlog]. A connection that is under way can neither be read from nor written to.
func (c *Unprivileged) Backlog() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken || len(c.arrived) > 0 {
		return true
	}
	var ready []unix.PollFd
	for _, t := range c.tries {
		ready = append(ready, unix.PollFd{Fd: int32(t.fd), Events: unix.POLLOUT})
	}
	n, _ := unix.Poll(ready, 0) // an error: there is nothing to be read
	return n > 0
}

// Close ends what is on its way, and frees the ports.
func (c *Unprivileged) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tries {
		c.end(t)
	}
	var errs []error
	for _, fd := range slices.Concat(c.reserved, c.prepared, []int{c.wake}) {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	c.wake, c.reserved, c.prepared, c.tries = -1, nil, nil, nil
	if c.route != nil {
		errs = append(errs, c.route.Close())
	}
	return opError("closing", nil, errors.Join(errs...))
}

// icmp writes down an ICMP error as it may have looked: it quotes the probe that was asked for.
func (c *Unprivileged) icmp(t *try, e *extendedError, payload []byte) {
	p := &t.probe
	quote, err := p.AppendBinary(nil)
	if err != nil {
		return
	}
	m := packet.ICMPError{
		Src: e.from, Dst: p.Src.Addr(), TTL: e.ttl, TOS: e.tos, Type: e.kind, Code: e.code, Pointer: e.info,
		Quote: quote, QuoteLength: len(quote),
	}
	header := 20 // of the quoted packet, which the kernel has taken off; without options
	if p.Src.Addr().Is6() {
		header = 40
	}
	at := int(e.data & 0xffff) // struct sock_ee_data_rfc4884: where in payload extensions begin
	if at == 0 {
		at, m.NonCompliant = leastExtended-header, true
	}
	if at < len(payload) {
		m.Structure = payload[at:]
		m.Quote = make([]byte, at+header)
		copy(m.Quote, quote)
		m.QuoteLength = len(m.Quote)
	}
	b, err := packet.AppendICMP(nil, &m)
	if errors.Is(err, packet.ErrExtensions) { // those of a type that has none
		m.Structure, m.Quote, m.QuoteLength = nil, quote, len(quote)
		b, err = packet.AppendICMP(nil, &m)
	}
	if err == nil {
		c.arrive(b, c.clock.received(c.clock.look(), e.stamp))
	}
}

// leastExtended is how much is quoted at the least before extensions begin (RFC 4884 5.1).
const leastExtended = 128

// segment writes down the target's answer. It echoes the probe's timestamp, for it is known which probe it answers.
func (c *Unprivileged) segment(t *try, flags packet.Flags, at time.Duration) {
	p := &t.probe
	c.answers++
	s := packet.Segment{
		Src: netip.AddrPortFrom(p.Dst.Addr().WithZone(""), p.Dst.Port()), Dst: p.Src,
		Flags: flags, Seq: c.answers, Ack: p.NextSeq(),
	}
	if val, _, ok := p.Options.Timestamps(); ok {
		s.Options, _ = s.Options.WithTimestamps(1, val)
	}
	if b, err := packet.AppendTCP(nil, &s); err == nil {
		c.arrive(b, c.clock.time(at))
	}
}

func (c *Unprivileged) arrive(b []byte, at time.Time) {
	c.arrived = append(c.arrived, arrival{b, at})
}

// extendedError is an ICMP error in the error queue.
type extendedError struct {
	kind, code uint8
	info, data uint32
	from       netip.Addr
	ttl, tos   uint8
	stamp      int64 // ns since 1970; 0: none
}

// parseError reads the control messages of an entry in the error queue. ok is false where it is no ICMP error.
func parseError(oob []byte) (e extendedError, ok bool) {
	messages(oob, func(level, kind int32, data []byte) {
		switch {
		case level == unix.SOL_SOCKET && kind == unix.SCM_TIMESTAMPNS:
			e.stamp = timespec(data)
		case level == unix.SOL_IP && kind == unix.IP_TTL, level == unix.SOL_IPV6 && kind == unix.IPV6_HOPLIMIT:
			e.ttl = small(data)
		case level == unix.SOL_IP && kind == unix.IP_TOS, level == unix.SOL_IPV6 && kind == unix.IPV6_TCLASS:
			e.tos = small(data)
		case level == unix.SOL_IP && kind == unix.IP_RECVERR, level == unix.SOL_IPV6 && kind == unix.IPV6_RECVERR:
			ok = e.extended(data)
		}
	})
	return e, ok
}

// small is an int, or a byte, that is a byte.
func small(b []byte) uint8 {
	switch len(b) {
	case 0:
		return 0
	case 1, 2, 3:
		return b[0]
	}
	return uint8(binary.NativeEndian.Uint32(b))
}

// extended reads a struct sock_extended_err and the address of the sender behind it.
func (e *extendedError) extended(b []byte) bool {
	if len(b) < sizeofExtendedErr {
		return false
	}
	from := b[sizeofExtendedErr:]
	switch {
	case b[4] == unix.SO_EE_ORIGIN_ICMP && len(from) >= 8:
		e.from = netip.AddrFrom4([4]byte(from[4:8]))
	case b[4] == unix.SO_EE_ORIGIN_ICMP6 && len(from) >= 24:
		e.from = netip.AddrFrom16([16]byte(from[8:24]))
	default:
		return false
	}
	e.kind, e.code = b[5], b[6]
	e.info, e.data = binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
	return true
}
