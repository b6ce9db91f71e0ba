package measure

import (
	"encoding/binary"
	"net/netip"
)

// seenTargets is the targets that were handed over. There may be 100,000 of them, so one in IPv4 takes eight bytes: a
// netip.AddrPort takes 32.
type seenTargets struct {
	v4 map[uint64]struct{} // address and port
	v6 map[netip.AddrPort]struct{}
}

func newSeenTargets() seenTargets {
	return seenTargets{make(map[uint64]struct{}), make(map[netip.AddrPort]struct{})}
}

// add puts in a target, and reports whether it was there before.
func (s *seenTargets) add(a netip.AddrPort) (again bool) {
	if !a.Addr().Is4() {
		_, again = s.v6[a]
		s.v6[a] = struct{}{}
		return again
	}
	b := a.Addr().As4()
	k := uint64(binary.BigEndian.Uint32(b[:]))<<16 | uint64(a.Port())
	_, again = s.v4[k]
	s.v4[k] = struct{}{}
	return again
}
