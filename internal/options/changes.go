package options

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"go.example/tcptraceroute/expect"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
)

// changesConfig is what a trace is compared with, and where it is kept.
type changesConfig struct {
	Diff     string // a file; "-": standard input; "": none
	Save     string // a file
	Baseline string // a directory
	Expected []expectation
}

// expectation is what is expected of a trace, as typed.
type expectation struct {
	text string
	*expect.Condition
}

func changesOptions() []Option {
	file := func(name, what string, set func(*Config, string)) func(*Config, string) error {
		return func(c *Config, v string) error {
			if v == "" {
				return fmt.Errorf("Argument of %s must be the name of a %s", name, what)
			}
			set(c, v)
			return nil
		}
	}
	return []Option{
		{Long: "diff", typed: true, Arg: "file", facts: []fact{{on: func(c *Config) bool { return c.Diff != "" },
			not: []conflict{
				{otherThanJSON, "--diff doesn't go with {}: it prints text, or JSON with --json"},
				{"--report, --live, --track-port, --pcap -", "--diff doesn't go with {}: it compares one trace with another"},
			}}},
			Help: "say what has changed since the trace that this file has (--json, --jsonl; -: standard input): in the trace " +
				"whose file is the next argument, or without one in a new trace with the same target and options; exit code 3 if " +
				"something has, else 0",
			set: file("--diff", "file", func(c *Config, v string) { c.Diff = v })},
		{Long: "baseline", typed: true, Arg: "directory", facts: []fact{{
			on: func(c *Config) bool { return c.Baseline != "" },
			not: []conflict{{"--report, --live, --diff",
				"--baseline doesn't go with {}: it compares one trace with the first of its target"}}}},
			Help: "keep the first trace of each target in this directory, and say what has changed since (exit code 3 if " +
				"something has); remove the target's file to begin anew",
			set: file("--baseline", "directory", func(c *Config, v string) { c.Baseline = v })},
		{Long: "save", typed: true, Arg: "file", facts: []fact{{on: func(c *Config) bool { return c.Save != "" },
			not: []conflict{{"--report, --live", "--save doesn't go with {}: it keeps one trace"}}}},
			Help: "write the trace to this file too, as --json does, whatever is printed; the file is replaced when the " +
				"trace is over, as a whole",
			set: func(c *Config, v string) error {
				if v == "-" {
					return errors.New("--save - names no file: --json prints the trace to standard output (a file of that " +
						"name is ./-)")
				}
				return file("--save", "file", func(c *Config, v string) { c.Save = v })(c, v)
			}},
		{Long: "expect", Arg: "condition", Shows: true, facts: []fact{{
			on:  func(c *Config) bool { return len(c.Expected) > 0 },
			not: []conflict{{"--report, --live", "--expect doesn't go with {}: it is about one trace"}}}},
			Help: "exit code 4 and a line on stderr unless this holds, such as 'reached && hops<=15 && rtt<50ms && " +
				"!via(AS64500)', else 0; of " + expect.Words + "; may be given more than once",
			set: func(c *Config, v string) error {
				condition, err := expect.Compile(v)
				if err != nil {
					return fmt.Errorf("--expect %s: %w", given(v), err)
				}
				c.Expected = append(c.Expected, expectation{v, condition})
				c.Show.Owners = c.Show.Owners || condition.Owners()
				return nil
			}},
	}
}

// otherThanJSON is the fact that the format is neither text nor JSON.
const (
	otherThanJSON      = "--format " + otherThanJSONWords
	otherThanJSONWords = "other than json"
)

// CheckDiff refuses what doesn't go with --diff and another saved trace, which is the first of files.
func (c *Config) CheckDiff(files []string) error {
	for _, o := range c.Given {
		if !o.Shows && o.Long != "diff" && o.Where == "" {
			return fmt.Errorf("%s doesn't go with --diff and two files, which sends nothing", o.Names()[0])
		}
	}
	switch {
	case len(files) > 1:
		return fmt.Errorf("--diff compares with one file: leave %s out", quoted(files[1]))
	case c.Diff == "-" && files[0] == "-":
		return errors.New("--diff - -: standard input can be only one of the traces")
	}
	return nil
}

// Unexpected says what of a trace isn't as expected; "": nothing.
func (c *Config) Unexpected(t *record.Trace) string {
	for _, e := range c.Expected {
		if part := e.Check(t); part != "" {
			return part
		}
	}
	return ""
}

// BaselineFile is the file of the target's first trace.
func (c *Config) BaselineFile() string {
	return filepath.Join(c.Baseline, baselineName(c.Host, c.Service, c.Family))
}

// baselineName is the name of a target's file: the host and the port as typed, with what isn't safe in a name as %XX.
func baselineName(host, service string, family names.Family) string {
	if service == "" {
		service = strconv.Itoa(measure.DefaultPort)
	}
	name := strings.ToLower(host) + "_" + service
	switch family {
	case names.IPv4:
		name += "_4"
	case names.IPv6:
		name += "_6"
	}
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && b.Len() > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	const most = 200 // a host may be longer than a file's name
	return b.String()[:min(b.Len(), most)] + ".json"
}
