package options

import (
	"errors"
	"fmt"
)

// replayConfig is which saved trace is shown in the place of a new one.
type replayConfig struct {
	Replay string // a file; "-": standard input; "": none
}

func replayOptions() []Option {
	return []Option{
		{Long: "replay", typed: true, Arg: "file", Shows: true,
			Help: "show a trace that was saved with --json or --jsonl, in any format, and send nothing; -: from standard input",
			set: func(c *Config, v string) error {
				if v == "" {
					return errors.New("Argument of --replay must be the name of a file")
				}
				c.Replay = v
				return nil
			}},
	}
}

// CheckReplay refuses what is about making a trace where a saved one is shown.
func (c *Config) CheckReplay(operands []string) error {
	for _, o := range c.Given {
		if !o.Shows {
			return fmt.Errorf("%s doesn't go with --replay, which shows a saved trace and sends nothing", o.Names()[0])
		}
	}
	if len(operands) > 0 {
		return fmt.Errorf("--replay takes no host: it shows a saved trace; leave %s out", quoted(operands[0]))
	}
	return nil
}
