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
		return report.NewClassic(p.stdout, t, report.ClassicOptions{DNAT: p.DNAT, Name: run.Name,
			Extensions: p.Show.Extensions, Owner: run.Owner, Color: p.colored()})
	},
	"json": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return report.NewJSON(p.stdout, run, t)
	},
	"jsonl": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return report.NewJSONLines(p.stdout, run, t)
	},
	"csv": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewCSV(p.stdout, run, t)
	},
	"mtr-json": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewMTR(p.stdout, run, t)
	},
	"atlas": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewAtlas(p.stdout, run, t)
	},
	"dot": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewDOT(p.stdout, run, t)
	},
	"mermaid": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewMermaid(p.stdout, run, t)
	},
	"scamper": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return export.NewScamperTrace(p.stdout, run, t)
	},
	"svg": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewSVG(p.stdout, run, t)
	},
	"html": func(p *program, run *report.Run, t *trace.Trace) report.Writer {
		return picture.NewHTML(p.stdout, run, t)
	},
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
