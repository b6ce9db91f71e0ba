package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Document writes a whole trace as one JSON document, when it is over.
type Document struct {
	w   io.Writer
	run *report.Run
	rec *report.Record
}

// NewDocument writes the run's trace t, which it folds the results into, to w.
func NewDocument(w io.Writer, run *report.Run, t *trace.Trace) *Document {
	return &Document{w, run, report.NewRecord(t)}
}

// Add takes a result in.
func (d *Document) Add(r trace.Result) error {
	d.rec.Add(r)
	return nil
}

// Finish writes the document.
func (d *Document) Finish() error {
	d.rec.Finish()
	e := d.run.Ending()
	hops, beyond := hopsOf(d.rec, d.run, true)
	return write(d.w, "  ", document{
		Schema: ID, Program: programOf(d.run), Started: instant(d.run.Started), Ended: instant(e.Time),
		Target: targetOf(d.run), Source: sourceOf(d.run), Options: optionsOf(d.run),
		Outcome: outcomeOf(d.rec, e), Hops: hops, Beyond: beyond, Findings: findingsOf(d.run), Explain: explainOf(d.run),
		Totals: totalsOf(d.rec, e.Counts),
	})
}

// Lines writes a line of JSON for each event, when it happens: a start, the probes as their fates become known, and
// an end.
type Lines struct {
	w       io.Writer
	run     *report.Run
	rec     *report.Record
	started bool
}

// NewLines writes the run's trace t, which it folds the results into, to w.
func NewLines(w io.Writer, run *report.Run, t *trace.Trace) *Lines {
	return &Lines{w: w, run: run, rec: report.NewRecord(t)}
}

func (l *Lines) start() error {
	if l.started {
		return nil
	}
	l.started = true
	return write(l.w, "", startLine{
		Event: "start", Schema: ID, Program: programOf(l.run), Started: instant(l.run.Started),
		Target: targetOf(l.run), Source: sourceOf(l.run), Options: optionsOf(l.run),
	})
}

// Add writes the result's line.
func (l *Lines) Add(r trace.Result) error {
	l.rec.Add(r)
	if err := l.start(); err != nil {
		return err
	}
	event := "notice"
	if r.Fate.Outcome() {
		event = "probe"
	}
	return write(l.w, "", probeLine{event, probeOf(r, l.run.Connections)})
}

// Finish writes the last line: how the trace ended, and its hops in figures.
func (l *Lines) Finish() error {
	if err := l.start(); err != nil {
		return err
	}
	l.rec.Finish()
	e := l.run.Ending()
	hops, beyond := hopsOf(l.rec, l.run, false)
	return write(l.w, "", endLine{
		Event: "end", Ended: instant(e.Time), Outcome: outcomeOf(l.rec, e), Hops: hops, Beyond: beyond,
		Findings: findingsOf(l.run), Explain: explainOf(l.run), Totals: totalsOf(l.rec, e.Counts),
	})
}

// write writes one value and a line feed, at once.
func write(w io.Writer, indent string, v any) error {
	b, err := json.Marshal(v) // escapes <, > and & too
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	b = report.ASCII(b)
	if indent != "" {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, b, "", indent); err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		b = pretty.Bytes()
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
