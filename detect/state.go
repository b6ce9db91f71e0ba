package detect

import (
	"fmt"

	"tcptraceroute/packet"
)

// state finds what the target itself says of the port.
func state(f *facts) []Finding {
	if f.answer == nil {
		return nil
	}
	flags := f.answer.Reply.TCP.Flags
	x := Finding{After: f.distance(), Before: f.distance(), Confidence: Certain, Weight: weightState}
	switch {
	case flags.Has(packet.RST):
		x.Code = PortClosed
		x.Title = fmt.Sprintf("Port %d is closed: the target resets the connection", f.target.Port())
	case flags.Has(packet.SYN | packet.ACK):
		x.Code = PortOpen
		x.Title = fmt.Sprintf("Port %d is open", f.target.Port())
	default:
		return nil
	}
	return []Finding{x}
}
