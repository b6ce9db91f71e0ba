package export

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Scamper writes many traces as `scamper -O json` does (CAIDA's warts in JSON): a line for each, between a cycle-start
// and a cycle-stop. Of a hop it shows the first answer; silent hops are left out.
type Scamper struct {
	w        io.Writer
	hostname string
}

type scamperCycle struct {
	Type     string `json:"type"`
	ListName string `json:"list_name"`
	ID       int    `json:"id"`
	Hostname string `json:"hostname"`
	Start    int64  `json:"start_time,omitempty"`
	Stop     int64  `json:"stop_time,omitempty"`
}

type scamperTime struct {
	Sec   int64  `json:"sec"`
	Usec  int64  `json:"usec"`
	Ftime string `json:"ftime,omitempty"`
}

type scamperTrace struct {
	Type       string       `json:"type"`
	Version    string       `json:"version"`
	UserID     int          `json:"userid"`
	Method     string       `json:"method"`
	Src        string       `json:"src"`
	Dst        string       `json:"dst"`
	Sport      uint16       `json:"sport"`
	Dport      uint16       `json:"dport"`
	StopReason string       `json:"stop_reason"`
	StopData   int          `json:"stop_data"`
	Start      scamperTime  `json:"start"`
	HopCount   int          `json:"hop_count"`
	Attempts   int          `json:"attempts"`
	HopLimit   int          `json:"hoplimit"`
	FirstHop   int          `json:"firsthop"`
	Wait       int          `json:"wait"`
	WaitProbe  int          `json:"wait_probe"`
	TOS        int          `json:"tos"`
	ProbeSize  int          `json:"probe_size"`
	ProbeCount int          `json:"probe_count"`
	Hops       []scamperHop `json:"hops,omitempty"`
}

type scamperHop struct {
	Addr      string      `json:"addr"`
	ProbeTTL  int         `json:"probe_ttl"`
	ProbeID   int         `json:"probe_id"`
	ProbeSize int         `json:"probe_size"`
	Tx        scamperTime `json:"tx"`
	RTT       float64     `json:"rtt"`
	ReplyTTL  uint8       `json:"reply_ttl"`
	ReplyTOS  uint8       `json:"reply_tos"`
	ReplyIPID uint16      `json:"reply_ipid"` // 0 in IPv6
	ReplySize int         `json:"reply_size"`
	ICMPType  *uint8      `json:"icmp_type,omitempty"`
	ICMPCode  *uint8      `json:"icmp_code,omitempty"`
	QuoteTTL  *uint8      `json:"icmp_q_ttl,omitempty"`
	QuoteLen  *int        `json:"icmp_q_ipl,omitempty"`
	QuoteTOS  *uint8      `json:"icmp_q_tos,omitempty"`
	TCPFlags  *uint16     `json:"tcp_flags,omitempty"`
}

// NewScamper writes the line that begins a cycle to w.
func NewScamper(w io.Writer, hostname string, start time.Time) (*Scamper, error) {
	s := &Scamper{w, hostname}
	return s, s.line(scamperCycle{Type: "cycle-start", ListName: "default", ID: 1, Hostname: record.UTF8(hostname),
		Start: start.Unix()})
}

// Add writes the line of a target. One that was not traced has none.
func (s *Scamper) Add(t record.Listed) error {
	if t.Trace == nil {
		return nil
	}
	o := t.Trace.Path.Effective()
	fold := t.Folded()
	j := scamperTrace{
		Type: "trace", Version: "0.1", Method: "tcp", Src: o.Source.Addr().String(), Dst: o.Target.Addr().String(),
		Sport: o.Source.Port(), Dport: o.Target.Port(), Start: scamperTimeOf(t.Trace.Started),
		Attempts: o.Queries, HopLimit: o.MaxTTL, FirstHop: o.FirstTTL, Wait: int(o.Wait.Seconds()), TOS: o.TOS,
		ProbeSize: t.Trace.Length, ProbeCount: t.Trace.Ending.Counts.Sent,
	}
	j.Start.Ftime = t.Trace.Started.Format("2006-01-02 15:04:05")
	j.StopReason, j.StopData = stopOf(t.Trace, fold)
	for ttl := fold.First(); ttl <= fold.Last(); ttl++ {
		for _, r := range fold.Hop(ttl).Probes {
			if r.Outcome == trace.Answered {
				j.Hops = append(j.Hops, scamperHopOf(ttl, &r))
				j.HopCount = ttl
				break
			}
		}
	}
	return s.line(j)
}

// Finish writes the line that ends the cycle.
func (s *Scamper) Finish(e record.ManyEnd) error {
	return s.line(scamperCycle{Type: "cycle-stop", ListName: "default", ID: 1, Hostname: record.UTF8(s.hostname),
		Stop: e.Time.Unix()})
}

func (s *Scamper) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	_, err = s.w.Write(append(record.ASCII(b), '\n'))
	return err
}

