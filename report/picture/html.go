package picture

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// HTML writes a trace, when it is over, as one page to send to somebody: the picture, the hops as a table, and the
// findings with their evidence. The page needs no other file and no script, and is well-formed XML too.
type HTML struct {
	w   io.Writer
	run *report.Run
	rec *record.Fold
}

// NewHTML writes the run's trace t, which it folds the results into.
func NewHTML(w io.Writer, run *report.Run, t *trace.Trace) *HTML {
	return &HTML{w, run, record.NewFold(t)}
}

// Add takes a result in.
func (h *HTML) Add(r trace.Result) error {
	h.rec.Add(r)
	return nil
}

// Finish writes the page.
func (h *HTML) Finish() error {
	h.rec.Finish()
	d := draw(h.rec, h.run)
	d.findings = nil // they have a place of their own
	picture := svg(d)
	if h.run.Graph != nil {
		n := drawNetwork(h.rec, h.run, h.run.Graph)
		n.findings = nil
		picture = networkSVG(n)
	}
	_, picture, _ = strings.Cut(picture, "?>\n") // the page is no XML document of its own
	p := new(canvas)
	p.add(htmlHead, xmlText(d.title), htmlStyle)
	p.add(`<h1>%s</h1>`, xmlText(d.title))
	p.add(`<p class="quiet">%s</p>`, xmlText(d.subtitle))
	h.explain(p)
	p.add(`<h2>Picture</h2>`)
	p.add(`<div class="picture">%s</div>`, picture)
	d.table(p)
	p.add(`<p class="quiet">Made by tcptraceroute %s</p>`, xmlText(record.Printable(h.run.Version)))
	p.add("</body>\n</html>")
	_, err := io.WriteString(h.w, p.String())
	return err
}

// explain writes the findings, each with its evidence, and what came of ordinary connections.
func (h *HTML) explain(p *canvas) {
	all := h.run.Findings
	if len(all) == 0 {
		return
	}
	p.add(`<h2>Findings</h2>`)
	if x := h.run.Explanation; x != nil && x.Host != nil {
		for i := range x.Host.Controls {
			p.add(`<p>%s</p>`, htmlText(x.Host.Controls[i].String()))
		}
	}
	for i := range all {
		f := &all[i]
		p.add(`<h3>%s. <span class="%s">%s, %s</span></h3>`, htmlText(f.Title), f.Confidence,
			xmlText(string(f.Code)), f.Confidence)
		if f.Detail() {
			continue
		}
		if len(f.Evidence) > 0 {
			p.add(`<ul>`)
			for _, e := range f.Evidence {
				p.add(`<li>%s</li>`, htmlText(e))
			}
			p.add(`</ul>`)
		}
		if f.Advice != "" {
			p.add(`<p class="advice">%s</p>`, htmlText(f.Advice))
		}
	}
}

// htmlText makes text safe that may have come from the network.
func htmlText(s string) string { return xmlText(record.Printable(s)) }

// table writes the hops.
func (d *drawing) table(p *canvas) {
	owners := false
	for _, c := range d.columns {
		for i := range c.nodes {
			owners = owners || c.nodes[i].owner != ""
		}
	}
	heads := []string{"Hop", "Name", "Address", "Network", "State", "Lost", "Best", "Mean", "Worst"}
	p.add(`<h2>Hops</h2>`)
	p.add(`<table>`)
	row := func(cell string, values []string) {
		var b strings.Builder
		for i, v := range values {
			if owners || heads[i] != "Network" {
				fmt.Fprintf(&b, "<%s>%s</%s>", cell, xmlText(v), cell)
			}
		}
		p.add(`<tr>%s</tr>`, b.String())
	}
	row("th", heads)
	for i := range d.columns {
		c := &d.columns[i]
		for k := range c.nodes {
			n := &c.nodes[k]
			lost := ""
			if k == 0 && c.asked > 0 && c.through <= c.ttl {
				lost = fmt.Sprintf("%d/%d", c.lost, c.asked)
			}
			best, worst := n.bounds()
			row("td", []string{cmp.Or(c.hop(), "target"), n.name, n.addr, n.owner, c.state(n), lost, best, n.times(), worst})
		}
	}
	p.add(`</table>`)
	if len(d.marks) > 0 {
		p.add(`<h2>Rewritten on the way</h2>`)
		p.add(`<ul>`)
		for _, m := range d.marks {
			p.add(`<li>%s: %s</li>`, xmlText(m.where), xmlText(strings.Join(m.what, "; ")))
		}
		p.add(`</ul>`)
	}
}

// state is what a node of the column says, in words.
func (c *column) state(n *node) string {
	state := n.state
	switch {
	case n.kind == silent:
		state = strings.Join(append([]string{"no answer"}, c.notes...), " ")
	case c.ttl == 0:
		state = strings.Join(append([]string{n.state}, c.notes...), ": ")
	}
	if n.mpls != "" {
		state = strings.TrimSpace(state + " MPLS " + n.mpls)
	}
	return state
}

// bounds is the best and the worst time of a node, in words.
func (n *node) bounds() (best, worst string) {
	if len(n.rtts) == 0 {
		return "", ""
	}
	a, b := n.extremes()
	return milliseconds(a), milliseconds(b)
}

// extremes are the best and the worst time of a node that has answered.
func (n *node) extremes() (best, worst time.Duration) {
	best, worst = n.rtts[0], n.rtts[0]
	for _, t := range n.rtts {
		best, worst = min(best, t), max(worst, t)
	}
	return best, worst
}

// htmlHead is the head of a page, with its title and its style. The policy lets a browser load nothing and run nothing.
const htmlHead = `<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>%s</title>
<style>%s</style>
</head>
<body>`

const htmlStyle = `
body { margin: 2em auto; max-width: 80em; padding: 0 1em; font: 15px/1.45 system-ui, "DejaVu Sans", Verdana, sans-serif;
  color: #0f172a; background: #ffffff; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.15em; margin-top: 1.8em; }
h3 { font-size: 1em; margin: 1.2em 0 0.3em; } ul { margin: 0.2em 0; }
.quiet { color: #475569; margin-top: 0.2em; }
.picture { overflow-x: auto; }
.advice { border-left: 4px solid #1d4ed8; padding-left: 0.7em; margin: 0.5em 0; }
.certain, .likely, .possible { font-size: 0.85em; font-weight: normal; white-space: nowrap;
  padding: 0.1em 0.5em; border-radius: 0.7em; }
.certain { background: #dcfce7; } .likely { background: #fef9c3; } .possible { background: #e2e8f0; }
table { border-collapse: collapse; font-size: 0.93em; }
th, td { text-align: left; padding: 0.25em 0.8em 0.25em 0; border-bottom: 1px solid #e2e8f0; overflow-wrap: anywhere; }
td:nth-last-child(-n+4), th:nth-last-child(-n+4) { text-align: right; white-space: nowrap; }
td:first-child { white-space: nowrap; }
`
