package packet

import "net/netip"

// Impossible says in a word why an address can't be that of a host or router which is reached over a network; ""
// where it can. Some large networks number their routers out of the reserved block all the same.
func Impossible(a netip.Addr) string {
	if a.Is4In6() {
		return "IPv4-mapped" // RFC 4291 2.5.5.2: for programs, not for packets
	}
	switch {
	case !a.IsValid():
		return ""
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback():
		return "loopback"
	case a.IsMulticast():
		return "multicast"
	}
	if !a.Is4() {
		return ""
	}
	switch b := a.As4(); {
	case b[0] == 0:
		return "this-network" // RFC 1122 3.2.1.3
	case b == [4]byte{255, 255, 255, 255}:
		return "broadcast"
	case b[0] >= 240:
		return "reserved" // RFC 1112 4
	}
	return ""
}
