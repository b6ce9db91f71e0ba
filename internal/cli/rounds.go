package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/trace"
)

// roundsOutput shows rounds: all of it when they are over, but for lines of JSON.
type roundsOutput struct {
	*program
	ctx   context.Context // names are looked up until it ends
	m     *measure.Measurement
	lines *record.Lines              // nil: the format has none
	feed  *report.Feed[trace.Result] // of lines
}

// describe says what a report may want to know of the rounds, which began at start.
func (x *roundsOutput) describe(start time.Time) *report.Run {
	made := &record.Trace{Header: x.m.Header}
	made.Started = start
	return x.reported(x.ctx, made)
}

// begin begins to show results as they come. They are added to the figures too. broken is called if nobody reads them.
func (x *roundsOutput) begin(start time.Time, add func(trace.Result), broken func(error)) func(trace.Result) {
	if x.Format != "jsonl" {
		return add
	}
	x.lines = record.NewLines(x.rescue.InPieces(x.stdout), x.describe(start).Header)
	x.feed = report.StartFeed(func(r trace.Result) error {
		name := ""
		if r.Reply != nil {
			name = x.resolve.Name(x.ctx, r.Reply.From())
		}
		return x.lines.Add(r, name)
	}, func() error { return nil }, broken)
	return func(r trace.Result) {
		add(r)
		x.feed.Add(r)
	}
}

// finish shows what came of the rounds, which ended with err.
func (x *roundsOutput) finish(stats *trace.Stats, start time.Time, counts trace.Counts, err error) error {
	if x.feed != nil {
		if err := x.feed.Close(); err != nil {
			return err
		}
	}
	run := x.describe(start)
	run.Ending, run.Rounds = ended(measure.EndingOf(x.ctx, counts, stats.Reached(), err)), record.RoundsOf(stats)
	run.Rounds.Interval, run.Rounds.Count = x.Watch.Interval, x.Watch.Count
	made := run.Record(nil)
	if x.lines != nil {
		fmt.Fprintln(x.stderr, report.RoundsState(made))
		return x.lines.Finish(made)
	}
	x.stdout = x.rescue.InPieces(x.stdout)
	return x.writeRounds(made)
}

// writeRounds writes rounds that are over, and says on stderr how the path ends.
func (p *program) writeRounds(t *record.Trace) error {
	fmt.Fprintln(p.stderr, report.RoundsState(t))
	switch {
	case p.Format == "json":
		return t.WriteJSON(p.stdout)
	case p.Format == "jsonl": // of saved rounds: no probe is known any more
		return record.NewLines(p.stdout, t.Header).Finish(t)
	case p.Format == "csv":
		return export.WriteRoundsCSV(p.stdout, t)
	case p.Format == "mtr-json":
		return export.WriteRoundsMTR(p.stdout, t, p.Watch.Columns, p.Watch.Both)
	}
	return p.writeTable(p.stdout, t)
}

// writeTable writes mtr's table.
func (p *program) writeTable(w io.Writer, t *record.Trace) error {
	o := report.TableOptions{Host: t.Hostname, Start: t.Started, Target: t.Path.Target.Addr(), Fields: p.Watch.Columns,
		Both: p.Watch.Both, Name: t.NameOf}
	if o.Host == "" {
		o.Host = "localhost"
	}
	if t.OwnersAsked {
		o.Owner = func(a netip.Addr) (record.Owner, bool) {
			o, ok := t.Owners[a]
			return o, ok
		}
	}
	return report.WriteTable(w, t.Rounds, o)
}
