package record

import (
	"net/netip"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// PathState is how a path ends.
type PathState string

const (
	Open     PathState = "open"
	Closed   PathState = "closed"    // a reset in the target's name
	OtherTCP PathState = "other"     // a TCP answer that is neither
	Echo     PathState = "echo"      // an echo reply
	Refused  PathState = "refused"   // an ICMP error other than time exceeded
	NoAnswer PathState = "no_answer" // neither the target nor a refusal
	Unsent   PathState = "not_sent"  // this host could send nothing
)

// Outcome is how a path ends, and where.
type Outcome struct {
	Reached bool
	State   PathState
	TTL     int        // the hop that State is known from; 0: not known
	Addr    netip.Addr // who answered; not valid: nobody
	Mark    string     // of a refusal, the classic one
}

// Outcome returns how the path ends.
func (r *Fold) Outcome() Outcome {
	o := Outcome{Reached: r.Reached(), State: NoAnswer}
	end := r.End()
	if end == nil {
		if r.nothingSent() {
			o.State = Unsent
		}
		return o
	}
	o.Addr = end.Reply.From()
	if end.Outcome == trace.Answered { // else which probe it answers, and so the distance, isn't known
		o.TTL = r.EndTTL()
	}
	o.State, o.Mark = Refused, Mark(end.Reply)
	switch end.Reply.Kind {
	case packet.KindTCP:
		o.State = PortStateOf(*end)
	case packet.KindEcho:
		o.State = Echo
	}
	return o
}

// PortStateOf returns what a TCP answer says of the port: Open, Closed or OtherTCP.
func PortStateOf(r trace.Result) PathState {
	f := r.Reply.TCP.Flags
	switch {
	case r.Bare():
		return OtherTCP
	case f.Has(packet.RST):
		return Closed
	case f.Has(packet.SYN | packet.ACK), r.Connected():
		return Open
	}
	return OtherTCP
}
