//go:build !linux

package wire

import (
	"fmt"
	"os"
	"runtime"
)

// Caller tells who started the program.
func Caller() Identity {
	return Identity{
		RealUID: os.Getuid(), EffectiveUID: os.Geteuid(),
		RealGID: os.Getgid(), EffectiveGID: os.Getegid(),
	}
}

// Drop knows no way to give up privileges here, and needs none but in a set-user-ID or set-group-ID install, where it
// fails with [ErrNotDropped]: the program must then exit.
func Drop(...func() []string) (missing []error, err error) {
	if Caller().SetID() {
		return nil, fmt.Errorf("%w on %s: don't install the program set-user-ID or set-group-ID", ErrNotDropped, runtime.GOOS)
	}
	return nil, nil
}
