package trace

import "time"

// A router that forwards a packet to a neighbour asks for the neighbour's link-layer address first, and keeps the
// packet meanwhile. When nobody answers, it reports "host unreachable" for all packets that it has kept. So the silence
// beyond the last router that answers may end a little later than the wait.
const (
	// resolveTime is how long a router asks for a neighbour's address: three times, a second apart (RFC 4861 10; Linux
	// asks as often in IPv4). resolveSlack is how much later its timers may be. Linux 6.18 reports after 3.05 to 3.07 s;
	// with 100 ticks a second its timers are late by up to 240 ms.
	resolveTime  = 3 * time.Second
	resolveSlack = 250 * time.Millisecond

	// mostLinger is the most by which a trace becomes longer because of that.
	mostLinger = 500 * time.Millisecond

	// lingerMargin is how long before the end of its wait a probe is extended: a busy host must not be too late for that.
	lingerMargin = 50 * time.Millisecond
)

// firstBeyond is when the first probe was sent to the hops beyond lastRouter and up to limit; zero: none was sent.
type firstBeyond struct {
	lastRouter, limit int
	sent              time.Time
}

// resolved is by when the last router that answered has reported that it can't deliver a probe, if that is so; zero if
// something beyond has answered, or nothing at all.
func (p *Path) resolved(a *ask) time.Time {
	if p.target.answers || p.lastRouter < p.o.FirstTTL || a.ttl <= p.lastRouter || p.o.Session != nil {
		return time.Time{}
	}
	first := a.sent
	if !p.rounds.on() {
		first = sooner(first, p.beyond())
	}
	rtt := min(p.hop(p.lastRouter).rtt, p.whole) // one that was later may have waited for a limit on the router's ICMP
	return first.Add(resolveTime + resolveSlack + rtt)
}

// beyond returns when the first probe was sent that got farther than the last router that answered. The path remembers
// the time as long as it holds for the same hops: a probe that is sent later is never the first.
func (p *Path) beyond() time.Time {
	first := &p.firstBeyond
	if first.lastRouter == p.lastRouter && first.limit == p.limit && !first.sent.IsZero() {
		return first.sent
	}
	*first = firstBeyond{p.lastRouter, p.limit, p.firstDistance}
	for ttl := p.lastRouter + 1; ttl <= p.limit; ttl++ {
		if h := p.hop(ttl); !h.first.IsZero() {
			first.sent = sooner(h.first, first.sent)
		}
	}
	return first.sent
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// ending is when the wait for a probe ends, and what is to be done then: it is given up, or extended.
func (p *Path) ending(a *ask) due {
	t := p.timeout(a)
	end, until := a.sent.Add(t), p.resolved(a)
	switch {
	case a.lingers && p.idle():
		return due{at: lingerUntil(p.lingering, until), do: DoGiveUp}
	case a.lingers:
		return due{at: later(end, until), do: DoGiveUp}
	case p.o.Parallel == 1 && p.hop(a.ttl).asked < p.o.Queries:
		until = end // the next probe to this hop gets the same answer
	case p.o.Parallel == 1 && !p.rounds.on():
		until = lingerUntil(end, until) // nothing else is sent meanwhile
	}
	switch {
	case until.After(end):
		return due{end.Add(-lingerMargin), DoExtend, until}
	case t < p.o.Wait:
		return due{at: end, do: DoGiveUp}
	}
	return due{} // that it has waited its whole time, the engine knows by itself
}

// lingerUntil is how long to wait when everything else is over at end: no longer than mostLinger, and not at all if
// that is too short for a report.
func lingerUntil(end, until time.Time) time.Time {
	most := end.Add(mostLinger)
	if until.Add(-resolveSlack).After(most) {
		return end
	}
	return earlier(until, most)
}

// linger takes in that the wait for a probe is over, though its answer may still come.
func (p *Path) linger(now time.Time, a *ask) {
	a.lingers, p.lingering = true, later(p.lingering, a.sent.Add(p.timeout(a)))
	h := p.hop(a.ttl)
	h.silent = h.silent || !a.byProbePort && now.Sub(a.sent) >= p.whole-lingerMargin
}

// idle reports whether nothing is to be sent, and all that is in flight lingers.
func (p *Path) idle() bool {
	for _, a := range p.pending {
		if !a.lingers {
			return false
		}
	}
	return !p.rounds.on() && !p.unasked()
}

// unasked reports whether a hop is still to be asked. The farthest are mostly done last.
func (p *Path) unasked() bool {
	for ttl := p.end(); ttl >= p.o.FirstTTL; ttl-- {
		if p.hop(ttl).asked < p.wanted(ttl) {
			return true
		}
	}
	return false
}

// roundTrip is the time of an answer as far as it says something of the path. A router that could not deliver a probe
// has kept it for seconds.
func (p *Path) roundTrip(r Result) time.Duration {
	rtt := r.RTT()
	if r.Refused() && rtt > leastTimeout && p.lastRouter >= p.o.FirstTTL {
		return min(rtt, p.hop(p.lastRouter).rtt)
	}
	return rtt
}
