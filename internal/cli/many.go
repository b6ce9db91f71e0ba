package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"os/signal"
	runtimedebug "runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/targets"
	"go.example/tcptraceroute/trace"
)

// manyConfig is what is asked for of many targets.
type manyConfig struct {
	lists    []string // files; "-": standard input
	excludes []string
	resumes  []string
	rate     int           // packets a second; 0: not given
	jobs     int           // targets at a time; 0: not given
	timeout  time.Duration // of a target; 0: not given
	hops     bool          // the hops of each target are shown too

	hosts []string // operands
}

// on reports whether there are lists of targets.
func (m *manyConfig) on() bool { return len(m.lists) > 0 }

const (
	userRate             = 200 // the most for users who are not root, whatever they ask for
	mostRate             = 1_000_000
	defaultTargetTimeout = 30 * time.Second
	defaultManyQueries   = 2 // 1 misses hops, and shows some at another place; 3 take half as long again

	// manyGarbage is how much garbage there may be, in percent of what is in use: traces come and go by the hundred.
	manyGarbage = 50

	// manyGrace is how long targets may go on after an interrupt.
	manyGrace = time.Second
)

// manyOptions are about many targets.
func manyOptions() []option {
	with := func(on func(*config) bool) []fact { return []fact{{on: on, needs: []string{"--targets"}}} }
	file := func(name string, list func(*config) *[]string) func(*config, string) error {
		return func(c *config, v string) error {
			if v == "" {
				return fmt.Errorf("Argument of %s must be the name of a file", name)
			}
			*list(c) = append(*list(c), v)
			return nil
		}
	}
	return []option{
		{long: "targets", typed: true, arg: "file",
			facts: []fact{{on: func(c *config) bool { return c.many.on() }, raw: true, not: []conflict{
				{"--report, --live", "{} can't be used with --targets: it watches one target"},
				{"--explain, --mtu, --paths, --in-session",
					"{} can't be used with --targets: it asks one target further questions"},
				{"--diff, --baseline, --save, --expect", "{} can't be used with --targets: it is about one trace"},
				{"-p, -P, --track-port",
					"{} can't be used with --targets: all its targets share a few ports that the kernel chooses"},
				{oneTarget, "{} can't be used with --targets, whose formats are text, json, jsonl, csv and scamper"},
			}}},
			help: "trace all targets of this list, some at a time: a line each with HOST, HOST PORT, HOST:PORT, " +
				"[IPV6]:PORT, a network (10.0.0.0/28) or a range (10.0.0.1-10.0.0.9); # begins a comment; -: standard " +
				"input; may be given more than once. Arguments are targets too, and a number is the port of those that " +
				"name none",
			set: file("--targets", func(c *config) *[]string { return &c.many.lists })},
		{long: "exclude", typed: true, arg: "file", facts: with(func(c *config) bool { return len(c.many.excludes) > 0 }),
			help: "send nothing to what this list names, in the same form: networks of any size, names with all their " +
				"addresses; may be given more than once",
			set: file("--exclude", func(c *config) *[]string { return &c.many.excludes })},
		{long: "rate", typed: true, arg: "packets", facts: with(func(c *config) bool { return c.many.rate != 0 }),
			help: fmt.Sprintf("packets a second, over all targets (%d; %d, and no more, for users who are not root); "+
				"SIGUSR1 doubles it while it runs, SIGUSR2 halves it", measure.DefaultRate, userRate),
			set: between("--rate", 1, mostRate, func(c *config, n int) { c.many.rate = n })},
		{long: "jobs", typed: true, arg: "targets", facts: with(func(c *config) bool { return c.many.jobs != 0 }),
			help: "targets that are traced at the same time (a tenth of --rate, from 16 to 1000)",
			set:  between("--jobs", 1, 100_000, func(c *config, n int) { c.many.jobs = n })},
		{long: "target-timeout", typed: true, arg: "seconds",
			facts: with(func(c *config) bool { return c.many.timeout != 0 }),
			help: fmt.Sprintf("a target that takes longer ends with what is known, 1 to 3600 seconds (%v)",
				defaultTargetTimeout.Seconds()),
			set: seconds("--target-timeout", time.Second, time.Hour, func(c *config, d time.Duration) { c.many.timeout = d })},
		{long: "hops", typed: true, facts: []fact{{on: func(c *config) bool { return c.many.hops },
			needs: []string{"--targets"},
			not:   []conflict{{"--format", "--hops is about text: {} has the hops anyway"}}}},
			help: "with --targets: the hops of each target below its line",
			set:  do(func(c *config) { c.many.hops = true })},
		{long: "resume", typed: true, arg: "file", facts: with(func(c *config) bool { return len(c.many.resumes) > 0 }),
			help: "leave out the targets that stand in this output of an earlier --targets with --json; may be given more " +
				"than once",
			set: file("--resume", func(c *config) *[]string { return &c.many.resumes })},
	}
}

