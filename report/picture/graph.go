package picture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// network is all paths to a target as they are to be drawn: boxes in layers, and links from layer to layer.
type network struct {
	title, subtitle string
	from            string // this host
	boxes           []box
	layers          [][]int // indices of boxes, by TTL; the first has the lowest TTL
	links           []link
	paths           []string // a line for each path
	notes           []string // how sure all this is
	findings        []string
}

// box is a node. Nodes that a router sends packets to in turn are one box: which of them a flow meets is not known.
type box struct {
	ttl   int // 0: not known
	kind  kind
	lines []string // the first one is the heading
	share float64  // of all flows, estimated from those that were seen at each branch
	bad   bool     // it is what loses or refuses packets

	target bool
}

// link is a link between two boxes.
type link struct {
	from, to int     // indices of boxes; from -1: this host
	share    float64 // of all flows
	part     float64 // of the flows through from
	known    bool    // a flow was seen at both ends
	bad      bool    // it is what loses packets
	text     string  // what is said beside it; "": nothing
}

// mostMerged is how many addresses a box of merged nodes shows.
const mostMerged = 8

// mostGuessed is how many links are drawn between two layers if nothing is known but that there are some.
const mostGuessed = 16

// mostPaths is how many paths are listed below a picture.
const mostPaths = 24

// drawNetwork makes the drawing of all paths.
func drawNetwork(rec *record.Fold, run *report.Run, g *trace.Graph) *network {
	n := &network{from: shownHost(run), title: "All paths to " + shownTarget(run) + ", " + protocol(run)}
	o := report.PathsOptions{Target: run.Path.Target.Addr(), FirstTTL: run.Path.Effective().FirstTTL,
		MaxTTL: run.Path.Effective().MaxTTL, Connections: run.Connections}
	text := report.DescribePaths(g, o)
	n.subtitle = subtitle(run, text.Head)
	n.paths, n.notes = text.Table, text.Notes
	if more := len(n.paths) - 1 - mostPaths; more > 0 {
		n.paths = append(n.paths[:1+mostPaths:1+mostPaths], fmt.Sprintf("and %d more", more))
	}
	n.findings = findings(run)
	boxOf := n.addBoxes(rec, run, g, text.Labels)
	n.addLinks(g, boxOf)
	n.layer()
	n.addGuesses(g, boxOf)
	n.estimate(g, boxOf)
	n.sort()
	n.describe(g, boxOf)
	n.accuse(g, boxOf)
	return n
}

// addBoxes adds a box for each node, or one for several that packets are sent to in turn. It returns the box of each
// node.
func (n *network) addBoxes(rec *record.Fold, run *report.Run, g *trace.Graph, labels []string) []int {
	boxOf := make([]int, len(g.Nodes))
	merged := make(map[int]int) // TTLs to the box of merged nodes
	sprayed := sprayedNodes(g)
	for i, node := range g.Nodes {
		b := box{ttl: node.TTL, lines: nodeLines(rec, run, &g.Nodes[i], labels[i]), target: node.Target}
		b.bad = node.Refusal != nil
		switch {
		case node.Target:
			b.kind = targetKind(rec, run)
		case !node.Addr.IsValid():
			b.kind = silent
		}
		at, ok := merged[node.TTL]
		switch {
		case sprayed[i] && ok:
			n.boxes[at].lines = append(n.boxes[at].lines, b.lines[0])
		default:
			at = len(n.boxes)
			if sprayed[i] && !node.Target {
				merged[node.TTL] = at
				b.lines = b.lines[:1]
			}
			n.boxes = append(n.boxes, b)
		}
		boxOf[i] = at
	}
	for _, at := range merged {
		b := &n.boxes[at]
		if len(b.lines) == 1 {
			continue
		}
		if more := len(b.lines) - mostMerged; more > 0 {
			b.lines = append(b.lines[:mostMerged], fmt.Sprintf("and %d more", more))
		}
		b.lines = append([]string{"each packet another of"}, b.lines...)
	}
	return boxOf
}

// sprayedNodes are the nodes beyond a router that sends each packet its own way, up to where all packets meet again.
func sprayedNodes(g *trace.Graph) []bool {
	sprayed := make([]bool, len(g.Nodes))
	into := make([]int, len(g.Nodes))
	for _, l := range g.Links {
		into[l.To]++
		sprayed[l.To] = sprayed[l.To] || g.Nodes[l.From].PerPacket
	}
	for i, node := range g.Nodes {
		if into[i] > 0 {
			continue
		}
		for k, before := range g.Nodes[:i] {
			sprayed[i] = sprayed[i] || sprayed[k] && before.TTL == node.TTL-1
		}
	}
	return sprayed
}

