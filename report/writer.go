package report

import (
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Writer shows a trace while it is being made. One goroutine calls it: Add with each result, in the order of the
// events, then Finish once. After an error nothing more is written.
type Writer interface {
	// Add takes a result in, and writes what can be shown now.
	Add(trace.Result) error

	// Finish writes the rest: no more results come.
	Finish() error
}

// Replay shows a trace that is over.
func Replay(w Writer, t *record.Trace) error {
	for _, r := range t.Results {
		if err := w.Add(r); err != nil {
			return err
		}
	}
	return w.Finish()
}
