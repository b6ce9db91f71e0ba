package cli

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/measure"
)

func TestMain(m *testing.M) { lab.Main(m) }

// network is a chain of four hops in which the target's ports 25 and the source's port 7777 are open.
func network(t *testing.T) *lab.Path {
	p := lab.Chain(t, lab.ChainOptions{Hops: 4})
	p.Target.Listen(t, 25)
	p.Source.Listen(t, 7777)
	return p
}

// result is what came of a command line, with times and the kernel's choice of a port masked.
type result struct {
	stdout, stderr string
	code           int
}

var (
	rtt  = regexp.MustCompile(`[0-9]+\.[0-9]{3} ms`)
	port = regexp.MustCompile(`port [3-6][0-9]{4} for`)
)

// invokeIn runs the program inside a host, in this process, which keeps its privileges. Look-ups of names would happen
// outside: there must be none.
func invokeIn(ctx context.Context, t *testing.T, h *lab.Host, args string) (r result) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	h.Do(t, func() {
		p := &program{stdout: &stdout, stderr: &stderr, opener: measure.Open, drop: func(...func() []string) ([]error, error) { return nil, nil }}
		r.code = p.code(p.run(ctx, strings.Fields(args)))
	})
	r.stdout = rtt.ReplaceAllString(stdout.String(), "0.000 ms")
	r.stderr = port.ReplaceAllString(stderr.String(), "port PORT for")
	return r
}

