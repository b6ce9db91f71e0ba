package cli

import (
	"cmp"
	"io"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/report/picture"
	"go.example/tcptraceroute/trace"
)

// formats makes the report of each form.
var formats = map[string]func(p *program, run *report.Run, t *trace.Trace) report.Writer{
	options.TextFormat: func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return report.NewClassic(p.stdout, t, p.classic(run))
	},
	"json":     form(report.NewJSON),
	"jsonl":    form(report.NewJSONLines),
	"csv":      form(export.NewCSV),
	"mtr-json": form(export.NewMTR),
	"atlas":    form(export.NewAtlas),
	"scamper":  form(export.NewScamperTrace),
	"dublin":   form(export.NewDublin),
	"dot":      form(picture.NewDOT),
	"mermaid":  form(picture.NewMermaid),
	"svg":      form(picture.NewSVG),
	"html":     form(picture.NewHTML),
}

// classic is what the text shows of each hop, with the names and owners of a run.
func (p *program) classic(run *report.Run) report.ClassicOptions {
	return report.ClassicOptions{DNAT: p.DNAT, Extensions: p.Show.Extensions, Color: p.colored(), Name: run.Name,
		Owner: run.Owner}
}

// form makes a report that has no options.
func form[W report.Writer](make func(io.Writer, *report.Run, *trace.Trace) W,
) func(*program, *report.Run, *trace.Trace) report.Writer {
	return func(p *program, run *report.Run, t *trace.Trace) report.Writer { return make(p.stdout, run, t) }
}

// formatted is the report in the form that the user wants.
func (p *program) formatted(run *report.Run, t *trace.Trace) report.Writer {
	p.stdout = p.rescue.InPieces(p.stdout)
	if p.Diff != "" && p.Format == "json" { // what has changed is printed in the place of the trace
		defer func(w io.Writer) { p.stdout = w }(p.stdout)
		p.stdout = io.Discard
	}
	return formats[cmp.Or(p.Format, options.TextFormat)](p, run, t)
}
