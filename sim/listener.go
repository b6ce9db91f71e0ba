package sim

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// What a listening Linux does, measured on 6.18 with a net.ipv4.tcp_rmem of up to 6 MiB as was usual before it. The
// timers are the kernel's constants; window, scale and MSS those of an Ethernet host with memory enough.
const (
	invalidRateLimit = 500 * time.Millisecond // net.ipv4.tcp_invalid_ratelimit
	firstTimeout     = time.Second            // TCP_TIMEOUT_INIT; doubles each time: at 1, 3, 7, 15, 31 s
	synackRetries    = 5                      // net.ipv4.tcp_synack_retries
	windowScale      = 7
)

// conn is a connection of the target: half open (SYN-RECEIVED), or established
// and never used. irs and iss are the names of RFC 9293 3.3.1.
type conn struct {
	target      *target
	name        tuple // as in the packets that come
	route       *route
	chance      chance
	cause       uint64 // see Model.cause
	irs, iss    uint32
	established bool
	ipID        uint16 // counts up once it is established; 0 before

	ecn, timestamps, sack, scale bool   // what both sides agreed on
	tsRecent, tsOffset           uint32 // RFC 7323 4.3

	closed bool // the target has sent its FIN

	oddAnswered bool // something out of place was answered, at oddAt
	oddAt       time.Duration
	timeouts    int
	timer       time.Duration // the instant of the next one; 0: stopped
}

func (g *target) newConn(t *transit, name tuple) *conn {
	c := &conn{target: g, name: name, route: t.route, chance: chance(t.chance.next()), cause: t.cause}
	c.iss = uint32(c.chance.next())
	g.conns[name] = c
	return c
}

func (c *conn) establish() {
	c.established = true
	c.ipID = uint16(c.chance.next())
}

func (c *conn) remove() {
	c.timer = 0
	delete(c.target.conns, c.name)
}

// agree takes the offers of a SYN.
func (c *conn) agree(r *packet.Reply) {
	c.irs = r.TCP.Seq
	// RFC 3168 6.1.1: a SYN is not marked
	c.ecn = r.TCP.Flags.Has(packet.ECE|packet.CWR) && r.IP.TOS&3 == 0 && !c.target.NoECN
	if c.target.NoOptions {
		return
	}
	o := &r.TCP.Options
	c.tsRecent, _, c.timestamps = o.Timestamps()
	c.tsOffset = uint32(c.name.hash(c.target.salt))
	c.sack = o.SACKPermitted()
	_, c.scale = o.WindowScale()
}

// window is what the target offers to receive, in bytes: a multiple of the
// segment size.
func (c *conn) window() uint32 {
	switch v4 := c.v4(); {
	case v4 && c.timestamps:
		return 45 * 1448
	case v4:
		return 44 * 1460
	case c.timestamps:
		return 45 * 1428
	}
	return 45 * 1440
}

func (c *conn) v4() bool { return addrOf(c.name.dst).Is4() }

// receive takes the segment in m.reply: tcp_check_req of Linux while half open.
func (c *conn) receive(m *Model, t *transit, state State) {
	tcp := &m.reply.TCP
	flags := tcp.Flags & (packet.SYN | packet.ACK | packet.RST)
	tsVal, _, stamped := tcp.Options.Timestamps()
	old := c.timestamps && stamped && int32(tsVal-c.tsRecent) < 0 // PAWS, RFC 7323 5

	switch {
	case c.established:
	case flags == packet.SYN && tcp.Seq == c.irs && !old:
		// The SYN once more. The timestamp echoed stays that of the first one.
		if c.mayAnswer(m.now, tcp) {
			c.sendSYNACK(m)
			c.restart(m)
		}
		return
	case flags&(packet.ACK|packet.RST) == packet.ACK && tcp.Ack != c.iss+1:
		m.refuseAt(t, c.target) // the listener's business
		return
	}

	next := c.irs + 1
	end := tcp.Seq + uint32(len(tcp.Payload))
	if flags.Has(packet.SYN) {
		end++
	}
	inWindow := tcp.Seq == next || int32(end-next) > 0 && int32(tcp.Seq-(next+c.window())) < 0
	switch {
	case flags.Has(packet.RST):
		if tcp.Seq == next && state != Challenge {
			c.remove()
		} else if inWindow && c.mayAnswer(m.now, tcp) {
			c.sendACK(m) // RFC 5961 3.2
		}
	case old || !inWindow || c.established && flags.Has(packet.SYN):
		if c.mayAnswer(m.now, tcp) {
			c.sendACK(m)
		}
	case flags.Has(packet.SYN):
		m.refuseAt(t, c.target)
		c.remove()
	case flags.Has(packet.ACK) && !c.established:
		c.establish()
		c.timer = 0
		if after := max(c.target.Closes, c.target.Resets); after > 0 {
			c.timer = m.now + after
			m.queue.push(c.timer, c)
		}
		c.target.truth.Accepted++
	}
}

