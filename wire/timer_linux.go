package wire

import (
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timer is a timer of the kernel's (timerfd_create(2)). A trace sets one again for each packet, often for less than a
// millisecond. Go's own timers are exact to a millisecond where the program has nothing else to do, and as long as
// one is set the runtime's monitoring thread wakes as often as the program does.
type timer struct {
	file *os.File
	fd   int
	c    chan time.Time
}

// newTimerFD opens one. It is not set.
func newTimerFD() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, opError("timer", nil, err)
	}
	// Set can fail only if a sandbox refuses the call. Otherwise the timer would never ring.
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{}, nil); err != nil {
		unix.Close(fd)
		return nil, opError("timer", nil, err)
	}
	return &timer{os.NewFile(uintptr(fd), "timer"), fd, make(chan time.Time, 1)}, nil
}

// Set makes it ring once, d from now. A ring of an earlier setting may still come.
func (a *timer) Set(d time.Duration) {
	s := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(d), 1))} // 0 would unset it
	unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(a.fd), 0, uintptr(unsafe.Pointer(&s)), 0, 0, 0)
	runtime.KeepAlive(a.file)
}

// C has a value when it has rung.
func (a *timer) C() <-chan time.Time { return a.c }

// Run lets it ring, until Stop, and closes it.
func (a *timer) Run() {
	defer a.file.Close()
	raw, err := a.file.SyscallConn()
	if err != nil {
		return
	}
	// It never reports that it is done, so that one call reads all rings: each further call would read once in vain.
	var count [8]byte
	raw.Read(func(fd uintptr) bool {
		n, _, _ := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), uintptr(len(count)))
		if int(n) != len(count) {
			return false
		}
		select {
		case a.c <- time.Time{}:
		default: // the last ring has not been heard yet
		}
		return false
	})
}

// Stop ends Run. It must not be set afterwards.
func (a *timer) Stop() { a.file.SetReadDeadline(time.Unix(1, 0)) }

// Nap lets so much time pass, a few milliseconds at the most, in which this program does nothing else. The runtime
// isn't told: it would wake its monitoring thread.
func (c *Conn) Nap(d time.Duration) {
	runtime.Gosched() // who has something to do does it before
	t := unix.NsecToTimespec(int64(d))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0) // a signal ends it early
}
