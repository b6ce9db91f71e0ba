package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Options are what has to be known before privileges are dropped.
type Options struct {
	Interface string // send by this interface only; "": where the route says
	Mark      uint32 // SO_MARK of all probes, for policy routing; 0: none
	TOS       uint8  // that routes are asked for with, for rules that look at it
	Sessions  bool   // OpenSession will be called
	Attempts  bool   // Attempt will be called
	Chains    bool   // Chains will be called, by somebody who may see the firewall's rules
	Port      uint16 // a source port that an ordinary user may not bind, to be reserved at once; 0: none
}

// Route is what the kernel would do with a connection.
type Route struct {
	Source    netip.Addr // the source address, without a zone
	Interface string     // "": not known, where netlink is refused
	Kind      string     // of the interface, as ip-link(8) has it (veth, bridge); "": a device, or not known
	Gateway   netip.Addr // the next hop where it is not the target itself
	MTU       int        // of the interface; 0: not known
	MSS       int        // what a connection of the kernel's would tell the other side
	Local     bool       // the target is one of our own addresses
	// where probes can't go the way of a connection, since rules look at ports: its interface; else ""
	Elsewhere string
}

// ErrUnsupported says that on this platform the program has no way to the network yet.
var ErrUnsupported = errors.New("sending TCP probes is not supported on this platform yet; it is on Linux")

// What the kernel, or a sandbox, may refuse without ending a trace: see [Conn.Without].
var (
	ErrNoPacketSocket = errors.New("no packet socket")
	ErrNoNetlink      = errors.New("no netlink")
	ErrNoFilter       = errors.New("no filter in the kernel")
	ErrNoStamps       = errors.New("no times of the kernel's")
	ErrNotReserved    = errors.New("no reserved port")
)

// ErrNoRawSocket is in the chain of Open's error if raw sockets can't be had, for whatever reason. Connections may do.
var ErrNoRawSocket = errors.New("no raw sockets")

// ErrPrivilege is in the chain of Open's error where the caller may not open raw sockets.
var ErrPrivilege = errors.New("raw sockets need root or the capability CAP_NET_RAW")

// opError says which operation on what failed.
func opError(op string, what any, err error) error {
	if err == nil {
		return nil
	}
	if what == nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s %v: %w", op, what, err)
}

// ConnectWait is how long a probe of [Unprivileged] waits for its answer: the kernel repeats the SYN after a second,
// and this process may be late to prevent it.
const ConnectWait = 850 * time.Millisecond
