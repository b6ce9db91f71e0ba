//go:build !arm

package wire

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP
