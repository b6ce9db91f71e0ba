package trace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// PathsLoss is the plan that measures loss and time of the ways that Paths has found. Where ways differ, flows of each
// branch are sent in turn to the first router beyond that all ways pass: what is lost on the way there, and not by all
// branches alike, a branch has lost. The target isn't asked, for it is to get few SYNs.
//
// A router that answers only so often hits all branches alike. It is asked more slowly, and from the beginning.
type PathsLoss struct {
	paths *Paths
	o     PathsLossOptions
	graph Graph

	flows    map[uint16]*pathFlow
	busy     map[uint16]bool // flows with a probe in flight
	samples  map[sampleName]*FlowLoss
	sections []*sectionLoss
	routers  []*lossRouter
	flying   []*lossAsk

	sent    int
	started time.Time
	soon    time.Time
	capped  bool // there are so many branches that they get fewer probes than were asked for
}

// PathsLossOptions say how much is measured.
type PathsLossOptions struct {
	Probes int           // per branch, at the least; default DefaultLossProbes
	Time   time.Duration // how long it may take; default DefaultPathsTime
}

// The constants of the measurement.
const (
	// DefaultLossProbes is how many probes each branch gets at the least: one that loses 10 % of its packets then shows
	// some loss with 99 %.
	DefaultLossProbes = 44

	// LossFlows is how many flows there should be through a balancer (PathsOptions.BranchFlows): of two branches, one of
	// which loses 10 % of its packets, it is then named in more than 95 of 100 cases.
	LossFlows = 48

	// lossFlows is how many flows of a branch are used at the most. One flow isn't enough, for it keeps to one way back,
	// too: the loss might be there.
	lossFlows = 24

	// fewFlows is how many flows of a branch are so few that other branches don't use less because of them.
	fewFlows = 4

	// checkFlows is how many flows of a branch are asked in the end whether they still go that way.
	checkFlows = 2

	// lossMost is how many probes all branches of a section get before the first look, at the most.
	lossMost = 4096

	// recentLosses is how many of the latest probes of a branch are looked at to see whether a router limits its answers,
	// and limitLosses how many of them are then lost: in each branch that has been answered.
	recentLosses = 4
	limitLosses  = 2

	// aloneRecent and aloneLosses are the same for a router that one branch alone is sent to: fewer losses than these may
	// be the branch's own. There the latest are those sent last up to the one that was lost: it is known later of a probe
	// that it is lost than that it is answered. keptOutcomes is how many are kept for that.
	aloneRecent  = 8
	aloneLosses  = 7
	keptOutcomes = 64

	// placingLevel is the place in paces of the pause with which the last router of a suspect is asked again, if no other
	// router shows the loss: none that answers most probes in quick succession limits itself to less.
	placingLevel = 2

	// clearly is the chance of the figures of such a suspect below which it is asked again: so that it is then still one.
	clearly = falseAlarm / 1000
)

// paces is how much time is left between two probes to the same router. Linux routers answer every 100 ms (IPv6), or
// once a second.
var paces = [...]time.Duration{4 * time.Millisecond, 20 * time.Millisecond, briefRest, longRest}

type sampleName struct {
	router netip.Addr
	port   uint16
}

// sectionLoss is the measurement of a section.
type sectionLoss struct {
	Section
	routers []*lossRouter // that are being asked; several if the branches have no router in common beyond
	looks   int           // at the figures
	placing bool          // its suspects are being asked themselves
	done    bool
}

// lossRouter is a router that is being asked.
type lossRouter struct {
	addr    netip.Addr
	targets []lossTarget
	each    int // probes of each flow in all
	queue   []int
	flying  int
	epoch   int
	level   int  // of paces
	honest  bool // it loses as much however slowly it is asked
	next    time.Time
	recent  map[int][]outcome // the latest by branch
}

// outcome is what became of a probe.
type outcome struct {
	sent     time.Time
	answered bool
}

// lossTarget is a flow at a router.
type lossTarget struct {
	node, branch int
	port         uint16
	seen         bool // the router has answered this flow, when its way was found
}

type lossAsk struct {
	key    packet.Key
	router *lossRouter
	target int
	epoch  int
	sent   time.Time
}

