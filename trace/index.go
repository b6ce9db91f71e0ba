package trace

import (
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
)

// index finds flows by what an answer brings back. Thousands of flows may share a source port, so nothing looks
// at all of them unless the answer itself contradicts what was sent.
type index struct {
	bySeq   map[flowID]*flow           // by source port and sequence number, as ICMP errors quote them
	byProof map[flowID][]*flow         // by source port and another number that proves that a probe was seen, see proofs
	byEnds  map[ends][]*flow           // by both ends
	byLocal map[netip.AddrPort][]*flow // by source address and port, in no order
	targets map[netip.AddrPort]*distance
}

// ends are where a flow's probes come from and go to. Echo requests have no destination port, so it is 0.
type ends struct {
	protocol packet.Protocol
	src, dst netip.AddrPort
}

func newIndex() index {
	return index{
		bySeq:   make(map[flowID]*flow),
		byProof: make(map[flowID][]*flow),
		byEnds:  make(map[ends][]*flow),
		byLocal: make(map[netip.AddrPort][]*flow),
		targets: make(map[netip.AddrPort]*distance),
	}
}

// flow returns the flow of a probe, which is new if this is its first probe.
func (x *index) flow(p packet.Probe) *flow {
	id := flowID{p.Src.Port(), p.Seq}
	if fl := x.bySeq[id]; fl != nil {
		return fl
	}
	if x.targets[p.Dst] == nil {
		x.targets[p.Dst] = new(distance)
	}
	fl := &flow{src: p.Src, dst: p.Dst, first: p, distance: x.targets[p.Dst]}
	fl.distance.flows++
	x.bySeq[id] = fl
	for _, n := range fl.proofs() {
		insert(x.byProof, flowID{id.port, n}, fl)
	}
	insert(x.byEnds, fl.ends(), fl)
	fl.place = len(x.byLocal[fl.src])
	insert(x.byLocal, fl.src, fl)
	return fl
}

// remove drops a flow from the index.
func (x *index) remove(fl *flow) {
	id := flowID{fl.src.Port(), fl.first.Seq}
	delete(x.bySeq, id)
	if fl.distance.flows--; fl.distance.flows == 0 {
		delete(x.targets, fl.dst)
	}
	for _, n := range fl.proofs() {
		drop(x.byProof, flowID{id.port, n}, fl)
	}
	drop(x.byEnds, fl.ends(), fl)

	// The last one takes its place: with thousands of flows nothing may be looked for.
	all := x.byLocal[fl.src]
	last := len(all) - 1
	all[fl.place] = all[last]
	all[fl.place].place = fl.place
	all[last] = nil
	if x.byLocal[fl.src] = all[:last]; last == 0 {
		delete(x.byLocal, fl.src)
	}
}

func insert[K comparable](m map[K][]*flow, k K, fl *flow) { m[k] = append(m[k], fl) }

func drop[K comparable](m map[K][]*flow, k K, fl *flow) {
	rest := slices.DeleteFunc(m[k], func(g *flow) bool { return g == fl })
	if len(rest) == 0 {
		delete(m, k)
	} else {
		m[k] = rest
	}
}

// empty reports whether nothing is left in the index.
func (x *index) empty() bool {
	return len(x.bySeq)+len(x.byProof)+len(x.byEnds)+len(x.byLocal)+len(x.targets) == 0
}

// between returns the flows from local to remote.
func (x *index) between(protocol packet.Protocol, local, remote netip.AddrPort) []*flow {
	return x.byEnds[ends{protocol, local, remote}]
}

// near returns the flows that a quoted probe may be of, if its numbers are not what was sent. If the destination
// is none of ours, because it was translated on the way, these are all flows from local.
func (x *index) near(protocol packet.Protocol, local, remote netip.AddrPort) []*flow {
	if flows := x.between(protocol, local, remote); len(flows) > 0 {
		return flows
	}
	return x.byLocal[local]
}

// echoFlows returns the flows that a quoted echo request may be of: by the secret in its data, or where that is not
// quoted by its checksum.
func (x *index) echoFlows(e *packet.Echo) []*flow {
	if secret, ok := e.Secret(); ok {
		return x.byProof[flowID{e.ID, secret}]
	}
	return x.byProof[flowID{e.ID, uint32(e.ChecksumField)}]
}

func (fl *flow) ends() ends {
	dst := netip.AddrPortFrom(fl.dst.Addr().WithZone(""), fl.dst.Port())
	if fl.first.Protocol == packet.ProtoEcho {
		dst = netip.AddrPortFrom(dst.Addr(), 0)
	}
	return ends{fl.first.Protocol, fl.src, dst}
}

// proofs returns the numbers by which an answer proves that its sender has seen a probe of the flow, other than
// a quoted sequence number: what acknowledges a segment (see acknowledges), the secret of an echo request, or
// its checksum, which is quoted where its data isn't.
func (fl *flow) proofs() []uint32 {
	p := &fl.first
	if p.Protocol == packet.ProtoEcho {
		return []uint32{p.Seq, uint32(packet.EchoChecksum(p.Seq))}
	}
	next := p.Seq
	if p.Flags.Has(packet.SYN) {
		next++
	}
	all := []uint32{next}
	if n := uint32(p.PayloadLength()); n > 0 {
		all = append(all, next+n)
	}
	if p.Flags.Has(packet.ACK) && !slices.Contains(all, p.Ack) {
		all = append(all, p.Ack)
	}
	return all
}

// provenElsewhere returns the TCP flow whose probe a segment acknowledges that comes from somewhere else than the probe
// was sent to; nil if there is none.
func (x *index) provenElsewhere(r *packet.Reply) *flow {
	for _, n := range [...]uint32{r.TCP.Ack, r.TCP.Seq} {
		for _, fl := range x.byProof[flowID{r.TCP.DstPort, n}] {
			if fl.first.Protocol == packet.ProtoTCP && r.IP.Dst == fl.src.Addr() && fl.elsewhere(r) {
				return fl
			}
		}
	}
	return nil
}
