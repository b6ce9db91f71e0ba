package detect

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// enoughSilence is how many hops in a row must say nothing before silence is more than a few silent routers.
const enoughSilence = 3

// enough reports whether so many silent hops are more than a few silent routers: fewer are if the trace has asked no
// more to spare the target, for then as many SYNs that went farther were not answered either.
func (f *facts) enough(silent int) bool { return silent >= enoughSilence || f.spared && silent > 0 }

// dropped finds where probes end without a word: firewalls that drop, and paths that are dead. What kind of probes gets
// farther than that tells what is dropped, and the first hop that such probes are answered from tells where.
func dropped(f *facts) []Finding {
	if f.asks() && f.distance() > 0 && f.complete && f.limit == nil && f.otherFlowDies() && len(f.asked(AskFlow)) > 1 {
		return []Finding{f.otherFlowVanishes()}
	}
	if !f.vanish() || !f.complete || f.cycle() > 0 || f.answersUnfit() {
		return nil
	}
	end := f.endsAlike()
	if end.from > 0 && end.to == f.maxTTL() {
		return nil // they come no farther because their TTL is set
	}
	if d := newDrop(f); d != nil {
		x := d.finding()
		switch {
		case end.from == 0:
		case x.Code == PathEnds, x.Code == Filtered:
			return nil // nothing else got farther, and that their TTL is set says as much
		default:
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, fmt.Sprintf("Or they come no farther because their TTL is set: %v answered them "+
				"at hops %d to %d.", end.who, end.from, end.to))
		}
		return []Finding{x}
	}
	if end.from > 0 {
		return nil
	}
	d, silent, unsent := dropOf(f)
	switch passed, vague := f.passedBy(), d.vagueBeyond(); {
	case unsent > 0:
		return nil // this host could not send, which is no finding about the path
	case vague > 0 && f.enough(silent+vague):
		return []Finding{d.unknownEnd(vague)}
	case len(f.hops) == 0:
		return nil
	case f.hops[len(f.hops)-1].ttl >= f.maxTTL():
		return []Finding{d.limit(silent)}
	case silent > 0 && len(passed) > 0 && f.host.differ == nil: // else the trace is not over, or the control says as much
		return []Finding{d.scarce(passed)}
	}
	return nil
}

// vagueBeyond is at how many hops beyond the place it isn't known of any probe whether it was lost, of a trace that has
// asked all hops.
func (d *drop) vagueBeyond() (n int) {
	for _, ttl := range d.vague {
		n += when(ttl > d.last, 1, 0)
	}
	return when(d.spared || d.askedTo() >= d.maxTTL()-1, n, 0) // the last hop may have been asked by distance probes alone
}

// askedTo is the last hop that was asked.
func (p *path) askedTo() (last int) {
	for _, h := range p.hops {
		last = max(last, h.ttl)
	}
	for _, ttl := range p.vague {
		last = max(last, ttl)
	}
	return last
}

// unknownEnd is that nothing was heard from beyond a hop, and this host may have missed the answers.
func (d *drop) unknownEnd(vague int) Finding {
	x := Finding{Weight: weightFatal, After: d.last, Before: d.maxTTL()}
	d.deadEnd(&x)
	x.Title = fmt.Sprintf("Nothing was heard from beyond %s, and this host may have missed answers", d.hopName(d.last))
	x.Evidence = append(x.Evidence, fmt.Sprintf("Of the probes to %s beyond it nobody knows whether they were answered: "+
		"this host was too busy, has lost packets, or ended the trace.", times(vague, "hop", "hops")))
	x.Advice = "Trace again while this host has less to do. " + x.Advice
	return x
}

// fellSilent counts the probes that the target has answered, and those that were sent after the last of these and may
// have got there.
func (d *drop) fellSilent() (answered, silent int) {
	all := slices.Clone(d.distanceProbes)
	for i := range d.hops {
		if d.hops[i].ttl > d.last {
			all = append(all, d.hops[i].results...)
		}
	}
	slices.SortStableFunc(all, func(a, b trace.Result) int { return a.Sent.Compare(b.Sent) })
	for i := range all {
		switch r := &all[i]; {
		case r.FromTarget() && r.Reply.Kind == packet.KindTCP:
			answered, silent = answered+1, 0
		case r.Outcome == trace.Lost:
			silent++
		}
	}
	return answered, silent
}

// banned is that the target has answered the first probes, and none after them.
func (d *drop) banned(answered, silent int) Finding {
	return Finding{
		Code: RateLimited, Confidence: Possible, Weight: weightHarm, After: d.first() - 1, Before: d.hops[len(d.hops)-1].ttl,
		Title: fmt.Sprintf("The target answered the first %s to port %d, and then none", times(answered, "probe", "probes"),
			d.target.Port()),
		Evidence: []string{fmt.Sprintf("%s that were sent later, up to the highest TTL, got no answer.",
			capital(times(silent, "probe", "probes")))},
		Advice: "Trace again in some minutes, with -q 1: a limit on new connections, or a ban of who sends several, drops " +
			"what comes later. Or packets are lost by chance, on the way or on the way back, a member of a load-balanced " +
			"group is broken, or a filter looks at source ports.",
	}
}

// scarce is that the target has answered some probes, from which the trace knows about how far away it is, and none of
// those that were to show its distance.
func (d *drop) scarce(passed []string) Finding {
	if answered, silent := d.fellSilent(); answered > 0 && silent >= enoughSilence {
		return d.banned(answered, silent)
	}
	n, end := 0, d.hops[len(d.hops)-1].ttl
	for _, h := range d.hops {
		n += when(h.ttl > d.last, h.lost, 0)
	}
	return Finding{
		Code: PacketLoss, Confidence: Possible, Weight: weightHarm, After: d.first() - 1, Before: end,
		Title: fmt.Sprintf("%s to port %d, or their answers, are lost: the target answers only some", d.kind(),
			d.target.Port()),
		Evidence: append(slices.Clone(passed), fmt.Sprintf("But beyond %s no answer came to %s.",
			d.hopName(d.last), times(n, "probe", "probes"))),
		Advice: "Trace again with more probes (-q 10), or with --track-port to see whether some source ports are hit. " +
			"Packets may be lost or limited in number, on the way or on the way back. Or a member of a load-balanced " +
			"group is broken, a filter looks at source ports, or something in front of the target answers in its name.",
	}
}

// otherFlowDies reports whether probes from another source port vanish where the trace's own pass: nobody answers them
// from some hop on, at several hops that answer the trace, the target among them.
func (f *facts) otherFlowDies() bool {
	flows := f.asked(AskFlow)
	for _, p := range flows {
		silent, end := 0, p.at(f.distance())
		if p.answer != nil || p.refusal != nil || len(p.elsewhere) > 0 || end == nil || end.lost == 0 {
			return false
		}
		for _, h := range p.hops {
			own := f.at(h.ttl)
			silent += when(h.ttl > p.lastRouter() && h.lost > 0 && own != nil && own.answered(), 1, 0)
		}
		if silent < enoughSilence {
			return false
		}
	}
	return len(flows) > 0
}

// otherFlowVanishes says that connections from another source port vanish.
func (f *facts) otherFlowVanishes() Finding {
	p := f.flow
	x := Finding{Code: BrokenBranch, Confidence: Likely, Weight: weightHarm, After: f.first() - 1, Before: p.first()}
	for _, again := range f.asked(AskFlow) {
		if last := again.lastRouter(); last >= p.first() && last > x.After {
			x.After, x.Before = last, last+1
		}
	}
	x.Title = fmt.Sprintf("Some connections to port %d vanish %s, and others pass", f.target.Port(),
		f.between(x.After, x.Before))
	x.Evidence = []string{
		fmt.Sprintf("%s got to the target, hop %d.", f.kind(), f.distance()),
		fmt.Sprintf("From another source port none was answered beyond hop %d, twice.", max(x.After, p.first()-1)),
	}
	x.Advice = fmt.Sprintf("One member of a load-balanced group is broken, there or on the way back, or a filter drops "+
		"by source port. Ask %s. To see which source ports are hit: --track-port.", f.owner(x.After, x.Before))
	if !f.noSlowLimit() {
		x.mayBeSlowLimit()
	}
	return x
}

