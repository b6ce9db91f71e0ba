package wire

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
)

// Attempt is what came of an ordinary connection that this host's kernel was asked to open. Unlike probes it passes
// this host's firewall in both directions, as the connections of other programs do.
type Attempt struct {
	State          AttemptState
	Source, Target netip.AddrPort
	SYNs           int           // that the kernel has sent, or tried to
	Waited         time.Duration // how long an answer could come; until the answer, where there was one
	From           netip.Addr    // who answered
	Type, Code     uint8         // of the ICMP error, if AttemptRejected
	Err            error         // if AttemptFailed

	// Followed reports whether a packet socket has followed the connection's packets: all those that left and came in
	// for it are then known. It can't be followed where the kernel refuses packet sockets, or NAT of this host gives it
	// another source port.
	Followed bool
	Left     *Leaving      // how its first SYN left this host; nil, if Followed: it did not
	Stamps   []uint32      // the timestamps that its SYNs left with; none: they had none
	Came     []AttemptCame // the answers of TCP that came in, before this host's firewall, in order
}

// AttemptState is how an Attempt ended.
type AttemptState uint8

const (
	AttemptSilent   AttemptState = iota // nothing came of it in time
	AttemptOpened                       // the target has accepted it; it was reset then, and the target's program not told
	AttemptRefused                      // by a reset
	AttemptRejected                     // by an ICMP error
	AttemptFailed                       // this host refused at once
)

// Leaving is how a packet left this host.
type Leaving struct {
	Ends packet.Ends
	// Interfaces are those that it left by: more than one where they are stacked, as a VLAN on a bond is.
	Interfaces []string
	Mark       uint32
	TOS, TTL   uint8
	Loopback   bool           // it left for this host itself
	Options    packet.Options // of TCP
}

// AttemptCame is an answer that came in for an Attempt. The kernel may have refused it: its checksums may be wrong, and
// its options other than the SYN allows.
type AttemptCame struct {
	Reply    packet.Reply
	Loopback bool // from this host itself
}

// AttemptOptions say what connection is wanted.
type AttemptOptions struct {
	Source    netip.Addr // on this host, a link-local address with its zone
	Target    netip.AddrPort
	Interface string // connect by it only; "": where the route says
	TOS       uint8
	// for the answer. The kernel repeats its SYN after a second, and mostly again after another one
	Wait   time.Duration
	Enough <-chan struct{} // when it is closed, the answer isn't waited for any longer; nil: it never is
}