// oneTarget is the fact that the format is about one target.
const (
	oneTarget      = "--format " + oneTargetWords
	oneTargetWords = "for one target"
)

// manyOperands reads the arguments beside the lists: targets, and a number that is the port of those that name none.
func (p *program) manyOperands(operands []string) error {
	if n := len(operands); n > 0 && digits(operands[n-1]) {
		p.service, p.serviceSet = operands[n-1], true
		operands = operands[:n-1]
	}
	for _, o := range operands {
		if digits(o) {
			return fmt.Errorf("A number among the arguments is the port of all targets that name none, and stands last: %s",
				quoted(o))
		}
	}
	p.many.hosts = operands
	return nil
}

// manyFiles are the files that are read for many targets.
func (p *program) manyFiles() []string {
	return slices.Concat(p.many.lists, p.many.excludes, p.many.resumes)
}

// listOptions say how lists are read.
func (p *program) listOptions() (o targets.Options, err error) {
	o = targets.Options{Port: p.portNumber, Default: measure.DefaultPort}
	if p.serviceSet {
		o.Default, err = p.portNumber(p.service)
	}
	return o, err
}

// openList opens a list.
func openList(option, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", option, quoted(name), reason(err))
	}
	return f, nil
}

// lists opens all lists, and returns their targets: those of the arguments first.
func (p *program) lists(o targets.Options) (all iter.Seq2[targets.Target, error], done func(), err error) {
	var files []io.ReadCloser
	done = func() {
		for _, f := range files {
			f.Close() // they are only read
		}
	}
	for _, name := range p.many.lists {
		f, err := openList("--targets", name)
		if err != nil {
			done()
			return nil, nil, err
		}
		files = append(files, f)
	}
	return func(yield func(targets.Target, error) bool) {
		for _, host := range p.many.hosts {
			for t, err := range targets.Words([]string{host}, o) {
				if !yield(t, err) {
					return
				}
			}
		}
		for i, f := range files {
			for t, err := range targets.Read(f, p.many.lists[i], o) {
				if !yield(t, err) {
					return
				}
			}
		}
	}, done, nil
}

// excluded reads what must not be probed.
func (p *program) excluded(ctx context.Context, o targets.Options) (*targets.Set, error) {
	var s targets.Set
	for _, name := range p.many.excludes {
		f, err := openList("--exclude", name)
		if err != nil {
			return nil, err
		}
		err = s.Exclude(f, name, o, func(host string) ([]netip.Addr, error) {
			return p.allAddresses(ctx, host)
		})
		f.Close() // it is only read
		if err != nil {
			return nil, fmt.Errorf("--exclude: %w", err)
		}
	}
	return &s, nil
}

// resumed reads which targets were traced before.
func (p *program) resumed() (*record.Traced, error) {
	t := new(record.Traced)
	for _, name := range p.many.resumes {
		f, err := openList("--resume", name)
		if err != nil {
			return nil, err
		}
		err = t.Read(f)
		f.Close() // it is only read
		if err != nil {
			return nil, fmt.Errorf("--resume %s: %w", quoted(name), err)
		}
	}
	return t, nil
}

// readOperands reads the arguments.
func (p *program) readOperands(operands []string) error {
	if p.many.on() {
		return p.manyOperands(operands)
	}
	return p.operands(operands)
}

// traceLists traces all targets of the lists, if the network could be opened, and keeps the packets.
func (p *program) traceLists(ctx context.Context, network *measure.Tracer, openErr error) error {
	if openErr != nil {
		return openErr
	}
	return p.captured("the targets of lists", "", func() error { return p.traceMany(ctx, network) })
}

// traceMany traces all targets of the lists.
func (p *program) traceMany(ctx context.Context, network *measure.Tracer) error {
	m, done, err := p.newMany(ctx)
	if err != nil {
		return err
	}
	defer done()
	network.Ready(m)
	out, err := p.newManyOutput(m)
	if err != nil {
		return err
	}
	m.Done, m.Bad = out.target, out.bad
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out.broken = func(err error) { stop(fmt.Errorf("writing: %w", err)) }
	defer p.changeRate(m)()
	defer runtimedebug.SetGCPercent(runtimedebug.SetGCPercent(manyGarbage))
	p.rescue.Begin()
	out.begin()
	counts, err := network.Many(running, m)
	return out.finish(counts, err)
}

