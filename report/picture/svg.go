package picture

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The SVG is one picture of two parts on a common axis, the TTL: the path above, with names at a slant, so that 30
// hops fit on a page; the times of all probes below. All sizes are in pixels.
const (
	fontSize  = 12
	charWidth = 7.1 // of DejaVu Sans and Verdana at that size, on average and generously
	slant     = 45  // degrees

	edge        = 28 // around everything
	axisWidth   = 58 // for what is written at the time axis
	leastColumn = 46
	labelPitch  = 21 // between slanted lines, along the axis
	rowHeight   = 34 // between nodes of one column
	radius      = 9
	chartHeight = 150
	lineHeight  = 18
)

var (
	bandColors = []string{"#e0f2fe", "#ede9fe", "#dcfce7", "#fef3c7", "#ffe4e6", "#e2e8f0", "#cffafe", "#fae8ff"}
	bandInks   = []string{"#075985", "#5b21b6", "#166534", "#92400e", "#9f1239", "#334155", "#155e75", "#86198f"}
)

// paint is how a kind of node is drawn.
type paint struct{ fill, stroke, ink string }

var paints = map[kind]paint{
	router:  {"#ffffff", "#334155", "#0f172a"},
	silent:  {"#ffffff", "#94a3b8", "#94a3b8"},
	open:    {"#16a34a", "#14532d", "#14532d"},
	closed:  {"#dc2626", "#7f1d1d", "#7f1d1d"},
	refused: {"#ea580c", "#7c2d12", "#7c2d12"},
	other:   {"#ca8a04", "#713f12", "#713f12"},

	unreached: {"#ffffff", "#b91c1c", "#7f1d1d"},
}

// canvas is an SVG in the making.
type canvas struct{ strings.Builder }

func (c *canvas) add(format string, a ...any) {
	fmt.Fprintf(c, format, a...)
	c.WriteByte('\n')
}

// xmlText escapes what is printable ASCII already.
func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s)
}

// text writes a line of text. anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, style, s string) {
	c.add(`<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`, x, y, anchor, style, xmlText(s))
}

// label is one slanted line above a column.
type label struct {
	text  string
	quiet bool
	ink   string
}

// labels are the slanted lines of a column: for each node its name, and its address where that is another line.
func (c *column) labels() []label {
	var all []label
	for i := range c.nodes {
		n := &c.nodes[i]
		p := paints[n.kind]
		if n.kind == silent {
			text := "no answer"
			if len(c.notes) > 0 {
				text = strings.Join(c.notes, " ")
			}
			return append(all, label{text, true, p.ink})
		}
		first := n.addr
		if n.name != "" {
			first = n.name
		}
		if n.state != "" {
			first += "  [" + n.state + "]"
		}
		all = append(all, label{first, false, p.ink})
		if n.name != "" {
			all = append(all, label{n.addr, true, "#64748b"})
		}
		if n.mpls != "" {
			all = append(all, label{"MPLS " + n.mpls, true, "#7c3aed"})
		}
		if c.ttl == 0 {
			all = append(all, label{strings.Join(c.notes, " "), true, p.ink})
		}
	}
	return all
}

// plot is where things are.
type plot struct {
	xs               []float64 // of the columns' middles
	left, right      float64   // of the columns
	rows             int
	path, chart      float64 // tops
	width, height    float64
	scale, step      float64 // of the time axis, in milliseconds: its end, and from tick to tick
	bandTop, bandEnd float64
	foot             float64 // where the lines of text below begin
}

// lay lays the drawing out.
func (d *drawing) lay() plot {
	p := plot{left: edge + axisWidth, rows: 1}
	x := p.left + leastColumn // the first place is this host's
	slope := math.Sin(slant * math.Pi / 180)
	rise := float64(len(d.from)) * charWidth * slope
	reach := x + rise
	slowest := time.Duration(0)
	for i := range d.columns {
		c := &d.columns[i]
		labels := c.labels()
		half := max(leastColumn, float64(len(labels))*labelPitch+8) / 2
		x += half
		p.xs = append(p.xs, x)
		x += half
		p.rows = max(p.rows, len(c.nodes))
		for k, l := range labels {
			long := float64(len(l.text)) * charWidth * slope
			rise = max(rise, long)
			reach = max(reach, p.xs[i]+offset(k, len(labels))+long)
		}
		for _, n := range c.nodes {
			for _, t := range n.rtts {
				slowest = max(slowest, t)
			}
		}
	}
	p.right = x
	p.scale, p.step = axis(float64(slowest) / float64(time.Millisecond))
	p.bandTop = edge + 56
	p.path = p.bandTop + 22 + rise + 16
	p.chart = p.path + float64(p.rows)*rowHeight + 40
	p.bandEnd = p.chart + chartHeight + 28
	p.foot = p.bandEnd + 14
	if len(d.bands) > 0 {
		p.foot += 26
	}
	// The title is larger and heavier.
	least := edge + max(float64(len(d.title))*charWidth*1.55, float64(len(d.subtitle))*charWidth)
	p.width = max(x, reach, least) + edge
	lines := len(d.wrapped(&p))
	p.height = p.foot + float64(lines)*lineHeight + edge
	return p
}

