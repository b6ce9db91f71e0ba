package trace_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var onceRuns = flag.Int("once", 8, "how many networks of each width to watch for rounds that are judged once")

// waysWatched is what was seen of ways that were watched.
type waysWatched struct {
	discovery
	rounds int // with which a suspect was named first; 0: with none
	moved  bool
	end    int // the target's TTL
	most   int // SYNs that went there in a second
}

// watchWays searches a network and watches its ways for so many rounds of a second, as a live view does: after each it is
// looked whom the figures blame.
func watchWays(t *testing.T, seed uint64, path sim.Path, rounds int) (w waysWatched) {
	w.discovery = discover(t, search{seed: seed, path: path, after: func(c trace.Conn, p *trace.Paths) trace.Graph {
		plan, err := trace.NewPathsRounds(p, trace.PathsRoundsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		g := p.Graph()
		w.end = g.Nodes[len(g.Nodes)-1].TTL
		looks := &looking{PathsRounds: plan, w: &w, most: rounds}
		if _, err := trace.Run(context.Background(), c, looks, trace.Options{Observe: inOrder}, func(r trace.Result) {
			if ways := plan.Of(r); len(ways) == 0 {
				t.Errorf("a result of no way: %v", r)
			}
		}); err != nil {
			t.Fatal(err)
		}
		w.moved = plan.Moved()
		return plan.Graph()
	}})
	return w
}

// looking looks at the figures after each second.
type looking struct {
	*trace.PathsRounds
	w      *waysWatched
	began  time.Time
	rounds int
	most   int
	syns   int // in this round
}

func (l *looking) Next(now time.Time) trace.Action {
	if l.began.IsZero() {
		l.began = now
	}
	if n := int(now.Sub(l.began) / time.Second); n > l.rounds {
		l.rounds, l.syns = n, 0
		if g := l.Graph(); len(g.Suspects()) > 0 && l.w.rounds == 0 {
			l.w.rounds = n
		}
	}
	if l.rounds >= l.most {
		return trace.Action{}
	}
	a := l.PathsRounds.Next(now)
	if a.Do == trace.DoSend && a.Role == trace.RoleHop && int(a.Probe.TTL) == l.w.end {
		if l.syns++; l.syns > l.w.most {
			l.w.most = l.syns
		}
	}
	return a
}

// A way that dies right before the target gets one SYN a round, as others do, and not one more for what is silent there.
func TestPathsRoundsDeadBeforeTarget(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		n := newTopology(seed%2 == 1).line(1).wide(3)
		n.Nodes[n.ends[1]].Router.Rules = []sim.Rule{{Action: sim.Drop}}
		w := watchWays(t, seed, delayed(n.target(), 2*time.Millisecond), 5)
		if w.most != 3 || w.moved || w.Complete || w.Nodes[2].Unanswered == 0 {
			t.Errorf("seed %d: %d SYNs a round, moved %v, complete %v, nodes %v", seed, w.most, w.moved, w.Complete, w.Nodes)
		}
	}
}

