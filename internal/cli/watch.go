package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	runtimedebug "runtime/debug"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report/live"
	"go.example/tcptraceroute/trace"
)

// live goes its rounds on a screen, until the user or a signal ends it.
func (p *program) live(ctx context.Context, m *measure.Measurement) (made *record.Trace, err error) {
	look := p.screen(ctx)
	look.Hold, look.SetInterval = m.Hold, m.SetInterval
	screen, err := p.onScreen(ctx, look, func(ctx context.Context, s *live.Screen) error {
		m.Seen = s.Add
		var err error
		made, err = m.Watch(ctx)
		return err
	})
	stats, began := screen.Stats() // the user may have begun them anew
	made.Started, made.Rounds = began, m.Rounds.Of(stats)
	return made, err
}

// onScreen shows a screen while watch goes on, until the user or a signal ends it.
func (p *program) onScreen(ctx context.Context, look live.Options, watch func(context.Context, *live.Screen) error,
) (*live.Screen, error) {
	runtimedebug.SetGCPercent(livePercent)
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
	err := watch(running, screen)
	screen.Finish()
	if serr := <-shown; serr != nil && err == nil {
		err = fmt.Errorf("the screen: %w", serr)
	}
	return screen, err
}

// livePercent is how much garbage there may be, as a share of what is in use, in a program that runs for days: half of
// what the runtime allows by itself, for a collection every few seconds.
const livePercent = 50

// screen is how the rounds are shown. Nothing that it asks waits for an answer.
func (p *program) screen(ctx context.Context) live.Options {
	known, cancel := context.WithCancel(ctx)
	cancel() // what is known already, and no more
	o := live.Options{
		Path: p.Path, Target: words.Target(&p.Config, " port ", p.ports.Service(p.Path.Target.Port())),
		Interval:  p.Watch.Interval,
		Name:      func(a netip.Addr) string { return p.resolve.Name(known, a) },
		Owner:     p.owner(known),
		Addresses: p.Names == names.Never,
		UTF8:      p.utf8,
		Colors:    p.colors,
		Theme:     live.ThemeOf(p.Watch.Theme, os.Getenv),
		Findings: func(path trace.PathOptions, t *trace.Trace) []detect.Finding {
			return detect.Findings(detect.Evidence{View: detect.View{Trace: t, Options: path}, Rounds: true})
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

// screenTerminal asks, before anything else is done, whether there is a terminal to show a screen on.
func (p *program) screenTerminal() (err error) {
	if p.Watch.Live {
		p.colors, p.utf8, err = live.Terminal(os.Stdin, p.stdout, os.Getenv)
	}
	return err
}
