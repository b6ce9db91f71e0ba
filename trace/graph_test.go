package trace_test

import (
	"math"
	"slices"
	"testing"

	"go.example/tcptraceroute/trace"
)

// The shares of links and paths add up, and one of two branches has half of the flows, though the search sends more of
// them to the other one, which has 8 successors.
func TestPathsShares(t *testing.T) {
	t.Parallel()
	n := newTopology(false).line(1).wide(2)
	plain, branching := n.ends[0], n.ends[1]
	n.ends = []int{branching}
	n.wide(8)
	n.ends = append(n.ends, n.add(plain))
	path := n.line(1).target()
	const networks = 40
	shares, seen := 0.0, 0.0 // of the plain branch, in all networks: by shares, and by flows seen on the link to it
	for seed := range uint64(networks) {
		d := discover(t, search{seed: seed, path: path})
		all := 0.0
		for _, w := range d.Ways {
			all += w.Share
		}
		if all > 1.0001 || d.Complete && len(d.missing) == 0 && all < 0.9999 {
			t.Errorf("seed %d: the paths have a share of %v", seed, all)
		}
		out := make([]float64, len(d.Nodes))
		for _, l := range d.Links {
			out[l.From] += l.Share
		}
		for i, share := range out {
			if share != 0 && math.Abs(share-1) > 0.0001 {
				t.Errorf("seed %d: the links from node %d have a share of %v", seed, i, share)
			}
		}
		i := slices.IndexFunc(d.Nodes, func(n trace.Node) bool { return n.TTL == 2 && n.Addr == path.Nodes[plain].Router.Addrs[0] })
		flows := 0
		for _, l := range d.Links {
			if l.From == 0 {
				flows += l.Flows
			}
		}
		for _, l := range d.Links {
			if l.To == i {
				shares += l.Share / networks
				seen += float64(l.Flows) / float64(flows) / networks
			}
		}
	}
	if math.Abs(shares-0.5) > 0.03 {
		t.Errorf("half of the flows take the plain branch, and its share is %.3f (by flows seen: %.3f)", shares, seen)
	}
	t.Logf("share of the plain branch: %.3f, by flows seen %.3f", shares, seen)
}

// Two searches of one network number its nodes and paths alike, whatever ports they used.
func TestPathsOrder(t *testing.T) {
	t.Parallel()
	path := newTopology(true).line(1).wide(4).nested().line(1).target()
	var first *trace.Graph
	for seed := range uint64(8) {
		d := discover(t, search{seed: seed, path: path})
		if len(d.missing) > 0 {
			continue // one in a hundred searches may miss something
		}
		if first == nil {
			first = &d.Graph
			continue
		}
		same := func(a, b trace.Node) bool { return a.TTL == b.TTL && a.Addr == b.Addr }
		if !slices.EqualFunc(d.Nodes, first.Nodes, same) {
			t.Errorf("seed %d: nodes %v, before %v", seed, d.Nodes, first.Nodes)
		}
		if !slices.EqualFunc(d.Ways, first.Ways, func(a, b trace.Way) bool { return slices.Equal(a.Nodes, b.Nodes) }) {
			t.Errorf("seed %d: paths %v, before %v", seed, d.Ways, first.Ways)
		}
	}
	if first == nil || len(first.Ways) != 8 {
		t.Errorf("paths: %v", first)
	}
}
