package options

import (
	"fmt"
	"slices"
	"strings"
)

// formatConfig is in what form the trace is shown.
type formatConfig struct {
	Format   string // "": text
	FormatBy string // the option that asked for it
}

// TextFormat is what is printed without an option.
const TextFormat = "text"

// FormatNames are the forms of a trace.
var FormatNames = []string{TextFormat, "json", "jsonl", "csv", "mtr-json", "atlas", "dot",
	"mermaid", "scamper", "dublin", "svg", "html"}

// OneFormat names them in a sentence.
func OneFormat() string { return "one of " + strings.Join(FormatNames, ", ") }

func formatOptions() []Option {
	return []Option{
		{Long: "json", Shows: true, Brief: "for programs", Help: "the trace as one JSON document",
			set: formatOption("json", "--json")},
		{Long: "jsonl", Shows: true, Help: "a line of JSON for each event, when it happens",
			set: formatOption("jsonl", "--jsonl")},
		{Long: "csv", Shows: true, Help: "a table with a row for each probe", set: formatOption("csv", "--csv")},
		{Long: "format", facts: []fact{
			{on: func(c *Config) bool { return !c.ForPeople() }, by: func(c *Config) string { return c.FormatBy }},
			{words: noPlaceWords, on: func(c *Config) bool { return !c.HoldsPaths() },
				by: func(c *Config) string { return c.FormatBy }},
			{words: otherThanJSONWords, on: func(c *Config) bool { return !c.ForPeople() && c.Format != "json" },
				by: func(c *Config) string { return c.FormatBy }},
			{words: noRoundsWords, on: func(c *Config) bool { return !c.HoldsRounds() },
				by: func(c *Config) string { return c.FormatBy }},
			{words: noMTUWords, on: func(c *Config) bool { return !c.HoldsFindings() },
				by: func(c *Config) string { return c.FormatBy }},
			{words: oneTargetWords, on: func(c *Config) bool { return !slices.Contains(ManyFormats, c.Format) },
				by: func(c *Config) string { return c.FormatBy }},
		},
			Shows: true, Arg: "format", from: FormatNames, Help: OneFormat() + " (text)",
			set: func(c *Config, v string) error {
				return c.setFormat(v, "--format "+v)
			}},
	}
}

// noPlace is the fact that the format has no place for all paths, noMTU that it has none for the path's MTU.
const (
	noPlace      = "--format " + noPlaceWords
	noPlaceWords = "without a place for paths"
	noMTU        = "--format " + noMTUWords
	noMTUWords   = "without a place for the MTU"
)

// pathFormats are the formats that all paths are shown in.
var pathFormats = []string{TextFormat, "json", "jsonl", "scamper", "dublin", "dot", "mermaid", "svg", "html"}

// ManyFormats are the formats that many targets are shown in.
var ManyFormats = []string{"", TextFormat, "json", "jsonl", "csv", "scamper"}

// HoldsPaths reports whether the format has a place for all paths.
func (c *Config) HoldsPaths() bool { return c.Format == "" || slices.Contains(pathFormats, c.Format) }

// HoldsSearch reports whether the format has a place for each probe of the search for all paths.
func (c *Config) HoldsSearch() bool { return c.Format == "scamper" || c.Format == "dublin" }

// formatOption is the set function of an option that is short for a format.
func formatOption(format, option string) func(*Config, string) error {
	return func(c *Config, _ string) error { return c.setFormat(format, option) }
}

// setFormat chooses a format. There can be only one.
func (c *formatConfig) setFormat(name, by string) error {
	if !slices.Contains(FormatNames, name) {
		return fmt.Errorf("Argument of --format must be %s: %s", OneFormat(), given(name))
	}
	if c.Format != "" && c.Format != name {
		return fmt.Errorf("Only one format at a time: %s and %s", c.FormatBy, by)
	}
	c.Format, c.FormatBy = name, by
	return nil
}