// newMany is the run that is asked for.
func (p *program) newMany(ctx context.Context) (m *measure.Many, done func(), err error) {
	if p.many.rate > userRate && !p.root {
		return nil, nil, fmt.Errorf("Argument of --rate must be between 1 and %d for users who are not root: %d", userRate,
			p.many.rate)
	}
	o, err := p.listOptions()
	if err != nil {
		return nil, nil, err
	}
	if err := p.manySource(ctx); err != nil {
		return nil, nil, err
	}
	exclude, err := p.excluded(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	traced, err := p.resumed()
	if err != nil {
		return nil, nil, err
	}
	if p.path.Queries == 0 {
		p.path.Queries = defaultManyQueries
	}
	if err := p.path.Validate(); err != nil {
		return nil, nil, err
	}
	list, done, err := p.lists(o)
	if err != nil {
		return nil, nil, err
	}
	m = &measure.Many{
		Request: p.request(), Targets: list, Header: p.header(), Exclude: exclude,
		LookUp:  func(ctx context.Context, host string) ([]netip.Addr, error) { return p.manyAddresses(ctx, host) },
		Skip:    func(t targets.Target) bool { return traced.Has(t.Host, t.Port) },
		Service: p.ports.Service, Findings: !p.forPeople(), Rate: p.many.rate, Open: p.many.jobs,
		Timeout: cmp.Or(p.many.timeout, defaultTargetTimeout), Grace: manyGrace,
	}
	m.Request.Family, m.Request.Observe = p.manyFamily(), p.observe(false)
	if p.many.hops || !p.forPeople() {
		m.Seen = func(_ int, r trace.Result) { p.lookUp(r) }
	}
	return m, done, nil
}

// header is what is known of every trace.
func (p *program) header() record.Header {
	hostname, _ := os.Hostname() // "": not known
	return record.Header{Version: version(), Hostname: hostname, Path: p.path, Mark: p.mark,
		Numeric: p.names == names.Never, OwnersAsked: p.show.owners}
}

// manySource looks up the source address that the user wants.
func (p *program) manySource(ctx context.Context) error {
	if !p.sourceSet {
		return nil
	}
	from, err := p.lookup(ctx, p.source, p.family, "source")
	if err != nil {
		return err
	}
	p.path.Source = netip.AddrPortFrom(from[0], 0)
	return nil
}

// manyAddresses looks up a target of a list.
func (p *program) manyAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := measure.LookUpTarget(ctx, p.resolve, host, p.manyFamily(), p.iface)
	if err == nil {
		return addrs, nil
	}
	if why := strings.Trim(whyBad(host, p.manyFamily(), err), " ()"); why != "" {
		return nil, errors.New(why)
	}
	return nil, err
}

// manyFamily is the IP version of all targets, if only one is wanted.
func (p *program) manyFamily() names.Family {
	from := p.path.Source.Addr()
	switch {
	case p.family != names.Any || !from.IsValid():
		return p.family
	case from.Is4():
		return names.IPv4
	}
	return names.IPv6
}

// allAddresses looks up a host in both families.
func (p *program) allAddresses(ctx context.Context, host string) (all []netip.Addr, err error) {
	for _, f := range []names.Family{names.IPv4, names.IPv6} {
		addrs, err := p.resolve.Host(ctx, host, f)
		if err != nil && !errors.Is(err, names.ErrNoAddress) && !errors.Is(err, names.ErrFamily) {
			return nil, err
		}
		all = append(all, addrs...)
	}
	if len(all) == 0 {
		return nil, names.ErrNoAddress
	}
	return all, nil
}

// changeRate doubles the rate when SIGUSR1 comes, and halves it when SIGUSR2 comes. It returns what ends that.
func (p *program) changeRate(m *measure.Many) (end func()) {
	if p.rescue == nil {
		return func() {} // the program is part of another
	}
	rate := m.Rate
	signals, ended := make(chan os.Signal, 4), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		defer close(ended)
		for s := range signals {
			if rate *= 2; s == syscall.SIGUSR2 {
				rate /= 4
			}
			rate = m.SetRate(min(rate, mostRate))
			fmt.Fprintf(p.stderr, "%s packets a second\n", thousands(rate))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}

// thousands is a number that people read.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// errSomeNotReached ends a run some of whose targets gave no answer.
var errSomeNotReached = errors.New("not all targets were reached")
