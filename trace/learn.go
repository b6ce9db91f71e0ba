package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// What a plan learns from what became of its probes.

// Learn implements Plan.
func (p *Path) Learn(now time.Time, r Result) {
	p.idleUntil = time.Time{}
	if r.FromTarget() {
		if !p.target.answers && !r.Proven() {
			p.answeredBefore()
		}
		p.count(r)
		if r.Outcome != Answered && r.Role == RoleHop {
			p.refuse(r)
		}
	}
	switch r.Outcome {
	case Answered, Lost, Failed, Unknown:
		p.settle(now, r)
	case Late:
		p.answeredLate(r)
		p.hear(now, r)
	case Duplicate:
		p.repeat(now, r)
	case Shared:
		p.share(now, r)
	case Rewritten:
		p.mistrust(now, r)
	}
}

// answeredBefore takes in that the first answer of the target is of a kind that isn't believed at once: all probes that
// may have got to the target may have been answered before.
func (p *Path) answeredBefore() {
	for _, a := range p.pending {
		a.doubted = a.doubted || !a.byProbePort && a.ttl > p.lastRouter
	}
	for ttl := p.lastRouter + 1; ttl <= p.o.MaxTTL; ttl++ {
		h := p.hop(ttl)
		h.asked, h.vain = h.asked-min(h.vain, h.asked), 0
	}
}

// settle takes a probe's outcome in.
func (p *Path) settle(now time.Time, r Result) {
	ttl, key := int(r.Probe.TTL), r.Probe.Key()
	i := slices.IndexFunc(p.pending, func(a *ask) bool { return a.key == key })
	if i < 0 {
		return
	}
	a := p.pending[i]
	p.pending, p.learning = slices.Delete(p.pending, i, i+1), a
	if p.ended(a, r) {
		p.syns.add(ttl-p.o.FirstTTL, -1)
		if r.Outcome == Lost {
			p.syns.lost[ttl-p.o.FirstTTL]++
		}
	}
	if a.byProbePort {
		if r.Outcome == Unknown && p.slowest == 0 { // else it is known that its answer would be here
			p.withdrew(now, a)
		}
		p.learnDistance(now, r)
		return
	}
	h := p.hop(ttl)
	h.inFlight--
	if a.sent.Equal(h.last) {
		h.retry = retryNone
	}
	if p.untagged {
		p.soon = later(p.soon, p.quietAgain(now, a, r))
	}
	a.outcome = r.Outcome
	p.slowed(a, r)
	switch r.Outcome {
	case Unknown:
		p.settleUnknown(now, a)
	case Lost:
		p.settleLost(now, a)
	case Failed:
		h.failed++
		p.known = max(p.known, ttl) // nobody will answer, and it overshoots nothing
	case Answered:
		p.settleAnswered(now, a, r)
	}
}

// quietAgain is when no answer comes any more that names no probe, and may be a second one to this probe, or, where the
// wait is shorter than the round trip, the first.
func (p *Path) quietAgain(now time.Time, a *ask, r Result) time.Time {
	switch {
	case r.Outcome == Answered && r.FromTarget() && !p.hop(a.ttl).byTarget:
		return a.sent.Add(DefaultWait) // it may be a SYN+ACK that is sent again, and a router's answer be on its way
	case r.Outcome == Answered:
		return now.Add(resetTime + r.RTT()/resetShare)
	}
	t := settled(p.slowest)
	if p.target.answers && a.ttl > p.lastRouter {
		// A SYN+ACK that was lost is sent again just when the wait is over.
		t = max(t, retransmitTime+p.target.rtt+p.slack())
	}
	return a.sent.Add(t)
}

// withdrew notes since when a probe may be answered that was withdrawn.
func (p *Path) withdrew(now time.Time, a *ask) {
	if p.gone.IsZero() || now.Sub(p.gone) > p.o.Wait {
		p.gone = a.sent
	}
}

// settleUnknown takes in that a probe was withdrawn, or that this host was stopped. Mostly it is sent anew.
func (p *Path) settleUnknown(now time.Time, a *ask) {
	h := p.hop(a.ttl)
	p.withdrew(now, a)
	if a.anew {
		p.slow.anew++
		h.asked--
		return
	}
	if a.retried {
		a.outcome = Lost // a limit before the hop may have dropped it, see limited
		h.retries++
		h.retry, p.purge = retryWanted, true // so that the answer to the next one is nobody else's
		h.asked--
		return
	}
	h.open = a.doubted
	if a.alone && a.doubted {
		p.again++
	}
	if !a.doubted && a.ttl <= p.limit {
		h.unseen++ // this host was stopped, or has lost answers, and may go on doing so
	}
	if p.again <= mostAgain && h.unseen <= p.o.Queries && (p.rounds.on() || h.sends < mostAgain*p.o.Queries) {
		h.asked--
	}
}

