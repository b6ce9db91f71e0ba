package picture_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// graphOf makes a graph of paths, one in a line: how many flows take it, and who answers at each hop. A word with a
// star is a silent router, one that ends in ~ sends each packet its own way, and one that ends in ! is the target. No
// links are known of a word in parentheses.
func graphOf(paths string) *trace.Graph {
	g := &trace.Graph{Asked: 0.99, Confidence: 0.97, Tested: true, Complete: true}
	type name struct {
		ttl  int
		word string
	}
	var names []name // of the nodes, in order of TTL
	longest := 0
	lines := strings.Split(strings.TrimSpace(paths), "\n")
	for _, line := range lines {
		longest = max(longest, len(strings.Fields(line))-1)
	}
	at := make(map[name]int)
	for ttl := 1; ttl <= longest; ttl++ {
		for _, line := range lines {
			words := strings.Fields(line)
			if ttl >= len(words) || words[ttl] == "-" {
				continue
			}
			n := name{ttl, words[ttl]}
			if _, ok := at[n]; ok {
				continue
			}
			at[n] = len(names)
			names = append(names, n)
			text := strings.Trim(n.word, "()~!")
			node := trace.Node{TTL: ttl, Target: strings.Contains(n.word, "!"), PerPacket: strings.Contains(n.word, "~"),
				Sure: 0.99, Hidden: 0.25}
			if !strings.Contains(text, "*") {
				node.Addr = netip.MustParseAddr(text)
			}
			g.Reached = g.Reached || node.Target
			g.Nodes = append(g.Nodes, node)
		}
	}
	links := make(map[[2]int]int)
	port := uint16(40000)
	for _, line := range lines {
		words := strings.Fields(line)
		var flows int
		fmt.Sscan(words[0], &flows)
		way := trace.Way{}
		for range flows {
			way.Ports = append(way.Ports, port)
			port++
		}
		g.Flows += flows
		for ttl := 1; ttl < len(words) && words[ttl] != "-"; ttl++ {
			here := at[name{ttl, words[ttl]}]
			g.Nodes[here].Flows += flows
			way.Nodes = append(way.Nodes, here)
			if g.Probes += flows; ttl == 1 || strings.HasPrefix(words[ttl], "(") || strings.HasPrefix(words[ttl-1], "(") {
				continue
			}
			ends := [2]int{at[name{ttl - 1, words[ttl-1]}], here}
			if links[ends] == 0 {
				g.Nodes[ends[0]].Next++
			}
			links[ends] += flows
		}
		if !strings.Contains(line, "(") {
			g.Ways = append(g.Ways, way)
		}
	}
	out := make(map[int]int)
	for from := range g.Nodes {
		for to := range g.Nodes {
			if n := links[[2]int{from, to}]; n > 0 {
				g.Links = append(g.Links, trace.Link{From: from, To: to, Flows: n})
				out[from] += n
			}
		}
	}
	for i, l := range g.Links {
		g.Links[i].Share = float64(l.Flows) / float64(out[l.From])
	}
	for i, w := range g.Ways {
		g.Ways[i].Share = float64(len(w.Ports)) / float64(g.Flows)
	}
	return g
}

// wide is a diamond of so many routers.
func wide(routers int) string {
	var b strings.Builder
	for i := range routers {
		fmt.Fprintf(&b, "%d 198.51.100.1 198.51.101.%d 198.51.102.%d 203.0.113.9!\n", 3+i%4, i+1, i+1)
	}
	return b.String()
}

// meshed has a link from each of so many routers to each of the next so many.
func meshed(routers int) string {
	var b strings.Builder
	for i := range routers {
		for k := range routers {
			fmt.Fprintf(&b, "%d 198.51.100.1 198.51.101.%d 198.51.102.%d 198.51.103.1 203.0.113.9!\n", 2+(i+k)%3, i+1, k+1)
		}
	}
	return b.String()
}

