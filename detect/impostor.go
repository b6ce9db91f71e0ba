package detect

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// impostor finds answers in the target's name that come from something in front of it: firewalls that reset, SYN
// proxies and gateways that end TCP.
func impostor(f *facts) []Finding {
	who := f.stranger
	switch {
	case f.gatewayEnds():
		return nil
	case who == nil:
		return injected(f)
	}
	d := f.distance()
	x := Finding{After: who.after, Before: d, Confidence: who.confidence, Weight: weightFatal}
	port, place := f.target.Port(), f.between(x.After, d)
	x.Evidence = append([]string{f.answerText(f.path)}, who.evidence...)
	if f.answer.Reply.TCP.Flags.Has(packet.RST) {
		x.Code = ResetOnPath
		x.Title = fmt.Sprintf("Port %d is reset by something in front of the target, %s", port, place)
		if who.second {
			x.Title = fmt.Sprintf("Port %d is reset by something in front of the target, or a second server with its "+
				"address, %s", port, place)
		}
		x.Advice = fmt.Sprintf("Ask %s: a firewall answers in the target's name. The target has probably not seen the "+
			"SYN.", f.owner(x.After, d))
		if f.asks() {
			if !f.refusesConnections() {
				x.Confidence = min(x.Confidence, Likely) // it may let others pass
			}
			x.Evidence = append(x.Evidence, overLimit)
		}
	} else {
		x.Code, x.Weight = TCPProxy, weightTrap
		x.Title = fmt.Sprintf("Port %d is answered by a TCP proxy in front of the target, %s", port, place)
		if who.second {
			x.Title = fmt.Sprintf("Port %d is answered by a TCP proxy, or a second server with the target's address, %s", port,
				place)
		}
		x.Advice = "Check the service itself: a SYN proxy, a load balancer or a transparent proxy accepts in the " +
			"target's name, which doesn't mean that the target is up, or that the port is open there."
		if d <= gatewayDistance {
			x.Advice += " So near it may be the gateway of a container or a virtual machine, or a security program."
		}
	}
	switch {
	case f.hostMayDoIt():
		f.orThisHost(&x)
	case who.instead != "":
		x.Advice += " " + who.instead
	}
	return []Finding{x}
}

// refusesConnections reports whether this host's ordinary connections are reset as the probes are, as far as any were
// asked for: so whoever does it does it to more than probes.
func (f *facts) refusesConnections() bool {
	return len(f.controls()) > 0 &&
		!slices.ContainsFunc(f.controls(), func(c Control) bool { return c.Outcome != Refused })
}

// stranger is somebody in front of the target who answers in its name.
type stranger struct {
	after      int // the hop that he stands at, or right behind
	confidence Confidence
	evidence   []string
	instead    string // what else it may be
	second     bool   // a machine at the hop that has the target's address would answer in the same way
}

// findStranger looks for one; nil: there is none, as far as can be seen.
func (f *facts) findStranger() *stranger {
	if f.distance() == 0 || f.answer.Reply.Kind != packet.KindTCP {
		return nil
	}
	if f.handover != nil {
		return nil
	}
	if who := f.nearer(); who != nil {
		if f.counts.NearMisses >= fewMisses {
			who.confidence = Possible
			who.instead = "Or there are ways of different length: answers that fit all but the sequence number hide hops."
		}
		return who
	}
	return f.lastRouterSpeaks()
}

// tells reports whether a hop says who is there: one probe may be lost.
func (h *hop) tells() bool { return h != nil && (len(h.routers) > 0 || h.lost >= questionQueries) }

// nearer finds that the target answers probes of another kind from farther away, on the same way.
func (f *facts) nearer() (best *stranger) {
	d := f.distance()
	if n := f.flow.distance(); n > 0 && n != d || f.flow.beyond(d) {
		return nil // there are ways of different length
	}
	for _, w := range f.others() {
		if max(w.distance(), w.lastRouter()) < d || w.distance() == d || !w.at(d).tells() || f.shifted(w.path) {
			continue
		}
		if w.ownHop() == d {
			continue // it is the target that stands there, and hands these on to a machine beyond it
		}
		if who := f.nearerThan(w); who != nil && (best == nil || who.confidence > best.confidence) {
			best = who
		}
	}
	return best
}

