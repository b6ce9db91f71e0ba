package record

import (
	"cmp"
	"math"
	"net/netip"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// graph is all that is known of the ways to the target.
type graph struct {
	Complete   bool     `json:"complete"`
	Tested     bool     `json:"tested,omitempty"`
	Confidence float64  `json:"confidence"`
	Asked      float64  `json:"confidence_asked,omitempty"`
	Reached    bool     `json:"reached,omitempty"`
	Flows      int      `json:"flows"`
	Probes     int      `json:"probes"`
	TargetSYNs int      `json:"target_syns"`
	Nodes      []node   `json:"nodes"`
	Links      []link   `json:"links"`
	Unlinked   []int    `json:"unlinked,omitempty"`
	Others     []string `json:"other_sources,omitempty"`
	Loss       *loss    `json:"loss,omitempty"`
}

// loss is what was measured of the paths.
type loss struct {
	Complete bool       `json:"complete"`
	Probes   int        `json:"probes"`
	Pace     float64    `json:"pace_ms,omitempty"`
	Target   bool       `json:"target,omitempty"`
	Looks    int        `json:"looks,omitempty"`
	Flows    []flowLoss `json:"flows"`
}

// flowLoss is what came of the probes of one flow to one router.
type flowLoss struct {
	Node  int       `json:"node"`
	Port  uint16    `json:"port"`
	Sent  int       `json:"sent"`
	Lost  int       `json:"lost"`
	Moved int       `json:"moved,omitempty"`
	RTTs  []float64 `json:"rtts_ms"`
}

// crossing is what came of the probes that took a path or a link; all is left out if there were none.
type crossing struct {
	Sent   int      `json:"sent,omitempty"`
	Lost   *int     `json:"lost,omitempty"`
	Least  *float64 `json:"rtt_min_ms,omitempty"`
	Median *float64 `json:"rtt_median_ms,omitempty"`
	High   *float64 `json:"rtt_95_ms,omitempty"`
}

type node struct {
	TTL        int     `json:"ttl"`
	Address    string  `json:"address,omitempty"` // left out: it doesn't answer
	Name       string  `json:"name,omitempty"`
	Target     bool    `json:"target,omitempty"`
	Flows      int     `json:"flows"`
	Next       int     `json:"next"`
	Sure       float64 `json:"confidence"`
	Hidden     float64 `json:"hidden_share"`
	PerPacket  bool    `json:"per_packet,omitempty"`
	Spared     bool    `json:"spared,omitempty"`
	Untried    bool    `json:"untried,omitempty"`
	Alternates bool    `json:"alternates,omitempty"`
	SharesBy   string  `json:"shares_by,omitempty"`

	Unanswered int `json:"unanswered,omitempty"`

	MayBe   []int    `json:"may_be,omitempty"`
	Refusal *refusal `json:"refusal,omitempty"`
}

// refusal is what ended the flows that got to a node.
type refusal struct {
	Kind string `json:"kind"`
	ICMP *icmp  `json:"icmp,omitempty"`
}

// refusalOf is a node's refusal for JSON; nil: it refuses nothing.
func refusalOf(a *packet.Reply) *refusal {
	if a == nil {
		return nil
	}
	j := &refusal{Kind: kinds[a.Kind]}
	if a.Kind != packet.KindTCP {
		j.ICMP = &icmp{Type: a.Type, Code: a.Code, Mark: Mark(a)}
	}
	return j
}

// refusal reads what ended the flows that got to a node.
func (r *values) refusal(j *refusal, from netip.Addr) *packet.Reply {
	if j == nil {
		return nil
	}
	a := &packet.Reply{Kind: r.kind(j.Kind), Zone: from.Zone(), IP: packet.IP{Src: from.WithZone(""), Version: 6}}
	if from.Is4() {
		a.IP.Version = 4
	}
	switch {
	case a.Kind == packet.KindTCP:
		a.TCP.Flags = packet.RST
	case j.ICMP == nil:
		r.bad("a refusal of the kind %s without its ICMP message", j.Kind)
	default:
		a.Type, a.Code = j.ICMP.Type, j.ICMP.Code
	}
	return a
}

type link struct {
	FromTTL int `json:"from_ttl"`
	From    int `json:"from"`
	ToTTL   int `json:"to_ttl"`
	To      int `json:"to"`
	Flows   int `json:"flows"`

	Share float64 `json:"share,omitempty"`
	crossing
}

// path is one way from the first hop to the last.
type path struct {
	Share float64  `json:"share"`
	Nodes []int    `json:"nodes"` // -1: a router that doesn't answer
	Ports []uint16 `json:"ports"`
	MTU   *pathMTU `json:"mtu,omitempty"`
	MSS   *pathMSS `json:"mss,omitempty"`
	crossing
}

// pathMSS is the maximum segment size that the SYNs of a path tell.
type pathMSS struct {
	Sent    int `json:"sent_bytes"`
	Arrived int `json:"arrived_bytes"`
	After   int `json:"after_ttl,omitempty"`
	Before  int `json:"before_ttl,omitempty"`
}

// graphOf is the graph of a trace for JSON; nil: nobody asked.
func graphOf(t *Trace) *graph {
	g := t.Graph
	if g == nil {
		return nil
	}
	j := &graph{Complete: g.Complete, Tested: g.Tested, Confidence: rounded(g.Confidence), Asked: g.Asked,
		Reached: g.Reached, Flows: g.Flows, Probes: g.Probes, TargetSYNs: g.TargetSYNs, Nodes: []node{}, Links: []link{},
		Unlinked: g.Unlinked()}
	for _, n := range g.Nodes {
		j.Nodes = append(j.Nodes, node{TTL: n.TTL, Address: address(n.Addr), Name: text(t.NameOf(n.Addr)),
			Target: n.Target, Flows: n.Flows, Next: n.Next, Sure: rounded(n.Sure), Hidden: rounded(n.Hidden),
			PerPacket: n.PerPacket, Alternates: n.Alternates, Spared: n.Spared, Untried: n.Untried, Unanswered: n.Unanswered,
			SharesBy: n.SharesBy.String(), MayBe: n.MayBe, Refusal: refusalOf(n.Refusal)})
	}
	for _, l := range g.Links {
		j.Links = append(j.Links, link{FromTTL: g.Nodes[l.From].TTL, From: l.From, ToTTL: g.Nodes[l.To].TTL, To: l.To,
			Flows: l.Flows, Share: rounded(l.Share), crossing: crossingOf(g.OnLink(l))})
	}
	for _, a := range g.OtherSources {
		j.Others = append(j.Others, address(a))
	}
	if g.Loss != nil {
		j.Loss = lossOf(g.Loss)
	}
	return j
}

func lossOf(l *trace.Loss) *loss {
	j := &loss{Complete: l.Complete, Probes: l.Probes, Pace: milliseconds(l.Pace), Target: l.Target, Looks: l.Looks,
		Flows: []flowLoss{}}
	for _, f := range l.Flows {
		rtts := []float64{}
		for _, d := range f.RTTs {
			rtts = append(rtts, milliseconds(d))
		}
		j.Flows = append(j.Flows, flowLoss{Node: f.Node, Port: f.Port, Sent: f.Sent, Lost: f.Lost, Moved: f.Moved,
			RTTs: rtts})
	}
	return j
}

func crossingOf(c trace.Crossing) (j crossing) {
	if c.Sent == 0 {
		return j
	}
	j.Sent, j.Lost = c.Sent, &c.Lost
	if n := len(c.RTTs); n > 0 {
		j.Least, j.Median = new(milliseconds(c.RTTs[0])), new(milliseconds(c.RTTs[n/2]))
		j.High = new(milliseconds(c.RTTs[(n*95-1)/100]))
	}
	return j
}

// rounded is a probability to six digits, for more are noise.
func rounded(p float64) float64 { return math.Round(p*1e6) / 1e6 }

// pathsOf are the paths of a graph for JSON.
func pathsOf(g *trace.Graph) (all []path) {
	if g == nil {
		return nil
	}
	all = []path{}
	for _, w := range g.Ways {
		j := path{Share: rounded(w.Share), Nodes: w.Nodes, Ports: w.Ports, crossing: crossingOf(g.OnWay(w))}
		if w.MTU != nil {
			j.MTU = mtuOf(&MTU{MTU: *w.MTU})
		}
		if w.MSS != nil {
			j.MSS = new(pathMSS(*w.MSS))
		}
		all = append(all, j)
	}
	return all
}

// graph reads a graph and its paths.
func (r *values) graph(j *graph, paths []path) *trace.Graph {
	if j == nil {
		return nil
	}
	g := &trace.Graph{Complete: j.Complete, Tested: j.Tested || j.Complete, Confidence: j.Confidence,
		Reached: j.Reached, Flows: j.Flows, Probes: j.Probes, TargetSYNs: j.TargetSYNs,
		Asked: cmp.Or(j.Asked, trace.DefaultConfidence)}
	for _, n := range j.Nodes {
		g.Reached = g.Reached || n.Target
		from := r.optional(n.Address)
		g.Nodes = append(g.Nodes, trace.Node{TTL: r.within(n.TTL, 1, 255), Addr: from, Target: n.Target,
			Flows: n.Flows, Next: n.Next, Sure: n.Sure, Hidden: n.Hidden, PerPacket: n.PerPacket, Spared: n.Spared,
			Untried: n.Untried, Unanswered: n.Unanswered, Alternates: n.Alternates,
			SharesBy: named(r, n.SharesBy, 0, trace.FieldPort|trace.FieldLabel), MayBe: n.MayBe,
			Refusal: r.refusal(n.Refusal, from)})
		for _, other := range n.MayBe {
			r.within(other, 0, len(j.Nodes)-1)
		}
	}
	for _, a := range j.Others {
		g.OtherSources = append(g.OtherSources, r.address(a))
	}
	last := len(g.Nodes) - 1
	for _, l := range j.Links {
		g.Links = append(g.Links, trace.Link{From: r.within(l.From, 0, last), To: r.within(l.To, 0, last),
			Flows: l.Flows, Share: l.Share})
	}
	for _, p := range paths {
		for _, n := range p.Nodes {
			r.within(n, -1, last)
		}
		if len(p.Ports) == 0 {
			r.bad("a path without a port")
		}
		w := trace.Way{Nodes: p.Nodes, Ports: p.Ports, Share: p.Share}
		if p.MTU != nil {
			w.MTU = new(r.mtu(p.MTU))
		}
		if p.MSS != nil {
			w.MSS = new(trace.MSS(*p.MSS))
		}
		g.Ways = append(g.Ways, w)
	}
	if j.Loss != nil {
		g.Loss = r.loss(j.Loss, last)
	}
	return g
}

// loss reads what was measured of the paths.
func (r *values) loss(j *loss, last int) *trace.Loss {
	l := &trace.Loss{Complete: j.Complete, Probes: j.Probes, Pace: r.duration(j.Pace), Target: j.Target,
		Looks: r.within(j.Looks, 0, math.MaxInt32)}
	for _, f := range j.Flows {
		sent := r.within(f.Sent, 0, math.MaxInt32)
		read := trace.FlowLoss{Node: r.within(f.Node, 0, last), Port: f.Port, Sent: sent, Lost: r.within(f.Lost, 0, sent),
			Moved: f.Moved}
		for _, ms := range f.RTTs {
			read.RTTs = append(read.RTTs, r.duration(ms))
		}
		l.Flows = append(l.Flows, read)
	}
	return l
}
