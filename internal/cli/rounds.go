package cli

import (
	"context"
	"fmt"
	"time"

	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/trace"
)

// watched goes its rounds, on a screen or without one, and prints what came of them.
func (p *program) watched(ctx context.Context, m *measure.Measurement) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var run *report.Run
	var lines *report.Feed[trace.Result] // nil: nothing is printed before the end
	m.Progress = func(x measure.Progress) {
		if x.Stage != measure.Tracing {
			return
		}
		run = p.reported(ctx, x.Trace)
		if p.Format == "jsonl" {
			broken := func(err error) { stop(fmt.Errorf("writing: %w", err)) }
			lines = report.StartPrinter(report.NewRoundsLines(p.rescue.InPieces(p.stdout), run), broken)
			m.Seen = lines.Add
		}
	}
	var unsent report.Unsent
	m.Heard = func(r trace.Result) {
		p.lookUp(r)
		unsent.Add(r)
	}
	watch := p.silent
	if p.Watch.Live {
		watch = p.live
	}
	made, err := watch(running, m)
	made.Ending = ended(made.Ending)
	if werr := p.writeRounds(run, lines); werr != nil {
		err = fmt.Errorf("writing: %w", werr)
	}
	p.aside(words.Warnings(&unsent, made.Ending.Counts)...)
	p.aside(words.Departure(m))
	reached := made.Rounds.Outcome.Reached
	p.unreached = !made.Ending.Counts.NothingSent() && !reached
	if err == nil && !reached {
		err = errNotReached
	}
	return err
}

// silent goes its rounds in silence.
func (p *program) silent(ctx context.Context, m *measure.Measurement) (*record.Trace, error) {
	status := p.showStatus(func(sofar time.Duration) string {
		return fmt.Sprintf("round %d of %d", min(int(sofar/p.Watch.Interval)+1, p.Watch.Count), p.Watch.Count)
	})
	defer status.Stop()
	return m.Watch(ctx)
}

// writeRounds writes rounds that are over, of which lines may be written already, and says how the path ends.
func (p *program) writeRounds(run *report.Run, lines *report.Feed[trace.Result]) error {
	fmt.Fprintln(p.stderr, report.RoundsState(run.Trace))
	if lines != nil {
		return lines.Close()
	}
	return export.WriteRounds(p.rescue.InPieces(p.stdout), run.Record(nil), p.Format, p.Watch.Columns, p.Watch.Both)
}
