package options

import (
	"errors"
	"syscall"
)

// Reason is the innermost error: what the system said.
func Reason(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}
