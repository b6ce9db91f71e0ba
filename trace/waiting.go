package trace

import "container/heap"

// waiting is a heap of what waits for a time of its own. What is put in knows its place.
type waiting[T timed[T]] []T

type timed[T any] interface {
	before(T) bool // reports whether its time comes first
	setPlace(int)  // in the heap; -1: it is not there
}

func (w waiting[T]) Len() int           { return len(w) }
func (w waiting[T]) Less(i, j int) bool { return w[i].before(w[j]) }
func (w waiting[T]) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].setPlace(i)
	w[j].setPlace(j)
}

func (w *waiting[T]) Push(x any) {
	one := x.(T)
	one.setPlace(len(*w))
	*w = append(*w, one)
}

func (w *waiting[T]) Pop() any {
	last := len(*w) - 1
	one := (*w)[last]
	(*w)[last] = *new(T)
	one.setPlace(-1)
	*w = (*w)[:last]
	return one
}

// await puts a probe in, until the wait for it ends.
func (e *engine) await(f *flight) {
	f.due = f.sent.Add(f.wait)
	heap.Push(&e.inFlight, f)
}

// extend lets a probe wait until its until, if it would not wait so long.
func (e *engine) extend(f *flight) {
	if f.due.Before(f.until) && f.outcome == Pending {
		f.due = f.until
		heap.Fix(&e.inFlight, f.place)
	}
}

// before orders probes by the time at which the wait for them ends; of those with one time the first that was sent
// comes first.
func (f *flight) before(g *flight) bool {
	if !f.due.Equal(g.due) {
		return f.due.Before(g.due)
	}
	return f.n < g.n
}

func (f *flight) setPlace(place int) { f.place = place }

// before orders plans by the time at which they want to be asked again.
func (m *member) before(n *member) bool { return m.wake.Before(n.wake) }

func (m *member) setPlace(place int) { m.place = place }
