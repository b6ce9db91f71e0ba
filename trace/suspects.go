package trace

import (
	"cmp"
	"math"
	"slices"
)

// Which part of a section loses packets is found by set logic: the flows that lose pass a router or a link that those
// which don't lose don't pass. A flow is what counts, not a probe: a flow keeps to its way back as well, so loss on one
// of several ways back hits all probes of a flow, but flows of all branches alike.

// Suspect is a part of a section that loses packets: the flows that pass it lose more than those that pass no suspect,
// and nothing else of the section fits that nearly as well.
type Suspect struct {
	Section   Section
	Nodes     []int    // routers that these flows pass, and no others; indices in Graph.Nodes
	Links     [][2]int // links that these flows take, and no others; indices in Graph.Nodes, -1: this host
	Ports     []uint16 // the flows
	Sent      int      // probes of these flows to where the section was measured
	Lost      int
	RestSent  int // those of the flows that pass no suspect
	RestLost  int
	Share     float64 // of the flows through the section, those that pass it
	Chance    float64 // the probability of such a difference if it loses no more than those
	Ambiguous bool    // other parts of the section, with some of the same flows, fit nearly as well

	// LastOnly: of those beyond the last of Nodes only the target answers, which was not asked. So that router's own
	// answers alone show the loss; the routers before it answer. It or the way to it loses packets, or it answers only
	// some probes.
	LastOnly bool
}

// The constants of the judgement.
const (
	// falseAlarm is the probability with which a section is taken for one with a bad part though no part is worse than
	// another. It is that of all candidates and all looks at the figures together.
	falseAlarm = 0.0005

	// falsePart is the probability with which a part that is no worse than the rest is named beside others that are. Its
	// flows are few: with falseAlarm, one of three bad members of four would hardly ever be named.
	falsePart = 0.003

	// lossLooks is how often the figures of a section are looked at, at the most: before each look each flow gets as many
	// probes again.
	lossLooks = 6

	// rivalRatio is how much better a candidate must explain the losses than others that share flows with it.
	rivalRatio = 1000

	// leastSuspectFlows is how many flows a part must have to be judged: of fewer one may be hit by chance on its way
	// back.
	leastSuspectFlows = 3

	// mostCounted is how many losses are counted one by one; more are counted in larger units.
	mostCounted = 10_000

	// mostExtra is by how much the share that a router beyond a section loses may be greater than what the target loses,
	// for its figures to count, too: one that answers only so often says nothing about the branches.
	mostExtra = 0.1

	// hardlyLost is which share of the probes may be lost where nothing is to be lost, and mostLastOnly which share may be
	// lost at a router that is asked quickly: one that loses more limits its answers, or is dead.
	hardlyLost   = 0.02
	mostLastOnly = 0.9
)

// worthLook is the probability of the best candidate's figures by chance below which a further look is worth it, by the
// number of looks taken.
func worthLook(looks int) float64 {
	return [lossLooks + 1]float64{1, 0.51, 0.3, 0.15, 0.05, 0.02, 0}[looks]
}

// Suspects are the parts of the graph that lose packets, by what was measured.
func (g *Graph) Suspects() (all []Suspect) {
	if g.Loss == nil {
		return nil
	}
	for _, s := range g.Sections() {
		suspects, _ := g.judge(s)
		suspects = slices.DeleteFunc(suspects, func(x Suspect) bool { return x.LastOnly && !g.answersBefore(&x) })
		for i := range suspects {
			for k := range all {
				if g.Loss.Target && overlap(all[k].Ports, suspects[i].Ports) { // which section loses them can't be told
					all[k].Ambiguous, suspects[i].Ambiguous = true, true
				}
			}
		}
		all = append(all, suspects...)
	}
	return all
}

func overlap(a, b []uint16) bool {
	return slices.ContainsFunc(a, func(port uint16) bool { return slices.Contains(b, port) })
}

// looks is how often the figures are looked at, at the most.
func (l *Loss) looks() int { return cmp.Or(l.Looks, lossLooks) }

// Moved is how many flows went another way when their loss was measured than when they were found: a router has
// distributed them anew.
func (g *Graph) Moved() int {
	ports := map[uint16]bool{}
	if g.Loss != nil {
		for _, f := range g.Loss.Flows {
			if f.Moved > 0 {
				ports[f.Port] = true
			}
		}
	}
	return len(ports)
}

// flowTotal is what a flow has lost on its way through a section.
type flowTotal struct {
	port   uint16
	branch int
	tried
}

// tried is how many probes were sent, and how many of them were lost.
type tried struct{ sent, lost int }

func (t *tried) add(o tried) { t.sent, t.lost = t.sent+o.sent, t.lost+o.lost }

// share is the share that was lost.
func (t tried) share() float64 { return float64(t.lost) / float64(max(1, t.sent)) }

