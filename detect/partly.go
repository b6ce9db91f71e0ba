package detect

import (
	"fmt"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// portFlows are the flows to the port in question, beside the trace's own, of a path that ends at a refusal.
type portFlows struct {
	refused int      // by the same router, in the same words; the trace's own flow counts too
	passed  []string // what passed, a sentence each
	probes  bool     // a probe from another source port has passed, whose TTL was no higher than those refused
	again   fate     // of the trace's own flow, asked again
}

// enoughFlows is how many flows must be refused alike until a member of a load-balanced group is excluded: one of two
// members refuses them all in one of 2^(enoughFlows-1) groups.
const enoughFlows = 5

// portFlows says what became of SYNs to the same port from other source ports, beyond this hop.
func (f *facts) portFlows(after int) portFlows {
	x := portFlows{refused: 1}
	if !f.asks() || f.options.Protocol != packet.ProtoTCP {
		return x
	}
	from := f.refusal.Reply.From()
	if f.answer != nil && f.distance() > after && f.told() {
		x.passed = append(x.passed, "But others got to the target: "+f.answerText(f.path))
		x.probes = true
	}
	for _, r := range f.distanceProbes {
		if r.FromTarget() && r.Reply.Kind == packet.KindTCP && r.Probe.Src.Port() != f.options.Source.Port() {
			x.passed = append(x.passed, fmt.Sprintf("A SYN from source port %d, with a TTL of %d, got to the target.",
				r.Probe.Src.Port(), r.Probe.TTL))
			break
		}
	}
	if p := f.flow; p != nil {
		switch f.partFate(p, after) {
		case passes:
			x.passed = append(x.passed, fmt.Sprintf("SYNs from source port %d pass it.", p.options.Source.Port()))
			x.probes = true
		case vanishes:
			x.refused++
		}
	}
	tried, passed := 0, 0
	for _, p := range f.asked(AskReach) {
		fate := f.partFate(p, after)
		if p.question.Flow == 0 {
			x.again = max(x.again, fate)
			continue
		}
		tried += when(fate != either, 1, 0)
		passed += when(fate == passes, 1, 0)
		x.refused += when(fate == vanishes, 1, 0)
	}
	if passed > 0 {
		rest := when(passed < tried, fmt.Sprintf(", and from %d they did not", tried-passed), "")
		x.passed = append(x.passed, fmt.Sprintf("SYNs from %s got to the target%s.",
			times(passed, "more source port", "more source ports"), rest))
		x.probes = x.probes || x.again == vanishes
	}
	for i := range f.controls() {
		c := &f.host.Controls[i]
		switch {
		case c.Home || f.host.elsewhere(c):
		case c.passes():
			x.passed = append(x.passed, when(i > 0, "A second one: ", "")+c.String())
		case c.Outcome == Rejected && !c.expired() && c.From.WithZone("") == from.WithZone(""):
			x.refused++
		}
	}
	return x
}

// partFate says whether another flow to the port passes the router that refuses, or is refused by it (vanishes).
func (f *facts) partFate(p *path, after int) fate {
	from := f.refusal.Reply.From()
	switch {
	case p.answer != nil && (p.distance() > after || f.refusal.Reply.IP.Src == f.target.Addr()):
		return passes
	case p.refusal != nil && p.refusal.Reply.From() == from:
		return vanishes
	case p.answer != nil || p.refusal != nil || !f.cameBy(p, after, sameWay):
		return either
	}
	beyond := func(a netip.Addr) bool { return a != from && !f.before(a, after) }
	for _, h := range p.hops {
		if h.ttl > after && slices.ContainsFunc(h.routers, beyond) {
			return passes
		}
	}
	return either
}

// refusedPartly is that the router refuses some SYNs to the port, and others pass: no rule for the port, and no dead
// target.
func (f *facts) refusedPartly(x *Finding, from netip.Addr, at string, flows portFlows) {
	r := f.refusal.Reply
	who := fmt.Sprintf("the router %v, hop %s", from, at)
	if from.WithZone("") == f.target.Addr() {
		who = "the target's address"
	}
	x.Code, x.Confidence, x.Weight = BrokenBranch, Possible, weightHarm
	x.Title = fmt.Sprintf("Some connections to port %d are rejected by %s, and others pass", f.target.Port(), who)
	x.Evidence = append(x.Evidence, flows.passed...)
	kind := meaning(r)
	switch {
	case flows.again == passes:
		x.Evidence = append(x.Evidence, "The trace's own flow was asked again, with a higher TTL, and passed.")
		x.Advice = fmt.Sprintf("Ask whoever runs %v: a rule there looks at the TTL or at the rate of SYNs, or what "+
			"rejected has just ended.", from)
	case flows.again == vanishes || f.told() && (kind == noHost || kind == noRoute):
		if flows.probes {
			x.Confidence = Likely
		}
		fallthrough
	default:
		x.Advice = fmt.Sprintf("Ask whoever runs %v: one member of a load-balanced group is broken or rejects, or a "+
			"rule looks at source ports, at what sets probes apart or at the rate of SYNs, or the state has just changed. To "+
			"see which source ports are hit, run the same with --track-port.", from)
	}
	if flows.again == vanishes {
		x.Evidence = append(x.Evidence, "The trace's own flow was asked again, and refused again.")
	}
}

// passedBy says which SYNs to the same port reached the target's address while the trace's own did not, a sentence
// each.
func (f *facts) passedBy() (all []string) {
	for _, r := range f.distanceProbes {
		if r.FromTarget() && r.Outcome != trace.Lost && r.Reply.Kind == packet.KindTCP {
			all = append(all, fmt.Sprintf("A SYN from source port %d got to the target.", r.Probe.Src.Port()))
			break
		}
	}
	for i := range f.controls() {
		c := &f.host.Controls[i]
		if !c.Home && !f.host.elsewhere(c) && c.passes() {
			all = append(all, c.String())
			break
		}
	}
	return all
}
