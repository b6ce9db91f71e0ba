package cli

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// replayed shows a saved trace with these options.
func replayed(t *testing.T, saved string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.json")
	if err := os.WriteFile(file, []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs, opener: measure.Open, drop: func(...func() []string) ([]error, error) { return nil, nil }}
	code = p.code(p.run(t.Context(), append([]string{"--replay", file}, args...)))
	return out.String(), errs.String(), code
}

// replayNetworks are those of --explain, and odder ones.
func replayNetworks() map[string]string {
	all := maps.Clone(networks)
	maps.Copy(all, map[string]string{
		"lossy": `
			router 10.0.1.1 delay=1ms loss=0.3 dup=0.3
			router *
			router 10.0.3.1,10.0.3.2 per-packet delay=2ms mpls=16001/5/1,17/0/2
			target 198.51.100.9 delay=1ms loss=0.3`,
		"changed": `
			router 10.0.1.1 delay=1ms set-tos=8 set-mss=1300
			router 10.0.2.1 delay=2ms if-role=2 if-index=7 if-name=ge-0%2f0 if-mtu=9000 quote=min
			router 10.0.3.1 dnat=203.0.113.77:8443 raw-quote non-compliant mpls=3/0/1
			target 198.51.100.9 delay=1ms`,
		"late": `
			router 10.0.1.1 late=1/1005ms
			router 10.0.2.1 from=127.0.0.1
			target 198.51.100.9 closed`,
		"silent": `
			router *
			router *
			target 198.51.100.9 filtered`,
		"rate": `
			router 10.0.1.1 rate=1s/1
			router 10.0.2.1 rate=1s/2
			target 198.51.100.9 delay=1ms`,
		"IPv6 rewritten": `
			router 2001:db8:a::1 delay=1ms mpls=100/0/1
			router 2001:db8:b::1 delay=2ms if-role=0 if-addr=192.0.2.1
			target 2001:db8:99::1 closed`,
	})
	return all
}

// A saved trace shows what the live one showed, in every format, byte for byte: as text with the explanation, as a
// table, as a picture, and as what other tools print; and it has the same exit code.
func TestReplay(t *testing.T) {
	t.Parallel()
	formats := [][]string{{}, {"-e", "--dnat"}, {"--explain"}, {"--csv"}, {"--format", "mtr-json"}, {"--format", "atlas"},
		{"--format", "svg"}, {"--format", "dot"}, {"--format", "mermaid"}, {"--json"}, {"--jsonl"}, {"--explain", "--csv"},
		{"--explain", "--json"}, {"--explain", "--format", "html"}}
	all := replayNetworks()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, format := range formats {
				var saved bytes.Buffer
				live := runVirtualAs(t, all[name], uint64(i), func(p *program) {
					p.keep = func(made *record.Trace) {
						if err := made.WriteJSON(&saved); err != nil {
							t.Error(err)
						}
					}
				}, append([]string{"-t", "32"}, format...)...)
				stdout, stderr, code := replayed(t, saved.String(), format...)
				if stdout != live.stdout || code != live.code {
					t.Errorf("%v: exit code %d, live %d: %s\n%s\nlive:\n%s", format, code, live.code, stderr, stdout, live.stdout)
				}
				if slices.Equal(format, []string{"--json"}) || slices.Equal(format, []string{"--jsonl"}) {
					again, _, _ := replayed(t, live.stdout, format...)
					if again != live.stdout {
						t.Errorf("%v: what was printed is shown as\n%s\nlive:\n%s", format, again, live.stdout)
					}
				}
				if slices.Equal(format, []string{"--explain", "--csv"}) && !strings.HasSuffix(live.stderr, stderrOf(stderr)) {
					t.Errorf("%v: on stderr\n%s\nlive:\n%s", format, stderr, live.stderr)
				}
			}
		})
	}
}

// stderrOf is what stands on stderr beside the line that says what is shown.
func stderrOf(text string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return rest
}

// Documents of earlier programs are shown too.
func TestReplaySaved(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../record/testdata/saved/*")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d documents, error %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range append(options.FormatNames, "text --explain") {
			stdout, stderr, code := replayed(t, string(text), append([]string{"--format"}, strings.Fields(format)...)...)
			if stdout == "" || code > 1 {
				t.Errorf("%s as %s: exit code %d: %s", file, format, code, stderr)
			}
		}
	}
}

// What makes a trace doesn't go with one that is there already, and a file that is no trace is refused in a line.
func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--pcap", "x"}, "--pcap doesn't go with --replay, which shows a saved trace and sends nothing\n"},
		{[]string{"--live"}, "--live doesn't go with --replay, which shows a saved trace and sends nothing\n"},
		{[]string{"-q", "3"}, "-q doesn't go with --replay, which shows a saved trace and sends nothing\n"},
		{[]string{"192.0.2.1"}, "--replay takes no host: it shows a saved trace; leave 192.0.2.1 out\n"},
	} {
		if stdout, stderr, code := replayed(t, "{}", tt.args...); stdout != "" || stderr != tt.want || code != 1 {
			t.Errorf("%v: exit code %d, %q, %q", tt.args, code, stdout, stderr)
		}
	}
	lines := runVirtual(t, "target 192.0.2.1", 1, "-n", "--jsonl").stdout
	for _, text := range []string{"", "{}", "\x1b[31m", " \n\x00", lines + lines, `{"schema": "` + strings.Repeat("long", 999) + `"}`} {
		stdout, stderr, code := replayed(t, text)
		if stdout != "" || len(stderr) > 999 || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "\x1b") || code != 1 {
			t.Errorf("%q: exit code %d, %q, %q", text, code, stdout, stderr)
		}
	}
}

// A trace that was not to go as far as the target ended well, and does so again.
func TestReplayedShort(t *testing.T) {
	saved := runVirtual(t, "router 10.0.0.1\nrouter 10.0.0.2\ntarget 203.0.113.9\n", 1, "-n", "-m", "2", "--json").stdout
	if _, stderr, code := replayed(t, saved); code != 1 || !strings.Contains(stderr, "Destination not reached") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	saved = strings.Replace(saved, `"exit_code": 1`, `"exit_code": 0`, 1) // as --connection has it
	if stdout, stderr, code := replayed(t, saved); code != 0 || strings.Contains(stderr, "not reached") || stdout == "" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}
