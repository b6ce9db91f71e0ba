package trace

import (
	"slices"
	"time"
)

// Some routers forward only so many SYNs a second, and drop the rest or refuse it. To probes that are sent side by side
// that looks as if nothing answered beyond the router. So before a plan takes silence or refusals for the truth, it
// looks whether the path is alive all the same (suspicious): then it asks the hops that are in doubt once more, slowly
// and one after the other. A path that shows no such signs is asked no probe more, and takes no longer.

// The constants of asking slowly.
const (
	// slowPause is the time between two probes: a little more than a limit of 5 a second, the strictest that is usual,
	// takes.
	slowPause = 210 * time.Millisecond

	// slowTries is how often a hop is asked slowly before its silence is believed.
	slowTries = 2

	// slowVain is how many probes in a row are sent in vain before all is believed, where the target has its hop.
	slowVain = 3

	// slowSilent is the same where some were answered.
	slowSilent = 5

	// slowTime is how long hops are asked slowly, at the most.
	slowTime = 5500 * time.Millisecond

	// knockPause is how long the target is left alone before a silent path is asked again. Some targets drop the first SYN
	// of a client and take its repetition for real only if it comes no sooner than a kernel's would.
	knockPause = 1550 * time.Millisecond

	// unevenPause is by how much longer each such pause is than the one before.
	unevenPause = 30 * time.Millisecond

	// mostAnew is how many probes are sent anew because a limit may have dropped them. The others are lost.
	mostAnew = 40

	// heldAfter is how many hops beyond the last known one must be silent for the rest to be held back before they have
	// been silent for slow.
	heldAfter = 3

	// silentTimeout is the least that a probe waits that is sent after a silent path was asked slowly in vain, see
	// timeout.
	silentTimeout = 700 * time.Millisecond

	// slowRun is how many probes that were sent one after the other, to as many hops, must be lost for that to be no
	// coincidence.
	slowRun = 4

	// mostSilent is how many hops in a row must be silent to raise doubts, or one less right before the target; slowChecks
	// is how many probes it takes to believe it.
	mostSilent = 4
	slowChecks = 2
)

// slowing is what a plan knows of a limit.
type slowing struct {
	log     []*ask // the path's own probes, in the order of sending
	active  bool   // hops are asked slowly now
	done    bool   // they were
	check   bool   // nothing tells of a limit but a long silence
	limit   bool   // a hop has answered that was in doubt
	proven  bool   // a probe was answered that was sent slowly
	news    bool   // a probe was answered that counted as lost when the hops in doubt were marked
	began   time.Time
	last    time.Time // when a probe was sent slowly
	pause   time.Duration
	vain    int  // how many in a row were not answered
	target  int  // how many in a row were answered by the target, or refused
	asked   *ask // the one in flight
	anew    int  // how many were withdrawn, to be sent once more
	doubted int  // how many of those that were sent slowly were withdrawn because they may have been answered

	held   bool      // see hold
	from   int       // the last hop that was known then
	knocks int       // how many were sent to a silent path
	over   bool      // they were not answered
	quiet  time.Time // when a probe was sent that may have got to the target
}

// suspicious marks the hops whose silence may be that of a limit before them, and reports whether there are any.
func (p *Path) suspicious() (any bool) {
	if !p.mayBeLimited() {
		return false
	}
	for _, a := range p.pending {
		if !a.byProbePort && (a.passed && p.wary || a.doubted) {
			a.outcome = Unknown // it may have been answered
		}
	}
	return p.markDoubtful()
}

// markDoubtful marks the hops in doubt by what the log says now, and reports whether there are any.
func (p *Path) markDoubtful() (any bool) {
	s := &p.slow
	last, unplaced := p.lastAnswered()
	from, silence := p.lostBeyond(), p.longSilence(last)
	s.check = !unplaced && from > p.limit
	nearer := p.nearerByTTL()
	for ttl := p.o.FirstTTL; ttl <= p.limit; ttl++ {
		h := p.hop(ttl)
		limited := ttl > from || unplaced && ttl > last || s.check && ttl > silence && ttl < last || h.refused > 0
		// What is lost to the first hop no router has dropped. A target there may have answered late all the same.
		h.suspect = !p.shown(ttl) && (limited && ttl > p.o.FirstTTL || ttl == nearer)
		any = any || h.suspect
	}
	return any
}

