package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// Path is the plan that finds the way to one target.
//
// All hops are probed in passes (the first probe of every hop, then the second, and so on), each router's probes apart,
// so that no router gets a burst. What is in flight is bounded by the window (PathOptions.Parallel), in which
// a probe that has waited for half a second does not count: silence must not fill it.
//
// The first probes are scouts: they have the highest TTL, so they get to the target if anything does. An answer to them
// tells in one round trip that the target answers, how long that takes, and by its own TTL about how far the target is,
// so that all hops up to there are asked at once, and none beyond. Until then only the first hops are asked.
// So a trace takes two round trips, and the pauses between its passes.
//
// All probes but the scouts are one flow, as alike as retransmissions, so that they take one path and no firewall minds
// them. The price is that a TCP answer says that the target was reached, but not by which probe. So once the target is
// known to answer, at most one probe is in flight that may reach it, but for those that by the guess don't. Where several
// may have been answered all the same, the answer counts for none of them (Shared), they are given the time to be answered,
// and the target is asked anew, where it is thought to be, with nothing beside it that it may answer.
// The next of two that can't be told apart leaves as soon as its answer can't come before the other's, and the
// target so long after the hop right before it that an answer to the one is none to the other.
//
// Echo requests have none of that: each answer brings back the number of its probe.
//
// With Parallel 1 everything is asked one after the other, hop by hop, each probe waiting its whole time: the old way.
type Path struct {
	o     PathOptions
	whole time.Duration // how long a probe waits at the most; o.Wait is how long its answer is told from others'
	flow  *Flow         // makes the probes

	hops    []hop // of FirstTTL and up
	pending []*ask
	limit   int       // the last TTL worth asking
	asked   int       // the highest TTL asked
	spent   int       // the highest TTL known to end at a router
	known   int       // the highest TTL that anything is known of: answered, or silent for slow
	moved   time.Time // when known grew by an answer
	soon    time.Time

	injection
	lingering time.Time // when the wait for a probe was extended last

	scouting
	mixed    bool      // the target has answered one of several probes, and none that was told since
	wary     bool      // that has happened, so those that may get to the target and those before it are not in flight together
	confused bool      // two probes to one hop were confused, so each has its whole time before the next (see overtaking)
	purge    bool      // see sideBySide
	gone     time.Time // when the oldest was sent of those that were withdrawn, and may be answered still

	target    target
	refusals  refusals
	refused   []Result // all of them, those of scouts too
	rewritten int      // answers from which the network had taken what tells the probe
	single    bool     // so only one probe of the flow may be in flight
	untagged  bool     // and nothing else tells whose an answer is
	again     int      // see mostAgain
	slowest   time.Duration
	unsteady  time.Duration // by how much answers took longer than the quickest of their hop: the sum
	repeated  int           // of how many, each hop's first not counted
	rounds    rounds        // see Rounds
	slow      slowing       // see suspicious
}

// target is what is known of the target's answers.
type target struct {
	answers bool
	told    bool          // an answer was told to be that of one probe
	vague   bool          // rtt may be far too long, see share
	rtt     time.Duration // the longest seen; as long as no probe could be told, an upper bound
	least   time.Duration // the shortest
	heard   time.Time     // when a probe of the path's own flow was answered last
	ready   time.Time     // when the reset of the last answer is over
	iss     uint32        // its last initial sequence number
	repeats bool          // its last two answers had the same one
	stingy  bool          // it answers a SYN once in stingyTime
	tags    bool          // its answers tell which probe they are to
}

type hop struct {
	asked    int // probes sent, but for those to be sent anew
	answered bool
	silent   bool // one probe waited its whole time in vain
	rtt      time.Duration
	first    time.Time     // when it was asked first
	last     time.Time     // when it was asked last
	heard    time.Time     // in rounds: when the newest probe was sent that it answered
	gone     int           // in rounds: how many probes sent since were lost
	lone     time.Time     // in rounds: when it was asked last with nothing beside it that the target may answer
	best     time.Duration // the shortest
	sends    int           // probes sent
	refused  int           // of them
	router   bool          // a router answered
	swept    bool          // it was asked in a sweep
	reached  bool          // the target has answered, or somebody in its name
	vain     int           // how often in vain, since it last answered
	shown    bool          // it has an answer to show: in time, and by a probe of its own
	byTarget bool          // that was the target's, or a refusal
	suspect  bool          // see suspicious
	slowly   int           // how often it was asked slowly
	unseen   int           // how often this host could not see whether it answered
}

type ask struct {
	key     packet.Key
	ttl     int
	sent    time.Time
	scout   bool      // it has the highest TTL
	spare   bool      // it goes by one of SparePorts: a scout, or the witness
	alone   bool      // nothing else in flight may be answered alike
	passed  bool      // see Pass
	aside   bool      // see TrustAside; it is passed, too
	again   bool      // two probes or more have gone to this hop before
	missing bool      // a scout that should have been answered by now
	doubted bool      // an answer that came, and was not taken for its, may have been
	until   time.Time // it is not withdrawn before
	lingers bool      // see linger
	n       int       // in slowing.log
	anew    bool      // it is sent once more, see slowing
	under   bool      // it may have got no answer because one was sent further before it
}

