package trace

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"go.example/tcptraceroute/packet"
)

// Rounds is the plan that watches the way to one target: round by round it asks every hop once, until it has done so
// often enough, or for ever.
//
// It is a Path whose hops are not asked as soon as possible but when they have their turn: an interval after they were
// asked last, and never sooner, whatever was late or skipped. Within an interval the probes are spread evenly, so that
// nobody gets a burst. Among the hops that may be asked, the one goes first that has waited longest.
//
// Which probe the target has answered can't always be told. So a probe that may get as far waits until others of that
// kind are answered, or until their answers are overdue. No hop waits longer than that: what a single trace infers from
// answers, to be quick, has no say here. Hops before the target that have never answered don't wait for the target, nor
// it for them: their probes are sent aside, as ones that it doesn't answer. Now and then one of them is asked alone,
// for the way may have become shorter.
//
// The first round is asked as quickly as a Path is, to learn the distance. Later the way may become longer or shorter:
// a router that answers where the target, or a refusal, was, moves the end out again, and an answer from the target
// moves it in. Where there is no end, because nothing answers beyond some hop, a round goes only a few hops further;
// the rest is tried again from time to time.
//
// Rounds that have an end are over when each hop was asked so often, and at the latest when as many intervals have
// passed and the time that a probe waits.
//
// What was learned of round-trip times fades, since a plan that lives for days must not be ruled by its worst
// second.
type Rounds struct {
	path *Path
	held atomic.Bool

	interval atomic.Int64 // that was set last, in nanoseconds; 0: none was
}

// rounds is what a Path needs to know to go round by round; the zero value: it doesn't.
type rounds struct {
	every  time.Duration // between two probes of a hop
	fade   time.Time     // when what was learned fades again
	end    time.Time     // when the probe was sent that told the limit; zero: the end is not known
	lost   time.Time     // when it was known last, or the target was heard first
	found  time.Time     // when the probe was sent that told that the target is nearer than the rounds went
	others time.Time     // when both the target and a device on the way have answered the last probe
	over   time.Time     // when nothing is sent any more; zero: never
	held   time.Time     // since when the plan is held; zero: it isn't
	aside  bool          // the next probe is sent aside
	claims claims
}

func (r *rounds) on() bool { return r.every > 0 }

// The constants of rounds.
const (
	// DefaultInterval is the time of a round.
	DefaultInterval = time.Second

	// LeastInterval is the shortest.
	LeastInterval = 10 * time.Millisecond

	// silentTail is how many hops beyond the last that answered are asked in every round, where no end is known.
	silentTail = 4

	// deepTime is how often those beyond are asked.
	deepTime = 30 * time.Second

	// quietAfter is how often a hop is asked in vain before it is quiet, and one in quietShare of the time is what the
	// target waits for all of those.
	quietAfter = 3
	quietShare = 20

	// muteShare: one in so much of the time is what the others wait for all hops that are mute.
	muteShare = 4

	// longRound is how long the target's first answer may have taken so that it is worth a probe to measure that.
	longRound = 100 * time.Millisecond

	// fadeTime is how long a round-trip time rules unhalved.
	fadeTime = 30 * time.Second

	// heldPause is how often plans that are held are asked whether they still are.
	heldPause = 50 * time.Millisecond

	// suspectAfter is how often in a row a router doesn't answer before it may have gone.
	suspectAfter = 3

	// goneAfter is how often in a row the end doesn't answer before it is looked for beyond, and goneTime for how long:
	// while a reset of ours is lost, Linux answers once in half a second.
	goneAfter = 5
	goneTime  = 3 * time.Second

	// roundsParallel is the default of Parallel: the interval, not the window, is what bounds the number in flight.
	roundsParallel = 1024
)

// NewRounds is a plan for one target, an interval and a number of rounds; 0: it goes on until it is stopped. Queries
// and Ports of o don't apply. The error is as NewPath's.
func NewRounds(o PathOptions, interval time.Duration, count int) (*Rounds, error) {
	if interval < LeastInterval || count < 0 {
		return nil, errors.New("trace: rounds need an interval and a number")
	}
	if o.Queries = count; count == 0 {
		o.Queries = math.MaxInt
	}
	o.Ports, o.ProbePorts = nil, nil
	if o.Parallel == 0 {
		o.Parallel = roundsParallel
	}
	p, err := NewPath(o)
	if err != nil {
		return nil, err
	}
	p.rounds.every, p.rounds.claims = interval, newClaims(p.o.FirstTTL, p.o.MaxTTL)
	p.own = ownNone
	return &Rounds{path: p}, nil
}

