package cli

import (
	"errors"
	"fmt"
	"slices"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// sayDeparture says that this host changes probes on their way out.
func (p *program) sayDeparture(m *measure.Measurement) {
	if how := m.Departure(); how != "" {
		fmt.Fprintf(p.stderr, "This host changes the probes: %s\n", record.Printable(how))
	}
}

// sayHidden says that routers may be hidden by this host's own translation of the destination: the kernel then puts
// the target's address in the place of theirs, and only a packet socket sees what came in.
func (p *program) sayHidden(m *measure.Measurement, known *trace.Trace) {
	if !m.Header.Connections && !slices.ContainsFunc(m.Without(),
		func(err error) bool { return errors.Is(err, measure.ErrNoPacketSocket) }) {
		return
	}
	hidden := func(r trace.Result) bool {
		return r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded &&
			r.Reply.From() == p.Path.Target.Addr().WithZone("")
	}
	for ttl := known.First(); ttl <= known.Last(); ttl++ {
		if slices.ContainsFunc(known.Hop(ttl).Probes, hidden) {
			fmt.Fprintln(p.stderr,
				"Routers answered from the target's address. If this host translates that address itself, as for a service, "+
					"theirs are known only to a trace with packet sockets")
			return
		}
	}
}

// warn says what was not as it should be.
func (p *program) warn(unsent *report.Unsent, counts trace.Counts) {
	for _, line := range unsent.Lines() {
		fmt.Fprintln(p.stderr, line)
	}
	if counts.LostHere > 0 {
		fmt.Fprintf(p.stderr,
			"Warning: packets lost on this host, which was too busy to read them: %d. Probes in flight then are not counted "+
				"as lost\n", counts.LostHere)
	}
	if counts.BadChecksum > 0 {
		fmt.Fprintf(p.stderr, "Warning: %d answers had a wrong checksum and were not believed\n", counts.BadChecksum)
	}
	if counts.OwnAddress > 0 {
		fmt.Fprintf(p.stderr,
			"Warning: ICMP errors about the probes came from this host's own address, which is no hop: %d (-d shows them)\n",
			counts.OwnAddress)
	}
	if counts.NearMisses >= trace.NearMissAlarm {
		fmt.Fprintf(p.stderr,
			"Warning: %d answers do not match our probes: they are forged, or a device rewrites sequence numbers (--loose "+
				"believes them)\n", counts.NearMisses)
	}
}
