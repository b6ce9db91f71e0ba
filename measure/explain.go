package measure

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// Network is a way to the network: by raw sockets, or by connections.
type Network interface {
	trace.Conn
	Reserve(netip.AddrPort) (uint16, error)
}

// Explainer finds out why a path ends as it does. It asks this host for ordinary connections and makes further traces,
// until nothing is left that would tell causes apart. All fields but Progress and MTU have to be filled in.
type Explainer struct {
	Conn        Network
	Path        trace.PathOptions // of the trace that is to be explained, with target and source
	Own         netip.Addr        // the source address as this host has it
	Interface   string            // that the user chose to send by; "": none
	Out         string            // that the probes leave by; "": not known
	Mark        uint32            // firewall mark of the probes
	Local       bool              // the target is this host
	Connections bool              // the probes are connections

	// Port reserves a source port of the kernel's choice.
	Port func() (uint16, error)

	// Run carries a plan out as the trace was carried out.
	Run func(context.Context, trace.Plan, func(trace.Result)) (trace.Counts, error)

	// Progress is called with what is being done, if anybody wants to know.
	Progress func(Progress)

	// MTU is what a search for the path's MTU has found, before Ask; nil: there was none, or it proves nothing.
	MTU *detect.PathMTU

	evidence *detect.Evidence
	host     *detect.Host // this host's own part; nil: not known, or not yet
	control  *control     // nil: none was asked for
	asked    atomic.Int32
}

// A Progress is what an Explainer is about to do.
type Progress struct {
	Stage     Stage
	Questions []detect.Question // Announcing
	Most      int               // Announcing: probes, at the most; Connecting: SYNs
	Unknown   []string          // Lacking: a sentence each
	Err       error             // Failed
}

// Stage is a part of the work.
type Stage uint8

const (
	Connecting    Stage = iota // an ordinary connection is asked for
	Awaiting                   // what comes of it is waited for, until Done
	AwaitingAgain              // the same, of a second one
	Lacking                    // Unknown says what can't be asked or seen
	Asking                     // questions are asked, until Done
	Announcing                 // more of them than was said before
	Failed                     // no more can be asked: Err says why
	Done                       // what was waited for is over
)

func (e *Explainer) progress(p Progress) {
	if e.Progress != nil {
		e.Progress(p)
	}
}

// Asked is how many probes of the questions have their outcome. It may be called while others are asked.
func (e *Explainer) Asked() int { return int(e.asked.Load()) }

// Evidence is all that is known of the path: the trace v alone, until Ask was called.
func (e *Explainer) Evidence(v detect.View) detect.Evidence {
	if e.evidence != nil {
		return *e.evidence
	}
	return detect.Evidence{View: v, MTU: e.MTU, Host: e.host}
}

// Host is what is known by now of this host's own part; nil: nothing.
func (e *Explainer) Host() *detect.Host { return e.host }

// Diagnosis says how the findings came about.
func (e *Explainer) Diagnosis() detect.Diagnosis {
	if e.evidence == nil { // the run ended before anything was asked
		return detect.Diagnose(detect.Evidence{Host: e.host, Unknown: e.unknown()})
	}
	return detect.Diagnose(*e.evidence)
}

// Ask makes the further traces that tell causes apart. If it can't, the trace stands without. An error is that of ctx.
func (e *Explainer) Ask(ctx context.Context, v detect.View) error {
	e.evidence = &detect.Evidence{View: v, MTU: e.MTU, Host: e.Await(), Unknown: e.unknown()}
	defer e.askAgain(ctx)
	questions := detect.Questions(*e.evidence)
	if len(questions) == 0 {
		return nil
	}
	if unknown := e.evidence.Unknown; len(unknown) > 0 {
		e.progress(Progress{Stage: Lacking, Unknown: unknown})
	}
	e.progress(Progress{Stage: Asking})
	defer e.progress(Progress{Stage: Done})
	ports := map[int]uint16{0: e.Path.Source.Port()} // of each flow
	for ; len(questions) > 0; questions = detect.Questions(*e.evidence) {
		e.announce(questions)
		err := e.further(ctx, questions, ports)
		switch {
		case ctx.Err() != nil:
			return err
		case err != nil:
			e.progress(Progress{Stage: Failed, Err: err})
			return nil
		}
	}
	return nil
}

// unknown is what this measurement can't ask or see.
func (e *Explainer) unknown() []string {
	switch {
	case e.Connections:
		return []string{"Without raw sockets there are no quoted packets to compare, no ICMP echo and no ACKs: " +
			"less can be told"}
	case e.Mark != 0:
		return []string{"What becomes of an ordinary connection with this mark isn't known: setting it takes a privilege " +
			"that is given up by then"}
	}
	return nil
}

// announce says how many probes the questions take at the most, unless that was said already of all that were asked.
func (e *Explainer) announce(questions []detect.Question) {
	most := detect.MostProbes(*e.evidence)
	if e.Asked()+most <= e.evidence.Budget {
		return
	}
	e.evidence.Budget = e.Asked() + most
	e.progress(Progress{Stage: Announcing, Questions: questions, Most: most})
}

// further makes more traces side by side.
func (e *Explainer) further(ctx context.Context, questions []detect.Question, ports map[int]uint16) error {
	var plans []trace.Plan
	var views []detect.View
	for _, q := range questions {
		if ports[q.Flow] == 0 {
			port, err := e.flowPort(q.Flow)
			if err != nil {
				return err
			}
			ports[q.Flow] = port
		}
		q.Options.Source = netip.AddrPortFrom(e.Path.Source.Addr(), ports[q.Flow])
		q.Options.Spacing = max(q.Options.Spacing, trace.DefaultSpacing) * time.Duration(len(questions)) // no faster than one
		plan, err := e.planOf(q)
		if err != nil {
			return err
		}
		plans = append(plans, plan)
		views = append(views, detect.View{Trace: trace.NewTrace(q.Options), Options: q.Options})
	}
	all := trace.NewGroup(plans...)
	counts, err := e.Run(ctx, all, func(r trace.Result) {
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
	for i, q := range questions {
		views[i].Trace.Finish()
		views[i].Counts = counts
		e.evidence.Answer(q, views[i])
	}
	return err
}

// flowPort reserves a source port for a flow of the questions: odd and even ones in turn. The kernel chooses odd ones
// for sockets that are bound, so a router that chooses ways by few bits of the port, or a filter of these, would
// treat all flows alike.
func (e *Explainer) flowPort(flow int) (uint16, error) {
	port, err := e.Port()
	if err != nil || int(port)%2 == flow%2 {
		return port, err
	}
	if other, err := e.Conn.Reserve(netip.AddrPortFrom(e.Own, port^1)); err == nil {
		return other, nil
	}
	return port, nil
}

// planOf is the plan of a further trace, for the network that there is.
func (e *Explainer) planOf(q detect.Question) (trace.Plan, error) {
	if e.Connections {
		return trace.NewSerial(q.Options, wire.ConnectWait)
	}
	return trace.NewPath(q.Options)
}