// nodeLines are what a node is labelled with.
func nodeLines(rec *record.Fold, run *report.Run, node *trace.Node, label string) []string {
	if !node.Addr.IsValid() {
		return []string{label + "  no answer"}
	}
	address := strings.TrimSpace(node.Addr.String() + " " + record.AddressMark(node.Addr, run.Path.Target.Addr()))
	lines := []string{label + "  " + address}
	if name := shown(run.NameOf(node.Addr)); name != "" {
		lines = []string{label + "  " + name, address}
	}
	if o, ok := run.OwnerOf(node.Addr); ok {
		if text := ownerText(o); text != "" {
			lines = append(lines, text)
		}
	}
	if node.Target {
		lines = append(lines, targetState(rec, run))
	}
	if node.Refusal != nil {
		lines = append(lines, "refuses flows: "+report.RefusalText(node))
	}
	return lines
}

// targetNode is the target as the ordinary trace has seen it.
func targetNode(rec *record.Fold, run *report.Run) node {
	if end := rec.End(); end != nil && end.Outcome == trace.Answered && end.FromTarget() {
		return nodeOf(end, run)
	}
	return node{kind: other}
}

func targetKind(rec *record.Fold, run *report.Run) kind { return targetNode(rec, run).kind }

func targetState(rec *record.Fold, run *report.Run) string {
	if state := targetNode(rec, run).state; state != "" {
		return "target [" + state + "]"
	}
	return "target"
}

// addLinks adds the links that flows were seen to take. Those between the same two boxes are one.
func (n *network) addLinks(g *trace.Graph, boxOf []int) {
	for _, l := range g.Links {
		i := n.linkBetween(boxOf[l.From], boxOf[l.To])
		n.links[i].known = true
	}
}

// linkBetween finds the link between two boxes, or adds it.
func (n *network) linkBetween(from, to int) int {
	i := slices.IndexFunc(n.links, func(l link) bool { return l.from == from && l.to == to })
	if i < 0 {
		i = len(n.links)
		n.links = append(n.links, link{from: from, to: to})
	}
	return i
}

// layer sorts the boxes into layers.
func (n *network) layer() {
	n.layers = nil
	for i, b := range n.boxes {
		if i == 0 || n.boxes[n.layers[len(n.layers)-1][0]].ttl != b.ttl {
			n.layers = append(n.layers, nil)
		}
		last := len(n.layers) - 1
		n.layers[last] = append(n.layers[last], i)
	}
}

// ends reports whether a link leads into a box, and whether one leads out of it.
func (n *network) ends(at int) (into, out bool) {
	for _, l := range n.links {
		into, out = into || l.to == at, out || l.from == at
	}
	return into, out
}

// addGuesses adds the links that there must be though no flow was seen to take them: to the first hop, to boxes that
// nothing leads into, and to a target that was spared SYNs.
func (n *network) addGuesses(g *trace.Graph, boxOf []int) {
	if len(n.layers) == 0 {
		n.boxes = append(n.boxes, box{ttl: 1, kind: silent, lines: []string{"no answer"}})
		n.layer()
	}
	for i, node := range g.Nodes {
		for k, to := range g.Nodes {
			if _, out := n.ends(boxOf[i]); node.Spared && node.Unanswered == 0 && !out && to.Target && to.TTL == node.TTL+1 {
				n.linkBetween(boxOf[i], boxOf[k])
			}
		}
	}
	for k := 1; k < len(n.layers); k++ {
		n.guess(n.layers[k-1], n.layers[k])
	}
	if last := n.layers[len(n.layers)-1]; !g.Reached {
		at := len(n.boxes)
		n.boxes = append(n.boxes, box{kind: silent, lines: []string{"the target", "no answer"}})
		n.layer()
		n.guess(last, []int{at})
	}
	for _, i := range n.layers[0] {
		n.links = append(n.links, link{from: -1, to: i, known: n.boxes[i].ttl == 1})
	}
}

// guess adds links from the boxes that lead nowhere to those that nothing leads into.
func (n *network) guess(before, after []int) {
	before = slices.DeleteFunc(slices.Clone(before), func(i int) bool {
		_, out := n.ends(i)
		return out || n.boxes[i].target
	})
	after = slices.DeleteFunc(slices.Clone(after), func(i int) bool {
		into, _ := n.ends(i)
		return into
	})
	if len(before)*len(after) > mostGuessed {
		return
	}
	for _, from := range before {
		for _, to := range after {
			n.linkBetween(from, to)
		}
	}
}

