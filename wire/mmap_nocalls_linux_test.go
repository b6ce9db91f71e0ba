//go:build !amd64 && !arm64 && !386 && !arm

package wire

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP
