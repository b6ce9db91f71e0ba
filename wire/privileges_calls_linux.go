//go:build amd64 || arm64 || 386 || arm

package wire

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// calls are the system calls that stay on every machine, whatever their arguments; the most frequent ones first,
// because kernels before 5.11 go through the list. Which of them the Go runtime makes is told by its sources
// (runtime/sys_linux_*.s, internal/runtime/syscall/linux). machineCalls are those that only some machines have.
var calls = [...]uint32{
	// packets, on the sockets that are open and on those of name look-ups
	unix.SYS_SENDMMSG, unix.SYS_RECVMMSG, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG,
	unix.SYS_PPOLL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2,
	unix.SYS_BIND, unix.SYS_CONNECT, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
	unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT,

	// threads, memory, time and signals of the Go runtime
	unix.SYS_FUTEX, unix.SYS_TIMERFD_SETTIME, unix.SYS_TIMERFD_CREATE, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP,
	unix.SYS_CLOCK_GETTIME, unix.SYS_SCHED_YIELD,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_MADVISE, unix.SYS_MUNMAP, unix.SYS_GETRANDOM, unix.SYS_GETPID,
	unix.SYS_GETTID, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,

	// open files: output, the files of name look-ups, the limit of processors that the runtime looks at again
	unix.SYS_WRITE, unix.SYS_READ, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_LSEEK,
	unix.SYS_FSYNC, unix.SYS_CLOSE, unix.SYS_PIPE2,

	// where we are
	unix.SYS_UNAME,
}

// argument is a condition on the lower half of a call's argument, which is all of it wherever the type is an int.
type argument struct {
	index int
	mask  uint32
	value []uint32 // one of these
}

// conditional is a call that stays only where every argument fits one of the cases.
type conditional struct {
	call  uint32
	cases [][]argument
}

// conditionalCalls are those of the process with this id, which replaces files in these open directories.
func conditionalCalls(pid int, dirs []int) []conditional {
	const all = ^uint32(0)
	self := [][]argument{{{0, all, []uint32{uint32(pid)}}}}
	notExecutable := [][]argument{{{2, unix.PROT_EXEC, []uint32{0}}}}
	return slices.Concat(machineConditionalCalls(), replacingCalls(dirs), []conditional{
		{sysMmap, notExecutable},
		{unix.SYS_MPROTECT, notExecutable},

		// New threads, but no new process and no new namespace.
		{unix.SYS_CLONE, [][]argument{{{0, unix.CLONE_THREAD | unix.CLONE_PTRACE | unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
			[]uint32{unix.CLONE_THREAD}}}}},

		// Signals to nobody else.
		{unix.SYS_TGKILL, self},
		{unix.SYS_KILL, [][]argument{
			{{0, all, []uint32{uint32(pid)}}},
			{{0, all, []uint32{0}}, {1, all, []uint32{uint32(unix.SIGTSTP)}}}, // Ctrl-Z stops the whole job
		}},

		// The runtime names its memory.
		{unix.SYS_PRCTL, [][]argument{{{0, all, []uint32{unix.PR_SET_VMA}}}}},

		{unix.SYS_SOCKET, [][]argument{
			{
				{0, all, []uint32{unix.AF_INET, unix.AF_INET6}},
				{1, socketType, []uint32{unix.SOCK_STREAM, unix.SOCK_DGRAM}},
				{2, all, []uint32{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6}},
			},
			{ // for the zone of a link-local address, and for routes
				{0, all, []uint32{unix.AF_NETLINK}},
				{1, socketType, []uint32{unix.SOCK_RAW, unix.SOCK_DGRAM}},
				{2, all, []uint32{unix.NETLINK_ROUTE}},
			},
		}},

		// What is left behind when sockets are closed (ring). Stream sockets talk to each other and to nobody else.
		{unix.SYS_SOCKETPAIR, [][]argument{{{0, all, []uint32{unix.AF_UNIX}}, {1, socketType, []uint32{unix.SOCK_STREAM}}}}},

		{unix.SYS_OPENAT, [][]argument{{{2, unix.O_ACCMODE | unix.O_CREAT | unix.O_TRUNC, []uint32{unix.O_RDONLY}}}}},
		{unix.SYS_FCNTL, descriptorFlags},

		// The terminal's size and mode, but not TIOCSTI, which types into the caller's shell. The index of an interface,
		// and where netlink is refused their addresses and MTUs.
		{unix.SYS_IOCTL, [][]argument{{{1, all, []uint32{
			unix.TIOCGWINSZ, unix.TCGETS, unix.TCSETS, unix.TCSETSW, unix.TCSETSF, unix.TIOCGPGRP,
			unix.TIOCINQ, unix.TIOCOUTQ, unix.SIOCGIFINDEX, unix.SIOCGIFCONF, unix.SIOCGIFMTU}}}}},
	})
}

