package detect

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// Ask is a kind of further trace. It differs from the trace itself in the one thing that it is named after.
type Ask uint8

const (
	AskFlow     Ask = iota // the same from another source port
	AskPort                // to another port
	AskACK                 // with ACKs in place of SYNs
	AskSYN                 // with SYNs in place of ACKs
	AskEcho                // with ICMP echo requests
	AskLoose               // with answers believed that bring back another sequence number
	AskShort               // without the length that was asked for
	AskUnmarked            // without the mark (TOS) that was asked for
	AskOptions             // SYNs with other TCP options: usual ones in place of unusual ones, else none
	AskReach               // one probe that gets past the place where probes vanish, if its flow does
	AskWay                 // one probe to the hop before that place, whose answer names the router that its flow takes
	AskAlive               // ICMP echo requests with the highest TTL, to see whether the target answers any
	AskTTL                 // one probe with the TTL of this host's ordinary connections
)

// Question is a further trace that would tell causes apart. Its options lack a source port: the trace's own where
// Flow is 0, else one that no other Flow has.
type Question struct {
	Ask
	Flow    int
	Options trace.PathOptions
}

const (
	questionQueries = 2               // probes per hop
	questionSYNs    = 4               // at a target whose answers tell no probe, which would be asked more often
	questionWait    = time.Second     // what is there has answered by then, mostly; where answers are slow, ...
	answeredWait    = trace.LeastWait // where the target has answered, that is long for whatever else answers
	usualWait       = 3 * time.Second
	slowFactor      = 3 // ... this many times the slowest, but no longer than the trace itself waited
	fewParallel     = 7 // probes in flight, too few for distance probes: these would be more SYNs at the target
	lookBack        = 2 // hops before the place in question that are asked again
	lookAhead       = 8 // hops by which another flow's way may be longer
	flowHops        = 6 // hops before the target and its own that are asked by another flow, where all is well
	nearHops        = 5 // hops that SYNs go farther, where they may get to a target whose distance isn't known

	// By how much the answer to an echo request may take longer than those to SYNs: echoSlack, and an echoShare of theirs.
	// leastEchoWait is for the nearest targets: a busy host is late by as much.
	echoSlack     = 4 * time.Millisecond
	echoShare     = 16
	leastEchoWait = 50 * time.Millisecond

	// Flows that are tried where probes vanish, one SYN each, to tell a filter from a dead member of a load-balanced
	// group: to the port in question, and to another one that has passed. A member of two that is dead lets it look like
	// a filter of the port in one of 2^8 groups (with AskFlow and AskPort), and more rarely where there are more
	// members. More flows would be more SYNs at the target.
	ownFlows   = 4
	otherFlows = 2

	looseFlow = 2  // that of AskLoose: an answer with another number must not count for another question's flow
	firstFlow = 16 // the number before that of the first of these: no other kind of question has as many
)

// neighbourTries is how long a Linux router asks for a neighbour until it says that there is none, and a little more.
const neighbourTries = 3200 * time.Millisecond

// Questions are the traces that would tell most of a path next: none where nothing is in doubt, or all has been
// asked. Whoever has asked them calls it again.
func Questions(e Evidence) []Question {
	if e.Trace == nil {
		return nil
	}
	f := read(&e)
	if !f.complete || !f.left() || f.cycle() > 0 || f.options.Protocol != packet.ProtoTCP {
		return nil
	}
	q := &questioner{facts: f, base: e.Options, budget: e.SYNs, spent: e.spentSYNs() + when(ControlAgain(e), 1, 0)}
	q.kinds()
	if f.vanish() && len(e.Further) > 0 {
		q.flows()
	}
	q.spare()
	if q.counted {
		q.all = slices.DeleteFunc(q.all, q.askedTwice)
	}
	return q.all
}

