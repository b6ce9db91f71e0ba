package wire

import (
	"net/netip"
	"testing"

	"go.example/tcptraceroute/packet"
)

// What can answer a segment that repeats one, and what is the target's own business.
func TestSessionFilter(t *testing.T) {
	src, dst := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.9:80")
	sack := func(left, right uint32) packet.Options {
		o, err := packet.Options{}.WithSACK(packet.SACKBlock{Left: left, Right: right})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	type step struct {
		name string
		s    packet.Segment
		want SessionVerdict
	}
	const next, ack = 1000, 5000
	plain := packet.Segment{Seq: ack, Ack: next, Flags: packet.ACK}
	named := packet.Segment{Seq: ack, Ack: next, Flags: packet.ACK, Options: sack(999, 1000)}
	fin := packet.Segment{Seq: ack, Ack: next, Flags: packet.ACK | packet.FIN}
	closed := packet.Segment{Seq: ack + 1, Ack: next, Flags: packet.ACK}
	banner := packet.Segment{Seq: ack, Ack: next, Flags: packet.ACK | packet.PSH, Payload: []byte("220 hello")}
	for name, steps := range map[string][]step{
		"a target without SACK": {{"duplicate ACK", plain, SessionAnswer}, {"again", plain, SessionAnswer}},
		"a target with SACK": {
			{"duplicate SACK", named, SessionAnswer},
			{"an ACK that names nothing", plain, SessionOwn},
			{"of another probe", packet.Segment{Seq: ack, Ack: next, Flags: packet.ACK, Options: sack(992, 1000)}, SessionOwn},
			{"of none", packet.Segment{Seq: ack, Ack: next, Flags: packet.ACK, Options: sack(1000, 1001)}, SessionOwn},
		},
		"a server that closes": {
			{"duplicate SACK", named, SessionAnswer},
			{"the end", fin, SessionOwn},
			{"duplicate ACK", closed, SessionAnswer},
			{"the end again", fin, SessionOwn},
			{"duplicate ACK", closed, SessionAnswer},
		},
		"a server that closes its side only": {
			{"the end", fin, SessionOwn},
			{"duplicate SACK", packet.Segment{Seq: ack + 1, Ack: next, Flags: packet.ACK, Options: sack(999, 1000)}, SessionAnswer},
		},
		"a server that speaks, and then closes": {
			{"data", banner, SessionOwn},
			{"the end", packet.Segment{Seq: ack + 9, Ack: next, Flags: packet.ACK | packet.FIN}, SessionOwn},
			{"keepalive", packet.Segment{Seq: ack + 9, Ack: next, Flags: packet.ACK}, SessionOwn},
			{"duplicate ACK", packet.Segment{Seq: ack + 10, Ack: next, Flags: packet.ACK}, SessionAnswer},
			{"reset", packet.Segment{Seq: ack + 10, Flags: packet.RST}, SessionReset},
		},
		"resets": {
			{"of its own accord", packet.Segment{Seq: ack, Ack: next, Flags: packet.RST | packet.ACK}, SessionReset},
			{"in answer to a segment", packet.Segment{Seq: ack, Flags: packet.RST}, SessionReset},
			{"forged", packet.Segment{Seq: ack - 1, Flags: packet.RST}, SessionAnswer},
		},
		"what is none of these": {
			{"another acknowledgement", packet.Segment{Seq: ack, Ack: 999, Flags: packet.ACK}, SessionOwn},
			{"the answer to the SYN again", packet.Segment{Seq: ack - 1, Ack: next, Flags: packet.ACK | packet.SYN}, SessionOwn},
			{"keepalive", packet.Segment{Seq: ack - 1, Ack: next, Flags: packet.ACK}, SessionOwn},
			{"somebody else's", packet.Segment{Src: netip.MustParseAddrPort("192.0.2.9:81"), Flags: packet.ACK}, SessionAnswer},
		},
	} {
		f := NewSessionFilter(src, dst, next, ack)
		f.Sent(packet.Probe{Seq: 999})
		for i, x := range steps {
			if x.s.Dst = src; !x.s.Src.IsValid() {
				x.s.Src = dst
			}
			b, err := packet.AppendTCP(nil, &x.s)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Judge(b); got != x.want {
				t.Errorf("%s, step %d, %s: %v, want %v", name, i+1, x.name, got, x.want)
			}
		}
	}
	if got := NewSessionFilter(src, dst, next, ack).Judge([]byte{0x45}); got != SessionAnswer { // for others to count
		t.Errorf("what can't be read: %v", got)
	}
}
