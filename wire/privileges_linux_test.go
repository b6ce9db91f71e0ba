package wire

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// To drop privileges is to change the process, so each test runs a helper: the test binary again, installed and
// started as the case wants. It reads one command a line and answers each with a line of JSON. What holds of its
// threads is read from outside, in /proc.

const helperVariable = "WIRE_TEST_PRIVILEGES_HELPER"

// Before TestMain, whatever that does.
func init() {
	if os.Getenv(helperVariable) != "" {
		os.Exit(privilegesHelper(os.Stdin, os.Stdout))
	}
}

const (
	nobody  = 65534
	service = 4243 // a user that a program may be installed set-user-ID to
	group   = 4242 // a supplementary group of callers
)

// What name look-ups find in the helper's world.
const (
	dnsName   = "dns.example"
	hostsName = "hosts.example"
	dnsAddr   = "192.0.2.1"
	hostsAddr = "192.0.2.2"
	tcpName   = "wiretest"
	tcpPort   = 7777
)

// --- the helper ---

type helper struct {
	raw     int           // a raw ICMP socket, or -1
	threads []chan func() // to be run by threads that are older than the drop
}

// dropped is the answer to "drop".
type dropped struct {
	Error   string
	Refused bool // errors.Is(err, ErrNotDropped)
	Missing []string
	Took    time.Duration
}

func privilegesHelper(in io.Reader, out io.Writer) int {
	h := &helper{raw: -1}
	enc := json.NewEncoder(out)
	for {
		line, err := readLine(in)
		if err != nil {
			return 0
		}
		command, argument, _ := strings.Cut(line, " ")
		answer, err := h.run(command, argument)
		if err != nil {
			answer = err.Error()
		}
		if err := enc.Encode(answer); err != nil {
			return 3
		}
	}
}

// readLine reads no further than to the end of the line: what follows may be for the program that this one executes.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		if _, err := io.ReadFull(in, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
	}
}

// run executes a command. The answer to those that can only work or fail is "" or the error.
func (h *helper) run(command, argument string) (any, error) {
	switch command {
	case "caller":
		return Caller(), nil
	case "isolated": // in namespaces of its own: make them a place to test in
		return "", isolated()
	case "threads":
		n, err := strconv.Atoi(argument)
		if err != nil {
			return nil, err
		}
		h.startThreads(n)
		return "", nil
	case "open":
		err := raise()
		if err != nil {
			return "", err
		}
		h.raw, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		return "", err
	case "drop":
		start := time.Now()
		missing, err := Drop()
		d := dropped{Took: time.Since(start), Refused: errors.Is(err, ErrNotDropped)}
		if err != nil {
			d.Error = err.Error()
		}
		for _, m := range missing {
			d.Missing = append(d.Missing, m.Error())
		}
		return d, nil
	case "trap": // the trap of set-user-ID programs
		if err := dropCapabilities(0, 0); err != nil {
			return nil, err
		}
		return "", checkDropped(unix.Getuid(), unix.Getgid())
	case "deny":
		return "", deny(strings.Fields(argument))
	case "shut":
		return "", shutDoors(0, 0)
	case "exec": // answers only if it fails
		return "", unix.Exec(installed, []string{installed}, os.Environ())
	case "read":
		_, err := os.ReadFile(argument)
		return "", err
	case "regain":
		return h.regain(), nil
	case "churn":
		n, err := strconv.Atoi(argument)
		if err != nil {
			return nil, err
		}
		return "", h.churn(n)
	}
	return nil, fmt.Errorf("unknown command %q", command)
}

// deniable are the system calls that a kernel or container may not have, and the error that it then gives. Without an
// error it only pretends.
var deniable = map[string]struct {
	call  uint32
	errno syscall.Errno
}{
	"landlock":  {unix.SYS_LANDLOCK_CREATE_RULESET, unix.ENOSYS},
	"seccomp":   {unix.SYS_SECCOMP, unix.EPERM},
	"capset":    {unix.SYS_CAPSET, unix.EPERM},
	"setresuid": {sysSetresuid, unix.EAGAIN},

	"capset-pretended":    {unix.SYS_CAPSET, 0},
	"setresuid-pretended": {sysSetresuid, 0},
	"setresgid-pretended": {sysSetresgid, 0},
}

