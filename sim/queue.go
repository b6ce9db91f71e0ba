package sim

import "time"

// queue holds what is going to happen, in the order of its time, and at one
// instant in the order of the pushes. What comes out of the model then is kept
// apart, so that a front end can ask when it has to be there.
type queue struct {
	inside, out heap
	pushed      uint64
}

// heap is a binary heap.
type heap []event

type event struct {
	due    time.Duration
	serial uint64
	what   interface{ happen(*Model) }
}

func (e *event) before(f *event) bool {
	return e.due < f.due || e.due == f.due && e.serial < f.serial
}

// push adds something that happens inside the model.
func (q *queue) push(due time.Duration, what interface{ happen(*Model) }) {
	q.pushed++
	q.inside.push(event{due, q.pushed, what})
}

// pushOut adds something that comes out of the model.
func (q *queue) pushOut(due time.Duration, what interface{ happen(*Model) }) {
	q.pushed++
	q.out.push(event{due, q.pushed, what})
}

// first is the heap whose top comes next; it is empty where both are.
func (q *queue) first() *heap {
	if len(q.inside) == 0 || len(q.out) > 0 && q.out[0].before(&q.inside[0]) {
		return &q.out
	}
	return &q.inside
}

func (q *queue) next() (due time.Duration, ok bool) { return q.first().next() }

func (q *queue) pop() (due time.Duration, what interface{ happen(*Model) }) {
	e := q.first().pop()
	return e.due, e.what
}

func (h heap) next() (due time.Duration, ok bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].due, true
}

func (h *heap) push(e event) {
	events := append(*h, e)
	*h = events
	i := len(events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&events[parent]) {
			break
		}
		events[i] = events[parent]
		i = parent
	}
	events[i] = e
}

func (h *heap) pop() event {
	events := *h
	top := events[0]
	last := len(events) - 1
	e := events[last]
	events[last] = event{}
	events = events[:last]
	*h = events
	if last == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && events[child+1].before(&events[child]) {
			child++
		}
		if !events[child].before(&e) {
			break
		}
		events[i] = events[child]
		i = child
	}
	events[i] = e
	return top
}
