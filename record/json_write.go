package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"go.example/tcptraceroute/trace"
)

// WriteJSON writes the trace as one JSON document.
func (t *Trace) WriteJSON(w io.Writer) error {
	return write(w, "  ", documentOf(t, t.Fold()))
}

func documentOf(t *Trace, f *Fold) document {
	return document{
		Schema: ID, Program: programOf(&t.Header), Started: instant(t.Started), Ended: instant(t.Ending.Time),
		Target: targetOf(&t.Header), Source: sourceOf(&t.Header), Options: optionsOf(&t.Header), found: foundOf(t, f, true),
	}
}

// foundOf returns what the trace has found, of the hops all probes or only the figures.
func foundOf(t *Trace, f *Fold, probes bool) found {
	hops, beyond := hopsOf(f, t, probes)
	out, counted := f.Outcome(), totalsOf(f, &t.Ending.Counts)
	if t.Rounds != nil {
		out = t.Rounds.Outcome
		roundsTotals(t.Rounds, &counted)
	}
	return found{
		Outcome: outcomeOf(out, &t.Ending), Rounds: roundsOf(t), Hops: hops, Beyond: beyond, Findings: findingsOf(t.Findings),
		Explain: explainOf(t.Explanation), MTU: mtuOf(t.MTU), Paths: pathsOf(t.Graph), Graph: graphOf(t),
		Senders: sendersOf(f, t), Totals: counted,
	}
}

// Lines writes a line of JSON for each event, when it happens: a start, the probes as their fates become known, and
// an end.
type Lines struct {
	w       io.Writer
	header  Header
	started bool
}

// NewLines writes lines to w.
func NewLines(w io.Writer, h Header) *Lines { return &Lines{w: w, header: h} }

func (l *Lines) start() error {
	if l.started {
		return nil
	}
	l.started = true
	h := &l.header
	return write(l.w, "", startLine{
		Event: "start", Schema: ID, Program: programOf(h), Started: instant(h.Started), Target: targetOf(h),
		Source: sourceOf(h), Options: optionsOf(h),
	})
}

// Add writes the result's line. name is that of who answered, "" where nobody did or he has none.
func (l *Lines) Add(r trace.Result, name string) error {
	if err := l.start(); err != nil {
		return err
	}
	event := "notice"
	if r.Outcome.Final() {
		event = "probe"
	}
	p := probeOf(r, l.header.Connections)
	if p.Reply != nil {
		p.Reply.Name = text(name)
	}
	return write(l.w, "", probeLine{event, p})
}

// Finish writes the last line: how the trace ended, and its hops in figures. t is the whole trace, of which all results
// have been added.
func (l *Lines) Finish(t *Trace) error {
	if err := l.start(); err != nil {
		return err
	}
	return write(l.w, "", endLine{Event: "end", Ended: instant(t.Ending.Time), found: foundOf(t, t.Fold(), false)})
}

// write writes one value and a line feed, at once.
func write(w io.Writer, indent string, v any) error {
	b, err := json.Marshal(v) // escapes <, > and & too
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	b = ASCII(b)
	if indent != "" {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, b, "", indent); err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		b = pretty.Bytes()
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
