package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// What the program does with privileges, seen from outside: the kernel's word on every thread, what a caller gets out of
// a program that has more rights than he, and what is done while it has them. All of it in this network:
//
//	source ------- r1 ------- r2 ------- target    port 80 open, all others closed; r2 swallows what goes to port 81
//	       .1.1  .1.2   .2.1 .2.2  .3.1 .3.2       of 198.18.0.0/16 and 2001:db8::/32
//	TTL            1          2          3

const (
	ordinary = 65534 // user and group id of the caller who isn't root
	extra    = 4242  // a supplementary group of every caller
)

// install is a way in which a caller gets the program, and rights with it.
type install struct {
	name         string
	caller       uint32
	mode         os.FileMode // of the file
	capabilities []int       // of the file
	ambient      []uintptr   // of the caller
	groups       string      // left in the end: without CAP_SETGID nobody can give up his own
}

var (
	asRoot     = install{name: "root", mode: 0o755}
	fileCap    = install{name: "file capability", caller: ordinary, mode: 0o755, capabilities: []int{unix.CAP_NET_RAW}, groups: strconv.Itoa(extra)}
	setUserID  = install{name: "set-user-ID", caller: ordinary, mode: 0o4755}
	ambientCap = install{name: "ambient capability", caller: ordinary, mode: 0o755, ambient: []uintptr{unix.CAP_NET_RAW}, groups: strconv.Itoa(extra)}
	plain      = install{name: "no privilege", caller: ordinary, mode: 0o755}

	installs = []install{asRoot, fileCap, setUserID, ambientCap} // that may trace
)

// privilegesLab is the network and the way to install the program there.
func privilegesLab(t testing.TB) *lab.Path {
	t.Helper()
	lab.NeedRoot(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	p.Hop(2).Mangle(t, "tcp dport 81 drop")
	return p
}

// command prepares the program as this install has it.
func (in *install) command(ctx context.Context, h *lab.Host, path string, args ...string) *lab.Cmd {
	cmd := h.Command(ctx, path, args...)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: in.caller, Gid: in.caller, Groups: []uint32{extra}}
	cmd.SysProcAttr.AmbientCaps = in.ambient
	return cmd
}

// run runs the program to its end.
func (in *install) run(t testing.TB, h *lab.Host, path string, args ...string) outcome {
	t.Helper()
	return finish(t, func(ctx context.Context) *lab.Cmd { return in.command(ctx, h, path, args...) })
}

// place installs the program, and returns its path.
func (in *install) place(t testing.TB, program string) string {
	t.Helper()
	return lab.Install(t, program, in.mode, in.capabilities...)
}

// sentTCP are the TCP segments that a capture saw leaving.
func sentTCP(t testing.TB, packets []lab.Packet) (segments []packet.Reply, at []time.Time) {
	t.Helper()
	for _, pk := range packets {
		var r packet.Reply
		if !pk.Out {
			continue
		}
		if err := packet.Parse(pk.Data, &r); err != nil {
			t.Fatalf("a packet that left can't be read: %v", err)
		}
		if r.Kind == packet.KindTCP {
			segments, at = append(segments, r), append(at, pk.Time)
		}
	}
	return segments, at
}

// lookedUp gives the source a name server of its own, and with it names for the routers and the target: they stand in no
// file, so who knows them has asked.
func lookedUp(t testing.TB, h *lab.Host) {
	t.Helper()
	h.SetFile(t, "/etc/resolv.conf", "nameserver 127.0.0.1\n")
	h.SetFile(t, "/etc/nsswitch.conf", "hosts: files dns\n")
	h.SetFile(t, "/etc/hosts", "")
	serveDNS(t, h, answerQuery)
}

// serveDNS answers questions to the DNS inside a host, on 127.0.0.1, but for those whose answer is an error, until t ends.
func serveDNS(t testing.TB, h *lab.Host, answer func(query []byte) ([]byte, error)) {
	t.Helper()
	var conn net.PacketConn
	h.Do(t, func() {
		var err error
		if conn, err = net.ListenPacket("udp4", "127.0.0.1:53"); err != nil {
			t.Fatal(err)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if b, err := answer(buf[:n]); err == nil {
				conn.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
}

// zone is what the name server knows: names by address and addresses by name.
var zone = map[dnsmessage.Type]map[string]string{
	dnsmessage.TypePTR: {
		"2.1.18.198.in-addr.arpa.": "gw.example.",
		"2.3.18.198.in-addr.arpa.": "www.example.",
		"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.": "gw6.example.",
	},
	dnsmessage.TypeA:    {"www.example.": "198.18.3.2"},
	dnsmessage.TypeAAAA: {"www.example.": "2001:db8:3::2"},
}

// answerQuery is a name server.
func answerQuery(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	known, ok := zone[q.Type][q.Name.String()]
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
		return m.Pack()
	}
	var body dnsmessage.ResourceBody
	switch q.Type {
	case dnsmessage.TypePTR:
		body = &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(known)}
	case dnsmessage.TypeA:
		body = &dnsmessage.AResource{A: netip.MustParseAddr(known).As4()}
	case dnsmessage.TypeAAAA:
		body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(known).As16()}
	}
	m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: body}}
	return m.Pack()
}

