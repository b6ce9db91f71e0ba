package picture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// All paths are drawn from left to right: a column for each TTL, a box for each node, and links whose width is the
// share of the flows. All sizes are in pixels.
const (
	boxLine     = 15 // between the lines of a box
	boxPad      = 9  // around the lines
	boxGap      = 14 // between boxes of a column
	leastGap    = 76 // between columns
	gapPerLink  = 3  // so much wider the gap is for each link in it
	mostGap     = 190
	linkPitch   = 9 // between the ends of links at a box
	boldFactor  = 1.12
	columnTop   = edge + 62
	columnTitle = 24
)

// place is where a box is drawn.
type place struct{ x, y, width, height float64 }

// networkPlot is where everything is drawn.
type networkPlot struct {
	boxes         []place
	source        place
	titles        []float64 // the middles of the columns
	width, height float64
	foot          float64 // where the lines of text below begin
}

// sizeOf is how large a box must be for its lines. The first one is bold.
func sizeOf(lines []string) (width, height float64) {
	for i, l := range lines {
		w := float64(len(l)) * charWidth
		if i == 0 {
			w *= boldFactor
		}
		width = max(width, w)
	}
	return width + 2*boxPad, float64(len(lines))*boxLine + 2*boxPad - 4
}

// lay places the boxes: each column in the middle of the height.
func (n *network) lay() networkPlot {
	p := networkPlot{boxes: make([]place, len(n.boxes))}
	tallest := 0.0
	heights := make([]float64, len(n.layers))
	for k, layer := range n.layers {
		for _, i := range layer {
			b := &p.boxes[i]
			b.width, b.height = sizeOf(n.boxes[i].lines)
			heights[k] += b.height + boxGap
		}
		heights[k] -= boxGap
		tallest = max(tallest, heights[k])
	}
	p.source.width, p.source.height = sizeOf([]string{n.from})
	top := float64(columnTop + columnTitle)
	p.source.x, p.source.y = edge, top+(tallest-p.source.height)/2
	x := p.source.x + p.source.width
	for k, layer := range n.layers {
		x += n.gap(layer)
		width := 0.0
		for _, i := range layer {
			width = max(width, p.boxes[i].width)
		}
		y := top + (tallest-heights[k])/2
		for _, i := range layer {
			b := &p.boxes[i]
			b.x, b.y, b.width = x, y, width
			y += b.height + boxGap
		}
		p.titles = append(p.titles, x+width/2)
		x += width
	}
	least := edge + max(float64(len(n.title))*charWidth*1.55, float64(len(n.subtitle))*charWidth)
	p.width = max(x, least, 640) + edge
	p.foot = top + tallest + 24
	p.height = p.foot + float64(len(n.footLines(&p)))*lineHeight + edge
	return p
}

// gap is how much room the links into a column need.
func (n *network) gap(layer []int) float64 {
	links := 0
	for _, l := range n.links {
		if slices.Contains(layer, l.to) {
			links++
		}
	}
	return min(leastGap+gapPerLink*float64(links), mostGap)
}

// of is the place of a box; of -1 it is this host's.
func (p *networkPlot) of(i int) place {
	if i < 0 {
		return p.source
	}
	return p.boxes[i]
}

// middle is the height of a box's middle.
func (b place) middle() float64 { return b.y + b.height/2 }

// ends are the heights of both ends of each link. The links at a side of a box are spread over it, in the order of
// where they lead.
func (n *network) spread(p *networkPlot) (from, to []float64) {
	from, to = make([]float64, len(n.links)), make([]float64, len(n.links))
	for _, side := range []struct {
		heights    []float64
		here, away func(link) int
	}{
		{from, func(l link) int { return l.from }, func(l link) int { return l.to }},
		{to, func(l link) int { return l.to }, func(l link) int { return l.from }},
	} {
		at := make(map[int][]int)
		for k, l := range n.links {
			at[side.here(l)] = append(at[side.here(l)], k)
		}
		for i, links := range at {
			slices.SortStableFunc(links, func(a, b int) int {
				return cmp.Compare(p.of(side.away(n.links[a])).middle(), p.of(side.away(n.links[b])).middle())
			})
			box := p.of(i)
			pitch := min(linkPitch, (box.height-10)/float64(len(links)))
			for k, l := range links {
				side.heights[l] = box.middle() + (float64(k)-float64(len(links)-1)/2)*pitch
			}
		}
	}
	return from, to
}

func networkSVG(n *network) string {
	p := n.lay()
	c := new(canvas)
	c.begin(p.width, p.height, n.title, n.subtitle)
	for k, layer := range n.layers {
		if ttl := n.boxes[layer[0]].ttl; ttl > 0 {
			c.text(p.titles[k], columnTop, "middle", `font-size="11" fill="#475569"`, fmt.Sprintf("hop %d", ttl))
		}
	}
	n.drawLinks(c, &p)
	c.box(p.source, []string{n.from}, `fill="#dbeafe" stroke="#1d4ed8" stroke-width="2"`, "#1e3a8a")
	for i := range n.boxes {
		n.drawBox(c, &p, i)
	}
	y := p.foot
	for _, l := range n.footLines(&p) {
		if y += lineHeight; l.text == "" {
			continue
		}
		style := `fill="#1e293b"`
		switch {
		case l.heavy:
			style = `font-weight="bold" fill="#0f172a"`
		case l.table:
			style = `font-family="DejaVu Sans Mono, monospace" xml:space="preserve" fill="#1e293b"`
		}
		c.text(edge, y, "start", style, l.text)
	}
	c.add(`</svg>`)
	return c.String()
}