// inARow is how soon one probe must follow another for a slow limit on SYNs to have dropped both or none.
const inARow = 100 * time.Millisecond

// noSlowLimit reports whether of two flows to the port that were asked right after each other the first one vanished
// and the second one passed. A limit on SYNs, however slow, drops both: hardly ever it lets one pass again in between.
func (f *facts) noSlowLimit() bool {
	var all []trace.Result // in the order in which they were sent
	for _, p := range f.more {
		for i := range p.hops {
			if p.target == f.target && p.asks() && p.options.Protocol == packet.ProtoTCP {
				all = append(all, p.hops[i].results...)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b trace.Result) int { return a.Sent.Compare(b.Sent) })
	for i, a := range all {
		for _, b := range all[i+1:] {
			passed := b.Outcome == trace.Answered && b.Probe.TTL >= a.Probe.TTL && b.Probe.Src != a.Probe.Src
			if a.Outcome == trace.Lost && passed && b.Sent.Sub(a.Sent) <= inARow {
				return true
			}
		}
	}
	return false
}

// orFarther weighs that all flows vanish farther on, and routers have answered some of them by chance.
func (x *Finding) orFarther(passing []sighting, byRouter bool) {
	if !byRouter && !slices.ContainsFunc(passing, func(s sighting) bool { return s.ends || s.control }) {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "None of those that got farther was answered by the target: maybe routers answered "+
			"some by chance, and all vanish farther on.")
	}
}

// orSince weighs that some passed only because they were sent before something began to drop all, by whichever router.
func (d *drop) orSince(x *Finding, byRouter bool) {
	if x.Code != BrokenBranch || byRouter || d.passedSince() {
		return
	}
	// Answers from before then don't tell how far probes get since.
	x.Confidence, x.After = Possible, d.first()-1
	gone := d.gone()
	since := func(r trace.Result) bool { return r.Outcome == trace.Answered && r.Sent.After(gone) }
	for _, h := range d.hops {
		if slices.ContainsFunc(h.results, since) {
			x.After = h.ttl
		}
	}
	x.Title = fmt.Sprintf("Connections to port %d passed at first, and vanish since, %s", d.target.Port(),
		d.between(x.After, x.Before))
	x.Evidence = append(x.Evidence, "All that got farther were sent before the first that vanished. So the path may have "+
		"broken meanwhile, or something lets this host pass no longer after so many probes.")
}

// gone is when the first of the trace's own probes was sent that vanished.
func (d *drop) gone() (first time.Time) {
	for _, h := range d.hops {
		for _, r := range h.results {
			if h.ttl > d.last && r.Outcome == trace.Lost && (first.IsZero() || r.Sent.Before(first)) {
				first = r.Sent
			}
		}
	}
	return first
}

// passedSince reports whether any TCP got farther that was sent after one of the trace's own probes had vanished.
func (d *drop) passedSince() bool {
	gone := d.gone()
	passed := func(r trace.Result) bool {
		return r.Outcome == trace.Answered && r.Sent.After(gone) && (r.FromTarget() || d.beyond(r.Reply.From()))
	}
	return slices.ContainsFunc(d.distanceProbes, passed) || slices.ContainsFunc(d.more, func(p *path) bool {
		return p.options.Protocol == packet.ProtoTCP &&
			slices.ContainsFunc(p.hops, func(h hop) bool { return slices.ContainsFunc(h.results, passed) })
	})
}

// orSlowLimit weighs that a limit on SYNs dropped some. It would take no heed of the router that they came by.
func (d *drop) orSlowLimit(x *Finding, byRouter bool) {
	if x.Code == BrokenBranch && !byRouter && !d.limitExcluded() {
		x.mayBeSlowLimit()
	}
}

// limitExcluded reports whether no limit on SYNs, however slow, can be why some flows vanish: it drops nothing else.
func (d *drop) limitExcluded() bool {
	return !d.asks() || d.noSlowLimit() || slices.ContainsFunc(d.seen, func(s sighting) bool {
		return !s.syn && s.fate == vanishes && s.way == sameWay
	})
}

// mayBeSlowLimit says that a limit on SYNs isn't excluded.
func (x *Finding) mayBeSlowLimit() {
	x.Confidence = Possible
	x.Evidence = append(x.Evidence, "A limit on new connections, a few in a minute, isn't excluded: it drops some and "+
		"lets others pass, whatever their source port is.")
}

const (
	// leastAlone is how long before a probe no other may have been sent, for no limit on packets to have dropped it: a
	// little more than a limit of two a second takes.
	leastAlone = 510 * time.Millisecond

	// leastUnasked is how long before it none may have been sent with its TTL, for no router's limit on its errors to
	// be why the answer is missing: most routers send one a second.
	leastUnasked = time.Second

	// slowestLimit is how long a limit may take to let another packet pass, as far as any is excluded. If only probes
	// that passed don't show that it takes less, no probe is alone that was sent sooner.
	slowestLimit = 6 * time.Second
)

// mayBeLimit reports whether a limit on packets may have dropped the probes by which a cause is told: it drops none
// that is sent alone. A router beyond the place must have answered others that came as far.
func (d *drop) mayBeLimit(lead cause) bool {
	if lead.code == SizeFilter {
		if slices.ContainsFunc(d.seen, func(s sighting) bool { return !s.syn && s.fate == vanishes && s.way == sameWay }) {
			return false // a limit on SYNs drops nothing else
		}
	}
	all := d.toLimit(lead)
	alone := max(leastAlone, slowest(all))
	chance, lossy := 1.0, d.lossBefore() // chance is that of mere loss of all that were sent alone
	asked := make(map[uint8]time.Time)   // by TTL, when the last probe was sent
	for i, r := range all {
		ttl := r.Probe.TTL
		if r.gone && i > 0 && r.Sent.Sub(all[i-1].Sent) >= alone && r.Sent.Sub(asked[ttl]) >= leastUnasked {
			chance *= lossy
		}
		asked[ttl] = r.Sent
	}
	return chance > unlikely
}

// limitable is a probe, and what it says of a limit on packets.
type limitable struct {
	trace.Result
	gone   bool // it was lost on the way to a router that answers: if there is a limit, that has dropped it
	passed bool // such a limit has let it pass
}

// toLimit are the probes of all traces, in the order in which they were sent, if a limit on packets is why those vanish
// by which a cause is told.
func (d *drop) toLimit(lead cause) (all []limitable) {
	port := d.target.Port()
	if lead.code == FilteredSYN && d.port != nil {
		port = d.port.target.Port() // those to the own port would vanish by a filter of that port, too
	}
	for _, p := range append(slices.Clone(d.more), d.path) {
		same := p.options.Protocol == d.options.Protocol
		alike := same && p.target.Port() == port && p.asks() == d.asks()
		limited := same && (p.asks() || !d.asks()) && d.cameBy(p, d.last, sameWay) &&
			(lead.code != MarkDropped || p.options.TOS != 0) // what polices a mark lets all others pass
		for _, h := range append(slices.Clone(p.hops), hop{results: p.distanceProbes}) {
			for _, r := range h.results {
				x := limitable{Result: r}
				x.gone = alike && r.Outcome == trace.Lost && d.routerAt(h.ttl)
				x.passed = limited && r.Outcome == trace.Answered && r.Reply.Kind == packet.KindTimeExceeded && names(&r) &&
					d.beyond(r.Reply.From())
				all = append(all, x)
			}
		}
	}
	slices.SortFunc(all, func(a, b limitable) int { return cmp.Or(a.Sent.Compare(b.Sent), a.N-b.N) })
	return all
}

// slowest is how long a limit takes at the most to let another packet pass, by those that have passed after it had just
// dropped one: the first of them may have waited for less than that, each other one has waited for all of it.
func slowest(all []limitable) time.Duration {
	most := slowestLimit
	for i, first := range all {
		passed := 0
		for _, r := range all[i:] {
			if !first.gone || !r.passed {
				continue
			}
			if passed++; passed > 1 {
				most = min(most, r.Sent.Sub(first.Sent)/time.Duration(passed-1))
			}
		}
	}
	return most
}

