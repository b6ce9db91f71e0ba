package trace

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

type engine struct {
	conn   Conn
	plan   Plan
	o      *Options
	emit   func(Result)
	m      *matcher
	counts Counts
	sentN  int
	heard  time.Time // when the newest probe was sent that anything was believed for: until then the way out was whole

	inFlight waiting[*flight] // those without an outcome
	done     memory           // those with an outcome

	failed      error // the last send error, and how many like it in a row
	failures    int
	firstFailed int       // its ordinal number
	unsent      bool      // the last of them never left; else it did, and got no further than the link
	leastLeft   uint8     // the lowest TTL of those that have left
	mostRefused uint8     // the highest of those that this host has refused
	pause       time.Time // no sending before
	wake        <-chan struct{}
	rings       time.Time // when the timer rings; zero: it is not set
	expected    time.Time // by when the clock should have been read again
	stalled     time.Time // when a stall was noticed
	graceOver   time.Time

	nextHopSought bool // our own kernel has looked for a next hop in vain

	reading   reading
	held      Action    // what is put off until everything was read that came in before it was decided
	decided   time.Time // when that was
	synthetic bool      // conn is Synthetic
	reply     packet.Reply
	dedup     dedup
	out       []Action // probes that are about to be sent
}

// queue is a FIFO of probes.
type queue struct {
	items []*flight
	head  int
}

func (q *queue) push(f *flight) { q.items = append(q.items, f) }

func (q *queue) first() *flight {
	if q.head == len(q.items) {
		return nil
	}
	return q.items[q.head]
}