// The constants of the strategy. Times and numbers in their reasons are those of 200 paths of the simulated Internet
// (TestInternet). Without any scout the median was 1.2 s, and 10 SYNs at the target; with one scout on the path's own flow
// 266 ms and 3 SYNs; with a second one on another flow 169 ms; with all on others, and the lost ones replaced, 149 ms; with the hop
// before the target asked before it, and a witness, 139 ms.
const (
	// slow is when a probe stops counting as in flight for the window, at the latest; else when it has waited so long as
	// would be enough at the end, see haste.
	slow = 500 * time.Millisecond

	// settleFactor times the target's round-trip time, and settleSlack, is when a probe is held to be unanswered by it.
	settleFactor = 2
	settleSlack  = 20 * time.Millisecond

	// refusedSlack is how much longer than twice a refusal took a probe may be answered that was sent further.
	refusedSlack = 50 * time.Millisecond

	// doubtMargin is how long before the end of its wait a doubted probe is withdrawn.
	doubtMargin = time.Millisecond

	// lookAhead is how many hops beyond the last one known the first pass goes: what it may overshoot the target by.
	// While a scout may still be answered it goes creepAhead hops beyond the last one known, firstAhead from the start.
	// Each of these hops may be the target, so more of them are SYNs that nobody needs, and that a limit on SYNs counts.
	// With 2 and 8 the target gets up to 9 SYNs at once, of 3000 random paths with a limit on SYNs 61 are wrong instead of
	// 15, and the trace is 1 % faster. With 1 and 1 twice as many paths are wrong where a device answers in the target's
	// name, for less is known of the routers beyond it.
	lookAhead  = 8
	firstAhead = 4
	creepAhead = 3

	// scoutFactor times the slowest answer, and scoutSlack, is how long the scout's answer is waited for before hops
	// beyond the first lookAhead are asked without it. Routers answer before the target does.
	scoutFactor = 3
	scoutSlack  = 50 * time.Millisecond

	// A hop is asked again after a restShare of the longest round trip, but no sooner than leastRest and no later than
	// mostRest.
	restShare = 32
	leastRest = 2500 * time.Microsecond
	mostRest  = 100 * time.Millisecond

	// mostShift is by how many probes less one a hop may have its turn later than its rest is over, see place.
	mostShift = 5

	// apart is how long after the hop before it the target is asked, see close: long enough that their answers aren't confused
	// where times differ by a millisecond or so. 3 ms would save none. Without close the median is 8 % longer, for a silent hop
	// before the target costs a round trip and a half, and one in eight is.
	apart = 4 * time.Millisecond

	// What a probe waits at least, see haste: as long as hasteHops hops behind it took, hasteSlack, and hasteJitter times what
	// answers are late by on average (as a retransmission timer does, RFC 6298 2.3), and hasteUnknown times that for a hop that
	// has not answered at all. One that is later counts as mostLate: a router that is slow by itself says little of the others.
	// Of 8004 answers that come within 3 s, this shows 7954 in a median time of 139 ms; 1.5 times as long and 20 ms would show
	// 7973 in 165 ms, twice as long and 50 ms 7980 in 211 ms.
	hasteSlack   = 4 * time.Millisecond
	hasteJitter  = 4
	hasteUnknown = 4
	hasteHops    = 2
	mostLate     = 5 * time.Millisecond

	// leastHaste is the least of that: next door, where it costs nobody time, a busy host is late by some milliseconds.
	leastHaste = 15 * time.Millisecond

	// resetTime and a resetShare of the round-trip time is what the target is left alone after an answer, so that our
	// kernel's reset of what it opened gets there before the next SYN, which else would not be answered (a listening Linux
	// answers a repeated SYN once in 500 ms).
	resetTime  = 2 * time.Millisecond
	resetShare = 16

	// stingyTime is how often a listening Linux answers the same SYN where our resets don't reach it.
	stingyTime = 510 * time.Millisecond

	// mostAgain is how many probes are asked anew because of doubts though they were alone.
	mostAgain = 8

	// leastPatience is the least time that a probe waits where it does not wait its whole time, see patience.
	leastPatience = time.Second

	// patienceFactor times the slowest answer from here on is what a probe waits, see patience.
	patienceFactor = 3

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
	p := &Path{o: o, whole: o.Wait, flow: f, limit: o.MaxTTL, spent: o.FirstTTL - 1, known: o.FirstTTL - 1}
	p.o.Wait = o.ProbeWait()
	p.hops = make([]hop, o.MaxTTL-o.FirstTTL+1)
	if o.hasScouts() {
		p.scouting = newScouting(o)
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
		action = p.sideBySide(now, when)
	}
	if action.Do == DoWait && action.Until.IsZero() && len(p.pending) == 0 && now.Before(p.stayUntil) {
		return WaitUntil(p.stayUntil)
	}
	return action
}

// overdue is what has to be done about a probe in flight; where that is nothing now, when it will be something.
func (p *Path) overdue(now time.Time) (when time.Time, action Action) {
	if when = p.over(); !when.IsZero() && !now.Before(when) {
		if !p.suspicious() {
			return when, p.conclude(p.pending[0])
		}
		p.slowDown(now)
	}
	for _, a := range p.pending {
		due, action := p.deadline(a)
		if !due.IsZero() && !now.Before(due) {
			if action.Do == DoExtend {
				p.linger(now, a.key)
			}
			return due, action
		}
		when = sooner(when, due)
	}
	return when, Action{}
}

