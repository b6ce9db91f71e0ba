package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/internal/version"
	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/targets"
)

// manyOutput shows the targets of a run as they end.
type manyOutput struct {
	p      *program
	m      *measure.Many
	form   report.ManyWriter
	lines  *report.LineWriter
	status *terminal.Status
	broken func(error) // is called when nothing more can be written
	minute func()      // ends what says how far the run is, where no status line does

	badLines atomic.Int64 // that could not be read
	started  time.Time
	failed   error
}

// newManyOutput chooses the form.
func (p *program) newManyOutput(m *measure.Many) (*manyOutput, error) {
	o := &manyOutput{p: p, m: m, started: time.Now()}
	if p.width.err > 0 && !p.Debug {
		o.status = p.rescue.StartStatus(p.stderr, p.stdout, p.width.err, func(time.Duration) string { return o.progress() })
		p.stdout = o.status
	}
	o.lines = report.StartLines(p.rescue.InPieces(p.stdout), p.width.out > 0, func(err error) { o.broken(err) })
	var err error
	o.form, err = p.manyForm(o.lines, m, o.started)
	return o, err
}

// manyForm is the form in which targets are shown.
func (p *program) manyForm(w io.Writer, m *measure.Many, started time.Time) (report.ManyWriter, error) {
	switch p.Format {
	case "json", "jsonl":
		return record.NewManyLines(w, record.ManyRun{Version: version.Get(), Started: started, Lists: p.Many.Lists,
			Rate: m.Status().Rate, Open: m.Open, Queries: cmp.Or(p.Watch.Count, p.Path.Queries), Timeout: m.Timeout})
	case "scamper":
		return export.NewScamper(w, m.Header.Hostname, started)
	case "csv":
		if p.Watch.On() {
			return export.NewManyRoundsCSV(w), nil
		}
		return export.NewManyCSV(w), nil
	}
	return report.NewManyText(w, report.ManyTextOptions{Hops: p.Many.Hops, Classic: p.classic(&report.Run{}),
		Fields: p.Watch.Columns, Both: p.Watch.Both}), nil
}

// begin says what is about to be done.
func (o *manyOutput) begin() {
	o.p.aside(words.Many(&o.p.Config, o.m)...)
	o.minute = func() {}
	if o.status == nil && o.p.rescue != nil {
		o.minute = report.EachTime(time.Minute, func() { fmt.Fprintln(o.p.stderr, o.progress()) })
	}
}

// progress says how far the run is.
func (o *manyOutput) progress() string {
	return report.ManyProgress(o.m.Status(), time.Since(o.started))
}

// say writes a line to standard error, above the status.
func (o *manyOutput) say(text string) {
	if o.status != nil {
		o.status.Write(nil) // wipes the line
	}
	fmt.Fprintln(o.p.stderr, record.Printable(text))
}

// mostBad is how many lines that can't be read are named. The others are only counted.
const mostBad = 10

// bad says which line could not be read.
func (o *manyOutput) bad(err error) {
	if errors.As(err, new(*targets.LineError)) {
		if o.badLines.Add(1) > mostBad {
			return
		}
	}
	o.say(err.Error())
}

// explaining says what is done to explain a target.
func (o *manyOutput) explaining(x measure.Explaining) {
	if text := words.ManyExplaining(&o.p.Config, x); text != "" {
		o.say(text)
	}
}

// target shows a target that has come to its end.
func (o *manyOutput) target(t record.Listed) {
	if o.failed != nil {
		return
	}
	if t.Trace != nil && o.p.showsResponders() { // who waits for a name has a budget
		o.p.reported(context.Background(), t.Trace).Identify()
	}
	if o.failed = o.form.Add(t); o.failed != nil {
		o.broken(o.failed)
	}
}

// finish shows what is to be said of all targets, and returns what the run came to, which ended with err.
func (o *manyOutput) finish(e record.ManyEnd, err error) error {
	if e.Ending = ended(e.Ending); err == nil && e.ExitCode != exitReached {
		err = errSomeNotReached
	}
	if o.failed == nil {
		o.failed = o.form.Finish(e)
	}
	if werr := o.lines.Close(); o.failed == nil {
		o.failed = werr
	}
	o.minute()
	o.status.Stop()
	if o.failed != nil {
		return fmt.Errorf("writing: %w", o.failed)
	}
	if n := int(o.badLines.Load()) - mostBad; n > 0 {
		fmt.Fprintf(o.p.stderr, "%s more lines could not be read\n", report.Thousands(n))
	}
	if !o.p.HoldsFindings() && o.p.Explain {
		for _, line := range report.SharedEnds(e.Shared) {
			fmt.Fprintln(o.p.stderr, line)
		}
	}
	fmt.Fprintln(o.p.stderr, report.ManyCounts(&e.ManyCounts, time.Since(o.started)))
	if why := report.NoneTraced(&e.ManyCounts); why != "" && err == nil {
		fmt.Fprintln(o.p.stderr, why)
	}
	if n := e.Counts.LostHere; n > 0 {
		slower := max(o.m.Status().Rate/2, 1)
		fmt.Fprintf(o.p.stderr, "%s answers were lost on this host (slower: --rate %d)\n", report.Thousands(n), slower)
	}
	return err
}