// mayBeLimited reports whether hops may still be asked slowly. With Parallel 1, and where only one probe may be in
// flight, they are anyway, see notBefore.
func (p *Path) mayBeLimited() bool {
	return !p.slow.done && p.o.Parallel > 1 && !p.rounds.on() && !p.echo() && !p.single
}

// longSilence finds the last hop before more silent ones than usual, or before those where the target should have
// answered by its own account; beyond the path: there are none.
func (p *Path) longSilence(last int) int {
	silent, most := 0, mostSilent
	if p.lossy() > 1 {
		most--
	}
	for ttl := p.o.FirstTTL; ttl <= last; ttl++ {
		switch near := ttl == last; {
		case !p.shown(ttl):
			silent++
		case silent >= most || near && (silent >= mostSilent-1 || silent > 0 && p.back > 0 && p.back-p.skew < ttl):
			return ttl - silent - 1
		default:
			silent = 0
		}
	}
	return p.o.MaxTTL + 1
}

// lossy is how many of the hops that answer have lost a probe.
func (p *Path) lossy() int {
	hops := make(map[int]bool)
	for _, l := range p.slow.log {
		if p.lossAt(l) {
			hops[l.ttl] = true
		}
	}
	return len(hops)
}

// lossAt reports whether a probe was lost to a hop that answers others.
func (p *Path) lossAt(l *ask) bool {
	return (l.outcome == Lost || l.outcome == Pending) && l.ttl <= p.limit && p.shown(l.ttl)
}

// lostBeyond finds the nearest hop beyond which a limit may be, by the probes that were lost to hops that answer
// others; beyond the path: there is none.
func (p *Path) lostBeyond() int {
	farthest := p.o.FirstTTL
	for _, l := range p.slow.log {
		if p.lossAt(l) {
			farthest = max(farthest, l.ttl)
		}
	}
	for from := p.o.FirstTTL; from < farthest; from++ {
		if p.limited(from) {
			return from
		}
	}
	return p.o.MaxTTL + 1
}

// limited reports whether there may be a limit beyond a hop: no probe got through for a while, or only every other one,
// or the target has missed one and nothing is known of the hop before it.
func (p *Path) limited(from int) bool {
	run, hops := make(map[int]bool), make(map[int]int) // that a probe was lost to: in a row, at all
	lost, answered := 0, 0
	for _, l := range p.slow.log {
		h := p.hop(l.ttl)
		if l.ttl <= from || l.ttl > p.limit || !p.shown(l.ttl) {
			continue
		}
		switch l.outcome {
		case Answered:
			clear(run)
			answered++
		case Lost, Pending:
			run[l.ttl] = true
			hops[l.ttl]++
			lost++
			if len(run) >= slowRun || h.byTarget && !p.shown(max(l.ttl-1, p.o.FirstTTL)) {
				return true
			}
		}
	}
	for ttl, n := range hops {
		if m := hops[ttl+2]; m > 0 && n+m >= p.o.Queries && !p.shown(ttl+1) {
			return true // one hop is silent, and most of what was sent to its neighbours is lost
		}
	}
	return len(hops) > 1 && lost >= answered
}

// answeredLate takes in that a probe that was given up was not dropped.
func (p *Path) answeredLate(r Result) {
	if !p.mayBeLimited() || r.Evidence == ByFlow { // which may be another's
		return
	}
	key := r.Probe.Key()
	if i := slices.IndexFunc(p.slow.log, func(a *ask) bool { return a.key == key }); i >= 0 {
		a := p.slow.log[i]
		a.outcome, p.slow.news = Answered, true
		if p.slow.active && !a.sent.Before(p.slow.began) {
			p.slow.vain = 0 // it got through after all
		}
	}
}

// slowDown begins to ask slowly.
func (p *Path) slowDown(now time.Time) {
	p.slow.active, p.slow.began, p.slow.pause = true, now, slowPause
	p.slow.last = now
	if p.slow.over && !p.target.answers {
		p.doubt()
	}
}

