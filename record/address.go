package record

import (
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// AddressNote says in a word why an address can't be that of a router, though an answer came from it; "" for all
// others, and for the target's own, which the user chose.
func AddressNote(a, target netip.Addr) string {
	if a.WithZone("") == target.WithZone("") {
		return ""
	}
	return packet.Impossible(a)
}

// AddressMark is that as a mark that stands behind the address in text: "<?loopback>".
func AddressMark(a, target netip.Addr) string {
	if why := AddressNote(a, target); why != "" {
		return "<?" + why + ">"
	}
	return ""
}
