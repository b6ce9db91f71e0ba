package cli

import (
	"cmp"
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
	screen, err := p.onScreen(ctx, look, func(ctx context.Context, s *live.Screen) (err error) {
		m.Seen = s.Add
		made, err = m.Watch(ctx)
		return err
	})
	stats, began := screen.Stats() // the user may have begun them anew
	made.Started, made.Rounds = began, m.Rounds.Of(stats)
	return made, err
}

// livePaths watches all paths on a screen, until the user or a signal ends it, and prints them then.
func (p *program) livePaths(ctx context.Context, m *measure.Measurement) error {
	look := p.screen(ctx)
	look.Hold, look.SetInterval, look.Reset = m.Hold, m.SetInterval, m.ResetPaths
	var made *record.Trace
	_, err := p.onScreen(ctx, look, func(ctx context.Context, s *live.Screen) (err error) {
		m.Heard, m.Seen, m.Round = p.lookUp, s.Add, s.AddRound
		m.Progress = func(x measure.Progress) {
			s.Say(words.Progress(x, m.Header.Path))
			if x.Stage == measure.WatchingPaths {
				s.Watch(x.Watched)
			}
		}
		made, err = m.Trace(ctx)
		return err
	})
	if made == nil {
		return p.worded(err)
	}
	if made.Graph != nil {
		err = cmp.Or(err, p.sayPaths(made, p.reported(ctx, made).Name))
	}
	p.aside(words.Remapped(m.Remapped()))
	if p.unreached = made.Ending.ExitCode == 1; err == nil && p.unreached {
		err = errNotReached
	}
	return err
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
	return live.Options{
		Path: p.Path, Target: words.Target(&p.Config, " port ", p.ports.Service(p.Path.Target.Port())),
		Interval:  p.Watch.Interval,
		Name:      func(a netip.Addr) string { return p.resolve.Name(known, a) },
		Owner:     p.owner(known),
		Addresses: p.Names == names.Never,
		UTF8:      p.utf8,
		Colors:    p.colors.If(p.colored()),
		Theme:     live.ThemeOf(p.Watch.Theme, os.Getenv),
		Findings: func(path trace.PathOptions, t *trace.Trace) []detect.Finding {
			return detect.Findings(detect.Evidence{View: detect.View{Trace: t, Options: path}, Rounds: true})
		},
		Losses: detect.LossInRounds,
	}
}

// screenTerminal asks, before anything else is done, whether there is a terminal to show a screen on.
func (p *program) screenTerminal() (err error) {
	if p.Watch.Live {
		p.colors, p.utf8, err = live.Terminal(os.Stdin, p.stdout, os.Getenv)
	}
	return err
}
