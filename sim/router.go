package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// Link is the way between a node and the one before it.
type Link struct {
	Delay     time.Duration // one way, at least
	Jitter    time.Duration // added to it: uniform, from 0 up to this; packets may overtake each other
	Loss      float64       // probability, 0 to 1
	Duplicate float64       // probability
	Held      Held          // reordering: some packets wait
}

// Held says that something is held up by a time, with a probability.
type Held struct {
	P  float64 // 0 to 1
	By time.Duration
}

func (l *Link) time(c *chance) time.Duration {
	return l.Delay + c.below(l.Jitter) + l.Held.time(c)
}

func (h *Held) time(c *chance) time.Duration {
	if c.hit(h.P) {
		return h.By
	}
	return 0
}

// Rate is a token bucket: one token each Every, at most Burst of them (0 counts
// as 1), full at the start. The zero value: no limit.
type Rate struct {
	Every time.Duration
	Burst int
}

// The kinds of quotes, as Answers.Quote; others are a number of bytes.
const (
	QuoteFull    = 0  // as much as fits: 576 bytes in all (RFC 1812 4.3.2.3), IPv6: 1280 (RFC 4443 2.4)
	QuoteMinimum = -1 // IP header and 8 bytes (RFC 792)
)

// Answers says how a node sends ICMP errors.
type Answers struct {
	TTL, TOS uint8 // of the answer as it is sent; TTL 0: 255 for a router, 64 for a target
	// TTL and TOS of Linux instead: 64; over IPv4 internetwork control with the rest of the packet's TOS, over IPv6 0
	Linux      bool
	From       netip.Addr    // source address; none: the node's own
	Silent     float64       // share of the answers that are not given; 1: never an answer
	Rate       Rate          // what is above this limit isn't answered
	SourceRate Rate          // the same, for each source address apart, as Linux does
	Slow       time.Duration // the median time for making one, with a long tail (log-logistic)
	Late       Held          // some are held up
	// how many routers further an error travels before it turns back: to the end of an MPLS tunnel
	Detour     int
	Quote      int // bytes of the packet that are quoted, IP header included; QuoteFull, QuoteMinimum
	QuoteAs    Rewrite
	Extensions Extensions
}

// Router is one hop of a path, or several routers side by side.
//
// What a packet meets, in this order: its TTL ends here (time exceeded); Rules;
// Limits; Tracking and NAT; Set and RandomID; the link to the next node.
type Router struct {
	// Fork, unless nil, stands in place of a router; nothing else of it counts then.
	Fork *Fork
	Home *Home // the answers of this router and those from beyond go back another way; nil: they don't

	// Device, unless 0, makes all routers of the scenario with this number one device, as the first of them is: packets to
	// different targets use up the same limits, and the same hash sends them one of several ways. So paths make a tree.
	Device uint32

	// Addrs holds the router's address; several are that many routers, one of which
	// is taken by a hash over addresses and ports, or for each packet at random.
	// Neighbours of the same width make one diamond, in whose branch a packet stays.
	// None: a router that can't answer.
	Addrs     []netip.Addr
	PerPacket bool
	InTurn    bool // PerPacket, not at random: each packet takes the next one
	// Hidden routers leave the TTL alone, out and back, as inside an MPLS tunnel that doesn't propagate it: no hops.
	Hidden bool

	Link      // from the node before this one, to this one
	Back Link // of the way back: Delay and Jitter are added to those of Link, the rest stands alone
	Answers
	Rules []Rule
	Limits
	NAT NAT
	Tracking
	Set      Rewrite // changes packets that are forwarded
	Mangle           // and their TCP headers
	RandomID bool    // gives packets that are forwarded another IP ID (IPv4)
	Spoof    Spoof
	// Unresolved: nobody has the address of the next node on the link. The packets wait so long for it, counted from the
	// first of them, and then each is answered by a host unreachable. Linux takes 3.07 s. 0: somebody has it.
	Unresolved time.Duration
	Inject     Inject
}

// Inject is a device beside the router, or in line, that answers SYNs in the name of their destination and lets them go
// on: the destination answers as well. The zero value: none.
type Inject struct {
	Kind  Action        // Reset or Accept
	TTL   uint8         // of its answers as they are sent; 0: 64
	Least uint8         // it answers SYNs that come with this TTL or more; up to 1: what expires at the router, too
	Delay time.Duration // between a SYN and the answer
}

// Limits are what a router forwards at the most; it drops the rest without a word.
type Limits struct {
	SYNs    Rate  // SYNs without ACK
	Both    bool  // SYN+ACKs that come back count as SYNs too, as by the rule "tcp flags syn" of nft
	Packets Rate  // all packets: a policer
	Longest int   // bytes of a packet; 0: no limit
	Told    bool  // what is longer, and may not be cut up, is answered by "too big"; the rest passes
	Mark    uint8 // packets with this TOS or traffic class are not forwarded; 0: none
	Lowest  uint8 // packets that would go on with a smaller TTL are not forwarded
}

