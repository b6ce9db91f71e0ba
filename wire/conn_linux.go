package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// Conn is the way to the network: raw sockets to send by, a packet socket that sees what comes in as tcpdump sees it
// (on any link, before the host's own firewall), and the reserved ports. One Conn serves any number of traces, of
// both families. Send and Recv may be called side by side; everything else before.
type Conn struct {
	send4, send6 int
	ears         []*ear
	recv         *os.File // of the ears, see listen
	recvFD       int
	without      []error
	flows        flows
	in           incoming
	route        *router
	clock        *clock
	mu           sync.Mutex // of the clock, which both directions look at

	reserved []int // bound sockets that keep the ports ours

	aside      *ear // for Attempt; nil: there is none
	asideBound bool
	marked     []markedSocket // for Attempt
	chains     [][]byte       // of this host's firewall, as the kernel told of them

	out       []byte
	oob       [256]byte // of stamps
	last      *way      // of the last probe
	lastKey   wayKey
	ways      map[wayKey]*way
	noProto   bool   // the kernel doesn't take the protocol of a raw packet for its route
	sent4     uint32 // packets sent by each family's socket: the kernel counts along (SOF_TIMESTAMPING_OPT_ID), see stamps
	sent6     uint32
	unstamped []unstamped
	lost      int // see LostHere
}

// unstamped is a probe whose stamp was not there when Send returned: it waits in a queue, or for a neighbour to
// resolve.
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

	// How often in a row interfaces may go down, before it is taken for an error of the call.
	maxDown = 10000

	// How many probes without a stamp are remembered. A device that makes none at all fills it, at little cost.
	maxUnstamped = 256
)

