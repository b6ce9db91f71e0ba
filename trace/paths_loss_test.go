package trace_test

import (
	"flag"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var joinRuns = flag.Int("joins", 4, "how many networks to measure whose ways join at the last router")

// memberRun is a network with a member that drops packets, and what was found of it.
type memberRun struct {
	bad  netip.Addr // the member; invalid: there is none
	d    discovery
	said []trace.Suspect
}

// named are the addresses of the routers that are suspected.
func (r *memberRun) named() (all []string) {
	for _, x := range r.said {
		var who []string
		for _, n := range x.Nodes {
			who = append(who, r.d.Nodes[n].Addr.String())
		}
		all = append(all, strings.Join(who, " "))
	}
	return all
}

// members searches a diamond of this width, of which a member drops this share of the packets, and measures it.
func members(t *testing.T, seed uint64, width int, drop float64, change func(*topology)) (r memberRun) {
	n := newTopology(seed%2 == 1).line(2).wide(width)
	if drop > 0 {
		bad := &n.Nodes[n.ends[int(seed)%width]].Router
		bad.Rules = []sim.Rule{{Action: sim.Drop, Share: drop}}
		if drop == 1 {
			bad.Rules[0].Share = 0
		}
		r.bad = bad.Addrs[0]
	}
	n.line(2)
	if change != nil {
		change(n)
	}
	r.d = discover(t, search{seed: seed, path: delayed(n.target(), 2*time.Millisecond), loss: new(trace.PathsLossOptions)})
	r.said = r.d.Suspects()
	return r
}

// One member that drops packets is named, and no other.
func TestPathsBadMember(t *testing.T) {
	t.Parallel()
	runs := 100
	if testing.Short() {
		runs = 10
	}
	for _, width := range []int{2, 4, 8} {
		for _, drop := range []float64{1, 0.3, 0.1} {
			t.Run(fmt.Sprint(width, " ", drop), func(t *testing.T) {
				named, probes, most := 0, 0, 0
				var took time.Duration
				for k := range uint64(runs) {
					seed := k + 1000*uint64(100*drop) + 100*uint64(width)
					r := members(t, seed, width, drop, nil)
					switch got := r.named(); {
					case slices.Equal(got, []string{r.bad.String()}):
						named++
					case len(got) > 0:
						t.Errorf("seed %d: %v is bad, said %v", seed, r.bad, got)
					}
					probes += r.d.lossProbes
					most = max(most, r.d.lossProbes)
					took += r.d.lossTook
					if r.d.lossProbes > r.d.most || r.d.lossProbes < r.d.least {
						t.Errorf("seed %d: %d probes, %d to %d announced", seed, r.d.lossProbes, r.d.least, r.d.most)
					}
				}
				t.Logf("named in %d of %d runs; %d probes on average, %d at the most, in %v", named, runs, probes/runs, most,
					took/time.Duration(runs))
				if named < runs-1-runs*4/100 { // 98 to 100 of 100 were measured
					t.Errorf("named in %d of %d runs", named, runs)
				}
			})
		}
	}
}

// Members that drop packets don't hide one another: each of them is named, and no other, as long as one of all is good.
func TestPathsBadMembers(t *testing.T) {
	t.Parallel()
	runs := uint64(20)
	if testing.Short() {
		runs = 5
	}
	for _, c := range []struct {
		width int
		drops []float64
	}{
		{3, []float64{0.3, 0.6}},
		{4, []float64{0.3, 0.3}},
		{4, []float64{0.3, 0.6}},
		{4, []float64{0.1, 0.1}},
		{4, []float64{1, 1}},
		{4, []float64{0.3, 0.3, 0.3}},
		{4, []float64{1, 1, 1}},
		{8, []float64{0.3, 0.3}},
		{8, []float64{1, 1}},
		{8, []float64{0.3, 0.3, 0.3, 0.3, 0.3}},
		{2, []float64{0.3, 0.3}}, // nothing to compare with
		{4, []float64{1, 1, 1, 1}},
	} {
		t.Run(fmt.Sprint(c.width, " ", c.drops), func(t *testing.T) {
			named := uint64(0)
			for seed := range runs {
				var bad []string
				r := members(t, seed, c.width, 0, func(n *topology) {
					for k, drop := range c.drops {
						member := &n.Nodes[2+(int(seed)+k)%c.width].Router
						member.Rules = []sim.Rule{{Action: sim.Drop, Share: drop}}
						if drop == 1 {
							member.Rules[0].Share = 0
						}
						bad = append(bad, member.Addrs[0].String())
					}
				})
				slices.Sort(bad)
				got := slices.Sorted(slices.Values(r.named()))
				if slices.ContainsFunc(got, func(who string) bool { return !slices.Contains(bad, who) }) {
					t.Errorf("seed %d: %v are bad, said %v", seed, bad, got)
				}
				if slices.Equal(got, bad) {
					named++
				}
			}
			t.Logf("all named in %d of %d runs", named, runs)
			switch all := len(c.drops) == c.width; {
			case all && named > 0:
				t.Errorf("none is better, and all were named in %d of %d runs", named, runs)
			case !all && named < runs*3/4: // 17 to 20 of 20 were measured
				t.Errorf("all named in %d of %d runs", named, runs)
			}
		})
	}
}

// Where no member is worse than another, none is named: whatever is lost on the way that all flows share, on one of
// several ways back, or because routers answer only so often.
func TestPathsNoBadMember(t *testing.T) {
	t.Parallel()
	runs := uint64(200)
	if testing.Short() {
		runs = 6
	}
	after := func(n *topology) int { return n.ends[0] - 1 } // the router beyond the diamond
	for _, c := range []struct {
		name   string
		runs   uint64
		change func(*topology)
	}{
		{"clean", runs, nil},
		{"loss before", runs, func(n *topology) { n.Nodes[1].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.05}} }},
		{"loss beyond", runs, func(n *topology) { n.Nodes[after(n)].Router.Link.Loss = 0.1 }},
		{"loss on one of two ways back", runs, func(n *topology) {
			n.Nodes[after(n)].Router.Home = &sim.Home{Share: 0.5, Quoted: true, Routers: []sim.Router{{Link: sim.Link{Loss: 0.3}}}}
		}},
		{"one of two ways back is dead", runs, func(n *topology) {
			n.Nodes[after(n)].Router.Home = &sim.Home{Share: 0.5, Quoted: true, Routers: []sim.Router{{Link: sim.Link{Loss: 1}}}}
		}},
		{"the router beyond answers some", runs, func(n *topology) { n.Nodes[after(n)].Router.Silent = 0.5 }},
		{"the router beyond answers once in 100 ms", 20, func(n *topology) {
			n.Nodes[after(n)].Router.SourceRate = sim.Rate{Every: 100 * time.Millisecond, Burst: 6}
		}},
		{"the router beyond answers once a second", 20, func(n *topology) {
			n.Nodes[after(n)].Router.SourceRate = sim.Rate{Every: time.Second, Burst: 6}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			probes, complete := 0, 0
			var took time.Duration
			for seed := range min(c.runs, runs) {
				r := members(t, seed, 2+int(seed)%3*2, 0, c.change)
				if len(r.said) > 0 {
					t.Errorf("seed %d: said %v", seed, r.said)
				}
				if probes += r.d.lossProbes; r.d.Loss.Complete {
					complete++
				}
				took += r.d.lossTook
			}
			n := int(min(c.runs, runs))
			t.Logf("%d probes on average, in %v; %d of %d complete", probes/n, took/time.Duration(n), complete, n)
		})
	}
}

