package trace

import (
	"time"

	"go.example/tcptraceroute/packet"
)

// Path is the plan that finds the way to one target.
//
// All hops are probed in passes (the first probe of every hop, then the second, and so on), each router's probes apart,
// so that no router gets a burst. What is in flight is bounded by the window (PathOptions.Parallel), in which
// a probe that has waited for half a second does not count: silence must not fill it.
//
// The first probes are distance probes: they have the highest TTL, so they get to the target if anything does. An
// answer to them tells in one round trip that the target answers, how long that takes, and by its own TTL about how far
// the target is, so that all hops up to there are asked at once, and none beyond. Until then only the first hops are
// asked. So a trace takes two round trips, and the pauses between its passes.
//
// All probes but the distance probes are one flow, as alike as retransmissions, so that they take one path and no
// firewall minds them. The price is that a TCP answer says that the target was reached, but not by which probe. So once
// the target is known to answer, at most one probe is in flight that may reach it, but for those that by the estimate
// don't. Where several may have been answered all the same, the answer counts for none of them (Shared), they are given
// the time to be answered, and the target is asked anew, where it is thought to be, with nothing beside it that it may
// answer. The next of two that can't be told apart leaves as soon as its answer can't come before the other's, and the
// target so long after the hop right before it that an answer to the one is none to the other.
//
// Echo requests have none of that: each answer brings back the number of its probe.
//
// With Parallel 1 everything is asked one after the other, hop by hop, each probe waiting its whole time: the old way.
type Path struct {
	o     PathOptions
	whole time.Duration // how long a probe waits at the most; o.Wait is how long its answer is told from others'
	flow  *Flow         // makes the probes

	hops       []hop // of FirstTTL and up
	pending    []*ask
	learning   *ask      // whose outcome is being learned
	limit      int       // the last TTL worth asking
	asked      int       // the highest TTL asked
	lastRouter int       // the highest TTL known to end at a router
	known      int       // the highest TTL that anything is known of: answered, or silent for slow
	answeredTo int       // no hop beyond this TTL has ever answered
	moved      time.Time // when known grew by an answer
	soon       time.Time
	idleUntil  time.Time // nothing is to be done before, unless something is learned, see pauseAfter

	injection
	lingering   time.Time   // when the wait for a probe was extended last
	firstBeyond firstBeyond // see beyond

	distanceState
	placement placement
	mixed     bool // the target has answered one of several probes, and none that was told since
	// that has happened, so those that may get to the target and those before it are not in flight together
	wary bool
	// two probes to one hop were confused, so each has its whole time before the next (see resendSafety)
	confused bool
	purge    bool      // see sideBySide
	gone     time.Time // when the oldest was sent of those that were withdrawn, and may be answered still

	target    target
	refusals  refusals
	refused   []Result // all of them, those of distance probes too
	rewritten int      // answers from which the network had taken what tells the probe
	single    bool     // so only one probe of the flow may be in flight
	untagged  bool     // and nothing else tells whose an answer is
	again     int      // see mostAgain
	unclear   int      // answers of the target in a row that fitted one hop's probe alone, and weren't told to be its
	slowest   time.Duration
	unsteady  time.Duration // by how much answers took longer than the quickest of their hop: the sum
	repeated  int           // of how many, each hop's first not counted
	rounds    rounds        // see Rounds
	fallen    fallenState   // see falling
	slow      slowing       // see suspicious
	syns      targetSYNs
}

// target is what is known of the target's answers.
type target struct {
	answers          bool
	told             bool          // an answer was told to be that of one probe
	vague            bool          // rtt may be far too long, see share
	rtt              time.Duration // the longest seen; as long as no probe could be told, an upper bound
	least            time.Duration // the shortest
	late             time.Duration // how much longer than the shortest the last answers took, see lateShare
	heard            time.Time     // when a probe of the path's own flow was answered last
	ready            time.Time     // when the reset of the last answer is over
	opens            bool          // its last answer was a SYN+ACK
	resets           bool          // it was a reset, to a SYN
	iss              uint32        // its last initial sequence number
	repeats          bool          // its last two answers had the same one
	rateLimitsSYNACK bool          // it answers a SYN once in resendAnswerTime
	tags             bool          // its answers tell which probe they are to
}

