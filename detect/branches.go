package detect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// The constants of the findings about branches.
const (
	// placed is the probability by chance below which a router that loses less than those beyond it is taken for the last
	// one before the loss.
	placed = 0.001

	// slower is by how much the round trips of a branch must be longer to speak of it, as a share of the others', and
	// slowerTime the least that this must be.
	slower     = 0.1
	slowerTime = time.Millisecond

	// slowerPairs is the share of the pairs of a flow by the branch and one by another, in which the first must be slower.
	slowerPairs = 0.9

	// slowFlows is how many flows there must be of either kind.
	slowFlows = 5

	// unansweredSYNs is how many SYNs of flows that pass the last router of a branch must stay unanswered, if the target
	// answers others: each flow is asked twice, so one lossy flow isn't enough.
	unansweredSYNs = 4

	// examplePorts is how many source ports are named.
	examplePorts = 3
)

// InPaths says what the measurement of all paths shows: which part of a balanced section loses packets, or is slow.
func InPaths(g *trace.Graph) (all []Finding) {
	for _, s := range g.Suspects() {
		all = append(all, lossyBranch(g, &s))
	}
	if len(all) == 0 {
		all = append(all, deadBranches(g)...)
	}
	if len(all) == 0 {
		all = append(all, unansweredBranches(g)...)
	}
	if !g.Reached {
		all = append(all, endingBranches(g)...)
	}
	all = append(all, refusingBranches(g)...)
	all = append(all, loopingBranches(g)...)
	all = append(all, narrowBranches(g)...)
	all = append(all, clampedBranches(g)...)
	all = append(all, slowBranches(g)...)
	return Sorted(all)
}

// WithPaths adds what the measurement of all paths shows to the findings of a trace, and leaves out what is said twice
// then, or is explained better.
func WithPaths(all []Finding, g *trace.Graph) []Finding {
	inPaths := InPaths(g)
	all = slices.DeleteFunc(all, func(x Finding) bool {
		return drawn(&x, g) || slices.ContainsFunc(inPaths, func(y Finding) bool {
			return knowsMore(&y, &x) || noLimit(&y, &x)
		})
	})
	for i := range all {
		all[i].sprayed(g)
	}
	return Sorted(append(all, inPaths...))
}

// sprayed names the cause of a path that changes, or differs by flow, where all paths show it: a router that sends each
// packet of a flow its own way.
func (x *Finding) sprayed(g *trace.Graph) {
	by := slices.IndexFunc(g.Nodes, func(n trace.Node) bool {
		return n.Alternates && n.TTL >= x.After && n.TTL < x.Before
	})
	if by < 0 || x.Code != LoadBalancer || x.Weight >= weightHarm {
		return
	}
	who := nodeName(g, by)
	x.Title = "A load balancer spreads the packets of one connection beyond " + who
	x.Advice = "Ask whoever runs " + who + " to balance by flow: packets of one connection may arrive out of order, " +
		"which slows it down."
	x.Evidence = append(x.Evidence, "When all paths were searched, several routers answered one flow in turn, which a "+
		"change of route doesn't explain.")
	x.Confidence, x.Weight = Likely, weightHarm
}

// knowsMore reports whether a finding about paths says the same as one of the trace, at the same place. It knows more:
// the share of the connections.
func knowsMore(y, x *Finding) bool {
	if x.Code != y.Code || x.After > y.Before || y.After > x.Before {
		return false
	}
	switch x.Code {
	case BrokenBranch:
		return x.Confidence <= y.Confidence
	case MTULimit, MTUBlackHole, MSSClamped, MSSRaised:
		return true
	}
	return false
}

// noLimit reports whether a branch that loses packets shows that the answers missing beyond it are not missing because
// of a limit, as the trace alone suggests: a limit hits the flows of all branches alike.
func noLimit(y, x *Finding) bool {
	loses := y.Code == LossyBranch || y.Code == BrokenBranch && y.Confidence >= Likely
	limit := x.Code == RateLimited || x.Code == ICMPRateLimit && x.Confidence == Possible
	return loses && limit && x.Before > y.After
}