// NewPathsLoss measures what a search has found.
func NewPathsLoss(p *Paths, o PathsLossOptions) (*PathsLoss, error) {
	if o.Probes == 0 {
		o.Probes = DefaultLossProbes
	}
	if o.Time == 0 {
		o.Time = DefaultPathsTime
	}
	if o.Probes < 1 || o.Time < 0 {
		return nil, fmt.Errorf("trace: %w", errors.New("a branch needs one probe at least, and time must not be negative"))
	}
	l := &PathsLoss{paths: p, o: o, graph: p.Graph(), flows: map[uint16]*pathFlow{}, busy: map[uint16]bool{},
		samples: map[sampleName]*FlowLoss{}}
	for _, f := range p.flows {
		l.flows[f.port] = f
	}
	for _, s := range l.graph.Sections() {
		m := &sectionLoss{Section: s}
		l.sections = append(l.sections, m)
		l.ask(m)
	}
	return l, nil
}

// Probes is how many probes the measurement takes: at least, and at the most.
func (l *PathsLoss) Probes() (least, most int) {
	for _, s := range l.sections {
		n, placing := 0, 0
		for _, r := range s.routers {
			n += r.each * len(r.targets)
			for _, t := range r.targets {
				placing += r.each * len(s.Branches[t.branch].Nodes)
			}
		}
		checks := checkFlows * len(s.Branches)
		least += n
		most += lossLooks*(n+placing) + checks
	}
	return least, most
}

// ask prepares the questions of a section.
func (l *PathsLoss) ask(s *sectionLoss) {
	use := min(lossFlows, l.o.Probes)
	for _, b := range s.Branches {
		if n := len(b.Ports); n >= fewFlows {
			use = min(use, n)
		}
	}
	each := (l.o.Probes + use - 1) / use
	flows := 0
	for _, b := range s.Branches {
		flows += min(use, len(b.Ports))
	}
	if most := max(1, lossMost/flows); each > most {
		each, l.capped = most, true
	}
	for i, b := range s.Branches {
		for _, port := range b.Ports[:min(use, len(b.Ports))] {
			if node := l.graph.goal(s.Section, &b, port); node >= 0 {
				r := l.router(s, l.graph.Nodes[node].Addr, each)
				r.targets = append(r.targets, lossTarget{node, i, port, !b.Dead})
			}
		}
	}
	for _, r := range s.routers {
		l.refill(r, each)
	}
}

// router finds or adds a router that a section asks.
func (l *PathsLoss) router(s *sectionLoss, a netip.Addr, each int) *lossRouter {
	for _, r := range s.routers {
		if r.addr == a {
			return r
		}
	}
	r := &lossRouter{addr: a, each: each, recent: map[int][]outcome{}}
	s.routers = append(s.routers, r)
	l.routers = append(l.routers, r)
	return r
}

// refill has each flow sent so many probes: in turn, in another order each time, so that nothing in the network keeps
// step with them.
func (l *PathsLoss) refill(r *lossRouter, each int) {
	for range each {
		turn := l.paths.rng.Perm(len(r.targets))
		r.queue = append(r.queue, turn...)
	}
}

// Next implements Plan.
func (l *PathsLoss) Next(now time.Time) Action {
	if l.started.IsZero() {
		l.started = now
	}
	if len(l.flying) > 0 {
		if a := l.flying[0]; !now.Before(a.sent.Add(l.paths.timeout())) {
			return GiveUp(a.key)
		}
	}
	if now.Sub(l.started) >= l.o.Time {
		return l.rest(time.Time{})
	}
	l.advance()
	if now.Before(l.soon) {
		return l.rest(l.soon)
	}
	wake := time.Time{}
	for _, r := range l.routers {
		at := slices.IndexFunc(r.queue, func(i int) bool { return !l.busy[r.targets[i].port] })
		switch {
		case at < 0:
		case now.Before(r.next):
			wake = sooner(wake, r.next)
		default:
			target := r.queue[at]
			r.queue = slices.Delete(r.queue, at, at+1)
			return l.send(now, r, target)
		}
	}
	if !wake.IsZero() {
		wake = sooner(wake, l.started.Add(l.o.Time))
	}
	return l.rest(wake)
}

func (l *PathsLoss) rest(until time.Time) Action {
	if len(l.flying) > 0 {
		until = sooner(until, l.flying[0].sent.Add(l.paths.timeout()))
	}
	return WaitUntil(until)
}

