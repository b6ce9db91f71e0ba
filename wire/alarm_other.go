//go:build !linux

package wire

import (
	"errors"
	"time"
)

// Alarm is a timer of the kernel's, on Linux.
type Alarm struct{}

// NewAlarm has none to give.
func NewAlarm() (*Alarm, error) { return nil, errors.ErrUnsupported }

func (*Alarm) Set(time.Duration)   {}
func (*Alarm) C() <-chan time.Time { return nil }
func (*Alarm) Run()                {}
func (*Alarm) Stop()               {}