// drawn reports whether a finding is no more than that there is a load balancer, where the graph shows one that keeps
// each flow on its way.
func drawn(x *Finding, g *trace.Graph) bool {
	return x.Code == LoadBalancer && x.Weight < weightHarm && slices.ContainsFunc(g.Nodes, func(n trace.Node) bool {
		return n.TTL >= x.After && n.TTL < x.Before && n.Next > 1 && !n.PerPacket
	})
}

// nodeName is a node in words.
func nodeName(g *trace.Graph, i int) string {
	if i < 0 {
		return "this host"
	}
	n := &g.Nodes[i]
	if !n.Addr.IsValid() {
		return fmt.Sprintf("a silent router at hop %d", n.TTL)
	}
	return fmt.Sprintf("%v (hop %d)", n.Addr, n.TTL)
}

func nodeTTL(g *trace.Graph, i int) int {
	if i < 0 {
		return 0
	}
	return g.Nodes[i].TTL
}

func nodeNames(g *trace.Graph, nodes []int) string {
	var all []string
	for _, n := range nodes {
		all = append(all, nodeName(g, n))
	}
	return strings.Join(all, ", ")
}

// measuredAt is where the loss and the time of a section were measured, in words.
func measuredAt(g *trace.Graph, s trace.Section) string {
	switch {
	case g.Loss != nil && g.Loss.Target && s.To >= 0:
		return "the target or to a router before it that all paths pass"
	case g.Loss != nil && g.Loss.Target:
		return "the target"
	case s.To >= 0:
		return nodeName(g, s.To)
	}
	return "the last routers before the target"
}

// lossyBranch is a part of a section that loses packets.
func lossyBranch(g *trace.Graph, s *trace.Suspect) Finding {
	x := Finding{Code: LossyBranch, Confidence: Likely, Weight: weightHarm}
	x.After, x.Before = nodeTTL(g, s.Section.From), nodeTTL(g, s.Section.To)
	lost := tried{s.Lost, s.Sent}
	what := fmt.Sprintf("loses %.2g %% of the packets", 100*float64(s.Lost)/float64(s.Sent))
	if s.Lost == s.Sent {
		x.Code, what = BrokenBranch, "loses all packets"
	}
	var who, where string
	if len(s.Nodes) > 0 {
		var member []int
		member, where = x.place(g, s, lost)
		who = "The branch by " + nodeNames(g, member)
	} else {
		who = "The link from " + nodeName(g, s.Links[0][0]) + " to " + nodeName(g, s.Links[0][1])
		x.After, x.Before = nodeTTL(g, s.Links[0][0]), nodeTTL(g, s.Links[0][1])
	}
	beyond := measuredAt(g, s.Section)
	x.Title = fmt.Sprintf("%s %s: %.2g %% of the connections go that way", who, what, 100*s.Share)
	x.Evidence = append(x.Evidence,
		fmt.Sprintf("%s lost %v on the way to %s; flows by no bad branch lost %v.",
			capital(times(len(s.Ports), "flow", "flows")+" by it"), lost, beyond, tried{s.RestLost, s.RestSent}),
		fmt.Sprintf("That flows drawn at random differ so happens %s.", chanceText(s.Chance)))
	if where != "" {
		x.Evidence = append(x.Evidence, where)
	}
	x.Evidence = append(x.Evidence, "Source ports that go that way: "+ports(s.Ports)+".")
	x.Advice = fmt.Sprintf("Ask whoever runs %s. To try it: connect from one of these source ports. If the answers "+
		"come back by the same branches, they may be lost there.", nodeName(g, s.Section.From))
	if s.LastOnly {
		x.onlyLast(g, s)
	}
	if s.Ambiguous {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "Another part of the way, which some of the same flows take, fits nearly as well.")
	}
	return x
}