// Length is how long a packet is in bytes where this length is asked for: at least its headers.
func (r *Rounds) Length(wanted int) int { return r.path.Length(wanted) }

// Last is the last TTL that may be asked.
func (r *Rounds) Last() int { return r.path.Last() }

// Hold keeps the plan from sending, or no longer. What is in flight may still be answered. It may be called by any
// goroutine, and is noticed within 50 ms.
func (r *Rounds) Hold(held bool) { r.held.Store(held) }

// SetInterval changes the time of a round, to LeastInterval at the least. It counts from the next probe on. It may be
// called by any goroutine.
func (r *Rounds) SetInterval(interval time.Duration) {
	r.interval.Store(int64(max(interval, LeastInterval)))
}

// Next implements Plan.
func (r *Rounds) Next(now time.Time) Action {
	p := r.path
	if every := time.Duration(r.interval.Load()); every != 0 && every != p.rounds.every {
		p.rounds.every, p.rounds.over = every, time.Time{} // resume says anew when it is over
	}
	if !now.Before(p.rounds.fade) {
		p.fade(now)
	}
	when, action := p.overdue(now)
	if action.Do != DoWait {
		return action
	}
	if r.held.Load() {
		if p.rounds.held.IsZero() {
			p.rounds.held = now
		}
		return WaitUntil(sooner(when, now.Add(heldPause)))
	}
	p.resume(now)
	return p.round(now, when)
}

// resume takes in that the plan isn't held, or no longer: what it was held for doesn't count.
func (p *Path) resume(now time.Time) {
	r := &p.rounds
	switch {
	case r.over.IsZero() && p.o.Queries != math.MaxInt:
		round := r.every
		if n := len(p.hops); p.o.Parallel < n { // a round takes longer
			round = max(round, p.whole*time.Duration(n)/time.Duration(p.o.Parallel))
		}
		r.over = now.Add(time.Duration(p.o.Queries)*round + p.whole)
	case !r.held.IsZero() && !r.over.IsZero():
		r.over = r.over.Add(now.Sub(r.held))
	}
	r.held = time.Time{}
}

// Learn implements Plan.
func (r *Rounds) Learn(now time.Time, res Result) {
	p := r.path
	p.rounds.claims.add(res)
	p.unclaimed(res)
	limit := p.limit
	p.Learn(now, res)
	if p.rounds.claims.known {
		p.lookBeyond(now)
	}
	if res.FromTarget() && p.limit < limit {
		p.rounds.found = res.Sent
	}
	if !p.rounds.claims.known && res.FromTarget() && res.Reply.IP.TTL > 0 {
		p.lookAtNamed(res)
	}
}

// lookAtNamed makes the rounds go to the hop that the TTL of the target's answer names, and no farther, if they follow
// one another quickly. The target may send one answer a second, and it would else have answered only probes that went
// farther. If that hop doesn't answer, it is a silent router, and the end is looked for beyond it (missed), if there
// are rounds enough for that.
func (p *Path) lookAtNamed(r Result) {
	p.back = backwards(r.Reply.IP.TTL)
	ttl, every := p.back-p.skew, p.rounds.every
	if every < DefaultInterval && p.o.Queries > int(2*goneTime/every) && p.named(ttl) && p.hop(ttl).heard.IsZero() {
		p.limit, p.rounds.end = ttl, later(p.rounds.end, r.Sent)
		p.hop(ttl).heard = r.Sent // it has time until it is missed
	}
}

// lookBeyond makes the rounds go to the hop where the target stands beside a device that answers in its name. If that
// isn't sure, they go to some hops beyond the last router.
func (p *Path) lookBeyond(now time.Time) {
	end, sure := p.rounds.claims.target()
	if !sure {
		end = min(p.rounds.claims.farthest()+sweepAhead, p.o.MaxTTL)
	}
	if refused := p.refusals.end(); refused > 0 {
		end = min(end, max(refused, p.o.FirstTTL))
	}
	if end > p.limit {
		p.reopen(now, p.limit)
	}
	p.limit = end
}

