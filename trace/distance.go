package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// Distance probes and the control probe go by ports of their own (ProbePorts), so that the path's own flow is free of
// answers that fit several probes, and belong to no hop until the target has answered them: then they count at the hop
// that it turns out to be, as some of its probes.
//
// Distance probes are probes with the highest TTL: they get to the target if anything does, and its answer tells how
// far it is. The control probe goes to the hop that is thought to be right before the target, and is thought to get no
// answer from it (nextToTarget).
//
// Where there are no such ports, there is one distance probe, on the path's own flow, and no control probe.

// distance probe is how far the one on the path's own flow has got.
type ownDistance uint8

const (
	ownNone   ownDistance = iota // there is none
	ownWanted                    // it is the next probe
	ownSent                      // it may be answered
	ownOver                      // it was answered, or that can't be told
)

// distanceState is what a plan knows of its distance probes, and by them.
type distanceState struct {
	own           ownDistance
	aim           int       // how many answers to others are of use
	ports         []uint16  // of those that may still be sent
	spare         []uint16  // ports for placing alone
	tried         int       // how many were sent
	credit        int       // answers of the target to any
	estimate      int       // the TTL that gets to the target, and none below it does; 0: no estimate
	step          int       // how much the estimate goes up when it turns out too low; 0: there was none yet
	leastTTL      uint8     // the least TTL that was left of the target's answers to them; 0: there was none
	mostTTL       uint8     // the most
	back          int       // how many hops the answer that it is from has come
	skew          int       // how much longer the way back is than the way out, by the furthest router that answered
	firstDistance time.Time // when the first was sent by a port of its own
	controlled    int       // up to this TTL a probe by another port did not get to the target; see controlDue
	byPorts       int       // how many probes went by ports of their own
	lastByPort    time.Time // when the last of them was sent
	portsHeard    bool      // one was answered, by whomever
}

// distance probes is how many distance probes are sent at once, where a hop is asked that often or more: the second is
// there for the first to be lost. MostDistanceProbes is how many are sent when more are lost, the control probe counted
// in. MostProbePorts is how many of ProbePorts are used at the most: the rest is for probes that tell where the target
// is, where nothing else does.
const (
	distanceProbes     = 2
	MostDistanceProbes = 4
	MostProbePorts     = 6
)

func newDistanceState(o PathOptions) distanceState {
	n := len(o.ProbePorts)
	if n == 0 {
		return distanceState{own: ownWanted}
	}
	all := min(n, MostProbePorts)
	n = min(n, MostDistanceProbes)
	aim := min(distanceProbes, max(o.Queries-1, 1))
	return distanceState{aim: aim, ports: o.ProbePorts[:n], spare: o.ProbePorts[n:all]}
}

// distanceDue reports whether a distance probe is to be sent now: the first ones, and others in the place of those that
// have gone missing when another is answered. again is when that may change by itself.
func (p *Path) distanceDue(now time.Time) (due bool, again time.Time) {
	switch {
	case p.tookAll(p.o.MaxTTL), p.o.Budget.full(p.o.MaxTTL):
		return false, again
	case len(p.ports) == 0 || p.slow.knocks > 0: // new ports would be new to a target that knows its clients
		return false, again
	case p.places(): // which counts as one
		return false, again
	case p.tried < p.aim:
		return true, again
	case !p.target.answers, p.portsVain(now):
		return false, again
	}
	aim := p.aim
	if p.o.TargetSYNs > 0 && p.tried > p.aim {
		aim = 1 // the first ones may well have got there, and only their answers were lost
	}
	n, took := p.credit, p.distanceTime()
	for _, a := range p.pending {
		if !a.byProbePort || a.control() || a.missing {
			continue
		}
		if at := a.sent.Add(took); now.Before(at) {
			again = sooner(again, at)
			n++
		} else {
			a.missing = true
		}
	}
	return n < aim, again
}

// portsVain reports whether nobody answers probes by ports of their own, though the target answers the path's own flow:
// a target may drop the first SYN of each flow. Then others would be in vain, too.
func (p *Path) portsVain(now time.Time) bool {
	return !p.portsHeard && p.byPorts >= vainPorts && p.target.answers && !now.Before(p.lastByPort.Add(p.distanceTime()))
}

