package export

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// CSV writes a row for each probe (RFC 4180, but lines end as on Unix), hop by hop, each hop when it is complete and
// all before it are. Notices follow their hop's probes where they came in time, else they stand at the end.
type CSV struct {
	w    *csv.Writer
	run  *report.Run
	rec  *record.Fold
	next int
	told map[int]int // notices written of a TTL
	head bool

	table  []column
	before []string // what each row begins with
}

// NewCSV writes the run's trace t, which it folds the results into, to w.
func NewCSV(w io.Writer, run *report.Run, t *trace.Trace) *CSV {
	return &CSV{w: csv.NewWriter(w), run: run, rec: record.NewFold(t), next: t.First(), told: make(map[int]int),
		table: columns()}
}

// column is one column of the table: what it is called, and what stands in it, "" where there is nothing.
type column struct {
	name  string
	value func(c *CSV, r *trace.Result) string
}

// ofReply is a column about the reply.
func ofReply(name string, value func(c *CSV, a *packet.Reply) string) column {
	return column{name, func(c *CSV, r *trace.Result) string {
		if r.Reply == nil {
			return ""
		}
		return value(c, r.Reply)
	}}
}

func columns() []column {
	return []column{
		{"ttl", func(_ *CSV, r *trace.Result) string { return decimal(r.Probe.TTL) }},
		{"n", func(_ *CSV, r *trace.Result) string { return decimal(r.N) }},
		{"fate", func(_ *CSV, r *trace.Result) string { return r.Outcome.String() }},
		ofReply("address", func(_ *CSV, a *packet.Reply) string { return a.From().String() }),
		ofReply("name", func(c *CSV, a *packet.Reply) string { return Cell(c.run.NameOf(a.From())) }),
		{"rtt_ms", func(_ *CSV, r *trace.Result) string {
			if r.Reply == nil {
				return ""
			}
			return strconv.FormatFloat(float64(r.RTT())/1e6, 'f', 6, 64)
		}},
		ofReply("kind", func(_ *CSV, a *packet.Reply) string { return strings.ReplaceAll(a.Kind.String(), " ", "_") }),
		{"state", func(_ *CSV, r *trace.Result) string {
			if r.Reply == nil || r.Reply.Kind != packet.KindTCP {
				return ""
			}
			return record.StateOf(*r)
		}},
		ofReply("mark", func(_ *CSV, a *packet.Reply) string { return record.Mark(a) }),
		ofReply("icmp_type", icmpOnly(func(a *packet.Reply) string { return decimal(a.Type) })),
		ofReply("icmp_code", icmpOnly(func(a *packet.Reply) string { return decimal(a.Code) })),
		ofReply("mtu_bytes", icmpOnly(func(a *packet.Reply) string { return unlessZero(a.MTU) })),
		{"reply_ttl", func(_ *CSV, r *trace.Result) string {
			if r.Reply == nil || r.Evidence == trace.ByKernel && r.Reply.Kind == packet.KindTCP {
				return ""
			}
			return decimal(r.Reply.IP.TTL)
		}},
		ofReply("quoted_ttl", icmpOnly(func(a *packet.Reply) string {
			if a.Quote.Bytes == 0 {
				return ""
			}
			return decimal(a.Quote.IP.TTL)
		})),
		{"changes", func(_ *CSV, r *trace.Result) string { return changes(r) }},
		ofReply("mpls", icmpOnly(mpls)),
		ofReply("interface", icmpOnly(interfaces)),
		ofReply("asn", func(c *CSV, a *packet.Reply) string { return unlessZero(c.owner(a).ASN) }),
		ofReply("as_name", func(c *CSV, a *packet.Reply) string { return Cell(c.owner(a).Name) }),
		ofReply("country", func(c *CSV, a *packet.Reply) string { return Cell(c.owner(a).Country) }),
		{"sent", func(_ *CSV, r *trace.Result) string {
			if r.Sent.IsZero() {
				return ""
			}
			return r.Sent.UTC().Format("2006-01-02T15:04:05.000000000Z")
		}},
		{"source_port", func(_ *CSV, r *trace.Result) string { return decimal(r.Probe.Src.Port()) }},
		{"ip_id", func(c *CSV, r *trace.Result) string {
			if r.Probe.Src.Addr().Is6() || c.run.Connections {
				return ""
			}
			return decimal(r.Probe.ID)
		}},
		{"evidence", func(_ *CSV, r *trace.Result) string {
			if r.Reply == nil {
				return ""
			}
			return r.Evidence.String()
		}},
		{"error", func(_ *CSV, r *trace.Result) string {
			if r.Err == nil {
				return ""
			}
			return Cell(r.Err.Error())
		}},
		{"address_note", func(_ *CSV, r *trace.Result) string {
			if r.Reply == nil {
				return ""
			}
			return record.AddressNote(r.Reply.From(), r.Probe.Dst.Addr())
		}},
		ofReply("node", icmpOnly(nodes)),
		{"target", func(_ *CSV, r *trace.Result) string { return r.Probe.Dst.Addr().String() }},
		{"target_port", func(_ *CSV, r *trace.Result) string { return decimal(r.Probe.Dst.Port()) }},
		{hostColumn, func(c *CSV, _ *trace.Result) string { return Cell(c.run.Host) }},
		{"role", func(_ *CSV, r *trace.Result) string { return r.Role.String() }},
	}
}