// unclaimed takes in an answer of the target that is no copy, and that no probe is known to have got: the target may
// have answered one that was sent aside, so each quiet hop is asked alone before that is done again.
func (p *Path) unclaimed(r Result) {
	if !r.FromTarget() || r.Outcome.Final() {
		return
	}
	p.hop(p.limit).gone = 0 // the end may well be where it was
	copied := r.Recv.Sub(p.target.heard) <= echoTime ||
		r.Reply.TCP.Flags.Has(packet.SYN) && r.Reply.TCP.Seq == p.target.iss
	if r.Outcome != Shared && copied {
		return
	}
	if p.rounds.end.IsZero() && p.rounds.lost.IsZero() {
		p.rounds.lost = r.Recv
	}
	for i := range p.hops {
		p.hops[i].lone = time.Time{}
	}
}

// round asks the hop that has waited longest for its turn, of those that may be asked. when is when the plan wants to
// be asked again in any case.
func (p *Path) round(now, when time.Time) Action {
	over := p.rounds.over
	if !over.IsZero() && !now.Before(over) {
		return WaitUntil(when)
	}
	window, more := p.window(now)
	when = sooner(when, more)
	best, aside := 0, false
	for ttl := p.o.FirstTTL; ttl <= min(p.o.MaxTTL, p.known+lookAhead); ttl++ {
		if p.resting(ttl) {
			continue
		}
		at, beside := p.may(now, ttl)
		if !over.IsZero() && !at.Before(over) {
			continue // it has no turn any more
		}
		if now.Before(at) {
			when = sooner(when, at)
		} else if best == 0 || p.waits(ttl, best) || ttl == p.limit && p.target.vague {
			best, aside = ttl, beside
		}
	}
	if best == 0 || window <= 0 {
		return WaitUntil(when)
	}
	if now.Before(p.soon) {
		return WaitUntil(sooner(when, p.soon))
	}
	if !aside && p.exclusive(best) {
		if blocker := p.unanswered(); blocker != nil {
			if blocker.doubted {
				return Withdraw(blocker.key)
			}
			blocker.passed = true
			return Pass(blocker.key)
		}
		p.hop(best).lone = now
		p.target.vague = p.target.vague && best != p.limit // once is enough
	}
	return p.askInTurn(best, aside, now)
}

// askInTurn asks a hop. If that is beyond all routers, and a device answers in the target's name, both have time to
// answer before the next one.
func (p *Path) askInTurn(ttl int, aside bool, now time.Time) Action {
	if c := &p.rounds.claims; c.known && ttl > c.farthest() {
		p.rounds.others = now.Add(settled(p.slowest))
	}
	p.rounds.aside = aside
	return p.ask(ttl, now)
}

// resting reports whether a hop is not to be asked at all for now: it was asked often enough, or is beyond the end, or
// nothing is known of it yet.
func (p *Path) resting(ttl int) bool {
	h := p.hop(ttl)
	return ttl > p.limit && !p.checks(ttl) || h.asked >= p.o.Queries ||
		h.sends > 0 && ttl > p.known && !p.target.answers || p.abandoned(ttl)
}

// checks reports whether a hop beyond the end is to be asked once more, because a device on the way may have answered
// in the target's name: the next hop, and those where a router was.
func (p *Path) checks(ttl int) bool {
	found := p.rounds.found
	if ttl == p.limit+1 && p.outOfStep() && !p.hop(ttl).last.After(p.hop(p.limit).last) {
		return true
	}
	return !found.IsZero() && !p.hop(ttl).last.After(found) && (ttl == p.limit+1 || p.rounds.claims.routed(ttl))
}

// outOfStep reports whether a round asks a hop beyond the end, too. What refuses or answers every so manieth packet may
// keep step with the rounds, and the same hop has each time what is no answer of its own. One packet more changes that.
// Rounds 2, 4, 8, 16 and so on do so, every other one where it isn't known yet where the target stands beside a device
// that answers in its name, and where the end is a refusal all, until it is sure that nothing gets through.
func (p *Path) outOfStep() bool {
	h := p.hop(p.limit)
	n := h.asked
	if n >= p.o.Queries || p.echo() || h.heard.Before(h.last) { // it may answer only so many
		return false
	}
	if p.refusals.end() == p.limit {
		return !p.refusals.all()
	}
	if c := &p.rounds.claims; c.known {
		if _, sure := c.target(); !sure {
			return n%2 == 0
		}
	}
	return n > 1 && n&(n-1) == 0 && p.target.least < p.rounds.every // else the end would lose a turn of its own
}

