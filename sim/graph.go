package sim

import (
	"errors"
	"fmt"
	"time"
)

// Fork is a place from which packets go one of several ways, of any length, which
// come together again at the router that stands next in the list. A way may fork
// again. Two forks in a row are a full mesh.
type Fork struct {
	By Choice
	// Forks with the same seed choose alike, as routers of one maker do that have
	// no seed of their own; 0: it has its own.
	Seed uint64
	Ways []Way
}

// Way is one of the ways of a Fork.
type Way struct {
	Share   float64 // of the flows; 0: an equal part of what the others leave
	Routers []Router
}

// Choice says what decides which way a packet goes.
type Choice uint8

const (
	ByPorts         Choice = iota // addresses and ports; of anything but TCP the addresses alone
	ByAddresses                   // addresses alone
	ByLabel                       // addresses and IPv6 flow label
	ByPortsAndLabel               // all of them
	ByPacket                      // each packet at random
	numberOfChoices               // none
)

// shareTolerance is by how much shares may come to more than 1: they are written in decimal.
const shareTolerance = 1e-9

// Home is another way back. The answers of the router that has it, and those from
// beyond that come back through it, go by these routers, the first of them first.
// Their Rules, Limits and Tracking hold for the answers: what a rule doesn't pass
// is dropped.
type Home struct {
	Skip    int     // so many routers of the way out are left out before both ways are one again; 0, or too many: all
	Share   float64 // of the flows; 0: of all
	Quoted  bool    // the flow of an ICMP error is that of the packet it quotes, as on Linux; else its own
	Routers []Router
}

// graph is the state of the routers on all ways to a target.
type graph struct {
	path     *path
	steps    []step
	vertices []vertex          // where the path is given as nodes; then there are no steps
	routes   map[string]*route // by the ways that were taken
	spoofing bool

	// When it is taken; the first graph of a path always is.
	packet int
	time   time.Duration
	port   uint16
	share  float64
	salt   uint64
}

// step is a router, or a fork.
type step struct {
	node *node
	fork *Fork
	salt uint64
	ways [][]step
}

func newGraph(p *path, salt uint64, routers []Router) *graph {
	return &graph{path: p, steps: newSteps(p.devices, salt, routers), routes: map[string]*route{}}
}

func newSteps(devices map[uint32]*node, salt uint64, routers []Router) (all []step) {
	diamond := 0
	for i := range routers {
		r := &routers[i]
		own := mix(salt ^ uint64(i)<<8 ^ 6)
		if r.Fork != nil {
			s := step{fork: r.Fork, salt: own}
			if r.Fork.Seed != 0 {
				s.salt = mix(r.Fork.Seed)
			}
			for j := range r.Fork.Ways {
				s.ways = append(s.ways, newSteps(devices, mix(own^uint64(j)<<8^7), r.Fork.Ways[j].Routers))
			}
			all = append(all, s)
			continue
		}
		// Neighbours of the same width are one diamond: a packet keeps to its branch.
		if i > 0 && len(r.Addrs) != len(routers[i-1].Addrs) {
			diamond = i
		}
		n := newNode(r, mix(salt^uint64(i)<<8^2), mix(salt^uint64(diamond)<<8^3))
		if r.Device != 0 {
			if devices[r.Device] == nil {
				devices[r.Device] = n
			}
			n = devices[r.Device]
		}
		if r.Home != nil {
			n.home = newSteps(devices, mix(own^8), r.Home.Routers)
		}
		all = append(all, step{node: n})
	}
	return all
}

// choose is the way that a packet takes at a fork; random decides where each packet goes by itself.
func (s *step) choose(b []byte, random uint64) int {
	u := s.fork.By.unit(b, s.salt, random)
	for i := range s.fork.Ways {
		if u -= s.fork.share(i); u < 0 {
			return i
		}
	}
	return len(s.fork.Ways) - 1
}

// unit is the hash by which a packet is sent one of several ways, as a number from 0 to 1.
func (c Choice) unit(b []byte, salt, random uint64) float64 {
	f := flowOf(b)
	switch c {
	case ByAddresses:
		f.srcPort, f.dstPort = 0, 0
	case ByLabel:
		f.srcPort, f.dstPort = 0, 0
		salt = mix(salt ^ uint64(flowLabel(b)))
	case ByPortsAndLabel:
		salt = mix(salt ^ uint64(flowLabel(b)))
	case ByPacket:
		salt = mix(salt ^ random)
	}
	return unit(f.hash(salt))
}

// unit is a hash as a number from 0 to 1.
func unit(hash uint64) float64 { return float64(hash>>11) / (1 << 53) }

// share is what part of the flows takes a way.
func (f *Fork) share(way int) float64 {
	return shareOf(f.Ways, func(w Way) float64 { return w.Share }, way)
}

// route is the one that a packet takes.
func (g *graph) route(now time.Duration, b []byte, random uint64) *route {
	if len(g.vertices) > 0 {
		return g.walk(now, b, random)
	}
	var key [32]byte
	taken := key[:0]
	choose(g.steps, b, random, &taken)
	if r := g.routes[string(taken)]; r != nil {
		return r
	}
	r := &route{path: g.path, graph: g}
	ways := taken
	r.nodes = follow(nil, g.steps, &ways)
	g.routes[string(taken)] = r
	return r
}

