package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.example/tcptraceroute/internal/terminal"
	"go.example/tcptraceroute/internal/version"
	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// announce says what is traced.
func (p *program) announce(m *measure.Measurement) {
	p.aside(words.Others(&p.Config))
	text := "Tracing the path to " + words.Target(&p.Config, " on TCP port ", p.ports.Service(p.Path.Target.Port()))
	text += fmt.Sprintf(", %d hops max", p.Path.Effective().MaxTTL)
	if m.Header.Length > m.LeastSize {
		text += fmt.Sprintf(", %d byte packets", m.Header.Length)
	}
	p.aside(text)
}

// carryOut carries the measurement out and prints it.
func (p *program) carryOut(ctx context.Context, m *measure.Measurement) error {
	p.announce(m)
	if p.AllPaths.PortFor != "" {
		p.AllPaths.Port, p.stdout = p.stdout, io.Discard
	}
	p.rescue.Begin()
	m.Observe = p.observe(m.Header.Connections)
	switch {
	case p.Watch.Live && p.AllPaths.Paths:
		return p.livePaths(ctx, m)
	case p.Watch.On() && !p.AllPaths.Paths:
		return p.watched(ctx, m)
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s := &showing{program: p, ctx: ctx, m: m, broken: func(err error) { stop(fmt.Errorf("writing: %w", err)) }}
	m.Heard, m.Seen, m.Progress = s.heard, s.seen, s.progress
	made, err := m.Trace(running)
	if made == nil {
		return p.worded(err)
	}
	return s.finish(err)
}

// observe is what is done with each packet; nil: nothing.
func (p *program) observe(connections bool) func(trace.Event) {
	var show func(trace.Event)
	if p.Debug {
		show = report.Debug(p.stderr, connections)
		if !p.Root {
			show = report.OnlyOurs(show)
		}
	}
	return p.capture.packets.Observing(show)
}

// showing is a trace that is shown while it is made.
type showing struct {
	*program
	ctx    context.Context // names are looked up until it ends
	m      *measure.Measurement
	broken func(error) // ends the measurement: nobody reads it any more

	made    *record.Trace // without names; what is not yet known is missing
	run     *report.Run
	folded  *trace.Trace // the report's
	out     *report.Feed[trace.Result]
	awaited *report.Awaited
	status  *terminal.Status // of the trace; nil: none is shown
	asking  *terminal.Status // of what is asked beside it and after it
	unsent  report.Unsent

	keepsSearch bool           // the results are those of the search for all paths, and the format shows them
	searched    []trace.Result // those
}

// progress shows what the measurement does.
func (s *showing) progress(x measure.Progress) {
	s.keepsSearch = x.Stage == measure.SearchingPaths && s.HoldsSearch() ||
		x.Stage == measure.MeasuringPaths && s.keepsSearch
	if x.Stage == measure.SessionLost && !x.ForMTU {
		s.status.Stop()
		s.status = nil
	}
	s.aside(words.Progress(x, s.m.Header.Path))
	var err error
	switch x.Stage {
	case measure.InSession:
		s.await()
	case measure.Tracing:
		s.status.Stop()
		s.begin(x.Trace)
	case measure.Traced:
		if s.ForPeople() { // they can read the hops meanwhile; programs get the findings with the trace
			err = s.end()
		}
	case measure.FoundMTU:
		if s.ForPeople() {
			_, err = fmt.Fprintln(s.stdout, report.MTU(s.made.MTU))
		}
	case measure.FoundPaths:
		if s.ForPeople() && s.made.Graph != nil {
			err = s.sayPaths(s.made, s.run.Name)
		}
	case measure.Awaiting, measure.AwaitingAgain, measure.Asking:
		s.asking = s.showStatus(func(time.Duration) string { return words.Awaited(x.Stage, s.m.Asked()) })
	case measure.Lacking:
		s.aside(x.Unknown...)
	case measure.Failed: // the trace stands without
		s.aside("Asking further: " + record.Printable(s.worded(x.Err).Error()))
	case measure.Done:
		s.asking.Stop()
	}
	if err != nil {
		s.broken(err)
	}
}

// await begins to show what is awaited.
func (s *showing) await() {
	s.awaited = report.NewAwaited(s.Path)
	s.status = s.showStatus(s.awaited.Say)
}

// begin begins the report.
func (s *showing) begin(made *record.Trace) {
	s.made, s.Path = made, made.Path
	s.await()
	s.folded = trace.NewTrace(s.Path)
	s.run = s.reported(s.ctx, made)
	s.out = report.StartPrinter(s.formatted(s.run, s.folded), s.broken)
}

// heard takes in a result at once.
func (s *showing) heard(r trace.Result) {
	s.lookUp(r)
	if s.status != nil {
		s.awaited.Add(r)
	}
	if s.keepsSearch {
		s.searched = append(s.searched, r)
	}
}

// seen takes in a result that belongs to the trace.
func (s *showing) seen(r trace.Result) {
	s.unsent.Add(r)
	s.out.Add(r)
}

// end ends the report, and says what was not as it should be. Its error is that of writing the report.
func (s *showing) end() error {
	err := s.out.Close()
	s.status.Stop()
	if s.Explain && !s.HoldsFindings() { // stderr that is gone is no reason to fail
		report.Explanation(s.stderr, s.made.Explanation.Host, s.made.Findings)
	}
	s.aside(words.AtEnd(&s.unsent, s.made.Ending.Counts, s.m, s.folded)...)
	s.sayECN(s.folded)
	return err
}

// finish ends a measurement that ended with err.
func (s *showing) finish(err error) error {
	s.made.Ending, s.run.Searched = ended(s.made.Ending), s.searched
	if !s.ForPeople() {
		if werr := s.end(); err == nil && werr != nil {
			err = fmt.Errorf("writing: %w", werr)
		}
	} else if s.Explain {
		if werr := report.Explanation(s.stdout, s.made.Explanation.Host, s.made.Findings); err == nil {
			err = werr
		}
	}
	counts := s.made.Ending.Counts
	ended := err == nil || errors.As(err, new(*terminal.Interrupted))
	s.unreached = ended && !s.Connection.On() && !counts.NothingSent() && !s.folded.TargetAnswered()
	switch {
	case err != nil:
	case s.AllPaths.PortFor != "":
		err = s.printPort()
	case s.Connection.On():
		s.aside(words.ConnectionEnd(s.m))
	case !s.folded.Reached():
		err = errNotReached
	default:
		s.aside(words.Unplaced(s.folded))
	}
	if !s.wantsRecord() {
		return err
	}
	made := s.run.Record(s.made.Results)
	if s.keep != nil {
		s.keep(made)
	}
	return s.conclude(made, err)
}

// reported describes a measurement to reports, as far as it is known before its end. It looks names up until ctx ends.
func (p *program) reported(ctx context.Context, made *record.Trace) *report.Run {
	h := &made.Header
	h.Version, h.Service = version.Get(), p.ports.Service(h.Path.Target.Port())
	h.Hostname, _ = os.Hostname() // "": not known
	h.Numeric, h.OwnersAsked = p.Names == names.Never, p.Show.Owners
	name := func(a netip.Addr) string { return p.resolve.Name(ctx, a) }
	return &report.Run{Trace: made, Name: name, Owner: p.owner(ctx)}
}

// ended adds the signal and its exit code to how a measurement ended.
func ended(e record.Ending) record.Ending {
	if interrupted, ok := errors.AsType[*terminal.Interrupted](e.Err); ok {
		e.Signal, e.ExitCode = interrupted.Name(), interrupted.ExitCode()
	}
	return e
}