// slowly asks the hops in doubt one after the other.
func (p *Path) slowly(now, when time.Time) Action {
	if action := p.settleEarlier(now); action.Do != DoWait {
		return action
	}
	s := &p.slow
	if a := s.asked; a != nil {
		end := a.sent.Add(p.slowWait(a))
		if now.Before(end) {
			return WaitUntil(sooner(when, end))
		}
		h, again := p.hop(a.ttl), a.ttl <= p.limit && !p.spared(a.ttl)
		if again && (h.slowly < p.slowTries(a.ttl) || h.asked > p.o.Queries) {
			a.anew = true // it is to be asked again, or has its outcomes
			return Withdraw(a.key)
		}
		return GiveUp(a.key)
	}
	if s.news && !s.limit {
		p.markDoubtful() // nothing may have raised doubts but lateness, of the network or of a busy host that reads late
	}
	s.news = false
	ttl := p.inDoubt()
	if ttl == 0 || now.Sub(s.began) > slowTime || p.untagged { // then only one probe may be in flight
		s.active, s.done = false, true
		return p.Next(now)
	}
	at := later(later(p.soon, p.target.ready), s.last.Add(s.pause))
	if p.asksTwice(ttl) {
		at = later(at, p.hop(ttl).last.Add(resendAnswerTime))
	}
	if p.refuses(ttl) {
		// With equal pauses an answer that takes one longer than another would come as if it were the next probe's, again
		// and again (lags).
		at = later(at, s.quiet.Add(knockPause+time.Duration(min(p.hop(ttl).sends, mostAgain))*unevenPause))
	}
	if now.Before(at) {
		return WaitUntil(sooner(when, at))
	}
	if action, any := p.takeBack(ttl); any {
		return action
	}
	if action, any := p.passEarlier(); any {
		return action
	}
	action := p.ask(ttl, now)
	s.asked, s.last = p.pending[len(p.pending)-1], now
	p.hop(ttl).slowly++
	return action
}

// settleEarlier ends the wait for what was sent before where the hop has answered, and would have answered this one.
func (p *Path) settleEarlier(now time.Time) Action {
	for _, a := range p.pending {
		earlier := a != p.slow.asked && !a.byProbePort && a.ttl <= p.limit
		if earlier && p.shown(a.ttl) && !p.o.Patient && !now.Before(a.sent.Add(p.earlyTimeout(a))) {
			return p.conclude(a)
		}
	}
	return Action{}
}

// passEarlier keeps what was sent before from being taken for what is sent now.
func (p *Path) passEarlier() (Action, bool) {
	for _, a := range p.pending {
		if !a.passed && !a.byProbePort && a.ttl <= p.limit {
			a.passed = true
			return Pass(a.key), true
		}
	}
	return Action{}, false
}

// takeBack ends the wait for a probe that was sent to a hop before, so that another one takes its place.
func (p *Path) takeBack(ttl int) (Action, bool) {
	for _, a := range slices.Backward(p.pending) {
		if a.ttl == ttl && !a.byProbePort && p.hop(ttl).asked >= p.o.Queries {
			a.anew = true
			return Withdraw(a.key), true
		}
	}
	return Action{}, false
}

// kept reports whether this is the last probe to a silent hop that can still be taken back. It waits for the end, when
// it is known whether the hop is in doubt.
func (p *Path) kept(a *ask) bool {
	h := p.hop(a.ttl)
	return !p.shown(a.ttl) && !a.byProbePort && h.inFlight == 1 && p.mayBeLimited() && p.earlyTimeout(a) != 0
}

