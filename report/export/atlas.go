package export

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Atlas writes a traceroute result as the RIPE Atlas platform gives it out, in one line. What a probe of theirs has
// and we don't (measurement and probe number) is 0.
type Atlas struct {
	w   io.Writer
	run *report.Run
	rec *record.Fold
}

// NewAtlas writes the run's trace t, which it folds the results into, to w.
func NewAtlas(w io.Writer, run *report.Run, t *trace.Trace) *Atlas {
	return &Atlas{w, run, record.NewFold(t)}
}

const (
	// atlasFirmware is that of the probes whose form of results this is; readers choose by it.
	atlasFirmware = 5080
	atlasVersion  = "2.6.2"
)

type atlasResult struct {
	Firmware  int        `json:"fw"`
	Version   string     `json:"mver"`
	LastSync  int        `json:"lts"` // seconds since the clock was set; -1: not known
	MsmID     int        `json:"msm_id"`
	ProbeID   int        `json:"prb_id"`
	MsmName   string     `json:"msm_name"`
	Type      string     `json:"type"`
	Timestamp int64      `json:"timestamp"`
	EndTime   int64      `json:"endtime"`
	From      string     `json:"from"`
	DstName   string     `json:"dst_name"`
	DstAddr   string     `json:"dst_addr"`
	SrcAddr   string     `json:"src_addr"`
	Proto     string     `json:"proto"`
	Family    int        `json:"af"`
	Size      int        `json:"size"`
	ParisID   int        `json:"paris_id"` // the variation of the flow; 0: each probe has its own
	Result    []atlasHop `json:"result"`
}

type atlasHop struct {
	Hop    int          `json:"hop"`
	Result []atlasReply `json:"result"`
}

type atlasReply struct {
	X       string           `json:"x,omitempty"`
	Error   string           `json:"error,omitempty"`
	From    string           `json:"from,omitempty"`
	TTL     *uint8           `json:"ttl,omitempty"`
	Size    int              `json:"size,omitempty"`
	RTT     *float64         `json:"rtt,omitempty"`
	Late    *int             `json:"late,omitempty"` // this many probes were sent since
	Dup     bool             `json:"dup,omitempty"`
	ITTL    *uint8           `json:"ittl,omitempty"`
	ITOS    *uint8           `json:"itos,omitempty"`
	TOS     uint8            `json:"tos,omitempty"`
	EDst    string           `json:"edst,omitempty"`
	Err     any              `json:"err,omitempty"`
	MTU     uint32           `json:"mtu,omitempty"`
	Flags   string           `json:"flags,omitempty"`
	HdrOpts []map[string]int `json:"hdropts,omitempty"`
	ICMPExt *atlasExtensions `json:"icmpext,omitempty"`
}

type atlasExtensions struct {
	Version int           `json:"version"`
	RFC4884 int           `json:"rfc4884"`
	Obj     []atlasObject `json:"obj"`
}

type atlasObject struct {
	Class uint8        `json:"class"`
	Type  uint8        `json:"type"`
	MPLS  []atlasLabel `json:"mpls,omitempty"`
}

type atlasLabel struct {
	Label uint32 `json:"label"`
	Exp   uint8  `json:"exp"`
	S     uint8  `json:"s"`
	TTL   uint8  `json:"ttl"`
}

// Add takes a result in.
func (a *Atlas) Add(r trace.Result) error {
	a.rec.Add(r)
	return nil
}

