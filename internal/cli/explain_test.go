package cli

import (
	"strings"
	"testing"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/packet"
)

// One trace can be explained, and not rounds of them.
func TestExplainMistakes(t *testing.T) {
	const want = "--explain can't be used with --report: it explains one trace, not rounds; leave one of them out\n"
	stdout, stderr, code := invoke("--explain", "--report", "host")
	if stdout != "" || stderr != want || code != 1 {
		t.Errorf("stdout %q, stderr %q, exit code %d", stdout, stderr, code)
	}
}

// A trace that is explained sends SYNs as real connections do, unless told otherwise.
func TestExplainSYN(t *testing.T) {
	for args, want := range map[string]bool{
		"host": false, "--explain host": true, "--explain --syn bare host": false, "--syn linux host": true,
		"--explain -A host": false, "--explain -SA host": true,
	} {
		var c options.Config
		if _, err := options.Parse(options.Options(), strings.Fields(args), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.LinuxSYN(); got != want || c.CheckTogether() != nil {
			t.Errorf("%s: %v, %v", args, got, c.CheckTogether())
		}
		if c.Path.Flags.Has(packet.ACK) != strings.Contains(args, "A") {
			t.Errorf("%s: flags %v", args, c.Path.Flags)
		}
	}
}