type hop struct {
	open      bool // its last probe was taken back, though the target may have answered it
	asked     int  // probes sent, but for those to be sent anew
	answered  bool
	silent    bool // one probe waited its whole time in vain
	rtt       time.Duration
	first     time.Time     // when it was asked first
	last      time.Time     // when it was asked last
	heard     time.Time     // in rounds: when the newest probe was sent that it answered
	gone      int           // in rounds: how many probes sent since were lost
	lone      time.Time     // in rounds: when it was asked last with nothing beside it that the target may answer
	best      time.Duration // the shortest
	sends     int           // probes sent
	refused   int           // of them
	inFlight  int           // probes in flight, those by ProbePorts not counted
	router    bool          // a router answered
	swept     bool          // it was asked in a sweep
	byPort    int           // how often by ports of their own, in a sweep
	told      time.Time     // when the last of these is answered, if it is
	vainPorts int           // how many of them were answered by one box only, or by none
	judged    int           // how many probes were sent to it when quiet was counted
	quiet     int           // how many in a row were not followed by an answer in the target's name, in a sweep
	reached   bool          // the target has answered, or somebody in its name
	kinds     kinds         // of these answers
	vain      int           // how often in vain, since it last answered
	shown     bool          // it has an answer to show: in time, and by a probe of its own
	byTarget  bool          // that was the target's, or a refusal
	suspect   bool          // see suspicious
	slowly    int           // how often it was asked slowly
	retries   int           // how often it was asked once more, see retried
	retry     retry         // the last time
	unseen    int           // how often this host could not see whether it answered
	failed    int           // probes that this host refused to send
}

type ask struct {
	key         packet.Key
	ttl         int
	sent        time.Time
	distance    bool      // it has the highest TTL
	byProbePort bool      // it goes by one of ProbePorts: a distance probe, or the control probe
	alone       bool      // nothing else in flight may be answered alike
	passed      bool      // see Pass
	aside       bool      // see TrustAside; it is passed, too
	again       bool      // two probes or more have gone to this hop before
	missing     bool      // a distance probe that should have been answered by now
	doubted     bool      // an answer that came, and was not taken for its, may have been
	until       time.Time // it is not withdrawn before
	lingers     bool      // see linger
	outcome     Outcome   // Answered also if the answer came late: no limit has dropped the probe
	anew        bool      // it is sent once more, see slowing
	retried     bool      // likewise, see retried
	shadowed    bool      // it may have got no answer because one was sent further before it
}

// The constants of the strategy. Times and numbers in their reasons are those of 200 paths of the simulated Internet
// (TestInternet). Without any distance probe the median was 1.2 s, and 10 SYNs at the target; with one distance probe
// on the path's own flow 266 ms and 3 SYNs; with a second one on another flow 169 ms; with all on others, and the lost
// ones replaced, 149 ms; with the hop before the target asked before it, and a control probe, 139 ms.
const (
	// slow is when a probe stops counting as in flight for the window, at the latest; else when it has waited so long as
	// would be enough at the end, see earlyTimeout.
	slow = 500 * time.Millisecond

	// lookAhead is how many hops beyond the last one known the first pass goes: what it may overshoot the target by. While
	// a distance probe may still be answered it goes creepAhead hops beyond the last one known, firstAhead from the start.
	// Each of these hops may be the target, so more of them are SYNs that nobody needs, and that a limit on SYNs counts.
	// With 2 and 8 the target gets up to 9 SYNs at once, of 3000 random paths with a limit on SYNs 61 are wrong instead of
	// 15, and the trace is 1 % faster. With 1 and 1 twice as many paths are wrong where a device answers in the target's
	// name, for less is known of the routers beyond it.
	lookAhead  = 8
	firstAhead = 4
	creepAhead = 3

	// farAhead is how many hops beyond the last router known are asked at once where the target seems to be farther:
	// hardly a path is longer, and who starts with an unusual TTL seems to be up to 127 hops away.
	farAhead = 24

	// distanceFactor times the slowest answer, and distanceSlack, is how long an answer is waited for before a probe
	// counts as silent. Routers answer before the target does.
	distanceFactor = 3
	distanceSlack  = 50 * time.Millisecond

	// A hop is asked again after a restShare of the longest round trip, but no sooner than leastRest and no later than
	// mostRest.
	restShare = 32
	leastRest = 2500 * time.Microsecond
	mostRest  = 100 * time.Millisecond

	// mostShift is by how many probes less one a hop may have its turn later than its rest is over, see place.
	mostShift = 5

	// apart is how long after the hop before it the target is asked, see nextToTarget: long enough that their answers
	// aren't confused where times differ by a millisecond or so. 3 ms would save none. Without that the median is 8 %
	// longer, for a silent hop before the target costs a round trip and a half, and one in eight is.
	apart = 4 * time.Millisecond

	// resetTime and a resetShare of the round-trip time is what the target is left alone after an answer, so that our
	// kernel's reset of what it opened gets there before the next SYN, which else would not be answered (a listening Linux
	// answers a repeated SYN once in 500 ms).
	resetTime  = 2 * time.Millisecond
	resetShare = 16

	// A late answer counts a lateShare less with each answer after it, and not at all if it is so late that the target has
	// sent it again (leastRetransmit): with -q 200 one lost SYN+ACK would put a second before each of the other probes.
	lateShare = 8

	// resendAnswerTime is how often a listening Linux answers the same SYN where our resets don't reach it.
	resendAnswerTime = 510 * time.Millisecond

	// mostAgain is how many probes are asked anew because of doubts though they were alone.
	mostAgain = 8

	// rewriteProof is how many answers that name no probe it takes to believe that the network rewrites tags.
	rewriteProof = 2
)

