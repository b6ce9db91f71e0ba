package measure

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/trace"
)

const (
	// portTries is how many source ports of a path are tried, if a trace doesn't confirm the first ones.
	portTries = 4

	// labelTries is how many flow labels a source port is tried with in IPv6: a router that looks at labels sends two of
	// them the same way by chance, and six of them only once in 32 times.
	labelTries = 6
)

// PortOf returns a source port whose connections take a path that [Measurement.Trace] has found; 0: none is sure to.
// The port is traced again before: a connection from it has another flow label, and routers may have changed their
// minds. Over a [trace.Connector] none is sure to in IPv6: all its flow labels are 0.
func (m *Measurement) PortOf(ctx context.Context, g *trace.Graph, way int) (uint16, error) {
	if _, connects := m.t.conn.(trace.Connector); connects && m.Header.Path.Target.Addr().Is6() {
		return 0, nil
	}
	ports := g.Ways[way].Ports
	for _, port := range ports[:min(len(ports), portTries)] {
		if ok, err := m.confirmPort(ctx, g, way, port); ok || err != nil {
			return port, err
		}
	}
	return 0, nil
}

// confirmPort traces a flow again, as far as the last router, and reports whether it met the routers of a path, and
// none but those. In IPv6 it does so with several flow labels.
func (m *Measurement) confirmPort(ctx context.Context, g *trace.Graph, way int, port uint16) (bool, error) {
	o := m.Header.Path
	nodes := g.Ways[way].Nodes
	for len(nodes) > 0 && (nodes[len(nodes)-1] < 0 || g.Nodes[nodes[len(nodes)-1]].Target) {
		nodes = nodes[:len(nodes)-1]
	}
	if len(nodes) == 0 {
		return true, nil
	}
	o.FirstTTL = o.Effective().FirstTTL
	o.MaxTTL = o.FirstTTL + len(nodes) - 1
	o.Source, o.ProbePorts = netip.AddrPortFrom(o.Source.Addr(), port), nil
	tries := 1
	if o.Target.Addr().Is6() {
		tries = labelTries
	}
	for range tries {
		o.LabelSeed = rand.Uint64()
		if same, err := m.meets(ctx, g, o, nodes); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// meets makes a trace and reports whether these nodes answered, and no others.
func (m *Measurement) meets(ctx context.Context, g *trace.Graph, o trace.PathOptions, nodes []int) (bool, error) {
	plan, err := planOver(m.t.conn, o)
	if err != nil {
		return false, err
	}
	met := make([]bool, len(nodes))
	same := true
	_, err = m.run(ctx, m.t.conn, plan, func(r trace.Result) {
		at := int(r.Probe.TTL) - o.FirstTTL
		if r.Outcome != trace.Answered || at < 0 || at >= len(nodes) || r.Probe.Src.Port() != o.Source.Port() {
			return
		}
		if i := nodes[at]; i >= 0 && g.Nodes[i].Addr.IsValid() {
			met[at] = true
			same = same && r.From() == g.Nodes[i].Addr
		}
	})
	for at, i := range nodes { // a router that is silent now is no proof: if paths differ there, it has to answer
		same = same && (met[at] || i < 0 || !branches(g, i))
	}
	return same, err
}

// branches reports whether other paths have another router at a node's TTL.
func branches(g *trace.Graph, node int) bool {
	one := &g.Nodes[node]
	return one.Addr.IsValid() && slices.ContainsFunc(g.Nodes, func(n trace.Node) bool {
		return n.TTL == one.TTL && n.Addr.IsValid() && n.Addr != one.Addr
	})
}
