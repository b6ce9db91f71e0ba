package measure

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// TestManyNear: who stands at a near hop that limits its answers is taken over from the traces to other targets, and nobody
// is said to stand on a way where somebody else does, or who never answers.
func TestManyNear(t *testing.T) {
	t.Parallel()
	const targets = 600
	const limited = "router 10.0.%d.%d device=%d%d rate=1s/6 delay=1ms\n"
	third := func(int) string { return "router 10.0.3.1 device=3\n" }
	half := func(first, second string) func(int) string {
		return func(i int) string { return []string{first, second}[i/3%2] }
	}
	for _, tt := range []struct {
		name          string
		second, third func(target int) string // the routers at hops 2 and 3
		rate          int                     // packets a second
		least, most   int                     // for how many targets hop 2 is taken over
	}{
		{"one router", func(int) string { return fmt.Sprintf(limited, 2, 1, 2, 1) }, third, 300, 200, targets},
		{"and the next limits too", func(int) string { return fmt.Sprintf(limited, 2, 1, 2, 1) },
			func(i int) string { return fmt.Sprintf(limited, 3, 1, 3, 1) + "router 10.0.4.1 device=4\n" }, 300, 200, targets},
		{"a tree", func(i int) string { return fmt.Sprintf(limited, 2, i%3, 2, i%3) },
			func(i int) string { return fmt.Sprintf("router 10.0.3.%d device=3%d\n", i%12, i%12) }, 100, 50, targets},
		{"two ways that meet again", half(fmt.Sprintf(limited, 2, 1, 2, 1), fmt.Sprintf(limited, 2, 2, 2, 2)), third, 300, 0, 0},
		{"two ways by flow", func(int) string { return "router 10.0.2.1,10.0.2.2 device=21 rate=1s/6\n" }, third, 300, 0, 0},
		{"one of two never answers", half("router 10.0.2.1 device=21\n", "router *\n"), third, 300, 0, 0},
		{"one of four answers", func(i int) string { return []string{"router 10.0.2.1 device=21\n", "router *\n"}[min(i/3%4, 1)] },
			third, 300, 0, 0},
		{"and packets are lost", half("router 10.0.2.1 device=21 loss=0.1\n", "router * loss=0.1\n"), third, 300, 0, 0},
		{"then one that never answers", func(i int) string {
			if i < targets/2 {
				return fmt.Sprintf(limited, 2, 1, 2, 1)
			}
			return "router *\n"
		}, third, 300, 100, targets},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, network, list := &manySim{}, "", ""
			stands := make(map[string]string) // the router at hop 2
			for i := range targets {
				target := fmt.Sprintf("198.18.%d.%d", i%250, 1+i/250)
				second := tt.second(i)
				network += "router 10.0.0.1 device=1 rate=1s/6 delay=1ms\n" + second + tt.third(i) + "target " + target + " open\n"
				list += target + "\n"
				stands[target] = strings.Fields(second)[1]
			}
			m.Rate = tt.rate
			taken, wrong, seen := 0, 0, 0
			m.runWith(t, network, list, time.Hour, func(c *sim.Conn) Network { return &gatewaySim{simNetwork{Conn: c}} },
				func(l record.Listed) {
					if shown := answering(l.Trace.Fold(), nil); len(shown) > 1 && shown[1].IsValid() {
						seen++
					}
					a := l.Trace.Inferred[2]
					if !a.IsValid() {
						return
					}
					for _, r := range l.Trace.Results {
						if r.Outcome == trace.Answered && r.Probe.TTL == 2 {
							t.Errorf("%s: %v is taken over, and %v answered", l.Host, a, r.Reply.From())
						}
					}
					if taken++; a.String() != stands[l.Host] {
						wrong++
					}
				})
			t.Logf("hop 2: seen %d, taken over %d, %d of them wrong, in %v", seen, taken, wrong, m.took)
			if taken < tt.least || taken > tt.most || wrong > 0 || len(m.lines) != targets {
				t.Errorf("taken over for %d, %d of them wrong; %d targets", taken, wrong, len(m.lines))
			}
		})
	}
}

