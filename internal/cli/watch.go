package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	runtimedebug "runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/live"
	"go.example/tcptraceroute/trace"
)

// watching is what is asked for that goes round by round.
type watching struct {
	live     bool
	report   bool
	columns  string        // of the table, by mtr's letters; "": the usual ones
	both     bool          // names with addresses
	count    int           // rounds; 0: not given
	interval time.Duration // of a round; 0: not given

	colors live.Colors // of the screen
	theme  string      // of themes; "": auto
	utf8   bool
}

// watchOptions are about tracing that goes on.
func watchOptions() []option {
	return []option{
		{long: "live",
			facts: []fact{{on: func(c *config) bool { return c.watch.live }, raw: true, not: append(notInRounds("--live"),
				conflict{"--format", "{} doesn't go with --live, which has a format of its own"},
				conflict{"--report", "--live doesn't go with --report: it prints the table when it ends"},
				conflict{"-d", "-d can't be used with --live: its output would corrupt the screen"})}},
			brief: "live view, like mtr",
			help:  "live view, like mtr: loss, times, history and changes of each hop, round by round (--interval, -c)",
			set:   do(func(c *config) { c.watch.live = true })},
		{long: "report",
			facts: []fact{{on: func(c *config) bool { return c.watch.report }, raw: true, not: append(notInRounds("--report"),
				conflict{noRounds, "--report doesn't go with {}: its figures are shown as text, json, jsonl, csv or mtr-json"})}},
			brief: "mtr's table",
			help: "probe every hop once per round, then print mtr's table: loss and times of each hop (-c, --interval); or " +
				"the figures in another form (--json, --jsonl, --csv, --format mtr-json)",
			set: do(func(c *config) { c.watch.report = true })},
		{short: 'o', long: "order", arg: "columns", shows: true,
			facts: []fact{{on: func(c *config) bool { return c.watch.columns != "" }, needs: []string{"--report"}}},
			help: "columns of --report's table, and figures of --format mtr-json, by mtr's letters: L loss in percent, " +
				"D lost, R answered, S sent, N last time, B best, A average, W worst, V standard deviation, G geometric mean, " +
				"J jitter, M its average, X its worst, I interarrival jitter (\"" + report.DefaultFields + "\")",
			set: setColumns},
		{short: 'b', long: "show-ips", shows: true,
			facts: []fact{{on: func(c *config) bool { return c.watch.both }, needs: []string{"--report"}}},
			help:  "in --report's table and --format mtr-json: names with addresses",
			set:   do(func(c *config) { c.watch.both = true })},
		{short: 'c',
			facts: []fact{{on: func(c *config) bool { return c.watch.count > 0 }, needs: []string{"--report", "--live"}}},
			long:  "count", arg: "rounds",
			help: "rounds of --report and --live, 1 or more (10; with --live without end)",
			set:  between("-c, --count", 1, math.MaxInt32, func(c *config, n int) { c.watch.count = n })},
		{long: "interval",
			facts: []fact{{on: func(c *config) bool { return c.watch.interval > 0 }, needs: []string{"--report", "--live"}}},
			arg:   "seconds",
			help:  "time of a round, 0.01 to 3600 seconds (1): each hop is probed at most once per round",
			set: seconds("--interval", trace.LeastInterval, time.Hour,
				func(c *config, d time.Duration) { c.watch.interval = d })},
		{long: "theme", facts: []fact{{on: func(c *config) bool { return c.watch.theme != "" }, needs: []string{"--live"}}},
			arg: strings.Join(themes, "|"),
			help: "colours of --live for a dark or a light background (auto: by COLORFGBG, or by the terminal's answer, if it " +
				"has one)",
			set: func(c *config, v string) error {
				if !slices.Contains(themes, v) {
					return fmt.Errorf("Argument of --theme must be auto, dark or light: %s", given(v))
				}
				c.watch.theme = v
				return nil
			}},
	}
}

