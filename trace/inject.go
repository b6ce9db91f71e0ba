package trace

import (
	"time"

	"go.example/tcptraceroute/packet"
)

// A device on the way may answer in the target's name, beside the target's own answer: it resets connections, or
// accepts them. Its answers say nothing of where the target is. What shows that there is one: a router's time exceeded
// for the same probe or for one that was sent further, and answers of two kinds. Then the plan sweeps: it asks the hops
// beyond the last router that is known, whatever is answered in the target's name, until no router answers any more.
// The target is beyond them. If the device answers only some of the packets, a hop that was answered as the device
// answers is asked more often. Rounds go on for ever, and so learn it from claims.
type injection struct {
	known     bool                       // there is such a device
	farthest  int                        // the highest TTL at which a router answered
	sweepTo   int                        // the TTL up to which a sweep goes; 0: there is none
	first     map[packet.Key]fingerprint // the first answer in the target's name to a probe
	stayUntil time.Time                  // the trace does not end before
	answers   map[answer]bool            // in the target's name to the path's own flow
	kinds     kinds                      // of all answers in the target's name
	resetBack int                        // how many hops the nearest of the resets has come; 0: not known
	openBack  int                        // and the farthest of what accepts
	said      time.Time                  // when the last of them came
	voices    voices
}

// answer is what tells one answer in the target's name from the next: of a SYN+ACK its sequence number, of a reset when
// it came.
type answer struct {
	reset bool
	seq   uint32
	at    time.Time
}

// fingerprint is what tells an answer in the target's name from that of another box.
type fingerprint struct {
	reset bool
	ttl   uint8
	seq   uint32 // of a SYN+ACK
}

// reached takes in that the target has answered at a hop, or somebody in its name.
func (p *Path) reached(ttl int) {
	p.hop(ttl).reached = true
	if p.rounds.claims.exposed(ttl) {
		return
	}
	if p.rounds.on() || len(p.o.Ports) > 0 || p.mayReach(ttl) && !p.sweeping() {
		p.limit = min(p.limit, ttl)
	}
	p.tooMany()
}

// expired takes in that a router has let a probe expire: who answered in the target's name at this hop or before was
// not the target.
func (p *Path) expired(ttl int) {
	h := p.hop(ttl)
	h.router = true
	p.farthest = max(p.farthest, ttl)
	p.tooMany()
	switch {
	case p.rounds.on(), len(p.o.Ports) > 0: // another flow may go farther
	case p.sweeping():
		p.sweepTo = max(p.sweepTo, p.farthest+sweepAhead)
	case ttl >= p.limit && p.hop(p.limit).reached || h.reached:
		p.sweepOn()
	case ttl >= p.limit && !p.refusing():
		p.limit = p.bound()
	}
}

// mayReach reports whether an answer in the target's name at a hop may be the target's.
func (p *Path) mayReach(ttl int) bool { return ttl > p.farthest && !p.voices.lacks(ttl, p.farthest) }

// bound is the last TTL worth asking, by where the target is.
func (p *Path) bound() int {
	first := p.farthest + 1
	if len(p.o.Ports) > 0 {
		first = p.o.FirstTTL
	}
	for ttl := max(first, p.o.FirstTTL); ttl < p.o.MaxTTL; ttl++ {
		if p.hop(ttl).reached && !p.voices.lacks(ttl, p.farthest) {
			return ttl
		}
	}
	return p.o.MaxTTL
}

// second takes in a second answer to a probe. A time exceeded proves that the first was not the target's; two answers
// that differ are from two boxes.
func (p *Path) second(now time.Time, r Result) {
	ttl := int(r.Probe.TTL)
	if r.Reply.Kind == packet.KindTimeExceeded {
		switch h := p.hop(ttl); {
		case r.Evidence != ByTag || r.Role != RoleHop:
		case p.rounds.on(), !h.router:
			p.hear(now, r)
		}
		return
	}
	first, ok := p.first[r.Probe.Key()]
	if !ok || !r.FromTarget() || r.Reply.Kind != packet.KindTCP {
		return
	}
	if first.other(fingerprintOf(r), r.Role != RoleHop) {
		p.voices.took = max(p.voices.took, r.RTT())
		if !p.injection.known && !p.rounds.on() && len(p.o.Ports) == 0 &&
			(p.farthest >= p.o.FirstTTL || r.Role == RoleDistance) {
			p.sweepOn()
		}
	}
}

