package trace

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.example/tcptraceroute/packet"
)

// PathsRounds is the plan that watches the ways that Paths has found, round by round. In each round a SYN goes each way
// to the target, and a probe to each router that the ways pass, by a flow that is known to pass it. Within an interval
// the probes are spread evenly.
//
// The flows of a way take turns, for one flow keeps to one way back, too, and in another order each time, so that
// nothing in the network keeps step with them. Each flow is asked as often, so that the
// losses of flows can be compared (see Suspect): a way with fewer flows than others have on average is left out in some
// rounds.
//
// Our reset of what the target has opened may be lost, as any packet. Then the target repeats its answer, and doesn't
// answer the next SYN of that flow. That is no loss of the way.
//
// A flow that turns up at another router than it was known to pass is asked once more. If it does so again, flows were
// distributed anew, or the search has missed a way, and the plan ends: the ways are to be searched again.
type PathsRounds struct {
	paths *Paths
	o     PathsRoundsOptions
	graph Graph

	flows   map[uint16]*pathFlow // by port, as the next ones
	ways    map[uint16]int       // of the flows, indices in Graph.Ways
	routers []*pathTurn
	laps    []lap // of the goals: each flow once
	at      int   // in laps

	turns  []*pathTurn     // that are left in this round
	flying []*roundAsk     // in order of sending
	open   map[uint16]bool // flows whose connection the target seems to have open: a reset of ours was lost
	held   atomic.Bool
	forget atomic.Bool
	every  atomic.Int64 // the time of a round, in nanoseconds

	round   int
	sent    int
	started time.Time
	begun   time.Time // the round
	soon    time.Time
	moved   bool
}

// PathsRoundsOptions say how the ways are watched.
type PathsRoundsOptions struct {
	Interval time.Duration // of a round; default DefaultInterval
	Count    int           // of rounds; 0: it goes on until it is stopped
	Steady   time.Duration // how long it goes on at least though a flow takes another way
	Once     bool          // the figures are judged once, in the end; else again and again
}

// The constants of rounds by all ways.
const (
	// keptRounds is how many of the latest rounds the figures are of. Of two ways, one of which loses 10 % of its packets,
	// it is named with those of about 130 rounds.
	keptRounds = 180

	// roundsLooks is how often the figures are looked at, as far as the looks are about different rounds: in a day of
	// rounds of a second less than one section in 200 is taken for one with a bad part by mistake.
	roundsLooks = 1000

	// leastRoundWait is how long a probe waits at the least: that an answer is late is no loss.
	leastRoundWait = time.Second
)

// pathTurn is what is asked in each round: a router, or the goal of a way.
type pathTurn struct {
	node int // index in Graph.Nodes; -1: a router that doesn't answer
	ttl  int
	goal bool // it is the target, or what refuses the way
	dead bool // the way was not seen to get to its goal

	ports   []uint16 // of a router: the flows that take turns
	at      int      // in ports
	samples ring[*roundSample]
	doubt   uint16 // the flow that was at another router than it should be; 0: none
}

// lap is the turn of one flow at the goal of its way.
type lap struct {
	turn *pathTurn
	port uint16
}

// roundSample is what came of one probe.
type roundSample struct {
	port        uint16
	round       int
	lost, moved bool
	rtt         time.Duration // if neither
}

// roundAsk is the note of a probe.
type roundAsk struct {
	turn   *pathTurn
	port   uint16
	round  int
	sample *roundSample

	key    packet.Key
	sent   time.Time
	unsure bool // the target may not answer, for it has not got our last reset
}

// ErrNoWay is the error of NewPathsRounds where the search has found no way as a whole.
var ErrNoWay = errors.New("trace: no way is known as a whole")

// NewPathsRounds watches what a search has found.
func NewPathsRounds(p *Paths, o PathsRoundsOptions) (*PathsRounds, error) {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Interval < LeastInterval || o.Count < 0 || o.Steady < 0 {
		return nil, errors.New("trace: rounds need an interval and a number")
	}
	r := &PathsRounds{paths: p, o: o, graph: p.Graph(), flows: map[uint16]*pathFlow{}, ways: map[uint16]int{},
		open: map[uint16]bool{}}
	if len(r.graph.Ways) == 0 {
		return nil, ErrNoWay
	}
	r.every.Store(int64(o.Interval))
	for _, f := range p.flows {
		r.flows[f.port] = f
	}
	r.begin()
	return r, nil
}