// onlyLast is that the answers of one router alone show a loss, as only the target is beyond it.
func (x *Finding) onlyLast(g *trace.Graph, s *trace.Suspect) {
	last := len(s.Nodes) - 1
	by := nodeName(g, s.Nodes[last])
	x.Confidence = Possible
	x.Title = fmt.Sprintf("Packets are lost between %s and %s, or the latter answers only some probes: "+
		"%.2g %% of the connections go that way", nodeName(g, s.Nodes[last-1]), by, 100*s.Share)
	x.Evidence = append(x.Evidence, fmt.Sprintf("Beyond %s no router answers, and the target was not asked: so nothing "+
		"else shows whether packets are lost, or only its answers are missing.", by))
	if g.Reached {
		x.Advice = "Run the same with --report: its SYNs to the target show whether packets are lost. " + x.Advice
	}
}

// place narrows the place of a suspect's loss down, by what its own routers answered: one that loses much less than the
// router beyond is before the loss, and one that loses as much is beyond it. It returns the router whose loss it is, as
// far as that is known, and the evidence.
func (x *Finding) place(g *trace.Graph, s *trace.Suspect, lost tried) (member []int, evidence string) {
	if s.Section.To < 0 {
		for _, n := range g.Nodes { // the target, or what is beyond the last router
			x.Before = n.TTL
		}
	}
	member = s.Nodes
	byTTL := func(a, b int) int { return nodeTTL(g, a) - nodeTTL(g, b) }
	for _, n := range slices.SortedFunc(slices.Values(s.Nodes), byTTL) {
		var t tried
		for _, f := range g.Loss.Flows {
			if f.Node == n && slices.Contains(s.Ports, f.Port) {
				t = t.add(tried{f.Lost, f.Sent})
			}
		}
		switch {
		case t.sent == 0:
		case chanceOfMore(t, lost) <= placed:
			x.After, member = nodeTTL(g, n), []int{n}
			evidence = fmt.Sprintf("%s itself lost %v: packets get there, and are lost by it or beyond it.", nodeName(g, n), t)
			if s.LastOnly {
				evidence = fmt.Sprintf("%s itself lost %v: packets get there.", nodeName(g, n), t)
			}
		case hopLoss{nodeTTL(g, n), t}.shares(hopLoss{}, hopLoss{x.Before, lost}):
			if x.Before = nodeTTL(g, n); len(member) > 1 {
				member = []int{n}
			}
			return member, evidence
		}
	}
	return member, evidence
}

// deadBranches are flows that nobody beyond a router answers, though others that pass it are answered. They may have
// gone by a router that was not seen.
func deadBranches(g *trace.Graph) (all []Finding) {
	if g.Loss == nil {
		return nil
	}
	for _, s := range g.Sections() {
		var dead []uint16
		var ends []int // the last routers that were seen
		total, last := 0, s.From
		for _, b := range s.Branches {
			total += len(b.Ports)
			if b.Dead && silent(g, s, &b) {
				dead = append(dead, b.Ports...)
				if end := append([]int{s.From}, b.Nodes...); !slices.Contains(ends, end[len(end)-1]) {
					ends = append(ends, end[len(end)-1])
				}
			}
		}
		if len(dead) < 2 {
			continue
		}
		if len(ends) == 1 {
			last = ends[0]
		}
		share := 100 * float64(len(dead)) / float64(total)
		x := Finding{Code: BrokenBranch, Confidence: Likely, Weight: weightHarm, After: nodeTTL(g, last)}
		beyond := measuredAt(g, s)
		if x.Before = g.Nodes[len(g.Nodes)-1].TTL; s.To >= 0 {
			x.Before = nodeTTL(g, s.To)
		}
		x.Title = fmt.Sprintf("%.2g %% of the connections die beyond %s, and others pass", share, nodeName(g, last))
		x.Evidence = []string{
			fmt.Sprintf("Beyond it none of %s was answered, however often; others got to %s.",
				times(len(dead), "flow", "flows"), beyond),
			"Source ports that die: " + ports(dead) + ".",
		}
		x.Advice = fmt.Sprintf("One member of a load-balanced group is broken, there or on the way back. Which one is not "+
			"known: it answered nothing. Ask whoever runs %s.", nodeName(g, last))
		all = append(all, x)
	}
	return all
}