// Each way through two diamonds after one another gets its share of the probes.
func TestPathsLossOfEachWay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		n := newTopology(seed%2 == 1).line(2).wide(2).line(1).wide(4).line(2)
		d := discover(t, search{seed: seed, path: delayed(n.target(), 2*time.Millisecond), loss: new(trace.PathsLossOptions)})
		least, most := math.MaxInt, 0
		for _, w := range d.Ways {
			sent := d.OnWay(w).Sent
			if len(w.Ports) >= 4 {
				least = min(least, sent)
			}
			if most = max(most, sent); sent == 0 {
				t.Errorf("seed %d: nothing was sent by %v", seed, w)
			}
		}
		if least < most/8 {
			t.Errorf("seed %d: %d to %d probes", seed, least, most)
		}
	}
}

// A balancer that distributes its flows anew after they were found is seen to.
func TestPathsRemapped(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		for _, remap := range []time.Duration{0, 700 * time.Millisecond} {
			r := members(t, seed, 4, 0, func(n *topology) { n.Nodes[1].Remap = remap })
			if moved := r.d.Moved(); (moved > 0) != (remap > 0) || len(r.said) > 0 {
				t.Errorf("seed %d: remapped after %v, %d flows moved; said %v; measured from %v for %v", seed, remap, moved, r.said,
					r.d.took, r.d.lossTook)
			}
		}
	}
}

// Branches that have nothing to ask, or meet at the target only, are no reason to fail, and lossy ones no reason to blame
// a router that may only answer some probes.
func TestPathsLossNothingShared(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		n := newTopology(seed%2 == 1).line(2).wide(3)
		n.Nodes[3].Router.Silent = 1
		n.Nodes[4].Router.Silent = 0.4
		d := discover(t, search{seed: seed, path: delayed(n.target(), 2*time.Millisecond), loss: new(trace.PathsLossOptions)})
		if s := d.Suspects(); len(s) > 0 || d.Loss == nil {
			t.Errorf("seed %d: said %v", seed, s)
		}
	}
}

// joined searches and measures ways that join at the last router before the target, which answers each of them by an
// address of its own.
func joined(t *testing.T, seed uint64, width int, change func(n *topology, member, last int)) (d discovery, last netip.Addr) {
	n := newTopology(true).line(2).diamond(slices.Repeat([]int{2}, width)...)
	at := n.ends[int(seed)%width]
	change(n, at-1, at)
	d = discover(t, search{seed: seed, path: delayed(n.target(), 2*time.Millisecond), loss: new(trace.PathsLossOptions)})
	return d, n.Nodes[at].Router.Addrs[0]
}

