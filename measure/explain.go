package measure

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// explainer finds out why a path ends as it does. It asks this host for ordinary connections and makes further traces,
// until nothing is left that would tell causes apart.
type explainer struct {
	m        *Measurement
	mtu      *detect.PathMTU // what a search for the path's MTU has found; nil: there was none, or it proves nothing
	graph    *trace.Graph    // what a search for all paths has found; nil: there was none
	evidence *detect.Evidence
	host     *detect.Host // this host's own part; nil: not known, or not yet
	control  *control     // nil: none was asked for
	asked    atomic.Int32
	heard    atomic.Bool   // something has come from the target, or says that it can't be reached
	over     bool          // no more is to be asked: the target may get no SYN more, or the time is up
	took     time.Duration // by the trace itself
	begun    time.Time     // when the questions were
	until    time.Time     // when they are to be over

	unplaced []*packet.Reply // segments that came while the trace ran and fit several of its probes
}

// Asked returns how many probes of an explanation's questions have their outcome. Any goroutine may call it while Trace
// runs, after its stage Tracing.
func (m *Measurement) Asked() int { return int(m.asking.asked.Load()) }

// seen is all that is known of the path: the trace v alone, until ask was called.
func (e *explainer) seen(v detect.View) detect.Evidence {
	if e.evidence != nil {
		return *e.evidence
	}
	return detect.Evidence{View: v, MTU: e.mtu, Graph: e.graph, Host: e.host, SYNs: e.m.budget,
		Connections: e.m.Header.Connections}
}

// diagnosis says how the findings came about.
func (e *explainer) diagnosis() detect.Diagnosis {
	if e.evidence == nil { // the run ended before anything was asked
		return detect.Diagnose(detect.Evidence{Host: e.host, Unknown: e.unknown()})
	}
	return detect.Diagnose(*e.evidence)
}

// ask makes the further traces that tell causes apart. If it can't, the trace stands without. An error is that of ctx.
func (e *explainer) ask(ctx context.Context, v detect.View) error {
	e.evidence = &detect.Evidence{View: v, MTU: e.mtu, Graph: e.graph, Host: e.await(), SYNs: e.m.budget,
		Unknown: e.unknown(), Connections: e.m.Header.Connections}
	e.begun = time.Now()
	e.addContrary()
	defer e.askAgain(ctx)
	defer e.hearCopies()
	questions := detect.Questions(*e.evidence)
	if len(questions) == 0 {
		return nil
	}
	if unknown := e.evidence.Unknown; len(unknown) > 0 {
		e.m.progress(Progress{Stage: Lacking, Unknown: unknown})
	}
	e.m.progress(Progress{Stage: Asking})
	defer e.m.progress(Progress{Stage: Done})
	ports := map[int]uint16{0: e.m.Header.Path.Source.Port()} // of each flow
	for ; len(questions) > 0 && !e.over; questions = detect.Questions(*e.evidence) {
		if questions = e.inTime(questions); len(questions) == 0 {
			break
		}
		e.announce(questions)
		err := e.further(ctx, questions, ports)
		switch {
		case ctx.Err() != nil:
			return err
		case err != nil:
			e.m.progress(Progress{Stage: Failed, Err: err})
			return nil
		}
	}
	if not := detect.NotAsked(e.evidence.Unasked); not != "" {
		e.m.progress(Progress{Stage: Lacking, Unknown: []string{not}})
	}
	return nil
}

// unknown is what this measurement can't ask or see.
func (e *explainer) unknown() []string {
	switch {
	case e.m.Header.Connections:
		return []string{"Without raw sockets there are no quoted packets to compare, no ICMP echo and no ACKs: " +
			"less can be told"}
	case e.m.Header.Mark != 0 && e.control.refused():
		return []string{"What becomes of an ordinary connection with this mark isn't known: setting it takes a privilege"}
	}
	return nil
}

// announce says how many probes the questions take at the most, unless that was said already of all that were asked.
func (e *explainer) announce(questions []detect.Question) {
	most := detect.MostProbes(*e.evidence)
	if e.m.Asked()+most <= e.evidence.Budget {
		return
	}
	e.evidence.Budget = e.m.Asked() + most
	e.m.progress(Progress{Stage: Announcing, Questions: questions, Most: most})
}