// NewPath is a plan for one target. The error is that of NewFlow.
func NewPath(o PathOptions) (*Path, error) {
	f, err := NewFlow(o)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	p := &Path{o: o, whole: o.Wait, flow: f, limit: o.MaxTTL, lastRouter: o.FirstTTL - 1}
	p.known, p.answeredTo, p.farthest = p.lastRouter, p.lastRouter, p.lastRouter
	p.o.Wait = o.ProbeWait()
	if !p.sendsSYNs() {
		p.o.Budget = nil
	}
	p.hops = make([]hop, o.MaxTTL-o.FirstTTL+1)
	p.syns.sent, p.syns.lost = make([]int, len(p.hops)), make([]int, len(p.hops))
	if o.sendsDistanceProbes() {
		p.distanceState = newDistanceState(o)
	}
	return p, nil
}

// Length is how long a packet is in bytes where this length is asked for: at least its headers.
func (p *Path) Length(wanted int) int { return p.flow.Length(wanted) }

// Last is the last TTL that may be asked.
func (p *Path) Last() int { return p.o.MaxTTL }

func (p *Path) hop(ttl int) *hop { return &p.hops[ttl-p.o.FirstTTL] }

// Next implements Plan.
func (p *Path) Next(now time.Time) Action {
	if now.Before(p.idleUntil) {
		return WaitUntil(p.idleUntil)
	}
	if p.o.UnheardSYNs > 0 { // else it is a question, and the trace itself knows more
		p.o.Budget.expect(p.expected(), p.o.Queries)
	}
	when, action := p.overdue(now)
	if action.Do != DoWait {
		return action
	}
	switch {
	case p.sweeping():
		action = p.sweep(now, when)
	case p.o.Parallel == 1:
		action = p.oneByOne(now, when)
	case p.slow.active:
		action = p.slowly(now, when)
	default:
		if action = p.sideBySide(now, when); action.Do == DoSend {
			p.pauseAfter(now, when)
		}
	}
	if action.Do != DoWait || !action.Until.IsZero() || len(p.pending) > 0 {
		return action
	}
	if (p.refusals.some() || p.nearerByTTL() > 0) && !p.slow.active && p.suspicious() {
		p.slowDown(now)
		return p.Next(now)
	}
	if now.Before(p.stayUntil) {
		return WaitUntil(p.stayUntil)
	}
	return action
}

// pauseAfter notes that nothing is to be done right after a probe was sent, until the next one may be sent, when comes,
// or something is learned. A plan is asked right after each probe, and would look at all that is in flight. Where only
// one probe of the flow may be in flight, that is little, and then nothing is due so soon.
func (p *Path) pauseAfter(now, when time.Time) {
	if !p.rounds.on() && !p.single {
		p.idleUntil = sooner(sooner(p.soon, now.Add(DefaultSpacing)), when)
	}
}

