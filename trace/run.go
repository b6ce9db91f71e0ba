package trace

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"go.example/tcptraceroute/packet"
)

// Options are what the engine needs to know.
type Options struct {
	// Pace, if it is set, limits how fast probes leave. Runs that share a Conn share its Pace too.
	Pace *Pace

	// Wake asks the plan again whenever a value comes: something has changed that the plan decides by, other than what it
	// learns. As long as Wake is open the run goes on though the plan has nothing to do; close it, and the run ends as
	// others do.
	Wake <-chan struct{}

	// Persist goes on however many probes in a row can't be sent: for traces that wait for a link to come back.
	Persist bool

	// Fault, where it is set, is asked why a probe got no answer, when none that was sent later got one: an error says
	// what our own host knows (a next hop that does not resolve). See [Faulter].
	Fault func(p packet.Probe, unreachable bool) error

	// Zone is where link-local addresses live that answer: the interface that the probes leave by. A target with a zone
	// has its own.
	Zone string

	// NewTimer, where it is set, makes a timer that is better than Go's; nil where there is none.
	NewTimer func() Timer

	// Napper, where it is set, is the Conn itself: as long as Pace lets nothing leave it takes less time to look for
	// answers now and then. With few packets, the runtime's monitoring thread, which a nap keeps awake, takes more than
	// that spares.
	Napper Napper

	// Observe, where it is set, sees every packet sent and received.
	Observe func(Event)
}

const (
	// A host whose sends fail is not hammered, so that a link that comes back finds the trace still there.
	sendErrorPause = 100 * time.Millisecond
	sendErrorLimit = 20

	// A gap this much longer than was meant is no scheduling delay: the program was stopped. What waits in the socket is
	// read first, for stallGrace, and what was due in between is Unknown and not Lost.
	stallGap   = 500 * time.Millisecond
	stallGrace = 100 * time.Millisecond

	// A pause shorter than this is a nap, see Napper: it delays what is made of an answer, and the end of a context.
	longestNap = 3 * time.Millisecond

	// With a Pace so many probes are decided on before they are sent one after the other: to go to and fro between plan
	// and network takes more time.
	sentTogether = 16

	// For a plan that asks to be woken in the past.
	minPause = 100 * time.Microsecond

	receiveQueue = 256
	packetSize   = 9216 // more than any ICMP error may be (RFC 4443: 1280), for routers that quote a jumbo frame whole
)

// ErrNextHop is why a probe failed that our own kernel could not deliver to the first router: it answered with a host
// unreachable in its own name.
var ErrNextHop = errors.New("next hop unreachable")

// ErrReceiving is in the chain of the error of a run that can't receive any more.
var ErrReceiving = errors.New("receiving")

// always is a channel that is ready at once.
var always = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// A SendError ends a run after many probes in a row failed in the same way, or in which every probe failed.
type SendError struct {
	Probes int
	Err    error
}

func (e *SendError) Error() string {
	if e.Probes == 1 {
		return fmt.Sprintf("1 probe could not be sent: %v", e.Err)
	}
	return fmt.Sprintf("%d probes in a row could not be sent: %v", e.Probes, e.Err)
}

func (e *SendError) Unwrap() error { return e.Err }

// Run carries out a plan on a network until the plan has come to its end, ctx ends, or nothing more can be learned.
// Every probe's outcome goes to emit, in the order in which it becomes known, from the goroutine that called Run. The
// error is ctx's cause, a *SendError, or ErrReceiving with its reason. Run leaves no goroutine behind.
func Run(ctx context.Context, conn Conn, plan Plan, o Options, emit func(Result)) (Counts, error) {
	e := &engine{conn: conn, plan: plan, o: &o, emit: emit, m: newMatcher(), wake: o.Wake}
	_, e.synthetic = conn.(Synthetic)
	e.dedup.seed = maphash.MakeSeed()
	receiving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	in := newInbox()
	wg.Go(func() { in.fill(receiving, conn) })
	timer := newTimer(&o)
	wg.Go(timer.Run)
	err := e.run(ctx, in, timer)
	timer.Stop()
	stop()
	wg.Wait()
	e.countLosses(time.Now())
	return e.counts, err
}

