package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// An ear is a socket that answers are read from.
//
// The packet socket hears what tcpdump sees, before the host's own firewall and address translation, and the copies
// of what leaves. Where the kernel refuses it, raw sockets hear what the firewall lets through, translated back
// already.
type ear struct {
	fd       int
	kind     earKind
	protocol int  // of a raw one
	openings bool // it hears only while flows.opening, see Session

	unfiltered, unstamped error // why it hears everything, and why it knows no times; nil: it doesn't, and does
}

type earKind uint8

const (
	packetEar earKind = iota
	raw4Ear           // packets begin with the IPv4 header
	raw6Ear           // the kernel has taken the IPv6 header off: raw(7), ipv6(7)
)

// heard is a packet that an ear has heard.
type heard struct {
	n          int
	stamp      int64 // ns since 1970; 0: none
	unfinished bool  // see parseReceived
	behind     bool  // the host's firewall and address translation
	outgoing   bool  // a copy of a packet that leaves
	loopback   bool  // it came in, or leaves, by a loopback interface
	index      int   // of the interface, where loopback and outgoing are known too: on a packet socket
	mark       uint32
}

// refused reports whether the kernel, or a sandbox, doesn't let this program have a kind of socket. A lesser kind may
// do.
func refused(err error) bool {
	for _, e := range []unix.Errno{
		unix.EPERM, unix.EACCES, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT, unix.ENOSYS, unix.EOPNOTSUPP,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// openPacketEar opens a packet socket in cooked mode, which is without link headers on every kind of link
// (packet(7)). With protocol 0 it receives nothing until it is bound.
func openPacketEar() (*ear, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, opError("packet socket", nil, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		unix.Close(fd)
		return nil, opError("packet socket", nil, err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVMARK, 1) // since Linux 5.19; without it marks aren't known
	e := &ear{fd: fd, kind: packetEar}
	e.prepare()
	return e, nil
}

// bind lets a packet ear hear what its filter lets through: nothing yet.
func (e *ear) bind() error {
	err := unix.Bind(e.fd, &unix.SockaddrLinklayer{Protocol: hton(unix.ETH_P_ALL)})
	if err != nil {
		unix.Close(e.fd)
	}
	return opError("packet socket", nil, err)
}

// prepare sets what an ear can do without.
func (e *ear) prepare() {
	receiveSpace(e.fd)
	e.unfiltered = without(ErrNoFilter, e.deafen())
	e.unstamped = without(ErrNoStamps, unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
}

// deafen gives an ear a filter that lets nothing through.
func (e *ear) deafen() error {
	deaf, err := filter(nil)
	if err != nil {
		return err
	}
	return attach(e.fd, deaf)
}

// rawEars opens raw sockets for both families, as far as there are such families. An error is that of the last one.
func rawEars(protocols ...rawProtocol) (ears []*ear, err error) {
	for _, p := range protocols {
		e, oerr := openRawEar(p)
		if oerr != nil {
			err = oerr
			continue
		}
		ears = append(ears, e)
	}
	if len(ears) > 0 {
		err = nil
	}
	return ears, err
}

// rawProtocol is what a raw ear hears.
type rawProtocol struct{ family, protocol int }

var (
	rawTCP  = []rawProtocol{{unix.AF_INET, unix.IPPROTO_TCP}, {unix.AF_INET6, unix.IPPROTO_TCP}}
	rawICMP = []rawProtocol{{unix.AF_INET, unix.IPPROTO_ICMP}, {unix.AF_INET6, unix.IPPROTO_ICMPV6}}
)

// openRawEar opens one that hears nothing until it has another filter.
func openRawEar(p rawProtocol) (*ear, error) {
	fd, err := unix.Socket(p.family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, p.protocol)
	if err != nil {
		return nil, opError("raw socket", nil, err)
	}
	e := &ear{fd: fd, kind: raw4Ear, protocol: p.protocol}
	e.prepare()
	if p.family == unix.AF_INET6 {
		e.kind = raw6Ear
		for _, name := range []int{unix.IPV6_RECVPKTINFO, unix.IPV6_RECVHOPLIMIT, unix.IPV6_RECVTCLASS, ipv6FlowInfo} {
			err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_IPV6, name, 1))
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, opError("raw socket", nil, err)
	}
	e.drain() // of what came in before there was a filter
	return e, nil
}

// drain throws away what is waiting.
func (e *ear) drain() {
	var b [1]byte
	for {
		if _, _, err := receiveFrom(e.fd, b[:], nil, nil, unix.MSG_TRUNC); err != nil && err != unix.EINTR {
			return
		}
	}
}

// attach lets the ear hear answers to the flows.
func (e *ear) attach(f *flows) error {
	switch {
	case e.unfiltered != nil:
		return nil
	case e.openings && !f.opening:
		err := e.deafen()
		e.drain()
		return err
	}
	w := f.wanted()
	err := e.attachFilter(w)
	if errors.Is(err, unix.ENOMEM) { // the old one and the new one have no room beside each other (net.core.optmem_max)
		err = e.attachFilter(&wanted{ports: w.ports})
	}
	return err
}

func (e *ear) attachFilter(w *wanted) (err error) {
	var code []bpf.RawInstruction
	if e.kind == raw6Ear {
		code, err = transportFilter(w, e.protocol)
	} else {
		code, err = filter(w)
	}
	if err != nil {
		return err
	}
	return attach(e.fd, code)
}

// read takes one packet, if there is one; buf then holds it from its IP header on.
func (e *ear) read(buf, oob []byte) (h heard, err error) {
	if e.kind == raw6Ear {
		return e.read6(buf, oob)
	}
	var name [sizeofName]byte
	n, oobn, err := receiveFrom(e.fd, buf, oob, &name, 0)
	if err != nil {
		return heard{}, err
	}
	h = parseReceived(oob[:oobn])
	h.n = n
	switch e.kind {
	case raw4Ear:
		h.behind, h.unfinished = true, unfinishedTCP(buf[:n])
	default:
		h.outgoing = name[sllPacketType] == unix.PACKET_OUTGOING
		h.index = int(binary.NativeEndian.Uint32(name[sllIndex:]))
		h.loopback = binary.NativeEndian.Uint16(name[sllHardware:]) == unix.ARPHRD_LOOPBACK
	}
	return h, nil
}

// Offsets in struct sockaddr_ll and struct sockaddr_in6 (linux/if_packet.h, linux/in6.h).
const (
	sizeofName    = 28
	sllIndex      = 4
	sllHardware   = 8
	sllPacketType = 10
	sin6Address   = 8
)

// read6 puts the IPv6 header together again. Extension headers are gone.
func (e *ear) read6(buf, oob []byte) (h heard, err error) {
	var name [sizeofName]byte
	n, oobn, err := receiveFrom(e.fd, buf[header6Length:], oob, &name, 0)
	if err != nil {
		return heard{}, err
	}
	h = parseReceived(oob[:oobn])
	h.n, h.behind = header6Length+n, true
	b := buf[:h.n]
	ip := parseHeader6(oob[:oobn])
	binary.BigEndian.PutUint32(b, 6<<28|uint32(ip.class)<<20|ip.label)
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = byte(e.protocol), ip.hops
	copy(b[8:24], name[sin6Address:])
	copy(b[24:40], ip.dst[:])
	h.unfinished = unfinishedTCP(b)
	return h, nil
}

// unfinishedTCP reports whether the checksum of a TCP segment is what a host leaves there for a device to complete:
// the sum of the pseudo-header. A raw socket isn't told of that.
func unfinishedTCP(b []byte) bool {
	var from, to netip.Addr
	var segment []byte
	switch {
	case len(b) >= 40 && b[0]>>4 == 4 && b[9] == unix.IPPROTO_TCP:
		from, to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		if n := int(b[0]&0xf) * 4; len(b) >= n+20 {
			segment = b[n:]
		}
	case len(b) >= header6Length+20 && b[0]>>4 == 6 && b[6] == unix.IPPROTO_TCP:
		from, to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		segment = b[header6Length:]
	}
	if segment == nil {
		return false
	}
	sum := uint32(unix.IPPROTO_TCP) + uint32(len(segment))
	for _, a := range []netip.Addr{from, to} {
		for s := a.AsSlice(); len(s) > 0; s = s[2:] {
			sum += uint32(binary.BigEndian.Uint16(s))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum) == binary.BigEndian.Uint16(segment[16:])
}

// listen makes one file of the ears, for Go's poller: of one ear itself, else an epoll(7) descriptor that is ready
// when any is.
func listen(ears []*ear) (f *os.File, fd int, err error) {
	fd, name := ears[0].fd, "packet socket"
	alone := len(ears) == 1 && ears[0].kind == packetEar
	if !alone {
		if fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return nil, -1, opError("epoll", nil, err)
		}
		name = "sockets"
		err = unix.SetNonblock(fd, true)
		for _, e := range ears {
			err = errors.Join(err, unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, e.fd,
				&unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(e.fd)}))
		}
	}
	// Go's poller takes two descriptors of its own here, and ends the program where there are none.
	if err = errors.Join(err, spare(fd, 2)); err != nil {
		if !alone {
			unix.Close(fd)
		}
		return nil, -1, opError(name, nil, err)
	}
	return os.NewFile(uintptr(fd), name), fd, nil
}

// dropped is how many packets the kernel has thrown away because the socket was full (SO_MEMINFO in socket(7)).
func (e *ear) dropped() int {
	var info [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h; the last are the drops
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(e.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)),
		uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return int(info[len(info)-1])
}
