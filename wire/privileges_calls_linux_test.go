//go:build amd64 || arm64 || 386 || arm

package wire

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	testPID = 4711
	testDir = 7 // an open directory in which files are replaced
)

// ruling is what the filter says about a call. The BPF machine reads big-endian where the kernel's reads as the host
// does, so the fields are written big-endian, the halves of an argument in the order of a little-endian host.
func ruling(t *testing.T, vm *bpf.VM, machine, call uint32, arguments ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64) // struct seccomp_data
	binary.BigEndian.PutUint32(data[seccompCall:], call)
	binary.BigEndian.PutUint32(data[seccompMachine:], machine)
	for i, a := range arguments {
		binary.BigEndian.PutUint32(data[seccompArgument+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[seccompArgument+8*i+4:], uint32(a>>32))
	}
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func newFilter(t *testing.T, dirs ...int) *bpf.VM {
	t.Helper()
	vm, err := bpf.NewVM(callFilter(testPID, dirs))
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// The filter has no other way to say no than an error number, so it can't kill. The first two are what the Go runtime
// does.
func TestCallFilterArguments(t *testing.T) {
	const minusOne = 0xffff_ffff_ffff_ffff
	vm := newFilter(t, testDir)
	for _, tt := range []struct {
		name      string
		call      uint32
		arguments []uint64
		want      uint32
	}{
		{"thread", unix.SYS_CLONE, []uint64{0x50f00}, allowCall},
		{"thread with TLS", unix.SYS_CLONE, []uint64{0xd0f00}, allowCall},
		{"fork", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, notPermitted},
		{"vfork", unix.SYS_CLONE, []uint64{unix.CLONE_VFORK | unix.CLONE_VM | uint64(unix.SIGCHLD)}, notPermitted},
		{"new user namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, notPermitted},
		{"thread in a new network namespace", unix.SYS_CLONE, []uint64{0x50f00 | unix.CLONE_NEWNET}, notPermitted},
		{"traced thread", unix.SYS_CLONE, []uint64{0x50f00 | unix.CLONE_PTRACE}, notPermitted},
		{"clone3 hides its flags", unix.SYS_CLONE3, nil, notImplemented},

		{"TCP", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, 0}, allowCall},
		{"TCPv6", unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}, allowCall},
		{"UDP", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, unix.IPPROTO_UDP}, allowCall},
		{"ping", unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6}, allowCall},
		{"raw", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, notPermitted},
		{"raw with flags", unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.IPPROTO_RAW}, notPermitted},
		{"raw, upper half set", unix.SYS_SOCKET, []uint64{unix.AF_INET | 1<<32, unix.SOCK_RAW | 1<<32, 0}, notPermitted},
		{"pair of stream sockets", unix.SYS_SOCKETPAIR, []uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0}, allowCall},
		{"pair that could send to others", unix.SYS_SOCKETPAIR, []uint64{unix.AF_UNIX, unix.SOCK_DGRAM, 0}, notPermitted},
		{"SCTP", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, notPermitted},
		{"packet", unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_DGRAM, 0}, notPermitted},
		{"packet raw", unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_RAW, 0x300}, notPermitted},
		{"unix", unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, notPermitted},
		{"vsock", unix.SYS_SOCKET, []uint64{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, notPermitted},
		{"netlink route", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE}, allowCall},
		{"netlink audit", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, notPermitted},
		{"netlink firewall", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, notPermitted},
		{"internet type, netlink protocol", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_STREAM, 0}, notPermitted},

		{"memory", sysMmap, []uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, allowCall},
		{"executable memory", sysMmap, []uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, notPermitted},
		{"guard page", unix.SYS_MPROTECT, []uint64{0, 4096, unix.PROT_NONE}, allowCall},
		{"memory made executable", unix.SYS_MPROTECT, []uint64{0, 4096, unix.PROT_EXEC}, notPermitted},

		{"read a file", unix.SYS_OPENAT, []uint64{minusOne - 99, 0, unix.O_RDONLY | unix.O_CLOEXEC}, allowCall},
		{"write a file", unix.SYS_OPENAT, []uint64{minusOne - 99, 0, unix.O_WRONLY}, notPermitted},
		{"read and write a file", unix.SYS_OPENAT, []uint64{minusOne - 99, 0, unix.O_RDWR | unix.O_CLOEXEC}, notPermitted},
		{"create a file", unix.SYS_OPENAT, []uint64{minusOne - 99, 0, unix.O_CREAT}, notPermitted},
		{"truncate a file", unix.SYS_OPENAT, []uint64{minusOne - 99, 0, unix.O_TRUNC}, notPermitted},
		{"unnamed file", unix.SYS_OPENAT, []uint64{minusOne - 99, 0, unix.O_TMPFILE | unix.O_RDWR}, notPermitted},

		{"replace a file", unix.SYS_RENAMEAT2, []uint64{testDir, 0, testDir, 0, 0}, allowCall},
		{"replace a file elsewhere", unix.SYS_RENAMEAT2, []uint64{testDir, 0, testDir + 1, 0, 0}, notPermitted},
		{"take a file from elsewhere", unix.SYS_RENAMEAT2, []uint64{minusOne - 99, 0, testDir, 0, 0}, notPermitted},
		{"exchange files", unix.SYS_RENAMEAT2, []uint64{testDir, 0, testDir, 0, unix.RENAME_EXCHANGE}, notPermitted},
		{"remove a file", unix.SYS_UNLINKAT, []uint64{testDir, 0, 0}, allowCall},
		{"remove a file elsewhere", unix.SYS_UNLINKAT, []uint64{minusOne - 99, 0, 0}, notPermitted},
		{"remove a directory", unix.SYS_UNLINKAT, []uint64{testDir, 0, unix.AT_REMOVEDIR}, notPermitted},

		{"preempt a thread", unix.SYS_TGKILL, []uint64{testPID, testPID + 1, uint64(unix.SIGURG)}, allowCall},
		{"signal to a thread elsewhere", unix.SYS_TGKILL, []uint64{1, 1, uint64(unix.SIGTERM)}, notPermitted},
		{"signal to oneself", unix.SYS_KILL, []uint64{testPID, uint64(unix.SIGTERM)}, allowCall},
		{"signal to another", unix.SYS_KILL, []uint64{testPID + 1, 0}, notPermitted},
		{"signal to the group", unix.SYS_KILL, []uint64{0, uint64(unix.SIGTERM)}, notPermitted},
		{"stop of the job", unix.SYS_KILL, []uint64{0, uint64(unix.SIGTSTP)}, allowCall},
		{"stop of another", unix.SYS_KILL, []uint64{testPID + 1, uint64(unix.SIGTSTP)}, notPermitted},
		{"signal to all", unix.SYS_KILL, []uint64{minusOne, uint64(unix.SIGTERM)}, notPermitted},

		{"name memory", unix.SYS_PRCTL, []uint64{unix.PR_SET_VMA}, allowCall},
		{"be dumpable", unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE, 1}, notPermitted},
		{"keep capabilities", unix.SYS_PRCTL, []uint64{unix.PR_SET_KEEPCAPS, 1}, notPermitted},
		{"raise an ambient capability", unix.SYS_PRCTL, []uint64{unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW}, notPermitted},

		{"terminal's size", unix.SYS_IOCTL, []uint64{1, unix.TIOCGWINSZ}, allowCall},
		{"terminal's mode", unix.SYS_IOCTL, []uint64{0, unix.TCSETS}, allowCall},
		{"type into the terminal", unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}, notPermitted},
		{"type into the terminal, upper half set", unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI | 1<<32}, notPermitted},
		{"take the terminal", unix.SYS_IOCTL, []uint64{0, unix.TIOCSCTTY}, notPermitted},
		{"index of an interface", unix.SYS_IOCTL, []uint64{3, unix.SIOCGIFINDEX}, allowCall},
		{"change an interface", unix.SYS_IOCTL, []uint64{3, unix.SIOCSIFFLAGS}, notPermitted},

		{"non-blocking", unix.SYS_FCNTL, []uint64{3, unix.F_SETFL, unix.O_NONBLOCK}, allowCall},
		{"signals of a file to another process", unix.SYS_FCNTL, []uint64{3, unix.F_SETOWN, 1}, notPermitted},
	} {
		if got := ruling(t, vm, auditMachine, tt.call, tt.arguments...); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

// Every number but those that are listed is one that doesn't exist, and none does by the conventions of other machines.
func TestCallFilterNumbers(t *testing.T) {
	vm := newFilter(t)
	listed := make(map[uint32]bool)
	for _, call := range append(calls[:], machineCalls...) {
		if listed[call] {
			t.Errorf("call %d is listed twice", call)
		}
		listed[call] = true
		if got := ruling(t, vm, auditMachine, call); got != allowCall {
			t.Errorf("call %d: %#x, want it allowed", call, got)
		}
	}
	for _, c := range conditionalCalls(testPID, nil) {
		if listed[c.call] {
			t.Errorf("call %d is listed twice", c.call)
		}
		listed[c.call] = true
	}
	for call := range uint32(1024) {
		if !listed[call] {
			if got := ruling(t, vm, auditMachine, call); got != notImplemented {
				t.Errorf("call %d: %#x, want %#x", call, got, uint32(notImplemented))
			}
		}
		for _, machine := range []uint32{0, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_X86_64, auditMachine ^ 1<<31} {
			if machine == auditMachine {
				continue
			}
			if got := ruling(t, vm, machine, call); got != notImplemented {
				t.Errorf("call %d of machine %#x: %#x, want %#x", call, machine, got, uint32(notImplemented))
			}
		}
		const x32 = 1 << 30
		if got := ruling(t, vm, auditMachine, call|x32); got != notImplemented {
			t.Errorf("x32 call %d: %#x, want %#x", call, got, uint32(notImplemented))
		}
	}
}

// The calls that give power are named here, so that nobody lists one by mistake.
func TestCallFilterWaysBack(t *testing.T) {
	vm := newFilter(t)
	for _, call := range []uint32{
		unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID,
		unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID, unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS,
		unix.SYS_CAPSET, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN,
		unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_KEYCTL, unix.SYS_ADD_KEY,
		unix.SYS_REQUEST_KEY, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_PIDFD_OPEN,
		unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
		unix.SYS_PROCESS_MADVISE, unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE,
		unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_SECCOMP, unix.SYS_USERFAULTFD, unix.SYS_MEMFD_CREATE,
		unix.SYS_PERSONALITY, unix.SYS_OPENAT2, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
		unix.SYS_FCHMODAT, unix.SYS_FCHOWNAT, unix.SYS_FCHMOD, unix.SYS_FCHOWN, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2,
		unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_MKDIRAT, unix.SYS_MKNODAT, unix.SYS_TRUNCATE, unix.SYS_FTRUNCATE,
		unix.SYS_SETXATTR, unix.SYS_LISTEN, unix.SYS_ACCEPT4, unix.SYS_SHMAT, unix.SYS_MREMAP,
		unix.SYS_PRLIMIT64, unix.SYS_SETPRIORITY, unix.SYS_REBOOT, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME,
	} {
		if got := ruling(t, vm, auditMachine, call); got != notImplemented {
			t.Errorf("call %d: %#x, want %#x", call, got, uint32(notImplemented))
		}
	}
}
