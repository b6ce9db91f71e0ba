package trace_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

var (
	graphs  = flag.Int("graphs", 100, "how many random graphs to search for all paths")
	unequal = flag.Int("unequal", 20, "how many graphs of each shape with ways of unequal length to search")
)

// topology is a graph of routers that is being built for a test, from the first hop to the target.
type topology struct {
	sim.Path
	v6   bool
	ends []int // the nodes that are open: what comes next comes behind them
}

func newTopology(v6 bool) *topology {
	n := &topology{v6: v6}
	n.Target.Addr = netip.MustParseAddr("203.0.113.9")
	if v6 {
		n.Target.Addr = netip.MustParseAddr("2001:db8:9::9")
	}
	return n
}

// add adds a router behind others.
func (n *topology) add(behind ...int) int {
	i := len(n.Nodes)
	a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	if n.v6 {
		b := netip.MustParseAddr("2001:db8::").As16()
		b[14], b[15] = byte(i>>8), byte(i)
		a = netip.AddrFrom16(b)
	}
	by := sim.ByPorts
	if n.v6 {
		by = sim.ByPortsAndLabel
	}
	n.Nodes = append(n.Nodes, sim.Node{By: by, Router: sim.Router{Addrs: []netip.Addr{a}}})
	n.join(i, behind...)
	return i
}

func (n *topology) join(to int, from ...int) {
	for _, i := range from {
		if next := &n.Nodes[i].Next; !slices.Contains(*next, sim.Next{Node: to}) {
			*next = append(*next, sim.Next{Node: to})
		}
	}
}

// line adds so many routers in a row.
func (n *topology) line(length int) *topology {
	for range length {
		n.ends = []int{n.add(n.ends...)}
	}
	return n
}

// diamond adds branches of these lengths side by side.
func (n *topology) diamond(lengths ...int) *topology {
	var ends []int
	for _, length := range lengths {
		at := n.ends
		for range length {
			at = []int{n.add(at...)}
		}
		ends = append(ends, at...)
	}
	n.ends = ends
	return n
}

// wide adds a diamond of this width.
func (n *topology) wide(width int) *topology { return n.diamond(slices.Repeat([]int{1}, width)...) }

// meshed adds a layer of routers of which each is behind each.
func (n *topology) meshed(width int) *topology {
	var ends []int
	for range width {
		ends = append(ends, n.add(n.ends...))
	}
	n.ends = ends
	return n
}

// target puts the target behind what is open.
func (n *topology) target() sim.Path {
	n.join(0, n.ends...)
	return n.Path
}

// delayed gives all links this delay.
func delayed(p sim.Path, d time.Duration) sim.Path {
	p.Target.Link.Delay = d
	for i := range p.Nodes {
		p.Nodes[i].Router.Link.Delay = d
	}
	return p
}

// search is what to search for, and how.
type search struct {
	seed       uint64
	path       sim.Path
	flows      int // 0: 256
	most       int // SYNs at the target; 0: the default
	confidence float64
	emit       func(trace.Result)
	kind       bool                    // it is asked what balancers go by
	ids        func(netip.Addr) uint16 // the IP IDs of answers, by their source; nil: as the simulator has them
	loss       *trace.PathsLossOptions // how loss is measured then; nil: it isn't
	mtu        int                     // the first size that is tried on each way then; 0: none is
	connects   bool                    // probes are connections

	after func(trace.Conn, *trace.Paths) trace.Graph // what is done with the search then; nil: nothing
}

// discovery is what came of it.
type discovery struct {
	trace.Graph
	took  time.Duration
	syns  int // that got to the target, those of the ordinary trace not counted
	total int // with those

	inFlight int // probes of one flow, at the most
	missing  []string
	wrong    []string
	truth    int // nodes and links

	least, most int // what the measurement of loss announced
	lossProbes  int // what it took
	lossTook    time.Duration

	kindProbes int // what it took to find out what balancers go by
	kindTook   time.Duration
}

// searched is the network that discover searches.
type searched interface {
	trace.Conn
	Truth(path int) sim.Truth
	Close() error
}

// unaligned is a connection on which sending takes its time, so that never do two things happen at one instant: else the
// scheduler decides which of them comes first, and two runs with one seed differ.
type unaligned struct {
	*sim.Conn
	rng *rand.Rand
	ids func(netip.Addr) uint16
}

