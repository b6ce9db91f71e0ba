package options

import (
	"fmt"
	"slices"
	"strings"
)

// terminalConfig is what is shown to people beyond the text.
type terminalConfig struct {
	Color string // of whens; "": auto
}

var whens = []string{"auto", "always", "never"}

func terminalOptions() []Option {
	return []Option{
		{Long: "color", Shows: true, Arg: strings.Join(whens, "|"),
			Help: "colours in the text: where it goes to a terminal (auto), always or never",
			set: func(c *Config, v string) error {
				if !slices.Contains(whens, v) {
					return fmt.Errorf("Argument of --color must be auto, always or never: %s", given(v))
				}
				c.Terminal.Color = v
				return nil
			}},
	}
}

// Colored reports whether text is to have colours. noColor is NO_COLOR, that of no-color.org: what is asked for on the
// command line wins.
func (c *Config) Colored(toTerminal bool, noColor string) bool {
	switch c.Terminal.Color {
	case "always":
		return true
	case "never":
		return false
	}
	return toTerminal && noColor == ""
}
