package measure

import (
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/trace"
)

// A path that is filtered is explained within 8 s, the trace included. So all questions together have one deadline. One
// that can't be answered by then isn't asked, and one that isn't answered to its end proves nothing; both are named.
const (
	// explainWithin is how long a trace and its questions take together. What is left of 8 s is for the start and the
	// report.
	explainWithin = 7800 * time.Millisecond

	// leastRaw and leastConnections are the time for questions after a trace that took longer itself: because it was told
	// to be patient, or because the target is late. By raw probes that is a round for each kind of question. By
	// connections, one at a time, it is one silence, and a trace that no one answers takes six seconds without being
	// told to.
	leastRaw         = 4400 * time.Millisecond
	leastConnections = 1600 * time.Millisecond

	// heardTime is the time for questions by raw probes where the path isn't simply filtered: somebody has answered or
	// refused, or some connections pass. A router says only after 3 s that nobody is there, to each question anew, and
	// a dead member of a group is certain only when several flows have been asked twice.
	heardTime = 12 * time.Second
)

// time is how long the questions may take in all, by what is known now.
func (e *explainer) time() time.Duration {
	switch {
	case e.m.Header.Connections:
		return max(explainWithin-e.took, leastConnections)
	case e.heard.Load() || detect.SomePass(*e.evidence):
		return heardTime
	}
	return max(explainWithin-e.took, leastRaw)
}

// inTime leaves out the questions whose probes could not wait their time.
func (e *explainer) inTime(questions []detect.Question) (kept []detect.Question) {
	e.until = e.begun.Add(e.time())
	left := time.Until(e.until)
	for _, q := range questions {
		wait := q.Options.ProbeWait()
		if c, ok := e.m.t.conn.(trace.Connector); ok {
			wait = min(wait, c.ConnectWait())
		}
		if wait > left {
			e.evidence.Unasked = append(e.evidence.Unasked, q)
			e.over = true
			continue
		}
		kept = append(kept, q)
	}
	return kept
}
