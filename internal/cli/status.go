package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"go.example/tcptraceroute/trace"
)

// status is a line below the output that says what is awaited, for somebody who sits before a terminal. It is drawn
// without a line end, and wiped before anything else is written and at the end, so that nothing of it stays. A nil
// status shows nothing.
type status struct {
	line    io.Writer // where it is drawn: the same terminal as out
	out     io.Writer
	columns int
	say     func(sofar time.Duration) string // what is awaited; called by a goroutine of its own
	done    chan struct{}
	ended   chan struct{}
	begun   time.Time

	mu      sync.Mutex
	whole   func() // called when nothing of it is left; nil: nobody wants to know
	drawn   string
	midline bool // out is in the middle of a line
}

const (
	statusDelay = 300 * time.Millisecond // before that nobody wonders
	statusPace  = 100 * time.Millisecond
)

// startStatus begins to show what say says. What is printed on out meanwhile must go through Write.
func startStatus(line, out io.Writer, columns int, say func(sofar time.Duration) string) *status {
	s := &status{line: line, out: out, columns: columns, say: say, done: make(chan struct{}), ended: make(chan struct{}),
		begun: time.Now()}
	go s.run()
	return s
}

func (s *status) run() {
	defer close(s.ended)
	timer := time.NewTimer(statusDelay)
	defer timer.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-timer.C:
		}
		sofar := time.Since(s.begun)
		text := fmt.Sprintf("[%d s] %s", int(sofar.Seconds()), s.say(sofar))
		s.mu.Lock()
		if !s.midline {
			s.draw(text)
		}
		s.mu.Unlock()
		timer.Reset(statusPace)
	}
}

// Write writes to out, above the line.
func (s *status) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw("")
	if len(b) > 0 {
		s.midline = b[len(b)-1] != '\n'
	}
	return s.out.Write(b)
}

// stop wipes the line for good.
func (s *status) stop() {
	if s == nil {
		return
	}
	close(s.done)
	<-s.ended
	s.draw("")
	if s.whole != nil {
		s.whole()
	}
}

// wipe clears the line that the cursor is in.
const wipe = "\r\x1b[K"

// draw puts text in the line's place, as much as fits: a full line would wrap, and could not be wiped.
func (s *status) draw(text string) {
	text = text[:min(len(text), max(s.columns-1, 0))]
	if text == s.drawn {
		return
	}
	s.drawn = text
	io.WriteString(s.line, wipe+text) // a terminal that is gone is told of by out
}

// awaited is what a trace still waits for.
type awaited struct {
	queries int

	mu   sync.Mutex
	seen *trace.Trace
	last int // the highest TTL that answered
}

func newAwaited(o trace.PathOptions) *awaited {
	a := &awaited{queries: o.Queries, seen: trace.NewTrace(o)}
	if a.queries == 0 {
		a.queries = trace.DefaultQueries
	}
	return a
}

// add takes in what became of a probe.
func (a *awaited) add(r trace.Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen.Add(r)
	if r.Outcome == trace.Answered {
		a.last = max(a.last, int(r.Probe.TTL))
	}
}

// say names the hops below the highest that answered, and what may be beyond.
func (a *awaited) say(time.Duration) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	const shown = 5 // hops
	var open []string
	top := min(a.last, a.seen.Last())
	for ttl := a.seen.First(); ttl <= top; ttl++ {
		if a.seen.Complete(ttl) {
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