// unansweredBranches are branches right before the target by which it answered no SYN, though it answered others. They
// are few, so this is no proof.
func unansweredBranches(g *trace.Graph) (all []Finding) {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		var ports []uint16
		share, others := 0.0, 0
		for _, w := range g.Ways {
			switch last := len(w.Nodes) - 1; {
			case last > 0 && w.Nodes[last] < 0 && w.Nodes[last-1] == i:
				ports, share = append(ports, w.Ports...), share+w.Share
			case last >= 0 && w.Nodes[last] >= 0 && g.Nodes[w.Nodes[last]].Target:
				others++
			}
		}
		if n.Unanswered < unansweredSYNs || len(ports) == 0 || others == 0 {
			continue
		}
		all = append(all, unansweredBranch(g, i, share, ports))
	}
	return all
}

// endingBranches are ways that end where others go on to a router that several of them share, to a target that answers
// nobody. It may be right beyond such a way's last router, so this is no proof.
func endingBranches(g *trace.Graph) (all []Finding) {
	order, alike := together(g.Ways, func(w trace.Way) (last int, ok bool) {
		at := known(w.Nodes)
		if len(at) == 0 || g.Settled(w) {
			return 0, false
		}
		return at[len(at)-1], true
	})
	for _, end := range order {
		if g.Nodes[end].Unanswered < unansweredSYNs {
			continue
		}
		before := beside(g, end)
		for _, i := range slices.Sorted(maps.Keys(before)) {
			if len(before[i]) > 1 {
				all = append(all, endingBranch(g, end, i, alike[end]))
				break
			}
		}
	}
	return all
}

// beside are the nodes that ways come to which pass another node than this one at its TTL, and by which of those they
// come. What has the address of the node itself, and what is beyond, doesn't count.
func beside(g *trace.Graph, end int) map[int]map[int]bool {
	n, before := &g.Nodes[end], map[int]map[int]bool{}
	for _, w := range g.Ways {
		at := known(w.Nodes)
		other := slices.IndexFunc(at, func(i int) bool { return g.Nodes[i].TTL == n.TTL && i != end })
		if other < 0 {
			continue
		}
		for _, i := range at[other+1:] {
			if g.Nodes[i].Addr == n.Addr {
				break
			}
			if before[i] == nil {
				before[i] = map[int]bool{}
			}
			before[i][at[other]] = true
		}
	}
	return before
}

// endingBranch is that a way ends at a router, while others go on to another one.
func endingBranch(g *trace.Graph, end, on int, w trace.Way) Finding {
	n, who := &g.Nodes[end], nodeName(g, end)
	x := Finding{Code: BrokenBranch, Confidence: Possible, Weight: weightHarm, After: n.TTL, Before: n.TTL + 1}
	x.Title = fmt.Sprintf("%.2g %% of the connections are not seen beyond %s, and others get to %s", 100*w.Share, who,
		nodeName(g, on))
	x.Evidence = []string{
		fmt.Sprintf("Several other ways come together at %s. Nobody beyond %s answered any of %d probes.",
			nodeName(g, on), who, n.Unanswered),
		fmt.Sprintf("The target answers nobody. If it is right beyond %s, that way is only shorter.", who),
		"Source ports that go that way: " + ports(w.Ports) + ".",
	}
	x.Advice = fmt.Sprintf("Search for the paths to a port that the target answers. If that ends there too, ask whoever "+
		"runs %s.", who)
	return x
}