// askedTwice reports whether a question was asked so often before that it tells nothing more: those that the target is
// spared may leave others as the only ones, again and again.
func (q *questioner) askedTwice(x Question) bool {
	n := 0
	for _, p := range q.more {
		o := &p.question.Options
		target := netip.AddrPortFrom(x.Options.Target.Addr().WithZone(""), x.Options.Target.Port())
		same := p.question.Ask == x.Ask && p.target == target
		n += when(same && p.question.Flow == x.Flow && o.FirstTTL == x.Options.FirstTTL && o.Flags == x.Options.Flags, 1, 0)
	}
	return n >= 2
}

// MostProbes is how many probes the questions take at the most, and where probes vanish all those besides that the
// answers to the first give reason for.
func MostProbes(e Evidence) int {
	all := Questions(e)
	n := Probes(all)
	f := read(&e)
	switch {
	case n == 0 || !f.vanish() || len(e.Further) > 0:
		return n
	case f.told():
		rest := when(f.lastRouter() < f.first(), questionQueries*f.maxTTL(), 0) // of AskPort, see byConnections
		return n + rest + 4*(2*ownFlows+otherFlows)                             // AskReach to two hops, and again
	}
	// Each kind of SYN twice to so many hops, or once to all; those of another flow to the hops before the place too.
	last := f.lastRouter()
	each := max(questionQueries*(lookAhead+1), f.maxTTL()-last+1)
	kinds := 3 + when(f.long(), 1, 0) + when(f.options.TOS != 0, 1, 0)
	flows := 5*(2*ownFlows+otherFlows) + 2 // AskReach to two hops and AskWay, and AskReach again; the own flow twice
	return n + kinds*each + questionQueries*(last-f.first()+1) + flows
}

// questioner collects questions.
type questioner struct {
	*facts
	base  trace.PathOptions
	all   []Question
	spent int // SYNs that the target has got

	budget *trace.TargetBudget // see Evidence.SYNs
}

// vanish reports whether probes vanish, so that it has to be found out which of them do.
func (f *facts) vanish() bool { return f.answer == nil && f.refusal == nil && len(f.elsewhere) == 0 }

// add asks one kind of question, from one hop to another, with so many probes to each; to 0: as far as the trace
// itself may go.
func (q *questioner) add(a Ask, flow, from, to, queries int) {
	if q.told() || len(q.base.Ports) > 0 {
		// Two connections can't share addresses and ports, or the trace has no port of its own.
		flow = len(q.more) + len(q.all) + 1
	}
	o := q.with(a, from)
	if o.Queries = queries; to > 0 {
		o.MaxTTL, o.Parallel = max(o.FirstTTL, min(to, q.maxTTL())), fewParallel
	}
	q.all = append(q.all, Question{a, flow, o})
}

// with is the trace's options, changed in what a question is about.
func (q *questioner) with(a Ask, from int) trace.PathOptions {
	o := q.base
	o.Ports, o.ProbePorts, o.Queries, o.Wait, o.Patient = nil, nil, questionQueries, q.questionWait(), false
	o.FirstTTL = max(q.facts.first(), from)
	o.TargetSYNs = questionSYNs
	switch a {
	case AskFlow:
		switch d := q.distance(); {
		case !q.told():
		case d > 0:
			o.MaxTTL = min(q.maxTTL(), d+lookAhead)
		case q.vanish() && q.lastRouter() < q.facts.first(): // one connection waits for the next, in silence
			o.MaxTTL = min(q.maxTTL(), q.lastRouter()+nearHops)
		}
	case AskPort:
		o.Target = OtherPort(o)
	case AskLoose:
		o.Loose = true
	case AskACK:
		o = withACKs(o)
	case AskSYN:
		o.Flags = packet.SYN
	case AskEcho, AskAlive:
		o.Protocol = packet.ProtoEcho
	case AskShort:
		o.Length = 0
	case AskUnmarked:
		o.TOS = 0
	case AskOptions:
		o.Flags = packet.SYN
		if o.Options = usualSYN(); q.odd() == "" {
			o.Options = packet.Options{}
		}
	}
	return o
}