// settleLost takes in that a probe was not answered.
func (p *Path) settleLost(now time.Time, a *ask) {
	h := p.hop(a.ttl)
	h.vain++
	h.open = false
	h.silent = h.silent || now.Sub(a.sent) >= p.whole
	p.missed(now, a)
	if a.ttl == p.estimate && !h.answered && h.asked >= p.wanted(a.ttl) && h.retry == retryNone {
		if p.estimate > p.lastRouter+2 && p.suspicious() {
			p.slowDown(now) // before others are sent beyond it
		}
		p.missingAt(p.estimate)
		p.estimate = 0 // nothing is there; it may be farther
	}
}

// settleAnswered takes in a probe's answer.
func (p *Path) settleAnswered(now time.Time, a *ask, r Result) {
	ttl, h := a.ttl, p.hop(a.ttl)
	if r.FromTarget() && a.distance {
		p.credit++
	}
	p.refuse(r)
	h.shown, h.byTarget = true, h.byTarget || r.FromTarget() || r.Refused() && !p.refusals.some()
	if p.slow.over && !p.slow.active && !p.slow.done && ttl > p.slow.from && !p.target.answers && !h.byTarget {
		p.slowDown(now) // so the silence was that of a limit
	}
	p.hear(now, r)
	h.heard, h.gone = later(h.heard, r.Sent), 0
	if r.Refused() {
		h.refused++
	}
	if r.FromTarget() {
		p.mixed, p.unclear, p.target.heard = false, 0, now
		if ttl != p.estimate && !a.distance && (ttl <= p.farthest || p.mayReach(ttl)) {
			p.estimate = p.nearest(ttl)
		}
	}
	if r.FromTarget() {
		p.reached(ttl)
		p.apartFrom(r)
	}
	if r.FromTarget() && !p.rounds.claims.exposed(ttl) || r.Refused() {
		p.rounds.end = later(p.rounds.end, r.Sent)
	}
	if a.distance {
		p.own = ownOver
		p.estimateFrom(r)
	} else if r.Reply.Kind == packet.KindTimeExceeded && p.estimate > 0 && ttl >= p.estimate {
		p.raise(ttl)
	}
}

// raise corrects an estimate that was too low, for a router has answered there. Where the way back of this router's
// answer explains that, the estimate follows it: answers of routers in a tunnel come a longer way than the target's.
// Else it goes up by a step, each time by a longer one.
func (p *Path) raise(ttl int) {
	if p.estimate = p.back - p.skew; p.estimate <= ttl {
		p.estimate = ttl + p.step
		p.step *= 2
	}
}

// refuse takes in where the path's own flow is refused, if it is. A router that answers where the quotes said that
// this is proves them wrong.
func (p *Path) refuse(r Result) {
	before := p.refusals.end()
	p.refusals.add(r)
	p.refusedAt(before)
}

// passBy takes in that the target has answered another flow.
func (p *Path) passBy() {
	before := p.refusals.end()
	p.refusals.beside = true
	p.refusedAt(before)
}

// refusedAt takes in where the path's own flow is refused now, after it was refused at another hop before.
func (p *Path) refusedAt(before int) {
	switch end := p.refusals.end(); {
	case end == 0 && before > 0 && p.limit == max(before, p.o.FirstTTL):
		p.limit = p.bound() // others get past it
	case end == 0:
	case p.limit == before && end > before:
		p.limit = end
	default:
		p.limit = min(p.limit, max(end, p.o.FirstTTL))
	}
}

// refusedBeyond is how many probes with other TTLs were refused by the hop that refuses the path's own flow: they
// count there.
func (p *Path) refusedBeyond() (n int) {
	for _, r := range p.refused {
		if spare := r.Role != RoleHop; (spare || int(r.Probe.TTL) != p.limit) && p.refusals.at(r, !spare) {
			n++
		}
	}
	return n
}

