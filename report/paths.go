package report

import (
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// PathsOptions say how the paths are shown.
type PathsOptions struct {
	Target   netip.Addr
	FirstTTL int                     // at which the paths begin
	MaxTTL   int                     // beyond which nothing was sent
	Name     func(netip.Addr) string // "" if an address has none; nil: none has. It may block
	Port     uint16                  // the source port whose path is to be named; 0: none

	SameKernel bool // see record.Header.SameKernel

	Connections bool // the probes were connections, of which in IPv6 all have the flow label 0
}

// pathsWidth is how many columns the text has at the most, but for long names.
const pathsWidth = 80

// WritePaths writes all paths to a target: a table of them, the graph with a line for each node, and what is not known.
func WritePaths(w io.Writer, g *trace.Graph, o PathsOptions) error {
	p := paths{g: g, o: o, labels: labelNodes(g)}
	p.wrapped(p.head())
	for _, row := range p.table() {
		p.wrapped(row)
	}
	p.flow()
	p.graph()
	p.notes()
	_, err := io.WriteString(w, p.b.String())
	return err
}

// PathsText is what WritePaths writes but for the graph, in parts for other forms.
type PathsText struct {
	Head   string
	Table  []string // a heading, and a line for each path; none: no path is known
	Notes  []string // how sure all this is, and what is not known, in sentences
	Labels []string // of the nodes, as the table names them
}

// DescribePaths puts into words what was found.
func DescribePaths(g *trace.Graph, o PathsOptions) PathsText {
	p := paths{g: g, o: o, labels: labelNodes(g)}
	text := PathsText{Head: p.head(), Table: p.table(), Labels: p.labels}
	p.notes()
	text.Notes = p.sentences
	return text
}

// NamePaths returns a short name for each path, by where it differs from others and who is the first of these, and the
// graph in lines of text.
func NamePaths(g *trace.Graph, o PathsOptions) (names, graph []string) {
	p := paths{g: g, o: o, labels: labelNodes(g)}
	for _, way := range g.Ways {
		name := p.by(way)
		first, _, _ := strings.Cut(name, " ")
		at := slices.IndexFunc(way.Nodes, func(n int) bool { return n >= 0 && p.labels[n] == first })
		switch {
		case name == "":
			name = p.only()
		case at >= 0:
			name += " " + p.host(way.Nodes[at])
		}
		names = append(names, name)
	}
	p.graph()
	return names, strings.Split(strings.TrimSuffix(p.b.String(), "\n"), "\n")
}

type paths struct {
	g         *trace.Graph
	o         PathsOptions
	labels    []string // of the nodes
	b         strings.Builder
	sentences []string // of the notes
}

// labelNodes gives each node its TTL as a label, with a letter if there are several: 3a, 3b, ...
func labelNodes(g *trace.Graph) []string {
	labels := make([]string, len(g.Nodes))
	for i, n := range g.Nodes {
		at, width := place(g, i)
		labels[i] = fmt.Sprint(n.TTL)
		if width > 1 {
			labels[i] += letters(at)
		}
	}
	return labels
}

// place is the place of a node among those with its TTL, and how many these are.
func place(g *trace.Graph, node int) (at, width int) {
	for i, n := range g.Nodes {
		if n.TTL == g.Nodes[node].TTL {
			if width++; i < node {
				at++
			}
		}
	}
	return at, width
}

// letters is a number as letters: a to z, aa, ab, ...
func letters(n int) string {
	s := string(rune('a' + n%26))
	for n = n/26 - 1; n >= 0; n = n/26 - 1 {
		s = string(rune('a'+n%26)) + s
	}
	return s
}

func percent(share float64) string {
	if share > 0.9995 && share < 1 {
		return ">99.9 %"
	}
	return fmt.Sprintf("%.3g %%", 100*share)
}

// head says how many paths there are, in a line.
func (p *paths) head() string {
	g := p.g
	most, seen, lost, refused, declined, loops := "", ", seen", 0, 0, 0, 0
	for _, w := range g.Ways {
		switch by := g.Refuses(w); {
		case len(g.Circle(w)) > 0:
			loops++
		case by != nil && p.isTarget(by):
			declined++
		case by != nil:
			refused++
		case !p.arrives(w):
			lost++
		}
	}
	var rest []string
	if refused > 0 {
		rest = append(rest, fmt.Sprintf("%d refused on the way", refused))
	}
	if declined > 0 {
		rest = append(rest, fmt.Sprintf("%d refused by the target", declined))
	}
	if loops > 0 {
		rest = append(rest, fmt.Sprintf("%d in a loop", loops))
	}
	if lost > 0 {
		rest = append(rest, fmt.Sprintf("%d not seen to get there", lost))
	}
	if len(rest) > 0 {
		seen = ", and " + strings.Join(rest, ", and ") + ","
	}
	ended := refused + declined + loops
	lost += ended
	switch {
	case ended > 0:
	case lost == len(g.Ways):
		seen = " known as a whole,"
	case !g.Complete || p.unseen() > 0:
		most = "At least "
	}
	return fmt.Sprintf("%s%s to %v%s by %s and %s", most, Plural(len(g.Ways)-lost, "path"), p.o.Target, seen,
		Plural(g.Flows, "flow"), Plural(g.Probes, "probe"))
}

// declined reports whether the target itself refuses the flows of all paths.
func (p *paths) declined() bool {
	return len(p.g.Ways) > 0 && !slices.ContainsFunc(p.g.Ways, func(w trace.Way) bool {
		by := p.g.Refuses(w)
		return by == nil || !p.isTarget(by)
	})
}

// isTarget reports whether a node that refuses flows is the target itself. A reset may come from anybody.
func (p *paths) isTarget(n *trace.Node) bool {
	return n.Refusal.Kind != packet.KindTCP && n.Addr.WithZone("") == p.o.Target.WithZone("")
}

// arrives reports whether a path gets to the target, or may for all that is known: the target is spared SYNs. One that
// ends in silence, or goes on where others have arrived, doesn't.
func (p *paths) arrives(w trace.Way) bool {
	last := w.Nodes[len(w.Nodes)-1]
	if p.g.Settled(w) {
		return false
	}
	if !p.g.Reached || last >= 0 && p.g.Nodes[last].Target {
		return true
	}
	end := 0
	for _, n := range p.g.Nodes {
		if n.Target {
			end = n.TTL
		}
	}
	return last >= 0 && p.g.Nodes[last].TTL < end
}

// by are the labels of the nodes by which a path differs from others.
func (p *paths) by(way trace.Way) string {
	var by []string
	for ttl, node := range way.Nodes {
		switch {
		case node < 0:
			by = append(by, fmt.Sprintf("%d*", p.o.FirstTTL+ttl))
		default:
			if _, width := place(p.g, node); width > 1 {
				by = append(by, p.labels[node])
			}
		}
	}
	return strings.Join(by, " ")
}

// only is what a path is called that differs from no other.
func (p *paths) only() string {
	if p.g.Complete && !p.sparing() {
		return "the only way"
	}
	return "the way that is known"
}

// table is a table of the paths, with its heading. By is where a path differs from others.
func (p *paths) table() (rows []string) {
	if len(p.g.Ways) == 0 {
		return nil
	}
	bad := map[uint16]bool{} // flows that lose packets
	for _, s := range p.g.Suspects() {
		for _, port := range s.Ports {
			bad[port] = !s.LastOnly
		}
	}
	columns := p.measuredHead() + p.mtu("MTU", nil) + p.mss("MSS", nil)
	rows = append(rows, "path  share   port  "+columns+"by")
	for i, way := range p.g.Ways {
		text := p.by(way)
		if text == "" {
			text = p.only()
		}
		if by := p.g.Refuses(way); by != nil {
			text += " (" + RefusalText(by) + ")"
		} else if round := p.g.Circle(way); len(round) > 0 {
			text += fmt.Sprintf(" (a loop from hop %d on)", p.g.Nodes[round[0]].TTL)
		} else if !p.arrives(way) {
			text += " (not seen to get there)"
		}
		if slices.ContainsFunc(way.Ports, func(port uint16) bool { return bad[port] }) {
			text += " (loses packets)"
		}
		rows = append(rows, fmt.Sprintf("%4d %5.1f%%  %5d  %s%s%s%s", i+1, 100*way.Share, way.Ports[0], p.measured(way),
			p.mtu("-", way.MTU), p.mss("-", way.MSS), text))
	}
	return rows
}

// Addresses are addresses in a row.
func Addresses(all []netip.Addr) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

// flow says which path the flow takes that is asked for.
func (p *paths) flow() {
	if p.o.Port == 0 {
		return
	}
	i := slices.IndexFunc(p.g.Ways, func(w trace.Way) bool { return slices.Contains(w.Ports, p.o.Port) })
	if i < 0 {
		p.note(fmt.Sprintf("Which path source port %d takes is not known as a whole.", p.o.Port))
		return
	}
	label := ""
	if p.o.Target.Is6() {
		label = ", with the flow label that these probes had"
	}
	p.note(fmt.Sprintf("Source port %d takes path %d%s.", p.o.Port, i+1, label))
	if note := PortsMayNotCount(p.g, p.o.SameKernel); note != "" {
		p.note(note + ".")
	}
}

// PortsMayNotCount says that a source port may choose no path for ordinary connections, though it does for probes:
// where the first router shares out the flows, or any does and packets leave for another network namespace of the same
// kernel. The packets of a connection bring along a hash that the kernel has drawn for it, and a router there goes by
// that, and not by the ports. "": no reason for that is known.
func PortsMayNotCount(g *trace.Graph, sameKernel bool) string {
	shares := func(n trace.Node) bool { return n.Next > 1 }
	if sameKernel && slices.ContainsFunc(g.Nodes, shares) {
		return "A router on this machine, as for a container, sends each ordinary connection a way drawn at random, " +
			"whatever its ports, and packets leave by an interface that leads to others on this machine"
	}
	if !slices.ContainsFunc(g.Nodes, func(n trace.Node) bool { return n.TTL == 1 && shares(n) }) {
		return ""
	}
	return "Hop 1 shares out the flows. If it runs on this machine, as for a container, it sends each ordinary " +
		"connection a way drawn at random, whatever its ports"
}

// measuredHead is the heading of the columns about loss and time; "": nothing was measured.
func (p *paths) measuredHead() string {
	if p.g.Loss == nil {
		return ""
	}
	return fmt.Sprintf("%9s  %-20s", "lost", "  min/med/95% ms")
}

// shortMS is a time in milliseconds, in four characters or little more.
func shortMS(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	digits := 2
	for _, limit := range []float64{10, 100} {
		if ms >= limit {
			digits--
		}
	}
	return strconv.FormatFloat(ms, 'f', digits, 64)
}

// measured is what was measured of a path, in columns.
func (p *paths) measured(way trace.Way) string {
	if p.g.Loss == nil {
		return ""
	}
	c := p.g.OnWay(way)
	lost, times := "-", "-"
	if c.Sent > 0 {
		lost = fmt.Sprintf("%d/%d", c.Lost, c.Sent)
	}
	if n := len(c.RTTs); n > 0 {
		ms := func(i int) string { return shortMS(c.RTTs[i]) }
		times = ms(0) + "/" + ms(n/2) + "/" + ms((n*95-1)/100)
	}
	return fmt.Sprintf("%9s  %-20s", lost, "  "+times)
}

// mtu is the column of the MTU; "": it was measured of no path. other stands where it is not known.
func (p *paths) mtu(other string, m *trace.MTU) string {
	if !slices.ContainsFunc(p.g.Ways, func(w trace.Way) bool { return w.MTU != nil }) {
		return ""
	}
	if m != nil && m.Size > 0 {
		other = strconv.Itoa(m.Size)
	}
	return fmt.Sprintf("%5s  ", other)
}

// mss is the column of the MSS; "": it is changed on no path. other stands where it is not known.
func (p *paths) mss(other string, m *trace.MSS) string {
	changed := func(w trace.Way) bool { return w.MSS != nil && w.MSS.Arrived != w.MSS.Sent }
	if !slices.ContainsFunc(p.g.Ways, changed) {
		return ""
	}
	if m != nil {
		other = strconv.Itoa(m.Arrived)
	}
	return fmt.Sprintf("%5s  ", other)
}

// graph has a line for each node, with the nodes that come next.
func (p *paths) graph() {
	wide := 0
	for i := range p.g.Nodes {
		wide = max(wide, len(p.labels[i]))
	}
	lines, arrow := make([]string, len(p.g.Nodes)), 0
	for i := range p.g.Nodes {
		lines[i] = fmt.Sprintf("%*s  %s", wide, p.labels[i], p.host(i))
		if len(lines[i]) <= pathsWidth/2 {
			arrow = max(arrow, len(lines[i]))
		}
	}
	for i, line := range lines {
		if next := p.next(i); next != "" {
			line = fmt.Sprintf("%-*s  -> %s", arrow, line, next)
		}
		p.wrapped(line)
	}
}

// wrapped writes a line, with what is beyond the width on further lines.
func (p *paths) wrapped(line string) {
	const indent = "        "
	for len(line) > pathsWidth {
		cut := strings.LastIndexByte(line[:pathsWidth+1], ' ')
		if cut <= len(indent) {
			break
		}
		p.b.WriteString(strings.TrimRight(line[:cut], " ") + "\n")
		line = indent + line[cut+1:]
	}
	p.b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// host is who a node is.
func (p *paths) host(i int) string {
	n := p.g.Nodes[i]
	if !n.Addr.IsValid() {
		return "*"
	}
	name := ""
	if p.o.Name != nil {
		name = p.o.Name(n.Addr)
	}
	text := n.Addr.String()
	if name != "" {
		text = record.Printable(name) + " (" + text + ")"
	}
	if n.Target {
		text += " target"
	}
	if n.Refusal != nil {
		text += " " + RefusalText(&n)
	}
	return text
}

// RefusalText says how a node refuses flows: the mark of an ICMP error, as the trace shows it, or that it is a reset.
func RefusalText(n *trace.Node) string {
	if n.Refusal.Kind == packet.KindTCP {
		return "reset in the target's name"
	}
	return record.Mark(n.Refusal)
}

// next are the labels of the nodes after one, those in a row as a range.
func (p *paths) next(i int) string {
	var to []int
	for _, l := range p.g.Links {
		if l.From == i {
			to = append(to, l.To)
		}
	}
	slices.Sort(to)
	var parts []string
	for at := 0; at < len(to); {
		end := at
		for end+1 < len(to) && to[end+1] == to[end]+1 && p.g.Nodes[to[end+1]].TTL == p.g.Nodes[to[at]].TTL {
			end++
		}
		if end-at >= 2 {
			parts = append(parts, p.labels[to[at]]+"-"+p.labels[to[end]])
		} else {
			for k := at; k <= end; k++ {
				parts = append(parts, p.labels[to[k]])
			}
		}
		at = end + 1
	}
	if p.g.Nodes[i].PerPacket {
		parts = append(parts, "(each packet its own way?)")
	}
	return strings.Join(parts, " ")
}

// notes say how sure all this is, and what is not known.
func (p *paths) notes() {
	g := p.g
	for i, n := range g.Nodes {
		if n.SharesBy != 0 {
			p.note(fmt.Sprintf("Hop %s shares out by %v.", p.labels[i], n.SharesBy))
		}
	}
	p.faces()
	perPacket := slices.ContainsFunc(g.Nodes, func(n trace.Node) bool { return n.PerPacket })
	p.tested()
	if len(g.OtherSources) > 0 {
		p.note("This host shares its connections out over several links by their source ports: these are the paths from " +
			"one address only. Others leave from " + Addresses(g.OtherSources) + ": their paths are found by -s ADDRESS.")
	}
	if rest := p.unseen(); rest > 0 {
		p.note(fmt.Sprintf("Another %s of the flows take these links in other combinations, of which none was seen as a "+
			"whole.", percent(rest)))
	}
	switch {
	case g.Reached, p.declined():
	case p.cut():
		p.note(fmt.Sprintf("The paths go on: hop %d, the last that was asked, is no target.", p.o.MaxTTL))
	case len(g.Ways) > 0 && !slices.ContainsFunc(g.Ways, func(w trace.Way) bool { return g.Refuses(w) == nil }):
		p.note("All paths are refused on the way: what is beyond is not known.")
	default:
		p.note(fmt.Sprintf("The target didn't answer: what is beyond the last routers is not known. %s went "+
			"beyond them, which it may have got. To ask more hops there, allow it more (--max-target-syns).",
			Plural(g.TargetSYNs, "SYN")))
	}
	if g.Reached && slices.ContainsFunc(g.Nodes, func(n trace.Node) bool { return n.Refusal != nil && !p.isTarget(&n) }) {
		p.note("What is beyond who refuses flows is not known.")
	}
	if p.o.FirstTTL > 1 {
		p.note(fmt.Sprintf("Hops before hop %d were not asked: there may be more paths that lead to it.", p.o.FirstTTL))
	}
	if p.silent() {
		p.note("Routers that don't answer (*) can't be told apart: where one stands, there may be several.")
	}
	if perPacket {
		p.note("Where each packet may go its own way, one flow met several addresses: a router sends each packet " +
			"another way, or the next one answers from several of its addresses. Which of the nodes beyond are linked is " +
			"not known.")
	}
	p.spared()
	p.unlinked()
	p.untried()
	if p.o.Connections && p.o.Target.Is6() {
		p.note("A balancer that looks at no port stays hidden: at addresses only, or at the flow label, which is 0 in all " +
			"of these connections.")
	} else {
		p.note("A balancer that looks at addresses only stays hidden.")
	}
	if p.mtu("", nil) != "" {
		p.note("The MTU of a path is that to its last router, by SYNs with a payload. The path MTU above is of a " +
			"connection of its own, which may take any path.")
	}
	if p.mss("", nil) != "" {
		p.note("The MSS of a path is the maximum segment size with which its SYNs come to its last router.")
	}
	p.lossNote()
}

// tested says how sure it is that nothing is missing.
func (p *paths) tested() {
	g := p.g
	if g.Disguised(p.o.Target) {
		p.note("Routers answer in the target's name, as those beyond address translation do. They can't be told apart, so " +
			"there may be more paths.")
		return
	}
	if g.Tested {
		what := "No more paths"
		if !g.Complete || p.unseen() > 0 {
			what = "Nothing else is missing"
		}
		if g.Reached && p.sparing() {
			what += " before the last routers"
		}
		if p.o.FirstTTL > 1 {
			what += fmt.Sprintf(" from hop %d on", p.o.FirstTTL)
		}
		text := fmt.Sprintf("%s, with %s for each node and %s for the whole, where routers share out the flows evenly.",
			what, percent(g.Asked), percent(g.Confidence))
		p.note(text + p.hidden())
	} else {
		text := fmt.Sprintf("Not all of this could be tested with %s for each node: nothing is missing with %s.",
			percent(g.Asked), percent(g.Confidence))
		if slices.ContainsFunc(g.Nodes, func(n trace.Node) bool { return n.Target && n.TTL == p.o.FirstTTL }) {
			text += " The target answers the first hop that was asked, and is spared SYNs."
		}
		p.note(text)
	}
}

// unseen is the share of the flows that take none of the paths, though all nodes and links are known: paths that differ
// at several places are so many that no flow was seen to take some of them.
func (p *paths) unseen() float64 {
	rest := 1.0
	for _, w := range p.g.Ways {
		rest -= w.Share
	}
	if !p.g.Complete || len(p.g.Ways) == 0 || rest < leastUnseen {
		return 0
	}
	return rest
}

// leastUnseen is more than the shares of all paths may differ from 1 by rounding.
const leastUnseen = 0.001

// sparing reports whether there are routers beyond which there may be other ways.
func (p *paths) sparing() bool {
	return slices.ContainsFunc(p.g.Nodes, func(n trace.Node) bool { return n.Spared })
}

// labelled are the labels of the nodes that are so.
func (p *paths) labelled(so func(trace.Node) bool) (labels []string) {
	for i, n := range p.g.Nodes {
		if so(n) {
			labels = append(labels, p.labels[i])
		}
	}
	return labels
}

// spared says beyond which routers there may be other ways, and why.
func (p *paths) spared() {
	labels := p.labelled(func(n trace.Node) bool { return n.Spared })
	if len(labels) == 0 || !p.g.Reached {
		return
	}
	p.note(fmt.Sprintf("Other ways to the target beyond %s (%s) are not ruled out: it is sent only so many SYNs. To test "+
		"all last routers, allow it more (--max-target-syns).", Plural(len(labels), "last router"),
		strings.Join(labels, ", ")))
}

// unlinked says which links to the target are not known, and why.
func (p *paths) unlinked() {
	var labels []string
	for _, i := range p.g.Unlinked() {
		labels = append(labels, p.labels[i])
	}
	if len(labels) == 0 {
		return
	}
	p.note(fmt.Sprintf("From %s (%s) no flow was seen to get to the target.", Plural(len(labels), "last router"),
		strings.Join(labels, ", ")))
}

// untried says by which routers nobody was seen to get to the target, and why.
func (p *paths) untried() {
	labels := p.labelled(func(n trace.Node) bool { return n.Untried })
	if len(labels) == 0 {
		return
	}
	p.note(fmt.Sprintf("By %s before the last one (%s) no flow was seen to get to the target: it is sent only so many "+
		"SYNs, and others get there by the same last router. To test all, allow it more (--max-target-syns).",
		Plural(len(labels), "router"), strings.Join(labels, ", ")))
}

// faces says which nodes may be one router.
func (p *paths) faces() {
	for i, n := range p.g.Nodes {
		if len(n.MayBe) == 0 || n.MayBe[0] < i {
			continue // it is said of the first of them
		}
		labels := p.labels[i]
		for _, k := range n.MayBe {
			labels += ", " + p.labels[k]
		}
		p.note(fmt.Sprintf("Hops %s may be one router with several addresses: they have the same neighbours, and the IP IDs "+
			"of their answers count on together. Then paths that differ there only are one.", labels))
	}
}

// hidden says which share of the flows a branch must have to be found: at the node that most can be missing beyond, and
// at the one of those that share flows out.
func (p *paths) hidden() string {
	most, sharing := -1, -1
	for i, n := range p.g.Nodes {
		if n.Flows == 0 || n.Spared || n.Target {
			continue
		}
		if most < 0 || n.Hidden > p.g.Nodes[most].Hidden {
			most = i
		}
		if n.Next > 1 && (sharing < 0 || n.Hidden > p.g.Nodes[sharing].Hidden) {
			sharing = i
		}
	}
	if most < 0 {
		return ""
	}
	say := func(i int) string {
		return fmt.Sprintf("less than %s of the flows beyond hop %s", percent(p.g.Nodes[i].Hidden), p.labels[i])
	}
	text := " A branch may be missing if it has " + say(most)
	if sharing >= 0 && p.g.Nodes[sharing].Hidden < p.g.Nodes[most].Hidden {
		text += ", or " + say(sharing)
	}
	return text + "."
}

// lossNote says how sure the figures about loss are.
func (p *paths) lossNote() {
	l := p.g.Loss
	if l == nil {
		return
	}
	least := -1 // probes of the branch that got the fewest
	for _, w := range p.g.Ways {
		if c := p.g.OnWay(w); c.Sent > 0 && (least < 0 || c.Sent < least) {
			least = c.Sent
		}
	}
	switch {
	case least < 0:
		p.note("Loss is not known: no router beyond the branches that all paths pass could be asked.")
	case !l.Complete:
		p.note(fmt.Sprintf("Loss could not be measured as was asked, for want of time or by too many branches: a path that "+
			"loses less than %s of its packets "+
			"may look clean.", percent(1-math.Pow(1-p.g.Asked, 1/float64(least)))))
	case !l.Target && p.apart():
		p.note("Lost and ms are of probes to the last router of each path: there is none beyond that all paths pass. A " +
			"router may leave some of them unanswered, so that alone is no sign of a lossy path.")
	default:
		where := "the first router beyond that all paths pass"
		if l.Target {
			where = "the target"
		}
		p.note(fmt.Sprintf("Lost and ms are of probes to %s. A path that loses less than %s of its packets may look clean.",
			where, percent(1-math.Pow(1-p.g.Asked, 1/float64(least)))))
	}
	if n := p.g.Moved(); n > 0 {
		p.note(fmt.Sprintf("Remapped meanwhile: %s went another way when loss was measured than before. Paths and shares "+
			"may have changed.", Plural(n, "flow")))
	}
	if l.Pace >= 100*time.Millisecond {
		p.note(fmt.Sprintf("A router that left probes unanswered was asked more slowly: once in %v.", l.Pace))
	}
}

// apart reports whether the paths meet again at the target only.
func (p *paths) apart() bool {
	sections := p.g.Sections()
	return len(sections) > 0 && sections[len(sections)-1].To < 0
}

// cut reports whether routers answer at the last hop that was asked.
func (p *paths) cut() bool {
	n := len(p.g.Nodes)
	return n > 0 && p.o.MaxTTL > 0 && p.g.Nodes[n-1].TTL == p.o.MaxTTL && p.g.Nodes[n-1].Refusal == nil
}

// silent reports whether a router doesn't answer, between known ones or before them.
func (p *paths) silent() bool {
	return len(p.g.Nodes) == 0 || p.g.Nodes[0].TTL > p.o.FirstTTL ||
		slices.ContainsFunc(p.g.Nodes, func(n trace.Node) bool { return !n.Addr.IsValid() })
}

// note writes a sentence within the width.
func (p *paths) note(text string) {
	p.sentences = append(p.sentences, text)
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > pathsWidth {
			p.b.WriteString(line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.b.WriteString(line + "\n")
}
