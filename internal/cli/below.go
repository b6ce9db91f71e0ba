package cli

import (
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

// What stands below the hops, beside findings.

// explainRoute says, if it is asked for, that a rule or a route of this host lets nothing out.
func (p *program) explainRoute(err error) error {
	route, ok := errors.AsType[*measure.RouteError](err)
	if !ok || !p.Explain || !p.ForPeople() || !route.Ruled(p.Path.Target.Addr()) {
		return nil
	}
	return report.Findings(p.stdout, []detect.Finding{detect.NoWay(p.Path.Target, options.Reason(err))})
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