// What is wrong is told in the old program's order: names, the way out, the device, the port, and the numbers at last.
func TestRefusals(t *testing.T) {
	p := network(t)
	const (
		inUse    = "Sorry, requested local port is already in use.  Use -P, instead of -p, to override.\n"
		noDevice = "error opening device eth7: eth7: No such device exists (No such device exists)\n"
		oneTrack = "Warning: --track-id implied by specifying the local source port\n"
	)
	refuses := func(args, want string) {
		t.Helper()
		if got := invokeIn(t.Context(), t, p.Source, args); got != (result{stderr: want, code: 1}) {
			t.Errorf("%s: %+v, want %q and exit code 1", args, got, want)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"-n 198.18.4.2 nosuch", "Unknown port: nosuch\n"},
		{"-n 198.18.4.2 65536", "Unknown port: 65536 (a port is a number from 0 to 65535)\n"},
		{"-n 198.18.4.2:65536", "Unknown port: 65536 (a port is a number from 0 to 65535)\n"},
		{"-n gopher0://198.18.4.2/", "Unknown port: gopher0\n"},
		{"-n -N 16 198.18.4.2", "The host would be 16, and the port 198.18.4.2: " + options.AfterN + "\n"},
		{"-n -N 16 http 25", "The host would be 16, and the port http: " + options.AfterN + "\n"},
		{"-n b\xffcher", "Bad destination address: b\\xffcher (not UTF-8)\n"},
		{"-n \u202eb.example", "Bad destination address: \\u202eb.example (no name of the DNS: idna: disallowed rune U+202E)\n"},
		{"-n -s b\xffcher 198.18.4.2", "Bad source address: b\\xffcher (not UTF-8)\n"},
		{"-n 198.18.4.0/24", "Bad destination address: 198.18.4.0/24 (give the host alone, or a whole URL)" +
			"; the addresses of a network are traced by --targets FILE, with a line 198.18.4.0/24\n"},
		{"-n me@no..host", "Bad destination address: me@no..host (give the host alone, without a user's name)\n"},
		{"-n 198.18.4.2 \x1b", `Unknown port: \x1b` + "\n"},
		{"-n no..host nosuch", "Unknown port: nosuch\n"},
		{"-n no..host", "Bad destination address: no..host\n"},
		{"-n fe80::1", "Bad destination address: fe80::1 (a link-local address needs its interface: fe80::1%eth0)\n"},
		{"-n 255.255.255.255", "Bad destination address: 255.255.255.255\n"},
		{"-n -6 198.18.4.2", "Bad destination address: 198.18.4.2 (it is not IPv6)\n"},
		{"-n -4 2001:db8:4::2", "Bad destination address: 2001:db8:4::2 (it is not IPv4)\n"},
		{"-n -s no..host 198.18.4.2", "Bad source address: no..host\n"},
		{"-n -s ::1 198.18.4.2", "Bad source address: ::1 (it is not IPv4)\n"},
		{"-n -s 127.0.0.1 2001:db8:4::2", "Bad source address: 127.0.0.1 (it is not IPv6)\n"},
		{"-n -s no..host no..host2", "Bad destination address: no..host2\n"},
		{"-n -i eth7 no..host", "Bad destination address: no..host\n"},
		{"-n -i eth7 --track-port -p7777 -q0 198.18.4.2", noDevice},
		{"-n -p7777 -q0 198.18.4.2", inUse},
		{"-n -p7777 -s no..host 198.18.4.2", "Bad source address: no..host\n"},
		{"-n -P0 198.18.4.2", inUse},
		{"-n --track-port -p7777 -q0 198.18.4.2", oneTrack + inUse},
		{"-n --track-port -p5000 -f0 198.18.4.2", oneTrack + "TTL must be greater than 0\n"},
		{"-n -m0 -f300 198.18.4.2", "TTL must be greater than 0\n"},
		{"-n -f256 -q0 198.18.4.2", "TTL must be less than 256\n"},
		{"-n -m256 198.18.4.2", "TTL must be less than 256\n"},
		{"-n -m 99999999999999999999 198.18.4.2", "TTL must be less than 256\n"},
		{"-n -i 0.5 198.18.4.2", strings.ReplaceAll(strings.TrimSuffix(noDevice, "\n"), "eth7", "0.5") + "; the seconds of a round are set by --interval\n"},
		{"-n -f5 -m3 -q0 198.18.4.2", "Minimum TTL (5) must be less than maximum TTL (3)\n"},
		{"-n --track-port -f5 -m3 198.18.4.2", "Minimum TTL (5) must be less than maximum TTL (3)\n"},
		{"-n -w0 -q0 198.18.4.2", "Number of queries must be at least 1\n"},
		{"-n -w0 -l10 198.18.4.2", "Timeout must be at least 1\n"},
	} {
		refuses(tt.args, tt.want)
	}
	t.Run("low port in use", func(t *testing.T) { // which is taken before privileges are given up
		p.Source.Listen(t, 77)
		refuses("-n -p77 -f0 198.18.4.2", inUse)
		refuses("-n --track-port -p77 198.18.4.2", oneTrack+inUse)
		refuses("-n -p77 no..host", "Bad destination address: no..host\n")
	})
	t.Run("no route", func(t *testing.T) {
		p.Source.IP(t, "route del default")
		t.Cleanup(func() { p.Source.Default(t, p.Links[0].A) })
		got, want := invokeIn(t.Context(), t, p.Source, "-n -f0 --track-port -p7777 198.18.4.2"), "connect: Network is unreachable\n"
		if got != (result{stderr: want, code: 2}) {
			t.Errorf("%+v, want %q and exit code 2", got, want)
		}
	})
}

