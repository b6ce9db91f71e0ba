package trace

import (
	"time"
)

// How long a plan waits for a probe, and when it is sure that no answer comes any more.

// The constants of waiting.
const (
	// settleFactor times the target's round-trip time, and settleSlack, is when a probe is held to be unanswered by it.
	settleFactor = 2
	settleSlack  = 20 * time.Millisecond

	// refusedSlack is how much longer than twice a refusal took a probe may be answered that was sent further.
	refusedSlack = 50 * time.Millisecond

	// doubtMargin is how long before the end of its wait a doubted probe is withdrawn.
	doubtMargin = time.Millisecond

	// What a probe waits at least, see earlyTimeout: as long as earlyHops hops behind it took, earlySlack, and earlyJitter
	// times what answers are late by on average (as a retransmission timer does, RFC 6298 2.3), and earlyUnknown times
	// that for a hop that has not answered at all. One that is later counts as mostLate: a router that is slow by itself
	// says little of the others. Of 8004 answers that come within 3 s, this shows 7954 in a median time of 139 ms; 1.5
	// times as long and 20 ms would show 7973 in 165 ms, twice as long and 50 ms 7980 in 211 ms.
	earlySlack   = 4 * time.Millisecond
	earlyJitter  = 4
	earlyUnknown = 4
	earlyHops    = 2
	mostLate     = 5 * time.Millisecond

	// leastEarlyTimeout is the least of that: next door, where it costs nobody time, a busy host is late by some
	// milliseconds.
	leastEarlyTimeout = 15 * time.Millisecond

	// leastTimeout is the least time that a probe waits where it does not wait its whole time, see timeout.
	leastTimeout = time.Second

	// How long a probe waits is worked out from lookAgain before it may be over on: so a look at one of them serves those
	// that were sent soon after it.
	lookAgain = 100 * time.Millisecond

	// timeoutFactor times the slowest answer from here on is what a probe waits, see timeout.
	timeoutFactor = 3
)

// due is what has to be done about a probe, and when; the zero value: nothing. It is worked out for each probe in
// flight at each step of the plan, and so much smaller than an Action.
type due struct {
	at    time.Time
	do    Verb
	until time.Time // of DoExtend
}

// deadline is what has to be done about a probe next. Nothing to be done at a time means to look again then: most
// probes are answered long before their wait can be over, and to work its end out for each of them at each step takes
// longer than all else that a plan does.
func (p *Path) deadline(a *ask, now time.Time) due {
	switch {
	case a.byProbePort && a.ttl > p.limit && p.slow.knocks == 0 && p.credit+p.hop(p.limit).asked < p.o.Queries:
		return due{} // it counts where the target turned out to be
	case p.sweeping() && a.ttl > p.farthest:
		return due{} // see sweep
	case a.ttl > p.limit && p.refusing():
		// It may show that the refusal is for some of the packets only.
		return due{at: a.sent.Add(min(2*p.hop(p.limit).best+refusedSlack, p.o.Wait-doubtMargin)), do: DoWithdraw}
	case a.ttl > p.limit && !p.mayConfuse(a):
		return due{at: a.sent, do: DoWithdraw} // nothing depends on it any more
	case p.settledByPort(a):
		return due{at: a.sent, do: DoWithdraw}
	case a.shadowed:
		// A router would have answered by then. Next door answers may be late by more than they take.
		return due{at: a.sent.Add(max(p.target.least+p.slack(), leastEarlyTimeout)), do: DoWithdraw}
	case a.doubted, a.ttl > p.limit:
		// It may have been answered, so it is not lost; it is asked anew when its answer can't come any more. So long one
		// beyond the target keeps others from being sent.
		t := p.resendSafety(a)
		if p.rewritten > 0 {
			t = max(t, p.longest()) // answers from far behind may be on their way that could be taken for others'
		}
		t = max(t, a.until.Sub(a.sent))
		return due{at: a.sent.Add(min(t, p.o.Wait-doubtMargin)), do: DoWithdraw}
	}
	switch {
	case p.retried(a):
		a.retried = true
		return due{at: a.sent.Add(p.settling(a.ttl)), do: DoWithdraw}
	case p.slow.active && !p.slow.proven && a != p.slow.asked && !p.shown(a.ttl):
		if a.lingers {
			return due{}
		}
		// It waits until a hop that is asked slowly has answered, and is sent anew only then.
		return due{a.sent.Add(p.o.Wait - lingerMargin), DoExtend, p.slow.began.Add(slowTime + p.o.Wait)}
	case (p.slow.active || p.slow.done && a.lingers) && p.slow.proven && !p.shown(a.ttl) && p.slow.anew < mostAnew &&
		!p.spared(a.ttl):
		a.anew = true
		return due{at: a.sent.Add(p.o.Wait - doubtMargin), do: DoWithdraw} // it was perhaps dropped by a limit
	}
	if soonest := a.sent.Add(min(silentTimeout, p.whole) - lingerMargin); now.Before(soonest.Add(-lookAgain)) {
		return due{at: soonest}
	}
	if !a.lingers && p.kept(a) {
		return due{}
	}
	return p.ending(a)
}