// node is the state of a Router.
type node struct {
	*Router
	salt, branch uint64 // of its own, and of the diamond it belongs to
	ttl          uint8
	objects      []byte // encoded extension objects
	members      []member
	lost         int
	flows        flows
	syns, all    bucket // of Limits
	rules        []ruleState
	turn         uint64     // how many packets have come, where they go in turn
	stateless    bool       // what becomes of a packet doesn't depend on those before, and it has no rules
	changes      bool       // what it forwards, by Set or RandomID
	waiting      []*transit // for the address of the next node
	home         []step     // the routers of Home
}

// member is one of the routers side by side.
type member struct {
	Member
	bucket  bucket
	sources map[[16]byte]*bucket // of SourceRate
}

// mayAnswer takes a token for an error to a source from all the buckets, or none.
func (w *member) mayAnswer(n *node, source [16]byte, now time.Duration) bool {
	if n.SourceRate.Every > 0 {
		b := w.sources[source]
		if b == nil {
			if w.sources == nil {
				w.sources = map[[16]byte]*bucket{}
			}
			b = &bucket{left: n.SourceRate.depth(), at: now}
			w.sources[source] = b
		}
		if !b.take(n.SourceRate, now) {
			return false
		}
	}
	return w.bucket.take(n.Rate, now)
}

func newNode(r *Router, salt, branch uint64) *node {
	n := &node{Router: r, salt: salt, branch: branch, ttl: r.TTL, rules: newRuleStates(r.Rules)}
	n.objects, _ = r.Extensions.objects() // Validate has seen the error
	switch {
	case r.Linux:
		n.ttl = hostTTL
	case n.ttl == 0:
		n.ttl = routerTTL
	}
	n.stateless = len(r.Rules) == 0 && r.Tracking == Tracking{} && r.NAT == NAT{} && r.Limits == Limits{} && !r.InTurn &&
		r.Unresolved == 0 && r.Inject == Inject{}
	n.syns.left, n.all.left = r.SYNs.depth(), r.Packets.depth()
	n.changes = r.RandomID || r.Set != Rewrite{} || !r.Mangle.none()
	n.members = make([]member, max(1, len(r.Addrs)))
	for i, a := range r.Addrs {
		n.members[i].Addr = a
	}
	for i := range n.members {
		n.members[i].bucket.left = r.Rate.depth()
	}
	return n
}

// pick returns which of the routers side by side a packet comes to.
func (n *node) pick(t *transit) *member {
	width := uint64(len(n.members))
	if width == 1 {
		return &n.members[0]
	}
	if n.InTurn {
		return &n.members[n.turn%width]
	}
	if n.PerPacket {
		return &n.members[mix(t.id^n.branch)%width]
	}
	f := flowOf(t.b)
	return &n.members[f.hash(n.branch)%width]
}

// atRouter is what happens to a packet that comes to a router.
func (m *Model) atRouter(t *transit) {
	n := t.route.nodes[t.hop]
	who := m.visit(t, n, m.now)
	m.inject(t, n)
	if !n.Hidden && ttl(t.b) <= 1 {
		who.Expired++
		m.sendError(t, n, who, timeExceeded, 0)
		return
	}
	n.age(t.b) // before the rules: what a firewall rejects is quoted as it would have gone on
	switch rule := match(n.Rules, n.rules, t.b, &t.chance, m.now); rule.Action {
	case Drop:
		who.Dropped++
		m.free.push(t)
		return
	case Reject:
		who.Dropped++
		m.sendError(t, n, who, unreachable, rule.Code)
		return
	case Reset:
		who.Dropped++
		who.Answered += m.sendReset(t, n.ttl)
		return
	case Accept:
		who.Dropped++
		who.Answered += m.sendAccept(t, n)
		return
	}
	switch n.within(t.b, m.now) {
	case tooLong:
		who.Dropped++
		m.sendError(t, n, who, tooBig, 0)
		return
	case over:
		who.Dropped++
		m.free.push(t)
		return
	}
	if !n.track(t.b) {
		who.Dropped++
		m.free.push(t)
		return
	}
	m.leave(t, n, m.now)
}

// visit takes down that a packet comes to a router.
func (m *Model) visit(t *transit, n *node, at time.Duration) *member {
	who := n.pick(t)
	n.turn++
	who.Arrived++
	if tcpFlags(t.b).Has(packet.RST) {
		who.Resets++
	}
	if m.Watch != nil {
		m.Watch(Arrival{At: at, Path: t.route.path.index, Hop: t.hop + 1, Addr: who.Addr, Packet: t.b})
	}
	return who
}

// limited is what becomes of a packet by the Limits.
type limited uint8

