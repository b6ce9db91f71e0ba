package export

import (
	"encoding/csv"
	"io"
	"slices"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// ManyCSV writes the table of CSV for many targets. Each row begins with the target: host, port. The table has no other
// column of that name.
type ManyCSV struct {
	w    *csv.Writer
	head bool
}

// manyColumns are those of CSV but for the host, which each row begins with.
func manyColumns() []column {
	return slices.DeleteFunc(columns(), func(c column) bool { return c.name == hostColumn })
}

// NewManyCSV writes to w.
func NewManyCSV(w io.Writer) *ManyCSV { return &ManyCSV{w: csv.NewWriter(w)} }

// Finish does nothing: the table has no end of its own.
func (m *ManyCSV) Finish(record.ManyEnd) error { return nil }

// Add writes the rows of a target. Of a target without a trace there is one row, with the reason as its error.
func (m *ManyCSV) Add(t record.Listed) error {
	table := manyColumns()
	if !m.head {
		m.head = true
		names := []string{hostColumn, "port"}
		for _, col := range table {
			names = append(names, col.name)
		}
		m.w.Write(names) // its error is kept, and told by Error
	}
	target := []string{Cell(t.Host), decimal(t.Port)}
	if t.Trace == nil {
		row := append(target, make([]string, len(table))...)
		for i, col := range table {
			if col.name == "error" {
				row[len(target)+i] = Cell(why(t))
			}
		}
		m.w.Write(row)
		m.w.Flush()
		return m.w.Error()
	}
	fold := trace.NewTrace(t.Trace.Path)
	c := &CSV{w: m.w, run: report.Saved(t.Trace), rec: record.NewFold(fold), next: fold.First(),
		told: make(map[int]int), head: true, before: target, table: table}
	for _, r := range t.Trace.Results {
		c.rec.Add(r)
	}
	return c.Finish()
}

func why(t record.Listed) string {
	if t.Err == nil {
		return t.Why.String()
	}
	return t.Why.String() + ": " + t.Err.Error()
}
