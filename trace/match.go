package trace

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// The matcher keeps two questions apart. Is it authentic: does the packet bring back a flow's unguessable sequence
// number, from the addresses and ports that it must come from? And which probe is it: told by the tag that the answer
// carries, or, where it carries none, by there being only one probe that it can answer.

// flowID names a flow in what comes back. Never the destination: NAT rewrites it.
type flowID struct {
	port uint16
	seq  uint32
}

// flow is all that the matcher knows of one flow.
type flow struct {
	src, dst   netip.AddrPort
	first      packet.Probe  // what all its probes have in common
	flights    []*flight     // those that may still be answered, in order of sending
	lastRouter uint8         // the highest TTL known to end at a router: lower ones don't reach the target either
	alone      bool          // see TrustAlone
	ended      bool          // nothing is sent with it any more
	trust      Trust         // of its first probe: TrustStrict and TrustLoose
	wait       time.Duration // how long its probes wait at the most
	scrubbed   int           // how many tags have come back that were never sent
	far        time.Duration // the longest that a router's answer took
	near       time.Duration // the shortest that those of the router at spent took
	*distance
	opened []opening // newest last
	// no longer than this, by the best that is known, took an answer of the target that fitted several probes
	bound   time.Duration
	doubts  []doubt
	senders []sender    // whose answers were believed though they named no probe
	blurred []time.Time // when the last answers came that fitted several probes
	fresh   []time.Time // when the last of them came that were SYN+ACKs, and no copies of others
	older   older
	place   int // see index.byLocal
}

// distance is how far a target is, as all flows to it have seen.
type distance struct {
	best, worst time.Duration // the shortest and the longest that an answer took
	// the longest that any answer took to a probe to it, the target's or a router's; 0: there was none
	slowest time.Duration
	// how long after the youngest probe the last answer came that fitted several; 0: there was none
	lag     time.Duration
	routers uint8 // the highest TTL that any flow to it was answered at by a router, and none by the target
	flows   int
	bare    bare
}

// doubt is an answer of the target that fits several probes. Where all but one of them turn out to have ended at
// routers, it is that one's.
type doubt struct {
	reply *packet.Reply
	at    time.Time
	among []*flight
}

// mostDoubts are remembered of a flow.
const mostDoubts = 8

// opening is an initial sequence number of the target, and when a SYN+ACK last brought it.
type opening struct {
	seq  uint32
	last time.Time
}

// mostOpenings are remembered of a flow.
const mostOpenings = 8

// opening finds the one that a segment brings again; nil: it is none, or new.
func (fl *flow) opening(t *packet.TCP) *opening {
	if t.Flags.Has(packet.SYN) {
		for i := range fl.opened {
			if fl.opened[i].seq == t.Seq {
				return &fl.opened[i]
			}
		}
	}
	return nil
}

// flight is one probe on its way.
type flight struct {
	flow     *flow
	probe    packet.Probe
	key      packet.Key
	n        int
	sent     time.Time
	outcome  Outcome
	passed   bool
	role     Role
	note     any
	trust    Trust
	wait     time.Duration
	until    time.Time // it waits so long at least, see Extend
	due      time.Time // when its wait is over
	place    int       // in engine.inFlight
	shared   bool      // an answer came that fits this probe among others: one more doesn't tell either
	recv     time.Time // of its answer, late or not
	byTarget bool      // it was answered, and by the target
	notices  *notices  // nil: none yet
}

func (f *flight) result(fate Outcome) Result {
	return Result{Probe: f.probe, Role: f.role, Note: f.note, N: f.n, Outcome: fate, Sent: f.sent}
}

type matcher struct {
	index
	loose   bool          // a flow was sent with TrustLoose
	wait    time.Duration // how long a probe waits at the most
	flights map[packet.Key]*flight
	noticed int // notices of these flights that were handed on
}

func newMatcher() *matcher {
	return &matcher{index: newIndex(), flights: make(map[packet.Key]*flight)}
}

// add takes in a probe that was just sent.
func (m *matcher) add(a Action, n int, sent time.Time) *flight {
	k, fl := a.Probe.Key(), m.flow(a.Probe)
	f := &flight{
		flow: fl, probe: a.Probe, key: k, n: n, sent: sent, wait: a.Wait, role: a.Role, note: a.Note, trust: a.Trust,
	}
	if f.wait <= 0 {
		f.wait = DefaultWait
	}
	if len(fl.flights) == 0 {
		fl.trust = a.Trust
	}
	fl.wait, m.wait = max(fl.wait, f.wait), max(m.wait, f.wait)
	fl.alone = fl.alone || a.Trust&TrustAlone != 0
	m.loose = m.loose || a.Trust&TrustLoose != 0
	fl.flights = append(fl.flights, f)
	fl.bare.sent++
	if old := m.flights[k]; old != nil {
		m.forget(old) // the tag came round again; nothing that old is answered any more
	}
	m.flights[k] = f
	return f
}

// forget drops a probe so that nothing counts for it again, and its flow with the last probe of it.
func (m *matcher) forget(f *flight) {
	if m.flights[f.key] != f {
		return
	}
	delete(m.flights, f.key)
	if f.notices != nil {
		m.noticed -= f.notices.all
	}
	fl := f.flow
	if i := slices.Index(fl.flights, f); i == 0 { // mostly it is the oldest, of thousands where rounds go on
		fl.flights[0] = nil
		fl.flights = fl.flights[1:]
	} else if i > 0 {
		fl.flights = slices.Delete(fl.flights, i, i+1)
	}
	if len(fl.flights) == 0 {
		m.remove(fl)
	}
}

