package detect

import (
	"fmt"

	"go.example/tcptraceroute/packet"
)

// state finds what the target itself says of the port.
func state(f *facts) []Finding {
	all := f.portState()
	if text := f.askedLess(); text != "" {
		for i := range all {
			all[i].Confidence = Possible
			all[i].Evidence = append(all[i].Evidence, text)
		}
	}
	return all
}

// portState is what the target says of the port, as if all hops had been asked.
func (f *facts) portState() []Finding {
	if f.answer == nil || f.stranger != nil {
		return nil
	}
	port, d := f.target.Port(), f.distance()
	x := Finding{After: d, Before: d, Confidence: Certain, Weight: weightState, Evidence: []string{f.answerText(f.path)}}
	reply, sent := f.answer.Reply, f.answer.Probe
	flags := reply.TCP.Flags
	forwarded := f.handover.byTarget()
	two := f.contradict()
	// unsure is for an answer that may be a proxy's: where no router has answered, one may stand anywhere.
	unsure := when(d > f.first() && f.lastRouter() < f.first(), Possible, Likely)
	switch {
	case reply.Kind == packet.KindEcho:
		x.Code, x.Title = TargetAlive, "The target answers ICMP echo requests"
	case sent.Flags.Has(packet.ACK) && flags.Has(packet.RST):
		x.Code, x.Title = TargetAlive, fmt.Sprintf("The target is there: it resets an ACK to port %d that belongs to "+
			"no connection", port)
		x.Advice = "Trace without -A for the port's state: an ACK doesn't tell open from closed."
		if d == 0 || f.echo != nil && !f.confirmed(d) {
			x.Confidence = Likely
			x.Evidence = append(x.Evidence, "Nothing else tells who it is that resets: a firewall may do so in the "+
				"target's name.")
		}
	case two != nil && two.code == TCPProxy:
		x.Code, x.Confidence = PortClosed, two.confidence
		x.Title = fmt.Sprintf("Port %d is closed: the target refuses the connection, and something accepts it", port)
	case two != nil && flags.Has(packet.RST):
		x.Code, x.Confidence = PortOpen, two.confidence
		x.Title = fmt.Sprintf("Port %d is open: the target accepts the connection, and something resets it", port)
	case reply.Kind == packet.KindTCP && !f.answer.Proven():
		x.Code, x.Confidence, x.Weight = PortUnclear, Possible, weightNotice
		x.Title = fmt.Sprintf("Whether port %d is open isn't known: SYNs are answered by %v alone, which acknowledges "+
			"nothing", port, flags)
		x.Evidence = append(x.Evidence, "Nothing in these answers shows that their sender has seen a SYN: they came after "+
			"SYNs, and no more often.")
		x.Advice = "Look at the target, or at what stands in front of it: a connection doesn't heed a reset without ACK, " +
			"and hangs; a SYN without ACK opens one only by chance."
	case flags.Has(packet.RST):
		x.Code = PortClosed
		// What stands on the target's own link has no hop of its own.
		x.Title = fmt.Sprintf("Port %d is closed: the target, or a firewall right in front of it, refuses the connection",
			port)
		x.Advice = fmt.Sprintf("Check on the target whether anything listens on port %d and on this address (ss "+
			"-ltn). If it does, a firewall resets in its name: its own, or one right in front of it (security group, "+
			"hypervisor, bridge).", port)
		if forwarded {
			x.Title = fmt.Sprintf("Port %d is closed: the machine beyond the target, or a firewall there, refuses the "+
				"connection", port)
			x.Confidence = Likely
			break
		}
		whose := f.refusedItself()
		x.Confidence = min(whose, Likely) // what resets these may let others pass
		switch {
		case whose == Certain:
			x.Evidence = append(x.Evidence, "Answers to other probes come from as far away, and with the same TTL.")
		case f.noFarther():
			x.Evidence = append(x.Evidence, "By its TTL it has come no farther than what the router before the target says: "+
				"that router may reset in its name, or something on the way back sets the TTL.")
		case f.near(f.echo):
			x.Evidence = append(x.Evidence, "ICMP echo replies come from as far away, but begin with another TTL, or ways "+
				"back differ: a firewall may reset in the target's name.")
		case f.echo != nil && f.echo.answer != nil:
			x.Evidence = append(x.Evidence, "ICMP echo replies have come from another distance, or another way: "+
				"a firewall may reset in the target's name.")
		default:
			x.Evidence = append(x.Evidence, "No answer of another kind came from as far away by the same way: a firewall "+
				"may reset in the target's name.")
		}
		x.Evidence = append(x.Evidence, overLimit)
	case f.answer.Connected():
		x.Code = PortOpen
		x.Title = fmt.Sprintf("Port %d is open: the target accepted the connection that the probes were sent in", port)
	case flags.Has(packet.SYN | packet.ACK):
		x.Code, x.Title = PortOpen, fmt.Sprintf("Port %d is open: the target's address accepts the connection", port)
		switch {
		case forwarded && f.handover.confidence < Certain: // whose machine it is that accepts isn't said then
		case forwarded:
			x.Title = fmt.Sprintf("Port %d is open: the machine beyond the target accepts the connection", port)
		case d == 0:
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "How far it has come isn't known: "+
				"something on the way may accept in the target's name.")
		case d > 0 && f.echo.distance() == d && f.back() >= 0 && f.echo.back() != f.back():
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "ICMP echo replies have come another way back: something in front of the "+
				"target may accept in its name.")
		case f.lastSaysAsMuch():
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "By its TTL it has come no farther than what the router before the target says: "+
				"that router may accept in its name.")
		case f.unequalWays(d):
			x.Confidence = unsure
			x.Evidence = append(x.Evidence, "Other probes go farther, or less far: "+
				"there are ways of different length, or something in front of the target accepts in its name.")
		case f.echo == nil && !f.told() && f.silentBefore(d) > 0:
			x.Confidence = unsure
			x.Evidence = append(x.Evidence, fmt.Sprintf("Hop %d is silent, and may be a proxy that accepts in the target's "+
				"name: nothing else was asked.", d-1))
		case d > 0 && f.echo != nil && !f.confirmed(d):
			x.Confidence = unsure
			x.Evidence = append(x.Evidence, "Nothing else tells who it is that answers: ICMP echo was not answered from there, "+
				"and the routers before it don't show how far its answers come.")
		}
	case f.ofOlder():
		f.unclear(&x)
	default:
		x.Code, x.Title = PortUnclear, fmt.Sprintf("Port %d is unclear: the target answers a SYN with %v", port, flags)
		x.Advice = "Trace again, from another source port: the target takes the SYN for a part of a connection that " +
			"it already has with these ports."
		x.Confidence, x.Weight = Likely, weightNotice
	}
	if f.told() && !f.targetHere() {
		f.byConnections(&x)
	}
	return []Finding{x}
}