const (
	fits    limited = iota
	over            // it is dropped
	tooLong         // and its sender is told
)

// within takes a packet to be forwarded off the limits.
func (n *node) within(b []byte, now time.Duration) limited {
	long := n.Longest > 0 && len(b) > n.Longest
	switch {
	case n.SYNs.Every > 0 && opens(b) && !n.syns.take(n.SYNs, now),
		n.Mark != 0 && trafficClass(b) == n.Mark,
		ttl(b) < n.Lowest,
		long && !n.Told:
		return over
	case long && (!isIPv4(b) || b[6]&dontFragment != 0):
		return tooLong
	case n.Packets.Every != 0 && !n.all.take(n.Packets, now):
		return over
	}
	return fits
}

// dontFragment is the flag in the byte of an IPv4 header that holds it.
const dontFragment = 0x40

// passes tells whether the router only passes a packet on, whenever that may be.
func (n *node) passes(b []byte) bool { return n.stateless && (n.Hidden || ttl(b) > 1) }

// age takes one off the TTL.
func (n *node) age(b []byte) {
	if !n.Hidden {
		putTTL(b, ttl(b)-1)
	}
}

// forward is atRouter for a packet that passes.
func (m *Model) forward(t *transit, n *node, at time.Duration) {
	n.age(t.b)
	m.leave(t, n, at)
}

// restTarget sends a packet on, changed as the router changes all.
func (m *Model) leave(t *transit, n *node, at time.Duration) {
	if n.changes {
		n.Set.apply(t.b)
		n.Mangle.apply(t.b)
		if n.RandomID && isIPv4(t.b) {
			put16(t.b, 4, uint16(t.chance.next()), ipv4Sum)
		}
	}
	if n.Unresolved > 0 {
		if n.waiting = append(n.waiting, t); len(n.waiting) == 1 {
			m.queue.push(at+n.Unresolved, n)
		}
		return
	}
	t.hop++
	m.ahead(t, at)
}

// happen is the end of the search for the address of the next node.
func (n *node) happen(m *Model) {
	waiting := n.waiting
	n.waiting = nil
	for _, t := range waiting {
		m.cause = t.cause
		m.sendError(t, n, n.pick(t), unreachable, hostUnreachable(isIPv4(t.b)))
	}
}

// hostUnreachable is the code of an ICMP unreachable from a router that can't deliver.
func hostUnreachable(v4 bool) uint8 {
	if v4 {
		return 1
	}
	return 3
}

// errorKind is an ICMP error by what it says; its type differs between families.
type errorKind uint8

const (
	timeExceeded errorKind = iota
	unreachable
	tooBig // with the code fragmentationNeeded over IPv4
)

const fragmentationNeeded = 4

func (k errorKind) icmpType(v4 bool) uint8 {
	switch {
	case k == tooBig && !v4:
		return packet.ICMPv6TooBig
	case k == timeExceeded && v4:
		return packet.ICMPv4TimeExceeded
	case k == timeExceeded:
		return packet.ICMPv6TimeExceeded
	case v4:
		return packet.ICMPv4Unreachable
	}
	return packet.ICMPv6Unreachable
}

const (
	routerTTL = 255
	hostTTL   = 64
)

// sendError ends a packet with an ICMP error of the node where it is.
func (m *Model) sendError(t *transit, n *node, who *member, kind errorKind, code uint8) {
	defer m.free.push(t)
	from := who.Addr
	if n.From.IsValid() {
		from = n.From
	}
	if !from.IsValid() || t.chance.hit(n.Silent) {
		return
	}
	flow := flowOf(t.b) // whatever the quote shows
	source := flow.src
	if n.NAT.HideHops {
		from = addrOf(flow.dst)
	}
	if !who.mayAnswer(n, source, m.now) {
		who.Limited++
		return
	}
	wait := t.chance.longTail(n.Slow) + n.Late.time(&t.chance)
	n.QuoteAs.apply(t.b)
	e := packet.ICMPError{
		Src: from, Dst: addrOf(source),
		TTL: n.ttl, TOS: n.tos(t.b), ID: uint16(t.chance.next()), FlowLabel: uint32(n.salt) & 0xfffff,
		Type: kind.icmpType(isIPv4(t.b)), Code: code,
		Quote: t.b, QuoteLength: n.Quote,
		Extensions: n.objects, NonCompliant: n.Extensions.NonCompliant,
	}
	if kind == tooBig {
		if e.MTU = uint32(n.Longest); isIPv4(t.b) {
			e.Code = fragmentationNeeded
		}
	}
	if n.Quote == QuoteMinimum {
		e.QuoteLength = ipv6HeaderLen + 8
		if isIPv4(t.b) {
			e.QuoteLength = int(t.b[0]&0x0f)*4 + 8
		}
	}
	if a := m.newError(&e, t); a != nil {
		a.b = n.Extensions.spoil(a.b)
		who.Answered++
		if at, ok := m.detour(a, n.Detour, m.now+wait); ok {
			m.home(a, at)
		}
	}
}

