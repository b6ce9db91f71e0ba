//go:build !linux

package wire

import (
	"errors"
	"time"
)

// timer is a timer of the kernel's, on Linux.
type timer struct{}

// newTimerFD has none to give.
func newTimerFD() (*timer, error) { return nil, errors.ErrUnsupported }

func (*timer) Set(time.Duration)   {}
func (*timer) C() <-chan time.Time { return nil }
func (*timer) Run()                {}
func (*timer) Stop()               {}
