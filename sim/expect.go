package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// Expected is the truth about one flow: who must answer it, at each TTL.
type Expected struct {
	Hops []ExpectedHop // the first is that of TTL 1; after the last, every packet ends as in the last, or as End says
	End  End
}

// ExpectedHop is what a packet of the flow meets that is sent with one TTL.
type ExpectedHop struct {
	// Addrs are the addresses that answers come from: one, or where each packet
	// takes its own way, several. None: nobody ever answers.
	Addrs []netip.Addr
	Kind  packet.Kind // of the answer
	Code  uint8       // of an ICMP error
	// Target: the answer is the target's own. A reset in its name by a firewall is not.
	Target bool
	// RTT is the least time it takes; jitter, Held, Slow and Late come on top of it. For packets that wait for the
	// address of the next node it is the most: those that come when others wait already are answered sooner.
	RTT  time.Duration
	Slow time.Duration // the median time for making the answer
	Late Held
	// Loss is the share of packets to which there is no answer, for loss of links and
	// what the router leaves out; what is above a rate limit isn't in it.
	Loss float64
	Rate Rate // of the router; the stricter of the two
}

// End is where a flow ends whose TTL lasts.
type End struct {
	Hop    int    // index of the router in the scenario, counted from 1, hidden ones too; after the last: the target
	Action Action // by which a router's rules ended it; Drop, where its connection table did; Pass at the target
	State  State  // of the target's port
	Real   bool   // a real host answers; what, is its own affair
}

// Expect says what packets meet that are like b in all but TTL and are sent now.
// It draws no chances and changes nothing, so that it can be asked at any time.
// Routers that take back a connection's name by its age don't exist, so the
// answer holds for as long as the route and the connections do. It passes over ways home of
// their own ([Home]), and takes one way where each packet goes its own ([ByPacket]). Errors:
// those of [Model.Inject].
func (m *Model) Expect(b []byte) (Expected, error) {
	p, n, err := m.find(b)
	if err != nil {
		return Expected{}, err
	}
	var e Expected
	for left := 1; left < 256; left++ {
		w := walk{b: slices.Clone(b[:n]), loss: 1}
		putTTL(w.b, uint8(left))
		h, end := w.walk(p.routeAt(m.now, b, 0))
		if end {
			e.End = w.end
		}
		if !end || h.Kind != packet.KindOther {
			e.Hops = append(e.Hops, h)
		}
		if end {
			break
		}
	}
	return e, nil
}

// walk follows a packet without any chance.
type walk struct {
	b    []byte
	rtt  time.Duration
	loss float64 // probability that the packet and the answer get through so far
	end  End
	// origin is the target as the host calls it; hide, that errors come in its name.
	origin netip.Addr
	hide   bool
}

// walk returns what answers the packet; end is true where that isn't its TTL.
// Where nothing ever does, Kind is KindOther.
func (w *walk) walk(r *route) (h ExpectedHop, end bool) {
	w.origin = addrOf(flowOf(w.b).dst)
	for hop, n := range r.nodes {
		w.cross(r, hop)
		w.hide = w.hide || n.NAT.HideHops
		t := transit{b: w.b}
		who := []*member{}
		if n.PerPacket || n.InTurn {
			for i := range n.members {
				who = append(who, &n.members[i])
			}
		} else {
			who = append(who, n.pick(&t))
		}
		if !n.Hidden {
			left := ttl(w.b)
			if left <= 1 {
				return w.error(r, hop, who, packet.KindTimeExceeded, 0), false
			}
			putTTL(w.b, left-1)
		}
		rule := match(n.Rules, nil, w.b, nil, 0)
		if rule.Action == Pass && !w.track(n) {
			rule.Action = Drop
		}
		if rule.Action != Pass {
			w.end = End{Hop: hop + 1, Action: rule.Action}
			return w.refused(r, hop, who, rule), true
		}
		n.Set.apply(w.b)
		if n.Unresolved > 0 {
			w.end = End{Hop: hop + 1, Action: Reject}
			h := w.error(r, hop, who, packet.KindUnreachable, hostUnreachable(isIPv4(w.b)))
			h.RTT += n.Unresolved
			return h, true
		}
	}
	return w.target(r), true
}

