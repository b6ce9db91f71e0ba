package cli

import (
	"os"
	"time"

	"go.example/tcptraceroute/internal/terminal"
)

// colored reports whether the text is to have colours.
func (p *program) colored() bool { return p.Colored(p.width.out > 0, os.Getenv("NO_COLOR")) }

// showStatus begins to show what is awaited, where somebody sits before a terminal and reads the text. What is
// written to standard output goes through the status from now on.
func (p *program) showStatus(say func(sofar time.Duration) string) *terminal.Status {
	if p.width.out == 0 || p.width.err == 0 || p.Debug || !p.ForPeople() {
		return nil
	}
	s := p.rescue.StartStatus(p.stderr, p.stdout, p.width.err, say)
	p.stdout = s
	return s
}