// nearerThan weighs that the target, or a router, has answered other probes from farther away. Ways of different
// length look like that too, unless both traces are known to have come by the same router right before, and both are of
// TCP: routers may send ICMP another way.
func (f *facts) nearerThan(w witness) *stranger {
	d, back, its := f.distance(), f.back(), -1
	if w.answer != nil {
		its = w.back()
	}
	h, way := w.at(d), f.wayBefore(w.path, d)
	seen, same := len(h.routers) > 0, f.cameBy(w.path, d-1, sameWay)
	if way == otherWay || w.answer == nil && (way == unknownWay || !seen) {
		return nil // these probes tell nothing of this way, or not who is there
	}
	who := &stranger{after: f.standsAt(d), confidence: Likely}
	switch differ := back >= 0 && its >= 0 && back != its; {
	case differ && seen && same && f.fromNearer(d):
		who.evidence = append(who.evidence, fmt.Sprintf("By its TTL the answer has passed fewer routers than answers "+
			"from hop %d do.", d))
		if who.confidence = Certain; w.path.options.Protocol != packet.ProtoTCP {
			who.confidence = Likely
			who.instead = fmt.Sprintf("Or TCP takes a shorter way to the target than %s do, and a shorter one back, and the "+
				"target itself answers.", w.what)
		}
	case differ, w.answer == nil: // in the second case it isn't known where the target is
		f.orTwoWays(who, w, way)
	case seen && (back < 0 || its < 0):
		who.instead = "Or there are ways of different length: nothing shows how far the answers have come."
	case seen && !f.backFits(f.path):
		who.confidence = Possible
		who.instead = "Or these probes take a shorter way to the target, and its answers come back by the longer " +
			"one: one TTL from two distances proves neither."
	default:
		return nil // two ways of different length, and one way back
	}
	if w.answer != nil {
		who.evidence = append(who.evidence, fmt.Sprintf("But for %s: %s", w.what, f.answerText(w.path)))
	}
	if seen {
		who.evidence = append(who.evidence, fmt.Sprintf("For %s hop %d is the router %v.", w.what, d, h.routers[0]))
	}
	return who
}

// wayBefore reports whether another trace is known to have come by the same way as this one to the hop before a TTL.
// The nearest hop at which both have met a router decides. That they met the same one there is not enough if a router
// has answered only one of them beyond that hop, or if others part there.
func (f *facts) wayBefore(p *path, ttl int) way {
	vague := false
	for ttl--; ttl >= f.first() && (!f.beyond(ttl) || !p.beyond(ttl)); ttl-- {
		vague = vague || f.beyond(ttl) || p.beyond(ttl) || f.parts(ttl)
	}
	w, _ := f.wayAt(p, ttl)
	return when(w == sameWay && vague, unknownWay, w)
}

// parts reports whether several routers have answered at a hop, in all traces together.
func (f *facts) parts(ttl int) bool {
	var one netip.Addr
	for _, p := range append([]*path{f.path}, f.more...) {
		h := p.at(ttl)
		if h == nil {
			continue
		}
		for _, a := range h.routers {
			if one.IsValid() && a != one {
				return true
			}
			one = a
		}
	}
	return false
}

// fromNearer reports whether the answer has passed fewer routers than one from its distance would: so who has given it
// stands nearer, whatever way other probes take. The routers before must agree on how long the way back is, the last of
// them too: the errors of a single one may come back by another way than TCP.
func (f *facts) fromNearer(d int) bool {
	last := f.at(d - 1)
	if last == nil {
		return false
	}
	_, tells := last.excess()
	e, known := f.excessBefore(d)
	return tells && known && f.back() >= 0 && f.back() < d-1+e
}

