package record

import (
	"math"
	"time"

	"go.example/tcptraceroute/trace"
)

// rounds are the figures of rounds. A document that has them has no probes.
type rounds struct {
	IntervalMS float64     `json:"interval_ms"`
	Count      int         `json:"count,omitempty"` // left out: without end
	Hops       []roundsHop `json:"hops"`
}

type roundsHop struct {
	TTL        int     `json:"ttl"`
	Sent       int     `json:"sent"` // answered and lost
	Answered   int     `json:"answered"`
	Lost       int     `json:"lost"`
	Failed     int     `json:"failed"`
	Unknown    int     `json:"unknown"`
	Late       int     `json:"late"`
	Duplicates int     `json:"duplicates"`
	Loss       float64 `json:"loss_percent"`

	Last      float64 `json:"rtt_last_ms"`
	Best      float64 `json:"rtt_best_ms"`
	Average   float64 `json:"rtt_avg_ms"`
	Worst     float64 `json:"rtt_worst_ms"`
	Deviation float64 `json:"rtt_stdev_ms"`
	Geometric float64 `json:"rtt_gmean_ms"`

	Jitter        float64 `json:"jitter_last_ms"`
	AverageJitter float64 `json:"jitter_avg_ms"`
	WorstJitter   float64 `json:"jitter_worst_ms"`
	SmoothJitter  float64 `json:"jitter_smooth_ms"`

	Responders []roundsResponder `json:"responders"`
	Others     int               `json:"other_answers,omitempty"`
	Changes    int               `json:"changes"`
}

type roundsResponder struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
	AS      *owner `json:"as,omitempty"`
	Answers int    `json:"answers"`
	First   string `json:"first_answer"`
	Last    string `json:"last_answer"`
}

// responders are those of all hops; of no rounds there are none.
func (j *rounds) responders() (all []roundsResponder) {
	if j == nil {
		return nil
	}
	for i := range j.Hops {
		all = append(all, j.Hops[i].Responders...)
	}
	return all
}

func roundsOf(t *Trace) *rounds {
	r := t.Rounds
	if r == nil {
		return nil
	}
	j := &rounds{IntervalMS: milliseconds(r.Interval), Count: r.Count, Hops: []roundsHop{}}
	for i := range r.Hops {
		h := &r.Hops[i]
		k := roundsHop{TTL: h.TTL, Sent: h.Sent(), Loss: 100 * h.Loss(), Responders: []roundsResponder{}}
		for _, f := range roundsCounts(h, &k) {
			*f.j = *f.count
		}
		for _, f := range roundsTimes(h, &k) {
			*f.ms = milliseconds(*f.time)
		}
		for _, x := range h.Responders {
			k.Responders = append(k.Responders, roundsResponder{x.Addr.String(), text(t.NameOf(x.Addr)), t.ownerOf(x.Addr),
				x.Count, instant(x.First), instant(x.Last)})
		}
		j.Hops = append(j.Hops, k)
	}
	return j
}

// timeField is a time, as it is in the record and in the JSON.
type timeField struct {
	time *time.Duration
	ms   *float64
}

func roundsTimes(h *RoundsHop, j *roundsHop) []timeField {
	return []timeField{{&h.Last, &j.Last}, {&h.Best, &j.Best}, {&h.Average, &j.Average}, {&h.Worst, &j.Worst},
		{&h.Deviation, &j.Deviation}, {&h.Geometric, &j.Geometric}, {&h.Jitter, &j.Jitter},
		{&h.AverageJitter, &j.AverageJitter}, {&h.WorstJitter, &j.WorstJitter}, {&h.SmoothJitter, &j.SmoothJitter}}
}

// countField is a number, as it is in the record and in the JSON.
type countField struct{ count, j *int }

func roundsCounts(h *RoundsHop, j *roundsHop) []countField {
	return []countField{{&h.Received, &j.Answered}, {&h.Lost, &j.Lost}, {&h.Failed, &j.Failed}, {&h.Unknown, &j.Unknown},
		{&h.Late, &j.Late}, {&h.Duplicates, &j.Duplicates}, {&h.Others, &j.Others}, {&h.Changes, &j.Changes}}
}

// roundsTotals counts what became of the probes of rounds.
func roundsTotals(r *Rounds, c *totals) {
	for i := range r.Hops {
		h := &r.Hops[i]
		c.Answered, c.Lost = c.Answered+h.Received, c.Lost+h.Lost
		c.Failed, c.Unknown = c.Failed+h.Failed, c.Unknown+h.Unknown
	}
	c.Probes = c.Answered + c.Lost + c.Failed + c.Unknown
}

// rounds reads them.
func (r *values) rounds(j *rounds, o *outcome) *Rounds {
	t := &Rounds{Interval: r.duration(j.IntervalMS), Count: r.within(j.Count, 0, math.MaxInt32),
		Outcome: Outcome{Reached: o.Reached, State: PathState(o.State), TTL: r.within(o.TTL, 0, 255), Mark: o.Mark,
			Addr: r.optional(o.Address)}}
	for i := range j.Hops {
		k := &j.Hops[i]
		h := RoundsHop{TTL: r.within(k.TTL, 1, 255)}
		for _, f := range roundsCounts(&h, k) {
			*f.count = r.within(*f.j, 0, math.MaxInt32)
		}
		for _, f := range roundsTimes(&h, k) {
			*f.time = r.duration(*f.ms)
		}
		for _, x := range k.Responders {
			h.Responders = append(h.Responders, trace.Responder{Addr: r.address(x.Address),
				Count: r.within(x.Answers, 0, math.MaxInt32), First: r.time(x.First), Last: r.time(x.Last)})
		}
		t.Hops = append(t.Hops, h)
	}
	return t
}
