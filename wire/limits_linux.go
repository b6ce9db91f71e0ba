package wire

import (
	"fmt"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// Limits is an error where this process has so few descriptors or threads or so little address space left, or is
// refused the calls for them, that the Go runtime would end the program when it wants more: it dumps all its stacks
// then. It is to be called before anything else is done. Where not even the runtime can start, nobody can help: that
// takes 4 threads, and 750,000 kB of address space (ulimit -u, -v).
func Limits() error {
	if err := startPoller(); err != nil {
		return err
	}
	if err := spaceLeft(); err != nil {
		return err
	}
	return threadsLeft(6)
}

// spaceLeft is an error where the runtime can't have more room for its heap, which it takes in pieces of this size.
// The programs of machines with 32 bits take smaller ones.
func spaceLeft() error {
	const piece = 64 << 20
	var limit unix.Rlimit
	if bits.UintSize < 64 || unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur == unix.RLIM_INFINITY {
		return nil
	}
	room, err := unix.Mmap(-1, 0, piece, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("no more address space (ulimit -v): %w", err)
	}
	return unix.Munmap(room)
}

// startPoller has Go's poller take the two descriptors that it needs, now that they are known to be there.
func startPoller() error {
	if err := tryPoller(); err != nil {
		return err
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return opError("eventfd", nil, err)
	}
	return os.NewFile(uintptr(fd), "eventfd").Close()
}

// tryPoller does what Go's poller will do: an epoll(7) descriptor watches one of the poller's own, and the first one
// of the program's.
func tryPoller() error {
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return opError("epoll_create1", nil, err)
	}
	defer unix.Close(poller)
	for range 2 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return opError("eventfd", nil, err)
		}
		defer unix.Close(fd)
		if err := unix.EpollCtl(poller, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
			return opError("epoll_ctl", nil, err)
		}
	}
	return nil
}

// threadsLeft is an error where this user can't have n more threads. It is tried only where that is in doubt: the
// limit counts all threads of the user, and there are no more of those than of everybody.
func threadsLeft(n int) error {
	var limit unix.Rlimit
	var info unix.Sysinfo_t
	if unix.Getuid() == 0 || unix.Getrlimit(unix.RLIMIT_NPROC, &limit) != nil || unix.Sysinfo(&info) != nil ||
		limit.Cur > uint64(info.Procs)+uint64(n) {
		return nil
	}
	var failed unix.Errno
	var children []int
	for range n {
		// A process that is not yet waited for counts too. It has one thread, so it must not come back to the runtime.
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			failed = errno
			break
		}
		if pid == 0 {
			for {
				unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
		children = append(children, int(pid))
	}
	for _, pid := range children {
		for _, err := unix.Wait4(pid, nil, 0, nil); err == unix.EINTR; _, err = unix.Wait4(pid, nil, 0, nil) {
		}
	}
	if failed != 0 {
		return fmt.Errorf("no more threads (ulimit -u): %w", failed)
	}
	return nil
}
