package options

import (
	"errors"
	"fmt"
)

// captureConfig is where the packets of the trace are kept.
type captureConfig struct{ Pcap string } // "": nowhere, "-": standard output

func captureOptions() []Option {
	return []Option{
		{Long: "pcap", typed: true,
			facts: []fact{
				{on: func(c *Config) bool { return c.Pcap != "" }, raw: true},
				{words: "-", on: func(c *Config) bool { return c.Pcap == "-" }, not: []conflict{
					{"--format", "--pcap - takes standard output, and so does {}: name a file"},
					{"--report, --live", "--pcap - takes standard output, and so does the table: name a file"},
				}},
			},
			Arg: "file", Help: "write every probe and every answer to it, as pcapng; -: standard output",
			set: func(c *Config, v string) error {
				switch {
				case v == "":
					return errors.New("Argument of --pcap must be the name of a file, or - for standard output")
				case c.Pcap != "" && c.Pcap != v:
					return fmt.Errorf("Only one file for --pcap: %s and %s", quoted(c.Pcap), quoted(v))
				}
				c.Pcap = v
				return nil
			}},
	}
}
