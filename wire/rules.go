package wire

import (
	"fmt"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/packet"
)

// routeRule is a rule that a routing table is chosen by (ip-rule(8)).
type routeRule struct {
	priority, table uint32
	from, to        netip.Prefix // not valid: any
	mark, mask      uint32       // mask 0: any
	tos             uint8
	out             string // the interface that a socket is bound to
	protocol        uint8
	uids            [2]uint32
	sports, dports  [2]uint16
	hasUIDs, not    bool
}

// String is the rule as ip-rule(8) writes it.
func (r *routeRule) String() string {
	parts := []string{fmt.Sprintf("%d:", r.priority)}
	add := func(so bool, text string, values ...any) {
		if so {
			parts = append(parts, fmt.Sprintf(text, values...))
		}
	}
	add(r.not, "not")
	add(true, "from %s", map[bool]string{true: r.from.String(), false: "all"}[r.from.IsValid()])
	add(r.to.IsValid(), "to %v", r.to)
	add(r.tos != 0, "tos %#x", r.tos)
	add(r.mask != 0, "fwmark %#x", r.mark)
	add(r.mask != 0 && r.mask != ^uint32(0), "mask %#x", r.mask)
	add(r.out != "", "oif %s", r.out)
	add(r.hasUIDs, "uidrange %d-%d", r.uids[0], r.uids[1])
	add(r.protocol == protoTCP, "ipproto tcp")
	add(r.sports[1] != 0, "sport %d-%d", r.sports[0], r.sports[1])
	add(r.dports[1] != 0, "dport %d-%d", r.dports[0], r.dports[1])
	add(true, "lookup %d", r.table)
	return strings.Join(parts, " ")
}

// chooses reports whether the rule may have chosen its table for a packet of a connection, and looks at more than all
// packets have.
func (r *routeRule) chooses(ends packet.Ends, mark, table uint32, uid int) bool {
	looks := []struct{ at, fits bool }{
		{r.from.IsValid(), r.from.Contains(ends.Src.Addr())},
		{r.to.IsValid(), r.to.Contains(ends.Dst.Addr())},
		{r.mask != 0, mark&r.mask == r.mark},
		{r.hasUIDs, r.uids[0] <= uint32(uid) && uint32(uid) <= r.uids[1]},
		{r.protocol != 0, r.protocol == protoTCP},
		{r.sports[1] != 0, r.sports[0] <= ends.Src.Port() && ends.Src.Port() <= r.sports[1]},
		{r.dports[1] != 0, r.dports[0] <= ends.Dst.Port() && ends.Dst.Port() <= r.dports[1]},
		{r.tos != 0, true}, {r.out != "", true}, // which aren't known here
	}
	any, all := false, true
	for _, l := range looks {
		any, all = any || l.at, all && (!l.at || l.fits)
	}
	return r.table == table && any && all != r.not
}

// A Chain is one of this host's firewall, that packets of a hook pass.
type Chain struct {
	Table, Name string
	Hook        Hook
	V4, V6      bool // the packets that it sees
	Drops       bool // what no rule accepts
}

// Hook is where a chain sees packets.
type Hook uint8

// Hooks of IPv4 and IPv6 (linux/netfilter.h).
const (
	HookPrerouting Hook = iota
	HookInput
	HookForward
	HookOutput
	HookPostrouting
)

// String names a chain in words.
func (c Chain) String() string {
	s := fmt.Sprintf("chain %s of table %s", c.Name, c.Table)
	if c.Drops {
		s += " (policy drop)"
	}
	return s
}
