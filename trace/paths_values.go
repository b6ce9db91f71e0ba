package trace

import (
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// value is what an answer says that a flow has met.
func (p *Paths) value(r Result) int {
	e := encounter{addr: r.From()}
	switch {
	case r.FromTarget() && r.Reply.Kind == packet.KindTCP && r.Reply.TCP.Flags.Has(packet.RST):
		return resetValue
	case r.FromTarget():
		return targetValue
	case r.Refused():
		e.refusal, e.kind, e.code = r.Reply.Kind, r.Reply.Type, r.Reply.Code
	}
	v, ok := p.values[e]
	if !ok {
		v = firstAddr + len(p.met)
		p.values[e] = v
		p.met = append(p.met, e)
	}
	return v
}

// inName reports whether a value is an answer in the target's name.
func inName(value int) bool { return value == targetValue || value == resetValue }

// gotTo reports whether an answer shows that its SYN got to the target: that may refuse by ICMP, too.
func (p *Paths) gotTo(r Result) bool {
	return r.FromTarget() || r.Refused() && r.From().WithZone("") == p.o.Path.Target.Addr().WithZone("")
}

// isTarget reports whether a value is an answer of the target itself, for all that is known.
func (p *Paths) isTarget(value int) bool {
	return value == targetValue || value == resetValue && !p.accepts
}

// final reports whether no flow goes on from what has this value.
func (p *Paths) final(value int) bool {
	return inName(value) || value >= firstAddr && p.met[value-firstAddr].refusal != 0
}

// address is that of a value.
func (p *Paths) address(value int) netip.Addr {
	switch {
	case inName(value):
		return p.o.Path.Target.Addr()
	case value >= firstAddr:
		return p.met[value-firstAddr].addr
	}
	return netip.Addr{}
}

// refusal is what was said to the flows that met a value, if that refused them; else nil.
func (p *Paths) refusal(value int) *packet.Reply {
	reset := value == resetValue && p.accepts
	if !reset && (value < firstAddr || !p.final(value)) {
		return nil
	}
	r := &packet.Reply{IP: packet.IP{Version: 6, Src: p.address(value).WithZone("")}}
	if r.IP.Src.Is4() {
		r.IP.Version = 4
	}
	if reset {
		r.Kind, r.TCP.Flags = packet.KindTCP, packet.RST
		return r
	}
	e := p.met[value-firstAddr]
	r.Kind, r.Type, r.Code, r.Zone = e.refusal, e.kind, e.code, e.addr.Zone()
	return r
}
