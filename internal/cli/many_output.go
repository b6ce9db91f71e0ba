package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/trace"
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

	started time.Time
	failed  error
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
		return record.NewManyLines(w, record.ManyRun{Version: version(), Started: started, Lists: p.Many.Lists,
			Rate: m.Status().Rate, Open: m.Open, Queries: cmp.Or(p.Watch.Count, p.Path.Queries), Timeout: m.Timeout})
	case "scamper":
		return export.NewScamper(w, m.Header.Hostname, started)
	case "csv":
		if p.Watch.On() {
			return export.NewManyRoundsCSV(w), nil
		}
		return export.NewManyCSV(w), nil
	}
	return report.NewManyText(w, report.ManyTextOptions{Hops: p.Many.Hops, Classic: p.classic(),
		Fields: p.Watch.Columns, Both: p.Watch.Both}), nil
}

// begin says what is about to be done.
func (o *manyOutput) begin() {
	open := "one target at a time"
	if o.m.Open > 1 {
		open = fmt.Sprintf("up to %d targets at a time", o.m.Open)
	}
	if p := o.p; p.Watch.On() {
		open += fmt.Sprintf(", %d rounds of %v each", p.Watch.Count, p.Watch.Interval)
	}
	fmt.Fprintf(o.p.stderr, "Tracing the targets of %s, %d hops max, %s packets a second, %s\n",
		record.Printable(strings.Join(o.p.Many.Lists, ", ")), o.p.Path.Effective().MaxTTL,
		report.Thousands(o.m.Status().Rate), open)
	if o.m.Explain {
		fmt.Fprintf(o.p.stderr,
			"Then up to %d of those that are not reached, %d of each place where paths end, are explained\n", measure.MostExplained, measure.MostAlike)
	}
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

// bad says which line could not be read.
func (o *manyOutput) bad(err error) { o.say(err.Error()) }

// explaining says what is done to explain a target.
func (o *manyOutput) explaining(x measure.Explaining) {
	if x.Target == nil {
		o.say(fmt.Sprintf("Explaining %d of %s targets that were not reached, one after the other: each is traced once "+
			"more, with %d probes per hop, beside an ordinary connection of this host", x.Targets, report.Thousands(x.Of),
			max(o.p.Path.Queries, trace.DefaultQueries)))
		return
	}
	name := fmt.Sprintf("%s %d: ", x.Target.Host, x.Target.Port)
	switch p := x.Progress; p.Stage {
	case measure.Announcing:
		o.say(name + report.Questions(p.Questions, p.Most, x.Target.Trace.Path))
	case measure.Lacking:
		o.say(name + strings.Join(p.Unknown, ". "))
	case measure.Failed:
		o.say(name + "Asking further: " + o.p.worded(p.Err).Error())
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
	if !o.p.HoldsFindings() && o.p.Explain {
		for _, line := range report.SharedEnds(e.Shared) {
			fmt.Fprintln(o.p.stderr, line)
		}
	}
	fmt.Fprintln(o.p.stderr, report.ManyCounts(&e.ManyCounts, time.Since(o.started)))
	if n := e.Counts.LostHere; n > 0 {
		slower := max(o.m.Status().Rate/2, 1)
		fmt.Fprintf(o.p.stderr, "%s answers were lost on this host (slower: --rate %d)\n", report.Thousands(n), slower)
	}
	return err
}
