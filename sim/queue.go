package sim

import "time"

// queue holds what is going to happen, in the order of its time, and at one
// instant in the order of the pushes: a binary heap.
type queue struct {
	events []event
	pushed uint64
}

type event struct {
	due    time.Duration
	serial uint64
	what   interface{ happen(*Model) }
}

func (e *event) before(f *event) bool {
	return e.due < f.due || e.due == f.due && e.serial < f.serial
}

func (q *queue) next() (due time.Duration, ok bool) {
	if len(q.events) == 0 {
		return 0, false
	}
	return q.events[0].due, true
}

func (q *queue) push(due time.Duration, what interface{ happen(*Model) }) {
	q.pushed++
	e := event{due, q.pushed, what}
	q.events = append(q.events, e)
	i := len(q.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&q.events[parent]) {
			break
		}
		q.events[i] = q.events[parent]
		i = parent
	}
	q.events[i] = e
}

func (q *queue) pop() (due time.Duration, what interface{ happen(*Model) }) {
	top := q.events[0]
	last := len(q.events) - 1
	e := q.events[last]
	q.events[last] = event{}
	q.events = q.events[:last]
	if last == 0 {
		return top.due, top.what
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.events[child+1].before(&q.events[child]) {
			child++
		}
		if !q.events[child].before(&e) {
			break
		}
		q.events[i] = q.events[child]
		i = child
	}
	q.events[i] = e
	return top.due, top.what
}
