package trace

import (
	"cmp"
	"time"

	"go.example/tcptraceroute/packet"
)

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
			e.close(now, f, e.undelivered(f, r, d.at))
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
