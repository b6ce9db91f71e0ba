package trace_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var answering = flag.Int("answering", 8, "how many networks with a member that answers itself to search, of each kind")

// A router on one of the ways that answers in the target's name, or refuses all, stands anywhere in a network, whose
// routers may answer seldom, or at uneven times. No link is drawn that isn't there, but that from this router to its
// answer. The target gets no more SYNs than it may, and what the router has reset isn't counted among them.
func TestPathsMemberAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		rule   sim.Rule
		change func(*sim.Router)
		before []uint64 // seeds with which links were wrong, or too many SYNs were told, before
	}{
		{"resets", sim.Rule{Action: sim.Reset}, func(*sim.Router) {}, []uint64{2, 48, 134}},
		{"resets, few answers", sim.Rule{Action: sim.Reset}, fewAnswers, []uint64{100, 173, 303, 329, 363}},
		{"resets, uneven times", sim.Rule{Action: sim.Reset}, unevenTimes, []uint64{59, 122}},
		{"refuses", sim.Rule{Action: sim.Reject, Code: 1}, func(*sim.Router) {}, nil},
		{"refuses, few answers", sim.Rule{Action: sim.Reject, Code: 1}, fewAnswers, nil},
		{"accepts", sim.Rule{Action: sim.Accept}, func(*sim.Router) {}, nil},
		{"accepts, uneven times", sim.Rule{Action: sim.Accept}, unevenTimes, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(*answering) {
				c.before = append(c.before, seed)
			}
			more, missing, truth := 0, 0, 0
			for _, seed := range c.before {
				p, bad := answeringMember(seed, c.rule)
				for i := range p.Nodes {
					c.change(&p.Nodes[i].Router)
				}
				d := discover(t, search{seed: seed, path: p})
				own := map[string]bool{}
				at := p.Nodes[bad].Router.Addrs[0]
				for _, l := range p.NodeLinks() {
					for _, says := range []any{p.Target.Addr, at} {
						if l.From == bad {
							own[fmt.Sprint(l.TTL+1, " ", says)] = true
							own[fmt.Sprint(l.TTL, " ", at, " *0 ", says)] = true
						}
					}
				}
				d.wrong = slices.DeleteFunc(d.wrong, func(s string) bool { return own[s] })
				if len(d.wrong) > 0 || d.total > trace.DefaultTargetSYNs {
					t.Errorf("seed %d: wrong %v; %d SYNs", seed, d.wrong, d.total)
				}
				if d.TargetSYNs < d.total || d.TargetSYNs > trace.DefaultTargetSYNs {
					t.Logf("seed %d: %d SYNs, %d told", seed, d.total, d.TargetSYNs)
					more++
				}
				missing, truth = missing+len(d.missing), truth+d.truth
			}
			t.Logf("%d of %d nodes and links missing; SYNs told wrongly %d times", missing, truth, more)
			if more > 1+len(c.before)/50 { // the ordinary trace may have spent them all
				t.Errorf("SYNs are told wrongly %d times", more)
			}
		})
	}
}

// fewAnswers has a router answer as those of Linux do (IPv6), and unevenTimes at uneven times.
func fewAnswers(r *sim.Router)  { r.SourceRate = sim.Rate{Every: time.Second / 10, Burst: 6} }
func unevenTimes(r *sim.Router) { r.Link.Jitter = 10 * time.Millisecond }

// answeringMember is a network of branches in which one router does what the rule says.
func answeringMember(seed uint64, rule sim.Rule) (sim.Path, int) {
	rng := rand.New(rand.NewPCG(seed, 5))
	n := newTopology(seed%2 == 1).line(1 + rng.IntN(6))
	from := len(n.Nodes)
	width := 2 + rng.IntN(7)
	switch rng.IntN(5) {
	case 0, 1:
		n.wide(width)
	case 2:
		n.diamond(slices.Repeat([]int{2}, width)...)
	case 3:
		n.wide(2 + rng.IntN(3)).meshed(2 + rng.IntN(3))
	case 4:
		n.diamond(1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(3))
	}
	bad := from + rng.IntN(len(n.Nodes)-from)
	n.Nodes[bad].Router.Rules = []sim.Rule{rule}
	n.line(rng.IntN(5))
	if rng.IntN(3) == 0 {
		n.Target.Rules = []sim.Rule{{Action: sim.Reset}}
	}
	return delayed(n.target(), time.Duration(1+rng.IntN(10))*time.Millisecond), bad
}