// match is what the matcher makes of a packet: a verdict, the probe meant (nil where none is), and the evidence.
type match struct {
	verdict  Verdict
	flight   *flight
	evidence Evidence
}

// judge decides what a received packet is. It changes nothing; settle does.
func (m *matcher) judge(r *packet.Reply, at time.Time) match {
	var got match
	switch r.Kind {
	case packet.KindTCP:
		got = m.judgeTCP(r, at)
	case packet.KindEcho:
		got = m.judgeEcho(r)
	case packet.KindTimeExceeded, packet.KindUnreachable, packet.KindTooBig, packet.KindParameterProblem:
		if r.Quote.Echo.HasID() {
			got = m.judgeQuotedEcho(r)
		} else {
			got = m.judgeICMP(r, at)
		}
	default:
		return match{verdict: Unrelated}
	}
	if got.flight == nil {
		if got.verdict != NearMiss && got.verdict != OwnAddress && got.verdict != ShortQuote {
			got.verdict = Unrelated // an answer can't come before its question
		}
		return got
	}
	// A host drops a packet with a wrong checksum, and so do we, but it is said.
	if r.Checksum == packet.CheckBad || r.IP.Checksum == packet.CheckBad {
		got.verdict = BadChecksum
		return got
	}
	if got.verdict == Believed && at.Before(got.flight.sent) {
		got.verdict = Unrelated // an answer can't come before its question
	}
	return got
}

// judgeTCP decides on a TCP segment. It names the flow by its acknowledgement number (a RST that answers an ACK: by its
// sequence number, RFC 9293 3.10.7.1), and the probe only where it echoes its timestamp.
func (m *matcher) judgeTCP(r *packet.Reply, at time.Time) match {
	var got match
	verdict := Unrelated
	local, remote := netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort), netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort)
	for _, fl := range m.between(packet.ProtoTCP, local, remote) {
		proven := fl.acknowledges(&r.TCP)
		older := !proven && fl.isOlder(r, at)
		if !proven && !older && !fl.believesBare(r, at) {
			verdict = NearMiss
			continue
		}
		// Inside a session several flows end at one number, so it is the answer to the one that waits for one.
		next := m.whichTCP(fl, r, at)
		if older {
			next = fl.olderFits(next, at)
		}
		if got.flight == nil || next.verdict == Believed && got.verdict != Believed {
			got = next
		}
	}
	if got.flight != nil {
		return got
	}
	if fl := m.provenElsewhere(r); fl != nil {
		return fl.newestElsewhere(r, at)
	}
	return match{verdict: verdict}
}

// acknowledges reports whether t proves that its sender has seen a probe of the flow.
func (fl *flow) acknowledges(t *packet.TCP) bool {
	p := &fl.first
	if t.Flags.Has(packet.RST) && p.Flags.Has(packet.ACK) {
		return t.Seq == p.Ack
	}
	if !t.Flags.Has(packet.ACK) {
		return false // a RST or SYN without ACK proves nothing
	}
	ack := t.Ack - p.Seq
	if p.Flags.Has(packet.SYN) {
		ack--
	}
	// A SYN's payload is acknowledged by a RST, and seldom by a SYN+ACK (RFC 9293 3.10.7).
	return ack == 0 || ack == uint32(p.PayloadLength())
}

func (m *matcher) whichTCP(fl *flow, r *packet.Reply, at time.Time) match {
	known := fl.opening(&r.TCP)
	if _, ecr, ok := r.TCP.Options.Timestamps(); ok && ecr != 0 {
		f := fl.byTimestamp(ecr)
		if got := fl.overtaken(f, &r.TCP, at); got.flight != nil {
			return got
		}
		if f != nil && (f.outcome != Answered || known == nil) {
			return match{f.verdict(), f, ByTag}
		}
	}
	only, several := fl.candidates(at, func(f *flight) bool { return fl.beyond(f) })
	if several {
		if f := fl.onlyPlausible(at); f != nil {
			only, several = f, false
		}
	}
	late := fl.newest(at, func(f *flight) bool { return (f.outcome == Lost || f.outcome == Unknown) && fl.beyond(f) })
	if only == nil && fl.shortened(known, late, at, fl.wait) {
		only, _ = fl.candidates(at, anyFlight) // the route has become shorter meanwhile: who knows since which of them
		several = true
	}
	if known != nil && (only == nil || several || !fl.answersAgain(only, known, at)) {
		if f := fl.newest(at, byTarget); f != nil {
			return match{IsDuplicate, f, ByFlow}
		}
		several = true
	}
	switch {
	case only == nil:
		return fl.unexpected(late, at)
	case several || only.shared:
		return match{IsShared, only, ByFlow}
	}
	return fl.confirm(only, r.TCP.Flags.Has(packet.SYN), at)
}

