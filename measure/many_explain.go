package measure

import (
	"cmp"
	"context"
	"slices"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
)

// A run over lists of targets explains some of those that were not reached. Paths that end at the same place mostly end
// there for the same reason, so a few of each place are enough. They are chosen when all targets have been traced:
// the places where most paths end come first. Explanations are made one after the other, so that what one asks
// doesn't change what another one sees.

const (
	// MostExplained is how many targets of a run are explained at the most, and MostAlike how many of those whose paths
	// end at the same place.
	MostExplained = 20
	MostAlike     = 4

	// mostHeld is how many targets wait for that. Each of them is kept with its trace, of about 100 KB.
	mostHeld = 200
)

// Explaining says which target is being explained, and what is done for that.
type Explaining struct {
	Targets, Of int            // how many will be explained, of how many that were not reached
	Target      *record.Listed // nil: none yet
	Progress    Progress       // about Target
}

// sample is targets that were not reached, a few of each place where paths end. The zero value is empty.
type sample struct {
	places map[detect.End]*place
	held   int
}

// place is where paths end.
type place struct {
	end     detect.End
	targets int             // whose paths end there
	held    []record.Listed // the first of them
}

// hold keeps a target whose path ends there. It returns one that is not kept, for which there is no room: this one,
// or one of the place where the fewest paths end; nil: there is room.
func (s *sample) hold(end detect.End, t record.Listed) (instead *record.Listed) {
	if s.places == nil {
		s.places = make(map[detect.End]*place)
	}
	p := s.places[end]
	if p == nil {
		p = &place{end: end}
		s.places[end] = p
	}
	p.targets++
	if len(p.held) >= MostAlike {
		return &t
	}
	t.Fold = nil // it takes as much as the trace
	p.held = append(p.held, t)
	if s.held++; s.held <= mostHeld {
		return nil
	}
	rarest := p
	for _, other := range s.places {
		rarer := other.targets < rarest.targets || other.targets == rarest.targets && before(other, rarest)
		if len(other.held) > 0 && rarer {
			rarest = other
		}
	}
	last := rarest.held[len(rarest.held)-1]
	rarest.held = rarest.held[:len(rarest.held)-1]
	s.held--
	return &last
}

// before is an order of places that doesn't depend on that of a map.
func before(a, b *place) bool { return a.end.Last.Compare(b.end.Last) < 0 }

// choose empties the sample into the targets that are to be explained, the places where most paths end first, and the
// others. of is how many targets were not reached.
func (s *sample) choose() (chosen, others []record.Listed, of int) {
	var places []*place
	for _, p := range s.places {
		places = append(places, p)
		of += p.targets
	}
	slices.SortFunc(places, func(a, b *place) int {
		if c := cmp.Or(b.targets-a.targets, a.end.Last.Compare(b.end.Last)); c != 0 {
			return c
		}
		if a.end.Refused {
			return -1
		}
		return 1
	})
	for _, p := range places {
		chosen = append(chosen, p.held...)
	}
	n := min(len(chosen), MostExplained)
	chosen, others = chosen[:n], chosen[n:]
	*s = sample{}
	return chosen, others, of
}

// mayExplain reports whether a target may be asked all that an explanation asks: its questions go to another port, too.
func (r *manyRun) mayExplain(t *record.Listed) bool {
	return r.Exclude == nil || !r.Exclude.Has(detect.OtherPort(t.Trace.Path))
}

// explainSample explains the targets that were chosen, unless the run was stopped, and hands over all that are held. It
// returns how many probes it sent.
func (r *manyRun) explainSample(ctx context.Context, may bool) (sent int) {
	chosen, others, of := r.sample.choose()
	for _, t := range others {
		r.handOver(t)
	}
	what := Explaining{Targets: len(chosen), Of: of}
	r.explaining(what)
	for i, t := range chosen {
		r.count(func(s *record.ManyStatus) { s.Held = len(chosen) - i })
		if may && ctx.Err() == nil {
			what.Target = &chosen[i]
			sent += r.explain(ctx, &t, what)
		}
		r.handOver(t)
		if end, ended := endOf(&t); ended && t.Explained != "" {
			r.ends.Explain(end, t.LastTTL, t.Trace.Findings)
		}
	}
	r.count(func(s *record.ManyStatus) { s.Held, s.Sent = 0, s.Sent+sent })
	return sent
}

func (r *manyRun) explaining(what Explaining) {
	if r.Explaining != nil && what.Targets > 0 {
		r.Explaining(what)
	}
}

// explain asks why a target was not reached. What its trace has shown stands: another one would be more SYNs at the
// target. It returns how many probes it sent.
func (r *manyRun) explain(ctx context.Context, t *record.Listed, what Explaining) (sent int) {
	o := r.explainable[t.Index]
	if o == nil {
		return 0
	}
	q := r.Request
	q.Host, q.Explain, q.Path = t.Host, true, t.Trace.Path
	q.Seen = nil
	q.Progress = func(p Progress) {
		what.Progress = p
		r.explaining(what)
	}
	paced := *r.t
	paced.pace = r.pace
	m := &Measurement{Request: q, t: &paced, Header: t.Trace.Header, budget: o.budget, before: o}
	if m.findRoute() != nil {
		return 0
	}
	m.own, m.linkMTU = ownAddress(m.route), m.route.MTU
	made, err := m.Trace(ctx)
	if made == nil {
		return 0
	}
	if made.Explanation != nil {
		sent = made.Explanation.Budget.Sent
	}
	if err != nil || ctx.Err() != nil {
		return sent
	}
	made.Header, made.Inferred = t.Trace.Header, t.Trace.Inferred
	made.Ending.Counts.Sent += sent
	t.Trace, t.Explained, t.Summary = made, t.State, made.Summary()
	return sent
}