// withACKs are options with ACKs in place of SYNs: they open no connection, and a segment of one has none of a SYN's
// options.
func withACKs(o trace.PathOptions) trace.PathOptions {
	o.Flags, o.Options = packet.ACK, packet.Options{}
	return o
}

// kinds asks, by probes of other kinds, what an answer or a silence gives reason for: first by those that open no
// connection, then by SYNs, which go no farther than what the first have shown.
func (q *questioner) kinds() {
	switch {
	case q.told():
		q.byConnections()
	case q.refusal != nil:
		q.refused()
	case q.answer != nil:
		q.answered()
	default:
		q.vanished()
	}
}

// byConnections asks what connections can: they differ by port alone.
func (q *questioner) byConnections() {
	first, nobody := q.facts.first(), q.vanish() && q.lastRouter() < q.facts.first()
	switch {
	case nobody && len(q.more) == 0:
		// In silence one connection waits for the next, and a whole trace takes longer than there is time. The first
		// router and the target say first whether another flow or another port gets there at all.
		q.add(AskFlow, 1, first, first, 1)
		q.add(AskPort, 0, q.maxTTL(), 0, 1)
		return
	case nobody && len(q.asked(AskPort)) == 1:
		to := when(q.port.answer != nil, q.maxTTL()-1, first+nearHops-1)
		q.add(AskPort, 0, first, to, when(q.port.answer != nil, questionQueries, 1))
		return
	case len(q.more) > 0:
		return
	}
	q.add(AskFlow, 1, first, 0, questionQueries)
	switch {
	case q.refusal != nil:
		q.add(AskPort, 0, q.refusedAt-lookBack, 0, questionQueries)
		if q.answer == nil {
			q.refusedFlows()
		}
	case q.answer == nil:
		q.add(AskPort, 0, q.lastRouter(), 0, questionQueries)
	case q.asks(): // nothing but another port tells whether it is the target that answers
		q.add(AskPort, 0, q.distance()-lookBack, 0, questionQueries)
	}
}

// answered asks who it is that answers in the target's name: the target itself is as far away for probes of any kind.
// On a path where all is well that is all, and costs one round trip.
func (q *questioner) answered() {
	d, first := q.distance(), q.facts.first()
	reset := q.asks() && q.answer.Reply.TCP.Flags.Has(packet.RST)
	switch farther := q.echo.beyond(d) || q.port.beyond(d); {
	case d == 0 && len(q.more) == 0:
		q.add(AskEcho, 0, first, 0, questionQueries)
		q.add(AskFlow, 1, first, 0, questionQueries)
	case d == 0:
	case len(q.more) == 0:
		q.whoAnswers()
	case q.otherFlowDies() && len(q.asked(AskFlow)) == 1 && q.left() > 0:
		q.add(AskFlow, 1, d, d, 1) // one alone, which hardly a limit on SYNs drops
		q.ownAfter(d)
	case farther && len(q.asked(AskEcho)) == 1:
		q.add(AskEcho, 0, q.sharedHop(d), 0, questionQueries)
		switch {
		case reset && q.port.beyond(d):
			q.add(AskPort, 0, d, d+lookAhead/2, 1)
		case !reset && q.port == nil && q.left() > 0: // whether TCP ends there, or this port alone
			q.add(AskPort, 0, d, d, 1)
		}
	case q.echo.distance() > first && q.echo.distance() == q.echo.first() && len(q.asked(AskEcho)) == 1: // or it is nearer
		q.add(AskEcho, 0, q.echo.first()-lookAhead, q.echo.first()-1, 1)
	}
}

