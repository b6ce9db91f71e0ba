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
	AskWay                 // one probe to the hop before that place, to see by which router its flow goes
)

// Question is a further trace that would tell causes apart. Its options lack a source port: the trace's own where Flow is 0,
// else one that no other Flow has.
type Question struct {
	Ask
	Flow    int
	Options trace.PathOptions
}

const (
	questionQueries = 2           // probes per hop
	questionWait    = time.Second // what is there has answered by then, mostly; where answers are slow, ...
	usualWait       = 3 * time.Second
	slowFactor      = 3 // ... this many times the slowest, but no longer than the trace itself waited
	lookBack        = 2 // hops before the place in question that are asked again
	lookAhead       = 8 // hops by which another flow's way may be longer

	// Flows that are tried where probes vanish, one SYN each, to tell a filter from a dead member of a load-balanced group: to
	// the port in question, and to another one that has passed. A member of two that is dead lets it look like a filter of
	// the port in one of 2^8 groups (with AskFlow and AskPort), and more rarely where there are more members. More flows
	// would be more SYNs at the target.
	ownFlows   = 4
	otherFlows = 2

	firstFlow = 16 // the number before that of the first of these: no other kind of question has as many
)

// Questions are the traces that would tell most of a path next: none where nothing is in doubt, or all has been asked. Whoever
// has asked them calls it again.
func Questions(e Evidence) []Question {
	if e.Trace == nil {
		return nil
	}
	f := read(&e)
	if !f.complete || !f.left() || f.cycle() > 0 || f.options.Protocol != packet.ProtoTCP {
		return nil
	}
	q := &questioner{facts: f, base: e.Options}
	switch {
	case len(e.Further) == 0:
		q.kinds()
	case f.vanish():
		q.flows()
	}
	return q.all
}

// MostProbes is how many probes all further traces take at the most, those included that the answers to the first give
// reason for.
func MostProbes(e Evidence) int {
	n := Probes(Questions(e))
	if n > 0 && read(&e).vanish() {
		n += 2 * (2*ownFlows + otherFlows) // AskReach and AskWay, and AskReach again where nobody answered
	}
	return n
}

// questioner collects questions.
type questioner struct {
	*facts
	base trace.PathOptions
	all  []Question
}

// vanish reports whether probes vanish, so that it has to be found out which of them do.
func (f *facts) vanish() bool { return f.answer == nil && f.refusal == nil && len(f.elsewhere) == 0 }

// add asks one kind of question, from a hop on.
func (q *questioner) add(a Ask, flow, from int) {
	told := q.told()
	if told && a != AskFlow && a != AskPort && a != AskReach && a != AskWay {
		return
	}
	if told || len(q.base.Ports) > 0 {
		flow = len(q.all) + 1 // two connections can't share addresses and ports, or the trace has no port of its own
	}
	q.all = append(q.all, Question{a, flow, q.with(a, from)})
}

// with is the trace's options, changed in what a question is about.
func (q *questioner) with(a Ask, from int) trace.PathOptions {
	o := q.base
	o.Ports, o.SparePorts, o.Queries, o.Wait, o.Patient = nil, nil, questionQueries, q.questionWait(), false
	o.FirstTTL = max(q.facts.first(), from)
	switch a {
	case AskFlow:
		if d := q.distance(); d > 0 {
			o.MaxTTL = min(q.maxTTL(), d+lookAhead)
		}
	case AskPort:
		o.Target = otherPort(o)
	case AskACK:
		o.Flags, o.Options = packet.ACK, packet.Options{} // a segment of a connection has none of a SYN's options
	case AskSYN:
		o.Flags = packet.SYN
	case AskEcho:
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

// kinds asks, by probes of other kinds, what an answer or a silence gives reason for.
func (q *questioner) kinds() {
	last, first := q.lastRouter(), q.facts.first()
	switch d := q.distance(); {
	case q.refusal != nil:
		at := q.refusedAt
		q.add(AskFlow, 1, first)
		q.add(AskPort, 0, at-lookBack)
		q.add(AskEcho, 0, at-lookBack)
	case q.answer != nil:
		q.add(AskFlow, 1, first)
		q.add(AskEcho, 0, d-lookBack)
		if q.asks() && q.answer.Reply.TCP.Flags.Has(packet.RST) {
			q.add(AskPort, 0, d-lookBack)
		}
	default:
		q.add(AskFlow, 1, first)
		q.add(AskPort, 0, last)
		if q.asks() {
			q.add(AskACK, 0, last)
			q.add(AskOptions, 0, last)
		} else {
			q.add(AskSYN, 0, last)
		}
		q.add(AskEcho, 0, last)
		if q.long() {
			q.add(AskShort, 0, last)
		}
		if q.options.TOS != 0 {
			q.add(AskUnmarked, 0, last)
		}
	}
	if q.counts.NearMisses >= fewMisses {
		q.add(AskLoose, 1, first)
	}
}

// flows asks, where probes vanish, whether those of other flows do, and which way they go. What nobody answers is asked twice,
// for one SYN may be lost.
func (q *questioner) flows() {
	d := newDrop(q.facts)
	if d == nil {
		return
	}
	if len(d.asked(AskReach)) > 0 {
		q.again()
		return
	}
	own := q.with(AskReach, q.maxTTL())
	flow := firstFlow
	reach := func(o trace.PathOptions) {
		flow++
		o.Queries = 1
		q.all = append(q.all, Question{AskReach, flow, o})
		if d.last >= q.facts.first() && !q.told() { // two connections can't share addresses and ports
			o.FirstTTL, o.MaxTTL = d.last, d.last
			q.all = append(q.all, Question{AskWay, flow, o})
		}
	}
	for range ownFlows {
		reach(own)
	}
	port := d.port
	n := d.reach(port)
	if n == 0 {
		return
	}
	other := q.with(AskPort, n)
	if other.FirstTTL = n; port.distance() > 0 {
		other.FirstTTL = q.maxTTL()
	}
	other.MaxTTL = other.FirstTTL
	for range otherFlows {
		reach(other)
	}
}

// again asks those flows once more that were asked once, and got no answer.
func (q *questioner) again() {
	tries, answered := map[int]int{}, map[int]bool{}
	for _, p := range q.asked(AskReach) {
		tries[p.question.Flow]++
		answered[p.question.Flow] = answered[p.question.Flow] || p.heard()
	}
	for _, p := range q.asked(AskReach) {
		if n := p.question.Flow; tries[n] == 1 && !answered[n] {
			again := *p.question
			q.all = append(q.all, again)
		}
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

// questionWait is how long a probe of a further trace may be answered.
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
	return max(questionWait, min(slowFactor*slowest, most))
}

// otherPort is the target by a port that is likely to be let through.
func otherPort(o trace.PathOptions) netip.AddrPort {
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
