package wire

import (
	"fmt"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/packet"
)

// Departure is how probes of a flow left this host, where that is not as it was meant: the host translates addresses
// or ports, or marks its own packets and routes them by the mark, or sets their TTL. It was read off the copy of a
// packet that the kernel gives to packet sockets.
type Departure struct {
	Meant, Left               packet.Ends
	MeantInterface, Interface string // MeantInterface is "" where it isn't known
	MeantMark, Mark           uint32
	MeantTTL, TTL             uint8
	MeantTOS, TOS             uint8
	Changes                   []packet.Change // of other headers, and those of the TOS once more
	Loopback                  bool            // they left for this host itself
}

// String says in a sentence what differs.
func (d Departure) String() string {
	var left, meant []string
	differs := func(text string, is, was any) {
		left, meant = append(left, fmt.Sprintf(text, is)), append(meant, fmt.Sprintf(text, was))
	}
	switch {
	case d.Left.Src.Addr() != d.Meant.Src.Addr():
		differs("from %v", d.Left.Src, d.Meant.Src)
	case d.Left.Src != d.Meant.Src:
		differs("from port %v", d.Left.Src.Port(), d.Meant.Src.Port())
	}
	switch {
	case d.Left.Dst.Addr() != d.Meant.Dst.Addr().WithZone(""):
		differs("to %v", end(d.Left.Dst), end(d.Meant.Dst))
	case d.Left.Dst.Port() != d.Meant.Dst.Port():
		differs("to port %v", d.Left.Dst.Port(), d.Meant.Dst.Port())
	}
	if d.Interface != d.MeantInterface && d.MeantInterface != "" {
		differs("by %s", d.Interface, d.MeantInterface)
	}
	if d.Mark != d.MeantMark {
		differs("with mark %#x", d.Mark, d.MeantMark)
	}
	if d.TTL != d.MeantTTL {
		differs("with TTL %d", d.TTL, d.MeantTTL)
	}
	if d.TOS != d.MeantTOS {
		differs("with TOS %#x", d.TOS, d.MeantTOS)
	}
	value := func(c packet.Change, text string) string {
		name := c.Field.String()
		if c.Field == packet.FieldOption {
			name = fmt.Sprintf("TCP option %d", c.Option)
		}
		if text == "" {
			return "without " + name
		}
		return "with " + name + " " + text
	}
	for _, c := range d.Changes {
		if c.Field != packet.FieldDSCP && c.Field != packet.FieldECN { // they are the TOS
			differs("%s", value(c, c.SeenText()), value(c, c.SentText()))
		}
	}
	return fmt.Sprintf("they left %s, not %s", strings.Join(left, " "), strings.Join(meant, " "))
}

// end is an address with its port, if it has one: an echo request doesn't.
func end(a netip.AddrPort) any {
	if a.Port() == 0 {
		return a.Addr()
	}
	return a
}
