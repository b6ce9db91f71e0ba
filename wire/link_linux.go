package wire

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// interfaceIndex is the index of an interface by its name, or by the index itself, as zones are written.
func interfaceIndex(name string) (int, error) {
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == unix.EAFNOSUPPORT { // any family does
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return 0, opError("interface", name, err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req) // netdevice(7)
	}
	if err != nil {
		return 0, opError("interface", name, err)
	}
	return int(req.Uint32()), nil
}
