package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcptraceroute/names"
	"tcptraceroute/packet"
	"tcptraceroute/report"
	"tcptraceroute/trace"
	"tcptraceroute/wire"
)

// invoke runs a command line that ends before a socket is opened.
func invoke(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = Run(context.Background(), args, &out, &err)
	return out.String(), err.String(), code
}

func usage() string { return usageText(groups()) }

// A mistake in the form of the command line ends it with one line, and the usage where the form as a whole is wrong. Of
// several the first counts, in the order of the arguments.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		args   string // split at blanks; '' is an empty one
		stderr string // what stands before the usage
		usage  bool
	}{
		{args: "", usage: true},
		{args: "-n", usage: true},
		{args: "a 1 40 4", usage: true},
		{args: "a 1 40 x y", usage: true},

		{args: "-Z", stderr: "Unknown command line argument: -Z\n", usage: true},
		{args: "-nZq host", stderr: "Unknown command line argument: -Z\n", usage: true},
		{args: "-1 host", stderr: "Unknown command line argument: -1\n", usage: true},
		{args: "-? host", stderr: "Unknown command line argument: -?\n", usage: true},
		{args: "host 80 -40", stderr: "Unknown command line argument: -0\n", usage: true},
		{args: "-\x1b", stderr: `Unknown command line argument: -\x1b` + "\n", usage: true},
		{args: "--bogus=3 host", stderr: "Unknown command line argument: --bogus=3\n", usage: true},
		{args: "--b\x1b[31m", stderr: `Unknown command line argument: --b\x1b[31m` + "\n", usage: true},
		{args: "--dna host", stderr: "Unknown command line argument: --dna\n", usage: true},
		{args: "--dnat=1 host", stderr: "Unknown command line argument: --dnat=1\n", usage: true},
		{args: "---dnat host", stderr: "Unknown command line argument: ---dnat\n", usage: true},
		{args: "--n host", stderr: "Unknown command line argument: --n\n", usage: true},
		{args: "--help= host", stderr: "Unknown command line argument: --help=\n", usage: true},
		{args: "--help=most", stderr: "Unknown command line argument: --help=most\n", usage: true},
		{args: "--version=all", stderr: "Unknown command line argument: --version=all\n", usage: true},
		{args: "--=x host", stderr: "Unknown command line argument: --=x\n", usage: true},

		{args: "-q", stderr: "Argument required for -q\n"},
		{args: "host -nq", stderr: "Argument required for -q\n"},
		{args: "-i", stderr: "Argument required for -i\n"},
		{args: "-s", stderr: "Argument required for -s\n"},
		{args: "host --parallel", stderr: "Argument required for --parallel\n"},
		{args: "host --mark", stderr: "Argument required for --mark\n"},

		{args: "-q x host", stderr: "Numeric argument required for -q\n"},
		{args: "-q '' host", stderr: "Numeric argument required for -q\n"},
		{args: "-q=1 host", stderr: "Numeric argument required for -q\n"},
		{args: "-nq1w1 host", stderr: "Numeric argument required for -q\n"},
		{args: "-f -2 host", stderr: "Numeric argument required for -f\n"},
		{args: "-f -- host", stderr: "Numeric argument required for -f\n"},
		{args: "-m +2 host", stderr: "Numeric argument required for -m\n"},
		{args: "-w 2.5 host", stderr: "Numeric argument required for -w\n"},
		{args: "-t 0x10 host", stderr: "Numeric argument required for -t\n"},
		{args: "-l 1x host", stderr: "Numeric argument required for -l\n"},
		{args: "-p \u0661 host", stderr: "Numeric argument required for -p\n"}, // a digit, but not of ASCII
		{args: "-P x host", stderr: "Numeric argument required for -P\n"},
		{args: "--parallel= host", stderr: "Argument of --parallel must be between 1 and 65535: \n"},
		{args: "--mark -1 host", stderr: "Argument of --mark must be between 0 and 4294967295: -1\n"},

		{args: "-p 65536 host", stderr: "Argument of -p must be between 0 and 65535: 65536\n"},
		{args: "-P 70000 host", stderr: "Argument of -P must be between 0 and 65535: 70000\n"},
		{args: "-t 256 host", stderr: "Argument of -t must be between 0 and 255: 256\n"},
		{args: "-l 65536 host", stderr: "Argument of -l must be between 0 and 65535: 65536\n"},
		{args: "host 80 65536", stderr: "Argument of the packet length must be between 0 and 65535: 65536\n"},
		{args: "host 80 99999999999999999999x", stderr: "Argument of the packet length must be between 0 and 65535: 99999999999999999999\n"},
		{args: "-q 2147483648 host", stderr: "Argument of -q must be between 0 and 2147483647: 2147483648\n"},
		{args: "-f 99999999999999999999 host", stderr: "Argument of -f must be between 0 and 2147483647: 99999999999999999999\n"},
		{args: "-w 86401 host", stderr: "Argument of -w must be between 0 and 86400: 86401\n"},
		{args: "--parallel 0 host", stderr: "Argument of --parallel must be between 1 and 65535: 0\n"},
		{args: "--mark 4294967296 host", stderr: "Argument of --mark must be between 0 and 4294967295: 4294967296\n"},

		{args: "--syn", stderr: "Argument required for --syn\n"},
		{args: "--syn x host", stderr: "Argument of --syn must be bare or linux: x\n"},
		{args: "--syn= host", stderr: "Argument of --syn must be bare or linux: \n"},
		{args: "--syn Linux host", stderr: "Argument of --syn must be bare or linux: Linux\n"},
		{args: "--syn \x1b host", stderr: "Argument of --syn must be bare or linux: \\x1b\n"},
		{args: "--mss x host", stderr: "Argument of --mss must be between 1 and 65535: x\n"},
		{args: "--mss 0 host", stderr: "Argument of --mss must be between 1 and 65535: 0\n"},
		{args: "--mss 65536 host", stderr: "Argument of --mss must be between 1 and 65535: 65536\n"},
		{args: "--extensions=1 host", stderr: "Unknown command line argument: --extensions=1\n", usage: true},
		{args: "--mmdb", stderr: "Argument required for --mmdb\n"},
		{args: "--mmdb= host", stderr: "Argument of --mmdb must be the name of a file\n"},
		{args: "--as-dns=x host", stderr: "Unknown command line argument: --as-dns=x\n", usage: true},
		{args: "--accecn=1 host", stderr: "Unknown command line argument: --accecn=1\n", usage: true},
		{args: "-A --syn linux host", stderr: "--syn linux is about SYNs, and -A sends none: leave one of them away, or add -S\n"},
		{args: "-A --mss 9 host", stderr: "--mss is about SYNs, and -A sends none: leave one of them away, or add -S\n"},
		{args: "--accecn -A host", stderr: "--accecn is about SYNs, and -A sends none: leave one of them away, or add -S\n"},

		{args: "-q x -Z", stderr: "Numeric argument required for -q\n"},
		{args: "-Z -q x", stderr: "Unknown command line argument: -Z\n", usage: true},
		{args: "-q x -v", stderr: "Numeric argument required for -q\n"},
		{args: "-q x -h", stderr: "Numeric argument required for -q\n"},
	} {
		args := strings.Fields(tt.args)
		for i := range args {
			if args[i] == "''" {
				args[i] = ""
			}
		}
		stdout, stderr, code := invoke(args...)
		wantOut := ""
		if tt.usage {
			wantOut = versionText()
			tt.stderr += usage()
		}
		if stdout != wantOut || stderr != tt.stderr || code != 1 {
			t.Errorf("%q: stdout %q, stderr %q, exit code %d, want %q, %q, 1", args, stdout, stderr, code, wantOut, tt.stderr)
		}
	}
}