// Recv gives answers the IP IDs that the test wants.
func (c unaligned) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	n, at, err := c.Conn.Recv(ctx, buf)
	if c.ids != nil && err == nil && buf[0]>>4 == 4 {
		binary.BigEndian.PutUint16(buf[4:], c.ids(netip.AddrFrom4([4]byte(buf[12:16]))))
		sum := uint32(0)
		for i := 0; i < int(buf[0]&0xf)*4; i += 2 {
			if i != 10 {
				sum += uint32(binary.BigEndian.Uint16(buf[i:]))
			}
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(buf[10:], ^uint16(sum))
	}
	return n, at, err
}

func (c unaligned) Send(p packet.Probe) (time.Time, error) {
	time.Sleep(time.Duration(c.rng.IntN(10_000)))
	return c.Conn.Send(p)
}

// discover searches all paths of a network in virtual time, after an ordinary trace.
func discover(t testing.TB, s search) (d discovery) {
	if s.emit == nil {
		s.emit = func(trace.Result) {}
	}
	if s.flows == 0 {
		s.flows = 256
	}
	run := func(t *testing.T) {
		m, err := sim.New(sim.Scenario{Seed: s.seed, Paths: []sim.Path{s.path}})
		if err != nil {
			t.Fatal(err)
		}
		var c searched = unaligned{sim.NewConn(m), rand.New(rand.NewPCG(s.seed, 7)), s.ids}
		if s.connects {
			c = newConnecting(m, rand.New(rand.NewPCG(s.seed, 7)))
		}
		defer c.Close()
		o := trace.PathOptions{
			Target:     netip.AddrPortFrom(s.path.Target.Addr, 443),
			Source:     netip.MustParseAddrPort("192.0.2.1:40000"),
			ProbePorts: []uint16{40001, 40002, 40003, 40004}, Rand: rand.New(rand.NewPCG(s.seed, 9)),
			SilentSYNs: trace.DefaultTargetSYNs - trace.SearchSYNs,
		}
		if s.path.Target.Addr.Is6() {
			o.Source = netip.MustParseAddrPort("[2001:db8:1::1]:40000")
		}
		var plan trace.Plan
		if plan, err = trace.NewPath(o); s.connects {
			plan, err = trace.NewSerial(o, serialWait)
		}
		if err != nil {
			t.Fatal(err)
		}
		var known []trace.Result
		collect := func(r trace.Result) { known = append(known, r); s.emit(r) }
		if _, err := trace.Run(context.Background(), c, plan, trace.Options{Observe: inOrder}, collect); err != nil {
			t.Fatal(err)
		}
		start, ordinary := time.Now(), c.Truth(0).Target.SYN
		po := trace.PathsOptions{Path: o, Known: known, Confidence: s.confidence, TargetSYNs: s.most}
		if s.loss != nil || s.after != nil {
			po.BranchFlows = trace.LossFlows
		}
		if s.connects {
			po.ConnectWait = serialWait
		}
		for i := range s.flows - 1 {
			po.Ports = append(po.Ports, 41000+uint16(i))
		}
		paths, err := trace.NewPaths(po)
		if err != nil {
			t.Fatal(err)
		}
		counted := &flights{Plan: paths, byPort: map[uint16]int{}}
		if _, err := trace.Run(context.Background(), c, counted, trace.Options{Observe: inOrder}, s.emit); err != nil {
			t.Fatal(err)
		}
		d.inFlight = counted.most
		d.took = time.Since(start)
		d.Graph = paths.Graph()
		if s.kind {
			kind := trace.NewPathsKind(paths)
			if _, err := trace.Run(context.Background(), c, kind, trace.Options{}, s.emit); err != nil {
				t.Fatal(err)
			}
			d.kindTook, d.kindProbes = time.Since(start)-d.took, kind.Graph().Probes-d.Probes
			d.Graph = kind.Graph()
		}
		if s.loss != nil {
			loss, err := trace.NewPathsLoss(paths, *s.loss)
			if err != nil {
				t.Fatal(err)
			}
			d.least, d.most = loss.Probes()
			if _, err := trace.Run(context.Background(), c, loss, trace.Options{Observe: inOrder}, s.emit); err != nil {
				t.Fatal(err)
			}
			d.lossTook, d.lossProbes = time.Since(start)-d.took, loss.Graph().Probes-d.Probes
			d.Graph = loss.Graph()
		}
		if s.after != nil {
			d.Graph = s.after(c, paths)
		}
		if s.mtu > 0 {
			sizes, err := trace.NewPathsMTU(paths, &d.Graph, s.mtu)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := trace.Run(context.Background(), c, sizes, trace.Options{Observe: inOrder}, s.emit); err != nil {
				t.Fatal(err)
			}
			sizes.Add(&d.Graph)
		}
		d.total = c.Truth(0).Target.SYN
		d.syns = d.total - ordinary
	}
	synctest.Test(t.(*testing.T), run)
	d.compare(&s.path)
	return d
}