func (l *PathsLoss) send(now time.Time, r *lossRouter, target int) Action {
	t := r.targets[target]
	f, ttl := l.flows[t.port], l.graph.Nodes[t.node].TTL
	probe := l.paths.maker.ProbeBy(f.port, ttl)
	probe.FlowLabel = f.label
	a := &lossAsk{key: probe.Key(), router: r, target: target, epoch: r.epoch, sent: now}
	l.flying = append(l.flying, a)
	l.busy[f.port] = true
	l.sent++
	r.flying++
	r.next, l.soon = now.Add(paces[r.level]), now.Add(l.paths.maker.o.Spacing)
	action := Send(probe)
	action.Note = a
	switch {
	case l.paths.alone:
		action.Trust = TrustAlone
	case !l.paths.near(f, ttl):
		action.Trust = TrustAside
	}
	return action
}

// Learn implements Plan.
func (l *PathsLoss) Learn(_ time.Time, r Result) {
	a, ok := r.Note.(*lossAsk)
	if !ok {
		return
	}
	if r.Outcome.Final() {
		l.close(a)
	}
	if a.epoch != a.router.epoch {
		return // it was asked too fast
	}
	s := l.sample(a)
	switch r.Outcome {
	case Answered:
		s.Sent++
		l.answered(a, s, r)
		l.note(a, !r.Refused())
	case Lost:
		s.Sent, s.Lost = s.Sent+1, s.Lost+1
		l.note(a, false)
	case Late:
		if s.Lost > 0 {
			s.Lost--
			l.answered(a, s, r)
		}
	}
}

// answered counts an answer.
func (l *PathsLoss) answered(a *lossAsk, s *FlowLoss, r Result) {
	switch {
	case r.Refused():
		s.Lost++
	case r.FromTarget():
		l.paths.syns++
		s.Moved++
	case r.From() != a.router.addr:
		s.Moved++
	default:
		s.RTTs = append(s.RTTs, r.RTT())
		l.paths.slowest = max(l.paths.slowest, r.RTT())
	}
}

// sample is that of a probe.
func (l *PathsLoss) sample(a *lossAsk) *FlowLoss {
	t := a.router.targets[a.target]
	name := sampleName{a.router.addr, t.port}
	if l.samples[name] == nil {
		l.samples[name] = &FlowLoss{Node: t.node, Port: t.port}
	}
	return l.samples[name]
}

// close takes a probe out of those in flight.
func (l *PathsLoss) close(a *lossAsk) {
	i := slices.Index(l.flying, a)
	if i < 0 {
		return
	}
	l.flying = slices.Delete(l.flying, i, i+1)
	a.router.flying--
	delete(l.busy, a.router.targets[a.target].port)
}

// note remembers the latest outcomes, and finds out whether the router limits its answers: whichever branch a probe
// takes, it is lost.
func (l *PathsLoss) note(a *lossAsk, answered bool) {
	r, branch := a.router, a.router.targets[a.target].branch
	last := append(r.recent[branch], outcome{a.sent, answered})
	r.recent[branch] = last[max(0, len(last)-keptOutcomes):]
	if r.honest || answered || !r.limits(l, a.sent) {
		return
	}
	r.epoch++
	r.level++
	if r.level == len(paces) {
		r.level, r.honest = 0, true
	}
	r.next = r.next.Add(paces[r.level])
	r.queue, r.recent = r.queue[:0], map[int][]outcome{}
	l.forget(r)
	l.refill(r, r.each)
}

// limits reports whether each branch that the router has ever answered has just lost packets, up to a probe sent then.
func (r *lossRouter) limits(l *PathsLoss, sent time.Time) bool {
	alive, branches := map[int]bool{}, map[int]bool{}
	for _, t := range r.targets {
		branches[t.branch] = true
		if s := l.samples[sampleName{r.addr, t.port}]; t.seen || s != nil && s.Sent > s.Lost {
			alive[t.branch] = true
		}
	}
	for branch := range alive {
		last, window, most := r.recent[branch], recentLosses, limitLosses
		if len(branches) == 1 {
			last = slices.DeleteFunc(slices.Clone(last), func(o outcome) bool { return o.sent.After(sent) })
			slices.SortFunc(last, func(a, b outcome) int { return a.sent.Compare(b.sent) })
			window, most = aloneRecent, aloneLosses
		}
		if countLost(last[max(0, len(last)-window):]) < most {
			return false
		}
	}
	return len(alive) > 0
}

