package report

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// TableOptions say what stands around a table of rounds, and what addresses are called.
type TableOptions struct {
	Host  string                  // this host's name
	Start time.Time               // when the first round began
	Name  func(netip.Addr) string // "" where an address has none; nil: none has. It may block

	Target netip.Addr // its address is no odd one, whatever it is: see AddressMark

	// Owner puts the AS before each host, as mtr -z does; nil: it is not wanted. It may block.
	Owner func(netip.Addr) (record.Owner, bool)
}

// WriteTable writes the figures of rounds as mtr's report does, for the scripts that read that: a row for each hop,
// times in milliseconds, and below it the other addresses that answered there. A hop has one word for its host: a
// name, an address, or "???".
func WriteTable(w io.Writer, t *trace.Stats, o TableOptions) error {
	type row struct {
		hop    *trace.HopStats
		host   string
		others []string
	}
	var rows []row
	const least = 24 // that of mtr's hosts
	width := max(least, len(word(o.Host))-2)
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		r := row{hop: t.Hop(ttl), host: o.label(netip.Addr{})}
		for i, a := range byCount(r.hop) {
			if s := o.label(a); i == 0 {
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
	fmt.Fprintf(&b, "HOST: %-*s  Loss%%   Snt   Last   Avg  Best  Wrst StDev\n", width+2, word(o.Host))
	for _, r := range rows {
		h := r.hop
		fmt.Fprintf(&b, "%3d.|-- %-*s %5.1f%% %5d %6.1f %5.1f %5.1f %5.1f %5.1f\n", h.TTL, width, r.host, 100*h.Loss(),
			h.Sent(),
			milliseconds(h.Last), milliseconds(h.Average()), milliseconds(h.Best), milliseconds(h.Worst),
			milliseconds(h.Deviation()))
		for _, s := range r.others {
			fmt.Fprintf(&b, "        %s\n", s)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byCount is who answered at a hop, the most frequent first.
func byCount(h *trace.HopStats) []netip.Addr {
	all, _ := h.Responders()
	all = slices.SortedStableFunc(slices.Values(all),
		func(a, b trace.Responder) int { return cmp.Compare(b.Count, a.Count) })
	var addrs []netip.Addr
	for _, r := range all {
		addrs = append(addrs, r.Addr)
	}
	return addrs
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
		if name := o.Name(a); name != "" {
			return word(name)
		}
	}
	return a.String() + mark
}

// word makes text from the network one printable word.
func word(s string) string {
	return strings.ReplaceAll(record.Printable(s), " ", `\x20`)
}