// oneByOne asks hop by hop, each probe after the outcome of the one before. when is as in sideBySide.
func (p *Path) oneByOne(now, when time.Time) Action {
	for ttl := p.o.FirstTTL; ttl <= p.limit && len(p.pending) == 0; ttl++ {
		if p.hop(ttl).asked < p.o.Queries {
			if at := p.notBefore(ttl); now.Before(at) {
				return WaitUntil(at)
			}
			return p.ask(ttl, now)
		}
	}
	return WaitUntil(when)
}

// notBefore is when a hop may be asked.
func (p *Path) notBefore(ttl int) time.Time {
	if p.exclusive(ttl) || p.delicate(ttl) {
		return later(p.soon, p.target.ready)
	}
	return p.soon
}

// sideBySide asks the hop that was asked least (see before), as soon as the window, the spacing and what is in flight allow
// it. when is when it wants to be asked again in any case.
func (p *Path) sideBySide(now, when time.Time) Action {
	if p.own == scoutWanted {
		return p.ask(p.o.MaxTTL, now)
	}
	scout, at := p.scoutDue(now)
	if !scout {
		when = sooner(when, at)
	}
	if scout || p.witnessDue() {
		switch {
		case now.Before(p.soon):
			return WaitUntil(sooner(when, p.soon))
		case scout:
			return p.sendScout(now)
		}
		return p.sendWitness(now)
	}
	if p.purge {
		// Those that were sent beside it, for they were thought not to get that far, would have its answer, if it is late.
		for _, a := range p.pending {
			if !a.passed && !a.spare && a.ttl > p.spent {
				a.passed = true
				return Pass(a.key)
			}
		}
		p.purge = false
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
	may := func(ttl int) bool {
		return any > p.spent && ttl > p.spent && ttl <= p.limit && p.hop(ttl).asked < p.wanted(ttl) && !now.Before(p.turn(ttl))
	}
	switch {
	case p.mixed && p.guess > 0 && may(p.guess):
		any = p.guess // before others that may be the target, which is most likely there
	case p.target.vague && may(p.limit):
		any = p.limit
	}
	if ttl := p.begun(any); ttl != 0 {
		if at := p.turn(ttl); now.Before(at) {
			return WaitUntil(sooner(when, at))
		}
		any = ttl
	}
	if any == 0 || window <= 0 {
		return WaitUntil(when)
	}
	if now.Before(p.soon) {
		return WaitUntil(sooner(when, p.soon))
	}
	ttl, settled := any, p.notBefore(any)
	blocker := p.rival(any)
	if blocker != nil {
		if p.untagged {
			return WaitUntil(when) // its answer would be taken for the next one's
		}
		settled = later(settled, blocker.sent.Add(p.overtaking(blocker)))
	}
	if now.Before(settled) {
		ttl, when = free, sooner(when, settled)
	} else if blocker != nil {
		if blocker.doubted {
			return Withdraw(blocker.key)
		}
		blocker.passed = true
		if h := p.hop(blocker.ttl); !h.answered && p.guess > 0 && blocker.ttl == p.guess && h.asked > 1 {
			p.guess, p.purge = 0, true // there is a silent hop where the target was thought to be
		}
		return Pass(blocker.key)
	}
	if ttl == 0 {
		return WaitUntil(when)
	}
	return p.ask(ttl, now)
}

// window is how many probes more may be in flight, and when there may be another. It takes note of those that have waited for
// slow: they don't count, and silence is what is known of their hops.
func (p *Path) window(now time.Time) (left int, more time.Time) {
	left = p.o.Parallel
	for _, a := range p.pending {
		enough := p.whole / 2 // before it is lost
		if p.target.told {
			enough = max(enough, p.target.least+p.slack()) // the target may be nearer than its TTL says
		}
		wait := min(p.inFlightTime(), enough)
		if t := p.haste(a); t > 0 && p.known >= p.o.FirstTTL { // else how late answers are isn't known yet
			wait = min(t, wait)
		}
		if free := a.sent.Add(wait); now.Before(free) {
			left--
			more = sooner(more, free)
		} else if !a.scout && !a.spare {
			p.silence(a)
		}
	}
	return left, more
}

// least finds the hop to ask next, and the next among those that any number of probes may be in flight to. 0: none. Of
// which nothing is known yet, no hop is asked twice. due is when that may change by itself.
func (p *Path) least(now time.Time) (any, free int, due time.Time) {
	last, due := p.horizon(now)
	if p.refusing() {
		last = max(last, p.end())
	}
	for ttl := p.o.FirstTTL; ttl <= min(p.end(), last); ttl++ {
		asked, once := p.hop(ttl).asked, 0
		if ttl == p.o.MaxTTL && p.own != scoutNone {
			once = 1
		}
		if asked >= p.wanted(ttl) || asked > once && p.unknown(ttl) {
			continue
		}
		if at := p.turn(ttl); now.Before(at) {
			due = sooner(due, at)
			continue
		}
		if any == 0 || p.before(ttl, any) {
			any = ttl
		}
		if !p.exclusive(ttl) && !p.delicate(ttl) && (free == 0 || p.before(ttl, free)) {
			free = ttl
		}
	}
	return any, free, due
}

// unknown reports whether nothing is known yet of a hop: nothing has come from it, nor from beyond. A scout's answer
// tells how far the target is, but that may be wrong as long as nobody has answered the path's own flow.
func (p *Path) unknown(ttl int) bool {
	if ttl <= p.known || p.hop(ttl).refused > 0 {
		return false
	}
	return p.known < p.o.FirstTTL || !p.target.answers && p.guess == 0
}

// before reports whether hop a is asked before hop b, of two that may be asked now and a is the farther: the one that was asked
// least.
func (p *Path) before(a, b int) bool {
	switch {
	case p.close(a):
		return true
	case p.close(b):
		return false
	}
	x, y := p.hop(a).asked, p.hop(b).asked
	if x == y && x > 0 && p.anyOrder(a) && p.anyOrder(b) {
		return p.place(x, a) < p.place(x, b)
	}
	if x == y && p.guess > 0 && p.distant() {
		return true // the farthest first, which takes longest
	}
	return x < y
}

// anyOrder reports whether it doesn't matter when a hop has its turn within a pass: it is not the target, nor thought to be right
// before it.
func (p *Path) anyOrder(ttl int) bool { return ttl <= p.spent || ttl < p.guess-1 && !p.delicate(ttl) }

// place is where a hop stands in a pass. Each pass has an order of its own: with always the same one, probes and a router that sends
// packets by its ways in turn would keep step, and only one of the ways would ever be seen.
func (p *Path) place(pass, ttl int) uint64 {
	return scramble(uint64(p.flow.seq)<<16 + uint64(pass)<<8 + uint64(ttl))
}

// turn is when a hop may be asked again.
func (p *Path) turn(ttl int) time.Time {
	switch h := p.hop(ttl); {
	case ttl == p.guess && p.close(ttl-1):
		before := p.hop(ttl - 1)
		at := before.last.Add(p.apart())
		if left := p.wanted(ttl-1) - before.asked; left > 0 {
			at = later(p.soon, at).Add(time.Duration(left) * p.rest())
		}
		return at
	case h.asked == 0:
		return time.Time{}
	case h.asked >= p.o.Queries && p.refusedOnly(ttl):
		return h.last.Add(stingyTime) // our resets may be refused too
	case p.anyOrder(ttl):
		return h.last.Add(p.rest() + time.Duration(p.place(h.asked, ttl)%mostShift)*min(p.o.Spacing, DefaultSpacing))
	default:
		return h.last.Add(p.rest())
	}
}

// rest is how long a hop is left alone after it was asked.
func (p *Path) rest() time.Duration { return min(max(p.slowest/restShare, leastRest), mostRest) }

// close reports whether a hop is the one right before the target, by the guess, and nothing is known of it: it may be silent, or
// be the target. So the target is asked after it, so long that an answer to the one is none to the other (apart): were it the
// target, it would answer the first. Such an answer, if it is late, looks like one to the second; but then the target answers the
// witness too (witnessDue).
func (p *Path) close(ttl int) bool {
	return ttl == p.guess-1 && p.guess <= p.limit && p.spent < ttl && p.distant() && !p.hop(ttl).answered && p.hop(p.guess).asked == 0 &&
		(p.vouched >= ttl || len(p.ports) > 0) && !p.echo()
}

// distant reports whether the target is so far away that the order matters in which hops are asked, which else is that of
// their distance: then a nearer hop has answered before the target does.
func (p *Path) distant() bool { return p.target.told && p.target.least > 2*apart && !p.wary }

// deadline is when something has to be done about a probe, and what. Zero: never.
func (p *Path) deadline(a *ask) (time.Time, Action) {
	switch {
	case a.spare && a.ttl > p.limit && p.slow.knocks == 0 && p.credit+p.hop(p.limit).asked < p.o.Queries:
		return time.Time{}, Action{} // it counts where the target turned out to be
	case p.sweeping() && a.ttl > p.farthest:
		return time.Time{}, Action{} // see sweep
	case a.ttl > p.limit && p.refusing():
		// It may show that the refusal is for some of the packets only.
		return a.sent.Add(min(2*p.hop(p.limit).best+refusedSlack, p.o.Wait-doubtMargin)), Withdraw(a.key)
	case a.ttl > p.limit && !p.wanting(a):
		return a.sent, Withdraw(a.key) // nothing depends on it any more
	case a.under:
		// A router would have answered by then. Next door answers may be late by more than they take.
		return a.sent.Add(max(p.target.least+p.slack(), leastHaste)), Withdraw(a.key)
	case a.doubted, a.ttl > p.limit:
		// It may have been answered, so it is not lost; it is asked anew when its answer can't come any more. So long one
		// beyond the target keeps others from being sent.
		t := p.overtaking(a)
		if p.rewritten > 0 {
			t = p.longest() // answers from far behind may be on their way that could be taken for others'
		}
		t = max(t, a.until.Sub(a.sent))
		return a.sent.Add(min(t, p.o.Wait-doubtMargin)), Withdraw(a.key)
	}
	switch {
	case p.slow.active && !p.hop(a.ttl).shown && p.slow.anew < mostAnew:
		a.anew = true
		return a.sent.Add(p.o.Wait - doubtMargin), Withdraw(a.key) // it was perhaps dropped by a limit
	case !a.lingers && p.kept(a):
		return time.Time{}, Action{}
	}
	return p.ending(a)
}

// wanting reports whether there is, or will be, another probe that an answer to this one could be taken for that of.
func (p *Path) wanting(a *ask) bool {
	if !p.target.answers || p.echo() {
		return false
	}
	for _, b := range p.pending {
		// Which hops a flow ends at is known for that flow only.
		if b.ttl <= p.limit && (b.ttl > p.spent || len(p.o.Ports) > 0 && b != a && b.key.Port == a.key.Port) {
			return true
		}
	}
	for ttl := p.spent + 1; ttl <= p.limit; ttl++ {
		if p.hop(ttl).asked < p.wanted(ttl) {
			return true
		}
	}
	return false
}

// exclusive reports whether only one probe may be in flight beside a probe of this TTL.
func (p *Path) exclusive(ttl int) bool {
	return p.single || p.target.answers && ttl > p.spent && (ttl >= p.guess || p.mixed || p.rounds.on()) && !p.echo()
}

func (p *Path) echo() bool { return p.o.Protocol == packet.ProtoEcho }

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

// rival finds a probe in flight that one of this TTL could not be told from, if the target answers; nil: none. Of probes to
// one hop before the guess it doesn't matter which is answered: the target would be there.
func (p *Path) rival(ttl int) *ask {
	exclusive := p.exclusive(ttl)
	if !exclusive && !p.delicate(ttl) {
		return nil
	}
	for _, a := range p.pending {
		if !a.passed && !a.spare && (exclusive || a.ttl != ttl) && (p.exclusive(a.ttl) || p.delicate(a.ttl)) {
			return a
		}
	}
	return nil
}

// begun is another hop than this one that is asked with care, if there is one with probes in flight and more to come: one
// after the other takes less time than in turn. 0: none.
func (p *Path) begun(any int) int {
	if any == 0 || !p.delicate(any) {
		return 0
	}
	for _, a := range p.pending {
		if ttl := a.ttl; ttl != any && ttl < p.guess && !a.passed && !a.spare && p.delicate(ttl) && p.hop(ttl).asked < p.wanted(ttl) {
			return ttl
		}
	}
	return 0
}

// delicate reports whether a hop before the guess may be the target for all that is known, and is asked with care because
// the target has answered one of several probes before.
func (p *Path) delicate(ttl int) bool { return p.wary && ttl > p.spent }

// overtaking is how long a probe keeps another from being sent that could not be told from it: where it is known how long
// the target's answers take at least, the other one's comes no sooner.
func (p *Path) overtaking(a *ask) time.Duration {
	t := p.settling(a.ttl)
	if !p.target.told || p.untagged || p.single || p.confused || p.rounds.on() {
		return t
	}
	return max(t-p.target.least, min(p.target.least+p.slack(), t))
}

// settled is when a probe to somebody that far away is held to be unanswered.
func settled(rtt time.Duration) time.Duration { return settleFactor*rtt + settleSlack }

// patience is how long a probe waits for its answer. With Patient, and one by one, that is Wait. Else:
//
//   - Where a hop beyond has answered, the path is alive and known to be no slower than its slowest answer from this hop
//     on: a probe waits patienceFactor times that, and leastPatience at least (routers make their answers slowly).
//   - Where nothing beyond has answered, and a probe to this hop or between it and the last one that answered has waited
//     its whole time in vain, it waits leastPatience: the silence was given its chance once.
func (p *Path) patience(a *ask) time.Duration {
	if p.o.Patient || p.o.Parallel == 1 {
		return p.most()
	}
	var slowest time.Duration
	last := a.ttl // that answered, from this hop on
	for ttl := a.ttl; ttl <= p.limit; ttl++ {
		if h := p.hop(ttl); h.answered {
			slowest, last = max(slowest, h.rtt), ttl
		}
	}
	if last == a.ttl && !p.silent(a.ttl) {
		return p.most()
	}
	if last == a.ttl && p.slow.over {
		return min(max(patienceFactor*p.slowest, silentPatience), p.most())
	}
	if last == a.ttl {
		return min(p.longest(), p.most())
	}
	return min(max(patienceFactor*slowest, leastPatience), p.most())
}

// most is how long a probe waits at the most. Where probes can't be told apart for certain, a late answer would be taken for
// another probe's: there a wait of less than a second is not for the user to choose.
func (p *Path) most() time.Duration {
	if p.rewritten > 0 || p.untagged || p.single || p.confused || p.wary {
		return p.o.Wait
	}
	return p.whole
}

// over is when the last of what is in flight has waited in vain long enough, where nothing else is left to be done; zero:
// not yet, or not known.
func (p *Path) over() time.Time {
	if p.o.Patient || p.o.Parallel == 1 || len(p.pending) == 0 || p.rounds.on() || p.slow.active {
		return time.Time{}
	}
	if p.unasked() {
		return time.Time{}
	}
	end := p.pending[0].sent
	for _, a := range p.pending {
		if p.needless(a) {
			continue
		}
		t := p.haste(a)
		if t == 0 || a.doubted || a.ttl > p.limit && !a.spare {
			return time.Time{}
		}
		end = later(end, a.sent.Add(t))
		if a.lingers {
			end = later(end, p.resolved(a))
		}
	}
	return end
}

// conclude ends the wait for a probe when nothing else is left to be done. A target whose answers had all the same
// sequence number may not have answered because it answers a SYN once in stingyTime.
func (p *Path) conclude(a *ask) Action {
	if p.needless(a) {
		return Withdraw(a.key)
	}
	if p.target.repeats && !p.target.stingy && a.ttl > p.spent {
		p.target.stingy, a.doubted = true, true
		return Withdraw(a.key)
	}
	return GiveUp(a.key)
}

// haste is how long a probe waits at least where nothing but silence is left, 0 where that can't be told: its answer would
// take about as long as one from there before, or as those from the next hops before and behind that answer.
func (p *Path) haste(a *ask) time.Duration {
	t := p.distance(a.ttl)
	if a.spare {
		t = p.target.least
	}
	if a.witness() && t > 0 {
		t += 2 * (p.target.rtt - p.target.least) // it is what tells the distance
	}
	if t == 0 {
		return 0
	}
	t += p.slack()
	if !a.spare && !a.again && !p.hop(a.ttl).answered {
		t += hasteUnknown * p.jitter()
	}
	if (p.exclusive(a.ttl) || p.delicate(a.ttl)) && !a.spare && !a.sent.Before(p.target.heard) {
		t = max(t, p.settling(a.ttl))
	}
	return min(max(t, leastHaste), p.o.Wait)
}

// slack is how much longer than others an answer may take.
func (p *Path) slack() time.Duration { return hasteSlack + hasteJitter*p.jitter() }

// jitter is by how much answers were late on average.
func (p *Path) jitter() time.Duration { return p.unsteady / time.Duration(max(p.repeated, 1)) }

// distance is about how long an answer from a hop takes, by itself and its neighbours; 0: nothing beyond has answered.
func (p *Path) distance(ttl int) time.Duration {
	if h := p.hop(ttl); h.answered && (h.router || h.reached || !p.refusals.some()) {
		return h.best
	}
	var t time.Duration
	for i := ttl - 1; i >= p.o.FirstTTL && t == 0; i-- {
		t = p.hop(i).best
	}
	n := 0
	for i := ttl + 1; i <= p.limit && n < hasteHops; i++ {
		if h := p.hop(i); h.answered {
			t = max(t, h.best)
			n++
		}
	}
	switch {
	case n < hasteHops && p.target.told:
		t = max(t, p.target.least)
	case p.refusals.some():
		t = max(t, p.slowest) // who refuses answers sooner than those beyond
	case n == 0:
		return 0
	}
	return t
}

// longest is how long an answer may take, by all that was seen.
func (p *Path) longest() time.Duration { return max(patienceFactor*p.slowest, leastPatience) }

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

// ask sends a probe.
func (p *Path) ask(ttl int, now time.Time) Action {
	probe := p.flow.Probe(ttl)
	a := &ask{ttl: ttl, sent: now, alone: p.exclusive(ttl)}
	if p.rounds.aside {
		a.alone, a.passed, a.aside = false, true, true
	}
	if p.own == scoutWanted {
		a.scout, p.own = true, scoutSent
	} else {
		p.asked = max(p.asked, ttl)
	}
	h := p.hop(ttl)
	a.again = h.asked > 1
	p.slow.note(a, probe.Key())
	h.asked++
	h.sends++
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
	if a.ttl > p.spent {
		p.slow.quiet = a.sent
	}
	p.pending = append(p.pending, a)
	action := p.flow.send(probe, p.o.Wait)
	action.Role = a.role()
	switch {
	case p.single:
		action.Trust |= TrustAlone
	case a.aside:
		action.Trust |= TrustAside
	case p.slow.active:
		action.Trust |= TrustSlow
	case !a.spare && a.ttl == p.guess && p.vouched == a.ttl-1: // see close
		action.Trust |= TrustFirst
	}
	return action
}

// Learn implements Plan.
func (p *Path) Learn(now time.Time, r Result) {
	if r.FromTarget() {
		p.count(r)
		if r.Fate != Answered && r.Role == RoleHop {
			p.refuse(r)
		}
	}
	switch r.Fate {
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

// settle takes a probe's outcome in.
func (p *Path) settle(now time.Time, r Result) {
	ttl, key := int(r.Probe.TTL), r.Probe.Key()
	h := p.hop(ttl)
	i := slices.IndexFunc(p.pending, func(a *ask) bool { return a.key == key })
	if i < 0 {
		return
	}
	a := p.pending[i]
	p.pending = slices.Delete(p.pending, i, i+1)
	if a.spare {
		p.scouted(now, r)
		return
	}
	if p.untagged {
		// What comes now names nobody: a second answer, or, where the wait is shorter than the round trip, the first.
		t := now.Add(resetTime + r.RTT()/resetShare)
		if r.Fate != Answered {
			t = a.sent.Add(settled(p.slowest))
		}
		p.soon = later(p.soon, t)
	}
	p.slow.log[a.n].fate = r.Fate
	p.slowed(a, r)
	switch r.Fate {
	case Unknown:
		if p.gone.IsZero() || now.Sub(p.gone) > p.o.Wait {
			p.gone = a.sent
		}
		if a.anew {
			p.slow.anew++
			h.asked--
			break
		}
		if a.alone && a.doubted {
			p.again++
		}
		if !a.doubted && ttl <= p.limit {
			h.unseen++ // this host was stopped, or has lost answers, and may go on doing so
		}
		if p.again <= mostAgain && h.unseen <= p.o.Queries && (p.rounds.on() || h.sends < mostAgain*p.o.Queries) {
			h.asked--
		}
	case Lost:
		h.vain++
		h.silent = h.silent || now.Sub(a.sent) >= p.whole
		p.missed(now, a)
		if ttl == p.guess && !h.answered && h.asked >= p.wanted(ttl) {
			if p.guess > p.spent+2 && p.suspicious() {
				p.slowDown(now) // before others are sent beyond it
			}
			p.guess = 0 // nothing is there; it may be farther
		}
	case Failed:
		p.known = max(p.known, ttl) // nobody will answer, and it overshoots nothing
	case Answered:
		if r.FromTarget() && a.scout {
			p.credit++
		}
		p.refuse(r)
		h.shown, h.byTarget = true, h.byTarget || r.FromTarget() || r.Refused()
		if p.slow.over && !p.slow.active && !p.slow.done && ttl > p.slow.from && !p.target.answers && !h.byTarget {
			p.slowDown(now) // so the silence was that of a limit
		}
		p.hear(now, r)
		h.heard, h.gone = later(h.heard, r.Sent), 0
		if r.Refused() {
			h.refused++
		}
		if r.FromTarget() {
			p.mixed, p.target.heard = false, now
			if ttl != p.guess && !a.scout {
				p.guess = p.nearest(ttl)
			}
		}
		if r.FromTarget() {
			p.reached(ttl)
		}
		if r.FromTarget() && ttl > p.impostor || r.Refused() {
			p.rounds.end = later(p.rounds.end, r.Sent)
		}
		if a.scout {
			p.own = scoutOver
			p.estimate(r)
		} else if r.Reply.Kind == packet.KindTimeExceeded && p.guess > 0 && ttl >= p.guess {
			p.guess = max(ttl+p.step, p.back-p.skew)
			p.step *= 2
		}
	}
}

// refuse takes in where the path's own flow is refused, if it is. A router that answers where the quotes said that this is
// proves them wrong.
func (p *Path) refuse(r Result) {
	before := p.refusals.end()
	p.refusals.add(r)
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

// refusedBeyond is how many probes with other TTLs were refused by the hop that refuses the path's own flow: they count there.
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
	if r.Refused() && !p.rounds.on() && r.Fate == Answered {
		p.refused = append(p.refused, r)
	}
	if r.FromTarget() {
		p.hearTarget(now, r)
	}
	if r.Fate == Late && r.Evidence == ByFlow {
		return // which hop it is from isn't sure
	}
	p.slowest = max(p.slowest, rtt)
	if r.Role != RoleHop || ttl == p.o.MaxTTL && p.own != scoutNone && r.Reply.Kind != packet.KindTimeExceeded {
		return // how far it got isn't told by its TTL, or it went another way
	}
	if r.Refused() && p.refusals.at(r, true) {
		ttl = p.limit
	}
	h := p.hop(ttl)
	if h.answered {
		p.unsteady += min(max(rtt, h.best)-min(rtt, h.best), mostLate)
		p.repeated++
	}
	switch passed := h.router || h.reached; {
	case r.Refused() && passed: // it was refused nearer by, and says nothing of this hop's time
	case !h.answered || rtt < h.best, !r.Refused() && !passed:
		h.best = rtt
	}
	h.answered, h.vain = true, 0
	h.rtt = max(h.rtt, rtt)
	if ttl > p.known {
		p.known, p.moved, p.slow.held = ttl, now, false
		if r.Reply.Kind == packet.KindTimeExceeded {
			p.skew = backwards(r.Reply.IP.TTL) - ttl
		}
	}
	switch {
	case r.Reply.Kind == packet.KindTimeExceeded:
		p.spent = max(p.spent, ttl)
		p.expired(ttl)
		p.lengthen(r)
		for _, a := range p.pending {
			a.doubted = a.doubted && (a.ttl > p.spent || p.rewritten > 0) // it did not get to the target
			a.under = a.under && a.doubted
		}
	case r.FromTarget() && (p.rounds.on() && ttl > p.impostor || ttl > p.farthest):
		p.spent = min(p.spent, ttl-1) // where the route has become shorter
	case r.Fate == Late && ttl > p.spent && !p.target.answers: // a refusal
		p.refuse(r)
		p.rounds.end = later(p.rounds.end, r.Sent)
	}
}

func (p *Path) hearTarget(now time.Time, r Result) {
	t, rtt, ttl := &p.target, r.RTT(), int(r.Probe.TTL)
	if r.Fate == Answered {
		p.seen(r)
		p.stay(now, r)
	}
	if r.Fate == Answered && !t.told {
		t.rtt, t.least, t.told, t.vague = 0, rtt, true, false
	}
	if tcp := &r.Reply.TCP; tcp.Flags.Has(packet.SYN) {
		for _, a := range p.pending {
			switch {
			case a.aside:
			case a.passed && tcp.Seq == t.iss:
				// One number for all, and not all are answered: our resets don't get there.
				t.stingy, a.doubted = true, true
			case p.swallowed(a, r):
				a.doubted = true
				if a.ttl < ttl {
					p.undercut(a)
				}
			}
		}
		t.repeats = t.answers && t.iss == tcp.Seq
		t.stingy = t.stingy && (t.repeats || !p.rounds.on()) // one reset was lost, not all
		t.iss = tcp.Seq
	}
	if p.rounds.on() && r.Fate == Late && r.Evidence == ByFlow {
		rtt = t.rtt // it may be another's, of long ago
	}
	t.stingy = t.stingy || forOlder(r)
	t.tags = r.Evidence == ByTag
	t.least = min(t.least, rtt)
	t.rtt, t.answers = max(t.rtt, rtt), true
	if r.Evidence == ByTag {
		p.reached(ttl) // a late answer tells the distance too
	} else if r.Fate == Late {
		p.within(r)
	}
	if r.Role == RoleHop {
		p.leave(now)
	}
}

// swallowed reports whether a probe may have got no answer because it repeats the SYN that r answers: where r's was not
// meant to be the first that got there, others that may have got there were sent beside it; and nearer hops may be asked
// after it.
func (p *Path) swallowed(a *ask, r Result) bool {
	if a.passed || a.key.Port != r.Probe.Src.Port() {
		return false
	}
	ttl := int(r.Probe.TTL)
	if p.spent < a.ttl && a.ttl < ttl && a.sent.Before(r.Recv) && r.Fate == Answered {
		return !a.sent.Before(r.Sent) || a.ttl > p.vouched // else it would have been answered itself, and so would the witness
	}
	early := ttl < p.guess || ttl == p.o.MaxTTL && p.step == 0
	return r.Evidence == ByTag && (a.ttl == ttl || a.ttl > p.spent && early)
}

// undercut takes in that a probe may have got no answer because one was sent further before it.
func (p *Path) undercut(a *ask) { a.doubted, a.under, p.wary = true, true, true }

// leave leaves the target alone until it has been reset. Where its answers come at uneven times, so may the reset.
func (p *Path) leave(now time.Time) {
	p.target.ready = now.Add(resetTime + p.target.rtt/resetShare)
	if p.target.told {
		p.target.ready = p.target.ready.Add(p.target.rtt - p.target.least)
	}
	if p.target.stingy {
		p.target.ready = later(p.target.ready, now.Add(stingyTime))
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
		case p.exclusive(a.ttl):
			a.doubted = true
		case first && !a.spare && a.ttl > p.spent && a.ttl < int(r.Probe.TTL) && a.key.Port == r.Probe.Src.Port():
			p.undercut(a)
		}
	}
}

// share takes in that the target has answered one of several probes.
func (p *Path) share(now time.Time, r Result) {
	if ttl := int(r.Probe.TTL); ttl <= p.spent && len(p.o.Ports) == 0 && (p.rounds.on() || ttl > p.farthest) { // else it is another flow that ends there
		p.spent = p.o.FirstTTL - 1 // the route has become shorter, by how much will be seen
	}
	var oldest time.Duration
	youngest := p.o.Wait
	if tcp := &r.Reply.TCP; tcp.Flags.Has(packet.SYN) {
		p.target.iss = tcp.Seq
	}
	p.target.stingy = p.target.stingy || forOlder(r)
	one, other, delicate := 0, false, p.wary // one is the only TTL of them all, where there is no other
	alone := false                           // nothing was in flight beside it, so the other is one that was withdrawn
	longest := p.longest()
	if i := p.youngest(now, r); i >= 0 {
		longest = max(longest, now.Sub(p.pending[i].sent)) // one of them was answered
	}
	for _, a := range p.pending {
		age := now.Sub(a.sent)
		if p.fits(a, now, r) && (age <= longest || a.scout || !p.target.answers) {
			a.doubted, a.until = true, now.Add(2*apart) // for the router before the target may tell
			oldest, youngest = max(oldest, age), min(youngest, age)
			other = other || one != 0 && a.ttl != one || a.scout
			one, alone = a.ttl, a.alone
		}
	}
	if r.Role == RoleHop {
		p.mixed, p.wary = true, true
	}
	p.within(r)
	if !p.target.answers {
		p.target.answers = true
		if age := now.Sub(p.gone); age < p.o.Wait {
			oldest = max(oldest, age) // one that was withdrawn may be answered
		}
		p.target.rtt = oldest
		// Where that makes for a long wait, it is measured by one probe that certainly gets there before any other hop
		// in doubt is asked.
		long := slow
		if p.rounds.on() {
			long = longRound
		}
		p.target.vague = oldest > long && youngest < oldest/2
	}
	p.leave(now)
	if one == 0 || other {
		return
	}
	if p.rounds.on() && !p.target.told { // one before may take longer than is thought
		p.target.rtt = min(2*p.target.rtt, p.o.Wait)
	}
	p.confused = p.confused || youngest < oldest || alone // it was asked again too soon
	if delicate && !p.rounds.on() && oldest >= p.target.least-rttNoise {
		p.limit = min(p.limit, one)
		if p.guess <= p.spent || p.guess > one {
			p.guess = one
		}
	}
}

// fits reports whether an answer that fits several probes may be this one's.
func (p *Path) fits(a *ask, now time.Time, r Result) bool {
	return a.ttl > p.spent && !a.aside && (!a.passed || now.Sub(a.sent) < p.settling(a.ttl)) &&
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

// mistrust takes in that an answer was not taken for any probe's, because the network rewrites what would tell. All that
// are in flight may have been answered so. It takes more than one such answer to go on with one probe at a time, for one
// may be a damaged packet.
func (p *Path) mistrust(now time.Time, r Result) {
	p.rewritten++
	p.single = p.rewritten >= rewriteProof
	p.untagged = p.untagged || p.single && r.Evidence == ByFlow
	took := r.RTT()
	for _, a := range p.pending {
		if a.doubted = true; r.Evidence == ByFlow {
			took = min(took, now.Sub(a.sent)) // at least: it may be any of them
		}
	}
	p.slowest = max(p.slowest, took)
}

func sooner(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