// However the program was given its rights, its traces are the same, and once a packet is out nothing is left of them, in
// no thread. What it has to do from then on works: names, answers, and signals of its caller's.
func TestPrivilegesAreGone(t *testing.T) {
	lab.NeedProgram(t, "setpriv")
	t.Parallel()
	p := privilegesLab(t)
	lookedUp(t, p.Source)
	ours := program(t)
	for _, in := range installs {
		t.Run(in.name, func(t *testing.T) {
			path := in.place(t, ours)
			for _, target := range []netip.Addr{p.Target.V4(), p.Target.V6()} {
				o := in.run(t, p.Source, path, "-n", "-q1", target.String())
				want := fmt.Sprintf(" 1  %v  TIME ms\n 2  %v  TIME ms\n 3  %v [open]  TIME ms\n", address(p.Hop(1), target), address(p.Hop(2), target), target)
				if o.code != 0 || aTime.ReplaceAllString(o.stdout, "TIME ms") != want {
					t.Errorf("a trace, want\n%s%v", lines(want), o)
				}
			}
			var o outcome
			eventually(t, "a name in time", func() bool { // the name server is this process
				o = in.run(t, p.Source, path, "-4", "-q1", "www.example")
				return o.code != 0 || strings.Contains(o.stdout, " 1  gw.example (198.18.1.2)  ")
			})
			if o.code != 0 || !strings.Contains(o.stderr, "to www.example (198.18.3.2) on") ||
				!strings.Contains(o.stdout, " 3  www.example (198.18.3.2) [open]  ") {
				t.Errorf("a trace with names: %v", o)
			}
			for _, signal := range []struct {
				number syscall.Signal
				name   string
				target string
				first  string // line of output
			}{
				{syscall.SIGINT, "INT", p.Target.V4().String(), " 1  gw.example (198.18.1.2)  TIME ms"},
				{syscall.SIGTERM, "TERM", p.Target.V6().String(), " 1  gw6.example (2001:db8:1::2)  TIME ms"},
			} {
				t.Run(signal.name, func(t *testing.T) {
					capture := p.Source.Interfaces[0].Capture(t)
					cmd := in.command(t.Context(), p.Source, path, "-q1", "-w10", "-m2", signal.target, "81")
					var stderr bytes.Buffer
					cmd.Stderr = &stderr
					out, err := cmd.StdoutPipe()
					if err != nil {
						t.Fatal(err)
					}
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					eventually(t, "a probe leaves", func() bool {
						segments, _ := sentTCP(t, capture.Packets())
						return len(segments) > 0
					})
					in.checkThreads(t, cmd.Process.Pid)
					stdout := bufio.NewReader(out)
					first, err := stdout.ReadString('\n')
					if err != nil {
						cmd.Wait()
						t.Fatalf("%v: %q, standard error %q", err, first, &stderr)
					}
					in.checkThreads(t, cmd.Process.Pid) // those that names were looked up by, too
					checkNobodyLooksIn(t, p.Source, in.caller, cmd.Process.Pid)

					kill := p.Source.Command(t.Context(), "sh", "-c", `kill -"$0" "$1"`, signal.name, strconv.Itoa(cmd.Process.Pid)).As(in.caller, in.caller)
					if text, err := kill.CombinedOutput(); err != nil {
						t.Fatalf("the caller can't signal the program: %v %s", err, text)
					}
					rest, err := io.ReadAll(stdout)
					if err != nil {
						t.Fatal(err)
					}
					cmd.Wait() // its error is the exit code, below
					o := outcome{first + string(rest), stderr.String(), cmd.ProcessState.ExitCode()}
					if got, want := aTime.ReplaceAllString(first, "TIME ms"), signal.first+"\n"; got != want {
						t.Errorf("what was known: %q, want %q", got, want)
					}
					if o.code != 128+int(signal.number) || !strings.HasSuffix(o.stderr, "\nInterrupted\n") {
						t.Errorf("interrupted: %v", o)
					}
				})
			}
		})
	}
}

