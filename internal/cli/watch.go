package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"time"

	"tcptraceroute/packet"
	"tcptraceroute/report"
	"tcptraceroute/trace"
	"tcptraceroute/wire"
)

// watching is what is asked for that goes round by round.
type watching struct {
	report   bool
	count    int           // rounds; 0: not given
	interval time.Duration // of a round; 0: not given
}

// watchOptions are about tracing that goes on.
func watchOptions() []option {
	return []option{
		{long: "report", brief: "mtr's table", help: "ask every hop once a round, then print mtr's table: loss and times of each hop (-c, --interval)", set: do(func(c *config) { c.watch.report = true })},
		{short: 'c', long: "count", arg: "rounds", help: "how many rounds --report takes, 1 or more (10)", set: number("-c", 1, math.MaxInt32, func(c *config, n int) { c.watch.count = n })},
		{long: "interval", arg: "seconds", help: "time of a round, 0.01 to 3600 seconds (1): no hop is asked more often", set: seconds("--interval", trace.LeastInterval, time.Hour, func(c *config, d time.Duration) { c.watch.interval = d })},
	}
}

// seconds takes a decimal number of seconds in a range, fractions allowed.
func seconds(name string, low, high time.Duration, set func(*config, time.Duration)) func(*config, string) error {
	return func(c *config, v string) error {
		s, err := strconv.ParseFloat(v, 64)
		if d := time.Duration(s * float64(time.Second)); err == nil && s <= high.Seconds() && d >= low {
			set(c, d)
			return nil
		}
		return fmt.Errorf("Argument of %s must be between %v and %v seconds: %s", name, low.Seconds(), high.Seconds(), quoted(v))
	}
}

// on reports whether the trace goes on.
func (w *watching) on() bool { return w.report }

// check says what doesn't go together.
func (w *watching) check(c *config) error {
	switch {
	case !w.on() && w.count > 0:
		return errors.New("-c needs --report")
	case !w.on() && w.interval > 0:
		return errors.New("--interval needs --report")
	case w.on() && c.path.Queries != 0:
		return errors.New("-q doesn't go with --report: -c says how many rounds there are, with one probe a hop each")
	case w.on() && c.format != "" && c.format != formats[0].name:
		return fmt.Errorf("%s doesn't go with --report, which is a format of its own", c.formatBy)
	case w.on() && c.trackPort:
		return errors.New("--track-port doesn't go with --report: its rounds are one flow")
	}
	return nil
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

// watched goes its rounds and prints the table.
func (p *program) watched(ctx context.Context, conn *wire.Conn) error {
	tally := trace.NewTally(p.path)
	var troubles troubles
	start := time.Now()
	status := p.showStatus(func(sofar time.Duration) string {
		return fmt.Sprintf("round %d of %d", min(int(sofar/p.watch.interval)+1, p.watch.count), p.watch.count)
	})
	counts, err := trace.Run(ctx, conn, p.plan, p.engine(conn), func(r trace.Result) {
		if r.Reply != nil && r.Reply.Kind != packet.KindOther {
			p.lookUp(r.Reply.From())
		}
		troubles.add(r)
		tally.Add(r)
	})
	status.stop()
	if werr := p.table(ctx, tally, start); werr != nil {
		err = fmt.Errorf("writing: %w", werr)
	}
	p.warn(&troubles, counts)
	switch {
	case err != nil:
		return err
	case !tally.Reached():
		return errNotReached
	}
	return nil
}

// table writes the figures of the rounds.
func (p *program) table(ctx context.Context, t *trace.Tally, start time.Time) error {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return report.WriteTable(p.stdout, t, report.TableOptions{
		Host: host, Start: start,
		Name:  func(a netip.Addr) string { return p.resolve.Name(ctx, a) },
		Owner: p.owner(ctx),
	})
}
