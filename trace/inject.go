package trace

import (
	"time"

	"go.example/tcptraceroute/packet"
)

// A device on the way may answer in the target's name, beside the target's own answer: it resets connections, or
// accepts them. Its answers say nothing of where the target is. What tells: a router's time exceeded for the same probe
// or for one that was sent further, and two answers of different kinds to one probe. Then the plan sweeps: it asks the
// hops beyond the last router that is known, whatever is answered in the target's name, until no router answers any
// more. The target is behind them. Rounds go on for ever, and so learn it from claims.
type injection struct {
	known     bool                       // there is such a device
	farthest  int                        // the highest TTL at which a router answered
	sweepTo   int                        // the TTL up to which a sweep goes; 0: there is none
	first     map[packet.Key]fingerprint // the first answer in the target's name to a probe
	stayUntil time.Time                  // the trace does not end before
	answers   map[answer]bool            // in the target's name to the path's own flow
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

// sweepAhead is how many hops beyond the last router a sweep goes: it may overshoot the target by so many.
const sweepAhead = 4

// reached takes in that the target has answered at a hop, or somebody in its name.
func (p *Path) reached(ttl int) {
	p.hop(ttl).reached = true
	if p.rounds.claims.exposed(ttl) {
		return
	}
	if p.rounds.on() || len(p.o.Ports) > 0 || ttl > p.farthest && !p.sweeping() {
		p.limit = min(p.limit, ttl)
	}
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

// bound is the last TTL worth asking, by where the target is.
func (p *Path) bound() int {
	first := p.farthest + 1
	if len(p.o.Ports) > 0 {
		first = p.o.FirstTTL
	}
	for ttl := max(first, p.o.FirstTTL); ttl < p.o.MaxTTL; ttl++ {
		if p.hop(ttl).reached {
			return ttl
		}
	}
	return p.o.MaxTTL
}

func (p *Path) sweeping() bool { return p.sweepTo > 0 }

// sweepOn begins a sweep.
func (p *Path) sweepOn() {
	p.injection.known, p.limit, p.sweepTo = true, p.o.MaxTTL, p.farthest+sweepAhead
}

// sweep asks each hop once that is not known to be a router's, and then waits for the routers' answers.
func (p *Path) sweep(now, when time.Time) Action {
	var until time.Time
	for ttl := p.o.FirstTTL; ttl <= min(p.sweepTo, p.o.MaxTTL); ttl++ {
		h := p.hop(ttl)
		if h.router || ttl < p.farthest && h.asked > 0 {
			continue
		}
		if !h.swept {
			if now.Before(p.soon) {
				return WaitUntil(sooner(when, p.soon))
			}
			h.swept = true
			return p.ask(ttl, now)
		}
		until = later(until, h.last.Add(p.sweepWait()))
	}
	if now.Before(until) {
		return WaitUntil(sooner(when, until))
	}
	for _, a := range p.pending {
		if a.ttl > p.farthest && !a.byProbePort {
			return Withdraw(a.key)
		}
	}
	p.sweepTo, p.mixed, p.wary, p.purge = 0, false, true, false
	p.lastRouter = p.farthest
	p.limit, p.estimate = p.o.MaxTTL, 0
	if p.target.answers && p.farthest < p.o.MaxTTL {
		p.limit, p.estimate = p.farthest+1, p.farthest+1
	}
	return p.Next(now)
}

// sweepWait is how long a router's answer is waited for.
func (p *Path) sweepWait() time.Duration {
	var t time.Duration
	for ttl := p.o.FirstTTL; ttl <= p.farthest; ttl++ {
		if h := p.hop(ttl); h.router {
			t = max(t, h.best)
		}
	}
	return 2*t + earlyUnknown*p.jitter() + leastEarlyTimeout
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
		if !p.injection.known && !p.rounds.on() && len(p.o.Ports) == 0 && p.farthest >= p.o.FirstTTL {
			p.sweepOn()
		}
	}
}

// other reports whether another answer to the same probe is that of another box. Resets have no numbers of their own,
// but who resets a distance probe a second time, whose port no other probe has, does so by the same way as the first
// time.
func (f fingerprint) other(g fingerprint, distance bool) bool {
	return f.reset != g.reset || f.ttl != g.ttl && (f.seq != g.seq || g.reset && distance)
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
	if p.o.Queries == 1 && p.tried > 0 && p.o.Session == nil && r.Role == RoleHop && !p.echo() {
		p.stayUntil = later(p.stayUntil, now.Add(leastEarlyTimeout))
	}
}

// count takes in an answer in the target's name to the path's own flow. A SYN+ACK that comes again is none, nor is one
// that fitted several probes at first, and then turned out to be one's.
func (p *Path) count(r Result) {
	if r.Reply.Kind != packet.KindTCP || r.Role != RoleHop {
		return
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

// tooMany begins a sweep if more answers have come in the target's name than probes were sent that can have got beyond
// the last router.
func (p *Path) tooMany() {
	if p.injection.known || p.rounds.on() || p.o.Session != nil || len(p.o.Ports) > 0 || p.farthest < p.o.FirstTTL ||
		p.single {
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