// deny takes system calls away, as a container does.
func deny(names []string) error {
	code := []bpf.Instruction{bpf.LoadAbsolute{Off: 0, Size: 4}}
	for _, name := range names {
		d := deniable[name]
		code = append(code, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: d.call, SkipTrue: 1},
			bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(d.errno)})
	}
	raw, err := bpf.Assemble(append(code, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
	if err != nil {
		return err
	}
	var program []unix.SockFilter
	for _, r := range raw {
		program = append(program, unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K})
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	return nil
}

// startThreads makes n threads that exist before privileges are dropped.
func (h *helper) startThreads(n int) {
	for range n {
		work, ready := make(chan func()), make(chan struct{})
		h.threads = append(h.threads, work)
		go func() {
			runtime.LockOSThread()
			close(ready)
			for f := range work {
				f()
			}
		}()
		<-ready
	}
}

// regain tries the ways back in this thread and all others. Where they disagree, one that succeeds counts.
func (h *helper) regain() map[string]string {
	all := regain()
	for _, thread := range h.threads {
		done := make(chan map[string]string)
		thread <- func() { done <- regain() }
		for name, failure := range <-done {
			all[name] = min(all[name], failure)
		}
	}
	return all
}

// regain tries the ways back to privileges, and says how each failed: "" if it didn't.
func regain() map[string]string {
	junk := make([]byte, 4096)
	at := uintptr(unsafe.Pointer(&junk[0]))
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	caps := [2]unix.CapUserData{{Effective: 1 << unix.CAP_NET_RAW, Permitted: 1 << unix.CAP_NET_RAW}}
	path := func(p string) uintptr {
		b := append([]byte(p), 0)
		return uintptr(unsafe.Pointer(&b[0]))
	}
	const cwd = ^uintptr(99) // AT_FDCWD, -100
	results := make(map[string]string)
	try := func(name string, call uintptr, a ...uintptr) {
		a = append(a, 0, 0, 0, 0, 0, 0)
		r, _, errno := unix.RawSyscall6(call, a[0], a[1], a[2], a[3], a[4], a[5])
		if call == unix.SYS_CLONE && errno == 0 && r == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 9, 0, 0) // the child that there should not be
		}
		results[name] = ""
		if errno != 0 {
			results[name] = unix.ErrnoName(errno)
		}
	}
	try("setuid", unix.SYS_SETUID, 0)
	try("setresuid", sysSetresuid, 0, 0, 0)
	try("setgid", unix.SYS_SETGID, 0)
	try("raw socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	try("raw IPv6 socket", unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW)
	try("packet socket", unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_DGRAM, 0)
	try("unix socket", unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)
	try("capset", unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&caps)))
	try("execve", unix.SYS_EXECVE, path("/proc/self/exe"))
	try("open /etc/shadow", unix.SYS_OPENAT, cwd, path("/etc/shadow"), unix.O_RDONLY)
	try("open /proc/self/mem", unix.SYS_OPENAT, cwd, path("/proc/self/mem"), unix.O_RDONLY)
	try("list /etc", unix.SYS_OPENAT, cwd, path("/etc"), unix.O_RDONLY|unix.O_DIRECTORY)
	try("create a file", unix.SYS_OPENAT, cwd, path("/tmp/x"), unix.O_CREAT|unix.O_WRONLY, 0o600)
	try("fork", unix.SYS_CLONE, uintptr(unix.SIGCHLD))
	try("user namespace", unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD))
	try("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	try("ptrace", unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(unix.Getpid()))
	try("be dumpable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	try("kill init", unix.SYS_KILL, 1, 0)
	try("executable memory", sysMmap, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	try("type into the terminal", unix.SYS_IOCTL, 0, unix.TIOCSTI, at)
	try("io_uring", unix.SYS_IO_URING_SETUP, 1, at)
	try("seccomp", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, at)
	runtime.KeepAlive(junk)
	return results
}

// regainWant is how they fail where the kernel has Landlock and seccomp.
var regainWant = map[string]string{
	"setuid": "ENOSYS", "setresuid": "ENOSYS", "setgid": "ENOSYS", "raw socket": "EPERM", "raw IPv6 socket": "EPERM",
	"packet socket": "EPERM", "unix socket": "EPERM", "capset": "ENOSYS", "execve": "ENOSYS", "open /etc/shadow": "EACCES",
	"open /proc/self/mem": "EACCES", "list /etc": "EACCES", "create a file": "EPERM", "fork": "EPERM", "user namespace": "EPERM",
	"unshare": "ENOSYS", "ptrace": "ENOSYS", "be dumpable": "EPERM", "kill init": "EPERM", "executable memory": "EPERM",
	"type into the terminal": "EPERM", "io_uring": "ENOSYS", "seccomp": "ENOSYS",
}

// churn does n times what the Go runtime, the resolver and the sockets can be asked to do.
func (h *helper) churn(n int) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1)
	defer signal.Stop(signals)
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer udp.Close()
	for i := range n {
		var work sync.WaitGroup
		for g := range 32 {
			work.Go(func() {
				if g%8 == 0 {
					runtime.LockOSThread() // and never unlocked: the thread ends here, and another one has to be made
				}
				deepen(200, make([]byte, 1<<15))
				time.Sleep(time.Duration(g) * 10 * time.Microsecond)
			})
		}
		runtime.GC()
		if i%10 == 0 {
			debug.FreeOSMemory()
		}
		if err := unix.Kill(unix.Getpid(), unix.SIGUSR1); err != nil {
			return fmt.Errorf("signal to oneself: %w", err)
		}
		<-signals
		if err := udp.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return err
		}
		if _, _, err := udp.ReadFromUDP(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("reading with a deadline: %w", err)
		}
		if h.raw >= 0 {
			if err := ping(h.raw, uint16(i)); err != nil {
				return fmt.Errorf("round trip %d on the raw socket: %w", i, err)
			}
		}
		if err := lookUp(); err != nil {
			return fmt.Errorf("name look-up %d: %w", i, err)
		}
		work.Wait()
	}
	return nil
}

