package lab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace belongs to a thread. /proc/self would name that of the process's first thread.
const threadNet = "/proc/thread-self/ns/net"

// newNamespace makes an anonymous network namespace, which lives as long as the file (or a thread, socket or process in
// it) does.
func newNamespace() (*os.File, error) {
	var ns *os.File
	err := elsewhere(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		var err error
		ns, err = os.Open(threadNet)
		return err
	})
	return ns, err
}

// elsewhere locks the calling goroutine to its thread, runs f, which may change the thread's network namespace, and
// goes back.
func elsewhere(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNet)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that can't be brought home stays locked, and dies with the goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		home.Close()
	}()
	return f()
}

// within runs f with the calling goroutine's thread in ns.
func within(ns *os.File, f func() error) error {
	return elsewhere(func() error {
		if err := enter(ns); err != nil {
			return err
		}
		return f()
	})
}

func enter(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	return nil
}

// ownThread runs f in a goroutine on a thread that belongs to nobody else and dies with f, whatever f did to it. It is
// never the process's first thread: that one can't die, and would hold on to what f gave it.
func ownThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f() // no unlocking: the thread ends with the goroutine
			return
		}
		taken := make(chan struct{})
		ownThread(func() { close(taken); f() })
		<-taken // while this goroutine has the first thread, the other one has another
		runtime.UnlockOSThread()
	}()
}
