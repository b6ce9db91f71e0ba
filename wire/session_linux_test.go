package wire

import (
	"testing"

	"go.example/tcptraceroute/packet"
)

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