// deepen makes the stack grow.
func deepen(n int, b []byte) int {
	var frame [128]byte
	if n == 0 {
		return len(b)
	}
	frame[n%128] = 1
	return deepen(n-1, b) + int(frame[0])
}

// ping is one ICMP echo on loopback, by a raw socket that was opened before.
func ping(fd int, seq uint16) error {
	echo := make([]byte, 8)
	echo[0] = 8
	binary.BigEndian.PutUint16(echo[4:], uint16(os.Getpid()))
	binary.BigEndian.PutUint16(echo[6:], seq)
	var sum uint32
	for i := 0; i < len(echo); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(echo[i:]))
	}
	binary.BigEndian.PutUint16(echo[2:], ^uint16(sum+sum>>16))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	if err := unix.Sendto(fd, echo, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	b := make([]byte, 128)
	for {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 28 && b[20] == 0 && string(b[24:28]) == string(echo[4:8]) {
			return nil
		}
	}
}

// lookUp resolves by each way that names have.
func lookUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r := &net.Resolver{PreferGo: true}
	for name, want := range map[string]string{dnsName: dnsAddr, hostsName: hostsAddr} {
		addrs, err := r.LookupHost(ctx, name)
		if err != nil {
			return err
		}
		if !slices.Equal(addrs, []string{want}) {
			return fmt.Errorf("%s is %v, want %s", name, addrs, want)
		}
		names, err := r.LookupAddr(ctx, want)
		if err != nil {
			return err
		}
		if len(names) != 1 || strings.TrimSuffix(names[0], ".") != name {
			return fmt.Errorf("%s is %v, want %s", want, names, name)
		}
	}
	if port, err := r.LookupPort(ctx, "tcp", tcpName); err != nil || port != tcpPort {
		return fmt.Errorf("port %s is %d, %v", tcpName, port, err)
	}
	if _, err := net.InterfaceByName("lo"); err != nil {
		return err
	}
	return loopback(unix.SIOCGIFINDEX, 0)
}

// --- the place ---

// isolated makes the network and mount namespaces of this thread a place to test in: loopback is up, a DNS server
// listens on it, and /etc and /run hold what is written here.
func isolated() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	for _, dir := range []string{"/etc", "/run"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("tmpfs on %s: %w", dir, err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(resolvConf), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(".."+resolvConf, "/etc/resolv.conf"); err != nil {
		return err
	}
	for path, text := range map[string]string{
		resolvConf:           "nameserver 127.0.0.1\n",
		"/etc/hosts":         hostsAddr + " " + hostsName + "\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
		"/etc/services":      fmt.Sprintf("%s %d/tcp\n", tcpName, tcpPort),
		"/etc/passwd":        fmt.Sprintf("nobody:x:%d:%d::/:/bin/sh\n", nobody, nobody), // for strace -u
		"/etc/group":         fmt.Sprintf("nogroup:x:%d:\n", nobody),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/etc/shadow", []byte("root:*:1::::::\n"), 0o600); err != nil {
		return err
	}
	if err := loopback(unix.SIOCSIFFLAGS, unix.IFF_UP|unix.IFF_RUNNING); err != nil {
		return fmt.Errorf("loopback up: %w", err)
	}
	return serveDNS()
}

// resolvConf is what /etc/resolv.conf points to, as on a system with systemd-resolved.
const resolvConf = "/run/systemd/resolve/stub-resolv.conf"

// loopback asks or changes something of interface lo, netdevice(7).
func loopback(request uint, flags uint16) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifreq, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifreq.SetUint16(flags)
	return unix.IoctlIfreq(fd, request, ifreq)
}

