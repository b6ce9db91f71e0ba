package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"tcptraceroute/packet"
)

// Conn is the way to the network: raw sockets to send by, a packet socket that sees what comes in as tcpdump sees it (on
// any link, before the host's own firewall), and the reserved ports. One Conn serves any number of traces, of both
// families. Send and Recv may be called side by side; everything else before.
type Conn struct {
	send4, send6 int
	recv         *os.File
	in           incoming
	route        *router
	clock        *clock
	mu           sync.Mutex // of the clock, which both directions look at

	ports    []uint16
	reserved []int // bound sockets that keep the ports ours

	out       []byte
	lastDst   netip.Addr
	lastTo    unix.Sockaddr
	sent4     uint32 // packets sent by each family's socket: the kernel counts along (SOF_TIMESTAMPING_OPT_ID), see stamps
	sent6     uint32
	unstamped []unstamped
	lost      int // see LostHere
}

// unstamped is a probe whose stamp was not there when Send returned: it waits in a queue, or for a neighbour to resolve.
type unstamped struct {
	key    packet.Key
	fd     int
	id     uint32 // the kernel's number of it
	called instant
	stamp  int64 // 0: still none
}

const (
	receiveBuffer = 4 << 20 // for a flood of packets that the filter can't tell from answers
	sendBuffer    = 1 << 20 // for probes that wait for a neighbour; the kernel gives less (net.core.wmem_max)

	// How many probes without a stamp are remembered. A device that makes none at all fills it, at little cost.
	maxUnstamped = 256
)

// Open opens the sockets. This, and nothing after it, needs CAP_NET_RAW (and CAP_NET_ADMIN for a mark, where the kernel
// is older than 5.17). A capability that is only permitted is made effective, in all threads, until [Drop]. Nothing is
// received before a port is reserved. The error has ErrPrivilege in its chain where that is the reason.
func Open(o Options) (*Conn, error) {
	c := &Conn{send4: -1, send6: -1, clock: newClock()}
	raised := raise()
	err := c.open(o)
	if err != nil && raised != nil {
		err = fmt.Errorf("%w (%w)", err, raised)
	}
	if err != nil {
		c.Close()
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("%w (%w)", ErrPrivilege, err)
		}
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(o Options) (err error) {
	if c.send4, err = openSender(unix.AF_INET, o); err != nil {
		return err
	}
	// A host may have no IPv6 at all; who asks for it then is told when it sends.
	if c.send6, err = openSender(unix.AF_INET6, o); errors.Is(err, unix.EAFNOSUPPORT) {
		err = nil
	}
	if err != nil {
		return err
	}
	if err := c.openReceiver(); err != nil {
		return err
	}
	if c.route, err = newRouter(o); err != nil {
		return err
	}
	if o.Port != 0 {
		return c.reserveAny(o.Port)
	}
	return nil
}

// openSender opens a raw socket that takes whole packets: raw(7), IPPROTO_RAW implies that the header is included.
func openSender(family int, o Options) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return -1, opError("raw socket", nil, err)
	}
	// Without IP_RECVERR a full queue swallows packets and the send "succeeds" (ip(7)).
	level, recverr := unix.SOL_IP, unix.IP_RECVERR
	if family == unix.AF_INET6 {
		level, recverr = unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	set := func(level, name, value int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, name, value)
		}
	}
	set(level, recverr, 1)
	set(unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	set(unix.SOL_SOCKET, unix.SO_TIMESTAMPING, unix.SOF_TIMESTAMPING_SOFTWARE|unix.SOF_TIMESTAMPING_TX_SOFTWARE|
		unix.SOF_TIMESTAMPING_OPT_ID|unix.SOF_TIMESTAMPING_OPT_TSONLY)
	if err != nil {
		unix.Close(fd)
		return -1, opError("raw socket", nil, err)
	}
	if o.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(o.Mark)); err != nil {
			unix.Close(fd)
			return -1, opError("mark", o.Mark, err)
		}
	}
	if o.Interface != "" {
		if err := unix.BindToDevice(fd, o.Interface); err != nil {
			unix.Close(fd)
			return -1, opError("interface", o.Interface, err)
		}
	}
	return fd, nil
}

