package trace

import (
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
)

// PathsKind is the plan that finds out what the balancers go by that Paths has found. In IPv6 the flows of a search
// differ in source port and flow label together. So one flow of each branch is changed in its port alone, and in its
// label alone: what sends it to another successor is what the router goes by.
//
// Only routers are asked. A changed flow counts if it still passes the balancer, which is asked where other routers
// stand beside it. In IPv4 there is nothing to ask.
type PathsKind struct {
	paths    *Paths
	branches []*kindBranch
	flying   []*kindAsk
	labels   uint32 // how many were used
	started  time.Time
	soon     time.Time
}

// FlowFields are fields of a packet that a router may tell flows apart by.
type FlowFields uint8

// The fields that are known to matter.
const (
	FieldPort  FlowFields = 1 << iota // the source port
	FieldLabel                        // the IPv6 flow label
)

// String returns the names of the fields; "" if there is none.
func (f FlowFields) String() string {
	var names []string
	if f&FieldPort != 0 {
		names = append(names, "port")
	}
	if f&FieldLabel != 0 {
		names = append(names, "label")
	}
	return strings.Join(names, " and ")
}

// The constants of the question what a balancer goes by.
const (
	// kindProbes is how many changed flows must keep their way until the change is known not to matter. The flow is one of
	// the smallest branch, which has half of the flows at the most: by chance all stay there in one of 256 cases.
	kindProbes = 8

	// kindChanges is how many changed flows are tried at the most, for they may no longer pass the balancer.
	kindChanges = 64

	// kindTries is how often a changed flow is asked at one router. Those after the first come with pauses, each longer
	// than the one before by briefRest.
	kindTries = 5

	// kindSilent is how many changed flows may be silent. Beside routers that don't answer, others may show what matters.
	// But that a change doesn't matter is not said if one was silent.
	kindSilent = 2

	// kindTime is how long it takes at the most. Linux routers answer ten times a second (IPv6).
	kindTime = 10 * time.Second
)

// What is changed of a flow, as an index. The flow itself comes last: it must still go where it went.
const (
	changePort = iota
	changeLabel
	changeNothing
	numberOfChanges
)

// kindBranch is a balancer, and what is known of it.
type kindBranch struct {
	ttl  int
	key  int   // of the balancer
	next []int // its successors
	flow *pathFlow
	goes int  // the successor that the flow goes to
	here bool // all flows at this TTL pass it
	// repeats is how often the flow must go there once more, without a change: more if it isn't known yet that it keeps
	// to its way.
	repeats int
	counts  [numberOfChanges]kindCount

	again  []kindTrial // to be asked once more, or further
	flying int
	window int       // how many may be in flight
	losses int       // in a row
	ready  time.Time // before that none is sent
}

// kindCount is what came of one kind of change.
type kindCount struct {
	changes int // tried
	open    int // not yet known
	same    int // kept their way
	moved   int // went to another successor
	silent  int // were never answered
}

// kindTrial is a changed flow that is asked at a TTL.
type kindTrial struct {
	port   uint16
	label  uint32
	change int
	ttl    int
	tries  int
}

type kindAsk struct {
	key    packet.Key
	branch *kindBranch
	trial  kindTrial
	sent   time.Time
}

// NewPathsKind asks what the balancers go by that a search has found.
func NewPathsKind(p *Paths) *PathsKind {
	k := &PathsKind{paths: p}
	if !p.o.Path.Source.Addr().Is6() || p.maker.o.Protocol == packet.ProtoEcho || p.maker.labels == 0 || p.alone {
		return k
	}
	p.survey()
	for ttl := p.first; ttl < p.top && ttl+1 < p.reach; ttl++ {
		for i := range p.spots[ttl] {
			if b := p.kindBranch(ttl, &p.spots[ttl][i]); b != nil {
				k.branches = append(k.branches, b)
			}
		}
	}
	return k
}

