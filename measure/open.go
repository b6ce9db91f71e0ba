package measure

import (
	"errors"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// Options say how the network is reached.
type Options struct {
	// Wire is for the sockets. Its Attempts let explanations ask this host for ordinary connections too, its Sessions let
	// probes go inside a connection.
	Wire wire.Options

	Unprivileged bool // trace by connections, and try no raw sockets
	RawOnly      bool // connections can't do what will be asked for: Open fails if raw sockets are refused
	SessionOnly  bool // RawOnly is for a trace inside a connection, and connections could do the rest

	// Lent says that the program has privileges which its user lacks. At most 200 packets a second leave then, from
	// addresses that the user's own connections could have.
	Lent bool

	// Guard is deferred by the goroutine that receives for Watch, to recover from a panic of it; nil: nothing is.
	Guard func()
}

const (
	// userRate is how many packets a second users who are not root may send, whatever they ask for: the binary may lend
	// them its privilege.
	userRate = 200

	// userSpacing keeps one trace below that of its own accord, with a timer that is a little early too.
	userSpacing = 5100 * time.Microsecond
)

// Tracer makes measurements over one way to the network, one after the other. Close it in the end.
type Tracer struct {
	o     Options
	conn  Network
	pace  *trace.Pace                   // of all packets that leave; nil: as fast as the plans are
	stack func(wire.Route) packet.Stack // what this host's own SYNs look like
	rule  bool                          // probes are connections because a routing rule looks at ports
	noRaw error                         // probes are connections because of it; nil: or because there is no privilege
}

// Network is a way to the network: by raw sockets, or by connections.
type Network interface {
	trace.Conn

	// Route returns what the kernel does with a connection from src, which may lack its address or its port, to dst.
	Route(dst, src netip.AddrPort) (wire.Route, error)

	// Reserve takes a source port of an address; of the kernel's choice if src has none.
	Reserve(src netip.AddrPort) (uint16, error)

	// Use takes a source port even if others use it.
	Use(port uint16) error

	Close() error
}

var (
	_ Network         = (*wire.Conn)(nil)
	_ Network         = (*wire.Unprivileged)(nil)
	_ trace.Connector = (*wire.Unprivileged)(nil)
)

// Why the network can't be reached as it was asked for, or not in every way: see [Open] and [Measurement.Without].
var (
	ErrPrivilege      = wire.ErrPrivilege
	ErrUnsupported    = wire.ErrUnsupported
	ErrNoPacketSocket = wire.ErrNoPacketSocket
	ErrNoNetlink      = wire.ErrNoNetlink
	ErrNoFilter       = wire.ErrNoFilter
	ErrNoStamps       = wire.ErrNoStamps
	ErrNotReserved    = wire.ErrNotReserved
)

// ErrReceiving is in the chain of the error of a measurement that can't receive any more.
var ErrReceiving = trace.ErrReceiving

// Open opens raw sockets, or does without if they are refused: each probe is then a connection, and a trace is slower
// (see [wire.Unprivileged]). Only Open needs privileges, and it gives up none. Its error has ErrPrivilege in its chain
// if that is the reason.
func Open(o Options) (*Tracer, error) {
	var noRaw error
	if !o.Unprivileged {
		conn, err := wire.Open(o.Wire)
		if err == nil {
			t := &Tracer{o: o, conn: conn, stack: wire.Route.Stack}
			if o.Lent {
				t.pace = trace.NewPace(userRate, 1)
			}
			return t, nil
		}
		privileged := !errors.Is(err, ErrPrivilege)
		if privileged && !errors.Is(err, wire.ErrNoRawSocket) || o.RawOnly {
			return nil, err
		}
		if privileged {
			noRaw = err
		}
	}
	conn, err := wire.OpenUnprivileged(o.Wire)
	if err != nil {
		return nil, err
	}
	return &Tracer{o: o, conn: conn, stack: wire.Route.Stack, noRaw: noRaw}, nil
}

// Over makes measurements over a network that is there already, such as a simulated one, as from a Linux host.
func Over(conn Network, o Options) *Tracer {
	return &Tracer{o: o, conn: conn, stack: func(r wire.Route) packet.Stack {
		s := packet.LinuxStack()
		s.MSS = uint16(r.MSS)
		return s
	}}
}

// Close closes the sockets.
func (t *Tracer) Close() error { return t.conn.Close() }

// connects reports whether probes are connections.
func (t *Tracer) connects() bool {
	_, ok := t.conn.(trace.Connector)
	return ok
}
