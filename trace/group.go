package trace

import (
	"container/heap"
	"sync"
	"time"
)

// A Group is one plan made of many, each with flows of its own: many traces on one network, with one pair of sockets.
// They take turns, one action each. Members may come and go while the group runs.
type Group struct {
	// Over, if it is set, is called when a member has come to its end, with its number. It may add others.
	Over func(member int)

	mu      sync.Mutex // of what follows
	n       int        // members so far
	joining []*member
	leaving []int
	asking  []int

	members map[int]*member
	ready   []*member // those to be asked, in turn
	asleep  waiting[*member]
}

// memberNote is the note of a probe of the group: whose it is, and the note that this member attached.
type memberNote struct {
	member int
	note   any
}

type member struct {
	plan    Plan
	index   int
	ready   bool
	gone    bool
	pending int // probes in flight
	wake    time.Time
	place   int // among those that are asleep; -1: not there
}

// NewGroup returns a plan that carries out all these.
func NewGroup(plans ...Plan) *Group {
	g := &Group{members: make(map[int]*member)}
	for _, p := range plans {
		g.Add(p)
	}
	return g
}

// Add makes a plan a member, and returns its number: they are counted from 0. Any goroutine may call it at any time; if
// the group may be idle then, wake the run afterwards (Options.Wake).
func (g *Group) Add(p Plan) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := &member{plan: p, index: g.n, place: -1}
	g.n++
	g.joining = append(g.joining, m)
	return m.index
}

// Remove takes a member out. Its probes that are in flight still get their outcomes, which it no longer learns. Any
// goroutine may call it at any time.
func (g *Group) Remove(member int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaving = append(g.leaving, member)
}

// Ask has a member asked again before its time, because something has changed that it decides by. Any goroutine may
// call it at any time; wake the run afterwards (Options.Wake).
func (g *Group) Ask(member int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking = append(g.asking, member)
}

// Of returns which member, by its number, a result belongs to, and the result as this member sees it, with its own
// note. -1: it belongs to none. Results may come after the member's end.
func (g *Group) Of(r Result) (int, Result) {
	n, ok := r.Note.(memberNote)
	if !ok {
		return -1, r
	}
	r.Note = n.note
	return n.member, r
}

// comeAndGo does what was asked for by Add, Remove and Ask meanwhile.
func (g *Group) comeAndGo() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.joining {
		g.members[m.index] = m
		g.rouse(m)
	}
	for _, i := range g.leaving {
		if m := g.members[i]; m != nil {
			g.leave(m)
		}
	}
	for _, i := range g.asking {
		if m := g.members[i]; m != nil {
			g.rouse(m)
		}
	}
	clear(g.joining)
	g.joining, g.leaving, g.asking = g.joining[:0], g.leaving[:0], g.asking[:0]
}

func (g *Group) leave(m *member) {
	delete(g.members, m.index)
	m.gone = true
	if m.place >= 0 {
		heap.Remove(&g.asleep, m.place)
	}
}

func (g *Group) rouse(m *member) {
	if m.place >= 0 {
		heap.Remove(&g.asleep, m.place)
	}
	if !m.ready {
		m.ready = true
		g.ready = append(g.ready, m)
	}
}

// Next implements Plan.
func (g *Group) Next(now time.Time) Action {
	g.comeAndGo()
	for len(g.asleep) > 0 && !now.Before(g.asleep[0].wake) {
		g.rouse(g.asleep[0])
	}
	for len(g.ready) > 0 {
		m := g.ready[0]
		g.ready[0], g.ready = nil, g.ready[1:]
		m.ready = false
		if m.gone {
			continue
		}
		action := m.plan.Next(now)
		if action.Do != DoWait {
			if action.Do == DoSend {
				action.Note = memberNote{m.index, action.Note}
				m.pending++
			}
			g.rouse(m)
			return action
		}
		switch m.wake = action.Until; {
		case !m.wake.IsZero():
			heap.Push(&g.asleep, m)
		case m.pending == 0:
			g.leave(m)
			if g.Over != nil {
				g.Over(m.index)
			}
			g.comeAndGo()
		}
	}
	if len(g.asleep) == 0 {
		return Action{}
	}
	return WaitUntil(g.asleep[0].wake)
}

// Learn implements Plan.
func (g *Group) Learn(now time.Time, r Result) {
	i, own := g.Of(r)
	m := g.members[i]
	if m == nil {
		return
	}
	if r.Outcome.Final() {
		m.pending--
	}
	m.plan.Learn(now, own)
	g.rouse(m)
}
