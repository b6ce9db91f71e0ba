package cli

import (
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const roundsNetwork = "router 10.0.1.1,10.0.1.2 per-packet delay=1ms jitter=1ms\nrouter *\nrouter 10.0.3.1 delay=1ms loss=0.3\n" +
	"target 198.51.100.9 delay=2ms"

// Rounds in each form say the same: the table, one document, lines, a row for each hop, and what mtr prints; and saved
// ones are shown as they were live.
func TestRoundsFormats(t *testing.T) {
	t.Parallel()
	run := func(network string, args ...string) virtual {
		return runVirtual(t, network, 3, append([]string{"--report", "-c", "8"}, args...)...)
	}
	text := run(roundsNetwork)
	if !strings.HasSuffix(text.stderr, "\nTCP port 443 of 198.51.100.9 is open\n") || text.code != 0 {
		t.Errorf("exit code %d\n%s", text.code, text.stderr)
	}
	doc, lines := run(roundsNetwork, "--json"), run(roundsNetwork, "--jsonl")
	for _, v := range []virtual{doc, lines} {
		if v.stderr != text.stderr {
			t.Errorf("standard error\n%s\nof the table\n%s", v.stderr, text.stderr)
		}
	}
	var got struct {
		Outcome struct {
			State string
			TTL   int
		}
		Rounds struct {
			Count int
			Hops  []struct {
				TTL, Sent, Lost int
				Loss            float64 `json:"loss_percent"`
				Responders      []struct{ Address string }
			}
		}
	}
	if err := json.Unmarshal([]byte(doc.stdout), &got); err != nil {
		t.Fatal(err)
	}
	hops := got.Rounds.Hops
	if got.Outcome.State != "open" || got.Outcome.TTL != 4 || got.Rounds.Count != 8 || len(hops) != 4 || hops[0].Sent != 8 ||
		len(hops[0].Responders) != 2 || hops[1].Loss != 100 || hops[2].Lost == 0 {
		t.Errorf("%+v", got)
	}
	if n := strings.Count(lines.stdout, `{"event":"probe"`); n < 20 || !strings.HasPrefix(lines.stdout, `{"event":"start"`) ||
		!strings.Contains(lines.stdout, `"rounds":{"interval_ms":1000,"count":8`) {
		t.Errorf("%d probes in\n%s", n, lines.stdout)
	}
	rows, err := csv.NewReader(strings.NewReader(run(roundsNetwork, "--csv").stdout)).ReadAll()
	if err != nil || len(rows) != 5 || rows[4][0] != "198.51.100.9" || rows[4][len(rows[4])-1] != "open" {
		t.Errorf("%v, %v", rows, err)
	}
	for _, args := range [][]string{{}, {"--json"}, {"--csv"}, {"--format", "mtr-json"}, {"-o", "SL G"}, {"-o", "LSDRNBAWVGJMXI", "-b"}} {
		live := run(roundsNetwork, args...)
		for _, saved := range []virtual{doc, lines} {
			stdout, _, code := replayed(t, saved.stdout, args...)
			if sameTimes(stdout) != sameTimes(live.stdout) || code != live.code {
				t.Errorf("%v: exit code %d, live %d\n%s\nlive\n%s", args, code, live.code, stdout, live.stdout)
			}
		}
	}
}

// sameTimes hides what depends on this host and its clock.
func sameTimes(s string) string {
	return regexp.MustCompile(`Start: [^\n]*`).ReplaceAllString(s, "Start: T")
}

// mtr's JSON has mtr's keys in mtr's order, and follows the columns.
func TestRoundsMTR(t *testing.T) {
	t.Parallel()
	keys := regexp.MustCompile(`"([^"]+)":`)
	of := func(args ...string) string {
		v := runVirtual(t, "router 10.0.1.1 delay=1ms\ntarget 198.51.100.9 delay=2ms", 1,
			append([]string{"--report", "-c", "2", "--format", "mtr-json"}, args...)...)
		var all []string
		for _, m := range keys.FindAllStringSubmatch(v.stdout, -1) {
			all = append(all, m[1])
		}
		return strings.Join(all, " ")
	}
	const head, hub = "report mtr src dst tos tests psize bitpattern hubs ", "count host Loss% Snt Last Avg Best Wrst StDev"
	if got, want := of(), head+hub+" "+hub; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if got, want := of("-o", "SGDRJMXI"), head+strings.Repeat("count host Snt Gmean Drop Rcv Jttr Javg Jmax Jint ", 2); got+" " != want {
		t.Errorf("%s\n%s", got, want)
	}
}

// How a path ends that has no answer, and what refuses, is said.
func TestRoundsState(t *testing.T) {
	t.Parallel()
	for network, want := range map[string]string{
		"router 10.0.1.1\ntarget 198.51.100.9 closed":   "TCP port 443 of 198.51.100.9 is closed",
		"router 10.0.1.1\ntarget 198.51.100.9 filtered": "TCP port 443 of 198.51.100.9: no answer",
		"router 10.0.1.1\nrouter 10.0.1.2\nrouter 10.0.1.3\nrouter 10.0.1.4\nrouter 10.0.1.5\nrouter 10.0.1.6\ntarget 198.51.100.9": "TCP port 443 " +
			"of 198.51.100.9: not reached in 6 hops, and a router answers at the last",
		"router 10.0.1.1\nrouter 10.0.2.1 reject=13\ntarget 198.51.100.9": "TCP port 443 of 198.51.100.9: 10.0.2.1 refuses (!A)",
	} {
		v := runVirtual(t, network, 1, "--report", "-c", "3", "-m", "6")
		if !strings.Contains(v.stderr, "\n"+want+"\n") {
			t.Errorf("%s\n%s%s", network, v.stderr, v.stdout)
		}
	}
}

// Rounds are no trace to be compared, or judged.
func TestRoundsAreNoTrace(t *testing.T) {
	t.Parallel()
	saved := runVirtual(t, roundsNetwork, 3, "--report", "-c", "2", "--json").stdout
	for args, want := range map[string]string{
		"--diff saved saved":              "--diff: saved: it has rounds, and not one trace\n",
		"--diff saved":                    "--diff saved: it has rounds, and not one trace\n",
		"--replay saved --expect reached": "--expect: it has rounds, and not one trace\n",
		"--replay saved --format svg":     "--format svg has no place for rounds, which text, json, jsonl, csv and mtr-json have\n",
	} {
		stdout, stderr, code := ranWith(t, map[string]string{"saved": saved}, strings.Fields(args)...)
		if stdout != "" || !strings.HasSuffix(stderr, want) || code != 1 {
			t.Errorf("%s: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
}
