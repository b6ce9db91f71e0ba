package wire

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP2 // there is no other on ARM
