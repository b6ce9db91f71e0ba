package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	runtimedebug "runtime/debug"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/live"
	"go.example/tcptraceroute/trace"
)

// watched goes its rounds, on a screen or without one, and prints the table.
func (p *program) watched(ctx context.Context, m *measure.Measurement) error {
	var unsent report.Unsent
	m.Heard = func(r trace.Result) {
		p.lookUp(r)
		unsent.Add(r)
	}
	carryOut := p.rounds
	if p.Watch.Live {
		carryOut = p.live
	}
	out := &roundsOutput{program: p, ctx: ctx, m: m}
	stats, start, counts, err := carryOut(ctx, m, out)
	if werr := out.finish(stats, start, counts, err); werr != nil {
		err = fmt.Errorf("writing: %w", werr)
	}
	p.warn(&unsent, counts)
	p.sayDeparture(m)
	p.unreached = !counts.NothingSent() && !stats.Reached()
	if err == nil && !stats.Reached() {
		err = errNotReached
	}
	return err
}

// rounds goes its rounds in silence.
func (p *program) rounds(ctx context.Context, m *measure.Measurement, out *roundsOutput,
) (*trace.Stats, time.Time, trace.Counts, error) {
	stats, start := trace.NewStats(p.Path), time.Now()
	status := p.showStatus(func(sofar time.Duration) string {
		return fmt.Sprintf("round %d of %d", min(int(sofar/p.Watch.Interval)+1, p.Watch.Count), p.Watch.Count)
	})
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	m.Seen = out.begin(start, stats.Add, func(err error) { stop(fmt.Errorf("writing: %w", err)) })
	counts, err := m.Watch(running)
	status.Stop()
	return stats, start, counts, err
}

// live goes its rounds on a screen, until the user or a signal ends it.
func (p *program) live(ctx context.Context, m *measure.Measurement, _ *roundsOutput,
) (*trace.Stats, time.Time, trace.Counts, error) {
	runtimedebug.SetGCPercent(livePercent)
	look := p.screen(ctx)
	look.Hold, look.SetInterval = m.Hold, m.SetInterval
	var job *terminal.Jobs
	look.Suspend = func() { job.Stop() }
	screen := live.New(look)
	job = terminal.WatchJobs(screen.Again)
	defer job.End()
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	shown := make(chan error, 1)
	mode := live.Mode(os.Stdin)
	defer p.rescue.Changes(func() {
		mode()
		if f, ok := p.stdout.(*os.File); ok && terminal.Writable(f) {
			io.WriteString(f, live.Leave)
		}
	})()
	defer p.rescue.Guard()
	go func() {
		defer p.rescue.Guard()
		err := screen.Run(ctx, os.Stdin, p.stdout, os.Getenv("TERM"))
		stop(measure.ErrEnough)
		shown <- err
	}()
	m.Seen = screen.Add
	counts, err := m.Watch(running)
	screen.Finish()
	if serr := <-shown; serr != nil && err == nil {
		err = fmt.Errorf("the screen: %w", serr)
	}
	stats, start := screen.Stats()
	return stats, start, counts, err
}

// livePercent is how much garbage there may be, as a share of what is in use, in a program that runs for days: half of
// what the runtime allows by itself, for a collection every few seconds.
const livePercent = 50

// screen is how the rounds are shown. Nothing that it asks waits for an answer.
func (p *program) screen(ctx context.Context) live.Options {
	known, cancel := context.WithCancel(ctx)
	cancel() // what is known already, and no more
	o := live.Options{
		Path: p.Path, Target: record.Printable(p.target(" port ")), Interval: p.Watch.Interval,
		Name:      func(a netip.Addr) string { return p.resolve.Name(known, a) },
		Owner:     p.owner(known),
		Addresses: p.Names == names.Never,
		UTF8:      p.utf8,
		Colors:    p.colors,
		Theme:     p.background(os.Getenv),
		Findings: func(t *trace.Trace) []detect.Finding {
			return detect.Findings(detect.Evidence{View: detect.View{Trace: t, Options: p.Path}, Rounds: true})
		},
		Losses: detect.LossInRounds,
	}
	switch {
	case !p.colored():
		o.Colors = live.NoColors
	case o.Colors == live.NoColors: // and yet they are asked for
		o.Colors = live.SixteenColors
	}
	return o
}

// background is what the screen's colours are chosen for.
func (p *program) background(getenv func(string) string) live.Theme {
	switch p.Watch.Theme {
	case "dark":
		return live.DarkTheme
	case "light":
		return live.LightTheme
	}
	return live.ThemeOf(getenv)
}

// screenTerminal asks, before anything else is done, whether there is a terminal to show a screen on.
func (p *program) screenTerminal() (err error) {
	if p.Watch.Live {
		p.colors, p.utf8, err = live.Terminal(os.Stdin, p.stdout, os.Getenv)
	}
	return err
}
