package detect

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// rewrite is where a field of the packet was changed, as the quotes in the routers' answers show it: one router after
// the other tells what the packet looked like when it got there.
type rewrite struct {
	packet.Change              // as it was first seen
	after, before int          // the last hop that got it as it was sent, and the first that got it changed
	last          int          // the farthest hop that got it changed
	witnesses     []netip.Addr // who quote it changed
	result        *trace.Result
	doubt         string // why it may not be so; "": nothing speaks against it
}

// quoted yields the quotes that the answers of a hop hold.
func (h *hop) quoted(yield func(*trace.Result, *packet.Quote) bool) {
	for r := range h.replies() {
		if q := &r.Reply.Quote; q.IP.Version != 0 && r.Evidence != trace.ByKernel && !ofAnother(r) && !yield(r, q) {
			return
		}
	}
}

// stampRange is by how much the timestamps of a path's probes differ at the most, which count up from one to the next.
const stampRange = 1 << 16

// ofAnother reports whether an answer that names no probe quotes the timestamp of another one: then it was taken for
// this one's by mistake.
func ofAnother(r *trace.Result) bool {
	was, _, sent := r.Probe.Options.Timestamps()
	is, _, quoted := r.Reply.Quote.TCP.Options.Timestamps()
	return r.Evidence != trace.ByTag && sent && quoted && was != is && was-is+stampRange < 2*stampRange
}

// rewritten finds where the fields that is tells of were changed, and stayed so. What one router alone quotes otherwise
// than those beyond it, it has got wrong, or it was changed back; that is none.
func (p *path) rewritten(field packet.Field, is func(packet.Change) bool) *rewrite {
	if p == nil {
		return nil
	}
	var w *rewrite
	clean := p.first() - 1 // the last hop that got it as it was sent
	for i := range p.hops {
		h := &p.hops[i]
		for r, q := range h.quoted {
			if !covers(q, field) {
				continue
			}
			c, changed := p.changeIn(q, r.Probe, is)
			if !changed && field == packet.FieldChecksum && !asSent(q, r.Probe) {
				continue // it fits a change that is quoted: what is hidden may have happened before
			}
			if !changed {
				clean, w = when(p.restored(r, field), clean, h.ttl), nil
				continue
			}
			if w == nil {
				w = &rewrite{Change: c, before: h.ttl, result: r}
			}
			w.last = h.ttl
			same := c.Seen == w.Seen || field == packet.FieldID || field == packet.FieldChecksum // these differ in each packet
			if from := r.Reply.From(); same && !slices.Contains(w.witnesses, from) {
				w.witnesses = append(w.witnesses, from)
			}
			w.question(q, r.Probe, field)
		}
	}
	if w == nil {
		return nil
	}
	if w.after = clean; w.after == w.before {
		return nil // the same hop got it either way
	}
	return w
}

// restored reports whether a quoted destination may be as it was sent only because a NAT has put it back. Whoever says
// in the target's name that the TTL is over stands beyond a NAT that translates the error as a whole, or is one.
func (p *path) restored(r *trace.Result, field packet.Field) bool {
	destination := field == packet.FieldDestination || field == packet.FieldDestinationPort
	return destination && r.Reply.From() == p.target.Addr()
}

// asSent reports whether a quoted checksum is the one that was sent.
func asSent(q *packet.Quote, p packet.Probe) bool {
	_, _, sum := q.Checksum(p)
	return sum == packet.SumBoth || sum == packet.SumSent
}

// changeIn is the first change that a quote shows of a kind.
func (p *path) changeIn(q *packet.Quote, probe packet.Probe, is func(packet.Change) bool) (packet.Change, bool) {
	for c := range p.changes(q, probe) {
		if is(c) {
			return c, true
		}
	}
	return packet.Change{}, false
}

// changes yields in what the quoted packet differs from the probe as it left this host: what this host itself changes
// was changed nowhere on the way.
func (p *path) changes(q *packet.Quote, probe packet.Probe) iter.Seq[packet.Change] {
	return func(yield func(packet.Change) bool) {
		for c := range q.Changes(probe) {
			i := slices.IndexFunc(p.departed, func(own packet.Change) bool {
				return own.Field == c.Field && own.Option == c.Option && own.Sent == c.Sent
			})
			if i >= 0 {
				own := p.departed[i]
				if own.Alteration == c.Alteration && own.Seen == c.Seen {
					continue
				}
				if own.Alteration == packet.Altered {
					c.Sent = own.Seen
				}
			}
			if !yield(c) {
				return
			}
		}
	}
}

