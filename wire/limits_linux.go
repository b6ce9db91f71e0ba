package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Limits is an error where this process has so few descriptors or threads left that the Go runtime would end the
// program when it wants more: it dumps all its stacks then. It is to be called before anything else is done. Where
// not even the runtime can start, nobody can help: that takes 4 threads, and 760 MB of address space (ulimit -u, -v).
func Limits() error {
	if err := startPoller(); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	return threadsLeft(6)
}

// startPoller has Go's poller take the two descriptors that it needs, now that they are known to be there.
func startPoller() error {
	const descriptors = 3 // with the first one that it watches
	var open []int
	for range descriptors {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			closeAll(open)
			return err
		}
		open = append(open, fd)
	}
	closeAll(open[1:])
	return os.NewFile(uintptr(open[0]), "eventfd").Close()
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
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