// candidate is a part of a section by the flows that pass it.
type candidate struct {
	nodes []int
	links [][2]int
	flows []int // indices of flows
}

// judge says which parts of a section lose packets; open is the probability of the best further candidates' figures by
// chance.
//
// Bad parts must not hide one another: so the worst parts are taken out one after another, and compared with what is
// left alone, together and each by itself. The most that are clearly worse are named.
func (g *Graph) judge(s Section) (all []Suspect, open float64) {
	flows := g.flowLosses(s)
	rest := make([]int, len(flows))
	for i := range rest {
		rest[i] = i
	}
	var worst []candidate
	choices, first := 1.0, 0.0 // choices is how many choices of so many parts there are, first that of one
	open = 1
	for sure := true; sure; {
		candidates := g.candidates(s, flows, rest)
		best, rivals := choose(candidates, flows, rest)
		if best == nil {
			break
		}
		worst, sure = append(worst, *best), rivals == 0
		rest = without(rest, best.flows)
		choices *= float64(len(candidates)) / float64(len(worst))
		first = cmp.Or(first, choices)
		suspects, chance := g.suspects(s, worst, flows, rest, choices)
		if suspects == nil {
			open = min(open, chance/first)
			continue
		}
		all, open = suspects, 1
		if !sure {
			open = 0
		}
	}
	return all, open
}

// suspects are these parts of a section if they are worse than the rest; else none, and how many of so many choices of
// parts would have such figures by chance.
func (g *Graph) suspects(s Section, parts []candidate, flows []flowTotal, rest []int, choices float64) (all []Suspect,
	chance float64) {
	var together []int
	for _, p := range parts {
		together = append(together, p.flows...)
	}
	looks := float64(g.Loss.looks())
	chance = chanceOf(together, append(together, rest...), flows) * choices
	if chance*looks*float64(len(parts)) > falseAlarm {
		return nil, chance
	}
	choices *= float64(len(parts))             // any of them might be good
	for _, p := range slices.Backward(parts) { // the last is the least bad, as a rule
		x, chance := g.suspect(s, p, flows, rest)
		if chance *= choices; chance*looks > falsePart {
			return nil, chance
		}
		if x.Chance = chance * looks; x.LastOnly && !g.stands(&x) {
			return nil, 1 // it can't be told from a router that limits its answers
		}
		all = append(all, x)
	}
	slices.Reverse(all)
	return all, chance
}

// suspect is a part of a section beside the rest; chance is the probability of the difference if it is no worse.
func (g *Graph) suspect(s Section, part candidate, flows []flowTotal, rest []int) (x Suspect, chance float64) {
	both := slices.Sorted(slices.Values(append(slices.Clone(rest), part.flows...)))
	best, rivals := choose(g.candidates(s, flows, both), flows, both)
	x = Suspect{Section: s, Nodes: part.nodes, Links: part.links, Share: g.share(s, &part),
		Ambiguous: rivals > 0 || best == nil || !slices.Equal(best.flows, part.flows),
		LastOnly:  s.To < 0 && !g.Loss.Target && !dead(s, part.flows, flows)}
	for _, i := range both {
		f := &flows[i]
		if slices.Contains(part.flows, i) {
			x.Ports = append(x.Ports, f.port)
			x.Sent, x.Lost = x.Sent+f.sent, x.Lost+f.lost
		} else {
			x.RestSent, x.RestLost = x.RestSent+f.sent, x.RestLost+f.lost
		}
	}
	return x, chanceOf(part.flows, both, flows)
}

// without are flows but for some.
func without(flows, some []int) []int {
	return slices.DeleteFunc(slices.Clone(flows), func(i int) bool { return slices.Contains(some, i) })
}

// stands reports whether a suspect is worth a word though its last router alone shows the loss: another router is
// before that one, no router limits its answers, for all that is known, and the last routers of the other flows answer.
func (g *Graph) stands(x *Suspect) bool {
	last := len(x.Nodes) - 1
	return last > 0 && g.lostAt(x.Nodes[last], x.Ports).sent == x.Sent && g.Loss.Pace == 0 && !x.Ambiguous &&
		tried{x.RestSent, x.RestLost}.share() <= hardlyLost && tried{x.Sent, x.Lost}.share() <= mostLastOnly
}

// answersBefore reports whether the routers of a suspect before its last one answer its flows.
func (g *Graph) answersBefore(x *Suspect) bool {
	return !slices.ContainsFunc(x.Nodes[:len(x.Nodes)-1], func(n int) bool {
		t := g.lostAt(n, x.Ports)
		return 2*t.sent < x.Sent || t.share() > hardlyLost
	})
}