// hear takes in what an answer says of the path and of the times.
func (p *Path) hear(now time.Time, r Result) {
	ttl, rtt := int(r.Probe.TTL), p.roundTrip(r)
	if r.Refused() && !p.rounds.on() && r.Outcome == Answered {
		p.refused = append(p.refused, r)
	}
	if r.FromTarget() {
		p.hearTarget(now, r)
	}
	if r.Outcome == Late && r.Evidence == ByFlow {
		return // which hop it is from isn't sure
	}
	if !p.sentAgain(r) {
		p.slowest = max(p.slowest, rtt)
	}
	if r.Role != RoleHop || ttl == p.o.MaxTTL && p.own != ownNone && r.Reply.Kind != packet.KindTimeExceeded {
		return // how far it got isn't told by its TTL, or it went another way
	}
	if r.Refused() && p.refusals.at(r, true) {
		ttl = p.limit
	}
	p.timed(p.hop(ttl), rtt, r.Refused())
	p.answeredTo = max(p.answeredTo, ttl)
	if ttl > p.known {
		p.known, p.moved, p.slow.held = ttl, now, false
		if r.Reply.Kind == packet.KindTimeExceeded {
			p.skew = backwards(r.Reply.IP.TTL) - ttl
		}
	}
	switch {
	case r.Reply.Kind == packet.KindTimeExceeded:
		p.lastRouter = max(p.lastRouter, ttl)
		p.expired(ttl)
		p.lengthen(r)
		for _, a := range p.pending {
			a.doubted = a.doubted && (a.ttl > p.lastRouter || p.rewritten > 0) // it did not get to the target
			a.shadowed = a.shadowed && a.doubted
		}
	case r.FromTarget() && (p.rounds.on() && !p.rounds.claims.exposed(ttl) || p.mayReach(ttl)):
		p.lastRouter = min(p.lastRouter, ttl-1) // where the route has become shorter
	case r.Outcome == Late && ttl > p.lastRouter && !p.target.answers: // a refusal
		p.refuse(r)
		p.rounds.end = later(p.rounds.end, r.Sent)
	}
}

// sentAgain reports whether the target has most likely sent a SYN+ACK again: it comes a second later than any answer
// before, so it says nothing of how long answers take.
func (p *Path) sentAgain(r Result) bool {
	return r.FromTarget() && r.Reply.TCP.Flags.Has(packet.SYN) && p.slowest > 0 && r.RTT()-p.slowest >= leastRetransmit
}

// timed takes in how long an answer from a hop took.
func (p *Path) timed(h *hop, rtt time.Duration, refused bool) {
	if h.answered {
		p.unsteady += min(max(rtt, h.best)-min(rtt, h.best), mostLate)
		p.repeated++
	}
	switch passed := h.router || h.reached; {
	case refused && passed: // it was refused nearer by, and says nothing of this hop's time
	case !h.answered || rtt < h.best, !refused && !passed:
		h.best = rtt
	}
	h.answered, h.vain = true, 0
	h.rtt = max(h.rtt, rtt)
}

func (p *Path) hearTarget(now time.Time, r Result) {
	t, rtt, ttl := &p.target, r.RTT(), int(r.Probe.TTL)
	if r.Outcome == Answered {
		p.answersStill(r)
		p.seen(r)
		p.stay(now, r)
	}
	if r.Outcome == Answered && !t.told {
		t.rtt, t.least, t.late, t.told, t.vague = 0, rtt, 0, true, false
	}
	if p.answersBy(r); t.opens {
		p.opened(r)
	}
	if r.Outcome == Late && r.Evidence == ByFlow { // it may be another's, of long ago, or sent again
		rtt = min(rtt, p.o.Wait)
		if p.rounds.on() {
			rtt = t.rtt
		}
	}
	t.rateLimitsSYNACK = t.rateLimitsSYNACK || forOlder(r)
	t.tags = r.Evidence == ByTag
	if t.told || r.Evidence == ByFlow || !p.sentAgain(r) { // else nothing is known of its times yet
		t.took(rtt, r.Reply.TCP.Flags.Has(packet.SYN))
	}
	t.answers = true
	if r.Evidence == ByTag {
		p.reached(ttl) // a late answer tells the distance too
	} else if r.Outcome == Late {
		p.within(r)
	}
	if r.Role == RoleHop {
		p.restTarget(now)
	}
}

