package measure

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Trace makes a request ready and carries it out, see [Tracer.Prepare] and [Measurement.Trace].
func (t *Tracer) Trace(ctx context.Context, r Request) (*record.Trace, error) {
	m, err := t.Prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return m.Trace(ctx)
}

// Trace finds the path to the target and all else that was asked for, and says what the answers mean. If ctx ends, it
// returns what is known by then, with ctx's cause as the error. There is no record if there can be no trace. The record
// has no names of routers, and no version of a program: who has them adds them.
func (m *Measurement) Trace(ctx context.Context) (*record.Trace, error) {
	inside, err := m.traceInside(ctx)
	if err != nil {
		return nil, err
	}
	e := &explainer{m: m}
	m.asking = e
	if m.Explain {
		e.begin(ctx)
	}
	defer e.end()
	m.Header.Started = time.Now()
	made := &record.Trace{Header: m.Header}
	known := detect.View{Trace: trace.NewTrace(m.Header.Path), Options: m.Header.Path}
	seen := func(r trace.Result) {
		known.Add(r)
		made.Results = append(made.Results, r)
		if m.Seen != nil {
			m.Seen(r)
		}
	}
	m.progress(Progress{Stage: Tracing, Trace: made})
	if m.before != nil {
		for _, r := range m.before.trace.Results {
			e.hear(r)
			known.Add(r)
		}
		made.Results, known.Counts = m.before.trace.Results, m.before.trace.Ending.Counts
	} else if inside != nil {
		for _, r := range inside.results {
			seen(r)
		}
		known.Counts, err = inside.counts, inside.err
	} else {
		o := m.runOptions()
		if m.Explain {
			o.Observe = e.keeping(o.Observe)
		}
		plan := trace.Plan(m.plan)
		if m.budget != nil {
			plan = m.budget.Guard(m.plan)
		}
		known.Counts, err = trace.Run(ctx, m.conn(), plan, o, func(r trace.Result) {
			e.hear(r)
			m.heard(r)
			seen(r)
		})
	}
	e.took = time.Since(m.Header.Started)
	known.Trace.Finish()
	m.spared(&known, err)
	made.Ending = EndingOf(ctx, known.Counts, known.Trace.Reached(), err)
	m.progress(Progress{Stage: Traced, Trace: made})
	err = m.further(ctx, made, known, cmp.Or(err, context.Cause(ctx)))
	made.Findings = []detect.Finding{}
	if m.Explain || !m.Unjudged {
		made.Findings = append(made.Findings, detect.Findings(e.seen(known))...)
	}
	if m.Overhear { // nothing was sent to the target, so its silence means nothing
		made.Findings = []detect.Finding{}
	}
	if made.Graph != nil {
		made.Findings = detect.WithPaths(made.Findings, made.Graph)
	}
	if m.Explain {
		made.Explanation = new(e.diagnosis())
	}
	made.Ending = EndingOf(ctx, known.Counts, known.Trace.Reached(), err)
	if m.Overhear && err == nil {
		made.Ending.ExitCode = 0
	}
	if known.Short && made.Ending.Reason == record.Complete {
		made.Ending.Reason = record.Spared
	}
	return made, err
}

// spared takes in whether the trace, which ended with err, has asked hops less to spare the target.
func (m *Measurement) spared(v *detect.View, err error) {
	if m.before != nil {
		v.Spared, v.Short = m.before.spared, m.before.short
		return
	}
	if err == nil {
		v.Spared, v.Short = sparedBy(m.plan, m.budget)
	}
}

// sparedBy is what [detect.View] says of a plan that has come to its end, held to a budget, in Spared and in Short.
func sparedBy(p trace.Plan, b *trace.TargetBudget) (spared, short bool) {
	if p, ok := p.(interface{ Spared() bool }); ok {
		spared = p.Spared()
	}
	if b == nil {
		return spared, spared
	}
	s, ok := p.(interface{ Short() bool })
	return spared, spared || b.Withheld() > 0 || ok && s.Short()
}

// further makes what else was asked for, after a trace that ended with err.
func (m *Measurement) further(ctx context.Context, made *record.Trace, known detect.View, err error) error {
	if err == nil && m.MTU && known.Trace.Reached() {
		var found *record.MTU
		if found, err = m.searchMTU(ctx, known.Trace); err == nil { // half a search proves nothing
			made.MTU = found
			m.progress(Progress{Stage: FoundMTU, Trace: made})
			err = context.Cause(ctx)
		}
	}
	if err == nil && m.Paths != nil {
		if made.Graph, err = m.searchPaths(ctx, made.Results); made.Graph != nil {
			made.Graph.LeaveOut(m.others)
			m.budget.Spend(made.Graph.TargetSYNs)
		}
		m.progress(Progress{Stage: FoundPaths, Trace: made})
		if err = cmp.Or(err, context.Cause(ctx)); m.Rounds != nil && errors.Is(err, ErrEnough) {
			err = nil
		}
	}
	m.asking.mtu, m.asking.graph = mtuEvidence(made.MTU), made.Graph
	if !m.Explain {
		return err
	}
	m.asking.await()
	if err == nil {
		err = m.asking.ask(ctx, known)
	}
	return err
}

