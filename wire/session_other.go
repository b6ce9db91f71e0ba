//go:build !linux

package wire

import (
	"context"
	"net/netip"
	"time"
)

// Session is an open connection, and the way to send segments inside it.
type Session struct {
	*Conn
	SessionState
}

// SessionState is how the connection stands.
type SessionState struct {
	Next, Ack    uint32
	Timestamps   bool
	TSval, TSecr uint32
	SACK         bool
}

// A SessionError says why there is no connection.
type SessionError struct {
	From netip.Addr
	Why  string
}

func (e *SessionError) Error() string { return e.Why }

// SessionOptions say what connection is wanted.
type SessionOptions struct {
	Source, Target netip.AddrPort
	Interface      string
	TOS            uint8
	Wait           time.Duration
}

// OpenSession fails with ErrUnsupported.
func (*Conn) OpenSession(context.Context, SessionOptions) (*Session, error) {
	return nil, ErrUnsupported
}

// Source is the address and port that the connection is from.
func (*Session) Source() netip.AddrPort { return netip.AddrPort{} }

// Closed reports whether the target has closed its side of the connection.
func (*Session) Closed() bool { return false }

// TTL is the TTL of the target's answer to the SYN.
func (*Session) TTL() uint8 { return 0 }

func (*Session) Close() error { return nil }
