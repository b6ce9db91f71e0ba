// Package sim is a simulated Internet: packets go in as bytes with the instant
// at which they were sent, and come out as bytes with the instant at which they
// arrive. It stands in for real networks in the tests of everything above the
// packet layer.
//
// It is honest: its errors, answers and translations are compared with those of
// Linux routers and hosts, byte for byte (TestHonest...).
//
// The rule of this room: equal seeds give equal bytes at equal times. What is
// random is drawn from the seed and the number of the packet, so that it doesn't
// depend on what happens to other packets; everything happens in the order of
// its time, and at one instant in the order in which it was caused. The model
// reads no clock, starts no goroutine and opens no socket.
//
// A [Scenario] says what the network is like; it is written as Go values or as
// text ([Parse]), or drawn from a seed: [Internet]. [New] makes a [Model] of it,
// the network itself: [Model.Inject] and [Model.Receive]. What a packet must meet
// is told by [Model.Expect], and what has happened by [Model.Truth].
//
// There are two front ends: a [Conn] is the model as a network connection in
// memory, under the clock of the program or that of a testing/synctest bubble;
// package sim/tun is the model behind a TUN device, for any program.
package sim

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
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
	// target: each packet's calls come in the order of time, among packets they need
	// not. It must not call the model, or its Conn.
	Watch func(Arrival)

	seed    uint64
	hostRST bool
	paths   []*path
	byDst   map[netip.Addr]*path
	byReal  map[netip.Addr]*path // by what the real hosts are called, see Target.Real

	now      time.Duration
	injected uint64
	fromReal uint64 // packets of real hosts
	cause    uint64 // number of the injected packet that what happens now goes back to; 0: none
	queue    queue
	ready    fifo // delivered, not yet received
	real     fifo // got to a real host, not yet taken
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
	graphs []*graph // the first one and those of the changes
	target *target
	sent   int    // packets injected
	last   []byte // the last of them, for those who forge answers to it

	devices map[uint32]*node // of the whole network, see Router.Device
}

// route is the routers by which some packets go.
type route struct {
	path  *path
	graph *graph
	nodes []*node
}

// transit is a packet on its way.
type transit struct {
	b      []byte
	chance chance
	id     uint64 // random; the same for the packet and its duplicates
	cause  uint64 // see Model.cause
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
	m := &Model{seed: mix(s.Seed + 1), hostRST: !s.NoHostRST, byDst: map[netip.Addr]*path{},
		byReal: map[netip.Addr]*path{}}
	devices := make(map[uint32]*node)
	for i := range s.Paths {
		spec := &s.Paths[i]
		p := &path{index: i, devices: devices}
		salt := mix(m.seed ^ uint64(i)<<32 ^ 1)
		p.target = newTarget(&spec.Target, salt)
		p.graphs = append(p.graphs, newGraph(p, salt, spec.Routers))
		p.graphs[0].vertices = newVertices(devices, salt, spec.Nodes)
		for _, c := range spec.Changes {
			g := newGraph(p, salt, c.Routers)
			g.packet, g.time, g.port, g.share, g.salt = c.Packet, c.Time, c.Port, c.Share, mix(salt^uint64(len(p.graphs))<<16^5)
			p.graphs = append(p.graphs, g)
		}
		m.paths = append(m.paths, p)
		m.byDst[spec.Target.Addr] = p
		if spec.Target.Real {
			for _, a := range spec.realNames() {
				m.byReal[a] = p
			}
		}
	}
	return m, nil
}

// realNames are the addresses that the path's target may be called by behind the
// routers.
func (p *Path) realNames() []netip.Addr {
	names := []netip.Addr{p.Target.Addr}
	routes := [][]Router{p.Routers}
	for _, c := range p.Changes {
		routes = append(routes, c.Routers)
	}
	for i := range p.Nodes {
		routes = append(routes, []Router{p.Nodes[i].Router})
	}
	for len(routes) > 0 {
		routers := routes[0]
		routes = routes[1:]
		for i := range routers {
			if f := routers[i].Fork; f != nil {
				for _, w := range f.Ways {
					routes = append(routes, w.Routers)
				}
			}
			for _, a := range []netip.Addr{routers[i].NAT.Dst.Addr(), routers[i].Set.Dst} {
				if a.IsValid() {
					names = append(names, a)
				}
			}
		}
	}
	return names
}

