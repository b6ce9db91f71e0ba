//go:build unix

package terminal

import (
	"syscall"
	"testing"
)

// The user's two signals are heard in their order, until nobody wants them.
func TestOnUser(t *testing.T) {
	heard := make(chan string)
	end := new(Rescue).OnUser(func() { heard <- "first" }, func() { heard <- "second" })
	for _, tt := range []struct {
		signal syscall.Signal
		want   string
	}{{syscall.SIGUSR1, "first"}, {syscall.SIGUSR2, "second"}, {syscall.SIGUSR1, "first"}} {
		if err := syscall.Kill(syscall.Getpid(), tt.signal); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != tt.want {
			t.Errorf("%v: %s, want %s", tt.signal, got, tt.want)
		}
	}
	end()
	var none *Rescue // of a program that is part of another
	none.OnUser(nil, nil)()
}
