package detect

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// facts are the evidence in the form that findings are made from.
type facts struct {
	*path         // the trace itself
	more  []*path // the further traces, in the order in which they were asked
	// The last of more of each kind; nil: there was none.
	echo, ack, syn, port, flow, loose, short, plain, bare *path

	counts      trace.Counts
	mtu         *PathMTU
	graph       *trace.Graph
	host        host
	connections bool // the probes were connections
	spared      bool // not all hops were asked, to spare the target
	counted     bool // the target's SYNs are bounded, see Evidence.SYNs
	askedFewer  bool // hops were asked less often, or not at all, to spare it
	hurried     bool // questions were left out, for the time was up
	complete    bool // the trace came to its end: silence means something

	// What several families ask for, found once.
	stranger *stranger // who answers in the target's name; nil: nobody, as far as can be seen
	handover *handover // where the port is handed on to another machine; nil: nowhere, as far as can be seen
	limit    *limit    // what shows that SYNs are limited; nil: nothing does
}

func read(e *Evidence) *facts {
	f := &facts{path: newPath(&e.View), counts: e.Counts, mtu: e.MTU, graph: e.Graph, connections: e.Connections,
		spared: e.Spared, askedFewer: e.Short, counted: e.SYNs != nil, hurried: len(e.Unasked) > 0,
		complete: true}
	for i := range e.Further {
		if p := newPath(&e.Further[i].View); p != nil {
			p.question = &e.Further[i].Question
			f.more = append(f.more, p)
		}
	}
	if e.Host != nil {
		for _, p := range append(slices.Clone(f.more), f.path) {
			p.departed = e.Host.Rewrites
		}
	}
	f.flow, f.port, f.ack, f.syn = f.ask(AskFlow), f.ask(AskPort), f.ask(AskACK), f.ask(AskSYN)
	f.echo, f.loose = f.ask(AskEcho), f.ask(AskLoose)
	f.short, f.plain, f.bare = f.ask(AskShort), f.ask(AskUnmarked), f.ask(AskOptions)
	for ttl := e.Trace.First(); ttl <= e.Trace.Last(); ttl++ {
		f.complete = f.complete && e.Trace.Complete(ttl)
	}
	f.readHost(e.Host)
	f.handover = f.findHandover()
	f.stranger, f.limit = f.findStranger(), f.findLimit()
	return f
}

// asked are the further traces of a kind.
func (f *facts) asked(a Ask) (all []*path) {
	for _, p := range f.more {
		if p.question.Ask == a {
			all = append(all, p)
		}
	}
	return all
}

// ask is the further trace of a kind; nil: there was none. Where a second one goes on where the first has ended, they
// are one.
func (f *facts) ask(a Ask) *path {
	all := f.asked(a)
	if len(all) == 0 {
		return nil
	}
	p := *all[len(all)-1]
	p.hops = slices.Clone(p.hops)
	for _, before := range all[:len(all)-1] {
		for _, h := range before.hops {
			if p.at(h.ttl) == nil {
				p.hops = append(p.hops, h)
				slices.SortFunc(p.hops, func(a, b hop) int { return a.ttl - b.ttl })
			}
		}
		if p.distance() == 0 || before.distance() > 0 && before.distance() < p.distance() {
			p.answer = before.answer
		}
	}
	return &p
}

// path is one trace.
type path struct {
	options        trace.PathOptions
	question       *Question // that it answers; nil: it is the trace itself
	target         netip.AddrPort
	hops           []hop          // those that were asked, in order
	answer         *trace.Result  // the target's first; nil: it never answered
	refusal        *trace.Result  // the first ICMP error that ended the path; nil: none
	distanceProbes []trace.Result // what came of distance probes that belong to no hop
	second         []trace.Result // second answers to these

	vague     []int           // TTLs that were asked, and of no probe it is known whether it was answered
	departed  []packet.Change // what this host itself changes in the headers of probes
	elsewhere []trace.Result  // answers from another address or port than the probes were sent to

	refusedAt int // the hop that shows the refusal
	sent      int // probes; 0: not known
}

