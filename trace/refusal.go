package trace

import (
	"net/netip"

	"tcptraceroute/packet"
)

// quotedHop is how far away a probe was refused, by the TTL that the refusal quotes: a probe that was sent with TTL 17 and had 14
// left was refused at hop 4, and so is every probe of its flow that gets there. It holds whether who refuses looks at the TTL
// before that (then it quotes one less, and refuses from one hop farther on) or after it. 0: the quote doesn't tell.
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
// because they were lost or because hosts limit their ICMP errors, the quotes of farther ones tell. A quote is believed as long
// as it doesn't contradict what the probes show: all refusals of one sender agree, and no router is known to be there or
// beyond. The zero value knows of no refusal.
type refusals struct {
	nearest int        // the lowest TTL that was refused; 0: none was
	from    netip.Addr // by whom
	quoted  int        // the hop that its quotes tell; 0: none, or not always the same
	router  int        // the highest TTL below nearest that a router answered at
}

// add takes an answer in.
func (f *refusals) add(r Result) {
	ttl := int(r.Probe.TTL)
	switch {
	case r.Reply.Kind == packet.KindTimeExceeded:
		f.router = max(f.router, ttl)
	case !r.Refused():
	case f.nearest == 0 || r.From() != f.from && ttl < f.nearest:
		f.nearest, f.from, f.quoted = ttl, r.From(), r.quotedHop()
	case r.From() == f.from:
		f.nearest = min(f.nearest, ttl)
		if r.quotedHop() != f.quoted {
			f.quoted = 0
		}
	}
}

// end is the hop that refuses the flow; 0: none is known.
func (f *refusals) end() int {
	if f.quoted > f.router && f.quoted < f.nearest {
		return f.quoted
	}
	return f.nearest
}

// at reports whether an answer is a refusal of the hop that refuses the flow, whatever its probe's TTL was. Of a probe of
// another flow it is one only if its quote says so.
func (f *refusals) at(r Result, same bool) bool {
	if !r.Refused() || r.From() != f.from || f.nearest == 0 {
		return false
	}
	return same && int(r.Probe.TTL) == f.end() || r.quotedHop() == f.end()
}
