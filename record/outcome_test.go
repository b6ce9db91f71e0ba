package record_test

import (
	"testing"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// A reset says that the port is closed where it acknowledges the SYN, or answers a segment that needs no
// acknowledgement: a connection heeds no other.
func TestBareResetSaysNothing(t *testing.T) {
	for _, c := range []struct {
		sent, got packet.Flags
		state     record.PathState
		text      string
	}{
		{packet.SYN, packet.RST | packet.ACK, record.Closed, "closed"},
		{packet.SYN, packet.RST, record.OtherTCP, "unknown, RST"},
		{packet.SYN | packet.ECE | packet.CWR, packet.RST, record.OtherTCP, "unknown, RST"},
		{packet.SYN, packet.SYN, record.OtherTCP, "unknown, SYN"},
		{packet.ACK, packet.RST, record.Closed, "closed"},
		{packet.SYN, packet.SYN | packet.ACK, record.Open, "open"},
	} {
		r := trace.Result{Outcome: trace.Answered, Probe: packet.Probe{Flags: c.sent},
			Reply: &packet.Reply{Kind: packet.KindTCP, TCP: packet.TCP{Flags: c.got}}}
		if state, text := record.PortStateOf(r), record.StateOf(r); state != c.state || text != c.text {
			t.Errorf("%v for %v: %v, %q", c.got, c.sent, state, text)
		}
	}
}
