package lab

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TUN gives the host a point-to-point interface whose other end is the file: each Read is one IP packet that the host
// sends by it, each Write one that it receives. It is up, and has no address: see [Host.Add] for that and for routes.
// It vanishes when t ends or the file is closed. The file obeys deadlines.
func (h *Host) TUN(t testing.TB, name string) *os.File {
	t.Helper()
	NeedTUN(t)
	var f *os.File
	err := within(h.ns, func() error {
		var err error
		f, err = openTUN(name)
		return err
	})
	if err != nil {
		t.Fatalf("lab: %s: TUN %s: %v", h.Name, name, err)
	}
	t.Cleanup(func() { f.Close() })
	dev, err := h.nl.LinkByName(name)
	if err == nil {
		err = h.nl.LinkSetUp(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: dev.Attrs().Index}})
	}
	if err != nil {
		t.Fatalf("lab: %s: TUN %s: %v", h.Name, name, err)
	}
	return f
}

// Uplink gives the host a TUN device as TUN does, with these addresses, by which all that it sends leaves: to a
// simulated network, say. Its queue holds ten thousand packets. The interface, which is none of a link, is there to
// capture on.
func (h *Host) Uplink(t testing.TB, name string, addrs ...netip.Addr) (*os.File, *Interface) {
	t.Helper()
	f := h.TUN(t, name)
	i, err := h.uplink(name, addrs)
	if err != nil {
		t.Fatalf("lab: %s: TUN %s: %v", h.Name, name, err)
	}
	return f, i
}

func (h *Host) uplink(name string, addrs []netip.Addr) (*Interface, error) {
	dev, err := h.nl.LinkByName(name)
	if err != nil {
		return nil, err
	}
	index := dev.Attrs().Index
	if err := h.nl.LinkSetTxQLen(dev, 10000); err != nil {
		return nil, err
	}
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: unix.IFA_F_NODAD}
		if err := h.nl.AddrReplace(dev, addr); err != nil {
			return nil, fmt.Errorf("address %s: %w", a, err)
		}
	}
	for _, to := range []netip.Prefix{default4, default6} {
		if err := h.nl.RouteReplace(&netlink.Route{Dst: ipNet(to), LinkIndex: index}); err != nil {
			return nil, fmt.Errorf("route %s: %w", to, err)
		}
	}
	return &Interface{Host: h, Name: name, Index: index}, nil
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil // polled only from here on, when it is an interface
}
