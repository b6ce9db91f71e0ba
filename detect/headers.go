package detect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.example/tcptraceroute/packet"
)

// headers finds what middleboxes do to the rest of the headers.
func headers(f *facts) []Finding {
	var all []Finding
	add := func(x *Finding) {
		if x != nil {
			all = append(all, *x)
		}
	}
	add(f.clamped())
	add(f.stripped())
	add(f.unmarked())
	add(f.noECN())
	add(f.scrubbed())
	add(f.relabelled())
	add(f.hidden())
	add(f.otherChanges())
	return all
}

// clamped is a maximum segment size that is another. Where it is lowered more than once, the lowest one counts.
func (f *facts) clamped() *Finding {
	altered := func(c packet.Change) bool { return c.Field == packet.FieldMSS && c.Alteration == packet.Altered }
	w := f.rewritten(packet.FieldMSS, altered)
	if w == nil {
		return nil
	}
	first, lowest := w, f.lowestMSS(w)
	if lowest < w.Seen {
		again := f.rewritten(packet.FieldMSS, func(c packet.Change) bool { return altered(c) && c.Seen == lowest })
		w = cmp.Or(again, w)
	}
	x := f.rewriteFinding(w, MSSClamped, weightNotice,
		fmt.Sprintf("The MSS is changed from %s to %s", w.SentText(), w.SeenText()))
	if w != first {
		x.Evidence[0] = fmt.Sprintf("%s got the packet with MSS %s, and %s with MSS %s.",
			capital(f.hopName(w.after)), first.SeenText(), f.hopName(w.before), w.SeenText())
		x.Evidence = append(x.Evidence, fmt.Sprintf("It is lowered twice: from %s to %s %s.",
			first.SentText(), first.SeenText(), f.between(first.after, first.before)))
	}
	if w.Seen > w.Sent {
		x.Code, x.Weight = MSSRaised, weightTrap
		x.Advice = fmt.Sprintf("Ask %s: who answers may now send segments of %d bytes, larger than this host asked "+
			"for, which may not fit on the way back. Connections then open, and hang.", f.owner(w.after, w.before), w.Seen)
		return &x
	}
	x.Advice = fmt.Sprintf("Nothing to do: it keeps TCP's packets to %d bytes, as a router does that knows of a "+
		"tunnel, and prevents MTU trouble.", w.Seen+mssOverhead(f.target.Addr().Is4()))
	return &x
}

// lowestMSS is the lowest that is quoted from where it was first changed.
func (f *facts) lowestMSS(first *rewrite) uint64 {
	lowest := first.Seen
	for i := range f.hops {
		for r, q := range f.hops[i].quoted {
			c, changed := f.changeIn(q, r.Probe, func(c packet.Change) bool {
				return c.Field == packet.FieldMSS && c.Alteration == packet.Altered
			})
			if changed && f.hops[i].ttl >= first.before {
				lowest = min(lowest, c.Seen)
			}
		}
	}
	return lowest
}

// mssOverhead is what the headers add to a full segment.
func mssOverhead(v4 bool) uint64 {
	if v4 {
		return 40
	}
	return 60
}

// stripped is TCP options that are taken out.
func (f *facts) stripped() *Finding {
	gone := func(c packet.Change) bool {
		return c.Field.IsOption() && (c.Alteration == packet.Removed || c.Alteration == packet.Overwritten)
	}
	w := f.rewritten(packet.FieldOption, gone)
	if w == nil {
		return nil
	}
	var names []string
	for c := range f.changes(&w.result.Reply.Quote, w.result.Probe) {
		if gone(c) {
			name := c.Field.String()
			if c.Field == packet.FieldOption {
				name = fmt.Sprintf("option %d", c.Option)
			}
			names = append(names, name)
		}
	}
	x := f.rewriteFinding(w, OptionsRemoved, weightHarm,
		"TCP options are taken out of the SYN ("+strings.Join(names, ", ")+")")
	x.Advice = fmt.Sprintf("Ask %s, if connections are slow: they work without these options%s.",
		f.owner(w.after, w.before), harms(names))
	return &x
}

