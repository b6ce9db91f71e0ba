package measure

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/targets"
)

// filteredBehind is a network and a list of targets that a router filters, the given number behind each of the routers.
func filteredBehind(numbers ...int) (network, list string) {
	for i, n := range numbers {
		for j := range n {
			network += fmt.Sprintf("router 10.0.0.1 delay=1ms\nrouter 10.0.1.%d delay=1ms drop=443\nrouter 10.0.2.1\ntarget 198.18.%d.%d open\n", i+1, i, j+1)
			list += fmt.Sprintf("198.18.%d.%d\n", i, j+1)
		}
	}
	return network, list
}

// TestManyExplained: of the targets whose paths end at the same place a few are explained, those of the place of most
// targets first; each target is Done once, and what holds for some is never certain of all.
func TestManyExplained(t *testing.T) {
	network, list := filteredBehind(6, 2, 1)
	m := &manySim{}
	m.Explain = true
	explained := make(map[string]int)
	var announced []string
	m.Explaining = func(x Explaining) {
		if x.Target == nil {
			announced = append(announced, fmt.Sprintf("%d of %d", x.Targets, x.Of))
		}
	}
	m.runWith(t, network+"router 10.0.0.1\ntarget 198.18.9.1 open\n", list+"198.18.9.1\n", time.Hour, overSim, func(l record.Listed) {
		if l.Explained != "" {
			if l.Trace.Explanation == nil || len(l.Trace.Findings) == 0 || l.Explained != "no_answer" || l.Trace.Host != l.Host {
				t.Errorf("%s: %+v", l.Host, l.Trace.Header)
			}
			explained[strings.Split(l.Host, ".")[2]]++
		}
	})
	if want := map[string]int{"0": 4, "1": 2, "2": 1}; fmt.Sprint(explained) != fmt.Sprint(want) || fmt.Sprint(announced) != "[7 of 9]" {
		t.Errorf("explained are %v, %v", explained, announced)
	}
	if len(m.lines) != 10 || m.end.NotReached != 9 || m.end.Reached != 1 || m.Status().Held != 0 || m.end.Counts.Sent != len(m.sent) {
		t.Errorf("%d lines, %+v, %d sent", len(m.lines), m.end, len(m.sent))
	}
	first, second := m.end.Shared[0], m.end.Shared[1]
	if first.Explained != 4 || len(first.Causes) != 1 || first.Causes[0].Confidence > detect.Likely || first.Causes[0].Targets != 4 ||
		!first.Causes[0].Beyond || second.Explained != 2 || len(second.Causes) != 1 {
		t.Errorf("%+v", m.end.Shared)
	}
}

// TestManyExplainedLoop: packets that go round are silent nowhere, and are explained all the same.
func TestManyExplainedLoop(t *testing.T) {
	m := &manySim{}
	m.Explain = true
	round := strings.Repeat("router 10.0.1.1\nrouter 10.0.1.2\n", 20)
	m.runWith(t, "router 10.0.0.1\n"+round+"target 198.18.0.1\n", "198.18.0.1\n", time.Hour, overSim,
		func(l record.Listed) {
			if l.Explained != "no_answer" || len(l.Trace.Findings) == 0 || l.Trace.Findings[0].Code != detect.RoutingLoop {
				t.Errorf("explained: %q, %+v", l.Explained, l.Trace.Findings)
			}
		})
	if len(m.lines) != 1 || m.end.NotReached != 1 || len(m.end.Shared) > 0 {
		t.Errorf("%q, %+v", m.lines, m.end)
	}
}

// TestManyExplainedExcluded: nothing is asked of a target whose other port is excluded.
func TestManyExplainedExcluded(t *testing.T) {
	network, list := filteredBehind(2)
	m := &manySim{}
	m.Explain, m.Exclude = true, new(targets.Set)
	if err := m.Exclude.Exclude(strings.NewReader("198.18.0.1:80\n"), "never", targets.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	m.runWith(t, network, list, time.Hour, overSim, func(l record.Listed) {
		if (l.Explained == "") != (l.Host == "198.18.0.1") {
			t.Errorf("%s: %q", l.Host, l.Explained)
		}
	})
	for _, s := range m.sent {
		if s.Probe.Dst == netip.MustParseAddrPort("198.18.0.1:80") {
			t.Fatal("an excluded port got a probe")
		}
	}
	if len(m.lines) != 2 {
		t.Errorf("%q", m.lines)
	}
}

// TestManyExplainedStopped: what waits for its explanation when the run is stopped comes out as it was first traced.
func TestManyExplainedStopped(t *testing.T) {
	network, list := filteredBehind(3)
	m := &manySim{}
	m.Explain = true
	explained := 0
	m.runWith(t, network, list, 14*time.Second, overSim, func(l record.Listed) {
		if l.Explained != "" {
			explained++
		}
		if l.Explained == "" && (!l.Trace.Ending.Reason.Whole() || l.Trace.Explanation != nil) {
			t.Errorf("%s: %+v", l.Host, l.Trace.Ending)
		}
	})
	if len(m.lines) != 3 || m.err != errStopped || m.took > 15*time.Second || explained == 0 || explained == 3 {
		t.Errorf("%q, %v after %v, %d explained", m.lines, m.err, m.took, explained)
	}
}

// TestSample: the places where most paths end keep their targets when there is no more room.
func TestSample(t *testing.T) {
	var s sample
	total := 0
	out := func(l *record.Listed) {
		if l != nil {
			total++
		}
	}
	for i := range 1000 {
		at := detect.End{Last: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		out(s.hold(at, record.Listed{Index: i}))
	}
	for i := range 10 {
		out(s.hold(detect.End{Last: netip.MustParseAddr("10.9.9.9")}, record.Listed{Index: 1000 + i}))
	}
	if s.held != mostHeld || total != 1010-mostHeld {
		t.Errorf("%d are held, %d are not", s.held, total)
	}
	chosen, others, of := s.choose()
	if len(chosen) != MostExplained || len(chosen)+len(others) != mostHeld || of != 1010 {
		t.Errorf("%d chosen, %d others, of %d", len(chosen), len(others), of)
	}
	var indexes []int
	for _, l := range chosen {
		if l.Index >= 1000 {
			indexes = append(indexes, l.Index)
		}
	}
	if !slices.Equal(indexes, []int{1000, 1001, 1002, 1003}) || s.held != 0 {
		t.Errorf("%v", indexes)
	}
}