func (n *network) drawLinks(c *canvas, p *networkPlot) {
	from, to := n.spread(p)
	for k, l := range n.links {
		a, b := p.of(l.from), p.of(l.to)
		x1, x2 := a.x+a.width, b.x
		bend := (x2 - x1) * 0.45
		style := fmt.Sprintf(`stroke="#475569" stroke-width="%.1f"`, l.width())
		switch {
		case l.bad:
			style = fmt.Sprintf(`stroke="%s" stroke-width="%.1f" stroke-dasharray="12 4 3 4"`, badInk, max(3, l.width()))
		case !l.known:
			style = `stroke="#94a3b8" stroke-width="1.6" stroke-dasharray="2 4"`
		}
		c.add(`<g><title>%s</title>`, xmlText(n.linkTitle(&l)))
		c.add(`<path d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f" fill="none" stroke-opacity="0.8" %s/>`,
			x1, from[k], x1+bend, from[k], x2-bend, to[k], x2, to[k], style)
		c.add(`</g>`)
	}
	const near = 0.2 // of the way: there the links of a box have parted, and those of others haven't come in between
	for k, l := range n.links {
		if l.text == "" {
			continue
		}
		a, b := p.of(l.from), p.of(l.to)
		ink, at := "#334155", near
		if l.bad {
			ink, at = badInk, 0.5
		}
		x, y := along(a.x+a.width, from[k], b.x, to[k], at)
		c.text(x, y+3, "middle", fmt.Sprintf(`font-size="9" fill="%s" stroke="#ffffff" stroke-width="3" `+
			`paint-order="stroke"`, ink), l.text)
	}
}

// along is a point of the curve that a link is drawn as.
func along(x1, y1, x2, y2, t float64) (x, y float64) {
	bend := (x2 - x1) * 0.45
	u := 1 - t
	x = u*u*u*x1 + 3*u*u*t*(x1+bend) + 3*u*t*t*(x2-bend) + t*t*t*x2
	return x, (u*u*u+3*u*u*t)*y1 + (3*u*t*t+t*t*t)*y2
}

// linkTitle is what is shown of a link that is pointed at.
func (n *network) linkTitle(l *link) string {
	heading := func(i int) string {
		if i < 0 {
			return n.from
		}
		return n.boxes[i].lines[0]
	}
	text := heading(l.from) + " to " + heading(l.to)
	if !l.known {
		return text + ": no flow was seen on it"
	}
	return text + ": " + shareText(l.share) + " of the flows"
}

func (n *network) drawBox(c *canvas, p *networkPlot, i int) {
	b := &n.boxes[i]
	k := paints[b.kind]
	style := fmt.Sprintf(`fill="#f8fafc" stroke="%s" stroke-width="1.8"`, k.stroke)
	switch {
	case b.bad:
		style = fmt.Sprintf(`fill="#fee2e2" stroke="%s" stroke-width="3" stroke-dasharray="12 4 3 4"`, badInk)
	case b.kind == silent:
		style = fmt.Sprintf(`fill="%s" stroke="%s" stroke-width="1.5" stroke-dasharray="3 3"`, k.fill, k.stroke)
	case b.kind != router:
		style = fmt.Sprintf(`fill="%s" stroke="%s" stroke-width="3"`, targetFills[b.kind], k.stroke)
	}
	c.box(p.boxes[i], b.lines, style, k.ink)
}

// targetFills are the grounds of boxes with text in them.
var targetFills = map[kind]string{open: "#dcfce7", closed: "#fee2e2", refused: "#ffedd5", other: "#fef9c3"}

// box draws a box with its lines.
func (c *canvas) box(b place, lines []string, style, ink string) {
	c.add(`<g><title>%s</title>`, xmlText(strings.Join(lines, ", ")))
	c.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6" %s/>`, b.x, b.y, b.width, b.height, style)
	for k, l := range lines {
		style := fmt.Sprintf(`font-weight="bold" fill="%s"`, ink)
		if k > 0 {
			style = `font-size="11" fill="#475569"`
		}
		c.text(b.x+boxPad, b.y+boxPad+float64(k)*boxLine+9, "start", style, l)
	}
	c.add(`</g>`)
}

// footLine is a line of the text below the picture.
type footLine struct {
	text         string
	heavy, table bool
}

// footLines are the paths, the findings, and what is not known.
func (n *network) footLines(p *networkPlot) (all []footLine) {
	room := max(int((p.width-2*edge)/charWidth), 20)
	for _, path := range n.paths {
		for _, l := range wrapText(path, room) {
			all = append(all, footLine{text: l, table: true})
		}
	}
	add := func(heading string, texts []string) {
		if len(texts) > 0 {
			all = append(all, footLine{}, footLine{text: heading, heavy: true})
		}
		for _, text := range texts {
			for _, l := range wrapText(text, room) {
				all = append(all, footLine{text: l})
			}
		}
	}
	add("Findings", n.findings)
	add(howSure, append(n.legend(), n.notes...))
	return all
}

// legend says what the ways to draw a link mean.
func (n *network) legend() (all []string) {
	all = append(all, "The wider a link, the more of the flows take it.")
	if slices.ContainsFunc(n.links, func(l link) bool { return !l.known }) {
		all = append(all, "Dotted: something leads there, but no flow was seen on this link.")
	}
	if slices.ContainsFunc(n.links, func(l link) bool { return l.bad }) {
		all = append(all, "Red and dashed: packets are lost there.")
	}
	return all
}