// compare compares what was found with the truth.
func (d *discovery) compare(p *sim.Path) {
	truth := trueLinks(p)
	found := d.links()
	d.truth = len(truth)
	for l := range truth {
		if !found[l] {
			d.missing = append(d.missing, l)
		}
	}
	for l := range found {
		if !truth[l] {
			d.wrong = append(d.wrong, l)
		}
	}
	slices.Sort(d.missing)
	slices.Sort(d.wrong)
}

// links are the nodes and links that were found, as text. Of silent routers between two known ones only their number counts.
func (d *discovery) links() map[string]bool {
	all := map[string]bool{}
	next := map[int][]int{}
	for _, l := range d.Links {
		next[l.From] = append(next[l.From], l.To)
	}
	silent := func(i int) bool { return !d.Nodes[i].Addr.IsValid() }
	for i, n := range d.Nodes {
		if silent(i) {
			continue
		}
		all[fmt.Sprint(n.TTL, " ", n.Addr)] = true
		walkSilent(i, next, silent, func(to, stars int) {
			all[fmt.Sprint(n.TTL, " ", n.Addr, " *", stars, " ", d.Nodes[to].Addr)] = true
		})
	}
	return all
}

func walkSilent(from int, next map[int][]int, silent func(int) bool, found func(to, stars int)) {
	at := next[from]
	for stars := 0; len(at) > 0; stars++ {
		var more []int
		for _, to := range at {
			if silent(to) {
				more = append(more, next[to]...)
			} else {
				found(to, stars)
			}
		}
		at = more
	}
}

func trueLinks(p *sim.Path) map[string]bool {
	all := map[string]bool{}
	next := map[int][]int{}
	address := func(i int) netip.Addr {
		if i < 0 {
			return p.Target.Addr
		}
		return p.Nodes[i].Router.Addrs[0]
	}
	silent := func(i int) bool { return i >= 0 && p.Nodes[i].Router.Silent == 1 }
	type place struct{ ttl, node int }
	places := map[place]bool{{1, min(0, len(p.Nodes)-1)}: true} // without routers the target is the first hop
	for _, l := range p.NodeLinks() {
		if !slices.Contains(next[l.From], l.To) {
			next[l.From] = append(next[l.From], l.To)
		}
		places[place{l.TTL, l.From}], places[place{l.TTL + 1, l.To}] = true, true
	}
	for at := range places {
		if silent(at.node) {
			continue
		}
		all[fmt.Sprint(at.ttl, " ", address(at.node))] = true
		walkSilent(at.node, next, silent, func(to, stars int) {
			all[fmt.Sprint(at.ttl, " ", address(at.node), " *", stars, " ", address(to))] = true
		})
	}
	return all
}

// Shapes are found as they are, at no more than 1.3 times the probes of the algorithm in lockstep (which doesn't look for
// balancers by packet), in little more than the round trips that it takes, and with few SYNs at the target.
func TestPathsShapes(t *testing.T) {
	t.Parallel()
	const rtt = 60 * time.Millisecond // for 5 links
	for _, c := range []struct {
		name   string
		path   func(n *topology) *topology
		probes int // on average
		took   time.Duration
	}{
		{"line", func(n *topology) *topology { return n.line(4) }, 40, 2 * rtt},
		{"2 wide", func(n *topology) *topology { return n.line(2).wide(2).line(1) }, 91, 5 * rtt},
		{"4 wide", func(n *topology) *topology { return n.line(2).wide(4).line(1) }, 160, 5 * rtt},
		{"8 wide", func(n *topology) *topology { return n.line(2).wide(8).line(1) }, 332, 6 * rtt},
		{"16 wide", func(n *topology) *topology { return n.line(2).wide(16).line(1) }, 741, 800 * time.Millisecond},
		{"nested", func(n *topology) *topology { return n.line(2).wide(2).nested().line(1) }, 205, 10 * rtt},
		{"meshed", func(n *topology) *topology { return n.line(2).wide(4).meshed(4).line(1) }, 500, 10 * rtt},
		{"unequal", func(n *topology) *topology { return n.line(2).diamond(1, 2, 3).line(1) }, 200, 60 * rtt},
		{"before the target", func(n *topology) *topology { return n.line(2).wide(4) }, 130, 5 * rtt},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := uint64(6)
			if testing.Short() {
				runs = 2
			}
			for _, v6 := range []bool{false, true} {
				probes, missing := 0, 0
				for seed := range runs {
					d := discover(t, search{seed: seed, path: delayed(c.path(newTopology(v6)).target(), rtt/10), flows: 1024})
					if len(d.wrong) > 0 {
						t.Errorf("v6 %v, seed %d: wrong: %v", v6, seed, d.wrong)
					}
					if d.syns > trace.DefaultTargetSYNs || d.took > c.took {
						t.Errorf("v6 %v, seed %d: %d SYNs at the target, in %v", v6, seed, d.syns, d.took)
					}
					probes += d.Probes
					missing += min(len(d.missing), 1)
				}
				if probes/int(runs) > c.probes || missing > 3 { // one in ten meshes lacks a link
					t.Errorf("v6 %v: %d probes on average, %d of %d not complete", v6, probes/int(runs), missing, runs)
				}
			}
		})
	}
}