// overdue is what has to be done about a probe in flight; where that is nothing now, when it will be something.
func (p *Path) overdue(now time.Time) (when time.Time, action Action) {
	if when = p.giveUpAt(); !when.IsZero() && !now.Before(when) {
		switch {
		case p.suspicious():
			p.slowDown(now)
		case p.o.Patient:
			p.slow.done = true // each probe has its whole time
		default:
			return when, p.conclude(p.pending[0])
		}
		when = time.Time{}
	}
	for _, a := range p.pending {
		next := p.deadline(a, now)
		if !next.at.IsZero() && !now.Before(next.at) {
			if next.do == DoExtend {
				p.linger(now, a)
			}
			return next.at, Action{Do: next.do, Key: a.key, Until: next.until}
		}
		when = sooner(when, next.at)
	}
	return when, Action{}
}

// oneByOne asks hop by hop, each probe after the outcome of the one before. when is as in sideBySide.
func (p *Path) oneByOne(now, when time.Time) Action {
	for ttl := p.o.FirstTTL; ttl <= p.limit && len(p.pending) == 0; ttl++ {
		if p.hop(ttl).asked < p.o.Queries && !p.spent(ttl) {
			if at := p.notBefore(ttl); now.Before(at) {
				return WaitUntil(at)
			}
			return p.ask(ttl, now)
		}
	}
	return WaitUntil(when)
}

// sideBySide asks the hop that was asked least (see before), as soon as the window, the spacing and what is in flight
// allow it. when is when it wants to be asked again in any case.
func (p *Path) sideBySide(now, when time.Time) Action {
	if p.own == ownWanted && p.o.Budget.full(p.o.MaxTTL) {
		p.own = ownNone
	}
	if p.own == ownWanted {
		return p.ask(p.o.MaxTTL, now)
	}
	distance, at, over := p.farthestDue(now)
	switch {
	case over:
		return p.fell(now)
	case !distance:
		when = sooner(when, at)
	}
	if distance || p.controlDue() {
		return p.sendOwnFlow(now, when, distance)
	}
	place, at := p.placingDue(now)
	switch {
	case place > 0 && now.Before(p.soon):
		return WaitUntil(sooner(when, p.soon))
	case place > 0:
		return p.sendPlacing(place, now)
	}
	when = sooner(when, at)
	if action, any := p.passBeside(); any {
		return action
	}
	window, due := p.window(now)
	when = sooner(when, due)
	action, at := p.knock(now)
	if action.Do != DoWait {
		return action
	}
	when = sooner(when, at)
	any, free, due := p.least(now)
	when = sooner(when, due)
	any = p.likeliest(now, any)
	if ttl := p.begun(any); ttl != 0 {
		if at := p.turn(ttl); now.Before(at) {
			return WaitUntil(sooner(when, at))
		}
		any = ttl
	}
	if any == 0 || window <= 0 {
		return WaitUntil(when)
	}
	ttl, settled := any, p.notBefore(any)
	blocker := p.rival(any)
	if blocker != nil {
		if p.untagged {
			return WaitUntil(when) // its answer would be taken for the next one's
		}
		settled = later(settled, blocker.sent.Add(p.resendSafety(blocker)))
	}
	if p.places() && (p.exclusive(any) || p.delicate(any)) {
		ttl = free
	} else if now.Before(settled) {
		ttl, when = free, sooner(when, settled)
	} else if blocker != nil {
		return p.passBlocker(blocker)
	}
	switch {
	case ttl == 0:
		return WaitUntil(when)
	case now.Before(p.soon):
		return WaitUntil(sooner(when, p.soon))
	}
	return p.ask(ttl, now)
}

// sendOwnFlow sends a distance probe or the control probe, as soon as the spacing allows it.
func (p *Path) sendOwnFlow(now, when time.Time, distance bool) Action {
	switch {
	case now.Before(p.soon):
		return WaitUntil(sooner(when, p.soon))
	case distance:
		return p.sendDistance(now)
	}
	return p.sendControl(now)
}

// placed reports whether the target is thought to be at a hop that is named.
func (p *Path) placed(ttl int) bool { return ttl == p.estimate && p.named(ttl) }