// hop is what came of the probes with one TTL.
type hop struct {
	ttl     int
	results []trace.Result // the outcomes, in the order of sending
	extra   []trace.Result // late and second answers
	unknown []trace.Result // those whose outcome isn't known; see unanswered
	routers []netip.Addr   // who said time exceeded, each once
	sure    []netip.Addr   // of these, whose answers named the probe
	lost    int
}

func newPath(v *View) *path {
	if v == nil || v.Trace == nil {
		return nil
	}
	to := v.Options.Target
	p := &path{options: v.Options, target: netip.AddrPortFrom(to.Addr().WithZone(""), to.Port())}
	for _, n := range v.sent {
		p.sent += n
	}
	for ttl := v.Trace.First(); ttl <= v.Trace.Top(); ttl++ {
		switch h := v.Trace.Hop(ttl); {
		case ttl <= v.Trace.Last() && len(h.Probes)+len(h.Extra) > 0:
			p.add(h)
		case len(h.Probes)+len(h.Extra) == 0 && len(h.Unknown) > 0:
			p.vague = append(p.vague, ttl)
		}
	}
	p.distanceProbes, p.elsewhere = v.Trace.DistanceProbes(), v.Trace.FromElsewhere()
	p.second = v.Trace.SecondAnswers()
	if u := v.Trace.Unplaced(); u != nil && p.answer == nil && u.Role == trace.RoleHop {
		p.answer = u
	}
	return p
}

func (p *path) add(h trace.Hop) {
	x := hop{ttl: h.TTL, results: h.Probes, extra: h.Extra, unknown: h.Unknown}
	for i := range h.Probes {
		r := &h.Probes[i]
		switch {
		case r.Outcome == trace.Lost:
			x.lost++
		case r.Reply == nil:
		case r.FromTarget():
			if p.answer == nil {
				p.answer = r
			}
		case r.Refused():
			if p.refusal == nil {
				p.refusal, p.refusedAt = r, h.TTL
			}
		}
	}
	for r := range x.replies() {
		if r.Reply.Kind != packet.KindTimeExceeded {
			continue
		}
		from := r.Reply.From()
		if !slices.Contains(x.routers, from) {
			x.routers = append(x.routers, from)
		}
		if names(r) && !slices.Contains(x.sure, from) {
			x.sure = append(x.sure, from)
		}
	}
	p.hops = append(p.hops, x)
}

// replies yields the answered probes of a hop, those answered late included where it is sure which was; second answers
// are left out.
func (h *hop) replies() func(yield func(*trace.Result) bool) {
	return func(yield func(*trace.Result) bool) {
		for i := range h.results {
			if h.results[i].Reply != nil && !yield(&h.results[i]) {
				return
			}
		}
		for i := range h.extra {
			if h.extra[i].Outcome == trace.Late && names(&h.extra[i]) && h.extra[i].Reply != nil && !yield(&h.extra[i]) {
				return
			}
		}
	}
}

// claims yields the TCP answers in the target's name to the probes of a trace, distance probes and second answers among
// them.
func (p *path) claims() iter.Seq[*trace.Result] {
	var all [][]trace.Result
	for i := range p.hops {
		all = append(all, p.hops[i].results)
	}
	all = append(all, p.distanceProbes)
	for i := range p.hops {
		all = append(all, p.hops[i].extra)
	}
	all = append(all, p.second)
	return func(yield func(*trace.Result) bool) {
		for _, results := range all {
			for i := range results {
				r := &results[i]
				if r.Reply != nil && r.FromTarget() && r.Reply.Kind == packet.KindTCP && !yield(r) {
					return
				}
			}
		}
	}
}

// names reports whether it is sure which probe was answered.
func names(r *trace.Result) bool { return r.Evidence == trace.ByTag || r.Evidence == trace.ByKernel }

// told reports whether the probes were connections: no other probes can be sent, and the answers, if there are any, are
// the kernel's accounts.
func (f *facts) told() bool { return f.connections || f.path.told() }