// kindBranch is the question about a node; nil: there is none.
func (p *Paths) kindBranch(ttl int, s *spot) *kindBranch {
	keeps := p.sprays[spotName{ttl, s.key}]
	if s.key < firstAddr || keeps == spraying || slices.ContainsFunc(s.next, inName) {
		return nil
	}
	b := &kindBranch{ttl: ttl, key: s.key, here: p.hops[ttl].uniform == s.key, window: kindProbes, repeats: 1}
	if keeps != steady { // its routers answered too seldom for that
		b.repeats = p.rule.alike()
	}
	least := 1.0
	for _, v := range s.next {
		if v < firstAddr {
			continue
		}
		b.next = append(b.next, v)
		share, _ := p.part(ttl, s, v)
		at := slices.IndexFunc(s.flows, func(i int) bool {
			here, next := p.flows[i].cells[ttl].seen, p.flows[i].cells[ttl+1].seen
			return len(here) > 0 && here[0] == s.key && len(next) > 0 && next[0] == v
		})
		if at >= 0 && share < least {
			least, b.flow, b.goes = share, p.flows[s.flows[at]], v
		}
	}
	if len(b.next) < 2 || b.flow == nil {
		return nil
	}
	if p.slow(ttl) || p.slow(ttl+1) {
		b.window = 1
	}
	return b
}

// Next implements Plan.
func (k *PathsKind) Next(now time.Time) Action {
	if k.started.IsZero() {
		k.started = now
	}
	if len(k.flying) > 0 {
		if a := k.flying[0]; !now.Before(a.sent.Add(k.paths.timeout())) {
			return GiveUp(a.key)
		}
	}
	if now.Sub(k.started) >= kindTime {
		return k.rest(time.Time{})
	}
	if now.Before(k.soon) {
		return k.rest(k.soon)
	}
	wake := time.Time{}
	for _, b := range k.branches {
		if b.flying >= b.window {
			continue
		}
		if now.Before(b.ready) {
			if b.lacks() {
				wake = sooner(wake, b.ready)
			}
			continue
		}
		t, ok := k.trial(b)
		switch {
		case !ok:
		case t.change == changePort && k.busy(t.port):
			b.again = append(b.again, t)
		default:
			return k.send(now, b, t)
		}
	}
	return k.rest(wake)
}

func (k *PathsKind) rest(until time.Time) Action {
	if len(k.flying) > 0 {
		until = sooner(until, k.flying[0].sent.Add(k.paths.timeout()))
	}
	return WaitUntil(until)
}

// busy reports whether a probe of this port is in flight. Should the target be nearer than is known, it doesn't say
// which of several it answers.
func (k *PathsKind) busy(port uint16) bool {
	return slices.ContainsFunc(k.flying, func(a *kindAsk) bool { return a.trial.port == port })
}

// lacks reports whether there is anything to be sent.
func (b *kindBranch) lacks() bool {
	if len(b.again) > 0 {
		return true
	}
	for change := range numberOfChanges {
		if b.wants(change) {
			return true
		}
	}
	return false
}

// wants reports whether another flow with this change is to be tried.
func (b *kindBranch) wants(change int) bool {
	c := &b.counts[change]
	need := kindProbes
	if change == changeNothing {
		if need = b.repeats; !b.decided(changePort) || !b.decided(changeLabel) {
			return false
		}
	}
	return c.moved == 0 && c.silent < kindSilent && c.same+c.open < need && c.changes < kindChanges
}

// decided reports whether it is known if a change matters.
func (b *kindBranch) decided(change int) bool {
	c := &b.counts[change]
	return c.moved > 0 || c.same >= kindProbes && c.silent == 0
}

// fields are what the balancer goes by, as far as it is known.
func (b *kindBranch) fields() (f FlowFields) {
	last := b.counts[changeNothing]
	if !b.decided(changePort) || !b.decided(changeLabel) || last.same < b.repeats || last.moved > 0 {
		return 0
	}
	if b.counts[changePort].moved > 0 {
		f |= FieldPort
	}
	if b.counts[changeLabel].moved > 0 {
		f |= FieldLabel
	}
	return f
}

