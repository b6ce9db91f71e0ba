package record

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
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

// text is text from the network or the user.
func text(s string) string { return UTF8(s) }

func programOf(h *Header) program { return program{"tcptraceroute", h.Version} }

func targetOf(h *Header) target {
	t := h.Path.Target
	return target{Host: text(h.Host), Address: t.Addr().String(), Port: t.Port(), Service: text(h.Service)}
}

func sourceOf(h *Header) source {
	s := h.Path.Source
	return source{Address: s.Addr().String(), Port: s.Port(), Interface: text(h.Interface), Kind: text(h.Kind),
		Hostname: text(h.Hostname)}
}

func optionsOf(h *Header) options {
	p := h.Path.Effective()
	family := 4
	if p.Target.Addr().Is6() {
		family = 6
	}
	mode := "raw"
	if h.Connections {
		mode = "connect"
	}
	seed := ""
	if family == 6 && p.LabelSeed != 0 {
		seed = strconv.FormatUint(p.LabelSeed, 16)
	}
	return options{
		Family: family, LabelSeed: seed, Protocol: p.Protocol.String(), Mode: mode,
		FirstTTL: p.FirstTTL, MaxTTL: p.MaxTTL, Queries: p.Queries, Parallel: p.Parallel,
		WaitMS: milliseconds(p.Wait), Patient: p.Patient, SpacingMS: milliseconds(p.Spacing),
		Flags: flags(p.Flags), TOS: p.TOS, Length: h.Length, DontFragment: p.DontFragment,
		TCPOptions: tcpOptions(&p.Options), SourcePorts: p.Ports,
		Strict: p.Strict, Loose: p.Loose, Mark: h.Mark, Names: !h.Numeric, Owners: h.OwnersAsked,
	}
}

func outcomeOf(o Outcome, e *Ending) outcome {
	j := outcome{Reached: o.Reached, State: string(o.State), TTL: o.TTL, Address: address(o.Addr), Mark: o.Mark,
		Reason: string(e.Reason), Signal: e.Signal, ExitCode: e.ExitCode}
	if e.Err != nil {
		j.Error = text(e.Err.Error())
	}
	return j
}

// hopsOf are all the hops, and those that were probed beyond the path's end; with their probes, or only their figures.
func hopsOf(rec *Fold, t *Trace, whole bool) (hops, beyond []hop) {
	hops = []hop{}
	for ttl := 1; ttl < rec.First(); ttl++ {
		if a := t.Inferred[ttl]; a.IsValid() {
			hops = append(hops, hop{TTL: ttl, Responders: []responder{}, Inferred: a.String()})
		}
	}
	at := orderOf(t.Results)
	for e := range rec.Entries() {
		h := hop{TTL: e.TTL, Responders: respondersOf(e.Probes, t)}
		if !e.Beyond {
			h.Inferred = address(t.Inferred[e.TTL])
		}
		for _, r := range e.Probes {
			if !r.Sent.IsZero() {
				h.Sent++
			}
			switch r.Outcome {
			case trace.Answered:
				h.Answered++
			case trace.Lost:
				h.Lost++
			case trace.Failed:
				h.Failed++
			case trace.Unknown:
				h.Unknown++
			}
		}
		if whole {
			h.Probes, h.Notices = probesOf(e.Probes, at, t.Connections), probesOf(e.Notices, at, t.Connections)
		}
		if e.Beyond {
			beyond = append(beyond, h)
			continue
		}
		hops = append(hops, h)
	}
	return hops, beyond
}

// order is the place of each result among all, from 1: of an answer by its reply, of other outcomes by the probe's
// number.
type order struct {
	replies  map[*packet.Reply]int
	outcomes map[int]int
}

func orderOf(results []trace.Result) order {
	o := order{make(map[*packet.Reply]int), make(map[int]int)}
	for i := range results {
		if r := &results[i]; r.Reply != nil {
			o.replies[r.Reply] = i + 1
		} else {
			o.outcomes[r.N] = i + 1
		}
	}
	return o
}

// of is the place of a result. That of silence stays where a late refusal is shown instead.
func (o order) of(r trace.Result) int {
	if i, ok := o.outcomes[r.N]; ok && r.Outcome.Final() {
		return i
	}
	return o.replies[r.Reply]
}