// overtaken judges an ACK with the timestamp of a SYN that the target has answered before. To a copy of that SYN the
// target would send its SYN+ACK again. An ACK is for a SYN with an older timestamp (RFC 7323 5.3): it was sent before,
// and something made it come later.
func (fl *flow) overtaken(by *flight, t *packet.TCP, at time.Time) match {
	if by == nil || !by.byTarget || t.Flags.Has(packet.SYN) || t.Flags.Has(packet.RST) || !fl.first.Flags.Has(packet.SYN) {
		return match{}
	}
	f, several := fl.candidates(at, func(f *flight) bool { return fl.beyond(f) && f.sent.Before(by.sent) })
	if several {
		return match{IsShared, f, ByFlow}
	}
	return match{Believed, f, ByFlow}
}

// unexpected judges an answer of the target that no probe in flight can have got: it is late for one that was given up,
// or the second of one that was answered.
func (fl *flow) unexpected(late *flight, at time.Time) match {
	if late != nil {
		return match{IsLate, late, ByFlow}
	}
	if f := fl.newest(at, byTarget); f != nil {
		return match{IsDuplicate, f, ByFlow}
	}
	return match{IsLate, fl.newest(at, anyFlight), ByFlow}
}

// confirm judges an answer of the target that fits one probe in flight only, against those that nobody waits for any
// more: it may be the answer to one of them.
func (fl *flow) confirm(only *flight, syn bool, at time.Time) match {
	switch f, told := fl.olderCandidate(only, at); {
	case !told:
		return match{IsShared, only, ByFlow}
	case f != nil && f.outcome == Pending && fl.quiet(at) && !fl.early(f, at) &&
		(f.probe.TTL == only.probe.TTL || f.probe.TTL > only.probe.TTL && fl.onlyTimely(f, at)):
		return match{Believed, f, ByFlow}
	case f != nil:
		return match{IsLate, f, ByFlow}
	}
	if f := fl.betterMatch(only, at); f != nil {
		switch {
		case f.byTarget:
			return match{IsDuplicate, f, ByFlow}
		case fl.best == 0 && fl.near > 0 && at.Sub(only.sent) >= fl.near:
			return match{IsShared, only, ByFlow} // it has taken as long as one from beyond the last router does
		}
		return match{IsLate, f, ByFlow}
	}
	if fl.ambiguous(only, at, fl.wait, syn && fl.sentAgain(only, at)) && !fl.lags(only, at) || fl.fitsOther(only, at) {
		return match{IsShared, only, ByFlow}
	}
	return match{Believed, only, ByFlow}
}

// shortened reports whether an answer that no probe in flight can have got as far as is known, was got all the same: it
// is not late, nor a copy of the last one. Its SYN+ACK, sent again, would bring a known number.
func (fl *flow) shortened(known *opening, late *flight, at time.Time, wait time.Duration) bool {
	if fl.best == 0 {
		return late == nil
	}
	tooLate := min(2*wait, 4*fl.worst+2*echoTime) // far more than the target ever took
	return known == nil && (late == nil || at.Sub(late.sent) > tooLate) && fl.quiet(at)
}

// quiet reports whether no answer of the target came so lately that this may be its copy.
func (fl *flow) quiet(at time.Time) bool {
	last := fl.newest(at, byTarget)
	return last == nil || at.Sub(last.recv) > echoTime
}

// answersAgain reports whether a SYN+ACK with a sequence number that the target has used before answers the probe f.
// Mostly it doesn't: it was sent again for want of an ACK, which takes a second at least (RFC 6298 2.1), or doubled on
// the way. But a target that answers by SYN cookies has one number for equal SYNs, and so has one that our reset
// doesn't reach, each time that it answers a repeated SYN. Both have never used another. In rounds that are a second
// apart such an answer is also that of a probe which it comes in time for, to the hop that the target has answered at
// before.
func (fl *flow) answersAgain(f *flight, known *opening, at time.Time) bool {
	if len(fl.opened) != 1 || !f.sent.After(known.last) {
		return false
	}
	age := at.Sub(f.sent)
	if early := fl.best - age; early > rttNoise && retransmitted(at.Sub(known.last), early) {
		return false // what makes times differ so much makes the time of one that is sent again differ, too
	}
	if last := fl.newest(at, byTarget); last != nil && last.probe.TTL == f.probe.TTL && age >= fl.best-fl.best/4 &&
		age <= fl.worst+fl.worst/4+tooSoon {
		return true
	}
	least, most := fl.best-usualNoise(fl.best), 2*fl.worst-fl.best
	if fl.best == 0 {
		least, most = fl.near-repeatNoise, fl.bound
	}
	if (fl.best > 0 || fl.alone) && age >= least && age <= most+tooSoon && f.probe.TTL == fl.lastRouter+1 &&
		!retransmitted(at.Sub(known.last), leastRetransmit/8) {
		return true // nothing but a SYN right before it makes a SYN+ACK come out of its turn, and the target is no nearer
	}
	return at.Sub(known.last) < leastRetransmit && age >= fl.best-repeatNoise
}

// retransmitted reports whether a SYN+ACK comes as long after the one before as it does when it is sent again for want
// of an ACK, but for the noise: after a second, and then after twice as long each time (RFC 6298 2.1, 5.5).
func retransmitted(after, noise time.Duration) bool {
	for timeout := retransmitTime; timeout <= 8*retransmitTime; timeout *= 2 {
		if (after - timeout).Abs() < noise {
			return true
		}
	}
	return false
}

