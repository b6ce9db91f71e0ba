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