// lossBefore is the share of probes that are lost on the way to the place and back, if there were enough of them to
// speak of loss; else 0.
func (d *drop) lossBefore() float64 {
	h := d.at(d.last)
	if h == nil {
		return 0
	}
	t := d.tried(h)
	if t.lost < leastLost || t.sent < lossProbes {
		return 0
	}
	return float64(t.lost) / float64(t.sent)
}

// orLimit weighs that a limit on packets dropped the probes, and no filter did. Firewalls that pass few SYNs are many,
// and such a limit right beyond the last hop lets no SYN come farther, if what it passes gets no answer.
func (d *drop) orLimit(x *Finding, lead cause) {
	if x.Confidence > Possible && d.mayBeLimit(lead) {
		syns := d.asks() && slices.Contains([]Code{FilteredSYN, filteredOptions, FilteredPort}, lead.code)
		x.Confidence = when(syns || d.onePassedAlone(), Possible, Likely)
		x.Evidence = append(x.Evidence, "A limit on packets, which drops those that follow others too soon, isn't excluded.")
	}
}

// orLimitBefore weighs that a limit drops the SYNs at the last hop that they get to, or before, and no filter beyond.
func (d *drop) orLimitBefore(x *Finding) {
	if syns, sure := d.lostBefore(); sure {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("But %v SYNs to %s were lost, too: a limit on new connections, there "+
			"or before, isn't excluded.", syns, d.hopName(d.last)))
	}
}

// lostBefore counts the SYNs that get no farther than the last hop to answer, if most of them are lost. It is sure that
// this is no limit of the hop on its errors if other probes fare better, or one was lost that came after a while.
func (d *drop) lostBefore() (syns tried, sure bool) {
	var all []trace.Result
	for _, p := range append(slices.Clone(d.more), d.path) {
		if h := p.at(d.last); h != nil {
			all = append(all, h.results...)
		}
	}
	slices.SortStableFunc(all, func(a, b trace.Result) int { return a.Sent.Compare(b.Sent) })
	var others tried
	for i, r := range all {
		one := tried{when(r.Outcome == trace.Lost, 1, 0), 1}
		if r.Probe.Protocol != packet.ProtoTCP || r.Probe.Flags.Has(packet.ACK) {
			others = others.add(one)
			continue
		}
		syns = syns.add(one)
		sure = sure || one.lost > 0 && i > 0 && r.Sent.Sub(all[i-1].Sent) >= leastUnasked
	}
	if syns.lost < leastLimited || 2*syns.lost < syns.sent {
		return tried{}, false
	}
	return syns, sure || chanceOfMore(others, syns) <= unlikely
}

// onePassedAlone reports whether a SYN to another port passed that was sent alone, where those before it had vanished.
func (d *drop) onePassedAlone() bool {
	return d.port != nil && d.fateOf(d.port) == vanishes && slices.ContainsFunc(d.seen, func(s sighting) bool {
		return s.syn && !s.port && s.fate == passes
	})
}

// drop is what is known of a place where probes vanish.
type drop struct {
	*facts
	mine class      // that of the trace's own probes
	last int        // the hop that they get to for sure
	seen []sighting // what became of others
}

// newDrop is the place where the trace's probes vanish; nil: they don't.
func newDrop(f *facts) *drop {
	d, silent, _ := dropOf(f)
	if !f.enough(silent) || !f.vanish() {
		return nil
	}
	d.mine = d.classOf(f.path)
	d.seen = d.sightings()
	return d
}

// dropOf finds the last hop that probes get to, how many hops beyond are silent, and how many others beyond are not
// known to be, for this host could not send to them.
func dropOf(f *facts) (d *drop, silent, unsent int) {
	last := max(f.lastRouter(), f.sameFate())
	for _, h := range f.hops {
		switch {
		case h.ttl <= last:
		case h.lost > 0:
			silent++
		case h.failed() > 0:
			unsent++
		}
	}
	return &drop{facts: f, last: last}, silent, unsent
}

// sameFate is how far a second trace of the same kind came that vanished too, but got a few hops farther: routers there
// had not answered the first by chance. 0: there was none, or it got much farther, or to the target.
func (f *facts) sameFate() int {
	if f.flow == nil || f.flow.answer != nil || f.flow.refusal != nil {
		return 0
	}
	last := f.flow.lastRouter()
	if last < f.flow.askedTo() && last-f.lastRouter() < enoughSilence {
		return last
	}
	return 0
}

// maxTTL is the highest TTL that might be asked.
func (p *path) maxTTL() int {
	if p.options.MaxTTL == 0 {
		return trace.DefaultMaxTTL
	}
	return p.options.MaxTTL
}

// largerLimit is the -m to trace again with, where the trace may have ended too early.
func (d *drop) largerLimit() int { return min(2*d.maxTTL(), 255) }

// limit is the finding where the trace just ended too early.
func (d *drop) limit(silent int) Finding {
	x := Finding{
		Code: HopLimit, Confidence: Likely, Weight: weightNotice, After: d.last, Before: d.last,
		Title:    fmt.Sprintf("The trace ended at its limit of %d hops, before the target", d.maxTTL()),
		Evidence: []string{fmt.Sprintf("The last answer came from %s.", d.hopName(d.last))},
		Advice:   fmt.Sprintf("Trace again with a larger limit: -m %d.", d.largerLimit()),
	}
	if silent > 0 {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("Beyond it %s asked, and silent. A firewall that drops the probes "+
			"would look the same.", times(silent, "hop was", "hops were")))
	}
	return x
}

// reach is the hop at which a trace of another kind first got an answer beyond the place, from a router or from the
// target itself; 0: it got no farther. An answer in the target's name from nearer than the target is somebody else's.
func (d *drop) reach(p *path) int {
	if p == nil {
		return 0
	}
	from := d.comesTo(p, d.last)
	for _, h := range p.hops {
		if h.ttl > from && len(h.routers) > 0 {
			return h.ttl
		}
	}
	if n := p.distance(); n > d.last && n >= d.farthest() {
		return n
	}
	return 0
}

// comesTo is the hop at which a trace of another kind has come to where this trace's hop is: by a longer way that is
// farther on, and routers from before the hop stand there.
func (f *facts) comesTo(p *path, ttl int) int {
	at := ttl
	for _, h := range p.hops {
		if h.ttl > at && slices.ContainsFunc(h.routers, func(a netip.Addr) bool { return f.before(a, ttl) }) {
			at = h.ttl
		}
	}
	return at
}

// before reports whether the trace's own probes have met a router up to a hop.
func (f *facts) before(a netip.Addr, ttl int) bool {
	return slices.ContainsFunc(f.hops, func(h hop) bool { return h.ttl <= ttl && slices.Contains(h.routers, a) })
}

// onlyKernelPasses reports whether nothing passes but connections of this host's kernel, which go farther than any
// probe that was sent, for the hops were limited.
func (d *drop) onlyKernelPasses(passing []sighting) bool {
	return len(passing) > 0 && d.maxTTL() < trace.DefaultMaxTTL && !slices.ContainsFunc(passing, sighting.isProbe)
}

