package wire

import (
	"fmt"
	"net/netip"
)

// Overheard is how a connection of somebody else on this host stands, by two of its packets: one that left, and one
// that came in.
type Overheard struct {
	SessionState
	FlowLabel uint32 // IPv6: of the packet that left
	TOS       uint8  // the same
	TTL       uint8  // of the packet that came in
}

// Established is a TCP connection of this host that is open.
type Established struct {
	Source, Target netip.AddrPort
	UID            uint32 // of the user that it belongs to
	inode          uint64
}

func (e Established) String() string { return fmt.Sprintf("%v-%v", e.Source, e.Target) }
