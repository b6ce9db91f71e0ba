package trace

import (
	"errors"

	"go.example/tcptraceroute/packet"
)

// Session is an open TCP connection that probes are sent inside of, with all that its segments need. A probe repeats
// what is acknowledged already: its last byte stands in front of Next, and so its receiver answers at once that it has
// it (RFC 9293 3.10.7.4), by a duplicate SACK where both ends know that (RFC 2883). Linux limits the rate of such
// answers only to segments without data.
type Session struct {
	Next       uint32 // the sequence number that would be sent next
	Ack        uint32 // the one that is expected
	Timestamps bool   // both ends send them
	TSval      uint32 // probes have those after it, which should be older than the connection's
	TSecr      uint32
	FlowLabel  uint32 // IPv6: of its segments
}

// sessionWindow is a window as an open connection has it.
const sessionWindow = 501

// options are those of the segments.
func (s *Session) options() (o packet.Options) {
	if s.Timestamps {
		o, _ = o.With(packet.OptionNOP)
		o, _ = o.With(packet.OptionNOP)
		o, _ = o.WithTimestamps(s.TSval, s.TSecr)
	}
	return o
}

// repeat makes a probe one of length bytes that repeats, but for one byte at least.
func (s *Session) repeat(p *packet.Probe, length int) {
	p.Length = uint16(max(length, p.HeaderLength()+1))
	p.Seq = s.Next - uint32(p.PayloadLength())
}

// HopsAway estimates how many hops away a host is, by what is left of the TTL of a packet that came from it: most begin
// with 64, 128 or 255. The way back may have another length than the way there.
func HopsAway(ttl uint8) int { return backwards(ttl) }

// Connected reports whether a probe inside a session was answered by the ACK of an open connection.
func (r Result) Connected() bool {
	return r.Probe.Flags == packet.ACK|packet.PSH && r.Reply != nil && r.Reply.Kind == packet.KindTCP &&
		r.Reply.TCP.Flags&^packet.ECE == packet.ACK
}

// Why a trace inside a session is not enough, see CheckSession.
var (
	ErrSessionSilent = errors.New("the target does not answer in it")
	errSessionFar    = errors.New("how far away the target is can't be told in it")
	errSessionOver   = errors.New("the target closed it, and does not answer every segment since")
	errSessionDead   = errors.New("the target answers in it no more")
)

// CheckSession says what is wrong with a trace inside a session, so that one by SYNs may show more; nil: nothing.
// closed is whether the target has closed its side; ttl is the TTL of its answer to the SYN, which says about how far
// it is.
func CheckSession(t *Trace, closed bool, ttl uint8) error {
	switch {
	case t.Unplaced() != nil:
		return errSessionFar
	case !t.Reached():
		if t.options.MaxTTL < backwards(ttl) {
			return nil // the trace doesn't go as far as the target
		}
		return ErrSessionSilent
	}
	var answered, lost, tail int // tail is how many were lost since the last answer
	for _, r := range t.Hop(t.Last()).Probes {
		switch {
		case r.FromTarget():
			answered, tail = answered+1, 0
		case r.Outcome == Lost:
			lost, tail = lost+1, tail+1
		}
	}
	switch {
	case answered == 0:
		return nil // it was refused
	case closed && lost > 0:
		return errSessionOver
	case tail > 1:
		return errSessionDead
	}
	return nil
}
