package trace

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// PathsMTU is the plan that finds how large a packet passes each of the ways that Paths has found, as far as the last
// router of that way: a search for the MTU each, one after the other, by SYNs with a payload that routers answer. They
// quote the SYN, and so tell which maximum segment size (MSS) has come to them. The target gets none of the SYNs.
type PathsMTU struct {
	searches []*wayMTU // those that are not over
	found    []*wayMTU
}

// MSS is the maximum segment size that the SYNs of a way's flows tell, as its routers quote it.
type MSS struct {
	Sent    int // in bytes, as the SYNs left this host
	Arrived int // in bytes, as the last router of the way got it
	// After and Before are TTLs: of the last router that got another value than the last one did, and of the first from
	// which on it is that one. After is 0 if no router got another one; then Before is 0 if Arrived is Sent.
	After, Before int
}

// mostMTUWays is how many ways are measured at the most.
const mostMTUWays = 16

// NewPathsMTU measures the ways of a graph that a search has found. first is the size in bytes that is tried first, the
// interface's MTU. The error is that of NewMTUSearch.
func NewPathsMTU(p *Paths, g *Graph, first int) (*PathsMTU, error) {
	m := &PathsMTU{}
	if len(g.Ways) < 2 || p.alone || p.maker.o.Protocol == packet.ProtoEcho {
		return m, nil
	}
	labels := map[uint16]uint32{}
	for _, f := range p.flows {
		labels[f.port] = f.label
	}
	for i, w := range g.Ways {
		hops, to := g.routers(w, p.first)
		if to == 0 || len(m.found) == mostMTUWays {
			continue
		}
		port := w.Ports[0]
		o := MTUOptions{Path: p.o.Path, Wait: p.timeout(), First: first, Hops: hops, To: to, Label: labels[port]}
		o.Path.Source, o.Path.Ports, o.Path.ProbePorts = netip.AddrPortFrom(o.Path.Source.Addr(), port), nil, nil
		o.Path.Options = tellMSS(o.Path, first)
		s, err := NewMTUSearch(o)
		if err != nil {
			return nil, err
		}
		m.found = append(m.found, &wayMTU{way: i, MTUSearch: s})
	}
	m.searches = slices.Clone(m.found)
	return m, nil
}

// tellMSS is the options of a path's SYNs with the MSS that an interface allows, if they tell none and there is room.
func tellMSS(o PathOptions, interfaceMTU int) packet.Options {
	headers := 40
	if o.Source.Addr().Is6() {
		headers = 60
	}
	told, err := o.Options.WithMSS(uint16(max(1, min(interfaceMTU, MTUMost)-headers)))
	if _, has := o.Options.MSS(); has || err != nil {
		return o.Options
	}
	return told
}

// routers are who answers on a way, from TTL 1 on, and the TTL of its last router; 0: none is, or the way is a loop.
func (g *Graph) routers(w Way, first int) (hops []netip.Addr, last int) {
	if len(g.Circle(w)) > 0 {
		return nil, 0
	}
	hops = make([]netip.Addr, first-1)
	for _, node := range w.Nodes {
		a := netip.Addr{}
		if node >= 0 && !g.Nodes[node].Target && g.Nodes[node].Refusal == nil {
			a, last = g.Nodes[node].Addr, g.Nodes[node].TTL
		}
		hops = append(hops, a)
	}
	return hops[:last], last
}

// Ways is how many ways are measured.
func (m *PathsMTU) Ways() int { return len(m.found) }

// Next implements Plan.
func (m *PathsMTU) Next(now time.Time) Action {
	for len(m.searches) > 0 && m.searches[0].done() {
		m.searches = m.searches[1:]
	}
	if len(m.searches) == 0 {
		return Action{}
	}
	return m.searches[0].Next(now)
}

// Learn implements Plan.
func (m *PathsMTU) Learn(now time.Time, r Result) {
	if len(m.searches) > 0 {
		m.searches[0].Learn(now, r)
	}
}

// Add adds what was found to the graph.
func (m *PathsMTU) Add(g *Graph) {
	for _, s := range m.found {
		g.Ways[s.way].MTU, g.Ways[s.way].MSS = new(s.Found()), s.mss
	}
}

// wayMTU is the search for the MTU of one way, and then for the place where its MSS is changed: the routers before the
// last one are asked by halves.
type wayMTU struct {
	*MTUSearch
	way   int  // index in Graph.Ways
	mss   *MSS // nil: no router has quoted it
	asked int  // the TTL of the router that is asked for the MSS; 0: none is
	tries int  // of that
}

// done reports whether nothing is left to be asked.
func (w *wayMTU) done() bool { return w.MTUSearch.over && w.asked == 0 }

// Next implements Plan.
func (w *wayMTU) Next(now time.Time) Action {
	switch {
	case w.asked == 0:
		return w.MTUSearch.Next(now)
	case w.flying:
		return Action{}
	case now.Before(w.ready):
		return WaitUntil(w.ready)
	}
	return w.send(w.asked, w.flow.Length(0)+mtuSmall)
}

// Learn implements Plan.
func (w *wayMTU) Learn(now time.Time, r Result) {
	quoted, known := quotedMSS(r)
	switch {
	case !r.Outcome.Final():
	case w.asked > 0:
		w.flying = false
		if w.tries++; r.Outcome == Lost && w.tries < mtuTries {
			w.ready = now.Add(longRest) // the router may limit its answers
			return
		}
		switch {
		case !known || r.From() != w.o.Hops[w.asked-1]:
			w.o.Hops[w.asked-1] = netip.Addr{} // it doesn't tell
		case quoted == w.mss.Arrived:
			w.mss.Before = w.asked
		default:
			w.mss.After = w.asked
		}
		w.halve()
	default:
		if known && w.passed(r) {
			sent, _ := r.Probe.Options.MSS()
			w.mss = &MSS{Sent: int(sent), Arrived: quoted}
		}
		w.MTUSearch.Learn(now, r)
		if w.over && w.mss != nil && w.mss.Arrived != w.mss.Sent {
			w.mss.Before = w.o.To
			w.halve()
		}
	}
}

// halve asks the router in the middle of those between which the MSS is changed.
func (w *wayMTU) halve() {
	w.tries, w.asked = 0, 0
	if speak := w.speakers(w.mss.After, w.mss.Before); len(speak) > 0 {
		w.asked = speak[len(speak)/2]
	}
}

// quotedMSS is the MSS in the SYN that a router quotes, in bytes, if it quotes that much.
func quotedMSS(r Result) (mss int, known bool) {
	if r.Outcome != Answered || r.Reply.Kind != packet.KindTimeExceeded || !r.Reply.Quote.TCP.HasOptions() {
		return 0, false
	}
	quoted, known := r.Reply.Quote.TCP.Options.MSS()
	return int(quoted), known
}
