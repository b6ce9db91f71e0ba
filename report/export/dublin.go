package export

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// Dublin writes a trace as dublin-traceroute 0.4.2 saves one, for tools that read it: the hops of each flow. A flow is
// named by its source port, in which ours differ. The form knows no TCP: ports stand where those of UDP do, and the
// target's segment where an ICMP message does, with its flags as the description.
//
// With a graph of all paths there is each flow whose path is known as a whole. A hop that such a flow was not asked at,
// because all flows pass there, is shown by another flow's probe, with that one's source port.
type Dublin struct {
	w       io.Writer
	run     *report.Run
	t       *trace.Trace
	results []trace.Result
}

type dublinTrace struct {
	Flows map[string][]dublinHop `json:"flows"`
}

// dublinHop has its keys in the order of the alphabet, as the form has.
type dublinHop struct {
	FlowHash uint16          `json:"flowhash"`
	IsLast   bool            `json:"is_last"`
	Name     string          `json:"name"`
	NATID    *uint16         `json:"nat_id,omitempty"`
	Received *dublinReceived `json:"received"`
	RTT      *int64          `json:"rtt_usec"`
	Sent     dublinSent      `json:"sent"`
	ZeroTTL  *bool           `json:"zerottl_forwarding_bug,omitempty"`
}

type dublinReceived struct {
	ICMP dublinICMP `json:"icmp"`
	IP   dublinIP   `json:"ip"`
	Time string     `json:"timestamp"`
}

// dublinICMP has type and code in each other's place, as the form has.
type dublinICMP struct {
	Type        uint8             `json:"code"`
	Description string            `json:"description"`
	Extensions  []dublinExtension `json:"extensions"`
	Labels      []dublinLabel     `json:"mpls_labels"`
	Code        uint8             `json:"type"`
}

type dublinExtension struct {
	Class   uint8  `json:"class"`
	Payload string `json:"payload"` // in hexadecimal digits
	Size    int    `json:"size"`
	Type    uint8  `json:"type"`
}

type dublinLabel struct {
	Bottom int    `json:"bottom_of_stack"`
	TC     uint8  `json:"experimental"`
	Label  uint32 `json:"label"`
	TTL    uint8  `json:"ttl"`
}

type dublinIP struct {
	Dst string  `json:"dst"`
	ID  *uint16 `json:"id,omitempty"`
	Src string  `json:"src"`
	TTL uint8   `json:"ttl"`
}

type dublinSent struct {
	IP   dublinIP    `json:"ip"`
	Time string      `json:"timestamp"`
	UDP  dublinPorts `json:"udp"`
}

type dublinPorts struct {
	Dst uint16 `json:"dport"`
	Src uint16 `json:"sport"`
}

// NewDublin writes the run's trace t, which it folds the results into, to w.
func NewDublin(w io.Writer, run *report.Run, t *trace.Trace) *Dublin {
	return &Dublin{w: w, run: run, t: t}
}

// Add takes a result in.
func (d *Dublin) Add(r trace.Result) error {
	d.t.Add(r)
	d.results = append(d.results, r)
	return nil
}