// Help goes to standard error with the version on standard output, and fails; the version succeeds. Both act at once.
func TestHelpAndVersion(t *testing.T) {
	for _, tt := range []struct {
		args string
		help bool
	}{
		{"-h", true},
		{"--help", true},
		{"-nh -Z", true},
		{"-h host -q x", true},
		{"-hv", true},
		{"-v", false},
		{"--version", false},
		{"-nv -Z", false},
		{"-v host -qx", false},
		{"-f0 -vh", false},
	} {
		stdout, stderr, code := invoke(strings.Fields(tt.args)...)
		wantErr, wantCode := "", 0
		if tt.help {
			wantErr, wantCode = usage(), 1
		}
		if stdout != versionText() || stderr != wantErr || code != wantCode {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d, want %q, %q, %d", tt.args, stdout, stderr, code, versionText(), wantErr, wantCode)
		}
	}
	if v := versionText(); !regexp.MustCompile(`^\ntcptraceroute \S+\n(.+\n)+\n$`).MatchString(v) {
		t.Errorf("version %q has not the form of the old one", v)
	}
}

// Both texts fit a terminal; the short one is a screen of 24 lines.
func TestHelpFits(t *testing.T) {
	for name, text := range map[string]string{"short": usageText(groups()), "long": helpText(groups()), "version": versionText()} {
		for line := range strings.Lines(text) {
			if n := len(strings.TrimRight(line, "\n")); n > screen {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
	if n := strings.Count(usageText(groups()), "\n"); n > 24 {
		t.Errorf("the short help has %d lines", n)
	}
}

// The short help has every option of the classic command line in the synopsis and a cell; the long one every option that
// is meant to be seen, whole, each with the value it takes.
func TestHelpIsWhole(t *testing.T) {
	short, long := usageText(groups()), helpText(groups())
	head, cells, _ := strings.Cut(short, "\n\n")
	all := strings.Join(strings.Fields(long), " ")
	for i, g := range groups() {
		for _, o := range g.options {
			form := o.form("<", ">")
			switch {
			case o.help == "":
				if strings.Contains(long, form) || o.brief != "" {
					t.Errorf("%s is shown", form)
				}
				continue
			case i == 0 && o.brief == "":
				t.Errorf("%s has no place in the short help", form)
			case i == 0 && o.short != 0 && !regexp.MustCompile(`[[|]-\w*`+string(o.short)).MatchString(head):
				t.Errorf("the synopsis lacks -%c", o.short)
			}
			if !strings.Contains(all, " "+form+" "+o.help) {
				t.Errorf("the long help has not: %s %s", form, o.help)
			}
			if o.brief != "" && !strings.Contains(cells, fmt.Sprintf("  %-17s %s", o.form("", ""), o.brief)) {
				t.Errorf("the short help has no %s", form)
			}
			if cell := fmt.Sprintf("  %-17s %s", o.form("", ""), o.brief); o.brief != "" && len(cell) >= screen/2 {
				t.Errorf("too long for half a line: %s", cell)
			}
		}
	}
}

// What has no help is seen nowhere: only what the old program hides too.
func TestHidden(t *testing.T) {
	var hidden []string
	for _, o := range options() {
		if o.help == "" {
			hidden = append(hidden, o.names()...)
		}
	}
	if want := []string{"--track-ipid", "--no-filter", "--no-getinterfaces", "--no-select", "--select"}; !slices.Equal(hidden, want) {
		t.Errorf("hidden: %q, want %q", hidden, want)
	}
}

// The long help is asked for by its own word; it is what was wanted, so it goes to standard output and succeeds.
func TestHelpAll(t *testing.T) {
	for _, args := range []string{"--help all", "--help=all", "-n --help all -Z"} {
		stdout, stderr, code := invoke(strings.Fields(args)...)
		if stdout != helpText(groups()) || stderr != "" || code != 0 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", args, stdout, stderr, code)
		}
	}
	for _, args := range []string{"--help al", "--help -- all", "-h all"} {
		if stdout, stderr, code := invoke(strings.Fields(args)...); stdout != versionText() || stderr != usage() || code != 1 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", args, stdout, stderr, code)
		}
	}
}

// What the options ask for, however they are written; the last of several counts.
func TestOptions(t *testing.T) {
	base := config{}
	for _, tt := range []struct {
		args     string
		operands []string
		want     func(*config)
	}{
		{"host", []string{"host"}, func(*config) {}},
		{"-n a", []string{"a"}, func(c *config) { c.names = names.Never }},
		{"-nN a", []string{"a"}, func(c *config) { c.names = names.All }},
		{"-N -n a", []string{"a"}, func(c *config) { c.names = names.Never }},
		{"-nq1 a", []string{"a"}, func(c *config) { c.names, c.path.Queries = names.Never, 1 }},
		{"-q1 -q 2 a", []string{"a"}, func(c *config) { c.path.Queries = 2 }},
		{"-q 010 a", []string{"a"}, func(c *config) { c.path.Queries = 10 }},
		{"-q0 a", []string{"a"}, func(c *config) { c.path.Queries = -1 }},
		{"a -f 2 80 -m9 60", []string{"a", "80", "60"}, func(c *config) { c.path.FirstTTL, c.path.MaxTTL = 2, 9 }},
		{"-w5 a", []string{"a"}, func(c *config) { c.path.Wait, c.path.Patient = 5*time.Second, true }},
		{"-f0 -m0 -w0 a", []string{"a"}, func(c *config) {
			c.path.FirstTTL, c.path.MaxTTL, c.path.Wait, c.path.Patient = -1, -1, -time.Second, true
		}},
		{"-n -- -q 1", []string{"-q", "1"}, func(c *config) { c.names = names.Never }},
		{"a -- -80", []string{"a", "-80"}, func(*config) {}},
		{"- a", []string{"-", "a"}, func(*config) {}},
		{"-s -q a", []string{"a"}, func(c *config) { c.source, c.sourceSet = "-q", true }},
		{"-ieth0 a", []string{"a"}, func(c *config) { c.iface, c.ifaceSet = "eth0", true }},
		{"-S a", []string{"a"}, func(c *config) { c.path.Flags = packet.SYN }},
		{"-SA a", []string{"a"}, func(c *config) { c.path.Flags = packet.SYN | packet.ACK }},
		{"-E a", []string{"a"}, func(c *config) { c.path.Flags = packet.ECE | packet.CWR }},
		{"-t255 -F -l 65535 a", []string{"a"}, func(c *config) { c.path.TOS, c.path.DontFragment, c.path.Length = 255, true, 65535 }},
		{"-p 0 a", []string{"a"}, func(*config) {}},
		{"-p 5 a", []string{"a"}, func(c *config) { c.port, c.portSet = 5, true }},
		{"-p5 -p0 a", []string{"a"}, func(*config) {}},
		{"-P0 a", []string{"a"}, func(c *config) { c.portSet, c.anyPort = true, true }},
		{"-P5 -p6 a", []string{"a"}, func(c *config) { c.port, c.portSet, c.anyPort = 6, true, true }},
		{"-4 a", []string{"a"}, func(c *config) { c.family = names.IPv4 }},
		{"-46 a", []string{"a"}, func(c *config) { c.family = names.IPv6 }},
		{"--dnat a", []string{"a"}, func(c *config) { c.dnat = true }},
		{"--dnat --no-dnat a", []string{"a"}, func(*config) {}},
		{"--dnat --no-dnat-strict a", []string{"a"}, func(c *config) { c.strict = true }},
		{"--no-dnat-strict --dnat a", []string{"a"}, func(c *config) { c.dnat = true }},
		{"--no-dnat-strict --no-dnat a", []string{"a"}, func(*config) {}},
		{"--track-id --track-port a", []string{"a"}, func(c *config) { c.trackPort = true }},
		{"--track-port --track-id a", []string{"a"}, func(c *config) { c.trackID = true }},
		{"--track-port --track-ipid a", []string{"a"}, func(c *config) { c.trackID = true }},
		{"--parallel 4 a", []string{"a"}, func(c *config) { c.path.Parallel = 4 }},
		{"--parallel=4 a", []string{"a"}, func(c *config) { c.path.Parallel = 4 }},
		{"--mark 4294967295 a", []string{"a"}, func(c *config) { c.mark = 4294967295 }},
		{"--loose -d a", []string{"a"}, func(c *config) { c.loose, c.debug = true, true }},
		{"--no-filter --no-getinterfaces --no-select --select a", []string{"a"}, func(*config) {}},
	} {
		got, want := base, base
		operands, err := parse(options(), strings.Fields(tt.args), &got)
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		tt.want(&want)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || !slices.Equal(operands, tt.operands) {
			t.Errorf("%s: operands %q\n%+v\nwant %q\n%+v", tt.args, operands, got, tt.operands, want)
		}
	}
}

// The third operand is read as atoi(3) does, and wins over -l.
func TestLengthOperand(t *testing.T) {
	for _, tt := range []struct {
		operand string
		want    int
	}{{"60", 60}, {"0", 0}, {"", 0}, {"x", 0}, {"60x", 60}, {"0x20", 0}, {"-5", 0}, {"65535", 65535}} {
		p := program{config: config{path: trace.PathOptions{Length: 50}}}
		if err := p.operands([]string{"host", "80", tt.operand}); err != nil || p.path.Length != tt.want {
			t.Errorf("%q: length %d, error %v, want %d", tt.operand, p.path.Length, err, tt.want)
		}
	}
}

// Who has only been lent the program's privileges may not send from where he likes. It is said before the value is looked at.
func TestLentPrivileges(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-p 5000 host", "Sorry, must be root to use -p"},
		{"-px host", "Sorry, must be root to use -p"},
		{"-p0 host", "Sorry, must be root to use -p"},
		{"-P5000 host", "Sorry, must be root to use -p"},
		{"-s 192.0.2.1 host", "Sorry, must be root to use -s"},
		{"-s x -p y", "Sorry, must be root to use -s"},
		{"-q x -s y", "Numeric argument required for -q"},
		{"-p", "Argument required for -p"},
	} {
		c := config{lent: true}
		if _, err := parse(options(), strings.Fields(tt.args), &c); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.args, err, tt.want)
		}
	}
	c := config{lent: true}
	if _, err := parse(options(), strings.Fields("-nSAE -i eth0 -t1 -q1 host"), &c); err != nil {
		t.Error(err)
	}
}