// graphs are those that pictures are kept of.
var graphs = map[string]string{
	"members": `
		9 198.51.100.1 198.51.100.5 198.51.100.9 203.0.113.9!
		8 198.51.100.1 198.51.100.6 198.51.100.9 203.0.113.9!
		3 198.51.100.1 *a           198.51.100.9 203.0.113.9!`,
	"wide":   wide(16),
	"meshed": meshed(4),
	"unequal": `
		12 2001:db8:1::1 2001:db8:2::1 2001:db8:3::1 2001:db8:9::9!
		6  2001:db8:1::1 2001:db8:2::2 2001:db8:3::2 2001:db8:4::2 2001:db8:9::9!
		6  2001:db8:1::1 2001:db8:2::2 2001:db8:3::3 2001:db8:4::3 2001:db8:9::9!`,
	"sprayed": `
		5 198.51.100.1~ 198.51.100.5 (198.51.100.9) 198.51.100.13
		4 198.51.100.1~ 198.51.100.6 (198.51.100.10) 198.51.100.13
		4 198.51.100.1~ 198.51.100.7 (198.51.100.10) 198.51.100.13`,
	"nobody": `1 *a`,
	"bad": `
		9 198.51.100.1 198.51.100.5 198.51.100.9 203.0.113.9!
		8 198.51.100.1 198.51.100.6 198.51.100.9 203.0.113.9!
		8 198.51.100.1 198.51.100.7 198.51.100.9 203.0.113.9!
		7 198.51.100.1 198.51.100.8 198.51.100.9 203.0.113.9!`,
	"bad-link": `
		9 198.51.100.1 198.51.101.1 198.51.102.1 198.51.103.1 203.0.113.9!
		8 198.51.100.1 198.51.101.1 198.51.102.2 198.51.103.1 203.0.113.9!
		9 198.51.100.1 198.51.101.2 198.51.102.1 198.51.103.1 203.0.113.9!
		7 198.51.100.1 198.51.101.2 198.51.102.2 198.51.103.1 203.0.113.9!`,
}

// losing gives a graph the figures of flows, 20 probes of each to the router at hop 3, or hop 4, beyond the branches. A
// third is lost on ways by all of these addresses.
func losing(g *trace.Graph, by ...string) *trace.Graph {
	g.Loss = &trace.Loss{Probes: 44, Complete: true}
	for _, w := range g.Ways {
		bad := true
		for _, a := range by {
			bad = bad && slices.ContainsFunc(w.Nodes, func(n int) bool { return g.Nodes[n].Addr.String() == a })
		}
		for _, port := range w.Ports {
			f := trace.FlowLoss{Node: w.Nodes[len(w.Nodes)-2], Port: port, Sent: 20}
			if bad {
				f.Lost = 7
			}
			for range f.Sent - f.Lost {
				f.RTTs = append(f.RTTs, 5*time.Millisecond)
			}
			g.Loss.Flows = append(g.Loss.Flows, f)
		}
	}
	return g
}

// drawn is the graph of a picture that is kept.
func drawn(name string) *trace.Graph {
	g := graphOf(graphs[name])
	switch name {
	case "bad":
		losing(g, "198.51.100.7")
	case "bad-link":
		losing(g, "198.51.101.1", "198.51.102.2")
	}
	return g
}

// What loses packets is drawn in red and with a pattern, and nothing else is.
func TestGraphBad(t *testing.T) {
	for name, want := range map[string]struct{ boxes, links, says string }{
		"bad":      {"n4", "2 6", "56 of 160 lost, on other ways 0 of 480"},
		"bad-link": {"", "3", "56 of 160 lost"},
		"members":  {"", "", ""},
	} {
		text := string(ofGraph(t, drawn(name), forms["mmd"]))
		var boxes, links []string
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasSuffix(line, ":::bad") {
				box, _, _ := strings.Cut(line, "[")
				boxes = append(boxes, box)
			}
			if words := strings.Fields(line); words[0] == "linkStyle" && strings.Contains(line, "stroke-dasharray") {
				links = append(links, words[1])
			}
		}
		if strings.Join(boxes, " ") != want.boxes || strings.Join(links, " ") != want.links || !strings.Contains(text, want.says) {
			t.Errorf("%s: boxes %q, links %q\n%s", name, boxes, links, text)
		}
	}
}

// A router that loses packets, or answers only some probes, is not drawn as what loses packets.
func TestGraphLastOnly(t *testing.T) {
	g := losing(graphOf(`
		9 198.51.100.1 198.51.101.1 198.51.102.1 203.0.113.9!
		8 198.51.100.1 198.51.101.2 198.51.102.2 203.0.113.9!`), "198.51.101.2")
	for _, w := range g.Ways {
		for _, port := range w.Ports {
			g.Loss.Flows = append(g.Loss.Flows, trace.FlowLoss{Node: w.Nodes[1], Port: port, Sent: 20})
		}
	}
	if all := g.Suspects(); len(all) != 1 || !all[0].LastOnly {
		t.Fatalf("suspects %+v", all)
	}
	if text := string(ofGraph(t, g, forms["mmd"])); strings.Contains(text, ":::bad") {
		t.Errorf("drawn as bad:\n%s", text)
	}
}