// lostAt is what a router has left unanswered of the probes of these flows.
func (g *Graph) lostAt(node int, ports []uint16) (t tried) {
	for _, f := range g.Loss.Flows {
		if f.Node == node && slices.Contains(ports, f.Port) {
			t.add(tried{f.Sent, f.Lost})
		}
	}
	return t
}

// dead reports whether none of these flows was ever answered beyond their branch, also not when the branch was found:
// if the branch's own last router has stopped answering, it limits its answers.
func dead(s Section, chosen []int, flows []flowTotal) bool {
	return !slices.ContainsFunc(chosen, func(i int) bool {
		return flows[i].lost < flows[i].sent || !s.Branches[flows[i].branch].Dead
	})
}

// share is the share of all flows through a section, measured or not, that pass a candidate.
func (g *Graph) share(s Section, c *candidate) float64 {
	through, all := 0, 0
	for i := range s.Branches {
		b := &s.Branches[i]
		all += len(b.Ports)
		if g.passes(s, b, c) {
			through += len(b.Ports)
		}
	}
	return float64(through) / float64(all)
}

// passes reports whether a branch passes a candidate.
func (g *Graph) passes(s Section, b *Branch, c *candidate) bool {
	if len(c.nodes) > 0 {
		return slices.ContainsFunc(b.Nodes, func(n int) bool { return slices.Contains(c.nodes, n) })
	}
	for l := range g.linksOf(s, b) {
		if slices.Contains(c.links, l) {
			return true
		}
	}
	return false
}

// flowLosses are the losses of the flows through a section, by what they have met at the router beyond it.
func (g *Graph) flowLosses(s Section) (all []flowTotal) {
	if g.Loss == nil {
		return nil
	}
	also := g.routersBeyond(s)
	for i, b := range s.Branches {
		for _, port := range b.Ports {
			f := flowTotal{port: port, branch: i}
			for _, m := range g.Loss.Flows {
				goal := g.Measures(s, m.Node) || !g.Loss.Target && m.Node == g.goal(s, &b, port)
				if m.Port == port && (goal || slices.Contains(also, m.Node)) {
					f.add(tried{m.Sent, m.Lost})
				}
			}
			if f.sent > 0 {
				all = append(all, f)
			}
		}
	}
	return all
}

// routersBeyond are the nodes beyond a section whose figures say what it lets through, where the target's do, too. All
// flows that arrive meet such a router at the same TTL: so it is asked as often by each of them.
func (g *Graph) routersBeyond(s Section) (all []int) {
	if !g.Loss.Target || s.To < 0 {
		return nil
	}
	by := make([]tried, len(g.Nodes))
	var target tried
	for _, f := range g.Loss.Flows {
		t := tried{f.Sent, f.Lost}
		if by[f.Node].add(t); g.Nodes[f.Node].Target {
			target.add(t)
		}
	}
	for i, n := range g.Nodes {
		t := by[i]
		if n.TTL < g.Nodes[s.To].TTL || n.Target || t.sent == 0 || target.sent == 0 ||
			t.share() > target.share()+mostExtra {
			continue
		}
		if !slices.ContainsFunc(g.Ways, func(w Way) bool {
			return !g.Settled(w) && g.arrives(w) && !slices.Contains(w.Nodes, i)
		}) {
			all = append(all, i)
		}
	}
	return all
}

// goal is the node that a flow of a branch is sent to when loss is measured: the router beyond the section, at the TTL
// at which this flow meets it. If there is none, it is the last router of the branch, and for a dead branch the last
// one that other branches have. -1: there is nothing to ask.
func (g *Graph) goal(s Section, b *Branch, port uint16) int {
	best := -1
	better := func(n int) {
		if best < 0 || g.Nodes[n].TTL > g.Nodes[best].TTL {
			best = n // a dead way might be as long as the longest
		}
	}
	if s.To >= 0 {
		for _, w := range g.Ways {
			for _, n := range w.Nodes {
				switch {
				case !g.same(n, s.To):
				case slices.Contains(w.Ports, port):
					return n
				default:
					better(n)
				}
			}
		}
		return best
	}
	for _, o := range s.Branches {
		for _, n := range o.Nodes {
			if n >= 0 && !o.Dead && (b.Dead || slices.Equal(o.Nodes, b.Nodes)) {
				better(n)
			}
		}
	}
	seen := func(n int) bool { return n >= 0 && g.Nodes[n].TTL >= g.Nodes[best].TTL }
	if b.Dead && best >= 0 && slices.ContainsFunc(b.Nodes, seen) {
		return -1
	}
	return best
}

