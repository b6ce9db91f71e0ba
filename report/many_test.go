package report_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
)

func TestTargetLine(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	ended := func(r record.Reason) *record.Trace { return &record.Trace{Ending: record.Ending{Reason: r}} }
	inferred := ended(record.Complete)
	inferred.Inferred = map[int]netip.Addr{1: router}
	for _, tt := range []struct {
		l    record.Listed
		want string
	}{
		{record.Listed{Trace: ended(record.Complete), Summary: record.Summary{State: "open", Hops: 12, RTT: 103400 * time.Microsecond}},
			"open 12 hops 103 ms"},
		{record.Listed{Trace: ended(record.Complete), Summary: record.Summary{State: "closed", Hops: 1, RTT: 9 * time.Microsecond}},
			"closed 1 hop 0.009 ms"},
		{record.Listed{Trace: ended(record.Complete), Summary: record.Summary{State: "open"}},
			"open, but how far away it is could not be told"},
		{record.Listed{Trace: ended(record.Complete), Summary: record.Summary{State: "no_answer", LastTTL: 9, Last: router}},
			"no answer, silent after hop 9 (192.0.2.1)"},
		{record.Listed{Trace: ended(record.Complete), Summary: record.Summary{State: "no_answer", LastTTL: 30, Last: router, Beyond: true}},
			"not reached in 30 hops (the last is 192.0.2.1)"},
		{record.Listed{Trace: ended(record.TimedOut), Summary: record.Summary{State: "no_answer"}},
			"no answer, nor from any hop, not finished in time"},
		{record.Listed{Trace: inferred, Summary: record.Summary{State: "no_answer"}}, "no answer, silent after hop 1 (192.0.2.1=)"},
		{record.Listed{Trace: ended(record.Interrupted), Summary: record.Summary{State: "refused", Hops: 7, From: router, Mark: "!X"}},
			"refused at hop 7 by 192.0.2.1 (!X), interrupted"},
		{record.Listed{Trace: ended(record.NotSent), Summary: record.Summary{State: "not_sent"}}, "not sent: this host could not send"},
		{record.Listed{Why: record.NotFound, Err: errors.New("no such name\x1b[2J")}, `not found: no such name\x1b[2J`},
		{record.Listed{Why: record.Same}, "not traced: another name leads to the same address and port"},
		{record.Listed{Why: record.NoWay, Err: errors.New("network is unreachable")}, "not sent: network is unreachable"},
	} {
		tt.l.Host, tt.l.Port = "www.example", 443
		if got := report.TargetLine(&tt.l); got != "www.example 443 "+tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// Whoever ends a run reads how much of it is missing.
func TestManyCounts(t *testing.T) {
	for _, tt := range []struct {
		counts record.ManyCounts
		want   string
	}{
		{record.ManyCounts{Read: 1, Reached: 1}, "1 target in 3.5s: 1 reached"},
		{record.ManyCounts{Read: 9, Reached: 2, Refused: 1, NotReached: 1, NotTraced: 1, Repeated: 1, Excluded: 1, Resumed: 2, BadLines: 3},
			"9 targets in 3.5s: 2 reached, 1 refused, 1 not reached, 1 not traced, 2 traced before, 1 named twice, 1 excluded, 3 unreadable"},
		{record.ManyCounts{Read: 1768, Reached: 89, Interrupted: 2},
			"1,768 targets in 3.5s: 89 reached, 2 interrupted, 1,677 or more not begun"},
		{record.ManyCounts{}, "0 targets in 3.5s: none"},
	} {
		if got := report.ManyCounts(&tt.counts, 3512*time.Millisecond); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestSharedEnds(t *testing.T) {
	router, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var ends detect.Ends
	for range 37 {
		ends.Add(detect.End{Last: router})
	}
	for range 3 {
		ends.Add(detect.End{Last: other, Refused: true})
	}
	for range 3 {
		ends.Add(detect.End{})
	}
	ends.Add(detect.End{Last: other}) // one alone shares nothing
	want := []string{"37 of 44 unreachable targets are silent after 192.0.2.1",
		"3 of 44 unreachable targets are silent, and so is every hop", "3 of 44 unreachable targets are refused by 192.0.2.2"}
	if got := report.SharedEnds(ends.Shared()); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	// A trace that got one hop farther says nothing of how often that hop answers. One that lacks it may be chance.
	next, far, silent := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8"), netip.Addr{}
	ends.Pass([]netip.Addr{silent, router, silent, far, silent, silent})
	for range 8 {
		ends.Pass([]netip.Addr{router, next, far})
		ends.Pass([]netip.Addr{router, next})
		ends.Pass([]netip.Addr{router, silent})
	}
	if got := report.SharedEnds(ends.Shared()); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	ends.Pass([]netip.Addr{router, silent, silent, far})
	want[0] += " or beyond (2 of 10 traces that get farther lack the next hop)"
	if got := report.SharedEnds(ends.Shared()); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for range 11 {
		ends.Pass([]netip.Addr{router, next, silent, far})
	}
	if got := ends.Shared()[0]; got.Past != 21 || got.Lacking != 2 || got.MayGoOn() {
		t.Errorf("%+v", got)
	}
	for range 100 {
		ends.Add(detect.End{Last: netip.MustParseAddr("192.0.2.9")})
	}
	if got := ends.Shared(); len(got) != 2 { // three of 144 are too few
		t.Errorf("%v", got)
	}
}

// TestSharedCauses: the verdict over all says why, how sure that is, and of how many targets it was asked.
func TestSharedCauses(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	x := func(code detect.Code, c detect.Confidence, after int) []detect.Finding {
		return []detect.Finding{{Code: code, Confidence: c, After: after, Before: after + 1, Weight: 500}}
	}
	port := x(detect.FilteredPort, detect.Certain, 9)
	for _, tt := range []struct {
		targets int
		all     [][]detect.Finding
		want    string
	}{
		{2, [][]detect.Finding{port, port}, ": their port is filtered beyond it, certain (all explained)"},
		{37, [][]detect.Finding{port, port}, ": their port is filtered beyond it, likely (explained 2 of them)"},
		{2, [][]detect.Finding{port, x(detect.FilteredPort, detect.Possible, 9)},
			": their port is filtered beyond it, possible (all explained)"},
		{3, [][]detect.Finding{x(detect.PathEnds, detect.Possible, 9), port, port},
			": their port is filtered beyond it, certain (2); nothing gets farther, filtered or broken beyond it, possible (1) (all explained)"},
		{3, [][]detect.Finding{x(detect.FilteredPort, detect.Certain, 4), nil, nil},
			": their port is filtered, certain (1); no cause found (2) (all explained)"},
		{2, [][]detect.Finding{nil}, ": no cause found (explained 1 of them)"},
	} {
		var ends detect.Ends
		end := detect.End{Last: router}
		for i := range tt.targets {
			if ends.Add(end); i < len(tt.all) {
				ends.Explain(end, 9, tt.all[i])
			}
		}
		want := fmt.Sprintf("%d of %[1]d unreachable targets are silent after 192.0.2.1%s", tt.targets, tt.want)
		if got := report.SharedEnds(ends.Shared()); !slices.Equal(got, []string{want}) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWithInferred(t *testing.T) {
	made := &record.Trace{Inferred: map[int]netip.Addr{1: netip.MustParseAddr("10.0.0.1"), 3: netip.MustParseAddr("10.0.0.3")}}
	for text, want := range map[string]string{
		" 2  10.0.0.2  1 ms\n": " 1  10.0.0.1=\n 2  10.0.0.2  1 ms\n",
		" 1  * *\n 2  10.0.0.2  1 ms\n    10.9.0.2  1 ms\n 3  * *\n": " 1  10.0.0.1= * *\n 2  10.0.0.2  1 ms\n    10.9.0.2  1 ms\n 3  10.0.0.3= * *\n",
		"": "",
	} {
		if got := report.WithInferred(text, made); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