// Open opens the sockets. This, and nothing after it, needs CAP_NET_RAW (and CAP_NET_ADMIN for a mark, where the kernel
// is older than 5.17). A capability that is only permitted is made effective, in all threads, until [Drop]. Nothing is
// received before a port is reserved. The error has ErrPrivilege in its chain where that is the reason.
func Open(o Options) (*Conn, error) {
	c := &Conn{send4: -1, send6: -1, clock: newClock(), ways: make(map[wayKey]*way), flows: flows{mark: o.Mark}}
	raised := raise()
	err := c.open(o)
	if err != nil && raised != nil {
		err = fmt.Errorf("%w (%w)", err, raised)
	}
	if err != nil {
		c.Close()
		if refused(err) {
			return nil, fmt.Errorf("%w (%w)", ErrPrivilege, err)
		}
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(o Options) (err error) {
	// A host, or a sandbox, may not have one of the families; who asks for it then is told when it sends.
	if c.send4, err = c.openSender(unix.AF_INET, o); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
		return err
	}
	var err6 error
	if c.send6, err6 = c.openSender(unix.AF_INET6, o); err6 != nil && (err != nil || !errors.Is(err6, unix.EAFNOSUPPORT)) {
		return err6
	}
	if err := c.openEars(o); err != nil {
		return noRaw{err}
	}
	if o.Attempts && c.ears[0].kind == packetEar {
		c.aside, _ = openPacketEar() // without it nothing is heard of connections
	}
	if o.Attempts && o.Mark != 0 {
		c.openMarked()
	}
	if o.Chains {
		c.chains = askChains()
	}
	if c.route, err = newRouter(o); err != nil {
		return err
	}
	if o.Port != 0 {
		return c.reserveAny(o.Port)
	}
	return nil
}

// Without is what the kernel has refused, and this Conn does without, one of each kind:
//
//   - ErrNoPacketSocket: what the host's own firewall drops isn't heard, nor known how probes leave;
//   - ErrNoNetlink: routes aren't known but for their source address;
//   - ErrNoFilter: all packets that come in are read, and most of them thrown away;
//   - ErrNoStamps: times are those of this program's calls, so they include how long this host was busy;
//   - ErrNotReserved: another program of this host may take the source port meanwhile.
func (c *Conn) Without() []error {
	if c.route.online() {
		return c.without
	}
	return append(slices.Clone(c.without), c.route.without)
}

// lack remembers what this Conn does without, if that isn't known yet. The first error in a chain says what it is.
func (c *Conn) lack(err error) {
	for _, kind := range []error{ErrNoPacketSocket, ErrNoFilter, ErrNoStamps, ErrNotReserved} {
		known := slices.ContainsFunc(c.without, func(e error) bool { return errors.Is(e, kind) })
		if errors.Is(err, kind) && !known {
			c.without = append(c.without, err)
		}
	}
}

// without is err as one of a kind that no trace ends by; nil: err is nil.
func without(kind, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", kind, bare(err))
}

// bare takes the operation off a system's error.
func bare(err error) error {
	if e := unix.Errno(0); errors.As(err, &e) {
		return e
	}
	return err
}

// openSender opens a raw socket that takes whole packets: raw(7), IPPROTO_RAW implies that the header is included.
func (c *Conn) openSender(family int, o Options) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return -1, noRaw{opError("raw socket", nil, err)}
	}
	// Probes leave without any of these options too, so no error of theirs matters.
	// Without IP_RECVERR a full queue swallows packets and the send "succeeds" (ip(7)).
	level, recverr, discover, probing := unix.SOL_IP, unix.IP_RECVERR, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE
	if family == unix.AF_INET6 {
		level, recverr, discover, probing = unix.SOL_IPV6, unix.IPV6_RECVERR, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE
	}
	set := func(level, name, value int) error { return unix.SetsockoptInt(fd, level, name, value) }
	set(level, recverr, 1)
	// a probe that is larger than what the kernel has learned of the path leaves all the same
	set(level, discover, probing)
	if family == unix.AF_INET6 {
		set(level, unix.IPV6_FREEBIND, 1) // or routes of a source that isn't ours couldn't be asked for, see way
	}
	set(unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	c.lack(without(ErrNoStamps, set(unix.SOL_SOCKET, unix.SO_TIMESTAMPING, unix.SOF_TIMESTAMPING_SOFTWARE|
		unix.SOF_TIMESTAMPING_TX_SOFTWARE|unix.SOF_TIMESTAMPING_OPT_ID|unix.SOF_TIMESTAMPING_OPT_TSONLY)))
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

// sender is the socket for probes to a destination; -1: this host lacks the family.
func (c *Conn) sender(dst netip.Addr) int {
	if dst.Is6() {
		return c.send6
	}
	return c.send4
}

// noRaw is the error of a raw socket that can't be had.
type noRaw struct{ error }

func (e noRaw) Unwrap() error { return e.error }

func (noRaw) Is(err error) bool { return err == ErrNoRawSocket }

// openEars opens what answers are heard by. If there is no packet socket to be had, raw sockets have to do.
func (c *Conn) openEars(o Options) error {
	e, err := openPacketEar()
	if err == nil {
		err = e.bind()
	}
	if err == nil {
		c.ears = []*ear{e}
		// What opens a connection can't be followed, so it is heard behind the host's NAT.
		if o.Sessions && e.unfiltered == nil {
			more, _ := rawEars(rawTCP...) // or it isn't heard there
			for _, e := range more {
				e.openings = true
			}
			c.ears = append(c.ears, more...)
		}
	} else {
		c.lack(without(ErrNoPacketSocket, err))
		if c.ears, err = rawEars(append(rawTCP, rawICMP...)...); err != nil {
			return err
		}
	}
	for _, e := range c.ears {
		c.lack(e.unfiltered)
		c.lack(e.unstamped)
	}
	c.recv, c.recvFD, err = listen(c.ears)
	return err
}

// receiveSpace asks for receiveBuffer. Root gets it, others net.core.rmem_max (socket(7)).
func receiveSpace(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
}

// Spare is an error where n more descriptors can't be had.
func (c *Conn) Spare(n int) error { return spare(c.recvFD, n) }

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
// kernel choose. What comes in for it is received from the first Send on. The error has syscall.EADDRINUSE in its
// chain where somebody else has the port, EADDRNOTAVAIL where src is not an address of this host.
func (c *Conn) Reserve(src netip.AddrPort) (uint16, error) {
	for _, p := range c.flows.ports {
		if src.Port() != 0 && p == src.Port() {
			return p, nil // by Open
		}
	}
	fd, port, err := bind(src, false)
	switch {
	case err == nil:
		c.reserved = append(c.reserved, fd)
	case src.Port() != 0 || errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL):
		return 0, opError("port of", src.Addr(), err)
	default:
		c.lack(without(ErrNotReserved, err))
		port = c.unreserved()
	}
	return port, c.Use(port)
}