// named reports whether a hop should be the target's by the TTL of its answers, and nothing has come from the hop.
// Where nothing has come from those before it either, a limit on SYNs may have dropped all of them, and the target's
// answers.
func (p *Path) named(ttl int) bool {
	return ttl <= p.limit && ttl == p.back-p.skew && ttl > p.lastRouter && !p.hop(ttl).answered &&
		(p.target.opens || p.target.resets)
}

// retry is how far a hop is that is asked once more.
type retry uint8

const (
	retryNone retry = iota
	retryWanted
	retrySent
)

// retries reports whether a placed hop may be asked once more before any beyond it, for the target sends resets: it may
// send only so many of them.
func (p *Path) retries(ttl int) bool {
	return p.placed(ttl) && p.target.resets && p.hop(ttl).retries < mostRetries
}

// retried reports whether a probe is taken back for that: the last one to such a hop, where there is to be another one.
func (p *Path) retried(a *ask) bool {
	h := p.hop(a.ttl)
	return !a.byProbePort && !p.slow.active && p.retries(a.ttl) && a.sent.Equal(h.last) &&
		h.asked >= max(p.wanted(a.ttl), min(p.o.Queries, 2))
}

// retryDue reports whether such a hop is to be asked once more.
func (p *Path) retryDue(ttl int) bool { return p.hop(ttl).retry == retryWanted && p.placed(ttl) }

// neverLeft reports whether this host has refused to send all probes to a hop that may be the target's, and is to be
// tried once more: it may refuse only some of them, and the target would stand one hop too far.
func (p *Path) neverLeft(ttl int) bool {
	h := p.hop(ttl)
	return p.target.answers && ttl > p.lastRouter && h.failed > 0 && h.failed == h.sends && h.inFlight == 0 &&
		h.failed < p.o.Queries+mostFailedMore
}

// mostFailedMore is how many probes more than are wanted are tried at such a hop.
const mostFailedMore = 3

// mostRetries is how often that is done.
const mostRetries = 2

// rest is how long a hop is left alone after it was asked.
func (p *Path) rest() time.Duration { return min(max(p.slowest/restShare, leastRest), mostRest) }

func (p *Path) echo() bool { return p.o.Protocol == packet.ProtoEcho }

// ask sends a probe.
func (p *Path) ask(ttl int, now time.Time) Action {
	probe := p.flow.Probe(ttl)
	a := &ask{ttl: ttl, sent: now, alone: p.exclusive(ttl)}
	if p.rounds.aside {
		a.alone, a.passed, a.aside = false, true, true
	}
	if p.own == ownWanted {
		a.distance, p.own = true, ownSent
	} else {
		p.asked = max(p.asked, ttl)
	}
	h := p.hop(ttl)
	a.again = h.asked > 1
	if !p.rounds.on() { // which nobody asks slowly, and which may go on for ever
		p.slow.log = append(p.slow.log, a)
	}
	h.asked++
	h.sends++
	if h.retry == retryWanted {
		h.retry = retrySent
	}
	if p.injection.known {
		p.stayUntil = later(p.stayUntil, now.Add(p.sweepWait())) // for the target's own answer may come last
	}
	h.last = now
	if h.first.IsZero() {
		h.first = now
	}
	p.soon = now.Add(p.spacing(h))
	return p.send(probe, a)
}

// send puts a probe on its way.
func (p *Path) send(probe packet.Probe, a *ask) Action {
	a.key = probe.Key()
	if a.ttl > p.lastRouter {
		p.slow.quiet = a.sent
	}
	p.pending = append(p.pending, a)
	p.syns.add(a.ttl-p.o.FirstTTL, 1)
	if !a.byProbePort {
		p.hop(a.ttl).inFlight++
	}
	action := p.flow.send(probe, p.o.Wait)
	action.Role = a.role()
	switch {
	case p.single:
		action.Trust |= TrustAlone
	case a.aside:
		action.Trust |= TrustAside
	case p.slow.active:
		action.Trust |= TrustSlow
	case !a.byProbePort && a.ttl == p.estimate && p.controlled == a.ttl-1: // see nextToTarget
		action.Trust |= TrustFirst
	}
	return action
}

func sooner(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
