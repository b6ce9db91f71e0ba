//go:build linux && (amd64 || arm64)

package wire

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP

// wordCalls are calls that machines of 32 bits have only in another form.
var wordCalls = []uint32{
	unix.SYS_FSTAT, unix.SYS_NEWFSTATAT, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
}
