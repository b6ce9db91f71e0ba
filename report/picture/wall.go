package picture

import (
	"fmt"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// wall is where a path stops that does not reach its target.
type wall struct {
	before int    // index of the column that it stands left of
	sure   bool   // a router said that it goes no further
	text   string // why it stands there
}

// placeTarget adds the target behind a path that doesn't show it, and the wall before it.
func (d *drawing) placeTarget(rec *record.Fold, run *report.Run) {
	target := run.Path.Target.Addr()
	end := rec.End()
	if end != nil && end.Outcome == trace.Answered && (end.FromTarget() || end.Reply.From() == target) {
		return
	}
	n := node{kind: unreached, addr: target.String(), name: shown(run.NameOf(target)), state: "not reached"}
	if n.name == "" && run.Host != n.addr {
		n.name = shown(run.Host)
	}
	var text string
	switch last := d.lastAnswered(); {
	case end != nil && end.Outcome != trace.Answered:
		n = nodeOf(end, run)
		text = "at an unknown distance"
	case end != nil:
		text = fmt.Sprintf("%v refuses to forward (%s)", end.Reply.From(), record.Mark(end.Reply))
		d.wall = &wall{len(d.columns), true, text}
	case !run.Ending.Reason.Whole():
		text = "the trace ended before it got there"
	case last < 0 && len(d.columns) == 0:
		text = "no probe left this host"
	case last < 0:
		text = "no hop answers"
		d.wall = &wall{0, false, text}
	case d.columns[last].ttl >= rec.Last():
		text = fmt.Sprintf("beyond hop %d, the last that was asked", d.columns[last].ttl)
	default:
		text = fmt.Sprintf("no answer beyond hop %d", d.columns[last].ttl)
		d.wall = &wall{last + 1, false, text}
	}
	d.columns = append(d.columns, column{nodes: []node{n}, notes: []string{text}})
}

// lastAnswered is the index of the last column with an answer; -1: there is none.
func (d *drawing) lastAnswered() int {
	last := -1
	for i, c := range d.columns {
		if c.nodes[0].kind != silent {
			last = i
		}
	}
	return last
}

// hop is what a column is called at the axis; "": it is no hop.
func (c *column) hop() string {
	switch {
	case c.ttl == 0:
		return ""
	case c.through > c.ttl:
		return fmt.Sprintf("%d-%d", c.ttl, c.through)
	}
	return fmt.Sprint(c.ttl)
}

// title is what a column is called in words.
func (c *column) title() string {
	switch {
	case c.ttl == 0:
		return "target"
	case c.through > c.ttl:
		return fmt.Sprintf("hops %d to %d", c.ttl, c.through)
	}
	return fmt.Sprintf("hop %d", c.ttl)
}