// serveDNS answers for dnsName and dnsAddr, until the process or the test's network namespace ends.
func serveDNS() error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53})
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if answer, err := answerDNS(b[:n]); err == nil {
				conn.WriteToUDPAddrPort(answer, from)
			}
		}
	}()
	return nil
}

func answerDNS(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable = true, true
	m.Additionals = nil
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
	switch {
	case q.Type == dnsmessage.TypeA && q.Name.String() == dnsName+".":
		a := netip.MustParseAddr(dnsAddr).As4()
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: a}}}
	case q.Type == dnsmessage.TypePTR && q.Name.String() == "1.2.0.192.in-addr.arpa.":
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(dnsName + ".")}}}
	case q.Name.String() != dnsName+".":
		m.RCode = dnsmessage.RCodeNameError
	}
	return m.Pack()
}

// needRealRoot: only root of the initial user namespace can install programs for others and start them as others.
func needRealRoot(t *testing.T) {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err == nil && os.Geteuid() == 0 && slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"}) {
		return
	}
	notTested(t, "needs root of the initial user namespace")
}

// notTested skips the test, but not where CI has to run it.
func notTested(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what + ", and CI has to run this test")
	}
	t.Skip("NOT TESTED: " + what)
}

// inIsolation moves the test's thread into namespaces of its own. They end with the test, and the thread too. Not for
// subtests to inherit.
func inIsolation(t *testing.T) {
	t.Helper()
	needRealRoot(t)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		notTested(t, fmt.Sprintf("needs namespaces: %v", err))
	}
	if err := isolated(); err != nil {
		t.Fatal(err)
	}
}

// --- driving a helper ---

// installation is how the program is installed.
type installation struct {
	owner, group int
	mode         uint32 // with unix.S_ISUID, unix.S_ISGID
	netRaw       bool   // cap_net_raw=ep
	permitted    bool   // cap_net_raw=p
}

// installed is where, in the test's own mounts: every caller may go there, and it isn't mounted nosuid.
const installed = "/run/helper"

func (i installation) write(t *testing.T) {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(installed, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chown(installed, i.owner, i.group); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(installed, 0o755|i.mode); err != nil { // after chown, which clears these bits
		t.Fatal(err)
	}
	if i.netRaw || i.permitted {
		// struct vfs_cap_data, linux/capability.h: revision 2, effective; permitted and inheritable, lower and upper half
		caps := make([]byte, 20)
		binary.LittleEndian.PutUint32(caps, 0x02000000)
		if i.netRaw {
			caps[0] |= 1
		}
		binary.LittleEndian.PutUint32(caps[4:], 1<<unix.CAP_NET_RAW)
		if err := unix.Setxattr(installed, "security.capability", caps, 0); err != nil {
			t.Fatal(err)
		}
	}
}

type helperProcess struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// patience ends helpers that hang, so that the test fails where they did.
const patience = time.Minute

// startHelper runs a helper in the namespaces of this thread. It is gone when the test ends.
func startHelper(t *testing.T, attr *syscall.SysProcAttr, path string, arguments ...string) (*helperProcess, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.Env = []string{helperVariable + "=1"}
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &helperProcess{t: t, cmd: cmd, in: in, out: json.NewDecoder(out)}
	t.Cleanup(func() { // after t.Context has ended it
		if cmd.ProcessState == nil {
			cmd.Wait()
		}
	})
	return r, nil
}

// do sends a command and reads its answer.
func (r *helperProcess) do(command string, answer any) {
	r.t.Helper()
	if _, err := fmt.Fprintln(r.in, command); err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	var raw json.RawMessage
	if err := r.out.Decode(&raw); err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		r.t.Fatalf("%s: %s", command, raw)
	}
}

// must is do for a command that has to work.
func (r *helperProcess) must(command string) {
	r.t.Helper()
	if s := r.says(command); s != "" {
		r.t.Fatalf("%s: %s", command, s)
	}
}

