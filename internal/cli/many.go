package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	runtimedebug "runtime/debug"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/targets"
	"go.example/tcptraceroute/trace"
)

// listOptions say how lists are read.
func (p *program) listOptions() (o targets.Options, err error) {
	o = targets.Options{Port: p.portNumber, Default: measure.DefaultPort}
	if p.ServiceSet {
		o.Default, err = p.portNumber(p.Service)
	}
	return o, err
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
	if p.Watch.Live {
		return p.watchMany(ctx, network, m)
	}
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
	defer runtimedebug.SetGCPercent(runtimedebug.SetGCPercent(options.ManyGarbage(m.Open)))
	p.rescue.Begin()
	out.begin()
	end, err := network.Many(running, m)
	return out.finish(end, err)
}

// newMany is the run that is asked for.
func (p *program) newMany(ctx context.Context) (m *measure.Many, done func(), err error) {
	o, err := p.listOptions()
	if err != nil {
		return nil, nil, err
	}
	if err := p.sourceAddress(ctx, p.Family); err != nil {
		return nil, nil, err
	}
	lists := measure.Lists{Hosts: p.Many.Hosts, Files: p.Many.Lists, Options: o}
	exclude, err := lists.Exclude(p.Many.Excludes, func(host string) ([]netip.Addr, error) {
		return measure.LookUpBoth(ctx, p.resolve, host)
	})
	if err != nil {
		return nil, nil, words.List("--exclude", err)
	}
	traced, err := measure.TracedBefore(p.Many.Resumes)
	if err != nil {
		return nil, nil, words.List("--resume", err)
	}
	m = p.RequestMany()
	if err := p.Path.Validate(); err != nil {
		return nil, nil, err
	}
	list, done, err := lists.Open()
	if err != nil {
		return nil, nil, words.List("--targets", err)
	}
	m.Targets, m.Exclude, m.Service = list, exclude, p.ports.Service
	m.Skip = func(t targets.Target) bool { return traced.Has(t.Host, t.Port) }
	m.LookUp = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return measure.LookUpListed(ctx, p.resolve, host, m.Request.Family, p.Interface)
	}
	m.Header = p.reported(ctx, &record.Trace{Header: record.Header{Path: p.Path, Mark: p.Mark}}).Header
	m.Request.Progress, m.Request.Observe = p.preparing, p.observe(false)
	if p.showsResponders() {
		m.Seen = func(_ int, r trace.Result) { p.lookUp(r) }
	}
	return m, done, nil
}

// showsResponders reports whether those who answer for the targets of lists are shown, by their names.
func (p *program) showsResponders() bool { return p.Many.Hops || p.Watch.On() || !p.ForPeople() }

// changeRate doubles the rate when SIGUSR1 comes, and halves it when SIGUSR2 comes. It returns what ends that.
func (p *program) changeRate(m *measure.Many) (end func()) {
	set := func(rate int) {
		fmt.Fprintf(p.stderr, "%s a second\n", report.Plural(m.SetRate(min(rate, options.MostRate)), "packet"))
	}
	return p.rescue.OnUser(func() { set(2 * m.Status().Rate) }, func() { set(m.Status().Rate / 2) })
}

// errSomeNotReached ends a run some of whose targets gave no answer.
var errSomeNotReached = errors.New("not all targets were reached")
