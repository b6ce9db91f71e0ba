package picture

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// drawing is the path as it is to be drawn.
type drawing struct {
	title, subtitle string
	from            string // this host
	columns         []column
	marks           []mark
	bands           []band
	wall            *wall // nil: there is none
	findings        []string
}

// column is one TTL.
type column struct {
	ttl     int    // 0: the target, which no hop is known to be
	through int    // the last TTL, where more than one are silent; 0: there is one
	nodes   []node // at least one: a silent one where nobody answered
	asked   int    // probes that left, and whose fate is known
	lost    int
	mark    int      // what was changed on the way here: 1 and up, of drawing.marks; 0: nothing
	notes   []string // why probes were not sent, or the target was not reached
}

// node is one responder.
type node struct {
	kind     kind
	addr     string // "": silent
	name     string
	owner    string // the AS and its name
	state    string // of the target, or the mark of a refusal
	rtts     []time.Duration
	mpls     string
	answered int
}

// kind is how a node looks.
type kind uint8

const (
	router kind = iota
	silent
	open
	closed
	refused
	other     // another answer of the target
	unreached // the target, which has given no answer
)

// mark is what was changed between two columns.
type mark struct {
	n      int // its number, from 1
	where  string
	what   []string
	column int // index of the column that saw it first
}

// band is a run of columns in one network.
type band struct {
	label       string
	asn         uint32
	first, last int // indices of columns
}

const (
	longest = 48 // how much of a name is shown
	tail    = 24 // how much of the end of a longer one: a name's end says whose it is
)

// shown is text from the network in a picture.
func shown(s string) string {
	s = record.Printable(s)
	if len(s) > longest {
		s = s[:longest-3-tail] + "..." + s[len(s)-tail:]
	}
	return s
}

// draw makes the drawing of a trace that is over.
func draw(rec *record.Fold, run *report.Run) *drawing {
	d := &drawing{from: shownHost(run)}
	d.title = fmt.Sprintf("The path to %s, %s", shownTarget(run), protocol(run))
	d.subtitle = subtitle(run, outcome(rec))
	for e := range rec.Entries() {
		if !e.Beyond {
			d.columns = append(d.columns, columnOf(e, run))
		}
	}
	d.trim(rec)
	d.placeMarks(rec)
	d.placeBands(rec, run)
	d.placeTarget(rec, run)
	d.findings = findings(run)
	return d
}

// shownHost is what a picture calls the host that the probes come from.
func shownHost(run *report.Run) string { return shown(cmp.Or(run.Hostname, "this host")) }

func protocol(run *report.Run) string {
	if run.Path.Protocol == packet.ProtoEcho {
		return "ICMP echo"
	}
	return fmt.Sprintf("TCP port %d", run.Path.Target.Port())
}

// subtitle says how the measurement ended, where it began, and when.
func subtitle(run *report.Run, outcome string) string {
	return strings.Join([]string{outcome, "from " + run.Path.Source.Addr().String(),
		run.Started.UTC().Format("2006-01-02 15:04:05 UTC")}, ", ")
}

// findings has a line for each finding.
func findings(run *report.Run) (all []string) {
	for _, f := range run.Findings {
		all = append(all, fmt.Sprintf("%s (%s)", record.Printable(f.Title), f.Confidence))
	}
	return all
}

func shownTarget(run *report.Run) string {
	a := run.Path.Target.Addr().String()
	if run.Host == a {
		return a
	}
	return shown(run.Host) + " (" + a + ")"
}

// outcome says how the path ended, in a few words.
func outcome(rec *record.Fold) string {
	end := rec.End()
	switch {
	case end == nil:
		return "not reached"
	case end.Outcome != trace.Answered:
		return record.StateOf(*end) + " at an unknown distance"
	case end.Reply.Kind == packet.KindTCP:
		return record.StateOf(*end) + ", " + away(rec.EndTTL())
	case end.FromTarget():
		return "reached, " + away(rec.EndTTL())
	}
	return fmt.Sprintf("refused (%s) at hop %d", record.Mark(end.Reply), rec.EndTTL())
}

func away(hops int) string {
	if hops == 1 {
		return "1 hop away"
	}
	return fmt.Sprintf("%d hops away", hops)
}

// trim leaves a single silent column behind the last that answered: where nobody answers any more there is nothing to
// draw.
func (d *drawing) trim(rec *record.Fold) {
	if end := rec.End(); end != nil && end.Outcome == trace.Answered {
		return
	}
	last := d.lastAnswered() + 1
	if last < len(d.columns) {
		d.columns[last].through = d.columns[len(d.columns)-1].ttl
		d.columns = d.columns[:last+1]
	}
}

func columnOf(e record.Entry, run *report.Run) column {
	c := column{ttl: e.TTL}
	at := make(map[netip.Addr]int)
	for _, r := range e.Probes {
		switch r.Outcome {
		case trace.Lost:
			c.asked++
			c.lost++
		case trace.Failed:
			if m := record.LocalMark(r.Err); !slices.Contains(c.notes, m) {
				c.notes = append(c.notes, m)
			}
		case trace.Answered:
			c.asked++
			from := r.Reply.From()
			i, ok := at[from]
			if !ok {
				i = len(c.nodes)
				at[from] = i
				c.nodes = append(c.nodes, nodeOf(&r, run))
			}
			c.nodes[i].rtts = append(c.nodes[i].rtts, r.RTT())
			c.nodes[i].answered++
		}
	}
	if len(c.nodes) == 0 {
		c.nodes = []node{{kind: silent}}
	}
	return c
}