// says is do for a command that works or fails.
func (r *helperProcess) says(command string) (s string) {
	r.t.Helper()
	r.do(command, &s)
	return s
}

// end lets the helper finish, which it must do by itself and well.
func (r *helperProcess) end() {
	r.t.Helper()
	r.in.Close()
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("the helper ended with %v", err)
	}
}

// threads are the status files of all threads, field by field.
func (r *helperProcess) threads() []map[string]string {
	r.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	var all []map[string]string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // a thread that has ended
		}
		if err != nil {
			r.t.Fatal(err)
		}
		status := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			status[name] = strings.Join(strings.Fields(value), " ")
		}
		all = append(all, status)
	}
	if len(all) == 0 {
		r.t.Fatal("no threads to look at")
	}
	return all
}

// checkThreads compares every thread's status with what is wanted.
func (r *helperProcess) checkThreads(want map[string]string) {
	r.t.Helper()
	for i, status := range r.threads() {
		for name, value := range want {
			if status[name] != value {
				r.t.Errorf("thread %d: %s is %q, want %q", i, name, status[name], value)
			}
		}
	}
}

const noCapabilities = "0000000000000000"

// droppedStatus is what every thread's status has to say after Drop.
func droppedStatus(uid, gid int, groups string) map[string]string {
	four := func(id int) string { return strings.Repeat(strconv.Itoa(id)+" ", 3) + strconv.Itoa(id) }
	return map[string]string{
		"Uid": four(uid), "Gid": four(gid), "Groups": groups,
		"CapInh": noCapabilities, "CapPrm": noCapabilities, "CapEff": noCapabilities, "CapAmb": noCapabilities,
		"NoNewPrivs": "1", "Seccomp": "2",
	}
}

// drop has the helper drop its privileges, and checks what it says about it.
func (r *helperProcess) drop() (complete bool) {
	r.t.Helper()
	var d dropped
	r.do("drop", &d)
	if d.Error != "" {
		r.t.Fatalf("Drop: %s", d.Error)
	}
	r.t.Logf("Drop took %v, with %d threads", d.Took, len(r.threads()))
	if len(d.Missing) > 0 {
		if os.Getenv("CI") == "true" {
			r.t.Errorf("the kernel has to have all of it in CI, but: %q", d.Missing)
		}
		r.t.Logf("NOT TESTED: %q", d.Missing)
	}
	return len(d.Missing) == 0
}

// checkConfined has the helper try all ways back, and work.
func (r *helperProcess) checkConfined(rounds int) {
	r.t.Helper()
	var got map[string]string
	r.do("regain", &got)
	for _, name := range slices.Sorted(maps.Keys(regainWant)) {
		if got[name] != regainWant[name] {
			r.t.Errorf("%s: error %q, want %q", name, got[name], regainWant[name])
		}
	}
	r.must("churn " + strconv.Itoa(rounds))
	for _, file := range lookupFiles[:4] {
		r.must("read " + file)
	}
}

// builtWithCgo reports a build in which Go can't reach all threads.
func builtWithCgo() bool {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0)
	return errno == unix.ENOTSUP
}

// needAllThreads: in a build with cgo Drop only fails (TestDropNeedsAllThreads). The race detector is one.
func needAllThreads(t *testing.T) {
	t.Helper()
	if !builtWithCgo() {
		return
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("NOT TESTED: the race detector needs cgo")
	}
	notTested(t, "needs a build with CGO_ENABLED=0")
}