// settling is how long a probe keeps others from being sent that could not be told from it. Where the distance is known
// it may as well be the target's answer that is lost, and nothing else is waiting.
func (p *Path) settling(ttl int) time.Duration {
	var t time.Duration
	switch {
	case !p.target.answers || p.single: // it may be the target's, and that far, or a router's that is slow
		t = max(p.longest(), settled(p.target.rtt))
	case ttl == p.limit && p.hop(ttl).answered || p.target.rtt == 0:
		t = max(settled(p.target.rtt), slow)
	default:
		t = settled(p.target.rtt)
	}
	return min(t, p.o.Wait)
}

// resendSafety is how long a probe keeps another from being sent that could not be told from it: where it is known how
// long the target's answers take at least, the other one's comes no sooner. Those to ports that go another way say
// nothing of that.
func (p *Path) resendSafety(a *ask) time.Duration {
	t := p.settling(a.ttl)
	if !p.target.told || p.untagged || p.single || p.confused || p.rounds.on() || p.othersApart(p.placement.came) {
		return t
	}
	soonest := p.target.least - usualNoise(p.target.least)
	return max(t-soonest, min(p.target.least+p.slack(), t))
}

// settled is when a probe to somebody that far away is held to be unanswered.
func settled(rtt time.Duration) time.Duration { return settleFactor*rtt + settleSlack }

// timeout is how long a probe waits for its answer. With Patient, and one by one, that is Wait. Else:
//
//   - Where a hop beyond has answered, the path is alive and known to be no slower than its slowest answer from this
//     hop on: a probe waits timeoutFactor times that, and leastTimeout at least (routers make their answers slowly).
//   - Where nothing beyond has answered, and a probe to this hop or between it and the last one that answered has
//     waited its whole time in vain, it waits leastTimeout: the silence was given its chance once.
func (p *Path) timeout(a *ask) time.Duration {
	if p.o.Patient || p.o.Parallel == 1 {
		return p.most()
	}
	var slowest time.Duration
	last := a.ttl // that answered, from this hop on
	for ttl := a.ttl; ttl <= min(p.limit, p.answeredTo); ttl++ {
		if h := p.hop(ttl); h.answered {
			slowest, last = max(slowest, h.rtt), ttl
		}
	}
	if last == a.ttl && !p.silent(a.ttl) {
		return p.most()
	}
	if last == a.ttl && p.slow.over {
		return min(max(timeoutFactor*p.slowest, silentTimeout), p.most())
	}
	if last == a.ttl {
		return min(p.longest(), p.most())
	}
	return min(max(timeoutFactor*slowest, leastTimeout), p.most())
}

// most is how long a probe waits at the most. Where probes can't be told apart for certain, a late answer would be
// taken for another probe's: there a wait of less than a second is not for the user to choose.
func (p *Path) most() time.Duration {
	if p.rewritten > 0 || p.untagged || p.single || p.confused || p.wary {
		return p.o.Wait
	}
	return p.whole
}

// giveUpAt is when the last of what is in flight has waited in vain long enough, where nothing else is left to be done;
// zero: not yet, or not known; with Patient see patientEnd.
func (p *Path) giveUpAt() time.Time {
	if p.o.Parallel == 1 || len(p.pending) == 0 || p.rounds.on() || p.slow.active || p.unasked() {
		return time.Time{}
	}
	if p.o.Patient {
		return p.patientEnd()
	}
	end := p.pending[0].sent
	for _, a := range p.pending {
		if p.needless(a) {
			continue
		}
		t := p.earlyTimeout(a)
		if t == 0 || a.doubted || a.ttl > p.limit && !a.byProbePort {
			return time.Time{}
		}
		end = later(end, a.sent.Add(t))
		if a.lingers {
			end = later(end, p.resolved(a))
		}
	}
	return end
}

