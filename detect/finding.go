package detect

import (
	"slices"

	"go.example/tcptraceroute/trace"
)

// Confidence is how sure a finding is.
type Confidence uint8

const (
	Possible Confidence = iota + 1 // the evidence fits something else just as well, which the finding names
	Likely                         // it fits something else too, but less well, or it comes from one witness only
	Certain                        // nothing else explains it
)

func (c Confidence) String() string {
	switch c {
	case Possible:
		return "possible"
	case Likely:
		return "likely"
	case Certain:
		return "certain"
	}
	return "unknown"
}

// Finding is one thing that the answers say about the path.
type Finding struct {
	Code       Code       // stable
	Title      string     // what happened, where and by whom: one sentence
	Evidence   []string   // what was seen: a sentence each
	Advice     string     // what to do, or whom to ask; may be empty
	Confidence Confidence //

	// After and Before say where: on the way from the first of these hops to the second (TTLs; 0 is this host). They are
	// the same where the finding is about one router, and both 0 where it is about no place.
	After, Before int

	Weight int // how much it matters to whose connection doesn't work; the list is in this order
}

// Detail reports whether a finding is about what the way is like, and about no fault: one line is enough for whoever
// reads of one.
func (f *Finding) Detail() bool { return f.Weight <= weightDetail }

// Evidence is all that is known of a path.
type Evidence struct {
	View // the trace itself

	// Further are the traces that were made to tell causes apart (see Questions), in the order in which they were asked.
	Further []Further

	// Budget is how many probes the further traces may take in all, as was said before the first of them; 0: none were
	// made.
	Budget int

	// Host is what is known of this host's own part; nil: nobody asked.
	Host *Host

	// SYNs counts the SYNs that the target may have got, and bounds them; nil: the traces tell how many these were.
	SYNs *trace.TargetBudget

	// MTU is what a search for it has found; nil: there was none.
	MTU *PathMTU

	// Graph is what a search for all paths has found; nil: there was none.
	Graph *trace.Graph

	// Connections says that the probes were connections, as of a user without privileges: no other probes can be sent,
	// and nothing is known of their packets.
	Connections bool

	// Unknown is what could not be asked or seen, by the means that there were: a sentence each.
	Unknown []string

	// Unasked are the questions that were left out, or not asked to their end, because the time was up.
	Unasked []Question

	// Rounds says that the trace is only the latest of rounds. What is lost there LossInRounds says, by all of them.
	Rounds bool
}

// Further is a question, and the trace that answers it.
type Further struct {
	Question
	View
}

// View is one trace.
type View struct {
	Trace   *trace.Trace
	Options trace.PathOptions // it was made with
	Counts  trace.Counts
	Spared  bool // hops were not asked because a silent target may get each SYN, see trace.Path.Spared
	Short   bool // hops were asked less often than was wanted, or not at all, to spare the target, see trace.Path.Short

	sent []int // probes with each TTL; nil: what the trace holds
}

// Add adds what became of a probe. A view whose results all come this way knows of the probes too that a trace does not
// show.
func (v *View) Add(r trace.Result) {
	v.Trace.Add(r)
	if !r.Outcome.Final() || r.Outcome == trace.Failed {
		return
	}
	ttl := int(r.Probe.TTL)
	for len(v.sent) <= ttl {
		v.sent = append(v.sent, 0)
	}
	v.sent[ttl]++
}

// Findings says what the evidence shows, the weightiest first. A path without anything odd yields the port's state
// alone.
func Findings(e Evidence) []Finding {
	if e.Trace == nil {
		return nil
	}
	f := read(&e)
	var all []Finding
	for _, family := range families() {
		all = append(all, family(f)...)
	}
	all = f.withControl(all)
	inTime(all, e.Unasked)
	for i := range all {
		if x := &all[i]; x.After < f.first() && x.After < x.Before {
			x.After = 0 // the hops before the first that was asked aren't known
		}
	}
	if e.Rounds {
		all = slices.DeleteFunc(all, func(x Finding) bool { return x.Code == ICMPRateLimit || x.Code == PacketLoss })
	}
	return Sorted(all)
}

// Sorted puts the weightiest findings first.
func Sorted(all []Finding) []Finding {
	slices.SortStableFunc(all, func(a, b Finding) int { return b.Weight - a.Weight })
	return all
}

// families are the functions that find. Each looks for its own kind of thing, and knows nothing of the others.
func families() []func(*facts) []Finding {
	return []func(*facts) []Finding{
		thisHost, state, impostor, gateway, forwarded, elsewhere, dropped, refused, narrowed, loop,
		nat, headers, sequence, balanced, timeToLive, wayBack, rateLimited, limited, lost,
	}
}
