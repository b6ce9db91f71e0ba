package schema

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"tcptraceroute/packet"
	"tcptraceroute/report"
	"tcptraceroute/trace"
)

// timeFormat is RFC 3339 in UTC with all nine digits, so that times sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z"

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

// milliseconds keeps every nanosecond: the nearest number of that many digits is printed with them.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// text is text from the network or the user. JSON holds any text but not any bytes: where it isn't UTF-8 it comes escaped
// as in a Go string.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return report.Escaped(s)
}

func programOf(r *report.Run) program { return program{"tcptraceroute", r.Version} }

func targetOf(r *report.Run) target {
	t := r.Path.Target
	return target{Host: text(r.Host), Address: t.Addr().String(), Port: t.Port(), Service: text(r.Service)}
}

func sourceOf(r *report.Run) source {
	s := r.Path.Source
	return source{Address: s.Addr().String(), Port: s.Port(), Interface: text(r.Interface), Hostname: text(r.Hostname)}
}

func optionsOf(r *report.Run) options {
	p := r.Path.Effective()
	family := 4
	if p.Target.Addr().Is6() {
		family = 6
	}
	return options{
		Family: family, Protocol: "tcp",
		FirstTTL: p.FirstTTL, MaxTTL: p.MaxTTL, Queries: p.Queries, Parallel: p.Parallel,
		WaitMS: milliseconds(p.Wait), Patient: p.Patient, SpacingMS: milliseconds(p.Spacing),
		Flags: flags(p.Flags), TOS: p.TOS, Length: r.Length, DontFragment: p.DontFragment,
		TCPOptions: tcpOptions(&p.Options), SourcePorts: p.Ports,
		Strict: r.Strict, Loose: r.Loose, Mark: r.Mark, Names: !r.Numeric,
	}
}

func outcomeOf(rec *report.Record, e report.Ending) outcome {
	o := outcome{Reached: rec.Reached(), State: "no_answer", Reason: string(e.Reason), Signal: e.Signal, ExitCode: e.ExitCode}
	if e.Err != nil {
		o.Error = text(e.Err.Error())
	}
	end := rec.End()
	if end == nil {
		return o
	}
	o.Address = end.Reply.From().String()
	if end.Fate == trace.Answered { // else which probe it answers, and so the distance, isn't known
		o.TTL = int(end.Probe.TTL)
	}
	o.State, o.Mark = "refused", report.Mark(end.Reply)
	if end.FromTarget() {
		o.State = state(end.Reply.TCP.Flags)
	}
	return o
}

// state is what the target's answer says of the port.
func state(f packet.Flags) string {
	switch {
	case f.Has(packet.RST):
		return "closed"
	case f.Has(packet.SYN | packet.ACK):
		return "open"
	}
	return "other"
}

// hopsOf are all the hops; with their probes, or only their figures.
func hopsOf(rec *report.Record, run *report.Run, whole bool) []hop {
	hops := []hop{}
	for e := range rec.Entries() {
		h := hop{TTL: e.TTL, Beyond: e.Beyond, Responders: respondersOf(e.Probes, run)}
		for _, r := range e.Probes {
			if !r.Sent.IsZero() {
				h.Sent++
			}
			switch r.Fate {
			case trace.Answered:
				h.Answered++
			case trace.Lost:
				h.Lost++
			case trace.Failed:
				h.Failed++
			case trace.Unknown:
				h.Unknown++
			}
			if whole {
				h.Probes = append(h.Probes, probeOf(r))
			}
		}
		if whole {
			for _, r := range e.Notices {
				h.Notices = append(h.Notices, probeOf(r))
			}
		}
		hops = append(hops, h)
	}
	return hops
}

// respondersOf are those who answered, in order of the probes that they answered first.
func respondersOf(results []trace.Result, run *report.Run) []responder {
	found := []responder{}
	for _, s := range report.Responders(results) {
		r := responder{
			Address: s.Addr.String(), Name: text(run.NameOf(s.Addr)), Answered: s.Answered,
			BestMS: milliseconds(s.Best), AvgMS: milliseconds(s.Average), WorstMS: milliseconds(s.Worst),
		}
		if o, ok := run.OwnerOf(s.Addr); ok {
			r.AS = &owner{o.ASN, text(o.Name), text(o.Country)}
		}
		found = append(found, r)
	}
	return found
}

func totalsOf(rec *report.Record, c trace.Counts) totals {
	t := totals{
		Sent: c.Sent, Late: c.Late, Duplicates: c.Duplicates, NearMisses: c.NearMisses, BadChecksums: c.BadChecksum,
		Unrelated: c.Unrelated, Malformed: c.Malformed,
	}
	for e := range rec.Entries() {
		for _, r := range e.Probes {
			t.Probes++
			switch r.Fate {
			case trace.Answered:
				t.Answered++
			case trace.Lost:
				t.Lost++
			case trace.Failed:
				t.Failed++
			case trace.Unknown:
				t.Unknown++
			}
		}
	}
	return t
}

func probeOf(r trace.Result) probe {
	p := &r.Probe
	v4 := p.Src.Addr().Is4()
	j := probe{
		N: r.N, TTL: p.TTL, Fate: r.Fate.String(), Sent: instant(r.Sent),
		SourcePort: p.Src.Port(), TOS: p.TOS, DontFragment: p.DontFragment, Length: max(int(p.Length), p.HeaderLength()),
		Sequence: p.Seq, Flags: flags(p.Flags), Window: p.Window, TCPOptions: tcpOptions(&p.Options),
		IPID: only(v4, p.ID), FlowLabel: only(!v4, p.FlowLabel), Ack: only(p.Flags.Has(packet.ACK), p.Ack),
	}
	if r.Err != nil {
		j.Error, j.LocalMark = text(r.Err.Error()), report.LocalMark(r.Err)
	}
	if r.Reply != nil {
		j.Reply = replyOf(r)
	}
	return j
}

