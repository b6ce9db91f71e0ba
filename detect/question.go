package detect

import (
	"net/netip"
	"time"

	"tcptraceroute/packet"
	"tcptraceroute/trace"
)

// Ask is a kind of further trace.
type Ask uint8

const (
	AskFlow  Ask = iota // the same from another source port
	AskPort             // to another port
	AskACK              // with ACKs in place of SYNs
	AskSYN              // with SYNs in place of ACKs
	AskEcho             // with ICMP echo requests
	AskLoose            // with answers believed that bring back another sequence number
)

// Question is a further trace that would tell cases apart. Its options lack a source port, which must be another each
// time.
type Question struct {
	Ask
	Options trace.PathOptions
}

const (
	questionQueries = 2           // probes a hop
	questionWait    = time.Second // what is there has answered by then, mostly; where answers are slow, ...
	usualWait       = 3 * time.Second
	slowFactor      = 3 // ... this many times the slowest, but no longer than the trace itself waited
	lookBack        = 2 // hops before the place in question that are asked again
	lookAhead       = 8 // hops by which another flow's way may be longer
)

// Questions are the traces that would tell more of a path than the trace that was made: none where nothing is in doubt.
func Questions(e Evidence) []Question {
	if e.Trace == nil {
		return nil
	}
	f := read(&e)
	if !f.complete || !f.left() || f.cycle() > 0 || f.options.Protocol != packet.ProtoTCP {
		return nil
	}
	var all []Question
	told := f.told()
	ask := func(a Ask, from int) {
		if told && a != AskFlow && a != AskPort {
			return
		}
		o := e.Options
		o.Ports, o.SparePorts, o.Queries, o.Wait, o.Patient, o.Length = nil, nil, questionQueries, f.questionWait(), false, 0
		o.FirstTTL = max(f.first(), from)
		switch a {
		case AskFlow:
			if d := f.distance(); d > 0 {
				o.MaxTTL = min(f.maxTTL(), d+lookAhead)
			}
		case AskPort:
			o.Target = otherPort(o)
		case AskACK:
			o.Flags = packet.ACK
		case AskSYN:
			o.Flags = packet.SYN
		case AskEcho:
			o.Protocol = packet.ProtoEcho
		}
		all = append(all, Question{a, o})
	}
	switch d := f.distance(); {
	case f.refusal != nil:
		ask(AskFlow, f.first())
	case f.answer != nil:
		ask(AskFlow, f.first())
		ask(AskEcho, d-lookBack)
		if f.asks() && f.answer.Reply.TCP.Flags.Has(packet.RST) {
			ask(AskPort, d-lookBack)
		}
	default:
		last := f.lastRouter()
		ask(AskFlow, f.first())
		ask(AskPort, last)
		if f.asks() {
			ask(AskACK, last)
		} else {
			ask(AskSYN, last)
		}
		ask(AskEcho, last)
	}
	if f.counts.NearMisses >= fewMisses {
		ask(AskLoose, f.first())
	}
	return all
}

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
	switch q.Ask {
	case AskFlow:
		e.Flow = &v
	case AskPort:
		e.Port = &v
	case AskACK:
		e.ACK = &v
	case AskSYN:
		e.SYN = &v
	case AskEcho:
		e.Echo = &v
	case AskLoose:
		e.Loose = &v
	}
}
