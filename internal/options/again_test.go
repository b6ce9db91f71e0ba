package options

import (
	"net/netip"
	"slices"
	"testing"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// With --paths -q is how many probes each path gets: those per hop of the trace before are something else.
func TestArgumentsOfQueries(t *testing.T) {
	for _, paths := range []bool{false, true} {
		before := &record.Trace{}
		before.Host, before.Path = "a.example", trace.PathOptions{Target: netip.MustParseAddrPort("192.0.2.1:443")}
		if paths {
			before.Graph = new(trace.Graph)
		}
		args := ArgumentsOf(before)
		if slices.Contains(args, "--paths") != paths || slices.Contains(args, "-q") == paths {
			t.Errorf("paths %t: %q", paths, args)
		}
	}
}