// early reports whether the target has never been as fast as it would be if it had answered f.
func (fl *flow) early(f *flight, at time.Time) bool { return fl.best-at.Sub(f.sent) > rttNoise }

// tooFast reports whether the target has never been nearly as fast as it would be if it had answered f.
func (fl *flow) tooFast(f *flight, at time.Time) bool {
	age := at.Sub(f.sent)
	return age < fl.best/2 && fl.best-age > repeatNoise
}

// betterMatch finds the probe before f that an answer fits better, though nobody waits for that any more; nil where it
// is f's. Where the target's time is known, f is doubted if that makes it too fast. Else it is if probes were given up
// that are no older than answers on this path may well be: the wait is shorter than the round trip.
func (fl *flow) betterMatch(f *flight, at time.Time) *flight {
	horizon := 2 * fl.far
	switch {
	case fl.best > 0:
		if !fl.tooFast(f, at) {
			return nil
		}
		horizon = 2 * fl.worst
	case fl.bound > 0 && fl.wait >= horizon: // else bound may leave out what was answered
		horizon = min(horizon, settled(fl.bound)) // a router's answers may take longer than the target's
	}
	return fl.newest(at, func(g *flight) bool {
		return g.sent.Before(f.sent) && fl.beyond(g) && at.Sub(g.sent) <= horizon &&
			(g.outcome == Lost || g.outcome == Unknown || fl.best > 0)
	})
}

// onlyPlausible finds the only one of several probes that an answer of the target comes in time for, where the others
// have lower TTLs and were sent so long before or after it that the answer would come later or sooner than ever before;
// nil: there is none. If it answers one that was sent after it all the same, the probe that is found has got to the
// target too, and before. Those that were sent before are of no matter if the plan vouches for that.
func (fl *flow) onlyPlausible(at time.Time) (in *flight) {
	if fl.best == 0 {
		return nil
	}
	spread := fl.worst - fl.best
	others := uint8(0) // the highest TTL of theirs
	for _, f := range slices.Backward(fl.flights) {
		if !f.candidate(at) || !fl.beyond(f) {
			continue
		}
		age := at.Sub(f.sent)
		switch {
		case in != nil && (in.trust&TrustFirst == 0 || age <= fl.worst+spread+tooLate):
			return nil
		case in == nil && age > fl.worst+spread+tooSoon:
			return nil
		case in == nil && age >= fl.best-spread-tooSoon:
			in = f
		default:
			others = max(others, f.probe.TTL)
		}
	}
	if in != nil && others >= in.probe.TTL {
		return nil
	}
	return in
}

// onlyTimely reports whether an answer of the target comes when f's would, and none of another TTL that nobody has
// answered is due then.
func (fl *flow) onlyTimely(f *flight, at time.Time) bool {
	slack := fl.worst - fl.best + tooSoon
	timely := func(g *flight) bool {
		age := at.Sub(g.sent)
		return age >= fl.best-slack && age <= fl.worst+slack
	}
	return timely(f) && fl.newest(at, func(g *flight) bool {
		return g.probe.TTL != f.probe.TTL && g.recv.IsZero() && fl.beyond(g) && timely(g)
	}) == nil
}

// olderCandidate finds the probe before f that an answer may be for though the plan doesn't wait for that any more: it
// has sent f so early that f's answer was not due before the end of the other's time. It is that one's where f's would
// be faster than ever; where answers come at uneven times, so that this may be, that can't be told. Nor can it where a
// router answers another flow at f's hop: then f hardly got to the target.
func (fl *flow) olderCandidate(f *flight, at time.Time) (g *flight, told bool) {
	age := at.Sub(f.sent)
	usual := fl.best-age <= max(usualNoise(fl.best), min(repeatNoise, fl.best/2))
	if fl.best == 0 || usual && f.probe.TTL > fl.routers {
		return nil, true
	}
	soonest := fl.best
	if fl.near > 0 {
		soonest = min(soonest, fl.near)
	}
	came := fl.allCame()
	g = fl.newest(at, func(g *flight) bool {
		due := g.passed || g.outcome == Unknown && !(g.shared && came)
		return due && g.recv.IsZero() && fl.beyond(g) && g.sent.Before(f.sent) && at.Sub(g.sent) <= settled(fl.best)
	})
	return g, g == nil || fl.tooFast(f, at) || soonest-age > max(rttNoise+fl.worst-fl.best, soonest/3)
}

// allCame reports whether as many answers came that fitted several probes as there are probes whose answer can't be
// told: then none of these will be answered any more.
func (fl *flow) allCame() bool {
	var first time.Time
	shared := 0
	for _, f := range fl.flights {
		if f.shared && f.outcome == Unknown && f.recv.IsZero() {
			if shared++; first.IsZero() {
				first = f.sent
			}
		}
	}
	for i := range fl.fresh {
		if fl.fresh[i].After(first) {
			shared--
		}
	}
	return shared <= 0
}

// usualNoise is by how much faster than ever an answer may be for no reason, where the fastest took so long. The next
// of two probes that can't be told apart leaves so much later (Path.resendSafety) that even then its answer comes after
// the other's.
func usualNoise(best time.Duration) time.Duration { return min(rttNoise, best/8) }

