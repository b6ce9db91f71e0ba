package report_test

import (
	"net/netip"
	"testing"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Where the target answers, and which hop it is isn't known, both is said.
func TestRoundsStateUnplaced(t *testing.T) {
	t.Parallel()
	path := trace.PathOptions{Target: netip.MustParseAddrPort("203.0.113.9:443")}
	for state, want := range map[record.PathState]string{
		record.Open:     "TCP port 443 of 203.0.113.9 is open, but how far away it is could not be told",
		record.OtherTCP: "TCP port 443 of 203.0.113.9 answers, neither open nor closed, but how far away it is could not be told",
	} {
		made := &record.Trace{Header: record.Header{Host: "203.0.113.9", Path: path}, Rounds: &record.Rounds{Outcome: record.Outcome{Reached: true, State: state}}}
		if got := report.RoundsState(made); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
