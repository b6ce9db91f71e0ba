package compare_test

import (
	"net/netip"
	"strings"
	"testing"

	"go.example/tcptraceroute/compare"
	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// twice is the same trace two times, for what no simulated network brings about.
func twice(t *testing.T) (old, new *record.Trace) {
	t.Helper()
	r := pair(t, network, network, 3, 1, 41234)
	return r.Old, r.New
}

// check compares, and wants these kinds of differences and of doubtful ones, and these words.
func check(t *testing.T, name string, old, new *record.Trace, differences, doubtful, words string) {
	t.Helper()
	r := compare.Compare(old, new)
	if kinds(r.Differences) != differences || kinds(r.Doubtful) != doubtful || !strings.Contains(text(r), words) {
		t.Errorf("%s: %q and %q, want %q and %q, and %q:\n%s", name, kinds(r.Differences), kinds(r.Doubtful), differences, doubtful,
			words, text(r))
	}
}

// Another MTU is a difference if both were measured in a connection.
func TestMTU(t *testing.T) {
	t.Parallel()
	old, new := twice(t)
	mtu := func(size int, session, hole bool) *record.MTU {
		return &record.MTU{MTU: trace.MTU{Size: size, Narrow: size < 1500, BlackHole: hole, TTL: 3}, InSession: session}
	}
	said := mtu(1400, false, false)
	said.From = netip.MustParseAddr("10.0.3.1")
	for _, tt := range []struct {
		name                         string
		old, new                     *record.MTU
		differences, doubtful, words string
	}{
		{"the same", mtu(1500, true, false), mtu(1500, true, false), "", "", "No difference"},
		{"smaller", mtu(1500, true, false), mtu(1400, true, false), "mtu", "", "the path MTU is 1400 bytes, and was 1500 bytes"},
		{"a black hole", mtu(1400, true, false), mtu(1400, true, true), "mtu", "", "with a black hole for larger packets"},
		{"a router says so", mtu(1500, false, false), said, "mtu", "", "the path MTU is 1400 bytes, and was 1500 bytes"},
		{"by SYNs", mtu(1500, true, false), mtu(1400, false, false), "", "mtu", "measured by SYNs"},
		{"one only", mtu(1500, true, false), nil, "", "", "only one of the traces has measured the MTU"},
		{"not found", mtu(1500, true, false), mtu(0, true, false), "", "", "could not measure the MTU"},
	} {
		old.MTU, new.MTU = tt.old, tt.new
		check(t, tt.name, old, new, tt.differences, tt.doubtful, tt.words)
	}
}

// graph is one of a first router, some of the second hop with the flows through each, and the target.
func graph(members map[string]int) *trace.Graph {
	g := &trace.Graph{Complete: true, Confidence: 0.99, Nodes: []trace.Node{
		{TTL: 1, Addr: netip.MustParseAddr("10.0.1.1")}, {TTL: 3, Addr: netip.MustParseAddr("198.51.100.9"), Target: true}}}
	for name, flows := range members {
		g.Nodes = append(g.Nodes, trace.Node{TTL: 2, Addr: netip.MustParseAddr(name)})
		g.Ways = append(g.Ways, trace.Way{Nodes: []int{0, len(g.Nodes) - 1, 1}, Ports: make([]uint16, flows)})
		g.Flows += flows
	}
	return g
}

// A router among several is gone, or new, if enough flows say so.
func TestGraphs(t *testing.T) {
	t.Parallel()
	old, new := twice(t)
	two := map[string]int{"10.0.2.1": 11, "10.0.2.2": 9}
	for _, tt := range []struct {
		name                         string
		new                          map[string]int
		differences, doubtful, words string
	}{
		{"the same", map[string]int{"10.0.2.1": 8, "10.0.2.2": 4}, "", "", "No difference"},
		{"one gone, many flows", map[string]int{"10.0.2.1": 25}, "member", "", "10.0.2.2 is gone there, which had 9 of 20 flows"},
		{"one gone, few flows", map[string]int{"10.0.2.1": 14}, "", "member", "chance does that"},
		{"one more", map[string]int{"10.0.2.1": 9, "10.0.2.2": 8, "10.0.2.3": 30}, "member", "", "10.0.2.3 is new there"},
		{"one more, seldom", map[string]int{"10.0.2.1": 9, "10.0.2.2": 8, "10.0.2.3": 1}, "", "", "No difference"},
	} {
		old.Graph, new.Graph = graph(two), graph(tt.new)
		check(t, tt.name, old, new, tt.differences, tt.doubtful, tt.words)
	}
	new.Graph = nil
	check(t, "one only", old, new, "", "", "only one of the traces has searched for all paths")
}

// A finding counts if it is at least likely, and nothing else compares what it is about.
func TestFindings(t *testing.T) {
	t.Parallel()
	old, new := twice(t)
	find := func(code detect.Code, c detect.Confidence) []detect.Finding {
		return []detect.Finding{{Code: code, Confidence: c, Title: "Something is so", After: 2, Before: 3}}
	}
	for _, tt := range []struct {
		name                         string
		old, new                     []detect.Finding
		differences, doubtful, words string
	}{
		{"new", []detect.Finding{}, find(detect.RoutingLoop, detect.Certain), "finding", "", "now: Something is so"},
		{"gone", find(detect.RoutingLoop, detect.Likely), []detect.Finding{}, "finding", "", "before, not any more: Something is so"},
		{"possible", []detect.Finding{}, find(detect.RoutingLoop, detect.Possible), "", "finding", "only possible"},
		{"both", find(detect.RoutingLoop, detect.Certain), find(detect.RoutingLoop, detect.Likely), "", "", "No difference"},
		{"chance", []detect.Finding{}, find(detect.PacketLoss, detect.Certain), "", "", "No difference"},
		{"nobody looked", nil, find(detect.RoutingLoop, detect.Certain), "", "", "No difference"},
	} {
		old.Findings, new.Findings = tt.old, tt.new
		check(t, tt.name, old, new, tt.differences, tt.doubtful, tt.words)
	}
}

// Probes of another kind are answered otherwise, and that is no change.
func TestOtherProbes(t *testing.T) {
	t.Parallel()
	r := pair(t, network, network+" closed", 3, 1, 41234)
	r.New.Path.Flags = packet.PSH | packet.ACK
	check(t, "inside a connection", r.Old, r.New, "", "state", "the options differ: TCP flags SYN before, PSH|ACK now")
}

// Searches for all paths that came to the last hop that was asked have come to their end; others are told.
func TestSearches(t *testing.T) {
	t.Parallel()
	old, new := twice(t)
	old.Graph, new.Graph = &trace.Graph{Tested: true}, &trace.Graph{Tested: true}
	check(t, "to the end", old, new, "", "", "No difference")
	for _, note := range compare.Compare(old, new).Notes {
		t.Errorf("noted: %s", note)
	}
	new.Graph.Tested = false
	check(t, "not to the end", old, new, "", "", "a search for all paths didn't come to its end")
}

// A trace that didn't come to its end says nothing of the port, and nothing panics on one without any result.
func TestIncomplete(t *testing.T) {
	t.Parallel()
	old, new := twice(t)
	new.Results, new.Ending.Reason = nil, record.Interrupted
	check(t, "interrupted", old, new, "", "", "the new trace didn't come to its end (interrupted)")
	check(t, "before", new, old, "", "", "the old trace didn't come to its end (interrupted)")
	check(t, "both", new, new, "", "", "No difference")
}