// begin prepares the turns.
func (r *PathsRounds) begin() {
	g, flows := &r.graph, 0
	for _, w := range g.Ways {
		flows += len(w.Ports)
	}
	use := min(lossFlows, (flows+len(g.Ways)-1)/len(g.Ways))
	goals := make([]*pathTurn, len(g.Ways))
	for i, w := range g.Ways {
		goals[i] = r.goal(w)
		for _, port := range w.Ports {
			r.ways[port] = i
		}
	}
	for k := range use { // so that each flow of a router comes from another way than the one before
		for i, w := range g.Ways {
			if k >= len(w.Ports) {
				continue
			}
			if goals[i] != nil {
				r.laps = append(r.laps, lap{goals[i], w.Ports[k]})
			}
			for depth, node := range w.Nodes {
				if goals[i] == nil || node != goals[i].node && (node >= 0 || r.paths.first+depth < goals[i].ttl) {
					t := r.router(node, r.paths.first+depth)
					t.ports = append(t.ports, w.Ports[k])
				}
			}
		}
	}
}

// goal is what the flows of a way are sent to; nil: nothing, for they go round in a loop, or the target answers nobody.
func (r *PathsRounds) goal(w Way) *pathTurn {
	g := &r.graph
	targets := slices.DeleteFunc(g.Targets(), func(n int) bool { return len(w.Nodes) >= g.Nodes[n].TTL-r.paths.first+2 })
	last := w.Nodes[len(w.Nodes)-1]
	switch {
	case g.Refuses(w) != nil || last >= 0 && g.Nodes[last].Target:
		return &pathTurn{node: last, ttl: g.Nodes[last].TTL, goal: true}
	case len(g.Circle(w)) > 0 || len(g.Targets()) == 0:
		return nil
	case g.arrives(w) && len(targets) > 0:
		return &pathTurn{node: targets[0], ttl: g.Nodes[targets[0]].TTL, goal: true}
	}
	targets = g.Targets()
	farthest := targets[len(targets)-1]
	return &pathTurn{node: farthest, ttl: g.Nodes[farthest].TTL, goal: true, dead: true}
}

// router finds or adds the turn of a router.
func (r *PathsRounds) router(node, ttl int) *pathTurn {
	for _, t := range r.routers {
		if t.node == node && t.ttl == ttl {
			return t
		}
	}
	t := &pathTurn{node: node, ttl: ttl}
	r.routers = append(r.routers, t)
	return t
}

// TargetSYNs is how many SYNs go to the target in a round at the most: one by each way, and no more than a search may
// send in all.
func (r *PathsRounds) TargetSYNs() int {
	n := 0
	for _, w := range r.graph.Ways {
		if r.goal(w) != nil {
			n++
		}
	}
	return min(n, r.paths.o.TargetSYNs)
}

// Probes is how many probes a round has, those to the target included.
func (r *PathsRounds) Probes() int { return len(r.routers) + r.TargetSYNs() }

// Hold keeps the plan from sending, or no longer. It may be called by any goroutine, and is noticed within 50 ms.
func (r *PathsRounds) Hold(held bool) { r.held.Store(held) }

// SetInterval changes the time of a round, to LeastInterval at the least. It may be called by any goroutine.
func (r *PathsRounds) SetInterval(interval time.Duration) {
	r.every.Store(int64(max(interval, LeastInterval)))
}

// Moved reports whether a flow takes another way than was found.
func (r *PathsRounds) Moved() bool { return r.moved }

// Reset forgets the figures, before the next probe is sent. It may be called by any goroutine.
func (r *PathsRounds) Reset() { r.forget.Store(true) }

// Ways are those that are watched.
func (r *PathsRounds) Ways() []Way { return r.graph.Ways }

// Rounds is how many rounds have begun.
func (r *PathsRounds) Rounds() int { return r.round }

// all are the turns of routers and of goals.
func (r *PathsRounds) all() map[*pathTurn]bool {
	all := map[*pathTurn]bool{}
	for _, t := range r.routers {
		all[t] = true
	}
	for _, l := range r.laps {
		all[l.turn] = true
	}
	return all
}

