package trace

import (
	"container/heap"
	"time"

	"go.example/tcptraceroute/packet"
)

// Together is one plan made of many, each with flows of its own: many traces on one network, with one pair of sockets.
// They take turns, one move each.
type Together struct {
	plans  []*member
	owners map[flowID]*member
	ready  []*member // those to be asked, in turn
	asleep sleepers
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
	t := &Together{owners: make(map[flowID]*member)}
	for i, p := range plans {
		m := &member{plan: p, index: i, place: -1}
		t.plans = append(t.plans, m)
		t.rouse(m)
	}
	return t
}

// Of tells which plan (counted from 0) a result belongs to; -1: none of these.
func (t *Together) Of(r Result) int {
	if m := t.owner(r.Probe.Key()); m != nil {
		return m.index
	}
	return -1
}

func (t *Together) owner(k packet.Key) *member { return t.owners[flowID{k.Port, k.Seq}] }

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
func (t *Together) Next(now time.Time) Move {
	for len(t.asleep) > 0 && !now.Before(t.asleep[0].wake) {
		t.rouse(t.asleep[0])
	}
	for len(t.ready) > 0 {
		m := t.ready[0]
		t.ready = t.ready[1:]
		m.ready = false
		mv := m.plan.Next(now)
		if mv.do != doWait {
			if mv.do == doSend {
				k := mv.probe.Key()
				t.owners[flowID{k.Port, k.Seq}] = m
			}
			t.rouse(m)
			return mv
		}
		if m.wake = mv.until; !m.wake.IsZero() {
			heap.Push(&t.asleep, m)
		}
	}
	if len(t.asleep) == 0 {
		return Move{}
	}
	return WaitUntil(t.asleep[0].wake)
}

// Learn implements Plan.
func (t *Together) Learn(now time.Time, r Result) {
	if m := t.owner(r.Probe.Key()); m != nil {
		m.plan.Learn(now, r)
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