func unansweredBranch(g *trace.Graph, node int, share float64, through []uint16) Finding {
	n := &g.Nodes[node]
	x := Finding{Code: BrokenBranch, Confidence: Possible, Weight: weightHarm, After: n.TTL, Before: n.TTL + 1}
	who := nodeName(g, node)
	x.Title = fmt.Sprintf("%.2g %% of the connections get no answer beyond %s, and others do", 100*share, who)
	x.Evidence = []string{
		fmt.Sprintf("%d SYNs of flows by it were not answered when the paths were searched for; by other ways the target "+
			"answered.", n.Unanswered),
		"These are few, to spare the target. If it answers only some SYNs of one address, it looks the same.",
		"Source ports that go that way: " + ports(through) + ".",
	}
	x.Advice = fmt.Sprintf("Connect from one of these source ports, and from others. If only these fail, ask whoever "+
		"runs %s.", who)
	return x
}

// refusingBranches are routers that refuse the flows of some paths, and what resets flows in the target's name, while
// others pass.
func refusingBranches(g *trace.Graph) (all []Finding) {
	for i := range g.Nodes {
		if g.Nodes[i].Refusal == nil {
			continue
		}
		by := splitAt(g, i)
		if len(by.refused) > 0 && len(by.others) > 0 {
			all = append(all, refusingBranch(g, i, &by))
		}
	}
	return all
}

// split divides the flows of all paths into those that one node refuses and the others that nobody does.
type split struct {
	share   float64 // of all flows, that is refused
	refused []uint16
	others  []uint16
	by      []int // the routers that refuse them, or after a reset, which nobody owns up to, the last ones before it
	passed  int   // how many of the others passed one of those
}

func splitAt(g *trace.Graph, node int) (s split) {
	n := &g.Nodes[node]
	for _, w := range g.Ways {
		switch last := len(w.Nodes) - 1; {
		case g.Refuses(w) == nil:
			s.others = append(s.others, w.Ports...)
		case w.Nodes[last] == node:
			s.share += w.Share
			s.refused = append(s.refused, w.Ports...)
			if last > 0 && w.Nodes[last-1] >= 0 && n.Refusal.Kind == packet.KindTCP && !slices.Contains(s.by, w.Nodes[last-1]) {
				s.by = append(s.by, w.Nodes[last-1])
			}
		}
	}
	for i := range g.Nodes {
		if o := &g.Nodes[i]; n.Refusal.Kind != packet.KindTCP && o.Addr == n.Addr && o.Refusal == nil {
			s.by = append(s.by, i)
		}
	}
	for _, w := range g.Ways {
		if g.Refuses(w) == nil && slices.ContainsFunc(w.Nodes, func(n int) bool { return slices.Contains(s.by, n) }) {
			s.passed += len(w.Ports)
		}
	}
	return s
}