// harms says what the lack of each option does to a connection, as far as it does harm.
func harms(options []string) string {
	var all []string
	for _, o := range []struct {
		field packet.Field
		harm  string
	}{
		{packet.FieldWindowScale, "no window scale limits throughput"},
		{packet.FieldSACKPermitted, "no SACK slows recovery from loss"},
		{packet.FieldTimestamps, "no timestamps make for coarser retransmission times"},
	} {
		if slices.Contains(options, o.field.String()) {
			all = append(all, o.harm)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return ", but " + strings.Join(all, ", ")
}

// unmarked is a changed DSCP.
func (f *facts) unmarked() *Finding {
	w := f.rewritten(packet.FieldDSCP, func(c packet.Change) bool { return c.Field == packet.FieldDSCP })
	if w == nil {
		return nil
	}
	what := fmt.Sprintf("The DSCP is changed from %s to %s", w.SentText(), w.SeenText())
	if w.Seen == 0 {
		what = fmt.Sprintf("The DSCP (%s) is erased", w.SentText())
	}
	x := f.rewriteFinding(w, DSCPChanged, weightNotice, what)
	x.Advice = "Nothing to do, unless the mark has to mean something beyond that place: networks change it at " +
		"their borders."
	return &x
}

// noECN is explicit congestion notification taken out, of either header. Congestion experienced is what routers may
// set.
func (f *facts) noECN() *Finding {
	const notECT, congestion = 0, 3
	w := f.rewritten(packet.FieldECN, func(c packet.Change) bool {
		return c.Field == packet.FieldECN && c.Sent != notECT && c.Seen != congestion
	})
	what := "The ECN bits of the IP header are erased"
	if w == nil {
		w = f.rewritten(packet.FieldFlags, func(c packet.Change) bool {
			lost := packet.Flags(c.Sent &^ c.Seen)
			return c.Field == packet.FieldFlags && lost&(packet.ECE|packet.CWR|packet.AE) != 0
		})
		what = "The SYN's offer of ECN (its flags ECE and CWR) is erased"
	}
	if w == nil {
		return nil
	}
	x := f.rewriteFinding(w, ECNErased, weightNotice, what)
	x.Advice = fmt.Sprintf("Nothing to do: connections work without ECN. To have it, ask %s.", f.owner(w.after, w.before))
	return &x
}

// scrubbed is an IP ID that is another.
func (f *facts) scrubbed() *Finding {
	w := f.rewritten(packet.FieldID, func(c packet.Change) bool { return c.Field == packet.FieldID })
	if w == nil {
		return nil
	}
	x := f.rewriteFinding(w, IPIDRewritten, weightNotice, "The IP ID is rewritten")
	x.Advice = "Nothing to do: a firewall that normalises traffic does that, or a NAT. From there on it is less " +
		"sure which probe an answer belongs to."
	return &x
}

// relabelled is an IPv6 flow label that is another.
func (f *facts) relabelled() *Finding {
	w := f.rewritten(packet.FieldFlowLabel, func(c packet.Change) bool { return c.Field == packet.FieldFlowLabel })
	if w == nil {
		return nil
	}
	x := f.rewriteFinding(w, LabelRewritten, weightNotice, "The IPv6 flow label is rewritten")
	x.Advice = "Nothing to do: a firewall that normalises traffic does that, or a NAT64. Routers that choose among " +
		"equal ways by the label may take one way for all packets from there on."
	if w.Seen == 0 {
		x.Title = "The IPv6 flow label is erased " + f.between(w.after, w.before)
	}
	return &x
}

// hidden is a checksum that fits neither what was sent nor what was quoted.
func (f *facts) hidden() *Finding {
	w := f.rewritten(packet.FieldChecksum, func(c packet.Change) bool { return c.Field == packet.FieldChecksum })
	if w == nil || slices.ContainsFunc(f.departed, func(c packet.Change) bool { return !inIP(c.Field) }) {
		return nil // this host's own changes don't leave the checksum as it was either
	}
	x := f.rewriteFinding(w, HiddenRewrite, weightNotice, "Something is changed that the quotes don't show, likely "+
		"addresses or ports by a NAT,")
	x.Confidence = min(x.Confidence, Likely)
	x.Advice = "Nothing to do if connections work. A NAT that puts the old addresses back into ICMP errors, but " +
		"not the checksum, leaves this trace; so does a change of options that weren't quoted, and damage."
	return &x
}

// otherChanges is any other change.
func (f *facts) otherChanges() *Finding {
	var first *rewrite
	for _, field := range []packet.Field{
		packet.FieldDontFragment, packet.FieldAck, packet.FieldFlags, packet.FieldWindow, packet.FieldUrgent,
		packet.FieldOption,
	} {
		w := f.rewritten(field, func(c packet.Change) bool { return other(c, field) })
		if w != nil && (first == nil || w.before < first.before) {
			first = w
		}
	}
	if first == nil {
		return nil
	}
	var what []string
	for c := range f.changes(&first.result.Reply.Quote, first.result.Probe) {
		if other(c, c.Field) {
			what = append(what, c.String())
		}
	}
	x := f.rewriteFinding(first, HeaderRewritten, weightNotice, "The header is rewritten ("+strings.Join(what, ", ")+")")
	x.Advice = fmt.Sprintf("Ask %s, if connections fail: a middlebox meddles with them.",
		f.owner(first.after, first.before))
	return &x
}

// other reports whether a change is of that field, and none that has a finding of its own.
func other(c packet.Change, field packet.Field) bool {
	switch c.Field {
	case packet.FieldDontFragment, packet.FieldAck, packet.FieldWindow, packet.FieldUrgent:
		return c.Field == field
	case packet.FieldFlags:
		return c.Field == field && packet.Flags(c.Sent^c.Seen)&^(packet.ECE|packet.CWR|packet.AE) != 0
	}
	own := c.Field == packet.FieldMSS && c.Alteration == packet.Altered || c.Alteration == packet.Removed ||
		c.Alteration == packet.Overwritten
	return c.Field.IsOption() && !own && (field == packet.FieldOption || field.IsOption())
}