var themes = []string{"auto", "dark", "light"}

// seconds takes a decimal number of seconds in a range, fractions allowed.
func seconds(name string, low, high time.Duration, set func(*config, time.Duration)) func(*config, string) error {
	return func(c *config, v string) error {
		s, err := strconv.ParseFloat(v, 64)
		plain := strings.Trim(v, "0123456789.") == ""
		if d := time.Duration(s * float64(time.Second)); err == nil && plain && s <= high.Seconds() && d >= low {
			set(c, d)
			return nil
		}
		return fmt.Errorf("Argument of %s must be between %v and %v seconds: %s", name, low.Seconds(), high.Seconds(),
			given(v))
	}
}

// on reports whether the trace goes on.
func (w *watching) on() bool { return w.report || w.live }

// by is the option that asks for rounds.
func (w *watching) by() string {
	if w.live {
		return "--live"
	}
	return "--report"
}

const defaultRounds = 10

// defaults fills in what was not given.
func (w *watching) defaults() {
	if w.interval == 0 {
		w.interval = trace.DefaultInterval
	}
	if w.count == 0 && w.report {
		w.count = defaultRounds
	}
}

// setColumns takes the letters of columns.
func setColumns(c *config, v string) error {
	if fields, err := report.FieldsOf(v); err != nil || len(fields) == 0 || strings.TrimSpace(v) == "" {
		letters := ""
		for _, f := range report.RoundsFields() {
			letters += string(f.Letter)
		}
		return fmt.Errorf("Argument of -o, --order must be letters of %s and blanks: %s", letters, given(v))
	}
	c.watch.columns = v
	return nil
}

// watched goes its rounds, on a screen or without one, and prints the table.
func (p *program) watched(ctx context.Context, m *measure.Measurement) error {
	var troubles troubles
	m.Heard = func(r trace.Result) {
		p.lookUp(r)
		troubles.add(r)
	}
	carryOut := p.rounds
	if p.watch.live {
		carryOut = p.live
	}
	out := &roundsOutput{program: p, ctx: ctx, m: m}
	stats, start, counts, err := carryOut(ctx, m, out)
	if werr := out.finish(stats, start, counts, err); werr != nil {
		err = fmt.Errorf("writing: %w", werr)
	}
	p.warn(&troubles, counts)
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
	stats, start := trace.NewStats(p.path), time.Now()
	status := p.showStatus(func(sofar time.Duration) string {
		return fmt.Sprintf("round %d of %d", min(int(sofar/p.watch.interval)+1, p.watch.count), p.watch.count)
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
	options := p.screen(ctx)
	options.Hold, options.SetInterval = m.Hold, m.SetInterval
	var job *terminal.Jobs
	options.Suspend = func() { job.Stop() }
	screen := live.New(options)
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
		Path: p.path, Target: quoted(p.target(" port ")), Interval: p.watch.interval,
		Name:      func(a netip.Addr) string { return p.resolve.Name(known, a) },
		Owner:     p.owner(known),
		Addresses: p.names == names.Never,
		UTF8:      p.watch.utf8,
		Colors:    p.watch.colors,
		Theme:     p.watch.background(os.Getenv),
		Findings: func(t *trace.Trace) []detect.Finding {
			return detect.Findings(detect.Evidence{View: detect.View{Trace: t, Options: p.path}, Rounds: true})
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
func (w *watching) background(getenv func(string) string) live.Theme {
	switch w.theme {
	case "dark":
		return live.DarkTheme
	case "light":
		return live.LightTheme
	}
	return live.ThemeOf(getenv)
}

// terminal asks, before anything else is done, whether there is one to show a screen on.
func (w *watching) terminal(stdout io.Writer) (err error) {
	if w.live {
		w.colors, w.utf8, err = live.Terminal(os.Stdin, stdout, os.Getenv)
	}
	return err
}
