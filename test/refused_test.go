package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// What a sandbox refuses, as systemd's RestrictAddressFamilies=, WSL 1, Android and containers do it: system calls fail, all of them or
// those with some arguments.

// refusal is a system call that fails.
type refusal struct {
	Call  uint32
	Where []argument // all of them have to fit
	Err   syscall.Errno
}

// argument is a condition on the lower half of a system call's argument.
type argument struct {
	Index int
	Mask  uint32
	Value uint32
}

// refuse makes a refusal of the call if its first arguments are these; -1: any.
func refuse(err syscall.Errno, call uint32, args ...int) refusal {
	r := refusal{Call: call, Err: err}
	for i, a := range args {
		if a >= 0 {
			r.Where = append(r.Where, argument{i, ^uint32(0), uint32(a)})
		}
	}
	return r
}

// refuseSocket makes a refusal of a kind of sockets; kind 0: all of the family.
func refuseSocket(err syscall.Errno, family, kind int) refusal {
	r := refuse(err, unix.SYS_SOCKET, family)
	if kind != 0 {
		r.Where = append(r.Where, argument{1, 0xf, uint32(kind)}) // without flags
	}
	return r
}

// refusing is the variable of the environment that says what to refuse: this program then becomes the one in its arguments.
const refusing = "TCPTRACEROUTE_TEST_REFUSES"

func init() {
	text := os.Getenv(refusing)
	if text == "" {
		return
	}
	if err := becomeRefused(text, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refusing:", err)
		os.Exit(99)
	}
}

// sandboxed is what a program is started with.
type sandboxed struct {
	Refusals []refusal
	User     int // who it is started by, if that is root's doing; 0: whoever has started this program
}

