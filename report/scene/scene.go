// Package scene plays traces through simulated networks, in virtual time, for the tests of the reports: equal scenes
// give equal results, down to the times. It also holds the hostile strings that no report may be fooled by.
package scene

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// Scene is a trace to be made.
type Scene struct {
	Network string            // in the text form of package sim; the trace goes to its first target
	Path    trace.PathOptions // without target and source
	Options trace.Options
	Host    string                          // as typed; "": the target's address
	Names   map[string]string               // of addresses
	Owners  map[string]record.Owner         // of addresses
	Edit    func(*report.Run)               // changes what a report is told, at its begin and its end
	Stop    time.Duration                   // interrupted after so long; 0: never
	Results func([]trace.Result)            // sees what a report saw, before it is finished
	Change  func(trace.Result) trace.Result // changes it before that
}

// ErrStopped is how a stopped trace ended.
var ErrStopped = errors.New("interrupted")

// Play makes the trace and feeds it to a report.
func (s Scene) Play(t *testing.T, make func(run *report.Run, t *trace.Trace) report.Writer) {
	t.Helper()
	scenario, err := sim.Parse(s.Network)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { s.play(t, scenario, make) })
}

func (s Scene) play(t *testing.T, scenario sim.Scenario, make func(run *report.Run, t *trace.Trace) report.Writer) {
	m, err := sim.New(scenario)
	if err != nil {
		t.Fatal(err)
	}
	conn := sim.NewConn(m)
	defer conn.Close()
	p := s.Path
	p.Target = netip.AddrPortFrom(scenario.Paths[0].Target.Addr, 443)
	p.Source = netip.MustParseAddrPort("192.0.2.7:41234")
	if p.Target.Addr().Is6() {
		p.Source = netip.MustParseAddrPort("[2001:db8::7]:41234")
	}
	p.Rand = rand.New(rand.NewPCG(scenario.Seed, 7))
	plan, err := trace.NewPath(p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	if s.Stop > 0 {
		timer := time.AfterFunc(s.Stop, func() { cancel(ErrStopped) })
		defer timer.Stop()
	}
	folded := trace.NewTrace(p)
	var counts trace.Counts
	run := &report.Run{
		Trace: &record.Trace{Header: record.Header{Version: "1.0", Started: time.Now(), Host: s.Host, Service: "https",
			Hostname: "here", Interface: "eth0", Path: p, Length: plan.Length(p.Length)}},
		Name:  func(a netip.Addr) string { return s.Names[a.String()] },
		Owner: func(a netip.Addr) (record.Owner, bool) { o, ok := s.Owners[a.String()]; return o, ok },
	}
	if run.Host == "" {
		run.Host = p.Target.Addr().String()
	}
	edit := s.Edit
	if edit == nil {
		edit = func(*report.Run) {}
	}
	edit(run)
	w := make(run, folded)
	var seen []trace.Result
	counts, err = trace.Run(ctx, conn, plan, s.Options, func(r trace.Result) {
		if s.Change != nil {
			r = s.Change(r)
		}
		seen = append(seen, r)
		if err := w.Add(r); err != nil {
			t.Error(err)
		}
	})
	if s.Results != nil {
		s.Results(seen)
	}
	run.Findings = append([]detect.Finding{},
		detect.Findings(detect.Evidence{View: detect.View{Trace: folded, Options: p, Counts: counts}})...)
	run.Ending = record.Ending{Time: time.Now(), Reason: record.Complete, Counts: counts}
	switch {
	case err != nil:
		run.Ending.Reason, run.Ending.Err = record.Interrupted, err
		run.Ending.ExitCode, run.Ending.Signal = 130, "SIGINT"
	case !folded.Reached():
		run.Ending.ExitCode = 1
	}
	edit(run)
	if err := w.Finish(); err != nil {
		t.Error(err)
	}
}

// Connections makes the scene one without privileges: what the kernel doesn't tell is not in the results.
func (s Scene) Connections() Scene {
	s.Edit = func(r *report.Run) { r.Connections, r.Length = true, 0 }
	s.Change = func(r trace.Result) trace.Result {
		if r.Reply != nil {
			r.Reply.Quote, r.Evidence = packet.Quote{}, trace.ByKernel
		}
		return r
	}
	return s
}