// Finish writes the trace.
func (d *Dublin) Finish() error {
	d.t.Finish()
	doc := dublinTrace{Flows: map[string][]dublinHop{}}
	if g := d.run.Graph; g != nil {
		d.paths(g, doc.Flows)
	} else if hops := d.traced(); len(hops) > 0 {
		doc.Flows[portKey(d.run.Path.Source.Port())] = d.hops(hops)
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	_, err = d.w.Write(append(record.ASCII(b), '\n'))
	return err
}

func portKey(port uint16) string { return strconv.Itoa(int(port)) }

// traced are the hops of the trace: of each TTL the first answer, or the first probe if there is none.
func (d *Dublin) traced() (hops []trace.Result) {
	made := &record.Trace{Header: d.run.Header, Results: d.results, Ending: d.run.Ending}
	fold := made.Fold()
	for ttl := fold.First(); ttl <= fold.Last(); ttl++ {
		probes := fold.Hop(ttl).Probes
		i := slices.IndexFunc(probes, func(r trace.Result) bool { return r.Outcome == trace.Answered })
		if i = max(i, 0); i < len(probes) {
			hops = append(hops, probes[i])
		}
	}
	return hops
}

// dublinPlace is who answered at a TTL; nobody did if addr is invalid.
type dublinPlace struct {
	ttl  int
	addr netip.Addr
}

// paths adds the hops of each flow whose path is known as a whole. A flow that passes a node of which no probe was kept
// is left out.
func (d *Dublin) paths(g *trace.Graph, flows map[string][]dublinHop) {
	probes := map[dublinPlace][]trace.Result{}
	for _, r := range slices.Concat(d.results, d.run.Searched) {
		at := dublinPlace{ttl: int(r.Probe.TTL)}
		switch {
		case r.Outcome == trace.Answered && r.Reply != nil:
			at.addr = r.From()
		case r.Outcome != trace.Lost:
			continue
		}
		probes[at] = append(probes[at], r)
	}
	first := d.run.Path.Effective().FirstTTL
	for _, way := range g.Ways {
		for _, port := range way.Ports {
			var hops []trace.Result
			for i, node := range way.Nodes {
				at := dublinPlace{ttl: first + i}
				if node >= 0 {
					at.addr = g.Nodes[node].Addr
				}
				if kept := probes[at]; len(kept) > 0 {
					own := slices.IndexFunc(kept, func(r trace.Result) bool { return r.Probe.Src.Port() == port })
					hops = append(hops, kept[max(own, 0)])
				}
			}
			if len(hops) == len(way.Nodes) {
				flows[portKey(port)] = d.hops(hops)
			}
		}
	}
}

// hops is what the form has of the hops of a flow, up to the target or to the first hop beyond the last answer.
func (d *Dublin) hops(results []trace.Result) (all []dublinHop) {
	answered := func(r trace.Result) bool { return r.Outcome == trace.Answered && r.Reply != nil }
	last := 0
	for i, r := range results {
		if answered(r) {
			last = i
		}
	}
	nat := uint16(0) // what isn't quoted is taken to be as at the hop before
	for i, r := range results[:min(last+2, len(results))] {
		h := dublinHop{FlowHash: flowHash(r.Probe), IsLast: i > last || r.FromTarget(), Sent: dublinSent{
			IP:   dublinIP{Dst: plain(r.Probe.Dst.Addr()), Src: plain(r.Probe.Src.Addr()), TTL: r.Probe.TTL},
			Time: dublinTime(r.Sent), UDP: dublinPorts{Dst: r.Probe.Dst.Port(), Src: r.Probe.Src.Port()},
		}}
		if answered(r) {
			if sent, seen, sum := r.Reply.Quote.Checksum(r.Probe); sum != packet.SumUnknown {
				nat = seen - sent
			}
			h.NATID, h.Name, h.Received = new(nat), d.name(r.From()), dublinReceivedOf(&r)
			h.RTT, h.ZeroTTL = new(r.RTT().Microseconds()), new(quotesZero(r.Reply))
		}
		all = append(all, h)
	}
	return all
}

// name is the name of an address, or else the address.
func (d *Dublin) name(a netip.Addr) string {
	if d.run.Name != nil {
		if name := d.run.Name(a); name != "" {
			return record.UTF8(name)
		}
	}
	return plain(a)
}

// flowHash is the form's figure by which flows are compared: a sum of what routers may tell them apart by.
func flowHash(p packet.Probe) uint16 {
	const tcp = 6
	sum := uint16(p.TOS) + tcp + p.Src.Port() + p.Dst.Port()
	for _, a := range []netip.Addr{p.Src.Addr(), p.Dst.Addr()} {
		b := a.AsSlice()
		sum += uint16(b[0]) | uint16(b[1])<<8
	}
	if sum == 0 {
		return 0xffff
	}
	return sum
}

// quotesZero reports whether a router quotes a TTL of 0: the one before it should not have forwarded the packet.
func quotesZero(a *packet.Reply) bool { return a.Quote.Bytes > 0 && a.Quote.IP.TTL == 0 }

// dublinTime is a time in seconds since 1970.
func dublinTime(t time.Time) string { return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000) }

func dublinReceivedOf(r *trace.Result) *dublinReceived {
	a := r.Reply
	j := &dublinReceived{
		ICMP: dublinICMP{Type: a.Type, Code: a.Code, Extensions: []dublinExtension{}, Labels: []dublinLabel{}},
		IP:   dublinIP{Dst: plain(r.Probe.Src.Addr()), ID: new(a.IP.ID), Src: plain(r.From()), TTL: a.IP.TTL},
		Time: dublinTime(r.Recv),
	}
	switch a.Kind {
	case packet.KindTCP:
		j.ICMP.Type, j.ICMP.Code, j.ICMP.Description = 0, 0, "TCP "+a.TCP.Flags.String()
	case packet.KindTimeExceeded:
		j.ICMP.Description = "TTL expired in transit"
	default:
		j.ICMP.Description = cmp.Or(record.Mark(a), fmt.Sprintf("ICMP type %d, code %d", a.Type, a.Code))
	}
	for o := range a.Extensions.Objects() {
		x := dublinExtension{Class: o.Class, Payload: hex.EncodeToString(o.Data), Size: 4 + len(o.Data), Type: o.Type}
		j.ICMP.Extensions = append(j.ICMP.Extensions, x)
		for l := range o.MPLS() {
			label := dublinLabel{TC: l.TC, Label: l.Label, TTL: l.TTL}
			if l.Bottom {
				label.Bottom = 1
			}
			j.ICMP.Labels = append(j.ICMP.Labels, label)
		}
	}
	return j
}