// ambiguous reports whether a probe of another TTL, that was given up early, may just as well be answered: how far the
// target is would be told wrongly. A busy host is late by some hundredths of a second.
func (fl *flow) ambiguous(f *flight, at time.Time, wait time.Duration, again bool) bool {
	horizon := hauntFactor*max(fl.worst, fl.far) + hauntSlack
	if fl.best == 0 {
		if horizon = wait; fl.bound > 0 { // then nothing more is known of how far the target is
			horizon = settled(fl.bound)
		}
	}
	if again {
		horizon = wait
	}
	same := 0 // of f's TTL: which of them is answered tells how long it took
	other := fl.newest(at, func(g *flight) bool {
		may := (g.outcome == Lost || (fl.best == 0 || again) && (g.outcome == Unknown || g.passed)) && g.recv.IsZero() &&
			fl.beyond(g) && g != f && at.Sub(g.sent) < horizon
		if may && fl.best == 0 && (g.outcome != Lost || g.shared) && g.probe.TTL == f.probe.TTL {
			same++
		}
		return may && g.probe.TTL != f.probe.TTL
	})
	for i := range fl.blurred {
		if at.Sub(fl.blurred[i]) < horizon {
			same-- // has been answered, by this one
		}
	}
	return other != nil || same > 0
}

// fitsOther reports whether an answer comes sooner or later than ever for the probe f, and in time for another one that
// the plan no longer waits for, or that it has sent aside because it was not thought to get to the target. The time
// may be that of a SYN+ACK that the target sends again.
func (fl *flow) fitsOther(f *flight, at time.Time) bool {
	age := at.Sub(f.sent)
	if fl.best == 0 || age >= fl.best-repeatNoise && age <= fl.worst+repeatNoise {
		return false
	}
	return fl.newest(at, func(g *flight) bool {
		other := at.Sub(g.sent)
		switch {
		case g == f || !g.recv.IsZero() || g.probe.TTL <= fl.lastRouter || other < fl.best-repeatNoise:
			return false
		case g.trust&TrustAside != 0 && other <= fl.worst+repeatNoise:
			return true
		case fl.beyond(g) && (age > fl.worst+rttNoise || age < fl.best-rttNoise) && fl.resent(other):
			return true
		default:
			return age > fl.worst+rttNoise && other < age
		}
	}) != nil
}

// resent reports whether an answer of this age comes as late as the first SYN+ACK would, and one, three, seven or
// fifteen seconds: when it is sent again for want of an ACK (RFC 6298 5.5).
func (fl *flow) resent(age time.Duration) bool {
	for after, next := retransmitTime, 2*retransmitTime; after <= 15*retransmitTime; after, next = after+next, 2*next {
		if age >= fl.best+after-rttNoise && age <= fl.worst+after+rttNoise {
			return true
		}
	}
	return false
}

// sentAgain reports whether a SYN+ACK comes so late that the target has most likely sent it again, because its first
// one was lost: so it says nothing of which SYN it answers.
func (fl *flow) sentAgain(f *flight, at time.Time) bool {
	age := at.Sub(f.sent)
	if fl.best == 0 || age <= hauntFactor*fl.worst+hauntSlack {
		return false
	}
	return fl.newest(at, func(g *flight) bool { // f, or one before it
		return !g.sent.After(f.sent) && g.recv.IsZero() && fl.beyond(g) && at.Sub(g.sent) >= leastRetransmit
	}) != nil
}

// lags reports whether an answer that may be that of an older probe, for all that is known of the times, came as long
// after the youngest one as the answer before. Answers to older probes would keep the distances of those.
func (fl *flow) lags(f *flight, at time.Time) bool {
	age := at.Sub(f.sent)
	if fl.best > 0 {
		return f.trust&TrustSlow != 0 && age >= fl.best-repeatNoise && age <= fl.worst+max(repeatNoise, fl.best/8)
	}
	return fl.best == 0 && fl.lag > 0 && max(age, fl.lag)-min(age, fl.lag) <= max(repeatNoise, fl.lag/8)
}

// lagged takes in that an answer fits several probes.
func (fl *flow) lagged(at time.Time) {
	if f := fl.newest(at, func(f *flight) bool { return f.candidate(at) && fl.beyond(f) }); f != nil {
		fl.lag = at.Sub(f.sent)
	}
}

// See ambiguous.
const (
	hauntFactor = 3
	hauntSlack  = 100 * time.Millisecond
)

func (fl *flow) byTimestamp(ecr uint32) *flight {
	for _, f := range fl.flights {
		if val, _, ok := f.probe.Options.Timestamps(); ok && val == ecr {
			return f
		}
	}
	return nil
}

// candidates finds the probes in flight that an answer naming only the flow can belong to: the one with the lowest TTL,
// and whether there are others.
func (fl *flow) candidates(at time.Time, can func(*flight) bool) (lowest *flight, several bool) {
	for _, f := range fl.flights {
		if !f.candidate(at) || !can(f) {
			continue
		}
		if lowest != nil {
			several = true
		}
		if lowest == nil || f.probe.TTL < lowest.probe.TTL {
			lowest = f
		}
	}
	return lowest, several
}