// finding says why the probes vanish, and where.
func (d *drop) finding() Finding {
	x := Finding{Weight: weightFatal, After: d.last, Before: d.last + 1}
	x.Evidence = append(x.Evidence, d.silenceText())
	if not := d.notAsked(); not != "" {
		x.Evidence = append(x.Evidence, not)
	}
	x.Evidence = append(x.Evidence, d.seenTexts()...)
	if before := d.next(); before > 0 {
		x.Before = before
	} else if d.routerBeyond() == 0 {
		x.Before = max(x.Before, d.endOfPassing())
	}
	left := d.left()
	switch passing := d.passing(); {
	case d.onlyKernelPasses(passing) && d.maxTTL()-d.last <= 2*enoughSilence:
		x := d.limit(d.silentHops())
		x.Evidence = append(x.Evidence, "A broken member of a load-balanced group would look the same, too: an ordinary "+
			"connection of this host passed.")
		return x
	case d.onlyKernelPasses(passing):
		d.brokenBranch(&x, passing)
		x.Confidence = Possible
		x.Advice += fmt.Sprintf(" Or the target is farther than the %d hops of -m: trace again with -m %d.", d.maxTTL(),
			d.largerLimit())
	case d.byTTL(&x):
	case len(passing) > 0 && d.tooFewAsked():
		d.unknownPlace(&x)
	case len(passing) > 0:
		d.brokenBranch(&x, passing)
		d.partHere(&x, passing)
	case d.otherWay(&x):
	case d.nobodyThere(&x):
	case len(d.seen) == 0 && !d.hurried:
		x.Code, x.Confidence = Filtered, Possible
		x.Title = fmt.Sprintf("The probes vanish beyond %s", d.hopName(d.last))
		x.Advice = "Trace again with --explain: it asks whether a firewall drops them, the path is broken, or the " +
			"answers are lost on the way back."
	case len(left) == 0 || slices.ContainsFunc(left, func(c cause) bool {
		return c.code == PathEnds ||
			c.code == BrokenBranch && len(left) == 1
	}):
		d.deadEnd(&x)
	default:
		d.filter(&x, left)
	}
	d.orLimitBefore(&x)
	d.orChance(&x)
	if d.nowhere() && d.next() == 0 && x.Code == PathEnds {
		x.Title = "Nobody answers at all, neither a router nor the target"
		x.Advice = fmt.Sprintf("Check this host first: does anything else get out, does its own firewall drop the "+
			"answers, and is its route right (ip route get %v)? Then ask whoever runs its network for the way back to "+
			"%v.", d.target.Addr(), d.options.Source.Addr())
	} else if d.nowhere() && d.hostMayDoIt() {
		d.orThisHost(&x)
	} else if d.nowhere() && d.first() == 1 && x.Confidence > Possible {
		d.orOwnRoute(&x)
	}
	d.orOtherWayOut(&x)
	return x
}

// orOwnRoute lowers a finding that this host's own routing rules explain as well: nobody at all has answered these
// probes, and others may have left this host another way.
func (d *drop) orOwnRoute(x *Finding) {
	x.Confidence = min(x.Confidence, Likely)
	x.Evidence = append(x.Evidence, "Not even hop 1 has answered them: a routing rule of this host may send them another "+
		"way than those that got farther.")
	x.Advice = fmt.Sprintf("Check this host's own way first: ip rule, ip route get %v ipproto tcp dport %d. Else %s",
		d.target.Addr(), d.target.Port(), strings.ToLower(x.Advice[:1])+x.Advice[1:])
}

// nowhere reports whether not even the first hop answered.
func (d *drop) nowhere() bool { return d.last < d.first() }

// what is what the trace sends.
func (d *drop) what() string {
	if d.options.Protocol != packet.ProtoTCP {
		return d.kind()
	}
	return fmt.Sprintf("%s to port %d", d.kind(), d.target.Port())
}

func (d *drop) silenceText() string {
	if d.nowhere() {
		return fmt.Sprintf("%s were not answered by anybody, at %s.", d.what(), times(d.silentHops(), "hop", "hops"))
	}
	return fmt.Sprintf("%s got to %s, and no farther: %s beyond it were silent.", d.what(), d.hopName(d.last),
		times(d.silentHops(), "hop", "hops"))
}