// hostColumn is what the user called the target.
const hostColumn = "host"

func decimal[T ~uint8 | ~uint16 | ~uint32 | ~int](n T) string { return fmt.Sprint(n) }

func unlessZero(n uint32) string {
	if n == 0 {
		return ""
	}
	return decimal(n)
}

func icmpOnly(value func(*packet.Reply) string) func(*CSV, *packet.Reply) string {
	return func(_ *CSV, a *packet.Reply) string {
		if a.Kind == packet.KindTCP || a.Kind == packet.KindEcho {
			return ""
		}
		return value(a)
	}
}

func (c *CSV) owner(a *packet.Reply) record.Owner {
	o, _ := c.run.OwnerOf(a.From())
	return o
}

// changes are those of the probe where it was quoted, in words.
func changes(r *trace.Result) string {
	if r.Reply == nil {
		return ""
	}
	var all []string
	for c := range r.Reply.Quote.Changes(r.Probe) {
		all = append(all, c.String())
	}
	return Cell(strings.Join(all, "; "))
}

// mpls is the label stack, top first: label/TC/TTL.
func mpls(a *packet.Reply) string {
	var all []string
	for o := range a.Extensions.Objects() {
		for l := range o.MPLS() {
			all = append(all, fmt.Sprintf("%d/%d/%d", l.Label, l.TC, l.TTL))
		}
	}
	return strings.Join(all, " ")
}

// nodes are the names of routers as they say themselves, or their addresses where they have none.
func nodes(a *packet.Reply) string {
	var all []string
	for o := range a.Extensions.Objects() {
		switch n, _ := o.Node(); {
		case len(n.Name) > 0:
			all = append(all, string(n.Name))
		case n.Addr.IsValid():
			all = append(all, n.Addr.String())
		}
	}
	return Cell(strings.Join(all, " "))
}

// interfaces are the names of the interfaces, or their addresses or numbers where they have none.
func interfaces(a *packet.Reply) string {
	var all []string
	for o := range a.Extensions.Objects() {
		i, _ := o.Interface()
		switch {
		case len(i.Name) > 0:
			all = append(all, string(i.Name))
		case i.Addr.IsValid():
			all = append(all, i.Addr.String())
		case i.Index != 0:
			all = append(all, decimal(i.Index))
		}
	}
	return Cell(strings.Join(all, " "))
}

// Cell makes text safe for a cell: printable ASCII, with escapes as in a Go string, and an apostrophe before what a
// spreadsheet would take for a formula, and before an apostrophe, so that it can be undone.
func Cell(s string) string {
	s = record.Escaped(s)
	if s != "" && strings.IndexByte("=+-@'", s[0]) >= 0 {
		return "'" + s
	}
	return s
}

// Add takes a result in, and writes the hops that are complete now.
func (c *CSV) Add(r trace.Result) error {
	c.rec.Add(r)
	return c.flush()
}

// Finish writes the rest: what isn't complete, what is beyond the path's end, and notices that came too late for
// their hop.
func (c *CSV) Finish() error {
	c.rec.Finish()
	if err := c.flush(); err != nil {
		return err
	}
	for e := range c.rec.Entries() {
		if e.TTL >= c.next {
			c.rows(e.TTL, e.Probes)
		}
		c.notices(e)
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *CSV) flush() error {
	if !c.head {
		c.head = true
		var names []string
		for _, col := range c.table {
			names = append(names, col.name)
		}
		c.w.Write(names)
	}
	for c.next <= c.rec.Last() && c.rec.Complete(c.next) {
		e := c.rec.Entry(c.next)
		c.rows(e.TTL, e.Probes)
		c.notices(e)
		c.next++
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *CSV) notices(e record.Entry) {
	c.rows(e.TTL, e.Notices[c.told[e.TTL]:])
	c.told[e.TTL] = len(e.Notices)
}

func (c *CSV) rows(ttl int, results []trace.Result) {
	for r := range slices.Values(results) {
		r.Probe.TTL = uint8(ttl) // of the hop where it is shown: a distance probe's is higher
		row := slices.Clone(c.before)
		for _, col := range c.table {
			row = append(row, col.value(c, &r))
		}
		c.w.Write(row) // its error is kept, and told by Error
	}
}