var aTime = regexp.MustCompile(`[0-9]+\.[0-9]{3} ms`)

// address is a host's first address in the family of another address.
func address(h *lab.Host, of netip.Addr) netip.Addr {
	if of.Is4() {
		return h.V4()
	}
	return h.V6()
}

const noCapability = "0000000000000000"

// checkThreads reads what the kernel says of every thread of the program.
func (in *install) checkThreads(t *testing.T, pid int) {
	t.Helper()
	four := strings.TrimSuffix(strings.Repeat(strconv.Itoa(int(in.caller))+" ", 4), " ") // real, effective, saved, of the file system
	want := map[string]string{
		"Uid": four, "Gid": four, "Groups": in.groups,
		"CapInh": noCapability, "CapPrm": noCapability, "CapEff": noCapability, "CapAmb": noCapability,
		"NoNewPrivs": "1", "Seccomp": "2",
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads, %v: a Go program has several", len(threads), err)
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			if _, wanted := want[name]; wanted {
				got[name] = strings.Join(strings.Fields(value), " ")
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", file, got, want)
		}
	}
}

// checkNobodyLooksIn checks that the program can't be looked into, and so can't be taken over, by another process that has
// the same ids and no capabilities either (ptrace(2), "Ptrace access mode checking"): it isn't dumpable.
func checkNobodyLooksIn(t *testing.T, h *lab.Host, caller uint32, pid int) {
	t.Helper()
	id := strconv.Itoa(int(caller))
	same := func(args ...string) *lab.Cmd {
		return h.Command(t.Context(), "setpriv", append([]string{"--reuid=" + id, "--regid=" + id, "--clear-groups",
			"--inh-caps=-all", "--bounding-set=-all"}, args...)...)
	}
	look := func(pid int) (string, error) {
		out, err := same("cat", fmt.Sprintf("/proc/%d/maps", pid)).CombinedOutput()
		return string(out), err
	}
	// That it sees an ordinary process shows that it would see this one.
	twin := same("cat")
	in, err := twin.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := twin.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an ordinary process of the same user can be looked into", func() bool {
		out, err := look(twin.Process.Pid)
		return err == nil && strings.Contains(out, "[stack]") && strings.Contains(out, "/cat\n")
	})
	in.Close()
	twin.Wait()
	if out, err := look(pid); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("process %d can be looked into: %v %s", pid, err, out)
	}
}

// Without any right there is a trace all the same, by connections, and one line says so; what needs raw sockets is refused.
func TestNoPrivilege(t *testing.T) {
	t.Parallel()
	p := privilegesLab(t)
	path := plain.place(t, program(t))
	capture := p.Source.Interfaces[0].Capture(t)
	for args, want := range map[string]string{
		"-n --mark 7":  "--mark needs raw sockets, and they need root or the capability CAP_NET_RAW: run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute\n",
		"-n -q1 -p 80": "Sorry, must be root to use -p 80 (it is the source port; for the target's port: tcptraceroute HOST 80)\n",
	} {
		if o := plain.run(t, p.Source, path, append(strings.Fields(args), p.Target.V4().String())...); o != (outcome{"", want, 1}) {
			t.Errorf("%q: %v", args, o)
		}
	}
	if segments, _ := sentTCP(t, capture.Stop(t)); len(segments) != 0 {
		t.Errorf("%d segments sent", len(segments))
	}
	for _, target := range []string{p.Target.V4().String(), p.Target.V6().String()} {
		if o := plain.run(t, p.Source, path, "-n", target); o.code != 0 || !strings.HasPrefix(o.stderr, byConnections) {
			t.Errorf("%s: %v", target, o)
		}
	}
}

