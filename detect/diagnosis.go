package detect

import (
	"fmt"
	"slices"

	"go.example/tcptraceroute/packet"
)

// Diagnosis is how the findings came about: which causes were considered, what excluded them, and what was asked for
// that.
type Diagnosis struct {
	Causes    []Considered
	Questions []Asked
	Budget    Budget
	Host      *Host    // nil: nobody asked
	Unknown   []string // what could not be asked or seen, a sentence each
}

// Considered is a cause that may explain what was seen.
type Considered struct {
	Code     Code     // of the finding that this cause makes
	What     string   // the cause in words
	Excluded []string // what was seen that this cause can't produce; none: the cause is not excluded
}

// Asked is a question, and what came of it.
type Asked struct {
	Question
	What                 string // was sent
	Sent, Answered, Lost int    // probes
	Came                 Came
	At                   int // the hop of the farthest answer, or the target's; 0: there was none, or the hop is not known
}

// Came says who answered a question.
type Came string

const (
	CameNothing Came = "nothing"
	CameRouters Came = "routers"
	CameRefusal Came = "refusal" // an ICMP error that ends the path
	CameTarget  Came = "target"  // or somebody in its name
)

// Budget is how much may be asked, and how much was.
type Budget struct {
	Probes int // of all questions, at the most
	Sent   int // probes of the questions
	SYNs   int // that the target may have got, those of the trace included
	Most   int // such SYNs, at the most
}

// Diagnose says how the findings about the evidence came about.
func Diagnose(e Evidence) Diagnosis {
	x := Diagnosis{Host: e.Host, Unknown: e.Unknown}
	if e.Trace == nil {
		return x
	}
	f := read(&e)
	switch d := newDrop(f); {
	case d != nil && f.complete && f.cycle() == 0:
		x.Causes = d.considered()
	case f.refusal != nil && f.answer == nil:
		x.Causes = f.causesOfRefusal()
	case f.answer != nil && f.answer.Reply.Kind == packet.KindTCP:
		x.Causes = f.whoAnswers()
	}
	if not := NotAsked(e.Unasked); not != "" {
		x.Unknown = append(slices.Clone(x.Unknown), not)
	}
	for _, p := range f.more {
		x.Questions = append(x.Questions, p.outcome())
		x.Budget.Sent += x.Questions[len(x.Questions)-1].Sent
	}
	x.Budget.Probes, x.Budget.Most, x.Budget.SYNs = e.Budget, MostSYNs, e.spentSYNs()
	return x
}

// considered are the causes of probes that vanish, each with what contradicts it.
func (d *drop) considered() (all []Considered) {
	for _, c := range d.causes() {
		x := Considered{Code: c.code, What: d.causeText(c.code)}
		if c.code == filteredOptions {
			x.Code = FilteredSYN
		}
		for _, s := range d.seen {
			if s.contradicts(c) {
				how := when(s.fate == passes, "passed", "vanished too")
				if text := fmt.Sprintf("%s: %s", s.what, how); !slices.Contains(x.Excluded, text) {
					x.Excluded = append(x.Excluded, text)
				}
			}
		}
		all = append(all, x)
	}
	// That nothing gets through is said as long as nothing excludes it.
	if i := slices.IndexFunc(all, func(x Considered) bool { return x.Code == PathEnds }); len(all[i].Excluded) == 0 {
		ends := all[i]
		all = slices.Insert(slices.Delete(all, i, i+1), 0, ends)
	}
	return all
}

// whoAnswers are the target and somebody in its name, each with what excludes it.
func (f *facts) whoAnswers() []Considered {
	own := Considered{Code: PortUnclear, What: "the target itself answers"}
	if all := state(f); len(all) > 0 {
		own.Code = all[0].Code
	}
	other := Considered{Code: TCPProxy, What: "something in front of the target answers in its name"}
	if f.answer.Reply.TCP.Flags.Has(packet.RST) {
		other.Code = ResetOnPath
		own.Code = when(own.Code == PortUnclear, PortClosed, own.Code)
	} else {
		own.Code = when(own.Code == PortUnclear && !f.ofOlder(), PortOpen, own.Code)
	}
	if f.stranger != nil {
		own.Excluded = f.stranger.evidence
	}
	for _, w := range f.others() {
		if w.path != f.flow && f.stranger == nil && f.like(w.path) {
			other.Excluded = append(other.Excluded, w.what+": answered from as far away, by the same way back")
		}
	}
	return []Considered{own, other}
}

// causesOfRefusal are the reasons that a router may have to say no. What was seen of other probes excludes all but one,
// if that one is certain.
func (f *facts) causesOfRefusal() (all []Considered) {
	found := refused(f)
	if len(found) == 0 {
		return nil
	}
	is := &found[0]
	for _, c := range []Considered{
		{Code: RejectedByRouter, What: "a rule of a router rejects"},
		{Code: RejectedByTarget, What: "a rule of the target rejects"},
		{Code: UnreachableNetwork, What: "a router has no route to the target"},
		{Code: UnreachableHost, What: "nobody answers a router on its next link: the target, or a router, is down"},
		{Code: MTULimit, What: "the packets are too large for a link"},
	} {
		if c.Code != is.Code && is.Confidence == Certain {
			c.Excluded = is.Evidence
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Considered) int {
		return when(a.Code == is.Code, 0, 1) - when(b.Code == is.Code, 0, 1)
	})
	return all
}

// causeText is a cause of vanishing probes in words.
func (d *drop) causeText(code Code) string {
	switch code {
	case SizeFilter:
		return "packets of this length are dropped"
	case MarkDropped:
		return "packets with this mark (TOS byte, traffic class) are dropped"
	case filteredOptions:
		return "SYNs with these TCP options or flags are dropped"
	case StuckService:
		return "the target's service takes no connections, and its queue of them is full"
	case FilteredPort:
		return fmt.Sprintf("port %d is dropped", d.target.Port())
	case FilteredSYN:
		return "all new connections are dropped"
	case FilteredACK:
		return "ACKs that belong to no connection are dropped"
	case FilteredTCP:
		return "all TCP is dropped"
	case PathEnds:
		return "nothing gets farther: all is dropped, or the path or the target is down, or answers are lost on the way back"
	case BrokenBranch:
		return "the member of a load-balanced group that this connection goes by is down or filters"
	}
	return string(code)
}

// outcome says what came of the question that a further trace answers.
func (p *path) outcome() Asked {
	x := Asked{Question: *p.question, What: p.sends(), Came: CameNothing}
	x.Sent = p.sent
	for _, h := range p.hops {
		if p.sent == 0 {
			x.Sent += len(h.results)
		}
		x.Lost += h.lost
		for range h.replies() {
			x.Answered++
		}
	}
	switch last := p.lastRouter(); {
	case p.answer != nil:
		x.Came, x.At = CameTarget, p.distance()
	case p.refusal != nil:
		x.Came, x.At = CameRefusal, p.refusedAt
	case last >= p.first():
		x.Came, x.At = CameRouters, last
	}
	return x
}

// sends is what a further trace sends.
func (p *path) sends() string {
	if p.options.Protocol == packet.ProtoEcho {
		return p.kind()
	}
	return fmt.Sprintf("%s to port %d", p.kind(), p.target.Port())
}

// String names a kind of question, for programs: the names never change.
func (a Ask) String() string {
	names := [...]string{
		"flow", "port", "ack", "syn", "echo", "loose", "short", "unmarked", "options", "reach", "way", "alive",
		"ttl",
	}
	if int(a) < len(names) {
		return names[a]
	}
	return "other"
}
