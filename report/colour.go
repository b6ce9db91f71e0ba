package report

import "strings"

// A style is what a terminal is told to show text in (ECMA-48, Select Graphic Rendition), in the sixteen colours that
// its user has chosen to be readable.
type style string

const (
	plain style = ""
	faint style = "2"  // nothing to see here
	good  style = "32" // green
	odd   style = "33" // yellow: look twice
	bad   style = "31" // red
	local style = "35" // magenta: not the network's doing
)

// paint is text in a style, where colours are wanted.
func (c *Classic) paint(s style, text string) string {
	if !c.o.Color || s == plain {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// stateStyle is how the state of a port is shown.
func stateStyle(state string) style {
	switch {
	case strings.HasPrefix(state, "open"):
		return good
	case state == "closed":
		return bad
	}
	return odd
}