// may is when a hop may be asked, and whether its probe is then sent aside.
func (p *Path) may(now time.Time, ttl int) (at time.Time, aside bool) {
	at = p.roundTurn(ttl)
	if !p.exclusive(ttl) {
		return at, false
	}
	if !p.quiet(ttl) || p.single {
		return later(at, p.clear(ttl)), false
	}
	clear, lone := p.clear(ttl), p.hop(ttl).lone
	if lone.IsZero() || !now.Before(p.loneTurn(ttl)) && clear.Before(at.Add(p.rounds.every/2)) {
		return later(at, clear), false
	}
	return at, true
}

// loneTurn is when a quiet hop is to be asked alone again.
func (p *Path) loneTurn(ttl int) time.Time {
	n := 0
	for i := p.lastRouter + 1; i < p.limit; i++ {
		if p.quiet(i) {
			n++
		}
	}
	return p.hop(ttl).lone.Add(time.Duration(n*quietShare) * p.settling(ttl))
}

// waits reports whether hop a goes before hop b, of two that may be asked now, a being the farther: it has waited
// longer. What a round doesn't go to comes last. When it is known that the target answers, and not where, the hops that
// were not asked since are asked from the nearest on. Before them, where it may take far less time than seems so, the
// target's time is measured by one that certainly gets there (round).
func (p *Path) waits(a, b int) bool {
	since := func(ttl int) time.Time {
		h := p.hop(ttl)
		if p.target.answers && p.rounds.end.IsZero() && !h.last.After(p.rounds.lost) {
			return time.Time{}
		}
		return h.last
	}
	if x, y := p.proven(a), p.proven(b); x != y {
		return x
	}
	return !p.deep(a) && since(a).Before(since(b))
}

// proven reports whether a hop was a router when it was asked last, though that is in doubt again: its answer ends the
// doubt.
func (p *Path) proven(ttl int) bool {
	h := p.hop(ttl)
	return p.exclusive(ttl) && !p.single && h.answered && !h.byTarget && h.gone == 0
}

// clear is from when on a probe that the target may answer can be told from others in flight. Of two to one hop, or
// where the one before went to a nearer hop, it matters little which one is answered, so that they wait no longer than
// an interval, or than an answer takes that is no later than others. Else the hop would be wrong that the target stands
// at.
func (p *Path) clear(ttl int) time.Time {
	at := later(p.target.ready, p.rounds.others)
	for _, a := range p.pending {
		switch {
		case a.aside || !p.exclusive(a.ttl):
		case p.untagged:
			at = later(at, a.sent.Add(p.o.Wait)) // its answer would be taken for the next one's
		case p.single || a.ttl > ttl:
			at = later(at, a.sent.Add(p.settling(a.ttl)))
		case !a.passed:
			wait := p.settling(a.ttl)
			if p.target.told {
				wait = min(wait, max(settled(p.target.least), p.rounds.every))
			}
			at = later(at, a.sent.Add(wait))
		}
	}
	return at
}

// unanswered is a probe in flight whose answer may still be the target's; nil: there is none.
func (p *Path) unanswered() *ask {
	for _, a := range p.pending {
		if !a.passed && p.exclusive(a.ttl) {
			return a
		}
	}
	return nil
}

// roundTurn is when a hop may be asked again, round by round.
func (p *Path) roundTurn(ttl int) time.Time {
	h := p.hop(ttl)
	if h.last.IsZero() {
		return time.Time{}
	}
	pause := p.rounds.every
	switch {
	case p.deep(ttl):
		pause = max(pause, deepTime)
	case p.mute(ttl):
		n := 0
		for i := p.o.FirstTTL; i <= p.limit; i++ {
			if p.mute(i) && !p.deep(i) {
				n++
			}
		}
		pause = max(pause, time.Duration(n*muteShare)*p.settling(ttl))
	}
	return h.last.Add(pause)
}

// mute reports whether a hop doesn't answer, where only one probe may be in flight: all others wait for it in vain.
func (p *Path) mute(ttl int) bool {
	h := p.hop(ttl)
	return p.single && h.asked > 0 && (!h.answered || h.vain >= suspectAfter)
}

