package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	runtimedebug "runtime/debug"
	"time"

	"go.example/tcptraceroute/internal/options"
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

// listOptions say how lists are read.
func (p *program) listOptions() (o targets.Options, err error) {
	o = targets.Options{Port: p.portNumber, Default: measure.DefaultPort}
	if p.ServiceSet {
		o.Default, err = p.portNumber(p.Service)
	}
	return o, err
}

// listError says which option's list is no good.
func listError(option string, err error) error {
	if of, ok := err.(*fs.PathError); ok { // the file itself, not what it holds
		return fmt.Errorf("%s %s: %w", option, record.Printable(of.Path), of.Err)
	}
	return fmt.Errorf("%s: %w", option, err)
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
	m.Done, m.Bad, m.Explaining = out.target, out.bad, out.explaining
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
	if p.Many.Rate > options.UserRate && !p.Root {
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
	lists := measure.Lists{Hosts: p.Many.Hosts, Files: p.Many.Lists, Options: o}
	exclude, err := lists.Exclude(p.Many.Excludes, func(host string) ([]netip.Addr, error) {
		return p.allAddresses(ctx, host)
	})
	if err != nil {
		return nil, nil, listError("--exclude", err)
	}
	traced, err := measure.TracedBefore(p.Many.Resumes)
	if err != nil {
		return nil, nil, listError("--resume", err)
	}
	if p.Path.Queries == 0 && !p.Watch.On() {
		p.Path.Queries = options.DefaultManyQueries
	}
	if err := p.Path.Validate(); err != nil {
		return nil, nil, err
	}
	list, done, err := lists.Open()
	if err != nil {
		return nil, nil, listError("--targets", err)
	}
	m = &measure.Many{
		Request: p.request(), Targets: list, Exclude: exclude,
		Header:  p.reported(ctx, &record.Trace{Header: record.Header{Path: p.Path, Mark: p.Mark}}).Header,
		LookUp:  func(ctx context.Context, host string) ([]netip.Addr, error) { return p.manyAddresses(ctx, host) },
		Skip:    func(t targets.Target) bool { return traced.Has(t.Host, t.Port) },
		Service: p.ports.Service, Findings: !p.ForPeople(), Rate: p.Many.Rate, Open: p.Many.Jobs,
		Timeout: cmp.Or(p.Many.Timeout, options.DefaultTargetTimeout), Grace: options.ManyGrace,
	}
	m.Explain, m.Request.Explain = p.Explain, false // each trace is an ordinary one first
	m.Request.Family, m.Request.Observe = p.manyFamily(), p.observe(false)
	if r := m.Request.Rounds; r != nil && p.Many.Timeout == 0 {
		m.Timeout += time.Duration(r.Count) * r.Interval
	}
	if p.showsResponders() {
		m.Seen = func(_ int, r trace.Result) { p.lookUp(r) }
	}
	return m, done, nil
}

// showsResponders reports whether those who answer for the targets of lists are shown, by their names.
func (p *program) showsResponders() bool { return p.Many.Hops || p.Watch.On() || !p.ForPeople() }

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
	if why := names.Why(host, p.manyFamily(), err); why != "" {
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
	set := func(rate int) {
		fmt.Fprintf(p.stderr, "%s packets a second\n", report.Thousands(m.SetRate(min(rate, options.MostRate))))
	}
	return p.rescue.OnUser(func() { set(2 * m.Status().Rate) }, func() { set(m.Status().Rate / 2) })
}

// errSomeNotReached ends a run some of whose targets gave no answer.
var errSomeNotReached = errors.New("not all targets were reached")