// nested puts a diamond 2 wide into each open branch.
func (n *topology) nested() *topology {
	var ends []int
	for _, at := range n.ends {
		ends = append(ends, n.add(n.add(at), n.add(at)))
	}
	n.ends = ends
	return n
}

// randomTopology is a network with one to three balancers, of all shapes, with some silent routers.
func randomTopology(rng *rand.Rand, silent float64) sim.Path {
	n := newTopology(rng.IntN(2) == 0).line(1 + rng.IntN(3))
	kinds := 5 // one diamond with branches of unequal length at the most
	for range 1 + rng.IntN(3) {
		switch width := 2 + rng.IntN(5); rng.IntN(kinds) {
		case 0:
			n.wide(width)
		case 4:
			kinds = 4
			n.diamond(1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(3)).line(1)
		case 2:
			n.wide(2).nested()
		case 3:
			n.wide(2 + rng.IntN(3)).meshed(2 + rng.IntN(3))
		case 1:
			n.diamond(slices.Repeat([]int{2}, width)...)
		}
		if rng.IntN(3) > 0 {
			n.line(1 + rng.IntN(2))
		}
	}
	for i := range n.Nodes {
		if i > 0 && rng.Float64() < silent {
			n.Nodes[i].Router.Silent = 1
		}
	}
	return delayed(n.target(), 2*time.Millisecond)
}

// Random graphs are found whole as often as is claimed, and nothing false is.
func TestPathsRandom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		confidence, silent float64
		share              int     // of the graphs
		missing            float64 // at the most, of nodes and links
	}{
		{0.99, 0, 1, 0.01}, {0.95, 0, 2, 0.01}, {0.99, 0.1, 8, 0.03},
	} {
		t.Run(fmt.Sprint(c.confidence, " ", c.silent), func(t *testing.T) {
			var truth, missing, complete, syns, many, probes int
			var claimed, variance float64
			n := *graphs / c.share
			if testing.Short() {
				n /= 10
			}
			for seed := range uint64(n) {
				p := randomTopology(rand.New(rand.NewPCG(seed, 1)), c.silent)
				d := discover(t, search{seed: seed, path: p, flows: 2048, confidence: c.confidence})
				if len(d.wrong) > 0 {
					t.Errorf("seed %d: wrong: %v", seed, d.wrong)
				}
				if len(d.missing) == 0 {
					complete++
				}
				truth += d.truth
				missing += len(d.missing)
				probes += d.Probes
				claimed += d.Confidence
				variance += d.Confidence * (1 - d.Confidence)
				if syns = max(syns, d.syns); d.syns > trace.DefaultTargetSYNs {
					t.Logf("seed %d: %d SYNs at the target", seed, d.syns)
					many++
				}
			}
			t.Logf("%d of %d nodes and links missing; %d of %d complete, %.1f claimed; at most %d SYNs; %d probes on average",
				missing, truth, complete, n, claimed, syns, probes/n)
			if float64(missing) > c.missing*float64(truth)+3*math.Sqrt(c.missing*float64(truth)) {
				t.Errorf("%d of %d missing", missing, truth)
			}
			if float64(complete) < claimed-3*math.Sqrt(variance) {
				t.Errorf("%d complete, %.1f claimed", complete, claimed)
			}
			if many > n/100 {
				t.Errorf("%d times more than %d SYNs at the target", many, trace.DefaultTargetSYNs)
			}
		})
	}
}

