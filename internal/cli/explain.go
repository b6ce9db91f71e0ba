package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
)

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
		s.announceQuestions(x)
	case measure.Failed: // the trace stands without
		fmt.Fprintf(s.stderr, "Asking further: %s\n", record.Printable(s.worded(x.Err).Error()))
	case measure.Done:
		s.asking.Stop()
	}
}

// announceQuestions says how many probes the questions take at the most.
func (p *program) announceQuestions(x measure.Progress) {
	then := ""
	if x.Most > detect.Probes(x.Questions) {
		then = fmt.Sprintf(", then SYNs to this port and to port %d", detect.OtherPort(p.Path).Port())
	}
	kinds := cmp.Or(p.kinds(x.Questions), "the same from other source ports")
	fmt.Fprintf(p.stderr, "Up to %d more probes to tell what happened: %s%s\n", x.Most, kinds, then)
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
