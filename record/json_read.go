package record

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// mostBytes is how much is read: a trace of a million probes is smaller.
const mostBytes = 1 << 30

// ReadJSON reads a trace that was written as one document, or as lines. What follows from the probes (figures of hops,
// marks, changes) is not read but found again. Lines whose last one is missing make a trace that was cut short:
// its Ending says so.
func ReadJSON(r io.Reader) (*Trace, error) {
	head := bufio.NewReader(r)
	if err := opens(head); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(head, mostBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > mostBytes:
		return nil, errors.New("more than 1 GiB is no trace")
	}
	var first struct {
		Schema string `json:"schema"`
		Event  string `json:"event"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&first); err != nil {
		return nil, fmt.Errorf("not a trace in JSON: %w", err)
	}
	if first.Schema != ID {
		return nil, fmt.Errorf("not a trace in JSON: its schema is %q, not %q", first.Schema, ID)
	}
	var x reader
	if first.Event == "run" {
		return nil, errors.New("it holds the traces of many targets: give one of its lines")
	}
	if first.Event != "" && first.Event != "target" {
		err = x.lines(json.NewDecoder(bytes.NewReader(b)))
	} else {
		err = x.document(b)
	}
	if err != nil {
		return nil, err
	}
	return x.t, nil
}

// opens looks for the brace that a trace opens with, so that not much is read of what is none.
func opens(r *bufio.Reader) error {
	for {
		b, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("not a trace in JSON: nothing is in it")
		case err != nil:
			return err
		case b == '{':
			return r.UnreadByte()
		case !strings.ContainsRune(" \t\r\n", rune(b)):
			return fmt.Errorf("not a trace in JSON: it begins with %q", b)
		}
	}
}

// reader makes a trace of its JSON.
type reader struct {
	t       *Trace
	results []ordered
	took    map[int]bool // numbers of the probes that have an outcome
}

// ordered is a result with its place among all; 0: not known.
type ordered struct {
	trace.Result
	order int
}

func (x *reader) document(b []byte) error {
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("not a trace in JSON: %w", err)
	}
	if err := x.header(&startLine{Program: d.Program, Started: d.Started, Target: d.Target, Source: d.Source,
		Options: d.Options}); err != nil {
		return err
	}
	x.roles(d.Hops, d.Beyond)
	if err := x.inferred(d.Hops); err != nil {
		return err
	}
	for _, h := range slices.Concat(d.Hops, d.Beyond) {
		for _, p := range slices.Concat(h.Probes, h.Notices) {
			if err := x.probe(&p); err != nil {
				return err
			}
		}
	}
	return x.end(d.Ended, &d.found)
}

// inferred reads who stands at hops by traces to other targets.
func (x *reader) inferred(hops []hop) error {
	var r values
	for _, h := range hops {
		if h.Inferred == "" {
			continue
		}
		if x.t.Inferred == nil {
			x.t.Inferred = make(map[int]netip.Addr)
		}
		x.t.Inferred[r.within(h.TTL, 1, 255)] = r.address(h.Inferred)
	}
	return r.err
}

// lines reads a trace that was written as lines.
func (x *reader) lines(d *json.Decoder) error {
	var start startLine
	if err := d.Decode(&start); err != nil || start.Event != "start" {
		return fmt.Errorf("not a trace in JSON: its first line is no start (%w)", cmp.Or(err, errors.New(start.Event)))
	}
	if err := x.header(&start); err != nil {
		return err
	}
	var all []probe
	for {
		var line json.RawMessage
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return x.cutShort(all)
		case err != nil:
			return fmt.Errorf("not a trace in JSON: %w", err)
		}
		var p probeLine
		var end endLine
		err := json.Unmarshal(line, &p)
		if err == nil && p.Event == "end" {
			err = json.Unmarshal(line, &end)
		}
		switch {
		case err != nil:
			return fmt.Errorf("not a trace in JSON: %w", err)
		case p.Event == "probe", p.Event == "notice":
			all = append(all, p.probe)
		case p.Event == "end":
			if err := x.lineProbes(all); err != nil {
				return err
			}
			if d.More() {
				return errors.New("more than one trace: something stands behind its last line")
			}
			return x.end(end.Ended, &end.found)
		}
	}
}

func (x *reader) lineProbes(all []probe) error {
	x.roles([]hop{{Probes: all}})
	for i := range all {
		all[i].Order = i + 1
		if err := x.probe(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// cutShort ends a trace whose last line is missing.
func (x *reader) cutShort(all []probe) error {
	if err := x.lineProbes(all); err != nil {
		return err
	}
	o := outcome{Reason: string(Broken), Error: "its last lines are missing: the trace was cut short", ExitCode: 1}
	return x.end("", &found{Outcome: o})
}

func (x *reader) header(s *startLine) (err error) {
	var r values
	h := Header{
		Version: s.Program.Version, Started: r.time(s.Started), Host: s.Target.Host, Service: s.Target.Service,
		Hostname: s.Source.Hostname, Interface: s.Source.Interface, Kind: s.Source.Kind,
		Length:      r.within(s.Options.Length, 0, 65535),
		Connections: s.Options.Mode == "connect", Mark: s.Options.Mark,
		Numeric: !s.Options.Names, OwnersAsked: s.Options.Owners,
	}
	o := &s.Options
	h.Path = trace.PathOptions{
		Target: netip.AddrPortFrom(r.address(s.Target.Address), s.Target.Port),
		Source: netip.AddrPortFrom(r.address(s.Source.Address), s.Source.Port), FirstTTL: o.FirstTTL, MaxTTL: o.MaxTTL,
		Queries: o.Queries, Parallel: o.Parallel, Wait: r.duration(o.WaitMS), Patient: o.Patient,
		Spacing: r.duration(o.SpacingMS), Protocol: r.protocol(o.Protocol), Flags: r.flags(o.Flags), TOS: o.TOS,
		Length: h.Length, DontFragment: o.DontFragment, Strict: o.Strict, Loose: o.Loose,
		Options: r.tcpOptions(o.TCPOptions), Ports: o.SourcePorts,
	}
	if o.LabelSeed != "" {
		seed, err := strconv.ParseUint(o.LabelSeed, 16, 64)
		h.Path.LabelSeed, r.err = seed, cmp.Or(r.err, err)
	}
	to, from := h.Path.Target.Addr(), h.Path.Source.Addr()
	switch {
	case r.err != nil:
		return fmt.Errorf("the trace's options: %w", r.err)
	case !to.IsValid() || !from.IsValid() || to.Is4In6() || from.Is4In6() || to.Is4() != from.Is4():
		return fmt.Errorf("the trace's target %q and source %q are not two addresses of one family", s.Target.Address,
			s.Source.Address)
	}
	if err := h.Path.Validate(); err != nil {
		return fmt.Errorf("the trace's options: %w", err)
	}
	h.Path = h.Path.Effective()
	h.Path.Rand = nil
	if len(h.Path.Ports) == 0 {
		h.Path.Ports = nil
	}
	x.t, x.took = &Trace{Header: h}, make(map[int]bool)
	return nil
}

// roles finds what the probes were for if none says so: earlier programs didn't write it. Then those that are not of
// the flow tell how long the path is.
func (x *reader) roles(parts ...[]hop) {
	o := &x.t.Path
	if len(o.Ports) > 0 || o.Protocol != packet.ProtoTCP {
		return
	}
	var spare []*probe
	for _, h := range slices.Concat(parts...) {
		for _, list := range [][]probe{h.Probes, h.Notices} {
			for i := range list {
				p := &list[i]
				if p.Role != "" {
					return
				}
				if or(p.SourcePort, o.Source.Port()) != o.Source.Port() {
					spare = append(spare, p)
				}
			}
		}
	}
	for _, p := range spare {
		if p.Role = trace.RoleControl.String(); int(p.TTL) == o.MaxTTL {
			p.Role = trace.RoleDistance.String()
		}
	}
}

func (x *reader) probe(j *probe) error {
	var r values
	o := &x.t.Path
	res := trace.Result{N: r.within(j.N, 1, math.MaxInt32), Outcome: r.fate(j.Fate), Sent: r.time(j.Sent),
		Tried: r.time(j.Tried)}
	if j.Role != "" {
		res.Role = named(&r, j.Role, trace.RoleHop, trace.RoleControl)
	}
	port := o.Source.Port()
	p := packet.Probe{Protocol: o.Protocol, Dst: o.Target, TTL: j.TTL, TOS: j.TOS, DontFragment: j.DontFragment}
	switch {
	case o.Protocol == packet.ProtoEcho && j.Echo != nil:
		port, p.EchoSeq = j.Echo.Identifier, j.Echo.Sequence
	case o.Protocol == packet.ProtoTCP:
		port, p.Flags = or(j.SourcePort, port), r.flags(j.Flags)
	}
	p.Src = netip.AddrPortFrom(o.Source.Addr(), port)
	if !x.t.Connections {
		r.header(j, &p)
	}
	res.Probe = p
	r.within(int(j.TTL), o.FirstTTL, o.MaxTTL)
	if j.Error != "" || res.Outcome == trace.Failed {
		res.Err = savedError{j.Error, localError(j.LocalMark)}
	}
	if j.Reply != nil {
		res.Reply, res.Evidence = r.reply(j.Reply, &res), r.evidence(j.Reply.Evidence)
		if res.Recv = r.time(j.Reply.Received); !res.Sent.IsZero() {
			res.Recv = res.Sent.Add(r.duration(j.Reply.RTTMS)) // the clock may have been set in between
		}
	}
	answers := res.Outcome == trace.Answered || !res.Outcome.Final()
	switch {
	case r.err != nil:
		return fmt.Errorf("probe %d: %w", j.N, r.err)
	case answers != (res.Reply != nil):
		return fmt.Errorf("probe %d: %v, with or without a reply, as that can't be", j.N, res.Outcome)
	case res.Outcome.Final() && x.took[res.N]:
		return fmt.Errorf("probe %d has two outcomes", j.N)
	case res.Outcome.Final():
		x.took[res.N] = true
	}
	x.results = append(x.results, ordered{res, j.Order})
	return nil
}

// header reads what is known of the headers of a probe that is a packet of our own.
func (r *values) header(j *probe, p *packet.Probe) {
	if p.Src.Addr().Is4() {
		p.ID = value(j.IPID)
	} else {
		p.FlowLabel = value(j.FlowLabel)
	}
	if p.Protocol == packet.ProtoTCP {
		p.Seq, p.Window, p.Options = value(j.Sequence), value(j.Window), r.tcpOptions(j.TCPOptions)
	}
	if p.Flags.Has(packet.ACK) {
		p.Ack = value(j.Ack)
	}
	p.Length = uint16(max(r.within(j.Length, 0, 65535), p.HeaderLength()))
}

// end reads what is known at the end, and puts the results in order.
func (x *reader) end(ended string, e *found) error {
	var r values
	t := x.t
	t.Results = x.inOrder()
	t.people(&r, e)
	o, n := &e.Outcome, &e.Totals
	t.Ending = Ending{
		Time: r.time(ended), Reason: r.reason(o.Reason), Signal: o.Signal, ExitCode: r.within(o.ExitCode, 0, 255),
		Counts: trace.Counts{Sent: n.Sent, Late: n.Late, Duplicates: n.Duplicates, Repeats: n.Repeats,
			NearMisses: n.NearMisses, BadChecksum: n.BadChecksums, OwnAddress: n.OwnAddress,
			ShortQuotes: n.ShortQuotes, Unrelated: n.Unrelated,
			Malformed: n.Malformed, LostHere: n.LostHere},
	}
	for i := range t.Results {
		if t.Results[i].Outcome == trace.Failed {
			t.Ending.Counts.Failed++
		}
	}
	if o.Error != "" {
		t.Ending.Err = savedError{text: o.Error}
	}
	if e.Findings != nil {
		t.Findings = []detect.Finding{}
	}
	for _, f := range e.Findings {
		t.Findings = append(t.Findings, detect.Finding{Code: detect.Code(f.Code), Title: f.Title, Evidence: f.Evidence,
			Advice: f.Advice, Confidence: r.confidence(f.Confidence), After: value(f.After), Before: value(f.Before),
			Weight: f.Weight})
	}
	if e.Explain != nil {
		t.Explanation = r.explain(e.Explain, &t.Path)
	}
	if m := e.MTU; m != nil {
		t.MTU = &MTU{r.mtu(m), m.InSession}
	}
	t.Graph = r.graph(e.Graph, e.Paths)
	if e.Rounds != nil {
		t.Rounds, t.Results = r.rounds(e.Rounds, o), nil
	}
	return r.err
}

// mtu reads what a search for an MTU has found.
func (r *values) mtu(m *pathMTU) trace.MTU {
	return trace.MTU{Size: m.Size, First: m.First, Narrow: m.Narrow, TTL: m.TTL, From: r.optional(m.Address),
		BlackHole: m.BlackHole}
}

// people reads who answered: names and owners.
func (t *Trace) people(r *values, e *found) {
	t.Names, t.Owners = make(map[netip.Addr]string), make(map[netip.Addr]Owner)
	add := func(address, name string, as *owner) {
		a := r.address(address)
		if name != "" {
			t.Names[a] = name
		}
		if as != nil {
			t.Owners[a] = Owner{ASN: as.Number, Name: as.Name, Country: as.Country}
		}
	}
	came := make(map[netip.Addr]bool)
	for _, res := range t.Results {
		if res.Reply != nil {
			came[res.Reply.From()] = true
		}
	}
	for _, h := range slices.Concat(e.Hops, e.Beyond) {
		for _, p := range h.Responders {
			add(p.Address, p.Name, p.AS)
		}
	}
	for _, s := range e.Senders {
		add(s.Address, s.Name, s.AS)
	}
	for _, x := range e.Rounds.responders() {
		add(x.Address, x.Name, x.AS)
		came[r.address(x.Address)] = true
	}
	if e.Graph != nil {
		for _, n := range e.Graph.Nodes {
			if n.Address != "" {
				add(n.Address, n.Name, nil)
				came[r.address(n.Address)] = true
			}
		}
	}
	for a := range t.Names {
		if !came[a] || t.Names[a] == a.String() {
			delete(t.Names, a) // of nobody who is shown
		}
	}
	for a := range t.Owners {
		if !came[a] {
			delete(t.Owners, a)
		}
	}
}

// inOrder are the results in the order in which they became known. Documents of earlier programs don't say that: the
// outcomes then stand in the order of sending, and the notices after them, as they came.
func (x *reader) inOrder() []trace.Result {
	known := !slices.ContainsFunc(x.results, func(o ordered) bool { return o.order <= 0 })
	slices.SortStableFunc(x.results, func(a, b ordered) int {
		switch notice := !a.Outcome.Final(); {
		case known:
			return cmp.Compare(a.order, b.order)
		case notice != !b.Outcome.Final():
			return compareBool(notice, !b.Outcome.Final())
		case notice:
			return a.Recv.Compare(b.Recv)
		}
		return cmp.Compare(a.N, b.N)
	})
	x.answeredFirst()
	lost := x.refusedLate()
	var all []trace.Result
	for _, o := range x.results {
		if o.Outcome == trace.Answered && lost[o.N] {
			o.Outcome, o.Reply, o.Recv, o.Evidence = trace.Lost, nil, time.Time{}, 0
		}
		all = append(all, o.Result)
	}
	return all
}

// answeredFirst makes the first answer to a probe its outcome. A hop shows a router's answer in its place if somebody
// answered in the target's name before: see trace.Trace.
func (x *reader) answeredFirst() {
	first := make(map[int]*ordered)
	for i := range x.results {
		switch o := &x.results[i]; {
		case o.Outcome == trace.Duplicate && first[o.N] == nil:
			first[o.N] = o
		case o.Outcome == trace.Answered && first[o.N] != nil && first[o.N].Outcome == trace.Duplicate:
			o.Outcome, first[o.N].Outcome = trace.Duplicate, trace.Answered
		}
	}
}

// refusedLate are the probes that a hop shows as refused, by a notice that came when they were lost already: see
// trace.Trace.
func (x *reader) refusedLate() map[int]bool {
	late := make(map[int]time.Time)
	for _, o := range x.results {
		if o.Outcome == trace.Late && o.Refused() {
			late[o.N] = o.Recv
		}
	}
	lost := make(map[int]bool)
	for _, o := range x.results {
		if at, ok := late[o.N]; ok && o.Outcome == trace.Answered && o.Recv.Equal(at) {
			lost[o.N] = true
		}
	}
	return lost
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// savedError is an error that was written down.
type savedError struct {
	text string
	is   error // the system's error that it was; nil: not known
}

func (e savedError) Error() string { return e.text }

func (e savedError) Unwrap() error { return e.is }

// values reads values of the JSON. The first that can't be leaves its error.
type values struct{ err error }

func (r *values) bad(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (r *values) within(n, low, high int) int {
	if n < low || n > high {
		r.bad("%d is not between %d and %d", n, low, high)
		return low
	}
	return n
}

func (r *values) time(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(timeFormat, s)
	if err != nil || t.Year() < 1900 || t.Year() > 2200 {
		r.bad("bad time %q", s)
		return time.Time{}
	}
	return t
}

// mostMilliseconds is so little that a number of them is exact to the nanosecond.
const mostMilliseconds = 1e9

func (r *values) duration(ms float64) time.Duration {
	if !(math.Abs(ms) <= mostMilliseconds) {
		r.bad("bad time of %v ms", ms)
		return 0
	}
	return time.Duration(math.Round(ms * 1e6))
}

// address reads an address. A zone may be any text to netip, and reports write addresses as they are.
func (r *values) address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || Printable(s) != s {
		r.bad("bad address %q", s)
		return netip.Addr{}
	}
	return a
}

// optional reads an address that may be missing.
func (r *values) optional(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return r.address(s)
}

func (r *values) ends(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil && s != (netip.AddrPort{}).String() || Printable(s) != s {
		r.bad("bad address and port %q", s)
		return netip.AddrPort{}
	}
	return a
}

func (r *values) bytes(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		r.bad("bad hexadecimal %q", s)
	}
	return b
}

// named finds the value that has this name.
func named[T interface {
	~uint8
	String() string
}](r *values, name string, first, last T) T {
	for v := first; v <= last; v++ {
		if v.String() == name {
			return v
		}
	}
	r.bad("%q is not known", name)
	return first
}

func (r *values) fate(s string) trace.Outcome { return named(r, s, trace.Answered, trace.Elsewhere) }

func (r *values) evidence(s string) trace.Evidence { return named(r, s, trace.ByTag, trace.ByKernel) }

func (r *values) confidence(s string) detect.Confidence { return named(r, s, 0, detect.Certain) }

func (r *values) protocol(s string) packet.Protocol {
	return named(r, s, packet.ProtoTCP, packet.ProtoEcho)
}

func (r *values) reason(s string) Reason {
	all := []Reason{Complete, Spared, TimedOut, Interrupted, NotSent, Broken}
	if !slices.Contains(all, Reason(s)) {
		r.bad("%q is no reason why a trace ends", s)
	}
	return Reason(s)
}

func (r *values) flags(names []string) (f packet.Flags) {
	for _, name := range names {
		i := slices.Index(strings.Split(packet.Flags(1<<9-1).String(), "|"), name)
		n, err := strconv.ParseUint(strings.TrimPrefix(name, "0x"), 16, 12)
		switch {
		case i >= 0:
			f |= 1 << i
		case err == nil && strings.HasPrefix(name, "0x"):
			f |= packet.Flags(n)
		default:
			r.bad("%q is no TCP flag", name)
		}
	}
	return f
}

// optionBytes are TCP options as they stand in a header.
func (r *values) optionBytes(list []tcpOption) (b []byte) {
	for _, o := range list {
		var data []byte
		switch {
		case o.Kind == packet.OptionEnd, len(o.Data) > 2*40:
			r.bad("bad TCP option %d", o.Kind)
			return nil
		case o.Kind == packet.OptionNOP:
			b = append(b, packet.OptionNOP)
			continue
		case o.Value != nil && o.Kind == packet.OptionMSS:
			data = []byte{byte(*o.Value >> 8), byte(*o.Value)}
		case o.Value != nil && o.Kind == packet.OptionWindowScale:
			data = []byte{byte(*o.Value)}
		case o.Value != nil && o.Echo != nil:
			for _, v := range []uint32{*o.Value, *o.Echo} {
				data = append(data, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
			}
		default:
			data = r.bytes(o.Data)
		}
		b = append(append(b, o.Kind, byte(2+len(data))), data...)
	}
	if len(b) > 40 {
		r.bad("TCP options longer than 40 bytes")
	}
	return b
}

func (r *values) tcpOptions(list []tcpOption) packet.Options {
	return packet.ParseOptions(r.optionBytes(list))
}
