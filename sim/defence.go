package sim

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// Defence is what protects a target's ports: it lets a SYN pass only if its sender
// behaves as the kernel of a client does. The zero value lets every SYN pass.
type Defence struct {
	BySource  bool          // it knows a client again by its address alone; otherwise by addresses and ports
	DropFirst bool          // the first SYN of a client gets no answer
	Pause     time.Duration // a SYN that comes sooner after the client's SYN before it gets no answer
	Always    bool          // Pause holds after a SYN has passed, too; otherwise only until then
	BadACK    bool          // the first SYN is answered by an ACK of another number; a client that resets that may pass
	Cookies   bool          // the target answers each SYN anew, and keeps no state: one number for equal SYNs
	Changing  bool          // the same, with another number in each answer
}

// screens reports whether there are SYNs that don't pass.
func (d *Defence) screens() bool { return d.DropFirst || d.Pause > 0 || d.BadACK }

// client is what a defence knows of one client.
type client struct {
	seen   bool
	last   time.Duration // when its last SYN came
	passed bool
	asked  uint32 // the number that BadACK acknowledged
}

// client finds the one that a packet comes from.
func (g *target) client(b []byte) *client {
	key := flowOf(b)
	if g.Defence.BySource {
		key = tuple{src: key.src}
	}
	c := g.clients[key]
	if c == nil {
		c = new(client)
		g.clients[key] = c
	}
	return c
}

// admit decides whether the segment in m.reply gets to the target's ports.
func (g *target) admit(m *Model, t *transit) bool {
	d, tcp := &g.Defence, &m.reply.TCP
	if !d.screens() {
		return true
	}
	switch tcp.Flags & (packet.SYN | packet.ACK | packet.RST) {
	case packet.RST:
		if c := g.client(t.b); d.BadACK && c.seen && tcp.Seq == c.asked {
			c.passed = true
			return false
		}
		return true
	case packet.SYN:
	default:
		return true
	}
	c := g.client(t.b)
	first, since := !c.seen, m.now-c.last
	c.seen, c.last = true, m.now
	switch {
	case c.passed && !d.Always:
		return true
	case d.BadACK && !c.passed:
		c.asked = uint32(t.chance.next())
		m.answer = packet.Segment{
			Src: netip.AddrPortFrom(m.reply.IP.Dst, tcp.DstPort), Dst: netip.AddrPortFrom(m.reply.IP.Src, tcp.SrcPort),
			TTL: g.ttl, DontFragment: true, Flags: packet.ACK, Seq: uint32(t.chance.next()), Ack: c.asked, Window: 5840,
		}
		m.sendAnswer(chance(t.chance.next()), t.route, t.hop)
		return false
	case first && d.DropFirst, !first && since < d.Pause:
		return false
	}
	c.passed = true
	return true
}

// answerByCookie answers the SYN in m.reply without keeping anything of it.
func (m *Model) answerByCookie(t *transit, g *target, name tuple) {
	c := &conn{target: g, name: name, route: t.route, chance: chance(t.chance.next())}
	c.iss = uint32(name.hash(g.salt^2)) + m.reply.TCP.Seq
	if g.Defence.Changing {
		c.iss = uint32(c.chance.next())
	}
	c.agree(&m.reply)
	c.sendSYNACK(m)
}