// Finish writes the result.
func (a *Atlas) Finish() error {
	a.rec.Finish()
	p := a.run.Path.Effective()
	doc := atlasResult{
		Firmware: atlasFirmware, Version: atlasVersion, LastSync: -1, MsmName: "Traceroute", Type: "traceroute",
		Timestamp: a.run.Started.Unix(), EndTime: a.run.Ending.Time.Unix(),
		From: p.Source.Addr().String(), DstName: record.UTF8(a.run.Host), DstAddr: p.Target.Addr().String(),
		SrcAddr: p.Source.Addr().String(), Proto: "TCP", Family: 4, Size: a.run.Length, ParisID: 1, Result: []atlasHop{},
	}
	if p.Target.Addr().Is6() {
		doc.Family = 6
	}
	if p.Protocol == packet.ProtoEcho {
		doc.Proto = "ICMP"
	}
	if len(p.Ports) > 0 {
		doc.ParisID = 0
	}
	for e := range a.rec.Entries() {
		if !e.Beyond {
			doc.Result = append(doc.Result, a.hop(e))
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	_, err = a.w.Write(append(record.ASCII(b), '\n'))
	return err
}

func (a *Atlas) hop(e record.Entry) atlasHop {
	h := atlasHop{Hop: e.TTL, Result: []atlasReply{}}
	for _, r := range e.Probes {
		switch r.Outcome {
		case trace.Answered:
			j := atlasReplyOf(&r)
			j.RTT = new(math.Round(float64(r.RTT())/1000) / 1000) // three decimals
			h.Result = append(h.Result, j)
		case trace.Failed:
			h.Result = append(h.Result, atlasReply{Error: "sendto failed: " + record.UTF8(r.Err.Error())})
		case trace.Lost:
			h.Result = append(h.Result, atlasReply{X: "*"})
		}
	}
	for _, r := range e.Notices {
		j := atlasReplyOf(&r)
		switch r.Outcome {
		case trace.Duplicate:
			j.Dup = true
			j.RTT = new(math.Round(float64(r.RTT())/1000) / 1000)
		case trace.Shared:
			if a.rec.Unplaced() == nil {
				continue // the target's answers have their place
			}
			j.Late = new(a.sentSince(&r))
		case trace.Late:
			j.Late = new(a.sentSince(&r))
		default:
			continue
		}
		h.Result = append(h.Result, j)
	}
	return h
}

// sentSince is how many probes left between the probe and its answer.
func (a *Atlas) sentSince(r *trace.Result) (n int) {
	for e := range a.rec.Entries() {
		for _, x := range e.Probes {
			if x.N > r.N && !x.Sent.IsZero() && x.Sent.Before(r.Recv) {
				n++
			}
		}
	}
	return n
}

func atlasReplyOf(r *trace.Result) atlasReply {
	a := r.Reply
	seen := r.Evidence != trace.ByKernel // the packet itself
	j := atlasReply{From: a.IP.Src.String()}
	if seen || a.Kind != packet.KindTCP {
		j.TTL = new(a.IP.TTL)
	}
	if seen {
		j.Size = a.IP.TotalLength
	}
	switch {
	case a.Kind == packet.KindTCP && !seen:
		j.Flags = atlasFlags(a.TCP.Flags)
		return j
	case a.Kind == packet.KindTCP:
		j.TOS, j.Flags, j.HdrOpts = a.IP.TOS, atlasFlags(a.TCP.Flags), atlasOptions(&a.TCP.Options)
		return j
	case a.Kind == packet.KindEcho:
		j.TOS = a.IP.TOS
		return j
	}
	q := &a.Quote.IP
	quoted := q.Version != 0
	if quoted && q.TTL != 1 {
		j.ITTL = new(q.TTL)
	}
	if quoted && (q.TOS != 0 || r.Probe.TOS != 0) {
		j.ITOS = new(q.TOS)
	}
	if quoted && q.Dst != r.Probe.Dst.Addr().WithZone("") {
		j.EDst = q.Dst.String()
	}
	j.Err, j.MTU, j.ICMPExt = atlasError(a), a.MTU, atlasExtensionsOf(&a.Extensions)
	return j
}

// atlasError is the letter of an ICMP error that ends the path, or its code; nil where it isn't one.
func atlasError(a *packet.Reply) any {
	letters := map[uint8]string{0: "N", 1: "H", 2: "P", 3: "p", 9: "A", 10: "A", 13: "A"}
	if a.IP.Version == 6 {
		letters = map[uint8]string{0: "N", 1: "A", 2: "h", 3: "H", 4: "p"}
	}
	switch a.Kind {
	case packet.KindUnreachable:
		if s := letters[a.Code]; s != "" {
			return s
		}
		return a.Code
	case packet.KindParameterProblem:
		return a.Code
	}
	return nil
}

// atlasFlags are the first letters of the flags, in an order of their own.
func atlasFlags(f packet.Flags) string {
	var b strings.Builder
	for _, x := range []struct {
		flag   packet.Flags
		letter byte
	}{{packet.FIN, 'F'}, {packet.SYN, 'S'}, {packet.RST, 'R'}, {packet.PSH, 'P'}, {packet.ACK, 'A'}, {packet.URG, 'U'}} {
		if f.Has(x.flag) {
			b.WriteByte(x.letter)
		}
	}
	return b.String()
}

func atlasOptions(o *packet.Options) []map[string]int {
	var list []map[string]int
	for x := range o.All() {
		switch {
		case x.Kind == packet.OptionNOP:
		case x.Kind == packet.OptionMSS && len(x.Data) == 2:
			list = append(list, map[string]int{"mss": int(x.Data[0])<<8 | int(x.Data[1])})
		default:
			list = append(list, map[string]int{"unknown-opt": int(x.Kind)})
		}
	}
	return list
}

func atlasExtensionsOf(e *packet.Extensions) *atlasExtensions {
	if e.Len() == 0 {
		return nil
	}
	j := &atlasExtensions{Version: 2, Obj: []atlasObject{}}
	if e.Compliant {
		j.RFC4884 = 1
	}
	for o := range e.Objects() {
		x := atlasObject{Class: o.Class, Type: o.Type}
		for l := range o.MPLS() {
			s := uint8(0)
			if l.Bottom {
				s = 1
			}
			x.MPLS = append(x.MPLS, atlasLabel{l.Label, l.TC, s, l.TTL})
		}
		j.Obj = append(j.Obj, x)
	}
	return j
}
