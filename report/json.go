package report

import (
	"io"
	"net/netip"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// JSON writes a trace as JSON, as package record does.
type JSON struct {
	w       io.Writer
	run     *Run
	t       *trace.Trace
	results []trace.Result
	lines   *record.Lines // nil: it is one document
}

// NewJSON writes the run's trace t, which it folds the results into, to w: as one document, when it is over.
func NewJSON(w io.Writer, run *Run, t *trace.Trace) *JSON { return &JSON{w: w, run: run, t: t} }

// NewJSONLines writes the same as a line for each event, when it happens.
func NewJSONLines(w io.Writer, run *Run, t *trace.Trace) *JSON {
	return &JSON{w: w, run: run, t: t, lines: record.NewLines(w, run.Header)}
}

// Add takes a result in.
func (j *JSON) Add(r trace.Result) error {
	j.t.Add(r)
	j.results = append(j.results, r)
	if j.lines != nil {
		return j.run.addLine(j.lines, r)
	}
	return nil
}

// addLine writes the line of a result, with the name of who answered.
func (r *Run) addLine(lines *record.Lines, res trace.Result) error {
	name := ""
	if res.Reply != nil && res.Reply.Kind != packet.KindOther {
		name = r.NameOf(res.Reply.From())
	}
	return lines.Add(res, name)
}

// Finish writes the document, or the last line.
func (j *JSON) Finish() error {
	j.t.Finish()
	saved := j.run.Record(j.results)
	if j.lines != nil {
		return j.lines.Finish(saved)
	}
	return saved.WriteJSON(j.w)
}

// identify adds the name and the owner of an address to a record.
func (r *Run) identify(t *record.Trace, a netip.Addr) {
	if name := r.NameOf(a); name != "" {
		t.Names[a] = name
	}
	if o, ok := r.OwnerOf(a); ok {
		t.Owners[a] = o
	}
}

// Record is the run as plain values, with names and owners, when it is over.
func (r *Run) Record(results []trace.Result) *record.Trace {
	t := *r.Trace
	t.Results, t.Names, t.Owners = results, make(map[netip.Addr]string), make(map[netip.Addr]record.Owner)
	asked := make(map[netip.Addr]bool)
	for i := range results {
		if results[i].Reply == nil || results[i].Reply.Kind == packet.KindOther {
			continue
		}
		if a := results[i].Reply.From(); !asked[a] {
			asked[a] = true
			r.identify(&t, a)
		}
	}
	if t.Rounds != nil {
		for _, a := range t.Rounds.Addresses() {
			r.identify(&t, a)
		}
	}
	if t.Graph != nil {
		for _, n := range t.Graph.Nodes {
			if name := r.NameOf(n.Addr); n.Addr.IsValid() && name != "" {
				t.Names[n.Addr] = name
			}
		}
	}
	return &t
}

// Saved describes the run of a trace that is over.
func Saved(t *record.Trace) *Run {
	r := &Run{Trace: t, Name: func(a netip.Addr) string { return t.Names[a] }}
	if t.OwnersAsked {
		r.Owner = func(a netip.Addr) (record.Owner, bool) {
			o, ok := t.Owners[a]
			return o, ok
		}
	}
	return r
}
