package test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// explained is the network of README.md's section about --explain.
func explained(t *testing.T) *lab.Path {
	t.Helper()
	p := lab.Chain(t, lab.ChainOptions{Hops: 6})
	for _, port := range []uint16{25, 443, 5432} {
		p.Target.Listen(t, port)
	}
	p.Routers[2].Drop(t, "tcp dport 25")
	p.Routers[1].Reset(t, "tcp dport 22")
	p.Routers[3].Mangle(t, "tcp dport 5432 tcp flags syn tcp option maxseg size set 1360")
	return p
}

// TestReadme compares what README.md shows of --explain with what the program prints: all but the times.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	p := explained(t)
	_, section, _ := strings.Cut(string(text), "## What happened to the packet")
	section, _, _ = strings.Cut(section, "\n## ")
	times := regexp.MustCompile(`\d+(\.\d+)? ms`)
	runs := regexp.MustCompile(`(?m)^    \$ sudo \./tcptraceroute (.*)\n((?:    .*\n|\n)*)`).FindAllStringSubmatch(section, -1)
	if len(runs) < 3 {
		t.Fatalf("%d runs", len(runs))
	}
	for _, r := range runs {
		var want strings.Builder
		for line := range strings.Lines(strings.TrimRight(r[2], "\n") + "\n") {
			want.WriteString(strings.TrimPrefix(line, "    "))
		}
		got := launch(t, p.Source, r[1]).outcome().stdout
		if mask := func(s string) string { return times.ReplaceAllString(s, "TIME") }; mask(got) != mask(want.String()) {
			t.Errorf("%s prints\n%s\nREADME.md shows\n%s", r[1], got, want.String())
		}
	}
}
