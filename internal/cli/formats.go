package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/report/picture"
	"go.example/tcptraceroute/trace"
)

// formatConfig is in what form the trace is shown.
type formatConfig struct {
	format   string // "": text
	formatBy string // the option that asked for it
}

// format is a form of the trace, and who writes it.
type format struct {
	name string
	make func(p *program, run *report.Run, t *trace.Trace) report.Writer
}

// formats are all of them, the default first.
var formats = []format{
	{"text", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return report.NewClassic(p.stdout, t, report.ClassicOptions{DNAT: p.dnat, Name: run.Name,
			Extensions: p.show.extensions, Owner: run.Owner, Color: p.colored()})
	}},
	{"json", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return report.NewJSON(p.stdout, run, t)
	}},
	{"jsonl", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return report.NewJSONLines(p.stdout, run, t)
	}},
	{"csv", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewCSV(p.stdout, run, t)
	}},
	{"mtr-json", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewMTR(p.stdout, run, t)
	}},
	{"atlas", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewAtlas(p.stdout, run, t)
	}},
	{"dot", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewDOT(p.stdout, run, t)
	}},
	{"mermaid", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewMermaid(p.stdout, run, t)
	}},
	{"scamper", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewScamperTrace(p.stdout, run, t)
	}},
	{"svg", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewSVG(p.stdout, run, t)
	}},
	{"html", func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewHTML(p.stdout, run, t)
	}},
}

func formatNames() (all []string) {
	for _, f := range formats {
		all = append(all, f.name)
	}
	return all
}

// oneFormat names them in a sentence.
func oneFormat() string { return "one of " + strings.Join(formatNames(), ", ") }

func formatOptions() []option {
	return []option{
		{long: "json", shows: true, brief: "for programs", help: "the trace as one JSON document",
			set: formatOption("json", "--json")},
		{long: "jsonl", shows: true, help: "a line of JSON for each event, when it happens",
			set: formatOption("jsonl", "--jsonl")},
		{long: "csv", shows: true, help: "a table with a row for each probe", set: formatOption("csv", "--csv")},
		{long: "format", facts: []fact{
			{on: func(c *config) bool { return !c.forPeople() }, by: func(c *config) string { return c.formatBy }},
			{words: noPlaceWords, on: func(c *config) bool { return !c.holdsPaths() },
				by: func(c *config) string { return c.formatBy }},
			{words: otherThanJSONWords, on: func(c *config) bool { return !c.forPeople() && c.format != "json" },
				by: func(c *config) string { return c.formatBy }},
			{words: noRoundsWords, on: func(c *config) bool { return !c.holdsRounds() },
				by: func(c *config) string { return c.formatBy }},
			{words: noMTUWords, on: func(c *config) bool { return !c.holdsFindings() },
				by: func(c *config) string { return c.formatBy }},
			{words: oneTargetWords, on: func(c *config) bool { return !slices.Contains(manyFormats, c.format) },
				by: func(c *config) string { return c.formatBy }},
		},
			shows: true, arg: "format", from: formatNames(), help: oneFormat() + " (text)",
			set: func(c *config, v string) error {
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
var pathFormats = []string{formats[0].name, "json", "jsonl", "scamper", "dot", "mermaid", "svg", "html"}

// manyFormats are the formats that many targets are shown in.
var manyFormats = []string{"", formats[0].name, "json", "jsonl", "csv", "scamper"}

// holdsPaths reports whether the format has a place for all paths.
func (c *config) holdsPaths() bool { return c.format == "" || slices.Contains(pathFormats, c.format) }

// formatOption is the set function of an option that is short for a format.
func formatOption(format, option string) func(*config, string) error {
	return func(c *config, _ string) error { return c.setFormat(format, option) }
}

// setFormat chooses a format. There can be only one.
func (c *formatConfig) setFormat(name, by string) error {
	if !slices.ContainsFunc(formats, func(f format) bool { return f.name == name }) {
		return fmt.Errorf("Argument of --format must be %s: %s", oneFormat(), given(name))
	}
	if c.format != "" && c.format != name {
		return fmt.Errorf("Only one format at a time: %s and %s", c.formatBy, by)
	}
	c.format, c.formatBy = name, by
	return nil
}

// formatted is the report in the form that the user wants.
func (p *program) formatted(run *report.Run, t *trace.Trace) report.Writer {
	p.stdout = p.rescue.InPieces(p.stdout)
	if p.diff != "" && p.format == "json" { // what has changed is printed in the place of the trace
		defer func(w io.Writer) { p.stdout = w }(p.stdout)
		p.stdout = io.Discard
	}
	name := p.format
	if name == "" {
		name = formats[0].name
	}
	for _, f := range formats {
		if f.name == name {
			return f.make(p, run, t)
		}
	}
	panic("a format that setFormat doesn't let pass: " + name)
}
