package record

import (
	"cmp"
	"math"

	"go.example/tcptraceroute/trace"
)

// graph is all that is known of the ways to the target.
type graph struct {
	Complete   bool    `json:"complete"`
	Confidence float64 `json:"confidence"`
	Asked      float64 `json:"confidence_asked,omitempty"`
	Reached    bool    `json:"reached,omitempty"`
	Flows      int     `json:"flows"`
	Probes     int     `json:"probes"`
	TargetSYNs int     `json:"target_syns"`
	Nodes      []node  `json:"nodes"`
	Links      []link  `json:"links"`
}

type node struct {
	TTL       int     `json:"ttl"`
	Address   string  `json:"address,omitempty"` // left out: it doesn't answer
	Name      string  `json:"name,omitempty"`
	Target    bool    `json:"target,omitempty"`
	Flows     int     `json:"flows"`
	Next      int     `json:"next"`
	Sure      float64 `json:"confidence"`
	Hidden    float64 `json:"hidden_share"`
	PerPacket bool    `json:"per_packet,omitempty"`
	Spared    bool    `json:"spared,omitempty"`
}

type link struct {
	FromTTL int `json:"from_ttl"`
	From    int `json:"from"`
	ToTTL   int `json:"to_ttl"`
	To      int `json:"to"`
	Flows   int `json:"flows"`

	Share float64 `json:"share,omitempty"`
}

// path is one way from the first hop to the last.
type path struct {
	Share float64  `json:"share"`
	Nodes []int    `json:"nodes"` // -1: a router that doesn't answer
	Ports []uint16 `json:"ports"`
}

// graphOf is the graph of a trace for JSON; nil: nobody asked.
func graphOf(t *Trace) *graph {
	g := t.Graph
	if g == nil {
		return nil
	}
	j := &graph{Complete: g.Complete, Confidence: rounded(g.Confidence), Asked: g.Asked, Reached: g.Reached,
		Flows: g.Flows, Probes: g.Probes, TargetSYNs: g.TargetSYNs, Nodes: []node{}, Links: []link{}}
	for _, n := range g.Nodes {
		j.Nodes = append(j.Nodes, node{TTL: n.TTL, Address: address(n.Addr), Name: text(t.NameOf(n.Addr)),
			Target: n.Target, Flows: n.Flows, Next: n.Next, Sure: rounded(n.Sure), Hidden: rounded(n.Hidden),
			PerPacket: n.PerPacket, Spared: n.Spared})
	}
	for _, l := range g.Links {
		j.Links = append(j.Links, link{FromTTL: g.Nodes[l.From].TTL, From: l.From, ToTTL: g.Nodes[l.To].TTL, To: l.To,
			Flows: l.Flows, Share: rounded(l.Share)})
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
	for _, w := range g.Ways {
		all = append(all, path{Share: rounded(w.Share), Nodes: w.Nodes, Ports: w.Ports})
	}
	return all
}

// graph reads a graph and its paths.
func (r *values) graph(j *graph, paths []path) *trace.Graph {
	if j == nil {
		return nil
	}
	g := &trace.Graph{Complete: j.Complete, Confidence: j.Confidence, Reached: j.Reached, Flows: j.Flows, Probes: j.Probes,
		TargetSYNs: j.TargetSYNs, Asked: cmp.Or(j.Asked, trace.DefaultConfidence)}
	for _, n := range j.Nodes {
		g.Reached = g.Reached || n.Target
		g.Nodes = append(g.Nodes, trace.Node{TTL: r.within(n.TTL, 1, 255), Addr: r.optional(n.Address), Target: n.Target,
			Flows: n.Flows, Next: n.Next, Sure: n.Sure, Hidden: n.Hidden, PerPacket: n.PerPacket, Spared: n.Spared})
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
		g.Ways = append(g.Ways, trace.Way{Nodes: p.Nodes, Ports: p.Ports, Share: p.Share})
	}
	return g
}