// seenTexts is what became of other probes, in words: a sentence for each kind that got farther, one for all that did
// not, and one for all other source ports.
func (d *drop) seenTexts() (all []string) {
	witnesses := d.witnesses()
	var gone []string
	for i := range witnesses {
		s := &d.seen[i]
		other := ""
		if s.way == otherWay {
			other = fmt.Sprintf(" But they went another way: hop %d was %v for them.", d.last, s.via)
		}
		switch {
		case s.fate == passes:
			all = append(all, fmt.Sprintf("%s got farther: %s answered.%s", s.what, d.who(witnesses[i].path, s.at), other))
		case s.fate == nearer:
			all = append(all, d.nearerText(s.what, witnesses[i].path))
		case s.fate == vanishes && other == "":
			gone = append(gone, s.what)
		case s.fate == vanishes:
			all = append(all, fmt.Sprintf("%s got no farther either.%s", s.what, other))
		case witnesses[i].answer != nil:
			all = append(all, fmt.Sprintf("%s were answered from nearer: %s", s.what, d.answerText(witnesses[i].path)))
		}
	}
	if n := len(gone); n > 0 {
		text := strings.Join(gone[:n-1], ", ") + when(n > 1, " and ", "") + gone[n-1]
		all = append(all, text+" got no farther either.")
	}
	for _, c := range []class{{port: true, syn: d.asks()}, {port: true, syn: !d.asks()}, {syn: d.asks()}} {
		if text := d.flowsText(c, d.seen[len(witnesses):]); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// nearerText is that other probes vanish before the place.
func (d *drop) nearerText(what string, p *path) string {
	ttl := d.last
	for _, h := range slices.Backward(p.hops) {
		if h.ttl > p.lastRouter() && h.ttl <= d.last {
			ttl = h.ttl
		}
	}
	return fmt.Sprintf("%s died nearer: not even %s answered them, so they don't show what passes beyond %s.", what,
		d.hopName(ttl), when(ttl == d.last, "it", d.hopName(d.last)))
}

// flowsText is what became of other source ports, of SYNs or of ACKs, to the same port or to another one, in words; "":
// none were asked.
func (d *drop) flowsText(c class, flows []sighting) string {
	got, lost := 0, 0
	for _, s := range flows {
		if s.port == c.port && s.syn == c.syn && !s.control {
			got += when(s.fate == passes, 1, 0)
			lost += when(s.fate == vanishes, 1, 0)
		}
	}
	port, kind := d.target.Port(), d.kind()
	if !c.port && d.port != nil {
		port = d.port.target.Port()
	}
	if c.syn != d.asks() {
		kind = when(c.syn, "SYNs", "ACKs")
	}
	how := fmt.Sprintf("%d got farther, %d did not", got, lost)
	switch {
	case got+lost == 0:
		return ""
	case got == 0:
		how = "none got farther"
	case lost == 0:
		how = "all got farther"
	}
	return fmt.Sprintf("%s to port %d from %s: %s.", kind, port,
		times(got+lost, "more source port", "more source ports"), how)
}

// next is the first hop beyond the place that anything was answered from; 0: nothing was. Where TCP gets by, it tells
// the place: errors about TCP do come back from there, and those about ICMP may come from beyond a NAT that hides the
// others.
func (d *drop) next() (before int) {
	tcp := false
	for _, s := range d.seen {
		if s.fate != passes || s.way == otherWay || s.at == 0 {
			continue
		}
		if before == 0 || !s.echo && (!tcp || s.at < before) || s.echo && !tcp && s.at < before {
			before = s.at
		}
		tcp = tcp || !s.echo
	}
	return before
}

// endOfPassing is how far away the target is, if it has answered flows of the very same kind: where nobody on the way
// answers any, they may part anywhere from those that vanish. It is an estimate if no answer shows the distance. 0: it
// has answered none.
func (d *drop) endOfPassing() (hops int) {
	if len(d.passing()) == 0 {
		return 0
	}
	if n := d.farthest(); n > 0 {
		return n
	}
	for _, p := range append(d.asked(AskReach), d.asked(AskFlow)...) {
		if p.answer != nil && p.answer.Reply.IP.TTL > 0 {
			hops = max(hops, backLength(p.answer.Reply.IP.TTL)+1)
		}
	}
	return hops
}

// passing are the flows of the very same kind that get farther, or of another kind of which the trace's own flow
// vanishes too: ACKs, where a silent target has got all SYNs that it may get.
func (d *drop) passing() (all []sighting) {
	for _, s := range d.seen {
		if d.alikeButFlow(s) && s.fate == passes {
			all = append(all, s)
		}
	}
	return all
}

// alikeButFlow reports whether it is by the flow alone that a sighting differs from one of the trace's own flow that
// vanishes.
func (d *drop) alikeButFlow(s sighting) bool {
	own := s.class
	own.flow = true
	return !s.flow && (own == d.mine || !s.echo && slices.ContainsFunc(d.seen, func(x sighting) bool {
		return x.class == own && x.fate == vanishes
	}))
}

func (s sighting) isProbe() bool { return !s.control }

// brokenBranch is that some flows vanish and others pass.
func (d *drop) brokenBranch(x *Finding, passing []sighting) {
	x.Code, x.Confidence = BrokenBranch, Likely
	same := d.mine
	same.flow = false
	// gone: flows that came by the same router and vanished, the trace's own is one; apart, beside: those that pass, by
	// another router and by the same. mixed: some vanish that went by another router, or pass by one that the trace met
	// too.
	gone, apart, beside, filtered, mixed := 1, 0, 0, false, false
	for _, s := range d.seen {
		gone += when(s.way == sameWay && s.fate == vanishes && !s.flow, 1, 0)
		mixed = mixed || s.way == otherWay && (s.class == same && s.fate == vanishes || d.before(s.via, d.last))
		filtered = filtered || s.way == sameWay && s.fate == passes && !s.echo && s.class != same && !d.alikeButFlow(s)
	}
	var others []string
	probes := 0
	for _, s := range passing {
		probes += when(s.isProbe(), 1, 0)
		apart += when(s.way == otherWay, 1, 0)
		beside += when(s.way == sameWay, 1, 0)
		if s.way == otherWay && !slices.Contains(others, s.via.String()) {
			others = append(others, s.via.String())
		}
	}
	place, whom := d.between(x.After, x.Before), d.owner(x.After, x.Before)
	atTarget := d.targetNext(x)
	if apart > 0 && beside == 0 {
		x.Before = x.After + 1
		place, whom = "beyond "+d.hopName(d.last), d.owner(d.last, d.last)
		x.Evidence = append(x.Evidence, fmt.Sprintf("Those that pass go by %s instead.", strings.Join(others, " and ")))
		if gone >= 2 && apart >= 2 && !filtered && !mixed {
			x.Confidence = Certain
		}
	}
	x.Title = fmt.Sprintf("Some connections to port %d vanish %s, and others pass", d.target.Port(), place)
	x.Advice = fmt.Sprintf("Ask %s: one member of a load-balanced group is broken, or a filter drops by source "+
		"port. To see which source ports are hit, run the same with --track-port.", whom)
	if probes == 0 { // nothing says why of all flows the kernel's passes
		x.Confidence = Possible
		x.Advice = fmt.Sprintf("Ask %s: one member of a load-balanced group is broken, or a filter drops by source "+
			"port or by what sets probes apart, or this host sends them another way. To see which source ports are hit, "+
			"run the same with --track-port.", whom)
	}
	if filtered {
		x.Advice = fmt.Sprintf("Ask %s: one member of a load-balanced group is broken, or drops this port.", whom)
	}
	switch {
	case d.handover != nil: // whoever is beyond it speaks in its name, a dead member too
		x.Confidence = Possible
		x.Advice += fmt.Sprintf(" Or hop %d hands connections on to several machines, and one of them is down.",
			d.handover.at)
	case beside > 0 && d.last == d.farthest()-1:
		d.lostOnWayBack(x)
	case apart == 0:
		x.Advice += " Or their answers are lost on the way back, or only so many connections are let through."
		if d.farthest() > 0 && x.Before >= d.farthest() { // all routers between are silent to all
			x.Confidence = Possible
		}
	}
	d.heldAgain(x)
	byRouter := apart > 0 && beside == 0
	d.orLongerWay(x, passing, byRouter)
	d.orAtTarget(x, gone, apart, byRouter, atTarget)
	x.orFarther(passing, byRouter)
	d.orSince(x, byRouter)
	d.orSlowLimit(x, byRouter)
}

// partHere says that the flows that vanish and those that pass part before the first hop, if they do: this host shares
// its connections out over several gateways, or what stands on its link does.
func (d *drop) partHere(x *Finding, passing []sighting) {
	var others []string
	for _, s := range passing {
		switch {
		case s.way == sameWay:
			return
		case s.way == otherWay && !slices.Contains(others, s.via.String()):
			others = append(others, s.via.String())
		}
	}
	if len(others) == 0 || d.last != 1 || d.first() != 1 || d.only(1) == (netip.Addr{}) {
		return
	}
	x.Evidence = append(x.Evidence, fmt.Sprintf("They part before hop 1, which is %v for those that vanish, and "+
		"%s for those that pass: of this host's own ways out one is dead, or of its gateways.",
		d.only(1), strings.Join(others, " and ")))
	x.Advice = fmt.Sprintf("If this host's routes share its connections out (ip route get %v, ip route, ip nexthop), "+
		"take %v out of them until the way beyond it works. %s", d.target.Addr(), d.only(1), x.Advice)
}

// orOtherWayOut says that this host has other ways out, if what was asked has gone by one alone, as a source address
// may have it: the others may be sound.
func (d *drop) orOtherWayOut(x *Finding) {
	if d.host.Host == nil || len(d.host.OtherWays) == 0 || len(d.passing()) > 0 {
		return
	}
	var ways []string
	for i := range d.host.OtherWays {
		ways = append(ways, d.host.OtherWays[i].String())
	}
	x.Confidence = min(x.Confidence, Likely)
	x.Evidence = append(x.Evidence, fmt.Sprintf("This host shares its connections out over several ways. These went %s "+
		"alone, and others may pass: %s.", when(d.only(1).IsValid(), fmt.Sprintf("by %v", d.only(1)), "by one"),
		strings.Join(ways, ", ")))
	x.Advice = fmt.Sprintf("Trace by the other way first: -s %v. If that passes, take the dead one out of this host's "+
		"routes (ip route, ip nexthop). Else %s", d.host.OtherWays[0].Source, strings.ToLower(x.Advice[:1])+x.Advice[1:])
}

// tooFewAsked reports whether others get farther than the trace has asked, to spare the target, and nobody was seen to
// vanish where they pass.
func (d *drop) tooFewAsked() bool {
	asked := d.hops[len(d.hops)-1].ttl
	flows := d.seen[len(d.witnesses()):] // those before were asked no farther than the trace
	return d.spared && d.ownAgain() != vanishes && !slices.ContainsFunc(flows, func(s sighting) bool {
		return !s.control && d.alikeButFlow(s) && s.fate == vanishes
	}) && !slices.ContainsFunc(d.passing(), func(s sighting) bool { return s.at > 0 && s.at <= asked })
}

// unknownPlace says that it isn't known how far the trace's own flow gets.
func (d *drop) unknownPlace(x *Finding) {
	x.Code, x.Confidence = Filtered, Possible
	x.Title = fmt.Sprintf("How far SYNs to port %d get beyond %s isn't known", d.target.Port(), d.hopName(d.last))
	x.Evidence = append(x.Evidence, "Others have got farther, and nothing shows that the trace's own flow doesn't: the "+
		"routers in between may be silent.")
	if d.ownAgain() == passes {
		x.Evidence = append(x.Evidence, "The trace's own flow was asked again, and got farther.")
	}
	x.Advice = "Trace again without --explain: it asks all hops, and shows where they end. Then check what is beyond " +
		"the last hop that answers."
}

// byTTL reports whether it is the TTL by which the probes that vanish differ from a connection that passes: the trace's
// own flow was answered when it was sent with the connection's. It says so then.
func (d *drop) byTTL(x *Finding) bool {
	all := d.asked(AskTTL)
	if len(all) == 0 || all[0].answer == nil {
		return false
	}
	x.Code, x.Confidence, x.Weight = TTLFiltered, when(d.ownAgain() == vanishes, Likely, Possible), weightNotice
	x.Title = fmt.Sprintf("Probes to port %d are dropped for their low TTL, %s: connections pass", d.target.Port(),
		d.between(x.After, x.Before))
	x.Evidence = append(x.Evidence, fmt.Sprintf("%s of the trace's own flow with a TTL of %d, as ordinary connections "+
		"have it, was answered by %v; those with up to %d vanish.", oneOf[d.kind()],
		all[0].question.Options.FirstTTL, all[0].answer.Reply.TCP.Flags, d.maxTTL()))
	x.Advice = "Nothing to do: connections are not harmed. A device there drops packets with a low TTL, so that no " +
		"trace to this port sees what lies beyond. Or it lets only so many connections pass, and this one came in time."
	return true
}

// orLongerWay weighs that all flows come to the same end, and those by other routers have come there a longer way. They
// have not if the target has answered one of them, or it got by more hops farther than ways differ.
func (d *drop) orLongerWay(x *Finding, passing []sighting, byRouter bool) {
	if !byRouter || slices.ContainsFunc(passing, func(s sighting) bool {
		return s.ends || s.control || s.at > d.last+oddBack
	}) {
		return
	}
	x.Confidence = Possible
	x.Evidence = append(x.Evidence, "None of those that got farther was answered by the target: they may have come to "+
		"the same end a longer way, and all vanish there.")
}

// targetNext reports whether the target is the next to answer beyond the place.
func (d *drop) targetNext(x *Finding) bool { return d.farthest() > 0 && x.Before >= d.farthest() }

// orAtTarget weighs, where the target is next, that it drops some flows itself, by whichever router they come: one of
// several programs that share its port is stuck, or one of several machines that share its address. That all of them
// came by one router, and all others by others, is chance then.
func (d *drop) orAtTarget(x *Finding, gone, apart int, byRouter, isNext bool) {
	if !isNext {
		return
	}
	x.Evidence = append(x.Evidence, "One of several programs that share the target's port, or of machines that share its "+
		"address, looks the same if it is stuck (on the target: ss -ltn, its queue is full if Recv-Q is above Send-Q).")
	if !byRouter {
		x.Confidence = Possible
		return
	}
	chance := chanceOfMore(tried{0, apart}, tried{gone, gone})
	x.Confidence = min(x.Confidence, when(chance > unlikely, Possible, Likely))
	x.Evidence = append(x.Evidence, fmt.Sprintf("That these flows part by router would be chance then, %s.",
		chanceText(chance)))
}

// heldAgain weighs what became of the trace's own flow when it was asked again. If it passes then, neither a source
// port nor a member is to blame.
func (d *drop) heldAgain(x *Finding) {
	switch again := d.ownAgain(); {
	case again == passes:
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "The trace's own flow was asked again, and got farther.")
		x.Advice = fmt.Sprintf("Trace again: what dropped the probes has ended since, or it drops SYNs above some rate, or "+
			"until another port was asked. Else ask %s.", d.owner(x.After, x.Before))
	case again == either && d.mayAskAgain() && x.Confidence > Possible:
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "Whether the trace's own flow still vanishes isn't known.")
	case again == vanishes && x.Code == BrokenBranch:
		x.Evidence = append(x.Evidence, "The trace's own flow was asked again, twice, and vanished again.")
	}
}

