package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// What a sandbox refuses, as systemd's RestrictAddressFamilies=, WSL 1 and Android do it: socket(2) fails for some kinds of sockets.

// refusal is a kind of sockets that can't be had.
type refusal struct {
	family uint32
	kind   uint32 // its type, such as SOCK_RAW; 0: all
	err    syscall.Errno
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

// becomeRefused executes a program that is refused sockets by seccomp(2).
func becomeRefused(text string, args []string) error {
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_SOCKET, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	}
	for one := range strings.FieldsSeq(text) {
		var r refusal
		if _, err := fmt.Sscanf(one, "%d/%d/%d", &r.family, &r.kind, (*int)(unsafe.Pointer(&r.err))); err != nil {
			return err
		}
		mask := uint32(0xf)
		if r.kind == 0 {
			mask = 0
		}
		code = append(code,
			bpf.LoadAbsolute{Off: 16, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.family, SkipTrue: 4},
			bpf.LoadAbsolute{Off: 24, Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.kind, SkipTrue: 1},
			bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(r.err)},
		)
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
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
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

// refused prepares a command that is refused these sockets.
func refused(ctx context.Context, self string, h *lab.Host, all []refusal, name string, args ...string) *lab.Cmd {
	var text []string
	for _, r := range all {
		text = append(text, fmt.Sprintf("%d/%d/%d", r.family, r.kind, r.err))
	}
	c := h.Command(ctx, self, append([]string{name}, args...)...)
	c.Env = append(os.Environ(), refusing+"="+strings.Join(text, " "))
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
	noPacket := func(err syscall.Errno) refusal { return refusal{unix.AF_PACKET, 0, err} }
	noNetlink := func(err syscall.Errno) refusal { return refusal{unix.AF_NETLINK, 0, err} }
	noRaw := func(err syscall.Errno) []refusal {
		return []refusal{{unix.AF_INET, unix.SOCK_RAW, err}, {unix.AF_INET6, unix.SOCK_RAW, err}}
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
		{"a whole family", []refusal{{unix.AF_INET6, 0, unix.EAFNOSUPPORT}}, "", nil, ip4},
		{"the other family", []refusal{{unix.AF_INET, 0, unix.EAFNOSUPPORT}}, "", nil, ip6},
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
	// Below 5 threads the runtime itself doesn't start.
	const nobody = 54321 // who has no other process
	for n := 5; n < 14; n++ {
		got := limited(fmt.Sprintf("--nproc=%d", n), nobody, fmt.Sprintf("-n -q 1 %v", p.Target.V4()))
		if got.code != 0 && got != (outcome{"", "no more threads (ulimit -u): resource temporarily unavailable\n", 1}) {
			t.Errorf("%d threads: %v", n, got)
		}
	}
}