// Next implements Plan.
func (r *PathsRounds) Next(now time.Time) Action {
	if r.started.IsZero() {
		r.started, r.begun = now, now
		r.newRound()
	}
	if r.forget.Swap(false) {
		for t := range r.all() {
			t.samples = ring[*roundSample]{}
		}
	}
	if len(r.flying) > 0 {
		switch a := r.flying[0]; {
		case now.Before(r.end(a)):
		case a.unsure:
			return Withdraw(a.key)
		default:
			return GiveUp(a.key)
		}
	}
	switch {
	case r.moved && now.Sub(r.started) >= r.o.Steady:
		return r.rest(time.Time{})
	case r.held.Load():
		return r.rest(now.Add(heldPause))
	case now.Before(r.soon):
		return r.rest(r.soon)
	}
	for {
		for len(r.turns) > 0 {
			t := r.turns[0]
			r.turns = r.turns[1:]
			if port, ok := r.flow(now, t); ok {
				return r.send(now, t, port)
			}
		}
		if r.o.Count > 0 && r.round >= r.o.Count {
			return r.rest(time.Time{})
		}
		if at := r.begun.Add(time.Duration(r.every.Load())); now.Before(at) {
			return r.rest(at)
		}
		r.begun = now
		r.newRound()
	}
}

// end is when a probe has waited long enough.
func (r *PathsRounds) end(a *roundAsk) time.Time {
	return a.sent.Add(min(r.paths.maker.o.Wait, max(r.paths.timeout(), leastRoundWait)))
}

// rest waits until then, or until the next probe has waited long enough.
func (r *PathsRounds) rest(until time.Time) Action {
	if len(r.flying) > 0 {
		until = sooner(until, r.end(r.flying[0]))
	}
	return WaitUntil(until)
}

// newRound mixes the turns of a round. Where there are more ways than the target may get SYNs, they take turns, too.
func (r *PathsRounds) newRound() {
	r.round++
	r.turns = append(r.turns[:0], r.routers...)
	for most := len(r.turns) + r.paths.o.TargetSYNs; len(r.turns) < most && len(r.laps) > 0; r.at++ {
		l := r.laps[r.at%len(r.laps)]
		if slices.Contains(r.turns, l.turn) {
			break
		}
		l.turn.ports = []uint16{l.port}
		r.turns = append(r.turns, l.turn)
	}
	r.paths.rng.Shuffle(len(r.turns), func(i, j int) { r.turns[i], r.turns[j] = r.turns[j], r.turns[i] })
}

// flow is the flow whose turn it is; false: it has a probe in flight, or the target has just answered it.
func (r *PathsRounds) flow(now time.Time, t *pathTurn) (port uint16, ok bool) {
	port = t.doubt
	if port == 0 {
		if t.at %= len(t.ports); t.at == 0 {
			r.paths.rng.Shuffle(len(t.ports), func(i, j int) { t.ports[i], t.ports[j] = t.ports[j], t.ports[i] })
		}
		port = t.ports[t.at]
		t.at++
	}
	busy := slices.ContainsFunc(r.flying, func(a *roundAsk) bool { return a.port == port })
	return port, !busy && !now.Before(r.flows[port].ready)
}

func (r *PathsRounds) send(now time.Time, t *pathTurn, port uint16) Action {
	p := r.paths
	f := r.flows[port]
	probe := p.maker.ProbeBy(port, t.ttl)
	probe.FlowLabel = f.label
	a := &roundAsk{turn: t, port: port, round: r.round, key: probe.Key(), sent: now, unsure: t.goal && r.open[port]}
	r.flying = append(r.flying, a)
	if r.sent++; t.goal {
		p.syns++
	}
	gap := time.Duration(r.every.Load()) / time.Duration(r.Probes()+1) // a slot is left free
	r.soon = now.Add(max(p.maker.o.Spacing, gap))
	action := Send(probe)
	action.Note = a
	switch {
	case p.alone:
		action.Trust = TrustAlone
	case !t.goal && !p.near(f, t.ttl):
		action.Trust = TrustAside
	}
	return action
}

