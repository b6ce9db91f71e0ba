package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/picture"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// keep writes the pictures of the scenes, and of every hostile text, to a directory, to be looked at.
var keep = flag.String("keep", "", "keep pictures in this directory")

type maker func(io.Writer, *report.Run, *trace.Trace) report.Writer

func play(t *testing.T, s scene.Scene, make maker) []byte {
	t.Helper()
	var out bytes.Buffer
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer { return make(&out, run, t) })
	return out.Bytes()
}

var forms = map[string]maker{
	"svg":  func(w io.Writer, run *report.Run, t *trace.Trace) report.Writer { return picture.NewSVG(w, run, t) },
	"dot":  func(w io.Writer, run *report.Run, t *trace.Trace) report.Writer { return picture.NewDOT(w, run, t) },
	"mmd":  func(w io.Writer, run *report.Run, t *trace.Trace) report.Writer { return picture.NewMermaid(w, run, t) },
	"html": func(w io.Writer, run *report.Run, t *trace.Trace) report.Writer { return picture.NewHTML(w, run, t) },
}

var scenes = map[string]scene.Scene{
	"short": short, "long": long(false), "IPv6": long(true), "filtered": filtered,
	"refused": {Network: "router 198.51.100.1\nrouter 198.51.100.2 reject=13\ntarget 203.0.113.9"},
	"nothing": {Network: "router *\ntarget 203.0.113.9 filtered", Path: trace.PathOptions{MaxTTL: 3}},
	"at once": {Network: "router 198.51.100.1 delay=9ms\ntarget 203.0.113.9 open", Stop: time.Nanosecond},
	"echo":    {Network: "router 198.51.100.1\ntarget 203.0.113.9", Path: trace.PathOptions{Protocol: packet.ProtoEcho}},
	"one hop": {Network: "target 203.0.113.9 open"},
	"first 3": {Network: "router 198.51.100.1\nrouter 198.51.100.2\nrouter 198.51.100.3\ntarget 203.0.113.9 open", Path: trace.PathOptions{FirstTTL: 3}},
}

// element is what an XML reader finds.
type element struct {
	name  string
	text  string
	attrs map[string]string
}

// elements reads an SVG picture by the rules of XML, strictly.
func elements(t *testing.T, text []byte) []element {
	t.Helper()
	var all, open []element
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: make(map[string]string)}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			open = append(open, e)
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(token)
			}
		case xml.EndElement:
			all = append(all, open[len(open)-1])
			open = open[:len(open)-1]
		case xml.Comment, xml.Directive:
			t.Errorf("there is a %T", token)
		}
	}
	return all
}

var svgElements = regexp.MustCompile(`^(svg|title|rect|text|g|line|circle|polyline|polygon|path)$`)

// checkSVG reads a picture, which must hold nothing but shapes and text, and nothing outside its frame.
func checkSVG(t *testing.T, text []byte) []element {
	t.Helper()
	all := elements(t, text)
	root := all[len(all)-1]
	var width, height float64
	if _, err := fmt.Sscanf(root.attrs["viewBox"], "0 0 %f %f", &width, &height); err != nil || root.name != "svg" || width < 100 || height < 100 || width > 5000 {
		t.Errorf("%v: %v", root, err)
	}
	for _, e := range all {
		if !svgElements.MatchString(e.name) {
			t.Errorf("there is a <%s>", e.name)
		}
		for name, v := range e.attrs {
			if strings.HasPrefix(name, "on") || name == "href" || name == "style" || strings.Contains(v, "url(") {
				t.Errorf("<%s %s=%q>", e.name, name, v)
			}
			if strings.Contains(v, "NaN") || strings.Contains(v, "Inf") {
				t.Errorf("<%s %s=%q>", e.name, name, v)
			}
		}
		for x, limit := range map[string]float64{"x": width, "cx": width, "x1": width, "x2": width, "y": height, "cy": height, "y1": height, "y2": height} {
			var v float64
			if s := e.attrs[x]; s != "" {
				if _, err := fmt.Sscan(s, &v); err != nil || v < 0 || v > limit {
					t.Errorf("<%s %s=%q> in %v x %v", e.name, x, s, width, height)
				}
			}
		}
	}
	return all
}

