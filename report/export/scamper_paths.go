package export

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// scamperPaths is a result of scamper's tracelb, which finds load-balanced paths.
type scamperPaths struct {
	Type       string        `json:"type"`
	Version    string        `json:"version"`
	UserID     int           `json:"userid"`
	Method     string        `json:"method"`
	Src        string        `json:"src"`
	Dst        string        `json:"dst"`
	Sport      uint16        `json:"sport"`
	Dport      uint16        `json:"dport"`
	Start      scamperTime   `json:"start"`
	ProbeSize  int           `json:"probe_size"`
	FirstHop   int           `json:"firsthop"`
	Attempts   int           `json:"attempts"`
	Confidence int           `json:"confidence"`
	TOS        int           `json:"tos"`
	GapLimit   int           `json:"gaplimit"`
	Wait       int           `json:"wait_timeout"`
	WaitProbe  int           `json:"wait_probe"`
	Probes     int           `json:"probec"`
	ProbesMax  int           `json:"probec_max"`
	NodeCount  int           `json:"nodec"`
	LinkCount  int           `json:"linkc"`
	Nodes      []scamperNode `json:"nodes,omitempty"`
}

// scamperNode is a router that packets leave by one link. A link goes to the next router that all of them pass; what
// lies between is a set of addresses for each TTL. If they pass no such router, there is a link for each successor.
type scamperNode struct {
	Addr     string             `json:"addr"`
	QuoteTTL *uint8             `json:"q_ttl,omitempty"`
	Links    int                `json:"linkc"`
	Sets     [][]scamperAddress `json:"links"`
}

type scamperAddress struct {
	Addr   string         `json:"addr"`
	Probes []scamperProbe `json:"probes,omitempty"` // none: it is "*", which doesn't answer
}

type scamperProbe struct {
	Tx      scamperTime    `json:"tx"`
	Replied int            `json:"replyc"`
	TTL     int            `json:"ttl"`
	Attempt int            `json:"attempt"`
	Flow    uint16         `json:"flowid"`
	Replies []scamperReply `json:"replies"`
}

type scamperReply struct {
	Rx       scamperTime `json:"rx"`
	TTL      uint8       `json:"ttl"`
	RTT      float64     `json:"rtt"`
	IPID     *uint16     `json:"ipid,omitempty"`
	ICMPType *uint8      `json:"icmp_type,omitempty"`
	ICMPCode *uint8      `json:"icmp_code,omitempty"`
	QuoteTOS *uint8      `json:"icmp_q_tos,omitempty"`
	QuoteTTL *uint8      `json:"icmp_q_ttl,omitempty"`
	TCPFlags *uint16     `json:"tcp_flags,omitempty"`
}

// addPaths writes the line of all paths to a target. searched are the results of the search.
func (s *Scamper) addPaths(t *record.Trace, searched []trace.Result) error {
	o, g := t.Path.Effective(), t.Graph
	j := scamperPaths{
		Type: "tracelb", Version: "0.1", Method: "tcp-sport", Src: plain(o.Source.Addr()), Dst: plain(o.Target.Addr()),
		Sport: o.Source.Port(), Dport: o.Target.Port(), Start: scamperTimeOf(t.Started), ProbeSize: t.Length,
		FirstHop: o.FirstTTL, Attempts: o.Queries, Confidence: int(math.Round(100 * g.Asked)), TOS: o.TOS,
		GapLimit: o.MaxTTL, Wait: int(o.Wait.Seconds()), Probes: t.Ending.Counts.Sent + g.Probes,
	}
	j.Start.Ftime = t.Started.Format("2006-01-02 15:04:05")
	d := scamperGraph{g: g, probes: make(map[scamperPlace][]scamperProbe), quotes: make(map[scamperPlace]uint8),
		next: make([][]int, len(g.Nodes))}
	for _, r := range slices.Concat(t.Results, searched) {
		d.add(r)
	}
	for _, l := range g.Links {
		d.next[l.From] = append(d.next[l.From], l.To)
	}
	j.Nodes = d.nodes()
	j.NodeCount = d.count
	for _, n := range j.Nodes {
		j.LinkCount += n.Links
	}
	return s.line(j)
}

// scamperPlace is who answered at a TTL.
type scamperPlace struct {
	ttl  int
	addr netip.Addr
}

// scamperGraph turns a graph into scamper's form of one.
type scamperGraph struct {
	g      *trace.Graph
	next   [][]int // the successors of each node
	probes map[scamperPlace][]scamperProbe
	quotes map[scamperPlace]uint8 // the TTL in the quoted packet
	count  int                    // of nodes, the last one included
}

