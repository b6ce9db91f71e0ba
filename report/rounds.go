package report

import (
	"io"
	"net/netip"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// roundsLines writes rounds as lines of JSON.
type roundsLines struct {
	run   *Run
	lines *record.Lines
}

// NewRoundsLines writes rounds as lines of JSON, as package record does: a line for each event, when it happens, and
// the figures at the end.
func NewRoundsLines(w io.Writer, run *Run) Writer {
	return &roundsLines{run, record.NewLines(w, run.Header)}
}

func (l *roundsLines) Add(r trace.Result) error { return l.run.addLine(l.lines, r) }

func (l *roundsLines) Finish() error { return l.lines.Finish(l.run.Record(nil)) }

// WriteRoundsTable writes the figures of rounds as mtr's table, see [TableOptions].
func WriteRoundsTable(w io.Writer, t *record.Trace, fields string, both bool) error {
	o := TableOptions{Host: t.Hostname, Start: t.Started, Target: t.Path.Target.Addr(), Fields: fields, Both: both,
		Name: t.NameOf}
	if o.Host == "" {
		o.Host = "localhost"
	}
	if t.OwnersAsked {
		o.Owner = func(a netip.Addr) (record.Owner, bool) {
			o, ok := t.Owners[a]
			return o, ok
		}
	}
	return WriteTable(w, t.Rounds, o)
}