// whoAnswers asks by other probes how far away it is who answers in the target's name.
func (q *questioner) whoAnswers() {
	d, first := q.distance(), q.facts.first()
	reset := q.asks() && q.answer.Reply.TCP.Flags.Has(packet.RST)
	left := q.left()
	if q.ofOlder() {
		left = max(left, questionQueries) // what the SYNs of another flow come to is all that tells
	}
	switch l, at := q.limit, q.ownHop(); {
	case l != nil: // whether echo requests are limited like SYNs
		q.add(AskEcho, 0, l.after+1, d+1, questionQueries)
	case at > 0: // whether the target itself is there, and hands on only this port
		q.add(AskEcho, 0, at-1, d+1, 1)
	default:
		q.add(AskEcho, 0, d-1, d+1, 1) // two that get to the target, in one round trip
		q.all[len(q.all)-1].Options.Wait = q.echoWait()
	}
	if reset && left > 2 { // a SYN that is reset may be sent anew; one of the other flow comes too
		q.add(AskPort, 0, d-1, d, 1)
		left -= 2
	}
	top := d - max(0, 2-left) // its way may be shorter by one
	if h := q.at(d - 1); h != nil && !h.answered() {
		top = min(top, d-2) // an answer of the target would fit the probe to this hop as well
	}
	for top > first && top < d && q.only(top) == (netip.Addr{}) {
		top-- // a silent hop at the end would be waited for
	}
	if top >= first {
		q.add(AskFlow, 1, d-flowHops+1, top, 1)
	}
	if q.counts.NearMisses >= fewMisses {
		q.add(AskLoose, looseFlow, first, max(d-1, first), questionQueries)
	}
}

// sharedHop is the hop from which on echo requests are asked that may go farther than the target's distance. Unless
// they are known to have come by the same way, the last router but one of the trace itself has to answer them too.
func (q *questioner) sharedHop(distance int) int {
	if q.echo == nil || q.wayBefore(q.echo, distance) != unknownWay {
		return distance
	}
	ttl := max(distance-lookBack, q.facts.first())
	for ttl > q.facts.first() && !q.only(ttl).IsValid() {
		ttl--
	}
	return min(ttl, distance)
}

// refused asks whether others are refused at the same place.
func (q *questioner) refused() {
	at, first := q.refusedAt, q.facts.first()
	switch {
	case len(q.more) == 0:
		q.add(AskEcho, 0, at-lookBack, 0, questionQueries)
		if q.counts.NearMisses >= fewMisses {
			q.add(AskLoose, looseFlow, first, 0, questionQueries)
		}
	case q.port == nil && len(q.asked(AskFlow)) == 0:
		top, queries := q.within(at)
		if q.counted {
			q.refusedFlows() // first, for most depends on them, and few SYNs may be left
		}
		q.add(AskPort, 0, at-lookBack, top, queries)
		q.add(AskFlow, 1, first, at, questionQueries)
		if !q.counted {
			q.refusedFlows()
		}
	}
}

// refusedFlows asks whether the trace's own flow is refused again, and whether flows from other source ports are: one
// member of a load-balanced group may refuse, and another one pass.
func (q *questioner) refusedFlows() {
	if q.whyRefused() == tooBig || !q.asks() {
		return
	}
	flows := min(ownFlows+1, q.left())
	o := q.with(AskReach, q.maxTTL())
	o.Queries = 1
	for flow := range flows {
		if flow > 0 {
			flow += firstFlow
		} else if !q.mayAskAgain() {
			continue
		}
		q.all = append(q.all, Question{AskReach, flow, o})
	}
}