// routeAt is the route that a packet sent now takes, by its addresses and ports;
// random decides where each packet goes its own way.
func (p *path) routeAt(now time.Duration, b []byte, random uint64) *route {
	g := p.graphs[0]
	for _, c := range p.graphs[1:] {
		if c.packet > 0 && p.sent >= c.packet || c.time > 0 && now >= c.time || c.port > 0 && flowOf(b).dstPort == c.port ||
			c.takes(b) {
			g = c
		}
	}
	return g.route(now, b, random)
}

// takes reports whether a flow is among the share that the graph is for.
func (g *graph) takes(b []byte) bool {
	if g.share == 0 {
		return false
	}
	f := flowOf(b)
	return unit(f.hash(g.salt)) < g.share
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
	m.cause = m.injected
	random := mix(m.seed ^ m.injected)
	t := m.newTransit(chance(random), p.routeAt(m.now, b, mix(random)), 0)
	t.b = append(t.b, b...)
	m.startSpoofing(t)
	m.ahead(t, m.now)
	return nil
}

// Injected is how many packets have been injected; that of the last one is its
// number.
func (m *Model) Injected() uint64 { return m.injected }

// InjectReal takes a packet that a real host sends, which the model has handed
// out by [Model.ReceiveReal]: its answer, most of all. For the rest it is Inject;
// it is no packet of a path's count, and finds its path by its source.
func (m *Model) InjectReal(at time.Duration, b []byte) error {
	n := packetLen(b)
	if n == 0 || n > len(b) {
		return ErrMalformed
	}
	b = b[:n]
	p := m.byReal[addrOf(flowOf(b).src)]
	if p == nil {
		return ErrNoRoute
	}
	m.run(at)
	m.now = max(m.now, at)
	m.fromReal++
	m.cause = 0
	r := p.routeAt(m.now, b, m.fromReal)
	t := m.newTransit(chance(mix(m.seed^^m.fromReal)), r, len(r.nodes))
	t.b = append(t.b, b...)
	m.home(t, m.now)
	return nil
}

// ReceiveReal is Receive for the real hosts: the next packet that got to one.
func (m *Model) ReceiveReal(now time.Duration, buf []byte) (r Received, ok bool) {
	m.run(now)
	return m.take(&m.real, buf)
}

// packetLen is the length of an IP packet by its header; 0 where it has none.
func packetLen(b []byte) int {
	switch {
	case len(b) >= ipv4HeaderLen && isIPv4(b) && b[0]&0x0f >= 5:
		return max(int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:])))
	case len(b) >= ipv6HeaderLen && b[0]>>4 == 6:
		return ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	}
	return 0
}

// find returns the path that a packet from the host takes, and its length.
func (m *Model) find(b []byte) (*path, int, error) {
	n := packetLen(b)
	if n == 0 || n > len(b) {
		return nil, 0, ErrMalformed
	}
	p := m.byDst[addrOf(flowOf(b).dst)]
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
	m.queue.pushOut(max(at, m.now), t)
}

// Next says when something happens next; it need not be a delivery. It reports
// false where nothing will before the next Inject.
func (m *Model) Next() (due time.Duration, ok bool) {
	if m.ready.head != nil {
		return m.ready.head.due, true
	}
	return m.queue.next()
}

// NextOut says when, by what is known now, the next packet comes out of the
// model: for the host, or for a real one. It may turn out to be earlier, when
// what [Model.Next] tells has happened. It reports false where none is known.
func (m *Model) NextOut() (due time.Duration, ok bool) {
	if m.ready.head != nil {
		return m.ready.head.due, true
	}
	return m.queue.out.next()
}