// otherWay reports whether it is the way that this port takes which is dead, and says so: all flows to this port came
// by one router, and all to another port by others.
func (d *drop) otherWay(x *Finding) bool {
	mine, theirs := 1, 0
	var via netip.Addr
	for _, s := range d.seen {
		switch {
		case s.echo || s.way == unknownWay || s.flow:
		case s.port && s.way == otherWay || !s.port && s.way == sameWay:
			return false
		case s.port:
			mine++
		case s.fate == passes:
			theirs, via = theirs+1, s.via
		}
	}
	if theirs == 0 || mine < 2 {
		return false
	}
	x.Code, x.Confidence, x.Before = OtherWay, when(mine+theirs < fewFlows, Possible, Likely), x.After+1
	x.Title = fmt.Sprintf("Port %d takes another way than port %d, and vanishes beyond %s", d.target.Port(),
		d.port.target.Port(), d.hopName(d.last))
	x.Evidence = append(x.Evidence, fmt.Sprintf("All of %s to port %d came by %v, and all of %s to port %d by %v.",
		times(mine, "flow", "flows"), d.target.Port(), d.router(d.last), times(theirs, "flow", "flows"), d.port.target.Port(),
		via))
	x.Advice = fmt.Sprintf("Ask %s: a router there chooses the way by port, and that way is dead or filtered. Or "+
		"one member of a load-balanced group is, and all of these went by it by chance.", d.owner(d.last, d.last))
	return true
}

// fewFlows are so few that they may have gone so by chance.
const fewFlows = 4

// nobodyThere reports whether the last router has said of echo requests that nobody answers on its next link, and says
// so. Of SYNs it may have said nothing because routers limit their errors.
func (d *drop) nobodyThere(x *Finding) bool {
	if slices.ContainsFunc(d.seen, func(s sighting) bool { return s.fate == passes }) {
		return false
	}
	for _, p := range append(d.asked(AskAlive), d.asked(AskEcho)...) {
		if p.refusal == nil || p.whyRefused() != noHost || p.refusal.Reply.From() != d.only(d.last) ||
			p.waited() < neighbourWait {
			continue
		}
		from := p.refusal.Reply.From()
		x.Code, x.Confidence = UnreachableHost, Likely
		x.Title = fmt.Sprintf("Beyond %v, hop %d, nobody answers on the next link: the target is down or not there, or a "+
			"router in front of it is", from, d.last)
		x.Evidence = append(x.Evidence, fmt.Sprintf("Of ICMP echo requests %v says so: %s.", from,
			refusalText(p.refusal.Reply)), p.waitText(), "Of SYNs it said nothing: routers limit their errors.")
		x.Advice = fmt.Sprintf("Check that the target is running and has this address. If its link isn't one of %v, ask "+
			"whoever runs that router: its next hop gives no answer.", from)
		return true
	}
	return false
}

// deadEnd is that nothing gets farther, as far as is known.
func (d *drop) deadEnd(x *Finding) {
	x.Code, x.Confidence = PathEnds, Possible
	x.Title = fmt.Sprintf("Nothing gets farther than %s", d.hopName(d.last))
	if !slices.ContainsFunc(d.seen, func(s sighting) bool { return s.fate == vanishes && (s.echo || !s.port) }) ||
		slices.ContainsFunc(d.seen, func(s sighting) bool { return s.fate == passes }) {
		x.Title = fmt.Sprintf("The probes vanish beyond %s", d.hopName(d.last))
	}
	firewall := "a firewall that drops everything to this target"
	if slices.ContainsFunc(d.left(), func(c cause) bool { return c.code == FilteredPort }) {
		firewall = fmt.Sprintf("a firewall that drops port %d or everything to this target", d.target.Port())
	}
	const lost = ", a broken path, %sand answers that are lost on the way back or come later than %s"
	same := firewall + fmt.Sprintf(lost, "a target that is down, ", d.patience())
	x.Advice = fmt.Sprintf("Check that the target is up and has this address. Then ask %s.", d.owner(d.last, d.last))
	if d.alive(d.last) {
		same = "a firewall that drops these probes" + fmt.Sprintf(lost, "", d.patience())
		x.Evidence = append(x.Evidence, "The target is alive: it has answered other probes.")
		x.Advice = fmt.Sprintf("Ask %s.", d.owner(d.last, d.last))
	} else if d.handsOn() {
		same = "a firewall that drops these probes" + fmt.Sprintf(lost,
			fmt.Sprintf("a machine beyond hop %d that is down, ", d.last), d.patience())
		x.Evidence = append(x.Evidence, fmt.Sprintf("Other probes were answered in the target's name from hop %d.", d.last))
		x.Advice = fmt.Sprintf("Check whether %s hands port %d on, and the machine and the firewalls beyond it.",
			d.hopName(d.last), d.target.Port())
	}
	x.Evidence = append(x.Evidence, "From here these look the same: "+same+".")
}

