package detect

import (
	"fmt"
	"slices"

	"go.example/tcptraceroute/packet"
)

// A service is stuck if its host is alive and its port doesn't accept connections: the program takes none from its
// queue, and Linux ignores further SYNs as long as the queue is full, but resets ACKs that belong to no connection.

// stuck is what becomes of probes if the service that they go to is stuck.
func stuck(c class) fate {
	switch {
	case c.echo:
		return either
	case c.port && !c.syn:
		return passes
	}
	return when(c.port, vanishes, passes)
}

// mayBeStuck reports whether SYNs to the port vanish at the target itself, for all that is known: it resets ACKs to the
// port, and answers SYNs to another one.
func (d *drop) mayBeStuck() bool {
	if !d.asks() || d.farthest() == 0 || d.next() < d.farthest() || d.ack == nil || d.ack.answer == nil {
		return false
	}
	return d.ack.distance() == d.farthest() && d.ack.answer.Reply.TCP.Flags.Has(packet.RST) &&
		slices.ContainsFunc(d.seen, func(s sighting) bool {
			return s.syn && !s.port && s.fate == passes && s.way != otherWay
		})
}

// stuckText says that the service is stuck.
func (d *drop) stuckText(x *Finding) {
	port := d.target.Port()
	x.Title = fmt.Sprintf("The target is alive, but port %d ignores new connections: its service may be stuck", port)
	x.Evidence = append(x.Evidence, fmt.Sprintf("An ACK to port %d was reset by the target: a firewall that keeps "+
		"track of connections would have dropped it.", port))
	x.Evidence = append(x.Evidence, "SYNs that are damaged on the way look the same (on the target: nstat -az "+
		"TcpInCsumErrors), and SYN+ACKs that are lost on the way back, or come later than was waited.")
	x.Advice = fmt.Sprintf("Check on the target whether the program still takes connections: ss -ltn 'sport = :%d' "+
		"(the queue is full if Recv-Q is above Send-Q). If it does, look for a packet filter that drops SYNs to this "+
		"port, on the target or right before it.", port)
}
