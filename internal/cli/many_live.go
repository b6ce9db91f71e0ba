package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/live"
	"go.example/tcptraceroute/targets"
	"go.example/tcptraceroute/trace"
)

// watchMany goes its rounds to all targets of the lists on a screen, until the user or a signal ends it, and prints the
// table of each then.
func (p *program) watchMany(ctx context.Context, network *measure.Tracer, m *measure.Many) error {
	all, bad := m.Gather(options.MostLive)
	for _, err := range bad {
		p.aside(record.Printable(err.Error()))
	}
	switch {
	case len(all) > options.MostLive:
		return fmt.Errorf("--live watches at most %d targets, and the list has more: leave --live or some of them out",
			options.MostLive)
	case len(all) == 0:
		return errors.New("Nothing to watch: no target is left of the list")
	}
	look := p.screen(ctx)
	for _, t := range all {
		look.Targets = append(look.Targets, record.Printable(fmt.Sprintf("%s %d", t.Host, t.Port)))
	}
	m.Open, m.Nearby, m.Timeout, m.Grace, m.Explain = len(all), len(all), 0, 0, false
	m.Targets = func(yield func(targets.Target, error) bool) {
		for _, t := range all {
			if !yield(t, nil) {
				return
			}
		}
	}
	look.Hold, look.SetInterval = m.Hold, m.SetInterval
	m.Bad = func(error) {} // they were named before
	network.Ready(m)
	p.rescue.Begin()
	started := time.Now()
	var ends []record.Listed
	var end record.ManyEnd
	screen, err := p.onScreen(ctx, look, func(ctx context.Context, s *live.Screen) (err error) {
		m.Begun = func(index int, path trace.PathOptions) { s.Begin(index-1, path) }
		m.Seen = func(index int, r trace.Result) {
			p.lookUp(r)
			s.AddTo(index-1, r)
		}
		m.Done = func(t record.Listed) {
			if ends = append(ends, t); t.Trace == nil {
				_, why, _ := strings.Cut(report.TargetLine(&t), fmt.Sprintf(" %d ", t.Port))
				s.Refuse(t.Index-1, why)
			}
		}
		end, err = network.Many(ctx, m)
		if err == nil && ctx.Err() == nil && m.Request.Rounds.Count == 0 { // nothing can be traced, which the screen says
			<-ctx.Done()
		}
		return err
	})
	out, oerr := p.newManyOutput(m)
	if oerr != nil {
		return oerr
	}
	out.started, out.broken, out.minute = started, func(error) {}, func() {}
	out.badLines.Store(int64(len(bad)))
	slices.SortFunc(ends, func(a, b record.Listed) int { return a.Index - b.Index })
	for _, t := range ends {
		if t.Trace != nil {
			stats, began := screen.StatsOf(t.Index - 1) // the user may have begun them anew
			t.Trace.Started, t.Trace.Rounds = began, m.Request.Rounds.Of(stats)
			t.Summary = t.Trace.Summary()
		}
		out.target(t)
	}
	return out.finish(end, err)
}
