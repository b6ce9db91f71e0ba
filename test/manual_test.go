package test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

var regenerate = flag.Bool("regenerate", false, "write the examples of the man page anew; then go generate ./internal/options")

const manualSource = "../packaging/man/tcptraceroute.1.in"

// manualExample is a command in the man page with what it prints, up to the end of the block.
var manualExample = regexp.MustCompile(`(?ms)^\.Bd -literal\n\$ tcptraceroute (.*?)\n(.*?)^\.Ed\n`)

// What the man page shows is what the program prints, times and the kernel's choice of a port apart:
//
//	source --- gw --- r2 --- ams1 --- r4 --- edge --- www
//	                               silent      |
//	                          drops port 25, rejects port 22
func TestManualExamples(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 6, Silent: []int{4}})
	var hosts strings.Builder
	for ttl, names := range map[int]string{1: "gw.example.net", 3: "ams1.transit.example", 5: "edge.example.org", 6: "www.example.org www"} {
		fmt.Fprintf(&hosts, "%v %s\n%v %[2]s\n", p.Hop(ttl).V4(), names, p.Hop(ttl).V6())
	}
	onlyFiles(t, p.Source, hosts.String())
	p.Target.Listen(t, 443)
	p.Hop(5).Drop(t, "tcp dport 25")
	p.Hop(5).Reject(t, "tcp dport 22", 13, 1)

	source, err := os.ReadFile(manualSource)
	if err != nil {
		t.Fatal(err)
	}
	name := program(t)
	examples := 0
	text := manualExample.ReplaceAllStringFunc(string(source), func(block string) string {
		examples++
		m := manualExample.FindStringSubmatch(block)
		args, shown := strings.ReplaceAll(m[1], `\-`, "-"), strings.ReplaceAll(m[2], `\e`, `\`)
		got := terminal(t, p.Source, name, args)
		if want := likeness(shown); likeness(got) != want && !*regenerate {
			t.Errorf("tcptraceroute %s:\n%s\nthe man page has\n%s", args, lines(likeness(got)), lines(want))
		}
		if likeness(got) == likeness(shown) {
			return block
		}
		return ".Bd -literal\n$ tcptraceroute " + m[1] + "\n" + strings.ReplaceAll(got, `\`, `\e`) + ".Ed\n"
	})
	if examples < 5 {
		t.Errorf("the man page has %d examples", examples)
	}
	if *regenerate {
		if err := os.WriteFile(manualSource, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// terminal is what a shell's command line prints, standard output and standard error as they come.
func terminal(t *testing.T, h *lab.Host, name, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	var both bytes.Buffer
	cmd := h.Command(ctx, "sh", "-c", "tcptraceroute "+line)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(name)+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &both, &both
	if err := cmd.Run(); ctx.Err() != nil || cmd.ProcessState == nil {
		t.Fatalf("%v: %v\n%s", cmd.Cmd, err, &both)
	}
	return both.String()
}

var varies = regexp.MustCompile(`[0-9]+(\.[0-9]+)? ms|port [0-9]+ for|from [a-z0-9]+ more source ports?`)

// likeness is a text without what differs from run to run.
func likeness(s string) string { return varies.ReplaceAllString(s, "#") }