// becomeRefused executes a program that is refused system calls by seccomp(2).
func becomeRefused(text string, args []string) error {
	var box sandboxed
	if err := json.Unmarshal([]byte(text), &box); err != nil {
		return err
	}
	var code []bpf.Instruction
	for _, r := range box.Refusals {
		body := []bpf.Instruction{bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(r.Err)}}
		for _, a := range r.Where {
			body = append([]bpf.Instruction{
				bpf.LoadAbsolute{Off: uint32(16 + 8*a.Index), Size: 4},
				bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: a.Mask},
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: a.Value, SkipTrue: uint8(len(body))},
			}, body...)
		}
		code = append(code, bpf.LoadAbsolute{Off: 0, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.Call, SkipTrue: uint8(len(body))})
		code = append(code, body...)
	}
	raw, err := bpf.Assemble(append(code, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if os.Getuid() != 0 { // root needs no leave, and programs with privileges of their own are to get them
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	if box.User != 0 {
		if err := syscall.Setgid(box.User); err != nil {
			return err
		}
		if err := syscall.Setuid(box.User); err != nil {
			return err
		}
	}
	return syscall.Exec(path, args, os.Environ())
}

// sandbox is this program, where every user may run it.
func sandbox(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return lab.Install(t, self, 0o755)
}

// refused prepares a command that is refused these system calls.
func refused(ctx context.Context, self string, h *lab.Host, all []refusal, name string, args ...string) *lab.Cmd {
	return inSandbox(ctx, self, h, sandboxed{Refusals: all}, name, args...)
}

// inSandbox prepares a command that is started like this.
func inSandbox(ctx context.Context, self string, h *lab.Host, box sandboxed, name string, args ...string) *lab.Cmd {
	text, err := json.Marshal(box)
	if err != nil {
		panic(err)
	}
	c := h.Command(ctx, self, append([]string{name}, args...)...)
	c.Env = append(os.Environ(), refusing+"="+string(text))
	return c
}

// A right that is refused never ends a trace where a lesser one does. What it falls back to is said.
func TestRefused(t *testing.T) {
	lab.NeedRoot(t)
	path, self := program(t), sandbox(t)
	const (
		withoutPacket  = "Tracing without packet sockets ("
		withoutNetlink = "Tracing without netlink ("
		withoutRaw     = "Tracing without raw sockets: "
	)
	noPacket := func(err syscall.Errno) refusal { return refuseSocket(err, unix.AF_PACKET, 0) }
	noNetlink := func(err syscall.Errno) refusal { return refuseSocket(err, unix.AF_NETLINK, 0) }
	noRaw := func(err syscall.Errno) []refusal {
		return []refusal{refuseSocket(err, unix.AF_INET, unix.SOCK_RAW), refuseSocket(err, unix.AF_INET6, unix.SOCK_RAW)}
	}
	cases := []struct {
		name string
		all  []refusal
		args string
		says []string
		only family
	}{
		{"packet sockets and netlink", []refusal{noPacket(unix.EAFNOSUPPORT), noNetlink(unix.EAFNOSUPPORT)}, "", []string{withoutPacket, withoutNetlink}, 0},
		{"packet and raw sockets", append(noRaw(unix.EPERM), noPacket(unix.EAFNOSUPPORT)), "", []string{withoutRaw}, 0},
		{"all of them", append(noRaw(unix.EPROTONOSUPPORT), noPacket(unix.EPERM), noNetlink(unix.EACCES)), "", []string{withoutNetlink, withoutRaw}, 0},
		{"a whole family", []refusal{refuseSocket(unix.EAFNOSUPPORT, unix.AF_INET6, 0)}, "", nil, ip4},
		{"the other family", []refusal{refuseSocket(unix.EAFNOSUPPORT, unix.AF_INET, 0)}, "", nil, ip6},
		{"packet sockets, in a connection", []refusal{noPacket(unix.EPERM)}, "--in-session", []string{withoutPacket}, 0},
		{"packet sockets, with ports of their own", []refusal{noPacket(unix.EPERM)}, "--track-port", []string{withoutPacket}, 0},
		{"packet sockets, acknowledgements", []refusal{noPacket(unix.EPERM)}, "--syn linux", []string{withoutPacket}, 0},
		{"netlink, by an interface", []refusal{noNetlink(unix.EACCES)}, "-i eth0", []string{withoutNetlink}, 0},
	}
	for _, err := range []syscall.Errno{unix.EPERM, unix.EACCES, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT} {
		for _, c := range []struct {
			name, says string
			all        []refusal
		}{
			{"packet sockets", withoutPacket, []refusal{noPacket(err)}},
			{"netlink", withoutNetlink, []refusal{noNetlink(err)}},
			{"raw sockets", withoutRaw, noRaw(err)},
		} {
			cases = append(cases, cases[0])
			last := &cases[len(cases)-1]
			last.name, last.all, last.says = fmt.Sprintf("%s: %v", c.name, err), c.all, []string{c.says}
		}
	}
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		p.Target.Listen(t, 80)
		want := routers(p, v, 2, 3) + hop(3, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, "")
		for _, c := range cases {
			if c.only != 0 && c.only != v {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				args := append([]string{"-n"}, append(strings.Fields(c.args), v.of(p.Target).String())...)
				got := finish(t, func(ctx context.Context) *lab.Cmd { return refused(ctx, self, p.Source, c.all, path, args...) })
				got.expect(t, want, "", 0)
				said, _, _ := strings.Cut(got.stderr, "Selected device eth0, address "+v.of(p.Source).String())
				if n := strings.Count(said, "\n"); n != len(c.says) {
					t.Errorf("%v\nwant %q", got, c.says)
				}
				for _, s := range c.says {
					if !strings.Contains(said, s) {
						t.Errorf("%v\nwant %q", got, s)
					}
				}
			})
		}
		t.Run("netlink, for an ordinary user", func(t *testing.T) {
			for _, args := range []string{"", "-s " + v.of(p.Source).String()} {
				got := finish(t, func(ctx context.Context) *lab.Cmd {
					return refused(ctx, self, p.Source, []refusal{noNetlink(unix.EAFNOSUPPORT)}, path, strings.Fields(fmt.Sprintf("-n %s %v", args, v.of(p.Target)))...).As(ordinary, ordinary)
				})
				got.expect(t, want, "", 0)
			}
		})
		t.Run("no route, no netlink", func(t *testing.T) {
			got := finish(t, func(ctx context.Context) *lab.Cmd {
				return refused(ctx, self, p.Target, []refusal{noNetlink(unix.EAFNOSUPPORT)}, path, "-n", pick(v, "198.18.99.1", "2001:db8:99::1"))
			})
			if got.stdout != "" || got.stderr != "connect: Network is unreachable\n" || got.code != 2 {
				t.Error(got)
			}
		})
	})
}