// inDoubt is the next hop to ask slowly, the one that was asked least so; 0: none. Where the target has answered, but
// not by a hop's probe, it is most likely no farther than its answers say; else the farthest hop is the likeliest to be
// beyond a limit.
func (p *Path) inDoubt() (next int) {
	s := &p.slow
	last, unplaced := p.lastAnswered()
	most := slowVain
	switch {
	case !p.target.answers:
		unplaced, most = true, slowSilent
		if s.vain >= slowSilent {
			return 0
		}
	case s.limit:
		most = slowSilent
	case s.check:
		most = slowChecks
	}
	if nearer := p.nearerByTTL(); nearer > 0 && p.asksSlowly(nearer) {
		return nearer
	}
	if !unplaced && s.vain >= most {
		return 0
	}
	if aim := min(max(p.back-p.skew, last+1), p.limit); unplaced && p.target.answers && p.asksSlowly(aim) {
		return aim
	}
	if named := p.lastRouter + 1; p.refuses(named) && p.asksSlowly(named) {
		return named
	}
	var all []int
	for ttl := p.o.FirstTTL; ttl <= p.limit; ttl++ {
		h := p.hop(ttl)
		if !p.asksSlowly(ttl) {
			continue
		}
		all = append(all, ttl)
		if next == 0 || h.slowly < p.hop(next).slowly || !unplaced && h.slowly == p.hop(next).slowly {
			next = ttl
		}
	}
	if before := p.limit - 1; !unplaced && s.vain > 0 && p.asksTwice(before) {
		return before
	}
	if s.target > 1 && len(all) > 0 {
		return all[len(all)/2] // the farthest would most likely tell once more that the target is nearer
	}
	return next
}

// refuses reports whether a hop should be the target's, and the target refuses connections. It may send only so many
// refusals a second.
func (p *Path) refuses(ttl int) bool { return p.named(ttl) && p.target.resets }

// asksTwice reports whether a hop's silence is believed only after a second probe. It is the hop right before the one
// of the target: if the network has just lost the first probe or its answer, the target would be shown one hop too far.
// A target that our reset has not reached answers the second one no sooner than resendAnswerTime after the first.
func (p *Path) asksTwice(ttl int) bool {
	return ttl == p.limit-1 && ttl >= p.o.FirstTTL && p.target.answers && p.hop(ttl).slowly == 1 && p.asksSlowly(ttl)
}

// slowTries is how often a hop is asked slowly before its silence is believed: once more where the target may be.
func (p *Path) slowTries(ttl int) int {
	if p.refuses(ttl) && p.hop(ttl).retries > 0 {
		return 1
	}
	switch _, unplaced := p.lastAnswered(); {
	case p.fallen.silent():
		return slowTries // by other ports the target doesn't answer any more either
	case ttl == p.nearerByTTL():
		return slowTries + 2
	case unplaced && p.slow.pause == knockPause && p.named(ttl):
		return slowTries + 2 // each SYN before may have made the target wait for a longer pause
	case unplaced, ttl == p.limit-1 && (!p.slow.check || p.slow.limit):
		return slowTries + 1
	}
	return slowTries
}

// nearerByTTL is the hop where the target is by the TTL of its answers, if that is before the one that it has answered
// at, and all from there on are silent: a limit may have dropped what was sent to them. 0: there is none.
func (p *Path) nearerByTTL() int {
	ttl := p.back - p.skew
	if p.back == 0 || ttl <= p.lastRouter || ttl >= p.limit || !p.hop(p.limit).byTarget {
		return 0
	}
	for i := ttl; i < p.limit; i++ {
		if p.shown(i) {
			return 0
		}
	}
	return ttl
}

// asksSlowly reports whether a hop is to be asked slowly.
func (p *Path) asksSlowly(ttl int) bool {
	h := p.hop(ttl)
	return h.suspect && !p.shown(ttl) && h.slowly < p.slowTries(ttl) && !p.spent(ttl)
}

// lastAnswered is the last hop that has answered, and whether the target has, but none of the hops is known to be it.
func (p *Path) lastAnswered() (ttl int, unplaced bool) {
	for ttl = p.limit; ttl >= p.o.FirstTTL && !p.shown(ttl); {
		ttl--
	}
	return ttl, p.target.answers && (ttl < p.o.FirstTTL || !p.hop(ttl).byTarget)
}

// slowWait is how long a probe that was sent slowly is waited for.
func (p *Path) slowWait(a *ask) time.Duration {
	if t := p.earlyTimeout(a); t > 0 {
		return t
	}
	return min(max(settled(p.slowest), slow), p.o.Wait)
}