// searchPaths finds all paths, after the trace.
func (m *Measurement) searchPaths(ctx context.Context, known []trace.Result) (found *trace.Graph, err error) {
	o := trace.PathsOptions{Path: m.Header.Path, Known: known, TargetSYNs: m.mostSYNs(),
		Confidence: cmp.Or(m.Paths.Confidence, trace.DefaultConfidence), BranchFlows: trace.LossFlows}
	if c, ok := m.t.conn.(trace.Connector); ok {
		o.ConnectWait = c.ConnectWait()
	}
	for range cmp.Or(m.Paths.Flows, trace.MostFlows) - 1 - halfOpen(known, o.Path.Source.Port()) {
		left := spareDescriptors
		if o.ConnectWait > 0 {
			left += len(o.Ports) // each may have a connection in flight
		}
		var port uint16
		if err = m.spare(left); err == nil {
			port, err = m.freePort()
		}
		if err != nil {
			break // with fewer flows less is found, and that is said
		}
		o.Ports = append(o.Ports, port)
	}
	plan, found, err := m.findPaths(ctx, o)
	switch {
	case err != nil || m.Paths.Probes < 0:
		return found, err
	case m.Rounds != nil:
		return m.watchPaths(ctx, o, plan)
	case m.MTU:
		defer func() { err = cmp.Or(err, m.addMTUs(ctx, plan, found)) }()
	}
	if len(found.Sections()) == 0 {
		return found, nil
	}
	loss, err := trace.NewPathsLoss(plan, trace.PathsLossOptions{Probes: m.Paths.Probes})
	if err != nil {
		return found, err
	}
	least, most := loss.Probes()
	m.progress(Progress{Stage: MeasuringPaths, Least: least, Most: most})
	_, err = m.run(ctx, m.t.conn, loss, m.heard)
	graph := loss.Graph()
	return &graph, err
}

// findPaths finds all paths, and what balancers go by unless no probes are wanted.
func (m *Measurement) findPaths(ctx context.Context, o trace.PathsOptions) (*trace.Paths, *trace.Graph, error) {
	plan, err := trace.NewPaths(o)
	if err != nil {
		return nil, nil, err
	}
	m.progress(Progress{Stage: SearchingPaths, Most: len(o.Ports) + 1})
	_, err = m.run(ctx, m.t.conn, plan, m.heard)
	graph := plan.Graph()
	graph.Tested, graph.Complete = graph.Tested && err == nil, graph.Complete && err == nil
	if err != nil || m.Paths.Probes < 0 {
		return plan, &graph, err
	}
	kind := trace.NewPathsKind(plan)
	_, err = m.run(ctx, m.t.conn, kind, m.heard)
	graph = kind.Graph()
	return plan, &graph, err
}

// spareDescriptors is how many descriptors the ports of a search for all paths leave: for name servers, files, and what
// is asked further.
const spareDescriptors = 24

// spare is an error where n more descriptors can't be had, as far as is known.
func (m *Measurement) spare(n int) error {
	if c, ok := m.t.conn.(interface{ Spare(int) error }); ok {
		return c.Spare(n)
	}
	return nil
}

// halfOpen is how many connections the trace has left half-open in firewalls on the way, beside its own flow's: nobody
// has answered them in the target's name, so nothing was reset. They count as flows of the search.
func halfOpen(known []trace.Result, own uint16) int {
	ports := map[uint16]bool{own: true}
	for _, r := range known {
		port := r.Probe.Src.Port()
		ports[port] = ports[port] || r.FromTarget()
	}
	n := 0
	for _, closed := range ports {
		if !closed {
			n++
		}
	}
	return n
}

// addMTUs measures how large a packet passes each path.
func (m *Measurement) addMTUs(ctx context.Context, plan *trace.Paths, g *trace.Graph) error {
	sizes, err := trace.NewPathsMTU(plan, g, m.linkMTU)
	if err != nil || sizes.Ways() == 0 {
		return err
	}
	m.progress(Progress{Stage: SizingPaths, Most: sizes.Ways()})
	if _, err = m.run(ctx, m.t.conn, sizes, m.heard); err == nil { // half a search proves nothing
		sizes.Add(g)
	}
	return err
}

func (m *Measurement) heard(r trace.Result) {
	if m.Heard != nil {
		m.Heard(r)
	}
}

// run carries a plan out.
func (m *Measurement) run(ctx context.Context, conn trace.Conn, plan trace.Plan, seen func(trace.Result),
) (trace.Counts, error) {
	return trace.Run(ctx, conn, plan, m.runOptions(), seen)
}

func (m *Measurement) runOptions() trace.Options {
	o := m.Header.Path.RunOptions(m.t.conn)
	o.Zone, o.Pace, o.Observe = m.Header.Interface, m.t.pace, m.Observe
	return o
}

// exitLocal is the exit code where this host could send nothing, or nothing more.
const exitLocal = 2

// EndingOf says how a measurement ended that counted this and gave this error. reached: it came to what was wanted.
func EndingOf(ctx context.Context, counts trace.Counts, reached bool, err error) record.Ending {
	e := record.Ending{Time: time.Now(), Reason: record.Complete, Err: err, Counts: counts, ExitCode: 1}
	switch {
	case err == nil && reached:
		e.ExitCode = 0
	case err == nil:
	case ctx.Err() != nil:
		e.Reason = record.Interrupted
	case err == ErrNoneSent, errors.As(err, new(*trace.SendError)):
		e.Reason, e.ExitCode = record.NotSent, exitLocal
	case errors.Is(err, trace.ErrReceiving):
		e.Reason, e.ExitCode = record.Broken, exitLocal
	default:
		e.Reason = record.Broken
	}
	return e
}
