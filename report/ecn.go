package report

import (
	"fmt"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// ecnFlags are those of a TCP header that are about congestion (RFC 3168, RFC 9768).
const ecnFlags = packet.AE | packet.CWR | packet.ECE

// ECN says in plain words, a line each, what became of Explicit Congestion Notification on a path: what the SYN asked
// for, as what it came to each hop, and what the target answered. There are no lines where it asked for nothing.
func ECN(t *trace.Trace) []string {
	var e ecn
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
	flags     told[packet.Flags]
	field     told[uint8]
	answer    string
}

// told is what the last hop said that said anything; hop 0 is this host.
type told[T comparable] struct {
	value T
	hop   int
}

// stretch is neighbouring hops that saw the same.
type stretch struct {
	seen        seen
	first, last int
	hops        int // how many of them that are
	changed     int // the hop after which it was changed; -1: it is as the hop before told
	who         netip.Addr
}

// seen is a SYN as it came to a router, as far as that quotes it.
type seen struct {
	flags packet.Flags
	told  bool // the flags were quoted
	field uint8
}

func (e *ecn) add(ttl int, r trace.Result) {
	if e.asked, e.tos = r.Probe.Flags&ecnFlags, r.Probe.TOS; e.flags.hop == 0 {
		e.flags.value = e.asked
	}
	if e.field.hop == 0 {
		e.field.value = e.tos & 3
	}
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
	e.stretchTo(ttl, s, r.Reply.From())
	e.field = told[uint8]{s.field, ttl}
	if s.told {
		e.flags = told[packet.Flags]{s.flags, ttl}
	}
}

// stretchTo adds a hop to the last stretch, or begins another.
func (e *ecn) stretchTo(ttl int, s seen, who netip.Addr) {
	if n := len(e.stretches); n > 0 && e.stretches[n-1].seen == s {
		before := &e.stretches[n-1]
		if ttl > before.last {
			before.last, before.hops = ttl, before.hops+1
		}
		return
	}
	changed := -1
	switch {
	case s.told && s.flags != e.flags.value:
		changed = e.flags.hop
	case s.field != e.field.value:
		changed = e.field.hop
	}
	e.stretches = append(e.stretches, stretch{seen: s, first: ttl, last: ttl, hops: 1, changed: changed, who: who})
}

// stretch is one line.
func (e *ecn) stretch(s stretch) string {
	where := fmt.Sprintf("hop %d (%v)", s.first, s.who)
	if s.last > s.first {
		where = fmt.Sprintf("hops %d to %d", s.first, s.last)
		if s.hops <= s.last-s.first {
			where += ", those that answered"
		}
	}
	var how []string
	lost, added := e.asked&^s.seen.flags, s.seen.flags&^e.asked
	switch {
	case !s.seen.told:
		how = append(how, "too little of the TCP header quoted to tell its flags")
		lost = 0
	case lost != 0:
		how = append(how, "without "+flagNames(lost))
	}
	if added != 0 {
		how = append(how, "with "+flagNames(added)+" that was not sent")
	}
	switch {
	case s.seen.field != e.tos&3:
		how = append(how, "IP ECN field "+ecnField(s.seen.field))
	case !s.seen.told:
		how = append(how, "IP ECN field as sent")
	case lost == 0 && added == 0:
		how = append(how, "as it was sent")
	}
	switch {
	case s.changed == 0:
		how = append(how, fmt.Sprintf("changed before hop %d", s.first))
	case s.changed > 0 && s.changed < s.first:
		how = append(how, fmt.Sprintf("changed between hop %d and hop %d", s.changed, s.first))
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
		field := map[packet.Flags]uint8{packet.CWR: 0, packet.CWR | packet.ECE: 1, packet.AE: 2,
			packet.AE | packet.CWR: 3}[got]
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
