//go:build linux || darwin || freebsd || netbsd || openbsd

package terminal

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// widthOf is how wide the terminal is that f is; 0 where it is none.
func widthOf(f *os.File) int {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	raw.Control(func(fd uintptr) {
		if size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			n = int(size.Col)
			if n == 0 {
				n = Columns // it does not know
			}
		}
	})
	return n
}

// Writable reports whether a write to f would not wait for a reader. What is wrong with f a write will tell.
func Writable(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return true
	}
	ready := true
	raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds, 0)
		ready = err != nil || n > 0
	})
	return ready
}

// dieBy ends the process by a signal that was caught.
func dieBy(s syscall.Signal) {
	signal.Reset(s)
	syscall.Kill(syscall.Getpid(), s)
}

// User returns the signals that are the user's to give a meaning; nil where there are none.
func User() (first, second os.Signal) { return syscall.SIGUSR1, syscall.SIGUSR2 }