// unanswered finds a probe in flight, and whether there are others. Passed ones count too: a router may be slower than
// the target.
func (fl *flow) unanswered(at time.Time) (one *flight, several bool) {
	for _, f := range fl.flights {
		if f.outcome == Pending && !f.sent.After(at) {
			one, several = f, one != nil
		}
	}
	return one, several
}

// beyond reports whether a probe may have got as far as the target.
func (fl *flow) beyond(f *flight) bool { return f.probe.TTL > fl.lastRouter && f.trust&TrustAside == 0 }

// candidate reports whether an answer that names only the flow may be this probe's.
func (f *flight) candidate(at time.Time) bool {
	return f.outcome == Pending && !f.passed && !f.sent.After(at)
}

// newest is the probe of the flow that was sent last, of those that are so.
func (fl *flow) newest(at time.Time, so func(*flight) bool) *flight {
	for _, f := range slices.Backward(fl.flights) {
		if !f.sent.After(at) && so(f) {
			return f
		}
	}
	return nil
}

func anyFlight(*flight) bool { return true }

func byTarget(f *flight) bool { return f.byTarget }

// judgeICMP decides on an ICMP error by the packet it quotes. Its sequence number has to be the flow's, and its tag
// names the probe. The IPv6 flow label proves nothing and refuses nothing: a NAT64 sets it to 0 (RFC 7915 5.1), and
// whoever has guessed the sequence number would need the tag too, which has more bits.
func (m *matcher) judgeICMP(r *packet.Reply, at time.Time) match {
	q := &r.Quote
	switch {
	case q.IP.Protocol != protocolTCP:
		return match{verdict: Unrelated}
	case !q.TCP.HasSeq():
		return m.judgeShortQuote(r)
	}
	fl := m.bySeq[flowID{q.TCP.SrcPort, q.TCP.Seq}]
	if fl == nil || !fl.quotes(r) {
		return m.judgeOtherSeq(r, at)
	}
	if fl.ourselves(r) {
		return match{verdict: OwnAddress}
	}
	f := m.tagged(fl, q)
	if f != nil && fl.named(f) && !fl.sumOfAnother(f, q) {
		return match{f.verdict(), f, ByTag}
	}
	only, several := fl.unanswered(at)
	switch {
	case only == nil:
		return match{TagRewritten, fl.newest(at, anyFlight), ByFlow}
	case !fl.alone || several || only.shared || f != nil: // a tag that was rewritten may be that of a probe before
		return match{TagRewritten, only, ByFlow}
	}
	return fl.bySender(only, r, at)
}

// judgeShortQuote decides on an ICMP error that quotes less of a segment than its first 8 bytes (RFC 792), so that
// nothing proves that its sender has seen a probe. If the ports are those of a flow, it is said why a hop is silent.
func (m *matcher) judgeShortQuote(r *packet.Reply) match {
	q := &r.Quote
	local, remote := netip.AddrPortFrom(r.IP.Dst, q.TCP.SrcPort), netip.AddrPortFrom(q.IP.Dst, q.TCP.DstPort)
	ours := func(fl *flow) bool { return fl.quotes(r) && !fl.ourselves(r) }
	if r.Checksum == packet.CheckBad || !slices.ContainsFunc(m.between(packet.ProtoTCP, local, remote), ours) {
		return match{verdict: Unrelated}
	}
	return match{verdict: ShortQuote}
}

// bySender judges an ICMP error that names no probe, where one is in flight. It may be the late answer to one that was
// given up, for another hop. Then who sent it tells: a router that has answered for one of these hops before, and not
// for the other.
func (fl *flow) bySender(only *flight, r *packet.Reply, at time.Time) match {
	horizon := max(fl.wait, DefaultWait)
	late := func(f *flight) bool {
		return f.outcome != Pending && f.recv.IsZero() && f.probe.TTL != only.probe.TTL && at.Sub(f.sent) < horizon
	}
	here := slices.Contains(fl.senders, senderOf(only, r))
	there := fl.newest(at, func(f *flight) bool { return late(f) && slices.Contains(fl.senders, senderOf(f, r)) })
	switch {
	case here && there == nil, fl.newest(at, late) == nil:
		return match{Believed, only, ByFlow}
	case !here && there != nil:
		return match{IsLate, there, ByFlow}
	}
	return match{TagRewritten, only, ByFlow}
}

// sender is who has answered for a hop, and how.
type sender struct {
	ttl  uint8
	kind packet.Kind
	from netip.Addr
}

func senderOf(f *flight, r *packet.Reply) sender { return sender{f.probe.TTL, r.Kind, r.IP.Src} }

// mostSenders are remembered of a flow.
const mostSenders = 512

// judgeOtherSeq decides on an ICMP error that quotes no flow's sequence number.
func (m *matcher) judgeOtherSeq(r *packet.Reply, at time.Time) match {
	q := &r.Quote
	verdict := Unrelated
	local, remote := netip.AddrPortFrom(r.IP.Dst, q.TCP.SrcPort), netip.AddrPortFrom(q.IP.Dst, q.TCP.DstPort)
	for _, fl := range m.near(packet.ProtoTCP, local, remote) {
		if !fl.quotes(r) {
			continue
		}
		verdict = NearMiss
		if !m.loose {
			break
		}
		f := m.tagged(fl, q)
		if f == nil || fl.trust&TrustLoose == 0 {
			continue
		}
		if !fl.alone {
			return match{TagRewritten, f, Unverified}
		}
		if only, several := fl.candidates(at, anyFlight); only == f && !several {
			return match{Believed, f, Unverified}
		}
	}
	return match{verdict: verdict}
}