// hostMayDoIt reports whether this host's own firewall may have done what became of the probes: they were connections,
// which pass it, and no router has answered any of them, nor was any silent before one that was answered. What other
// ports show says nothing of a rule for this port.
func (f *facts) hostMayDoIt() bool {
	return f.told() && !f.targetHere() && f.lastRouter() < f.first() && (f.answer == nil || f.distance() <= f.first())
}

// targetHere reports whether the target is an address of this host.
func (f *facts) targetHere() bool {
	return f.target.Addr() == f.options.Source.Addr() || f.target.Addr().IsLoopback()
}

// told reports whether the answers are the kernel's accounts, as to a user without privileges: no quotes, and no probes
// but SYNs.
func (p *path) told() bool {
	for i := range p.hops {
		for r := range p.hops[i].replies() {
			return r.Evidence == trace.ByKernel
		}
	}
	return false
}

func (h *hop) answered() bool {
	for range h.replies() {
		return true
	}
	return false
}

// at is the hop at a TTL; nil where none was asked.
func (p *path) at(ttl int) *hop {
	i, ok := slices.BinarySearchFunc(p.hops, ttl, func(h hop, ttl int) int { return h.ttl - ttl })
	if !ok {
		return nil
	}
	return &p.hops[i]
}

// distance is the TTL of the probes that the target answered; 0: it didn't, or which it was isn't known.
func (p *path) distance() int {
	if p == nil || p.answer == nil || p.answer.Outcome == trace.Shared {
		return 0
	}
	return int(p.answer.Probe.TTL)
}

// lastRouter is the highest TTL at which a router said time exceeded; where none did, the one before the first.
func (p *path) lastRouter() int {
	for _, h := range slices.Backward(p.hops) {
		if len(h.routers) > 0 {
			return h.ttl
		}
	}
	return p.first() - 1
}

// first is the first TTL that was asked.
func (p *path) first() int {
	if len(p.hops) == 0 {
		return 1
	}
	return p.hops[0].ttl
}

// others are the traces that were made to tell cases apart, each with what it is called in evidence.
func (f *facts) others() []witness {
	var all []witness
	for _, w := range []witness{
		{f.echo, "ICMP echo requests"}, {f.ack, "ACKs"}, {f.syn, "SYNs"}, {f.flow, f.kind() + " from another source port"},
	} {
		if w.path != nil {
			all = append(all, w)
		}
	}
	if f.port != nil {
		all = append(all, witness{f.port, fmt.Sprintf("%s to port %d", f.kind(), f.port.target.Port())})
	}
	return all
}

// left reports whether any probe left this host.
func (p *path) left() bool {
	out := func(r trace.Result) bool { return r.Reply != nil || r.Outcome == trace.Lost }
	return p.answer != nil || slices.ContainsFunc(p.distanceProbes, out) ||
		slices.ContainsFunc(p.hops, func(h hop) bool { return h.lost > 0 || h.answered() })
}

// kind is what the trace sends.
func (p *path) kind() string {
	switch {
	case p.options.Protocol == packet.ProtoEcho:
		return "ICMP echo requests"
	case p.options.Session != nil:
		return "segments of a connection"
	case p.asks():
		return "SYNs"
	}
	return "ACKs"
}

// asks reports whether the probes ask for a connection.
func (p *path) asks() bool {
	return p.options.Session == nil && p.options.Flags&(packet.SYN|packet.ACK) != packet.ACK
}

// witness is a trace of another kind.
type witness struct {
	*path
	what string // it sends
}

// farthest is the greatest distance at which anything was answered in the target's name, by any kind of probe: nobody
// but the target itself can be that far. It is 0 where there was no such answer.
func (f *facts) farthest() int {
	d := f.distance()
	for _, w := range f.others() {
		d = max(d, w.distance())
	}
	return d
}

// longestWay is more routers than any way has: a TTL that tells of more begins with an unusual value, or was set on the
// way back.
const longestWay = 48

// backLength is how many routers an answer with this TTL has passed, where its sender gave it one of the usual ones.
func backLength(ttl uint8) int {
	for _, initial := range []int{32, 64, 128} {
		if int(ttl) <= initial && initial-int(ttl) < initial/2 {
			return initial - int(ttl)
		}
	}
	return 255 - int(ttl)
}