func probesOf(results []trace.Result, at order, connection bool) (all []probe) {
	for _, r := range results {
		j := probeOf(r, connection)
		j.Order = at.of(r)
		all = append(all, j)
	}
	return all
}

// respondersOf are those who answered, in order of the probes that they answered first.
func respondersOf(results []trace.Result, t *Trace) []responder {
	found := []responder{}
	for _, s := range Responders(results) {
		found = append(found, responder{
			Address: s.Addr.String(), AddressNote: AddressNote(s.Addr, t.Path.Target.Addr()),
			Name: text(t.NameOf(s.Addr)), AS: t.ownerOf(s.Addr), Answered: s.Answered,
			BestMS: milliseconds(s.Best), AvgMS: milliseconds(s.Average), WorstMS: milliseconds(s.Worst),
		})
	}
	return found
}

func (t *Trace) ownerOf(a netip.Addr) *owner {
	o, ok := t.Owners[a]
	return only(ok, owner{o.ASN, text(o.Name), text(o.Country)})
}

// sendersOf are those who have a name or an owner, and sent nothing but notices: no hop has them among its responders.
func sendersOf(f *Fold, t *Trace) (found []sender) {
	seen := make(map[netip.Addr]bool)
	for e := range f.Entries() {
		for _, r := range e.Probes {
			if r.Outcome == trace.Answered {
				seen[r.Reply.From()] = true
			}
		}
	}
	for _, r := range t.Results {
		if r.Reply == nil || seen[r.Reply.From()] {
			continue
		}
		a := r.Reply.From()
		seen[a] = true
		if s := (sender{a.String(), text(t.NameOf(a)), t.ownerOf(a)}); s.Name != "" || s.AS != nil {
			found = append(found, s)
		}
	}
	return found
}

// findingsOf are what the answers say about the path; nil where nobody looked.
func findingsOf(all []detect.Finding) []finding {
	if all == nil {
		return nil
	}
	list := []finding{}
	for _, f := range all {
		placed := f.After != 0 || f.Before != 0
		j := finding{
			Code: string(f.Code), Confidence: f.Confidence.String(), Title: text(f.Title), Advice: text(f.Advice),
			After: only(placed, f.After), Before: only(placed, f.Before), Weight: f.Weight,
		}
		for _, e := range f.Evidence {
			j.Evidence = append(j.Evidence, text(e))
		}
		list = append(list, j)
	}
	return list
}

// explainOf is how the findings came about; nil where that was not asked for.
func explainOf(d *detect.Diagnosis) *explain {
	if d == nil {
		return nil
	}
	x := &explain{Causes: []considered{}, Questions: []question{}, Budget: budget{
		MostProbes: d.Budget.Probes, Sent: d.Budget.Sent, MostTargetSYNs: d.Budget.Most, TargetSYNs: d.Budget.SYNs,
	}}
	for _, c := range d.Causes {
		j := considered{Code: string(c.Code), What: text(c.What), Excluded: len(c.Excluded) > 0}
		for _, by := range c.Excluded {
			j.ExcludedBy = append(j.ExcludedBy, text(by))
		}
		x.Causes = append(x.Causes, j)
	}
	for _, q := range d.Questions {
		x.Questions = append(x.Questions, questionOf(&q))
	}
	for _, what := range d.Unknown {
		x.Unknown = append(x.Unknown, text(what))
	}
	if d.Host != nil {
		for i := range d.Host.Controls {
			x.Controls = append(x.Controls, controlOf(&d.Host.Controls[i]))
		}
		x.Left = leavingOf(d.Host.Probes)
	}
	return x
}

func controlOf(c *detect.Control) control {
	return control{
		Outcome: c.Outcome.String(), What: text(c.String()), SourcePort: c.Source.Port(), SYNs: c.SYNs,
		TookMS: milliseconds(c.Waited),
		From:   address(c.From), Said: text(c.Said), Followed: c.Followed, Left: leavingOf(c.Left),
		Accepted: only(c.Followed, c.Accepted), Reset: only(c.Followed, c.Reset),
		Flawed: c.Flawed, Flaw: text(c.Flaw.What),
	}
}