// slowed takes in what became of a probe that was sent slowly.
func (p *Path) slowed(a *ask, r Result) {
	s := &p.slow
	if a != s.asked {
		s.news = s.news || r.Outcome == Answered
		return
	}
	s.asked = nil
	answered := r.Outcome == Answered && (!r.Refused() || !p.refusals.some())
	if s.target++; r.Outcome != Answered || !r.FromTarget() && !r.Refused() {
		s.target = 0
	}
	switch {
	case r.Outcome == Unknown && a.doubted && s.doubted < slowTries:
		s.doubted++
		p.hop(a.ttl).slowly-- // it may have been answered
		return
	case !answered && p.asksTwice(a.ttl):
		return // the next probe tells more
	case !answered:
		if s.vain++; s.vain > 1 && !s.limit {
			s.pause = knockPause // for what takes a client for real only by a kernel's pace, or forwards one SYN a second
		}
		return
	}
	s.vain, s.pause, s.proven = 0, slowPause, true
	p.doubt()
}

// doubt takes in that there is a limit: who knows what else it has dropped.
func (p *Path) doubt() {
	p.slow.limit = true
	for ttl := p.o.FirstTTL + 1; ttl <= p.limit; ttl++ {
		p.hop(ttl).suspect = !p.shown(ttl) && (p.target.answers || ttl > p.slow.from)
	}
}

// hold reports whether the rest of the probes is held back: nothing has come from the target, nor from beyond some hop.
// That may be a limit, or a target that defends itself (knock).
func (p *Path) hold(now time.Time) bool {
	if !p.holds() || p.slow.held {
		return p.holds()
	}
	long := min(slow, p.whole/2) // then the plan looks again, see window
	enough := min(distanceFactor*p.slowest+distanceSlack, long)
	silent := make(map[int]bool)
	for _, a := range p.pending {
		if age := now.Sub(a.sent); !a.byProbePort && !a.distance && a.ttl > p.known && age >= enough {
			silent[a.ttl] = true
			p.slow.held = p.slow.held || age >= long || len(silent) >= heldAfter
		}
	}
	return p.slow.held
}

// silence takes in that a probe has not been answered for so long that others are sent without it.
func (p *Path) silence(a *ask) {
	if !p.holds() {
		p.known = max(p.known, a.ttl)
	}
}

// holds reports whether probes may be held back: where distance probes would have told that the target answers.
func (p *Path) holds() bool {
	return (p.tried > 0 || p.own != ownNone) && !p.slow.over && !p.target.answers && p.mayBeLimited() &&
		p.sendsSYNs()
}

// knock asks a path that is silent beyond some hop twice more, before the rest of the probes is sent into the silence:
// the target, by a distance probe's port once more, and the next hop. Nothing depends on the time that this takes, for
// the first probes into the silence wait longer. at is when the next is due.
func (p *Path) knock(now time.Time) (action Action, at time.Time) {
	s := &p.slow
	if !p.hold(now) {
		return Action{}, at
	}
	if at = s.quiet.Add(knockPause); s.knocks > 0 {
		at = s.last.Add(max(slowPause, p.inFlightTime()))
	}
	switch {
	case now.Before(at):
		return Action{}, at
	case s.knocks > 0, p.sparing(), p.o.Budget.full(p.o.MaxTTL):
		next := min(p.known+1, p.limit)
		s.over, s.from, p.known = true, p.known, p.limit
		if p.hop(next).asked >= p.o.Queries || p.spent(next) {
			return Action{}, time.Time{}
		}
		action = p.ask(next, now)
	default:
		if p.tried == 0 {
			if p.hop(p.o.MaxTTL).asked < p.o.Queries {
				action = p.ask(p.o.MaxTTL, now)
			}
			break
		}
		port := p.o.ProbePorts[0]
		if i := slices.IndexFunc(p.pending, func(a *ask) bool { return a.distance && a.key.Port == port }); i >= 0 {
			return Withdraw(p.pending[i].key), at // or an answer might be that of either
		}
		action = p.sendBy(port, p.o.MaxTTL, now)
	}
	s.knocks++
	s.last = now
	return action, at
}

// inFlightTime is how long a probe counts as in flight that is not answered.
func (p *Path) inFlightTime() time.Duration {
	if !p.slow.over && p.slow.knocks == 0 {
		return slow
	}
	return min(distanceFactor*p.slowest+distanceSlack, slow)
}
