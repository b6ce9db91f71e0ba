package options

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// watching is what is asked for that goes round by round.
type watching struct {
	Live     bool
	report   bool
	Columns  string        // of the table, by mtr's letters; "": the usual ones
	Both     bool          // names with addresses
	Count    int           // rounds; 0: not given
	Interval time.Duration // of a round; 0: not given

	Theme string // of themes; "": auto
}

// watchOptions are about tracing that goes on.
func watchOptions() []Option {
	return []Option{
		{Long: "live",
			facts: []fact{{on: func(c *Config) bool { return c.Watch.Live }, raw: true, not: append(notInRounds("--live"),
				conflict{"--format", "{} doesn't go with --live, which has a format of its own"},
				conflict{"--report", "--live doesn't go with --report: it prints the table when it ends"},
				conflict{"-d", "-d can't be used with --live: its output would corrupt the screen"})}},
			Brief: "live view, like mtr",
			Help:  "live view, like mtr: loss, times, history and changes of each hop, round by round (--interval, -c)",
			set:   do(func(c *Config) { c.Watch.Live = true })},
		{Long: "report",
			facts: []fact{{on: func(c *Config) bool { return c.Watch.report }, raw: true, not: append(notInRounds("--report"),
				conflict{noRounds, "--report doesn't go with {}: its figures are shown as text, json, jsonl, csv or mtr-json"})}},
			Brief: "mtr's table",
			Help: "probe every hop once per round, then print mtr's table: loss and times of each hop (-c, --interval); or " +
				"the figures in another form (--json, --jsonl, --csv, --format mtr-json)",
			set: do(func(c *Config) { c.Watch.report = true })},
		{Short: 'o', Long: "order", Arg: "columns", Shows: true,
			facts: []fact{{on: func(c *Config) bool { return c.Watch.Columns != "" }, needs: []string{"--report"}}},
			Help: "columns of --report's table, and figures of --format mtr-json, by mtr's letters: L loss in percent, " +
				"D lost, R answered, S sent, N last time, B best, A average, W worst, V standard deviation, G geometric mean, " +
				"J jitter, M its average, X its worst, I interarrival jitter times 16, as mtr prints it (\"" +
				report.DefaultFields + "\")",
			set: setColumns},
		{Short: 'b', Long: "show-ips", Shows: true,
			facts: []fact{{on: func(c *Config) bool { return c.Watch.Both }, needs: []string{"--report"}}},
			Help:  "in --report's table and --format mtr-json: names with addresses",
			set:   do(func(c *Config) { c.Watch.Both = true })},
		{Short: 'c',
			facts: []fact{{on: func(c *Config) bool { return c.Watch.Count > 0 }, needs: []string{"--report", "--live"}}},
			Long:  "count", Arg: "rounds",
			Help: "rounds of --report and --live, 1 or more (10; with --live without end)",
			set:  between("-c, --count", 1, math.MaxInt32, func(c *Config, n int) { c.Watch.Count = n })},
		{Long: "interval",
			facts: []fact{{on: func(c *Config) bool { return c.Watch.Interval > 0 }, needs: []string{"--report", "--live"}}},
			Arg:   "seconds",
			Help:  "time of a round, 0.01 to 3600 seconds (1): each hop is probed at most once per round",
			set: seconds("--interval", trace.LeastInterval, time.Hour,
				func(c *Config, d time.Duration) { c.Watch.Interval = d })},
		{Long: "theme", facts: []fact{{on: func(c *Config) bool { return c.Watch.Theme != "" }, needs: []string{"--live"}}},
			Arg: strings.Join(themes, "|"),
			Help: "colours of --live for a dark or a light background (auto: by COLORFGBG, or by the terminal's answer, if it " +
				"has one)",
			set: func(c *Config, v string) error {
				if !slices.Contains(themes, v) {
					return fmt.Errorf("Argument of --theme must be auto, dark or light: %s", given(v))
				}
				c.Watch.Theme = v
				return nil
			}},
	}
}

var themes = []string{"auto", "dark", "light"}

// seconds takes a decimal number of seconds in a range, fractions allowed.
func seconds(name string, low, high time.Duration, set func(*Config, time.Duration)) func(*Config, string) error {
	return func(c *Config, v string) error {
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

// On reports whether the trace goes on.
func (w *watching) On() bool { return w.report || w.Live }

const defaultRounds = 10

// Defaults fills in what was not given.
func (w *watching) Defaults() {
	if w.Interval == 0 {
		w.Interval = trace.DefaultInterval
	}
	if w.Count == 0 && w.report {
		w.Count = defaultRounds
	}
}

// setColumns takes the letters of columns.
func setColumns(c *Config, v string) error {
	if fields, err := report.FieldsOf(v); err != nil || len(fields) == 0 || strings.TrimSpace(v) == "" {
		letters := ""
		for _, f := range report.RoundsFields() {
			letters += string(f.Letter)
		}
		return fmt.Errorf("Argument of -o, --order must be letters of %s and blanks: %s", letters, given(v))
	}
	c.Watch.Columns = v
	return nil
}
