package measure

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"go.example/tcptraceroute/trace"
)

// watchedAtLeast is how long all paths are watched at the least before they are searched again: where flows are
// distributed anew all the time there would be nothing but searches.
const watchedAtLeast = time.Minute

// watched are the rounds by all paths, with what the user wants of them: he may say so before they begin.
type watched struct {
	mu       sync.Mutex // of what follows
	plan     *trace.PathsRounds
	held     bool
	interval time.Duration // 0: as was asked for
	moved    []time.Time   // when all paths had to be searched for again
}

// change changes what is wanted, and tells it to the plan.
func (w *watched) change(change func(*watched)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
	if w.plan == nil {
		return
	}
	w.plan.Hold(w.held)
	if w.interval > 0 {
		w.plan.SetInterval(w.interval)
	}
}

// ResetPaths forgets the figures of all paths. Any goroutine may call it.
func (m *Measurement) ResetPaths() {
	m.watched.change(func(w *watched) {
		if w.plan != nil {
			w.plan.Reset()
		}
	})
}

// Remapped says when flows were found to take other paths than before, so that all were searched for again. It is for
// the goroutine that called Trace.
func (m *Measurement) Remapped() []time.Time { return m.watched.moved }

// watchPaths goes rounds by all paths, until they are over or ctx ends. When a flow takes another way than was found,
// all is searched again.
func (m *Measurement) watchPaths(ctx context.Context, o trace.PathsOptions, found *trace.Paths) (*trace.Graph, error) {
	w := trace.PathsRoundsOptions{Interval: m.Rounds.interval(), Count: m.Rounds.Count, Once: m.Rounds.Once}
	for {
		plan, err := trace.NewPathsRounds(found, w)
		if err != nil {
			graph := found.Graph()
			if errors.Is(err, trace.ErrNoWay) { // the graph says why
				err = nil
			}
			return &graph, err
		}
		m.watched.change(func(w *watched) { w.plan = plan })
		now := Progress{Stage: WatchingPaths, Watched: plan}
		if n := len(m.watched.moved); n > 0 {
			now.Moved = m.watched.moved[n-1]
		}
		m.progress(now)
		ro := m.runOptions()
		ro.Persist = m.Rounds.Persist
		_, err = trace.Run(ctx, m.t.guarded(), plan, ro, func(r trace.Result) {
			m.heard(r)
			if m.Round != nil {
				m.Round(r)
			}
		})
		graph := plan.Graph()
		if err = cmp.Or(err, context.Cause(ctx)); err != nil || !plan.Moved() {
			return &graph, err
		}
		if w.Count > 0 {
			if w.Count -= plan.Rounds(); w.Count <= 0 {
				return &graph, nil
			}
		}
		m.watched.moved = append(m.watched.moved, time.Now())
		m.progress(Progress{Stage: PathsMoved})
		if found, err = m.searchAgain(ctx, o); err != nil {
			return &graph, err
		}
		w.Steady = watchedAtLeast
	}
}

// searchAgain traces the path and finds all paths anew, by the same flows.
func (m *Measurement) searchAgain(ctx context.Context, o trace.PathsOptions) (*trace.Paths, error) {
	ordinary, err := planOver(m.t.conn, m.ordinary())
	if err != nil {
		return nil, err
	}
	o.Known = nil
	_, err = m.run(ctx, m.t.conn, ordinary, func(r trace.Result) {
		m.heard(r)
		o.Known = append(o.Known, r)
	})
	if err = cmp.Or(err, context.Cause(ctx)); err != nil {
		return nil, err
	}
	found, _, err := m.findPaths(ctx, o)
	return found, cmp.Or(err, context.Cause(ctx))
}
