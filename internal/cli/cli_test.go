package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/internal/version"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// invoke runs a command line that ends before a socket is opened.
func invoke(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = Run(context.Background(), args, &out, &err)
	return out.String(), err.String(), code
}

func usage() string { return options.UsageText(options.Groups()) }

// A mistake in the form of the command line ends it with one line, and nothing on standard output. Of several the first
// counts, in the order of the arguments.
func TestMistakes(t *testing.T) {
	const missing = "host missing: tcptraceroute [options] host [port]; see tcptraceroute --help\n"
	for _, tt := range []struct {
		args   string // split at blanks; '' is an empty one
		stderr string
	}{
		{args: "", stderr: missing},
		{args: "-n", stderr: missing},
		{args: "--json", stderr: missing},
		{args: "a 1 40 4", stderr: "Too many arguments, the first is 4: after host, port and packet length there is none; see tcptraceroute --help\n"},
		{args: "a 1 40 x y", stderr: "Too many arguments, the first is x: after host, port and packet length there is none; see tcptraceroute --help\n"},

		{args: "-k", stderr: "Unknown command line argument: -k; see tcptraceroute --help\n"},
		{args: "-nkq host", stderr: "Unknown command line argument: -k; see tcptraceroute --help\n"},
		{args: "-1 host", stderr: "Unknown command line argument: -1; see tcptraceroute --help\n"},
		{args: "-? host", stderr: "Unknown command line argument: -?; see tcptraceroute --help\n"},
		{args: "host 80 -40", stderr: "Unknown command line argument: -0; see tcptraceroute --help\n"},
		{args: "-\x1b", stderr: "Unknown command line argument: -\\x1b; see tcptraceroute --help\n"},
		{args: "--bogus=3 host", stderr: "Unknown command line argument: --bogus=3; see tcptraceroute --help\n"},
		{args: "--b\x1b[31m", stderr: "Unknown command line argument: --b\\x1b[31m; see tcptraceroute --help\n"},
		{args: "--dna host", stderr: "Unknown command line argument: --dna (did you mean --dnat?); see tcptraceroute --help\n"},
		{args: "--dnat=1 host", stderr: "Unknown command line argument: --dnat=1 (--dnat takes no value); see tcptraceroute --help\n"},
		{args: "---dnat host", stderr: "Unknown command line argument: ---dnat (did you mean --dnat?); see tcptraceroute --help\n"},
		{args: "--n host", stderr: "Unknown command line argument: --n (did you mean -n?); see tcptraceroute --help\n"},
		{args: "--help= host", stderr: "Unknown command line argument: --help= (--help takes no value but all); see tcptraceroute --help\n"},
		{args: "--help=most", stderr: "Unknown command line argument: --help=most (--help takes no value but all); see tcptraceroute --help\n"},
		{args: "--version=all", stderr: "Unknown command line argument: --version=all (--version takes no value); see tcptraceroute --help\n"},
		{args: "--=x host", stderr: "Unknown command line argument: --=x; see tcptraceroute --help\n"},
		{args: "--jsno host", stderr: "Unknown command line argument: --jsno (did you mean --json?); see tcptraceroute --help\n"},
		{args: "-json host", stderr: "Unknown command line argument: -j (did you mean --json?); see tcptraceroute --help\n"},
		{args: "--JSON host", stderr: "Unknown command line argument: --JSON (did you mean --json?); see tcptraceroute --help\n"},
		{args: "--josn --csv host", stderr: "Unknown command line argument: --josn (did you mean --json?); see tcptraceroute --help\n"},
		{args: "--explian", stderr: "Unknown command line argument: --explian (did you mean --explain?); see tcptraceroute --help\n"},
		{args: "-explain host", stderr: "Unknown command line argument: -x (did you mean --explain?); see tcptraceroute --help\n"},
		{args: "--unpriv", stderr: "Unknown command line argument: --unpriv (did you mean --unprivileged?); see tcptraceroute --help\n"},
		{args: "--no-d", stderr: "Unknown command line argument: --no-d (did you mean --no-dnat or --no-dnat-strict?); see tcptraceroute --help\n"},
		{args: "--track host", stderr: "Unknown command line argument: --track (did you mean --track-port or --track-id?); see tcptraceroute --help\n"},
		{args: "--zzzz host", stderr: "Unknown command line argument: --zzzz; see tcptraceroute --help\n"},
		{args: "-W 1 host", stderr: "Unknown command line argument: -W (did you mean -w?); see tcptraceroute --help\n"},
		{args: "-V", stderr: "Unknown command line argument: -V (did you mean -v?); see tcptraceroute --help\n"},

		// What traceroute, mtr and nmap are given.
		{args: "-T -p 443 host", stderr: "Unknown command line argument: -T (" + options.OnlyTCP + "); see tcptraceroute --help\n"},
		{args: "-nT host", stderr: "Unknown command line argument: -T (" + options.OnlyTCP + "); see tcptraceroute --help\n"},
		{args: "--tcp host", stderr: "Unknown command line argument: --tcp (" + options.OnlyTCP + "); see tcptraceroute --help\n"},
		{args: "-U host", stderr: "Unknown command line argument: -U (" + options.NeverUDP + "); see tcptraceroute --help\n"},
		{args: "-I host", stderr: "Unknown command line argument: -I (" + options.Habits["-I"] + "); see tcptraceroute --help\n"},
		{args: "--port=443 host", stderr: "Unknown command line argument: --port=443 (" + options.ByPort + "); see tcptraceroute --help\n"},
		{args: "--port 443 host", stderr: "Unknown command line argument: --port (" + options.ByPort + "); see tcptraceroute --help\n"},
		{args: "-N16 host", stderr: "Unknown command line argument: -1 (" + options.AfterN + "); see tcptraceroute --help\n"},
		{args: "-z 0.1 host", stderr: "Unknown command line argument: -z (" + options.Habits["-z"] + "); see tcptraceroute --help\n"},
		{args: "-r -c 10 -T -P 443 host", stderr: "Unknown command line argument: -r (" + options.Habits["-r"] + "); see tcptraceroute --help\n"},
		{args: "--report-wide host", stderr: "Unknown command line argument: --report-wide (" + options.Habits["--report-wide"] + "); see tcptraceroute --help\n"},
		{args: "--file list", stderr: "Unknown command line argument: --file (the targets of a file are traced by --targets FILE); see tcptraceroute --help\n"},
		{args: "--queries 1 host", stderr: "Unknown command line argument: --queries (probes per hop are set by -q); see tcptraceroute --help\n"},

		// The host, with a port and without.
		{args: "host:443 80", stderr: "Two ports for the target: 443 by host, and 80 by the argument after it: leave one out\n"},
		{args: "https://host/ 80", stderr: "Two ports for the target: 443 by host, and 80 by the argument after it: leave one out\n"},
		{args: "[2001:db8::1]:443 80", stderr: "Two ports for the target: 443 by 2001:db8::1, and 80 by the argument after it: leave one out\n"},
		{args: "host: 80", stderr: "Bad destination address: host: (no port follows the colon)\n"},
		{args: "[::1]:", stderr: "Bad destination address: [::1]: (no port follows the colon)\n"},
		{args: ":443", stderr: "Bad destination address: :443 (no host precedes the colon)\n"},
		{args: "[host]:443", stderr: "Bad destination address: [host]:443 (brackets are for an IPv6 address, as in [2001:db8::1]:443)\n"},
		{args: "[::1", stderr: "Bad destination address: [::1 (brackets are for an IPv6 address, as in [2001:db8::1]:443)\n"},
		{args: "[::1]443", stderr: "Bad destination address: [::1]443 (brackets are for an IPv6 address, as in [2001:db8::1]:443)\n"},
		{args: "host:443:80", stderr: "Bad destination address: host:443:80 (it is no IPv6 address; one with a port is written [2001:db8::1]:443)\n"},
		{args: "https:///path", stderr: "Bad destination address: https:///path (the URL has no host)\n"},
		{args: "http://a\x1b/", stderr: "Bad destination address: http://... (that is no URL; give HOST PORT)\n"},
		{args: "http://user:secret@host:port/", stderr: "Bad destination address: http://... (that is no URL; give HOST PORT)\n"},

		// The packet length.
		{args: "host 80 abc", stderr: "The third argument is the packet length, and must be between 0 and 65535: abc\n"},
		{args: "host 80 60x", stderr: "The third argument is the packet length, and must be between 0 and 65535: 60x\n"},
		{args: "host 80 65536", stderr: "The third argument is the packet length, and must be between 0 and 65535: 65536\n"},
		{args: "host 80 99999999999999999999", stderr: "The third argument is the packet length, and must be between 0 and 65535: 99999999999999999999\n"},
		{args: "-- host 80 -5", stderr: "The third argument is the packet length, and must be between 0 and 65535: -5\n"},
		{args: "--json host 80 abc", stderr: "The third argument is the packet length, and must be between 0 and 65535: abc\n"},

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
		{args: "-w 2,5 host", stderr: "Numeric argument required for -w\n"},
		{args: "-w . host", stderr: "Numeric argument required for -w\n"},
		{args: "-w 1e3 host", stderr: "Numeric argument required for -w\n"},
		{args: "-w -0.5 host", stderr: "Numeric argument required for -w\n"},
		{args: "-w 0.4 host", stderr: "Argument of -w must be between 0.5 and 86400 seconds: 0.4\n"},
		{args: "-w 86400.1 host", stderr: "Argument of -w must be between 0.5 and 86400 seconds: 86400.1\n"},
		{args: "-t 0x100 host", stderr: "Argument of -t must be between 0 and 255, or the name of a DSCP (ef, cs0 to cs7, af11 to af43, le, va): 0x100\n"},
		{args: "-t 0x host", stderr: "Argument of -t must be between 0 and 255, or the name of a DSCP (ef, cs0 to cs7, af11 to af43, le, va): 0x\n"},
		{args: "-t cs8 host", stderr: "Argument of -t must be between 0 and 255, or the name of a DSCP (ef, cs0 to cs7, af11 to af43, le, va): cs8\n"},
		{args: "-t af44 host", stderr: "Argument of -t must be between 0 and 255, or the name of a DSCP (ef, cs0 to cs7, af11 to af43, le, va): af44\n"},
		{args: "-t '' host", stderr: "Argument of -t must be between 0 and 255, or the name of a DSCP (ef, cs0 to cs7, af11 to af43, le, va): \"\"\n"},
		{args: "-l 1x host", stderr: "Numeric argument required for -l\n"},
		{args: "-p \u0661 host", stderr: "Numeric argument required for -p\n"}, // a digit, but not of ASCII
		{args: "-P x host", stderr: "Numeric argument required for -P\n"},
		{args: "--parallel= host", stderr: "Argument of --parallel must be between 1 and 65535: \"\"\n"},
		{args: "--mark -1 host", stderr: "Argument of --mark must be between 0 and 4294967295, or hexadecimal, 0x0 to 0xffffffff: -1\n"},

		{args: "-p 65536 host", stderr: "Argument of -p must be between 0 and 65535: 65536\n"},
		{args: "-P 70000 host", stderr: "Argument of -P must be between 0 and 65535: 70000\n"},
		{args: "-t 256 host", stderr: "Argument of -t must be between 0 and 255, or the name of a DSCP (ef, cs0 to cs7, af11 to af43, le, va): 256\n"},
		{args: "-l 65536 host", stderr: "Argument of -l must be between 0 and 65535: 65536\n"},
		{args: "-q 1000001 host", stderr: "Argument of -q must be between 1 and 1000000: 1000001\n"},
		{args: "-w 86401 host", stderr: "Argument of -w must be between 0.5 and 86400 seconds: 86401\n"},
		{args: "-w 99999999999999999999 host", stderr: "Argument of -w must be between 0.5 and 86400 seconds: 99999999999999999999\n"},
		{args: "--parallel 0 host", stderr: "Argument of --parallel must be between 1 and 65535: 0\n"},
		{args: "--mark 4294967296 host", stderr: "Argument of --mark must be between 0 and 4294967295, or hexadecimal, 0x0 to 0xffffffff: 4294967296\n"},

		{args: "--syn", stderr: "Argument required for --syn\n"},
		{args: "--syn x host", stderr: "Argument of --syn must be bare or linux: x\n"},
		{args: "--syn= host", stderr: "Argument of --syn must be bare or linux: \"\"\n"},
		{args: "--syn Linux host", stderr: "Argument of --syn must be bare or linux: Linux\n"},
		{args: "--syn \x1b host", stderr: "Argument of --syn must be bare or linux: \\x1b\n"},
		{args: "--mss x host", stderr: "Argument of --mss must be between 1 and 65535: x\n"},
		{args: "--mss 0 host", stderr: "Argument of --mss must be between 1 and 65535: 0\n"},
		{args: "--mss 65536 host", stderr: "Argument of --mss must be between 1 and 65535: 65536\n"},
		{args: "--extensions=1 host", stderr: "Unknown command line argument: --extensions=1 (--extensions takes no value); see tcptraceroute --help\n"},
		{args: "--mmdb", stderr: "Argument required for --mmdb\n"},
		{args: "--mmdb= host", stderr: "Argument of --mmdb must be the name of a file\n"},
		{args: "--as-dns=x host", stderr: "Unknown command line argument: --as-dns=x (--as-dns takes no value); see tcptraceroute --help\n"},
		{args: "--accecn=1 host", stderr: "Unknown command line argument: --accecn=1 (--accecn takes no value); see tcptraceroute --help\n"},
		{args: "-A --syn linux host", stderr: "--syn linux is about SYNs, and -A sends none: leave one of them away, or add -S\n"},
		{args: "-A --mss 9 host", stderr: "--mss is about SYNs, and -A sends none: leave one of them away, or add -S\n"},
		{args: "--accecn -A host", stderr: "--accecn is about SYNs, and -A sends none: leave one of them away, or add -S\n"},

		{args: "-q x -k", stderr: "Numeric argument required for -q\n"},
		{args: "-k -q x", stderr: "Unknown command line argument: -k; see tcptraceroute --help\n"},
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
		if stdout != "" || stderr != tt.stderr || code != 1 {
			t.Errorf("%q: stdout %q, stderr %q, exit code %d, want nothing, %q, 1", args, stdout, stderr, code, tt.stderr)
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
		if stdout != version.Text() || stderr != wantErr || code != wantCode {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d, want %q, %q, %d", tt.args, stdout, stderr, code, version.Text(), wantErr, wantCode)
		}
	}
	if v := version.Text(); !regexp.MustCompile(`^\ntcptraceroute \S+\n(.+\n)+\n$`).MatchString(v) {
		t.Errorf("version %q has not the form of the old one", v)
	}
}

// Both texts fit a terminal; the short one is a screen of 24 lines.
func TestHelpFits(t *testing.T) {
	for name, text := range map[string]string{"short": options.UsageText(options.Groups()), "long": options.HelpText(options.Groups()), "version": version.Text()} {
		for line := range strings.Lines(text) {
			if n := len(strings.TrimRight(line, "\n")); n > options.Screen {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
	if n := strings.Count(options.UsageText(options.Groups()), "\n"); n > 24 {
		t.Errorf("the short help has %d lines", n)
	}
}

// The short help has every option of the classic command line in the synopsis and a cell; the long one every option that
// is meant to be seen, whole, each with the value it takes.
func TestHelpIsWhole(t *testing.T) {
	short, long := options.UsageText(options.Groups()), options.HelpText(options.Groups())
	head, cells, _ := strings.Cut(short, "\n\n")
	all := strings.Join(strings.Fields(long), " ")
	for i, g := range options.Groups() {
		for _, o := range g.Options {
			form := o.Form("<", ">")
			switch {
			case o.Help == "":
				if strings.Contains(long, form) || o.Brief != "" {
					t.Errorf("%s is shown", form)
				}
				continue
			case i == 0 && o.Brief == "":
				t.Errorf("%s has no place in the short help", form)
			case i == 0 && o.Short != 0 && !regexp.MustCompile(`[[|]-\w*`+string(o.Short)).MatchString(head):
				t.Errorf("the synopsis lacks -%c", o.Short)
			}
			if !strings.Contains(all, " "+form+" "+o.Whole()) {
				t.Errorf("the long help has not: %s %s", form, o.Whole())
			}
			if o.Brief != "" && !strings.Contains(cells, fmt.Sprintf("  %-17s %s", o.Form("", ""), o.Brief)) {
				t.Errorf("the short help has no %s", form)
			}
			if cell := fmt.Sprintf("  %-17s %s", o.Form("", ""), o.Brief); o.Brief != "" && len(cell) >= options.Screen/2 {
				t.Errorf("too long for half a line: %s", cell)
			}
		}
	}
}

// What has no help is seen nowhere: only what the old program hides too.
func TestHidden(t *testing.T) {
	var hidden []string
	for _, o := range options.Options() {
		if o.Help == "" {
			hidden = append(hidden, o.Names()...)
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
		if stdout != options.HelpText(options.Groups()) || stderr != "" || code != 0 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", args, stdout, stderr, code)
		}
	}
	for _, args := range []string{"--help al", "--help -- all", "-h all"} {
		if stdout, stderr, code := invoke(strings.Fields(args)...); stdout != version.Text() || stderr != usage() || code != 1 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", args, stdout, stderr, code)
		}
	}
}

// A host as people have it at hand: with a port, in a URL, with blanks around it. The port may be said twice.
func TestHostOperand(t *testing.T) {
	for _, tt := range []struct {
		operands      []string
		host, service string // "": 80, by default
	}{
		{[]string{"host"}, "host", ""},
		{[]string{"host", "443"}, "host", "443"},
		{[]string{"host:443"}, "host", "443"},
		{[]string{"host:https"}, "host", "https"},
		{[]string{"host:443", "443"}, "host", "443"},
		{[]string{"192.0.2.1:443"}, "192.0.2.1", "443"},
		{[]string{"0xc6120402:25"}, "0xc6120402", "25"},
		{[]string{"2001:db8::1"}, "2001:db8::1", ""},
		{[]string{"2001:db8::1:443"}, "2001:db8::1:443", ""},
		{[]string{"2001:db8::1", "443"}, "2001:db8::1", "443"},
		{[]string{"::ffff:192.0.2.1"}, "::ffff:192.0.2.1", ""},
		{[]string{"fe80::1%eth0"}, "fe80::1%eth0", ""},
		{[]string{"[2001:db8::1]"}, "2001:db8::1", ""},
		{[]string{"[2001:db8::1]", "25"}, "2001:db8::1", "25"},
		{[]string{"[2001:db8::1]:443"}, "2001:db8::1", "443"},
		{[]string{"[fe80::1%eth0]:443"}, "fe80::1%eth0", "443"},
		{[]string{"http://host"}, "host", "80"},
		{[]string{"http://host/"}, "host", "80"},
		{[]string{"http://host:8080/a/b?c=d#e"}, "host", "8080"},
		{[]string{"HTTPS://Host/"}, "Host", "443"},
		{[]string{"https://host", "443"}, "host", "443"},
		{[]string{"https://user:secret@host:8443/"}, "host", "8443"},
		{[]string{"https://[2001:db8::1]/"}, "2001:db8::1", "443"},
		{[]string{"https://[2001:db8::1]:8443/"}, "2001:db8::1", "8443"},
		{[]string{"http://[fe80::1%25eth0]/"}, "fe80::1%eth0", "80"},
		{[]string{"wss://host/"}, "host", "443"},
		{[]string{"ssh://me@host"}, "host", "ssh"},
		{[]string{"https://bücher.example/"}, "bücher.example", "443"},
		{[]string{" host "}, "host", ""},
		{[]string{"host\t", " 443\n"}, "host", "443"},
		{[]string{" host:443 "}, "host", "443"},
		{[]string{" https://host/ "}, "host", "443"},
		{[]string{"", ""}, "", ""},
	} {
		var p program
		if err := p.Operands(tt.operands); err != nil || p.Host != tt.host || p.Service != tt.service {
			t.Errorf("%q: host %q, port %q, error %v, want %q, %q", tt.operands, p.Host, p.Service, err, tt.host, tt.service)
		}
	}
}

// What the options ask for, however they are written; the last of several counts.
func TestOptions(t *testing.T) {
	base := options.Config{}
	for _, tt := range []struct {
		args     string
		operands []string
		want     func(*options.Config)
	}{
		{"host", []string{"host"}, func(*options.Config) {}},
		{"-n a", []string{"a"}, func(c *options.Config) { c.Names = names.Never }},
		{"-nN a", []string{"a"}, func(c *options.Config) { c.Names = names.All }},
		{"-N -n a", []string{"a"}, func(c *options.Config) { c.Names = names.Never }},
		{"-nq1 a", []string{"a"}, func(c *options.Config) { c.Names, c.Path.Queries = names.Never, 1 }},
		{"-q1 -q 2 a", []string{"a"}, func(c *options.Config) { c.Path.Queries = 2 }},
		{"-q 010 a", []string{"a"}, func(c *options.Config) { c.Path.Queries = 10 }},
		{"-q0 a", []string{"a"}, func(c *options.Config) { c.Path.Queries = -1 }},
		{"a -f 2 80 -m9 60", []string{"a", "80", "60"}, func(c *options.Config) { c.Path.FirstTTL, c.Path.MaxTTL = 2, 9 }},
		{"-w 0.5 a", []string{"a"}, func(c *options.Config) { c.Path.Wait, c.Path.Patient = 500*time.Millisecond, true }},
		{"-w2.5 a", []string{"a"}, func(c *options.Config) { c.Path.Wait, c.Path.Patient = 2500*time.Millisecond, true }},
		{"-w 1. a", []string{"a"}, func(c *options.Config) { c.Path.Wait, c.Path.Patient = time.Second, true }},
		{"-w .75 a", []string{"a"}, func(c *options.Config) { c.Path.Wait, c.Path.Patient = 750*time.Millisecond, true }},
		{"-t 0x10 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 16 }},
		{"-t 0XFF a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 255 }},
		{"-t 010 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 10 }},
		{"-t ef a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0xb8 }},
		{"-t EF a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0xb8 }},
		{"-t cs1 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0x20 }},
		{"-t CS7 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0xe0 }},
		{"-t cs0 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0 }},
		{"-t af41 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0x88 }},
		{"-t AF11 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0x28 }},
		{"-t af43 a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0x98 }},
		{"-t le a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0x04 }},
		{"-t va a", []string{"a"}, func(c *options.Config) { c.Path.TOS = 0xb0 }},
		{"--mark 0x10 a", []string{"a"}, func(c *options.Config) { c.Mark = 16 }},
		{"--mark=0XfFffFfff a", []string{"a"}, func(c *options.Config) { c.Mark = 4294967295 }},
		{"-N 16 host a", []string{"16", "host", "a"}, func(c *options.Config) { c.Names, c.AfterN = names.All, "16" }},
		{"-f 99999999999999999999 -m999 a", []string{"a"}, func(c *options.Config) { c.Path.FirstTTL, c.Path.MaxTTL = math.MaxInt, 999 }},
		{"-q 00 -w00 a", []string{"a"}, func(c *options.Config) { c.Path.Queries, c.Path.Wait, c.Path.Patient = -1, -time.Second, true }},
		{"-w5 a", []string{"a"}, func(c *options.Config) { c.Path.Wait, c.Path.Patient = 5*time.Second, true }},
		{"-f0 -m0 -w0 a", []string{"a"}, func(c *options.Config) {
			c.Path.FirstTTL, c.Path.MaxTTL, c.Path.Wait, c.Path.Patient = -1, -1, -time.Second, true
		}},
		{"-n -- -q 1", []string{"-q", "1"}, func(c *options.Config) { c.Names = names.Never }},
		{"a -- -80", []string{"a", "-80"}, func(*options.Config) {}},
		{"- a", []string{"-", "a"}, func(*options.Config) {}},
		{"-s -q a", []string{"a"}, func(c *options.Config) { c.Source, c.SourceSet = "-q", true }},
		{"-ieth0 a", []string{"a"}, func(c *options.Config) { c.Interface, c.InterfaceSet = "eth0", true }},
		{"-S a", []string{"a"}, func(c *options.Config) { c.Path.Flags = packet.SYN }},
		{"-SA a", []string{"a"}, func(c *options.Config) { c.Path.Flags = packet.SYN | packet.ACK }},
		{"-E a", []string{"a"}, func(c *options.Config) { c.Path.Flags = packet.ECE | packet.CWR }},
		{"-t255 -F -l 65535 a", []string{"a"}, func(c *options.Config) { c.Path.TOS, c.Path.DontFragment, c.Path.Length = 255, true, 65535 }},
		{"-p 0 a", []string{"a"}, func(*options.Config) {}},
		{"-p 5 a", []string{"a"}, func(c *options.Config) { c.Port, c.PortSet = 5, true }},
		{"-p5 -p0 a", []string{"a"}, func(*options.Config) {}},
		{"-P0 a", []string{"a"}, func(c *options.Config) { c.PortSet, c.AnyPort = true, true }},
		{"-P5 -p6 a", []string{"a"}, func(c *options.Config) { c.Port, c.PortSet, c.AnyPort = 6, true, true }},
		{"-4 a", []string{"a"}, func(c *options.Config) { c.Family = names.IPv4 }},
		{"-46 a", []string{"a"}, func(c *options.Config) { c.Family = names.IPv6 }},
		{"--dnat a", []string{"a"}, func(c *options.Config) { c.DNAT = true }},
		{"--dnat --no-dnat a", []string{"a"}, func(*options.Config) {}},
		{"--dnat --no-dnat-strict a", []string{"a"}, func(c *options.Config) { c.Path.Strict = true }},
		{"--no-dnat-strict --dnat a", []string{"a"}, func(c *options.Config) { c.DNAT = true }},
		{"--no-dnat-strict --no-dnat a", []string{"a"}, func(*options.Config) {}},
		{"--track-id --track-port a", []string{"a"}, func(c *options.Config) { c.TrackPort = true }},
		{"--track-port --track-id a", []string{"a"}, func(c *options.Config) { c.TrackID = true }},
		{"--track-port --track-ipid a", []string{"a"}, func(c *options.Config) { c.TrackID = true }},
		{"--parallel 4 a", []string{"a"}, func(c *options.Config) { c.Path.Parallel = 4 }},
		{"--parallel=4 a", []string{"a"}, func(c *options.Config) { c.Path.Parallel = 4 }},
		{"--mark 4294967295 a", []string{"a"}, func(c *options.Config) { c.Mark = 4294967295 }},
		{"--loose -d a", []string{"a"}, func(c *options.Config) { c.Path.Loose, c.Debug = true, true }},
		{"--no-filter --no-getinterfaces --no-select --select a", []string{"a"}, func(*options.Config) {}},
	} {
		got, want := base, base
		operands, err := options.Parse(options.Options(), strings.Fields(tt.args), &got)
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		got.Given = nil // which the table doesn't repeat
		tt.want(&want)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || !slices.Equal(operands, tt.operands) {
			t.Errorf("%s: operands %q\n%+v\nwant %q\n%+v", tt.args, operands, got, tt.operands, want)
		}
	}
}

// The third operand wins over -l. An empty one is the default.
func TestLengthOperand(t *testing.T) {
	for _, tt := range []struct {
		operand string
		want    int
	}{{"60", 60}, {"0", 0}, {"", 50}, {" 60 ", 60}, {"65535", 65535}} {
		p := program{Config: options.Config{Path: trace.PathOptions{Length: 50}}}
		if err := p.Operands([]string{"host", "80", tt.operand}); err != nil || p.Path.Length != tt.want {
			t.Errorf("%q: length %d, error %v, want %d", tt.operand, p.Path.Length, err, tt.want)
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
		c := options.Config{Lent: true}
		if _, err := options.Parse(options.Options(), strings.Fields(tt.args), &c); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.args, err, tt.want)
		}
	}
	c := options.Config{Lent: true}
	if _, err := options.Parse(options.Options(), strings.Fields("-nSAE -i eth0 -t1 -q1 host"), &c); err != nil {
		t.Error(err)
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
		{new(program).worded(&measure.RouteError{Err: syscall.EINVAL}), 2, "connect: Invalid argument\n"},
		{&trace.SendError{Probes: 1, Err: syscall.EPERM}, 2, "1 probe could not be sent: operation not permitted\n"},
		{&trace.SendError{Probes: 20, Err: syscall.EPERM}, 2, "20 probes in a row could not be sent: operation not permitted\n"},
		{fmt.Errorf("so: %w", &terminal.Interrupted{Signal: syscall.SIGINT}), 130, "Interrupted\n"},
		{&terminal.Interrupted{Signal: syscall.SIGTERM}, 143, "Interrupted\n"},
		{errHelp, 1, usage()},
	} {
		var stdout, stderr bytes.Buffer
		p := program{stdout: &stdout, stderr: &stderr}
		if code := p.code(tt.err); code != tt.code || stderr.String() != tt.stderr {
			t.Errorf("%v: exit code %d, stderr %q, want %d, %q", tt.err, code, stderr.String(), tt.code, tt.stderr)
		}
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
		report.Debug(&b, false)(tt.event)
		if want := "debug: " + tt.want + "\n"; b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}

// The report may be as slow as it likes: nothing that is added waits for it.
func TestPrinterDoesNotBlock(t *testing.T) {
	o := trace.PathOptions{MaxTTL: 100, Queries: 1}
	r, w := io.Pipe()
	p := report.StartPrinter(report.NewClassic(w, trace.NewTrace(o), report.ClassicOptions{}), func(err error) { t.Error(err) })
	for ttl := range 100 {
		p.Add(trace.Result{Probe: packet.Probe{TTL: uint8(ttl + 1)}, N: ttl + 1, Outcome: trace.Lost})
	}
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		text <- string(b)
	}()
	err := p.Close()
	w.Close()
	if got := <-text; err != nil || !strings.HasPrefix(got, " 1  *\n 2  *\n") || !strings.HasSuffix(got, "\n100  *\n") {
		t.Errorf("error %v, text %q", err, got)
	}
}

// Every option that help shows has its place in docs/options.md.
func TestOptionsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options.Options() {
		if o.Help == "" {
			continue
		}
		documented := false
		for _, name := range o.Names() {
			documented = documented || regexp.MustCompile(`(?m)^\| ([^|]* )?`+regexp.QuoteMeta(name)+`[ ,]`).Match(text)
		}
		if !documented {
			t.Errorf("docs/options.md has no row for %v", o.Names())
		}
	}
}