// linksOf are the links of a branch, those to silent routers left out, and the known one between it and the routers
// before and beyond it.
func (g *Graph) linksOf(s Section, b *Branch) map[[2]int]bool {
	links, before := map[[2]int]bool{}, s.From
	for _, n := range b.Nodes {
		if n < 0 {
			continue
		}
		links[[2]int{before, n}] = true
		before = n
	}
	if !b.Dead && s.To >= 0 {
		links[[2]int{before, s.To}] = true
	}
	return links
}

// candidates are the parts of a section that some of these flows pass, and others don't. Parts with the same flows are
// one.
func (g *Graph) candidates(s Section, flows []flowTotal, left []int) (all []candidate) {
	nodes, links := map[int][]int{}, map[[2]int][]int{}
	var nodeOrder []int
	var linkOrder [][2]int
	for _, i := range left {
		b := &s.Branches[flows[i].branch]
		for _, n := range b.Nodes {
			if n < 0 {
				continue
			}
			if nodes[n] == nil {
				nodeOrder = append(nodeOrder, n)
			}
			nodes[n] = append(nodes[n], i)
		}
		for l := range g.linksOf(s, b) {
			if links[l] == nil {
				linkOrder = append(linkOrder, l)
			}
			links[l] = append(links[l], i)
		}
	}
	slices.SortFunc(linkOrder, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	find := func(flows []int) *candidate {
		i := slices.IndexFunc(all, func(c candidate) bool { return slices.Equal(c.flows, flows) })
		if i < 0 {
			i = len(all)
			all = append(all, candidate{flows: flows})
		}
		return &all[i]
	}
	for _, n := range nodeOrder {
		c := find(nodes[n])
		c.nodes = append(c.nodes, n)
	}
	for _, l := range linkOrder {
		c := find(links[l])
		c.links = append(c.links, l)
	}
	return slices.DeleteFunc(all, func(c candidate) bool {
		return len(c.flows) < leastSuspectFlows || len(c.flows) == len(left)
	})
}

// choose is the candidate that explains the losses best, and how many others with some of its flows explain them nearly
// as well; nil: there is none that loses more than the rest.
func choose(candidates []candidate, flows []flowTotal, left []int) (best *candidate, rivals int) {
	var whole tried
	for _, i := range left {
		whole.add(flows[i].tried)
	}
	top, at, fits := math.Inf(-1), -1, make([]float64, len(candidates))
	for k, c := range candidates {
		var in tried
		for _, i := range c.flows {
			in.add(flows[i].tried)
		}
		rest := tried{whole.sent - in.sent, whole.lost - in.lost}
		fits[k] = math.Inf(-1)
		if in.lost*rest.sent > rest.lost*in.sent {
			fits[k] = in.likelihood() + rest.likelihood()
		}
		if fits[k] > top {
			top, at = fits[k], k
		}
	}
	if at < 0 {
		return nil, 0
	}
	best = &candidates[at]
	for k, c := range candidates {
		shared := slices.ContainsFunc(c.flows, func(i int) bool { return slices.Contains(best.flows, i) })
		if k != at && shared && fits[k] > top-math.Log(rivalRatio) {
			rivals++
		}
	}
	return best, rivals
}

// likelihood is the logarithm of the probability of just these losses, at their own rate.
func (t tried) likelihood() float64 {
	sum := 0.0
	for _, n := range [...]int{t.lost, t.sent - t.lost} {
		if n > 0 {
			sum += float64(n) * math.Log(float64(n)/float64(t.sent))
		}
	}
	return sum
}

// chanceOf is the probability that flows which are drawn at random have lost as much as these, or more: an exact
// permutation test. All flows were sent as many probes, but for one or two.
func chanceOf(chosen, left []int, flows []flowTotal) float64 {
	lost := 0
	for _, i := range chosen {
		lost += flows[i].lost
	}
	if lost > mostCounted {
		rough := slices.Clone(flows)
		for i := range rough {
			rough[i].lost = rough[i].lost * mostCounted / lost
		}
		return chanceOf(chosen, left, rough)
	}
	// sums[k][n] is the probability that of the flows looked at so far k are drawn and have lost n, if each is drawn by
	// itself with the share of the chosen ones; n ends at lost. In the end only those cases count in which as many are
	// drawn as were chosen.
	q := float64(len(chosen)) / float64(len(left))
	sums := make([][]float64, len(chosen)+1)
	for k := range sums {
		sums[k] = make([]float64, lost+1)
	}
	sums[0][0] = 1
	for _, i := range left {
		for k := len(chosen); k >= 0; k-- {
			for n := range sums[k] {
				sums[k][n] *= 1 - q
			}
			if k == 0 {
				continue
			}
			for n, w := range sums[k-1] { // not yet changed
				sums[k][min(lost, n+flows[i].lost)] += q * w
			}
		}
	}
	sum := 0.0
	for _, w := range sums[len(chosen)] {
		sum += w
	}
	return sums[len(chosen)][lost] / sum
}
