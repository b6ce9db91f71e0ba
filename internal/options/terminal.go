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