// Wherever the program is started it traces: by raw sockets if the capability can be had, else by connections. A file
// whose capability is effective isn't even started where the bounding set lacks it, as in a container without capabilities.
func TestEveryWayToACapability(t *testing.T) {
	lab.NeedProgram(t, "setpriv", "setcap")
	t.Parallel()
	p := privilegesLab(t)
	ours := program(t)
	installed := make(map[string]string)
	for _, capability := range []string{"p", "ep", "i", "none"} {
		installed[capability] = lab.Install(t, ours, 0o755)
		if capability == "none" {
			continue
		}
		if out, err := exec.Command("setcap", "cap_net_raw+"+capability, installed[capability]).CombinedOutput(); err != nil {
			t.Fatalf("setcap: %v %s", err, out)
		}
	}
	const user = "setpriv --reuid=65534 --regid=65534 --clear-groups "
	const bounded = "--inh-caps=-all --bounding-set=-net_raw "
	for _, tt := range []struct {
		name, caller, file string
		raw                bool
	}{
		{"a user", user, "p", true},
		{"a user, effective too", user, "ep", true},
		{"a user whose shell has the capability", user + "--inh-caps=+net_raw --ambient-caps=+net_raw", "none", true},
		{"a user whose shell has the capability, file too", user + "--inh-caps=+net_raw --ambient-caps=+net_raw", "p", true},
		{"a user who may inherit it", user + "--inh-caps=+net_raw", "i", true},
		{"a user who may not", user + "--inh-caps=-all", "i", false},
		{"a user, bounded", user + bounded, "p", false},
		{"a user, bounded, with no new privileges", user + bounded + "--no-new-privs", "p", false},
		// It takes a second execve: setpriv itself still has the capability.
		{"a user with no new privileges", user + "--no-new-privs sh -c", "p", false},
		{"root", "setpriv", "p", true},
		{"root, bounded", "setpriv " + bounded, "p", false},
		{"root, bounded, no capability at all", "setpriv --inh-caps=-all --bounding-set=-all", "p", false},
		{"root, bounded, without a capability of the file", "setpriv --inh-caps=-all --bounding-set=-all", "none", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(tt.caller)
			for _, target := range []netip.Addr{p.Target.V4(), p.Target.V6()} {
				command := []string{installed[tt.file], "-nq1", target.String()}
				if args[len(args)-1] == "-c" {
					command = []string{strings.Join(command, " ")}
				}
				o := run(t, p.Source, args[0], append(args[1:], command...)...)
				if raw := !strings.HasPrefix(o.stderr, byConnections); o.code != 0 || raw != tt.raw || !strings.Contains(o.stdout, " 3  "+target.String()+" [open]") {
					t.Errorf("raw sockets %v, want %v\n%v", raw, tt.raw, o)
				}
			}
		})
	}
	// What it is there for: this one can't be started.
	args := strings.Fields(user + bounded)
	if o := run(t, p.Source, args[0], append(args[1:], installed["ep"], "-v")...); o.code != 127 && o.code != 126 {
		t.Errorf("with an effective capability of the file: %v", o)
	}
}