// distanceTime is when the target would have answered a distance probe.
func (p *Path) distanceTime() time.Duration {
	if !p.target.told {
		return min(settled(p.target.rtt), p.o.Wait)
	}
	return p.target.least + max(earlySlack, p.target.least/restShare)
}

// vainPorts is how many such probes must be silent: two may be lost.
const vainPorts = 3

// sendDistance sends one by a port of its own.
func (p *Path) sendDistance(now time.Time) Action {
	p.tried++
	return p.sendByProbePort(p.o.MaxTTL, now)
}

func (p *Path) sendByProbePort(ttl int, now time.Time) Action {
	port := p.ports[0]
	p.ports = p.ports[1:]
	return p.sendBy(port, ttl, now)
}

// sendBy sends a distance probe, or the control probe, by a port.
func (p *Path) sendBy(port uint16, ttl int, now time.Time) Action {
	probe := p.flow.ProbeBy(port, ttl)
	p.byPorts++
	p.lastByPort = now
	p.soon = now.Add(p.o.Spacing)
	if p.firstDistance.IsZero() {
		p.firstDistance = now
	}
	return p.send(probe, &ask{ttl: ttl, sent: now, distance: ttl == p.o.MaxTTL, byProbePort: true})
}

// controlDue reports whether the control probe is to be sent: a probe by another port to the hop before the target, see
// nextToTarget. If that is the target, it answers this one too. It comes after the hop's own, for a router that limits
// its ICMP.
func (p *Path) controlDue() bool {
	ttl := p.estimate - 1
	return len(p.ports) > 0 && ttl >= p.o.FirstTTL && !p.tookAll(ttl) && !p.o.Budget.full(ttl) &&
		p.controlled < ttl && p.nextToTarget(ttl) &&
		p.hop(ttl).asked >= p.wanted(ttl)
}

// sendControl sends it.
func (p *Path) sendControl(now time.Time) Action {
	p.controlled = p.estimate - 1
	return p.sendByProbePort(p.controlled, now)
}

// control probe reports whether this is the control probe.
func (a *ask) control() bool { return a.byProbePort && !a.distance }

// needless reports whether this is a control probe that nothing depends on any more: the hop itself has answered.
func (p *Path) needless(a *ask) bool { return a.control() && a.ttl <= p.lastRouter }

// apart is how long after the hop before it the target is asked.
func (p *Path) apart() time.Duration {
	if p.target.tags {
		return 0
	}
	return apart
}

// learnDistance notes what became of a distance probe by a port of its own, or of the control probe.
func (p *Path) learnDistance(now time.Time, r Result) {
	if p.learning.control() {
		defer p.learnPlace(p.learning, r)
	}
	if r.Outcome != Answered {
		p.countVain(r)
		return
	}
	p.portsHeard = true
	if r.FromTarget() {
		p.credit++
		p.passBy()
		if int(r.Probe.TTL) == p.o.MaxTTL {
			p.hearDistance(r)
		}
	}
	p.hear(now, r)
	if ttl := int(r.Probe.TTL); ttl < p.o.MaxTTL {
		if r.FromTarget() && p.placement.guess == 0 {
			p.contradict(ttl)
		}
		return
	}
	p.estimateFrom(r)
}

// contradict takes in that the target has answered the control probe: so it may be the hop that this went to.
func (p *Path) contradict(ttl int) {
	p.controlled, p.wary = 0, true
	if ttl > p.lastRouter {
		p.estimate = ttl
	}
	for _, a := range p.pending {
		if !a.byProbePort && a.ttl > p.lastRouter && a.ttl <= ttl {
			p.shadow(a)
		}
	}
}

// role is what the probe is for. The distance probe on the path's own flow is a probe to the hop at the highest TTL
// too.
func (a *ask) role() Role {
	switch {
	case !a.byProbePort:
		return RoleHop
	case a.distance:
		return RoleDistance
	}
	return RoleControl
}

