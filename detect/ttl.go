package detect

import (
	"fmt"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
)

// A device that sets or raises the TTL makes the list of hops wrong: routers beyond it are left out, or all probes end
// at the same one. A device that drops packets with a low TTL hides the routers beyond it, and the target seems to be
// farther away than it is.

const (
	// leastSame is at how many hops in a row up to the last one the same router must answer for the TTL to have been
	// set before it.
	leastSame = 4

	// leastNamed is at how many hops it must do so where those beyond are silent.
	leastNamed = 3

	// leastFiltered is by how many hops the way back must be shorter than silent hops before the target make the way
	// out.
	leastFiltered = 2
)

// timeToLive finds such devices.
func timeToLive(f *facts) []Finding {
	for _, find := range []func() *Finding{f.ttlSet, f.ttlQuoted, f.ttlRaised, f.ttlFiltered} {
		if x := find(); x != nil {
			return []Finding{*x}
		}
	}
	return nil
}

// alike is the router at which all probes from a hop on end, whatever their TTL, each of them with its TTL used up.
type alike struct {
	from, to int // the hops at which it has answered, first and last; 0: there is no such router
	who      netip.Addr
}

// endsAlike finds it. Beyond the last hop that it answered at all must be silent: routers limit their ICMP errors.
func (f *facts) endsAlike() (x alike) {
	last := f.lastRouter()
	if !f.vanish() || len(f.hops) == 0 || f.hops[len(f.hops)-1].ttl < f.maxTTL() || last < f.first() || f.cycle() > 0 {
		return x
	}
	named := 0
	x.who = f.only(last)
	for i := len(f.hops) - 1; i >= 0 && x.who.IsValid(); i-- {
		h := &f.hops[i]
		if h.answered() && f.only(h.ttl) != x.who {
			break
		}
		for _, q := range h.quoted {
			if q.IP.TTL > 1 {
				return alike{} // it answers what it would send on
			}
		}
		if h.answered() {
			x.from = h.ttl
			named++
		}
	}
	x.to = last
	silent := last < f.maxTTL()
	if f.maxTTL()-x.from+1 < leastSame || x.from <= f.first() ||
		silent && (named < leastNamed || x.who == f.target.Addr()) {
		return alike{}
	}
	return x
}

// ttlSet is a TTL that is set so low that no probe gets far beyond.
func (f *facts) ttlSet() *Finding {
	end := f.endsAlike()
	from, who := end.from, end.who
	if from == 0 {
		return nil
	}
	x := Finding{Code: TTLChanged, Confidence: Likely, Weight: weightFatal, After: from - 1, Before: from}
	x.Title = fmt.Sprintf("The TTL is set too low %s: nothing gets farther than %v", f.between(from-1, from), who)
	x.Evidence = append(x.Evidence, fmt.Sprintf(
		"Probes with every TTL from %d to %d ended at %v, which got each of them with its TTL used up.", from, end.to,
		who))
	if end.to < f.maxTTL() {
		x.Confidence = Possible
		x.Title = fmt.Sprintf("The TTL may be set too low %s: nothing gets farther than %v", f.between(from-1, from), who)
		x.Evidence = append(x.Evidence, fmt.Sprintf("Beyond hop %d nobody answered: routers limit how often they do. Or %v "+
			"speaks for others beyond it too, and the path ends there: a firewall drops everything, the target or a router "+
			"is down, or the answers are lost on the way back.", end.to, who))
	}
	x.Advice = fmt.Sprintf("Ask %s: a device there gives packets a TTL that is too low for the rest of the way, so "+
		"connections die at %v too. Or packets go round at that router alone.", f.owner(from-1, from), who)
	return &x
}