// Where the target answers the first hop that is asked, it gets too few SYNs to rule out other ways to it, and that is
// no certainty. Flows of which no probe was sent are not counted.
func TestPathsTargetNext(t *testing.T) {
	t.Parallel()
	d := discover(t, search{seed: 1, path: newTopology(false).target()})
	if d.Complete || d.Tested || d.Confidence >= d.Asked || len(d.Ways) != 1 || d.Flows > d.total || d.total > 5 {
		t.Errorf("complete %v, tested %v, %v; %d ways, %d flows, %d SYNs", d.Complete, d.Tested, d.Confidence, len(d.Ways),
			d.Flows, d.total)
	}
}

// Where routers answer in the target's name, as beyond address translation, nothing is said to be complete.
func TestPathsDisguised(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		n := newTopology(seed%2 == 1).line(2).wide(4).line(2)
		for i := range n.Nodes[1:] {
			n.Nodes[1+i].Router.Addrs = []netip.Addr{n.Target.Addr}
		}
		d := discover(t, search{seed: seed, path: delayed(n.target(), time.Millisecond)})
		if !d.Reached || d.Tested || d.Complete || d.Confidence != 0 {
			t.Errorf("seed %d: tested %v, complete %v, %v: there are 4 paths, and %d are seen", seed, d.Tested, d.Complete,
				d.Confidence, len(d.Ways))
		}
	}
}

// A balancer that sends each packet its own way is recognised, and no link is drawn through what is beyond it.
func TestPathsPerPacket(t *testing.T) {
	t.Parallel()
	alternating := 0
	for seed := range uint64(50) {
		n := newTopology(seed%2 == 1).line(2)
		by := n.ends[0]
		n.diamond(2, 2, 2).line(1).wide(2).line(1)
		p := n.target()
		p.Nodes[by].By = sim.ByPacket
		d := discover(t, search{seed: seed, path: delayed(p, time.Millisecond)})
		if len(d.wrong) > 0 {
			t.Errorf("seed %d: wrong: %v", seed, d.wrong)
		}
		if d.Complete || d.Confidence != 0 {
			t.Errorf("seed %d: complete %v with %v, though nobody knows who is linked", seed, d.Complete, d.Confidence)
		}
		for _, node := range d.Nodes {
			if want := node.TTL == 2; node.PerPacket != want {
				t.Errorf("seed %d: %v at hop %d: per packet %v", seed, node.Addr, node.TTL, node.PerPacket)
			}
			if node.Alternates {
				alternating++
			}
		}
		for _, l := range d.Links {
			if d.Nodes[l.From].TTL == 3 || d.Nodes[l.From].TTL == 4 {
				t.Errorf("seed %d: a link from hop %d, where no flow keeps to a way", seed, d.Nodes[l.From].TTL)
			}
		}
	}
	if alternating < 49 { // of three ways one flow shows no turns once in ten thousand searches
		t.Errorf("%d of 50 are known to alternate", alternating)
	}
}

// The target is in the graph even if no flow shows who stands before it.
func TestPathsPerPacketTarget(t *testing.T) {
	t.Parallel()
	for _, v6 := range []bool{false, true} {
		n := newTopology(v6).line(2)
		n.Nodes[n.ends[0]].By = sim.ByPacket
		d := discover(t, search{seed: 1, path: delayed(n.wide(2).target(), time.Millisecond)})
		if at := d.Targets(); len(d.wrong) > 0 || len(at) != 1 || d.Nodes[at[0]].TTL != 4 {
			t.Errorf("v6 %v: wrong %v, targets %v of %v", v6, d.wrong, at, d.Nodes)
		}
	}
}

// The target may be next to a router that shares out over routers, too: that has only one successor is claimed where
// enough flows have shown it.
func TestPathsTargetBeside(t *testing.T) {
	t.Parallel()
	for _, lengths := range [][]int{{1}, {3}, {2, 2}} {
		missing := 0
		for seed := range uint64(60) {
			n := newTopology(seed%2 == 1).line(2)
			sharing := n.ends
			n.diamond(lengths...)
			n.ends = append(n.ends, sharing...)
			d := discover(t, search{seed: seed, path: delayed(n.target(), 6*time.Millisecond)})
			if len(d.wrong) > 0 || d.total > trace.DefaultTargetSYNs {
				t.Errorf("%v, seed %d: wrong: %v; %d SYNs", lengths, seed, d.wrong, d.total)
			}
			if d.Complete && len(d.missing) > 0 {
				missing++
			}
		}
		if missing > 3 { // 1 % of them
			t.Errorf("%v: %d of 60 graphs are said to be complete, and are not", lengths, missing)
		}
	}
}

