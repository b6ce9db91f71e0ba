package report

import (
	"bytes"
	"fmt"
	"io"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// ManyWriter shows the targets of a run over lists of targets. One goroutine calls it: Add with each target that has
// come to its end, its names and owners filled in, then Finish once. After an error nothing more is written.
type ManyWriter interface {
	Add(record.Listed) error
	Finish(record.ManyEnd) error
}

// ManyTextOptions say what the text shows of each target beside its line.
type ManyTextOptions struct {
	Hops    bool           // the hops, as Classic writes them
	Classic ClassicOptions // for that; names and owners are the record's

	Fields string // of the table of rounds, by mtr's letters; "": the usual ones
	Both   bool   // names with addresses
}

// manyText is a line for each target, and the hops or the table of rounds if they are wanted.
type manyText struct {
	w io.Writer
	o ManyTextOptions
}

// NewManyText writes a line for each target to w, and where several unreached paths end at the end.
func NewManyText(w io.Writer, o ManyTextOptions) ManyWriter { return &manyText{w, o} }

func (m *manyText) Add(t record.Listed) error {
	text := TargetLine(&t) + "\n"
	var b bytes.Buffer // takes all
	switch {
	case t.Trace == nil:
	case t.Trace.Rounds != nil:
		WriteRoundsTable(&b, t.Trace, m.o.Fields, m.o.Both)
		text += b.String() + "\n"
	case m.o.Hops:
		o, run := m.o.Classic, Saved(t.Trace)
		o.Name, o.Owner = run.Name, run.Owner
		Replay(NewClassic(&b, trace.NewTrace(t.Trace.Path), o), t.Trace)
		text += WithInferred(b.String(), t.Trace)
		if e := t.Trace.Explanation; e != nil {
			b.Reset()
			Explanation(&b, e.Host, t.Trace.Findings)
			text += b.String()
		}
		text += "\n"
	case t.Trace.Explanation != nil:
		text += FindingTitles("  ", t.Trace.Findings)
	}
	_, err := io.WriteString(m.w, text)
	return err
}

func (m *manyText) Finish(e record.ManyEnd) error {
	for _, line := range SharedEnds(e.Shared) {
		if _, err := fmt.Fprintln(m.w, line); err != nil {
			return err
		}
	}
	return nil
}