func TestDrop(t *testing.T) {
	needAllThreads(t)
	credential := func(uid, gid int, groups ...uint32) *syscall.Credential {
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}
	}
	user := credential(nobody, nobody, group)
	for _, tt := range []struct {
		name    string
		install installation
		attr    syscall.SysProcAttr

		before Identity          // as the helper sees it, and
		status map[string]string // as the kernel does, before
		raised map[string]string // as it does when the sockets are open
		shadow bool              // could it read /etc/shadow?
		groups string            // afterwards
	}{
		{
			name:   "root",
			attr:   syscall.SysProcAttr{Credential: credential(0, 0, group)},
			before: Identity{NetRaw: true, AnyFile: true},
			status: map[string]string{"Groups": "4242"},
			shadow: true,
		},
		{
			name:    "file capability",
			install: installation{netRaw: true},
			attr:    syscall.SysProcAttr{Credential: user},
			before:  Identity{RealUID: nobody, EffectiveUID: nobody, RealGID: nobody, EffectiveGID: nobody, Elevated: true, NetRaw: true},
			status:  map[string]string{"CapEff": "0000000000002000"},
			groups:  "4242",
		},
		{
			name:    "file capability, permitted and not effective",
			install: installation{permitted: true},
			attr:    syscall.SysProcAttr{Credential: user},
			before:  Identity{RealUID: nobody, EffectiveUID: nobody, RealGID: nobody, EffectiveGID: nobody, Elevated: true, NetRaw: true},
			status:  map[string]string{"CapEff": noCapabilities, "CapPrm": "0000000000002000"},
			raised:  map[string]string{"CapEff": "0000000000002000", "CapPrm": "0000000000002000"},
			groups:  "4242",
		},
		{
			name:    "set-user-ID",
			install: installation{mode: unix.S_ISUID},
			attr:    syscall.SysProcAttr{Credential: user},
			before:  Identity{RealUID: nobody, RealGID: nobody, EffectiveGID: nobody, Elevated: true, NetRaw: true, AnyFile: true},
			status:  map[string]string{"Uid": "65534 0 0 0", "Groups": "4242"},
			shadow:  true,
		},
		{
			name:    "set-user-ID and set-group-ID",
			install: installation{mode: unix.S_ISUID | unix.S_ISGID},
			attr:    syscall.SysProcAttr{Credential: user},
			before:  Identity{RealUID: nobody, RealGID: nobody, Elevated: true, NetRaw: true, AnyFile: true},
			status:  map[string]string{"Uid": "65534 0 0 0", "Gid": "65534 0 0 0"},
			shadow:  true,
		},
		{
			name:    "set-group-ID",
			install: installation{mode: unix.S_ISGID},
			attr:    syscall.SysProcAttr{Credential: user},
			before:  Identity{RealUID: nobody, EffectiveUID: nobody, RealGID: nobody, Elevated: true},
			status:  map[string]string{"Gid": "65534 0 0 0"},
			groups:  "4242",
		},
		{
			name:    "set-user-ID to an ordinary user, with a file capability",
			install: installation{owner: service, group: service, mode: unix.S_ISUID, netRaw: true},
			attr:    syscall.SysProcAttr{Credential: user},
			before:  Identity{RealUID: nobody, EffectiveUID: service, RealGID: nobody, EffectiveGID: nobody, Elevated: true, NetRaw: true},
			status:  map[string]string{"Uid": "65534 4243 4243 4243"},
			groups:  "4242",
		},
		{
			name:   "ambient capability",
			attr:   syscall.SysProcAttr{Credential: user, AmbientCaps: []uintptr{unix.CAP_NET_RAW}},
			before: Identity{RealUID: nobody, EffectiveUID: nobody, RealGID: nobody, EffectiveGID: nobody, NetRaw: true},
			status: map[string]string{"CapAmb": "0000000000002000", "CapInh": "0000000000002000"},
			groups: "4242",
		},
		{
			name:   "no privilege",
			attr:   syscall.SysProcAttr{Credential: user},
			before: Identity{RealUID: nobody, EffectiveUID: nobody, RealGID: nobody, EffectiveGID: nobody},
			status: map[string]string{"CapEff": noCapabilities},
			groups: "4242",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inIsolation(t)
			tt.install.write(t)
			r, err := startHelper(t, &tt.attr, installed)
			if err != nil {
				t.Fatal(err)
			}

			var id Identity
			r.do("caller", &id)
			id.NetAdmin = tt.before.NetAdmin // depends on where root is root
			if id != tt.before {
				t.Fatalf("before: %+v, want %+v", id, tt.before)
			}
			r.checkThreads(tt.status)
			if s := r.says("read /etc/shadow"); (s == "") != tt.shadow {
				t.Fatalf("before: reading /etc/shadow: %q", s)
			}
			r.must("threads 8")
			if len(r.threads()) < 9 {
				t.Fatal("there are no threads to reach")
			}
			if s := r.says("open"); (s == "") != tt.before.NetRaw {
				t.Fatalf("before: opening a raw socket: %q", s)
			}
			r.checkThreads(tt.raised)

			complete := r.drop()
			want := droppedStatus(id.RealUID, id.RealGID, tt.groups)
			if !complete {
				delete(want, "Seccomp")
			}
			r.checkThreads(want)
			var after Identity
			r.do("caller", &after)
			if after.SetID() || after.NetRaw || after.NetAdmin || after.AnyFile {
				t.Errorf("after: %+v", after)
			}
			if complete {
				r.checkConfined(20)
			}
			r.checkThreads(want) // new threads too

			// A process that isn't dumpable belongs to root, so that its user can't take it over.
			var st unix.Stat_t
			if err := unix.Stat(fmt.Sprintf("/proc/%d/mem", r.cmd.Process.Pid), &st); err != nil || st.Uid != 0 {
				t.Errorf("the process can be traced by user %d (%v)", st.Uid, err)
			}

			// The resolver's file may be replaced while we run.
			if complete {
				if err := os.WriteFile(resolvConf+".new", []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(resolvConf+".new", resolvConf); err != nil {
					t.Fatal(err)
				}
				r.must("read /etc/resolv.conf")
			}
			r.end()
		})
	}
}