// vanished asks which probes get farther than the trace's own. SYNs that do would all come to the target: echo
// requests and ACKs say first how far away it is.
func (q *questioner) vanished() {
	last, first := q.lastRouter(), q.facts.first()
	if len(q.more) == 0 {
		q.add(AskEcho, 0, last, last+lookAhead-1, questionQueries)
		q.add(AskAlive, 0, q.maxTTL(), 0, questionQueries)
		if h := q.at(last); h != nil && h.lost > 0 && len(h.routers) > 0 {
			// This router limits its errors, and may have spent them when it would have said that nobody is there.
			o := &q.all[len(q.all)-1].Options
			o.Wait, o.Patient = max(o.Wait, neighbourTries), true
		}
		if q.asks() {
			q.add(AskACK, 0, last, last+lookAhead-1, questionQueries)
		}
		if q.counts.NearMisses >= fewMisses {
			q.add(AskLoose, looseFlow, first, 0, questionQueries)
		}
		return
	}
	if q.port != nil || q.left() == 0 || len(q.elsewhere) > 0 { // the target gets the SYNs and answers from elsewhere
		return
	}
	alive := q.asked(AskAlive)
	if len(alive) > 0 && len(q.asked(AskEcho)) == 1 && alive[0].answer != nil && q.echo.distance() == 0 {
		q.add(AskEcho, 0, last+lookAhead, 0, questionQueries)
	}
	top, queries := q.within(last)
	near := q.beforeTarget(last, top)
	if q.long() {
		q.add(AskShort, 0, last, near, queries)
	}
	if q.options.TOS != 0 {
		q.add(AskUnmarked, 0, last, near, queries)
	}
	q.add(AskPort, 0, last, top, queries)
	if q.target() == 0 && queries > 1 {
		q.all[len(q.all)-1].Options.SilentSYNs = questionSYNs // once to each hop where the target may be
	}
	q.add(AskFlow, 1, first, when(q.target() > last, top, near), 1) // one SYN tells whether all flows vanish
	if q.asks() {
		q.add(AskOptions, 0, last, near, queries)
	} else {
		q.add(AskSYN, 0, last, near, queries)
	}
}

// within says how far SYNs are to go that may get farther than this hop, and how many to a hop, so that few come to
// the target.
func (q *questioner) within(last int) (top, queries int) {
	target, router := q.target(), 0 // beyond, the nearest that has answered
	for _, w := range q.witnesses() {
		if n := w.distance(); n > last {
			target = min(target, n)
		}
		for _, h := range w.hops {
			if h.ttl > last && len(h.routers) > 0 && (router == 0 || h.ttl < router) {
				router = h.ttl
			}
		}
	}
	if target <= last {
		target = 0
	}
	switch {
	case router > 0:
		top, queries = router+nearHops-1, questionQueries
	case target > 0:
		top, queries = target, questionQueries
	default:
		top, queries = last+nearHops, 1
	}
	if target > 0 && target <= top {
		top = target
	}
	switch {
	case target == last+1:
		queries++ // nobody else is asked beyond
	case top-last > lookAhead, target == 0 && router > last+1 && queries > 1: // or many get to the target
		queries = 1
	}
	return min(top, q.maxTTL()), queries
}

// beforeTarget is how far SYNs to the port in question go that may go as far as top, as long as the target has answered
// none of them: to the first router beyond the place that has answered others, and the next one. These tell as well as
// the target whether they pass, and it gets none even if they go another way that is shorter by a few hops.
func (q *questioner) beforeTarget(last, top int) int {
	d := &drop{facts: q.facts, last: last}
	if !d.nearOnly() {
		return top
	}
	far := 0
	for _, w := range q.witnesses() {
		for _, h := range w.hops {
			if len(h.routers) > 0 {
				far = max(far, h.ttl)
			}
		}
	}
	return min(d.routerBeyond()+1, far, top)
}

// target is how far away the target is, as far as is known: where it has answered nobody but those whose distance
// isn't known, an estimate by the TTL of its answer. 0: it has answered nobody.
func (q *questioner) target() int {
	if d := q.farthest(); d > 0 {
		return d
	}
	answers := slices.Clone(q.path.distanceProbes)
	for _, p := range q.asked(AskAlive) {
		if p.answer != nil {
			answers = append(answers, *p.answer)
		}
	}
	for _, r := range answers {
		if r.FromTarget() && r.Reply.IP.TTL > 0 {
			return backLength(r.Reply.IP.TTL) + 1
		}
	}
	return 0
}

// beyond reports whether a trace has met a router at a TTL: what it looks for is farther away then.
func (p *path) beyond(ttl int) bool {
	if p == nil {
		return false
	}
	h := p.at(ttl)
	return h != nil && len(h.routers) > 0
}

