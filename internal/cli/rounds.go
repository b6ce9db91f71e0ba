package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
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

// header says what was measured.
func (x *roundsOutput) header(start time.Time) record.Header {
	h := x.m.Header
	h.Version, h.Service, h.Started = version(), x.ports.Service(h.Path.Target.Port()), start
	h.Hostname, _ = os.Hostname() // "": not known
	h.Numeric, h.OwnersAsked = x.Names == names.Never, x.Show.Owners
	return h
}

// begin begins to show results as they come. They are added to the figures too. broken is called if nobody reads them.
func (x *roundsOutput) begin(start time.Time, add func(trace.Result), broken func(error)) func(trace.Result) {
	if x.Format != "jsonl" {
		return add
	}
	x.lines = record.NewLines(x.rescue.InPieces(x.stdout), x.header(start))
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
	if err == nil && !stats.Reached() {
		err = errNotReached
	}
	made := &record.Trace{Header: x.header(start), Rounds: record.RoundsOf(stats), Names: make(map[netip.Addr]string),
		Owners: make(map[netip.Addr]record.Owner), Ending: roundsEnding(counts, err)}
	made.Rounds.Interval, made.Rounds.Count = x.Watch.Interval, x.Watch.Count
	owner := x.owner(x.ctx)
	for _, a := range made.Rounds.Addresses() {
		if name := x.resolve.Name(x.ctx, a); name != "" {
			made.Names[a] = name
		}
		if owner == nil {
			continue
		}
		if o, ok := owner(a); ok {
			made.Owners[a] = o
		}
	}
	if x.lines != nil {
		return x.lines.Finish(made)
	}
	x.stdout = x.rescue.InPieces(x.stdout)
	return x.writeRounds(made)
}

// roundsEnding says how rounds ended that ended with err.
func roundsEnding(counts trace.Counts, err error) record.Ending {
	e := record.Ending{Time: time.Now(), Reason: record.Complete, Err: err, ExitCode: exitCode(err), Counts: counts}
	switch {
	case err == nil || err == errNotReached:
		e.Err = nil
	case errors.As(err, new(*terminal.Interrupted)):
		e.Reason = record.Interrupted
	case errors.As(err, new(*trace.SendError)):
		e.Reason = record.NotSent
	default:
		e.Reason = record.Broken
	}
	return ended(e)
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
	return report.WriteTable(p.stdout, t.Rounds, o)
}

// errRounds refuses saved rounds where one trace is wanted.
var errRounds = errors.New("it has rounds (--report), and not one trace")