// byConnections lowers what is said of the port if the probes were connections: somebody else may have answered.
func (f *facts) byConnections(x *Finding) {
	if x.Code == PortOpen && x.Confidence == Certain {
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "Without raw sockets nothing shows how far its answer has come: a proxy on the "+
			"way that accepts in the target's name looks the same.")
		if f.port != nil && f.port.distance() != f.distance() {
			x.Evidence = append(x.Evidence, fmt.Sprintf("Port %d was not answered from as far away.", f.port.target.Port()))
		}
	}
	if f.hostMayDoIt() {
		f.orThisHost(x)
	}
}

// lastSaysAsMuch reports whether the answer has come as far as those of the router right before the target, and nothing
// else says that it is the target's own.
func (f *facts) lastSaysAsMuch() bool {
	return !f.like(f.echo) && f.noFarther()
}

// confirmed reports whether something else says that the target is as far away as it has answered from: ICMP echo, or
// the way back, which grows by one with each hop.
func (f *facts) confirmed(distance int) bool {
	e, known := f.excessBefore(distance)
	last := f.at(distance - 1) // if it is silent, it may be the one that answers, and the way back another one
	return f.like(f.echo) || known && last != nil && last.answered() && f.back() == distance-1+e
}

// backs reports whether a router at the hop says by its own TTL that it has so long a way back.
func (h *hop) backs(back int) bool {
	for r := range h.replies() {
		if r.Reply.Kind == packet.KindTimeExceeded && r.Reply.IP.TTL != 0 && backLength(r.Reply.IP.TTL) == back {
			return true
		}
	}
	return false
}

// unequalWays reports whether other probes went another distance: echo requests, or the same from another source port.
func (f *facts) unequalWays(distance int) bool {
	for _, p := range []*path{f.echo, f.flow} {
		if p == nil || distance == 0 {
			continue
		}
		if d := p.distance(); d > 0 && d != distance || p.lastRouter() >= distance {
			return true
		}
	}
	return false
}

