package wire

import "golang.org/x/sys/unix"

// A packet socket's close(2) waits until no processor can be looking at it any more: 10 ms and more, also where the
// end of the process closes it. So the last reference is left to the kernel: the socket is put into a message that
// lies in the queue of a Unix socket, and which holds that same Unix socket. Once that is closed here, nobody can
// reach the message, and since Linux 6.9 the kernel clears such rings away in a thread of its own (unix(7),
// SCM_RIGHTS; older ones do it at once, and it takes as long as it would have).

// ring is the pair of Unix sockets that such a message lies in; both are -1 where there is none.
type ring [2]int

// newRing puts a socket into one, which is to be closed behind the socket. Where that fails the socket is closed as
// ever.
func newRing(fd int) ring {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return ring{-1, -1}
	}
	unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd, pair[1]), nil, 0) // an error: see above
	return pair
}

func (r ring) close() {
	for _, fd := range r {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
