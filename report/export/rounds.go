package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
)

// WriteRounds writes rounds that are over: in the format json, jsonl, csv or mtr-json, else as mtr's table. fields and
// both are for the last two, see [report.TableOptions].
func WriteRounds(w io.Writer, t *record.Trace, format, fields string, both bool) error {
	switch format {
	case "json":
		return t.WriteJSON(w)
	case "jsonl": // of saved rounds: no probe is known any more
		return record.NewLines(w, t.Header).Finish(t)
	case "csv":
		return WriteRoundsCSV(w, t)
	case "mtr-json":
		return WriteRoundsMTR(w, t, fields, both)
	}
	return report.WriteRoundsTable(w, t, fields, both)
}

// WriteRoundsCSV writes a row for each hop of rounds.
func WriteRoundsCSV(w io.Writer, t *record.Trace) error {
	out := csv.NewWriter(w)
	out.Write(roundsColumns()) // its error is kept, and told by Error
	roundsRows(out, t)
	out.Flush()
	return out.Error()
}

// roundsColumns are what the first row names.
func roundsColumns() []string {
	return []string{"target", "port", "ttl", "sent", "answered", "lost", "failed", "unknown", "late", "duplicates",
		"loss_percent", "rtt_last_ms", "rtt_best_ms", "rtt_avg_ms", "rtt_worst_ms", "rtt_stdev_ms", "rtt_gmean_ms",
		"jitter_last_ms", "jitter_avg_ms", "jitter_worst_ms", "jitter_smooth_ms", "address", "name", "asn", "addresses",
		"changes", "state"}
}

// roundsRows writes the hops.
func roundsRows(out *csv.Writer, t *record.Trace) {
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e6, 'f', 6, 64) }
	for i := range t.Rounds.Hops {
		h := &t.Rounds.Hops[i]
		var address, name, asn, state string
		if len(h.Responders) > 0 {
			a := h.Responders[0].Addr
			address, name, asn = a.String(), Cell(t.NameOf(a)), unlessZero(t.Owners[a].ASN)
		}
		if h.TTL == t.Rounds.Outcome.TTL {
			state = string(t.Rounds.Outcome.State)
		}
		out.Write([]string{Cell(t.Host), decimal(t.Path.Target.Port()), decimal(h.TTL), decimal(h.Sent()),
			decimal(h.Received), decimal(h.Lost), decimal(h.Failed), decimal(h.Unknown), decimal(h.Late), decimal(h.Duplicates),
			strconv.FormatFloat(100*h.Loss(), 'f', 3, 64), ms(h.Last), ms(h.Best), ms(h.Average), ms(h.Worst), ms(h.Deviation),
			ms(h.Geometric), ms(h.Jitter), ms(h.AverageJitter), ms(h.WorstJitter), ms(h.SmoothJitter), address, name, asn,
			decimal(len(h.Responders)), decimal(h.Changes), state})
	}
}

// ManyRoundsCSV writes the rounds of many targets as one table, with a row for each hop.
type ManyRoundsCSV struct {
	w    *csv.Writer
	head bool
}

// NewManyRoundsCSV writes to w.
func NewManyRoundsCSV(w io.Writer) *ManyRoundsCSV { return &ManyRoundsCSV{w: csv.NewWriter(w)} }

// Add writes the rows of a target. A target of which no hop is known has one row, which names it: its state is that of
// the path, or why it was not traced.
func (m *ManyRoundsCSV) Add(t record.Listed) error {
	if !m.head {
		m.head = true
		m.w.Write(roundsColumns()) // its error is kept, and told by Error
	}
	if t.Trace != nil && len(t.Trace.Rounds.Hops) > 0 {
		roundsRows(m.w, t.Trace)
	} else {
		row := make([]string, len(roundsColumns()))
		row[0], row[1], row[len(row)-1] = Cell(t.Host), decimal(t.Port), t.Why.String()
		if t.Trace != nil {
			row[len(row)-1] = t.Summary.State
		}
		m.w.Write(row)
	}
	m.w.Flush()
	return m.w.Error()
}

// Finish does nothing: the table has no end of its own.
func (m *ManyRoundsCSV) Finish(record.ManyEnd) error { return nil }

// WriteRoundsMTR writes rounds as mtr 0.95 prints them with --json: the same keys in the same order, the figures by
// the letters of fields, of which blanks are passed over; both shows names with addresses.
func WriteRoundsMTR(w io.Writer, t *record.Trace, fields string, both bool) error {
	if fields == "" {
		fields = report.DefaultFields
	}
	columns, err := report.FieldsOf(fields)
	if err != nil {
		return err
	}
	p := t.Path.Effective()
	var b bytes.Buffer
	about, err := json.Marshal(mtrRun{Src: record.UTF8(t.Hostname), Dst: record.UTF8(t.Host), TOS: p.TOS,
		Tests: t.Rounds.Count, PSize: strconv.Itoa(t.Length), BitPattern: "0x00"})
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	fmt.Fprintf(&b, `{"report":{"mtr":%s,"hubs":[`, about)
	for i := range t.Rounds.Hops {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := roundsHub(&b, t, &t.Rounds.Hops[i], columns, both); err != nil {
			return err
		}
	}
	b.WriteString("]}}")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, record.ASCII(b.Bytes()), "", "    "); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	_, err = w.Write(append(pretty.Bytes(), '\n'))
	return err
}

// roundsHub writes one hop.
func roundsHub(b *bytes.Buffer, t *record.Trace, h *record.RoundsHop, columns []report.RoundsField, both bool) error {
	host, asn := mtrSilent, mtrNoASN
	if len(h.Responders) > 0 {
		a := h.Responders[0].Addr
		name := record.UTF8(t.NameOf(a))
		switch host = a.WithZone("").String(); {
		case name != "" && both:
			host = name + " (" + host + ")"
		case name != "":
			host = name
		}
		if o := t.Owners[a]; o.ASN != 0 {
			asn = fmt.Sprintf("AS%d", o.ASN)
		}
	}
	name, err := json.Marshal(host)
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	fmt.Fprintf(b, `{"count":%d,"host":%s`, h.TTL, name)
	if t.OwnersAsked {
		fmt.Fprintf(b, `,"ASN":%q`, asn)
	}
	for _, c := range columns {
		switch {
		case c.Value == nil:
		case c.Whole:
			fmt.Fprintf(b, `,%q:%.0f`, c.Title, c.Value(h))
		default:
			v := c.Value(h)
			if c.Letter != 'L' {
				v = float64(whole(v))
			}
			figure, err := real(v).MarshalJSON()
			if err != nil {
				return fmt.Errorf("JSON: %w", err)
			}
			fmt.Fprintf(b, `,%q:%s`, c.Title, figure)
		}
	}
	b.WriteByte('}')
	return nil
}