func choose(steps []step, b []byte, random uint64, taken *[]byte) {
	for i := range steps {
		if s := &steps[i]; s.fork != nil {
			way := s.choose(b, random)
			*taken = append(*taken, byte(way))
			choose(s.ways[way], b, random, taken)
		}
	}
}

// follow adds the nodes of the ways that were taken.
func follow(nodes []*node, steps []step, taken *[]byte) []*node {
	for i := range steps {
		s := &steps[i]
		if s.fork == nil {
			nodes = append(nodes, s.node)
			continue
		}
		way := (*taken)[0]
		*taken = (*taken)[1:]
		nodes = follow(nodes, s.ways[way], taken)
	}
	return nodes
}

// walkNodes calls f for each router with its hop, that by the longest way.
func walkNodes(steps []step, hop int, f func(n *node, hop int)) (next int) {
	for i := range steps {
		s := &steps[i]
		if s.fork == nil {
			f(s.node, hop)
			hop++
			continue
		}
		longest := hop
		for _, way := range s.ways {
			longest = max(longest, walkNodes(way, hop, f))
		}
		hop = longest
	}
	return hop
}

// goesHome reports whether an answer leaves the way out at a node, to go back another way.
func (n *node) goesHome(b []byte) bool {
	if n.Router.Home == nil {
		return false
	}
	f := flowOf(b)
	if msg := icmpError(b); n.Router.Home.Quoted && msg != 0 {
		if quote := b[msg+icmpHeaderLen:]; packetLen(quote) > 0 {
			f = flowOf(quote)
		}
	}
	return n.Router.Home.Share == 0 || unit(f.hash(mix(n.salt^9))) < n.Router.Home.Share
}

// homeward is an answer on a way back of its own, before the router at index at.
type homeward struct {
	t    *transit
	home []step
	at   int
	join int // the index of the router on the way out where it goes on from; below 0: the host
}

// turnHome sends an answer from the node at t.hop back by another way.
func (m *Model) turnHome(t *transit, n *node, at time.Duration) {
	h := &homeward{t: t, home: n.home, join: -1}
	if n.Router.Home.Skip > 0 {
		h.join = t.hop - n.Router.Home.Skip - 1
	}
	h.goOn(m, at)
}

// goOn is the link to the next router on that way, or the end of it.
func (h *homeward) goOn(m *Model, at time.Duration) {
	if h.at < len(h.home) {
		n := h.home[h.at].node
		if h.t.chance.hit(n.Link.Loss) {
			n.lost++
			m.free.push(h.t)
			return
		}
		m.queue.push(at+n.Link.time(&h.t.chance), h)
		return
	}
	if h.join < 0 {
		m.queue.pushOut(at, h.t)
		return
	}
	h.t.hop = h.join
	m.backThrough(h.t, at)
}

// happen is the answer's coming to a router.
func (h *homeward) happen(m *Model) {
	n := h.home[h.at].node
	b := h.t.b
	who := n.pick(h.t)
	who.Arrived++
	m.cause = h.t.cause
	if !n.Hidden {
		if ttl(b) <= 1 {
			who.Expired++
			m.free.push(h.t)
			return
		}
		n.age(b)
	}
	if match(n.Rules, n.rules, b, &h.t.chance, m.now).Action != Pass || n.within(b, m.now) != fits || !n.track(b) {
		who.Dropped++
		m.free.push(h.t)
		return
	}
	h.at++
	h.goOn(m, m.now)
}

// Errors of forks and ways home.
var (
	errFork = errors.New("fork: two ways at least, at most 255, whose shares leave some for all")
	errHome = errors.New("home: plain routers only, and skip and share in range")
)

// validateRouters is [Scenario.Validate] for a list of routers.
func validateRouters(routers []Router, v4 bool) error {
	if n := longest(routers); n > mostRouters {
		return errors.New("more than 254 routers")
	}
	for i := range routers {
		r := &routers[i]
		err := r.validate(v4)
		switch {
		case r.Fork != nil:
			err = r.Fork.validate(v4)
		case err == nil && r.Home != nil:
			err = r.Home.validate(v4)
		}
		if err != nil {
			return fmt.Errorf("router %d: %w", i+1, err)
		}
	}
	return nil
}

// mostRouters is how many routers there may be on a way.
const mostRouters = 254

// longest is how many routers there are by the longest way.
func longest(routers []Router) (n int) {
	for i := range routers {
		if routers[i].Fork == nil {
			n++
			continue
		}
		most := 0
		for _, w := range routers[i].Fork.Ways {
			most = max(most, longest(w.Routers))
		}
		n += most
	}
	return n
}

func (f *Fork) validate(v4 bool) error {
	sum, equal := 0.0, 0
	for _, w := range f.Ways {
		if err := errors.Join(validateShare(w.Share), validateRouters(w.Routers, v4)); err != nil {
			return err
		}
		sum += w.Share
		if w.Share == 0 {
			equal++
		}
	}
	if n := len(f.Ways); f.By >= numberOfChoices || n < 2 || n > 255 || sum > 1+shareTolerance || equal > 0 && sum >= 1 {
		return errFork
	}
	return nil
}

func (h *Home) validate(v4 bool) error {
	for i := range h.Routers {
		if r := &h.Routers[i]; r.Fork != nil || r.Home != nil {
			return errHome
		}
	}
	if h.Skip < 0 || h.Skip > mostRouters {
		return errHome
	}
	return errors.Join(validateShare(h.Share), validateRouters(h.Routers, v4))
}
