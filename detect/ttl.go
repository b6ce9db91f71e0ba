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

// alike is the address that says of all probes from a hop on, whatever their TTL, that it is used up.
type alike struct {
	from, to int // the hops at which it has answered, first and last; 0: there is no such address
	who      netip.Addr
	turn     int  // its answers come from as far as those this many hops before: machines in a circle; 0: they don't
	one      bool // all its answers have come equally far: one machine has it
}

// endsAlike finds it. Beyond the last hop that it answered at all must be silent: routers limit their ICMP errors.
func (f *facts) endsAlike() (x alike) {
	last := f.lastRouter()
	if !f.vanish() || len(f.hops) == 0 || last < f.first() || f.cycle() > 0 {
		return x
	}
	end := f.hops[len(f.hops)-1].ttl
	if end < f.maxTTL() && !f.spared {
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
	if end-x.from+1 < leastSame || x.from <= f.first() ||
		silent && (named < leastNamed || x.who == f.target.Addr()) {
		return alike{}
	}
	x.one, x.turn = f.sameBacks(x.from, x.to, 1), f.turnOfBacks(x.from, x.to)
	return x
}

// sameBacks reports whether answers from a stretch of hops have come from as far as those so many hops before. What
// isn't known counts as equal, but something must be known at three turns.
func (f *facts) sameBacks(from, to, turn int) bool {
	seen := map[int]int{} // the way back, by place in the turn
	known := 0
	for ttl := from; ttl <= to; ttl++ {
		h := f.at(ttl)
		if h == nil {
			continue
		}
		for r := range h.replies() {
			if r.Reply.IP.TTL == 0 {
				return false
			}
			back := backLength(r.Reply.IP.TTL)
			if before, ok := seen[ttl%turn]; ok && before != back {
				return false
			}
			seen[ttl%turn] = back
			known++
		}
	}
	return len(seen) == turn && known >= (leastTurns+1)*turn && to-from+1 >= (leastTurns+1)*turn
}

// turnOfBacks is after how many hops the length of the way back repeats, in the second half of a stretch of hops; 0: it
// doesn't, or never changes there. In the first half packets may come to where they go round.
func (f *facts) turnOfBacks(from, to int) int {
	for turn := 1; turn <= longestCycle; turn++ {
		if f.sameBacks((from+to)/2, to, turn) {
			return when(turn > 1, turn, 0)
		}
	}
	return 0
}

// ttlSet is a TTL that is set so low that no probe gets far beyond, at any hop up to where they end: it may lower only
// TTLs above some value.
func (f *facts) ttlSet() *Finding {
	end := f.endsAlike()
	from, who := end.from, end.who
	if from == 0 {
		return nil
	}
	if !end.one && !f.told() || who == f.target.Addr() {
		return f.ttlSpent(&end)
	}
	x := Finding{Code: TTLChanged, Confidence: Likely, Weight: weightFatal, After: f.first() - 1, Before: from}
	x.Title = fmt.Sprintf("The TTL is set too low %s: nothing gets farther than %v", f.between(x.After, from), who)
	if f.told() { // without raw sockets nothing shows whether it is one machine
		x.Confidence = Possible
	}
	x.Evidence = append(x.Evidence, fmt.Sprintf(
		"Probes with every TTL from %d to %d ended at %v, which got each of them with its TTL used up.", from, end.to,
		who))
	if silent := f.silentIn(from, end.to); silent > 0 {
		x.Evidence[0] = fmt.Sprintf("Probes with TTLs from %d to %d ended at %v, which got each of them with its TTL used "+
			"up, at all of these hops that were answered: %s silent.", from, end.to, who, times(silent, "is", "are"))
	}
	if end.to < f.maxTTL() {
		x.Confidence = Possible
		x.Title = fmt.Sprintf("The TTL may be set too low %s: nothing gets farther than %v", f.between(x.After, from), who)
		x.Evidence = append(x.Evidence, fmt.Sprintf("Beyond hop %d nobody answered: routers limit how often they do. Or %v "+
			"speaks for others beyond it too, and the path ends there: a firewall drops everything, the target or a router "+
			"is down, or the answers are lost on the way back.", end.to, who))
	}
	x.Advice = fmt.Sprintf("Ask whoever runs the routers up to %v: a device at one of them, or before, gives packets a "+
		"TTL that is too low for the rest of the way, so connections die at %[1]v too. Or packets go round at that router "+
		"alone.", who)
	return &x
}

// silentIn is at how many hops of a stretch nobody answered.
func (f *facts) silentIn(from, to int) (n int) {
	for _, h := range f.hops {
		n += when(h.ttl >= from && h.ttl <= to && !h.answered(), 1, 0)
	}
	return n
}

// ttlSpent is that several machines say by one address that the TTL is used up, or the target's own does: a NAT speaks
// for those behind it. So packets go round there, or the way is longer than the probes go, or their TTL is set.
func (f *facts) ttlSpent(end *alike) *Finding {
	x := Finding{Code: RoutingLoop, Confidence: Possible, Weight: weightFatal, After: end.from, Before: end.to}
	behind := fmt.Sprintf("beyond hop %d, where %v speaks for all the others", end.from, end.who)
	x.Title = fmt.Sprintf("Probes to port %d may go round %s", f.target.Port(), behind)
	x.Evidence = append(x.Evidence, fmt.Sprintf("Of probes with every TTL from %d to %d that address says that the "+
		"TTL is used up.", end.from, end.to))
	whom := f.owner(end.from, end.from)
	x.Advice = fmt.Sprintf("Ask %s. A NAT there answers for the routers beyond it, of which two point at each other. Or "+
		"the way is longer than %d hops (try -m %d), or a device sets the TTL too low.", whom, f.maxTTL(),
		min(2*f.maxTTL(), 255))
	if end.turn > 0 && end.to == f.maxTTL() {
		x.Confidence = Likely
		x.Title = fmt.Sprintf("Routing loop: probes to port %d go round %s", f.target.Port(), behind)
		x.Evidence = append(x.Evidence, fmt.Sprintf("By their TTLs these answers come from %d machines in turn.", end.turn))
		x.Advice = fmt.Sprintf("Ask %s. A NAT there answers for the routers beyond it, of which some point at each other "+
			"for where these probes are to go.", whom)
	}
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
	if f.back() > longestWay {
		x.Title = "Hops may be missing " + f.between(d-1, d)
		x.Evidence[1] = fmt.Sprintf("By that TTL it has passed more routers than any way has, and the probe passed %d. For "+
			"%s there is no such difference.", d-1, f.hopName(d-1))
	}
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