// unreserved is a port that is not used yet by this Conn, and that the kernel doesn't choose for other programs
// (ip_local_port_range in ip(7)).
func (c *Conn) unreserved() uint16 {
	const first, number = 61000, 1<<16 - 61000
	start := rand.IntN(number)
	for i := range number {
		port := uint16(first + (start+i)%number)
		if !slices.Contains(c.flows.ports, port) {
			return port
		}
	}
	return uint16(first + start) // all of them are
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

// bind reserves a port as the kernel's own connections do: a bound socket without SO_REUSEADDR excludes every other
// use of the address and port, and as it doesn't listen the kernel still resets what the target opens, which spares
// the target a half-open connection. A shared one lets in other sockets of the same user that are shared too
// (SO_REUSEPORT in socket(7)), which nobody's are by chance.
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
	var name syscall.Sockaddr
	if err == nil {
		name, err = syscall.Getsockname(fd) // that of package unix makes another call, which may be refused
	}
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		port = uint16(name.Port)
	case *syscall.SockaddrInet6:
		port = uint16(name.Port)
	}
	return fd, port, nil
}

// Use receives answers to a source port, from the first Send on, without reserving it, for a user who wants a port
// that is in use.
func (c *Conn) Use(port uint16) error {
	c.flows.mu.Lock()
	defer c.flows.mu.Unlock()
	c.flows.ports = append(c.flows.ports, port)
	c.flows.changed = true
	return nil
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

// Send puts a probe on the wire. sent is the kernel's time of the packet's leaving; where there is none yet, the time
// just before it was handed over, and Restamp may know better later. An error is a local one: EPERM from the host's
// firewall, ENOBUFS from a full queue, EMSGSIZE, ENETUNREACH and their like; the probe did not leave.
func (c *Conn) Send(p packet.Probe) (sent time.Time, err error) {
	if c.out, err = p.AppendBinary(c.out[:0]); err != nil {
		return time.Time{}, fmt.Errorf("probe: %w", err)
	}
	fd, count := c.sender(p.Dst.Addr()), &c.sent4
	if p.Dst.Addr().Is6() {
		count = &c.sent6
	}
	if fd < 0 {
		return time.Time{}, opError("sending", nil, unix.EAFNOSUPPORT)
	}
	w, err := c.way(&p)
	if err != nil {
		return time.Time{}, err
	}
	c.flows.follow(&p, w.index, w.iface)
	if err := c.listen(); err != nil {
		return time.Time{}, err
	}
	before := c.look()
	err = sendTo(fd, c.out, w.to, w.control)
	if err == unix.EINVAL && !c.noProto { // before Linux 6.4
		c.noProto, c.last, c.ways = true, nil, make(map[wayKey]*way)
		if w, err = c.way(&p); err == nil {
			err = sendTo(fd, c.out, w.to, w.control)
		}
		c.noProto = err == nil
	}
	if err != nil {
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

func (c *Conn) look() instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.look()
}

// stamps reads what the kernel has told so far of when packets left, from the socket's error queue: it is there as
// soon as the device has taken the packet. now is the one just sent, if one was. The kernel counts some of the sends
// that failed too, so it may be ahead of us, and then we follow.
func (c *Conn) stamps(fd int, now *unstamped) {
	for {
		_, n, err := receiveFrom(fd, nil, c.oob[:], nil, unix.MSG_ERRQUEUE)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		at, id, ok := parseStamp(c.oob[:n])
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
	if err := in.watch(ctx, c.recv, c.ears); err != nil {
		return 0, time.Time{}, opError("receiving", nil, err)
	}
	for tries := 0; ; tries++ {
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
		case (in.err == unix.ENETDOWN || in.err == unix.ENOBUFS) && tries < maxDown:
			continue // an interface went down; it may come back, and there are others
		case in.err != nil:
			return 0, time.Time{}, opError("recvmsg", nil, in.err)
		}
		if at, ok := c.finish(buf[:in.n], in.heard); ok {
			return in.n, at, nil
		}
	}
}

// TryRecv is Recv that doesn't wait: n is 0 where nothing has come in, or Recv has taken something and not returned it
// yet. It may be called beside Recv.
func (c *Conn) TryRecv(buf []byte) (int, time.Time, error) {
	for {
		h, err := c.in.take(c.ears, buf)
		switch {
		case err == unix.EINTR:
		case err != nil: // if it is an error, Recv meets it too
			return 0, time.Time{}, nil
		default:
			if at, ok := c.finish(buf[:h.n], h); ok {
				return h.n, at, nil
			}
		}
	}
}

// finish makes a packet what a trace expects. ok is false where it was only a copy of one that leaves.
func (c *Conn) finish(b []byte, h heard) (at time.Time, ok bool) {
	if h.outgoing {
		c.departed(b, h)
		return time.Time{}, false
	}
	if h.unfinished {
		packet.CompleteTCPChecksum(b)
	}
	if !h.behind {
		c.flows.undo(b)
	}
	if h.loopback {
		c.flows.own(b, h.index)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.received(c.clock.look(), h.stamp), true
}

// incoming is what Recv keeps from call to call, since it is called for each packet with the same context.
type incoming struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool

	buf []byte // what read fills
	oob [256]byte
	heard
	err    error
	order  sync.Mutex  // so that packets are returned in the order in which they came in
	taking atomic.Bool // Recv may have a packet that is out of the socket, and not yet with him who called it

	watched bool
	done    <-chan struct{} // of the context whose end wakes the reader
	unwatch func() bool
}

// take takes one packet, if there is one, unless Recv has one that came in before.
func (in *incoming) take(ears []*ear, buf []byte) (h heard, err error) {
	in.order.Lock()
	defer in.order.Unlock()
	if in.taking.Load() {
		return heard{}, unix.EAGAIN
	}
	var oob [256]byte
	return takeFirst(ears, buf, oob[:])
}

// takeFirst takes a packet from the first socket that has one.
func takeFirst(ears []*ear, buf, oob []byte) (h heard, err error) {
	for _, e := range ears {
		if h, err = e.read(buf, oob); err != unix.EAGAIN {
			break
		}
	}
	return h, err
}

// watch lets the end of ctx wake the reader of recv, by a deadline in the past.
func (in *incoming) watch(ctx context.Context, recv *os.File, ears []*ear) (err error) {
	if in.raw == nil {
		if in.raw, err = recv.SyscallConn(); err != nil {
			return err
		}
		in.read = func(uintptr) bool {
			in.order.Lock()
			defer in.order.Unlock()
			in.taking.Store(true)
			in.heard, in.err = takeFirst(ears, in.buf, in.oob[:])
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

// Backlog reports whether packets have come in that Recv has not returned yet, or has returned last: it may be on the
// way still to where it is read.
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

// LostHere is how many packets the kernel has thrown away since Open because a socket was full. It must not be called
// by two goroutines at once.
func (c *Conn) LostHere() int {
	sum := 0
	for _, e := range c.ears {
		if e.kind != packetEar {
			sum += e.dropped()
			// those since the last time
		} else if s, err := unix.GetsockoptTpacketStats(e.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			c.lost += int(s.Drops)
		}
	}
	return sum + c.lost
}

// Close frees the ports and closes the sockets.
func (c *Conn) Close() error {
	var errs []error
	for _, fd := range append(c.reserved, c.send4, c.send6) {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	for _, s := range c.marked {
		errs = append(errs, unix.Close(s.fd))
	}
	var rings []ring
	if c.aside != nil {
		rings = append(rings, newRing(c.aside.fd))
		errs = append(errs, unix.Close(c.aside.fd))
	}
	for _, e := range c.ears {
		if e.kind == packetEar {
			rings = append(rings, newRing(e.fd))
		}
		if c.recv == nil || e.fd != c.recvFD { // the file closes its own
			errs = append(errs, unix.Close(e.fd))
		}
	}
	if c.recv != nil {
		errs = append(errs, c.recv.Close())
	}
	for _, r := range rings {
		r.close()
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