// Each system call of the start may be refused, whatever the error: either there is a trace, and a line says what it does without, or one
// line says why there is none, and the exit code is 2. Two calls the Go runtime makes itself, and ends the program without: clone(2) and
// fcntl(2).
func TestRefusedCalls(t *testing.T) {
	lab.NeedRoot(t)
	path, self := program(t), sandbox(t)
	const (
		noPacket     = "Tracing without packet sockets (%v)"
		noNetlink    = "Tracing without netlink (%v)"
		noRaw        = "Tracing without raw sockets"
		noFilter     = "Tracing without a filter in the kernel (%v)"
		noStamps     = "Tracing without the kernel's times (%v)"
		noPort       = "Tracing without reserving the source port (%v)"
		noConnecting = "connections can't be made: "
		noSession    = "No connection to probe in ("
		noDropping   = "Warning: privileges can't be given up: "
	)
	type call func(err syscall.Errno) refusal
	one := func(call uint32, args ...int) call {
		return func(err syscall.Errno) refusal { return refuse(err, call, args...) }
	}
	socket := func(family, kind int) call {
		return func(err syscall.Errno) refusal { return refuseSocket(err, family, kind) }
	}
	option := func(level, name int) call { return one(unix.SYS_SETSOCKOPT, -1, level, name) }
	const traces, fails = true, false
	cases := []struct {
		name   string
		calls  []call
		traces bool
		says   []string // with the error, in the place of %v
		args   string
	}{
		{"nothing", nil, traces, nil, ""},
		{"capget", []call{one(unix.SYS_CAPGET)}, traces, []string{noDropping + "capget: %v;"}, ""},
		{"capset", []call{one(unix.SYS_CAPSET)}, traces, []string{noDropping + "capset in all threads: %v;"}, ""},
		{"no new privileges", []call{one(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS)}, traces, []string{noDropping + "prctl PR_SET_NO_NEW_PRIVS in all threads: %v;"}, ""},
		{"dumpable", []call{one(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE)}, traces, []string{noDropping + "prctl PR_SET_DUMPABLE: %v;"}, ""},
		{"groups", []call{one(unix.SYS_GETGROUPS), one(unix.SYS_SETGROUPS)}, traces, nil, ""},
		{"limits", []call{one(unix.SYS_PRLIMIT64), one(unix.SYS_SYSINFO)}, traces, nil, ""},
		{"seccomp", []call{one(unix.SYS_SECCOMP)}, traces, nil, ""},
		{"landlock", []call{one(unix.SYS_LANDLOCK_CREATE_RULESET)}, traces, nil, ""},
		{"eventfd", []call{one(unix.SYS_EVENTFD2)}, fails, []string{"eventfd: %v"}, ""},
		{"epoll_create", []call{one(unix.SYS_EPOLL_CREATE1)}, fails, []string{"epoll_create1: %v"}, ""},
		{"epoll_ctl", []call{one(unix.SYS_EPOLL_CTL)}, fails, []string{"epoll_ctl: %v"}, ""},
		{"timerfd_create", []call{one(unix.SYS_TIMERFD_CREATE)}, traces, nil, ""},
		{"timerfd_settime", []call{one(unix.SYS_TIMERFD_SETTIME)}, traces, nil, ""},
		{"socketpair", []call{one(unix.SYS_SOCKETPAIR)}, traces, nil, ""},
		{"raw sockets", []call{socket(unix.AF_INET, unix.SOCK_RAW), socket(unix.AF_INET6, unix.SOCK_RAW)}, traces, []string{noRaw}, ""},
		{"packet sockets", []call{socket(unix.AF_PACKET, 0)}, traces, []string{noPacket}, ""},
		{"netlink", []call{socket(unix.AF_NETLINK, 0)}, traces, []string{noNetlink}, ""},
		{"streams", []call{socket(unix.AF_INET, unix.SOCK_STREAM), socket(unix.AF_INET6, unix.SOCK_STREAM)}, traces, []string{noPort}, ""},
		{"datagrams", []call{socket(unix.AF_INET, unix.SOCK_DGRAM), socket(unix.AF_INET6, unix.SOCK_DGRAM)}, traces, nil, ""},
		{"all sockets", []call{one(unix.SYS_SOCKET)}, fails, []string{noConnecting + "socket: %v"}, ""},
		{"bind", []call{one(unix.SYS_BIND)}, traces, []string{noPacket, noPort, noNetlink}, ""},
		{"getsockname", []call{one(unix.SYS_GETSOCKNAME)}, fails, []string{"connect: Route to 198.18.1.2: the source address isn't known: getsockname: %v"}, ""},
		{"getsockopt", []call{one(unix.SYS_GETSOCKOPT)}, traces, []string{noNetlink}, ""},
		{"setsockopt", []call{one(unix.SYS_SETSOCKOPT)}, traces, []string{noStamps, noPacket, noFilter}, ""},
		{"local errors", []call{option(unix.SOL_IP, unix.IP_RECVERR)}, traces, nil, ""},
		{"path MTU", []call{option(unix.SOL_IP, unix.IP_MTU_DISCOVER)}, traces, nil, ""},
		{"room to send", []call{option(unix.SOL_SOCKET, unix.SO_SNDBUF)}, traces, nil, ""},
		{"room to receive", []call{option(unix.SOL_SOCKET, unix.SO_RCVBUF), option(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE)}, traces, nil, ""},
		{"times of sending", []call{option(unix.SOL_SOCKET, unix.SO_TIMESTAMPING)}, traces, []string{noStamps}, ""},
		{"times of receiving", []call{option(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS)}, traces, []string{noStamps}, ""},
		{"about packets", []call{option(unix.SOL_PACKET, unix.PACKET_AUXDATA)}, traces, []string{noPacket}, ""},
		{"filters", []call{option(unix.SOL_SOCKET, unix.SO_ATTACH_FILTER)}, traces, []string{noFilter}, ""},
		{"ioctl", []call{one(unix.SYS_IOCTL)}, traces, nil, ""},
		{"connect", []call{one(unix.SYS_CONNECT)}, traces, nil, ""},
		{"sendmsg", []call{one(unix.SYS_SENDMSG)}, fails, []string{noNetlink, "", "20 probes in a row could not be sent: sending: %v"}, ""},
		{"recvmsg", []call{one(unix.SYS_RECVMSG)}, fails, []string{noNetlink, "receiving: recvmsg: %v"}, ""},
		{"streams, for connections", []call{socket(unix.AF_INET, unix.SOCK_STREAM), socket(unix.AF_INET6, unix.SOCK_STREAM)}, fails, []string{noConnecting + "socket: %v"}, "--unprivileged"},
		{"bind, for connections", []call{one(unix.SYS_BIND)}, fails, []string{noConnecting + "bind: %v"}, "--unprivileged"},
		{"setsockopt, for connections", []call{one(unix.SYS_SETSOCKOPT)}, fails, []string{noConnecting + "setsockopt: %v"}, "--unprivileged"},
		{"the state of connections", []call{one(unix.SYS_GETSOCKOPT, -1, unix.SOL_TCP, unix.TCP_INFO)}, fails, []string{noConnecting + "getsockopt: %v"}, "--unprivileged"},
		{"connect, for connections", []call{one(unix.SYS_CONNECT)}, fails, []string{noRaw, "", "20 probes in a row could not be sent: sending: %v"}, "--unprivileged"},
		{"streams, for a session", []call{socket(unix.AF_INET, unix.SOCK_STREAM), socket(unix.AF_INET6, unix.SOCK_STREAM)}, traces, []string{noSession, noPort}, "--in-session"},
		{"connect, for a session", []call{one(unix.SYS_CONNECT)}, traces, []string{noSession}, "--in-session"},
		{"filters, for a session", []call{option(unix.SOL_SOCKET, unix.SO_ATTACH_FILTER)}, traces, []string{noFilter}, "--in-session"},
	}
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	p.Target.Listen(t, 80)
	want := hop(1, fmt.Sprintf("%v [open]", p.Target.V4()), 3, "")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, errno := range []syscall.Errno{
				unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSYS, unix.EAFNOSUPPORT, unix.EMFILE, unix.ENOBUFS, unix.ENOMEM,
			} {
				var all []refusal
				for _, call := range c.calls {
					all = append(all, call(errno))
				}
				got := finish(t, func(ctx context.Context) *lab.Cmd {
					return refused(ctx, self, p.Source, all, path, strings.Fields(fmt.Sprintf("-n %s %v", c.args, p.Target.V4()))...)
				})
				if c.traces {
					got.expect(t, want, "", 0)
				} else if got.code != 2 || strings.Contains(got.stdout, "[open]") {
					t.Errorf("%v: %v", errno, got)
				}
				said := slices.DeleteFunc(strings.Split(strings.TrimSpace(got.stderr), "\n"), func(line string) bool {
					return strings.HasPrefix(line, "Selected device") || strings.HasPrefix(line, "Tracing the path to") || line == ""
				})
				if len(said) != len(c.says) {
					t.Errorf("%v: %v\nwant %q", errno, got, c.says)
					continue
				}
				for i, line := range said {
					if !strings.HasPrefix(line, strings.ReplaceAll(c.says[i], "%v", errno.Error())) {
						t.Errorf("%v: %v\nwant %q", errno, got, c.says[i])
					}
				}
			}
		})
	}
}

