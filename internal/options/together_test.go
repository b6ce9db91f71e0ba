package options

import (
	"slices"
	"strings"
	"testing"
)

// Every fact that a rule names is in the table, and has a name of its own.
func TestRulesName(t *testing.T) {
	var names []string
	for _, o := range Options() {
		for i := range o.facts {
			names = append(names, o.facts[i].name(&o, nil))
		}
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name twice: %v", names)
	}
	for _, o := range Options() {
		for _, f := range o.facts {
			named := slices.Clone(f.needs)
			for _, k := range f.not {
				named = append(named, strings.Split(k.with, ", ")...)
			}
			for _, name := range named {
				if !slices.Contains(names, name) {
					t.Errorf("%s: there is no %s", o.Names()[0], name)
				}
			}
		}
	}
}

// Each rule is held, in the words that users know.
func TestRules(t *testing.T) {
	for args, want := range map[string]string{
		"--in-session -A":                 "-A doesn't go with --in-session, whose probes are those of an ordinary connection",
		"--in-session -E":                 "-E doesn't go with --in-session, whose probes are those of an ordinary connection",
		"--in-session --accecn":           "--accecn doesn't go with --in-session, whose probes are those of an ordinary connection",
		"--in-session --syn bare":         "--syn doesn't go with --in-session, whose probes are those of an ordinary connection",
		"--explain --in-session":          "--explain doesn't go with --in-session, whose probes are those of an ordinary connection",
		"--mtu --report":                  "--mtu doesn't go with --report, which goes round by round",
		"--mtu --json":                    "",
		"--mtu --format csv":              "--mtu doesn't go with --format csv: its result is shown as text, json or jsonl",
		"--mtu --format text":             "",
		"--explain --live":                "--explain can't be used with --live: it explains one trace, not rounds; leave one of them out",
		"-A --syn linux":                  "--syn linux is about SYNs, and -A sends none: leave one of them away, or add -S",
		"-A --syn bare":                   "",
		"-A -S --syn linux":               "",
		"--dnat --no-dnat --unprivileged": "",
		"-c 3":                            "-c needs --report or --live",
		"--interval 3":                    "--interval needs --report or --live",
		"-c 3 --report --interval 2":      "",
		"--confidence 95":                 "--confidence needs --paths",
		"--paths --track-port":            "--paths doesn't go with --track-port: its flows keep their ports",
		"--paths --report -b":             "--paths doesn't go with -b: its table has columns of its own",
		"--paths --csv":                   "--paths doesn't go with --csv: paths are shown as text, json, jsonl, scamper, dublin, dot, mermaid, svg, html",
		"--paths --json":                  "",
		"--pcap - --json":                 "--pcap - takes standard output, and so does --json: name a file",
		"--pcap - --live":                 "--pcap - takes standard output, and so does the table: name a file",
		"--pcap x --json":                 "",
		"--report --format svg":           "--report doesn't go with --format svg: its figures are shown as text, json, jsonl, csv or mtr-json",
	} {
		var c Config
		if _, err := Parse(Options(), strings.Fields(args), &c); err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		got := ""
		if err := c.CheckTogether(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

// What connections can't do is known by the values that options have in the end.
func TestNeedsRaw(t *testing.T) {
	for args, want := range map[string]string{
		"": "", "-n -q 1 -S": "", "-A": "-A", "-E": "-E", "--accecn": "--accecn", "-l 100": "-l", "-t 4": "", "-P 0": "-P",
		"-t 1": "-t with the ECN bits", "--dnat": "--dnat", "--dnat --no-dnat": "", "--no-dnat-strict": "--no-dnat-strict",
		"--loose": "--loose", "--mark 7": "--mark", "--syn linux": "--syn linux", "--syn bare": "", "--mss 9": "--mss",
		"--report": "--report", "--live": "--live", "--in-session": "--in-session", "--mtu": "--mtu", "--pcap x": "--pcap",
		"--explain --json": "", "--paths": "", "--port-for 1": "",
	} {
		var c Config
		if _, err := Parse(Options(), strings.Fields(args), &c); err != nil {
			t.Errorf("%s: %v", args, err)
		} else if got := c.NeedsRaw(); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}
