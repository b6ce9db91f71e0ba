package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// The matcher keeps two questions apart. Is it authentic: does the packet bring back a flow's unguessable sequence
// number, from the addresses and ports that it must come from? And which probe is it: told by the tag that the answer
// carries, or, where it carries none, by there being only one probe that it can answer.

type matcher struct {
	index
	loose   bool          // a flow was sent with TrustLoose
	wait    time.Duration // how long a probe waits at the most
	flights map[packet.Key]*flight
	noticed int // notices of these flights that were handed on
}

func newMatcher() *matcher {
	return &matcher{index: newIndex(), flights: make(map[packet.Key]*flight)}
}

// add takes in a probe that was just sent.
func (m *matcher) add(a Action, n int, sent time.Time) *flight {
	k, fl := a.Probe.Key(), m.flow(a.Probe)
	f := &flight{
		flow: fl, probe: a.Probe, key: k, n: n, sent: sent, wait: a.Wait, role: a.Role, note: a.Note, trust: a.Trust,
	}
	if f.wait <= 0 {
		f.wait = DefaultWait
	}
	if len(fl.flights) == 0 {
		fl.trust = a.Trust
	}
	fl.wait, m.wait = max(fl.wait, f.wait), max(m.wait, f.wait)
	fl.alone = fl.alone || a.Trust&TrustAlone != 0
	m.loose = m.loose || a.Trust&TrustLoose != 0
	fl.flights = append(fl.flights, f)
	fl.bare.sent++
	if old := m.flights[k]; old != nil {
		m.forget(old) // the tag came round again; nothing that old is answered any more
	}
	m.flights[k] = f
	return f
}

// forget drops a probe so that nothing counts for it again, and its flow with the last probe of it.
func (m *matcher) forget(f *flight) {
	if m.flights[f.key] != f {
		return
	}
	delete(m.flights, f.key)
	if f.notices != nil {
		m.noticed -= f.notices.all
	}
	fl := f.flow
	if i := slices.Index(fl.flights, f); i == 0 { // mostly it is the oldest, of thousands where rounds go on
		fl.flights[0] = nil
		fl.flights = fl.flights[1:]
	} else if i > 0 {
		fl.flights = slices.Delete(fl.flights, i, i+1)
	}
	if len(fl.flights) == 0 {
		m.remove(fl)
	}
}

// match is what the matcher makes of a packet: a verdict, the probe meant (nil where none is), and the evidence.
type match struct {
	verdict  Verdict
	flight   *flight
	evidence Evidence
}

// judge decides what a received packet is. It changes nothing; settle does.
func (m *matcher) judge(r *packet.Reply, at time.Time) match {
	var got match
	switch r.Kind {
	case packet.KindTCP:
		got = m.judgeTCP(r, at)
	case packet.KindEcho:
		got = m.judgeEcho(r)
	case packet.KindTimeExceeded, packet.KindUnreachable, packet.KindTooBig, packet.KindParameterProblem:
		if r.Quote.Echo.HasID() {
			got = m.judgeQuotedEcho(r)
		} else {
			got = m.judgeICMP(r, at)
		}
	default:
		return match{verdict: Unrelated}
	}
	if got.flight == nil {
		if got.verdict != NearMiss && got.verdict != OwnAddress && got.verdict != ShortQuote {
			got.verdict = Unrelated // an answer can't come before its question
		}
		return got
	}
	// A host drops a packet with a wrong checksum, and so do we, but it is said.
	if r.Checksum == packet.CheckBad || r.IP.Checksum == packet.CheckBad {
		got.verdict = BadChecksum
		return got
	}
	if got.verdict == Believed && at.Before(got.flight.sent) {
		got.verdict = Unrelated // an answer can't come before its question
	}
	return got
}

// ourselves reports whether an ICMP error comes from our own address, and neither is that the target's nor tells the
// error what our own kernel knows.
func (fl *flow) ourselves(r *packet.Reply) bool {
	return r.IP.Src == fl.src.Addr() && r.IP.Src != fl.dst.Addr().WithZone("") && r.Kind != packet.KindUnreachable
}