// Any user can be root in a user namespace: there the same holds, without root outside.
func TestDropInUserNamespace(t *testing.T) {
	needAllThreads(t)
	r, err := startHelper(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}, "/proc/self/exe")
	if err != nil {
		notTested(t, fmt.Sprintf("needs user namespaces: %v", err))
	}
	if s := r.says("isolated"); s != "" {
		notTested(t, "needs user namespaces that give privileges: "+s)
	}
	r.must("open")
	r.must("threads 8")
	groups := r.threads()[0]["Groups"] // setgroups is denied in such a namespace
	complete := r.drop()
	want := droppedStatus(os.Getuid(), os.Getgid(), groups)
	if !complete {
		delete(want, "Seccomp")
	}
	r.checkThreads(want)
	if complete {
		r.checkConfined(20)
	}
	r.end()
}

// What a kernel or container doesn't have is said, but privileges that can't be given up end it all.
func TestDropDenied(t *testing.T) {
	needAllThreads(t)
	for _, tt := range []struct {
		caller  uint32
		deny    string
		missing []string // the beginnings
		error   string   // a part
	}{
		{caller: nobody, deny: "landlock", missing: []string{"landlock: landlock_create_ruleset: function not implemented"}},
		{caller: nobody, deny: "seccomp", missing: []string{"seccomp: seccomp: operation not permitted"}},
		{caller: nobody, deny: "landlock seccomp", missing: []string{"landlock: ", "seccomp: "}},
		{caller: nobody, deny: "capset", error: "capset in all threads: operation not permitted"},
		{caller: nobody, deny: "setresuid", error: "setresuid 65534: resource temporarily unavailable"},
		{caller: nobody, deny: "setresuid-pretended", error: "user ids are 65534, 0, 0 instead of 65534"},
		{caller: nobody, deny: "setresgid-pretended", error: "group ids are 65534, 0, 0 instead of 65534"},
		// Root gains nothing by what can't be given up.
		{caller: 0, deny: "capset", missing: []string{"privileges can't be given up: capset in all threads: operation not permitted", "privileges can't be given up: capabilities are left"}},
		{caller: 0, deny: "capset-pretended", missing: []string{"privileges can't be given up: capabilities are left"}},
	} {
		t.Run(tt.deny, func(t *testing.T) {
			inIsolation(t)
			installation{mode: unix.S_ISUID | unix.S_ISGID}.write(t)
			r, err := startHelper(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.caller, Gid: tt.caller}}, installed)
			if err != nil {
				t.Fatal(err)
			}
			r.must("deny " + tt.deny)
			var d dropped
			r.do("drop", &d)
			if d.Refused != (tt.error != "") || !strings.Contains(d.Error, tt.error) {
				t.Errorf("Drop: %+v, want %q", d, tt.error)
			}
			if !slices.EqualFunc(d.Missing, tt.missing, strings.HasPrefix) {
				t.Errorf("%d: missing: %q, want %q", tt.caller, d.Missing, tt.missing)
			}
			if tt.error == "" && tt.caller == nobody {
				r.checkThreads(droppedStatus(nobody, nobody, ""))
			}
			r.end()
		})
	}
}

// To clear the capabilities of a set-user-ID program leaves its user id: what they would allow, it still owns.
func TestCapabilitiesAloneAreNotEnough(t *testing.T) {
	needAllThreads(t)
	inIsolation(t)
	installation{mode: unix.S_ISUID}.write(t)
	r, err := startHelper(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}, installed)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.says("trap"); !strings.Contains(s, "user ids are 65534, 0, 0") {
		t.Errorf("the check says %q", s)
	}
	r.checkThreads(map[string]string{"CapEff": noCapabilities, "CapPrm": noCapabilities, "Uid": "65534 0 0 0"})
	r.must("read /etc/shadow")
	r.end()
}

