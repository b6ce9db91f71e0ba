package report

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"go.example/tcptraceroute/trace"
)

// Awaited is what a trace still waits for.
type Awaited struct {
	queries int

	mu   sync.Mutex
	seen *trace.Trace
	last int // the highest TTL that answered
}

// NewAwaited waits for the trace of a path.
func NewAwaited(o trace.PathOptions) *Awaited {
	a := &Awaited{queries: o.Queries, seen: trace.NewTrace(o)}
	if a.queries == 0 {
		a.queries = trace.DefaultQueries
	}
	return a
}

// Add takes in what became of a probe.
func (a *Awaited) Add(r trace.Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen.Add(r)
	if r.Outcome == trace.Answered {
		a.last = max(a.last, int(r.Probe.TTL))
	}
}

// Say names the hops below the highest that answered, and what may be beyond.
func (a *Awaited) Say(time.Duration) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	const shown = 5 // hops
	var open []string
	top := min(a.last, a.seen.Last())
	for ttl := a.seen.First(); ttl <= top; ttl++ {
		if probes := a.seen.Hop(ttl).Probes; a.seen.Complete(ttl) || ttl == a.seen.Last() && len(probes) >= a.queries {
			continue
		}
		hop := fmt.Sprint(ttl)
		if len(open) == 0 {
			hop = fmt.Sprintf("hop %d (%d of %d)", ttl, len(a.seen.Hop(ttl).Probes), a.queries)
		}
		open = append(open, hop)
	}
	if more := len(open) - shown; more > 0 {
		open = append(open[:shown], fmt.Sprintf("%d more", more))
	}
	switch beyond := max(top+1, a.seen.First()); {
	case a.seen.Last() <= top:
	case len(open) == 0:
		open = append(open, fmt.Sprintf("hop %d", beyond))
	default:
		open = append(open, "and what is beyond")
	}
	if len(open) == 0 {
		return "looking up names"
	}
	return "waiting for " + strings.Join(open, ", ")
}
