package sim

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// Target is the end of a path.
type Target struct {
	// Addr is the address that probes are sent to, and names the path. Behind a
	// router that translates it, the target answers by the address it is then called.
	Addr  netip.Addr
	Link  // from the last router
	Back  Link
	State State // of the ports that Ports doesn't name
	Ports map[uint16]State
	Rules []Rule // its own firewall
	// Real: not the model answers for the target but a real host, to which somebody
	// carries the packets: [Model.ReceiveReal], [Model.InjectReal]. Its Link lies
	// before it; Rules, State and the rest don't count.
	Real bool
	TTL  uint8 // of its answers as they are sent; 0: 64
	// A listening Linux agrees to ECN and answers each TCP option in kind, unless
	// told otherwise.
	NoECN, NoOptions bool
	NoEcho           bool // it answers no echo request
	// The source ports that it has another connection with, see Challenge.
	Older []uint16
	// The address, or the port, or both, that its TCP answers come from instead of those that it was asked by.
	AnswersAs netip.AddrPort
	// What it answers each SYN with in place of what State says: a segment with these flags and no acknowledgement.
	Bare packet.Flags
	// The program takes a connection, and closes or resets it so long after. 0: never.
	Closes, Resets time.Duration
	Defence
}

// State says how a port behaves.
type State uint8

const (
	Open      State = iota // a listening Linux 6.18, whose program never takes a connection
	Closed                 // resets what comes
	Filtered               // says nothing
	Challenge              // in the midst of another connection: a SYN is answered by a bare ACK (RFC 5961 4)
	Stuck                  // a listening Linux whose accept queue is full: drops SYNs, resets stray ACKs
)

// target is the state of a Target.
type target struct {
	*Target
	salt     uint64
	ttl      uint8
	firewall *node // answers for its Rules
	conns    map[tuple]*conn
	clients  map[tuple]*client // of its Defence
	truth    TargetTruth
}

func newTarget(spec *Target, salt uint64) *target {
	g := &target{Target: spec, salt: mix(salt ^ 4), ttl: spec.TTL, conns: map[tuple]*conn{}, clients: map[tuple]*client{}}
	if g.ttl == 0 {
		g.ttl = hostTTL
	}
	g.firewall = newNode(&Router{Answers: Answers{TTL: g.ttl, Linux: spec.TTL == 0}, Rules: spec.Rules}, g.salt, g.salt)
	return g
}

// atTarget is what happens to a packet that comes to the end of its path.
func (m *Model) atTarget(t *transit) {
	g := t.route.path.target
	dst := addrOf(flowOf(t.b).dst)
	g.truth.Arrived++
	if m.Watch != nil {
		m.Watch(Arrival{At: m.now, Path: t.route.path.index, Hop: t.hop + 1, Addr: dst, Target: true, Packet: t.b})
	}
	if g.Real {
		t.due = m.now
		m.real.push(t)
		return
	}
	switch rule := match(g.Rules, g.firewall.rules, t.b, &t.chance, m.now); rule.Action {
	case Drop:
	case Reject:
		who := &g.firewall.members[0]
		who.Addr = dst
		m.sendError(t, g.firewall, who, unreachable, rule.Code)
		return
	case Reset:
		g.truth.Resets += m.sendReset(t, g.ttl)
		return
	case Accept:
		g.truth.SYNACKs += m.sendAccept(t, g.firewall)
		return
	case Pass:
		m.answerEcho(t, g)
		if packet.Parse(t.b, &m.reply) == nil && m.reply.Kind == packet.KindTCP && m.reply.Checksum == packet.CheckGood {
			m.answerTCP(t, g)
		}
	}
	m.free.push(t)
}

// answerEcho answers an echo request; anything else it leaves alone.
func (m *Model) answerEcho(t *transit, g *target) {
	if g.NoEcho || transport(t.b) != notTCP {
		return
	}
	c := t.chance
	a := m.newTransit(chance(c.next()), t.route, t.hop)
	var ok bool
	if a.b, ok = packet.AppendEchoReply(a.b, t.b, g.ttl, uint16(c.next())); !ok {
		m.free.push(a)
		return
	}
	g.truth.Echoes++
	m.home(a, m.now)
}

// answerTCP is what the target's TCP makes of the segment in m.reply.
func (m *Model) answerTCP(t *transit, g *target) {
	tcp := &m.reply.TCP
	if tcp.Flags.Has(packet.RST) {
		g.truth.RST++
	} else if tcp.Flags&(packet.SYN|packet.ACK) == packet.SYN {
		g.truth.SYN++
		if s := g.state(tcp.DstPort); s == Filtered || s == Stuck {
			g.truth.Unseen++
		}
	}
	state := g.state(tcp.DstPort)
	if slices.Contains(g.Older, tcp.SrcPort) {
		state = Challenge
	}
	name := flowOf(t.b)
	c := g.conns[name]
	switch {
	case state == Filtered:
	case !g.admit(m, t):
	case g.Bare != 0:
		m.answerBare(t, g)
	case state == Closed:
		m.refuseAt(t, g)
	case c != nil:
		c.receive(m, t, state)
	case state == Challenge:
		c = g.newConn(t, name)
		c.irs = uint32(c.chance.next())
		c.establish()
		c.receive(m, t, state)
	case tcp.Flags.Has(packet.ACK):
		m.refuseAt(t, g)
	case state == Stuck:
	case tcp.Flags&(packet.SYN|packet.RST|packet.FIN) == packet.SYN && (g.Cookies || g.Changing):
		m.answerByCookie(t, g, name)
	case tcp.Flags&(packet.SYN|packet.RST|packet.FIN) == packet.SYN:
		c = g.newConn(t, name)
		c.agree(&m.reply)
		c.sendSYNACK(m)
		c.restart(m)
	}
}

