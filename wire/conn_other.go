//go:build !linux

package wire

import (
	"context"
	"net/netip"
	"time"

	"tcptraceroute/packet"
)

// Conn is the way to the network, which this platform doesn't have yet.
type Conn struct{}

// Open fails with ErrUnsupported.
func Open(Options) (*Conn, error) { return nil, ErrUnsupported }

func (*Conn) Route(dst netip.AddrPort, src netip.AddrPort) (Route, error) {
	return Route{}, ErrUnsupported
}

func (*Conn) Reserve(netip.AddrPort) (uint16, error) { return 0, ErrUnsupported }

func (*Conn) Use(uint16) error { return ErrUnsupported }

func (*Conn) Send(packet.Probe) (time.Time, error) { return time.Time{}, ErrUnsupported }

func (*Conn) Recv(context.Context, []byte) (int, time.Time, error) {
	return 0, time.Time{}, ErrUnsupported
}

func (*Conn) Fault(packet.Probe) error { return nil }

func (*Conn) Close() error { return nil }