// answersBy takes in what kind of answer the target has given.
func (p *Path) answersBy(r Result) {
	flags := r.Reply.TCP.Flags
	p.target.opens, p.target.resets = flags.Has(packet.SYN), flags.Has(packet.RST) && p.o.Flags.Has(packet.SYN)
}

// opened takes in a SYN+ACK of the target.
func (p *Path) opened(r Result) {
	t, tcp, ttl := &p.target, &r.Reply.TCP, int(r.Probe.TTL)
	for _, a := range p.pending {
		switch {
		case a.aside:
		case a.passed && tcp.Seq == t.iss:
			// One number for all, and not all are answered: our resets don't get there.
			t.rateLimitsSYNACK, a.doubted = true, true
		case p.takenForResend(a, r):
			a.doubted = true
			if a.ttl < ttl {
				p.shadow(a)
			}
		}
	}
	t.repeats = t.answers && t.iss == tcp.Seq
	t.rateLimitsSYNACK = t.rateLimitsSYNACK && (t.repeats || !p.rounds.on()) // one reset was lost, not all
	t.iss = tcp.Seq
}

// took takes in how long an answer took. A SYN+ACK that took a second longer than another was sent again, and says
// nothing of how long answers take.
func (t *target) took(rtt time.Duration, syn bool) {
	t.late -= t.late / lateShare
	differs := rtt - t.least
	if differs.Abs() < leastRetransmit {
		t.late = max(t.late, differs.Abs())
	} else if syn && t.told {
		t.rtt, t.least = min(t.rtt, rtt), min(t.least, rtt)
		return
	}
	t.rtt, t.least = max(t.rtt, rtt), min(t.least, rtt)
}

// takenForResend reports whether a probe may have got no answer because it repeats the SYN that r answers: where r's
// was not meant to be the first that got there, others that may have got there were sent beside it; and nearer hops may
// be asked after it. Both times are those at which the probes were decided on, for how long it takes until they leave
// differs.
func (p *Path) takenForResend(a *ask, r Result) bool {
	if a.passed || a.key.Port != r.Probe.Src.Port() {
		return false
	}
	ttl := int(r.Probe.TTL)
	if p.lastRouter < a.ttl && a.ttl < ttl && a.sent.Before(r.Recv) && r.Outcome == Answered {
		// else it would have been answered itself, and so would the control probe
		return !a.sent.Before(p.learning.sent) || a.ttl > p.controlled
	}
	early := ttl < p.estimate || ttl == p.o.MaxTTL && p.step == 0
	return r.Evidence == ByTag && (a.ttl == ttl || a.ttl > p.lastRouter && early)
}

// shadow notes that a probe may have got no answer because one was sent further before it.
func (p *Path) shadow(a *ask) { a.doubted, a.shadowed, p.wary = true, true, true }

// restTarget leaves the target alone until it has been reset. If its answers come at uneven times, so may the reset.
func (p *Path) restTarget(now time.Time) {
	rest := p.target.rtt / resetShare
	if p.target.told {
		rest = (p.target.least+p.target.late)/resetShare + p.target.late
	}
	p.target.ready = now.Add(resetTime + rest)
	if p.target.rateLimitsSYNACK {
		p.target.ready = later(p.target.ready, now.Add(resendAnswerTime))
	}
}

// repeat takes in a second answer. A SYN+ACK may come again by itself, or because the target takes our SYN for a
// repetition of one before: then it was this SYN's answer.
func (p *Path) repeat(now time.Time, r Result) {
	p.suspect(r)
	p.second(now, r)
	if !r.FromTarget() || !r.Reply.TCP.Flags.Has(packet.SYN) {
		return
	}
	first := !p.wary
	for _, a := range p.pending {
		switch {
		case a.passed:
		case p.exclusive(a.ttl), a == p.slow.asked:
			a.doubted = true
		case first && !a.byProbePort && a.ttl > p.lastRouter && a.ttl < int(r.Probe.TTL) && a.key.Port == r.Probe.Src.Port():
			p.shadow(a)
		}
	}
}