// offset is how far from its column's middle a slanted line begins.
func offset(i, n int) float64 { return (float64(i) - float64(n-1)/2) * labelPitch }

// mostTicks is how many steps an axis has at the most.
const mostTicks = 6

// axis is a round end of an axis that holds v, and a round step from tick to tick: 1, 2 or 5 of a power of ten.
func axis(v float64) (end, step float64) {
	if v <= 0 {
		return 1, 0.2
	}
	unit := math.Pow(10, math.Floor(math.Log10(v/mostTicks)))
	for _, m := range []float64{1, 2, 5, 10} {
		if step = m * unit; v/step <= mostTicks {
			break
		}
	}
	return math.Ceil(v/step) * step, step
}

// y is the height of a time in the chart.
func (p *plot) y(t time.Duration) float64 {
	return p.chart + chartHeight*(1-float64(t)/float64(time.Millisecond)/p.scale)
}

// row is the height of a node in the path.
func (p *plot) row(i, n int) float64 {
	return p.path + (float64(p.rows)/2+float64(i)-float64(n-1)/2)*rowHeight
}

// line is one line of the text below the picture.
type line struct {
	mark  int    // its number where a mark begins; 0: none
	color string // of a network; "": none
	text  string
	heavy bool
}

// wrapped are the lines of text below the picture.
func (d *drawing) wrapped(p *plot) []line {
	var all []line
	room := max(int((p.width-2*edge-26)/charWidth), 20)
	add := func(l line) {
		for _, text := range wrapText(l.text, room) {
			all = append(all, line{l.mark, l.color, text, l.heavy})
			l.mark, l.color = 0, ""
		}
	}
	if len(d.marks) > 0 {
		add(line{text: "Rewritten on the way", heavy: true})
		for _, m := range d.marks {
			add(line{mark: m.n, text: m.where + ": " + strings.Join(m.what, "; ")})
		}
	}
	if slices.ContainsFunc(d.bands, func(b band) bool { return p.fit(b) != b.label }) {
		add(line{text: "Networks", heavy: true})
		for i, b := range d.bands {
			add(line{color: bandColors[i%len(bandColors)], text: b.label})
		}
	}
	if len(d.findings) > 0 {
		add(line{text: "Findings", heavy: true})
		for _, f := range d.findings {
			add(line{text: f})
		}
	}
	return all
}

// wrapText cuts a text into lines that are no longer than room, at a space if there is a good one.
func wrapText(text string, room int) (all []string) {
	for first := true; text != "" || first; first = false {
		cut := min(len(text), room)
		if cut < len(text) {
			if i := strings.LastIndexByte(text[:cut], ' '); i > room/2 {
				cut = i
			}
		}
		all = append(all, text[:cut])
		text = strings.TrimLeft(text[cut:], " ")
	}
	return all
}

// begin writes the head of a picture: its size, its title and what stands below that.
func (c *canvas) begin(width, height float64, title, subtitle string) {
	c.add(`<?xml version="1.0" encoding="UTF-8"?>`)
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" `+
		`font-family="DejaVu Sans, Verdana, sans-serif" font-size="%d">`,
		width, height, width, height, fontSize)
	c.add(`<title>%s</title>`, xmlText(title))
	c.add(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	c.text(edge, edge+12, "start", `font-size="17" font-weight="bold" fill="#0f172a"`, title)
	c.text(edge, edge+33, "start", `fill="#475569"`, subtitle)
}

func svg(d *drawing) string {
	p := d.lay()
	c := new(canvas)
	c.begin(p.width, p.height, d.title, d.subtitle)
	d.drawBands(c, &p)
	d.drawChart(c, &p)
	d.drawLinks(c, &p)
	d.drawNodes(c, &p)
	d.drawFoot(c, &p)
	c.add(`</svg>`)
	return c.String()
}

// span is where a band stands: half a column more than the middles of its first and last.
func (p *plot) span(b band) (x, width float64) {
	edgeOf := func(i int) float64 { // the boundary left of column i
		switch {
		case i == 0:
			return p.xs[0] - leastColumn/2
		case i == len(p.xs):
			return p.right
		}
		return (p.xs[i-1] + p.xs[i]) / 2
	}
	x = edgeOf(b.first) + 2
	return x, edgeOf(b.last+1) - 2 - x
}

