package trace

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// Rounds is the plan that watches the way to one target: round by round it asks every hop once, until it has done so
// often enough, or for ever.
//
// It is a Path whose hops are not asked as soon as possible but when they have their turn: an interval after they were
// asked last, and never sooner, whatever was late or skipped. Within an interval the probes are spread evenly, so that
// nobody gets a burst. Among the hops that may be asked, the one goes first that has waited longest; a target that can't
// be asked while another probe may be taken for its is so never kept from its turn by hops that don't answer, and those
// (quiet) are asked less often where that takes much of its time.
//
// The first round is asked as quickly as a Path is, to learn the distance. Later the way may become longer or shorter: a
// router that answers where the target, or a refusal, was, moves the end out again, and an answer from the target moves it
// in. Where there is no end, because nothing answers beyond some hop, a round goes only silentTail hops further; the rest
// is tried again every deepTime.
//
// What was learned of round-trip times fades (fadeTime), since a plan that lives for days must not be ruled by its worst
// second.
type Rounds struct {
	path *Path
	held atomic.Bool
}

// rounds is what a Path needs to know to go round by round; the zero value: it doesn't.
type rounds struct {
	every time.Duration // between two probes of a hop
	fade  time.Time     // when what was learned fades again
	end   time.Time     // when the probe was sent that told the limit
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
	// target waits for each of those.
	quietAfter = 3
	quietShare = 20

	// fadeTime is how long a round-trip time rules unhalved.
	fadeTime = 30 * time.Second

	// heldPause is how often plans that are held are asked whether they still are.
	heldPause = 50 * time.Millisecond

	// suspectAfter is how often in a row a router doesn't answer before it may have gone.
	suspectAfter = 3

	// keptIDs is how many IP IDs are kept from coming again, so that what is kept doesn't grow for long.
	keptIDs = 1 << 12

	// roundsParallel is the default of Parallel: the interval, not the window, is what bounds the number in flight.
	roundsParallel = 1024
)

// NewRounds is a plan for one target, an interval and a number of rounds; 0: it goes on until it is stopped. Queries and
// Ports of o don't apply. The error is as NewPath's.
func NewRounds(o PathOptions, interval time.Duration, count int) (*Rounds, error) {
	if interval < LeastInterval || count < 0 {
		return nil, errors.New("trace: rounds need an interval and a number")
	}
	if o.Queries = count; count == 0 {
		o.Queries = math.MaxInt
	}
	o.Ports, o.SparePorts = nil, nil
	if o.Parallel == 0 {
		o.Parallel = roundsParallel
	}
	p, err := NewPath(o)
	if err != nil {
		return nil, err
	}
	p.rounds.every = interval
	p.own = scoutNone
	return &Rounds{path: p}, nil
}

// Length is how long a packet is in bytes where this length is asked for: at least its headers.
func (r *Rounds) Length(wanted int) int { return r.path.Length(wanted) }

// Last is the last TTL that may be asked.
func (r *Rounds) Last() int { return r.path.Last() }

// Hold keeps the plan from sending, or no longer. What is in flight may still be answered. It may be called by any
// goroutine, and is noticed within 50 ms.
func (r *Rounds) Hold(held bool) { r.held.Store(held) }

// Next implements Plan.
func (r *Rounds) Next(now time.Time) Move {
	p := r.path
	if !now.Before(p.rounds.fade) {
		p.fade(now)
	}
	if r.held.Load() {
		due, move := p.overdue(now)
		if move.do != doWait {
			return move
		}
		return WaitUntil(sooner(due, now.Add(heldPause)))
	}
	return p.Next(now)
}

// Learn implements Plan.
func (r *Rounds) Learn(now time.Time, res Result) { r.path.Learn(now, res) }

// roundTurn is when a hop may be asked again, round by round.
func (p *Path) roundTurn(ttl int) time.Time {
	if p.hop(ttl).last.IsZero() {
		return time.Time{}
	}
	pause := p.rounds.every
	switch {
	case p.deep(ttl):
		pause = max(pause, deepTime)
	case p.quiet(ttl):
		pause = max(pause, quietShare*p.settling(ttl))
	}
	return p.hop(ttl).last.Add(pause)
}

// deep reports whether a hop is so far beyond the last that answered that a round doesn't go there.
func (p *Path) deep(ttl int) bool {
	return p.limit == p.o.MaxTTL && p.rounds.end.IsZero() && ttl > p.answered()+silentTail
}

// quiet reports whether a hop before the target has never answered, and keeps the target from being asked whenever it is
// asked.
func (p *Path) quiet(ttl int) bool {
	h := p.hop(ttl)
	return !h.answered && h.asked >= quietAfter && ttl < p.limit && !p.rounds.end.IsZero() && p.exclusive(ttl)
}

// answered is the last hop that has answered.
func (p *Path) answered() int {
	for i := len(p.hops) - 1; i >= 0; i-- {
		if p.hops[i].answered {
			return p.o.FirstTTL + i
		}
	}
	return p.o.FirstTTL - 1
}

// abandoned reports whether a hop is not to be asked again though it was not asked often enough: rounds that have an end
// don't wait for what is deep, nor, once the target is done, for what is quiet.
func (p *Path) abandoned(ttl int) bool {
	if !p.rounds.on() || p.o.Queries == math.MaxInt || p.hop(ttl).asked == 0 {
		return false
	}
	return p.deep(ttl) || p.hop(p.limit).asked >= p.o.Queries && p.quiet(ttl)
}

// spacing is the least time to the next probe after one to this hop. Rounds after the first are spread over the interval,
// with a slot left free, so that what is late doesn't make the next round late.
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
	p.limit, p.rounds.end, p.refusals = p.o.MaxTTL, time.Time{}, refusals{}
	for beyond := ttl + 1; beyond <= p.limit; beyond++ {
		h := p.hop(beyond)
		h.asked = max(h.asked, p.hop(ttl).asked-1)
		h.answered, h.silent, h.rtt = false, false, 0
	}
}

// suspect takes in that the target answered once more. Where a router before it has fallen silent meanwhile, that may be
// because the target has come to stand in its place; so every hop is asked alone until it is known again to be a router.
func (p *Path) suspect(r Result) {
	if !p.rounds.on() || !r.FromTarget() {
		return
	}
	for ttl := p.o.FirstTTL; ttl <= p.spent; ttl++ {
		if h := p.hop(ttl); h.answered && h.vain >= suspectAfter {
			p.spent = p.o.FirstTTL - 1
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
