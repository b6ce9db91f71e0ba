package trace

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// quotedHop is how far away a probe was refused, by the TTL that the refusal quotes: a probe that was sent with TTL 17
// and had 14 left was refused at hop 4, and so is every probe of its flow that gets there. It holds whether who refuses
// looks at the TTL before that (then it quotes one less, and refuses from one hop farther on) or after it. 0: the quote
// doesn't tell.
func (r Result) quotedHop() int {
	if r.Reply == nil || r.Evidence == ByKernel {
		return 0
	}
	sent, left := int(r.Probe.TTL), int(r.Reply.Quote.IP.TTL)
	if left == 0 || left > sent {
		return 0 // nobody gets it like that: it was rewritten
	}
	return sent - left + 1
}

// refusals knows where a flow is refused (see Refused), by its answers. Where the answers to nearer probes are missing,
// because they were lost or because hosts limit their ICMP errors, the quotes of farther ones tell. A quote is believed
// as long as it doesn't contradict what the probes show: all refusals of one sender agree, and no router is known to be
// there or beyond. The zero value knows of no refusal.
type refusals struct {
	nearest int        // the lowest TTL that was refused; 0: none was
	from    netip.Addr // by whom
	stands  int        // the hop that it has answered at as a router; 0: none
	quoted  int        // the hop that its quotes tell; 0: none, or not always the same
	router  int        // the highest TTL that a router answered at
	last    netip.Addr // of that router
	target  int        // the highest TTL that the target answered at
	beside  bool       // the target has answered other flows, so what refuses may refuse only some packets
	inRow   int        // how many refusals came since somebody else answered who is no nearer
	first   time.Time  // when the first probe of these was sent
	newest  time.Time  // when the last one was
}

// mostInRow is how many refusals in a row show that nothing gets through any more, if the probes were sent over
// rowTime: one in three packets is refused so often in a row once in 40 million times, and a limit lets some through.
const (
	mostInRow = 16
	rowTime   = time.Second
)

// add takes an answer in.
func (f *refusals) add(r Result) {
	ttl := int(r.Probe.TTL)
	switch {
	case r.Reply.Kind == packet.KindTimeExceeded:
		if ttl >= f.router {
			f.router, f.last = ttl, r.From()
		}
		if f.nearest > 0 && r.From() == f.from {
			f.stands = ttl
		}
		f.passed(ttl)
	case r.FromTarget():
		f.target = max(f.target, ttl)
		f.passed(ttl)
	case !r.Refused():
		return
	case f.nearest == 0 || r.From() != f.from && ttl < f.nearest:
		if r.From() != f.from {
			f.stands = 0
		}
		f.nearest, f.from, f.quoted = ttl, r.From(), f.hop(r)
	case r.From() == f.from:
		f.nearest = min(f.nearest, ttl)
		if f.hop(r) != f.quoted {
			f.quoted = 0
		}
	}
	if !r.Refused() {
		return
	}
	if f.inRow++; f.inRow == 1 {
		f.first, f.newest = r.Sent, r.Sent
	}
	f.first, f.newest = sooner(f.first, r.Sent), later(f.newest, r.Sent)
}

// stuck reports whether so many were refused in a row that more of them tell nothing new, if they are sent at once.
func (f *refusals) stuck() bool { return f.inRow >= mostInRow }

// all reports whether nothing gets through any more.
func (f *refusals) all() bool { return f.stuck() && f.newest.Sub(f.first) >= rowTime }

// hop is how far away a probe was refused: by the quote, or where the kernel keeps that back, because the last router
// that is known refuses it; 0: that can't be told.
func (f *refusals) hop(r Result) int {
	if r.Evidence == ByKernel && f.router > 0 && r.From() == f.last {
		return f.router + 1
	}
	return r.quotedHop()
}

// forget forgets the refusals, but not what got past them.
func (f *refusals) forget() {
	*f = refusals{router: f.router, last: f.last, target: f.target, beside: f.beside}
}

// passed takes in that a probe got past whoever refuses, if it was refused at all.
func (f *refusals) passed(ttl int) {
	if f.nearest > 0 && (ttl >= f.nearest || f.stands > 0 && ttl > f.stands) {
		f.inRow = 0
	}
}

// end is the hop that refuses the flow; 0: none is known, or others get past it, for it is one of several routers side
// by side or refuses only some of the packets.
func (f *refusals) end() int {
	if (f.beside || max(f.router, f.target) >= f.nearest) && !f.all() {
		return 0
	}
	if f.quoted > f.router && f.quoted < f.nearest {
		return f.quoted
	}
	return f.nearest
}

// at reports whether an answer is a refusal of the hop that refuses the flow, whatever its probe's TTL was. Of a probe
// of another flow it is one only if its quote says so.
func (f *refusals) at(r Result, same bool) bool {
	if !r.Refused() || r.From() != f.from || f.nearest == 0 {
		return false
	}
	return same && int(r.Probe.TTL) == f.end() || f.hop(r) == f.end()
}

const (
	// refusedAhead is how many hops beyond a refusal are asked once, to see whether others get past it: a router that
	// refuses one packet in three refuses all of them, and those to the hop itself, once in 2,000 times.
	refusedAhead = 4

	// refusedMore is how many probes more a hop gets where some packets are refused on the way, and all to this hop were.
	refusedMore = 5
)

// refusing reports whether the path is held to end where it is refused. It is to be seen whether all packets are.
func (p *Path) refusing() bool {
	end := p.refusals.end()
	return end > 0 && p.limit == max(end, p.o.FirstTTL) && p.o.Parallel > 1
}

// end is the last hop that is asked.
func (p *Path) end() int {
	if p.refusing() {
		return min(p.limit+refusedAhead, p.o.MaxTTL)
	}
	return p.limit
}

// some reports whether only some of the packets are refused.
func (f *refusals) some() bool { return f.nearest > 0 && f.end() == 0 }

// refusedOnly reports whether a hop may be a router's or the target's for all that is known, because probes to it were
// refused and others are not. Else the target would be shown one hop too far.
func (p *Path) refusedOnly(ttl int) bool {
	h := p.hop(ttl)
	return h.refused > 0 && !h.router && !h.reached && p.refusals.some() && !p.rounds.on() && ttl >= p.refusals.nearest &&
		ttl <= p.bound()
}

// shown reports whether a hop has an answer to show. That its probes were refused is none where others are not.
func (p *Path) shown(ttl int) bool { return p.hop(ttl).shown && !p.refusedOnly(ttl) }

// refusedOnly reports whether nobody has answered the probes that a hop shows but who refuses them. The hop may be
// asked more often, or turn out not to be the end.
func refusedOnly(probes []Result) bool {
	return slices.ContainsFunc(probes, Result.Refused) &&
		!slices.ContainsFunc(probes, func(r Result) bool { return answered(r) && !r.Refused() })
}
