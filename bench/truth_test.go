package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func TestJudge(t *testing.T) {
	// Two flows through a diamond; nobody at TTL 2; the target at 4.
	a := way{[][]netip.Addr{addrs("10.0.0.1"), nil, addrs("10.0.0.3"), addrs("10.0.0.9")}, 4}
	b := way{[][]netip.Addr{addrs("10.0.0.1"), nil, addrs("10.0.0.4"), addrs("10.0.0.9")}, 4}
	filtered := way{[][]netip.Addr{addrs("10.0.0.1"), addrs("10.0.0.2")}, 0}
	for _, tt := range []struct {
		name    string
		printed string
		flows   []way
		sent    map[int][]way
		want    string
	}{
		{"all of it", " 1 10.0.0.1 1 ms\n 2 *\n 3 10.0.0.3 1 ms 2 ms\n 4 10.0.0.9 1 ms\n", []way{a}, nil, "3/3 [] []"},
		{"a hop too few", " 1 10.0.0.1 1 ms\n 3 *\n 4 10.0.0.9 1 ms\n", []way{a}, nil, "2/3 [3] []"},
		{"nothing", "", []way{a}, nil, "0/3 [1 3 4] []"},
		{"no probe", " 1 10.0.0.1 1 ms\n", nil, nil, "0/0 [] [1 10.0.0.1, not []]"},
		{"the other branch", " 1 10.0.0.1 1 ms\n 3 10.0.0.4 1 ms\n 4 10.0.0.9 1 ms\n", []way{a}, nil, "2/3 [3] [3 10.0.0.4, not [10.0.0.3]]"},
		{"the other flow's branch", " 3 10.0.0.4 1 ms\n", []way{a, b}, map[int][]way{3: {b}}, "1/3 [1 4] []"},
		{"the first flow's branch", " 3 10.0.0.3 1 ms\n", []way{a, b}, map[int][]way{3: {b}}, "0/3 [1 3 4] [3 10.0.0.3, not [10.0.0.4]]"},
		{"no probe of that TTL", " 3 10.0.0.3 1 ms\n", []way{a, b}, map[int][]way{2: {b}}, "1/3 [1 4] []"},
		{"where nobody is", " 2 10.0.0.1 1 ms\n", []way{a}, nil, "0/3 [1 3 4] [2 10.0.0.1, not []]"},
		{"the target further on", " 1 10.0.0.1\n 3 10.0.0.3\n 4 10.0.0.9\n 7 10.0.0.9 1 ms\n", []way{a}, nil, "3/3 [] []"},
		{"the target before", " 3 10.0.0.9 1 ms\n", []way{a}, nil, "0/3 [1 3 4] [3 10.0.0.9, not [10.0.0.3]]"},
		{"behind the firewall", " 1 10.0.0.1\n 2 10.0.0.2\n 3 10.0.0.2\n", []way{filtered}, nil, "2/2 [] [3 10.0.0.2, not []]"},
	} {
		v := judge(parseLines(tt.printed), tt.flows, tt.sent)
		if got := fmt.Sprintf("%d/%d %v %v", v.found, v.findable, v.missed, v.wrong); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func trialOf(tool string, path int, wall float64, found, findable int) trial {
	return trial{Kind: kindInternet, Tool: tool, Path: path, WallSeconds: wall, Found: found, Findable: findable, Packets: 10, TargetSYNs: 3}
}

func TestClaims(t *testing.T) {
	r := results{
		trialOf(ours, 0, 0.1, 9, 10), trialOf(ours, 1, 0.3, 10, 10), trialOf(ours, 2, 50, 10, 10),
		trialOf("traceroute", 0, 1, 10, 10), trialOf("traceroute", 1, 1, 10, 10), // not on path 2: it doesn't count
	}
	got := make(map[string]claim)
	for _, c := range r.claims() {
		got[c.what] = c
	}
	for what, want := range map[string]struct {
		measured, limit float64
		holds           bool
	}{
		"wall time, of traceroute's":                    {0.2, 0.35, true},
		"hops found, % beside traceroute's":             {95, 100, false},
		"hops found, % of those that answer within 3 s": {100 * 29. / 30, 99.5, false},
		"wrong hops": {0, 0, true},
		"SYNs at the target, median, of the probes asked for": {1, 1.5, true},
		"SYNs at the target, median, beside traceroute's":     {3, 3, true},
	} {
		c, ok := got[what]
		if d := c.measured - want.measured; !ok || d > 1e-9 || d < -1e-9 || c.limit != want.limit || c.holds() != want.holds {
			t.Errorf("%s: %+v, want %+v", what, c, want)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d claims, of what was not measured too: %v", len(got), got)
	}
	for _, claim := range append(r, trial{Kind: kindInternet, Tool: ours, Path: 1, Error: "no such file"}).claims() {
		if claim != got[claim.what] {
			t.Errorf("a run that failed counts: %v", claim)
		}
	}
	slow := trial{Kind: kindInternet, Tool: ours, Path: 0, Findable: 10, WallSeconds: mostTime.Seconds(), Error: "killed"}
	if c := append(r[1:], slow).claims()[0]; c.what != "wall time, of traceroute's" || c.holds() {
		t.Errorf("a run that never ended doesn't count: %v", c)
	}
	if missing := results(nil).claims(); len(missing) != 0 {
		t.Errorf("claims about nothing: %v", missing)
	}
}

// A printed time is compared with the nearest one on the wire, and each of those only once.
func TestRTTErrors(t *testing.T) {
	start := time.Unix(1, 0)
	at := func(ms float64) time.Time { return start.Add(milliseconds(ms)) }
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	w := traffic{probes: []probe{
		{ttl: 1, sent: at(0), got: at(10), from: a},
		{ttl: 1, sent: at(1), got: at(21), from: a},
		{ttl: 1, sent: at(2)},
		{ttl: 2, sent: at(3), got: at(13), from: b},
	}}
	for _, tt := range []struct {
		printed string
		want    []float64
	}{
		{" 1 10.0.0.1 20.003 ms 10.001 ms\n 2 10.0.0.2 9.5 ms\n", []float64{3, 1, 500}},
		{" 1 10.0.0.1 10 ms 10 ms 10 ms\n", []float64{0, 10000}},
		{" 1 10.0.0.2 10 ms\n 2 10.0.0.1 10 ms\n 3 10.0.0.1 10 ms\n", nil},
		{" 1 10.0.0.1 !X\n", nil},
	} {
		got := w.rttErrors(parseLines(tt.printed))
		if !slices.EqualFunc(got, tt.want, func(x, y float64) bool { return x-y < 1e-6 && y-x < 1e-6 }) {
			t.Errorf("%q: %v, want %v", tt.printed, got, tt.want)
		}
	}
}
