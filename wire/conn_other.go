//go:build !linux

package wire

import (
	"context"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
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

func (*Conn) Fault(packet.Probe, bool) error { return nil }

func (*Conn) Backlog() bool { return false }

// Without is nothing.
func (*Conn) Without() []error { return nil }

// Departures knows of none.
func (*Conn) Departures() []Departure { return nil }

// Attempt fails with ErrUnsupported.
func (*Conn) Attempt(context.Context, AttemptOptions) (Attempt, error) {
	return Attempt{}, ErrUnsupported
}

// RoutedBy knows of none.
func (*Conn) RoutedBy(*Leaving) string { return "" }

// RouteRule knows of none.
func (*Conn) RouteRule(*Leaving) string { return "" }

// Chains knows of none.
func (*Conn) Chains() []Chain { return nil }

// Copies hears none.
func (*Conn) Copies() bool { return false }

// LostHere knows of none.
func (*Conn) LostHere() int { return 0 }

func (*Conn) Close() error { return nil }

// Unprivileged is the way to the network of a user who may not open raw sockets, which this platform doesn't have yet.
type Unprivileged struct{ Conn }

// OpenUnprivileged fails with ErrUnsupported.
func OpenUnprivileged(Options) (*Unprivileged, error) { return nil, ErrUnsupported }

// ConnectWait returns [ConnectWait].
func (*Unprivileged) ConnectWait() time.Duration { return ConnectWait }

// SyntheticPackets says that its packets are the kernel's account of them.
func (*Unprivileged) SyntheticPackets() {}

// Repeated is how many SYNs the kernel has sent again.
func (*Unprivileged) Repeated() int { return 0 }

func (*Conn) Nap(time.Duration) {}

func (*Conn) TryRecv([]byte) (int, time.Time, error) { return 0, time.Time{}, ErrUnsupported }