// Received is a packet that comes out of the model.
type Received struct {
	N   int           // bytes copied
	Due time.Duration // the instant of its arrival
	// Probe is the number of the injected packet that it goes back to, counted from
	// 1: the packet itself, or what it answers, as a retransmission does too. 0: none,
	// as with what was forged or has been at a real host.
	Probe uint64
}

// Receive copies the next packet for the host into buf, cut to buf's length, and
// returns the instant of its arrival; ok is false where none has come by now.
func (m *Model) Receive(now time.Duration, buf []byte) (n int, due time.Duration, ok bool) {
	r, ok := m.ReceiveOne(now, buf)
	return r.N, r.Due, ok
}

// ReceiveOne is Receive, and tells more of the packet.
func (m *Model) ReceiveOne(now time.Duration, buf []byte) (r Received, ok bool) {
	for m.ready.head == nil {
		if next, ok := m.queue.next(); !ok || next > now {
			return Received{}, false
		}
		m.step()
	}
	return m.take(&m.ready, buf)
}

func (m *Model) take(from *fifo, buf []byte) (r Received, ok bool) {
	t := from.pop()
	if t == nil {
		return Received{}, false
	}
	m.free.push(t)
	return Received{copy(buf, t.b), t.due, t.cause}, true
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
	m.now, m.cause = due, 0
	what.happen(m)
}

func (t *transit) happen(m *Model) {
	m.cause = t.cause
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
	*t = transit{b: t.b[:0], chance: c, id: mix(uint64(c)), cause: m.cause, route: r, hop: hop}
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
		m.arrive(c, at+link.time(&c.chance))
	}
	m.arrive(t, at+link.time(&t.chance))
}

// arrive lets a packet come to the node at t.hop at an instant. Routers that
// would only pass it on do so at once: what becomes of the packet there depends
// on nothing that happens until then.
func (m *Model) arrive(t *transit, at time.Duration) {
	switch {
	case t.hop == len(t.route.nodes):
		if t.route.path.target.Real {
			m.queue.pushOut(at, t)
			return
		}
	case t.route.nodes[t.hop].passes(t.b):
		n := t.route.nodes[t.hop]
		m.visit(t, n, at)
		m.forward(t, n, at)
		return
	}
	m.queue.push(at, t)
}

// home sends an answer of the node at t.hop back over the link before that node,
// and on to the host. The routers in between only look up what was fixed when
// the probe passed, so all of it is done at once.
func (m *Model) home(t *transit, at time.Duration) {
	t.back = true
	if t.hop < len(t.route.nodes) && t.route.nodes[t.hop].goesHome(t.b) {
		m.turnHome(t, t.route.nodes[t.hop], at)
		return
	}
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
	link, back, _ := t.route.link(t.hop)
	at += link.Delay + t.chance.below(link.Jitter) + back.time(&t.chance)
	if t.hop == 0 {
		m.queue.pushOut(at, t)
		return
	}
	t.hop--
	m.backThrough(t, at)
}

// backThrough lets an answer from beyond pass the node at t.hop.
func (m *Model) backThrough(t *transit, at time.Duration) {
	n := t.route.nodes[t.hop]
	if !n.Hidden {
		left := ttl(t.b)
		if left <= 1 {
			n.lost++
			m.free.push(t)
			return
		}
		putTTL(t.b, left-1)
	}
	if n.Both && n.SYNs.Every > 0 && tcpFlags(t.b).Has(packet.SYN) && !n.syns.take(n.SYNs, at) {
		n.lost++
		m.free.push(t)
		return
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
	reset := m.newTransit(chance(t.chance.next()), nil, 0)
	reset.b, _ = packet.AppendTCP(reset.b, &m.answer)
	reset.route = p.routeAt(m.now, reset.b, reset.id)
	m.ahead(reset, m.now+hostRSTDelay)
}
