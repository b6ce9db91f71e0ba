package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// listed is a trace of a list, through a simulated network.
func listed(t *testing.T, network string) record.Listed {
	t.Helper()
	var out bytes.Buffer
	scene.Scene{Network: network}.Play(t, func(r *report.Run, f *trace.Trace) report.Writer { return report.NewJSON(&out, r, f) })
	made, err := record.ReadJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	return record.Listed{Host: "www.example", Port: 443, Trace: made, Summary: made.Summary()}
}

func TestScamper(t *testing.T) {
	for network, want := range map[string]string{
		"router 198.51.100.1\nrouter *\ntarget 203.0.113.9 closed":               "COMPLETED 3 1:198.51.100.1:11/0 3:203.0.113.9:flags20",
		"router 198.51.100.1\nrouter 198.51.100.2 reject=13\ntarget 203.0.113.9": "UNREACH 3 1:198.51.100.1:11/0 2:198.51.100.2:11/0 3:198.51.100.2:3/13",
		"router 198.51.100.1\ntarget 203.0.113.9 filtered":                       "GAPLIMIT 1 1:198.51.100.1:11/0",
		"router 2001:db8:1::1\ntarget 2001:db8:2::1 open":                        "COMPLETED 2 1:2001:db8:1::1:3/0 2:2001:db8:2::1:flags18",
	} {
		l := listed(t, network)
		var out bytes.Buffer
		s, err := export.NewScamper(&out, "host", l.Trace.Started)
		if err = errors.Join(err, s.Add(l), s.Add(record.Listed{Why: record.NotFound}), s.Finish(record.ManyEnd{Ending: l.Trace.Ending})); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], `{"type":"cycle-start"`) || !strings.HasPrefix(lines[2], `{"type":"cycle-stop"`) {
			t.Fatalf("%s", out.String())
		}
		var made struct {
			Type       string
			StopReason string `json:"stop_reason"`
			HopCount   int    `json:"hop_count"`
			Hops       []struct {
				Addr     string
				ProbeTTL int      `json:"probe_ttl"`
				Type     *int     `json:"icmp_type"`
				Code     *int     `json:"icmp_code"`
				Flags    int      `json:"tcp_flags"`
				RTT      *float64 `json:"rtt"`
			}
		}
		if err := json.Unmarshal([]byte(lines[1]), &made); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		write := func(v any) { b, _ := json.Marshal(v); got.Write(bytes.Trim(b, `"`)) }
		write(made.StopReason)
		got.WriteString(" ")
		write(made.HopCount)
		for _, h := range made.Hops {
			got.WriteString(" ")
			write(h.ProbeTTL)
			got.WriteString(":" + h.Addr + ":")
			if h.Type != nil {
				write(*h.Type)
				got.WriteString("/")
				write(*h.Code)
			} else {
				got.WriteString("flags")
				write(h.Flags)
			}
			if h.RTT == nil {
				t.Errorf("hop %d has no time", h.ProbeTTL)
			}
		}
		if made.Type != "trace" || got.String() != want {
			t.Errorf("%q, want %q", got.String(), want)
		}
	}
}

func TestManyCSV(t *testing.T) {
	l := listed(t, "router 198.51.100.1\ntarget 203.0.113.9 closed")
	var out bytes.Buffer
	c := export.NewManyCSV(&out)
	if err := errors.Join(c.Add(l), c.Add(record.Listed{Host: "=x", Port: 1, Why: record.NotFound, Err: errors.New("why")}), c.Add(l)); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for i, row := range table(t, text) { // by the names of its columns, so that none is there twice
		if host := row["host"]; host != "www.example" && host != "'=x" {
			t.Errorf("row %d: host %q", i+1, host)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	probes := len(l.Trace.Results)
	if len(rows) != 2+2*probes || rows[0][0] != "host" || rows[1][0] != "www.example" || rows[1][1] != "443" || rows[1][2] != "1" {
		t.Fatalf("%d rows for %d probes: %q", len(rows), probes, rows)
	}
	bad := rows[1+probes]
	if bad[0] != "'=x" || !strings.Contains(strings.Join(bad, ","), "not_found: why") {
		t.Errorf("%q", bad)
	}
}

// TestManyRoundsCSV: each hop of each target has a row, and a target without any has one that says why.
func TestManyRoundsCSV(t *testing.T) {
	made := new(record.Trace)
	made.Host, made.Rounds = "a.example", &record.Rounds{Outcome: record.Outcome{State: record.Open, TTL: 2},
		Hops: []record.RoundsHop{{TTL: 1, Lost: 3}, {TTL: 2, Received: 3}}}
	silent := &record.Trace{Rounds: new(record.Rounds)}
	var out bytes.Buffer
	w := export.NewManyRoundsCSV(&out)
	for _, l := range []record.Listed{{Trace: made}, {Host: "b.example", Port: 80, Why: record.NotFound},
		{Host: "c.example", Port: 80, Trace: silent, Summary: record.Summary{State: "not_sent"}}} {
		if err := w.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(&out).ReadAll() // all rows have the same number of cells
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, r := range rows {
		got += strings.Join([]string{r[0], r[2], r[3], r[5], r[len(r)-1]}, " ") + "\n"
	}
	want := "target ttl sent lost state\na.example 1 3 3 \na.example 2 3 0 open\nb.example    not_found\nc.example    not_sent\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