// refusingBranch is what refuses these flows.
func refusingBranch(g *trace.Graph, node int, by *split) Finding {
	n := &g.Nodes[node]
	x := Finding{Code: BrokenBranch, Confidence: Possible, Weight: weightHarm, After: n.TTL - 1, Before: n.TTL}
	if len(by.refused) >= enoughFlows && by.passed == 0 {
		x.Confidence = Likely
	}
	who := nodeName(g, node)
	switch {
	case len(by.by) > 0:
		who = nodeNames(g, by.by)
	case n.Refusal.Kind == packet.KindTCP:
		who = fmt.Sprintf("hop %d", n.TTL-1)
	}
	why, verb := "one member of a load-balanced group rejects, or has no route", "rejected"
	if n.Refusal.Kind == packet.KindTCP {
		why, verb = "it, or a firewall beyond it, resets connections", "reset"
	}
	if by.passed > 0 {
		why = "a rule there looks at source ports, or at the rate of SYNs"
	}
	x.Evidence = []string{
		fmt.Sprintf("%v answered %s: %s.", n.Addr, times(len(by.refused), "flow", "flows"), refusalText(n.Refusal)),
		fmt.Sprintf("Nobody refused %s, of which %d passed %s.", times(len(by.others), "other flow", "other flows"),
			by.passed, who),
		"Source ports that are refused: " + ports(by.refused) + ".",
	}
	x.Title = fmt.Sprintf("%.2g %% of the connections are rejected by %s, and others pass: %s", 100*by.share, who,
		refusalText(n.Refusal))
	const try = ". To try it: connect from one of the source ports that are %s."
	x.Advice = fmt.Sprintf("Ask whoever runs %s: %s"+try, who, why, verb)
	if n.Refusal.Kind != packet.KindTCP {
		return x
	}
	x.Title = fmt.Sprintf("%.2g %% of the connections are reset in the target's name beyond %s, and others pass",
		100*by.share, who)
	x.Evidence[0] = fmt.Sprintf("A reset in the target's name answered %s with TTL %d, of which all passed %s.",
		times(len(by.refused), "flow", "flows"), n.TTL, who)
	nearest := slices.IndexFunc(g.Nodes, func(o trace.Node) bool { return o.Target })
	if nearest >= 0 && n.TTL >= g.Nodes[nearest].TTL {
		x.Confidence = Possible
		x.Advice = "Ask whoever runs the target: one of several servers that share its address may not listen, or it " +
			"limits how many SYNs it takes from one address. Else a firewall before it resets connections" +
			fmt.Sprintf(try, verb)
	}
	return x
}

// loopingBranches are paths that go round in a loop, while others don't.
func loopingBranches(g *trace.Graph) (all []Finding) {
	rounds := map[int]trace.Way{} // by the first node of the loop, with all flows and shares
	others := 0
	var order []int
	for _, w := range g.Ways {
		round := g.Circle(w)
		if len(round) == 0 {
			others += len(w.Ports)
			continue
		}
		x, ok := rounds[round[0]]
		if !ok {
			x.Nodes = round
			order = append(order, round[0])
		}
		x.Ports, x.Share = append(x.Ports, w.Ports...), x.Share+w.Share
		rounds[round[0]] = x
	}
	for _, first := range order {
		w := rounds[first]
		if others == 0 {
			break
		}
		x := Finding{Code: RoutingLoop, Confidence: Likely, Weight: weightHarm, After: nodeTTL(g, first)}
		x.Before = x.After + len(w.Nodes) - 1
		who := nodeNames(g, known(w.Nodes))
		x.Title = fmt.Sprintf("%.2g %% of the connections go round in a loop: %s", 100*w.Share, who)
		x.Evidence = []string{
			fmt.Sprintf("%s came to the same routers again and again; %s did not.",
				capital(times(len(w.Ports), "flow", "flows")), times(others, "other flow", "other flows")),
			"Source ports that go that way: " + ports(w.Ports) + ".",
		}
		x.Advice = "Ask whoever runs these routers: they point at each other for this destination, so one of them has lost " +
			"the real route. To try it: connect from one of these source ports."
		all = append(all, x)
	}
	return all
}

// narrowBranches are paths that large packets don't pass, while they pass others.
func narrowBranches(g *trace.Graph) (all []Finding) {
	largest := 0
	for _, w := range g.Ways {
		if w.MTU != nil {
			largest = max(largest, w.MTU.Size)
		}
	}
	order, alike := together(g.Ways, func(w trace.Way) (m trace.MTU, ok bool) {
		if w.MTU == nil || w.MTU.Size == 0 || w.MTU.Size == largest {
			return m, false
		}
		return *w.MTU, true
	})
	for _, m := range order {
		all = append(all, narrowBranch(&m, alike[m], largest))
	}
	return all
}

// together takes ways that are alike for one, with the flows and shares of all; order is that in which they come. Ways
// for which alike says no are left out.
func together[K comparable](ways []trace.Way, alike func(trace.Way) (K, bool)) (order []K, all map[K]trace.Way) {
	all = map[K]trace.Way{}
	for _, w := range ways {
		k, ok := alike(w)
		if !ok {
			continue
		}
		x, known := all[k]
		if !known {
			order = append(order, k)
		}
		x.Ports, x.Share = append(x.Ports, w.Ports...), x.Share+w.Share
		all[k] = x
	}
	return order, all
}

