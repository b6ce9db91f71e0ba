package cli

import (
	"fmt"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// showSaved shows a saved trace as if it had just been made. It is read without privileges.
func (p *program) showSaved() error {
	if err := p.dropPrivileges(func() []string { return []string{p.Replay} }); err != nil {
		return err
	}
	saved, err := measure.ReadSaved(p.Replay)
	if err != nil {
		return fmt.Errorf("--replay %s: %s", record.Printable(p.Replay), words.Shortened(err))
	}
	return p.showRecord(saved)
}

// showRecord shows a trace that is over.
func (p *program) showRecord(saved *record.Trace) error {
	if saved.Rounds != nil {
		return p.showRounds(saved)
	}
	if p.Names == names.Never {
		saved.Names, saved.Numeric = nil, true
	}
	saved.OwnersAsked = saved.OwnersAsked || p.Show.Owners
	p.Path, p.Host = saved.Path, saved.Host
	fmt.Fprintf(p.stderr, "Saved trace of %s: the path to %s on TCP port %s, %d hops max\n",
		saved.Started.Format("2006-01-02 15:04:05 UTC"), record.Printable(saved.Target()), record.Printable(portText(saved)),
		saved.Path.MaxTTL)
	folded := trace.NewTrace(saved.Path)
	if err := report.Replay(p.formatted(report.Saved(saved), folded), saved); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := p.showFound(saved, folded); err != nil {
		return err
	}
	var ended error
	switch end := &saved.Ending; {
	case end.Err != nil:
		ended = &savedEnding{end}
	case !folded.Reached() && saved.Ending.ExitCode != exitReached:
		ended = errNotReached
	default:
		p.aside(words.Unplaced(folded))
	}
	return p.judge(saved, ended)
}

// showRounds shows rounds that are over.
func (p *program) showRounds(saved *record.Trace) error {
	switch {
	case !p.HoldsRounds():
		return fmt.Errorf("%s has no place for rounds, which text, json, jsonl, csv and mtr-json have", p.FormatBy)
	case len(p.Expected) > 0:
		return fmt.Errorf("--expect: %w", measure.ErrRounds)
	}
	if p.Names == names.Never {
		saved.Names, saved.Numeric = nil, true
	}
	saved.OwnersAsked = saved.OwnersAsked || p.Show.Owners
	if err := p.writeRounds(report.Saved(saved), nil); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	switch end := &saved.Ending; {
	case end.Err != nil:
		return &savedEnding{end}
	case !saved.Rounds.Outcome.Reached:
		return errNotReached
	}
	return nil
}

func portText(saved *record.Trace) string {
	text := fmt.Sprint(saved.Path.Target.Port())
	if saved.Service != "" {
		text += " (" + saved.Service + ")"
	}
	return text
}

// showFound shows what stands below the hops: ECN, the MTU, all paths, and the findings, if they were asked for then
// or now.
func (p *program) showFound(saved *record.Trace, folded *trace.Trace) error {
	p.Explain = p.Explain || saved.Explanation != nil
	p.SYN.AccECN = saved.Path.Flags.Has(packet.AE)
	p.sayECN(folded)
	if saved.MTU != nil && p.ForPeople() {
		if _, err := fmt.Fprintln(p.stdout, report.MTU(saved.MTU)); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	if saved.Graph != nil && p.ForPeople() {
		if err := p.sayPaths(saved, saved.NameOf); err != nil {
			return err
		}
	}
	if saved.Graph != nil && !p.HoldsPaths() {
		fmt.Fprintf(p.stderr, "The saved trace has all paths, which %s has no place for: they are left out\n", p.FormatBy)
	}
	if saved.MTU != nil && !p.HoldsFindings() {
		fmt.Fprintf(p.stderr, "The saved trace has the path's MTU, which %s has no place for: it is left out\n", p.FormatBy)
	}
	var host *detect.Host
	if saved.Explanation != nil {
		host = saved.Explanation.Host
	}
	switch {
	case !p.Explain:
		return nil
	case !p.HoldsFindings(): // stderr that is gone is no reason to fail
		report.Explanation(p.stderr, host, saved.Findings)
		return nil
	case !p.ForPeople():
		return nil
	}
	return report.Explanation(p.stdout, host, saved.Findings)
}

// savedEnding is how a saved trace ended before its time.
type savedEnding struct{ *record.Ending }

func (e *savedEnding) Error() string { return words.Capital(e.Err) }