// orTwoWays weighs that ICMP or another port may go a longer way from the hop before on. Then the target itself
// answers, from as far as its answer has come. TCP to another port that ends there too speaks for that.
func (f *facts) orTwoWays(who *stranger, w witness, by way) {
	d := f.distance()
	who.second = !f.fromNearer(d)
	who.instead = fmt.Sprintf("Or %s take a longer way beyond %s, and the target itself answers", w.what, f.hopName(d-1))
	if who.second {
		who.confidence = Possible
		who.instead += ", or a second server with its address (anycast)"
	}
	who.instead += "."
	if by == unknownWay && !f.fromNearer(d) {
		who.evidence = append(who.evidence, fmt.Sprintf("Nothing shows that %s came to hop %d by the same way.", w.what, d-1))
	}
	if w.path != f.port && f.port.distance() == d {
		who.confidence = Possible
		who.evidence = append(who.evidence, fmt.Sprintf("%s to port %d were answered in the target's name from hop %d too.",
			f.kind(), f.port.target.Port(), d))
	}
}

// standsAt is the hop at which who answers in the target's name stands at the least: right before the first probe that
// it answers, or as near as its answers come from. Something on a tap may leave the nearest probes unanswered. Its way
// back may be longer than the way out by as much as that of any router before.
func (f *facts) standsAt(d int) int {
	after := d - 1
	if back := f.back(); back >= 0 {
		longer := 0
		for i := range f.hops {
			if e, known := f.hops[i].excess(); known && f.hops[i].ttl < d {
				longer = max(longer, e)
			}
		}
		after = min(after, back+1-longer)
	}
	return max(after, f.first()-1)
}

// shifted reports whether one and the same router is at different distances in two traces: one took a longer way.
func (f *facts) shifted(p *path) bool {
	for i := range f.hops {
		for j := range p.hops {
			a, b := &f.hops[i], &p.hops[j]
			if a.ttl != b.ttl && len(a.routers) == 1 && len(b.routers) == 1 && a.routers[0] == b.routers[0] {
				if at := f.at(b.ttl); at != nil && len(at.routers) == 1 && at.routers[0] == b.routers[0] {
					continue // it answers at several hops of one way
				}
				return true
			}
		}
	}
	return false
}

// lastRouterSpeaks finds that what is said in the target's name has come no farther than what the last router before it
// says in its own, or a nearer one: the way back grows by one with each hop, and here it doesn't.
func (f *facts) lastRouterSpeaks() *stranger {
	d, back := f.distance(), f.back()
	if d < 2 || back < 0 || f.shorterWay(back+1) {
		return nil
	}
	agree, flows := f.ownBacks()
	fits := func(p *path) bool { return p.distance() == d && p.back() >= 0 && p.back() != back }
	if !agree || f.echo.distance() == d && f.echo.back() == back {
		return nil // the way back varies, or it is the target's own
	}
	who := &stranger{after: f.standsAt(d), confidence: Likely}
	who.instead = "Or something sets their TTL, on the way back or at the target, or they take another way back."

	e, known := f.excessBefore(d)
	missing := d - 1 + e - back // by so many routers the answer has passed less than the target's would
	switch short := missing > 0; {
	case known && short && missing <= f.silentBefore(d):
		return nil // it may be the target's own, and these hops not exist
	case known && short && (flows >= 2 || fits(f.echo)):
		who.evidence = append(who.evidence, fmt.Sprintf(
			"By its TTL it has passed %d routers; by what routers say in their own names, the target's answers pass %d.",
			back, d-1+e))
		// What answers so near lets no SYN pass, and routers beyond it have answered some: a device on a tap does that, or
		// the TTL was set on the way back. The latter is excluded by TCP to another port that comes back with its own.
		if missing > 1+f.silentBefore(d) && (!f.answer.Reply.TCP.Flags.Has(packet.RST) || !fits(f.port)) {
			who.confidence = Possible
		}
	case known && !short, !fits(f.echo), !fits(f.port), f.echo.back() != f.port.back():
		return nil
	}
	for _, w := range f.others() {
		if w.path == f.echo && fits(f.echo) || w.path == f.port && fits(f.port) {
			who.evidence = append(who.evidence, fmt.Sprintf("For %s: %s", w.what, f.answerText(w.path)))
		}
	}
	if len(who.evidence) > 1 || !known {
		who.evidence = append(who.evidence, "These have come another way.")
	}
	// The target may begin with a TTL of its own, which only another of its answers would show.
	if initial := int(f.answer.Reply.IP.TTL) + d - 1 + e; !fits(f.echo) && !fits(f.port) && initial <= math.MaxUint8 {
		who.confidence = Possible
		who.evidence = append(who.evidence, fmt.Sprintf("Nothing else was answered in the target's name: if it sends with "+
			"a TTL of %d, the answer is its own.", initial))
	}
	return who
}