func nodeOf(r *trace.Result, run *report.Run) node {
	a := r.Reply.From()
	n := node{addr: strings.TrimSpace(a.String() + " " + record.AddressMark(a, r.Probe.Dst.Addr())),
		name: shown(run.NameOf(a)), mpls: labels(r.Reply)}
	if o, ok := run.OwnerOf(a); ok {
		n.owner = ownerText(o)
	}
	switch {
	case r.Reply.Kind == packet.KindTCP:
		n.state = record.StateOf(*r)
		switch record.PortStateOf(*r) {
		case record.Closed:
			n.kind = closed
		case record.Open:
			n.kind = open
		default:
			n.kind = other
		}
	case r.FromTarget():
		n.kind, n.state = open, "echo reply"
	case r.Refused():
		n.kind, n.state = refused, record.Mark(r.Reply)
	}
	return n
}

func ownerText(o record.Owner) string {
	var words []string
	if o.ASN != 0 {
		words = append(words, fmt.Sprintf("AS%d", o.ASN))
	}
	if o.Name != "" {
		words = append(words, shown(o.Name))
	}
	return strings.Join(words, " ")
}

// labels is the MPLS stack, top first.
func labels(a *packet.Reply) string {
	var all []string
	for o := range a.Extensions.Objects() {
		for l := range o.MPLS() {
			all = append(all, fmt.Sprint(l.Label))
		}
	}
	return strings.Join(all, " ")
}

// times are the best and the mean time of a node, in words.
func (n *node) times() string {
	if len(n.rtts) == 0 {
		return ""
	}
	return milliseconds(n.average())
}

func (n *node) average() time.Duration {
	sum := time.Duration(0)
	for _, t := range n.rtts {
		sum += t
	}
	return sum / time.Duration(len(n.rtts))
}

// milliseconds has three digits that matter.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 1:
		return fmt.Sprintf("%.3f ms", ms)
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// placeMarks finds where the probe was changed: before the first hop that quotes it changed, behind the last that
// answered before.
func (d *drawing) placeMarks(rec *record.Fold) {
	known := make(map[string]bool)
	before := "this host"
	for i := range d.columns {
		c := &d.columns[i]
		if c.nodes[0].kind == silent {
			continue
		}
		var new []packet.Change
		for _, r := range rec.Entry(c.ttl).Probes {
			if r.Outcome != trace.Answered {
				continue
			}
			for change := range r.Reply.Quote.Changes(r.Probe) {
				// The values of some fields are different in every probe, and so are what they become.
				if k := fmt.Sprint(change.Field, change.Option, change.Alteration, change.SeenAddr, stable(change)); !known[k] {
					known[k] = true
					new = append(new, change)
				}
			}
		}
		if len(new) > 0 {
			n := len(d.marks) + 1
			d.marks = append(d.marks, mark{n, fmt.Sprintf("between %s and hop %d", before, c.ttl), words(new), i})
			c.mark = n
		}
		before = fmt.Sprintf("hop %d", c.ttl)
	}
}

// stable is what a field was changed to, where that is the same for all probes.
func stable(c packet.Change) uint64 {
	switch c.Field {
	case packet.FieldID, packet.FieldSeq, packet.FieldAck, packet.FieldTimestamps, packet.FieldChecksum,
		packet.FieldFlowLabel,
		packet.FieldSourcePort:
		return 0
	}
	return c.Seen
}

// words says what was changed; addresses and ports that belong together in one.
func words(changes []packet.Change) []string {
	var all []string
	find := func(f packet.Field) (packet.Change, bool) {
		i := slices.IndexFunc(changes, func(c packet.Change) bool { return c.Field == f })
		if i < 0 {
			return packet.Change{}, false
		}
		return changes[i], true
	}
	for _, nat := range []struct {
		name       string
		addr, port packet.Field
	}{
		{"destination", packet.FieldDestination, packet.FieldDestinationPort},
		{"source", packet.FieldSource, packet.FieldSourcePort},
	} {
		a, isA := find(nat.addr)
		p, isP := find(nat.port)
		switch {
		case isA && isP:
			all = append(all, fmt.Sprintf("%s %v port %d -> %v port %d", nat.name, a.SentAddr, p.Sent, a.SeenAddr, p.Seen))
		case isA:
			all = append(all, fmt.Sprintf("%s %v -> %v", nat.name, a.SentAddr, a.SeenAddr))
		case isP:
			all = append(all, fmt.Sprintf("%s port %d -> %d", nat.name, p.Sent, p.Seen))
		}
	}
	for _, c := range changes {
		switch c.Field {
		case packet.FieldDestination, packet.FieldDestinationPort, packet.FieldSource, packet.FieldSourcePort:
		default:
			all = append(all, c.String())
		}
	}
	return all
}

// placeBands joins neighbours in one network, and the silent ones between them.
func (d *drawing) placeBands(rec *record.Fold, run *report.Run) {
	for i, c := range d.columns {
		if c.nodes[0].kind == silent {
			continue
		}
		var own record.Owner
		for _, r := range rec.Entry(c.ttl).Probes {
			if r.Outcome == trace.Answered {
				own, _ = run.OwnerOf(r.Reply.From())
				break
			}
		}
		if own.ASN == 0 {
			continue
		}
		if n := len(d.bands); n > 0 && d.bands[n-1].asn == own.ASN && d.quiet(d.bands[n-1].last+1, i) {
			d.bands[n-1].last = i
			continue
		}
		d.bands = append(d.bands, band{ownerText(own), own.ASN, i, i})
	}
}

// quiet reports whether all these columns are silent.
func (d *drawing) quiet(from, to int) bool {
	for _, c := range d.columns[from:to] {
		if c.nodes[0].kind != silent {
			return false
		}
	}
	return true
}