// ttlQuoted is a quote with a greater TTL than the probe was sent with.
func (f *facts) ttlQuoted() *Finding {
	after, count := f.first()-1, 0
	var first *hop
	var who []netip.Addr // quote so; the zero Addr: with an error that doesn't say that the TTL was used up
	var sent, got uint8
	for i := range f.hops {
		h := &f.hops[i]
		for r, q := range h.quoted {
			switch {
			case q.IP.TTL > r.Probe.TTL && q.IP.Checksum != packet.CheckBad:
				if count++; first == nil {
					first, sent, got = h, r.Probe.TTL, q.IP.TTL
				}
				from := r.Reply.From()
				who = append(who, when(r.Reply.Kind == packet.KindTimeExceeded, from, netip.Addr{}))
			case first == nil:
				after = h.ttl
			}
		}
	}
	if first == nil || count < 2 {
		return nil
	}
	x := Finding{Code: TTLChanged, Confidence: Likely, Weight: weightNotice, After: min(after, first.ttl-1),
		Before: first.ttl}
	x.Title = fmt.Sprintf("The TTL is raised %s: hops are missing from the list", f.between(x.After, x.Before))
	x.Evidence = append(x.Evidence, fmt.Sprintf(
		"A probe that was sent with TTL %d got there with TTL %d, and routers only lower it. %d quotes show such a TTL.",
		sent, got, count))
	if one := who[0]; one.IsValid() && !slices.ContainsFunc(who, func(a netip.Addr) bool { return a != one }) {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("Only %v tells, and that a TTL was used up which it quotes as greater "+
			"than that: it may quote wrongly.", one))
	}
	x.Advice = "Nothing to do: firewalls do that to hide what lies beyond them, and connections are not harmed. " +
		"Or whoever quotes the probes gets their TTL wrong."
	return &x
}

// ttlRaised is a target whose answers come from much farther away than probes have to go, while those of the routers
// before it don't.
func (f *facts) ttlRaised() *Finding {
	d := f.distance()
	if d <= gatewayDistance || f.stranger != nil || f.answer.Reply.Kind != packet.KindTCP {
		return nil
	}
	h, before := f.at(d), f.at(d-1)
	if h == nil || before == nil || f.back() < 0 {
		return nil
	}
	near, known := before.excess()
	more := f.back() - (d - 1) - near
	if !known || near <= -oddBack || near >= oddBack || more < oddBack {
		return nil
	}
	x := Finding{Code: TTLChanged, Confidence: Possible, Weight: weightNotice, After: d - 1, Before: d}
	x.Title = fmt.Sprintf("About %d hops may be missing %s", more, f.between(d-1, d))
	x.Evidence = append(x.Evidence, f.answerText(f.path), fmt.Sprintf(
		"By that TTL it has passed %d routers, and the probe passed %d. For %s there is no such difference.",
		f.back(), d-1, f.hopName(d-1)))
	x.Advice = "Nothing to do: none of this harms connections. A device there may set or raise the TTL, or a tunnel " +
		"may hide its hops. Or only the target's answers take a longer way back, or begin with an unusual TTL."
	return &x
}

// ttlFiltered is silence before the target that probes with a greater TTL get through, while the target's answers come
// from nearer.
func (f *facts) ttlFiltered() *Finding {
	d := f.distance()
	if d == 0 || f.stranger != nil || f.answer.Reply.Kind != packet.KindTCP || f.back() < 0 {
		return nil
	}
	last := d - 1
	for h := f.at(last); h != nil && !h.answered(); h = f.at(last) {
		if h.failed() > 0 {
			return nil // this host did not send to it: that is no silence
		}
		last--
	}
	e, known := f.excessBefore(d)
	nearer := e - (f.back() - (d - 1)) // the target's answer has come by so many hops less than by the routers' before
	if last < f.first() || !known || nearer <= 0 || nearer > d-1-last {
		return nil
	}
	x := Finding{Code: TTLFiltered, Confidence: Possible, Weight: weightNotice, After: last, Before: last + 1}
	x.Title = fmt.Sprintf("The target may be at hop %d, not at %d: packets with a low TTL are dropped %s",
		d-nearer, d, f.between(last, last+1))
	x.Evidence = append(x.Evidence,
		fmt.Sprintf("%s before the target said nothing.", capital(times(d-1-last, "hop", "hops"))),
		fmt.Sprintf("%s That is %s less than from hop %d.", f.answerText(f.path), times(nearer, "hop", "hops"), d))
	x.Advice = "Nothing to do: connections are not harmed. Or the routers there are silent, and the target's answers " +
		"take a shorter way back. Or SYNs or the target's answers are limited in number, and those of lower TTLs were " +
		"lost."
	switch p := f.echo; {
	case p.distance() == d-nearer && p.back() == f.back() && f.cameBy(p, last, sameWay):
		// Where it is, echo tells; not why the others were lost.
		x.Title = fmt.Sprintf("The target is at hop %d, not at %d: TCP packets with a low TTL may be dropped %s",
			d-nearer, d, f.between(last, last+1))
		x.Evidence = append(x.Evidence, "For ICMP echo requests: "+f.answerText(p))
	case nearer < leastFiltered:
		return nil // a way back that is shorter by one hop is nothing special
	}
	return &x
}