// trial is the next flow to be asked at a branch.
func (k *PathsKind) trial(b *kindBranch) (t kindTrial, ok bool) {
	for len(b.again) > 0 {
		t, b.again = b.again[0], b.again[1:]
		c := &b.counts[t.change]
		if c.moved == 0 && c.silent < kindSilent {
			return t, true
		}
		c.open-- // it no longer matters
	}
	for change := range numberOfChanges {
		if !b.wants(change) {
			continue
		}
		t = kindTrial{port: b.flow.port, label: b.flow.label, change: change, ttl: b.ttl}
		if b.here {
			t.ttl++
		}
		c := &b.counts[change]
		if !k.change(&t, c.changes) {
			c.changes = kindChanges
			continue
		}
		c.changes++
		c.open++
		return t, true
	}
	return t, false
}

// change changes a flow in the n-th way; false: there is none.
func (k *PathsKind) change(t *kindTrial, n int) bool {
	switch t.change {
	case changePort:
		ports := append([]uint16{k.paths.flows[0].port}, k.paths.o.Ports...)
		ports = slices.DeleteFunc(ports, func(port uint16) bool { return port == t.port })
		if n >= len(ports) {
			return false
		}
		t.port = ports[n]
	case changeLabel:
		for own := t.label; t.label == own; k.labels++ {
			t.label = 1 + uint32(scramble(k.paths.maker.labels+1<<16+uint64(k.labels))%mostLabel)
		}
	}
	return true
}

func (k *PathsKind) send(now time.Time, b *kindBranch, t kindTrial) Action {
	p := k.paths
	probe := p.maker.ProbeBy(t.port, t.ttl)
	probe.FlowLabel = t.label
	a := &kindAsk{key: probe.Key(), branch: b, trial: t, sent: now}
	k.flying = append(k.flying, a)
	b.flying++
	p.sent++
	k.soon = now.Add(p.maker.o.Spacing)
	action := Send(probe)
	action.Note = a
	if t.change != changePort || t.ttl < p.reach-nearer {
		action.Trust = TrustAside
	}
	return action
}

// Learn implements Plan.
func (k *PathsKind) Learn(now time.Time, r Result) {
	a, ok := r.Note.(*kindAsk)
	if !ok || !r.Outcome.Final() {
		return
	}
	i := slices.Index(k.flying, a)
	if i < 0 {
		return
	}
	k.flying = slices.Delete(k.flying, i, i+1)
	a.branch.flying--
	if r.Outcome == Answered {
		k.answered(a, r)
	} else {
		a.branch.unanswered(now, a.trial)
	}
	for _, b := range k.branches {
		k.paths.kinds[spotName{b.ttl, b.key}] = b.fields()
	}
}

// answered counts an answer, or sends the flow further.
func (k *PathsKind) answered(a *kindAsk, r Result) {
	b, t := a.branch, a.trial
	c := &b.counts[t.change]
	b.window, b.losses = min(b.window+1, kindProbes), 0
	value := k.paths.value(r)
	if r.FromTarget() {
		k.paths.syns++
	}
	if t.ttl == b.ttl && value == b.key {
		t.ttl, t.tries = t.ttl+1, 0
		b.again = append(b.again, t)
		return
	}
	c.open--
	switch {
	case t.ttl == b.ttl: // it no longer passes the balancer
	case value == b.goes:
		c.same++
	case slices.Contains(b.next, value):
		c.moved++
	}
}

// unanswered counts a probe without an answer. Perhaps a router limits its answers, so fewer are sent, with pauses.
func (b *kindBranch) unanswered(now time.Time, t kindTrial) {
	b.losses++
	b.window, b.ready = 1, later(b.ready, now.Add(briefRest*time.Duration(b.losses)))
	if t.tries++; t.tries < kindTries {
		b.again = slices.Insert(b.again, 0, t)
		return
	}
	b.losses = 0
	b.counts[t.change].open--
	b.counts[t.change].silent++
}

// Graph is what was found, with what the balancers go by.
func (k *PathsKind) Graph() Graph { return k.paths.Graph() }