// openReceiver opens a packet socket in cooked mode, which is without link headers on every kind of link (packet(7)). With
// protocol 0 it receives nothing until it is bound.
func (c *Conn) openReceiver() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return opError("packet socket", nil, err)
	}
	err = errors.Join(
		receiveSpace(fd),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
	)
	if err != nil {
		unix.Close(fd)
		return opError("packet socket", nil, err)
	}
	// Go's poller takes two descriptors of its own here, and ends the program where there are none.
	if err := spare(fd, 2); err != nil {
		unix.Close(fd)
		return opError("packet socket", nil, err)
	}
	c.recv = os.NewFile(uintptr(fd), "packet socket")
	return nil
}

// receiveSpace asks for receiveBuffer. Root gets it, others net.core.rmem_max (socket(7)).
func receiveSpace(fd int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
}

// spare is an error where n more descriptors can't be had; fd is any one.
func spare(fd, n int) error {
	if n == 0 {
		return nil
	}
	next, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(next)
	return spare(fd, n-1)
}

// Reserve takes a source port for probes from src, and keeps it from all other programs until Close; port 0 lets the
// kernel choose. What comes in for it is received from now on. The error has syscall.EADDRINUSE in its chain where
// somebody else has the port, EADDRNOTAVAIL where src is not an address of this host.
func (c *Conn) Reserve(src netip.AddrPort) (uint16, error) {
	for _, p := range c.ports {
		if src.Port() != 0 && p == src.Port() {
			return p, nil // by Open
		}
	}
	fd, port, err := bind(src, false)
	if err != nil {
		return 0, opError("port of", src.Addr(), err)
	}
	c.reserved = append(c.reserved, fd)
	return port, c.Use(port)
}

// reserveAny reserves a port on every address of the host, while that is still allowed.
func (c *Conn) reserveAny(port uint16) error {
	fds, err := bindAny(port, false)
	if c.reserved = append(c.reserved, fds...); err != nil {
		return err
	}
	return c.Use(port)
}

// bindAny reserves a port on every address of the host.
func bindAny(port uint16, shared bool) (fds []int, err error) {
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		fd, _, err := bind(netip.AddrPortFrom(any, port), shared)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			return fds, opError("port", port, err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// bind reserves a port as the kernel's own connections do: a bound socket without SO_REUSEADDR excludes every other use
// of the address and port, and as it doesn't listen the kernel still resets what the target opens, which spares the
// target a half-open connection. A shared one lets in other sockets of the same user that are shared too (SO_REUSEPORT in
// socket(7)), which nobody's are by chance.
func bind(a netip.AddrPort, shared bool) (fd int, port uint16, err error) {
	family := unix.AF_INET
	if a.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, 0, err
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil && shared {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		var sa unix.Sockaddr
		if sa, err = sockaddr(a.Addr(), a.Port()); err == nil {
			err = unix.Bind(fd, sa)
		}
	}
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		port = uint16(name.Port)
	case *unix.SockaddrInet6:
		port = uint16(name.Port)
	}
	return fd, port, nil
}

// Use receives answers to a source port without reserving it, for a user who wants a port that is in use.
func (c *Conn) Use(port uint16) error {
	first := len(c.ports) == 0
	c.ports = append(c.ports, port)
	code, err := filter(c.ports)
	if err != nil {
		return opError("filter for port", port, err)
	}
	return c.control("filter for port", port, func(fd int) error {
		if err := attach(fd, code); err != nil || !first {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: hton(unix.ETH_P_ALL)})
	})
}

func attach(fd int, code []bpf.RawInstruction) error {
	filters := make([]unix.SockFilter, len(code))
	for i, in := range code {
		filters[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]})
}