// A member that begins to drop packets is named within a bounded number of rounds, and no other.
func TestPathsRoundsBadMember(t *testing.T) {
	t.Parallel()
	runs := uint64(4) // of 50 the same was measured
	if testing.Short() {
		runs = 2
	}
	for _, c := range []struct {
		name   string
		width  int
		drop   float64
		begins time.Duration
		rounds int // within which the member is to be named
	}{
		{"16 wide, 30 % from the 20th second on", 16, 0.3, 20 * time.Second, 100},
		{"4 wide, 30 %", 4, 0.3, 0, 140},
		{"2 wide, all from the 20th second on", 2, 0, 20 * time.Second, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			var took []int
			missed := 0
			for seed := range runs {
				n := newTopology(seed%2 == 1).line(2).wide(c.width)
				bad := &n.Nodes[n.ends[int(seed)%c.width]].Router
				bad.Rules = []sim.Rule{{Action: sim.Drop, Share: c.drop, Since: 3*time.Second + c.begins}}
				w := watchWays(t, seed, delayed(n.line(2).target(), 2*time.Millisecond), c.rounds)
				var named []netip.Addr
				for _, s := range w.Suspects() {
					for _, i := range s.Nodes {
						named = append(named, w.Nodes[i].Addr)
					}
				}
				switch {
				case slices.Equal(named, bad.Addrs) && !w.moved:
					took = append(took, w.rounds)
				case len(named) == 0 && !w.moved:
					missed++
				default:
					t.Errorf("seed %d: %v is bad, said %v after %d rounds; moved %v", seed, bad.Addrs, named, w.rounds, w.moved)
				}
			}
			if slices.Sort(took); missed > 1+int(runs)/25 { // a search finds both ways of two in 99 of 100 cases
				t.Errorf("not named in %d of %d runs", missed, runs)
			}
			t.Logf("named after %d rounds, in the middle %d, at the most %d", took[0], took[len(took)/2], took[len(took)-1])
		})
	}
}

// Rounds whose figures are judged once, in the end, name a member that drops packets after few of them, and no other.
func TestPathsRoundsOnce(t *testing.T) {
	t.Parallel()
	runs := uint64(*onceRuns)
	if testing.Short() {
		runs = 6
	}
	for _, width := range []int{2, 4, 8} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			named := uint64(0)
			for seed := range runs {
				n := newTopology(seed%2 == 1).line(2).wide(width)
				bad := &n.Nodes[n.ends[int(seed)%width]].Router
				bad.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.3}}
				d := discover(t, search{seed: seed, path: delayed(n.line(2).target(), 2*time.Millisecond),
					after: func(c trace.Conn, p *trace.Paths) trace.Graph {
						plan, err := trace.NewPathsRounds(p, trace.PathsRoundsOptions{Count: 40, Once: true})
						if err != nil {
							t.Fatal(err)
						}
						o := trace.Options{Observe: inOrder}
						if _, err := trace.Run(context.Background(), c, plan, o, func(trace.Result) {}); err != nil {
							t.Fatal(err)
						}
						return plan.Graph()
					}})
				for _, s := range d.Suspects() {
					if len(s.Nodes) != 1 || d.Nodes[s.Nodes[0]].Addr != bad.Addrs[0] {
						t.Errorf("seed %d: %v is bad, said %v", seed, bad.Addrs, s)
					}
					named++
				}
			}
			if t.Logf("named in %d of %d", named, runs); named < runs*3/4 {
				t.Errorf("named in %d of %d", named, runs)
			}
		})
	}
}

// Where no way is worse than another, none is named, and nobody has moved.
func TestPathsRoundsClean(t *testing.T) {
	t.Parallel()
	runs := uint64(4) // of 50 the same was measured
	if testing.Short() {
		runs = 2
	}
	for _, c := range []struct {
		name   string
		change func(*topology)
	}{
		{"clean", func(*topology) {}},
		{"loss before", func(n *topology) { n.Nodes[1].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.1}} }},
		{"loss beyond", func(n *topology) { n.Nodes[n.ends[0]-1].Router.Link.Loss = 0.2 }},
		{"the last two answer once in two seconds", func(n *topology) {
			for i := range n.Nodes[n.ends[0]-1:] {
				n.Nodes[n.ends[0]-1+i].Router.SourceRate = sim.Rate{Every: 2 * time.Second, Burst: 1}
			}
		}},
		{"routers answer once a second", func(n *topology) {
			for i := range n.Nodes {
				n.Nodes[i].Router.SourceRate = sim.Rate{Every: time.Second, Burst: 6}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range runs {
				n := newTopology(seed%2 == 1).line(2).wide(2 + int(seed)%3*7).line(2)
				c.change(n)
				w := watchWays(t, seed, delayed(n.target(), 2*time.Millisecond), 60)
				if len(w.Suspects()) > 0 || w.rounds > 0 || w.moved {
					t.Errorf("seed %d: said %v after %d rounds; moved %v", seed, w.Suspects(), w.rounds, w.moved)
				}
			}
		})
	}
}

