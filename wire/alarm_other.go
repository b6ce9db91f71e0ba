//go:build !linux

package wire

import (
	"errors"
	"time"
)

// alarm is a timer of the kernel's, on Linux.
type alarm struct{}

// newAlarm has none to give.
func newAlarm() (*alarm, error) { return nil, errors.ErrUnsupported }

func (*alarm) Set(time.Duration)   {}
func (*alarm) C() <-chan time.Time { return nil }
func (*alarm) Run()                {}
func (*alarm) Stop()               {}
