package cli

import (
	"net/netip"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
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
		var c config
		if _, err := parse(options(), strings.Fields(args), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.linuxSYN(); got != want || c.checkTogether() != nil {
			t.Errorf("%s: %v, %v", args, got, c.checkTogether())
		}
		if c.path.Flags.Has(packet.ACK) != strings.Contains(args, "A") {
			t.Errorf("%s: flags %v", args, c.path.Flags)
		}
	}
}

// Findings get what a search for the MTU proves. Outside of a connection large SYNs may vanish for another reason.
func TestMTUEvidence(t *testing.T) {
	a := netip.MustParseAddr("10.0.3.1")
	hole := trace.MTU{Size: 1413, First: 1500, Narrow: true, TTL: 3, From: a, BlackHole: true}
	told := hole
	told.BlackHole = false
	for _, tt := range []struct {
		name    string
		found   trace.MTU
		session bool
		want    bool
	}{
		{"told", told, true, true},
		{"told to SYNs", told, false, true},
		{"black hole", hole, true, true},
		{"large SYNs vanish", hole, false, false},
		{"not known", trace.MTU{First: 1500}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mtuEvidence(tt.found, tt.session)
			if tt.want != (got != nil) || got != nil && *got != detect.PathMTU(tt.found) {
				t.Errorf("%+v, want it: %v", got, tt.want)
			}
		})
	}
}