// quotes reports whether an ICMP error quotes addresses and ports that can be those of the flow.
func (fl *flow) quotes(r *packet.Reply) bool {
	q := &r.Quote
	echo := fl.first.Protocol == packet.ProtoEcho
	return echo == q.Echo.HasID() && r.IP.Dst == fl.src.Addr() && q.IP.Version == r.IP.Version && fl.addressed(q)
}

// tagged returns the flow's probe that the quoted tag names; nil if there is none.
func (m *matcher) tagged(fl *flow, q *packet.Quote) *flight {
	if !q.HasKey() {
		return nil
	}
	return m.flights[packet.Key{Port: q.TCP.SrcPort, Seq: fl.first.Seq, Tag: q.Key().Tag}]
}

// named reports whether a probe is believed to be the one that an ICMP error names by its tag. Where the network writes
// tags of its own, one may be another probe's by chance: with 48 probes in flight, one answer in a thousand shows a
// wrong hop.
func (fl *flow) named(f *flight) bool {
	if f.outcome == Pending && fl.alone {
		return true
	}
	return fl.scrubbed == 0 || f.outcome == Pending && fl.scrubbed < rewriteProof
}

// sumOfAnother reports whether a quoted packet has the tag of one probe and the TCP checksum of another one, that
// nobody answered so far. Then the tag was damaged in the quote: whoever rewrites it on the way brings the checksum up
// to date.
func (fl *flow) sumOfAnother(f *flight, q *packet.Quote) bool {
	if _, _, sum := q.Checksum(f.probe); sum != packet.SumNeither {
		return false
	}
	return slices.ContainsFunc(fl.flights, func(g *flight) bool {
		if g == f || !g.recv.IsZero() {
			return false
		}
		_, _, sum := q.Checksum(g.probe)
		return sum == packet.SumSent
	})
}

// ourselves reports whether an ICMP error comes from our own address, and neither is that the target's nor tells the
// error what our own kernel knows.
func (fl *flow) ourselves(r *packet.Reply) bool {
	return r.IP.Src == fl.src.Addr() && r.IP.Src != fl.dst.Addr().WithZone("") && r.Kind != packet.KindUnreachable
}

const (
	protocolTCP = 6 // IANA protocol number

	// retransmitTime is after what time a SYN+ACK is sent again of the target's own accord (RFC 6298 2.1); leastRetransmit
	// is that, less what the network may take off.
	retransmitTime  = time.Second
	leastRetransmit = 900 * time.Millisecond

	// echoTime is how long after an answer copies of it may still come that the network made.
	echoTime = 50 * time.Millisecond

	// tooSoon is by how much more than the times known differ an answer is told to be none to a probe, see onlyPlausible.
	tooSoon = 2500 * time.Microsecond

	// tooLate is the same for one that would be later.
	tooLate = time.Millisecond

	// rttNoise is how much faster than ever before an answer may be for no reason; repeatNoise, where it may well be
	// another's.
	rttNoise    = 5 * time.Millisecond
	repeatNoise = time.Millisecond
)

// addressed reports whether the quoted packet's addresses and ports can be those of the flow. NAT on the way may have
// rewritten the destination, and a cloud's gateway leaves its public address as the source; the source port is what the
// flow was found by.
func (fl *flow) addressed(q *packet.Quote) bool {
	if fl.trust&TrustStrict == 0 {
		return true
	}
	return q.IP.Dst == fl.dst.Addr().WithZone("") && (q.TCP.DstPort == fl.dst.Port() || q.Echo.HasID()) &&
		q.IP.Src == fl.src.Addr()
}

// verdict is what an answer that names this probe is.
func (f *flight) verdict() Verdict {
	switch f.outcome {
	case Pending:
		return Believed
	case Answered:
		return IsDuplicate
	}
	if !f.recv.IsZero() {
		return IsDuplicate
	}
	return IsLate
}

// settle takes note of a believed, late, shared or untold answer.
func (m *matcher) settle(got match, r *packet.Reply, at time.Time) {
	fl, rtt := got.flight.flow, at.Sub(got.flight.sent)
	fl.doubt(got, r, at, fl.wait)
	fl.took(got.verdict, rtt)
	fromTarget := r.Kind == packet.KindTCP || r.Kind == packet.KindEcho
	switch {
	case fromTarget:
		fl.learnTarget(got, r, rtt, at)
	case got.verdict == TagRewritten:
		if got.evidence == ByFlow {
			fl.scrubbed++
		}
	default:
		fl.learnRouter(got, r, rtt)
	}
	if got.evidence == ByFlow && (got.verdict == IsShared || got.verdict == TagRewritten) {
		for _, f := range fl.flights {
			f.shared = f.shared || f.outcome == Pending
		}
	}
	switch got.verdict {
	case Believed:
		got.flight.outcome, got.flight.recv, got.flight.byTarget = Answered, at, fromTarget
	case IsLate:
		if got.evidence == ByTag { // else it may as well be another's
			got.flight.recv = at
		}
	}
}

