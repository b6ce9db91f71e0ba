package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/sim"
)

// withTargets are the options that go with --targets, each with a value. All others are refused.
var withTargets = map[string]string{
	"-n": "", "-N": "", "-i": "eth0", "-f": "2", "-m": "9", "-q": "3", "-w": "1", "-S": "", "-A": "", "-E": "", "-t": "4",
	"-F": "", "-l": "99", "-s": "192.0.2.1", "-4": "", "-6": "", "--dnat": "", "--no-dnat": "", "--no-dnat-strict": "",
	"--track-id": "", "--track-ipid": "", "-d": "", "--no-filter": "", "--no-getinterfaces": "", "--no-select": "",
	"--select": "", "--parallel": "1", "--loose": "", "--mark": "1", "--syn": "linux", "--mss": "1000", "--accecn": "",
	"-e": "", "-a": "", "--mmdb": "f", "--as-dns": "", "--json": "", "--jsonl": "", "--csv": "", "--format": "scamper",
	"--pcap": "f", "--color": "always", "--targets": "g", "--exclude": "f", "--rate": "9", "--jobs": "9",
	"--target-timeout": "9", "--report": "", "--hops": "", "--live": "", "--explain": "", "--resume": "f", "--no-config": "", "--preset": "", "-h": "", "-v": "",
}

// refusedWithTargets are the others, each with a value.
var refusedWithTargets = map[string]string{
	"-p": "9", "-P": "9", "--track-port": "", "--in-session": "", "--mtu": "", "--paths": "",
	"--confidence": "95", "--max-flows": "9", "--max-target-syns": "9", "--port-for": "1", "--connection": "192.0.2.1:5000-192.0.2.2:80",
	"--pid": "9",
	"-c":    "9", "-o": "L", "-b": "", "--interval": "9", "--theme": "dark", "--diff": "f", "--baseline": "f", "--save": "f", "--expect": "reached",
}

// TestWithTargets: every option goes with --targets, or is refused in one line that names it.
func TestWithTargets(t *testing.T) {
	t.Parallel()
	for _, o := range options.Options() {
		name := o.Names()[0]
		value, with := withTargets[name]
		refusal, without := refusedWithTargets[name]
		switch {
		case name == "--unprivileged" || name == "--replay": // without raw sockets, and without any
			continue
		case with == without:
			t.Errorf("%s: say whether it goes with --targets", name)
			continue
		case name == "--preset": // needs a file
			continue
		}
		args := []string{"--targets", "f", name}
		if o.Arg != "" {
			args = append(args, value+refusal)
		}
		var c options.Config
		if _, err := options.Parse(options.Options(), args, &c); err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		err := c.CheckTogether()
		switch {
		case with && err != nil:
			t.Errorf("%q: %v", args, err)
		case without && (err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), name) && name != "--port-for"):
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, f := range options.FormatNames {
		var c options.Config
		if _, err := options.Parse(options.Options(), []string{"--targets", "f", "--format", f}, &c); err != nil {
			t.Fatal(err)
		}
		if err := c.CheckTogether(); (err == nil) != slices.Contains(options.ManyFormats, f) {
			t.Errorf("--format %s: %v", f, err)
		}
	}
}

