package cli

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

var (
	explainPaths = flag.Int("paths", 200, "how many paths of the simulated Internet TestExplainSYNs explains")
	explainSeed  = flag.Uint64("internet", 1, "the seed of these paths")
)

// A target that answers gets at most 8 SYNs of a trace with --explain: those of the trace, of the ordinary connection and
// of the questions. Paths on which somebody drops SYNs don't count.
func TestExplainSYNs(t *testing.T) {
	t.Parallel()
	const most = 8
	explained, many := 0, 0
	limits := func(r sim.Router) bool { return r.SYNs != (sim.Rate{}) }
	for i, p := range sim.Internet(*explainSeed, *explainPaths, sim.InternetOptions{}).Paths {
		if p.Target.Defence != (sim.Defence{}) || slices.ContainsFunc(p.Routers, limits) {
			continue
		}
		explained++
		if n := explainSYNs(t, *explainSeed, i, p); n > most {
			many++
			t.Logf("path %d: %d SYNs", i, n)
		}
	}
	t.Logf("%d of %d targets get more than %d SYNs", many, explained, most)
	if many > 0 {
		t.Errorf("%d of %d targets get more than %d SYNs", many, explained, most)
	}
}

// Targets that got more of them: by questions that were asked again, because a reset may be another's or because nobody
// has answered them; by a trace whose first two distance probes got no answer, so that it asked too far or sent two more; and by three
// probes at once to a hop that was the target.
func TestExplainSYNsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		seed uint64
		path int
	}{
		{11, 290}, {11, 1216}, {11, 1385}, {23, 683}, {77, 226},
		{5, 1971}, {11, 824}, {11, 1468}, {23, 1662}, {102, 271},
		{11, 138}, {103, 301}, {103, 647}, {11, 1951},
	} {
		p := sim.Internet(x.seed, x.path+1, sim.InternetOptions{}).Paths[x.path]
		if n := explainSYNs(t, x.seed, x.path, p); n > 8 {
			t.Errorf("seed %d, path %d: %d SYNs", x.seed, x.path, n)
		}
	}
}

// Where one source port is reset and others are accepted, as by two machines with one address, or the target itself
// limits SYNs, the trace asks more to get the target's hop right: no more than leaves the 8.
func TestExplainSYNsInDoubt(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"open reset=from-40001", "closed accept=from-40001", "open reset=from-40002", "open reset=from-40001-40002",
		"open reset=from-40001 by-source", "open reset=from-40001:p0.5", "open reset=turn2", "open reset=p0.3",
	} {
		for routers := range 6 {
			if routers == 0 && strings.Contains(target, ":p") {
				continue // six SYNs get to the first hop before anything is known of it
			}
			network := ""
			for i := range routers {
				network += fmt.Sprintf("router 10.0.%d.1 delay=%dms\n", i, 1+i)
			}
			network += "target 198.51.100.9 delay=1ms " + target
			v, syns := runVirtual(t, network, uint64(routers), "--explain"), 0
			for _, s := range v.sent {
				if s.Probe.Protocol == packet.ProtoTCP && s.Probe.Flags == packet.SYN && int(s.Probe.TTL) > routers {
					syns++ // nothing on the way loses any
				}
			}
			if syns > 8 {
				t.Errorf("%d SYNs\n%s\n%s%s", syns, network, v.stdout, v.stderr)
			}
		}
	}
}

// explainSYNs is how many SYNs the target of a path gets.
func explainSYNs(t *testing.T, seed uint64, i int, p sim.Path) int {
	m := &simMedium{service: strconv.Itoa(sim.InternetPort), chance: 1 << 32}
	network := sim.Scenario{Paths: []sim.Path{p}}.String()
	return runVirtualOn(t, network, seed+uint64(i), m, func(*program) {}, "--explain").syns
}

// A target that answers no SYN, or says by ICMP that it takes none, gets no more of them: each that goes farther than the
// last router may get there.
func TestExplainSYNsUnanswered(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"filtered", "filtered=443 closed", "filtered=443 open", "filtered no-echo", "reject=13", "reject=3:443", "stuck",
	} {
		for _, routers := range []int{0, 1, 2, 9} {
			network := ""
			for i := range routers {
				network += fmt.Sprintf("router 10.0.%d.1 delay=%dms\n", i, 1+i)
			}
			network += "target 198.51.100.9 delay=1ms " + target
			for _, args := range []string{"--explain", "--explain -q 1", "--explain -q 5", "--explain -l 200", "--explain -t 184"} {
				v, syns := runVirtual(t, network, uint64(routers), strings.Fields(args)...), 0
				for _, s := range v.sent {
					if s.Probe.Protocol == packet.ProtoTCP && s.Probe.Flags == packet.SYN && int(s.Probe.TTL) > routers {
						syns++
					}
				}
				if syns > 8 {
					t.Errorf("%s: %d SYNs\n%s\n%s%s", args, syns, network, v.stdout, v.stderr)
				}
				if said := strings.Contains(v.stdout, "To spare the target"); said == strings.HasPrefix(target, "reject") {
					t.Errorf("%s: that hops were not asked is said: %v\n%s\n%s", args, said, network, v.stdout)
				}
			}
		}
	}
}
