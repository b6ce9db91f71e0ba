package report

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/record"
)

// TableOptions say what stands around a table of rounds, in it, and what addresses are called.
type TableOptions struct {
	Host  string                  // this host's name
	Start time.Time               // when the first round began
	Name  func(netip.Addr) string // "" where an address has none; nil: none has. It may block

	Target netip.Addr // its address is no odd one, whatever it is: see AddressMark

	// Owner puts the AS before each host, as mtr -z does; nil: it is not wanted. It may block.
	Owner func(netip.Addr) (record.Owner, bool)

	Fields string // the columns, by the letters of RoundsFields; "": DefaultFields
	Both   bool   // names with addresses, as mtr -b shows them
}

// RoundsField is a figure of a hop, as mtr knows it by a letter.
type RoundsField struct {
	Letter byte
	Title  string // in a table, and as a key
	width  int    // of its column in mtr's table
	Whole  bool   // it is a whole number
	Value  func(h *record.RoundsHop) float64
}

// RoundsFields are all figures that mtr has. Times are in milliseconds.
func RoundsFields() []RoundsField {
	ms := func(of func(h *record.RoundsHop) time.Duration) func(h *record.RoundsHop) float64 {
		return func(h *record.RoundsHop) float64 { return milliseconds(of(h)) }
	}
	count := func(of func(h *record.RoundsHop) int) func(h *record.RoundsHop) float64 {
		return func(h *record.RoundsHop) float64 { return float64(of(h)) }
	}
	return []RoundsField{
		{'L', "Loss%", 7, false, func(h *record.RoundsHop) float64 { return 100 * h.Loss() }},
		{'D', "Drop", 5, true, count(func(h *record.RoundsHop) int { return h.Lost })},
		{'R', "Rcv", 6, true, count(func(h *record.RoundsHop) int { return h.Received })},
		{'S', "Snt", 6, true, count(func(h *record.RoundsHop) int { return h.Sent() })},
		{'N', "Last", 6, false, ms(func(h *record.RoundsHop) time.Duration { return h.Last })},
		{'B', "Best", 6, false, ms(func(h *record.RoundsHop) time.Duration { return h.Best })},
		{'A', "Avg", 6, false, ms(func(h *record.RoundsHop) time.Duration { return h.Average })},
		{'W', "Wrst", 6, false, ms(func(h *record.RoundsHop) time.Duration { return h.Worst })},
		{'V', "StDev", 6, false, ms(func(h *record.RoundsHop) time.Duration { return h.Deviation })},
		{'G', "Gmean", 6, false, ms(func(h *record.RoundsHop) time.Duration { return h.Geometric })},
		{'J', "Jttr", 5, false, ms(func(h *record.RoundsHop) time.Duration { return h.Jitter })},
		{'M', "Javg", 5, false, ms(func(h *record.RoundsHop) time.Duration { return h.AverageJitter })},
		{'X', "Jmax", 5, false, ms(func(h *record.RoundsHop) time.Duration { return h.WorstJitter })},
		{'I', "Jint", 5, false, ms(func(h *record.RoundsHop) time.Duration { return mtrJitterScale * h.SmoothJitter })},
	}
}

// mtrJitterScale is by how much mtr's Jint is larger than the interarrival jitter of RFC 3550: mtr computes it as the
// RFC's appendix A.8 does, in sixteenths, and prints the sum without the division that ends that algorithm.
const mtrJitterScale = 16

// DefaultFields are the columns of mtr's report, with a blank between.
const DefaultFields = "LS NABWV"

// space is the letter of a blank between columns.
const space = ' '

// FieldsOf returns the fields of these letters, of a blank one without a title. An unknown letter is an error.
func FieldsOf(letters string) (all []RoundsField, err error) {
	known := RoundsFields()
	for i := range len(letters) {
		if letters[i] == space {
			all = append(all, RoundsField{Letter: space, width: 1})
			continue
		}
		at := slices.IndexFunc(known, func(f RoundsField) bool { return f.Letter == letters[i] })
		if at < 0 {
			return nil, fmt.Errorf("no column %q", letters[i])
		}
		all = append(all, known[at])
	}
	return all, nil
}

