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

// A target that answers gets at most 8 SYNs of a trace with --explain, but for one in 300: those of the trace, of the
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
		m := &simMedium{service: strconv.Itoa(sim.InternetPort), chance: 1 << 32}
		network := sim.Scenario{Paths: []sim.Path{p}}.String()
		v := runVirtualOn(t, network, *explainSeed+uint64(i), m, func(*program) {}, "--explain")
		explained++
		if v.syns > most {
			many++
			t.Logf("path %d: %d SYNs", i, v.syns)
		}
	}
	t.Logf("%d of %d targets get more than %d SYNs", many, explained, most)
	if 300*many > explained {
		t.Errorf("%d of %d targets get more than %d SYNs", many, explained, most)
	}
}
