package options

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
)

// manyConfig is what is asked for of many targets.
type manyConfig struct {
	Lists    []string // files; "-": standard input
	Excludes []string
	Resumes  []string
	Rate     int           // packets a second; 0: not given
	Jobs     int           // targets at a time; 0: not given
	Timeout  time.Duration // of a target; 0: not given
	Hops     bool          // the hops of each target are shown too

	Hosts []string // operands
}

// On reports whether there are lists of targets.
func (m *manyConfig) On() bool { return len(m.Lists) > 0 }

const (
	UserRate             = 200 // the most for users who are not root, whatever they ask for
	MostRate             = 1_000_000
	DefaultTargetTimeout = 30 * time.Second
	DefaultManyQueries   = 2 // 1 misses hops, and shows some at another place; 3 take half as long again

	// MostLive is how many targets --live watches at the most: at a round a second each they use up what a host may send.
	MostLive = 50

	// manyGrace is how long targets may go on after an interrupt.
	ManyGrace = time.Second
)

// ManyGarbage is how much garbage there may be, in percent of what is in use, where so many targets are traced at a
// time: in all about as much as 300 open targets take.
func ManyGarbage(open int) int { return min(max(30_000/max(open, 1), 30), 100) }

// manyOptions are about many targets.
func manyOptions() []Option {
	with := func(on func(*Config) bool) []fact { return []fact{{on: on, needs: []string{"--targets"}}} }
	file := func(name string, list func(*Config) *[]string) func(*Config, string) error {
		return func(c *Config, v string) error {
			if v == "" {
				return fmt.Errorf("Argument of %s must be the name of a file", name)
			}
			if m := &c.Many; v == "-" && slices.Contains(slices.Concat(m.Lists, m.Excludes, m.Resumes), v) {
				return fmt.Errorf("%s -: standard input can be only one of the files", name)
			}
			*list(c) = append(*list(c), v)
			return nil
		}
	}
	return []Option{
		{Long: "targets", typed: true, Arg: "file",
			facts: []fact{{on: func(c *Config) bool { return c.Many.On() }, raw: true, not: []conflict{
				{"--mtu, --paths", "{} can't be used with --targets: it asks one target further questions"},
				{"--in-session", "--in-session can't be used with --targets: its probes go inside a connection to one target"},
				{"--diff, --baseline, --save, --expect", "{} can't be used with --targets: it is about one trace"},
				{"-p, -P", "{} is the source port, which the kernel chooses with --targets; the targets' port is the last " +
					"argument: --targets FILE 443"},
				{"--track-port",
					"{} can't be used with --targets: all its targets share a few ports that the kernel chooses"},
				{oneTarget, "{} can't be used with --targets, whose formats are text, json, jsonl, csv and scamper"},
			}}, {words: "-", on: func(c *Config) bool { return slices.Contains(c.Many.Lists, "-") },
				not: []conflict{{"--live", "--targets - can't be used with {}, whose keys come from standard input"}}}},
			Help: "trace all targets of this list, some at a time: a line each with HOST, HOST PORT, HOST:PORT, " +
				"[IPV6]:PORT, a network (10.0.0.0/28) or a range (10.0.0.1-10.0.0.9); # begins a comment; -: standard " +
				"input; may be given more than once. Arguments are targets too, and a number is the port of those that " +
				"name none",
			set: file("--targets", func(c *Config) *[]string { return &c.Many.Lists })},
		{Long: "exclude", typed: true, Arg: "file", facts: with(func(c *Config) bool { return len(c.Many.Excludes) > 0 }),
			Help: "send nothing to what this list names, in the same form: networks of any size, names with all their " +
				"addresses; may be given more than once",
			set: file("--exclude", func(c *Config) *[]string { return &c.Many.Excludes })},
		{Long: "rate", typed: true, Arg: "packets", facts: with(func(c *Config) bool { return c.Many.Rate != 0 }),
			Help: fmt.Sprintf("packets a second, over all targets (%d; %d, and no more, for users who are not root); "+
				"SIGUSR1 doubles it while it runs, SIGUSR2 halves it", measure.DefaultRate, UserRate),
			set: setRate},
		{Long: "jobs", typed: true, Arg: "targets", facts: []fact{{
			on: func(c *Config) bool { return c.Many.Jobs != 0 }, needs: []string{"--targets"},
			not: []conflict{{"--live", "--jobs can't be used with {}, which watches all targets at the same time"}}}},
			Help: "targets that are traced at the same time (a tenth of --rate, from 16 to 300; with --report 1: " +
				"more may use up what near routers answer, which looks like loss)",
			set: between("--jobs", 1, 100_000, func(c *Config, n int) { c.Many.Jobs = n })},
		{Long: "target-timeout", typed: true, Arg: "seconds",
			facts: []fact{{on: func(c *Config) bool { return c.Many.Timeout != 0 }, needs: []string{"--targets"},
				not: []conflict{{"--live", "--target-timeout can't be used with {}, which goes on until its user ends it"}}}},
			Help: fmt.Sprintf("a target that takes longer ends with what is known, 1 to 3600 seconds (%v; with --report "+
				"the rounds are added)",
				DefaultTargetTimeout.Seconds()),
			set: seconds("--target-timeout", time.Second, time.Hour, func(c *Config, d time.Duration) { c.Many.Timeout = d })},
		{Long: "hops", typed: true, facts: []fact{{on: func(c *Config) bool { return c.Many.Hops },
			needs: []string{"--targets"},
			not: []conflict{{"--format", "--hops is about text: {} has the hops anyway"},
				{"--report, --live", "--hops can't be used with {}: its table has the hops anyway"}}}},
			Help: "with --targets: the hops of each target below its line",
			set:  do(func(c *Config) { c.Many.Hops = true })},
		{Long: "resume", typed: true, Arg: "file", facts: with(func(c *Config) bool { return len(c.Many.Resumes) > 0 }),
			Help: "leave out the targets that stand in this output of an earlier --targets with --json; may be given more " +
				"than once",
			set: file("--resume", func(c *Config) *[]string { return &c.Many.Resumes })},
	}
}