// handsOn reports whether other probes were answered in the target's name from the last hop to answer: who stands there
// is up, and what doesn't answer is beyond it.
func (d *drop) handsOn() bool {
	there := func(p *path) bool { return p.answer != nil && p.distance() == d.last }
	return d.last > 0 && slices.ContainsFunc(d.more, there)
}

// patience is how long the trace has waited for answers, in words.
func (d *drop) patience() string { return fmt.Sprintf("%.3g s", d.options.Effective().Wait.Seconds()) }

// alive reports whether anything was answered in the target's name from beyond a hop. What stands nearer isn't the
// target: that is known by the distance, or, where no nearer hop was asked, by the way back.
func (f *facts) alive(after int) bool {
	h := f.at(after)
	return slices.ContainsFunc(f.more, func(p *path) bool {
		switch d := p.distance(); {
		case p.answer == nil, d > 0 && d <= after, h != nil && p.back() >= 0 && h.backs(p.back()):
			return false
		case d > p.first():
			return true
		}
		e, known := f.excessBefore(after + 1)
		return !known || p.back() < 0 || p.back() > after-1+e
	})
}

// filter is that a class of probes vanishes, and others pass.
func (d *drop) filter(x *Finding, left []cause) {
	lead := left[0]
	d.filterText(x, lead.code)
	x.Confidence = Certain
	if lead.code == FilteredTCP { // other ports may pass, and no answer to TCP shows that any comes back
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "Nobody beyond has answered TCP: if only routers' errors about it are lost on the "+
			"way back, it is dropped farther on, by the target too.")
	}
	for _, c := range left[1:] {
		n := d.coincidences(lead)
		switch {
		case lead.code == StuckService && c.code == FilteredPort:
			x.Confidence = Possible // which the advice names
		case c.code != BrokenBranch:
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, rivalText(c.code))
		case n < provenFlows:
			x.Confidence = min(x.Confidence, Likely)
			x.Evidence = append(x.Evidence, fmt.Sprintf("If a member of a load-balanced group were dead instead, %s "+
				"would have fared so by chance.", times(n, "flow", "flows")))
		}
	}
	if d.counts.NearMisses >= fewMisses {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("But %d answers came that fit all but the sequence number of the "+
			"probes: something may only hide the hops beyond it.", d.counts.NearMisses))
	}
	if slices.ContainsFunc(d.witnesses(), d.answeredNearer) {
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(x.Evidence,
			"Something nearer answers other probes to this port in the target's name: it may take these too.")
	}
	d.orAnotherWay(x, lead)
	d.orUnseenWay(x, lead.code)
	d.orTarget(x, lead)
	d.orLimit(x, lead)
}

// seenAtEnd reports whether the place ends where a packet was seen that is alike in all that a router may choose the
// way by: the port, whether it opens a connection, its length and its mark. What differs in one of them may be sent
// another way, and comes by the same routers only up to the last hop that has answered. It may vanish anywhere on a way
// whose routers are silent. All ways end at the target.
func (d *drop) seenAtEnd(x *Finding) bool {
	return d.endsAtTarget(x) || slices.ContainsFunc(d.seen, func(s sighting) bool {
		alike := s.port && !s.echo && s.syn == d.mine.syn && s.long == d.mine.long && s.marked == d.mine.marked
		return alike && s.fate == passes && s.way != otherWay && s.at > 0 && s.at <= x.Before
	})
}

// orUnseenWay weighs that these probes go another way from the last hop on that has answered them.
func (d *drop) orUnseenWay(x *Finding, code Code) {
	if d.nowhere() || d.seenAtEnd(x) {
		return // where not even the first hop has answered, this host's own routes are named
	}
	x.Confidence = min(x.Confidence, Likely)
	x.Evidence = append(x.Evidence, fmt.Sprintf("No %s were seen beyond hop %d. If they go on as others do, they are "+
		"dropped before %s; if they are sent another way, whose routers are silent, then anywhere there, by the target's "+
		"own firewall too.", d.unseen(code), d.last, d.hopName(x.Before)))
	x.Advice += " Or they are sent another way there."
}

// unseen is what a filter drops.
func (d *drop) unseen(code Code) string {
	switch code {
	case SizeFilter:
		return fmt.Sprintf("packets of %d bytes", d.options.Length)
	case MarkDropped:
		return "packets with this mark"
	case FilteredTCP:
		return "TCP packets"
	}
	return fmt.Sprintf("%s to port %d", d.kind(), d.target.Port())
}

// endsAtTarget reports whether the target is the next to answer.
func (d *drop) endsAtTarget(x *Finding) bool {
	own := d.port != nil && d.port.ownHop() == x.Before // it hands the other port on from there
	return d.farthest() > 0 && (x.Before >= d.farthest() || own || d.next() == 0 && d.onlyTarget())
}

// orAnotherWay weighs that those that got farther went another way.
func (d *drop) orAnotherWay(x *Finding, lead cause) {
	known, strong, got := false, false, 0 // got: flows that got farther
	for _, s := range d.seen {
		if s.fate == passes && s.way != otherWay {
			known = known || s.way == sameWay
			strong = strong || !s.weak
			got++
		}
	}
	switch {
	case known && !d.excluded(lead):
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(x.Evidence, fmt.Sprintf("Not all of them came by the router of hop %d, as far as is known.",
			d.last))
	case known && lead.code == FilteredPort && d.echoVanishes():
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(x.Evidence, "ICMP echo requests vanish too: it may be a dead member of a load-balanced group "+
			"that they went by, and this port be dropped elsewhere.")
	case known && got < 2 && lead.code == FilteredPort:
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(x.Evidence, "Only one flow got farther: it may have gone another way.")
	}
	switch {
	case !known && d.only(d.last) == d.target.Addr():
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("A NAT on the way answers in the target's name at hop %d: the machine "+
			"that it sends this port to may be down, or the way there broken.", d.last))
	case !known:
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("By which router those came that got farther isn't known: hop %d "+
			"did not answer them. They may have gone another way.", d.last))
	}
	if !strong {
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(x.Evidence, "That is one router only, which may have answered these and not the others by "+
			"chance.")
	}
}

// orTarget weighs that it is the target itself, the next to answer, that drops.
func (d *drop) orTarget(x *Finding, lead cause) {
	if d.endsAtTarget(x) {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "The next to answer is the target: its own firewall may drop them, or one in "+
			"front of it, or the answers to them are lost on the way back"+
			when(d.told(), ", or dropped by this host's own firewall", "")+", or come later than "+d.patience()+
			". Nothing from outside tells these apart.")
		if lead.code != StuckService {
			x.Advice = "Check the target's own firewall or security group first. Else a" + strings.TrimPrefix(x.Advice, "A")
		}
	}
}

// silentByChance is how probable it is that no router beyond the place answers the trace's own probes though they get
// there, by how seldom those routers answer others.
func (d *drop) silentByChance() (chance float64, beyond tried) {
	chance = 1
	for _, h := range d.hops {
		var others tried
		for _, w := range d.witnesses() {
			at := w.at(h.ttl)
			there := max(w.lastRouter(), w.distance()-1) >= h.ttl && !d.cameBy(w.path, d.last, otherWay)
			if h.ttl > d.last && at != nil && there {
				others = others.add(tried{at.lost, len(at.results)})
			}
		}
		if others.lost < others.sent && h.lost > 0 {
			beyond = beyond.add(others)
			chance *= math.Pow(float64(others.lost+1)/float64(others.sent+2), float64(h.lost)) // as Laplace has it
		}
	}
	return when(beyond.lost > 0, chance, 0), beyond
}

// orChance weighs that these probes get as far as others, to routers that answer seldom.
func (d *drop) orChance(x *Finding) {
	if chance, beyond := d.silentByChance(); chance > unlikely && x.Confidence > Possible {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("But routers beyond left %v of other probes unanswered: these may come "+
			"as far, and have no answer by chance.", beyond))
	}
}