// flows asks, where probes vanish, whether those of other flows do, and which way they go. What nobody answers is
// asked twice, for one SYN may be lost.
func (q *questioner) flows() {
	d := newDrop(q.facts)
	if d == nil {
		return
	}
	q.ownAgain(d)
	q.ordinaryTTL(d)
	own, others := 0, 0 // the last flows that were asked
	for _, p := range q.asked(AskReach) {
		if n := p.question.Flow - firstFlow; n <= ownFlows {
			own = max(own, n)
		} else {
			others = max(others, n)
		}
	}
	if others == 0 && q.left() > 0 && d.port != nil && d.reach(d.port) == 0 && d.allSYNs() {
		// One SYN, the first for a second: no limit of one a second drops it. A router beyond the place has to answer it,
		// which the target may not.
		one := q.with(AskPort, q.maxTTL())
		if beyond := d.routerBeyond(); beyond > 0 {
			one.FirstTTL = beyond
		}
		one.MaxTTL, one.Queries = one.FirstTTL, 1
		q.all = append(q.all, Question{AskReach, firstFlow + ownFlows + 1, one})
	}
	q.again(when(d.reach(d.port) > 0, ownFlows+otherFlows, ownFlows))
	left, flows := q.left(), 0
	n := d.reach(d.port)
	other := q.with(AskPort, n)
	if n > 0 && others == 0 {
		flows = otherFlows
		if d.port.distance() > 0 {
			other.FirstTTL = q.maxTTL()
			flows = min(flows, left)
			left -= flows
		}
		other.MaxTTL = other.FirstTTL
	}
	if d.nearOnly() {
		left = ownFlows // these go no farther than that router
	}
	byACK := when(q.acksTell(), max(ownFlows-own-left, 0), 0)
	one := q.with(AskReach, q.maxTTL())
	q.reach(d, own, min(ownFlows-own, left), one)
	q.reach(d, ownFlows-byACK, byACK, withACKs(one))
	q.reach(d, ownFlows, flows, other)
	q.onToTarget(d)
	q.since(d)
}

// since asks more flows, by ACKs, where those that passed were sent before the first that vanished, and all that were
// asked since may have taken the dead way by chance.
func (q *questioner) since(d *drop) {
	const after = ownFlows + otherFlows
	passed := func(r trace.Result) bool { return r.Outcome == trace.Answered && r.FromTarget() }
	asked := func(p *path) bool { return p.question.Flow > firstFlow+after }
	if len(q.all) > 0 || !q.acksTell() || !slices.ContainsFunc(d.distanceProbes, passed) || d.passedSince() ||
		slices.ContainsFunc(q.asked(AskReach), asked) {
		return
	}
	q.reach(d, after, ownFlows, withACKs(q.with(AskReach, q.maxTTL())))
}

// onToTarget asks a flow that got to a router beyond the place whether it gets to the target too, if a SYN is left.
func (q *questioner) onToTarget(d *drop) {
	if len(q.all) > 0 || !q.counted && !d.nearOnly() || q.left() == 0 {
		return
	}
	last := q.maxTTL()
	asked := func(p *path) bool { return p.question.Options.FirstTTL == last && p.question.Flow > 0 }
	if slices.ContainsFunc(q.asked(AskReach), asked) {
		return
	}
	for _, p := range q.asked(AskReach) {
		if p.question.Flow > 0 && p.target == q.path.target && p.heard() {
			o := p.question.Options
			o.FirstTTL, o.MaxTTL = last, last
			q.all = append(q.all, Question{AskReach, p.question.Flow, o})
			return
		}
	}
}