// What opening the sockets failed for, in words.
func TestSocketError(t *testing.T) {
	const noDevice = "error opening device eth7: eth7: No such device exists (No such device exists)"
	for _, tt := range []struct {
		config config
		err    error
		want   string
	}{
		{config{}, fmt.Errorf("%w (%w)", wire.ErrPrivilege, syscall.EPERM), "Raw sockets need root or the capability CAP_NET_RAW: run it with sudo, or once: sudo setcap cap_net_raw+p tcptraceroute"},
		{config{iface: "eth7"}, fmt.Errorf("interface: %w", syscall.ENODEV), noDevice},
		{config{iface: "eth7"}, fmt.Errorf("interface: %w", syscall.EINVAL), noDevice},
		{config{}, fmt.Errorf("interface: %w", syscall.ENODEV), "interface: no such device"},
		{config{}, fmt.Errorf("port: %w", syscall.EADDRINUSE), errPortInUse.Error()},
		{config{}, wire.ErrUnsupported, "sending TCP probes is not supported on this platform yet; it is on Linux"},
		{config{}, fmt.Errorf("raw socket: %w", syscall.EMFILE), "raw socket: too many open files"},
	} {
		p := program{config: tt.config}
		if got := p.socketError(tt.err); got.Error() != tt.want {
			t.Errorf("%+v, %v: %q, want %q", tt.config, tt.err, got, tt.want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, 0, ""},
		{errNotReached, 1, "Destination not reached\n"},
		{errors.New("a\x1b[2J\nb"), 1, `a\x1b[2J\nb` + "\n"},
		{&routeError{syscall.EINVAL}, 2, "connect: Invalid argument\n"},
		{&trace.SendError{Probes: 1, Err: syscall.EPERM}, 2, "1 probe could not be sent: operation not permitted\n"},
		{&trace.SendError{Probes: 20, Err: syscall.EPERM}, 2, "20 probes in a row could not be sent: operation not permitted\n"},
		{fmt.Errorf("so: %w", &Interrupted{syscall.SIGINT}), 130, "Interrupted\n"},
		{&Interrupted{syscall.SIGTERM}, 143, "Interrupted\n"},
		{&usageError{}, 1, usage()},
	} {
		var stdout, stderr bytes.Buffer
		p := program{stdout: &stdout, stderr: &stderr}
		if code := p.code(tt.err); code != tt.code || stderr.String() != tt.stderr {
			t.Errorf("%v: exit code %d, stderr %q, want %d, %q", tt.err, code, stderr.String(), tt.code, tt.stderr)
		}
	}
}

// Probes that were not sent are told of once for each reason, in the order in which it happened.
func TestTroubles(t *testing.T) {
	var all troubles
	for _, err := range []error{syscall.EPERM, nil, trace.ErrNextHop, syscall.EPERM} {
		r := trace.Result{Fate: trace.Lost}
		if err != nil {
			r = trace.Result{Fate: trace.Failed, Err: fmt.Errorf("sending: %w", err)}
		}
		all.add(r)
	}
	var b bytes.Buffer
	all.print(&b)
	const want = "<EPERM>: 2 probes not sent: sending: operation not permitted\n<EHOSTUNREACH>: 1 probe not sent: sending: next hop unreachable\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// Answers that this host has lost are told of.
func TestWarnLostHere(t *testing.T) {
	var b bytes.Buffer
	p := program{stderr: &b}
	p.warn(new(troubles), trace.Counts{LostHere: 3})
	const want = "Warning: packets lost on this host, which was too busy to read them: 3. Probes in flight then are not counted as lost\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	if p.warn(new(troubles), trace.Counts{}); b.Len() > 0 {
		t.Errorf("%q without a loss", b.String())
	}
}

// Every packet and what became of it, one line each.
func TestDebug(t *testing.T) {
	probe := packet.Probe{
		Src: netip.MustParseAddrPort("192.0.2.1:4000"), Dst: netip.MustParseAddrPort("192.0.2.9:80"),
		TTL: 3, Seq: 77, ID: 4711, Flags: packet.SYN,
	}
	probe6 := packet.Probe{
		Src: netip.MustParseAddrPort("[2001:db8::1]:4000"), Dst: netip.MustParseAddrPort("[2001:db8::9]:80"),
		TTL: 3, Seq: 77, FlowLabel: 0xabc, Window: 9, Flags: packet.SYN,
	}
	tcp := &packet.Reply{Kind: packet.KindTCP}
	tcp.IP.Src = netip.MustParseAddr("192.0.2.9")
	tcp.TCP.Flags, tcp.TCP.Seq, tcp.TCP.Ack = packet.SYN|packet.ACK, 5, 78
	icmp := &packet.Reply{Kind: packet.KindTimeExceeded, Type: 11}
	icmp.IP.Src = netip.MustParseAddr("192.0.2.5")
	icmp.Quote.IP.Src, icmp.Quote.IP.Dst, icmp.Quote.TCP.Seq = probe.Src.Addr(), probe.Dst.Addr(), 77

	for _, tt := range []struct {
		event trace.Event
		want  string
	}{
		{trace.Event{Probe: &probe}, "sent: ttl 3 192.0.2.1:4000 > 192.0.2.9:80 SYN seq 77 id 4711"},
		{trace.Event{Probe: &probe6}, "sent: ttl 3 [2001:db8::1]:4000 > [2001:db8::9]:80 SYN seq 77 tag 9, label 0x00abc"},
		{trace.Event{Probe: &probe, Err: syscall.EPERM}, "not sent: ttl 3 192.0.2.1:4000 > 192.0.2.9:80 SYN seq 77 id 4711: operation not permitted"},
		{trace.Event{Err: errors.New("too\nshort")}, `received: unreadable: too\nshort`},
		{trace.Event{Reply: tcp, Probe: &probe}, "received: 192.0.2.9 TCP [open] seq 5 ack 78: answers ttl 3"},
		{trace.Event{Reply: icmp, Verdict: trace.NearMiss}, "ignored: 192.0.2.5 time exceeded (type 11 code 0), quoting 192.0.2.1 > 192.0.2.9 seq 77: wrong sequence or acknowledgement number"},
	} {
		var b bytes.Buffer
		debug(&b, false)(tt.event)
		if want := "debug: " + tt.want + "\n"; b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}

// The report may be as slow as it likes: nothing that is added waits for it.
func TestPrinterDoesNotBlock(t *testing.T) {
	o := trace.PathOptions{MaxTTL: 100, Queries: 1}
	r, w := io.Pipe()
	p := startPrinter(report.NewClassic(w, trace.NewTrace(o), report.ClassicOptions{}), func(err error) { t.Error(err) })
	for ttl := range 100 {
		p.add(trace.Result{Probe: packet.Probe{TTL: uint8(ttl + 1)}, N: ttl + 1, Fate: trace.Lost})
	}
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		text <- string(b)
	}()
	err := p.close()
	w.Close()
	if got := <-text; err != nil || !strings.HasPrefix(got, " 1  *\n 2  *\n") || !strings.HasSuffix(got, "\n100  *\n") {
		t.Errorf("error %v, text %q", err, got)
	}
}

// A name that doesn't exist and one that nobody could look up are different troubles.
func TestWhyBad(t *testing.T) {
	for _, tt := range []struct {
		host string
		err  net.DNSError
		want string
	}{
		{"a.example", net.DNSError{IsNotFound: true}, ""},
		{"a.example", net.DNSError{IsTimeout: true, IsTemporary: true}, " (no name server answered)"},
		{"a.example", net.DNSError{Err: "server misbehaving", IsTemporary: true}, " (the name servers could not tell)"},
		{"a.example:443", net.DNSError{IsNotFound: true}, " (host and port are two arguments: a.example 443)"},
		{":443", net.DNSError{IsNotFound: true}, ""},
	} {
		if got := whyBad(tt.host, fmt.Errorf("host: %w", &tt.err)); got != tt.want {
			t.Errorf("%s, %+v: %q, want %q", tt.host, tt.err, got, tt.want)
		}
	}
}

// Every option that help shows has its place in docs/options.md.
func TestOptionsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options() {
		if o.help == "" {
			continue
		}
		documented := false
		for _, name := range o.names() {
			documented = documented || regexp.MustCompile(`(?m)^\| ([^|]* )?`+regexp.QuoteMeta(name)+`[ ,]`).Match(text)
		}
		if !documented {
			t.Errorf("docs/options.md has no row for %v", o.names())
		}
	}
}