// estimate says what share of all flows goes by each box and each link. What ended in boxes that lead nowhere goes on
// by those that nothing leads into.
func (n *network) estimate(g *trace.Graph, boxOf []int) {
	weight := make([]float64, len(n.boxes)) // of a box that nothing leads into
	inside := make([]float64, len(n.boxes)) // how many nodes are in a box
	for i, node := range g.Nodes {
		weight[boxOf[i]] += float64(max(1, node.Flows))
		inside[boxOf[i]]++
	}
	part := make(map[[2]int]float64)
	for _, l := range g.Links {
		part[[2]int{boxOf[l.From], boxOf[l.To]}] += l.Share / inside[boxOf[l.From]]
	}
	arrived := 0.0
	for _, layer := range n.layers {
		rest, weights := 1-arrived, 0.0
		for _, i := range layer {
			for _, l := range n.links {
				if l.to == i && l.from >= 0 && l.known {
					n.boxes[i].share += l.share
				}
			}
			if n.boxes[i].share == 0 {
				weights += weight[i]
			}
			rest -= n.boxes[i].share
		}
		for _, i := range layer {
			b := &n.boxes[i]
			if b.share == 0 {
				b.share = max(0, rest) * weight[i] / max(1, weights)
			}
			if b.target {
				arrived += b.share
			}
			n.leave(i, part)
		}
	}
}

// leave says what share the links out of a box have, and the one from this host into it.
func (n *network) leave(i int, part map[[2]int]float64) {
	for k := range n.links {
		l := &n.links[k]
		switch {
		case l.from == -1 && l.to == i:
			l.share, l.part = n.boxes[i].share, n.boxes[i].share
		case l.from == i && l.known:
			l.part = part[[2]int{l.from, l.to}]
			l.share = l.part * n.boxes[i].share
		}
	}
}

// sort orders the boxes of each layer by where their links come from, so that fewer of these cross.
func (n *network) sort() {
	place := make([]float64, len(n.boxes))
	for k, layer := range n.layers {
		if k > 0 {
			slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(place[a], place[b]) })
		}
		for at, i := range layer {
			place[i] = float64(at) - float64(len(layer)-1)/2
		}
		if k+1 == len(n.layers) {
			break
		}
		for at, i := range n.layers[k+1] {
			sum, links := 0.0, 0
			for _, l := range n.links {
				if l.to == i && l.from >= 0 {
					sum, links = sum+place[l.from], links+1
				}
			}
			if place[i] = float64(at); links > 0 {
				place[i] = sum / float64(links)
			}
		}
	}
}

// describe adds what is said of shares, and of routers that send each packet its own way.
func (n *network) describe(g *trace.Graph, boxOf []int) {
	into := make([]int, len(n.boxes))
	out := make([]int, len(n.boxes))
	for _, l := range n.links {
		into[l.to]++
		if l.from >= 0 {
			out[l.from]++
		}
	}
	for i := range n.links {
		if l := &n.links[i]; l.known && l.from >= 0 && out[l.from] > 1 && into[l.to] > 1 {
			l.text = shareText(l.part)
		}
	}
	for i := range n.boxes {
		if b := &n.boxes[i]; b.share > 0 && b.share < whole {
			b.lines = append(b.lines, shareText(b.share)+" of the flows")
		}
	}
	for i, node := range g.Nodes {
		if b := &n.boxes[boxOf[i]]; node.PerPacket && node.Addr.IsValid() {
			b.lines = append(b.lines, "packets of one flow go on to several addresses")
		}
	}
}

// accuse marks the routers and links that lose packets, if it is known which ones do.
func (n *network) accuse(g *trace.Graph, boxOf []int) {
	of := func(node int) int {
		if node < 0 {
			return -1
		}
		return boxOf[node]
	}
	for _, s := range g.Suspects() {
		if s.Ambiguous || s.LastOnly {
			continue
		}
		text := fmt.Sprintf("%d of %d lost", s.Lost, s.Sent)
		for _, i := range s.Nodes {
			b := &n.boxes[boxOf[i]]
			b.bad = true
			b.lines = append(b.lines, fmt.Sprintf("%s, on other ways %d of %d", text, s.RestLost, s.RestSent))
		}
		for i := range n.links {
			l := &n.links[i]
			if slices.ContainsFunc(s.Links, func(ends [2]int) bool { return l.from == of(ends[0]) && l.to == of(ends[1]) }) {
				l.bad = true
				if l.text = ""; len(s.Nodes) == 0 {
					l.text = text
				}
			}
		}
	}
}

// whole is a share that is shown as all.
const whole = 0.9995