// patientEnd is when the first of the probes that can still be taken back has waited nearly its whole time, and the
// others so long as answers take; zero: there is none, or that is not known, or answers take longer than the wait,
// which is why nothing is seen of the hops.
func (p *Path) patientEnd() (end time.Time) {
	if p.answeredTo >= p.o.FirstTTL && p.hop(p.answeredTo).best >= p.whole {
		return time.Time{}
	}
	var others time.Time
	for _, a := range p.pending {
		switch t := p.earlyTimeout(a); {
		case p.kept(a):
			end = sooner(end, a.sent.Add(p.whole-lingerMargin))
		case p.needless(a):
		case t == 0:
			return time.Time{}
		default:
			others = later(others, a.sent.Add(t))
		}
	}
	if end.IsZero() {
		return end
	}
	return later(end, others)
}

// conclude ends the wait for a probe when nothing else is left to be done. A target whose answers had all the same
// sequence number may not have answered because it answers a SYN once in resendAnswerTime.
func (p *Path) conclude(a *ask) Action {
	if p.needless(a) {
		return Withdraw(a.key)
	}
	if p.target.repeats && !p.target.rateLimitsSYNACK && a.ttl > p.lastRouter {
		p.target.rateLimitsSYNACK, a.doubted = true, true
		return Withdraw(a.key)
	}
	return GiveUp(a.key)
}

// earlyTimeout is how long a probe waits at least where nothing but silence is left, 0 where that can't be told: its
// answer would take about as long as one from there before, or as those from the next hops before and behind that
// answer.
func (p *Path) earlyTimeout(a *ask) time.Duration {
	t := p.expectedRTT(a.ttl)
	if a.byProbePort {
		t = p.target.least
	}
	if a.control() && t > 0 {
		t += 2 * (p.target.rtt - p.target.least) // it is what tells the distance
	}
	if t == 0 {
		return 0
	}
	t += p.slack()
	if !a.byProbePort && !a.again && !p.hop(a.ttl).answered {
		t += earlyUnknown * p.jitter()
	}
	if (p.exclusive(a.ttl) || p.delicate(a.ttl)) && !a.byProbePort && !a.sent.Before(p.target.heard) {
		t = max(t, p.settling(a.ttl))
	}
	least := leastEarlyTimeout
	if p.o.Queries == 1 {
		least *= 2 // no other probe tells who is there
	}
	return min(max(t, least), p.o.Wait)
}

// uneven reports whether some of the target's answers take much longer than others.
func (p *Path) uneven() bool { return p.target.told && p.target.rtt-p.target.least > p.slack() }

// slack is how much longer than others an answer may take.
func (p *Path) slack() time.Duration { return earlySlack + earlyJitter*p.jitter() }

// jitter is by how much answers were late on average.
func (p *Path) jitter() time.Duration { return p.unsteady / time.Duration(max(p.repeated, 1)) }

// expectedRTT is about how long an answer from a hop takes, by itself and its neighbours; 0: nothing beyond has
// answered.
func (p *Path) expectedRTT(ttl int) time.Duration {
	if h := p.hop(ttl); h.answered && (h.router || h.reached || !p.refusals.some()) {
		return h.best
	}
	var t time.Duration
	for i := min(ttl-1, p.answeredTo); i >= p.o.FirstTTL && t == 0; i-- {
		t = p.hop(i).best
	}
	n := 0
	for i := ttl + 1; i <= min(p.limit, p.answeredTo) && n < earlyHops; i++ {
		if h := p.hop(i); h.answered {
			t = max(t, h.best)
			n++
		}
	}
	switch {
	case n < earlyHops && p.target.told:
		t = max(t, p.target.least)
	case p.refusals.some():
		t = max(t, p.slowest) // who refuses answers sooner than those beyond
	case n == 0:
		return 0
	}
	return t
}

// longest is how long an answer may take, by all that was seen.
func (p *Path) longest() time.Duration { return max(timeoutFactor*p.slowest, leastTimeout) }

// silent reports whether a probe to this hop, or to one before it behind the last that answered, waited in vain.
func (p *Path) silent(ttl int) bool {
	for ; ttl >= p.o.FirstTTL; ttl-- {
		switch h := p.hop(ttl); {
		case h.silent:
			return true
		case h.answered:
			return false
		}
	}
	return false
}