// With more last routers than the target may get SYNs, some have no known link to it. So the graph isn't
// complete. With few, or if the target may get enough, it is.
func TestPathsUnlinked(t *testing.T) {
	t.Parallel()
	for _, v6 := range []bool{false, true} {
		for _, c := range []struct {
			width, most     int
			short, complete bool
		}{{16, 0, true, false}, {16, 40, false, true}, {3, 0, false, true}, {3, 40, false, true}, {1, 0, false, true}} {
			s := search{seed: 1, path: delayed(newTopology(v6).line(2).wide(c.width).target(), time.Millisecond), most: c.most}
			d := discover(t, s)
			unlinked := d.Unlinked()
			if len(d.wrong) > 0 || len(d.missing) != len(unlinked) || d.Complete != c.complete || (len(unlinked) > 0) != c.short {
				t.Errorf("v6 %v, %d wide, %d SYNs: wrong %v, missing %v, unlinked %v, complete %v, tested %v", v6, c.width, c.most,
					d.wrong, d.missing, unlinked, d.Complete, d.Tested)
			}
			for _, i := range unlinked {
				if d.Nodes[i].TTL != 3 {
					t.Errorf("v6 %v: hop %d is no last one", v6, d.Nodes[i].TTL)
				}
			}
		}
	}
}

// Routers that answer six times at once, and then once a second, are no missing branches and no silent routers.
func TestPathsLimited(t *testing.T) {
	t.Parallel()
	for _, v6 := range []bool{false, true} {
		p := delayed(newTopology(v6).line(2).wide(4).line(1).target(), time.Millisecond)
		every := time.Second
		if v6 {
			every /= 10
		}
		for i := range p.Nodes {
			p.Nodes[i].Router.SourceRate = sim.Rate{Every: every, Burst: 6}
		}
		d := discover(t, search{seed: 1, path: p})
		if len(d.wrong)+len(d.missing) > 0 || d.took > trace.DefaultPathsTime+time.Second {
			t.Errorf("v6 %v: wrong %v, missing %v, in %v, %d probes", v6, d.wrong, d.missing, d.took, d.Probes)
		}
		t.Logf("v6 %v: %v, complete %v, confidence %.3f, %d probes", v6, d.took, d.Complete, d.Confidence, d.Probes)
	}
}

// Lost packets are no silent routers.
func TestPathsLoss(t *testing.T) {
	t.Parallel()
	wrong, missing, truth := 0, 0, 0
	for seed := range uint64(20) {
		p := delayed(newTopology(seed%2 == 1).line(2).wide(3).line(2).target(), time.Millisecond)
		for i := range p.Nodes {
			p.Nodes[i].Router.Link.Loss = 0.005
		}
		d := discover(t, search{seed: seed, path: p})
		wrong, missing, truth = wrong+len(d.wrong), missing+len(d.missing), truth+d.truth
	}
	if wrong > 0 || missing > truth/50 {
		t.Errorf("of %d nodes and links %d are missing, and %d are wrong", truth, missing, wrong)
	}
}

// A branch that loses packets makes no silent routers, on it and beyond.
func TestPathsLossyMember(t *testing.T) {
	t.Parallel()
	const runs = 100
	wrong := 0
	for seed := range uint64(runs) {
		n := newTopology(seed%2 == 1).line(2).wide(2 + int(seed)%3)
		n.Nodes[n.ends[0]].Router.Rules = []sim.Rule{{Action: sim.Drop, Share: 0.3}}
		d := discover(t, search{seed: seed, path: delayed(n.line(5).target(), time.Millisecond)})
		if len(d.wrong) > 0 {
			t.Logf("seed %d: wrong: %v", seed, d.wrong)
			wrong++
		}
	}
	if wrong > 1 { // none of 300 was measured
		t.Errorf("%d of %d graphs are wrong", wrong, runs)
	}
}

// A branch that passes nothing on is known to be dead after a bounded time: what has shown that beyond it nobody answers
// isn't shown anew for each further flow.
func TestPathsDeadMember(t *testing.T) {
	t.Parallel()
	for _, width := range []int{2, 4} {
		for seed := range uint64(10) {
			n := newTopology(seed%2 == 1).line(2).wide(width)
			n.Nodes[n.ends[0]].Router.Rules = []sim.Rule{{Action: sim.Drop}}
			d := discover(t, search{seed: seed, path: delayed(n.line(2).target(), 2*time.Millisecond),
				loss: new(trace.PathsLossOptions)})
			if len(d.wrong) > 0 || d.took > 20*time.Second { // 17 s at the most; 57 s if all flows are asked as often
				t.Errorf("%d wide, seed %d: searched for %v; wrong: %v", width, seed, d.took, d.wrong)
			}
		}
	}
}

