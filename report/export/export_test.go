package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

func play[W report.Writer](t *testing.T, s scene.Scene, make func(io.Writer, *report.Run, *trace.Trace) W) string {
	t.Helper()
	var out bytes.Buffer
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer { return make(&out, run, t) })
	return out.String()
}

var path = scene.Scene{
	Network: `
		seed 3
		router 198.51.100.1 delay=1ms dup=0.5
		router 198.51.100.5,198.51.100.6 per-packet delay=1ms mpls=16001/5/1,17/0/2
		router *
		router 198.51.100.9 delay=1ms if-role=2 if-index=7 if-name=ge-0%2f0
		router 198.51.100.13 dnat=203.0.113.77:8443 raw-quote quote=min set-tos=8
		router 198.51.100.17
		target 203.0.113.9 delay=2ms open`,
	Path:   trace.PathOptions{TOS: 32},
	Host:   "www.example.com",
	Names:  map[string]string{"198.51.100.1": "gw.example", "203.0.113.9": "www.example.com"},
	Owners: map[string]record.Owner{"198.51.100.9": {ASN: 64500, Name: "Example, Net", Country: "CH"}},
}

// table reads a CSV text back: the rows by the names of their columns.
func table(t *testing.T, text string) []map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var all []map[string]string
	for _, row := range rows[1:] {
		m := make(map[string]string)
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		all = append(all, m)
	}
	return all
}

func TestCSV(t *testing.T) {
	var results []trace.Result
	s := path
	s.Results = func(r []trace.Result) { results = r }
	text := play(t, s, export.NewCSV)
	rows := table(t, text)
	if len(rows) != len(results) {
		t.Errorf("%d rows for %d results", len(rows), len(results))
	}
	for _, want := range []map[string]string{
		{"ttl": "1", "n": "2", "fate": "answered", "address": "198.51.100.1", "name": "gw.example", "rtt_ms": "2.000000", "kind": "time_exceeded", "reply_ttl": "255", "quoted_ttl": "1", "icmp_type": "11", "icmp_code": "0", "evidence": "tag", "source_port": "41234"},
		{"ttl": "1", "fate": "duplicate", "address": "198.51.100.1"},
		{"ttl": "2", "mpls": "16001/5/1 17/0/2", "address": "198.51.100.5"},
		{"ttl": "3", "fate": "lost", "address": "", "rtt_ms": "", "kind": ""},
		{"ttl": "4", "interface": "ge-0/0", "asn": "64500", "as_name": "Example, Net", "country": "CH"},
		{"ttl": "6", "changes": "destination address 203.0.113.9 -> 203.0.113.77; DSCP 8 -> 2; destination port 443 -> 8443"},
		{"ttl": "7", "state": "open", "kind": "tcp", "address": "203.0.113.9", "icmp_type": "", "name": "www.example.com"},
	} {
		if !slices.ContainsFunc(rows, func(row map[string]string) bool {
			for k, v := range want {
				if got, ok := row[k]; !ok || got != v {
					return false
				}
			}
			return true
		}) {
			t.Errorf("no row with %v in\n%s", want, text)
		}
	}
	for i, row := range rows { // hop by hop
		if i > 0 && row["ttl"] < rows[i-1]["ttl"] && row["fate"] == "answered" && rows[i-1]["fate"] == "answered" {
			t.Errorf("row %d goes back", i)
		}
	}
}

// TestCSVRole: a row of a probe that asks how far the target is says so, behind the target's too.
func TestCSVRole(t *testing.T) {
	s := scene.Scene{Network: "router 198.51.100.1 delay=1ms\ntarget 203.0.113.9 open",
		Path: trace.PathOptions{Queries: 1, ProbePorts: []uint16{41235, 41236, 41237}}}
	rows := table(t, play(t, s, export.NewCSV))
	beyond := 0
	for _, row := range rows {
		ttl, err := strconv.Atoi(row["ttl"])
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case ttl > 2 && row["fate"] == "answered":
			if beyond++; row["role"] != "distance" {
				t.Errorf("a row of the path behind its end: %v", row)
			}
		case ttl == 1 && row["role"] != "hop":
			t.Errorf("the role at hop 1 is %q", row["role"])
		}
	}
	if beyond == 0 {
		t.Errorf("no row behind the target's: %v", rows)
	}
}

// A hop is written when it is complete, not when the trace is.
func TestCSVStreams(t *testing.T) {
	var out bytes.Buffer
	early := 0
	s := scene.Scene{Network: "router 198.51.100.1 delay=1ms\nrouter 198.51.100.2 delay=1ms\nrouter *\ntarget 203.0.113.9 open"}
	s.Results = func([]trace.Result) { early = strings.Count(out.String(), "\n") }
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer { return export.NewCSV(&out, run, t) })
	if early < 7 {
		t.Errorf("%d lines before the end:\n%s", early, &out)
	}
}

