// Package sim is a simulated Internet: packets go in as bytes with the instant
// at which they were sent, and come out as bytes with the instant at which they
// arrive. It stands in for real networks in the tests of everything above the
// packet layer.
//
// The rule of this room: equal seeds give equal bytes at equal times. What is
// random is drawn from the seed and the number of the packet, so that it doesn't
// depend on what happens to other packets; everything happens in the order of
// its time, and at one instant in the order in which it was caused. The model
// reads no clock, starts no goroutine and opens no socket.
//
// A [Scenario] says what the network is like; it is written as Go values or as
// text ([Parse]). [New] makes a [Model] of it, the network itself: [Model.Inject]
// and [Model.Receive]. A [Conn] is a front end: the model as a network connection
// in memory, under the clock of the program or that of a testing/synctest
// bubble.
package sim

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"tcptraceroute/packet"
)

// Why Inject refuses a packet.
var (
	ErrMalformed = errors.New("sim: not a whole IP packet")
	ErrNoRoute   = errors.New("sim: no path to this destination")
)

// hostRSTDelay is what the host's kernel takes to answer a segment that no socket
// wants: 5 to 13 µs were measured on Linux 6.18.
const hostRSTDelay = 10 * time.Microsecond

// Model is the network. Its times count from its own start. It is not safe for
// concurrent use.
type Model struct {
	// Watch, unless nil, is called with every packet that gets to a router or a
	// target, in the order of time. It must not call the model, or its Conn.
	Watch func(Arrival)

	seed    uint64
	hostRST bool
	paths   []*path
	byDst   map[netip.Addr]*path

	now      time.Duration
	injected uint64
	queue    queue
	ready    fifo // delivered, not yet received
	free     fifo

	reply  packet.Reply   // the segment being answered
	answer packet.Segment // the answer
}

// Arrival is a packet that got to a router or a target.
type Arrival struct {
	At     time.Duration
	Path   int        // index in Scenario.Paths
	Hop    int        // 1 is the first router; the target comes after the last
	Addr   netip.Addr // the router's, none where it has none; the target's as the packet has it
	Target bool
	Packet []byte // as it arrived; valid during the call
}

// path is the state of one Path.
type path struct {
	index  int
	routes []*route // the first one and those of the changes
	target *target
	sent   int    // packets injected
	last   []byte // the last of them, for those who forge answers to it
}

// route is the routers of a path, from some packet or instant on.
type route struct {
	path     *path
	packet   int
	time     time.Duration
	nodes    []*node
	spoofing bool
}

// transit is a packet on its way.
type transit struct {
	b      []byte
	chance chance
	id     uint64 // random; the same for the packet and its duplicates
	route  *route
	hop    int  // index of the node it goes to, or whose answer it is; the target comes after the last
	back   bool // it goes to the host
	due    time.Duration
	next   *transit
}

// fifo is a list of packets in the order of their arrival.
type fifo struct{ head, tail *transit }

func (f *fifo) push(t *transit) {
	t.next = nil
	if f.head == nil {
		f.head = t
	} else {
		f.tail.next = t
	}
	f.tail = t
}

func (f *fifo) pop() *transit {
	t := f.head
	if t != nil {
		f.head = t.next
	}
	return t
}

// New makes the network of a scenario, whose slices and maps belong to the model
// from now on. The error is that of [Scenario.Validate].
func New(s Scenario) (*Model, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	m := &Model{seed: mix(s.Seed + 1), hostRST: !s.NoHostRST, byDst: map[netip.Addr]*path{}}
	for i := range s.Paths {
		spec := &s.Paths[i]
		p := &path{index: i}
		salt := mix(m.seed ^ uint64(i)<<32 ^ 1)
		p.target = newTarget(&spec.Target, salt)
		p.routes = append(p.routes, newRoute(p, salt, spec.Routers))
		for _, c := range spec.Changes {
			r := newRoute(p, salt, c.Routers)
			r.packet, r.time = c.Packet, c.Time
			p.routes = append(p.routes, r)
		}
		m.paths = append(m.paths, p)
		m.byDst[spec.Target.Addr] = p
	}
	return m, nil
}

func newRoute(p *path, salt uint64, routers []Router) *route {
	r := &route{path: p}
	diamond := 0
	for i := range routers {
		// Neighbours of the same width are one diamond: a packet keeps to its branch.
		if i > 0 && len(routers[i].Addrs) != len(routers[i-1].Addrs) {
			diamond = i
		}
		r.nodes = append(r.nodes, newNode(&routers[i], mix(salt^uint64(i)<<8^2), mix(salt^uint64(diamond)<<8^3)))
	}
	return r
}

// routeAt is the route that a packet sent now takes.
func (p *path) routeAt(now time.Duration) *route {
	r := p.routes[0]
	for _, c := range p.routes[1:] {
		if c.packet > 0 && p.sent >= c.packet || c.time > 0 && now >= c.time {
			r = c
		}
	}
	return r
}

// Inject takes a packet that the host sends at an instant, which must not be
// before those of earlier calls (it then counts as the latest of them). b starts
// with its IP header; it is copied. Errors: [ErrMalformed], [ErrNoRoute].
func (m *Model) Inject(at time.Duration, b []byte) error {
	p, n, err := m.find(b)
	if err != nil {
		return err
	}
	b = b[:n]
	m.run(at)
	m.now = max(m.now, at)
	p.sent++
	p.last = append(p.last[:0], b...)
	m.injected++
	t := m.newTransit(chance(mix(m.seed^m.injected)), p.routeAt(m.now), 0)
	t.b = append(t.b, b...)
	m.startSpoofing(t)
	m.ahead(t, m.now)
	return nil
}