// drawBands paints the networks behind the path and the chart, each with its name below, cut to its width.
func (d *drawing) drawBands(c *canvas, p *plot) {
	for i, b := range d.bands {
		x, width := p.span(b)
		top := p.path - 8
		k := i % len(bandColors)
		c.add(`<g><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="8" fill="%s"/>`, xmlText(b.label),
			x, top, width, p.bandEnd+22-top, bandColors[k])
		text := p.fit(b)
		c.text(x+width/2, p.bandEnd+13, "middle", fmt.Sprintf(`font-weight="bold" font-size="11" fill="%s"`, bandInks[k]),
			text)
		c.add(`</g>`)
	}
}

// fit is as much of a band's label as there is room for: all of it, or the number.
func (p *plot) fit(b band) string {
	_, width := p.span(b)
	room := int(width / charWidth)
	if len(b.label) <= room {
		return b.label
	}
	number, _, _ := strings.Cut(b.label, " ")
	if len(number) > room {
		return strings.TrimPrefix(number, "AS")
	}
	return number
}

// drawChart draws the times: a dot for each probe, a line from best to worst.
func (d *drawing) drawChart(c *canvas, p *plot) {
	steps := int(math.Round(p.scale / p.step))
	for i := range steps + 1 {
		v := p.step * float64(i)
		y := p.chart + chartHeight*(1-float64(i)/float64(steps))
		c.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#cbd5e1" stroke-width="%s"/>`, p.left, y, p.right, y,
			map[bool]string{true: "1.2", false: "0.6"}[i == 0])
		c.text(p.left-8, y+4, "end", `font-size="11" fill="#475569"`, fmt.Sprintf("%.4g", v))
	}
	c.text(p.left-8, p.chart-12, "end", `font-size="11" fill="#475569"`, "ms")
	c.text(p.left-8, p.bandEnd-10, "end", `font-size="11" fill="#475569"`, "hop")
	var trend []string
	for i := range d.columns {
		col, x := &d.columns[i], p.xs[i]
		if hop := col.hop(); hop != "" {
			c.text(x, p.bandEnd-10, "middle", `font-size="11" fill="#475569"`, hop)
		}
		n := 0
		for k := range col.nodes {
			node := &col.nodes[k]
			if len(node.rtts) == 0 {
				continue
			}
			at := x + (float64(k)-float64(len(col.nodes)-1)/2)*11
			best, worst := node.extremes()
			if n++; n == 1 {
				trend = append(trend, fmt.Sprintf("%.1f,%.1f", at, p.y(node.average())))
			}
			c.add(`<g><title>%s</title>`, xmlText(strings.Join(col.lines(node), ", ")))
			c.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#2563eb" stroke-width="2" `+
				`stroke-linecap="round" opacity="0.45"/>`, at, p.y(best), at, p.y(worst))
			for _, t := range node.rtts {
				c.add(`<circle cx="%.1f" cy="%.1f" r="3" fill="#2563eb" fill-opacity="0.7"/>`, at, p.y(t))
			}
			c.add(`</g>`)
		}
		if col.nodes[0].kind == silent {
			c.text(x, p.chart+chartHeight-8, "middle", `fill="#94a3b8"`, "*")
		}
	}
	c.add(`<polyline points="%s" fill="none" stroke="#2563eb" stroke-width="1" stroke-opacity="0.35"/>`,
		strings.Join(trend, " "))
}

// vague reports whether nothing is known of the way to a column, but that there is one.
func (c *column) vague() bool {
	return c.nodes[0].kind == silent || c.ttl == 0 && c.nodes[0].kind != router
}

