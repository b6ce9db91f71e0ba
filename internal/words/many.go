package words

import (
	"fmt"
	"strings"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Many says what is about to be done with the targets of lists.
func Many(c *options.Config, m *measure.Many) []string {
	open := "one target at a time"
	if m.Open > 1 {
		open = fmt.Sprintf("up to %s at a time", report.Plural(m.Open, "target"))
	}
	if c.Watch.On() {
		open += fmt.Sprintf(", %s of %v each", report.Plural(c.Watch.Count, "round"), c.Watch.Interval)
	}
	lines := []string{fmt.Sprintf("Tracing the targets of %s, %d hops max, %s a second, %s",
		record.Printable(strings.Join(c.Many.Lists, ", ")), c.Path.Effective().MaxTTL,
		report.Plural(m.Status().Rate, "packet"), open)}
	if m.Explain {
		lines = append(lines, fmt.Sprintf(
			"Then up to %d of those that are not reached, %d of each place where paths end, are explained",
			measure.MostExplained, measure.MostAlike))
	}
	return lines
}

// ManyExplaining says what is done to explain targets that were not reached; "": nothing worth a line.
func ManyExplaining(c *options.Config, x measure.Explaining) string {
	if x.Target == nil {
		return fmt.Sprintf("Explaining %d of %s targets that were not reached, one after the other: each is traced once "+
			"more, with %d probes per hop, beside an ordinary connection of this host", x.Targets, report.Thousands(x.Of),
			max(c.Path.Queries, trace.DefaultQueries))
	}
	name := fmt.Sprintf("%s %d: ", x.Target.Host, x.Target.Port)
	switch p := x.Progress; p.Stage {
	case measure.Announcing:
		return name + report.Questions(p.Questions, p.Most, x.Target.Trace.Path)
	case measure.Lacking:
		return name + strings.Join(p.Unknown, ". ")
	case measure.Failed:
		return name + "Asking further: " + Unmade(c, p.Err).Error()
	}
	return ""
}
