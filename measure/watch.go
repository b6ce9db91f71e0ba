package measure

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

func (r *Rounds) interval() time.Duration { return cmp.Or(r.Interval, trace.DefaultInterval) }

// Watch probes every hop once per round, until the rounds are over or ctx ends. The record has their figures, and no
// result: who wants one gets it by Heard or Seen. There is a record in any case. The error is a *[trace.SendError] if
// nothing could be sent at all.
func (m *Measurement) Watch(ctx context.Context) (*record.Trace, error) {
	o := m.runOptions()
	o.Persist = m.Rounds.Persist
	m.Header.Started = time.Now()
	made := &record.Trace{Header: m.Header}
	stats := trace.NewStats(m.Header.Path)
	m.progress(Progress{Stage: Tracing, Trace: made})
	var failed error // the last
	counts, err := trace.Run(ctx, m.t.guarded(), m.plan, o, func(r trace.Result) {
		if r.Outcome == trace.Failed {
			failed = r.Err
		}
		stats.Add(r)
		m.heard(r)
		if m.Seen != nil {
			m.Seen(r)
		}
	})
	if errors.Is(err, ErrEnough) {
		err = nil
	}
	if err == nil && counts.NothingSent() {
		err = &trace.SendError{Probes: counts.Failed, Err: failed}
	}
	made.Rounds, made.Ending = m.Rounds.Of(stats), EndingOf(ctx, counts, stats.Reached(), err)
	return made, err
}

// Of returns the figures as a record has them.
func (r *Rounds) Of(stats *trace.Stats) *record.Rounds {
	made := record.RoundsOf(stats)
	made.Interval, made.Count = r.interval(), r.Count
	return made
}

// ErrEnough is the cause with which a context ends rounds that the user has seen enough of: that is no error of Watch.
var ErrEnough = errors.New("seen enough")

// Hold keeps the rounds of Watch, or those by all paths, from going on, or no longer. Any goroutine may call it.
func (m *Measurement) Hold(held bool) {
	if rounds, ok := m.plan.(*trace.Rounds); ok {
		rounds.Hold(held)
		return
	}
	m.watched.change(func(w *watched) { w.held = held })
}

// SetInterval changes the time of a round of Watch, or of the rounds by all paths. Any goroutine may call it.
func (m *Measurement) SetInterval(interval time.Duration) {
	if rounds, ok := m.plan.(*trace.Rounds); ok {
		rounds.SetInterval(interval)
		return
	}
	m.watched.change(func(w *watched) { w.interval = interval })
}

// guarded is the network, with a reader that recovers from a panic if that is wanted.
func (t *Tracer) guarded() trace.Conn {
	if raw, ok := t.conn.(*wire.Conn); ok && t.o.Guard != nil {
		return guarded{raw, t.o.Guard}
	}
	return t.conn
}

// guarded is a connection whose reader recovers from a panic.
type guarded struct {
	*wire.Conn
	guard func()
}

// Recv implements trace.Conn.
func (g guarded) Recv(ctx context.Context, buf []byte) (int, time.Time, error) {
	defer g.guard()
	return g.Conn.Recv(ctx, buf)
}
