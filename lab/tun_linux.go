package lab

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TUN gives the host a point-to-point interface whose other end is the file: each Read is one IP packet that the host sends by
// it, each Write one that it receives. It is up, and has no address: see [Host.Add] for that and for routes. It vanishes when t
// ends or the file is closed. The file obeys deadlines.
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
