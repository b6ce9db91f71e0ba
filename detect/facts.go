package detect

import (
	"net/netip"
	"slices"

	"tcptraceroute/packet"
	"tcptraceroute/trace"
)

// facts are the evidence in the form that findings are made from.
type facts struct {
	*path                       // the trace itself
	echo, ack, port, flow *path // nil: there was none
	counts                trace.Counts
}

func read(e *Evidence) *facts {
	return &facts{
		path: newPath(&e.View), echo: newPath(e.Echo), ack: newPath(e.ACK), port: newPath(e.Port), flow: newPath(e.Flow),
		counts: e.Counts,
	}
}

// path is one trace.
type path struct {
	options trace.PathOptions
	target  netip.AddrPort
	hops    []hop         // those that were asked, in order; not one for each TTL where the first is above 1
	answer  *trace.Result // the target's first; nil: it never answered
	refusal *trace.Result // the first ICMP error that ended the path; nil: none
}

// hop is what came of the probes with one TTL.
type hop struct {
	ttl     int
	results []trace.Result // the outcomes, in the order of sending
	extra   []trace.Result // late and second answers
	routers []netip.Addr   // who said time exceeded, each once
	lost    int
}

func newPath(v *View) *path {
	if v == nil || v.Trace == nil {
		return nil
	}
	p := &path{options: v.Options, target: netip.AddrPortFrom(v.Options.Target.Addr().WithZone(""), v.Options.Target.Port())}
	for ttl := v.Trace.First(); ttl <= v.Trace.Last(); ttl++ {
		h := v.Trace.Hop(ttl)
		if len(h.Probes) > 0 {
			p.add(h)
		}
	}
	if u := v.Trace.Unplaced(); u != nil && p.answer == nil {
		p.answer = u
	}
	return p
}

func (p *path) add(h trace.Hop) {
	x := hop{ttl: h.TTL, results: h.Probes, extra: h.Extra}
	for i := range h.Probes {
		r := &h.Probes[i]
		switch {
		case r.Fate == trace.Lost:
			x.lost++
		case r.Reply == nil:
		case r.Reply.Kind == packet.KindTimeExceeded:
			if from := r.Reply.From(); !slices.Contains(x.routers, from) {
				x.routers = append(x.routers, from)
			}
		case r.FromTarget():
			if p.answer == nil {
				p.answer = r
			}
		case r.Refused():
			if p.refusal == nil {
				p.refusal = r
			}
		}
	}
	p.hops = append(p.hops, x)
}

// distance is the TTL of the probes that the target answered; 0: it didn't, or which it was isn't known.
func (p *path) distance() int {
	if p.answer == nil || p.answer.Fate == trace.Shared {
		return 0
	}
	return int(p.answer.Probe.TTL)
}