// replacingCalls give files in open directories other names, and remove them.
func replacingCalls(dirs []int) []conditional {
	if len(dirs) == 0 {
		return nil
	}
	const all = ^uint32(0)
	renames, unlinks := conditional{call: unix.SYS_RENAMEAT2}, conditional{call: unix.SYS_UNLINKAT}
	for _, d := range dirs {
		dir := []uint32{uint32(d)}
		renames.cases = append(renames.cases, []argument{{0, all, dir}, {2, all, dir}, {4, all, []uint32{0}}})
		unlinks.cases = append(unlinks.cases, []argument{{0, all, dir}, {2, all, []uint32{0}}})
	}
	return []conditional{renames, unlinks}
}

// descriptorFlags are the cases of fcntl(2): not who gets signals about a file.
var descriptorFlags = [][]argument{{{1, ^uint32(0), []uint32{
	unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC}}}}

// socketType is the part of socket(2)'s second argument that isn't flags.
const socketType = 0xf

// What the filter sees: struct seccomp_data, seccomp(2). All machines are little-endian.
const (
	seccompCall     = 0
	seccompMachine  = 4
	seccompArgument = 16 // 8 bytes each
)

const (
	allowCall      = unix.SECCOMP_RET_ALLOW
	notPermitted   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	notImplemented = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// callFilter is the seccomp program: a call that isn't listed doesn't exist, so that code that tries a new call goes on
// with an old one; so doesn't any call by the numbers of another machine (the 32-bit ones, x32).
func callFilter(pid int, dirs []int) []bpf.Instruction {
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: seccompMachine, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditMachine, SkipTrue: 1},
		bpf.RetConstant{Val: notImplemented},
		bpf.LoadAbsolute{Off: seccompCall, Size: 4},
	}
	allow := func(call uint32) {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: 1}, bpf.RetConstant{Val: allowCall})
	}
	for _, call := range calls {
		allow(call)
	}
	for _, call := range machineCalls {
		allow(call)
	}
	for _, c := range conditionalCalls(pid, dirs) {
		var body []bpf.Instruction
		for _, arguments := range c.cases {
			body = append(body, caseFilter(arguments)...)
		}
		body = append(body, bpf.RetConstant{Val: notPermitted})
		code = append(code, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: c.call, SkipTrue: uint8(len(body))})
		code = append(code, body...)
	}
	return append(code, bpf.RetConstant{Val: notImplemented})
}

// caseFilter allows the call if all arguments fit, and else goes on behind.
func caseFilter(arguments []argument) []bpf.Instruction {
	code := []bpf.Instruction{bpf.RetConstant{Val: allowCall}}
	for i := len(arguments) - 1; i >= 0; i-- { // from the end, where it is known how far to jump
		a := arguments[i]
		check := []bpf.Instruction{
			bpf.LoadAbsolute{Off: seccompArgument + 8*uint32(a.index), Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: a.mask},
		}
		for j, v := range a.value {
			behind := len(a.value) - 1 - j // what is left to compare
			check = append(check, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(behind + 1)})
		}
		check = append(check, bpf.Jump{Skip: uint32(len(code))})
		code = append(check, code...)
	}
	return code
}

// confineCalls leaves only the calls of the lists, in all threads.
func confineCalls(dirs []int) error {
	raw, err := bpf.Assemble(callFilter(unix.Getpid(), dirs))
	if err != nil {
		return fmt.Errorf("assembling: %w", err)
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return opError("seccomp", nil, errno)
	}
	if thread != 0 {
		return fmt.Errorf("seccomp: thread %d has a filter of its own", thread)
	}
	return nil
}
