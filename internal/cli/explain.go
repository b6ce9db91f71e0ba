package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// explaining is whether the answers are to be explained, and what was asked for that.
type explaining struct {
	explain  bool
	evidence *detect.Evidence // of the trace and those made besides; nil: none were made
	pathMTU  *detect.PathMTU  // what --mtu found; nil: nothing that proves anything
	control  *control         // nil: none was asked for
	ownPart  *detect.Host     // this host's own part; nil: not known, or not yet
}

func explainOptions() []option {
	return []option{
		{long: "explain", facts: []fact{{on: func(c *config) bool { return c.explain }, not: []conflict{{"--live, --report",
			"--explain can't be used with {}: it explains one trace, not rounds; leave one of them out"}}}},
			shows: true, brief: "why it fails, where",
			help: "say in plain words, after the trace, why it fails, where, and how sure that is; sends some probes of other " +
				"kinds to find out, and first prints the maximum on stderr", set: do(func(c *config) { c.explain = true })},
	}
}

// ask makes the further traces that tell cases apart.
func (p *program) ask(ctx context.Context, conn medium, v detect.View) error {
	p.evidence = &detect.Evidence{View: v, MTU: p.pathMTU, Host: p.awaitHost(conn), Unknown: p.unknown()}
	defer p.askAgain(ctx, conn)
	questions := detect.Questions(*p.evidence)
	if len(questions) == 0 {
		return nil
	}
	for _, what := range p.evidence.Unknown {
		fmt.Fprintln(p.stderr, what)
	}
	var asked atomic.Int32
	status := p.showStatus(func(time.Duration) string {
		return fmt.Sprintf("asking further, %d probes so far", asked.Load())
	})
	defer status.stop()
	ports := map[int]uint16{0: p.path.Source.Port()} // of each flow
	for ; len(questions) > 0; questions = detect.Questions(*p.evidence) {
		p.announceQuestions(questions, int(asked.Load()))
		err := p.further(ctx, conn, questions, ports, &asked)
		switch {
		case ctx.Err() != nil:
			return err
		case err != nil: // the trace stands without
			fmt.Fprintf(p.stderr, "Asking further: %s\n", quoted(err.Error()))
			return nil
		}
	}
	return nil
}

// unknown is what this run can't ask or see.
func (p *program) unknown() []string {
	switch {
	case p.connecting:
		return []string{"Without raw sockets there are no quoted packets to compare, no ICMP echo and no ACKs: " +
			"less can be told"}
	case p.mark != 0:
		return []string{"What becomes of an ordinary connection with this mark isn't known: setting it takes a privilege " +
			"that is given up by then"}
	}
	return nil
}

// announceQuestions says how many probes the questions take at the most, unless that was said already of all that
// were asked.
func (p *program) announceQuestions(questions []detect.Question, asked int) {
	most := detect.MostProbes(*p.evidence)
	if asked+most <= p.evidence.Budget {
		return
	}
	then := ""
	if most > detect.Probes(questions) {
		then = fmt.Sprintf(", then SYNs to this port and to port %d", detect.OtherPort(p.path).Port())
	}
	p.evidence.Budget = asked + most
	kinds := cmp.Or(p.kinds(questions), "the same from other source ports")
	fmt.Fprintf(p.stderr, "Up to %d more probes to tell what happened: %s%s\n", most, kinds, then)
}

// forPeople reports whether the trace is printed as text.
func (p *program) forPeople() bool { return p.format == "" || p.format == formats[0].name }

// holdsFindings reports whether the format has a place for what is explained.
func (p *program) holdsFindings() bool {
	return p.forPeople() || p.format == "json" || p.format == "jsonl"
}

// putFindingsAside prints on stderr what the format has no place for.
func (p *program) putFindingsAside(v detect.View) {
	writeFindings(p.stderr, p.ownPart, p.findings(v)) // stderr that is gone is no reason to fail
}

