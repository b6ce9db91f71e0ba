//go:build 386 || arm

package wire

import "golang.org/x/sys/unix"

const (
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32
)