func TestTrace(t *testing.T) {
	t.Parallel()
	p := network(t)
	p.Hop(2).AddAddr(t, netip.MustParseAddr("198.18.77.1"))
	p.Source.AddAddr(t, netip.MustParseAddr("198.18.78.1")) // of lo
	p.Source.Add(t, "route", "local 198.18.79.0/24 dev lo") // a source that no interface has, and that is ours
	for _, tt := range []struct {
		args string
		want result
	}{
		{"-n -q2 198.18.4.2 25", result{
			" 1  198.18.1.2  0.000 ms  0.000 ms\n 2  198.18.2.2  0.000 ms  0.000 ms\n 3  198.18.3.2  0.000 ms  0.000 ms\n 4  198.18.4.2 [open]  0.000 ms  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 25 (smtp), 30 hops max\n", 0}},
		{"-n -q1 2001:db8:4::2 25", result{
			" 1  2001:db8:1::2  0.000 ms\n 2  2001:db8:2::2  0.000 ms\n 3  2001:db8:3::2  0.000 ms\n 4  2001:db8:4::2 [open]  0.000 ms\n",
			"Selected device eth0, address 2001:db8:1::1, port PORT for outgoing packets\nTracing the path to 2001:db8:4::2 on TCP port 25 (smtp), 30 hops max\n", 0}},
		{"-n -q1 -f4 --parallel 1 0xc6120402 26", result{
			" 4  198.18.4.2 [closed]  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1, port PORT for outgoing packets\nTracing the path to 0xc6120402 (198.18.4.2) on TCP port 26, 30 hops max\n", 0}},
		{"-n -q1 -m1 --mark 7 198.18.4.2", result{
			" 1  198.18.1.2  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 1 hops max\nDestination not reached\n", 1}},
		{"-n -q2 -f4 -l10 -p77 198.18.4.2", result{
			" 4  198.18.4.2 [closed]  0.000 ms  0.000 ms\n",
			"Warning: Increasing packet length to 40 bytes\nWarning: -p 77 is the source port; the target's port is 80. For the target's port 77: tcptraceroute HOST 77\nSelected device eth0, address 198.18.1.1, port 77 for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 30 hops max\n", 0}},
		{"-n -q1 -f4 -P7777 198.18.4.2 25 100", result{
			" 4  198.18.4.2 [open]  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1, port 7777 for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 25 (smtp), 30 hops max, 100 byte packets\n", 0}},
		{"-n -q2 -f3 --track-port 198.18.4.2", result{
			" 3  198.18.3.2  0.000 ms  0.000 ms\n 4  198.18.4.2 [closed]  0.000 ms  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1 for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 30 hops max\n", 0}},
		{"-n -q1 -w1 -m1 -s 198.18.1.77 198.18.4.2", result{
			" 1  *\n",
			"Warning: no interface of this host has the source address 198.18.1.77: the answers will go elsewhere\nSelected device eth0, address 198.18.1.77, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 1 hops max\nDestination not reached\n", 1}},
		{"-n -q1 -f4 198.18.4.2:25", result{
			" 4  198.18.4.2 [open]  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 25 (smtp), 30 hops max\n", 0}},
		{"-n -q1 -f4 [2001:db8:4::2]:25", result{
			" 4  2001:db8:4::2 [open]  0.000 ms\n",
			"Selected device eth0, address 2001:db8:1::1, port PORT for outgoing packets\nTracing the path to 2001:db8:4::2 on TCP port 25 (smtp), 30 hops max\n", 0}},
		{"-n -q1 -f4 [2001:db8:4::2]", result{
			" 4  2001:db8:4::2 [closed]  0.000 ms\n",
			"Selected device eth0, address 2001:db8:1::1, port PORT for outgoing packets\nTracing the path to 2001:db8:4::2 on TCP port 80 (http), 30 hops max\n", 0}},
		{"-n -q1 -f4 https://me:secret@198.18.4.2/path", result{
			" 4  198.18.4.2 [closed]  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 443 (https), 30 hops max\n", 0}},
		{"-n -q1 -f4 -P4433 http://198.18.4.2", result{ // the URL tells the target's port
			" 4  198.18.4.2 [closed]  0.000 ms\n",
			"Selected device eth0, address 198.18.1.1, port 4433 for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 30 hops max\n", 0}},
		{"-n -q1 -f4 -P443 198.18.4.2", result{
			" 4  198.18.4.2 [closed]  0.000 ms\n",
			"Warning: -P 443 is the source port; the target's port is 80. For the target's port 443: tcptraceroute HOST 443\nSelected device eth0, address 198.18.1.1, port 443 for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 30 hops max\n", 0}},
		{"-n -q1 -w0.5 -m1 -i lo 198.18.4.2", result{
			" 1  *\n",
			"Warning: -i lo leads to this host only, and 198.18.4.2 is not one of its addresses: no answer will come\nSelected device lo, address 198.18.78.1, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 1 hops max\nDestination not reached\n", 1}},
		{"-n -i lo 2001:db8:4::2", result{"", "connect: Network is unreachable\n", 2}},
		{"-n -q1 -w0.5 -m1 -s 127.0.0.1 198.18.4.2", result{
			" 1  *\n",
			"Warning: the source address 127.0.0.1: a loopback address, which no other host can answer\nSelected device eth0, address 127.0.0.1, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 1 hops max\nDestination not reached\n", 1}},
		{"-n -q1 -w0.5 -m1 -s 2001:db8:1::77 2001:db8:4::2", result{
			" 1  *\n",
			"Warning: no interface of this host has the source address 2001:db8:1::77: the answers will go elsewhere\nSelected device eth0, address 2001:db8:1::77, port PORT for outgoing packets\nTracing the path to 2001:db8:4::2 on TCP port 80 (http), 1 hops max\nDestination not reached\n", 1}},
		{"-n -q1 -w0.5 -m1 -i eth0 -s 198.18.78.1 198.18.4.2", result{
			" 1  *\n",
			"Selected device eth0, address 198.18.78.1, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 1 hops max\nDestination not reached\n", 1}},
		{"-n -q1 -w0.5 -m1 -s 198.18.79.9 198.18.4.2", result{
			" 1  *\n",
			"Selected device eth0, address 198.18.79.9, port PORT for outgoing packets\nTracing the path to 198.18.4.2 on TCP port 80 (http), 1 hops max\nDestination not reached\n", 1}},
		{"-n -q1 -i lo -s 127.0.0.2 127.0.0.1 7777", result{
			" 1  127.0.0.1 [open]  0.000 ms\n",
			"Selected device lo, address 127.0.0.2, port PORT for outgoing packets\nTracing the path to 127.0.0.1 on TCP port 7777, 30 hops max\n", 0}},
		{"-n -q1 127.0.0.1 7777", result{
			" 1  127.0.0.1 [open]  0.000 ms\n",
			"Selected device lo, address 127.0.0.1, port PORT for outgoing packets\nTracing the path to 127.0.0.1 on TCP port 7777, 30 hops max\n", 0}},
	} {
		if got := invokeIn(t.Context(), t, p.Source, tt.args); got != tt.want {
			t.Errorf("%s:\n%+v\nwant\n%+v", tt.args, got, tt.want)
		}
	}
}