// find returns the path that a packet from the host takes, and its length.
func (m *Model) find(b []byte) (*path, int, error) {
	var dst netip.Addr
	n := 0
	switch {
	case len(b) >= ipv4HeaderLen && isIPv4(b) && b[0]&0x0f >= 5:
		n = max(int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:])))
		dst = netip.AddrFrom4([4]byte(b[16:20]))
	case len(b) >= ipv6HeaderLen && b[0]>>4 == 6:
		n = ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
		dst = netip.AddrFrom16([16]byte(b[24:40]))
	}
	if n == 0 || n > len(b) {
		return nil, 0, ErrMalformed
	}
	p := m.byDst[dst]
	if p == nil {
		return nil, 0, ErrNoRoute
	}
	return p, n, nil
}

// Forge puts a packet before the host that nobody on the path has sent, to be
// received at an instant. b is copied.
func (m *Model) Forge(at time.Duration, b []byte) {
	t := m.newTransit(0, nil, 0)
	t.b = append(t.b, b...)
	t.back = true
	m.queue.push(max(at, m.now), t)
}

// Next says when something happens next; it need not be a delivery. It reports
// false where nothing will before the next Inject.
func (m *Model) Next() (due time.Duration, ok bool) {
	if m.ready.head != nil {
		return m.ready.head.due, true
	}
	return m.queue.next()
}

// Receive copies the next packet for the host into buf, cut to buf's length, and
// returns the instant of its arrival; ok is false where none has come by now.
func (m *Model) Receive(now time.Duration, buf []byte) (n int, due time.Duration, ok bool) {
	for m.ready.head == nil {
		if next, ok := m.queue.next(); !ok || next > now {
			return 0, 0, false
		}
		m.step()
	}
	t := m.ready.pop()
	m.free.push(t)
	return copy(buf, t.b), t.due, true
}

// run lets everything happen that is due by now.
func (m *Model) run(now time.Duration) {
	for {
		if next, ok := m.queue.next(); !ok || next > now {
			return
		}
		m.step()
	}
}

func (m *Model) step() {
	due, what := m.queue.pop()
	m.now = due
	what.happen(m)
}

func (t *transit) happen(m *Model) {
	switch {
	case t.back:
		m.deliver(t)
	case t.hop < len(t.route.nodes):
		m.atRouter(t)
	default:
		m.atTarget(t)
	}
}

func (m *Model) newTransit(c chance, r *route, hop int) *transit {
	t := m.free.pop()
	if t == nil {
		t = new(transit)
	}
	*t = transit{b: t.b[:0], chance: c, id: mix(uint64(c)), route: r, hop: hop}
	return t
}

func (m *Model) copy(t *transit) *transit {
	c := m.newTransit(chance(t.chance.next()), t.route, t.hop)
	c.b = append(c.b, t.b...)
	c.id, c.back = t.id, t.back
	return c
}

// link is the way between a node and the one before it, out and back.
func (r *route) link(hop int) (out, back *Link, lost *int) {
	if hop < len(r.nodes) {
		n := r.nodes[hop]
		return &n.Link, &n.Back, &n.lost
	}
	t := r.path.target
	return &t.Link, &t.Back, &t.truth.Lost
}

// ahead sends a packet over the link to the node at t.hop.
func (m *Model) ahead(t *transit, at time.Duration) {
	link, _, lost := t.route.link(t.hop)
	if t.chance.hit(link.Loss) {
		*lost++
		m.free.push(t)
		return
	}
	if t.chance.hit(link.Duplicate) {
		c := m.copy(t)
		m.queue.push(at+link.time(&c.chance), c)
	}
	m.queue.push(at+link.time(&t.chance), t)
}

// home sends an answer of the node at t.hop back over the link before that node,
// and on to the host. The routers in between only look up what was fixed when
// the probe passed, so all of it is done at once.
func (m *Model) home(t *transit, at time.Duration) {
	t.back = true
	_, back, lost := t.route.link(t.hop)
	if t.chance.hit(back.Loss) {
		*lost++
		m.free.push(t)
		return
	}
	if t.chance.hit(back.Duplicate) {
		m.homeFrom(m.copy(t), at)
	}
	m.homeFrom(t, at)
}

// homeFrom is home for a packet that the link before t.hop doesn't lose.
func (m *Model) homeFrom(t *transit, at time.Duration) {
	link, back, lost := t.route.link(t.hop)
	at += link.Delay + t.chance.below(link.Jitter) + back.time(&t.chance)
	if t.hop == 0 {
		m.queue.push(at, t)
		return
	}
	t.hop--
	n := t.route.nodes[t.hop]
	if !n.Hidden {
		left := ttl(t.b)
		if left <= 1 {
			*lost++
			m.free.push(t)
			return
		}
		putTTL(t.b, left-1)
	}
	n.reverse(t.b)
	m.home(t, at)
}

// deliver hands a packet to the host, whose kernel resets what no socket wants.
func (m *Model) deliver(t *transit) {
	t.due = m.now
	m.ready.push(t)
	if !m.hostRST || packet.Parse(t.b, &m.reply) != nil || !m.refuse(hostTTL) {
		return
	}
	p := m.byDst[m.reply.From()]
	if p == nil {
		return
	}
	reset := m.newTransit(chance(t.chance.next()), p.routeAt(m.now), 0)
	reset.b, _ = packet.AppendTCP(reset.b, &m.answer)
	m.ahead(reset, m.now+hostRSTDelay)
}