// excluded reports whether each other cause that is left out is contradicted by probes that are known to have come by
// the same router. A dead member of a load-balanced group is excluded by the number of flows.
func (d *drop) excluded(lead cause) bool {
	return !slices.ContainsFunc(d.causes(), func(c cause) bool {
		against := false
		for _, s := range d.seen {
			if s.contradicts(c) {
				if s.way == sameWay {
					return false
				}
				against = true
			}
		}
		return against && c.code != lead.code && c.code != BrokenBranch
	})
}

// echoVanishes reports whether ICMP echo requests vanish too, as they do where everything but some ports is dropped.
func (d *drop) echoVanishes() bool {
	return slices.ContainsFunc(d.seen, func(s sighting) bool { return s.echo && s.fate == vanishes })
}

// onlyTarget reports whether all that got farther was answered by the target itself, and by no router beyond the place.
func (d *drop) onlyTarget() bool {
	return !slices.ContainsFunc(d.witnesses(), func(w witness) bool {
		at := d.reach(w.path)
		return at > 0 && at != w.distance()
	})
}

// answeredNearer reports whether probes of another kind to the same port were answered in the target's name before the
// place, or right beyond it.
func (d *drop) answeredNearer(w witness) bool {
	tcp := w.options.Protocol == packet.ProtoTCP
	return tcp && w.answer != nil && w.target.Port() == d.target.Port() && d.reach(w.path) == 0
}

// rivalText names a cause that isn't excluded either.
func rivalText(code Code) string {
	switch code {
	case FilteredPort:
		return "That it is this port alone isn't excluded: no other was seen to come this way."
	case filteredOptions:
		return "That it is their TCP options isn't excluded: SYNs with others were not seen to come this way."
	case FilteredSYN:
		return "That new connections to all ports are dropped there isn't excluded: SYNs to another port were not " +
			"seen to come this way."
	case FilteredACK:
		return "That ACKs to all ports are dropped there isn't excluded."
	case FilteredTCP:
		return "That all TCP is dropped there isn't excluded."
	case SizeFilter:
		return "That it is their length isn't excluded."
	case MarkDropped:
		return "That it is their mark isn't excluded."
	}
	return "Other causes aren't excluded."
}

// whatDrops is what a filter may be. No question excludes the last two: more probes only make them last longer.
const whatDrops = "a rule, a route to nowhere, a ban after earlier tries or a very slow limit. The last two end: " +
	"wait some minutes, then ask once (-q 1)."

// filterText says what is dropped.
func (d *drop) filterText(x *Finding, code Code) {
	port := d.target.Port()
	whom := d.owner(x.After, x.Before)
	// Answers that are lost on the way back look like probes that are lost on the way there, whatever is asked.
	place := d.between(x.After, x.Before)
	if !d.seenAtEnd(x) && !d.hostMayDoIt() {
		place = "beyond " + d.hopName(x.After)
	}
	place += ", on the way there or back"
	x.Code = code
	switch code {
	case SizeFilter:
		x.Title = fmt.Sprintf("Packets of %d bytes vanish %s%s", d.options.Length, place,
			when(d.shows(code), ", and shorter ones pass", ""))
		x.Advice = fmt.Sprintf("Ask %s: a filter drops SYNs with a payload, which ordinary connections don't send. Or "+
			"a link takes only smaller packets, and nobody says so: run it with --mtu to see.", whom)
	case MarkDropped:
		x.Title = fmt.Sprintf("Packets with the mark %#02x (DSCP %d, ECN %d) are dropped %s%s",
			d.options.TOS, d.options.TOS>>2, d.options.TOS&3, place, when(d.shows(code), ", and unmarked ones pass", ""))
		x.Advice = fmt.Sprintf("Ask %s: a firewall or a policy drops by the TOS byte (traffic class). To see the way "+
			"of ordinary packets, trace without -t.", whom)
	case filteredOptions:
		x.Code = FilteredSYN
		with := "their TCP options"
		if odd := d.odd(); odd != "" {
			with = odd
		}
		x.Title = fmt.Sprintf("SYNs with %s are silently dropped %s%s", with, place,
			when(d.shows(code), ", and other SYNs pass", ""))
		x.Advice = fmt.Sprintf("Ask %s: a packet filter there looks at the options of SYNs.", whom)
		if d.odd() != "" {
			x.Advice = fmt.Sprintf("Ask %s: a packet filter drops what is unusual. Most connections don't begin so, and "+
				"pass.", whom)
			x.Weight = weightNotice
		}
	case StuckService:
		d.stuckText(x)
	case FilteredACK:
		x.Weight = weightNotice
		x.Title = fmt.Sprintf("ACKs without a connection are dropped %s%s", place,
			when(d.shows(code), ", where SYNs pass", ""))
		x.Advice = "Trace without -A. A firewall that keeps track of connections is there; connections are not harmed."
	case FilteredPort:
		x.Title = fmt.Sprintf("Port %d is silently dropped %s", port, place)
		x.Advice = fmt.Sprintf("Ask %s what drops port %d there: %s", whom, port, whatDrops)
		if slices.ContainsFunc(d.seen, func(s sighting) bool { return s.syn && !s.port && s.fate == passes }) {
			x.Advice = fmt.Sprintf("Ask %s what drops port %d there and lets port %d pass: %s", whom, port,
				d.port.target.Port(), whatDrops)
		}
		if slices.ContainsFunc(d.seen, func(s sighting) bool { return s.port && !s.syn && !s.echo && s.fate == passes }) {
			x.Advice = fmt.Sprintf("Ask %s what drops new connections to port %d there: %s", whom, port, whatDrops)
		}
	case FilteredSYN:
		x.Title = fmt.Sprintf("New connections are silently dropped %s%s", place,
			when(d.shows(code), ": SYNs vanish where ACKs pass", ""))
		x.Advice = fmt.Sprintf("Ask %s what drops new connections there, and lets packets of established ones pass: %s", whom,
			whatDrops)
	case FilteredTCP:
		where := when(d.shows(code), ", where ICMP passes", "")
		x.Title = fmt.Sprintf("TCP is silently dropped %s%s", place, where)
		x.Advice = fmt.Sprintf("Ask %s what drops TCP to this target there, or all of it but some ports that were not "+
			"tried: %s", whom, whatDrops)
		if !d.asks() && d.syn == nil {
			x.Code, x.Title = Filtered, fmt.Sprintf("ACKs vanish %s%s", place, where)
			x.Advice = "Trace without -A. A firewall that keeps track of connections drops ACKs without one, or one " +
				"drops all TCP."
		}
	}
}

// routerAt reports whether a router beyond the place has answered other probes with this TTL.
func (d *drop) routerAt(ttl int) bool {
	return slices.ContainsFunc(d.witnesses(), func(w witness) bool {
		h := w.at(ttl)
		return h != nil && len(h.routers) > 0 && ttl > d.comesTo(w.path, d.last)
	})
}

// proves reports whether a trace of another kind shows enough of what is beyond the place: several routers, or the
// target and none but one that always answers. One that doesn't may have left the others unanswered though they got
// there.
func (d *drop) proves(p *path) bool {
	routers, lost := 0, 0
	for _, h := range p.hops {
		if h.ttl > d.last && len(h.routers) > 0 {
			routers++
			lost += h.lost
		}
	}
	return routers > 1 || lost == 0 && p.answer != nil
}

// who is who answered a trace of another kind at a hop.
func (d *drop) who(p *path, ttl int) string {
	if h := p.at(ttl); h != nil && len(h.routers) > 0 {
		return fmt.Sprintf("the router %v, hop %d,", h.routers[0], ttl)
	}
	return fmt.Sprintf("the target, hop %d,", ttl)
}

func (d *drop) silentHops() (n int) {
	for _, h := range d.hops {
		if h.ttl > d.last && h.lost > 0 {
			n++
		}
	}
	return n
}

// odd is what sets the SYNs, of the trace and of those to tell cases apart, off from those of most connections; "":
// nothing.
func (p *path) odd() string {
	flags := p.options.Flags &^ packet.SYN
	switch {
	case !p.asks():
		return ""
	case flags != 0:
		return fmt.Sprintf("the flags %v", flags)
	case p.options.Options.Len() == 0:
		return "no options"
	}
	return ""
}