// With -d there is a line for each probe and for each packet that came.
func TestDebugMessages(t *testing.T) {
	p := network(t)
	got := invokeIn(t.Context(), t, p.Source, "-d -n -q1 -f3 198.18.4.2 25")
	for _, want := range []string{
		`(?m)^debug: sent: ttl 3 198\.18\.1\.1:\d+ > 198\.18\.4\.2:25 SYN seq \d+ id \d+$`,
		`(?m)^debug: received: 198\.18\.3\.2 time exceeded \(type 11 code 0\), quoting 198\.18\.1\.1 > 198\.18\.4\.2 seq \d+: answers ttl 3$`,
		`(?m)^debug: received: 198\.18\.4\.2 TCP \[open\] seq \d+ ack \d+: answers ttl 4$`,
	} {
		if !regexp.MustCompile(want).MatchString(got.stderr) {
			t.Errorf("no %s in\n%s", want, got.stderr)
		}
	}
}

// What this host could not send is told in words, and is not the network's loss.
func TestNotSent(t *testing.T) {
	p := network(t)
	p.Source.Filter(t, "output", "tcp dport 25 drop")
	got := invokeIn(t.Context(), t, p.Source, "-n -q1 -m1 198.18.4.2 25")
	want := result{" 1  <EPERM>\n", "Selected device eth0, address 198.18.1.1, port PORT for outgoing packets\n" +
		"Tracing the path to 198.18.4.2 on TCP port 25 (smtp), 1 hops max\n" +
		"<EPERM>: 1 probe not sent: sending: operation not permitted\n1 probe could not be sent: sending: operation not permitted\n", 2}
	if got != want {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// A device that rewrites sequence numbers is warned of; with --loose its hops are shown.
func TestRewrittenSequenceNumbers(t *testing.T) {
	t.Parallel()
	p := network(t)
	p.Hop(1).Mangle(t, "tcp dport 25 tcp sequence set 7")
	const warning = "Warning: 16 answers do not match our probes: they are forged, or a device rewrites sequence numbers (--loose believes them)\n"
	got := invokeIn(t.Context(), t, p.Source, "-n -q16 -w1 -m1 198.18.4.2 25")
	if want := " 1 " + strings.Repeat(" *", 16) + "\n"; got.stdout != want || !strings.HasSuffix(got.stderr, warning+"Destination not reached\n") {
		t.Errorf("%+v", got)
	}
	got = invokeIn(t.Context(), t, p.Source, "-n -q2 -m2 --loose 198.18.4.2 25")
	if want := " 1  198.18.1.2  0.000 ms  0.000 ms\n 2  198.18.2.2  0.000 ms  0.000 ms\n"; got.stdout != want {
		t.Errorf("with --loose: %+v", got)
	}
}

// A writer that does what it is told.
type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// A signal ends the trace with what is known so far, and the exit code of the shell's convention.
func TestInterrupted(t *testing.T) {
	p := network(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var stdout, stderr bytes.Buffer
	code := -1
	p.Source.Do(t, func() {
		prog := &program{stderr: &stderr, opener: measure.Open, drop: func(...func() []string) ([]error, error) { return nil, nil }}
		prog.stdout = writer(func(b []byte) (int, error) {
			cancel(&terminal.Interrupted{Signal: syscall.SIGINT})
			return stdout.Write(b)
		})
		// Nobody answers for the address, so the trace would go on for long.
		code = prog.code(prog.run(ctx, []string{"-n", "-q1", "-w60", "-f3", "198.18.4.77"}))
	})
	if got := rtt.ReplaceAllString(stdout.String(), "0.000 ms"); got != " 3  198.18.3.2  0.000 ms\n" || !strings.HasSuffix(stderr.String(), "max\nInterrupted\n") || code != 130 {
		t.Errorf("stdout %q, stderr %q, exit code %d", got, &stderr, code)
	}

	// Before it has begun.
	ctx, cancel = context.WithCancelCause(t.Context())
	cancel(&terminal.Interrupted{Signal: syscall.SIGTERM})
	if got, want := invokeIn(ctx, t, p.Source, "-n 198.18.4.2"), (result{stderr: "Interrupted\n", code: 143}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Where nobody can read the result any more, the trace ends.
func TestClosedOutput(t *testing.T) {
	p := network(t)
	var stderr bytes.Buffer
	code := -1
	p.Source.Do(t, func() {
		prog := &program{stderr: &stderr, opener: measure.Open, drop: func(...func() []string) ([]error, error) { return nil, nil }}
		prog.stdout = writer(func([]byte) (int, error) { return 0, syscall.EPIPE })
		code = prog.code(prog.run(t.Context(), []string{"-n", "-q1", "-w60", "-f3", "198.18.4.77"}))
	})
	if !strings.HasSuffix(stderr.String(), "max\nwriting: broken pipe\n") || code != 1 {
		t.Errorf("stderr %q, exit code %d", &stderr, code)
	}
}

// Nothing is done with privileges that can't be given up.
func TestPrivilegesStay(t *testing.T) {
	p := network(t)
	var stdout, stderr bytes.Buffer
	code := -1
	p.Source.Do(t, func() {
		prog := &program{stdout: &stdout, stderr: &stderr, opener: measure.Open, drop: func(...func() []string) ([]error, error) { return nil, errors.New("no way") }}
		code = prog.code(prog.run(t.Context(), []string{"-n", "no..host"}))
	})
	if stdout.Len() != 0 || stderr.String() != "giving up privileges: no way\n" || code != 2 {
		t.Errorf("stdout %q, stderr %q, exit code %d", &stdout, &stderr, code)
	}
}