// wanted is how many probes a hop is asked: what distance probes are answered counts at the hop that the target turns
// out to be.
func (p *Path) wanted(ttl int) int {
	switch {
	case p.tookAll(ttl), p.o.Budget.full(ttl):
		return p.hop(ttl).asked
	case p.retryDue(ttl), p.neverLeft(ttl):
		return p.hop(ttl).asked + 1
	case p.tooSoonToPlace(ttl):
		return p.o.Queries + 1
	case p.oneTooMany(ttl), p.spent(ttl):
		return p.hop(ttl).asked
	case p.refusing() && ttl > p.limit:
		return max(1-p.hop(ttl).sends, 0) // see refusing; one that came to nothing isn't sent anew
	case p.refusals.some() && p.refusals.stuck() && ttl >= p.refusals.nearest:
		return p.hop(ttl).asked // from now on it is asked slowly
	case p.refusedOnly(ttl) && p.hop(ttl).inFlight == 0:
		return max(p.o.Queries, min(p.hop(ttl).asked+1, p.o.Queries+refusedMore))
	case ttl != p.limit || ttl == p.o.MaxTTL:
		return p.o.Queries
	}
	if ttl == p.refusals.end() {
		return min(max(p.o.Queries-p.refusedBeyond(), 1), p.o.Queries)
	}
	if p.tried == 0 && p.own == ownNone {
		return p.o.Queries
	}
	n := p.o.Queries - p.credit
	if p.placedByPort() && ttl == p.placement.at && p.hop(ttl).byTarget {
		return max(n, 0)
	}
	if h := p.hop(ttl); !h.reached && h.refused > 0 {
		n += h.vain + h.refused
	} else if !h.answered {
		n += h.vain // without an answer of its own it is not known to be the target's
	}
	for _, a := range p.pending {
		switch {
		case a.distance && !a.missing:
			n--
		case a.ttl == ttl && a.passed && !p.hop(ttl).answered:
			n++ // hardly answered any more
		}
	}
	return min(max(n, 1), p.o.Queries)
}

// tooSoonToPlace reports whether the hop at the highest TTL has been answered only to the distance probe, which was
// sent before anything was known of the hops in front of it, and no router stands right in front: then it says nothing
// of where the target is (Trace.Strays), and a probe that is sent after the hop before was asked does.
func (p *Path) tooSoonToPlace(ttl int) bool {
	if ttl != p.o.MaxTTL || ttl == p.o.FirstTTL || p.own != ownOver || p.rounds.on() {
		return false
	}
	h, before := p.hop(ttl), p.hop(ttl-1)
	if h.heard.After(before.first) {
		return false // another took the place of the distance probe, or has been answered
	}
	return h.asked == 1 && h.sends < mostAgain && p.target.answers && p.limit == ttl && before.vain > 0 && !before.router
}

// nearest is the estimate when the target has answered a probe with a TTL that was not the estimate: this one, where
// probes to the hops between it and the last known router were lost, else 0, for it may be nearer. In rounds the way
// may change.
func (p *Path) nearest(ttl int) int {
	if p.rounds.on() {
		return 0
	}
	for i := p.lastRouter + 1; i < ttl; i++ {
		if p.hop(i).vain == 0 {
			return 0
		}
	}
	return ttl
}

// horizon is the last TTL that may be asked now, and when that changes by itself.
func (p *Path) horizon(now time.Time) (ttl int, until time.Time) {
	i := slices.IndexFunc(p.pending, func(a *ask) bool { return a.distance && !a.lingers })
	switch {
	case p.estimate > 0:
		return p.estimated(now)
	case p.fallen.at > 0:
		return max(p.asked, p.fallen.at+1), until
	case p.hold(now):
		return p.known, until
	case i >= 0 && !p.target.answers && p.slow.knocks == 0:
		if until = p.pending[i].sent.Add(slow); p.holds() || now.Before(until) {
			return p.front(now)
		}
	}
	return p.known + lookAhead, time.Time{}
}