// Learn implements Plan.
func (r *PathsRounds) Learn(now time.Time, res Result) {
	a, ok := res.Note.(*roundAsk)
	if !ok {
		return
	}
	if i := slices.Index(r.flying, a); i >= 0 && res.Outcome.Final() {
		r.flying = slices.Delete(r.flying, i, i+1)
	}
	switch res.Outcome {
	case Answered:
		if res.FromTarget() {
			r.flows[a.port].ready = now.Add(resetTime + res.RTT()/resetShare)
			delete(r.open, a.port)
		}
		r.keep(a)
		r.answered(a, res)
	case Lost:
		r.keep(a)
		a.sample.lost = true
	case Late:
		if a.sample != nil && a.sample.lost {
			a.sample.lost = false
			r.answered(a, res)
		}
	case Duplicate:
		if !res.FromTarget() {
			return
		}
		r.open[a.port] = true
		for _, other := range r.flying {
			other.unsure = other.unsure || other.turn.goal && other.port == a.port
		}
	}
}

// keep begins a sample. One that may be lost for another reason than others counts in no case.
func (r *PathsRounds) keep(a *roundAsk) {
	if a.sample = (&roundSample{port: a.port, round: a.round}); !a.unsure {
		a.turn.samples.push(r.kept(), a.sample)
	}
}

// kept is how many rounds the figures are of.
func (r *PathsRounds) kept() int { return max(keptRounds, min(r.o.Count, 10*keptRounds)) }

// answered takes in an answer: by who should have given it, or not.
func (r *PathsRounds) answered(a *roundAsk, res Result) {
	t := a.turn
	if r.expected(t, res) {
		a.sample.rtt = res.RTT()
		r.paths.slowest = max(r.paths.slowest, res.RTT())
		if t.doubt == a.port {
			t.doubt = 0
		}
		return
	}
	a.sample.moved, a.sample.lost = true, res.Refused()
	r.moved = r.moved || t.doubt == a.port
	t.doubt = a.port
}

// expected reports whether an answer comes from where the flow was known to be.
func (r *PathsRounds) expected(t *pathTurn, res Result) bool {
	if t.node < 0 {
		return !res.FromTarget()
	}
	n := &r.graph.Nodes[t.node]
	switch {
	case t.dead:
		return false
	case n.Target:
		return res.FromTarget()
	case n.Refusal != nil:
		return res.From() == n.Addr && (res.Refused() || res.FromTarget())
	}
	return res.From() == n.Addr && !res.FromTarget() && !res.Refused()
}

// Of returns the ways, as indices in Graph.Ways, that a result tells of: to a goal that of its flow, and to a router
// all that are the same up to there.
func (r *PathsRounds) Of(res Result) (ways []int) {
	a, ok := res.Note.(*roundAsk)
	if !ok {
		return nil
	}
	own := r.ways[a.port]
	if a.turn.goal {
		return []int{own}
	}
	depth := a.turn.ttl - r.paths.first + 1
	begin := r.graph.Ways[own].Nodes[:depth]
	for i, w := range r.graph.Ways {
		if len(w.Nodes) >= depth && slices.Equal(w.Nodes[:depth], begin) {
			ways = append(ways, i)
		}
	}
	return ways
}

// Graph is what was found, with what the latest rounds have shown. It is for the goroutine that called Run.
func (r *PathsRounds) Graph() Graph {
	g := r.graph
	g.Probes += r.sent
	g.TargetSYNs = r.paths.syns
	g.Loss = &Loss{Probes: min(r.round, r.kept()), Complete: true, Target: len(g.Targets()) > 0}
	if g.Loss.Looks = roundsLooks; r.o.Once {
		g.Loss.Looks = 1
	}
	for t := range r.all() {
		if t.node >= 0 {
			g.Loss.Flows = append(g.Loss.Flows, r.figures(t)...)
		}
	}
	slices.SortFunc(g.Loss.Flows, FlowLoss.compare)
	return g
}

// figures are what the latest rounds have shown of a turn, by flow.
func (r *PathsRounds) figures(t *pathTurn) (all []FlowLoss) {
	for _, s := range t.samples.all() {
		if s.round <= r.round-r.kept() {
			continue
		}
		i := slices.IndexFunc(all, func(f FlowLoss) bool { return f.Port == s.port })
		if i < 0 {
			i = len(all)
			all = append(all, FlowLoss{Node: t.node, Port: s.port})
		}
		f := &all[i]
		f.Sent++
		if s.lost {
			f.Lost++
		}
		if s.moved {
			f.Moved++
		}
		if !s.lost && !s.moved {
			f.RTTs = append(f.RTTs, s.rtt)
		}
	}
	return all
}