// shorterWay reports whether the target is known to stand at this distance, too, by another of all paths: its answer
// may have come back that way.
func (f *facts) shorterWay(distance int) bool {
	return f.graph != nil && distance < f.distance() && slices.ContainsFunc(f.graph.Nodes, func(n trace.Node) bool {
		return n.Target && n.TTL == distance
	})
}

// silentBefore is how many hops in a row right before a distance have said nothing.
func (f *facts) silentBefore(distance int) (n int) {
	for h := f.at(distance - 1); h != nil && !h.answered(); h = f.at(distance - 1 - n) {
		n++
	}
	return n
}

// ownBacks reports whether the target's answers to all flows of the trace's own kind came equally far, and how many
// flows that were.
func (f *facts) ownBacks() (agree bool, flows int) {
	var ports []uint16
	agree = true
	take := func(r *trace.Result) {
		if r.Reply == nil || r.Reply.Kind != packet.KindTCP || r.Reply.IP.TTL == 0 {
			return
		}
		agree = agree && backLength(r.Reply.IP.TTL) == f.back()
		if port := r.Probe.Src.Port(); !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	for r := range f.claims() {
		if r.Outcome == trace.Answered && int(r.Probe.TTL) >= f.distance() {
			take(r)
		}
	}
	if f.flow != nil && f.flow.answer != nil {
		take(f.flow.answer)
	}
	return agree, len(ports)
}

// injected finds that a SYN is accepted and reset in the target's name, by two machines.
func injected(f *facts) []Finding {
	two := f.contradict()
	if two == nil || f.distance() == 0 {
		return nil
	}
	x := Finding{
		Code: two.code, Confidence: two.confidence, Weight: weightFatal, After: f.first() - 1, Before: f.distance(),
		Evidence: []string{
			fmt.Sprintf("A SYN+ACK came from %v, with a TTL of %d.", two.accept.Reply.From(), two.accept.Reply.IP.TTL),
			fmt.Sprintf("A reset came too, with a TTL of %d.", two.reset.Reply.IP.TTL),
		},
		Advice: "Ask whoever filters traffic on the way: something that watches it answers in the target's name. " +
			"How much the TTLs differ hints at how far away it is.",
	}
	port := f.target.Port()
	switch {
	case two.confidence == Possible:
		x.Title = fmt.Sprintf("Connections to port %d are both accepted and reset", port)
		x.Advice = "Trace again. Something on the path resets what the target accepts, or accepts what it resets; or the " +
			"target itself has just changed its mind."
	case two.code == TCPProxy:
		x.Title = fmt.Sprintf("Somebody on the path accepts connections to port %d that the target refuses", port)
	default:
		x.Title = fmt.Sprintf("Somebody on the path resets connections to port %d that the target accepts", port)
	}
	if two.own >= 0 {
		x.Evidence = append(x.Evidence, fmt.Sprintf("Other answers of the target have passed %d routers.", two.own))
	}
	return []Finding{x}
}

// contradiction is that a SYN was accepted and reset in the target's name. One of the two answers is somebody else's.
type contradiction struct {
	accept, reset *trace.Result
	code          Code // ResetOnPath: the reset is somebody else's; TCPProxy: the SYN+ACK is
	confidence    Confidence
	own           int // the way back of what else the target has answered; -1: it isn't known
}

// contradict finds one, and whose answers these are; nil: there is none.
func (f *facts) contradict() *contradiction {
	two := &contradiction{code: ResetOnPath, confidence: Likely, own: -1}
	if two.accept, two.reset = f.both(); two.accept == nil || two.reset == nil {
		return nil
	}
	if f.echo.distance() > 0 {
		two.own = f.echo.back()
	} else if f.port.distance() > 0 {
		two.own = f.port.back()
	}
	accept, reset := backLength(two.accept.Reply.IP.TTL), backLength(two.reset.Reply.IP.TTL)
	apart, _ := f.split()
	switch {
	case accept == reset && apart != nil:
		return nil // two machines that are equally far away, see withSplit
	case accept == reset && f.answer.Reply.TCP.Flags.Has(packet.SYN):
		return nil // the target itself gives up what it has accepted
	case accept == reset:
		two.confidence = Possible
	case two.own == reset, two.own != accept && accept < reset: // the nearer one is somebody else's
		two.code = TCPProxy
	}
	return two
}

// split is a SYN+ACK and a reset in the target's name that answer SYNs of different source ports, where no source port
// has got both; nil: there is none.
func (f *facts) split() (accept, reset *trace.Result) {
	if f.answer == nil || !f.asks() {
		return nil, nil
	}
	state, mixed := map[netip.AddrPort]packet.Flags{}, false
	accept, reset = f.firstClaims(func(r *trace.Result) bool {
		flags := r.Reply.TCP.Flags
		before, known := state[r.Probe.Src]
		state[r.Probe.Src], mixed = flags, mixed || known && before != flags
		return true
	})
	if mixed || accept == nil || reset == nil {
		return nil, nil
	}
	return accept, reset
}

// firstClaims are the first SYN+ACK and the first reset in the target's name of those that count; nil: it didn't come.
func (f *facts) firstClaims(counts func(*trace.Result) bool) (accept, reset *trace.Result) {
	for r := range f.claims() {
		switch {
		case !counts(r):
		case r.Reply.TCP.Flags.Has(packet.RST):
			reset = cmp.Or(reset, r)
		case r.Reply.TCP.Flags.Has(packet.SYN | packet.ACK):
			accept = cmp.Or(accept, r)
		}
	}
	return accept, reset
}

// whichPorts is what to do where connections fare differently, and begins to say why.
const whichPorts = "Trace again, with --track-port to see which source ports are hit. A member of a load-balanced " +
	"group or of the target's programs is "

// withSplit says that the SYNs of some source ports are accepted and those of others reset, and lowers what is said of
// the resets alone.
func (f *facts) withSplit(all []Finding, accept, reset *trace.Result) []Finding {
	x := Finding{
		Code: BrokenBranch, Confidence: Possible, Weight: weightHarm,
		Title: fmt.Sprintf("Connections to port %d fare differently: some are accepted, others reset", f.target.Port()),
		Evidence: []string{fmt.Sprintf("A SYN from source port %d was accepted, and one from source port %d reset.",
			accept.Probe.Src.Port(), reset.Probe.Src.Port())},
		Advice: whichPorts + "closed, a firewall resets by source port or what is over a limit, or the state has just " +
			"changed.",
	}
	for i := range all {
		if y := &all[i]; (y.Code == PortClosed || y.Code == ResetOnPath) && y.Confidence > Possible {
			y.Confidence = Possible
			y.Evidence = append(y.Evidence, "But a SYN from another source port was accepted.")
		}
	}
	return append(all, x)
}

// both are a SYN+ACK and a reset that answer the trace's SYNs; nil: it didn't come.
func (f *facts) both() (accept, reset *trace.Result) {
	if f.answer == nil || !f.asks() {
		return nil, nil
	}
	return f.firstClaims(func(r *trace.Result) bool { return r.Reply.IP.TTL != 0 })
}