// mayAnswer is the limit on answers to what is out of place: the first at once,
// then one in 500 ms. Data without SYN isn't limited.
func (c *conn) mayAnswer(now time.Duration, tcp *packet.TCP) bool {
	if len(tcp.Payload) > 0 && !tcp.Flags.Has(packet.SYN) {
		return true
	}
	if c.oddAnswered && now-c.oddAt < invalidRateLimit {
		return false
	}
	c.oddAnswered, c.oddAt = true, now
	return true
}

// restart sets the timer for the next retransmission.
func (c *conn) restart(m *Model) {
	c.timer = m.now + firstTimeout<<c.timeouts
	m.queue.push(c.timer, c)
}

// happen is the timer. Timers that were stopped or set anew come here too.
func (c *conn) happen(m *Model) {
	if c.timer != m.now {
		return
	}
	if c.established {
		c.end(m)
		return
	}
	if c.timeouts == synackRetries {
		c.remove()
		return
	}
	m.cause = c.cause
	c.timeouts++
	c.target.truth.Retransmitted++
	c.sendSYNACK(m)
	c.restart(m)
}

func (c *conn) sendSYNACK(m *Model) {
	c.segment(m)
	s := &m.answer
	s.Seq = c.iss
	s.Flags = packet.SYN | packet.ACK
	if c.ecn {
		s.Flags |= packet.ECE
	}
	s.Window = uint16(c.window())
	if !c.target.NoOptions {
		s.Options = c.synOptions(m.now)
	}
	c.target.truth.SYNACKs++
	c.send(m)
}

func (c *conn) sendACK(m *Model) {
	c.segment(m)
	s := &m.answer
	s.ID = c.ipID
	s.Seq = c.iss + 1
	if c.closed {
		s.Seq++
	}
	s.Flags = packet.ACK
	s.Window = uint16(c.window())
	if c.scale {
		s.Window = uint16(c.window() >> windowScale)
	}
	if c.timestamps {
		s.Options = with(nop(nop(packet.Options{})).WithTimestamps(c.stamp(m.now), c.tsRecent))
	}
	if c.established {
		c.ipID++
	}
	c.target.truth.ACKs++
	c.send(m)
}

// end is what the program does to a connection in the end.
func (c *conn) end(m *Model) {
	m.cause, c.timer = c.cause, 0
	c.segment(m)
	m.answer.ID, m.answer.Seq = c.ipID, c.iss+1
	c.ipID++
	if c.target.Resets > 0 {
		m.answer.Flags = packet.RST | packet.ACK
		c.remove()
	} else {
		m.answer.Flags = packet.FIN | packet.ACK
		c.closed = true
	}
	c.send(m)
}

// segment starts a segment of the connection in m.answer.
func (c *conn) segment(m *Model) {
	m.answer = packet.Segment{
		Src: c.target.source(netip.AddrPortFrom(addrOf(c.name.dst), c.name.dstPort)),
		Dst: netip.AddrPortFrom(addrOf(c.name.src), c.name.srcPort),
		TTL: c.target.ttl, DontFragment: true, FlowLabel: uint32(c.name.hash(c.target.salt^1)) & 0xfffff,
		Ack: c.irs + 1,
	}
}

func (c *conn) send(m *Model) {
	m.sendAnswer(chance(c.chance.next()), c.route, len(c.route.nodes))
}

// stamp is the target's clock of timestamps, in milliseconds.
func (c *conn) stamp(now time.Duration) uint32 { return c.tsOffset + uint32(now.Milliseconds()) }

// synOptions are those of a SYN+ACK, in Linux's order and padding. They are at
// most 20 bytes long.
func (c *conn) synOptions(now time.Duration) (o packet.Options) {
	mss := uint16(1460)
	if !c.v4() {
		mss = 1440
	}
	o = with(o.WithMSS(mss))
	switch {
	case c.sack:
		if !c.timestamps {
			o = nop(nop(o))
		}
		o = with(o.WithSACKPermitted())
	case c.timestamps:
		o = nop(nop(o))
	}
	if c.timestamps {
		o = with(o.WithTimestamps(c.stamp(now), c.tsRecent))
	}
	if c.scale {
		o = with(nop(o).WithWindowScale(windowScale))
	}
	return o
}

// with drops the error of a builder where the option is known to fit.
func with(o packet.Options, _ error) packet.Options { return o }

func nop(o packet.Options) packet.Options { return with(o.With(packet.OptionNOP)) }
