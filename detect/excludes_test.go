package detect

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

var updateExcludes = flag.Bool("update-excludes", false, "TestExcludes writes its table in docs/findings.md anew")

// asking are the questions about probes that vanish, each with what its probes are like beside the trace's own: SYNs
// with a length and a mark that were asked for.
var asking = []struct {
	what string
	class
}{
	{"another port", class{syn: true, long: true, marked: true, options: true}},
	{"another source port", class{syn: true, port: true, long: true, marked: true, options: true}},
	{"ACKs", class{port: true, flow: true, long: true, marked: true, options: true}},
	{"other options", class{syn: true, port: true, flow: true, long: true, marked: true}},
	{"the usual length", class{syn: true, port: true, flow: true, marked: true, options: true}},
	{"no mark", class{syn: true, port: true, flow: true, long: true, options: true}},
	{"ICMP echo", class{echo: true, long: true, marked: true}},
}

// excludedBy are the questions whose answers, if the one cause is the true one, can't be if it were the other.
func excludedBy(is, other cause) (by []string) {
	for _, q := range asking {
		s := sighting{class: q.class, fate: is.predict(q.class), way: sameWay}
		if s.fate != either && s.contradicts(other) {
			by = append(by, q.what)
		}
	}
	return by
}

// TestExcludes generates, from what the causes of vanishing probes predict, which of them each finding excludes and
// by which questions, and which look the same; docs/findings.md has that table. All other findings have a row of
// their own there.
//
//	go test ./detect -run TestExcludes -update-excludes
func TestExcludes(t *testing.T) {
	o := trace.PathOptions{Protocol: packet.ProtoTCP, Flags: packet.SYN, TOS: 184, Length: 300}
	d := &drop{facts: &facts{path: &path{options: o}}}
	long := hop{ttl: 1, results: []trace.Result{{Probe: packet.Probe{Length: 300}}}}
	d.hops = []hop{long}
	name := func(c cause) string {
		if c.code == filteredOptions {
			return "filtered-syn (by options)"
		}
		return string(c.code)
	}
	var b strings.Builder
	b.WriteString("\n| finding | excludes, by what passes or vanishes | looks the same |\n|---|---|---|\n")
	rows := map[Code]bool{}
	for _, is := range d.causes() {
		var excluded, same []string
		for _, other := range d.causes() {
			if other.code == is.code {
				continue
			}
			switch by := excludedBy(is, other); {
			case len(by) > 0:
				excluded = append(excluded, fmt.Sprintf("%s (%s)", name(other), strings.Join(by, ", ")))
			case other.code == BrokenBranch:
				excluded = append(excluded, fmt.Sprintf("%s (%d flows, which would all have fared so by chance)",
					name(other), provenFlows))
			default:
				same = append(same, name(other))
			}
		}
		rows[is.code] = true
		if is.code == filteredOptions {
			rows[FilteredSYN] = true
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name(is), strings.Join(excluded, "; "), strings.Join(same, ", "))
	}
	b.WriteString("\n")
	const file, begin, end = "../docs/findings.md", "<!-- what excludes what -->\n", "<!-- end of what excludes what -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	shown, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", file)
	}
	if *updateExcludes {
		if err := os.WriteFile(file, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if shown != b.String() {
		t.Errorf("%s has\n%sand the causes predict\n%s", file, shown, b.String())
	}
	for _, c := range Codes() {
		if !rows[c] && !strings.Contains(after, "\n| "+string(c)+" |") {
			t.Errorf("%s doesn't say what %s excludes", file, c)
		}
	}
	if i := slices.IndexFunc(d.causes(), func(c cause) bool { return c.code == FilteredPort }); i < 0 || len(rows) < 8 {
		t.Errorf("causes: %v", rows)
	}
}
