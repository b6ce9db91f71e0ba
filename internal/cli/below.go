package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// explainRoute says that a rule or a route of this host lets nothing out: as text if it is asked for, and to programs
// as a measurement that sent nothing.
func (p *program) explainRoute(ctx context.Context, err error) error {
	route, ok := errors.AsType[*measure.RouteError](err)
	if !ok || !route.Ruled(p.Path.Target.Addr()) {
		return nil
	}
	found := []detect.Finding{detect.NoWay(p.Path.Target, options.Reason(err))}
	switch {
	case p.ForPeople() && p.Explain:
		return report.Findings(p.stdout, found)
	case p.Format == "json" || p.Format == "jsonl":
		made := measure.Unsent(p.Host, p.Path, p.worded(err), found)
		if err := p.formatted(p.reported(ctx, made), trace.NewTrace(made.Path)).Finish(); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return nil
}

// sayECN tells what became of ECN, with what is explained, or else aside. A plain -E says no more than the old
// program: it has its scripts.
func (p *program) sayECN(t *trace.Trace) {
	w := p.stderr
	switch {
	case p.Explain && p.ForPeople():
		w = p.stdout
	case !p.SYN.AccECN:
		return
	}
	for _, line := range report.ECN(t) {
		fmt.Fprintln(w, record.Printable(line))
	}
}

// sayPaths prints the paths for people.
func (p *program) sayPaths(t *record.Trace, name func(netip.Addr) string) error {
	if err := report.WritePaths(p.stdout, t.Graph, p.PathsOptions(t, name)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if p.Explain {
		return nil // what they show is said with the rest
	}
	return report.Explanation(p.stdout, nil, detect.InPaths(t.Graph))
}