// A program with privileges gives them to whoever executes it, and root's user id alone gives all of them, as far as
// the bounding set goes: PR_SET_NO_NEW_PRIVS makes an end of both, with the bounding set as it was.
func TestExecGivesNothingBack(t *testing.T) {
	needAllThreads(t)
	for name, tt := range map[string]struct {
		install installation
		uid     uint32
	}{
		"root":            {installation{}, 0},
		"file capability": {installation{netRaw: true}, nobody},
	} {
		for _, shut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, doors shut %v", name, shut), func(t *testing.T) {
				inIsolation(t)
				tt.install.write(t)
				r, err := startHelper(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.uid, Gid: tt.uid}}, installed)
				if err != nil {
					t.Fatal(err)
				}
				r.says("trap")
				r.checkThreads(map[string]string{"CapEff": noCapabilities, "CapPrm": noCapabilities})
				if shut {
					r.must("shut")
				}
				if _, err := fmt.Fprintln(r.in, "exec"); err != nil {
					t.Fatal(err)
				}
				var id Identity
				r.do("caller", &id)
				if id.NetRaw == shut {
					t.Errorf("after execve: %+v", id)
				}
				for _, status := range r.threads() {
					if status["CapBnd"] == noCapabilities {
						t.Errorf("CapBnd is empty: this shows nothing")
					}
				}
				r.end()
			})
		}
	}
}

// From execve to the end of privileges nothing is opened, looked up or sent that a caller or a network could have made.
func TestNothingIsReadBeforeDrop(t *testing.T) {
	needAllThreads(t)
	strace, err := exec.LookPath("strace")
	if err != nil {
		notTested(t, "needs strace")
	}
	for name, in := range map[string]installation{
		"file capability": {netRaw: true},
		"set-user-ID":     {mode: unix.S_ISUID},
	} {
		t.Run(name, func(t *testing.T) {
			inIsolation(t)
			in.write(t)
			log := filepath.Join(t.TempDir(), "strace.log")
			r, err := startHelper(t, nil, strace, "-f", "-qq", "-o", log, "-u", "nobody", installed)
			if err != nil {
				t.Fatal(err)
			}
			r.must("open")
			r.drop()
			r.must("churn 3")
			r.end()
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			before, after, found := strings.Cut(string(text), " capset(")
			if !found || !strings.Contains(before, " execve(") || !strings.Contains(before, "SOCK_RAW") {
				t.Fatal("the log doesn't show execve, socket and capset")
			}
			for line := range strings.Lines(before) {
				if readsBeforeDrop(line) {
					t.Errorf("before the drop: %s", line)
				}
			}
			// The gate has to see what it is there for.
			if !strings.Contains(after, "/etc/hosts") || !slices.ContainsFunc(strings.Split(after, "\n"), readsBeforeDrop) {
				t.Error("the log doesn't show the look-ups after the drop")
			}
			// Neither the runtime nor the resolver misses a call. What isn't the filter's: epoll doesn't take regular files,
			// and strace shows the register that rt_sigreturn restores.
			for line := range strings.Lines(after) {
				denied := strings.Contains(line, " ENOSYS ") || strings.Contains(line, " EPERM ") || strings.Contains(line, " EACCES ")
				if denied && !strings.Contains(line, "epoll_ctl") && !strings.Contains(line, "rt_sigreturn") {
					t.Errorf("after the drop: %s", line)
				}
			}
		})
	}
}

// readsBeforeDrop reports whether this line of strace's is something that has to wait until privileges are gone. The
// runtime itself looks at /proc and /sys.
func readsBeforeDrop(line string) bool {
	_, call, _ := strings.Cut(strings.TrimSpace(line), " ")
	name, arguments, _ := strings.Cut(strings.TrimSpace(call), "(")
	switch name {
	case "open", "openat", "openat2", "stat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat":
		_, path, _ := strings.Cut(arguments, `"`)
		path, _, _ = strings.Cut(path, `"`)
		return !strings.HasPrefix(path, "/proc/") && !strings.HasPrefix(path, "/sys/") && path != ""
	case "connect", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "bind":
		return true
	case "socket":
		return !strings.Contains(arguments, "SOCK_RAW")
	case "execve":
		return false // strace's own is the first line, and there is no other that works
	}
	return false
}
