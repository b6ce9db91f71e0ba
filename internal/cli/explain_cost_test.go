package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/wire"
)

const (
	costTrip  = 60 * time.Millisecond // of all paths below
	mostClean = 12                    // probes that a clean path may cost more
	mostTime  = 8 * time.Second       // that a trace may take which ends in silence
)

// costPath is a path with so many routers, of which silent ones say nothing. Each router and the target may have
// words of their own.
func costPath(v6 bool, routers int, silent func(hop int) bool, words map[int]string) string {
	var b strings.Builder
	delay := costTrip / 2 / time.Duration(routers+1)
	address := func(hop int) string {
		if v6 {
			return fmt.Sprintf("2001:db8:a%02x::1", hop)
		}
		return fmt.Sprintf("10.0.%d.1", hop)
	}
	for hop := 1; hop <= routers; hop++ {
		who := address(hop)
		if silent != nil && silent(hop) {
			who = "*"
		}
		fmt.Fprintf(&b, "router %s delay=%v %s\n", who, delay, words[hop])
	}
	target := "198.51.100.9"
	if v6 {
		target = "2001:db8:99::1"
	}
	fmt.Fprintf(&b, "target %s delay=%v %s\n", target, costTrip/2-time.Duration(routers)*delay, words[routers+1])
	return b.String()
}

// explainCost runs a trace with and without --explain, and returns what the explanation costs. Both send the same SYNs.
func explainCost(t *testing.T, network string, seed uint64) (probes int, more time.Duration, with virtual) {
	t.Helper()
	without := runVirtual(t, network, seed, "--syn", "linux")
	with = runVirtual(t, network, seed, "--syn", "linux", "--explain")
	var announced, n int
	for line := range strings.Lines(with.stderr) {
		if _, err := fmt.Sscanf(line, "Up to %d more probes", &n); err == nil {
			announced += n
		}
		if _, syns, ok := strings.Cut(line, "ordinary connection too, which the target's program doesn't see: up to "); ok {
			fmt.Sscan(syns, &n)
			announced += n
		}
	}
	probes = len(with.sent) - len(without.sent)
	if probes > announced {
		t.Errorf("seed %d: %d more probes, and %d were announced\n%s%s", seed, probes, announced, network, with.stderr)
	}
	return probes, with.took - without.took, with
}

// On a path where all is well, of a round trip of 60 ms, an explanation costs at most 12 probes and one round trip.
func TestExplainCostClean(t *testing.T) {
	t.Parallel()
	const slack = 10 * time.Millisecond // the probes don't leave all at once, and silence is waited for a little longer
	probes, longest := 0, time.Duration(0)
	for seed := range uint64(60) {
		var silent func(int) bool
		if seed%3 == 2 {
			silent = func(hop int) bool { return hop == 2 }
		}
		routers := 2 + int(seed)%16
		var words map[int]string
		if seed%4 >= 2 {
			words = map[int]string{routers + 1: "no-echo"}
		}
		n, more, v := explainCost(t, costPath(seed%2 == 1, routers, silent, words), seed+1)
		probes, longest = max(probes, n), max(longest, more)
		text := strings.Join(strings.Fields(v.stdout), " ")
		if n > mostClean || more > costTrip+slack || !strings.Contains(text, "[port-open, certain]") {
			t.Errorf("seed %d: %d more probes, %v longer\n%s%s", seed, n, more, v.stdout, v.stderr)
		}
	}
	t.Logf("at most %d probes and %v more", probes, longest)
}

// A trace that ends in silence is explained within 8 s, its own 3 s included.
func TestExplainCostFiltered(t *testing.T) {
	t.Parallel()
	longest, most := time.Duration(0), 0
	for what, words := range map[string]map[int]string{
		"port": {4: "drop=443"}, "SYNs": {4: "drop=syn"}, "TCP": {4: "drop"}, "all": {4: "drop drop=not-tcp"},
		"first": {1: "drop drop=not-tcp"}, "last": {10: "drop=443"}, "at the target": {11: "filtered=443"},
		"TCP at the target": {11: "filtered"}, "dead": {11: "filtered no-echo"},
	} {
		for seed := range uint64(4) {
			var silent func(int) bool
			if seed >= 2 {
				silent = func(hop int) bool { return hop == 5 || hop == 6 }
			}
			n, _, v := explainCost(t, costPath(seed%2 == 1, 10, silent, words), seed+1)
			longest, most = max(longest, v.took), max(most, n)
			if said := strings.Count(v.stderr, "more probes to tell"); said != 1 {
				t.Errorf("%s, seed %d: how many probes may come was said %d times\n%s", what, seed, said, v.stderr)
			}
			if v.took > mostTime {
				t.Errorf("%s, seed %d: %v, %d more probes\n%s%s", what, seed, v.took, n, v.stdout, v.stderr)
			}
		}
	}
	t.Logf("at most %v, %d more probes", longest, most)
}

// connecting is a simulated network without raw sockets: it takes one probe of a flow at a time.
type connecting struct{ *simMedium }

func (connecting) ConnectWait() time.Duration { return wire.ConnectWait }

// By connections, of which one waits for the other, the questions don't all fit into 8 s where nobody answers: those
// that are left out are named, in text and in JSON.
func TestExplainCostConnections(t *testing.T) {
	t.Parallel()
	network := costPath(false, 3, func(int) bool { return true }, map[int]string{3: "drop drop=not-tcp"})
	for _, args := range [][]string{{"--explain"}, {"--explain", "--json"}} {
		m := new(simMedium)
		m.as = connecting{m}
		v := runVirtualOn(t, network, 1, m, func(*program) {}, args...)
		const unasked = "Not asked, or not to the end, for it would have taken too long: SYNs to port 80"
		said := strings.Join(strings.Fields(v.stdout), " ")
		if v.took > mostTime || !strings.Contains(said, unasked) || !strings.Contains(said, "path-ends") {
			t.Errorf("%v: %v\n%s%s", args, v.took, v.stdout, v.stderr)
		}
		if len(args) > 1 && !strings.Contains(said, `"unknown": [`) {
			t.Errorf("the JSON doesn't say what could not be asked:\n%s", v.stdout)
		}
	}
}
