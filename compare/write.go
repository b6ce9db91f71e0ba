package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"go.example/tcptraceroute/record"
)

// ID names this version of the schema of WriteJSON, which diff-1.json holds. It stands in every document.
const ID = "urn:tcptraceroute:diff:1"

type document struct {
	Schema      string       `json:"schema"`
	Old         source       `json:"old"`
	New         source       `json:"new"`
	SameFlow    bool         `json:"same_flow"`
	Changed     bool         `json:"changed"`
	Differences []difference `json:"differences"`
	Doubtful    []difference `json:"doubtful"`
	Notes       []string     `json:"notes"`
}

// source is which trace was compared.
type source struct {
	Started string `json:"started"`
	Host    string `json:"host"`
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	State   string `json:"state"`
	TTL     int    `json:"ttl,omitempty"`
}

type difference struct {
	Kind   Kind     `json:"kind"`
	First  int      `json:"first_ttl,omitempty"`
	Last   int      `json:"last_ttl,omitempty"`
	Old    []string `json:"old,omitempty"`
	New    []string `json:"new,omitempty"`
	Text   string   `json:"text"`
	Chance float64  `json:"chance,omitempty"`
	Doubt  string   `json:"doubt,omitempty"`
}

func sourceOf(t *record.Trace) source {
	o := t.Fold().Outcome()
	return source{Started: t.Started.UTC().Format(time.RFC3339Nano), Host: record.UTF8(t.Host),
		Address: t.Path.Target.Addr().String(), Port: t.Path.Target.Port(), State: string(o.State), TTL: o.TTL}
}

func differencesOf(all []Difference) []difference {
	list := []difference{}
	for _, d := range all {
		list = append(list, difference{d.Kind, d.First, d.Last, d.Old, d.New, record.UTF8(d.Text), d.Chance, d.Doubt})
	}
	return list
}

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(document{
		Schema: ID, Old: sourceOf(r.Old), New: sourceOf(r.New), SameFlow: r.SameFlow, Changed: r.Changed(),
		Differences: differencesOf(r.Differences), Doubtful: differencesOf(r.Doubtful),
		Notes: append([]string{}, r.Notes...),
	})
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, record.ASCII(b), "", "  "); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	_, err = w.Write(append(pretty.Bytes(), '\n'))
	return err
}

// WriteText writes the report in words: a line for each difference.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	since := "since the trace of " + r.Old.Started.UTC().Format("2006-01-02 15:04:05 UTC")
	if len(r.Differences) == 0 {
		fmt.Fprintf(&b, "No difference %s\n", since)
	} else {
		fmt.Fprintf(&b, "Changed %s:\n", since)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "  %s: %s%s\n", d.Kind, record.Printable(d.Text), chanceText(d.Chance))
	}
	if len(r.Doubtful) > 0 {
		b.WriteString("Doubtful, may be no change:\n")
	}
	for _, d := range r.Doubtful {
		fmt.Fprintf(&b, "  %s: %s (%s)\n", d.Kind, record.Printable(d.Text), d.Doubt)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "Note: %s\n", record.Printable(n))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// chanceText says how often chance does what was seen, if that is not never.
func chanceText(p float64) string {
	if p == 0 {
		return ""
	}
	return " (chance does that " + often(p) + ")"
}
