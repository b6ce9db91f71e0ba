package wire

import (
	"net/netip"
	"time"
)

// Source is what probes to a target are to be sent from: the address that the kernel would take, and a port of its
// choice, which no other program gets until Close. What comes in for it is received from now on. Each trace needs one
// of its own. The error is that of Route or Reserve.
func (c *Conn) Source(target netip.AddrPort) (netip.AddrPort, error) { return source(c, target) }

// Zone returns the name of the interface that packets to dst leave by, from src; "" if there is no route.
func (c *Conn) Zone(dst, src netip.AddrPort) string { return zone(c, dst, src) }

// Timer is what package trace wants of a timer.
type Timer = interface {
	Set(d time.Duration)
	C() <-chan time.Time
	Run()
	Stop()
}

// NewTimer returns a timer of the kernel's; nil if none can be opened.
func (c *Conn) NewTimer() Timer { return kernelTimer() }

// kernelAlarm avoids the interface that holds a nil pointer.
func kernelTimer() Timer {
	if a, err := newTimerFD(); err == nil {
		return a
	}
	return nil
}

// host is a connection that knows this host's routes and reserves ports.
type host interface {
	Route(dst, src netip.AddrPort) (Route, error)
	Reserve(src netip.AddrPort) (uint16, error)
}

func source(h host, target netip.AddrPort) (netip.AddrPort, error) {
	route, err := h.Route(target, netip.AddrPort{})
	if err != nil {
		return netip.AddrPort{}, err
	}
	from := route.Source
	if from.Is6() && from.IsLinkLocalUnicast() {
		from = from.WithZone(route.Interface) // an address of the link, not of the host
	}
	port, err := h.Reserve(netip.AddrPortFrom(from, 0))
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(route.Source, port), nil
}

func zone(h host, dst, src netip.AddrPort) string {
	route, err := h.Route(dst, src)
	if err != nil {
		return ""
	}
	return route.Interface
}