// graphviz lays a graph out, and returns what dot(1) writes: the SVG of it.
func graphviz(t *testing.T, text []byte) []element {
	t.Helper()
	cmd := exec.Command("dot", "-Tsvg")
	cmd.Stdin = bytes.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("dot: %v: %s\n%s", err, &stderr, text)
	}
	d := bytes.Index(out, []byte("<svg")) // before it there is a DOCTYPE, which ours has not
	return elements(t, regexp.MustCompile(`(?s)<!--.*?-->`).ReplaceAll(out[d:], nil))
}

// classes are how many nodes and edges graphviz drew.
func classes(all []element) (nodes, edges int) {
	for _, e := range all {
		switch e.attrs["class"] {
		case "node":
			nodes++
		case "edge":
			edges++
		}
	}
	return nodes, edges
}

func TestScenes(t *testing.T) {
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			for form, make := range forms {
				out := play(t, s, make)
				if err := scene.Harmless(out); err != nil {
					t.Errorf("%s: %v", form, err)
				}
				keepPicture(t, name+"."+form, out)
				switch form {
				case "svg":
					checkSVG(t, out)
				case "dot":
					if nodes, edges := classes(graphviz(t, out)); nodes < 2 && name != "at once" || edges < nodes-1 {
						t.Errorf("%d nodes, %d edges\n%s", nodes, edges, out)
					}
				case "mmd":
					checkMermaid(t, out)
				case "html":
					checkHTML(t, out)
				}
			}
		})
	}
}

var htmlElements = regexp.MustCompile(`^(html|head|meta|title|style|body|h1|h2|h3|p|span|ul|li|div|table|tr|th|td|` +
	`svg|rect|text|g|line|circle|polyline|polygon|path)$`)

// checkHTML reads a page, which must be well-formed, and load and run nothing.
func checkHTML(t *testing.T, text []byte) []element {
	t.Helper()
	text, ok := bytes.CutPrefix(text, []byte("<!DOCTYPE html>\n"))
	if !ok {
		t.Errorf("no DOCTYPE: %.40q", text)
	}
	all := elements(t, text)
	for _, e := range all {
		if !htmlElements.MatchString(e.name) {
			t.Errorf("there is a <%s>", e.name)
		}
		for name, v := range e.attrs {
			if strings.HasPrefix(name, "on") || name == "href" || name == "src" || name == "style" || strings.Contains(v, "url(") {
				t.Errorf("<%s %s=%q>", e.name, name, v)
			}
		}
	}
	return all
}

// The page has the picture, each hop with its figures, and the findings with their evidence; a golden file has all.
func TestPage(t *testing.T) {
	for name, s := range map[string]scene.Scene{"short": short, "filtered": filtered} {
		out := play(t, s, forms["html"])
		keepPicture(t, name+".html", out)
		golden := filepath.Join("testdata", "page-"+name+".html")
		if *keep != "" {
			if err := os.WriteFile(golden, out, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(out, want) {
			t.Errorf("%s is of another program (%v): go test ./report/picture -keep DIR writes it again", golden, err)
		}
	}
	var words strings.Builder
	for _, e := range checkHTML(t, play(t, short, forms["html"])) {
		switch e.name {
		case "td", "h1", "h3", "li", "p", "span":
			words.WriteString(e.text + "\n")
		}
	}
	for _, want := range []string{
		"The path to www.example.com (203.0.113.9), TCP port 443\n", "7\nwww.example.com\n203.0.113.9\nAS64502 T\nopen\n3/5\n",
		"3\n\n\n\nno answer\n5/5\n\n\n\n", "AS64501 Cloud <Inc> & Sons\n", "between hop 4 and hop 5: MSS 1460 -> 1380\n",
		"port-open, certain\nPort 443 is open: the target's address accepts the connection. ", "MPLS 16001 17",
	} {
		if !strings.Contains(words.String(), want) {
			t.Errorf("no %q in\n%s", want, &words)
		}
	}
}

func keepPicture(t *testing.T, name string, out []byte) {
	t.Helper()
	if *keep == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*keep, name), out, 0o666); err != nil {
		t.Error(err)
	}
}