// A target that answers nobody may get all that is sent beyond the last router that answers. That is no more than it may
// get, those of the ordinary trace included, and the routers before it are found all the same.
func TestPathsSilentTargetSYNs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		path   func(n *topology) *topology
		target int // its TTL
		ways   int
	}{
		{"two routers beyond the branches", func(n *topology) *topology { return n.line(2).wide(4).line(2) }, 6, 4},
		{"behind the branches", func(n *topology) *topology { return n.line(2).wide(4) }, 4, 4},
		{"a line", func(n *topology) *topology { return n.line(5) }, 6, 1},
		{"next door", func(n *topology) *topology { return n }, 1, 0},
		{"beyond silent routers", func(n *topology) *topology {
			n.line(2).wide(4).line(4)
			n.Nodes[7].Router.Silent, n.Nodes[8].Router.Silent = 1, 1
			return n
		}, 8, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			less := 0
			for seed := range uint64(20) {
				n := newTopology(seed%2 == 1)
				n.Target.Rules = []sim.Rule{{Action: sim.Drop}}
				syns := 0
				count := func(r trace.Result) {
					if int(r.Probe.TTL) >= c.target && r.Outcome.Final() {
						syns++
					}
				}
				d := discover(t, search{seed: seed, connects: seed%4 > 1, emit: count,
					path: delayed(c.path(n).target(), 3*time.Millisecond)})
				if syns > trace.DefaultTargetSYNs || d.TargetSYNs < syns || len(d.wrong) > 0 || d.Complete {
					t.Errorf("seed %d: %d SYNs, %d told; wrong %v, complete %v", seed, syns, d.TargetSYNs, d.wrong, d.Complete)
				}
				if len(d.Ways) != c.ways || c.ways > 0 && !d.Tested {
					t.Logf("seed %d: %d ways, tested %v", seed, len(d.Ways), d.Tested)
					less++
				}
			}
			if less > 1 {
				t.Errorf("%d of 20 searches found less", less)
			}
		})
	}
}

// The same holds where some ways are shorter: what nobody answers beyond a router on one of them may be the target. And
// those are not taken for broken, so no loss is measured there, nor told.
func TestPathsSilentTargetUnequal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		path func(n *topology) *topology
		ways int
	}{
		{"1, 2", func(n *topology) *topology { return n.line(2).diamond(1, 2) }, 2},
		{"1, 4", func(n *topology) *topology { return n.line(2).diamond(1, 4) }, 2},
		{"1, 2, 4 and a router", func(n *topology) *topology { return n.line(2).diamond(1, 2, 4).line(1) }, 3},
		{"1, 6, behind six routers", func(n *topology) *topology { return n.line(6).diamond(1, 6).line(2) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			less := 0
			for seed := range uint64(20) {
				n := newTopology(seed%2 == 1)
				n.Target.Back.Loss = 1
				d := discover(t, search{seed: seed, connects: seed%4 > 1, loss: new(trace.PathsLossOptions),
					path: delayed(c.path(n).target(), 3*time.Millisecond)})
				if d.total > trace.DefaultTargetSYNs || d.TargetSYNs < d.total || len(d.wrong) > 0 || len(d.Suspects()) > 0 {
					t.Errorf("seed %d: %d SYNs, %d told; wrong %v; suspected %v", seed, d.total, d.TargetSYNs, d.wrong,
						d.Suspects())
				}
				if len(d.Ways) != c.ways {
					t.Logf("seed %d: %d ways", seed, len(d.Ways))
					less++
				}
			}
			if less > 1 {
				t.Errorf("%d of 20 searches found less", less)
			}
		})
	}
}