var (
	nearTrees = flag.Int("near-trees", 4, "how many random trees of near routers TestManyNearTrees tries")
	nearSeed  = flag.Uint64("near-seed", 1, "the seed of the first of them")
)

// nearTree is a random tree of near routers, some of which limit their answers, with balanced ones side by side, and what
// is true about each target's way: the text of its routers' addresses.
func nearTree(seed uint64, targets int) (network, list string, ways map[string][]string) {
	rng := rand.New(rand.NewPCG(seed, 5))
	rates := []string{"", "rate=1s/6", "rate=1s/6", "rate=500ms/2", "rate=100ms/10", "rate=1s/1"}
	type level struct {
		branches, members int
		silent            int // which of the members never answers; -1: none
	}
	var levels []level
	for range 3 + rng.IntN(5) {
		l := level{branches: 1 + rng.IntN(2)*rng.IntN(3), members: 1, silent: -1}
		if rng.IntN(3) == 0 {
			l.members = 2 + rng.IntN(2)
		}
		if rng.IntN(5) == 0 {
			l.silent = rng.IntN(l.members)
		}
		if len(levels) == 0 {
			l = level{1, 1, -1} // the routing table knows one gateway
		}
		levels = append(levels, l)
	}
	loss := []string{"", "", " loss=0.01", " loss=0.05"}[rng.IntN(4)]
	ways = make(map[string][]string)
	routers := make(map[string]string)
	for i := range targets {
		target := fmt.Sprintf("198.18.%d.%d", i%250, 1+i/250)
		var way []string
		branch := 0 // of the tree
		for n, l := range levels {
			branch = branch*l.branches + rng.IntN(l.branches)
			member := rng.IntN(l.members)
			name := fmt.Sprintf("10.%d.%d.%d", 1+n, branch%250, 1+member)
			if routers[name] == "" {
				device := fmt.Sprintf("device=%d", len(routers)+1)
				switch rate := rates[rng.IntN(len(rates))]; {
				case member == l.silent:
					routers[name] = "router * " + device
				case l.silent >= 0 && l.members > 1: // beside one that limits its answers it could not be told
					routers[name] = "router " + name + " " + device
				default:
					routers[name] = "router " + name + " " + device + " " + rate
				}
				routers[name] += fmt.Sprintf(" delay=%dms%s", 1+rng.IntN(5), loss)
			}
			network += routers[name] + "\n"
			way = append(way, strings.Fields(routers[name])[1])
		}
		network += "target " + target + " open\n"
		list += target + "\n"
		ways[target] = way
	}
	return network, list, ways
}

// TestManyNearTrees: in random trees of near routers nobody is said to stand where somebody else does, or who never answers.
func TestManyNearTrees(t *testing.T) {
	t.Parallel()
	trees := *nearTrees
	if testing.Short() {
		trees = min(trees, 2)
	}
	seen, taken, silent, wrong := 0, 0, 0, 0
	seeds := []uint64{217, 231} // which had wrong ones
	for i := range trees {
		seeds = append(seeds, *nearSeed+uint64(i))
	}
	for _, seed := range seeds {
		m := &manySim{}
		network, list, ways := nearTree(seed, 300)
		m.Rate = 300
		m.runWith(t, network, list, time.Hour, func(c *sim.Conn) Network { return &gatewaySim{simNetwork{Conn: c}} },
			func(l record.Listed) {
				shown := answering(l.Trace.Fold(), nil)
				for hop, truth := range ways[l.Host] {
					a, answered := l.Trace.Inferred[1+hop], hop < len(shown) && shown[hop].IsValid()
					switch {
					case answered:
						seen++
					case !a.IsValid():
						silent++
					case a.String() == truth:
						taken++
					default:
						wrong++
						t.Logf("seed %d, %s: %v at hop %d, where %s stands", seed, l.Host, a, 1+hop, truth)
					}
				}
			})
	}
	t.Logf("%d trees, hops: seen %d, taken over %d, silent %d, wrong %d", len(seeds), seen, taken, silent, wrong)
	if wrong > 0 || taken == 0 {
		t.Errorf("%d hops are taken over, and %d wrong ones", taken, wrong)
	}
}
