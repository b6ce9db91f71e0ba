//go:build linux || darwin || freebsd || netbsd || openbsd

package terminal

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// Jobs is the part in the shell's job control of a program that has the terminal in raw mode.
type Jobs struct {
	continued chan os.Signal
	done      chan struct{}
	own       atomic.Int32 // how many of the next SIGCONT end a stop of our own
}

// WatchJobs calls again when the program goes on after a stop that was not its own. SIGTSTP of others isn't caught:
// once it was, Go never gives it its effect back.
func WatchJobs(again func()) *Jobs {
	j := &Jobs{continued: make(chan os.Signal, 1), done: make(chan struct{})}
	signal.Notify(j.continued, syscall.SIGCONT)
	go func() {
		for {
			select {
			case <-j.done:
				return
			case <-j.continued:
				if j.own.Load() > 0 {
					j.own.Add(-1)
				} else {
					again()
				}
			}
		}
	}()
	return j
}

// End ends that.
func (j *Jobs) End() {
	signal.Stop(j.continued)
	close(j.done)
}

// notStopped is how long after a SIGTSTP the program takes itself for one that can't be stopped: where no shell would
// continue it, the kernel leaves the signal without effect (an orphaned process group, setpgid(2)).
const notStopped = 200 * time.Millisecond

// Stop stops the whole job, as the terminal does by itself when it isn't in raw mode, and returns when it is continued.
func (j *Jobs) Stop() {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGCONT)
	defer signal.Stop(again)
	j.own.Add(1)
	syscall.Kill(0, syscall.SIGTSTP)
	select {
	case <-again:
	case <-time.After(notStopped): // or it was stopped for longer, and both are so
		select {
		case <-again:
		default:
			j.own.Add(-1)
		}
	}
}