// estimated is the last TTL that may be asked where the target is thought to be, and when that changes by itself: if it
// seems to be far beyond the last router known, it may well be nearer, and each probe to the hops between is a SYN that
// nobody needs. The rest of them has time until a router beyond has answered, or none does.
func (p *Path) estimated(now time.Time) (ttl int, until time.Time) {
	if p.placed(p.estimate) && p.hop(p.estimate).asked >= p.wanted(p.estimate) {
		if until = p.hop(p.estimate).last.Add(p.settling(p.estimate)); !now.Before(until) {
			return p.estimate + 1, time.Time{} // that it may be asked ends the estimate, see passBlocker
		}
		return p.estimate, until
	}
	far := max(p.lastRouter, p.o.FirstTTL-1) + farAhead
	if p.estimate <= far || p.limit <= far {
		return p.estimate, until
	}
	if first := p.hop(far).first; !first.IsZero() {
		until = first.Add(slow)
		if !now.Before(until) {
			return p.estimate, time.Time{}
		}
	}
	return far, until
}

// front is the last TTL that may be asked while a distance probe may still be answered, and when that changes by
// itself: a few hops beyond the last one known, for all of them may get to the target. If no answer to a distance
// probe comes, that is all the more so: only the target's answer can tell where it is.
func (p *Path) front(now time.Time) (ttl int, until time.Time) {
	// On a long way the target's answer may come right after those of the routers.
	first := p.o.FirstTTL - 1 + firstAhead
	if until = p.alone(); now.Before(until) {
		return max(p.known+1, p.asked), until
	}
	if until = p.moved.Add(p.rest() - leastRest); now.Before(until) {
		return max(p.asked, first), until
	}
	return max(p.known+creepAhead, first), time.Time{}
}

// nearTime is how long the answer to the distance probe takes at the most from a target nearby, and nextDoor how long
// the first router's takes.
const (
	nearTime = 60 * time.Millisecond
	nextDoor = 20 * time.Millisecond
)

// alone is until when no hop is asked beyond the one after the last one known, next door and where each is asked once:
// then nothing is faster for being asked earlier, for the answer to the distance probe is waited for in any case, and
// what is asked too far are SYNs at a target nearby.
func (p *Path) alone() time.Time {
	first := p.hop(p.o.FirstTTL).first
	if p.o.Queries > 1 || p.tried == 0 || first.IsZero() || p.known >= p.o.FirstTTL-1+firstAhead {
		return time.Time{}
	}
	if p.known < p.o.FirstTTL {
		return first.Add(nextDoor)
	}
	return earlier(p.moved.Add(distanceFactor*p.slowest+distanceSlack), first.Add(nearTime))
}

// estimateFrom estimates from the distance probe's answer how far it got. How far an answer has come, its own TTL
// tells, as hosts and routers start with 64, 128 or 255; a refusal tells it by its quote; the way back is as much
// longer than the way out as it is for the routers before. A router whose way back is shorter says little of the
// target's: if the estimate were too high for that, each hop from the target on to it would be a SYN at the target,
// side by side. If it is too low, a router says so (raise).
func (p *Path) estimateFrom(r Result) {
	if p.step > 0 || r.Reply.Kind == packet.KindTimeExceeded {
		return // one of them is enough
	}
	p.back = backwards(r.Reply.IP.TTL)
	if !r.FromTarget() {
		p.back++ // the router that refuses it answers lower ones too
	}
	if quoted := r.quotedHop(); r.Refused() && quoted > p.lastRouter {
		p.back = quoted + p.skew
	}
	p.estimate, p.step = max(p.back-max(p.skew, 0), p.lastRouter+1), 1
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
// a distance probe.
func (p *Path) within(r Result) {
	switch {
	case r.Role != RoleHop:
		p.estimateFrom(r)
		return
	case p.own == ownSent:
		p.own = ownOver
		p.estimateFrom(r)
		return
	}
	if len(p.o.ProbePorts) > 0 {
		p.estimateFrom(r) // no distance probe has come back
	}
	if p.estimate <= p.lastRouter || p.estimate > p.asked {
		p.estimate = 0 // it was wrong, or came too late
	}
	// else the distance probe may have been answered once more
	if p.own == ownNone || r.Outcome == Late && int(r.Probe.TTL) < p.o.MaxTTL && !p.sentAgain(r) {
		p.limit = min(p.limit, p.asked)
	}
}
