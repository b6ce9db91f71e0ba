package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// savedFrom is the document of a trace of a network.
func savedFrom(t *testing.T, network string, args ...string) (doc string, made *record.Trace) {
	t.Helper()
	var b bytes.Buffer
	runVirtualAs(t, network, 1, func(p *program) {
		p.keep = func(r *record.Trace) {
			made = r
			if err := r.WriteJSON(&b); err != nil {
				t.Error(err)
			}
		}
	}, args...)
	return b.String(), made
}

// ranWith runs the program with arguments in a directory that has these files.
func ranWith(t *testing.T, files map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range args {
		if _, ok := files[args[i]]; ok {
			args[i] = filepath.Join(dir, args[i])
		}
	}
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs, opener: measure.Open,
		drop: func(...func() []string) ([]error, error) { return nil, nil }}
	code = p.code(p.run(t.Context(), args))
	return out.String(), strings.ReplaceAll(errs.String(), dir+"/", ""), code
}

const (
	changesNetwork = "router 10.0.1.1 delay=1ms\nrouter 10.0.2.1 delay=2ms\ntarget 198.51.100.9 delay=5ms"
	changedNetwork = changesNetwork + " closed"
)

// Two saved traces are compared, in words and as JSON, and mistakes are one line.
func TestDiffFiles(t *testing.T) {
	t.Parallel()
	old, _ := savedFrom(t, changesNetwork)
	new, _ := savedFrom(t, changedNetwork)
	files := map[string]string{"old": old, "new": new, "none": "{}"}
	for _, tt := range []struct {
		args           string
		stdout, stderr string
		code           int
	}{
		{"--diff old old", "No difference since the trace of 2000-01-01 00:00:00 UTC\n", "", 0},
		{"--diff old new", "Changed since the trace of 2000-01-01 00:00:00 UTC:\n  state: closed, and was open\n", "", 3},
		{"--format text --diff new old", "Changed since the trace of 2000-01-01 00:00:00 UTC:\n  state: open, and was closed\n", "", 3},
		{"--json --diff old new", `"kind": "state"`, "", 3},
		{"--diff old new old", "", "--diff compares with one file: leave old out\n", 1},
		{"--diff old none", "", "--diff: none: not a trace in JSON: its schema is \"\", not \"urn:tcptraceroute:trace:1\"\n", 1},
		{"--diff old nosuch", "", "--diff: nosuch: no such file or directory\n", 1},
		{"--diff - -", "", "--diff - -: standard input can be only one of the traces\n", 1},
		{"--diff old new -q 3", "", "-q doesn't go with --diff and two files, which sends nothing\n", 1},
		{"--diff old new --csv", "", "--diff doesn't go with --csv: it prints text, or JSON with --json\n", 1},
		{"--diff nosuch", "", "--diff nosuch: no such file or directory\n", 1},
		{"--diff", "", "Argument required for --diff\n", 1},
	} {
		stdout, stderr, code := ranWith(t, files, strings.Fields(tt.args)...)
		if !strings.Contains(stdout, tt.stdout) || (stdout == "") != (tt.stdout == "") || stderr != tt.stderr || code != tt.code {
			t.Errorf("%s: exit code %d, want %d\n%s\n%s", tt.args, code, tt.code, stdout, stderr)
		}
	}
}

// A new trace is compared with an old one of the same flow, in every format.
func TestDiffWithNewTrace(t *testing.T) {
	t.Parallel()
	_, old := savedFrom(t, changesNetwork)
	for _, tt := range []struct {
		network, args  string
		stdout, stderr string
		code           int
	}{
		{changesNetwork, "", "\nNo difference since", "", 0},
		{changedNetwork, "", "\n  state: closed, and was open\n", "", 3},
		{changesNetwork + " filtered", "-m 12", "\n  state: no answer, silent after hop 2 (10.0.2.1), and was open", "", 3},
		{changedNetwork, "--csv", "ttl", "state: closed, and was open", 3},
	} {
		v := runVirtualAs(t, tt.network, 2, func(p *program) { p.kept.Old = old }, strings.Fields(tt.args)...)
		if !strings.Contains(v.stdout, tt.stdout) || !strings.Contains(v.stderr, tt.stderr) || v.code != tt.code {
			t.Errorf("%s: exit code %d, want %d\n%s\n%s", tt.args, v.code, tt.code, v.stdout, v.stderr)
		}
	}
}

// The command line that is made of a trace makes the same trace again.
func TestArgumentsOf(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "-q 5 -f 2 -m 9", "-A", "-E", "--accecn", "--syn linux", "--mss 1300", "-t 8 -F -w 2", "--loose",
		"--no-dnat-strict", "--track-port", "--parallel 1", "--explain", "-S -A"} {
		_, first := savedFrom(t, changesNetwork, strings.Fields(args)...)
		again := options.ArgumentsOf(first)
		_, second := savedFrom(t, changesNetwork, again[:len(again)-3]...) // without the host
		a, b := first.Path.Effective(), second.Path.Effective()
		a.Rand, b.Rand = nil, nil
		if a.Flags != b.Flags || a.TOS != b.TOS || a.Queries != b.Queries || a.FirstTTL != b.FirstTTL || a.MaxTTL != b.MaxTTL ||
			a.Options != b.Options || a.DontFragment != b.DontFragment || a.Loose != b.Loose || a.Strict != b.Strict ||
			len(a.Ports) != len(b.Ports) || a.Wait != b.Wait || a.Parallel != b.Parallel {
			t.Errorf("%s becomes %v:\n%+v\n%+v", args, again, a, b)
		}
	}
}

// What is expected decides on the exit code, of a new trace and of a saved one.
func TestExpect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		network, condition, more string
		stderr                   string
		code                     int
	}{
		{changesNetwork, "reached && hops<=3 && rtt<50ms", "", "", 0},
		{changesNetwork, "reached && hops<=2", "", "Not as expected: hops<=2 (hops is 3)\n", 4},
		{changesNetwork, "state==closed", "--json", "Not as expected: state==closed (state is open)\n", 4},
		{changesNetwork, "state==open", "--expect via(10.9.9.9)", "Not as expected: via(10.9.9.9) (via(10.9.9.9) is false)\n", 4},
		{changesNetwork + " filtered", "reached", "-m 6", "Not as expected: reached (reached is false)\n", 4},
		{changesNetwork + " filtered", "!reached", "-m 6", "", 0},
	} {
		args := append([]string{"--expect", tt.condition}, strings.Fields(tt.more)...)
		v := runVirtual(t, tt.network, 1, args...)
		doc, _ := savedFrom(t, tt.network, "-m", "6")
		_, stderr, code := replayed(t, doc, append([]string{"--expect", tt.condition}, expectOnly(tt.more)...)...)
		if !strings.HasSuffix(v.stderr, tt.stderr) || v.code != tt.code || !strings.HasSuffix(stderr, tt.stderr) || code != tt.code {
			t.Errorf("%v: exit codes %d and %d, want %d:\n%s\n%s", args, v.code, code, tt.code, v.stderr, stderr)
		}
	}
}

// expectOnly leaves out of options what makes a trace.
func expectOnly(args string) []string {
	if strings.HasPrefix(args, "-m") {
		return nil
	}
	return strings.Fields(args)
}
