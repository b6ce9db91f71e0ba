package sim

import (
	"net/netip"
	"slices"
)

// Truth is what really happened on a path, for a test to compare with.
type Truth struct {
	Sent   int        // packets injected
	Hops   []HopTruth // of the first route, then those of the changes
	Target TargetTruth
}

// HopTruth is one hop of one route of a path.
type HopTruth struct {
	Route   int // 0, or which change, counted from 1
	Hop     int // 1 is the first; beyond a fork it is counted by the longest way
	Lost    int // packets that got lost between the hop before this one and it, either way
	Members []Member
}

// Member is what happened at one router.
type Member struct {
	Addr     netip.Addr
	Arrived  int // packets that got there
	Resets   int // of these: TCP resets, as the host's kernel sends them
	Expired  int // whose TTL ended there
	Dropped  int // by its rules, its limits or its connection table
	Answered int // ICMP errors and resets it sent
	Limited  int // errors it did not send for its rate limit
}

// TargetTruth is what happened at a target.
type TargetTruth struct {
	Lost          int // packets that got lost between the last router and it, either way
	Arrived       int // packets that got there
	SYN           int // of these: SYN without ACK, good ones that its rules let pass
	Unseen        int // of these: to a port that drops them, or whose service is stuck
	RST           int // of what got there: resets, likewise
	SYNACKs       int // sent; those sent again too
	Retransmitted int // of these: because of a timer
	ACKs          int // bare ones sent, to something out of place
	Resets        int // sent
	Echoes        int // echo replies sent
	Accepted      int // connections that were established
	HalfOpen      int // connections half open now
}

// Truth returns what has happened so far on a path of the scenario. Of packets
// that are still under way, it may tell what will be met before anything can
// decide otherwise: routers that only pass them on.
func (m *Model) Truth(path int) Truth {
	p := m.paths[path]
	t := Truth{Sent: p.sent, Target: p.target.truth}
	for i, g := range p.graphs {
		g.each(func(n *node, hop int) {
			h := HopTruth{Route: i, Hop: hop, Lost: n.lost}
			for _, w := range n.members {
				h.Members = append(h.Members, w.Member)
			}
			t.Hops = append(t.Hops, h)
		})
	}
	for _, c := range p.target.conns {
		if !c.established {
			t.Target.HalfOpen++
		}
	}
	return t
}

// Route returns the addresses of the hops that a packet would come to if it
// were sent now, with a TTL that lasts, and nothing were lost or filtered. The
// address is the zero Addr where a router has none, or where each packet takes
// its own way. Errors: those of [Model.Inject].
func (m *Model) Route(b []byte) ([]netip.Addr, error) {
	p, n, err := m.find(b)
	if err != nil {
		return nil, err
	}
	t := transit{b: slices.Clone(b[:n])}
	var hops []netip.Addr
	for _, n := range p.routeAt(m.now, b, 0).nodes {
		addr := netip.Addr{}
		if !n.PerPacket && !n.InTurn || len(n.members) == 1 {
			addr = n.pick(&t).Addr
		}
		if !n.Hidden {
			hops = append(hops, addr)
		}
		name := flowOf(t.b)
		f := n.flows.inside[name]
		if f == nil {
			f = n.newFlow(name)
		}
		f.outside.put(t.b)
		n.Set.apply(t.b)
	}
	return hops, nil
}
