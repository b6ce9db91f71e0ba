package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// explaining is whether the answers are to be explained, and who asks for that.
type explaining struct {
	explain bool
	asking  *measure.Explainer
}

func explainOptions() []option {
	return []option{
		{long: "explain", facts: []fact{{on: func(c *config) bool { return c.explain }, not: []conflict{{"--live, --report",
			"--explain can't be used with {}: it explains one trace, not rounds; leave one of them out"}}}},
			shows: true, brief: "why it fails, where",
			help: "say in plain words, after the trace, why it fails, where, and how sure that is; sends some probes of other " +
				"kinds to find out, and first prints the maximum on stderr", set: do(func(c *config) { c.explain = true })},
	}
}

// explainer is what asks for the explanation, beside the trace and after it.
func (p *program) explainer(conn medium) *measure.Explainer {
	e := &measure.Explainer{
		Conn: conn, Path: p.path, Own: p.own, Interface: p.iface, Out: p.out, Mark: p.mark, Local: p.route.Local,
		Connections: p.connecting,
		Port:        func() (uint16, error) { return p.freePort(conn, p.own) },
		Run: func(ctx context.Context, plan trace.Plan, seen func(trace.Result)) (trace.Counts, error) {
			return trace.Run(ctx, conn, plan, p.engine(conn), seen)
		},
	}
	var shown *status
	e.Progress = func(x measure.Progress) {
		switch x.Stage {
		case measure.Connecting:
			fmt.Fprintf(p.stderr,
				"Asking this host for an ordinary connection too, which the target's program doesn't see: up to %d SYNs\n", x.Most)
		case measure.Awaiting:
			shown = p.showStatus(func(time.Duration) string { return "waiting for an ordinary connection" })
		case measure.AwaitingAgain:
			shown = p.showStatus(func(time.Duration) string { return "waiting for a second ordinary connection" })
		case measure.Lacking:
			for _, what := range x.Unknown {
				fmt.Fprintln(p.stderr, what)
			}
		case measure.Asking:
			shown = p.showStatus(func(time.Duration) string {
				return fmt.Sprintf("asking further, %d probes so far", e.Asked())
			})
		case measure.Announcing:
			p.announceQuestions(x)
		case measure.Failed: // the trace stands without
			fmt.Fprintf(p.stderr, "Asking further: %s\n", quoted(x.Err.Error()))
		case measure.Done:
			shown.stop()
		}
	}
	return e
}

// announceQuestions says how many probes the questions take at the most.
func (p *program) announceQuestions(x measure.Progress) {
	then := ""
	if x.Most > detect.Probes(x.Questions) {
		then = fmt.Sprintf(", then SYNs to this port and to port %d", detect.OtherPort(p.path).Port())
	}
	kinds := cmp.Or(p.kinds(x.Questions), "the same from other source ports")
	fmt.Fprintf(p.stderr, "Up to %d more probes to tell what happened: %s%s\n", x.Most, kinds, then)
}

// forPeople reports whether the trace is printed as text.
func (c *config) forPeople() bool { return c.format == "" || c.format == formats[0].name }

// holdsFindings reports whether the format has a place for what is explained.
func (c *config) holdsFindings() bool {
	return c.forPeople() || c.format == "json" || c.format == "jsonl"
}

// putFindingsAside prints on stderr what the format has no place for.
func (p *program) putFindingsAside(v detect.View) {
	writeFindings(p.stderr, p.asking.Host(), p.findings(v)) // stderr that is gone is no reason to fail
}

// kinds says what is sent.
func (p *program) kinds(questions []detect.Question) string {
	var kinds []string
	for _, q := range questions {
		switch q.Ask {
		case detect.AskFlow:
			kinds = append(kinds, "the same from another source port")
		case detect.AskPort:
			kinds = append(kinds, fmt.Sprintf("to port %d", q.Options.Target.Port()))
		case detect.AskACK:
			kinds = append(kinds, "ACKs")
		case detect.AskSYN:
			kinds = append(kinds, "SYNs")
		case detect.AskEcho:
			kinds = append(kinds, "ICMP echo")
		case detect.AskLoose:
			kinds = append(kinds, "the same, --loose")
		case detect.AskShort:
			kinds = append(kinds, "shorter ones")
		case detect.AskUnmarked:
			kinds = append(kinds, "unmarked ones")
		case detect.AskOptions:
			kinds = append(kinds, "SYNs with other options")
		}
	}
	return strings.Join(kinds, ", ")
}

// findings are what is known of the trace so far.
func (p *program) findings(v detect.View) []detect.Finding {
	return detect.Findings(p.asking.Evidence(v))
}

// sayFindings prints them below the hops.
func (p *program) sayFindings(v detect.View) error {
	return writeFindings(p.stdout, p.asking.Host(), p.findings(v))
}

// writeFindings writes them below what was written before.
func writeFindings(w io.Writer, host *detect.Host, all []detect.Finding) error {
	if len(all) == 0 && host == nil {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := report.Explanation(w, host, all); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