// ofGraph is a scene whose run has found all paths.
func ofGraph(t *testing.T, g *trace.Graph, form maker) []byte {
	t.Helper()
	s := short
	if g.Nodes[len(g.Nodes)-1].Addr.Is6() {
		s.Network = "router 2001:db8:1::1 delay=1ms\ntarget 2001:db8:9::9 closed delay=1ms"
	} else if !g.Reached {
		s.Network = filtered.Network
	}
	var out bytes.Buffer
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer {
		run.Graph = g
		return form(&out, run, t)
	})
	return out.Bytes()
}

// The pictures of all paths are those that were looked at.
func TestGraphs(t *testing.T) {
	for name := range graphs {
		g := drawn(name)
		for form, make := range forms {
			out := ofGraph(t, g, make)
			keepPicture(t, "paths-"+name+"."+form, out)
			if form == "html" { // the SVG in a page
				checkHTML(t, out)
				continue
			}
			golden := filepath.Join("testdata", "paths-"+name+"."+form)
			if *keep != "" {
				if err := os.WriteFile(golden, out, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(out, want) {
				t.Errorf("%s is another picture (%v): go test ./report/picture -keep DIR writes it again; look at it", golden, err)
			}
			switch form {
			case "svg":
				checkSVG(t, out)
			case "dot":
				graphviz(t, out)
			case "mmd":
				checkMermaid(t, out)
			}
		}
	}
}

// A picture has a box for each node and one that says how sure it is, a link for each link, and the widths are the shares.
func TestGraphLinks(t *testing.T) {
	g := graphOf(graphs["members"])
	nodes, edges := classes(graphviz(t, ofGraph(t, g, forms["dot"])))
	if nodes != 2+len(g.Nodes) || edges != 1+len(g.Links) {
		t.Errorf("%d nodes, %d edges", nodes, edges)
	}
	text := string(ofGraph(t, g, forms["dot"]))
	for _, want := range []string{
		"source -> n1 [penwidth=8.0]", "n1 -> n2 [penwidth=4.4]", "n1 -> n4 [penwidth=2.5]", "n5 -> n6 [penwidth=8.0]",
		`"2a  198.51.100.5\nAS64500 Example Access Networks\n45 % of the flows"`, `"2c  no answer\n15 % of the flows"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Links that no flow was seen on aren't drawn as those that are known.
func TestGraphGuesses(t *testing.T) {
	text := string(ofGraph(t, graphOf(graphs["sprayed"]), forms["mmd"]))
	for _, want := range []string{"n1 --> n2\n", "n2 -.-> n3\n", "n3 -.-> n4\n", "each packet another of<br/>2a  198.51.100.5<br/>2b  198.51.100.6"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	spared := graphOf(wide(3))
	spared.Links = spared.Links[:len(spared.Links)-1]
	spared.Nodes[6].Spared = true
	text = string(ofGraph(t, spared, forms["mmd"]))
	if !strings.Contains(text, "n6 --> n8\n") || !strings.Contains(text, "n7 -.-> n8\n") {
		t.Errorf("got\n%s", text)
	}
}

// A name, whatever it is, draws nothing of its own in a picture of all paths.
func TestGraphHostile(t *testing.T) {
	g := graphOf("3 198.51.100.1 198.51.100.5 203.0.113.9!\n3 198.51.100.1 198.51.100.6 203.0.113.9!")
	nodes := 1 + len(g.Nodes)
	for _, text := range scene.Hostile() {
		s := scene.Attack(text)
		for form, make := range forms {
			var out bytes.Buffer
			s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer {
				run.Graph = g
				return make(&out, run, t)
			})
			if err := scene.Harmless(out.Bytes()); err != nil {
				t.Fatalf("%s: %q: %v", form, text, err)
			}
			switch form {
			case "svg":
				checkSVG(t, out.Bytes())
			case "dot":
				if n := strings.Count(out.String(), "label="); n != nodes+2 { // the title and the notes too
					t.Errorf("%q: %d labels", text, n)
				}
			case "mmd":
				checkMermaid(t, out.Bytes())
			case "html":
				checkHTML(t, out.Bytes())
			}
		}
	}
}
