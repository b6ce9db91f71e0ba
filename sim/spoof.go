package sim

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// Spoof is a stream of forged answers: somebody at the router knows addresses
// and ports of the probes, but neither sequence number nor IP ID. In turn come a
// time exceeded from the router, and a SYN+ACK and a reset from the target. It
// starts with the first packet on the path. The zero value: none.
type Spoof struct {
	Every time.Duration // time from one to the next
	For   time.Duration // time from the first packet to the end
}

// spoofer is the state of a Spoof.
type spoofer struct {
	route  *route
	hop    int
	end    time.Duration
	chance chance
	turn   int
}

// startSpoofing starts the spoofers of a route with its first packet.
func (m *Model) startSpoofing(t *transit) {
	if t.route.graph.spoofing {
		return
	}
	t.route.graph.spoofing = true
	for hop, n := range t.route.nodes {
		if n.Spoof.Every > 0 {
			s := &spoofer{route: t.route, hop: hop, end: m.now + n.Spoof.For, chance: chance(t.chance.next())}
			m.queue.push(m.now+n.Spoof.Every, s)
		}
	}
}

func (s *spoofer) happen(m *Model) {
	n := s.route.nodes[s.hop]
	s.forge(m, n)
	s.turn++
	if at := m.now + n.Spoof.Every; at <= s.end {
		m.queue.push(at, s)
	}
}

func (s *spoofer) forge(m *Model, n *node) {
	last := s.route.path.last
	r := &m.reply
	if packet.Parse(last, r) != nil || r.Kind != packet.KindTCP {
		return
	}
	wrong := int32(s.chance.next()) | 1 // never 0: then it would be right
	if s.turn%3 == 0 {
		from := n.members[0].Addr
		if !from.IsValid() {
			from = r.IP.Dst
		}
		t := m.newTransit(chance(s.chance.next()), s.route, s.hop)
		t.b = append(t.b, last...)
		(&Rewrite{Seq: wrong, ID: new(uint16(s.chance.next())), TTL: new(uint8(1))}).apply(t.b)
		e := packet.ICMPError{Src: from, Dst: r.IP.Src, TTL: n.ttl, Type: timeExceeded.icmpType(isIPv4(t.b)), Quote: t.b}
		if a := m.newError(&e, t); a != nil {
			m.home(a, m.now)
		}
		m.free.push(t)
		return
	}
	m.answer = packet.Segment{
		Src: netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort), Dst: netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort),
		TTL: hostTTL, DontFragment: true, Flags: packet.RST | packet.ACK, Ack: r.TCP.Seq + 1 + uint32(wrong),
	}
	if s.turn%3 == 1 {
		m.answer.Flags = packet.SYN | packet.ACK
		m.answer.Seq = uint32(s.chance.next())
		m.answer.Window = 64240
	}
	m.sendAnswer(chance(s.chance.next()), s.route, s.hop)
}
