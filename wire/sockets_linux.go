package wire

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockets knows routes without netlink, as far as that goes: which source address the kernel takes tells a UDP socket
// that is connected, though nothing is sent; by which interface is told by which of them has that address. What needs
// a call that Drop forbids is asked for beforehand.
type sockets struct {
	interfaces map[netip.Addr]string // by address
	mtu        map[string]int
}

func newSockets() *sockets {
	s := &sockets{interfaces: make(map[netip.Addr]string), mtu: make(map[string]int)}
	s.addresses4()
	s.addresses6()
	for _, name := range s.interfaces {
		if _, known := s.mtu[name]; !known {
			s.mtu[name] = interfaceMTU(name)
		}
	}
	return s
}

// addresses4 reads the IPv4 addresses of all interfaces (SIOCGIFCONF in netdevice(7)).
func (s *sockets) addresses4() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const most = 1024
	entry := int(unsafe.Sizeof(unix.Ifreq{}))
	b := make([]byte, most*entry)
	conf := struct {
		length int32
		buf    *byte
	}{int32(len(b)), &b[0]}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFCONF,
		uintptr(unsafe.Pointer(&conf))); errno != 0 {
		return
	}
	for b = b[:min(int(conf.length), len(b))]; len(b) >= entry; b = b[entry:] {
		name := unix.ByteSliceToString(b[:unix.IFNAMSIZ])
		name, _, _ = strings.Cut(name, ":") // an alias
		s.interfaces[netip.AddrFrom4([4]byte(b[unix.IFNAMSIZ+4:]))] = name
	}
}

// addresses6 reads the IPv6 addresses of all interfaces.
func (s *sockets) addresses6() {
	text, err := os.ReadFile("/proc/net/if_inet6")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // address, index, prefix length, scope, flags, name
		if len(f) < 6 {
			continue
		}
		if b, err := hex.DecodeString(f[0]); err == nil && len(b) == 16 {
			s.interfaces[netip.AddrFrom16([16]byte(b))] = f[5]
		}
	}
}

// interfaceMTU is 0 where it can't be read.
func interfaceMTU(name string) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFMTU, req) != nil {
		return 0
	}
	return int(req.Uint32())
}

// route is that of [router.describe]. Interface is "" where no interface has the source address.
func (s *sockets) route(r *router, dst, src netip.AddrPort) (Route, error) {
	given := src.Addr().IsValid() && !src.Addr().IsUnspecified()
	from, err := connectedFrom(r, dst, src.Addr())
	if err != nil && given {
		from, err = connectedFrom(r, dst, netip.Addr{}) // the source is not an address of this host
	}
	switch {
	case err != nil:
		return Route{}, err
	case r.mark != 0 && !given:
		return Route{}, fmt.Errorf("which way a mark leads can't be asked: %w (give a source address)", r.without)
	}
	local := s.interfaces[dst.Addr().WithZone("")] != "" || dst.Addr().IsLoopback()
	out := Route{Source: from, Local: local}
	switch {
	case local:
		out.Interface = "lo"
	case r.iface != "":
		out.Interface = r.iface
	case dst.Addr().Zone() != "":
		out.Interface = dst.Addr().Zone()
	default:
		if given { // which may stand on any interface
			if from, err = connectedFrom(r, dst, netip.Addr{}); err != nil {
				from = out.Source
			}
		}
		if name := s.interfaces[from]; name != "lo" {
			out.Interface = name
		}
	}
	if given {
		out.Source = src.Addr().WithZone("")
	}
	out.MTU = s.mtu[out.Interface]
	out.MSS = (&hop{}).mss(max(out.MTU, 1280), dst.Addr().Is6())
	return out, nil
}

// connectedFrom is the source address that the kernel takes for a connection to dst, from src where that is valid.
func connectedFrom(r *router, dst netip.AddrPort, src netip.Addr) (netip.Addr, error) {
	family := unix.AF_INET
	if dst.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the source address isn't known: socket: %v", err)
	}
	defer unix.Close(fd)
	if family == unix.AF_INET {
		err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TOS, int(r.tos))
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_TCLASS, int(r.tos))
	}
	if err == nil && r.iface != "" {
		err = unix.BindToDevice(fd, r.iface)
	}
	if err == nil && src.IsValid() && !src.IsUnspecified() {
		var sa unix.Sockaddr
		if sa, err = sockaddr(src, 0); err == nil {
			err = unix.Bind(fd, sa)
		}
	}
	var to unix.Sockaddr
	var name syscall.Sockaddr
	if err == nil {
		to, err = sockaddr(dst.Addr(), max(dst.Port(), 1))
	}
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if err == nil {
		if name, err = syscall.Getsockname(fd); err != nil { // which says nothing of the route
			err = fmt.Errorf("the source address isn't known: getsockname: %v", err)
		}
	}
	if err != nil {
		return netip.Addr{}, err
	}
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrFrom4(name.Addr), nil
	case *syscall.SockaddrInet6:
		return netip.AddrFrom16(name.Addr), nil
	}
	return netip.Addr{}, unix.EAFNOSUPPORT
}
