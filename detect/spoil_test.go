package detect_test

import (
	"context"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// spoiler is a network whose packets are changed before the host receives them.
type spoiler struct {
	*sim.Conn
	spoil func([]byte) []byte
}

func (s *spoiler) Recv(ctx context.Context, buf []byte) (n int, received time.Time, err error) {
	n, received, err = s.Conn.Recv(ctx, buf)
	if err == nil {
		n = copy(buf, s.spoil(buf[:n]))
	}
	return n, received, err
}

// bareACK takes the SYN out of a SYN+ACK.
func bareACK(b []byte) []byte {
	var r packet.Reply
	if packet.Parse(b, &r) == nil && r.Kind == packet.KindTCP && r.TCP.Flags.Has(packet.SYN|packet.ACK) {
		b[r.IP.HeaderLength+13] = byte(packet.ACK)
		packet.CompleteTCPChecksum(b)
	}
	return b
}

// closedTo makes a reset of a SYN+ACK for an odd port (odd: 1) or an even one (0), as where one of two machines with the
// same address is closed.
func closedTo(b []byte, odd uint16) []byte {
	var r packet.Reply
	if packet.Parse(b, &r) == nil && r.Kind == packet.KindTCP && r.TCP.DstPort%2 == odd &&
		r.TCP.Flags.Has(packet.SYN|packet.ACK) {
		b[r.IP.HeaderLength+13] = byte(packet.RST | packet.ACK)
		packet.CompleteTCPChecksum(b)
	}
	return b
}

// setTTL is what is left of a TTL that a router on the way back sets to 64, of all packets or of TCP alone. What comes
// from nearer than that router keeps its own.
func setTTL(b []byte, left uint8, all bool) []byte {
	var r packet.Reply
	if packet.Parse(b, &r) != nil || !all && r.Kind != packet.KindTCP {
		return b
	}
	began := uint8(64)
	if r.IP.TTL > began {
		began = 255
	}
	if began-r.IP.TTL <= 64-left {
		return b
	}
	return withTTL(b, left)
}

// withTTL writes a TTL into a packet.
func withTTL(b []byte, ttl uint8) []byte {
	if b[0]>>4 == 6 {
		b[7] = ttl
		return b
	}
	b[8] = ttl
	packet.CompleteIPChecksum(b)
	return b
}

// beginTTL is what is left of a TTL if the target begins with this one: only the target sends TCP and echo replies.
func beginTTL(b []byte, began uint8) []byte {
	var r packet.Reply
	if packet.Parse(b, &r) != nil || r.Kind != packet.KindTCP && r.Kind != packet.KindEcho {
		return b
	}
	usual := uint8(64)
	if r.IP.TTL > usual {
		usual = 255
	}
	return withTTL(b, began-(usual-r.IP.TTL))
}

// spoil has packets changed before the host receives them, after what else changes them.
func (r *run) spoil(by func([]byte) []byte) {
	if s, ok := r.conn.(*spoiler); ok {
		first := s.spoil
		s.spoil = func(b []byte) []byte { return by(first(b)) }
		return
	}
	r.conn = &spoiler{r.conn.(*sim.Conn), by}
}

// losing is a network for a host that has lost packets whenever it is asked.
type losing struct {
	trace.Conn
	lost int
}

// LostHere implements trace.LossCounter.
func (l *losing) LostHere() int {
	l.lost++
	return l.lost
}