// kinds says what is sent.
func (p *program) kinds(questions []detect.Question) string {
	var kinds []string
	for _, q := range questions {
		switch q.Ask {
		case detect.AskFlow:
			kinds = append(kinds, "the same from another source port")
		case detect.AskPort:
			kinds = append(kinds, fmt.Sprintf("to port %d", q.Options.Target.Port()))
		case detect.AskACK:
			kinds = append(kinds, "ACKs")
		case detect.AskSYN:
			kinds = append(kinds, "SYNs")
		case detect.AskEcho:
			kinds = append(kinds, "ICMP echo")
		case detect.AskLoose:
			kinds = append(kinds, "the same, --loose")
		case detect.AskShort:
			kinds = append(kinds, "shorter ones")
		case detect.AskUnmarked:
			kinds = append(kinds, "unmarked ones")
		case detect.AskOptions:
			kinds = append(kinds, "SYNs with other options")
		}
	}
	return strings.Join(kinds, ", ")
}

// further makes more traces side by side.
func (p *program) further(ctx context.Context, conn medium, questions []detect.Question, ports map[int]uint16,
	asked *atomic.Int32) error {
	var plans []trace.Plan
	var views []detect.View
	for _, q := range questions {
		if ports[q.Flow] == 0 {
			port, err := p.flowPort(conn, q.Flow)
			if err != nil {
				return err
			}
			ports[q.Flow] = port
		}
		q.Options.Source = netip.AddrPortFrom(p.path.Source.Addr(), ports[q.Flow])
		q.Options.Spacing = max(q.Options.Spacing, trace.DefaultSpacing) * time.Duration(len(questions)) // no faster than one
		plan, err := p.planOf(q)
		if err != nil {
			return err
		}
		plans = append(plans, plan)
		views = append(views, detect.View{Trace: trace.NewTrace(q.Options), Options: q.Options})
	}
	all := trace.NewGroup(plans...)
	counts, err := trace.Run(ctx, conn, all, p.engine(conn), func(r trace.Result) {
		if i, r := all.Of(r); i >= 0 {
			views[i].Add(r)
		}
		if r.Fate.Outcome() {
			asked.Add(1)
		}
	})
	if errors.As(err, new(*trace.SendError)) {
		err = nil // probes of some kind don't leave this host: that is an answer of its own
	}
	for i, q := range questions {
		views[i].Trace.Finish()
		views[i].Counts = counts
		p.evidence.Answer(q, views[i])
	}
	return err
}

// flowPort reserves a source port for a flow of the questions: odd and even ones in turn. The kernel chooses odd ones
// for sockets that are bound, so a router that chooses ways by few bits of the port, or a filter of these, would
// treat all flows alike.
func (p *program) flowPort(conn medium, flow int) (uint16, error) {
	port, err := p.freePort(conn, p.own)
	if err != nil || int(port)%2 == flow%2 {
		return port, err
	}
	if other, err := conn.Reserve(netip.AddrPortFrom(p.own, port^1)); err == nil {
		return other, nil
	}
	return port, nil
}

// planOf is the plan of a further trace, for the network that there is.
func (p *program) planOf(q detect.Question) (trace.Plan, error) {
	if p.connecting {
		return trace.NewSerial(q.Options, wire.ConnectWait)
	}
	return trace.NewPath(q.Options)
}

// findings are what is known of the trace so far.
func (p *program) findings(v detect.View) []detect.Finding {
	if p.evidence != nil {
		return detect.Findings(*p.evidence)
	}
	return detect.Findings(detect.Evidence{View: v, MTU: p.pathMTU, Host: p.ownPart})
}

// sayFindings prints them below the hops.
func (p *program) sayFindings(v detect.View) error {
	return writeFindings(p.stdout, p.ownPart, p.findings(v))
}

// writeFindings writes them below what was written before.
func writeFindings(w io.Writer, host *detect.Host, all []detect.Finding) error {
	if len(all) == 0 && host == nil {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := report.Explanation(w, host, all); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
