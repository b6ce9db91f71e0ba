package trace

import (
	"slices"
	"time"

	"tcptraceroute/packet"
)

// scout is how far the scout has got.
type scout uint8

const (
	scoutNone   scout = iota // there is none
	scoutWanted              // it is the next probe
	scoutSent                // it may be answered
	scoutOver                // it was answered, or that can't be told
)

// wanted is how many probes a hop is asked: what scouts are answered counts at the hop that the target turns out to be.
func (p *Path) wanted(ttl int) int {
	if ttl != p.limit || ttl == p.o.MaxTTL || p.scouts == 0 {
		return p.o.Queries
	}
	n := p.o.Queries - p.credit
	for _, a := range p.pending {
		if a.scout {
			n--
		}
	}
	return max(n, 1)
}

// horizon is the last TTL that may be asked now, and when that changes by itself.
func (p *Path) horizon(now time.Time) (ttl int, until time.Time) {
	i := slices.IndexFunc(p.pending, func(a *ask) bool { return a.scout && !a.spare })
	switch {
	case p.guess > 0:
		return p.guess, until
	case i >= 0 && !p.target.answers:
		sent := p.pending[i].sent
		if until = sent.Add(scoutFactor*p.slowest + scoutSlack); now.Before(until) {
			return p.o.FirstTTL - 1 + firstAhead, until
		}
		if until = sent.Add(slow); now.Before(until) {
			return p.known + creepAhead, until
		}
	}
	return p.known + lookAhead, time.Time{}
}

// estimate tells from the scout's answer how far it got. How far an answer has come, its own TTL tells, as hosts and
// routers start with 64, 128 or 255; the way back is as much longer than the way out as it is for the routers before.
func (p *Path) estimate(r *packet.Reply, spare bool) {
	if !spare {
		p.scout = scoutOver
	}
	if p.step > 0 {
		return // one of them is enough
	}
	ttl := backwards(r.IP.TTL) - p.skew
	switch r.Kind {
	case packet.KindTimeExceeded:
		return
	case packet.KindTCP, packet.KindEcho:
	default:
		ttl++ // the router that refuses it answers lower ones too
	}
	p.guess, p.step = max(ttl, p.spent+1), 1
}

// backwards is how many hops an answer has come, by what is left of its TTL.
func backwards(ttl uint8) int {
	for _, first := range []int{64, 128} {
		if int(ttl) <= first {
			return first - int(ttl) + 1
		}
	}
	return 255 - int(ttl) + 1
}

// within takes in that the target has answered a probe of which the TTL can't be told: none beyond those asked, but for
// the scout.
func (p *Path) within(r Result) {
	switch {
	case p.spare(r.Probe):
		p.estimate(r.Reply, true)
		return
	case p.scout == scoutSent:
		p.estimate(r.Reply, false)
		return
	}
	p.guess = 0                                 // it was wrong, or came too late
	if p.scout == scoutNone || r.Fate == Late { // else the scout may have been answered once more
		p.limit = min(p.limit, p.asked)
	}
}

// spare reports whether a probe is of the spare flow, which is a single scout.
func (p *Path) spare(probe packet.Probe) bool {
	return p.o.SparePort != 0 && probe.Src.Port() == p.o.SparePort
}
