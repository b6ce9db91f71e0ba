package record

import (
	"net/netip"
	"strconv"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// The lengths of headers without options (RFC 791, 8200, 9293), and the numbers of protocols.
const (
	ipv4Header, ipv6Header, tcpHeader     = 20, 40, 20
	protocolTCP, protocolICMP, protocolV6 = 6, 1, 58
)

func (r *values) kind(s string) packet.Kind {
	for k, name := range kinds {
		if name == s {
			return k
		}
	}
	r.bad("%q is no kind of reply", s)
	return packet.KindOther
}

func (r *values) reply(j *reply, res *trace.Result) *packet.Reply {
	from := r.address(j.Address)
	a := &packet.Reply{Kind: r.kind(j.Kind), Zone: from.Zone(), IP: packet.IP{
		Src: from.WithZone(""), Version: 6, TTL: value(j.TTL), TOS: value(j.TOS), ID: value(j.IPID), TotalLength: j.Length,
	}}
	if from.Is4() {
		a.IP.Version = 4
	}
	if from.Is6() {
		a.IP.ID = 0
	}
	switch t := j.TCP; {
	case a.Kind == packet.KindEcho && j.Echo != nil:
		a.Echo = packet.Echo{ID: j.Echo.Identifier, Seq: j.Echo.Sequence, Have: 8}
	case a.Kind == packet.KindTCP && t != nil:
		a.TCP = packet.TCP{SrcPort: t.SourcePort, DstPort: res.Probe.Src.Port(), Flags: r.flags(t.Flags),
			Seq: value(t.Sequence), Ack: value(t.Ack), Window: value(t.Window), Options: r.tcpOptions(t.TCPOptions),
			Have: tcpHeader}
	case j.ICMP != nil && a.Kind != packet.KindEcho && a.Kind != packet.KindTCP:
		a.Type, a.Code, a.MTU, a.Pointer = j.ICMP.Type, j.ICMP.Code, j.ICMP.MTU, j.ICMP.Pointer
		a.Quote = r.quote(j.Quote, j.Changes, &res.Probe)
		a.Extensions = r.extensions(j.Extensions)
	default:
		r.bad("a reply of the kind %s lacks what such have", j.Kind)
	}
	return a
}

// usual is the quote's layout if nothing is said of it: no IP options, padded TCP options, a header that is whole.
func (j *quote) usual() (q packet.Quote) {
	var r values
	q.IP.HeaderLength = ipv4Header
	icmp := uint8(protocolICMP)
	if j.FlowLabel != nil {
		q.IP.HeaderLength, icmp = ipv6Header, protocolV6
	}
	if j.SourcePort != nil {
		q.IP.Protocol = protocolTCP
	}
	if j.Echo != nil {
		q.IP.Protocol = icmp
	}
	options := r.optionBytes(j.TCPOptions)
	for len(options)%4 != 0 {
		options = append(options, packet.OptionEnd)
	}
	q.TCP.Options = packet.ParseOptions(options)
	if len(j.Flags) > 0 || j.Window != nil {
		q.TCP.DataOffset = tcpHeader + len(options)
	}
	return q
}

func or[T any](p *T, v T) T {
	if p != nil {
		return *p
	}
	return v
}

func (r *values) quote(j *quote, changes []change, p *packet.Probe) (q packet.Quote) {
	if j == nil {
		return q
	}
	q = j.usual()
	h, t := &q.IP, &q.TCP
	h.Version = 4
	if j.FlowLabel != nil {
		h.Version = 6
	}
	h.Src, h.Dst, h.TTL, h.TOS = r.optional(j.Source), r.optional(j.Destination), j.TTL, j.TOS
	h.ID, h.FlowLabel, h.DontFragment, h.TotalLength = value(j.IPID), value(j.FlowLabel), j.DontFragment, j.Length
	h.Protocol, h.HeaderLength = or(j.Protocol, h.Protocol), r.within(or(j.HeaderLength, h.HeaderLength), 20, 65535)
	h.MoreFragments, h.FragmentOffset, h.Checksum = j.MoreFragments, j.FragmentOffset, r.check(j.IPChecksum)
	q.Bytes = r.within(j.Bytes, 1, 65535)
	if j.Echo != nil {
		q.Echo = packet.Echo{ID: j.Echo.Identifier, Seq: j.Echo.Sequence, Have: 8}
	}
	if h.Protocol != protocolTCP {
		q.TCP = packet.TCP{}
		return q
	}
	t.Have = max(q.Bytes-h.HeaderLength, 0)
	t.Checksum = r.check(j.TCPChecksum)
	if t.HasSeq() {
		t.SrcPort, t.DstPort, t.Seq = value(j.SourcePort), value(j.DestinationPort), value(j.Sequence)
	}
	if t.HasAck() {
		t.Ack = value(j.Ack)
	}
	if t.HasFlags() {
		t.Flags = r.flags(j.Flags)
	}
	if t.HasWindow() {
		t.Window = value(j.Window)
	}
	t.DataOffset = r.within(or(j.DataOffset, t.DataOffset), 0, 60)
	if j.OptionsData != nil {
		t.Options = packet.ParseOptions(r.bytes(*j.OptionsData))
	}
	t.Urgent, t.ChecksumField = r.changed(changes, packet.FieldUrgent, 0), 0
	sent, _, _ := q.Checksum(*p)
	t.ChecksumField = r.changed(changes, packet.FieldChecksum, sent)
	return q
}

// changed is what a field had become, of which the quote itself says nothing.
func (r *values) changed(changes []change, f packet.Field, sent uint16) uint16 {
	for _, c := range changes {
		if c.Field == fields[f] {
			return r.number(c.Quoted)
		}
	}
	return sent
}

func (r *values) check(s string) packet.Check {
	for _, c := range []packet.Check{packet.CheckGood, packet.CheckBad} {
		if checksum(c) == s {
			return c
		}
	}
	return packet.CheckUnknown
}

func (r *values) extensions(j *extensions) packet.Extensions {
	if j == nil {
		return packet.Extensions{}
	}
	b := r.bytes(j.Structure)
	if j.Structure == "" {
		b = r.structure(j)
	}
	return packet.NewExtensions(b, j.Compliant, r.check(j.Checksum))
}

// structure makes the bytes of extensions of which only the meaning was written down.
func (r *values) structure(j *extensions) []byte {
	b := []byte{2 << 4, 0, 0, 0} // the header of RFC 4884 7
	var err error
	keep := func(more []byte, failed error) {
		if b, err = more, failed; err != nil {
			r.bad("extensions: %v", err)
		}
	}
	if len(j.MPLS) > 0 {
		var stack []packet.Label
		for _, l := range j.MPLS {
			stack = append(stack, packet.Label{Label: l.Label, TC: l.TC, Bottom: l.Bottom, TTL: l.TTL})
		}
		keep(packet.AppendMPLS(b, stack...))
	}
	for _, i := range j.Interfaces {
		role := packet.RoleIncoming
		for role < packet.RoleNextHop && interfaceOf(packet.Interface{Role: role}).Role != i.Role {
			role++
		}
		keep(packet.AppendInterface(b, packet.Interface{Role: role, Index: i.Index, Addr: r.optional(i.Address),
			Name: []byte(i.Name), MTU: i.MTU}))
	}
	for _, n := range j.Nodes {
		keep(packet.AppendNode(b, packet.Node{Addr: r.optional(n.Address), Name: []byte(n.Name)}))
	}
	for _, o := range j.Others {
		keep(packet.AppendObject(b, o.Class, o.Type, r.bytes(o.Data)))
	}
	return b
}

func (r *values) explain(j *explain, o *trace.PathOptions) *detect.Diagnosis {
	d := &detect.Diagnosis{Budget: detect.Budget{Probes: j.Budget.MostProbes, Sent: j.Budget.Sent,
		Most: j.Budget.MostTargetSYNs, SYNs: j.Budget.TargetSYNs}, Unknown: j.Unknown}
	for _, c := range j.Causes {
		d.Causes = append(d.Causes, detect.Considered{Code: detect.Code(c.Code), What: c.What, Excluded: c.ExcludedBy})
	}
	for i := range j.Questions {
		d.Questions = append(d.Questions, r.question(&j.Questions[i], o))
	}
	if len(j.Controls) == 0 && j.Left == nil {
		return d
	}
	d.Host = &detect.Host{Probes: r.leaving(j.Left)}
	for i := range j.Controls {
		c := &j.Controls[i]
		d.Host.Controls = append(d.Host.Controls, detect.Control{
			Outcome: named(r, c.Outcome, detect.Silent, detect.NotBegun), SYNs: c.SYNs, Waited: r.duration(c.TookMS),
			Source: netip.AddrPortFrom(o.Source.Addr(), c.SourcePort), From: r.optional(c.From), Said: c.Said,
			Followed: c.Followed, Left: r.leaving(c.Left), Accepted: value(c.Accepted), Reset: value(c.Reset),
			Flawed: c.Flawed, Flaw: detect.Flaw{What: c.Flaw},
		})
	}
	return d
}

func (r *values) question(j *question, o *trace.PathOptions) detect.Asked {
	q := detect.Asked{What: j.What, Sent: j.Sent, Answered: j.Answered, Lost: j.Lost, Came: detect.Came(j.Came),
		At: value(j.TTL)}
	q.Ask = r.ask(j.Kind)
	q.Options = trace.PathOptions{FirstTTL: r.within(j.FirstTTL, 1, 255), MaxTTL: r.within(j.MaxTTL, 1, 255),
		Queries: r.within(j.Queries, 1, 1<<30), Protocol: r.protocol(j.Protocol), Flags: r.flags(j.Flags),
		Target: netip.AddrPortFrom(o.Target.Addr(), value(j.TargetPort)),
		Source: netip.AddrPortFrom(o.Source.Addr(), value(j.SourcePort))}
	if q.Options.Protocol == packet.ProtoTCP {
		q.Options = q.Options.Effective()
		q.Options.Rand = nil
	}
	return q
}

// ask is the kind of a question; a later program may have more kinds.
func (r *values) ask(s string) detect.Ask {
	const unknown = detect.Ask(255)
	for a := detect.AskFlow; a.String() != unknown.String(); a++ {
		if a.String() == s {
			return a
		}
	}
	return unknown
}

func (r *values) leaving(j *leaving) *detect.Leaving {
	if j == nil {
		return nil
	}
	return &detect.Leaving{Src: r.ends(j.Source), Dst: r.ends(j.Destination), Interfaces: j.Interfaces, Mark: j.Mark,
		TTL: j.TTL, Loopback: j.Loopback}
}

// number reads a value as changeOf writes it.
func (r *values) number(s string) uint16 {
	n, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		r.bad("bad number %q", s)
	}
	return uint16(n)
}