// A program whose rights its caller lacks does nothing if it can't give them up.
func TestRefusedDropping(t *testing.T) {
	lab.NeedRoot(t)
	self := sandbox(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	p.Target.Listen(t, 80)
	for _, in := range []install{fileCap, setUserID} {
		path := in.place(t, program(t))
		got := finish(t, func(ctx context.Context) *lab.Cmd {
			box := sandboxed{[]refusal{refuse(unix.EPERM, unix.SYS_CAPSET)}, ordinary}
			return inSandbox(ctx, self, p.Source, box, path, "-n", "-q1", p.Target.V4().String())
		})
		if got.stdout != "" || got.code != 2 || strings.Count(got.stderr, "\n") != 1 || !strings.HasPrefix(got.stderr, "giving up privileges: ") {
			t.Errorf("%s: %v", in.name, got)
		}
	}
}

// One source port that is free is enough for all kinds of traces; without any it is said.
func TestOneFreePort(t *testing.T) {
	lab.NeedRoot(t)
	path := program(t)
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		p.Target.Listen(t, 80)
		p.Source.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40000")
		want := routers(p, v, 2, 3) + hop(3, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, "")
		for _, args := range []string{"", "--unprivileged", "--track-port"} {
			got := launch(t, p.Source, fmt.Sprintf("-n %s %v", args, v.of(p.Target))).outcome()
			if got.expect(t, want, "", 0); args != "--track-port" && !strings.Contains(got.stderr, ", port 40000 for") {
				t.Error(got)
			}
		}
		noRights(t, p.Source, path, fmt.Sprintf("-n %v", v.of(p.Target))).expect(t, want, "", 0)
		p.Source.Listen(t, 40000)
		none := outcome{"", fmt.Sprintf("connect: No source port is free on %v\n", v.of(p.Source)), 2}
		for _, args := range []string{"", "--unprivileged"} {
			if got := launch(t, p.Source, fmt.Sprintf("-n %s %v", args, v.of(p.Target))).outcome(); got != none {
				t.Errorf("%q: %v\nwant %v", args, got, none)
			}
		}
	})
}