// detour takes an answer some routers further along, up to the last one, and
// returns when it gets there. It reports false where the answer gets lost.
func (m *Model) detour(a *transit, routers int, at time.Duration) (time.Duration, bool) {
	for ; routers > 0 && a.hop+1 < len(a.route.nodes); routers-- {
		a.hop++
		n := a.route.nodes[a.hop]
		if a.chance.hit(n.Link.Loss) || !n.Hidden && ttl(a.b) <= 1 {
			n.lost++
			m.free.push(a)
			return 0, false
		}
		if !n.Hidden {
			putTTL(a.b, ttl(a.b)-1)
		}
		at += n.Link.time(&a.chance)
	}
	return at, true
}

// newError makes an error about t at the node where t is; nil where its source
// address can't be answered.
func (m *Model) newError(e *packet.ICMPError, t *transit) *transit {
	a := m.newTransit(chance(t.chance.next()), t.route, t.hop)
	var err error
	if a.b, err = packet.AppendICMP(a.b, e); err != nil {
		m.free.push(a)
		return nil
	}
	return a
}

// tos is that of an error about a packet.
func (n *node) tos(b []byte) uint8 {
	switch {
	case !n.Linux:
		return n.TOS
	case isIPv4(b):
		return b[1]&0x1e | 0xc0 // icmp.c: RT_TOS(iph->tos) | IPTOS_PREC_INTERNETCONTROL
	}
	return 0
}

// bucket is the state of a Rate, in time: a token costs Rate.Every.
type bucket struct {
	left time.Duration
	at   time.Duration
}

func (r Rate) depth() time.Duration { return r.Every * time.Duration(max(1, r.Burst)) }

func (b *bucket) take(r Rate, now time.Duration) bool {
	b.left = min(r.depth(), b.left+now-b.at)
	b.at = now
	if b.left < r.Every {
		return false
	}
	b.left -= r.Every
	return true
}

// Extensions are the RFC 4884 objects of an error, and what a broken sender
// makes of them.
type Extensions struct {
	MPLS      []packet.Label   // top first; Bottom is set where it belongs
	Interface packet.Interface // left out where only the role is set
	Node      packet.Node

	NonCompliant bool    // no length field, as before RFC 4884
	Length       *uint8  // value of the length field, right or not
	ObjectLength *uint16 // value of the first object's length field
	BadChecksum  bool    // of the extension structure
	Cut          int     // bytes that are missing at the end of the packet
}

// objects encodes the objects.
func (x *Extensions) objects() (b []byte, err error) {
	if len(x.MPLS) > 0 {
		stack := slices.Clone(x.MPLS)
		for i := range stack {
			stack[i].Bottom = i == len(stack)-1
		}
		if b, err = packet.AppendMPLS(b, stack...); err != nil {
			return nil, err
		}
	}
	if i := x.Interface; i.Index != 0 || i.Addr.IsValid() || len(i.Name) > 0 || i.MTU != 0 {
		if b, err = packet.AppendInterface(b, i); err != nil {
			return nil, err
		}
	}
	if n := x.Node; n.Addr.IsValid() || len(n.Name) > 0 {
		return packet.AppendNode(b, n)
	}
	return b, nil
}

// spoil makes the defects that are asked for in an ICMP error, whose own
// checksum stays right.
func (x *Extensions) spoil(b []byte) []byte {
	if x.Length == nil && x.ObjectLength == nil && !x.BadChecksum && x.Cut == 0 {
		return b
	}
	msg, field, unit := ipv4HeaderLen, 5, 4
	if !isIPv4(b) {
		msg, field, unit = ipv6HeaderLen, 4, 8
	}
	at := msg + icmpHeaderLen + 128 // where non-compliant ones start
	if n := int(b[msg+field]); n > 0 {
		at = msg + icmpHeaderLen + n*unit
	}
	if at+8 <= len(b) {
		if x.ObjectLength != nil {
			binary.BigEndian.PutUint16(b[at+4:], *x.ObjectLength)
			binary.BigEndian.PutUint16(b[at+2:], 0)
			binary.BigEndian.PutUint16(b[at+2:], packet.Checksum(b[at:]))
		}
		if x.BadChecksum {
			b[at+3] ^= 0x55
		}
	}
	if x.Length != nil {
		b[msg+field] = *x.Length
	}
	b = b[:max(msg+icmpHeaderLen, len(b)-x.Cut)]
	if isIPv4(b) {
		put16(b, 2, uint16(len(b)), ipv4Sum)
	} else {
		put16(b, 4, uint16(len(b)-ipv6HeaderLen))
	}
	completeICMP(b, msg)
	return b
}
