package wire

import (
	"net/netip"
	"testing"

	"tcptraceroute/packet"
)

// What can answer a segment that repeats one, and what is the target's own business.
func TestSessionAnswers(t *testing.T) {
	src, dst := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.9:80")
	sack := func(blocks ...packet.SACKBlock) packet.Options {
		o, err := packet.Options{}.WithSACK(blocks...)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	dsack := sack(packet.SACKBlock{Left: 999, Right: 1000})
	for _, tt := range []struct {
		name  string
		s     packet.Segment
		named bool // the target has named repeated segments before
		want  bool
	}{
		{"duplicate ACK", packet.Segment{Ack: 1000, Flags: packet.ACK}, false, true},
		{"the same, of a target that else names what it is about", packet.Segment{Ack: 1000, Flags: packet.ACK}, true, false},
		{"duplicate SACK", packet.Segment{Ack: 1000, Flags: packet.ACK, Options: dsack}, false, true},
		{"of another probe", packet.Segment{Ack: 1000, Flags: packet.ACK, Options: sack(packet.SACKBlock{Left: 992, Right: 1000})}, false, false},
		{"of none", packet.Segment{Ack: 1000, Flags: packet.ACK, Options: sack(packet.SACKBlock{Left: 1000, Right: 1001})}, false, false},
		{"another acknowledgement", packet.Segment{Ack: 999, Flags: packet.ACK}, false, false},
		{"data", packet.Segment{Ack: 1000, Flags: packet.ACK | packet.PSH, Payload: []byte("220 hello")}, false, false},
		{"the end", packet.Segment{Ack: 1000, Flags: packet.ACK | packet.FIN}, false, false},
		{"the answer to the SYN again", packet.Segment{Ack: 1000, Flags: packet.ACK | packet.SYN}, false, false},
		{"reset", packet.Segment{Flags: packet.RST}, true, true},
		{"somebody else's", packet.Segment{Src: netip.MustParseAddrPort("192.0.2.9:81"), Flags: packet.ACK}, true, true},
	} {
		s := &Session{SessionState: SessionState{Next: 1000}, src: src, dst: dst, names: tt.named}
		s.last.Store(999)
		if !tt.s.Src.IsValid() {
			tt.s.Src = dst
		}
		tt.s.Dst = src
		b, err := packet.AppendTCP(nil, &tt.s)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.answers(b); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	s := &Session{src: src, dst: dst}
	if !s.answers([]byte{0x45}) { // for others to count
		t.Error("what can't be read is kept back")
	}
}

func TestSessionState(t *testing.T) {
	o, _ := packet.Options{}.WithSACKPermitted()
	o, _ = o.WithTimestamps(7, 1<<20)
	got := answered(&packet.TCP{Seq: 1<<32 - 1, Ack: 1000, Options: o})
	if want := (SessionState{Next: 1000, Ack: 0, SACK: true, Timestamps: true, TSval: 1<<20 - older, TSecr: 7}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := answered(&packet.TCP{Seq: 1, Ack: 2}); got != (SessionState{Next: 2, Ack: 2}) {
		t.Errorf("%+v", got)
	}
}