func hton(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// control does something with the receiving socket.
func (c *Conn) control(op string, what any, f func(fd int) error) error {
	raw, err := c.recv.SyscallConn()
	if err != nil {
		return opError(op, what, err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return opError(op, what, errors.Join(err, inner))
}

// Send puts a probe on the wire. sent is the kernel's time of the packet's leaving; where there is none yet, the time just
// before it was handed over, and Restamp may know better later. An error is a local one: EPERM from the host's firewall, ENOBUFS from a full queue,
// EMSGSIZE, ENETUNREACH and their like; the probe did not leave.
func (c *Conn) Send(p packet.Probe) (sent time.Time, err error) {
	if c.out, err = p.AppendBinary(c.out[:0]); err != nil {
		return time.Time{}, fmt.Errorf("probe: %w", err)
	}
	fd, count := c.send4, &c.sent4
	if p.Dst.Addr().Is6() {
		fd, count = c.send6, &c.sent6
	}
	to, err := c.address(p.Dst.Addr())
	if err != nil {
		return time.Time{}, err
	}
	before := c.look()
	if err := sendTo(fd, c.out, to); err != nil {
		return time.Time{}, opError("sending", nil, err)
	}
	u := unstamped{key: p.Key(), fd: fd, id: *count, called: before}
	*count++
	c.stamps(fd, &u)
	if u.stamp == 0 {
		if len(c.unstamped) == maxUnstamped {
			c.unstamped = slices.Delete(c.unstamped, 0, maxUnstamped/2)
		}
		c.unstamped = append(c.unstamped, u)
	}
	return c.clock.sent(before, c.look(), u.stamp), nil
}

// Restamp tells when a probe left, where Send could not tell yet. It must not be called beside Send.
func (c *Conn) Restamp(k packet.Key) (sent time.Time, ok bool) {
	i := slices.IndexFunc(c.unstamped, func(u unstamped) bool { return u.key == k })
	if i < 0 {
		return time.Time{}, false
	}
	c.stamps(c.unstamped[i].fd, nil)
	u := c.unstamped[i]
	if u.stamp == 0 {
		return time.Time{}, false
	}
	c.unstamped = slices.Delete(c.unstamped, i, i+1)
	return c.clock.sent(u.called, c.look(), u.stamp), true
}

// address is where the kernel is to send. The one of the last probe is kept, for a zone is looked up.
func (c *Conn) address(a netip.Addr) (unix.Sockaddr, error) {
	if c.lastTo != nil && a == c.lastDst {
		return c.lastTo, nil
	}
	to, err := sockaddr(a, 0) // IPv6: a port would be taken for a protocol (ipv6(7))
	if err == nil {
		c.lastDst, c.lastTo = a, to
	}
	return to, err
}

func (c *Conn) look() instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.look()
}

// stamps reads what the kernel has told so far of when packets left, from the socket's error queue: it is there as soon
// as the device has taken the packet. now is the one just sent, if one was. The kernel counts some of the sends that failed
// too, so it may be ahead of us, and then we follow.
func (c *Conn) stamps(fd int, now *unstamped) {
	var oob [256]byte
	for {
		_, n, err := receiveFrom(fd, nil, oob[:], unix.MSG_ERRQUEUE)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		at, id, ok := parseStamp(oob[:n])
		if !ok {
			continue
		}
		if i := slices.IndexFunc(c.unstamped, func(u unstamped) bool { return u.fd == fd && u.id == id }); i >= 0 {
			c.unstamped[i].stamp = at
		} else if now != nil && int32(id-now.id) >= 0 {
			now.stamp, now.id = at, id
			if fd == c.send6 {
				c.sent6 = id + 1
			} else {
				c.sent4 = id + 1
			}
			if len(c.unstamped) == 0 {
				return // nothing else is waited for
			}
		}
	}
}

// Recv implements the receiving half of a trace's connection. It may be called again after its ctx has ended.
func (c *Conn) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	in := &c.in
	in.taking.Store(false)
	if err := in.watch(ctx, c.recv); err != nil {
		return 0, time.Time{}, opError("receiving", nil, err)
	}
	for {
		if ctx.Err() != nil {
			return 0, time.Time{}, ctx.Err()
		}
		in.buf = buf
		err := in.raw.Read(in.read)
		in.buf = nil
		switch {
		case ctx.Err() != nil:
			return 0, time.Time{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			// The end of an earlier ctx, told late.
			if err := c.recv.SetReadDeadline(time.Time{}); err != nil {
				return 0, time.Time{}, opError("receiving", nil, err)
			}
			continue
		case err != nil:
			return 0, time.Time{}, opError("receiving", nil, err)
		case in.err == unix.ENETDOWN || in.err == unix.ENOBUFS:
			continue // an interface went down; it may come back, and there are others
		case in.err != nil:
			return 0, time.Time{}, opError("receiving", nil, in.err)
		}
		stamp, unfinished := parseReceived(in.oob[:in.oobn])
		if unfinished {
			packet.CompleteTCPChecksum(buf[:in.n])
		}
		c.mu.Lock()
		at := c.clock.received(c.clock.look(), stamp)
		c.mu.Unlock()
		return in.n, at, nil
	}
}

// incoming is what Recv keeps from call to call, since it is called for each packet with the same context.
type incoming struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool

	buf     []byte // what read fills
	oob     [256]byte
	n, oobn int
	err     error
	taking  atomic.Bool // a packet may be out of the socket, and not yet with him who called Recv

	watched bool
	done    <-chan struct{} // of the context whose end wakes the reader
	unwatch func() bool
}

// watch lets the end of ctx wake the reader of recv, by a deadline in the past.
func (in *incoming) watch(ctx context.Context, recv *os.File) (err error) {
	if in.raw == nil {
		if in.raw, err = recv.SyscallConn(); err != nil {
			return err
		}
		in.read = func(fd uintptr) bool {
			in.taking.Store(true)
			in.n, in.oobn, in.err = receiveFrom(int(fd), in.buf, in.oob[:], 0)
			if in.err == unix.EAGAIN || in.err == unix.EINTR {
				in.taking.Store(false)
				return false
			}
			return true
		}
	}
	if in.watched && in.done == ctx.Done() {
		return nil
	}
	if in.watched {
		in.unwatch()
	}
	if err := recv.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	in.watched, in.done = true, ctx.Done()
	in.unwatch = context.AfterFunc(ctx, func() { recv.SetReadDeadline(time.Unix(1, 0)) })
	return nil
}

// Backlog reports whether packets have come in that Recv has not returned yet, or has returned last: it may be on the way
// still to where it is read.
func (c *Conn) Backlog() bool {
	waiting := false
	c.control("polling", nil, func(fd int) error { // an error: there is nothing to be read
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		waiting = n > 0 && fds[0].Revents&unix.POLLIN != 0
		return err
	})
	return waiting || c.in.taking.Load() // in this order: a packet is taken for sure before it is missing in the socket
}

// LostHere is how many packets the kernel has thrown away since Open because the socket was full. It must not be called by
// two goroutines at once.
func (c *Conn) LostHere() int {
	c.control("counting", nil, func(fd int) error { // an error: none are known
		s, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS) // those since the last time
		if err == nil {
			c.lost += int(s.Drops)
		}
		return err
	})
	return c.lost
}

// Close frees the ports and closes the sockets.
func (c *Conn) Close() error {
	var errs []error
	for _, fd := range append(c.reserved, c.send4, c.send6) {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	if c.recv != nil {
		last := ring{-1, -1}
		errs = append(errs, c.control("closing", nil, func(fd int) error { last = newRing(fd); return nil }), c.recv.Close())
		last.close()
	}
	if c.route != nil {
		errs = append(errs, c.route.Close())
	}
	return opError("closing", nil, errors.Join(errs...))
}

// sockaddr is an address for the kernel.
func sockaddr(a netip.Addr, port uint16) (unix.Sockaddr, error) {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: int(port)}, nil
	}
	sa := &unix.SockaddrInet6{Addr: a.As16(), Port: int(port)}
	if zone := a.Zone(); zone != "" {
		index, err := interfaceIndex(zone)
		if err != nil {
			return nil, err
		}
		sa.ZoneId = uint32(index)
	}
	return sa, nil
}