// narrowBranch is that packets of the flows of a way may be no larger than m.Size, and others may.
func narrowBranch(m *trace.MTU, w trace.Way, largest int) Finding {
	where := ""
	if m.TTL > 0 {
		where = fmt.Sprintf(" beyond %v (hop %d)", m.From, m.TTL)
	}
	x := Finding{Code: MTULimit, Confidence: Likely, Weight: weightNotice, After: m.TTL, Before: m.TTL + 1}
	x.Title = fmt.Sprintf("Packets of more than %d bytes don't fit%s on %.2g %% of the connections, and fit on others",
		m.Size, where, 100*w.Share)
	x.Evidence = []string{
		fmt.Sprintf("Other paths let packets of %d bytes pass, to the last router before the target.", largest),
		"Source ports that go that way: " + ports(w.Ports) + ".",
	}
	x.Advice = "Nothing to do as long as the ICMP messages that say so get to both ends. To try it: connect from one of " +
		"these source ports."
	if m.BlackHole {
		x.Code, x.Confidence, x.Weight = MTUBlackHole, Possible, weightTrap
		x.Title = fmt.Sprintf("Packets of more than %d bytes vanish%s on %.2g %% of the connections, and pass on others",
			m.Size, where, 100*w.Share)
		x.Evidence = append(x.Evidence, "These were SYNs with a payload: a firewall that drops such ones looks the same.")
		x.Advice = "To try it: connect from one of these source ports, and send much. If that hangs, clamp the MSS, or ask " +
			"whoever runs the routers there for the MTU of that link."
	}
	return x
}

// clampedBranches are paths whose SYNs come to the last router with another MSS than those of other paths.
func clampedBranches(g *trace.Graph) (all []Finding) {
	others := 0 // the MSS of those: as it was sent, or else the highest
	for _, w := range g.Ways {
		if m := w.MSS; m != nil && (m.Arrived == m.Sent || others != m.Sent && m.Arrived > others) {
			others = m.Arrived
		}
	}
	type place struct {
		mss           trace.MSS
		after, before int // nodes
	}
	order, alike := together(g.Ways, func(w trace.Way) (at place, ok bool) {
		if w.MSS == nil || w.MSS.Arrived == others {
			return at, false
		}
		return place{*w.MSS, nodeAt(g, w, w.MSS.After), nodeAt(g, w, w.MSS.Before)}, true
	})
	for _, at := range order {
		x := clampedBranch(&at.mss, alike[at], nodeName(g, at.after), nodeName(g, at.before), others)
		all = append(all, x)
	}
	return all
}

// nodeAt is the node of a way at a TTL; -1: it has none there.
func nodeAt(g *trace.Graph, w trace.Way, ttl int) int {
	for _, i := range w.Nodes {
		if i >= 0 && g.Nodes[i].TTL == ttl {
			return i
		}
	}
	return -1
}

// clampedBranch is that the MSS of the flows of a way is changed between two routers, and that of others is not.
func clampedBranch(m *trace.MSS, w trace.Way, after, before string, others int) Finding {
	x := Finding{Code: MSSClamped, Confidence: Likely, Weight: weightNotice, After: m.After, Before: m.Before}
	x.Title = fmt.Sprintf("The MSS is changed to %d between %s and %s on %.2g %% of the connections, and is %d on others",
		m.Arrived, after, before, 100*w.Share, others)
	x.Evidence = []string{
		fmt.Sprintf("SYNs left with MSS %d. By this way they came to %s with %d; by other ways they came to the last router "+
			"with %d.", m.Sent, before, m.Arrived, others),
		"Source ports that go that way: " + ports(w.Ports) + ".",
	}
	x.Advice = fmt.Sprintf("Nothing to do if there is a tunnel on this way and on no other. Else ask whoever runs %s "+
		"and %s why the ways differ.", after, before)
	if m.Arrived > m.Sent {
		x.Code, x.Weight = MSSRaised, weightTrap
		x.Advice = fmt.Sprintf("Ask whoever runs %s and %s: who answers may send segments that are larger than this host "+
			"asked for, and may not fit on the way back. To try it: connect from one of these source ports.", after, before)
	}
	return x
}

