package trace

import "tcptraceroute/packet"

// Session is an open TCP connection that probes are sent inside of, with all that its segments need. A probe repeats what is
// acknowledged already: its last byte stands in front of Next, and so its receiver answers at once that it has it (RFC 9293
// 3.10.7.4), by a duplicate SACK where both ends know that (RFC 2883). Linux limits the rate of such answers only to segments
// without data.
type Session struct {
	Next       uint32 // the sequence number that would be sent next
	Ack        uint32 // the one that is expected
	Timestamps bool   // both ends send them
	TSval      uint32 // probes have those after it, which should be older than the connection's
	TSecr      uint32
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
