package trace

import (
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// Somebody who has seen a probe can answer it as often as he likes. So that nobody who keeps notices needs memory for
// that, the engine hands on the first few of each probe, and counts the others (Counts.Repeats).
const (
	alikeNotices = 3  // of one kind: from one sender, saying the same
	mostNotices  = 16 // of all kinds

	// mostRemembered is how many are handed on of all the probes that are remembered.
	mostRemembered = 2048
)

// notice is what notices that are alike have in common.
type notice struct {
	outcome    Outcome
	from       netip.Addr
	kind       packet.Kind
	typ, code  uint8        // ICMP
	flags      packet.Flags // TCP
	unverified bool
}

// notices is what was noticed of a probe beside its outcome.
type notices struct {
	kinds []notice
	count []int // of each kind
	all   int
}

// repeats reports whether a notice is one more of those that were handed on; else it is counted as handed on.
func (m *matcher) repeats(f *flight, fate Outcome, r *packet.Reply, e Evidence) bool {
	if f.notices == nil {
		f.notices = new(notices)
	}
	s := f.notices
	n := notice{outcome: fate, from: r.IP.Src, kind: r.Kind, typ: r.Type, code: r.Code, unverified: e == Unverified}
	if r.Kind == packet.KindTCP {
		n.flags = r.TCP.Flags
	}
	i := 0
	for i < len(s.kinds) && s.kinds[i] != n {
		i++
	}
	switch {
	case s.all == mostNotices || m.noticed == mostRemembered || i < len(s.kinds) && s.count[i] == alikeNotices:
		return true
	case i == len(s.kinds):
		s.kinds, s.count = append(s.kinds, n), append(s.count, 0)
	}
	s.count[i]++
	s.all++
	m.noticed++
	return false
}