// Flows that are distributed anew end the plan soon. The target gets no more than a SYN by each way in a round, and 16.
func TestPathsRoundsMoved(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		width := 2 + 10*int(seed%3)
		n := newTopology(seed%2 == 1).line(2).wide(width).line(1)
		n.Nodes[1].Remap = 30 * time.Second
		w := watchWays(t, seed, delayed(n.target(), 2*time.Millisecond), 60)
		if len(w.Ways) < width { // the search has missed one, as one in 100 does
			continue
		}
		if last := w.Loss.Probes; !w.moved || last < 20 || last > 35 || len(w.Suspects()) > 0 {
			t.Errorf("seed %d: moved %v, after %d rounds; said %v", seed, w.moved, last, w.Suspects())
		}
		if w.most > min(len(w.Ways), trace.DefaultTargetSYNs)+1 { // seconds are no rounds
			t.Errorf("seed %d: %d SYNs in a second by %d ways", seed, w.most, len(w.Ways))
		}
	}
}

// Ways that are long, unequal, silent in part, refused, in a loop or without a target are watched, too.
func TestPathsRoundsOdd(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]func(seed uint64) sim.Path{
		"unequal": func(seed uint64) sim.Path { return newTopology(seed%2 == 1).line(2).diamond(1, 3).line(1).target() },
		"silent": func(seed uint64) sim.Path {
			n := newTopology(seed%2 == 1).line(2).wide(3).line(1)
			n.Nodes[2].Router.Silent, n.Nodes[3].Router.Silent = 1, 1
			return n.target()
		},
		"one is dead": func(seed uint64) sim.Path {
			n := newTopology(seed%2 == 1).line(2).wide(3).line(1)
			n.Nodes[3].Router.Rules = []sim.Rule{{Action: sim.Drop}}
			return n.target()
		},
		"one refuses": func(seed uint64) sim.Path {
			n := newTopology(seed%2 == 1).line(2).wide(3).line(1)
			n.Nodes[3].Router.Rules = []sim.Rule{{Action: sim.Reject, Code: 1}}
			return n.target()
		},
		"silent target": func(seed uint64) sim.Path {
			p := newTopology(seed%2 == 1).line(2).wide(3).line(1).target()
			p.Target.State = sim.Filtered
			return p
		},
		"closed": func(seed uint64) sim.Path {
			p := newTopology(seed%2 == 1).line(2).wide(3).target()
			p.Target.State = sim.Closed
			return p
		},
		"random": func(seed uint64) sim.Path { return randomTopology(rand.New(rand.NewPCG(seed, 3)), 0.1) },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				w := watchWays(t, seed, delayed(path(seed), 2*time.Millisecond), 30)
				if dead := name == "one is dead"; w.moved || len(w.Suspects()) > 0 && !dead {
					t.Errorf("seed %d: moved %v, said %v", seed, w.moved, w.Suspects())
				}
				for _, f := range w.Loss.Flows {
					if n := &w.Nodes[f.Node]; f.Lost > 0 && n.Target && w.arrivesBy(f.Port) {
						t.Errorf("seed %d: port %d lost %d of %d at the target", seed, f.Port, f.Lost, f.Sent)
					}
				}
			}
		})
	}
}

// arrivesBy reports whether a flow was seen to get to the target.
func (w *waysWatched) arrivesBy(port uint16) bool {
	return slices.ContainsFunc(w.Ways, func(x trace.Way) bool {
		last := x.Nodes[len(x.Nodes)-1]
		return slices.Contains(x.Ports, port) && last >= 0 && w.Nodes[last].Target
	})
}
