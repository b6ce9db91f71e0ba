package report_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Probes that were not sent are told of once for each reason, in the order in which it happened.
func TestUnsent(t *testing.T) {
	var all report.Unsent
	for _, err := range []error{syscall.EPERM, nil, trace.ErrNextHop, syscall.EPERM, syscall.EMSGSIZE} {
		r := trace.Result{Outcome: trace.Lost}
		if err != nil {
			r = trace.Result{Outcome: trace.Failed, Err: fmt.Errorf("sending: %w", err)}
		}
		all.Add(r)
	}
	const want = "<EPERM>: 2 probes not sent: sending: operation not permitted\n<EHOSTUNREACH>: 1 probe not sent: sending: next hop unreachable\n" +
		"<EMSGSIZE>: 1 probe not sent: sending: message too long (longer than the MTU of the first link, or of the route)\n"
	if got := strings.Join(all.Lines(), "\n") + "\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
