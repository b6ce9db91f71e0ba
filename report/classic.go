package report

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Classic writes the text that tcptraceroute has always printed: one block a hop, in hop order, each as soon as it is
// complete and all before it are.
type Classic struct {
	w    io.Writer
	o    ClassicOptions
	t    *trace.Trace
	next int            // the TTL to be printed next
	nat  netip.AddrPort // the translated destination reported last
	err  error
}

// ClassicOptions say how hops are shown.
type ClassicOptions struct {
	// Name is the name of an address, "" where it has none. It is called once a hop and responder, and may block.
	Name func(netip.Addr) string

	// DNAT shows where the quoted destination is not the one that was sent.
	DNAT bool

	// Owner shows whose network a responder is in. It is called as Name is.
	Owner func(netip.Addr) (record.Owner, bool)

	// Extensions shows what routers say beside their answer: MPLS labels, interfaces, the next hop's MTU.
	Extensions bool

	// Color marks what deserves a look: states, marks, slow times. But for that the text stays the same.
	Color bool
}

// slow is a round-trip time that is worth a look: no two places on earth are further apart.
const slow = 300 * time.Millisecond

// NewClassic writes the trace t, which it folds the results into, to w.
func NewClassic(w io.Writer, t *trace.Trace, o ClassicOptions) *Classic {
	return &Classic{w: w, o: o, t: t, next: t.First()}
}

// Add takes a result in, and prints the hops that are complete now. It returns the first error in writing.
func (c *Classic) Add(r trace.Result) error {
	c.t.Add(r)
	return c.flush()
}

// Finish prints what is known of the hops that are not complete.
func (c *Classic) Finish() error {
	c.t.Finish()
	return c.flush()
}

func (c *Classic) flush() error {
	for c.err == nil && c.next <= c.t.Last() && c.t.Complete(c.next) {
		_, c.err = io.WriteString(c.w, c.block(c.t.Hop(c.next)))
		c.next++
	}
	return c.err
}

// block is the text of one hop, line ends included.
func (c *Classic) block(h trace.Hop) string {
	var b block
	fmt.Fprintf(&b.text, "%2d ", h.TTL)
	for _, r := range h.Probes {
		switch r.Outcome {
		case trace.Answered:
			c.answer(&b, r)
		case trace.Failed:
			b.gap(c.paint(local, record.LocalMark(r.Err)))
		default:
			b.gap(c.paint(faint, "*"))
		}
	}
	return b.before.String() + b.text.String() + "\n"
}

// block is a hop's text in the making.
type block struct {
	before    strings.Builder // lines that go above the hop's own
	text      strings.Builder
	begun     bool       // text has more than the TTL
	responder netip.Addr // whose times these are; invalid: to be shown with the next
	state     string     // shown last
	beside    string     // the same, of the extensions
	afterGap  bool
}

// gap shows a probe without a time.
func (b *block) gap(mark string) {
	b.text.WriteString(" " + mark)
	b.begun, b.afterGap = true, true
}

// detected tells of a translated destination: above the hop's line, or above the next time.
func (b *block) detected(line string) {
	if !b.begun {
		b.before.WriteString(line + "\n")
		return
	}
	b.text.WriteString("\n" + line + "\n   ")
	if b.afterGap {
		b.text.WriteString(" ")
	}
	b.responder = netip.Addr{}
}

func (c *Classic) answer(b *block, r trace.Result) {
	if line := c.translated(r); line != "" {
		b.detected(c.paint(odd, line))
	}
	if from := r.Reply.From(); from != b.responder {
		if b.responder.IsValid() {
			b.text.WriteString("\n   ")
			b.afterGap = false
		}
		b.text.WriteString(" " + c.label(from))
		if m := record.AddressMark(from, r.Probe.Dst.Addr()); m != "" {
			b.text.WriteString(" " + c.paint(odd, m))
		}
		b.responder, b.beside = from, ""
	}
	if x := c.beside(r.Reply); x != b.beside && x != "" {
		b.text.WriteString(" " + x)
		b.beside = x
	}
	if r.Reply.Kind == packet.KindTCP {
		if s := record.StateOf(r); s != b.state {
			b.text.WriteString(" " + c.paint(stateStyle(s), "["+s+"]"))
			b.state = s
		}
	}
	space := "  "
	if b.afterGap {
		space = " "
	}
	speed := plain
	if r.RTT() >= slow {
		speed = odd
	}
	b.text.WriteString(space + c.paint(speed, fmt.Sprintf("%.3f ms", milliseconds(r.RTT()))))
	if m := record.Mark(r.Reply); m != "" {
		if mtu := NextHopMTU(r.Reply); c.o.Extensions && mtu != 0 {
			m += fmt.Sprintf("-%d", mtu)
		}
		b.text.WriteString(" " + c.paint(bad, m))
	}
	b.begun, b.afterGap = true, false
}

// beside is what a router says beside its answer, where that is to be shown.
func (c *Classic) beside(r *packet.Reply) string {
	if !c.o.Extensions {
		return ""
	}
	return Extensions(r)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// label is how a responder is shown: its name and address, or just the address, and its owner where that is wanted.
func (c *Classic) label(a netip.Addr) string {
	label := a.String()
	if c.o.Name != nil {
		if name := c.o.Name(a); name != "" && name != label {
			label = fmt.Sprintf("%s (%v)", record.Printable(name), a)
		}
	}
	if c.o.Owner != nil {
		owner, _ := c.o.Owner(a)
		label += " [" + owner.String() + "]"
	}
	return label
}

// translated is the line that tells of a translated destination, where it is another than the one told of last.
func (c *Classic) translated(r trace.Result) string {
	if !c.o.DNAT || r.Reply.Kind == packet.KindTCP {
		return ""
	}
	q := &r.Reply.Quote
	to := netip.AddrPortFrom(q.IP.Dst, q.TCP.DstPort)
	sent := netip.AddrPortFrom(r.Probe.Dst.Addr().WithZone(""), r.Probe.Dst.Port())
	if to == sent || to == c.nat {
		return ""
	}
	c.nat = to
	if to.Port() == sent.Port() {
		return "      Detected DNAT to " + to.Addr().String()
	}
	return "      Detected DNAT to " + to.String()
}