// ownAgain asks the trace's own flow once more, if others to the same port have passed and all kinds have been asked:
// what dropped it may have ended, or be a limit. It goes no farther than the first hop that others got to.
func (q *questioner) ownAgain(d *drop) {
	own := func(p *path) bool { return p.question.Flow == 0 }
	if len(q.all) > 0 || len(d.passing()) == 0 || !d.mayAskAgain() || slices.ContainsFunc(q.asked(AskReach), own) {
		return
	}
	o := q.with(AskReach, q.maxTTL())
	for _, s := range d.seen {
		if s.fate == passes && s.at > d.last {
			o.FirstTTL = min(o.FirstTTL, s.at)
		}
	}
	target := q.target()
	switch gets := target == 0 || o.FirstTTL >= target; {
	case gets && q.left() < questionQueries && q.acksTell():
		o = withACKs(o)
	case gets && q.left() == 0:
		return
	}
	o.MaxTTL, o.Queries = o.FirstTTL, 1
	q.all = append(q.all, Question{AskReach, 0, o})
	for _, p := range q.asked(AskReach) { // right after it one that has passed, which no limit on SYNs would spare alone
		same := p.target == d.target && p.question.Flow != 0 && p.heard()
		ends := p.answer == nil && p.refusal == nil && p.question.Options.FirstTTL == o.FirstTTL // at a router
		if same && p.question.Options.FirstTTL >= o.FirstTTL && (ends || q.left() > 0) {
			q.all = append(q.all, Question{AskReach, p.question.Flow, o})
			return
		}
	}
}

// ordinaryTTL asks the trace's own flow with the TTL of ordinary connections, where these pass and no probe does: a
// device may drop packets with a low TTL.
func (q *questioner) ordinaryTTL(d *drop) {
	passing := d.passing()
	if len(q.all) > 0 || len(passing) == 0 || slices.ContainsFunc(passing, sighting.isProbe) || !q.mayAskAgain() ||
		q.left() == 0 || len(q.asked(AskTTL)) > 0 {
		return
	}
	if ttl := q.controlTTL(); ttl > q.maxTTL() {
		o := q.with(AskTTL, ttl)
		o.MaxTTL, o.Queries = ttl, 1
		q.all = append(q.all, Question{AskTTL, 0, o})
	}
}

// ownAfter asks the trace's own flow, which passes, right after another one that doesn't: a limit on SYNs would drop
// both.
func (q *questioner) ownAfter(ttl int) {
	if !q.mayAskAgain() || q.left() == 0 {
		return
	}
	o := q.with(AskReach, ttl)
	o.MaxTTL, o.Queries = o.FirstTTL, 1
	q.all = append(q.all, Question{AskReach, 0, o})
}

// mayAskAgain reports whether the trace's own flow can be asked again: two connections can't share addresses and ports,
// and a trace may have no port of its own.
func (f *facts) mayAskAgain() bool { return !f.told() && len(f.options.Ports) == 0 }

// left is how many SYNs the target may still get, when those have got there that have been asked for now. Either SYNs
// with other options get there, or others do.
func (q *questioner) left() int {
	n := MostSYNs - q.spent
	target := q.target()
	for _, x := range q.all {
		o := x.Options.Effective()
		if target > 0 && x.Ask != AskOptions && asksSYNs(o) {
			n -= o.Queries * max(o.MaxTTL-max(target, o.FirstTTL)+1, 0)
		}
	}
	return max(n, 0)
}

// reach asks so many flows with one probe each, after others that have been asked, and by which router each goes.
// Another probe goes to a router beyond that answered others: a flow that gets there may vanish farther on.
func (q *questioner) reach(d *drop, after, flows int, o trace.PathOptions) {
	o.Queries = 1
	beyond := d.routerBeyond()
	for flow := firstFlow + after + 1; flow <= firstFlow+after+flows; flow++ {
		if beyond > 0 && beyond != o.FirstTTL && !q.told() {
			near := o
			near.FirstTTL, near.MaxTTL = beyond, beyond
			q.all = append(q.all, Question{AskReach, flow, near})
		}
		if beyond == 0 || beyond == o.FirstTTL || !d.nearOnly() || !asksSYNs(o) {
			q.all = append(q.all, Question{AskReach, flow, o})
		}
		if d.last >= q.facts.first() && !q.told() { // two connections can't share addresses and ports
			way := o
			way.FirstTTL, way.MaxTTL = d.last, d.last
			q.all = append(q.all, Question{AskWay, flow, way})
		}
	}
}