// further makes more traces side by side.
func (e *explainer) further(ctx context.Context, questions []detect.Question, ports map[int]uint16) error {
	var plans []trace.Plan
	var guards []*trace.Guarded
	var views []detect.View
	for _, q := range questions {
		if ports[q.Flow] == 0 {
			port, err := e.flowPort(q.Flow)
			if err != nil {
				return err
			}
			ports[q.Flow] = port
		}
		q.Options.Source = netip.AddrPortFrom(e.m.Header.Path.Source.Addr(), ports[q.Flow])
		q.Options.Spacing = max(q.Options.Spacing, trace.DefaultSpacing) * time.Duration(len(questions)) // no faster than one
		plan, err := e.planOf(q)
		if err != nil {
			return err
		}
		guard := e.m.budget.Guard(plan)
		plans, guards = append(plans, guard), append(guards, guard)
		views = append(views, detect.View{Trace: trace.NewTrace(q.Options), Options: q.Options})
	}
	all := trace.NewGroup(plans...)
	ended := make([]bool, len(plans))
	all.Over = func(i int) { ended[i] = true }
	o := e.m.runOptions()
	o.Observe = e.overhearing(o.Observe)
	within, cancel := context.WithDeadline(ctx, e.until)
	defer cancel()
	counts, err := trace.Run(within, e.m.t.conn, all, o, func(r trace.Result) {
		if i, r := all.Of(r); i >= 0 {
			views[i].Add(r)
		}
		if r.Outcome.Final() {
			e.asked.Add(1)
		}
	})
	if errors.As(err, new(*trace.SendError)) {
		err = nil // probes of some kind don't leave this host: that is an answer of its own
	}
	late := err != nil && ctx.Err() == nil && within.Err() != nil
	if late {
		err, e.over = nil, true
	}
	for i, q := range questions {
		views[i].Trace.Finish()
		views[i].Counts = counts
		if guards[i].Withheld() > 0 { // what wasn't asked whole proves nothing
			e.over = true
			continue
		}
		if late && !ended[i] {
			e.evidence.Unasked = append(e.evidence.Unasked, q)
			continue
		}
		e.evidence.Answer(q, views[i])
	}
	return err
}

// mostTardy is how many answers to the trace are kept that come when it is over: one says as much as all of them.
const mostTardy = 3

// overhearing watches a run of questions for answers to the trace's own SYNs that come when the trace is over: a device
// on the way may answer in the target's name later than the target does. They count as second answers. next watches
// besides; nil: nothing does.
func (e *explainer) overhearing(next func(trace.Event)) func(trace.Event) {
	first := e.answered()
	tardy := 0
	return func(ev trace.Event) {
		if next != nil {
			next(ev)
		}
		known := ev.Verdict == trace.Unrelated || ev.Verdict == trace.NearMiss
		if first == nil || tardy == mostTardy || ev.Reply == nil || !known || !answers(ev.Reply, first) {
			return
		}
		tardy++
		second := *first
		second.Outcome, second.Evidence, second.Recv = trace.Duplicate, trace.ByFlow, ev.Time
		second.Reply = ev.Reply.Clone()
		e.evidence.View.Add(second)
	}
}

// mostUnplaced is how many segments of either kind are kept that fit several probes.
const mostUnplaced = 3

// keeping watches the trace for segments that fit several of its probes, so that they answer none for sure. next
// watches besides; nil: nothing does.
func (e *explainer) keeping(next func(trace.Event)) func(trace.Event) {
	resets, others := 0, 0
	return func(ev trace.Event) {
		if next != nil {
			next(ev)
		}
		if ev.Reply == nil || ev.Verdict != trace.IsShared || ev.Reply.Kind != packet.KindTCP {
			return
		}
		n := &others
		if ev.Reply.TCP.Flags.Has(packet.RST) {
			n = &resets
		}
		if *n < mostUnplaced {
			*n++
			e.unplaced = append(e.unplaced, ev.Reply.Clone())
		}
	}
}

// addContrary adds what was kept if it says the contrary of what the target has answered: whichever probe it belongs
// to, somebody accepts what somebody else resets. They count as second answers.
func (e *explainer) addContrary() {
	first := e.answered()
	if first == nil {
		return
	}
	for _, r := range e.unplaced {
		contrary := r.TCP.Flags.Has(packet.RST) != first.Reply.TCP.Flags.Has(packet.RST)
		if contrary && answers(r, first) {
			second := *first
			second.Outcome, second.Evidence, second.Reply = trace.Duplicate, trace.ByFlow, r
			e.evidence.View.Add(second)
		}
	}
}

// answered returns a probe of the trace's own flow that the target has answered; nil: there is none.
func (e *explainer) answered() *trace.Result {
	t := e.evidence.View.Trace
	if t.Last() < t.First() {
		return nil // no hop is known
	}
	for _, r := range t.Hop(t.Last()).Probes {
		if r.Role == trace.RoleHop && r.Outcome == trace.Answered && r.FromTarget() && r.Reply.Kind == packet.KindTCP {
			return &r
		}
	}
	return nil
}

// answers reports whether a segment acknowledges what an answered probe of the same flow is acknowledged for.
func answers(r *packet.Reply, first *trace.Result) bool {
	a, b := &r.TCP, &first.Reply.TCP
	return r.Kind == packet.KindTCP && r.IP.Src == first.Reply.IP.Src && a.SrcPort == b.SrcPort &&
		a.DstPort == b.DstPort && a.Flags.Has(packet.ACK) && a.Ack == b.Ack
}

// flowPort reserves a source port for a flow of the questions: odd and even ones in turn. The kernel chooses odd ones
// for sockets that are bound, so a router that chooses ways by few bits of the port, or a filter of these, would
// treat all flows alike.
func (e *explainer) flowPort(flow int) (uint16, error) {
	port, err := e.m.freePort()
	if err != nil || int(port)%2 == flow%2 {
		return port, err
	}
	if other, err := e.m.t.conn.Reserve(netip.AddrPortFrom(e.m.own, port^1)); err == nil {
		return other, nil
	}
	return port, nil
}

// planOf is the plan of a further trace, for the network that there is.
func (e *explainer) planOf(q detect.Question) (trace.Plan, error) {
	o := q.Options
	o.Budget = e.m.budget
	return planOver(e.m.t.conn, o)
}