// However little the shell's limits allow, one line says what is missing, and the runtime never speaks.
func TestSmallLimits(t *testing.T) {
	lab.NeedRoot(t)
	lab.NeedProgram(t, "prlimit")
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 1})
	path := program(t)
	limited := func(limit string, uid uint32, args string) outcome {
		return finish(t, func(ctx context.Context) *lab.Cmd {
			return p.Source.Command(ctx, "prlimit", append([]string{limit, path}, strings.Fields(args)...)...).As(uid, uid)
		})
	}
	for n := 4; n < 20; n++ {
		for _, args := range []string{"-n", "-n --unprivileged", "-n --mtu", "-n --report -c 1"} {
			got := limited(fmt.Sprintf("--nofile=%d", n), ordinary, fmt.Sprintf("%s %v", args, p.Target.V4()))
			if strings.Contains(got.stderr, "goroutine") || got.code != 0 && got.code != 1 && got.code != 2 {
				t.Errorf("%d descriptors, %s: %v", n, args, got)
			}
		}
	}
	// The ports of a search for all paths leave some for the rest.
	for _, args := range []string{"-n --paths --explain", "-n --unprivileged --paths --explain"} {
		got := limited("--nofile=60", 0, fmt.Sprintf("%s %v", args, p.Target.V4()))
		if got.code != 0 || strings.Contains(got.stderr, "too many open files") {
			t.Errorf("60 descriptors, %s: %v", args, got)
		}
	}
	// With 1,000,000 kB of address space there is room for everything, however many threads a busy machine makes the runtime begin. With less the runtime itself may lack some, before
	// anything else runs: it says so in its own words, and the exit code is the same.
	for _, room := range []int{760_000, 790_000, 810_000, 830_000, 1_000_000} {
		for _, args := range []string{"-n", "-n --paths", "-n --report -c 1"} {
			got := limited(fmt.Sprintf("--as=%d", room<<10), 0, fmt.Sprintf("%s %v", args, p.Target.V4()))
			if got.code == 0 || room < 1_000_000 && got.code == 2 && got.stdout == "" {
				continue
			}
			t.Errorf("%d kB, %s: %v", room, args, got)
		}
	}
	// Below 5 threads the runtime itself doesn't start.
	const nobody = 54321 // who has no other process
	for n := 5; n < 14; n++ {
		got := limited(fmt.Sprintf("--nproc=%d", n), nobody, fmt.Sprintf("-n -q 1 %v", p.Target.V4()))
		if got.code != 0 && got != (outcome{"", "no more threads (ulimit -u): resource temporarily unavailable\n", 2}) {
			t.Errorf("%d threads: %v", n, got)
		}
	}
}