// Who isn't root gets no more out of an installed program than traces: no false source, no port that isn't his, no mark,
// and nothing of what others send.
func TestCallersLimits(t *testing.T) {
	t.Parallel()
	p := privilegesLab(t)
	ours := program(t)
	p.Source.Listen(t, 7777)
	p.Source.AddAddr(t, netip.MustParseAddr("198.18.200.1"))
	target, target6 := p.Target.V4().String(), p.Target.V6().String()

	notOurs := func(a string) string { return "Bad source address: " + a + " is not an address of this host\n" }
	const (
		inUse   = "Sorry, requested local port is already in use.  Use -P, instead of -p, to override.\n"
		sorryS  = "Sorry, must be root to use -s\n"
		sorryp  = "Sorry, must be root to use -p\n"
		sorryP  = "Sorry, must be root to use -P\n"
		mark    = "Sorry, must be root to use --mark\n"
		lowPort = "Sorry, must be root to use -p 80 (it is the source port; for the target's port: tcptraceroute HOST 80)\n"
		loop    = "Bad source address: %s (a loopback address, which no other host can answer)\n"
	)
	for _, tt := range []struct {
		in   install
		args string
		want string // standard error, where it is refused
		from string // address and port that the probes come from, where it isn't
	}{
		// The kernel lends the program to anyone: it has to judge by itself what an ordinary user could do.
		{in: fileCap, args: "-s 198.18.9.9 " + target, want: notOurs("198.18.9.9")},
		{in: fileCap, args: "-s 198.18.9.9 -p 5000 " + target, want: notOurs("198.18.9.9")},
		{in: fileCap, args: "-p 5000 -s 198.18.1.2 " + target, want: notOurs("198.18.1.2")},
		{in: fileCap, args: "-s 198.18.9.9 --track-port " + target, want: notOurs("198.18.9.9")},
		{in: fileCap, args: "-s 2001:db8:9::9 " + target6, want: notOurs("2001:db8:9::9")},
		{in: fileCap, args: "-s 2001:db8:9::9 -p 5000 " + target6, want: notOurs("2001:db8:9::9")},
		{in: fileCap, args: "-s 224.0.0.1 " + target, want: notOurs("224.0.0.1")},
		{in: fileCap, args: "-s 198.18.1.255 " + target, want: notOurs("198.18.1.255")},
		{in: fileCap, args: "-s ff02::1 " + target6, want: notOurs("ff02::1")},
		{in: fileCap, args: "-s 127.0.0.1 " + target, want: fmt.Sprintf(loop, "127.0.0.1")},
		{in: fileCap, args: "-s ::1 " + target6, want: fmt.Sprintf(loop, "::1")},
		{in: fileCap, args: "-s 198.18.9.9 -i eth0 -p 5000 " + target, want: "Bad source address: 198.18.9.9 is not an address of eth0\n"},
		{in: fileCap, args: "-p 80 " + target, want: lowPort},
		{in: fileCap, args: "-p 7777 " + target, want: inUse},
		{in: fileCap, args: "-P 7777 " + target, want: sorryP},
		{in: fileCap, args: "-P80 " + target6, want: sorryP},
		{in: fileCap, args: "--mark 7 " + target, want: mark},
		{in: fileCap, args: "-p 5000 " + target, from: "198.18.1.1:5000"},
		{in: fileCap, args: "-s 198.18.1.1 -i eth0 " + target, from: "198.18.1.1:"},
		{in: fileCap, args: "-s 198.18.200.1 -p 5001 " + target, from: "198.18.200.1:5001"},
		{in: fileCap, args: "-p 5000 " + target6, from: "[2001:db8:1::1]:5000"},
		{in: fileCap, args: "-s 2001:db8:1::1 -p 5001 " + target6, from: "[2001:db8:1::1]:5001"},

		{in: setUserID, args: "-s 198.18.1.1 " + target, want: sorryS},
		{in: setUserID, args: "-s198.18.9.9 " + target, want: sorryS},
		{in: setUserID, args: "-s x " + target, want: sorryS},
		{in: setUserID, args: "-p 5000 " + target, want: sorryp},
		{in: setUserID, args: "-p x " + target6, want: sorryp},
		{in: setUserID, args: "-P 5000 " + target, want: sorryp},
		{in: setUserID, args: "-nP7777 " + target, want: sorryp},
		{in: setUserID, args: "--mark=7 " + target6, want: mark},

		// What the caller may do without the program, he may do with it.
		{in: ambientCap, args: "-s 198.18.9.9 -p 5000 " + target, want: notOurs("198.18.9.9")}, // but no more than he asked for
		{in: ambientCap, args: "-P 80 " + target, from: "198.18.1.1:80"},

		// Root may do everything, in a set-user-ID install too.
		{in: install{name: "set-user-ID, by root", mode: 0o4755}, args: "-s 198.18.9.9 -p 5000 " + target, from: "198.18.9.9:5000"},
		{in: install{name: "set-user-ID, by root", mode: 0o4755}, args: "-P 80 --mark 7 " + target6, from: "[2001:db8:1::1]:80"},
		{in: asRoot, args: "-s 198.18.9.9 " + target, from: "198.18.9.9:"},
	} {
		t.Run(tt.in.name+"/"+tt.args, func(t *testing.T) {
			path := tt.in.place(t, ours)
			capture := p.Source.Interfaces[0].Capture(t)
			o := tt.in.run(t, p.Source, path, append(strings.Fields(tt.args), "-n", "-q1", "-m1", "-w1")...)
			segments, _ := sentTCP(t, capture.Stop(t))
			if tt.want != "" {
				if o != (outcome{"", tt.want, 1}) {
					t.Errorf("want %q\n%v", tt.want, o)
				}
				if len(segments) != 0 {
					t.Errorf("%d segments sent all the same, from %v", len(segments), segments[0].IP.Src)
				}
				return
			}
			if len(segments) != 1 {
				t.Fatalf("%d probes sent\n%v", len(segments), o)
			}
			if from := netip.AddrPortFrom(segments[0].IP.Src, segments[0].TCP.SrcPort).String(); !strings.HasPrefix(from, tt.from) {
				t.Errorf("sent from %s\n%v", from, o)
			}
		})
	}
}

