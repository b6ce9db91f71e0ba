package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Status is a line below the output that says what is awaited, for somebody who sits before a terminal. It is drawn
// without a line end, and wiped before anything else is written and at the end, so that nothing of it stays. A nil
// Status shows nothing.
type Status struct {
	line    io.Writer // where it is drawn: the same terminal as out
	out     io.Writer
	columns int
	say     func(sofar time.Duration) string // what is awaited; called by a goroutine of its own
	done    chan struct{}
	ended   chan struct{}
	begun   time.Time

	mu      sync.Mutex
	whole   func() // called when nothing of it is left
	drawn   string
	midline bool // out is in the middle of a line
}

const (
	statusDelay = 300 * time.Millisecond // before that nobody wonders
	statusPace  = 100 * time.Millisecond
)

// StartStatus begins to show what say says. What is printed on out meanwhile must go through Write. Nothing of the line
// stays if a signal ends the program.
func (r *Rescue) StartStatus(line, out io.Writer, columns int, say func(sofar time.Duration) string) *Status {
	s := &Status{line: line, out: out, columns: columns, say: say, done: make(chan struct{}), ended: make(chan struct{}),
		begun: time.Now()}
	s.whole = r.Changes(func() {
		if f, ok := line.(*os.File); ok && Writable(f) {
			io.WriteString(f, wipe)
		}
	})
	go s.run()
	return s
}

func (s *Status) run() {
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
func (s *Status) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw("")
	if len(b) > 0 {
		s.midline = b[len(b)-1] != '\n'
	}
	return s.out.Write(b)
}

// Stop wipes the line for good.
func (s *Status) Stop() {
	if s == nil {
		return
	}
	close(s.done)
	<-s.ended
	s.draw("")
	s.whole()
}

// wipe clears the line that the cursor is in.
const wipe = "\r\x1b[K"

// draw puts text in the line's place, as much as fits: a full line would wrap, and could not be wiped.
func (s *Status) draw(text string) {
	text = text[:min(len(text), max(s.columns-1, 0))]
	if text == s.drawn {
		return
	}
	s.drawn = text
	io.WriteString(s.line, wipe+text) // a terminal that is gone is told of by out
}