// stopOf is why a trace stopped, in scamper's words. Of a refusal there is the ICMP code too.
func stopOf(t *record.Trace, fold *record.Fold) (reason string, data int) {
	end := fold.End()
	switch {
	case !t.Ending.Reason.Whole():
		return "HALTED", 0
	case end == nil:
		return "GAPLIMIT", 0
	case end.FromTarget():
		return "COMPLETED", 0
	}
	return "UNREACH", int(end.Reply.Code)
}

func scamperTimeOf(t time.Time) scamperTime {
	return scamperTime{Sec: t.Unix(), Usec: int64(t.Nanosecond() / 1000)}
}

func scamperHopOf(ttl int, r *trace.Result) scamperHop {
	a := r.Reply
	h := scamperHop{
		Addr: plain(a.From()), ProbeTTL: ttl, ProbeID: 1, ProbeSize: r.Probe.HeaderLength() + r.Probe.PayloadLength(),
		Tx: scamperTimeOf(r.Sent), RTT: float64(r.RTT().Microseconds()) / 1000, ReplyTTL: a.IP.TTL, ReplyTOS: a.IP.TOS,
		ReplyIPID: a.IP.ID, ReplySize: a.IP.TotalLength,
	}
	if a.Kind == packet.KindTCP {
		h.TCPFlags = new(uint16(a.TCP.Flags))
		return h
	}
	h.ICMPType, h.ICMPCode = &a.Type, &a.Code
	if q := &a.Quote; q.Bytes > 0 {
		h.QuoteTTL, h.QuoteLen = &q.IP.TTL, &q.IP.TotalLength
		if a.IP.Version == 4 {
			h.QuoteTOS = &q.IP.TOS
		}
	}
	return h
}

// plain is an address without its zone, which other programs don't know.
func plain(a netip.Addr) string { return a.WithZone("").String() }

// ScamperTrace writes one trace in the form of [Scamper], when it is over. If the run has a graph of all paths, it
// writes what scamper's tracelb does.
type ScamperTrace struct {
	w       io.Writer
	run     *report.Run
	t       *trace.Trace
	results []trace.Result
}

// NewScamperTrace writes the run's trace t, which it folds the results into, to w.
func NewScamperTrace(w io.Writer, run *report.Run, t *trace.Trace) *ScamperTrace {
	return &ScamperTrace{w: w, run: run, t: t}
}

// Add takes a result in.
func (s *ScamperTrace) Add(r trace.Result) error {
	s.t.Add(r)
	s.results = append(s.results, r)
	return nil
}

// Finish writes the trace.
func (s *ScamperTrace) Finish() error {
	s.t.Finish()
	made := &record.Trace{Header: s.run.Header, Results: s.results, Ending: s.run.Ending, Graph: s.run.Graph}
	lines, err := NewScamper(s.w, made.Hostname, made.Started)
	if err != nil {
		return err
	}
	if made.Graph != nil {
		err = lines.addPaths(made, s.run.Searched)
	} else {
		err = lines.Add(record.Listed{Trace: made})
	}
	if err != nil {
		return err
	}
	return lines.Finish(record.ManyEnd{Ending: made.Ending})
}
