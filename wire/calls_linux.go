package wire

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that are made for each packet, or each flow. The sockets don't block, so the Go runtime isn't told of the
// calls (RawSyscall): it would wake its monitoring thread each time, at several times the price of the call itself.

// sendTo is sendmsg(2).
func sendTo(fd int, b []byte, to unix.Sockaddr, oob []byte) error {
	var raw4 unix.RawSockaddrInet4
	var raw6 unix.RawSockaddrInet6
	var name unsafe.Pointer
	var length uint32
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		raw4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: hton(uint16(to.Port)), Addr: to.Addr}
		name, length = unsafe.Pointer(&raw4), unix.SizeofSockaddrInet4
	case *unix.SockaddrInet6:
		raw6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: hton(uint16(to.Port)), Addr: to.Addr, Scope_id: to.ZoneId}
		name, length = unsafe.Pointer(&raw6), unix.SizeofSockaddrInet6
	default:
		return unix.EAFNOSUPPORT
	}
	part := unix.Iovec{Base: unsafe.SliceData(b)}
	part.SetLen(len(b))
	message := unix.Msghdr{Name: (*byte)(name), Namelen: length, Iov: &part, Control: unsafe.SliceData(oob)}
	message.SetIovlen(1)
	message.SetControllen(len(oob))
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), unix.MSG_DONTWAIT)
		runtime.KeepAlive(&raw4)
		runtime.KeepAlive(&raw6)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// receiveFrom is recvmsg(2). name, where it is not nil, becomes the address that the packet came from.
func receiveFrom(fd int, b, oob []byte, name *[sizeofName]byte, flags int) (n, oobn int, err error) {
	part := unix.Iovec{Base: unsafe.SliceData(b)}
	part.SetLen(len(b))
	message := unix.Msghdr{Iov: &part, Control: unsafe.SliceData(oob)}
	message.SetIovlen(1)
	message.SetControllen(len(oob))
	if name != nil {
		message.Name, message.Namelen = &name[0], sizeofName
	}
	r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)),
		uintptr(flags|unix.MSG_DONTWAIT))
	if errno != 0 {
		return 0, 0, errno
	}
	return int(r), int(message.Controllen), nil
}

// transfer is read(2) or write(2).
func transfer(call uintptr, fd int, b []byte) (n int, err error) {
	for {
		r, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
