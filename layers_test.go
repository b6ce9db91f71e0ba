package tcptraceroute

import (
	"bytes"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "go.example/tcptraceroute/"

// layers is the house from the ground up: which rooms of ours a package may import, and what it may never import and
// why. A package that is not here has no room yet: give it one.
var layers = map[string]struct {
	ours  []string
	never []string // standard packages
}{
	"packet":            {never: []string{"net", "os", "time", "log", "syscall", "unsafe", "reflect", "os/exec"}}, // bytes and values
	"trace":             {ours: []string{"packet"}, never: []string{"net", "os", "log", "syscall", "unsafe"}},     // pure plans, an engine without sockets
	"wire":              {ours: []string{"packet"}, never: []string{"log"}},                                       // sockets, no decisions
	"names":             {never: []string{"log"}},
	"targets":           {ours: []string{"names"}, never: []string{"net", "os", "log"}},                                              // lists, read as they are needed
	"detect":            {ours: []string{"packet", "trace"}, never: []string{"net", "os", "log", "unsafe"}},                          // a pure function of the trace; of syscall the numbers of errors
	"record":            {ours: []string{"packet", "trace", "detect"}, never: []string{"net", "os", "log"}},                          // values, and their JSON, versioned
	"compare":           {ours: []string{"packet", "trace", "detect", "record"}, never: []string{"net", "os", "log"}},                // a pure function of two records
	"expect":            {ours: []string{"packet", "trace", "detect", "record"}, never: []string{"net", "os", "log"}},                // the expression library
	"report":            {ours: []string{"packet", "trace", "detect", "record"}, never: []string{"net", "os", "log"}},                // shows, opens nothing
	"report/export":     {ours: []string{"packet", "trace", "detect", "record", "report"}, never: []string{"net", "os", "log"}},      // what others have made
	"report/pcapng":     {ours: []string{"packet", "trace", "report"}, never: []string{"net", "os", "log"}},                          // packets for Wireshark
	"report/live":       {ours: []string{"packet", "trace", "detect", "record", "report"}, never: []string{"net", "os", "log"}},      // the screen; the terminal library
	"report/picture":    {ours: []string{"packet", "trace", "detect", "record", "report"}, never: []string{"net", "os", "log"}},      // the path drawn
	"report/scene":      {ours: []string{"packet", "trace", "detect", "record", "sim", "report"}},                                    // for tests
	"measure":           {ours: []string{"packet", "trace", "detect", "wire", "names", "record", "targets"}, never: []string{"log"}}, // whole measurements
	"internal/terminal": {},                                                                                                          // signals, jobs, the status line: nothing of traces
	"internal/options":  {ours: []string{"names", "packet", "trace", "record", "report", "expect", "measure"}},                       // the command line as plain values
	"internal/version":  {},
	"internal/words":    {ours: []string{"internal/options", "names", "packet", "trace", "record", "measure", "report"}}, // lines of text
	"internal/cli":      {ours: []string{"internal/options", "internal/version", "internal/words", "targets", "internal/terminal", "packet", "trace", "detect", "names", "record", "compare", "expect", "measure", "report", "report/export", "report/pcapng", "report/picture", "report/live"}},
	"":                  {ours: []string{"packet", "trace", "wire", "names", "measure"}, never: []string{"log"}}, // the front door
	"examples/json":     {ours: []string{"packet", "trace", "detect", "wire", "record", "report"}},
	"examples/plan":     {ours: []string{"packet", "trace", "wire"}},
	"examples/many":     {ours: []string{"packet", "trace", "wire"}},
	"examples/report":   {ours: []string{"packet", "trace", "wire", "", "record", "report"}},
	"cmd/tcptraceroute": {ours: []string{"internal/cli"}},
	"sim":               {ours: []string{"packet"}, never: []string{"os", "syscall"}},
	"sim/tun":           {ours: []string{"sim"}},
	"lab":               {},
	"test":              {ours: []string{"lab"}},
	"bench":             {ours: []string{"lab", "packet", "sim", "sim/tun"}},
}

// testing only: what the tests of a room may import besides.
var testLayers = map[string][]string{
	"trace":             {"sim"},
	"detect":            {"sim"},
	"report":            {"sim", "report/scene"},
	"compare":           {"sim"},
	"expect":            {"sim"},
	"record":            {"report", "report/scene"},
	"measure":           {"sim", "lab"},
	"report/export":     {"report/scene"},
	"report/picture":    {"report/scene"},
	"report/pcapng":     {"report", "report/scene"},
	"internal/options":  {"lab", "detect"},
	"internal/terminal": {"names", "packet", "report", "trace"},
	"internal/cli":      {"lab", "sim", "wire"},
	"":                  {"lab", "sim"},
	"examples/json":     {"sim"}, "examples/plan": {"sim"}, "examples/many": {"sim"}, "examples/report": {"sim"},
	"test":    {"packet", "names", "sim", "sim/tun"},
	"wire":    {"lab", "trace"},
	"sim":     {"lab"},
	"sim/tun": {"lab", "packet"},
}

func TestLayers(t *testing.T) {
	seen := make(map[string]bool)
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || len(name) > 1 && name[0] == '.' {
			return filepath.SkipDir
		}
		for _, goos := range []string{"linux", "darwin"} { // build tags hide files
			ctx := build.Default
			ctx.GOOS, ctx.CgoEnabled = goos, false
			p, err := ctx.ImportDir(dir, 0)
			if err != nil {
				continue // no Go files
			}
			room := strings.TrimPrefix(filepath.ToSlash(dir), ".")
			l, ok := layers[room]
			if !ok {
				t.Errorf("package %s has no place in the layers", room)
				continue
			}
			seen[room] = true
			check(t, room, p.Imports, l.ours, l.never)
			check(t, room+" (tests)", slices.Concat(p.TestImports, p.XTestImports), append(testLayers[room], append(l.ours, room)...), nil)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range layers {
		if !seen[room] {
			t.Errorf("there is no package %s", room)
		}
	}
}

func check(t *testing.T, room string, imports, ours, never []string) {
	for _, i := range imports {
		own, ok := strings.CutPrefix(i+"/", module)
		if own = strings.TrimSuffix(own, "/"); ok && !slices.Contains(ours, own) {
			t.Errorf("%s must not import %s", room, i)
		}
		if slices.Contains(never, i) {
			t.Errorf("%s must not import %s", room, i)
		}
	}
}

// ofTrace is all that the command line may name of package trace: what it hands to reports, and no plan and no engine.
// Options of a path come from package measure, with what was measured by them.
var ofTrace = []string{"Event", "Graph", "NewTrace", "Node", "PathOptions", "Result", "SendError", "Trace"}

// The command line is options, texts and exit codes: what makes it longer than this has its room elsewhere.
const commandLineLines = 1800

func TestCommandLineStaysSmall(t *testing.T) {
	lines := 0
	for _, file := range commandLine(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(text, []byte("\n"))
	}
	if lines >= commandLineLines {
		t.Errorf("internal/cli has %d lines without tests, and fewer than %d are wanted", lines, commandLineLines)
	}
}

// commandLine is the files of internal/cli without its tests.
func commandLine(t *testing.T) []string {
	files, err := filepath.Glob("internal/cli/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
	if len(files) == 0 {
		t.Fatal("internal/cli has no files")
	}
	return files
}

// Measurements are made by package measure, whatever asks for them.
func TestCommandLineMeasuresNothing(t *testing.T) {
	for _, file := range commandLine(t) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if of, ok := s.X.(*ast.Ident); ok && of.Name == "trace" && !slices.Contains(ofTrace, s.Sel.Name) {
				t.Errorf("%s: trace.%s belongs into package measure", file, s.Sel.Name)
			}
			return true
		})
	}
}
