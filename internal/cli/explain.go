package cli

import (
	"errors"
	"fmt"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
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

// explaining says what is done to explain.
func (s *showing) explaining(x measure.Progress) {
	switch x.Stage {
	case measure.Connecting:
		fmt.Fprintf(s.stderr,
			"Asking this host for an ordinary connection too, which the target's program doesn't see: up to %d SYNs\n", x.Most)
	case measure.Awaiting:
		s.asking = s.showStatus(func(time.Duration) string { return "waiting for an ordinary connection" })
	case measure.AwaitingAgain:
		s.asking = s.showStatus(func(time.Duration) string { return "waiting for a second ordinary connection" })
	case measure.Lacking:
		for _, what := range x.Unknown {
			fmt.Fprintln(s.stderr, what)
		}
	case measure.Asking:
		s.asking = s.showStatus(func(time.Duration) string {
			return fmt.Sprintf("asking further, %d probes so far", s.m.Asked())
		})
	case measure.Announcing:
		fmt.Fprintln(s.stderr, report.Questions(x.Questions, x.Most, s.Path))
	case measure.Failed: // the trace stands without
		fmt.Fprintf(s.stderr, "Asking further: %s\n", record.Printable(s.worded(x.Err).Error()))
	case measure.Done:
		s.asking.Stop()
	}
}