// silent reports whether flows of a branch were asked when loss was measured, and never answered.
func silent(g *trace.Graph, s trace.Section, b *trace.Branch) bool {
	sent := 0
	for _, f := range g.Loss.Flows {
		if !slices.Contains(b.Ports, f.Port) || slices.Contains(b.Nodes, f.Node) || nodeTTL(g, f.Node) < nodeTTL(g, s.To) {
			continue
		}
		if sent += f.Sent; f.Lost < f.Sent {
			return false
		}
	}
	return sent > 0
}

// slowBranches are branches whose round trips are longer than others.
func slowBranches(g *trace.Graph) (all []Finding) {
	for _, s := range g.Sections() {
		if s.To < 0 && (g.Loss == nil || !g.Loss.Target) {
			continue
		}
		for i := range s.Branches {
			b := &s.Branches[i]
			in, rest := medians(g, s, func(k int) bool { return k == i }), medians(g, s, func(k int) bool { return k != i })
			if len(b.Nodes) == 0 || len(in) < slowFlows || len(rest) < slowFlows {
				continue
			}
			mine, others := in[len(in)/2], rest[len(rest)/2]
			more := mine - others
			if more < slowerTime || float64(more) < slower*float64(others) || !aboveMost(in, rest) {
				continue
			}
			x := Finding{Code: SlowBranch, Confidence: Likely, Weight: weightNotice, After: nodeTTL(g, s.From),
				Before: nodeTTL(g, s.To)}
			x.Title = fmt.Sprintf("The branch by %s is slower: round trips take %v longer", nodeNames(g, known(b.Nodes)),
				more.Round(10*time.Microsecond))
			x.Evidence = []string{
				fmt.Sprintf("To %s and back: %v by this branch (the median of %d flows), %v by the others.", measuredAt(g, s),
					mine.Round(10*time.Microsecond), len(in), others.Round(10*time.Microsecond)),
				"Source ports that go that way: " + ports(b.Ports) + ".",
			}
			x.Advice = fmt.Sprintf("Nothing is broken. If it matters, ask whoever runs %s whether this way is wanted.",
				nodeName(g, s.From))
			all = append(all, x)
		}
	}
	return all
}

// medians are the median round trips of the flows of some branches, the shortest first.
func medians(g *trace.Graph, s trace.Section, of func(branch int) bool) (all []time.Duration) {
	if g.Loss == nil {
		return nil
	}
	for i, b := range s.Branches {
		if !of(i) {
			continue
		}
		for _, f := range g.Loss.Flows {
			if slices.Contains(b.Ports, f.Port) && g.Measures(s, f.Node) && len(f.RTTs) > 0 {
				rtts := slices.Sorted(slices.Values(f.RTTs))
				all = append(all, rtts[len(rtts)/2])
			}
		}
	}
	slices.Sort(all)
	return all
}

// aboveMost reports whether most values are greater than most others.
func aboveMost(in, rest []time.Duration) bool {
	above := 0
	for _, a := range in {
		for _, b := range rest {
			if a > b {
				above++
			}
		}
	}
	return float64(above) >= slowerPairs*float64(len(in)*len(rest))
}

func known(nodes []int) []int {
	return slices.DeleteFunc(slices.Clone(nodes), func(n int) bool { return n < 0 })
}

// ports are a few of these source ports.
func ports(all []uint16) string {
	var text []string
	for _, p := range all[:min(len(all), examplePorts)] {
		text = append(text, fmt.Sprint(p))
	}
	return strings.Join(text, ", ")
}