func (q *queue) pop() {
	q.items[q.head] = nil
	q.head++
	if q.head > 64 && q.head > len(q.items)/2 {
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
}

func (e *engine) run(ctx context.Context, in *inbox, timer Timer) error {
	for {
		// The plan first: it may want to take a probe back whose time is over.
		wake, err := e.move(ctx, in)
		now := e.tick()
		if err != nil {
			e.abandon(now)
			return err
		}
		if e.expire(now, in) {
			continue
		}
		if len(e.inFlight) == 0 && wake.IsZero() && e.wake == nil && ctx.Err() == nil {
			if e.counts.NothingSent() {
				return &SendError{e.counts.Failed, e.failed}
			}
			return nil
		}
		wake = sooner(wake, e.nextEnd(now))
		now = e.tick()
		pause := time.Hour
		if !wake.IsZero() {
			pause = max(wake.Sub(now), minPause) + time.Microsecond
		}
		if err := e.wait(ctx, in, timer, now, pause); err != nil {
			e.abandon(time.Now())
			return err
		}
	}
}

// wait waits until something happens, for as long as the pause at most. The error ends the run.
func (e *engine) wait(ctx context.Context, in *inbox, timer Timer, now time.Time, pause time.Duration) error {
	e.expected = now.Add(pause)
	var napped <-chan struct{} // ready at once, or never
	if e.o.Napper != nil && e.o.Pace != nil && pause < longestNap && now.Before(e.o.Pace.next(now, 0)) {
		if e.readAll(in) {
			return nil // which may be what is waited for
		}
		e.o.Napper.Nap(pause)
		napped = always
	}
	for {
		if napped == nil {
			e.setTimer(timer, now)
		}
		select {
		case <-napped:
			return nil
		case d := <-in.full:
			e.receive(d)
			in.reuse(d)
			return nil
		case err := <-in.failed:
			return fmt.Errorf("%w: %w", ErrReceiving, err)
		case <-timer.C():
			e.rings = time.Time{}
			if now = time.Now(); !now.Before(e.expected) {
				return nil
			}
		case _, open := <-e.wake:
			if !open {
				e.wake = nil
			}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// setTimer sees to it that the timer rings when the pause is over, or before. One that rings before is left as it is:
// answers put off the end of the pause again and again, and to set it each time costs more than one ring in vain.
func (e *engine) setTimer(timer Timer, now time.Time) {
	if e.rings.IsZero() || e.expected.Before(e.rings) {
		timer.Set(e.expected.Sub(now))
		e.rings = e.expected
	}
}

// nextEnd is when the wait for a probe ends; zero: never.
func (e *engine) nextEnd(now time.Time) (due time.Time) {
	if len(e.inFlight) == 0 {
		return due
	}
	due = e.inFlight[0].due
	if due = later(due, e.graceOver); !now.Before(due) {
		due = now.Add(backlogPause) // what came in before is not read yet
	}
	return due
}

// tick reads the clock, and notices when the program was stopped since it was last read.
func (e *engine) tick() time.Time {
	now := time.Now()
	if !e.expected.IsZero() && now.Sub(e.expected) > stallGap {
		e.stalled, e.graceOver = now, now.Add(stallGrace)
	}
	e.expected = now
	return now
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// move does what the plan wants until it wants to wait, and says until when (zero: until something is learned).
func (e *engine) move(ctx context.Context, in *inbox) (wake time.Time, err error) {
	for ctx.Err() == nil {
		if len(e.out) == 0 {
			e.readAll(in) // what has come in may change the plan's mind
		}
		if e.failures >= sendErrorLimit && !e.o.Persist && !e.refusesSome() {
			return time.Time{}, &SendError{e.failures, e.failed}
		}
		now := e.tick()
		if until := e.notBefore(now, in); now.Before(until) {
			e.sendAll()
			return until, nil
		}
		act := e.held
		if act.Do == DoWait {
			act, e.decided = e.plan.Next(now), now
		}
		if act.Do != DoSend && e.sendAll() && act.Do == DoWait {
			continue // one that could not be sent may change the plan's mind
		}
		if act.ends() && !e.readUpTo(e.decided, in) {
			e.held = act
			return now.Add(backlogPause), nil
		}
		e.held = Action{}
		if act.Do == DoWait {
			return act.Until, nil
		}
		e.carryOut(act)
	}
	return time.Time{}, nil
}

// refusesSome reports whether it looks as if this host refused packets by a rule about their TTL: all that have left
// had a higher one than all that it refused. Then what is still to be sent may pass. A firewall that begins to refuse
// all in mid-trace has let lower ones out before.
func (e *engine) refusesSome() bool {
	return e.leastLeft > e.mostRefused && errors.Is(e.failed, fs.ErrPermission)
}

// readAll takes in what waits to be read, as far as it fits into the queue: a flood has no end. It reports whether
// there was anything.
func (e *engine) readAll(in *inbox) (any bool) {
	for range receiveQueue {
		d, ok := e.take(in)
		for range len(in.full) { // which came in before
			first := <-in.full
			e.receive(first)
			in.reuse(first)
			any = true
		}
		if !ok {
			break
		}
		e.receive(d)
		any = true
	}
	return any
}

// take takes a packet out of the socket, if there is one that Recv hasn't taken.
func (e *engine) take(in *inbox) (d delivery, ok bool) {
	if e.o.Napper == nil {
		return d, false
	}
	if in.own == nil {
		in.own = make([]byte, packetSize)
	}
	n, at, err := e.o.Napper.TryRecv(in.own)
	if err != nil {
		select {
		case in.failed <- err:
		default: // it has failed before
		}
	}
	return delivery{in.own, n, at}, err == nil && n > 0
}

// notBefore is when the plan may be asked: a plan that is asked takes it that the probe it wants to send leaves at
// once.
func (e *engine) notBefore(now time.Time, in *inbox) time.Time {
	switch {
	case now.Before(e.pause):
		return e.pause
	case e.catchingUp(now, in):
		return now.Add(backlogPause)
	case e.o.Pace != nil && e.held.Do == DoWait:
		return e.o.Pace.next(now, len(e.out))
	}
	return now
}

// carryOut does what the plan wants, if it isn't to wait.
func (e *engine) carryOut(act Action) {
	switch act.Do {
	case DoSend:
		if e.out = append(e.out, act); e.o.Pace == nil || len(e.out) == sentTogether {
			e.sendAll()
		}
	case DoGiveUp:
		e.end(act.Key, Lost)
	case DoWithdraw:
		e.end(act.Key, Unknown)
	case DoPass:
		if f := e.m.flights[act.Key]; f != nil {
			f.passed = true
		}
	case DoExtend:
		if f := e.m.flights[act.Key]; f != nil {
			f.until = act.Until
			e.extend(f)
		}
	case DoEndFlow:
		e.m.endFlow(act.Key)
	}
}

// sendAll sends what is about to be sent, and reports whether there was anything. After one that can't be sent the
// others wait.
func (e *engine) sendAll() (any bool) {
	for len(e.out) > 0 {
		now := time.Now()
		if now.Before(e.pause) {
			break
		}
		if e.o.Pace != nil {
			e.o.Pace.take(now)
		}
		a := e.out[0]
		e.out = slices.Delete(e.out, 0, 1)
		e.send(a)
		any = true
	}
	return any
}

func (e *engine) send(a Action) {
	p := a.Probe
	e.sentN++
	sent, err := e.conn.Send(p)
	now := time.Now()
	left := sent
	if err != nil {
		left = now
	}
	e.observe(Event{Time: left, Probe: &p, N: e.sentN, Sent: sent, Err: err})
	if err != nil {
		e.mostRefused = max(e.mostRefused, p.TTL)
		e.pause = now.Add(sendErrorPause)
		e.finish(now, Result{Probe: p, Role: a.Role, Note: a.Note, N: e.sentN, Outcome: Failed, Tried: now, Err: err})
		return
	}
	e.counts.Sent++
	if e.leastLeft == 0 || p.TTL < e.leastLeft {
		e.leastLeft = p.TTL
	}
	if e.unsent {
		e.failures = 0
	}
	e.await(e.m.add(a, e.sentN, sent))
}

// end gives a probe that is still in flight the fate that the plan decided on.
func (e *engine) end(k packet.Key, fate Outcome) {
	f := e.m.flights[k]
	if f == nil || f.outcome != Pending {
		return
	}
	now, r := time.Now(), f.result(fate)
	if fate == Lost {
		r = e.verdictOnSilence(f, f.sent) // while we slept its answer may have come and gone
	}
	e.close(now, f, r)
}

// close gives a probe its outcome.
func (e *engine) close(now time.Time, f *flight, r Result) {
	f.outcome = r.Outcome
	heap.Remove(&e.inFlight, f.place)
	e.done[0].push(f)
	e.finish(now, r)
}

// finish tells everybody an outcome.
func (e *engine) finish(now time.Time, r Result) {
	switch r.Outcome {
	case Answered, Lost:
		e.counts.left++
	case Failed:
		e.counts.Failed++
	}
	switch {
	case r.Outcome == Failed:
		if e.failures == 0 || e.failed.Error() != r.Err.Error() {
			e.failures, e.firstFailed = 0, r.N
		}
		e.failures, e.failed, e.unsent = e.failures+1, r.Err, r.Sent.IsZero()
	case r.Outcome == Answered && r.N > e.firstFailed:
		e.failures = 0
	}
	e.plan.Learn(now, r)
	e.emit(r)
}

// expire ends the wait for the probes that have waited their time, and forgets those that are long over. It reports
// whether there were any of the first.
func (e *engine) expire(now time.Time, in *inbox) (any bool) {
	for len(e.inFlight) > 0 {
		f := e.inFlight[0]
		if now.Before(later(f.due, e.graceOver)) || !e.readUpTo(f.due, in) {
			break
		}
		e.close(now, f, e.verdictOnSilence(f, f.due))
		any = true
	}
	e.forget(now)
	return any
}

func (e *engine) verdictOnSilence(f *flight, due time.Time) Result {
	e.countLosses(time.Now())
	if f.sent.Before(e.stalled) && due.Before(e.stalled) || f.sent.Before(e.reading.lost) {
		return f.result(Unknown)
	}
	r := f.result(Lost)
	if e.heard.Before(f.sent) && e.o.Fault != nil {
		if err := e.o.Fault(f.probe, false); err != nil {
			r.Outcome, r.Err = Failed, err
		}
	}
	return r
}

// abandon ends the run: what is in flight stays unknown.
func (e *engine) abandon(now time.Time) {
	for len(e.inFlight) > 0 {
		f := e.inFlight[0]
		e.close(now, f, f.result(Unknown))
	}
}

// undelivered is the outcome of a probe that our own kernel could not hand to the first router, as it says then. The
// probes that wait for the same next hop fail together, the oldest first.
func (e *engine) undelivered(f *flight, answer *packet.Reply, at time.Time) Result {
	r := f.result(Failed)
	e.nextHopSought = e.nextHopSought || at.Sub(f.sent) >= neighbourWait
	r.Err = ErrNextHop
	if !e.nextHopSought {
		r.Err = ErrUnreachable
	}
	if e.o.Fault != nil {
		if err := e.o.Fault(f.probe, answer.HostUnreachable() && e.nextHopSought); err != nil {
			r.Err = err // which says who it is
		}
	}
	return r
}