// deep reports whether a hop is so far beyond the last that answered that a round doesn't go there. Where the target is
// known to be, somewhere, it is looked for.
func (p *Path) deep(ttl int) bool {
	return p.limit == p.o.MaxTTL && p.rounds.end.IsZero() && !p.target.answers && ttl > p.answered()+silentTail
}

// quiet reports whether a hop before the target has never answered, and may be the target for all that is known of it.
func (p *Path) quiet(ttl int) bool {
	h := p.hop(ttl)
	return !h.answered && h.asked >= quietAfter && ttl < p.limit && !p.rounds.end.IsZero() && p.exclusive(ttl)
}

// answered is the last hop that has answered.
func (p *Path) answered() int {
	ttl := p.answeredTo
	for ttl >= p.o.FirstTTL && !p.hop(ttl).answered {
		ttl--
	}
	return ttl
}

// abandoned reports whether a hop is not to be asked again though it was not asked often enough: rounds that have an
// end don't wait for what is deep, nor, once the target is done, for what is quiet.
func (p *Path) abandoned(ttl int) bool {
	if p.o.Queries == math.MaxInt || p.hop(ttl).asked == 0 {
		return false
	}
	return p.deep(ttl) || p.hop(p.limit).asked >= p.o.Queries && p.quiet(ttl)
}

// spacing is the least time to the next probe after one to this hop. Rounds after the first are spread over the
// interval, with a slot left free, so that what is late doesn't make the next round late.
func (p *Path) spacing(h *hop) time.Duration {
	if !p.rounds.on() || h.asked <= 1 {
		return p.o.Spacing
	}
	last := p.limit
	if p.rounds.end.IsZero() {
		last = min(last, p.answered()+silentTail)
	}
	return max(p.o.Spacing, p.rounds.every/time.Duration(last-p.o.FirstTTL+2))
}

// lengthen takes in that a router answered a probe: where the end was thought to be, or beyond it, the way has become
// longer. The hops there join in the round that is going on. An answer to a probe sent before the end was told says
// nothing new.
func (p *Path) lengthen(r Result) {
	ttl := int(r.Probe.TTL)
	if !p.rounds.on() || ttl < p.limit || p.limit == p.o.MaxTTL || !r.Sent.After(p.rounds.end) {
		return
	}
	p.reopen(r.Recv, ttl)
}

// reopen forgets where the end is: beyond this hop.
func (p *Path) reopen(now time.Time, ttl int) {
	p.rounds.lost = now
	p.limit, p.rounds.end = p.o.MaxTTL, time.Time{}
	p.refusals.forget()
	for beyond := ttl + 1; beyond <= p.limit; beyond++ {
		h := p.hop(beyond)
		h.asked = max(h.asked, p.hop(ttl).asked-1)
		h.answered, h.silent, h.rtt = false, false, 0
	}
}

// missed takes in that a probe was lost. Where the end no longer answers, the way may have become longer, and a silent
// router may stand there: so a round goes beyond it again, as where no end was ever known.
func (p *Path) missed(now time.Time, a *ask) {
	h := p.hop(a.ttl)
	if !p.rounds.on() || !a.sent.After(h.heard) {
		return
	}
	if h.gone++; a.ttl == p.limit && !p.rounds.end.IsZero() && h.gone >= goneAfter && a.sent.Sub(h.heard) >= goneTime {
		p.reopen(now, a.ttl)
		p.target.answers = false
	}
}

// suspect takes in that the target answered once more. Where a router before it has fallen silent meanwhile, that may
// be because the target has come to stand in its place; so every hop is asked alone until it is known again to be a
// router.
func (p *Path) suspect(r Result) {
	if !p.rounds.on() || !r.FromTarget() {
		return
	}
	for ttl := p.o.FirstTTL; ttl <= p.lastRouter; ttl++ {
		if h := p.hop(ttl); h.answered && h.vain >= suspectAfter {
			p.lastRouter = p.o.FirstTTL - 1
			for i := range p.hops {
				p.hops[i].vain = 0
			}
			return
		}
	}
}

// fade makes what was learned of times count half, which is enough for the usual ones to be waited for, and be learned
// again, and has the target's be learned anew.
func (p *Path) fade(now time.Time) {
	if !p.rounds.fade.IsZero() {
		for i := range p.hops {
			p.hops[i].rtt /= 2
		}
		p.slowest /= 2
		p.target.told = false
	}
	p.rounds.fade = now.Add(fadeTime)
}

var _ Plan = (*Rounds)(nil)
