package report

import (
	"errors"
	"fmt"
	"syscall"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Unsent collects the probes that failed on this host, to say in words what their marks mean.
type Unsent struct {
	errs   []error // each text once
	counts map[string]int
}

// Add counts the probe if it could not be sent.
func (t *Unsent) Add(r trace.Result) {
	if r.Outcome != trace.Failed {
		return
	}
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	if t.counts[r.Err.Error()]++; t.counts[r.Err.Error()] == 1 {
		t.errs = append(t.errs, r.Err)
	}
}

// Lines says how many probes were not sent, a line for each reason, in the order in which they happened.
func (t *Unsent) Lines() (lines []string) {
	for _, err := range t.errs {
		n := t.counts[err.Error()]
		s := "s"
		if n == 1 {
			s = ""
		}
		why := record.Printable(err.Error())
		if errors.Is(err, syscall.EMSGSIZE) {
			why += " (longer than the MTU of the first link, or of the route)"
		}
		lines = append(lines, fmt.Sprintf("%s: %d probe%s not sent: %s", record.LocalMark(err), n, s, why))
	}
	return lines
}
