package cli

import (
	"errors"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/report"
)

// explainRoute says, if it is asked for, that a rule or a route of this host lets nothing out.
func (p *program) explainRoute(err error) error {
	route, ok := errors.AsType[*measure.RouteError](err)
	if !ok || !p.Explain || !p.ForPeople() || !route.Ruled(p.Path.Target.Addr()) {
		return nil
	}
	return report.Findings(p.stdout, []detect.Finding{detect.NoWay(p.Path.Target, options.Reason(err))})
}