// -d tells what is received, and the packet socket could see everything: a caller who isn't root learns nothing of the
// connections of others. Whoever knows their sequence numbers can end them, or speak in them.
func TestNothingOfOthersIsShown(t *testing.T) {
	t.Parallel()
	p := privilegesLab(t)
	ours := program(t)
	lis := p.Target.Listen(t, 82)
	const connections = 100
	stop := make(chan struct{})
	var work sync.WaitGroup
	defer work.Wait()
	defer close(stop)
	for range connections {
		var c net.Conn
		p.Source.Do(t, func() {
			var err error
			if c, err = net.Dial("tcp4", netip.AddrPortFrom(p.Target.V4(), 82).String()); err != nil {
				t.Fatal(err)
			}
		})
		served, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			defer c.Close()
			defer served.Close()
			for tick := time.Tick(20 * time.Millisecond); ; {
				select {
				case <-tick:
					served.Write([]byte("secret"))
				case <-stop:
					return
				}
			}
		})
	}
	for _, in := range []install{fileCap, setUserID} {
		t.Run(in.name, func(t *testing.T) {
			path := in.place(t, ours)
			capture := p.Source.Interfaces[0].Capture(t)
			// More ports than the kernel's filter names one by one.
			o := in.run(t, p.Source, path, "-nd", "--track-port", "-q50", "-m1", p.Target.V4().String(), "81")
			probes, others := 0, make(map[string]bool)
			for _, pk := range capture.Stop(t) {
				var r packet.Reply
				if err := packet.Parse(pk.Data, &r); err != nil {
					t.Fatal(err)
				}
				switch {
				case r.Kind != packet.KindTCP:
				case r.TCP.DstPort == 81:
					probes++
				case r.TCP.SrcPort == 82:
					others[fmt.Sprintf("%d", r.TCP.Seq)], others[fmt.Sprintf("%d", r.TCP.Ack)] = true, true
				}
			}
			if probes != 50 || len(others) < connections || !strings.Contains(o.stderr, "debug: sent: ttl 1 ") {
				t.Fatalf("%d probes, %d numbers of others: this shows nothing\n%s", probes, len(others), o.stdout)
			}
			shown := slices.DeleteFunc(numbers.FindAllString(o.stderr, -1), func(n string) bool { return !others[n] })
			if len(shown) > 0 {
				t.Errorf("%d sequence numbers of other connections are shown: %s, ...", len(shown), shown[0])
			}
		})
	}
}

var numbers = regexp.MustCompile(`\b[0-9]+\b`)

// A caller who isn't root sends no more than 200 probes a second, whatever he asks for.
func TestCallersPace(t *testing.T) {
	const (
		probes = 220
		window = 200 // probes, after which a second has gone by
		gap    = time.Second / window
		hitch  = 20 * time.Millisecond // a probe that the scheduler delays leaves that much nearer to the next one
	)
	p := privilegesLab(t)
	ours := program(t)
	for _, tt := range []struct {
		in     install
		target netip.Addr
	}{{fileCap, p.Target.V4()}, {setUserID, p.Target.V6()}} {
		t.Run(tt.in.name, func(t *testing.T) {
			path := tt.in.place(t, ours)
			capture := p.Source.Interfaces[0].Capture(t)
			o := tt.in.run(t, p.Source, path, "-n", "-w1", "-m1", "-q", strconv.Itoa(probes), "--parallel", "1000", tt.target.String())
			_, at := sentTCP(t, capture.Stop(t))
			if len(at) != probes {
				t.Fatalf("%d probes sent\n%v", len(at), o)
			}
			// A busy machine may delay some probes, so no single gap shows anything.
			var gaps, seconds []time.Duration
			for i := 1; i < probes; i++ {
				gaps = append(gaps, at[i].Sub(at[i-1]))
				if i >= window {
					seconds = append(seconds, at[i].Sub(at[i-window]))
				}
			}
			slices.Sort(gaps)
			slices.Sort(seconds)
			if second := seconds[len(seconds)/2]; second < time.Second-hitch {
				t.Errorf("%d probes in %v", window, second)
			}
			if half := gaps[len(gaps)/2]; half < gap {
				t.Errorf("half of the gaps are less than %v", half)
			}
			t.Logf("least gap %v", gaps[0])
		})
	}
}

// runtimeFiles is all that is opened before privileges are given up, and the Go runtime does it, before main: the size of
// huge pages, and the limits of processors that a container has.
var runtimeFiles = regexp.MustCompile(`^(/sys/kernel/mm/transparent_hugepage/hpage_pmd_size|/proc/self/(cgroup|mountinfo)|/sys/fs/cgroup/.*cpu\.(max|cfs_quota_us|cfs_period_us))$`)