// add adds a probe that was answered.
func (d *scamperGraph) add(r trace.Result) {
	if r.Outcome != trace.Answered || r.Reply == nil {
		return
	}
	a := r.Reply
	at := scamperPlace{int(r.Probe.TTL), a.From()}
	p := scamperProbe{Tx: scamperTimeOf(r.Sent), Replied: 1, TTL: at.ttl, Flow: r.Probe.Src.Port()}
	for _, other := range d.probes[at] {
		if other.Flow == p.Flow {
			p.Attempt++
		}
	}
	reply := scamperReply{Rx: scamperTimeOf(r.Recv), TTL: a.IP.TTL, RTT: float64(r.RTT()/time.Microsecond) / 1000}
	if a.IP.Version == 4 {
		reply.IPID = &a.IP.ID
	}
	if a.Kind == packet.KindTCP {
		reply.TCPFlags = new(uint16(a.TCP.Flags))
	} else {
		reply.ICMPType, reply.ICMPCode, reply.QuoteTOS, reply.QuoteTTL = &a.Type, &a.Code, &a.Quote.IP.TOS, &a.Quote.IP.TTL
		d.quotes[at] = a.Quote.IP.TTL
	}
	p.Replies = []scamperReply{reply}
	d.probes[at] = append(d.probes[at], p)
}

// nodes are the routers from the first hop on, each with what lies between it and the next one.
func (d *scamperGraph) nodes() (all []scamperNode) {
	listed := make(map[int]bool)
	var wanted []int
	for i, n := range d.g.Nodes {
		if n.Addr.IsValid() && n.TTL == d.g.Nodes[0].TTL {
			wanted = append(wanted, i)
		}
	}
	for len(wanted) > 0 {
		i := wanted[0]
		if wanted = wanted[1:]; listed[i] {
			continue
		}
		listed[i] = true
		d.count++
		n := &d.g.Nodes[i]
		if len(d.next[i]) == 0 {
			continue
		}
		j := scamperNode{Addr: plain(n.Addr), Links: 1}
		if ttl, ok := d.quotes[scamperPlace{n.TTL, n.Addr}]; ok {
			j.QuoteTTL = &ttl
		}
		sets, to := d.converge(i)
		if to < 0 {
			sets, j.Links = [][]int{d.next[i]}, len(d.next[i])
			wanted = append(wanted, d.next[i]...)
		} else {
			wanted = append(wanted, to)
		}
		wanted = slices.DeleteFunc(wanted, func(k int) bool { return !d.g.Nodes[k].Addr.IsValid() })
		for _, set := range sets {
			j.Sets = append(j.Sets, d.addresses(i, set))
		}
		all = append(all, j)
	}
	return all
}

// converge finds the next node that all packets from this one pass, and the nodes between the two by TTL; to is -1 if
// there is none.
func (d *scamperGraph) converge(from int) (sets [][]int, to int) {
	for set := d.next[from]; len(set) > 0; {
		sets = append(sets, set)
		if len(set) == 1 && d.g.Nodes[set[0]].Addr.IsValid() {
			return sets, set[0]
		}
		var next []int
		for _, i := range set {
			if len(d.next[i]) == 0 {
				return nil, -1 // it ends here, and others go on
			}
			for _, k := range d.next[i] {
				if !slices.Contains(next, k) {
					next = append(next, k)
				}
			}
		}
		slices.Sort(next)
		set = next
	}
	return nil, -1
}

// addresses are the nodes of one TTL, each with the probes of flows that pass a node before; those that don't answer
// are one.
func (d *scamperGraph) addresses(before int, set []int) (all []scamperAddress) {
	silent := false
	for _, i := range set {
		n := &d.g.Nodes[i]
		if !n.Addr.IsValid() {
			silent = true
			continue
		}
		a := scamperAddress{Addr: plain(n.Addr), Probes: []scamperProbe{}}
		for _, p := range d.probes[scamperPlace{n.TTL, n.Addr}] {
			if d.passes(p.Flow, before) {
				a.Probes = append(a.Probes, p)
			}
		}
		all = append(all, a)
	}
	if silent {
		all = append(all, scamperAddress{Addr: "*"})
	}
	return all
}

// passes reports whether a flow passes a node, as far as is known.
func (d *scamperGraph) passes(flow uint16, node int) bool {
	n := &d.g.Nodes[node]
	alone := !slices.ContainsFunc(d.g.Nodes, func(o trace.Node) bool { return o.TTL == n.TTL && o.Addr != n.Addr })
	here := d.probes[scamperPlace{n.TTL, n.Addr}]
	return alone || slices.ContainsFunc(here, func(p scamperProbe) bool { return p.Flow == flow }) ||
		slices.ContainsFunc(d.g.Ways, func(w trace.Way) bool {
			return slices.Contains(w.Nodes, node) && slices.Contains(w.Ports, flow)
		})
}