func newTimer(o *Options) Timer {
	if o.NewTimer != nil {
		if a := o.NewTimer(); a != nil {
			return a
		}
	}
	return goAlarm{time.NewTimer(time.Hour)}
}

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
	pause       time.Time // no sending before
	wake        <-chan struct{}
	rings       time.Time // when the timer rings; zero: it is not set
	expected    time.Time // by when the clock should have been read again
	stalled     time.Time // when a stall was noticed
	graceOver   time.Time
	reading     reading
	held        Action    // what is put off until everything was read that came in before it was decided
	decided     time.Time // when that was
	synthetic   bool      // conn is Synthetic
	reply       packet.Reply
	dedup       dedup
	out         []Action // probes that are about to be sent
}

// dedup remembers the last few packets, to know one that is seen twice, on a bridge and on its port: the same bytes at
// the same nanosecond.
type dedup struct {
	seed maphash.Seed
	last [4]struct {
		at  time.Time
		sum uint64
	}
	next int
}

func (s *dedup) again(d delivery) bool {
	sum := maphash.Bytes(s.seed, d.buf[:d.n])
	for _, l := range s.last {
		if l.sum == sum && l.at.Equal(d.at) {
			return true
		}
	}
	l := &s.last[s.next%len(s.last)]
	l.at, l.sum = d.at, sum
	s.next++
	return false
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
		if e.failures >= sendErrorLimit && !e.o.Persist {
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
		e.pause = now.Add(sendErrorPause)
		e.finish(now, Result{Probe: p, Role: a.Role, Note: a.Note, N: e.sentN, Outcome: Failed, Tried: now, Err: err})
		return
	}
	e.counts.Sent++
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

// undelivered is the outcome of a probe that our own kernel could not hand to the first router.
func (e *engine) undelivered(f *flight, answer *packet.Reply) Result {
	r := f.result(Failed)
	r.Err = ErrNextHop
	if e.o.Fault != nil {
		if err := e.o.Fault(f.probe, answer.HostUnreachable()); err != nil {
			r.Err = err // which says who it is
		}
	}
	return r
}

// receive decides what a packet is and tells whom it concerns.
func (e *engine) receive(d delivery) {
	now := time.Now()
	e.reading.read(now, d.at)
	if e.dedup.again(d) {
		return
	}
	r := &e.reply
	if err := packet.Parse(d.buf[:d.n], r); err != nil {
		e.counts.Malformed++
		e.observe(Event{Time: d.at, Packet: d.buf[:d.n], Verdict: Malformed, Err: err})
		return
	}
	got := e.judge(r, d.at)
	if f := got.flight; f != nil && r.IP.Src.Is6() && r.IP.Src.IsLinkLocalUnicast() {
		r.Zone = cmp.Or(f.probe.Dst.Addr().Zone(), e.o.Zone)
	}
	if f := got.flight; got.verdict == Believed && d.at.Sub(f.sent) > f.wait && d.at.After(f.until) {
		got.verdict = IsLate
	}
	e.count(got.verdict)
	if got.verdict == NearMiss {
		e.m.remember(r, d.at)
	}
	ev := Event{Time: d.at, Reply: r, Packet: d.buf[:d.n], Verdict: got.verdict}
	if f := got.flight; f != nil {
		ev.Probe, ev.N, ev.Sent = &f.probe, f.n, f.sent
	}
	fate, f := got.verdict.outcome(), got.flight
	if ev.Repeat = f != nil && fate > Unknown && e.m.repeats(f, fate, r, got.evidence); ev.Repeat {
		e.counts.Repeats++
	}
	e.observe(ev)
	if fate == Pending || f == nil {
		return
	}
	if r.IP.Src == f.probe.Src.Addr() && r.IP.Src != f.probe.Dst.Addr().WithZone("") {
		// Our own kernel speaks: the neighbour didn't resolve. A local matter, not a hop.
		if fate == Answered {
			e.close(now, f, e.undelivered(f, r))
		}
		return
	}
	e.heard = later(e.heard, f.sent)
	if fate != Elsewhere { // which tells nothing of the target
		e.m.settle(got, r, d.at)
	}
	// Of several probes that an answer fits, the next answer is another one's, however many were told as this one's.
	if ev.Repeat && fate != Shared && fate != Rewritten {
		return
	}
	res := f.result(fate)
	res.Recv, res.Reply, res.Evidence = d.at, r.Clone(), got.evidence
	if e.synthetic {
		res.Reply.Quote, res.Evidence = packet.Quote{}, ByKernel
	}
	if fate != Answered {
		e.notice(now, res, ev.Repeat)
		return
	}
	e.close(now, f, res)
	if f, r, at := e.m.resolve(f.flow); f != nil {
		res := f.result(Answered)
		res.Recv, res.Reply, res.Evidence = at, r, ByFlow
		e.close(now, f, res)
	}
}

// notice tells what isn't the outcome of a probe. What was told often enough of one is told to the plan alone.
func (e *engine) notice(now time.Time, r Result, repeat bool) {
	e.counts.left++
	if r.Outcome != Elsewhere {
		e.plan.Learn(now, r)
	}
	if !repeat {
		e.emit(r)
	}
}

// judge decides what a received packet is, by the best that is known of when the probe left. A probe that is answered
// by its tag can't have left after that, however late the kernel says it did.
func (e *engine) judge(r *packet.Reply, at time.Time) match {
	got := e.m.judge(r, at)
	conn, ok := e.conn.(Restamper)
	if !ok || got.flight == nil {
		return got
	}
	sent, ok := conn.Restamp(got.flight.key)
	if !ok {
		return got
	}
	f := got.flight
	f.sent = sent
	if !at.Before(sent) {
		return got
	}
	if again := e.m.judge(r, at); got.evidence == ByFlow && again.flight != f {
		return again // it left too late to be the one
	}
	f.sent = at
	return got
}

func (e *engine) count(v Verdict) {
	switch v {
	case IsLate:
		e.counts.Late++
	case IsDuplicate:
		e.counts.Duplicates++
	case NearMiss:
		e.counts.NearMisses++
	case BadChecksum:
		e.counts.BadChecksum++
	case OwnAddress:
		e.counts.OwnAddress++
		e.counts.Unrelated++
	case ShortQuote:
		e.counts.ShortQuotes++
		e.counts.Unrelated++
	case Unrelated, FromElsewhere:
		e.counts.Unrelated++
	}
}

func (e *engine) observe(ev Event) {
	if e.o.Observe != nil {
		e.o.Observe(ev)
	}
}

// inbox carries packets from the goroutine that receives to the engine, in buffers that go round.
type inbox struct {
	full   chan delivery
	empty  chan []byte
	failed chan error
	own    []byte // the engine's
}

type delivery struct {
	buf []byte
	n   int
	at  time.Time
}

func newInbox() *inbox {
	return &inbox{
		full:   make(chan delivery, receiveQueue),
		empty:  make(chan []byte, receiveQueue),
		failed: make(chan error, 1),
	}
}

func (in *inbox) fill(ctx context.Context, conn Conn) {
	for {
		var buf []byte
		select {
		case buf = <-in.empty:
		default:
			buf = make([]byte, packetSize)
		}
		n, at, err := conn.Recv(ctx, buf)
		if err != nil {
			if ctx.Err() == nil {
				in.failed <- err
			}
			return
		}
		select {
		case in.full <- delivery{buf, n, at}:
		case <-ctx.Done():
			return
		}
	}
}

func (in *inbox) reuse(d delivery) {
	select {
	case in.empty <- d.buf:
	default:
	}
}