// leavingOf is how packets left this host; nil where that isn't known, or they didn't.
func leavingOf(l *detect.Leaving) *leaving {
	if l == nil {
		return nil
	}
	j := &leaving{Source: l.Src.String(), Destination: l.Dst.String(), Mark: l.Mark, TTL: l.TTL, Loopback: l.Loopback}
	for _, name := range l.Interfaces {
		j.Interfaces = append(j.Interfaces, text(name))
	}
	return j
}

func questionOf(q *detect.Asked) question {
	o := q.Options.Effective()
	j := question{
		Kind: q.Ask.String(), What: text(q.What), Protocol: o.Protocol.String(), FirstTTL: o.FirstTTL, MaxTTL: o.MaxTTL,
		Queries: o.Queries,
		Sent:    q.Sent, Answered: q.Answered, Lost: q.Lost, Came: string(q.Came), TTL: only(q.At > 0, q.At),
	}
	if o.Protocol == packet.ProtoTCP {
		j.Flags, j.TargetPort = flags(o.Flags), new(o.Target.Port())
		j.SourcePort = only(o.Source.Port() != 0, o.Source.Port())
	}
	return j
}

func totalsOf(rec *Fold, c *trace.Counts) totals {
	t := totals{
		Sent: c.Sent, Late: c.Late, Duplicates: c.Duplicates, Repeats: c.Repeats, NearMisses: c.NearMisses,
		BadChecksums: c.BadChecksum,
		Unrelated:    c.Unrelated, Malformed: c.Malformed, LostHere: c.LostHere, OwnAddress: c.OwnAddress,
		ShortQuotes: c.ShortQuotes,
	}
	for e := range rec.Entries() {
		for _, r := range e.Probes {
			t.Probes++
			switch r.Outcome {
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

// probeOf is a result. Of a connection the kernel made the packet, and only what it was asked for is known.
func probeOf(r trace.Result, connection bool) probe {
	p := &r.Probe
	v4 := p.Src.Addr().Is4()
	j := probe{
		N: r.N, TTL: p.TTL, Fate: r.Outcome.String(), Sent: instant(r.Sent), Tried: instant(r.Tried),
		TOS: p.TOS, DontFragment: p.DontFragment,
	}
	if r.Role != trace.RoleHop {
		j.Role = r.Role.String()
	}
	if !connection {
		j.IPID, j.FlowLabel, j.Length = only(v4, p.ID), only(!v4, p.FlowLabel), p.HeaderLength()+p.PayloadLength()
	}
	switch {
	case connection:
		j.SourcePort, j.Flags = new(p.Src.Port()), flags(p.Flags)
	case p.Protocol == packet.ProtoEcho:
		j.Echo = &echo{p.Src.Port(), p.EchoSeq}
	default:
		j.SourcePort, j.Sequence, j.Flags, j.Window = new(p.Src.Port()), new(p.Seq), flags(p.Flags), new(p.Window)
		j.Ack, j.TCPOptions = only(p.Flags.Has(packet.ACK), p.Ack), tcpOptions(&p.Options)
	}
	if r.Err != nil {
		j.Error, j.LocalMark = text(r.Err.Error()), LocalMark(r.Err)
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

var kinds = map[packet.Kind]string{
	packet.KindTCP: "tcp", packet.KindEcho: "echo", packet.KindTimeExceeded: "time_exceeded",
	packet.KindUnreachable: "unreachable", packet.KindTooBig: "too_big", packet.KindParameterProblem: "parameter_problem",
}

func replyOf(r trace.Result) *reply {
	a := r.Reply
	v4 := a.IP.Version == 4
	j := &reply{
		Address: a.From().String(), AddressNote: AddressNote(a.From(), r.Probe.Dst.Addr()), Received: instant(r.Recv),
		RTTMS:    milliseconds(r.RTT()),
		Evidence: r.Evidence.String(), Verified: r.Proven(), Kind: kinds[a.Kind],
	}
	seen := r.Evidence != trace.ByKernel // the packet itself
	if seen || a.Kind != packet.KindTCP {
		j.TTL, j.TOS = new(a.IP.TTL), new(a.IP.TOS)
	}
	if seen {
		j.IPID, j.Length = only(v4, a.IP.ID), a.IP.TotalLength
	}
	switch a.Kind {
	case packet.KindEcho:
		j.Echo = &echo{a.Echo.ID, a.Echo.Seq}
		return j
	case packet.KindTCP:
		t := &a.TCP
		j.TCP = &tcp{
			State: string(PortStateOf(r)), SourcePort: t.SrcPort, Flags: flags(t.Flags),
			Sequence: only(seen, t.Seq), Ack: only(seen, t.Ack), Window: only(seen, t.Window),
		}
		if seen {
			j.TCP.TCPOptions = tcpOptions(&t.Options)
		}
		return j
	}
	j.ICMP = &icmp{Type: a.Type, Code: a.Code, Mark: Mark(a), MTU: a.MTU, Pointer: a.Pointer}
	j.Quote = quoteOf(&a.Quote)
	for c := range a.Quote.Changes(r.Probe) {
		j.Changes = append(j.Changes, changeOf(c))
	}
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
		SourcePort: only(t.HasSeq(), t.SrcPort), DestinationPort: only(t.HasSeq(), t.DstPort),
		Sequence: only(t.HasSeq(), t.Seq),
		Ack:      only(t.HasAck(), t.Ack), Window: only(t.HasWindow(), t.Window), TCPChecksum: checksum(t.Checksum),
		TCPOptions: tcpOptions(&t.Options),
	}
	if t.HasFlags() {
		j.Flags = flags(t.Flags)
	}
	if q.Echo.HasID() {
		j.Echo = &echo{q.Echo.ID, q.Echo.Seq}
	}
	j.layout(q)
	return j
}

// layout adds what a reader needs to compare the quote with the probe again, if it isn't what is usual.
func (j *quote) layout(q *packet.Quote) {
	usual := j.usual()
	j.Protocol = only(q.IP.Protocol != usual.IP.Protocol, q.IP.Protocol)
	j.HeaderLength = only(q.IP.HeaderLength != usual.IP.HeaderLength, q.IP.HeaderLength)
	j.MoreFragments, j.FragmentOffset = q.IP.MoreFragments, q.IP.FragmentOffset
	if q.TCP.Options != usual.TCP.Options {
		j.OptionsData = new(hex.EncodeToString(q.TCP.Options.Append(nil)))
	}
	j.DataOffset = only(q.TCP.DataOffset != usual.TCP.DataOffset, q.TCP.DataOffset)
}

// fields are the names of what may have changed.
var fields = map[packet.Field]string{
	packet.FieldSource: "source", packet.FieldSourcePort: "source_port", packet.FieldDestination: "destination",
	packet.FieldDestinationPort: "destination_port", packet.FieldID: "ip_id", packet.FieldDSCP: "dscp",
	packet.FieldECN:          "ecn",
	packet.FieldDontFragment: "dont_fragment", packet.FieldFlowLabel: "flow_label",
	packet.FieldTotalLength: "length_bytes",
	packet.FieldSeq:         "sequence", packet.FieldAck: "acknowledgement", packet.FieldFlags: "flags",
	packet.FieldWindow: "window",
	packet.FieldUrgent: "urgent", packet.FieldMSS: "mss", packet.FieldWindowScale: "window_scale",
	packet.FieldSACKPermitted: "sack_permitted", packet.FieldTimestamps: "timestamps", packet.FieldFastOpen: "fast_open",
	packet.FieldMPTCP: "mptcp", packet.FieldOption: "tcp_option", packet.FieldChecksum: "tcp_checksum",
}

func changeOf(c packet.Change) change {
	name := fields[c.Field]
	if name == "" {
		name = "other" // a newer packet.Field than this schema
	}
	return change{Field: name, Alteration: c.Alteration.String(), Option: c.Option, Sent: c.SentText(),
		Quoted: c.SeenText()}
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
	j := &extensions{Compliant: e.Compliant, Checksum: "absent", Structure: hex.EncodeToString(e.Bytes())}
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
		case o.Class == packet.ClassNode:
			n, err := o.Node()
			j.Nodes = append(j.Nodes, router{Address: address(n.Addr), Name: text(string(n.Name))})
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

// mtuOf is what a search for the path's MTU has found; nil: there was none.
func mtuOf(m *MTU) *pathMTU {
	if m == nil {
		return nil
	}
	return &pathMTU{Size: m.Size, First: m.First, Narrow: m.Narrow, TTL: m.TTL, Address: address(m.From),
		BlackHole: m.BlackHole, InSession: m.InSession}
}