// ofOlder reports whether the target has answered for another connection: its ACKs have numbers that no probe has (RFC
// 5961 4.2).
func (f *facts) ofOlder() bool {
	sent, got := &f.answer.Probe, &f.answer.Reply.TCP
	return sent.Flags&(packet.SYN|packet.ACK) == packet.SYN &&
		got.Flags&(packet.SYN|packet.ACK|packet.RST) == packet.ACK &&
		got.Ack != sent.Seq+1 && got.Ack != sent.Seq+1+uint32(sent.PayloadLength())
}

// unclear is that the target has a connection already with the addresses and ports of the probes. Who else may say so
// is a device that answers in its name: that is excluded where a SYN from another source port is answered by the same
// way back.
func (f *facts) unclear(x *Finding) {
	port := f.target.Port()
	x.Code, x.Confidence, x.Weight = PortUnclear, Likely, weightTrap
	x.Title = fmt.Sprintf("Whether port %d is open isn't known: the target has an older connection with the source "+
		"port of the probes, %d",
		port, f.answer.Probe.Src.Port())
	x.Evidence = append(x.Evidence, "The ACKs have the numbers of that connection, the same each time, and not "+
		"those of the SYNs.")
	x.Advice = "Trace again from another source port (without -P): this host has forgotten that connection, and the " +
		"target has not. Connections from this port hang until the target gives the old one up."
	if p := f.flow; p != nil && p.answer != nil && !p.told() && p.back() == f.back() && f.back() >= 0 &&
		(f.distance() == 0 || p.distance() == f.distance()) && p.answer.Reply.TCP.Flags&(packet.SYN|packet.RST) != 0 {
		x.Confidence = Certain
		x.Evidence = append(x.Evidence, "From another source port it answers as usual: "+f.answerText(p))
	}
}

// answerText says how the target answered.
func (f *facts) answerText(p *path) string {
	r := p.answer
	what := r.Reply.TCP.Flags.String()
	if r.Reply.Kind == packet.KindEcho {
		what = "an echo reply"
	}
	probes := "a probe, which isn't known,"
	if d := p.distance(); d > 0 {
		probes = fmt.Sprintf("probes with TTL %d and up", d)
	}
	if r.Reply.IP.TTL == 0 {
		return fmt.Sprintf("%v answered %s by %s.", r.Reply.From(), probes, what)
	}
	return fmt.Sprintf("%v answered %s by %s, with a TTL of %d.", r.Reply.From(), probes, what, r.Reply.IP.TTL)
}

// overLimit is what a reset never excludes: all SYNs are over a limit that other connections have used up.
const overLimit = "A limit on the connections that this host may have open, or open in some time, resets what is " +
	"over it too: then others pass later."

// refusedItself says how sure it is that a reset is the target's own: certain where something else that it answered
// came from as far away, by the same way back. Another flow to the same port is nothing else. Nor is a reset of another
// port: what resets in the target's name may do so for all ports. That it accepts another port is. Where answers to
// several flows come back by ways of different length, an equal length proves nothing. Nor does it where those of the
// router before have come as far. Where nothing else was answered,
// likely is what the way back confirms, which grows by one with each hop.
func (f *facts) refusedItself() Confidence {
	accepts := f.like(f.port) && f.port.answer.Reply.TCP.Flags.Has(packet.SYN|packet.ACK)
	switch agree, _ := f.ownBacks(); {
	case f.noFarther() && (f.near(f.echo) || accepts):
		return Likely
	case agree && (f.like(f.echo) || accepts && f.echo.distance() != f.distance()):
		return Certain
	case f.near(f.echo), (f.echo == nil || f.echo.answer == nil) && f.confirmed(f.distance()):
		return Likely
	}
	return Possible
}

// noFarther reports whether the target's answer has come no farther than those of the router before: something on the
// way back may set the TTL, of this router's answers in the target's name, too.
func (f *facts) noFarther() bool {
	last := f.at(f.distance() - 1)
	return last != nil && f.back() >= 0 && last.backs(f.back())
}

// like reports whether a trace of another kind was answered from as far away as this one, with the same TTL: by the
// same way back, and by the same kind of machine.
func (f *facts) like(p *path) bool {
	return f.near(p) && p.answer.Reply.IP.TTL == f.answer.Reply.IP.TTL
}

// near is the same for another kind of machine too, which gives its answers another initial TTL.
func (f *facts) near(p *path) bool {
	return p.distance() > 0 && p.distance() == f.distance() && p.back() == f.back() && f.back() >= 0
}

// back is the length of the way back from who answered; -1: unknown, as where the kernel tells no more of an answer
// than that it came.
func (p *path) back() int {
	if p.answer.Reply.IP.TTL == 0 {
		return -1
	}
	return backLength(p.answer.Reply.IP.TTL)
}