// again asks those flows once more that were asked once, and got no answer, up to the last that is worth it.
func (q *questioner) again(last int) {
	type probe struct{ flow, ttl int }
	tries, answered, left := map[probe]int{}, map[int]bool{}, q.left()
	for _, p := range q.asked(AskReach) {
		tries[probe{p.question.Flow, p.question.Options.FirstTTL}]++
		answered[p.question.Flow] = answered[p.question.Flow] || p.heard()
	}
	for _, p := range q.asked(AskReach) {
		n := p.question.Flow
		if n > firstFlow+last || tries[probe{n, p.question.Options.FirstTTL}] > 1 || answered[n] {
			continue
		}
		if n > firstFlow+ownFlows { // the target may have got the first, too
			if left -= 2; left < 0 {
				continue
			}
		}
		again := *p.question
		q.all = append(q.all, again)
	}
}

// heard reports whether any probe was answered.
func (p *path) heard() bool {
	return slices.ContainsFunc(p.hops, func(h hop) bool { return h.answered() })
}

// usualSYN are the options of a SYN as most systems send them.
func usualSYN() packet.Options {
	o, err := packet.Options{}.WithMSS(usualMSS)
	for _, add := range []func(packet.Options) (packet.Options, error){
		packet.Options.WithSACKPermitted,
		func(o packet.Options) (packet.Options, error) { return o.WithTimestamps(1, 0) },
		func(o packet.Options) (packet.Options, error) { return o.With(packet.OptionNOP) },
		func(o packet.Options) (packet.Options, error) { return o.WithWindowScale(usualScale) },
	} {
		if err == nil {
			o, err = add(o)
		}
	}
	if err != nil {
		return packet.Options{} // these 20 bytes always fit
	}
	return o
}

// What most SYNs say (Linux on Ethernet).
const (
	usualMSS   = 1460
	usualScale = 7
)

// questionWait is how long a probe of a further trace may be answered. Where the target has answered, it is known how
// long that takes.
func (f *facts) questionWait() time.Duration {
	var slowest time.Duration
	for i := range f.hops {
		for r := range f.hops[i].replies() {
			slowest = max(slowest, r.RTT())
		}
	}
	most := f.options.Wait
	if most == 0 {
		most = usualWait
	}
	return max(when(f.answer != nil, answeredWait, questionWait), min(slowFactor*slowest, most))
}

// echoWait is how long an ICMP echo request may be answered that goes as far as SYNs that were answered. The answer
// takes no longer than theirs, and many targets give none: they must not hold up the trace of a path on which all is
// well.
func (f *facts) echoWait() time.Duration {
	var slowest time.Duration
	for i := range f.hops {
		for r := range f.hops[i].replies() {
			if r.FromTarget() && r.Outcome == trace.Answered {
				slowest = max(slowest, r.RTT())
			}
		}
	}
	if slowest == 0 {
		return f.questionWait()
	}
	return min(max(slowest+slowest/echoShare+echoSlack, leastEchoWait), f.questionWait())
}

// OtherPort is the target by a port that is likely to be let through.
func OtherPort(o trace.PathOptions) netip.AddrPort {
	const https, http = 443, 80
	if o.Target.Port() == https {
		return netip.AddrPortFrom(o.Target.Addr(), http)
	}
	return netip.AddrPortFrom(o.Target.Addr(), https)
}

// Probes is how many probes the questions take at the most.
func Probes(all []Question) (n int) {
	for _, q := range all {
		n += q.Options.Probes()
	}
	return n
}

// Answer takes in what came of a question.
func (e *Evidence) Answer(q Question, v View) {
	e.Further = append(e.Further, Further{q, v})
}
