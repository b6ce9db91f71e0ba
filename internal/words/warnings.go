package words

import (
	"fmt"
	"slices"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Warnings says what was not as it should be.
func Warnings(unsent *report.Unsent, counts trace.Counts) []string {
	lines := unsent.Lines()
	warn := func(format string, args ...any) { lines = append(lines, "Warning: "+fmt.Sprintf(format, args...)) }
	if counts.LostHere > 0 {
		warn("packets lost on this host, which was too busy to read them: %d. Probes in flight then are not counted as lost",
			counts.LostHere)
	}
	if counts.BadChecksum > 0 {
		warn("%d answers had a wrong checksum and were not believed", counts.BadChecksum)
	}
	if counts.OwnAddress > 0 {
		warn("ICMP errors about the probes came from this host's own address, which is no hop: %d (-d shows them)",
			counts.OwnAddress)
	}
	if counts.ShortQuotes > 0 {
		warn("%d ICMP errors quote too little of a probe to be believed (the addresses and ports, without the sequence "+
			"number): hops that send such errors are shown as silent", counts.ShortQuotes)
	}
	if counts.NearMisses >= trace.NearMissAlarm {
		warn("%d answers do not match our probes: they are forged, or a device rewrites sequence numbers (--loose "+
			"believes them)", counts.NearMisses)
	}
	return lines
}

// AtEnd says of a trace that is over what was not as it should be. Lines may be "".
func AtEnd(unsent *report.Unsent, counts trace.Counts, m *measure.Measurement, known *trace.Trace) []string {
	return append(Warnings(unsent, counts), Departure(m), Hidden(m, known))
}

// Departure says that this host changes probes on their way out; "": it doesn't.
func Departure(m *measure.Measurement) string {
	if how := m.Departure(); how != "" {
		return "This host changes the probes: " + record.Printable(how)
	}
	return ""
}

// Hidden says that routers may be hidden by this host's own translation of the destination: the kernel then puts the
// target's address in the place of theirs, and only a packet socket sees what came in. "": they are not.
func Hidden(m *measure.Measurement, known *trace.Trace) string {
	if m.SeesWire() {
		return ""
	}
	hidden := func(r trace.Result) bool {
		return r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded &&
			r.Reply.From() == m.Header.Path.Target.Addr().WithZone("")
	}
	for ttl := known.First(); ttl <= known.Last(); ttl++ {
		if slices.ContainsFunc(known.Hop(ttl).Probes, hidden) {
			return "Routers answered from the target's address. If this host translates that address itself, as for a " +
				"service, theirs are known only to a trace with packet sockets"
		}
	}
	return ""
}

// Unplaced says that the target has answered, if no hop shows it; "": one does.
func Unplaced(t *trace.Trace) string {
	u := t.Unplaced()
	if u == nil {
		return ""
	}
	return fmt.Sprintf("%s answered [%s], but how far away it is could not be told", u.Reply.From(), record.StateOf(*u))
}

// PortsMayNotCount warns where a source port may choose no path for ordinary connections; "": no reason is known.
func PortsMayNotCount(t *record.Trace) string {
	if note := report.PortsMayNotCount(t.Graph, t.SameKernel()); note != "" {
		return "Warning: " + note
	}
	return ""
}

// ConnectionEnd says where the trace of another program's connection ends.
func ConnectionEnd(m *measure.Measurement) string {
	return fmt.Sprintf("The target is about %d hops away, by what it sends; probes go as far as hop %d, so that the "+
		"connection is not disturbed", m.Away, m.Header.Path.MaxTTL)
}
