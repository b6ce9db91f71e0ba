package cli

import (
	"flag"
	"slices"
	"strconv"
	"testing"

	"go.example/tcptraceroute/sim"
)

var (
	explainPaths = flag.Int("paths", 200, "how many paths of the simulated Internet TestExplainSYNs explains")
	explainSeed  = flag.Uint64("internet", 1, "the seed of these paths")
)

// A target that answers gets at most 8 SYNs of a trace with --explain, but for one in 1,500: those of the trace, of the
// ordinary connection and of the questions. Paths on which somebody drops SYNs don't count.
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
	if 1500*many > explained {
		t.Errorf("%d of %d targets get more than %d SYNs", many, explained, most)
	}
}

// Targets that got more of them: by questions that were asked again, because a reset may be another's or because nobody
// has answered them; by a trace whose first two distance probes got no answer, so that it asked too far; and by three
// probes at once to a hop that was the target.
func TestExplainSYNsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		seed uint64
		path int
	}{
		{11, 290}, {11, 1216}, {11, 1385}, {23, 683}, {77, 226},
		{5, 1971}, {11, 824}, {11, 1468}, {23, 1662}, {102, 271},
		{11, 138}, {103, 301}, {103, 647},
	} {
		p := sim.Internet(x.seed, x.path+1, sim.InternetOptions{}).Paths[x.path]
		if n := explainSYNs(t, x.seed, x.path, p); n > 8 {
			t.Errorf("seed %d, path %d: %d SYNs", x.seed, x.path, n)
		}
	}
}

// explainSYNs is how many SYNs the target of a path gets.
func explainSYNs(t *testing.T, seed uint64, i int, p sim.Path) int {
	m := &simMedium{service: strconv.Itoa(sim.InternetPort), chance: 1 << 32}
	network := sim.Scenario{Paths: []sim.Path{p}}.String()
	return runVirtualOn(t, network, seed+uint64(i), m, func(*program) {}, "--explain").syns
}
