package wire

import "net/netip"

// Source is what probes to a target are to be sent from: the address that the kernel would take, and a port of its choice,
// which no other program gets until Close. What comes in for it is received from now on. Each trace needs one of its own.
// The error is that of Route or Reserve.
func (c *Conn) Source(target netip.AddrPort) (netip.AddrPort, error) {
	route, err := c.Route(target, netip.AddrPort{})
	if err != nil {
		return netip.AddrPort{}, err
	}
	from := route.Source
	if from.Is6() && from.IsLinkLocalUnicast() {
		from = from.WithZone(route.Interface) // an address of the link, not of the host
	}
	port, err := c.Reserve(netip.AddrPortFrom(from, 0))
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(route.Source, port), nil
}