// learnTarget takes note of what an answer of the target tells of its distance and of its times.
func (fl *flow) learnTarget(got match, r *packet.Reply, rtt time.Duration, at time.Time) {
	fl.open(&r.TCP, at)
	fl.bare.proven = fl.bare.proven || fl.acknowledges(&r.TCP)
	fl.heardBare(r, at)
	fl.older.proven = fl.older.proven || fl.mayBeOlder(r) && !fl.acknowledges(&r.TCP)
	switch {
	case got.verdict == IsShared && got.flight.probe.TTL <= fl.lastRouter:
		fl.lastRouter, fl.routers = 0, 0 // the route has become shorter, by how much will be seen
	case got.verdict == Believed || got.verdict == IsShared:
		fl.lastRouter = min(fl.lastRouter, got.flight.probe.TTL-1)
	}
	if got.verdict == Believed {
		fl.routers = min(fl.routers, got.flight.probe.TTL-1)
		fl.worst = max(fl.worst, rtt)
		if fl.best == 0 || rtt < fl.best {
			fl.best = rtt
		}
	}
}

// learnRouter takes note of what an ICMP error tells of how far routers go, and of their times.
func (fl *flow) learnRouter(got match, r *packet.Reply, rtt time.Duration) {
	ttl, expired := got.flight.probe.TTL, r.Kind == packet.KindTimeExceeded
	switch got.verdict {
	case IsDuplicate:
		if expired && got.evidence == ByTag {
			fl.lastRouter = max(fl.lastRouter, ttl) // who answered before was not the target
		}
	case Believed, IsLate:
		if who := senderOf(got.flight, r); got == (match{Believed, got.flight, ByFlow}) && !slices.Contains(fl.senders, who) {
			fl.senders = append(fl.senders, who)
			fl.senders = fl.senders[max(0, len(fl.senders)-mostSenders):]
		}
		fl.far = max(fl.far, rtt)
		if expired {
			fl.routers = max(fl.routers, ttl)
		}
		switch {
		case expired && ttl > fl.lastRouter:
			fl.lastRouter, fl.near = ttl, rtt
		case expired && ttl == fl.lastRouter:
			fl.near = min(fl.near, rtt)
		}
	}
}

// last adds a time to the last mostDoubts ones.
func last(times []time.Time, at time.Time) []time.Time {
	if len(times) == mostDoubts {
		times = slices.Delete(times, 0, 1)
	}
	return append(times, at)
}

// doubt remembers an answer that fits several probes, unless the target sends its answer again.
func (fl *flow) doubt(got match, r *packet.Reply, at time.Time, wait time.Duration) {
	if got.verdict == IsShared {
		fl.lagged(at)
		var bound time.Duration
		for _, f := range fl.flights { // those too that nobody waits for any more
			if age := at.Sub(f.sent); f.recv.IsZero() && fl.beyond(f) && age >= 0 && age <= wait {
				bound = max(bound, age)
			}
		}
		if fl.bound == 0 || bound < fl.bound && fl.opening(&r.TCP) == nil { // one that is sent again comes at any time
			fl.bound = bound
		}
		if r.TCP.Flags.Has(packet.SYN) && fl.opening(&r.TCP) == nil {
			fl.fresh = last(fl.fresh, at)
		}
		fl.blurred = last(fl.blurred, at)
	}
	if got.verdict != IsShared || fl.opening(&r.TCP) != nil || len(fl.doubts) == mostDoubts || !fl.older.at.IsZero() {
		return
	}
	d := doubt{reply: r.Clone(), at: at}
	for _, f := range fl.flights {
		switch {
		case !fl.beyond(f) || f.sent.After(at) || f.outcome == Answered:
		case f.shared || !f.candidate(at):
			return // an answer before may be this one's, or this one that of a probe that nobody waits for
		default:
			d.among = append(d.among, f)
		}
	}
	fl.doubts = append(fl.doubts, d)
}

// resolve finds a probe that turns out to be the only one that an answer in doubt can belong to; nil: none.
func (m *matcher) resolve(fl *flow) (f *flight, r *packet.Reply, at time.Time) {
	for i := 0; i < len(fl.doubts) && f == nil; i++ {
		d := &fl.doubts[i]
		open := true
		d.among = slices.DeleteFunc(d.among, func(f *flight) bool {
			if f.probe.TTL <= fl.lastRouter {
				return true
			}
			open = open && f.outcome == Pending
			return false
		})
		switch {
		case open && len(d.among) > 1:
			continue
		case open && len(d.among) == 1:
			f, r, at = d.among[0], d.reply, d.at
		}
		fl.doubts = slices.Delete(fl.doubts, i, i+1)
		i--
	}
	if f == nil || fl.betterMatch(f, at) != nil {
		return nil, nil, time.Time{}
	}
	m.settle(match{Believed, f, ByFlow}, r, at)
	return f, r, at
}

// open remembers the target's initial sequence number, where the segment brings one.
func (fl *flow) open(t *packet.TCP, at time.Time) {
	if known := fl.opening(t); known != nil {
		known.last = at
		return
	}
	if !t.Flags.Has(packet.SYN) {
		return
	}
	if len(fl.opened) == mostOpenings {
		fl.opened = slices.Delete(fl.opened, 0, 1)
	}
	fl.opened = append(fl.opened, opening{t.Seq, at})
}
