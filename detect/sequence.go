package detect

import (
	"fmt"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// fewMisses is how many answers with a wrong sequence number are more than a stray packet.
const fewMisses = 3

// keepsSeq reports whether the router right before the target got the probes with the number that they were sent with.
// Then answers with other numbers are forged, or answer something else.
func (f *facts) keepsSeq() bool {
	h := f.at(f.distance() - 1)
	if h == nil {
		return false
	}
	for r, q := range h.quoted {
		if covers(q, packet.FieldSeq) && q.TCP.Seq == r.Probe.Seq {
			return true
		}
	}
	return false
}

// sequence finds devices that give connections other sequence numbers. Answers that bring those back are not believed
// (anybody could make them), so it takes a trace with --loose to see who they come from.
func sequence(f *facts) []Finding {
	for _, p := range []*path{f.path, f.loose} {
		w := p.rewritten(packet.FieldSeq, func(c packet.Change) bool { return c.Field == packet.FieldSeq })
		if w == nil {
			continue
		}
		x := f.rewriteFinding(w, SeqRewritten, weightNotice, "TCP sequence numbers are rewritten")
		if p == f.loose && len(w.witnesses) < 2 {
			x.Confidence = Possible
			x.Evidence = append(x.Evidence, "With --loose anybody may forge such an answer.")
		}
		x.Advice = "Run it with --loose to see the hops beyond it: a firewall randomises these numbers (the default " +
			"of Cisco's ASA). Connections work."
		return []Finding{x}
	}
	if f.answer != nil && (f.ofOlder() || !f.answer.Proven()) || f.keepsSeq() {
		return nil // they have the numbers of an older connection, or none, or nothing rewrites any
	}
	if f.counts.NearMisses < fewMisses || f.loose == nil && f.counts.NearMisses < trace.NearMissAlarm {
		return nil
	}
	x := Finding{
		Code: SeqRewritten, Confidence: Possible, Weight: weightNotice,
		Title: "TCP sequence numbers seem to be rewritten on the path",
		Evidence: []string{fmt.Sprintf("%d answers fit the addresses and ports, but not the sequence number of any "+
			"probe.", f.counts.NearMisses)},
		Advice: "Run it with --loose: if a firewall randomises them, that shows the hops beyond it. Or somebody " +
			"forges answers.",
	}
	return []Finding{x}
}