// cross is the link to a node, out and back.
func (w *walk) cross(r *route, hop int) {
	link, back, _ := r.link(hop)
	w.rtt += 2*link.Delay + back.Delay
	w.loss *= (1 - link.Loss) * (1 - back.Loss)
}

// track is node.track without a trace of it.
func (w *walk) track(n *node) bool {
	if n.Tracking == (Tracking{}) && n.NAT == (NAT{}) {
		return true
	}
	l4 := transport(w.b)
	if l4+tcpHeaderLen > len(w.b) {
		return true
	}
	name := flowOf(w.b)
	f, syn := n.flows.inside[name], opens(w.b)
	switch {
	case f == nil && n.Stateful && !syn:
		return false
	case f == nil:
		f = n.newFlow(name)
	case syn && !f.reset && n.OneISN && binary.BigEndian.Uint32(w.b[l4+4:]) != f.isn:
		return false
	}
	f.outside.put(w.b)
	add32(w.b, l4+4, f.shift, l4+tcpSum)
	return true
}

// error is an ICMP error of a router.
func (w *walk) error(r *route, hop int, who []*member, kind packet.Kind, code uint8) ExpectedHop {
	n := r.nodes[hop]
	h := ExpectedHop{Kind: kind, Code: code, RTT: w.rtt, Slow: n.Slow, Late: n.Late, Loss: 1, Rate: n.Rate}
	if s := n.SourceRate; s.Every > h.Rate.Every {
		h.Rate = s
	}
	for i := range n.Detour {
		if next := hop + 1 + i; next < len(r.nodes) {
			w.cross(r, next)
			h.RTT = w.rtt
		}
	}
	if n.Silent < 1 && w.loss > 0 {
		h.Loss = 1 - w.loss*(1-n.Silent)
		for _, m := range who {
			switch {
			case n.From.IsValid():
				h.Addrs = []netip.Addr{n.From}
			case m.Addr.IsValid():
				h.Addrs = append(h.Addrs, m.Addr)
			}
		}
		if w.hide && len(h.Addrs) > 0 {
			h.Addrs = []netip.Addr{w.origin}
		}
	}
	return h
}

// refused is the answer of a firewall.
func (w *walk) refused(r *route, hop int, who []*member, rule Rule) ExpectedHop {
	switch rule.Action {
	case Reject:
		return w.error(r, hop, who, packet.KindUnreachable, rule.Code)
	case Reset:
		return w.segment()
	case Accept:
		if opens(w.b) {
			return w.segment()
		}
	}
	return ExpectedHop{}
}

// segment is a TCP answer that comes in the name of the target.
func (w *walk) segment() ExpectedHop {
	h := ExpectedHop{Kind: packet.KindTCP, RTT: w.rtt, Loss: 1 - w.loss}
	if w.loss > 0 {
		h.Addrs = []netip.Addr{w.origin}
	}
	return h
}

func (w *walk) target(r *route) ExpectedHop {
	g, hop := r.path.target, len(r.nodes)
	w.cross(r, hop)
	h := w.segment()
	if g.Real {
		w.end = End{Hop: hop + 1, Real: true}
		h.Target = true
		return h
	}
	w.end = End{Hop: hop + 1, State: g.state(w.port())}
	switch rule := match(g.Rules, nil, w.b, nil, 0); {
	case rule.Action == Drop, rule.Action == Pass && w.end.State == Filtered, rule.Action == Accept && !opens(w.b):
		return ExpectedHop{}
	case rule.Action == Reject:
		h.Kind, h.Code = packet.KindUnreachable, rule.Code
	}
	h.Target = true
	return h
}

func (w *walk) port() uint16 { return flowOf(w.b).dstPort }