// oneTarget is the fact that the format is about one target.
const (
	oneTarget      = "--format " + oneTargetWords
	oneTargetWords = "for one target"
)

// manyOperands reads the arguments beside the lists: targets, and a number that is the port of those that name none.
func (c *Config) manyOperands(operands []string) error {
	if n := len(operands); n > 0 && Digits(operands[n-1]) {
		c.Service, c.ServiceSet = operands[n-1], true
		operands = operands[:n-1]
	}
	for _, o := range operands {
		if Digits(o) {
			return fmt.Errorf("A number among the arguments is the port of all targets that name none, and stands last: %s",
				quoted(o))
		}
	}
	c.Many.Hosts = operands
	return nil
}

// setRate takes the packets a second.
func setRate(c *Config, v string) error {
	n, err := strconv.Atoi(v)
	if Digits(v) && err == nil && n > UserRate && !c.Root {
		return fmt.Errorf("Argument of --rate must be between 1 and %d for users who are not root: %d", UserRate, n)
	}
	return between("--rate", 1, MostRate, func(c *Config, n int) { c.Many.Rate = n })(c, v)
}

// RequestMany is what is asked for of lists of targets. Who runs it fills in what is read of files, and who is told.
func (c *Config) RequestMany() *measure.Many {
	if c.Path.Queries == 0 && !c.Watch.On() {
		c.Path.Queries = DefaultManyQueries
	}
	m := &measure.Many{Request: c.Request(nil), Explain: c.Explain, Findings: !c.ForPeople() && c.HoldsFindings(),
		Rate: c.Many.Rate, Open: c.Many.Jobs, Timeout: cmp.Or(c.Many.Timeout, DefaultTargetTimeout), Grace: ManyGrace}
	m.Request.Explain = false // each trace is an ordinary one first
	if m.Request.Family = c.Family; c.Family == names.Any && c.Path.Source.Addr().IsValid() {
		m.Request.Family = names.FamilyOf(c.Path.Source.Addr())
	}
	if r := m.Request.Rounds; r != nil && c.Many.Timeout == 0 {
		m.Timeout += time.Duration(r.Count) * r.Interval
	}
	return m
}