// covers reports whether enough was quoted to tell whether a field was changed.
func covers(q *packet.Quote, field packet.Field) bool {
	t := &q.TCP
	switch field {
	case packet.FieldSource, packet.FieldDestination, packet.FieldID, packet.FieldDSCP, packet.FieldECN,
		packet.FieldDontFragment, packet.FieldFlowLabel, packet.FieldTotalLength:
		return true
	case packet.FieldSourcePort, packet.FieldDestinationPort, packet.FieldSeq:
		return t.HasSeq()
	case packet.FieldAck:
		return t.HasAck()
	case packet.FieldFlags:
		return t.HasFlags()
	case packet.FieldWindow:
		return t.HasWindow()
	case packet.FieldChecksum:
		return t.HasChecksum()
	}
	return t.HasOptions()
}

// question looks for what speaks against a change: a checksum that it would have had to change too. What damages a
// packet or its quote leaves it as it was.
func (w *rewrite) question(q *packet.Quote, p packet.Probe, field packet.Field) {
	_, _, sum := q.Checksum(p)
	inTCP := !inIP(field)
	switch {
	case inTCP && (sum == packet.SumSent || sum == packet.SumNeither) && field != packet.FieldChecksum:
		w.doubt = "The TCP checksum doesn't fit the change: it may have been made in the quotes only."
	case !inTCP && q.IP.Checksum == packet.CheckBad:
		w.doubt = "The checksum of the quoted IP header is wrong, as where a quote is damaged."
	}
}

// inIP reports whether a field stands in the IP header, which the TCP checksum doesn't cover, addresses aside.
func inIP(field packet.Field) bool {
	switch field {
	case packet.FieldID, packet.FieldDSCP, packet.FieldECN, packet.FieldDontFragment, packet.FieldFlowLabel,
		packet.FieldTotalLength:
		return true
	}
	return false
}

// confidence: one router may quote wrongly, whatever addresses it has, two don't do so in the same way. What rewrites
// the quotes that pass it on their way back gives itself away by a checksum, if one covers the field.
func (w *rewrite) confidence() Confidence {
	alone := len(w.witnesses) < 2 || w.last == w.before
	switch {
	case w.doubt != "" && alone:
		return Possible
	case w.doubt != "" || alone || w.unchecked():
		return Likely
	}
	return Certain
}

// unchecked reports whether no checksum covers the field: the first word of an IPv6 header.
func (w *rewrite) unchecked() bool {
	switch w.Field {
	case packet.FieldDSCP, packet.FieldECN, packet.FieldFlowLabel:
		return w.result.Reply.Quote.IP.Version == 6
	}
	return false
}

// finding is what all findings of changes have in common.
func (f *facts) rewriteFinding(w *rewrite, code Code, weight int, title string) Finding {
	x := Finding{
		Code: code, Weight: weight, Confidence: w.confidence(), After: w.after, Before: w.before,
		Title: title + " " + f.between(w.after, w.before),
	}
	was := fmt.Sprintf("The packet left %s", w.fieldText(w.SentText()))
	if w.after >= f.first() {
		was = fmt.Sprintf("%s got the packet %s, as it was sent", capital(f.hopName(w.after)), w.fieldText(w.SentText()))
	}
	x.Evidence = append(x.Evidence, fmt.Sprintf("%s; %s got it %s.", was, f.hopName(w.before), w.fieldText(w.SeenText())))
	switch n := len(w.witnesses); {
	case n > 1 && w.last > w.before:
		x.Evidence = append(x.Evidence, fmt.Sprintf("%d routers from there on say the same.", n))
	case n > 1:
		x.Evidence = append(x.Evidence, "Only that hop tells: its addresses may be one router's, which may "+
			"quote wrongly.")
	default:
		x.Evidence = append(x.Evidence, "Only this one tells: it may quote wrongly.")
	}
	if w.doubt != "" {
		x.Evidence = append(x.Evidence, w.doubt)
	}
	if w.unchecked() && len(w.witnesses) > 1 {
		x.Evidence = append(x.Evidence, "No checksum covers this field: what changes the routers' answers on their way back "+
			"looks the same.")
	}
	return x
}

// fieldText is a value of the field that was changed.
func (w *rewrite) fieldText(value string) string {
	if value == "" {
		return "without " + w.Field.String()
	}
	return "with " + w.Field.String() + " " + value
}
