package trace

import (
	"container/heap"
	"time"
)

// Together is one plan made of many, each with flows of its own: many traces on one network, with one pair of sockets.
// They take turns, one action each.
type Together struct {
	members []*member
	ready   []*member // those to be asked, in turn
	asleep  sleepers
}

// memberNote is the note of a probe of the group: whose it is, and the note that this member attached.
type memberNote struct {
	member int
	note   any
}

type member struct {
	plan  Plan
	index int
	ready bool
	wake  time.Time
	place int // in the heap of sleepers; -1: not there
}

// NewTogether is a plan that carries out all these.
func NewTogether(plans ...Plan) *Together {
	t := new(Together)
	for i, p := range plans {
		m := &member{plan: p, index: i, place: -1}
		t.members = append(t.members, m)
		t.rouse(m)
	}
	return t
}

// Of returns which plan, counted from 0, a result belongs to, and the result as this plan sees it, with the plan's own
// note. -1: it belongs to none of them.
func (t *Together) Of(r Result) (int, Result) {
	n, ok := r.Note.(memberNote)
	if !ok {
		return -1, r
	}
	r.Note = n.note
	return n.member, r
}

func (t *Together) rouse(m *member) {
	if m.place >= 0 {
		heap.Remove(&t.asleep, m.place)
	}
	if !m.ready {
		m.ready = true
		t.ready = append(t.ready, m)
	}
}

// Next implements Plan.
func (t *Together) Next(now time.Time) Action {
	for len(t.asleep) > 0 && !now.Before(t.asleep[0].wake) {
		t.rouse(t.asleep[0])
	}
	for len(t.ready) > 0 {
		m := t.ready[0]
		t.ready = t.ready[1:]
		m.ready = false
		action := m.plan.Next(now)
		if action.Do != DoWait {
			if action.Do == DoSend {
				action.Note = memberNote{m.index, action.Note}
			}
			t.rouse(m)
			return action
		}
		if m.wake = action.Until; !m.wake.IsZero() {
			heap.Push(&t.asleep, m)
		}
	}
	if len(t.asleep) == 0 {
		return Action{}
	}
	return WaitUntil(t.asleep[0].wake)
}

// Learn implements Plan.
func (t *Together) Learn(now time.Time, r Result) {
	if i, own := t.Of(r); i >= 0 {
		m := t.members[i]
		m.plan.Learn(now, own)
		t.rouse(m)
	}
}

// sleepers is a heap of plans by the time at which they want to be asked again.
type sleepers []*member

func (s sleepers) Len() int           { return len(s) }
func (s sleepers) Less(i, j int) bool { return s[i].wake.Before(s[j].wake) }
func (s sleepers) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

func (s *sleepers) Push(x any) {
	m := x.(*member)
	m.place = len(*s)
	*s = append(*s, m)
}

func (s *sleepers) Pop() any {
	old := *s
	m := old[len(old)-1]
	m.place = -1
	*s = old[:len(old)-1]
	return m
}
