package test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// measurements are what can be measured, each with what shows it in JSON and in the first row of a CSV.
var measurements = []struct{ name, args, json, csv string }{
	{"trace", "", `"hops"`, "rtt_ms"},
	{"explained", "--explain", `"findings"`, "rtt_ms"},
	{"rounds", "--report -c 2 --interval 0.1", `"rounds"`, "loss_percent"},
	{"session", "--in-session", `"acknowledgement"`, "rtt_ms"},
	{"mtu", "--mtu", `"path_mtu"`, ""},
	{"paths", "--paths -q 2", `"paths"`, ""},
	{"rounds by paths", "--paths --report -c 2 --interval 0.1", `"paths"`, ""},
}

// refusedTogether are the combinations that make no sense, and why, by the names of measurement, number of targets and
// format. All others work.
var refusedTogether = map[string]string{
	"mtu csv":              "--mtu doesn't go with --csv: its result is shown as text, json or jsonl",
	"paths csv":            "--paths doesn't go with --csv: paths are shown as text, json, jsonl, scamper, dublin, dot, mermaid, svg, html",
	"rounds by paths csv":  "--paths doesn't go with --csv: paths are shown as text, json, jsonl, scamper, dublin, dot, mermaid, svg, html",
	"rounds by paths many": "--paths can't be used with --targets: it asks one target further questions",
	"session many":         "--in-session can't be used with --targets: its probes go inside a connection to one target",
	"mtu many":             "--mtu can't be used with --targets: it asks one target further questions",
	"paths many":           "--paths can't be used with --targets: it asks one target further questions",
}

// TestCombinations: every measurement, of one target and of many, in every format for people and programs, shows what was
// measured of each target, or is refused in one line.
func TestCombinations(t *testing.T) {
	t.Parallel()
	bin := program(t)
	p := manyLab(t)
	served(t, p.Target, 80)
	targets := []string{"198.18.3.2", "198.19.0.1", "198.19.0.2"}
	list := listFile(t, strings.Join(targets, "\n")+"\n")
	for _, m := range measurements {
		for _, number := range []string{"one", "many"} {
			for _, format := range []string{"text", "json", "jsonl", "csv"} {
				t.Run(m.name+" "+number+" "+format, func(t *testing.T) {
					args, want := []string{"-n"}, targets
					if number == "many" {
						args = append(args, "--targets", list, "80")
					} else {
						args, want = append(args, targets[0], "80"), targets[:1]
					}
					args = append(args, strings.Fields(m.args)...)
					if format != "text" {
						args = append(args, "--"+format)
					}
					why := cmp.Or(refusedTogether[m.name+" "+format], refusedTogether[m.name+" "+number])
					if why == "" {
						showsTargets(t, run(t, p.Source, bin, args...), format, want, m.json, m.csv)
						return
					}
					if got := run(t, p.Source, bin, args...); got != (outcome{stderr: why + "\n", code: 1}) {
						t.Errorf("want %q: %v", why, got)
					}
				})
			}
		}
	}
}

// showsTargets checks that a run ended well, and that its output is whole, of the format, and shows each target as open
// and what was measured.
func showsTargets(t *testing.T, got outcome, format string, targets []string, inJSON, inCSV string) {
	t.Helper()
	if got.code != 0 || strings.Contains(got.stderr, "by SYNs") {
		t.Errorf("%v", got)
	}
	if format == "json" && len(targets) > 1 {
		format = "jsonl" // a document for each target, in a line
	}
	readable(t, format, got.stdout)
	var seen []string
	switch format {
	case "json", "jsonl":
		for d := json.NewDecoder(strings.NewReader(got.stdout)); d.More(); {
			var line json.RawMessage
			var doc struct {
				Target  struct{ Address string }
				Outcome struct{ State string }
			}
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(line, &doc); err != nil {
				t.Fatal(err)
			}
			if doc.Target.Address != "" {
				seen = append(seen, doc.Target.Address)
			}
			if s := doc.Outcome.State; s != "" && (s != "open" || len(targets) > 1 && !bytes.Contains(line, []byte(inJSON))) {
				t.Errorf("state %q: %s", s, line)
			}
		}
		if !strings.Contains(got.stdout, inJSON) {
			t.Errorf("no %s: %v", inJSON, got)
		}
	case "csv":
		rows, err := csv.NewReader(strings.NewReader(got.stdout)).ReadAll()
		if err != nil || len(rows) < 1+3*len(targets) || !slices.Contains(rows[0], inCSV) {
			t.Fatalf("%v: %v", err, got)
		}
		state, target := slices.Index(rows[0], "state"), slices.Index(rows[0], "target")
		for _, row := range rows[1:] {
			if row[state] == "open" {
				seen = append(seen, row[target])
			}
		}
	default:
		for _, a := range targets {
			if strings.Contains(got.stdout, a) {
				seen = append(seen, a)
			}
		}
	}
	slices.Sort(seen)
	if seen = slices.Compact(seen); !slices.Equal(seen, targets) {
		t.Errorf("shown are %v, want %v: %v", seen, targets, got)
	}
}
