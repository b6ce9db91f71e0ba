package trace

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

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
	may := func(f *flight) bool { return fl.beyond(f) && f.sent.Before(by.sent) }
	f, several := fl.candidates(at, may)
	withdrawn := fl.newest(at, func(g *flight) bool {
		return g.outcome == Unknown && g.recv.IsZero() && may(g) && at.Sub(g.sent) <= settled(fl.worst)
	})
	if several || f != nil && withdrawn != nil {
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
	came, horizon := fl.allCame(), settled(fl.best)
	held := horizon                   // of those that shared an answer
	if !usual && !fl.tooFast(f, at) { // else the route has become shorter
		held = max(held, settled(fl.slowest)) // what held up others may have held up theirs
	}
	g = fl.newest(at, func(g *flight) bool {
		age := at.Sub(g.sent)
		due := g.passed || g.outcome == Unknown && !(g.shared && came)
		return due && g.recv.IsZero() && fl.beyond(g) && g.sent.Before(f.sent) &&
			(age <= horizon || g.shared && age <= held)
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
// after the youngest one as the answer before. Answers to older probes would keep the distances of those: if an older
// one was so old at the answer before, too, and more exactly so, it isn't told.
func (fl *flow) lags(f *flight, at time.Time) bool {
	age := at.Sub(f.sent)
	if fl.best > 0 {
		return f.trust&TrustSlow != 0 && age >= fl.best-repeatNoise && age <= fl.worst+max(repeatNoise, fl.best/8)
	}
	if len(fl.ages) == 0 {
		return false
	}
	off := (age - fl.ages[0]).Abs()
	return off <= max(repeatNoise, fl.ages[0]/8) && fl.newest(at, func(g *flight) bool {
		return g.sent.Before(f.sent) && g.recv.IsZero() && fl.beyond(g) &&
			slices.ContainsFunc(fl.ages, func(a time.Duration) bool { return (at.Sub(g.sent)-a).Abs()+repeatNoise < off })
	}) == nil
}

// lagged takes in that an answer fits several probes.
func (fl *flow) lagged(at time.Time) {
	youngest := fl.newest(at, func(f *flight) bool { return f.candidate(at) && fl.beyond(f) })
	if youngest == nil {
		return
	}
	fl.ages = fl.ages[:0]
	for _, f := range slices.Backward(fl.flights) {
		if !f.sent.After(youngest.sent) && f.recv.IsZero() && fl.beyond(f) {
			fl.ages = append(fl.ages, at.Sub(f.sent))
		}
	}
}

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