func (g *target) state(port uint16) State {
	if s, ok := g.Ports[port]; ok {
		return s
	}
	return g.State
}

// source is where the target's answers come from that should come from an address and port.
func (g *target) source(from netip.AddrPort) netip.AddrPort {
	if a := g.AnswersAs.Addr(); a.IsValid() {
		from = netip.AddrPortFrom(a, from.Port())
	}
	if p := g.AnswersAs.Port(); p != 0 {
		from = netip.AddrPortFrom(from.Addr(), p)
	}
	return from
}

// refuse makes m.answer the reset with which a host answers the segment in
// m.reply where no connection takes it (RFC 9293 3.10.7.1). It reports false
// where there is none: for a reset, for anything but TCP.
func (m *Model) refuse(ttl uint8) bool {
	r := &m.reply
	if r.Kind != packet.KindTCP || r.Checksum != packet.CheckGood || r.TCP.Flags.Has(packet.RST) {
		return false
	}
	m.answer = packet.Segment{
		Src: netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort), Dst: netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort),
		TTL: ttl, TOS: r.IP.TOS, DontFragment: true, // as Linux does
		FlowLabel: uint32(mix(uint64(r.TCP.SrcPort)<<16|uint64(r.TCP.DstPort))) & 0xfffff,
	}
	if r.TCP.Flags.Has(packet.ACK) {
		m.answer.Seq, m.answer.Flags = r.TCP.Ack, packet.RST
		return true
	}
	m.answer.Flags = packet.RST | packet.ACK
	m.answer.Ack = r.TCP.Seq + uint32(len(r.TCP.Payload))
	for _, counts := range [...]packet.Flags{packet.SYN, packet.FIN} {
		if r.TCP.Flags.Has(counts) {
			m.answer.Ack++
		}
	}
	return true
}

// answerBare answers a SYN by a segment that acknowledges nothing: a reset whose numbers are 0, or a SYN that begins
// a connection itself.
func (m *Model) answerBare(t *transit, g *target) {
	if !opens(t.b) || !m.refuse(g.ttl) {
		return
	}
	m.answer.Src, m.answer.Flags, m.answer.Ack = g.source(m.answer.Src), g.Bare, 0
	if g.Bare.Has(packet.SYN) {
		m.answer.Seq, m.answer.Window = uint32(t.chance.next()), 5840
	}
	m.sendAnswer(chance(t.chance.next()), t.route, t.hop)
}

func (m *Model) refuseAt(t *transit, g *target) {
	if m.refuse(g.ttl) {
		g.truth.Resets++
		m.answer.Src = g.source(m.answer.Src)
		m.sendAnswer(chance(t.chance.next()), t.route, t.hop)
	}
}

// sendReset ends a packet, where it is, with a reset in the name of its
// destination. It returns the number of resets: 0 or 1.
func (m *Model) sendReset(t *transit, ttl uint8) int {
	defer m.free.push(t)
	if packet.Parse(t.b, &m.reply) != nil || !m.refuse(ttl) {
		return 0
	}
	m.answer.TOS, m.answer.FlowLabel = 0, 0 // unlike a host's own, see nf_send_reset of Linux
	m.sendAnswer(chance(t.chance.next()), t.route, t.hop)
	return 1
}

// sendAccept answers a SYN, where it is, in the name of its destination. It
// returns the number of answers: 0 or 1.
func (m *Model) sendAccept(t *transit, n *node) int {
	defer m.free.push(t)
	if !opens(t.b) || packet.Parse(t.b, &m.reply) != nil || m.reply.Kind != packet.KindTCP ||
		m.reply.Checksum != packet.CheckGood {
		return 0
	}
	r := &m.reply
	m.answer = packet.Segment{
		Src: netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort), Dst: netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort),
		TTL: n.ttl, DontFragment: true, Flags: packet.SYN | packet.ACK, Window: 5840,
		Seq: uint32(t.chance.next()), Ack: r.TCP.Seq + 1, Options: with(packet.Options{}.WithMSS(1460)),
	}
	m.sendAnswer(chance(t.chance.next()), t.route, t.hop)
	return 1
}

// inject answers a SYN, where it is, besides what becomes of it.
func (m *Model) inject(t *transit, n *node) {
	in := &n.Inject
	if in.Kind == Pass || ttl(t.b) < in.Least || !opens(t.b) || packet.Parse(t.b, &m.reply) != nil || !m.refuse(hostTTL) {
		return
	}
	c := t.chance
	if in.Kind == Accept {
		m.answer.Flags, m.answer.Seq, m.answer.Window = packet.SYN|packet.ACK, uint32(c.next()), 5840
	}
	if in.TTL != 0 {
		m.answer.TTL = in.TTL
	}
	m.sendAnswerAt(chance(c.next()), t.route, t.hop, m.now+in.Delay)
}

// sendAnswer sends m.answer to the host.
func (m *Model) sendAnswer(c chance, r *route, hop int) { m.sendAnswerAt(c, r, hop, m.now) }

// sendAnswerAt sends m.answer to the host at an instant.
func (m *Model) sendAnswerAt(c chance, r *route, hop int, at time.Duration) {
	a := m.newTransit(c, r, hop)
	var err error
	if a.b, err = packet.AppendTCP(a.b, &m.answer); err != nil {
		m.free.push(a) // an address that can't be answered
		return
	}
	m.home(a, at)
}