func countLost(all []outcome) (n int) {
	for _, o := range all {
		if !o.answered {
			n++
		}
	}
	return n
}

// advance goes on with the sections whose questions are answered.
func (l *PathsLoss) advance() {
	for _, s := range l.sections {
		if s.done || slices.ContainsFunc(s.routers, func(r *lossRouter) bool { return len(r.queue)+r.flying > 0 }) {
			continue
		}
		s.looks++
		g := l.Graph()
		suspects, open := g.judge(s.Section)
		switch {
		case s.placing:
			s.done = true
		case s.looks < lossLooks && (open > 0 && open < worthLook(s.looks) ||
			slices.ContainsFunc(suspects, func(x Suspect) bool { return x.Ambiguous || x.LastOnly && x.Chance > clearly })):
			for _, r := range s.routers {
				each := r.each / s.looks
				r.each += each
				l.refill(r, each)
			}
		default:
			l.place(s, suspects)
			l.check(s)
		}
	}
}

// place asks the suspects themselves: a router that answers all probes isn't reached by less than are sent, so it loses
// them itself, or they are lost beyond it.
func (l *PathsLoss) place(s *sectionLoss, suspects []Suspect) {
	s.placing = true
	each := 1
	for _, r := range s.routers {
		each = max(each, r.each)
	}
	s.routers = nil
	for _, x := range suspects {
		for i, b := range s.Branches {
			for _, node := range b.Nodes {
				if node < 0 || !slices.Contains(x.Nodes, node) {
					continue
				}
				for _, port := range b.Ports {
					if slices.Contains(x.Ports, port) {
						r := l.router(s, l.graph.Nodes[node].Addr, each)
						r.targets = append(r.targets, lossTarget{node, i, port, !b.Dead})
					}
				}
			}
		}
	}
	for _, r := range s.routers {
		if slices.ContainsFunc(suspects, func(x Suspect) bool {
			return x.LastOnly && l.graph.same(x.Nodes[len(x.Nodes)-1], r.targets[0].node)
		}) {
			l.anew(r)
		}
		l.refill(r, r.each)
	}
}

// anew has a router that was asked in quick succession asked with pauses, from the beginning.
func (l *PathsLoss) anew(r *lossRouter) {
	r.level, r.honest = placingLevel, true
	for _, o := range l.routers {
		if o != r && o.addr == r.addr {
			o.epoch++ // what it still hears is of before
		}
	}
	l.forget(r)
}

// forget takes back what is known of a router.
func (l *PathsLoss) forget(r *lossRouter) {
	for _, t := range r.targets {
		delete(l.samples, sampleName{r.addr, t.port})
	}
}

// check asks a few flows of each branch once more at its first router: another one answers if flows were distributed
// anew meanwhile.
func (l *PathsLoss) check(s *sectionLoss) {
	for i, b := range s.Branches {
		at := slices.IndexFunc(b.Nodes, func(n int) bool { return n >= 0 })
		if at < 0 {
			continue
		}
		r := l.router(s, l.graph.Nodes[b.Nodes[at]].Addr, 1)
		if r.each > 1 {
			continue // a suspect, which is asked anyway
		}
		for _, port := range b.Ports[:min(checkFlows, len(b.Ports))] {
			r.targets = append(r.targets, lossTarget{b.Nodes[at], i, port, true})
			r.queue = append(r.queue, len(r.targets)-1)
		}
	}
}

// Graph is what was found and measured; before the end, what is known so far.
func (l *PathsLoss) Graph() Graph {
	g := l.graph
	g.Probes += l.sent
	g.TargetSYNs = l.paths.syns
	g.Loss = &Loss{Probes: l.o.Probes}
	for _, r := range l.routers {
		if r.level > 0 && !r.honest { // one that loses as much however slowly it is asked limits nothing
			g.Loss.Pace = max(g.Loss.Pace, paces[r.level])
		}
	}
	g.Loss.Complete = !l.capped && !slices.ContainsFunc(l.sections, func(s *sectionLoss) bool { return !s.done })
	for _, s := range l.samples {
		g.Loss.Flows = append(g.Loss.Flows, *s)
	}
	slices.SortFunc(g.Loss.Flows, FlowLoss.compare)
	return g
}