// share takes in that the target has answered one of several probes.
func (p *Path) share(now time.Time, r Result) {
	// else it is another flow that ends there
	if ttl := int(r.Probe.TTL); ttl <= p.lastRouter && len(p.o.Ports) == 0 && (p.rounds.on() || p.mayReach(ttl)) {
		p.lastRouter = p.o.FirstTTL - 1 // the route has become shorter, by how much will be seen
	}
	var oldest time.Duration
	youngest := p.o.Wait
	p.answersBy(r)
	again := false // it may be an answer that the target sends again, to a probe that nobody waits for any more
	if tcp := &r.Reply.TCP; tcp.Flags.Has(packet.SYN) {
		again = p.target.answers && tcp.Seq == p.target.iss
		p.target.iss = tcp.Seq
	}
	p.target.rateLimitsSYNACK = p.target.rateLimitsSYNACK || forOlder(r)
	one, other, delicate := 0, false, p.wary // one is the only TTL of them all, where there is no other
	alone := false                           // nothing was in flight beside it, so the other is one that was withdrawn
	longest := max(p.longest(), p.target.rtt+p.slack())
	if i := p.youngest(now, r); i >= 0 {
		longest = max(longest, now.Sub(p.pending[i].sent)) // one of them was answered
	}
	for _, a := range p.pending {
		age := now.Sub(a.sent)
		if p.fits(a, now, r) && (age <= longest || a.distance || !p.target.answers) {
			a.doubted, a.until = true, now.Add(2*apart) // for the router before the target may tell
			oldest, youngest = max(oldest, age), min(youngest, age)
			other = other || one != 0 && a.ttl != one || a.distance
			one, alone = a.ttl, a.alone
		}
	}
	if r.Role == RoleHop {
		if !p.mixed {
			p.placement.since, p.placement.came = now, r.Reply.IP.TTL
		}
		p.mixed, p.wary = true, true
	}
	p.within(r)
	if !p.target.answers {
		if age := now.Sub(p.gone); age < p.o.Wait {
			oldest = max(oldest, age) // one that was withdrawn may be answered
		}
		p.firstShared(oldest, youngest)
	}
	p.restTarget(now)
	if one > 0 && !other {
		p.sharedAt(one, oldest, youngest < oldest || alone, delicate, again)
		p.stillUnclear(one)
	}
}

// stillUnclear takes in that an answer fitted the probe to one hop alone, and wasn't told to be its. After many of them
// in a row the path ends there: no port is left by which to tell, and each hop beyond is one more SYN at the target.
func (p *Path) stillUnclear(ttl int) {
	if p.unclear++; p.unclear > mostAgain && len(p.o.ProbePorts) == 0 && !p.rounds.on() {
		p.limit = min(p.limit, ttl)
	}
}

// firstShared takes in that the target answers, by the ages of the probes that its first answer fits.
func (p *Path) firstShared(oldest, youngest time.Duration) {
	p.target.answers, p.target.rtt = true, oldest
	// Where that makes for a long wait, it is measured by one probe that certainly gets there before any other hop in
	// doubt is asked.
	long := slow
	if p.rounds.on() {
		long = longRound
	}
	p.target.vague = oldest > long && youngest < oldest/2
}

// fits reports whether an answer that fits several probes may be this one's.
func (p *Path) fits(a *ask, now time.Time, r Result) bool {
	return a.ttl > p.lastRouter && !a.aside && (!a.passed || now.Sub(a.sent) < p.settling(a.ttl)) &&
		a.key.Port == r.Probe.Src.Port()
}

// youngest finds the probe in flight that was sent last, of those that an answer fits; -1: there is none.
func (p *Path) youngest(now time.Time, r Result) int {
	i := len(p.pending) - 1
	for i >= 0 && !p.fits(p.pending[i], now, r) {
		i--
	}
	return i
}

// mistrust takes in that an answer was not taken for any probe's, because the network rewrites what would tell. All
// that are in flight may have been answered so. It takes more than one such answer to go on with one probe at a time,
// for one may be a damaged packet.
func (p *Path) mistrust(now time.Time, r Result) {
	p.rewritten++
	p.single = p.rewritten >= rewriteProof
	p.untagged = p.untagged || p.single && r.Evidence == ByFlow
	took := r.RTT()
	for _, a := range p.pending {
		if a.doubted = true; r.Evidence == ByFlow {
			took = min(took, now.Sub(a.sent)) // at least: it may be any of them
		}
		if p.untagged {
			a.until = a.sent.Add(p.o.Wait) // its answer may come from far beyond what is known, and be taken for another's
		}
	}
	if waits := func(a *ask) bool { return a.key == r.Probe.Key() }; p.untagged && slices.ContainsFunc(p.pending, waits) {
		p.soon = later(p.soon, r.Sent.Add(DefaultWait)) // till then it may be that of one before
	}
	p.slowest = max(p.slowest, took)
}