// only is a value that there is under a condition.
func only[T any](so bool, v T) *T {
	if !so {
		return nil
	}
	return &v
}

func replyOf(r trace.Result) *reply {
	a := r.Reply
	v4 := a.IP.Version == 4
	j := &reply{
		Address: a.From().String(), Received: instant(r.Recv), RTTMS: milliseconds(r.RTT()),
		Evidence: r.Evidence.String(), Verified: r.Evidence != trace.Unverified, Kind: strings.ReplaceAll(a.Kind.String(), " ", "_"),
		TTL: a.IP.TTL, TOS: a.IP.TOS, IPID: only(v4, a.IP.ID), Length: a.IP.TotalLength,
	}
	if a.Kind == packet.KindTCP {
		t := &a.TCP
		j.TCP = &tcp{
			State: state(t.Flags), SourcePort: t.SrcPort, Flags: flags(t.Flags), Sequence: t.Seq, Ack: t.Ack, Window: t.Window,
			TCPOptions: tcpOptions(&t.Options),
		}
		return j
	}
	j.ICMP = &icmp{Type: a.Type, Code: a.Code, Mark: report.Mark(a), MTU: a.MTU, Pointer: a.Pointer}
	j.Quote = quoteOf(&a.Quote)
	j.Extensions = extensionsOf(&a.Extensions)
	return j
}

func quoteOf(q *packet.Quote) *quote {
	if q.Bytes == 0 {
		return nil
	}
	v4 := q.IP.Version == 4
	t := &q.TCP
	j := &quote{
		Bytes: q.Bytes, Source: address(q.IP.Src), Destination: address(q.IP.Dst), TTL: q.IP.TTL, TOS: q.IP.TOS,
		IPID: only(v4, q.IP.ID), FlowLabel: only(!v4, q.IP.FlowLabel), DontFragment: q.IP.DontFragment,
		Length: q.IP.TotalLength, IPChecksum: checksum(q.IP.Checksum),
		SourcePort: only(t.HasSeq(), t.SrcPort), DestinationPort: only(t.HasSeq(), t.DstPort), Sequence: only(t.HasSeq(), t.Seq),
		Ack: only(t.HasAck(), t.Ack), Window: only(t.HasWindow(), t.Window), TCPChecksum: checksum(t.Checksum),
		TCPOptions: tcpOptions(&t.Options),
	}
	if t.HasFlags() {
		j.Flags = flags(t.Flags)
	}
	return j
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func checksum(c packet.Check) string {
	switch c {
	case packet.CheckGood:
		return "good"
	case packet.CheckBad:
		return "bad"
	}
	return ""
}

func extensionsOf(e *packet.Extensions) *extensions {
	if e.Len() == 0 {
		return nil
	}
	j := &extensions{Compliant: e.Compliant, Checksum: "absent"}
	if s := checksum(e.Checksum); s != "" {
		j.Checksum = s
	}
	for o := range e.Objects() {
		switch {
		case o.Class == packet.ClassMPLS && o.Type == 1:
			for l := range o.MPLS() {
				j.MPLS = append(j.MPLS, label{l.Label, l.TC, l.Bottom, l.TTL})
			}
		case o.Class == packet.ClassInterface:
			i, err := o.Interface()
			j.Interfaces = append(j.Interfaces, interfaceOf(i))
			if err != nil {
				j.Others = append(j.Others, icmpObject{o.Class, o.Type, hex.EncodeToString(o.Data)}) // what could not be read
			}
		default:
			j.Others = append(j.Others, icmpObject{o.Class, o.Type, hex.EncodeToString(o.Data)})
		}
	}
	return j
}

func interfaceOf(i packet.Interface) iface {
	roles := [...]string{"incoming", "sub_incoming", "outgoing", "next_hop"}
	return iface{Role: roles[i.Role&3], Index: i.Index, Address: address(i.Addr), Name: text(string(i.Name)), MTU: i.MTU}
}

// flags are the names of TCP flags; an empty list where there are none.
func flags(f packet.Flags) []string {
	if f == 0 {
		return []string{}
	}
	return strings.Split(f.String(), "|")
}

var optionNames = map[uint8]string{
	packet.OptionNOP: "nop", packet.OptionMSS: "mss", packet.OptionWindowScale: "window_scale",
	packet.OptionSACKPermitted: "sack_permitted", packet.OptionSACK: "sack", packet.OptionTimestamps: "timestamps",
	packet.OptionFastOpen: "fast_open",
}

func tcpOptions(o *packet.Options) []tcpOption {
	var list []tcpOption
	for x := range o.All() {
		j := tcpOption{Kind: x.Kind, Name: optionNames[x.Kind]}
		switch v := number(x.Data); {
		case x.Kind == packet.OptionMSS && len(x.Data) == 2, x.Kind == packet.OptionWindowScale && len(x.Data) == 1:
			j.Value = new(uint32(v))
		case x.Kind == packet.OptionTimestamps && len(x.Data) == 8:
			j.Value, j.Echo = new(uint32(v>>32)), new(uint32(v))
		default:
			j.Data = hex.EncodeToString(x.Data)
		}
		list = append(list, j)
	}
	return list
}

// number reads up to eight bytes, most significant first.
func number(b []byte) (n uint64) {
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}
