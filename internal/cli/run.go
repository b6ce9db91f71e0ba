package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// announce says what is traced.
func (p *program) announce() {
	p.sayOthers()
	text := "Tracing the path to " + p.target(" on TCP port ")
	text += fmt.Sprintf(", %d hops max", p.plan.Last())
	if n := p.plan.Length(p.path.Length); n > p.plan.Length(0) {
		text += fmt.Sprintf(", %d byte packets", n)
	}
	fmt.Fprintln(p.stderr, quoted(text))
}

// trace carries the trace out and prints it.
func (p *program) trace(ctx context.Context, conn medium) error {
	p.announce()
	p.rescue.begin()
	if p.watch.on() {
		return p.watched(ctx, conn)
	}
	kept, err := p.traceInside(ctx, conn)
	if err != nil {
		return err
	}
	folded := trace.NewTrace(p.path)                                     // the report's
	known := detect.View{Trace: trace.NewTrace(p.path), Options: p.path} // ours
	var counts trace.Counts
	// came is what came of the run; it is asked when the report has all results.
	came := func() error {
		if err == nil && !folded.Reached() {
			return errNotReached
		}
		return err
	}
	p.asking = p.explainer(conn)
	if p.explain {
		p.asking.Begin(ctx)
	}
	defer p.asking.End()
	awaited := newAwaited(p.path)
	status := p.showStatus(awaited.say)
	about := p.about(ctx, folded, func() record.Ending { return ending(counts, came()) })
	out := p.formatted(about, folded)
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := startPrinter(out, func(err error) { stop(fmt.Errorf("writing: %w", err)) })
	var troubles troubles
	var results []trace.Result
	if p.made != nil {
		defer func() { p.made(about.Record(results)) }()
	}
	seen := func(r trace.Result) {
		p.ways.add(r)
		p.lookUp(r)
		if p.made != nil {
			results = append(results, r)
		}
		troubles.add(r)
		known.Add(r)
		if status != nil {
			awaited.add(r)
		}
		w.add(r)
	}
	if kept != nil {
		for _, r := range kept.results {
			seen(r)
		}
		counts, err = kept.counts, kept.err
	} else {
		counts, err = trace.Run(running, conn, p.plan, p.engine(conn), seen)
	}
	// Programs get the findings with the trace; people can read the hops meanwhile.
	known.Trace.Finish()
	known.Counts = counts
	if !p.forPeople() {
		err = p.searchForPrograms(ctx, conn, known, err)
	}
	if werr := w.close(); werr != nil {
		err = fmt.Errorf("writing: %w", werr)
	}
	status.stop()
	if p.explain && !p.holdsFindings() {
		p.putFindingsAside(known)
	}
	p.warn(&troubles, counts)
	p.sayDepartures(conn)
	p.sayHidden(conn, known.Trace)
	p.sayECN(folded)
	if err == nil {
		err = p.searchOn(ctx, conn, known.Trace)
	}
	err = p.explainToPeople(ctx, conn, known, err)
	p.unreached = !counts.NothingSent() && !answered(folded) && (err == nil || errors.As(err, new(*Interrupted)))
	if err := came(); err != nil {
		return err
	}
	p.sayUnplaced(folded)
	return nil
}

// sayUnplaced says that the target has answered, if no hop shows it.
func (p *program) sayUnplaced(t *trace.Trace) {
	if u := t.Unplaced(); u != nil {
		fmt.Fprintf(p.stderr, "%s answered [%s], but how far away it is could not be told\n", u.Reply.From(),
			record.StateOf(*u))
	}
}

// explainToPeople asks what is still open and prints the findings of a trace that has ended with err.
func (p *program) explainToPeople(ctx context.Context, conn medium, known detect.View, err error) error {
	if !p.explain || !p.forPeople() {
		return err
	}
	p.asking.Await()
	if err == nil {
		err = p.asking.Ask(ctx, known)
	}
	return cmp.Or(err, p.sayFindings(known))
}

// searchOn searches for what else was asked for, after a trace that has come to its end.
func (p *program) searchOn(ctx context.Context, conn medium, known *trace.Trace) error {
	if p.mtu && known.Reached() {
		if err := p.searchMTU(ctx, conn, known); err != nil {
			return err
		}
	}
	if p.ways.paths && p.forPeople() {
		return p.allPaths(ctx, conn)
	}
	return nil
}

// searchForPrograms searches for what belongs into a document, after a trace that has ended with err.
func (p *program) searchForPrograms(ctx context.Context, conn medium, known detect.View, err error) error {
	if p.explain {
		p.asking.Await()
		if err == nil {
			err = p.asking.Ask(ctx, known)
		}
	}
	if err == nil && p.ways.paths {
		err = p.searchPaths(ctx, conn)
	}
	return err
}

// answered reports whether the target has answered: a refusal by a router ends a path, too.
func answered(t *trace.Trace) bool {
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		if slices.ContainsFunc(t.Hop(ttl).Probes, trace.Result.FromTarget) {
			return true
		}
	}
	return t.Unplaced() != nil
}

// engine is what the engine is told.
func (p *program) engine(conn medium) trace.Options {
	o := p.path.RunOptions(conn)
	o.Zone, o.Pace = p.out, p.pace
	if p.debug {
		o.Observe = debug(p.stderr, p.connecting)
		if !p.root {
			o.Observe = ofOurs(o.Observe)
		}
	}
	o.Observe = p.capture.observe(o.Observe)
	return o
}