// shareText is a share in percent, with two digits that matter.
func shareText(share float64) string {
	switch p := 100 * share; {
	case share >= whole:
		return "100 %"
	case p >= 9.95:
		return fmt.Sprintf("%.0f %%", p)
	default:
		return fmt.Sprintf("%.2g %%", p)
	}
}

// id names a box in languages that need names.
func (n *network) id(i int) string {
	if i < 0 {
		return "source"
	}
	return fmt.Sprintf("n%d", i+1)
}

// width is how wide a link is drawn, by its share.
func (l *link) width() float64 { return 1.5 + 6.5*l.share }

// badInk is the colour of what loses packets.
const badInk = "#dc2626"

// howSure is the heading of the notes.
const howSure = "How sure this is"

// noteLines are the notes as lines of a box.
func (n *network) noteLines() (all []string) {
	for _, text := range n.notes {
		all = append(all, wrapText(text, 60)...)
	}
	return all
}

func networkDOT(n *network) string {
	var b strings.Builder
	b.WriteString("digraph paths {\n  rankdir=LR; ranksep=0.9;\n")
	fmt.Fprintf(&b, "  label=%s; labelloc=t; fontname=\"Helvetica\"; fontsize=14;\n",
		dotText(append([]string{n.title, n.subtitle}, n.findings...)...))
	b.WriteString("  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n")
	b.WriteString("  edge [color=\"#475569\", fontname=\"Helvetica\", fontsize=10];\n")
	fmt.Fprintf(&b, "  source [label=%s, shape=ellipse, fillcolor=\"#dbeafe\", color=\"#1d4ed8\"];\n", dotText(n.from))
	if len(n.notes) > 0 {
		fmt.Fprintf(&b, "  notes [label=%s, shape=note, style=\"\", color=\"#94a3b8\"];\n",
			dotText(append([]string{howSure}, n.noteLines()...)...))
	}
	for _, layer := range n.layers {
		b.WriteString("  { rank=same;\n")
		for _, i := range layer {
			box := &n.boxes[i]
			style := dotStyles[box.kind]
			if box.bad {
				style = fmt.Sprintf("fillcolor=\"#fee2e2\", color=%q, style=\"rounded,filled,dashed\", penwidth=3", badInk)
			}
			fmt.Fprintf(&b, "    %s [label=%s, %s];\n", n.id(i), dotText(box.lines...), style)
		}
		b.WriteString("  }\n")
	}
	for i := range n.links {
		l := &n.links[i]
		attributes := []string{fmt.Sprintf("penwidth=%.1f", l.width())}
		switch {
		case l.bad:
			attributes = append(attributes, fmt.Sprintf("color=%q, fontcolor=%q, style=\"dashed\"", badInk, badInk))
		case !l.known:
			attributes = []string{`style="dotted"`}
		}
		if l.text != "" {
			attributes = append(attributes, "label="+dotText(l.text))
		}
		fmt.Fprintf(&b, "  %s -> %s [%s];\n", n.id(l.from), n.id(l.to), strings.Join(attributes, ", "))
	}
	b.WriteString("}\n")
	return b.String()
}

func networkMermaid(n *network) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart LR\n", mermaidText(n.title+" - "+n.subtitle))
	fmt.Fprintf(&b, "    source([%s])\n", mermaidText(n.from))
	for _, layer := range n.layers {
		for _, i := range layer {
			class := mermaidClasses[n.boxes[i].kind]
			if n.boxes[i].bad {
				class = "bad"
			}
			fmt.Fprintf(&b, "    %s[%s]:::%s\n", n.id(i), mermaidText(n.boxes[i].lines...), class)
		}
	}
	mermaidBox(&b, "findings", "Findings", n.findings)
	mermaidBox(&b, "notes", howSure, n.noteLines())
	for i := range n.links {
		l := &n.links[i]
		arrow := "-->"
		if !l.known {
			arrow = "-.->"
		}
		if l.text != "" {
			arrow += "|" + mermaidText(l.text) + "|"
		}
		fmt.Fprintf(&b, "    %s %s %s\n", n.id(l.from), arrow, n.id(l.to))
	}
	for i := range n.links {
		switch l := &n.links[i]; {
		case l.bad:
			fmt.Fprintf(&b, "    linkStyle %d stroke:%s,stroke-width:%.1fpx,stroke-dasharray:9 4\n",
				i, badInk, l.width())
		case l.known:
			fmt.Fprintf(&b, "    linkStyle %d stroke-width:%.1fpx\n", i, l.width())
		}
	}
	b.WriteString(mermaidClassDefs)
	b.WriteString("    classDef bad fill:#fee2e2,stroke:#dc2626,color:#0f172a,stroke-width:3px,stroke-dasharray:9 4\n")
	return b.String()
}
