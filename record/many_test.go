package record_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
)

// manyLines is a run over lists of targets with all that it can hold.
func manyLines(t *testing.T) []byte { return manyLinesOf(t, document(t, everything)) }

func manyLinesOf(t *testing.T, first []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	begin := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	l, err := record.NewManyLines(&out, record.ManyRun{Version: "1", Started: begin, Lists: []string{"hosts.txt", "-"},
		Rate: 1000, Open: 100, Queries: 2, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	traced, err := record.ReadJSON(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	cut, err := record.ReadJSON(bytes.NewReader(document(t, scenes["silence"])))
	if err != nil {
		t.Fatal(err)
	}
	cut.Host, cut.Ending.Reason = "cut.example", record.TimedOut
	cut.Inferred = map[int]netip.Addr{2: netip.MustParseAddr("198.51.100.2")}
	open, err := record.ReadJSON(bytes.NewReader(document(t, scenes["silence"])))
	if err != nil {
		t.Fatal(err)
	}
	open.Host, open.Ending.Reason = "open.example", record.Interrupted
	for i, x := range []record.Listed{
		{Trace: traced, Explained: "no_answer"}, {Trace: cut}, {Trace: open}, {Host: "nowhere.example", Port: 80, Why: record.NotFound, Err: errors.New("no such name")},
		{Host: "b\x00\xff.example", Port: 80, Why: record.Same}, {Host: "c.example", Why: record.Excluded},
		{Host: "10.0.0.1", Port: 1, Why: record.NoWay, Err: errors.New("network is unreachable")},
	} {
		x.Index, x.File, x.Line = i+1, "hosts.txt", i+2
		if err := l.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	end := record.ManyEnd{ManyCounts: record.ManyCounts{Read: 9, Reached: 1, NotReached: 2}, Shared: []detect.SharedEnd{
		{End: detect.End{Last: netip.MustParseAddr("192.0.2.1")}, Targets: 2, Of: 5, Past: 9, Lacking: 2, Explained: 1,
			Causes: []detect.SharedCause{{Code: detect.FilteredPort, Confidence: detect.Likely, Targets: 1}}},
		{End: detect.End{Refused: true, Last: netip.MustParseAddr("192.0.2.2")}, Targets: 2, Of: 5},
		{Targets: 2, Of: 5},
	}}
	end.Time, end.Reason, end.Signal, end.Err = begin, record.Interrupted, "SIGINT", errors.New("interrupted")
	if err := l.Finish(end); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestTraced: wherever the output of a run ends, the targets whose lines are whole are known, and no others; one that was
// interrupted is to be traced again.
func TestTraced(t *testing.T) {
	out := manyLines(t)
	hosts := []string{"www.example.com 443", "cut.example 443", "", "nowhere.example 80", "b\x00\xff.example 80", "c.example 0",
		"10.0.0.1 1"}
	var ends []int
	for i, b := range out {
		if b == '\n' {
			ends = append(ends, i+1)
		}
	}
	for cut := 0; cut <= len(out); cut += 1 + cut%97 {
		var traced record.Traced
		if err := traced.Read(bytes.NewReader(out[:cut])); err != nil {
			t.Fatalf("%d bytes: %v", cut, err)
		}
		for i, host := range hosts {
			name, port, _ := strings.Cut(host, " ")
			n := uint16(0)
			for _, c := range port {
				n = 10*n + uint16(c-'0')
			}
			if got, want := traced.Has(name, n), host != "" && ends[i+1] <= cut; got != want {
				t.Fatalf("%d bytes: %s is there: %v", cut, host, got)
			}
		}
		if traced.Has("open.example", 443) || traced.Has("c.example", 1) {
			t.Fatalf("%d bytes: too much is there", cut)
		}
	}
	for _, bad := range []string{"{}\n", "no JSON\n", string(document(t, everything)), "{\"event\":\"run\",\"schema\":\"x\"}\n"} {
		if new(record.Traced).Read(strings.NewReader(bad)) == nil {
			t.Errorf("%.40q is no output of a run", bad)
		}
	}
	endless := io.MultiReader(strings.NewReader(strings.Repeat("\x00", 1<<17)), iotest.ErrReader(errors.New("it is read on")))
	if err := new(record.Traced).Read(endless); !errors.As(err, new(*record.LineError)) {
		t.Errorf("a file without lines: %v", err)
	}
}

// TestLineOfMany: the line of a target is a trace of its own, and the whole output is none.
func TestLineOfMany(t *testing.T) {
	want := document(t, everything)
	all := bytes.SplitAfter(manyLinesOf(t, want), []byte("\n"))
	got, err := record.ReadJSON(bytes.NewReader(all[1]))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := got.WriteJSON(&again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), want) {
		t.Errorf("another trace was read:\n%s", again.Bytes())
	}
	if got, err := record.ReadJSON(bytes.NewReader(all[2])); err != nil || got.Inferred[2].String() != "198.51.100.2" {
		t.Errorf("inferred: %v, %v", got.Inferred, err)
	}
	if _, err := record.ReadJSON(bytes.NewReader(bytes.Join(all, nil))); err == nil || !strings.Contains(err.Error(), "many") {
		t.Errorf("the whole output: %v", err)
	}
}