// If only the last router shows the loss of a branch, its answers may be lost or the packets: that is said of it, and of no
// other.
func TestPathsLossBeforeJoin(t *testing.T) {
	t.Parallel()
	runs := uint64(*joinRuns)
	for _, drop := range []float64{0.3, 0.1} {
		for _, width := range []int{2, 4, 8} {
			said := uint64(0)
			for seed := range runs {
				d, last := joined(t, seed, width, func(n *topology, member, last int) {
					n.Nodes[member].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: drop}}
				})
				for _, x := range d.Suspects() {
					if said++; !x.LastOnly || len(x.Nodes) != 2 || d.Nodes[x.Nodes[1]].Addr != last {
						t.Errorf("seed %d: said %v", seed, x)
					}
				}
			}
			if t.Logf("%d wide, %v: said in %d of %d", width, drop, said, runs); said < runs*3/4 {
				t.Errorf("%d wide, %v: said in %d of %d", width, drop, said, runs)
			}
		}
	}
}

// Where the last routers answer all that they may, nothing is said of them.
func TestPathsLossBeforeJoinClean(t *testing.T) {
	t.Parallel()
	limit := func(every time.Duration) func(*topology, int, int) {
		return func(n *topology, _, last int) { n.Nodes[last].Router.SourceRate = sim.Rate{Every: every, Burst: 6} }
	}
	for name, change := range map[string]func(n *topology, member, last int){
		"clean":                   func(*topology, int, int) {},
		"one limits, once in 2 s": limit(2 * time.Second), "one limits, once a second": limit(time.Second),
		"one limits, 3 a second": limit(333 * time.Millisecond), "one limits, 10 a second": limit(100 * time.Millisecond),
		"one limits, 100 a second": limit(10 * time.Millisecond), "one limits, 200 a second": limit(5 * time.Millisecond),
		"the last routers lose": func(n *topology, _, _ int) {
			for _, end := range n.ends {
				n.Nodes[end].Router.Link.Loss = 0.1
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(*joinRuns) {
				if d, _ := joined(t, seed, 2+int(seed)%3*2, change); len(d.Suspects()) > 0 {
					t.Errorf("seed %d: said %+v, asked %v apart", seed, d.Suspects(), d.Loss.Pace)
				}
			}
		})
	}
}

// A router that limits its answers, and that answers the ways into it by different addresses, looks like the last routers
// of several branches. What it leaves out is no loss of one of them.
func TestPathsLossAtFaces(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		n := newTopology(seed%2 == 1).line(2).wide(2).wide(2)
		for _, end := range n.ends {
			n.Nodes[end].Router.SourceRate = sim.Rate{Every: time.Second, Burst: 6}
		}
		d := discover(t, search{seed: seed, path: delayed(n.target(), 2*time.Millisecond), loss: new(trace.PathsLossOptions)})
		if s := d.Suspects(); len(s) > 0 || d.Loss == nil || d.Loss.Pace < 100*time.Millisecond {
			t.Errorf("seed %d: said %v, asked %v apart", seed, s, d.Loss.Pace)
		}
	}
}

// In nested, meshed and successive diamonds, and on branches of different lengths, no other router is named than the bad
// one, but for those that the same flows pass.
func TestPathsBadMemberInside(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		path func(n *topology) *topology
		bad  int // index of the node
		with []int
	}{
		{"nested, an inner one", func(n *topology) *topology { return n.line(2).wide(2).nested().line(2) }, 4, nil},
		{"nested, an outer one", func(n *topology) *topology { return n.line(2).wide(2).nested().line(2) }, 2, []int{6}},
		{"meshed", func(n *topology) *topology { return n.line(2).wide(3).meshed(3).line(2) }, 3, nil},
		{"successive", func(n *topology) *topology { return n.line(2).wide(3).line(1).wide(3).line(2) }, 7, nil},
		{"unequal", func(n *topology) *topology { return n.line(2).diamond(1, 3).line(2) }, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			named := 0
			const runs = 20
			for seed := range uint64(runs) {
				n := c.path(newTopology(seed%2 == 1).line(0))
				n.Nodes[c.bad].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.3}}
				d := discover(t, search{seed: seed, path: delayed(n.target(), 2*time.Millisecond), loss: new(trace.PathsLossOptions)})
				right := map[netip.Addr]bool{n.Nodes[c.bad].Router.Addrs[0]: true}
				for _, i := range c.with {
					right[n.Nodes[i].Router.Addrs[0]] = true
				}
				for _, s := range d.Suspects() {
					for _, i := range s.Nodes {
						if !right[d.Nodes[i].Addr] {
							t.Errorf("seed %d: %v is suspected", seed, d.Nodes[i].Addr)
						}
						if d.Nodes[i].Addr == n.Nodes[c.bad].Router.Addrs[0] {
							named++
						}
					}
				}
			}
			if t.Logf("named in %d of %d", named, runs); named < runs*3/4 {
				t.Errorf("named in %d of %d", named, runs)
			}
		})
	}
}
