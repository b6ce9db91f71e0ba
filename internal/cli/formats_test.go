package cli

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/record"
)

// A wrong choice of format ends the run in one line that names what is allowed.
func TestFormatMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"--json --jsonl h":            "Only one format at a time: --json and --jsonl\n",
		"--format json --jsonl h":     "Only one format at a time: --format json and --jsonl\n",
		"--json --format=text h":      "Only one format at a time: --json and --format text\n",
		"--format \x1b[31m h":         "Argument of --format must be " + options.OneFormat() + ": \\x1b[31m\n",
		"--format":                    "Argument required for --format\n",
		"--format JSON h":             "Argument of --format must be " + options.OneFormat() + ": JSON\n",
		"--json --json --format json": "host missing: tcptraceroute [options] host [port]; see tcptraceroute --help\n", // the same is no contradiction
	} {
		stdout, stderr, code := invoke(strings.Split(args, " ")...)
		if stdout != "" || stderr != want || code != 1 {
			t.Errorf("%s: exit code %d, %q, stdout %q", args, code, stderr, stdout)
		}
	}
}

// How a run ended is told to reports as it is told to the shell.
func TestEnding(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   int
		signal string
	}{
		{nil, 1, ""},
		{&terminal.Interrupted{Signal: syscall.SIGINT}, 130, "SIGINT"},
		{fmt.Errorf("so: %w", &terminal.Interrupted{Signal: syscall.SIGTERM}), 143, "SIGTERM"},
		{syscall.EPERM, 1, ""},
	} {
		if e := ended(record.Ending{Err: tt.err, ExitCode: 1}); e.ExitCode != tt.code || e.Signal != tt.signal || e.Err != tt.err {
			t.Errorf("%v: %+v", tt.err, e)
		}
	}
}