// other reports whether another answer to the same probe is that of another box. Resets have no numbers of their own,
// but who resets a distance probe a second time, whose port no other probe has, does so by the same way as the first
// time, and who accepts it a second time does so by the same number.
func (f fingerprint) other(g fingerprint, distance bool) bool {
	return f.reset != g.reset || f.ttl != g.ttl && g.reset && distance || f.seq != g.seq && (f.ttl != g.ttl || distance)
}

func fingerprintOf(r Result) fingerprint {
	tcp := &r.Reply.TCP
	return fingerprint{tcp.Flags.Has(packet.RST), r.Reply.IP.TTL, tcp.Seq}
}

// seen remembers the first answer in the target's name to a probe.
func (p *Path) seen(r Result) {
	if r.Reply.Kind != packet.KindTCP || p.rounds.on() || p.o.Session != nil {
		return
	}
	if p.first == nil {
		p.first = make(map[packet.Key]fingerprint)
	}
	p.first[r.Probe.Key()] = fingerprintOf(r)
}

// stay keeps the trace from ending right after an answer in the target's name: the router at which the probe expired
// may be slower than a device before it. With more probes per hop, the others give it the time. A trace without
// distance probes is a question about a path that is known already.
func (p *Path) stay(now time.Time, r Result) {
	alone := p.o.Queries == 1 || p.farthest < p.o.FirstTTL
	if alone && p.tried > 0 && p.o.Session == nil && r.Role == RoleHop && !p.echo() {
		p.stayUntil = later(p.stayUntil, now.Add(leastEarlyTimeout))
	}
}

// count takes in an answer in the target's name to the path's own flow. A SYN+ACK that comes again is none, nor is one
// that fitted several probes at first, and then turned out to be one's.
func (p *Path) count(r Result) {
	if r.Reply.Kind != packet.KindTCP {
		return
	}
	p.said = r.Recv
	if !p.rounds.on() {
		p.voices.add(r)
	}
	if r.Reply.TCP.Flags&(packet.SYN|packet.RST) != 0 && p.o.Flags.Has(packet.SYN) { // else both kinds may be one host's
		p.kinds |= kindOf(r)
		p.measure(r)
	}
	if r.Role != RoleHop {
		p.tooMany()
		return
	}
	if r.Outcome == Answered || r.Outcome == Duplicate {
		p.hop(int(r.Probe.TTL)).kinds |= kindOf(r)
	}
	known := answer{reset: true, at: r.Recv}
	if tcp := &r.Reply.TCP; tcp.Flags.Has(packet.SYN) {
		known = answer{seq: tcp.Seq}
	}
	if p.answers[known] {
		return
	}
	if p.answers == nil {
		p.answers = make(map[answer]bool)
	}
	p.answers[known] = true
	p.tooMany()
}

// mayBeDevice reports whether the path ends at a hop where only a device may have answered, which answers some of the
// SYNs itself: those of the other kind came from farther away. A search, which has a bound on its SYNs, asks the other
// flows itself.
func (p *Path) mayBeDevice() bool {
	if p.o.SilentSYNs > 0 || p.limit == p.o.MaxTTL || !p.unequal() {
		return false
	}
	target := accepts
	if p.openBack > 0 && p.openBack < p.resetBack {
		target = resets
	}
	return p.hop(p.limit).kinds&target == 0
}

// measure notes how far an answer in the target's name has come.
func (p *Path) measure(r Result) {
	if r.Reply.IP.TTL == 0 {
		return
	}
	back := backwards(r.Reply.IP.TTL)
	switch {
	case kindOf(r) == accepts:
		p.openBack = max(p.openBack, back)
	case p.resetBack == 0:
		p.resetBack = back
	default:
		p.resetBack = min(p.resetBack, back)
	}
}

// unequal reports whether SYNs were accepted and reset, and not by two that are equally far away: then these are
// machines that share the target's address, or its own programs, and no device in front of it.
func (p *Path) unequal() bool {
	return p.kinds == resets|accepts && (p.resetBack == 0 || p.resetBack != p.openBack)
}

// tooMany begins a sweep if more answers have come in the target's name than probes were sent that can have got beyond
// the last router, or the path may end at a device.
func (p *Path) tooMany() {
	if p.injection.known || p.rounds.on() || p.o.Session != nil || len(p.o.Ports) > 0 || p.single {
		return
	}
	if p.mayBeDevice() {
		p.sweepOn()
		return
	}
	if p.farthest < p.o.FirstTTL {
		return
	}
	n := 0
	for ttl := p.farthest + 1; ttl <= p.o.MaxTTL; ttl++ {
		n += p.hop(ttl).sends
	}
	if len(p.answers) > n {
		p.sweepOn()
	}
}
