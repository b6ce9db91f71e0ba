package detect

import (
	"fmt"
	"slices"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// Each SYN that gets to the target may open a half-open connection there, so they are counted: those of the trace, of
// ordinary connections and of the questions together. What would be more isn't asked.

// MostSYNs is how many SYNs the target gets in all, at the most.
const MostSYNs = 8

// TraceSYNs is how many of them a trace may take itself to get the target's hop right ([trace.PathOptions.TargetSYNs],
// UnheardSYNs). What is left is for ordinary connections, and for questions.
const TraceSYNs = MostSYNs - 2

// spentSYNs is how many SYNs the target may have got so far: those whose TTLs were as high as the lowest that it has
// answered. If nothing has come from it, see silentFrom.
func (e *Evidence) spentSYNs() int {
	if e.SYNs != nil {
		return e.SYNs.Spent()
	}
	f := read(e)
	near := f.silentFrom() // or it says by ICMP that it takes none
	n := e.View.syns(near)
	for i := range e.Further {
		n += e.Further[i].View.syns(near)
	}
	if e.Host != nil {
		for _, c := range e.Host.Controls {
			got := c.passes() || c.Outcome == Rejected && c.From == f.target.Addr() || c.Outcome == Silent && near > 0
			n += when(got, c.SYNs, 0)
		}
	}
	return n
}

// silentFrom is the lowest TTL that may get to a target that answers no SYN to the port by TCP, where nothing tells
// that they are dropped before: no router beyond the last one that has answered SYNs answers anything else. 0:
// something does, or the target answers.
func (f *facts) silentFrom() int {
	switch {
	case !f.asks() || f.told() || f.options.Protocol != packet.ProtoTCP:
		return 0
	case f.refusedByTarget() && f.answer == nil:
		return f.refusedAt
	case !f.vanish() || slices.ContainsFunc(f.path.distanceProbes, trace.Result.FromTarget):
		return 0
	}
	d := &drop{facts: f, last: f.lastRouter()}
	if d.routerBeyond() > 0 {
		return 0
	}
	near := 0
	for _, w := range f.witnesses() {
		if n := w.distance(); n > d.last && (near == 0 || n < near) {
			near = n
		}
	}
	return when(near > 0, near, d.last+1)
}

// refusedByTarget reports whether the target itself refuses by ICMP, or who has its address.
func (p *path) refusedByTarget() bool {
	return p.refusal != nil && p.refusal.Reply.From() == p.target.Addr()
}

// notAsked says which hops were not asked, and why; "": all were.
func (d *drop) notAsked() string {
	last := max(d.last, d.askedTo())
	if !d.spared || last >= d.maxTTL() {
		return ""
	}
	return fmt.Sprintf("To spare the target, which may get each SYN%s, %s not asked%s.",
		when(d.nowhere(), "", fmt.Sprintf(" beyond hop %d", d.last)),
		when(last+1 == d.maxTTL(), fmt.Sprintf("hop %d was", last+1), fmt.Sprintf("hops %d to %d were", last+1, d.maxTTL())),
		when(len(d.more) > 0 && d.silentFrom() > 0, ", and no more than a few other SYNs were sent", ""))
}

// askedLess says that hops before the one that answers as the target were asked less than was wanted, and are silent:
// it may be nearer. "": there are none.
func (f *facts) askedLess() string {
	if !f.askedFewer || f.answer == nil {
		return ""
	}
	n, from := 0, f.options.Effective().FirstTTL
	if last := f.lastRouter(); last >= f.first() {
		from = last + 1
	}
	for ttl := from; ttl < f.distance(); ttl++ {
		h := f.at(ttl)
		n += when(h == nil || !h.answered() && h.lost < f.options.Effective().Queries, 1, 0)
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("To spare the target, %s before hop %d, which %s silent: it may be nearer.",
		when(n == 1, "no more was asked of a hop", fmt.Sprintf("no more was asked of %d hops", n)), f.distance(),
		when(n == 1, "is", "are"))
}

// asksSYNs reports whether a trace with these options sends SYNs.
func asksSYNs(o trace.PathOptions) bool {
	o = o.Effective()
	return o.Protocol == packet.ProtoTCP && o.Flags&packet.ACK == 0
}

// spare leaves out of the questions what would be too many SYNs at a target that answers none. The first ones come
// first, and the nearest hops: a router that answers there shows that they don't get to the target, and more may be
// asked.
func (q *questioner) spare() {
	near := q.silentFrom()
	if q.counted {
		near = q.budget.Before() + 1
	}
	if near == 0 {
		return
	}
	left := max(MostSYNs-q.spent, 0)
	dropped := map[int]bool{} // flows
	kept := q.all[:0]
	for _, x := range q.all {
		if x.Ask == AskWay && dropped[x.Flow] {
			continue
		}
		if asksSYNs(x.Options) {
			if x.Ask == AskPort && !q.counted { // a reset isn't worth a third SYN
				x.Options.TargetSYNs = min(x.Options.TargetSYNs, questionQueries)
			}
			n := x.shorten(near, left)
			short := q.counted && q.vanish() && x.Ask != AskWay && x.Options.Effective().MaxTTL <= q.lastRouter()
			if n < 0 || short { // which tells nothing
				dropped[x.Flow] = true
				continue
			}
			left -= n
		}
		kept = append(kept, x)
	}
	q.all = kept
}

// acksTell reports whether ACKs tell as well as SYNs whether it is the flow that matters, where hardly a SYN is left
// for the target: those of the trace's own flow got no farther than its SYNs.
func (q *questioner) acksTell() bool {
	return (q.silentFrom() > 0 || q.counted) && q.ack != nil && q.ack.answer == nil && q.ack.refusal == nil &&
		q.ack.lastRouter() <= q.lastRouter()
}

// shorten makes a question send no more than so many SYNs with a TTL of near or more, and returns how many it sends;
// -1: then nothing is left of it.
func (x *Question) shorten(near, most int) int {
	o := &x.Options
	last := o.MaxTTL
	if last == 0 {
		last = trace.DefaultMaxTTL
	}
	from := max(near, o.FirstTTL)
	hops := max(last-from+1, 0)
	if hops*o.Queries > most && hops > 0 {
		o.Queries = 1
		hops = min(hops, most)
		if o.MaxTTL = from + hops - 1; o.MaxTTL < o.FirstTTL {
			return -1
		}
		o.Parallel = fewParallel
	}
	return hops * o.Queries
}

// syns is how many SYNs of a trace the target has got. near is the lowest TTL that may get there, if nothing has come
// from it; 0: the trace tells.
func (v *View) syns(near int) (n int) {
	p := newPath(v)
	if p == nil || !p.asks() || p.options.Protocol != packet.ProtoTCP {
		return 0
	}
	from := p.distance()
	switch {
	case near > 0:
		from = near
	case p.answer != nil:
	case p.refusedByTarget():
		from = p.refusedAt
	case len(p.elsewhere) > 0: // as far away as that is not known
		from = p.lastRouter() + 1
	default: // but by other ways it may be reached
		for _, r := range v.Trace.DistanceProbes() {
			n += when(r.FromTarget(), 1, 0)
		}
		return n
	}
	for ttl := max(from, 1); ttl < len(v.sent); ttl++ {
		n += v.sent[ttl]
	}
	if v.sent != nil {
		return n
	}
	seen := map[int]bool{} // the hop of the target shows answers to probes with other TTLs
	count := func(r trace.Result) {
		if r.Outcome != trace.Failed && !seen[r.N] && int(r.Probe.TTL) >= from {
			seen[r.N] = true
			n++
		}
	}
	for ttl := v.Trace.First(); ttl <= v.Trace.Top(); ttl++ {
		for _, r := range v.Trace.Hop(ttl).Probes {
			count(r)
		}
	}
	for _, r := range v.Trace.DistanceProbes() {
		count(r)
	}
	return n
}