const (
	protocolTCP = 6 // IANA protocol number

	// retransmitTime is after what time a SYN+ACK is sent again of the target's own accord (RFC 6298 2.1); leastRetransmit
	// is that, less what the network may take off.
	retransmitTime  = time.Second
	leastRetransmit = 900 * time.Millisecond

	// echoTime is how long after an answer copies of it may still come that the network made.
	echoTime = 50 * time.Millisecond

	// tooSoon is by how much more than the times known differ an answer is told to be none to a probe, see onlyPlausible.
	tooSoon = 2500 * time.Microsecond

	// tooLate is the same for one that would be later.
	tooLate = time.Millisecond

	// rttNoise is how much faster than ever before an answer may be for no reason; repeatNoise, where it may well be
	// another's.
	rttNoise    = 5 * time.Millisecond
	repeatNoise = time.Millisecond
)

// settle takes note of a believed, late, shared or untold answer.
func (m *matcher) settle(got match, r *packet.Reply, at time.Time) {
	fl, rtt := got.flight.flow, at.Sub(got.flight.sent)
	fl.doubt(got, r, at, fl.wait)
	fl.took(got.verdict, rtt)
	fromTarget := r.Kind == packet.KindTCP || r.Kind == packet.KindEcho
	switch {
	case fromTarget:
		fl.learnTarget(got, r, rtt, at)
	case got.verdict == TagRewritten:
		if got.evidence == ByFlow {
			fl.scrubbed++
		}
	default:
		fl.learnRouter(got, r, rtt)
	}
	if got.evidence == ByFlow && (got.verdict == IsShared || got.verdict == TagRewritten) {
		for _, f := range fl.flights {
			f.shared = f.shared || f.outcome == Pending
		}
	}
	switch got.verdict {
	case Believed:
		got.flight.outcome, got.flight.recv, got.flight.byTarget = Answered, at, fromTarget
	case IsLate:
		if got.evidence == ByTag { // else it may as well be another's
			got.flight.recv = at
		}
	}
}

// learnTarget takes note of what an answer of the target tells of its distance and of its times.
func (fl *flow) learnTarget(got match, r *packet.Reply, rtt time.Duration, at time.Time) {
	fl.open(&r.TCP, at)
	fl.bare.proven = fl.bare.proven || fl.acknowledges(&r.TCP)
	fl.heardBare(r, at)
	fl.older.proven = fl.older.proven || fl.mayBeOlder(r) && !fl.acknowledges(&r.TCP)
	switch {
	case got.verdict == IsShared && got.flight.probe.TTL <= fl.lastRouter:
		fl.lastRouter, fl.routers = 0, 0 // the route has become shorter, by how much will be seen
	case got.verdict == Believed || got.verdict == IsShared:
		fl.lastRouter = min(fl.lastRouter, got.flight.probe.TTL-1)
	}
	if got.verdict == Believed {
		fl.routers = min(fl.routers, got.flight.probe.TTL-1)
		fl.worst = max(fl.worst, rtt)
		if fl.best == 0 || rtt < fl.best {
			fl.best = rtt
		}
	}
}

// learnRouter takes note of what an ICMP error tells of how far routers go, and of their times.
func (fl *flow) learnRouter(got match, r *packet.Reply, rtt time.Duration) {
	ttl, expired := got.flight.probe.TTL, r.Kind == packet.KindTimeExceeded
	switch got.verdict {
	case IsDuplicate:
		if expired && got.evidence == ByTag {
			fl.lastRouter = max(fl.lastRouter, ttl) // who answered before was not the target
		}
	case Believed, IsLate:
		if who := senderOf(got.flight, r); got == (match{Believed, got.flight, ByFlow}) && !slices.Contains(fl.senders, who) {
			fl.senders = append(fl.senders, who)
			fl.senders = fl.senders[max(0, len(fl.senders)-mostSenders):]
		}
		fl.far = max(fl.far, rtt)
		if expired {
			fl.routers = max(fl.routers, ttl)
		}
		switch {
		case expired && ttl > fl.lastRouter:
			fl.lastRouter, fl.near = ttl, rtt
		case expired && ttl == fl.lastRouter:
			fl.near = min(fl.near, rtt)
		}
	}
}
