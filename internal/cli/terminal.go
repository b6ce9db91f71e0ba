package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/internal/terminal"
)

// terminalConfig is what is shown to people beyond the text.
type terminalConfig struct {
	color string // of whens; "": auto
}

var whens = []string{"auto", "always", "never"}

func terminalOptions() []option {
	return []option{
		{long: "color", shows: true, arg: strings.Join(whens, "|"),
			help: "colours in the text: where it goes to a terminal (auto), always or never",
			set: func(c *config, v string) error {
				if !slices.Contains(whens, v) {
					return fmt.Errorf("Argument of --color must be auto, always or never: %s", given(v))
				}
				c.terminal.color = v
				return nil
			}},
	}
}

// colored reports whether the text is to have colours. NO_COLOR is that of no-color.org: what is asked for on the
// command line wins.
func (p *program) colored() bool {
	switch p.terminal.color {
	case "always":
		return true
	case "never":
		return false
	}
	return p.width.out > 0 && os.Getenv("NO_COLOR") == ""
}

// showStatus begins to show what is awaited, where somebody sits before a terminal and reads the text. What is
// written to standard output goes through the status from now on.
func (p *program) showStatus(say func(sofar time.Duration) string) *terminal.Status {
	if p.width.out == 0 || p.width.err == 0 || p.debug || !p.forPeople() {
		return nil
	}
	s := p.rescue.StartStatus(p.stderr, p.stdout, p.width.err, say)
	p.stdout = s
	return s
}