// cell is the field's figure, as wide as mtr has it at the least.
func (f *RoundsField) cell(h *record.RoundsHop) string {
	switch {
	case f.Value == nil:
		return " "
	case f.Letter == 'L':
		return fmt.Sprintf(" %*.1f%%", f.width-2, f.Value(h))
	case f.Whole:
		return fmt.Sprintf(" %*.0f", f.width-1, f.Value(h))
	}
	return fmt.Sprintf(" %*.1f", f.width-1, f.Value(h))
}

// WriteTable writes the figures of rounds as mtr's report does, for the scripts that read that: a row for each hop,
// times in milliseconds, and below it the other addresses that answered there. A hop has one word for its host: a
// name, an address, or "???"; with both, the address stands behind the name in brackets.
func WriteTable(w io.Writer, t *record.Rounds, o TableOptions) error {
	type row struct {
		hop    *record.RoundsHop
		host   string
		others []string
	}
	if o.Fields == "" {
		o.Fields = DefaultFields
	}
	fields, err := FieldsOf(o.Fields)
	if err != nil {
		return err
	}
	var rows []row
	const least = 24 // that of mtr's hosts
	width := max(least, len(word(o.Host))-2)
	for i := range t.Hops {
		r := row{hop: &t.Hops[i], host: o.label(netip.Addr{})}
		for i, a := range t.Hops[i].Responders {
			if s := o.label(a.Addr); i == 0 {
				r.host = s
			} else {
				r.others = append(r.others, s)
			}
		}
		width = max(width, len(r.host))
		rows = append(rows, r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Start: %s\n", o.Start.Format("2006-01-02T15:04:05-0700"))
	fmt.Fprintf(&b, "HOST: %-*s", width+2, word(o.Host))
	for _, f := range fields {
		fmt.Fprintf(&b, "%*s", f.width, f.Title)
	}
	b.WriteByte('\n')
	for _, r := range rows {
		fmt.Fprintf(&b, "%3d.|-- %-*s", r.hop.TTL, width, r.host)
		for _, f := range fields {
			b.WriteString(f.cell(r.hop))
		}
		b.WriteByte('\n')
		for _, s := range r.others {
			fmt.Fprintf(&b, "        %s\n", s)
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func (o *TableOptions) label(a netip.Addr) string {
	if o.Owner == nil {
		return o.host(a)
	}
	as := "AS???"
	if owner, ok := o.Owner(a); ok && owner.ASN != 0 {
		as = fmt.Sprintf("AS%d", owner.ASN)
	}
	return fmt.Sprintf("%-10s %s", as, o.host(a))
}

func (o *TableOptions) host(a netip.Addr) string {
	if !a.IsValid() {
		return "???"
	}
	mark := record.AddressMark(a, o.Target)
	if o.Name != nil && mark == "" {
		if name := o.Name(a); name != "" && o.Both {
			return word(name) + " (" + a.String() + ")"
		} else if name != "" {
			return word(name)
		}
	}
	return a.String() + mark
}

// word makes text from the network one printable word.
func word(s string) string {
	return strings.ReplaceAll(record.Printable(s), " ", `\x20`)
}

// RoundsState says how the path of rounds ends.
func RoundsState(t *record.Trace) string {
	o := &t.Rounds.Outcome
	text := ": no answer"
	if n := len(t.Rounds.Hops); n > 0 && o.State == record.NoAnswer {
		if h := &t.Rounds.Hops[n-1]; h.Received > 0 && h.TTL == t.Path.Effective().MaxTTL {
			text = fmt.Sprintf(": not reached in %d hops, and a router answers at the last", h.TTL)
		}
	}
	switch o.State {
	case record.Open, record.Closed:
		text = " is " + string(o.State)
	case record.Refused:
		text = fmt.Sprintf(": %v refuses (%s)", o.Addr, o.Mark)
	case record.OtherTCP:
		text = " answers, neither open nor closed"
	case record.Unsent:
		text = ": nothing could be sent"
	}
	if o.Reached && o.TTL == 0 {
		text += ", but how far away it is could not be told"
	}
	return record.Printable(fmt.Sprintf("TCP port %d of %s%s", t.Path.Target.Port(), t.Target(), text))
}
