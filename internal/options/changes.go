package options

import (
	"fmt"

	"go.example/tcptraceroute/expect"
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
			set: file("--save", "file", func(c *Config, v string) { c.Save = v })},
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
