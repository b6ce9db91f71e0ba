package detect

import (
	"fmt"
	"net/netip"
)

// PathMTU is what a search for the largest packet that gets to the target has found. It has the fields of the search's
// own result, and is converted from that.
type PathMTU struct {
	Size      int        // of that packet; 0: not known
	First     int        // the size that was tried first, the interface's
	Narrow    bool       // larger ones don't pass
	TTL       int        // of the hop beyond which it is narrower; 0: not known
	From      netip.Addr // that hop
	BlackHole bool       // nobody says so: larger packets vanish
}

// narrowed finds where packets get too large, and whether anybody says so.
func narrowed(f *facts) []Finding {
	m := f.mtu
	if m == nil || !m.Narrow || m.Size == 0 {
		return nil
	}
	if !m.BlackHole && f.refusal != nil && f.whyRefused() == tooBig {
		return nil // the trace itself was told
	}
	where, who := "somewhere on the path", "a router"
	after, before := m.TTL, m.TTL
	if m.TTL > 0 {
		where, who = fmt.Sprintf("beyond hop %d (%v)", m.TTL, m.From), "it"
		before++
	}
	x := Finding{
		Code: MTULimit, Confidence: Certain, Weight: weightNotice, After: after, Before: before,
		Title: fmt.Sprintf("Packets of more than %d bytes don't fit %s, and %s says so", m.Size, where, who),
		Evidence: []string{fmt.Sprintf("Packets of %d bytes got to the target, larger ones (%d were tried first) were "+
			"answered by ICMP from %v.", m.Size, m.First, m.From)},
		Advice: "Nothing to do as long as these ICMP messages get to both ends.",
	}
	if m.BlackHole {
		x.Code, x.Confidence, x.Weight = MTUBlackHole, Likely, weightTrap
		if m.TTL > 0 {
			before = f.nextSpeaker(m.TTL)
			x.Before = before
		}
		x.Title = fmt.Sprintf("Packets of more than %d bytes vanish %s, and nobody says so", m.Size, where)
		x.Evidence = []string{fmt.Sprintf("Packets of %d bytes got to the target, larger ones (%d were tried first) "+
			"were lost each time, without a word.", m.Size, m.First)}
		x.Advice = fmt.Sprintf("Clamp the MSS to %d: connections open, and hang when much is sent. Or ask %s to let "+
			"ICMP \"fragmentation needed\" and \"packet too big\" through, unless it is a firewall there that drops "+
			"large segments.",
			m.Size-int(mssOverhead(f.target.Addr().Is4())), f.owner(after, before))
	}
	return []Finding{x}
}

// nextSpeaker is the next hop beyond one that has answered: a silent one doesn't tell what gets there.
func (f *facts) nextSpeaker(ttl int) int {
	for _, h := range f.hops {
		if h.ttl > ttl && h.answered() {
			return h.ttl
		}
	}
	return ttl + 1
}