// drawLinks draws the way from column to column. Where it isn't known who came behind whom, links are dashed; nothing
// is known of the way to a silent hop but that there is one.
func (d *drawing) drawLinks(c *canvas, p *plot) {
	x, ys, from := p.left+leastColumn/2, []float64{p.row(0, 1)}, &column{nodes: []node{{}}}
	for i := range d.columns {
		col := &d.columns[i]
		var here []float64
		for k := range col.nodes {
			here = append(here, p.row(k, len(col.nodes)))
		}
		style := `stroke="#334155" stroke-width="2"`
		if !certain(from, col) {
			style = `stroke="#64748b" stroke-width="1.3" stroke-dasharray="5 4"`
		}
		if from.vague() || col.vague() {
			style = `stroke="#94a3b8" stroke-width="1.6" stroke-dasharray="2 4"`
		}
		for _, a := range ys {
			for _, b := range here {
				c.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`, x, a, p.xs[i], b, style)
			}
		}
		x, ys, from = p.xs[i], here, col
	}
}

func (d *drawing) drawNodes(c *canvas, p *plot) {
	x, y := p.left+leastColumn/2, p.row(0, 1)
	c.add(`<rect x="%.1f" y="%.1f" width="18" height="18" rx="4" fill="#1d4ed8"/>`, x-9, y-9)
	c.slanted(x, y-float64(p.rows)*rowHeight/2+rowHeight/2-16, label{d.from, false, "#1e3a8a"})
	before, from := x, 1
	for i := range d.columns {
		col, x := &d.columns[i], p.xs[i]
		top := p.path + rowHeight/2 - 16
		labels := col.labels()
		for k, l := range labels {
			c.slanted(x+offset(k, len(labels)), top, l)
		}
		for k := range col.nodes {
			n := &col.nodes[k]
			y := p.row(k, len(col.nodes))
			c.add(`<g><title>%s</title>`, xmlText(strings.Join(col.lines(n), ", ")))
			c.node(x, y, n.kind)
			c.add(`</g>`)
		}
		if k := col.nodes[0].kind; col.lost > 0 && k != silent {
			ink := "#b91c1c"
			if k == router {
				ink = "#94a3b8" // answers that a router didn't give are no loss of the path's
			}
			c.text(x, p.path+float64(p.rows)*rowHeight+12, "middle", fmt.Sprintf(`font-size="10" fill="%s"`, ink),
				fmt.Sprintf("%d/%d lost", col.lost, col.asked))
		}
		if d.wall != nil && d.wall.before == i {
			c.wall((before+x)/2, p, d.wall)
		}
		if col.mark > 0 {
			c.mark((before+x)/2, (p.row(0, from)+p.row(0, len(col.nodes)))/2, col.mark)
		}
		before, from = x, len(col.nodes)
	}
}

// slanted writes a line of text that rises to the right.
func (c *canvas) slanted(x, y float64, l label) {
	style := `font-weight="bold"`
	if l.quiet {
		style = `font-size="11"`
	}
	c.add(`<text transform="translate(%.1f %.1f) rotate(-%d)" %s fill="%s">%s</text>`, x+4, y-8, slant, style, l.ink,
		xmlText(l.text))
}

func (c *canvas) node(x, y float64, k kind) {
	p := paints[k]
	switch k {
	case silent:
		c.add(`<circle cx="%.1f" cy="%.1f" r="%d" fill="%s" stroke="%s" stroke-width="1.5" stroke-dasharray="3 3"/>`, x, y,
			radius-2, p.fill, p.stroke)
	case unreached:
		c.add(`<circle cx="%.1f" cy="%.1f" r="%d" fill="%s" stroke="%s" stroke-width="2" stroke-dasharray="4 3"/>`, x, y,
			radius+1, p.fill, p.stroke)
		c.add(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x, y, p.stroke)
	case refused:
		c.add(`<polygon points="%.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f" fill="%s" stroke="%s" stroke-width="2"/>`, x, y-11,
			x+11, y, x, y+11, x-11, y, p.fill, p.stroke)
	case router:
		c.add(`<circle cx="%.1f" cy="%.1f" r="%d" fill="%s" stroke="%s" stroke-width="2.5"/>`, x, y, radius-2, p.fill,
			p.stroke)
	default:
		c.add(`<circle cx="%.1f" cy="%.1f" r="%d" fill="%s" stroke="%s" stroke-width="2"/>`, x, y, radius+1, p.fill, p.stroke)
		c.add(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="#ffffff"/>`, x, y)
	}
}

// wall draws where the path stops: dashed where nobody said that it does.
func (c *canvas) wall(x float64, p *plot, w *wall) {
	dash := ` stroke-dasharray="6 4"`
	if w.sure {
		dash = ""
	}
	c.add(`<g><title>%s</title><line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#b91c1c" stroke-width="5"%s/></g>`,
		xmlText(w.text), x, p.path+2, x, p.path+float64(p.rows)*rowHeight-2, dash)
}

// mark draws the number of a change.
func (c *canvas) mark(x, y float64, n int) {
	c.add(`<g><circle cx="%.1f" cy="%.1f" r="9" fill="#f97316" stroke="#ffffff" stroke-width="2"/>`, x, y)
	c.text(x, y+4, "middle", `font-size="11" font-weight="bold" fill="#ffffff"`, fmt.Sprint(n))
	c.add(`</g>`)
}

func (d *drawing) drawFoot(c *canvas, p *plot) {
	y := p.foot
	for _, l := range d.wrapped(p) {
		y += lineHeight
		if l.mark > 0 {
			c.mark(edge+9, y-4, l.mark)
		}
		if l.color != "" {
			c.add(`<rect x="%d" y="%.1f" width="18" height="13" rx="3" fill="%s" stroke="#94a3b8" stroke-width="0.5"/>`, edge,
				y-11, l.color)
		}
		style, x := `fill="#1e293b"`, float64(edge+26)
		if l.heavy {
			style, x = `font-weight="bold" fill="#0f172a"`, edge
		}
		c.text(x, y, "start", style, l.text)
	}
}
