package picture

import (
	"fmt"
	"io"
	"strings"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Picture draws a trace when it is over: its path, or all paths if the run has a graph of them.
type Picture struct {
	w    io.Writer
	run  *report.Run
	rec  *record.Fold
	form form
}

// form is a language that pictures are written in: of one path, and of all paths.
type form struct {
	path  func(*drawing) string
	paths func(*network) string
}

// NewDOT draws the run's trace t, which it folds the results into, in the language of Graphviz.
func NewDOT(w io.Writer, run *report.Run, t *trace.Trace) *Picture {
	return &Picture{w, run, record.NewFold(t), form{dot, networkDOT}}
}

// NewMermaid draws it as a Mermaid flowchart.
func NewMermaid(w io.Writer, run *report.Run, t *trace.Trace) *Picture {
	return &Picture{w, run, record.NewFold(t), form{mermaid, networkMermaid}}
}

// NewSVG draws it as SVG.
func NewSVG(w io.Writer, run *report.Run, t *trace.Trace) *Picture {
	return &Picture{w, run, record.NewFold(t), form{svg, networkSVG}}
}

// Add takes a result in.
func (p *Picture) Add(r trace.Result) error {
	p.rec.Add(r)
	return nil
}

// Finish writes the picture.
func (p *Picture) Finish() error {
	p.rec.Finish()
	text := ""
	if g := p.run.Graph; g != nil {
		text = p.form.paths(drawNetwork(p.rec, p.run, g))
	} else {
		text = p.form.path(draw(p.rec, p.run))
	}
	_, err := io.WriteString(p.w, text)
	return err
}

// lines are what a node is labelled with.
func (c *column) lines(n *node) []string {
	all := []string{c.title()}
	if n.kind == silent {
		return append(all, append([]string{"no answer"}, c.notes...)...)
	}
	if n.name != "" {
		all = append(all, n.name)
	}
	all = append(all, n.addr)
	if n.state != "" {
		all = append(all, n.state)
	}
	if n.mpls != "" {
		all = append(all, "MPLS "+n.mpls)
	}
	if c.ttl == 0 {
		return append(all, c.notes...)
	}
	times := n.times()
	if c.lost > 0 {
		times += fmt.Sprintf(", %d of %d lost", c.lost, c.asked)
	}
	return append(all, times)
}

// id names a node.
func (c *column) id(i int) string {
	if c.ttl == 0 {
		return "target"
	}
	if len(c.nodes) == 1 {
		return fmt.Sprintf("h%d", c.ttl)
	}
	return fmt.Sprintf("h%d_%d", c.ttl, i+1)
}

// certain reports whether a link between these two is one for sure: which of several came behind which of several
// isn't known.
func certain(a, b *column) bool {
	return len(a.nodes) == 1 && len(b.nodes) == 1 && b.ttl > 0
}

// dotText quotes a string of the DOT language, each line of it centred. In its escapes a backslash and in its entities
// an ampersand would begin something.
func dotText(lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteString(`\n`)
		}
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`, `&`, `&amp;`, `<`, `&lt;`, `>`, `&gt;`).Replace(l))
	}
	return `"` + b.String() + `"`
}

var dotStyles = map[kind]string{
	router: `fillcolor="#eef2f7", color="#64748b"`,
	silent: `fillcolor="#ffffff", color="#94a3b8", style="rounded,filled,dashed", fontcolor="#64748b"`,
	open:   `fillcolor="#dcfce7", color="#15803d", penwidth=2`, closed: `fillcolor="#fee2e2", color="#b91c1c", penwidth=2`,
	refused: `fillcolor="#ffedd5", color="#c2410c", penwidth=2`, other: `fillcolor="#fef9c3", color="#a16207", penwidth=2`,
	unreached: `fillcolor="#ffffff", color="#b91c1c", style="rounded,filled,dashed", penwidth=2, fontcolor="#7f1d1d"`,
}

// dotWall is how a wall looks.
const dotWall = `shape=box, style="filled", fillcolor="#b91c1c", color="#7f1d1d", fontcolor="#ffffff"`

func dot(d *drawing) string {
	var b strings.Builder
	b.WriteString("digraph path {\n  rankdir=LR;\n")
	fmt.Fprintf(&b, "  label=%s; labelloc=t; fontname=\"Helvetica\"; fontsize=14;\n",
		dotText(append([]string{d.title, d.subtitle}, d.findings...)...))
	b.WriteString("  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n")
	b.WriteString("  edge [color=\"#475569\", fontname=\"Helvetica\", fontsize=10, fontcolor=\"#c2410c\"];\n")
	fmt.Fprintf(&b, "  source [label=%s, shape=ellipse, fillcolor=\"#dbeafe\", color=\"#1d4ed8\"];\n", dotText(d.from))
	for i := range d.columns {
		c := &d.columns[i]
		for k := range c.nodes {
			fmt.Fprintf(&b, "  %s [label=%s, %s];\n", c.id(k), dotText(c.lines(&c.nodes[k])...), dotStyles[c.nodes[k].kind])
		}
	}
	if d.wall != nil {
		fmt.Fprintf(&b, "  wall [label=%s, %s];\n", dotText(d.wall.text), dotWall)
	}
	for i, n := range d.bands {
		fmt.Fprintf(&b, "  subgraph cluster_%d { label=%s; style=\"rounded,filled\"; "+
			"color=\"#cbd5e1\"; fillcolor=\"#f8fafc\";", i, dotText(n.label))
		for k := n.first; k <= n.last; k++ {
			for j := range d.columns[k].nodes {
				fmt.Fprintf(&b, " %s;", d.columns[k].id(j))
			}
		}
		b.WriteString(" }\n")
	}
	d.links(func(from, to string, sure bool, m *mark) {
		var attributes []string
		if !sure {
			attributes = append(attributes, `style="dashed"`)
		}
		if m != nil {
			attributes = append(attributes, "label="+dotText(m.what...), `color="#c2410c"`, "penwidth=2")
		}
		fmt.Fprintf(&b, "  %s -> %s [%s];\n", from, to, strings.Join(attributes, ", "))
	})
	b.WriteString("}\n")
	return b.String()
}

// links calls f with all links of the drawing, left to right. A mark is told with the first of those into its column.
func (d *drawing) links(f func(from, to string, sure bool, m *mark)) {
	before := &column{nodes: []node{{}}}
	ids := []string{"source"}
	for i := range d.columns {
		c := &d.columns[i]
		if d.wall != nil && d.wall.before == i {
			for _, from := range ids {
				f(from, "wall", certain(before, c) || c.ttl == 0 && len(ids) == 1, nil)
			}
			before, ids = &column{nodes: []node{{}}}, []string{"wall"}
		}
		var here []string
		for k := range c.nodes {
			here = append(here, c.id(k))
			for j, from := range ids {
				var m *mark
				if c.mark > 0 && k == 0 && j == 0 {
					m = &d.marks[c.mark-1]
				}
				f(from, here[k], certain(before, c), m)
			}
		}
		before, ids = c, here
	}
}

// mermaidText quotes a label. Whatever isn't plainly a part of words is an entity by its number.
func mermaidText(lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteString("<br/>")
		}
		for _, c := range []byte(l) {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" .,:-/()", c) >= 0 {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "#%d;", c)
			}
		}
	}
	return `"` + b.String() + `"`
}

var mermaidClasses = map[kind]string{router: "router", silent: "silent", open: "open", closed: "closed",
	refused: "refused", other: "other", unreached: "unreached"}

// mermaidBox adds a box with such texts below a heading, which nothing leads to, if there are any.
func mermaidBox(b *strings.Builder, id, heading string, all []string) {
	if len(all) > 0 {
		fmt.Fprintf(b, "    %s[%s]:::findings\n", id, mermaidText(append([]string{heading}, all...)...))
	}
}

func mermaid(d *drawing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart LR\n", mermaidText(d.title+" - "+d.subtitle))
	fmt.Fprintf(&b, "    source([%s])\n", mermaidText(d.from))
	for i := range d.columns {
		c := &d.columns[i]
		for k := range c.nodes {
			fmt.Fprintf(&b, "    %s[%s]:::%s\n", c.id(k), mermaidText(c.lines(&c.nodes[k])...), mermaidClasses[c.nodes[k].kind])
		}
	}
	if d.wall != nil {
		fmt.Fprintf(&b, "    wall[%s]:::wall\n", mermaidText(d.wall.text))
	}
	mermaidBox(&b, "findings", "Findings", d.findings)
	for i, n := range d.bands {
		fmt.Fprintf(&b, "    subgraph as%d[%s]\n", i, mermaidText(n.label))
		for k := n.first; k <= n.last; k++ {
			for j := range d.columns[k].nodes {
				fmt.Fprintf(&b, "        %s\n", d.columns[k].id(j))
			}
		}
		b.WriteString("    end\n")
	}
	d.links(func(from, to string, sure bool, m *mark) {
		arrow := "-->"
		if !sure {
			arrow = "-.->"
		}
		if m != nil {
			arrow += "|" + mermaidText(m.what...) + "|"
		}
		fmt.Fprintf(&b, "    %s %s %s\n", from, arrow, to)
	})
	b.WriteString(mermaidClassDefs)
	return b.String()
}

// mermaidClassDefs say how the kinds of nodes look.
const mermaidClassDefs = `    classDef router fill:#eef2f7,stroke:#64748b,color:#0f172a
    classDef silent fill:#ffffff,stroke:#94a3b8,color:#64748b,stroke-dasharray:4
    classDef open fill:#dcfce7,stroke:#15803d,color:#0f172a,stroke-width:2px
    classDef closed fill:#fee2e2,stroke:#b91c1c,color:#0f172a,stroke-width:2px
    classDef refused fill:#ffedd5,stroke:#c2410c,color:#0f172a,stroke-width:2px
    classDef other fill:#fef9c3,stroke:#a16207,color:#0f172a,stroke-width:2px
    classDef unreached fill:#ffffff,stroke:#b91c1c,color:#7f1d1d,stroke-width:2px,stroke-dasharray:4
    classDef wall fill:#b91c1c,stroke:#7f1d1d,color:#ffffff
    classDef findings fill:#f8fafc,stroke:#cbd5e1,color:#0f172a
`
