package detect_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// That a branch loses packets, or is slow, only a search for all paths shows, which the worlds of TestCalibration don't
// make. In these, one member of a group of two to four loses a tenth to nearly all of its packets, or takes 20 to
// 60 ms more, or none does; else the branches of a group take as long.
//
//	go test ./detect -run TestCalibrationPaths -v -worlds 20000 -first-world 7000000
func TestCalibrationPaths(t *testing.T) {
	t.Parallel()
	said, right := map[string]int{}, map[string]int{}
	missed := map[detect.Code]int{}
	kinds := []detect.Code{detect.LossyBranch, detect.SlowBranch, ""}
	n := *worlds / 40 // of each kind
	odd := 0          // findings where all is well
	for i, kind := range kinds {
		for seed := range uint64(n) {
			w := newBranchWorld(*firstWorld+seed*uint64(len(kinds))+uint64(i), kind)
			found := false
			for _, x := range detect.InPaths(w.search(t)) {
				if x.Code != detect.LossyBranch && x.Code != detect.SlowBranch {
					continue
				}
				k := fmt.Sprintf("%s %v", x.Code, x.Confidence)
				said[k]++
				if x.Code != kind || x.After > w.bad || w.bad > x.Before {
					if kind == "" {
						odd++
					}
					t.Logf("seed %d, %q at hop %d: wrong: %s", w.seed, kind, w.bad, details([]detect.Finding{x}))
					continue
				}
				right[k]++
				found = true
			}
			if kind != "" && !found {
				missed[kind]++
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(said)) {
		t.Logf("| %s | %d of %d |", k, right[k], said[k])
	}
	t.Logf("%d lossy and %d slow branches of %d each missed; %d worlds without any", missed[detect.LossyBranch],
		missed[detect.SlowBranch], n, n)
	for k, all := range said {
		if float64(right[k]) < 0.9*float64(all) {
			t.Errorf("%s is right in %d of %d", k, right[k], all)
		}
	}
	if odd > 0 || missed[detect.LossyBranch] > n/2 || missed[detect.SlowBranch] > n/2 {
		t.Errorf("%d findings in worlds without any, and %v missed of %d each", odd, missed, n)
	}
}

// branchWorld is a network with a group of branches.
type branchWorld struct {
	seed uint64
	path sim.Path
	bad  int // the hop at which the bad member stands; 0: there is none
}

func newBranchWorld(seed uint64, kind detect.Code) *branchWorld {
	rng := rand.New(rand.NewPCG(seed, 77))
	w := &branchWorld{seed: seed}
	v6 := rng.IntN(2) == 0
	w.path.Target.Addr = netip.MustParseAddr("203.0.113.9")
	by := sim.ByPorts
	if v6 {
		w.path.Target.Addr, by = netip.MustParseAddr("2001:db8:9::9"), sim.ByPortsAndLabel
	}
	delay := func() time.Duration { return 200*time.Microsecond + time.Duration(rng.IntN(4000))*time.Microsecond }
	add := func(behind ...int) int {
		i := len(w.path.Nodes)
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		if v6 {
			b := netip.MustParseAddr("2001:db8::").As16()
			b[15] = byte(i + 1)
			a = netip.AddrFrom16(b)
		}
		r := sim.Router{Addrs: []netip.Addr{a}}
		r.Link.Delay = delay()
		w.path.Nodes = append(w.path.Nodes, sim.Node{By: by, Router: r})
		for _, from := range behind {
			w.path.Nodes[from].Next = append(w.path.Nodes[from].Next, sim.Next{Node: i})
		}
		return i
	}
	end := add()
	for range rng.IntN(3) {
		end = add(end)
	}
	split, width, long := end, 2+rng.IntN(3), 1+rng.IntN(2)
	var members, ends []int
	delays := []time.Duration{delay(), delay()}
	for range width {
		at := split
		for k := range long {
			at = add(at)
			w.path.Nodes[at].Router.Link.Delay = delays[k]
			members = append(members, at)
		}
		ends = append(ends, at)
	}
	end = add(ends...)
	for range rng.IntN(3) {
		end = add(end)
	}
	w.path.Nodes[end].Next = []sim.Next{{}}
	w.path.Target.Link.Delay = delay()
	k := rng.IntN(len(members))
	bad := &w.path.Nodes[members[k]].Router
	switch kind {
	case detect.LossyBranch:
		bad.Rules = []sim.Rule{{Action: sim.Drop, Share: []float64{0.1, 0.2, 0.3, 0.5, 0.9}[rng.IntN(5)]}}
		w.bad = split + 2 + k%long
	case detect.SlowBranch:
		bad.Link.Delay += 10*time.Millisecond + time.Duration(rng.IntN(20))*time.Millisecond // and on the way back
		w.bad = split + 2 + k%long
	}
	return w
}

// inOrder lets all that arrives at this instant wait for the engine before it decides anything: equal seeds, equal runs.
func inOrder(trace.Event) { synctest.Wait() }

// search is an ordinary trace, a search for all paths, and the measurement of their loss.
func (w *branchWorld) search(t *testing.T) *trace.Graph {
	var g trace.Graph
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(sim.Scenario{Seed: w.seed, Paths: []sim.Path{w.path}})
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		o := trace.PathOptions{
			Target: netip.AddrPortFrom(w.path.Target.Addr, 443), Source: netip.MustParseAddrPort("192.0.2.1:40000"),
			ProbePorts: []uint16{40001, 40002, 40003, 40004}, Rand: rand.New(rand.NewPCG(w.seed, 9)),
		}
		if w.path.Target.Addr.Is6() {
			o.Source = netip.MustParseAddrPort("[2001:db8:1::1]:40000")
		}
		run := func(plan trace.Plan, err error, emit func(trace.Result)) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := trace.Run(context.Background(), c, plan, trace.Options{Observe: inOrder}, emit); err != nil {
				t.Fatal(err)
			}
		}
		var known []trace.Result
		ordinary, err := trace.NewPath(o)
		run(ordinary, err, func(r trace.Result) { known = append(known, r) })
		po := trace.PathsOptions{Path: o, Known: known, BranchFlows: trace.LossFlows}
		for i := range uint16(255) {
			po.Ports = append(po.Ports, 41000+i)
		}
		nothing := func(trace.Result) {}
		paths, err := trace.NewPaths(po)
		run(paths, err, nothing)
		loss, err := trace.NewPathsLoss(paths, trace.PathsLossOptions{})
		run(loss, err, nothing)
		g = loss.Graph()
	})
	return &g
}
