//go:build linux && (386 || arm)

package wire

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP2

// wordCalls are calls that machines of 64 bits have only in another form: with longer times, offsets and ids.
var wordCalls = []uint32{
	unix.SYS_FUTEX_TIME64, unix.SYS_PPOLL_TIME64, unix.SYS_CLOCK_GETTIME64, unix.SYS_CLOCK_NANOSLEEP_TIME64,
	unix.SYS_TIMERFD_SETTIME64, unix.SYS_RECVMMSG_TIME64, unix.SYS__LLSEEK, unix.SYS_FSTAT64, unix.SYS_FSTATAT64,
	unix.SYS_GETUID32, unix.SYS_GETEUID32, unix.SYS_GETGID32, unix.SYS_GETEGID32,
}
