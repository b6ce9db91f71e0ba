//go:build !linux

package wire

import (
	"context"
	"net/netip"
	"time"
)

// Silent is a Conn that hears no TCP segments.
type Silent struct{ *Conn }

// Overhear listens to the packets of a connection of this host.
func (c *Conn) Overhear(context.Context, netip.AddrPort, netip.AddrPort, time.Duration) (Overheard, error) {
	return Overheard{}, ErrUnsupported
}

// Connections are the open TCP connections of this host.
func Connections(int) ([]Established, error) { return nil, ErrUnsupported }