// undone is the text that a cell stands for.
func undone(t *testing.T, cell string) string {
	t.Helper()
	cell = strings.TrimPrefix(cell, "'")
	if !strings.Contains(cell, `\`) {
		return cell
	}
	s, err := strconv.Unquote(`"` + cell + `"`)
	if err != nil {
		t.Fatalf("%q: %v", cell, err)
	}
	return s
}

func TestHostileCSV(t *testing.T) {
	for _, text := range scene.Hostile() {
		out := play(t, scene.Attack(text), export.NewCSV)
		if err := scene.Harmless([]byte(out)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		rows := table(t, out)
		for _, row := range rows {
			for name, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
					t.Errorf("%q: %s is %q: a formula", text, name, cell)
				}
			}
		}
		ifName := strings.TrimRight(text[:min(len(text), 63)], "\x00")
		if ifName == "" {
			ifName = "1" // the number stands for it
		}
		for name, want := range map[string]string{"name": text, "as_name": text, "interface": ifName} {
			if got := undone(t, rows[0][name]); got != want {
				t.Errorf("%s: %q came back as %q", name, want, got)
			}
		}
	}
}

func TestInterruptedCSV(t *testing.T) {
	whole := scene.Scene{Network: "seed 5\nrouter 198.51.100.1 delay=20ms\nrouter *\nrouter 198.51.100.9 delay=9ms loss=0.3\ntarget 203.0.113.9 open"}
	unknown := 0
	scene.Interrupts(whole, func(cut scene.Scene) {
		n := 0
		cut.Results = func(r []trace.Result) { n = len(r) }
		out := play(t, cut, export.NewCSV)
		rows := table(t, out)
		if len(rows) != n {
			t.Errorf("after %v: %d rows for %d results", cut.Stop, len(rows), n)
		}
		unknown += strings.Count(out, ",unknown,")
		for _, text := range []string{play(t, cut, export.NewMTR), play(t, cut, export.NewAtlas)} {
			if !json.Valid([]byte(text)) {
				t.Errorf("after %v: %s", cut.Stop, text)
			}
		}
	})
	if unknown == 0 {
		t.Error("nothing was interrupted")
	}
}

// The form was read off mtr 0.95.
func TestMTR(t *testing.T) {
	s := scene.Scene{
		Network: "router 198.51.100.1 delay=1234567ns\nrouter *\nrouter 198.51.100.9 delay=60ms jitter=30ms\ntarget 203.0.113.9 delay=6s open",
		Names:   map[string]string{"198.51.100.1": "gw.example"},
		Host:    "www.example.com",
		Path:    trace.PathOptions{Queries: 2, MaxTTL: 8, TOS: 16},
		Edit:    func(r *report.Run) { r.Owner = nil },
	}
	want := `{
    "report": {
        "mtr": {
            "src": "here",
            "dst": "www.example.com",
            "tos": 16,
            "tests": 2,
            "psize": "40",
            "bitpattern": "0x00"
        },
        "hubs": [
            {
                "count": 1,
                "host": "gw.example",
                "Loss%": 0.0,
                "Snt": 2,
                "Last": 2.469,
                "Avg": 2.469,
                "Best": 2.469,
                "Wrst": 2.469,
                "StDev": 0.0
            },
            {
                "count": 2,
                "host": "???",
                "Loss%": 100.0,
                "Snt": 2,
                "Last": 0.0,
                "Avg": 0.0,
                "Best": 0.0,
                "Wrst": 0.0,
                "StDev": 0.0
            },
            {
                "count": 3,
                "host": "198.51.100.9",
                "Loss%": 0.0,
                "Snt": 2,
                "Last": LAST,
                "Avg": AVG,
                "Best": BEST,
                "Wrst": WRST,
                "StDev": STDEV
            },
            {
                "count": 4,
                "host": "???",
                "Loss%": 100.0,
                "Snt": 2,
                "Last": 0.0,
                "Avg": 0.0,
                "Best": 0.0,
                "Wrst": 0.0,
                "StDev": 0.0
            }
        ]
    }
}
`
	got := play(t, s, export.NewMTR)
	var doc struct {
		Report struct {
			Hubs []struct{ Last, Avg, Best, Wrst, StDev json.Number }
		}
	}
	if err := json.Unmarshal([]byte(got), &doc); err != nil {
		t.Fatal(err)
	}
	h := doc.Report.Hubs[2]
	want = strings.NewReplacer("LAST", h.Last.String(), "AVG", h.Avg.String(), "BEST", h.Best.String(), "WRST", h.Wrst.String(), "STDEV", h.StDev.String()).Replace(want)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	value := func(n json.Number) float64 { v, _ := n.Float64(); return v }
	low, high := value(h.Best), value(h.Wrst)
	if low < 60 || low >= high || value(h.Last) != low && value(h.Last) != high {
		t.Errorf("figures: %+v", h)
	}
	// Of two, the mean is the middle, and the deviation their distance by the root of two.
	if avg := (low + high) / 2; value(h.Avg) < avg-0.01 || value(h.Avg) > avg+0.01 {
		t.Errorf("figures: %+v", h)
	}
	if dev := (high - low) / 1.41421356; value(h.StDev) < dev-0.01 || value(h.StDev) > dev+0.01 {
		t.Errorf("figures: %+v", h)
	}
}

// TestMTRUnknown: a probe that was sent again makes a hop's row no longer, and is no loss.
func TestMTRUnknown(t *testing.T) {
	again := 0
	got := play(t, scene.Scene{
		Network: "router 198.51.100.1\nrouter *\ntarget 203.0.113.9 open",
		Path:    trace.PathOptions{Queries: 3},
		Change: func(r trace.Result) trace.Result {
			if r.Outcome == trace.Lost && again == 0 {
				r.Outcome, again = trace.Unknown, again+1
			}
			return r
		},
	}, export.NewMTR)
	var doc struct {
		Report struct{ Hubs []struct{ Snt int } }
	}
	if err := json.Unmarshal([]byte(got), &doc); err != nil {
		t.Fatal(err)
	}
	if hubs := doc.Report.Hubs; again != 1 || len(hubs) != 3 || hubs[0].Snt != 3 || hubs[1].Snt != 2 {
		t.Errorf("%d probes are unknown: %s", again, got)
	}
}

// atlas is the result's documented fields as a validator, which lets nothing else pass.
func atlas(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/atlas.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("atlas.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("atlas.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAtlas(t *testing.T) {
	s := atlas(t)
	for name, tt := range map[string]struct {
		scene scene.Scene
		has   []string
	}{
		"path": {path, []string{
			`"dst_name":"www.example.com"`, `"proto":"TCP"`, `"af":4`, `"paris_id":1`, `"timestamp":946684800`,
			`{"hop":1,"result":[{"from":"198.51.100.1","ttl":255,"size":68,"rtt":2,"itos":32}`, `"dup":true`,
			`"icmpext":{"version":2,"rfc4884":1,"obj":[{"class":1,"type":1,"mpls":[{"label":16001,"exp":5,"s":0,"ttl":1},{"label":17,"exp":0,"s":1,"ttl":2}]}]}`,
			`{"hop":3,"result":[{"x":"*"},{"x":"*"},{"x":"*"}]}`, `"edst":"203.0.113.77"`, `"itos":8`, `"flags":"SA"`, `"hdropts":[{"mss":`,
		}},
		"closed, IPv6": {scene.Scene{Network: "router 2001:db8:1::2\ntarget 2001:db8:3::2 closed"}, []string{`"af":6`, `"flags":"RA"`}},
		"refused":      {scene.Scene{Network: "router 198.51.100.1\nrouter 198.51.100.5 reject=13\ntarget 203.0.113.9"}, []string{`"err":"A"`}},
		"odd code":     {scene.Scene{Network: "router 198.51.100.1\nrouter 198.51.100.5 reject=11\ntarget 203.0.113.9"}, []string{`"err":11`}},
		"late": {scene.Scene{Network: "router 198.51.100.1 late=1/1005ms\nrouter *\ntarget 203.0.113.9 open", Path: trace.PathOptions{Wait: time.Second}},
			[]string{`{"x":"*"}`, `"late":`}},
		"echo":    {scene.Scene{Network: "router 198.51.100.1\ntarget 203.0.113.9", Path: trace.PathOptions{Protocol: packet.ProtoEcho}}, []string{`"proto":"ICMP"`}},
		"ports":   {scene.Scene{Network: "router 198.51.100.1\ntarget 203.0.113.9 open", Path: trace.PathOptions{Ports: []uint16{5000, 5001}}}, []string{`"paris_id":0`}},
		"connect": {path.Connections(), []string{`"flags":"SA"}`, `"ttl":255,"rtt":2}`}},
		"stop":    {scene.Scene{Network: "router 198.51.100.1\ntarget 203.0.113.9 filtered", Stop: time.Nanosecond}, []string{`"result":[`}},
	} {
		t.Run(name, func(t *testing.T) {
			out := play(t, tt.scene, export.NewAtlas)
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if err := s.Validate(v); err != nil {
				t.Errorf("%#v\n%s", err, out)
			}
			for _, want := range tt.has {
				if !strings.Contains(out, want) {
					t.Errorf("no %s in\n%s", want, out)
				}
			}
			if strings.Count(out, "\n") != 1 {
				t.Error("more than one line")
			}
		})
	}
}

func TestHostileJSON(t *testing.T) {
	s := atlas(t)
	for _, text := range scene.Hostile() {
		for _, out := range []string{play(t, scene.Attack(text), export.NewMTR), play(t, scene.Attack(text), export.NewAtlas)} {
			if err := scene.Harmless([]byte(out)); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
			if err != nil {
				t.Fatalf("%q: %v\n%s", text, err, out)
			}
			if strings.HasPrefix(out, `{"fw"`) && s.Validate(v) != nil {
				t.Errorf("%q: %v", text, s.Validate(v))
			}
		}
	}
}