// lookupFiles is what is opened for names: not to be read at first, but so that it can be, later.
var lookupFiles = []string{"/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts", "/etc/services", "/etc/protocols",
	"/run/systemd/resolve", "/run/resolvconf"}

// The program as strace sees it: with privileges it opens its sockets and nothing else, asks nobody, and reads nothing;
// without them it does all that, and no kernel filter of its own stands in its way.
func TestNothingIsReadWithPrivileges(t *testing.T) {
	lab.NeedProgram(t, "strace")
	t.Parallel()
	p := privilegesLab(t)
	lookedUp(t, p.Source)
	ours := program(t)
	for _, in := range []install{asRoot, fileCap, setUserID} {
		t.Run(in.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "strace")
			args := []string{"-f", "-qq", "-o", log}
			if in.caller != 0 {
				args = append(args, "-u", "nobody") // the kernel gives the rights of a file to whom root traces
			}
			o := run(t, p.Source, "strace", append(args, in.place(t, ours), "-4", "-q1", "www.example", "http")...)
			if o.code != 0 || !strings.Contains(o.stdout, " 1  gw.example (198.18.1.2)  ") {
				t.Fatalf("traced by strace: %v", o)
			}
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			calls := straceCalls(string(text))
			first := slices.IndexFunc(calls, func(c call) bool {
				return !c.raises() && slices.Contains([]string{"setgroups", "setresgid", "setresuid", "capset"}, c.name)
			})
			last := slices.IndexFunc(calls, func(c call) bool { return c.name == "seccomp" })
			if first < 0 || last < first {
				t.Fatalf("nothing is given up in:\n%s", text)
			}
			opened, sockets := calls.before(t, first)
			t.Logf("opened with privileges: %s", strings.Join(opened, ", "))
			const flags = "|SOCK_CLOEXEC|SOCK_NONBLOCK"
			want := []string{"AF_INET SOCK_RAW" + flags, "AF_INET6 SOCK_RAW" + flags, "AF_PACKET SOCK_DGRAM" + flags, "AF_NETLINK SOCK_RAW" + flags}
			if !slices.Equal(sockets, want) {
				t.Errorf("sockets %q, want %q", sockets, want)
			}
			calls[first:last].while(t)
			calls[last+1:].after(t)
		})
	}
}

// call is one system call in strace's log: where it was interrupted, its beginning.
type call struct{ name, rest string }

// raises reports whether the call makes a permitted capability effective.
func (c call) raises() bool {
	return c.name == "capset" && strings.Contains(c.rest, "{effective=1<<CAP_NET_RAW,")
}

type calls []call

func straceCalls(log string) (cs calls) {
	for line := range strings.Lines(log) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), " ") // behind the thread
		name, rest, ok := strings.Cut(strings.TrimSpace(text), "(")
		if ok && !strings.HasPrefix(name, "<...") && !strings.HasPrefix(name, "---") {
			cs = append(cs, call{name, rest})
		}
	}
	return cs
}

// path is the file that a call names, if it does.
func (c call) path() (string, bool) {
	switch c.name {
	case "open", "openat", "openat2", "stat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat":
		_, path, _ := strings.Cut(c.rest, `"`)
		path, _, _ = strings.Cut(path, `"`)
		return path, true
	}
	return "", false
}

// before checks the calls with privileges, and returns the files and sockets that were opened.
func (cs calls) before(t *testing.T, end int) (files, sockets []string) {
	t.Helper()
	deaf := false
	for i, c := range cs[:end] {
		if path, ok := c.path(); ok {
			files = append(files, path)
			if !runtimeFiles.MatchString(path) {
				t.Errorf("with privileges: %s(%s", c.name, c.rest)
			}
			continue
		}
		wrong := false
		switch c.name {
		case "socket":
			arguments := strings.SplitN(strings.NewReplacer(")", "", " <unfinished ...>", "").Replace(c.rest), ", ", 3)
			sockets = append(sockets, strings.Join(arguments[:2], " "))
		case "setsockopt":
			deaf = deaf || strings.Contains(c.rest, "SO_ATTACH_FILTER, {len=1,")
		case "bind": // of a packet socket only behind a filter that lets nothing in
			wrong = !strings.Contains(c.rest, "AF_NETLINK") && (!strings.Contains(c.rest, "AF_PACKET") || !deaf)
		case "connect", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg":
			wrong = true
		case "read":
			wrong = strings.HasPrefix(c.rest, "0,")
		case "execve":
			wrong = i > 0
		case "clone", "clone3":
			wrong = !strings.Contains(c.rest, "CLONE_THREAD")
		case "fork", "vfork", "ptrace":
			wrong = true
		}
		if wrong {
			t.Errorf("with privileges: %s(%s", c.name, c.rest)
		}
	}
	return files, sockets
}

