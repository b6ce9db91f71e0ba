package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"tcptraceroute/trace"
)

// status is a line below the output that says what is awaited, for somebody who sits before a terminal. It is drawn
// without a line end, and wiped before anything else is written and at the end, so that nothing of it stays. A nil status
// shows nothing.
type status struct {
	line    io.Writer // where it is drawn: the same terminal as out
	out     io.Writer
	columns int
	queries int
	done    chan struct{}
	ended   chan struct{}

	mu      sync.Mutex
	seen    *trace.Trace
	last    int // the highest TTL that anything is known of
	begun   time.Time
	drawn   string
	midline bool // out is in the middle of a line
}

const (
	statusDelay = 300 * time.Millisecond // before that nobody wonders
	statusPace  = 100 * time.Millisecond
)

// startStatus begins to show what a trace of this path waits for. What the trace prints on out must go through Write.
func startStatus(line, out io.Writer, columns int, path trace.PathOptions) *status {
	queries := path.Queries
	if queries == 0 {
		queries = trace.DefaultQueries
	}
	s := &status{
		line: line, out: out, columns: columns, queries: queries,
		done: make(chan struct{}), ended: make(chan struct{}), seen: trace.NewTrace(path), begun: time.Now(),
	}
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
		s.mu.Lock()
		if !s.midline {
			s.draw(s.text())
		}
		s.mu.Unlock()
		timer.Reset(statusPace)
	}
}

// add takes in what became of a probe.
func (s *status) add(r trace.Result) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Add(r)
	if r.Fate == trace.Answered {
		s.last = max(s.last, int(r.Probe.TTL))
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
}

// draw puts text in the line's place.
func (s *status) draw(text string) {
	if text == s.drawn {
		return
	}
	s.drawn = text
	io.WriteString(s.line, "\r\x1b[K"+text) // a terminal that is gone is told of by out
}

// text says what is awaited: the hops below the highest that answered, and what may be beyond.
func (s *status) text() string {
	const shown = 5 // hops
	var open []string
	top := min(s.last, s.seen.Last())
	for ttl := s.seen.First(); ttl <= top; ttl++ {
		if s.seen.Complete(ttl) {
			continue
		}
		hop := fmt.Sprint(ttl)
		if len(open) == 0 {
			hop = fmt.Sprintf("hop %d (%d of %d)", ttl, len(s.seen.Hop(ttl).Probes), s.queries)
		}
		open = append(open, hop)
	}
	if more := len(open) - shown; more > 0 {
		open = append(open[:shown], fmt.Sprintf("%d more", more))
	}
	switch beyond := max(top+1, s.seen.First()); {
	case s.seen.Last() <= top:
	case len(open) == 0:
		open = append(open, fmt.Sprintf("hop %d", beyond))
	default:
		open = append(open, "and what is beyond")
	}
	what := "waiting for " + strings.Join(open, ", ")
	if len(open) == 0 {
		what = "looking up names"
	}
	text := fmt.Sprintf("[%d s] %s", int(time.Since(s.begun).Seconds()), what)
	return text[:min(len(text), max(s.columns-1, 0))] // a full line would wrap, and could not be wiped
}
