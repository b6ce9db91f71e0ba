package sim

import (
	"encoding/binary"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// Rule is one line of a packet filter. The first rule that fits a packet decides;
// where none does, it passes.
type Rule struct {
	Action   Action
	Code     uint8  // of the ICMP unreachable, for Reject
	Lo, Hi   uint16 // destination ports; 0 and 0: all
	Source   bool   // Lo and Hi are source ports
	Segments Segments
	// Share is for how many of these packets the rule is, each drawn at random, 0 to 1; 0: for all. [Model.Expect]
	// passes over such a rule.
	Share float64
	// InTurn is for every so manieth of these packets, in strict turn; up to 1: for all. [Model.Expect] passes over such a
	// rule.
	InTurn uint8
	// Over is a limit: the rule is for the packets beyond it; the zero value: for all. [Model.Expect] passes over such a
	// rule.
	Over Rate
	// Since is the instant from which on the rule holds. [Model.Expect] passes over a rule that holds later.
	Since time.Duration
}

// Action is what a rule does with a packet.
type Action uint8

const (
	Pass   Action = iota
	Drop          // no answer
	Reject        // ICMP destination unreachable with the rule's code, whose quote has the TTL already decremented
	Reset         // a TCP reset in the name of the destination, with the router's TTL
	// likewise a SYN+ACK to a SYN, as a SYN proxy or a gateway that ends TCP sends it; other segments are dropped
	Accept
)

// Segments says which TCP segments a rule is for.
type Segments uint8

const (
	AllSegments Segments = iota
	OnlySYN              // SYN without ACK
	NotSYN               // the others
	NotTCP               // what is no TCP segment; no other rule is about that
)

// ruleState is what a rule has seen.
type ruleState struct {
	packets uint64 // that it fits
	bucket  bucket // of Over
}

func newRuleStates(rules []Rule) []ruleState {
	all := make([]ruleState, len(rules))
	for i := range all {
		all[i].bucket.left = rules[i].Over.depth()
	}
	return all
}

// match finds the rule that decides now. Without chances, rules for some of the packets are for none.
func match(rules []Rule, states []ruleState, b []byte, c *chance, now time.Duration) Rule {
	if len(rules) == 0 {
		return Rule{}
	}
	l4 := transport(b)
	if l4+tcpHeaderLen > len(b) {
		for i, r := range rules {
			if r.Segments == NotTCP && now >= r.Since && (!r.some() || c != nil && r.drawn(&states[i], c, now)) {
				return r
			}
		}
		return Rule{}
	}
	source, destination := binary.BigEndian.Uint16(b[l4:]), binary.BigEndian.Uint16(b[l4+2:])
	syn := opens(b)
	for i, r := range rules {
		port := destination
		if r.Source {
			port = source
		}
		if (r.Hi == 0 || r.Lo <= port && port <= r.Hi) && r.Segments != NotTCP &&
			(r.Segments == AllSegments || (r.Segments == OnlySYN) == syn) && now >= r.Since &&
			(!r.some() || c != nil && r.drawn(&states[i], c, now)) {
			return r
		}
	}
	return Rule{}
}

// some reports whether the rule is for some of the packets that it fits.
func (r *Rule) some() bool { return r.Share != 0 || r.InTurn > 1 || r.Over.Every > 0 }

// drawn reports whether a rule for some of the packets is for this one.
func (r *Rule) drawn(s *ruleState, c *chance, now time.Duration) bool {
	s.packets++
	return (r.Share == 0 || c.hit(r.Share)) && (r.InTurn <= 1 || s.packets%uint64(r.InTurn) == 0) &&
		(r.Over.Every == 0 || !s.bucket.take(r.Over, now))
}

// opens tells a SYN without ACK.
func opens(b []byte) bool {
	return tcpFlags(b)&(packet.SYN|packet.ACK) == packet.SYN
}

// tcpFlags returns the lower eight flags of a TCP segment; none for anything else.
func tcpFlags(b []byte) packet.Flags {
	if at := transport(b) + 13; at < len(b) {
		return packet.Flags(b[at])
	}
	return 0
}

// Tracking says what a router does because it knows the connections. It never
// forgets one; after a reset the next SYN starts it anew.
type Tracking struct {
	Stateful bool // drops what is not a SYN and belongs to no connection
	OneISN   bool // drops a SYN that brings a known connection another sequence number, as a Cisco ASA does
	// replaces sequence numbers by its own (a Cisco ASA's default), in TCP answers back again; quotes keep them
	RandomISN bool
}

// NAT translates addresses and ports of TCP; the answers and, unless RawQuote,
// the packets quoted in ICMP errors are translated back. Address or port that is
// zero: left as it is.
type NAT struct {
	Dst      netip.AddrPort
	Src      netip.AddrPort // each flow gets the next port, starting from this one
	RawQuote bool
	// HideHops: ICMP errors come from the address that Dst stands in for, whoever sent
	// them, the router itself too: so Linux does it. Otherwise only the target's do.
	HideHops bool
}

// flow is what a router knows of a connection.
type flow struct {
	inside, outside tuple // before and behind the router
	isn             uint32
	shift           uint32 // added to sequence numbers
	reset           bool   // a new SYN may bring another sequence number
}

// flows are the connections a router knows, by the name they have on either side.
type flows struct {
	inside, outside map[tuple]*flow
}

// track passes a packet through the connection table of a router, and translates
// it. It reports false where the packet is dropped.
func (n *node) track(b []byte) bool {
	if n.Tracking == (Tracking{}) && n.NAT == (NAT{}) {
		return true
	}
	l4 := transport(b)
	if l4+tcpHeaderLen > len(b) {
		return true
	}
	name := flowOf(b)
	seq := binary.BigEndian.Uint32(b[l4+4:])
	f := n.flows.inside[name]
	switch syn := opens(b); {
	case f == nil && n.Stateful && !syn:
		return false
	case f == nil:
		f = n.newFlow(name)
		f.isn = seq
		if n.flows.inside == nil {
			n.flows = flows{map[tuple]*flow{}, map[tuple]*flow{}}
		}
		n.flows.inside[name] = f
		n.flows.outside[f.outside] = f
	case syn && f.reset:
		f.isn, f.reset = seq, false
	case syn && n.OneISN && seq != f.isn:
		return false
	}
	if tcpFlags(b).Has(packet.RST) {
		f.reset = true
	}
	f.outside.put(b)
	add32(b, l4+4, f.shift, l4+tcpSum)
	return true
}

// newFlow says what becomes of a flow that is not known yet.
func (n *node) newFlow(name tuple) *flow {
	f := &flow{inside: name, outside: name}
	if a := n.NAT.Dst.Addr(); a.IsValid() {
		f.outside.dst = a.As16()
	}
	if p := n.NAT.Dst.Port(); p != 0 {
		f.outside.dstPort = p
	}
	if a := n.NAT.Src.Addr(); a.IsValid() {
		f.outside.src = a.As16()
	}
	if p := n.NAT.Src.Port(); p != 0 {
		f.outside.srcPort = p + uint16(len(n.flows.inside))
	}
	for n.flows.outside[f.outside] != nil { // two that would be the same beyond the router
		f.outside.srcPort++
	}
	if n.RandomISN {
		f.shift = uint32(name.hash(n.salt)) | 1
	}
	return f
}

// reverse translates an answer that passes the router on its way back.
func (n *node) reverse(b []byte) {
	if len(n.flows.outside) == 0 {
		return
	}
	if msg := icmpError(b); msg != 0 {
		n.reverseError(b, msg)
		return
	}
	name := flowOf(b)
	f := n.flows.outside[name.reversed()]
	if f == nil {
		return
	}
	name = f.inside.reversed()
	name.put(b)
	if tcpFlags(b).Has(packet.ACK) {
		l4 := transport(b)
		add32(b, l4+8, -f.shift, l4+tcpSum)
	}
}

// reverseError translates an ICMP error: the packet in it, and the addresses
// around it.
func (n *node) reverseError(b []byte, msg int) {
	quote := b[msg+icmpHeaderLen:]
	if n := packetLen(quote); n == 0 || isIPv4(quote) != isIPv4(b) { // not even its IP header
		return
	}
	f := n.flows.outside[flowOf(quote)]
	if f == nil {
		return
	}
	outer := flowOf(b)
	putAddr(b, notTCP, true, f.inside.src)
	if outer.src == f.outside.dst || n.NAT.HideHops {
		putAddr(b, notTCP, false, f.inside.dst)
	}
	if !n.NAT.RawQuote {
		f.inside.put(quote)
	}
	completeICMP(b, msg)
}