// while checks the calls that give privileges up: files are looked for once the last capability is gone.
func (cs calls) while(t *testing.T) {
	t.Helper()
	gone := 0
	for i, c := range cs {
		if c.name == "capset" {
			gone = i
		}
	}
	for i, c := range cs {
		if path, ok := c.path(); ok && (i < gone || !slices.Contains(lookupFiles, path) || !strings.Contains(c.rest, "O_PATH")) || c.name == "socket" {
			t.Errorf("while privileges are given up: %s(%s", c.name, c.rest)
		}
	}
}

// after checks the calls without privileges. It has to see what the other two are there for.
func (cs calls) after(t *testing.T) {
	t.Helper()
	seen := make(map[string]bool)
	for _, c := range cs {
		path, _ := c.path()
		seen[path] = true
		seen["name server"] = seen["name server"] || c.name == "connect" && strings.Contains(c.rest, "htons(53)")
		if c.name == "socket" && (strings.Contains(c.rest, "AF_PACKET") || strings.Contains(c.rest, "SOCK_RAW") && !strings.HasPrefix(c.rest, "AF_NETLINK")) {
			t.Errorf("without privileges: socket(%s", c.rest)
		}
		// epoll doesn't take regular files, and strace shows what rt_sigreturn puts back into the register of results.
		if regexp.MustCompile(` (ENOSYS|EPERM|EACCES) `).MatchString(c.rest) && c.name != "epoll_ctl" && c.name != "rt_sigreturn" {
			t.Errorf("denied: %s(%s", c.name, c.rest)
		}
	}
	for _, want := range []string{"name server", "/etc/hosts", "/etc/resolv.conf", "/etc/services"} {
		if !seen[want] {
			t.Errorf("the log doesn't show how names are looked up: no %s", want)
		}
	}
}

// How long the program has privileges, and how soon it sends. The end of privileges is looked for in /proc, now and then,
// for what looks closer changes the times (strace doubles them). They count from before the process is made, so that its
// making is in them too, or from when execve(2) is known to be over.
func BenchmarkPrivileges(b *testing.B) {
	p := privilegesLab(b)
	ours := program(b)
	for _, in := range []install{asRoot, fileCap, setUserID} {
		b.Run(in.name, func(b *testing.B) {
			path := in.place(b, ours)
			for b.Loop() {
				var execToDrop, startToDrop, startToProbe []float64
				for range 25 {
					capture := p.Source.Interfaces[0].Capture(b)
					cmd := in.command(b.Context(), p.Source, path, "-n", "-q1", p.Target.V4().String())
					start := time.Now()
					if err := cmd.Start(); err != nil {
						b.Fatal(err)
					}
					exec := time.Now()
					status := fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)
					for text := []byte(nil); !bytes.Contains(text, []byte("\nSeccomp:\t2\n")); time.Sleep(50 * time.Microsecond) {
						var err error
						if text, err = os.ReadFile(status); err != nil || bytes.Contains(text, []byte("\nState:\tZ")) {
							b.Fatalf("the program's end came before that of its privileges: %v", err)
						}
					}
					drop := time.Now()
					if err := cmd.Wait(); err != nil {
						b.Fatal(err)
					}
					_, at := sentTCP(b, capture.Stop(b))
					execToDrop = append(execToDrop, drop.Sub(exec).Seconds()*1000)
					startToDrop = append(startToDrop, drop.Sub(start).Seconds()*1000)
					startToProbe = append(startToProbe, at[0].Sub(start).Seconds()*1000)
				}
				for _, all := range []struct {
					times []float64
					name  string
				}{{execToDrop, "ms-exec-to-drop"}, {startToDrop, "ms-start-to-drop"}, {startToProbe, "ms-start-to-probe"}} {
					slices.Sort(all.times)
					b.ReportMetric(all.times[len(all.times)/2], all.name)
				}
				b.ReportMetric(startToDrop[len(startToDrop)-1], "ms-start-to-drop-worst")
				b.ReportMetric(5, "ms-promised")
			}
		})
	}
}
