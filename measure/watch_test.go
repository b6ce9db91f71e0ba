package measure

import (
	"testing"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Rounds are a record: their figures, how they ended, and no results.
func TestWatch(t *testing.T) {
	const network = "router 10.0.1.1 delay=1ms\nrouter *\ntarget 198.51.100.9 delay=2ms"
	for _, tt := range []struct {
		network string
		count   int
		stop    time.Duration
		reason  record.Reason
		code    int
		reached bool
	}{
		{network, 4, time.Hour, record.Complete, 0, true},
		{network + " filtered", 4, time.Hour, record.Complete, 1, false},
		{network, 0, 5500 * time.Millisecond, record.Interrupted, 1, true},
	} {
		began, heard := 0, 0
		r := Request{Rounds: &Rounds{Count: tt.count}}
		r.Path.MaxTTL = 5
		r.Progress = func(x Progress) {
			if x.Stage == Tracing && x.Trace != nil && !x.Trace.Started.IsZero() {
				began++
			}
		}
		r.Heard = func(trace.Result) { heard++ }
		made, err := traced(t, tt.network, tt.stop, r)
		if (err == nil) != (tt.reason == record.Complete) {
			t.Fatal(err)
		}
		rounds := made.Rounds
		if made.Ending.Reason != tt.reason || made.Ending.ExitCode != tt.code || rounds.Outcome.Reached != tt.reached ||
			rounds.Count != tt.count || rounds.Interval != time.Second || len(made.Results) > 0 {
			t.Errorf("%s: %+v, %+v", tt.network, made.Ending, rounds)
		}
		first := rounds.Hops[0]
		if want := max(tt.count, 5); first.Sent() < want-1 || first.Sent() > want+1 || heard == 0 || began != 1 {
			t.Errorf("%s: %d probes to the first hop, %d heard, began %d times", tt.network, first.Sent(), heard, began)
		}
	}
}

// A trace that is not to be judged has no findings, unless it is explained.
func TestUnjudged(t *testing.T) {
	for _, tt := range []struct{ unjudged, explain, findings bool }{
		{false, false, true}, {true, false, false}, {true, true, true},
	} {
		made, err := traced(t, filtered, time.Hour, Request{Unjudged: tt.unjudged, Explain: tt.explain})
		if err != nil || made.Findings == nil || len(made.Findings) > 0 != tt.findings {
			t.Errorf("%+v: %v, %v", tt, made.Findings, err)
		}
	}
}
