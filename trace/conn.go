package trace

import (
	"context"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// A Conn is a network that probes are sent into and answers come back from. Send is called by one goroutine and Recv by
// another; they may run at the same time.
type Conn interface {
	// Send puts one probe on the wire and says when it left, by the best clock there is. An error is the fate of this one
	// probe: the network may be back for the next.
	Send(p packet.Probe) (sent time.Time, err error)

	// Recv waits for the next packet that may be an answer, writes it to buf from its IP header on, and says when it came
	// in. It returns ctx's error soon after ctx ends. Any other error ends the run.
	Recv(ctx context.Context, buf []byte) (n int, received time.Time, err error)
}

// A Restamper is a Conn that may learn only later when a probe left: it had to wait in a queue, or for the address of a
// neighbour. It is asked when the answer is there, by the goroutine that sends.
type Restamper interface {
	Restamp(k packet.Key) (sent time.Time, ok bool)
}

// A Synthetic is a Conn whose packets are not what came in, but the kernel's account of it, written down in the terms
// of the probe that was asked for. What the account doesn't hold is taken out of a Reply, so that nobody takes it for
// evidence.
type Synthetic interface {
	SyntheticPackets()
}

// A Timer is a timer that is set again and again. One that rings too early, for what it was set to before, does no
// harm. It is an alias, so that a package of sockets, which does not import this one, can make one.
type Timer = interface {
	Set(d time.Duration)
	C() <-chan time.Time
	Run()  // lets it ring until Stop; has a goroutine of its own
	Stop() // is called once, at the end
}

// A Timekeeper is a Conn that can make a timer that is better than Go's; nil if it can't now.
type Timekeeper interface {
	NewTimer() Timer
}

// A Faulter is a Conn that knows why this host could not deliver a probe, such as a next hop that does not resolve.
// Unreachable says that our own kernel has answered this probe with host unreachable: then a next hop did not resolve,
// whether or not the kernel still remembers it.
type Faulter interface {
	Fault(p packet.Probe, unreachable bool) error
}

// An UnresolvedError is what a Faulter says where a next hop does not resolve.
type UnresolvedError interface {
	error
	Unresolved() netip.Addr
}

// A Reserver is a Conn that reserves source ports: no other program gets the port, and what comes in for it is
// received. For port 0 it chooses one. A link-local address has its zone.
type Reserver interface {
	Reserve(src netip.AddrPort) (port uint16, err error)
}

// A Zoner is a Conn that knows by which interface probes leave; "" if it does not know.
type Zoner interface {
	Zone(dst, src netip.AddrPort) string
}

// A Connector is a Conn whose probes are connections: one at a time from each source port, and each waits at most this
// long for its answer.
type Connector interface {
	ConnectWait() time.Duration
}

// goAlarm is Go's timer.
type goAlarm struct{ t *time.Timer }

func (a goAlarm) Set(d time.Duration) { a.t.Reset(d) }
func (a goAlarm) C() <-chan time.Time { return a.t.C }
func (a goAlarm) Run()                {}
func (a goAlarm) Stop()               { a.t.Stop() }

// A Backlogger is a Conn that can tell whether packets have come in that Recv has not returned yet. No probe is given
// up, withdrawn or passed over before everything was read that came in by then: on a busy host the program is late, and
// not the answer. It is asked by the goroutine that sends.
type Backlogger interface {
	Backlog() bool
}

// A LossCounter is a Conn that knows how many packets, of those that may be answers, this host has lost since the Conn
// was opened because they were not read in time. A probe that was in flight then is not Lost but Unknown. It is asked
// by the goroutine that sends.
type LossCounter interface {
	LostHere() int
}

// A Napper is a Conn that the engine reads itself where it waits for a moment only: what comes in meanwhile lies in the
// socket, with the instant at which it came in, and neither a timer nor each packet wakes anybody.
type Napper interface {
	// Nap lets so much time pass, or less: a few milliseconds at the most.
	Nap(d time.Duration)

	// TryRecv is Recv that doesn't wait: n is 0 where nothing has come in that Recv hasn't taken. It may be called beside
	// Recv.
	TryRecv(buf []byte) (n int, received time.Time, err error)
}

// A Plan decides what is probed, and when. It is pure: no I/O, no clock but the time it is handed.
type Plan interface {
	// Next says what to do now. The engine asks again at once after every Action but a wait, and after a wait when its
	// time has come or something was learned, whichever is first.
	Next(now time.Time) Action

	// Learn tells what became of a probe, or what else was noticed of one.
	Learn(now time.Time, r Result)
}
