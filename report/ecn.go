package report

import (
	"fmt"
	"net/netip"
	"strings"

	"tcptraceroute/packet"
	"tcptraceroute/trace"
)

// ecnFlags are those of a TCP header that are about congestion (RFC 3168, RFC 9768).
const ecnFlags = packet.AE | packet.CWR | packet.ECE

// ECN says in plain words, a line each, what became of Explicit Congestion Notification on a path: what the SYN asked for,
// as what it came to each hop, and what the target answered. There are no lines where it asked for nothing.
func ECN(t *trace.Trace) []string {
	e := ecn{last: t.First() - 1}
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		for _, r := range t.Hop(ttl).Probes {
			e.add(ttl, r)
		}
	}
	if e.asked&ecnFlags == 0 && e.tos&3 == 0 {
		return nil
	}
	lines := []string{fmt.Sprintf("sent: SYN with %s, IP ECN field %s", flagNames(e.asked), ecnField(e.tos))}
	for _, s := range e.stretches {
		lines = append(lines, e.stretch(s))
	}
	if e.answer != "" {
		lines = append(lines, "target: "+e.answer)
	}
	for i := range lines {
		lines[i] = "ECN: " + lines[i]
	}
	return lines
}

// ecn gathers what the answers say.
type ecn struct {
	asked     packet.Flags
	tos       uint8
	stretches []stretch
	last      int // the last hop that told
	answer    string
}

// stretch is neighbouring hops that saw the same.
type stretch struct {
	seen        seen
	first, last int
	after       int // the last hop before them that told; 0: none
	who         netip.Addr
}

// seen is a SYN as it came to a router, as far as that quotes it.
type seen struct {
	flags packet.Flags
	told  bool // the flags were quoted
	field uint8
}

func (e *ecn) add(ttl int, r trace.Result) {
	e.asked, e.tos = r.Probe.Flags&ecnFlags, r.Probe.TOS
	if r.Reply == nil {
		return
	}
	if r.FromTarget() {
		if e.answer == "" {
			e.answer = ecnAnswer(e.asked, r.Reply)
		}
		return
	}
	q := &r.Reply.Quote
	s := seen{field: q.IP.TOS & 3, told: q.TCP.HasFlags()}
	if s.told {
		s.flags = q.TCP.Flags & ecnFlags
	}
	if n := len(e.stretches); n > 0 {
		before := &e.stretches[n-1]
		if before.seen == s {
			before.last, e.last = ttl, ttl
			return
		}
	}
	e.stretches = append(e.stretches, stretch{s, ttl, ttl, e.last, r.Reply.From()})
	e.last = ttl
}

// stretch is one line.
func (e *ecn) stretch(s stretch) string {
	where := fmt.Sprintf("hop %d (%v)", s.first, s.who)
	if s.last > s.first {
		where = fmt.Sprintf("hops %d to %d", s.first, s.last)
	}
	var how []string
	switch lost, new := e.asked&^s.seen.flags, s.seen.flags&^e.asked; {
	case !s.seen.told:
		how = append(how, "too little of the TCP header quoted to tell its flags")
	case lost == 0 && new == 0:
	default:
		if lost != 0 {
			how = append(how, "without "+flagNames(lost))
		}
		if new != 0 {
			how = append(how, "with "+flagNames(new)+" that was not sent")
		}
	}
	changed := s.seen.told && s.seen.flags != e.asked
	if s.seen.field != e.tos&3 {
		changed = true
		how = append(how, "IP ECN field "+ecnField(s.seen.field))
	}
	switch {
	case len(how) == 0:
		how = append(how, "as it was sent")
	case !changed:
		how = append(how, "IP ECN field as sent")
	case s.after > 0 && s.after < s.first:
		how = append(how, fmt.Sprintf("changed between hop %d and hop %d", s.after, s.first))
	case s.after == 0:
		how = append(how, fmt.Sprintf("changed before hop %d", s.first))
	}
	return where + ": " + strings.Join(how, ", ")
}

// ecnAnswer is what a target's answer says to a SYN with these flags.
func ecnAnswer(asked packet.Flags, r *packet.Reply) string {
	if r.Kind != packet.KindTCP {
		return ""
	}
	f := r.TCP.Flags
	if !f.Has(packet.SYN | packet.ACK) {
		return "its answer is no SYN+ACK, so it says nothing of ECN"
	}
	got := f & ecnFlags
	what := "SYN+ACK with " + flagNames(got) + ": "
	var how string
	switch accurate := asked.Has(ecnFlags); {
	case asked&ecnFlags == 0:
		return ""
	case got == 0:
		how = "it does not use ECN"
	case accurate && got == ecnFlags, !accurate && got.Has(packet.ECE|packet.CWR):
		how = "it only sends the flags back, and does not use ECN"
	case got == packet.ECE, got == packet.AE|packet.ECE:
		how = "it uses ECN (RFC 3168)"
		if accurate {
			how = "it uses ECN, but not Accurate ECN"
		}
	case accurate:
		field := map[packet.Flags]uint8{packet.CWR: 0, packet.CWR | packet.ECE: 1, packet.AE: 2, packet.AE | packet.CWR: 3}[got]
		how = fmt.Sprintf("it uses Accurate ECN (RFC 9768), and got the SYN with IP ECN field %s", ecnField(field))
	default:
		how = "no answer that RFC 3168 knows"
	}
	if field := r.IP.TOS & 3; field != 0 {
		how += fmt.Sprintf("; the SYN+ACK's own IP ECN field is %s", ecnField(field))
	}
	return what + how
}

// flagNames lists the flags for a sentence.
func flagNames(f packet.Flags) string {
	var names []string
	for _, x := range []struct {
		flag packet.Flags
		name string
	}{{packet.AE, "AE"}, {packet.CWR, "CWR"}, {packet.ECE, "ECE"}} {
		if f.Has(x.flag) {
			names = append(names, x.name)
		}
	}
	switch n := len(names); n {
	case 0:
		return "no ECN flag"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// ecnField names the lower two bits of the TOS byte (RFC 3168 5).
func ecnField(tos uint8) string {
	return [...]string{"Not-ECT", "ECT(1)", "ECT(0)", "CE"}[tos&3]
}
