package export

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// MTR writes what mtr 0.95 prints with --json: the same keys in the same order, of the same types, numbers in the
// same form.
type MTR struct {
	w   io.Writer
	run *report.Run
	rec *record.Fold
}

// NewMTR writes the run's trace t, which it folds the results into, to w.
func NewMTR(w io.Writer, run *report.Run, t *trace.Trace) *MTR {
	return &MTR{w, run, record.NewFold(t)}
}

type mtrReport struct {
	Report struct {
		MTR  mtrRun   `json:"mtr"`
		Hubs []mtrHub `json:"hubs"`
	} `json:"report"`
}

type mtrRun struct {
	Src        string `json:"src"`
	Dst        string `json:"dst"`
	TOS        int    `json:"tos"`
	Tests      int    `json:"tests"`
	PSize      string `json:"psize"`
	BitPattern string `json:"bitpattern"`
}

type mtrHub struct {
	Count int    `json:"count"`
	Host  string `json:"host"`
	ASN   string `json:"ASN,omitempty"` // mtr has it with -z only
	Loss  real   `json:"Loss%"`
	Snt   int    `json:"Snt"`
	Last  real   `json:"Last"`
	Avg   real   `json:"Avg"`
	Best  real   `json:"Best"`
	Wrst  real   `json:"Wrst"`
	StDev real   `json:"StDev"`
}

// real is a number as mtr's library writes one, with five digits: always with a point or an exponent.
type real float64

func (r real) MarshalJSON() ([]byte, error) {
	s := strconv.FormatFloat(float64(r), 'g', 5, 64)
	mantissa, exponent, ok := strings.Cut(s, "e")
	if !ok {
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return []byte(s), nil
	}
	n, err := strconv.Atoi(exponent)
	return fmt.Appendf(nil, "%se%d", mantissa, n), err
}

const (
	mtrSilent = "???"
	mtrNoASN  = "AS???"
)

// Add takes a result in.
func (m *MTR) Add(r trace.Result) error {
	m.rec.Add(r)
	return nil
}

// Finish writes the report.
func (m *MTR) Finish() error {
	m.rec.Finish()
	p := m.run.Path.Effective()
	var doc mtrReport
	doc.Report.MTR = mtrRun{
		Src: record.UTF8(m.run.Hostname), Dst: record.UTF8(m.run.Host), TOS: p.TOS, Tests: p.Queries,
		PSize: strconv.Itoa(m.run.Length), BitPattern: "0x00",
	}
	doc.Report.Hubs = m.hubs()
	b, err := json.MarshalIndent(doc, "", "    ")
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	_, err = m.w.Write(append(record.ASCII(b), '\n'))
	return err
}

// hubs are the hops up to the target or the refusal. Where there is neither, a single silent one stands for all that
// follow the last that answered.
func (m *MTR) hubs() []mtrHub {
	hubs := []mtrHub{}
	end, last := m.rec.End(), 0
	for e := range m.rec.Entries() {
		if e.Beyond {
			break
		}
		h := m.hub(e)
		hubs = append(hubs, h)
		if h.Host != mtrSilent {
			last = len(hubs)
		}
	}
	if end == nil || end.Outcome != trace.Answered {
		hubs = hubs[:min(len(hubs), last+1)]
	}
	return hubs
}

func (m *MTR) hub(e record.Entry) mtrHub {
	h := mtrHub{Count: e.TTL, Host: mtrSilent}
	if m.run.Owner != nil {
		h.ASN = mtrNoASN
	}
	var times []float64 // whole microseconds, in milliseconds
	lost := 0
	for _, r := range e.Probes {
		switch r.Outcome {
		case trace.Lost:
			lost++
		case trace.Answered:
			times = append(times, float64(r.RTT()/time.Microsecond)/1000)
			from := r.Reply.From()
			if h.Host = record.UTF8(m.run.NameOf(from)); h.Host == "" {
				h.Host = from.WithZone("").String()
			}
			if o, ok := m.run.OwnerOf(from); ok && o.ASN != 0 {
				h.ASN = fmt.Sprintf("AS%d", o.ASN)
			}
		}
	}
	// What is unknown doesn't count: it was sent again, or the trace ended before it was answered.
	if h.Snt = len(times) + lost; h.Snt > 0 {
		h.Loss = real(100 * float64(lost) / float64(h.Snt))
	}
	h.Last, h.Avg, h.Best, h.Wrst, h.StDev = figures(times)
	return h
}

// figures are the last, the mean, the least, the greatest, and the standard deviation of a sample; all 0 without any.
func figures(times []float64) (last, avg, best, worst, stdev real) {
	if len(times) == 0 {
		return 0, 0, 0, 0, 0
	}
	n := float64(len(times))
	sum, low, high := 0.0, times[0], times[0]
	for _, t := range times {
		sum, low, high = sum+t, min(low, t), max(high, t)
	}
	mean, squares := sum/n, 0.0
	for _, t := range times {
		squares += (t - mean) * (t - mean)
	}
	return real(times[len(times)-1]), whole(mean), real(low), real(high), whole(math.Sqrt(squares / max(n-1, 1)))
}

// whole cuts milliseconds to whole microseconds, in which mtr counts.
func whole(ms float64) real { return real(math.Floor(ms*1000+1e-6) / 1000) }