// writeFile writes a file that the test gives to the program, and returns its name.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTargetsMistakes: each mistake is one line, and nothing is sent.
func TestTargetsMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string { return writeFile(t, filepath.Join(dir, name), text) }
	list, bad := file("list", "192.0.2.1\n"), file("bad", "10.0.0.0/8\nx/y\n")
	for _, tt := range []struct{ args, want string }{
		{"--targets " + dir + "/none", "--targets " + dir + "/none: no such file or directory"},
		{"--targets " + list + " --exclude " + dir + "/none", "--exclude " + dir + "/none: no such file or directory"},
		{"--targets " + list + " --exclude " + bad, "--exclude: " + bad + ":2: not a network (as 10.0.0.0/28 is): x/y"},
		{"--targets " + list + " --resume " + bad, "--resume " + bad + ":1: no JSON; expected is the output of an earlier --targets with --json"},
		{"--targets " + list + " 80 www.example", "A number among the arguments is the port of all targets that name none, " +
			"and stands last: 80"},
		{"--targets " + list + " 65536", "Unknown port: 65536 (a port is a number from 0 to 65535)"},
		{"--port-for 192.0.2.1 80", "--port-for needs a path before the host: its number, or the address of a router on it, " +
			"as in --port-for 1 192.0.2.1 80"},
		{"--port-for 2001:db8::1", "--port-for needs a path before the host"},
		{"--exclude " + list + " 192.0.2.1", "--exclude needs --targets"},
		{"--targets - --targets -", "--targets -: standard input can be only one of the files"},
		{"--exclude - --targets -", "--targets -: standard input can be only one of the files"},
		{"--targets - --resume -", "--resume -: standard input can be only one of the files"},
		{"--save - 192.0.2.1", "--save - names no file: --json prints the trace to standard output (a file of that name is ./-)"},
		{"--targets " + list + " -p 443", "-p is the source port, which the kernel chooses with --targets; the targets' port is " +
			"the last argument: --targets FILE 443"},
		{"--targets " + list + " --unprivileged", "--targets needs raw sockets"},
	} {
		var stdout, stderr strings.Builder
		p := &program{stdout: &stdout, stderr: &stderr,
			drop: func(...func() []string) ([]error, error) { return nil, nil },
			opener: func(measure.Options) (*measure.Tracer, error) {
				conn, err := sim.Connect("target 192.0.2.1")
				return measure.Over(&simMedium{Conn: conn}, measure.Options{}), err
			}}
		code := p.code(p.run(t.Context(), strings.Fields(tt.args)))
		if got := stderr.String(); stdout.Len() > 0 || !strings.HasPrefix(got, tt.want) || strings.Count(got, "\n") != 1 || code == 0 {
			t.Errorf("%s: %q, %q, %d", tt.args, stdout.String(), got, code)
		}
	}
}

// TestNothingToTrace: a run without a target says why, and a file that is no list is left after ten lines.
func TestNothingToTrace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string { return writeFile(t, filepath.Join(dir, name), text) }
	list, empty := file("list", "192.0.2.1\n"), file("empty", "# nothing\n")
	before := file("before", `{"event":"run","schema":"urn:tcptraceroute:trace:1"}`+"\n"+
		`{"event":"target","target":{"host":"192.0.2.1","port":80},"outcome":{"reason":"complete"}}`+"\n")
	for _, tt := range []struct {
		args, want string
		lines      int
	}{
		{"--targets " + empty, "Nothing to trace: the list is empty", 3},
		{"--targets " + list + " --exclude " + list, "Nothing to trace: all targets are excluded", 3},
		{"--targets " + list + " --resume " + before, "Nothing left to trace: all targets were traced before", 3},
		{"--targets " + file("json", strings.Repeat("{\n", 100)), "0 targets in 0s: 10 unreadable", 13},
		{"--targets " + file("bad", "192.0.2.1\n"+strings.Repeat("a b c\n", 100)) + " --exclude " + list, "90 more lines could not be read", 13},
	} {
		var stdout, stderr strings.Builder
		p := &program{stdout: &stdout, stderr: &stderr,
			drop: func(...func() []string) ([]error, error) { return nil, nil },
			opener: func(measure.Options) (*measure.Tracer, error) {
				conn, err := sim.Connect("target 192.0.2.1")
				return measure.Over(&simMedium{Conn: conn}, measure.Options{}), err
			}}
		code := p.code(p.run(t.Context(), strings.Fields(tt.args)))
		bad := strings.Contains(tt.want, "read")
		if got := stderr.String(); stdout.Len() > 0 || !strings.Contains(got, tt.want+"\n") || strings.Count(got, "\n") != tt.lines || (code == 0) == bad {
			t.Errorf("%s: %q, %q, %d", tt.args, stdout.String(), got, code)
		}
	}
}

// TestTargetsRate: users who are not root can't send faster than they may, by no option.
func TestTargetsRate(t *testing.T) {
	t.Parallel()
	const refused = "Argument of --rate must be between 1 and 200 for users who are not root: 201"
	for _, tt := range []struct {
		rate string
		root bool
		want string
	}{{"200", false, ""}, {"201", false, refused}, {"201", true, ""},
		{"0", false, "Argument of --rate must be between 1 and 1000000: 0"}} {
		c := options.Config{Root: tt.root}
		got := ""
		if _, err := options.Parse(options.Options(), []string{"--targets", "list", "--rate", tt.rate}, &c); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("--rate %s: %q, want %q", tt.rate, got, tt.want)
		}
		m := c.RequestMany()
		measure.Over(nil, c.Network(true)).Ready(m)
		if fastest := m.SetRate(100_000); !tt.root && fastest != 200 {
			t.Errorf("--rate %s: %d packets a second are possible", tt.rate, fastest)
		}
	}
}