// The target never gets more SYNs than it may, even if some ways are much shorter than the ordinary trace's.
func TestPathsUnequalSYNs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		path   func(n *topology) *topology
		before []uint64 // seeds with which it got one more, before
	}{
		{"1, 6", func(n *topology) *topology { return n.line(2).diamond(1, 6).line(1) }, nil},
		{"1, 6 before the target", func(n *topology) *topology { return n.line(2).diamond(1, 6) }, []uint64{389}},
		{"1, 1, 6", func(n *topology) *topology { return n.line(2).diamond(1, 1, 6).line(2) }, []uint64{247, 329, 358}},
		{"1, 2, 3 twice", func(n *topology) *topology {
			return n.line(2).diamond(1, 2, 3).line(1).diamond(1, 2, 3).line(1)
		}, []uint64{234, 723, 754, 850, 1702, 2064, 2399}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(*unequal) {
				c.before = append(c.before, seed)
			}
			most := 0
			for _, seed := range c.before {
				d := discover(t, search{seed: seed, path: delayed(c.path(newTopology(seed%2 == 1)).target(), 6*time.Millisecond)})
				if len(d.wrong) > 0 {
					t.Errorf("seed %d: wrong: %v", seed, d.wrong)
				}
				if most = max(most, d.total); d.total > trace.DefaultTargetSYNs {
					t.Errorf("seed %d: %d SYNs at the target, %d counted", seed, d.total, d.TargetSYNs)
				}
			}
			t.Logf("at most %d SYNs", most)
		})
	}
}

// A search comes to its end where the target is so close that it turns out to be nearer to some flows before all first
// ones are sent to the last router that is known.
func TestPathsUnequalClose(t *testing.T) {
	t.Parallel()
	for _, lengths := range [][]int{{1, 3}, {1, 6}, {2, 3, 4}} {
		for seed := range uint64(20) {
			n := newTopology(seed%2 == 1).line(2).diamond(lengths...)
			d := discover(t, search{seed: seed, path: delayed(n.target(), 100*time.Microsecond)})
			if len(d.wrong) > 0 || !d.Complete || d.total > trace.DefaultTargetSYNs {
				t.Errorf("%v, seed %d: wrong %v, complete %v, confidence %.3f, %d SYNs", lengths, seed, d.wrong, d.Complete,
					d.Confidence, d.total)
			}
		}
	}
}

// A target whose answers to one branch are lost gets that branch's SYNs all the same: no more of them than it may, though
// it answers other flows.
func TestPathsAnswersLost(t *testing.T) {
	t.Parallel()
	for _, v6 := range []bool{false, true} {
		asked := 0
		for seed := range uint64(20) {
			n := newTopology(v6).line(2).wide(4).line(2)
			n.Nodes[2].Router.Back.Loss = 1
			d := discover(t, search{seed: seed, path: delayed(n.target(), time.Millisecond)})
			if d.total > trace.DefaultTargetSYNs || d.TargetSYNs < d.total || len(d.wrong) > 0 {
				t.Errorf("v6 %v, seed %d: %d SYNs, %d told; wrong %v", v6, seed, d.total, d.TargetSYNs, d.wrong)
			}
			if d.total-d.syns >= trace.SearchSYNs/2 {
				asked++
			}
		}
		if asked == 0 {
			t.Errorf("v6 %v: the trace's own flow never takes that branch", v6)
		}
	}
}

// What silent routers and a silent target hide is said: the graph is tested, and not complete.
func TestPathsSilent(t *testing.T) {
	t.Parallel()
	mute := func(n *topology, nodes ...int) *topology {
		for _, i := range nodes {
			n.Nodes[i].Router.Silent = 1
		}
		return n
	}
	for _, c := range []struct {
		name string
		path func(n *topology) *topology
		ways int
	}{
		{"three members", func(n *topology) *topology { n.line(2).wide(3); return mute(n, n.ends...).line(2) }, 1},
		{"two of four members", func(n *topology) *topology { n.line(2).wide(4); return mute(n, n.ends[:2]...).line(2) }, 3},
		{"the last", func(n *topology) *topology { return mute(n.line(2).wide(4).line(1), 6) }, 4},
		{"the last two", func(n *topology) *topology { return mute(n.line(2).wide(4).line(2), 6, 7) }, 4},
		{"the last two of a line", func(n *topology) *topology { return mute(n.line(6), 4, 5) }, 1},
		{"the target", func(n *topology) *topology {
			n.Target.Rules = []sim.Rule{{Action: sim.Drop}}
			return n.line(2).wide(3).line(2)
		}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			less := 0
			for seed := range uint64(10) {
				d := discover(t, search{seed: seed, path: delayed(c.path(newTopology(seed%2 == 1)).target(), 3*time.Millisecond)})
				if len(d.wrong) > 0 || d.Complete {
					t.Errorf("seed %d: wrong %v, complete %v", seed, d.wrong, d.Complete)
				}
				if len(d.Ways) != c.ways || !d.Tested || d.Reached && len(d.missing) > 0 {
					t.Logf("seed %d: %d ways, tested %v, missing %v", seed, len(d.Ways), d.Tested, d.missing)
					less++
				}
			}
			if less > 1 {
				t.Errorf("%d of 10 searches found less", less)
			}
		})
	}
}
