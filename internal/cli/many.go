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
	"strings"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/targets"
	"go.example/tcptraceroute/trace"
)

// manyOperands reads the arguments beside the lists: targets, and a number that is the port of those that name none.
func (p *program) manyOperands(operands []string) error {
	if n := len(operands); n > 0 && options.Digits(operands[n-1]) {
		p.Service, p.ServiceSet = operands[n-1], true
		operands = operands[:n-1]
	}
	for _, o := range operands {
		if options.Digits(o) {
			return fmt.Errorf("A number among the arguments is the port of all targets that name none, and stands last: %s",
				record.Printable(o))
		}
	}
	p.Many.Hosts = operands
	return nil
}

// manyFiles are the files that are read for many targets.
func (p *program) manyFiles() []string {
	return slices.Concat(p.Many.Lists, p.Many.Excludes, p.Many.Resumes)
}

// listOptions say how lists are read.
func (p *program) listOptions() (o targets.Options, err error) {
	o = targets.Options{Port: p.portNumber, Default: measure.DefaultPort}
	if p.ServiceSet {
		o.Default, err = p.portNumber(p.Service)
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
		return nil, fmt.Errorf("%s %s: %w", option, record.Printable(name), options.Reason(err))
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
	for _, name := range p.Many.Lists {
		f, err := openList("--targets", name)
		if err != nil {
			done()
			return nil, nil, err
		}
		files = append(files, f)
	}
	return func(yield func(targets.Target, error) bool) {
		for _, host := range p.Many.Hosts {
			for t, err := range targets.Words([]string{host}, o) {
				if !yield(t, err) {
					return
				}
			}
		}
		for i, f := range files {
			for t, err := range targets.Read(f, p.Many.Lists[i], o) {
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
	for _, name := range p.Many.Excludes {
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
	for _, name := range p.Many.Resumes {
		f, err := openList("--resume", name)
		if err != nil {
			return nil, err
		}
		err = t.Read(f)
		f.Close() // it is only read
		if err != nil {
			return nil, fmt.Errorf("--resume %s: %w", record.Printable(name), err)
		}
	}
	return t, nil
}

// readOperands reads the arguments.
func (p *program) readOperands(operands []string) error {
	if p.Many.On() {
		return p.manyOperands(operands)
	}
	return p.Operands(operands)
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
	defer runtimedebug.SetGCPercent(runtimedebug.SetGCPercent(options.ManyGarbage))
	p.rescue.Begin()
	out.begin()
	end, err := network.Many(running, m)
	return out.finish(end, err)
}

// newMany is the run that is asked for.
func (p *program) newMany(ctx context.Context) (m *measure.Many, done func(), err error) {
	if p.Many.Rate > options.UserRate && !p.root {
		return nil, nil, fmt.Errorf("Argument of --rate must be between 1 and %d for users who are not root: %d",
			options.UserRate,
			p.Many.Rate)
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
	if p.Path.Queries == 0 {
		p.Path.Queries = options.DefaultManyQueries
	}
	if err := p.Path.Validate(); err != nil {
		return nil, nil, err
	}
	list, done, err := p.lists(o)
	if err != nil {
		return nil, nil, err
	}
	m = &measure.Many{
		Request: p.request(), Targets: list, Exclude: exclude,
		Header:  p.reported(ctx, record.Header{Path: p.Path, Mark: p.Mark}).Header,
		LookUp:  func(ctx context.Context, host string) ([]netip.Addr, error) { return p.manyAddresses(ctx, host) },
		Skip:    func(t targets.Target) bool { return traced.Has(t.Host, t.Port) },
		Service: p.ports.Service, Findings: !p.ForPeople(), Rate: p.Many.Rate, Open: p.Many.Jobs,
		Timeout: cmp.Or(p.Many.Timeout, options.DefaultTargetTimeout), Grace: options.ManyGrace,
	}
	m.Request.Family, m.Request.Observe = p.manyFamily(), p.observe(false)
	if p.Many.Hops || !p.ForPeople() {
		m.Seen = func(_ int, r trace.Result) { p.lookUp(r) }
	}
	return m, done, nil
}

// manySource looks up the source address that the user wants.
func (p *program) manySource(ctx context.Context) error {
	if !p.SourceSet {
		return nil
	}
	from, err := p.lookup(ctx, p.Source, p.Family, "source")
	if err != nil {
		return err
	}
	p.Path.Source = netip.AddrPortFrom(from[0], 0)
	return nil
}

// manyAddresses looks up a target of a list.
func (p *program) manyAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := measure.LookUpTarget(ctx, p.resolve, host, p.manyFamily(), p.Interface)
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
	from := p.Path.Source.Addr()
	switch {
	case p.Family != names.Any || !from.IsValid():
		return p.Family
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
	faster, slower := terminal.User()
	if p.rescue == nil || faster == nil {
		return func() {} // the program is part of another, or the system has no such signals
	}
	rate := m.Rate
	signals, ended := make(chan os.Signal, 4), make(chan struct{})
	signal.Notify(signals, faster, slower)
	go func() {
		defer close(ended)
		for s := range signals {
			if rate *= 2; s == slower {
				rate /= 4
			}
			rate = m.SetRate(min(rate, options.MostRate))
			fmt.Fprintf(p.stderr, "%s packets a second\n", report.Thousands(rate))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}

// errSomeNotReached ends a run some of whose targets gave no answer.
var errSomeNotReached = errors.New("not all targets were reached")
