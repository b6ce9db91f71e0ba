package trace

import (
	"container/heap"
	"time"
)

// inFlight is a heap of probes by the time at which the wait for them ends; of those with one time the first that was
// sent comes first.
type inFlight []*flight

func (q *inFlight) add(f *flight) {
	f.due = f.sent.Add(f.wait)
	heap.Push(q, f)
}

// extend lets a probe wait until t, if it would not wait so long.
func (q *inFlight) extend(f *flight, t time.Time) {
	if f.until = t; f.due.Before(t) && f.outcome == Pending {
		f.due = t
		heap.Fix(q, f.place)
	}
}

func (q inFlight) Len() int { return len(q) }

func (q inFlight) Less(i, j int) bool {
	if a, b := q[i].due, q[j].due; !a.Equal(b) {
		return a.Before(b)
	}
	return q[i].n < q[j].n
}

func (q inFlight) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *inFlight) Push(x any) {
	f := x.(*flight)
	f.place = len(*q)
	*q = append(*q, f)
}

func (q *inFlight) Pop() any {
	old := *q
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return f
}