// mermaidLines are all forms of lines that a picture may have. What stands in quotes can't end them, and can't be a
// directive.
var mermaidLines = regexp.MustCompile(`^(---|title: "[^"]*"|flowchart LR|` +
	` +source\(\["Q"\]\)|        h\d+(_\d+)?| +([hn]\d+(_\d+)?|wall|target|findings|notes)\["Q"\]:::[a-z]+|` +
	` +subgraph as\d+\["Q"\]| +end| +(source|wall|[hn]\d+(_\d+)?) (-->|-\.->)(\|"Q"\|)? ([hn]\d+(_\d+)?|wall|target)|` +
	` +linkStyle \d+ [a-z0-9#:,. -]+|` +
	` +classDef [a-z]+ [a-z0-9#:, -]+)$`)

var mermaidQuoted = regexp.MustCompile(`"([A-Za-z0-9 .,:/()-]|#\d+;|<br/>)*"`)

func checkMermaid(t *testing.T, out []byte) {
	t.Helper()
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "title") {
			line = mermaidQuoted.ReplaceAllString(line, `"Q"`)
		}
		if !mermaidLines.MatchString(line) {
			t.Errorf("%q", line)
		}
	}
}

// What the picture of a path with one of everything must show.
func TestShows(t *testing.T) {
	svg := checkSVG(t, play(t, short, forms["svg"]))
	var shown []string
	for _, e := range svg {
		if e.name == "text" {
			shown = append(shown, e.text)
		}
	}
	all := strings.Join(shown, "\n") + "\n"
	for _, want := range []string{
		"The path to www.example.com (203.0.113.9), TCP port 443\n", "open, 7 hops away, from 192.0.2.7, ", "gw.example\n198.51.100.1\n",
		"198.51.100.5\n", "198.51.100.6\n", "MPLS 16001 17\n", "no answer\n", "www.example.com  [open]\n", "Rewritten on the way\n",
		"between hop 4 and hop 5: MSS 1460 -> 1380\n", "between hop 5 and hop 6: destination 203.0.113.9 port 443 -> 203.0.113.77", "AS64501 Cloud <Inc> & Sons\n",
		"Findings\n", "Port 443 is open", " lost\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	graph := graphviz(t, play(t, short, forms["dot"]))
	if nodes, edges := classes(graph); nodes != 9 || edges != 9 { // this host and 8 responders, of which 2 at hop 2, silent one included
		t.Errorf("%d nodes, %d edges", nodes, edges)
	}
	var text strings.Builder
	for _, e := range graph {
		if e.name == "text" {
			text.WriteString(e.text + "\n")
		}
	}
	for _, want := range []string{"AS64501 Cloud <Inc> & Sons", "MSS 1460 -> 1380", "www.example.com", "hop 7", "no answer"} {
		if !strings.Contains(text.String(), want+"\n") {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
}

// A path that doesn't reach its target shows the target nevertheless, and a wall where nobody answers any more.
func TestWall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		scene scene.Scene
		words string // beside the target
		wall  bool
	}{
		{"filtered", filtered, "no answer beyond hop 3", true},
		{"refused", scenes["refused"], "198.51.100.2 refuses to forward (!A)", true},
		{"nothing", scenes["nothing"], "no hop answers", true},
		{"interrupted", scenes["at once"], "the trace ended before it got there", false},
		{"last TTL", scene.Scene{Network: "router 198.51.100.1\nrouter 198.51.100.2\ntarget 203.0.113.9 open",
			Path: trace.PathOptions{MaxTTL: 2}}, "beyond hop 2, the last that was asked", false},
		{"reached", short, "", false},
		{"closed", scene.Scene{Network: "router 198.51.100.1\ntarget 203.0.113.9 closed"}, "", false},
	} {
		var words []string
		walls := 0
		for _, e := range checkSVG(t, play(t, tt.scene, forms["svg"])) {
			switch {
			case e.name == "text":
				words = append(words, e.text)
			case e.name == "line" && e.attrs["stroke-width"] == "5":
				walls++
			}
		}
		shown := strings.Contains(strings.Join(words, "\n")+"\n", "203.0.113.9  [not reached]\n"+tt.words+"\n")
		if shown != (tt.words != "") || walls == 1 != tt.wall {
			t.Errorf("%s: %d walls, words %q", tt.name, walls, words)
		}
		for form, wall := range map[string]string{"dot": "  wall [label=", "mmd": "    wall["} {
			out := string(play(t, tt.scene, forms[form]))
			if strings.Contains(out, wall) != tt.wall || strings.Contains(out, "  target[") != (shown && form == "mmd") ||
				strings.Contains(out, "  target [") != (shown && form == "dot") {
				t.Errorf("%s: %s", tt.name, out)
			}
		}
	}
}

// The languages without a foot have the findings too.
func TestFindingsInGraphs(t *testing.T) {
	for form, want := range map[string]string{
		"dot": `\nPort 443 is open: the target's address accepts the connection (certain)"; labelloc=t`,
		"mmd": `Port 443 is open: the target#39;s address accepts the connection (certain)"]:::findings`,
	} {
		if out := string(play(t, short, forms[form])); !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}

// An address that can't be a router's has a mark that says why.
func TestImpossibleAddress(t *testing.T) {
	s := scene.Scene{Network: "router 198.51.100.1 from=127.0.0.1 delay=1ms\ntarget 203.0.113.9 open delay=1ms"}
	for name, mark := range map[string]string{
		"svg": "127.0.0.1 &lt;?loopback&gt;", "dot": "127.0.0.1 &lt;?loopback&gt;", "mmd": "127.0.0.1 #60;#63;loopback#62;",
	} {
		if got := string(play(t, s, forms[name])); !strings.Contains(got, mark) {
			t.Errorf("%s: no %s in\n%s", name, mark, got)
		}
	}
}

// A name, whatever it is, is drawn as text and draws nothing of its own.
func TestHostile(t *testing.T) {
	plain := scene.Attack("plain")
	shapes := len(checkSVG(t, play(t, plain, forms["svg"])))
	nodes, edges := classes(graphviz(t, play(t, plain, forms["dot"])))
	var graphs bytes.Buffer
	drawn := 0
	for i, text := range scene.Hostile() {
		s := scene.Attack(text)
		for form, make := range forms {
			out := play(t, s, make)
			if err := scene.Harmless(out); err != nil {
				t.Fatalf("%s: %q: %v", form, text, err)
			}
			keepPicture(t, fmt.Sprintf("hostile-%d.%s", i, form), out)
			switch form {
			case "svg":
				// Lines of text are more where it is long, or fewer where it is empty.
				if n := len(checkSVG(t, out)); n < shapes-20 || n > shapes+20 {
					t.Errorf("%q: %d elements, want about %d", text, n, shapes)
				}
			case "dot":
				graphs.Write(out)
				drawn++
			case "mmd":
				checkMermaid(t, out)
			case "html":
				checkHTML(t, out)
			}
		}
	}
	// All graphs in one run: dot draws one after the other.
	cmd := exec.Command("dot", "-Tsvg")
	cmd.Stdin = &graphs
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("dot: %v: %s", err, &stderr)
	}
	n, e := bytes.Count(out, []byte(`class="node"`)), bytes.Count(out, []byte(`class="edge"`))
	if n != drawn*nodes || e != drawn*edges || bytes.Count(out, []byte("<svg")) != drawn || bytes.Contains(out, []byte("xlink:href")) {
		t.Errorf("%d nodes and %d edges in %d graphs, want %d and %d in each", n, e, drawn, nodes, edges)
	}
}

// The pictures in the documentation are of this program.
func TestDocumented(t *testing.T) {
	want := play(t, short, forms["svg"])
	got, err := os.ReadFile("../../docs/path.svg")
	if *keep != "" {
		err = os.WriteFile("../../docs/path.svg", want, 0o666)
		got = want
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/path.svg is of another program (%v): go test ./report/picture -keep DIR writes it again", err)
	}
}
