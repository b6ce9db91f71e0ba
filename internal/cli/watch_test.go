package cli

import (
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/internal/options"
)

// What doesn't go together with rounds is said in one line, before a socket is opened.
func TestWatchMistakes(t *testing.T) {
	for _, tt := range []struct{ args, stderr string }{
		{"-c 3 host", "-c needs --report or --live\n"},
		{"--interval 1 host", "--interval needs --report or --live\n"},
		{"--report -c 0 host", "Argument of -c, --count must be between 1 and 2147483647: 0\n"},
		{"--report -c x host", "Argument of -c, --count must be between 1 and 2147483647: x\n"},
		{"--report --interval 0.009 host", "Argument of --interval must be between 0.01 and 3600 seconds: 0.009\n"},
		{"--report --interval 3601 host", "Argument of --interval must be between 0.01 and 3600 seconds: 3601\n"},
		{"--report --interval NaN host", "Argument of --interval must be between 0.01 and 3600 seconds: NaN\n"},
		{"--report --interval 1s host", "Argument of --interval must be between 0.01 and 3600 seconds: 1s\n"},
		{"--report --interval=-1 host", "Argument of --interval must be between 0.01 and 3600 seconds: -1\n"},
		{"--report --interval 1e300 host", "Argument of --interval must be between 0.01 and 3600 seconds: 1e300\n"},
		{"--report -q 3 host", "-q doesn't go with --report: -c says how many rounds there are, with one probe per hop each\n"},
		{"--report --track-port host", "--track-port doesn't go with --report: its rounds are one flow\n"},
		{"--report --format svg host", "--report doesn't go with --format svg: its figures are shown as text, json, jsonl, csv or mtr-json\n"},
		{"--live --report host", "--live doesn't go with --report: it prints the table when it ends\n"},
		{"--live -d host", "-d can't be used with --live: its output would corrupt the screen\n"},
		{"--live -q 3 host", "-q doesn't go with --live: -c says how many rounds there are, with one probe per hop each\n"},
		{"--live host", "--live needs a terminal: use --report -c 10 instead\n"},
	} {
		stdout, stderr, code := invoke(strings.Fields(tt.args)...)
		if stdout != "" || stderr != tt.stderr || code != 1 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d, want %q", tt.args, stdout, stderr, code, tt.stderr)
		}
	}
}

func TestWatchDefaults(t *testing.T) {
	for _, tt := range []struct {
		args     string
		count    int
		interval time.Duration
	}{
		{"--report", 10, time.Second},
		{"--report -c3 --interval .25", 3, 250 * time.Millisecond},
		{"--count=7 --report --interval 0.01", 7, 10 * time.Millisecond},
	} {
		var c options.Config
		if _, err := options.Parse(options.Options(), strings.Fields(tt.args), &c); err != nil {
			t.Fatal(err)
		}
		c.Watch.Defaults()
		if err := c.CheckTogether(); err != nil || c.Watch.Count != tt.count || c.Watch.Interval != tt.interval {
			t.Errorf("%s: %d rounds of %v, %v", tt.args, c.Watch.Count, c.Watch.Interval, err)
		}
	}
}
