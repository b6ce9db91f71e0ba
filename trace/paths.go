package trace

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// Paths is the plan that finds all ways to one target, after an ordinary trace. Flows that differ in the source port
// (IPv6: in port and flow label together) are sent to the same hops: a router that balances its load by flow sends them
// different ways.
//
// Each node (a router at one TTL) is tested by itself, as multipath detection algorithms do: of the flows that are
// known to pass it, so many are sent one TTL further that another successor is unlikely (the coupon collector's
// problem). Missing flows are searched for at the node's own TTL. First a few flows are sent to all hops side by side;
// then everything that an answer makes necessary is sent at once, so a round takes a round-trip time.
//
// If all flows that were asked at a hop have met one and the same router there, as many as rule out a second one,
// further flows are taken to pass it unasked. But a link is believed only if one and the same flow was seen at both its
// ends.
//
// A router that limits its ICMP errors is neither silent nor missing: it is asked again, with pauses.
type Paths struct {
	o     PathsOptions
	maker *Flow // makes the probes, of all flows
	rule  stopping
	rng   *rand.Rand
	first int // TTLs
	last  int
	top   int // the highest TTL that matters now

	flows  []*pathFlow
	met    []encounter // by value, from firstAddr on
	values map[encounter]int
	ids    map[int][]numbered // of answers, by value
	stars  map[spotName]int   // the keys of silent routers, by the spot before
	sprays map[spotName]sprayed
	kinds  map[spotName]FlowFields // of PathsKind
	extent map[spotName]int        // the highest TTL at which a router has answered flows that it was seen to answer
	spots  [][]spot                // by TTL, see survey
	hops   []pathHop

	flying  []*pathAsk // in order of sending
	wants   []want
	opening []want // what is sent first
	stale   bool   // something was learned since the last survey

	end     int  // the TTL at which the target answered, the lowest; 0: it didn't
	traced  int  // the same of the ordinary trace
	accepts bool // the target answered otherwise than by a reset, so resets of other flows are refusals
	far     int  // the highest TTL at which anybody answered
	reach   int  // from this TTL on the target may answer
	head    int  // the hop that the first flows are sent to before others; 0: there is none
	alone   bool
	scraps  int // answers from which the network had taken what names the probe
	sent    int
	syns    int // that may have got to the target
	resets  int // that something nearer than the target has reset; not among syns
	// unheard are those among syns that nobody answered, those of the ordinary trace too; as long as the target has
	// answered nobody, all that nobody answered.
	unheard []*pathAsk
	slowest time.Duration
	started time.Time
	soon    time.Time
	late    bool // the time was over before the end
}

// PathsOptions say what is searched for, and what is known before.
type PathsOptions struct {
	Path  PathOptions // of the ordinary trace: probes are like those
	Ports []uint16    // source ports of further flows; so many flows, and the path's own, are used at the most
	Known []Result    // of the ordinary trace

	Confidence float64       // with which a node must have no other successor; default 0.99
	TargetSYNs int           // SYNs at the target at the most, those of the ordinary trace included; default 16
	Time       time.Duration // how long the search may take; default 60 s

	// ConnectWait is that of the Connector that the probes go over: no flow has more than one of them in flight, nor waits
	// longer for its answer. In IPv6 all flows have the label 0. 0: it is no Connector.
	ConnectWait time.Duration

	// BranchFlows is how many flows are sent through each balancer at the least, unless a router answers only so often:
	// to measure loss takes more of them than to find all branches. LossFlows is enough.
	BranchFlows int
}

// The constants of the search.
const (
	// DefaultConfidence is what a node is tested with. With 95 % a fifth of graphs with several branches lack something.
	DefaultConfidence = 0.99

	// DefaultTargetSYNs is how many SYNs the target gets at the most: a server that counts SYNs of one address shouldn't
	// take this for an attack.
	DefaultTargetSYNs = 16

	// SearchSYNs is how many of them an ordinary trace should leave the search if the target answers none (see
	// PathOptions.SilentSYNs). It takes as many itself at the least: with fewer it would stop at routers that don't
	// answer, though others beyond them do.
	SearchSYNs = 8

	// spareSYNs is how many SYNs the target gets beside one for each distinct last hop.
	spareSYNs = 4

	// turnsToLoop is how often a flow goes round in a circle until it is taken for a loop: as often as where a trace shows
	// one.
	turnsToLoop = 2

	// nearer is by how many hops the target may be nearer to some flows than to those known.
	nearer = 2

	// shortPath is how many hops from the first one to the last router may be asked side by side at once.
	shortPath = 4

	// DefaultPathsTime is when a search ends, done or not. At one answer a second, as Linux routers give, a diamond takes
	// so long.
	DefaultPathsTime = time.Minute

	// MostFlows is how many flows there should be at the most: each is new state in every stateful firewall on the way,
	// and carrier NAT gives a customer 64 to 512 ports.
	MostFlows = 256

	// flyingMost is how many probes are in flight at the most.
	flyingMost = 128

	// atLeastGrow is how many flows are sent in search of a node at once, at the least; else no more than have been at its
	// hop, so that one answer doesn't ask for many.
	atLeastGrow = 8

	// A probe waits twice as long as the slowest answer took, waitSlack more, and at least leastProbeWait: a late answer
	// still counts, so what is given up too early costs one probe.
	waitFactor     = 2
	waitSlack      = 20 * time.Millisecond
	leastProbeWait = 100 * time.Millisecond

	// fastTries is how often a flow is asked at once before its silence is looked into.
	fastTries = 2

	// A slow hop, at which some flows are not answered and others are, is asked in rounds: those that were not answered
	// first and alone, so that a router which answers only so often answers one of them. The first round comes after
	// briefRest (IPv6 routers of Linux answer every 100 ms), later ones after longRest if nothing came (IPv4: once a
	// second). Flows that stay silent in cleanRounds rounds of that kind, in which nobody answered, have met a router that
	// doesn't answer.
	briefRest = 110 * time.Millisecond
	longRest  = 1050 * time.Millisecond
	// Where packets are lost, they stay silent in more rounds: so many that loss alone does that with falseSilence.
	cleanRounds     = 2
	mostCleanRounds = 14
	falseSilence    = 1e-4
	slowMost        = 16
)

// What a flow has met at a hop. Encounters come from firstAddr on.
const (
	unknownValue = -1
	silentValue  = 0
	targetValue  = 1
	resetValue   = 2 // a reset in the target's name
	firstAddr    = 3
)

// encounter is who answered a flow at a hop. If the answer refused the flow, it is another one than an answer of the
// same router that did not: no flow goes on from it.
type encounter struct {
	addr    netip.Addr
	refusal packet.Kind // of the answer; 0: it was no refusal
	// of the ICMP message, if it was one
	kind, code uint8
}

// Keys of spots: values of addresses; these, and for silent routers what stars says, from firstStar down.
const (
	rootKey   = -1
	mergedKey = -2
	firstStar = -10
)

type spotName struct{ ttl, key int }

// spot is a node as the search sees it: a router, or all that flows beyond a router can meet which sends each packet
// its own way.
type spot struct {
	key   int
	flows []int // that pass it
	next  []int // the different values that they met one TTL further
	n     int   // how many have met something there
	due   int   // how many are being asked
}

// sprayed is what is known of whether a node sends each packet its own way.
type sprayed uint8

const (
	spraysUnknown sprayed = iota
	steady                // one flow was repeated, and all answers were the same
	spraying
)

type pathFlow struct {
	port   uint16
	label  uint32
	cells  []cell     // by TTL
	pos    []int      // index in spots, by TTL; -1: not known
	blur   []bool     // by TTL: another packet of the flow may be elsewhere
	flying int        // probes in flight
	told   bool       // the target has answered it, but nothing tells at which TTL
	loops  int        // the TTL at which it has come to a router for the third time; 0: it hasn't
	ends   int        // the lowest TTL at which the target answered, or somebody refused it; 0: none
	router int        // the highest TTL at which a router answered
	resets int        // from this TTL on something nearer than the target may reset it; 0: that is not known
	reset  []*pathAsk // the probes that were reset
	asks   []*pathAsk // all of its probes
	ready  time.Time
}

// cell is what is known of one flow at one TTL.
type cell struct {
	seen    []int // values, in order
	silent  bool  // it has met a router that doesn't answer
	tries   int   // in vain
	clean   int   // see cleanRounds
	flying  int
	planned bool // it is among Paths.opening
	unclear bool // an answer came that may be another hop's
	doubt   bool // it is one of the doubts of its hop
}

// pathHop is what is known of a TTL.
type pathHop struct {
	mute    bool // nobody has answered
	uniform int  // what all flows met, and as many as rule out another one; unknownValue: there is no such
	met     int  // how many flows have met something
	past    int  // how many flows a router has answered here or farther

	doubts  []int // flows that were not answered though others were
	limited bool  // one of those was answered later
	rest    time.Duration
	last    time.Time // when it was asked last
	next    time.Time // of the next round
	asked   []int     // flows of this round
	flying  int
	size    int // how many it asks in all
	got     int
	alone   bool // only doubts are asked
	batch   int  // how many are asked in a round
}

type pathAsk struct {
	key       packet.Key
	flow, ttl int
	sent      time.Time
	over      bool
	counts    bool // among syns
	arrived   bool // the target has answered it, or another one of its flow for which it stands
	blind     bool // see blind
	near      bool // see near
	round     bool // of a slow hop
	unclear   bool // the target may have answered it, or an older one of its flow
}

type want struct{ flow, ttl int }

// NewPaths is a search. The error is that of NewFlow, or says what else is wrong.
func NewPaths(o PathsOptions) (*Paths, error) {
	newFlow := NewFlow
	if o.ConnectWait > 0 {
		newFlow = newConnectFlow
	}
	maker, err := newFlow(o.Path)
	if err != nil {
		return nil, err
	}
	if o.Confidence == 0 {
		o.Confidence = DefaultConfidence
	}
	if o.TargetSYNs == 0 {
		o.TargetSYNs = DefaultTargetSYNs
	}
	if o.Time == 0 {
		o.Time = DefaultPathsTime
	}
	if !(o.Confidence > 0 && o.Confidence < 1) || o.TargetSYNs < 0 || o.Time < 0 {
		return nil, errors.New("trace: confidence must be between 0 and 1, SYNs and time not negative")
	}
	p := &Paths{o: o, maker: maker, rule: stopping{eps: 1 - o.Confidence}, rng: maker.o.Rand, stale: true,
		first: maker.o.FirstTTL, last: maker.o.MaxTTL,
		values: map[encounter]int{}, ids: map[int][]numbered{}, stars: map[spotName]int{},
		sprays: map[spotName]sprayed{}, kinds: map[spotName]FlowFields{}, extent: map[spotName]int{}}
	p.spots = make([][]spot, p.last+2)
	p.hops = make([]pathHop, p.last+2)
	for i := range p.hops {
		p.hops[i] = pathHop{mute: true, uniform: unknownValue, rest: briefRest, batch: 1}
	}
	p.newFlow(o.Path.Source.Port())
	nearer := func(a, b Result) int { return int(a.Probe.TTL) - int(b.Probe.TTL) }
	for _, r := range slices.SortedStableFunc(slices.Values(o.Known), nearer) { // what refuses all is met at its hop
		p.know(r)
	}
	p.traced = p.end
	if p.reach = p.end; p.reach == 0 {
		p.cutLoop()
		p.reach = p.far + 1
	}
	p.count(o.Known)
	return p, nil
}

// count counts the SYNs of the ordinary trace that may have got to the target: those that nobody answered, too. But if
// the target has answered others, and not where this flow goes, the trace knew where it is, and sent it only a few.
func (p *Paths) count(known []Result) {
	most := len(known)
	if p.end == 0 && slices.ContainsFunc(known, Result.FromTarget) {
		most = SearchSYNs / unheardShare
	}
	own := p.flows[0]
	farthest := func(a, b Result) int { return int(b.Probe.TTL) - int(a.Probe.TTL) }
	for _, r := range slices.SortedStableFunc(slices.Values(known), farthest) {
		silent := r.Reply == nil && r.Outcome != Failed && (r.Role == RoleDistance || int(r.Probe.TTL) >= p.reach)
		if silent && r.Role != RoleDistance {
			silent = most > 0
			most--
		}
		if r.Outcome.Final() && (silent || p.gotTo(r)) {
			p.syns++
		}
		if r.Outcome.Final() && silent {
			p.unheard = append(p.unheard, &pathAsk{ttl: int(r.Probe.TTL), counts: true})
		}
		if r.Outcome.Final() && r.Role == RoleHop && r.Probe.Src.Port() == own.port && r.FromTarget() &&
			p.value(r) == resetValue {
			own.reset = append(own.reset, &pathAsk{ttl: int(r.Probe.TTL), counts: true})
		}
	}
	p.recount()
}

func (p *Paths) newFlow(port uint16) int {
	n := p.last + 2
	p.flows = append(p.flows, &pathFlow{port: port, label: p.maker.label(port),
		cells: make([]cell, n), pos: make([]int, n), blur: make([]bool, n)})
	return len(p.flows) - 1
}

// moreFlow is the index of a new flow; false if there are enough.
func (p *Paths) moreFlow() (int, bool) {
	n := len(p.flows) - 1
	if n >= len(p.o.Ports) {
		return 0, false
	}
	return p.newFlow(p.o.Ports[n]), true
}

// cutLoop takes back how far routers have answered if the trace went round in a loop, or one router answered at all
// hops from some on: the target may be nearer to flows that don't.
func (p *Paths) cutLoop() {
	var round circle
	first := map[int]int{} // TTLs by value
	row, before := 0, unknownValue
	for ttl := p.first; ttl <= p.far; ttl++ {
		v, _ := p.valueAt(p.flows[0], ttl)
		if row++; v != before {
			row = 0
		}
		if before = v; v >= firstAddr && row > turnsToLoop {
			p.far = ttl - row
			return
		}
		if round.closes(v) {
			p.far = first[v] + (ttl-first[v])/turnsToLoop - 1
			return
		}
		if first[v] == 0 {
			first[v] = ttl
		}
	}
}

// know takes in a result of the ordinary trace.
func (p *Paths) know(r Result) {
	ttl := int(r.Probe.TTL)
	if ttl < p.first || ttl > p.last || r.Reply == nil || r.Outcome != Answered && r.Outcome != Late {
		return
	}
	p.slowest = max(p.slowest, r.RTT())
	p.accepts = p.accepts || p.value(r) == targetValue
	if r.Role != RoleHop || r.Probe.Src.Port() != p.flows[0].port || r.FromTarget() && r.Outcome != Answered {
		return
	}
	p.flows[0].label = r.Probe.FlowLabel
	p.meet(0, ttl, r)
}

// meet takes in what a flow has met at a TTL.
func (p *Paths) meet(flow, ttl int, r Result) {
	f := p.flows[flow]
	c, h := &f.cells[ttl], &p.hops[ttl]
	switch {
	case r.FromTarget():
		c.seen = append(c.seen, p.value(r))
		p.arrive(f, ttl, c.seen[len(c.seen)-1] == resetValue)
	case r.Refused() && (ttl < f.router || f.ends > 0 && ttl > f.ends):
		c.silent = len(c.seen) == 0 // others of its packets pass, or its end is known
		return
	case r.Refused():
		c.seen = append(c.seen, p.value(r))
		f.ends = ttl
	default:
		c.seen = append(c.seen, p.value(r))
		p.number(p.value(r), r)
		f.router = max(f.router, ttl)
		p.passes(f)
		if f.ends > 0 && ttl > f.ends { // somebody on the way answered in the target's name, or refuses some packets
			for ; f.ends < ttl; f.ends++ {
				if c := &f.cells[f.ends]; len(c.seen) > 0 && p.final(c.seen[0]) {
					c.seen, c.silent = nil, true
				}
			}
			f.ends = 0
		}
	}
	if p.far = max(p.far, ttl); p.end == 0 && !p.alone {
		p.reach = max(p.reach, p.far+1)
	}
	p.slowest = max(p.slowest, r.RTT())
	c.silent = c.silent && len(c.seen) == 0
	if h.mute {
		h.mute = false
		for i, f := range p.flows { // perhaps the router has only answered few
			if c := &f.cells[ttl]; c.silent && c.tries > 0 {
				c.silent = false
				p.suspect(i, ttl)
			}
		}
	}
}

// passes takes in how far routers have answered a flow.
func (p *Paths) passes(f *pathFlow) {
	for ttl, c := range f.cells[:f.router+1] {
		for _, v := range c.seen {
			at := spotName{ttl, v}
			p.extent[at] = max(p.extent[at], f.router)
		}
	}
}

// arrive takes in that a flow was answered in the target's name. A reset is the target's answer as long as it answers
// no flow otherwise; if it does, something on some of the ways resets the flows, and may be far from the target.
func (p *Paths) arrive(f *pathFlow, ttl int, reset bool) {
	switch {
	case !reset && !p.accepts:
		p.accepts, p.end, p.reach = true, ttl, max(p.reach, ttl)
		p.excuse(p.end)
	case reset && p.accepts:
	case p.end == 0 || ttl < p.end:
		p.end = ttl
		p.excuse(p.end)
	}
	if p.reach > 0 && p.end > 0 {
		p.reach = min(p.reach, p.end)
	}
	if f.told = false; f.ends == 0 || ttl < f.ends {
		f.ends = ttl
	}
	p.recount()
}

// excuse takes back that the target may have got what nobody answered and was sent to lower TTLs than this one: the
// target is no nearer, or answers others there. These probes were lost, most likely on a way that is broken.
func (p *Paths) excuse(ttl int) {
	p.unheard = slices.DeleteFunc(p.unheard, func(a *pathAsk) bool {
		if a.ttl < ttl && a.counts && !a.arrived {
			a.counts = false
			p.syns--
		}
		return !a.counts
	})
}

// recount finds out which of the probes that were reset have got to the target. If that answers other flows otherwise,
// it is not what resets flows that are reset nearer than it is.
func (p *Paths) recount() {
	for _, f := range p.flows {
		for _, a := range f.reset {
			nearer := p.accepts && (a.ttl < p.end || f.ends > 0 && f.ends < p.end)
			switch {
			case nearer && a.counts:
				p.syns, p.resets = p.syns-1, p.resets+1
			case !nearer && !a.counts:
				p.syns, p.resets = p.syns+1, p.resets-1
			}
			a.counts = !nearer
		}
	}
}

// value is what an answer says that a flow has met.
func (p *Paths) value(r Result) int {
	e := encounter{addr: r.From()}
	switch {
	case r.FromTarget() && r.Reply.Kind == packet.KindTCP && r.Reply.TCP.Flags.Has(packet.RST):
		return resetValue
	case r.FromTarget():
		return targetValue
	case r.Refused():
		e.refusal, e.kind, e.code = r.Reply.Kind, r.Reply.Type, r.Reply.Code
	}
	v, ok := p.values[e]
	if !ok {
		v = firstAddr + len(p.met)
		p.values[e] = v
		p.met = append(p.met, e)
	}
	return v
}

// inName reports whether a value is an answer in the target's name.
func inName(value int) bool { return value == targetValue || value == resetValue }

// gotTo reports whether an answer shows that its SYN got to the target: that may refuse by ICMP, too.
func (p *Paths) gotTo(r Result) bool {
	return r.FromTarget() || r.Refused() && r.From().WithZone("") == p.o.Path.Target.Addr().WithZone("")
}

// isTarget reports whether a value is an answer of the target itself, for all that is known.
func (p *Paths) isTarget(value int) bool {
	return value == targetValue || value == resetValue && !p.accepts
}

// final reports whether no flow goes on from what has this value.
func (p *Paths) final(value int) bool {
	return inName(value) || value >= firstAddr && p.met[value-firstAddr].refusal != 0
}

// address is that of a value.
func (p *Paths) address(value int) netip.Addr {
	switch {
	case inName(value):
		return p.o.Path.Target.Addr()
	case value >= firstAddr:
		return p.met[value-firstAddr].addr
	}
	return netip.Addr{}
}

// refusal is what was said to the flows that met a value, if that refused them; else nil.
func (p *Paths) refusal(value int) *packet.Reply {
	reset := value == resetValue && p.accepts
	if !reset && (value < firstAddr || !p.final(value)) {
		return nil
	}
	r := &packet.Reply{IP: packet.IP{Version: 6, Src: p.address(value).WithZone("")}}
	if r.IP.Src.Is4() {
		r.IP.Version = 4
	}
	if reset {
		r.Kind, r.TCP.Flags = packet.KindTCP, packet.RST
		return r
	}
	e := p.met[value-firstAddr]
	r.Kind, r.Type, r.Code, r.Zone = e.refusal, e.kind, e.code, e.addr.Zone()
	return r
}

// Graph is what was found; before the end, what is known so far.
func (p *Paths) Graph() Graph { return p.draw() }

// Next implements Plan.
func (p *Paths) Next(now time.Time) Action {
	if p.started.IsZero() {
		p.started = now
		p.begin()
	}
	if len(p.flying) > 0 {
		a := p.flying[0]
		if !now.Before(a.sent.Add(p.timeout())) {
			return GiveUp(a.key)
		}
	}
	if now.Sub(p.started) >= p.o.Time {
		if !p.late {
			p.plan()
			p.late = len(p.wants) > 0 || p.doubted()
		}
		return p.rest(time.Time{})
	}
	if now.Before(p.soon) {
		return p.rest(p.soon)
	}
	if p.stale {
		p.plan()
	}
	if len(p.flying) >= flyingMost {
		return p.rest(time.Time{})
	}
	wake := time.Time{}
	for i := 0; i < len(p.wants); i++ {
		w := p.wants[i]
		ready, ok := p.may(now, w)
		if ok {
			p.wants = slices.Delete(p.wants, i, i+1)
			return p.send(now, w, false)
		}
		wake = sooner(wake, ready)
	}
	w, ready, ok := p.slowTurn(now)
	if ok {
		return p.send(now, w, true)
	}
	if wake = sooner(wake, ready); !wake.IsZero() {
		wake = sooner(wake, p.started.Add(p.o.Time))
	}
	return p.rest(wake)
}

// rest waits until then, or until the next probe has waited long enough.
func (p *Paths) rest(until time.Time) Action {
	if len(p.flying) > 0 {
		until = sooner(until, p.flying[0].sent.Add(p.timeout()))
	}
	return WaitUntil(until)
}

// timeout is how long a probe waits.
func (p *Paths) timeout() time.Duration {
	wait := max(waitFactor*p.slowest+waitSlack, leastProbeWait)
	if p.connects() {
		wait = min(wait, p.o.ConnectWait)
	}
	return wait
}

// connects reports whether probes are connections.
func (p *Paths) connects() bool { return p.o.ConnectWait > 0 }

// begin sends the first flows. On a short path they go to all hops side by side, but for the hop before the target,
// which has flows of its own: the target may be nearer to some, and of two probes of one flow it doesn't say which it
// answers. On a long path the target might be so much nearer that it got many SYNs: each flow is sent to the last
// router that is known first, and side by side to the others when a router has answered it there.
func (p *Paths) begin() {
	last := p.far
	if p.end > 0 {
		last = p.end - 1
	}
	if head := min(p.flows[0].router, last); p.end > 0 && head-p.first >= shortPath {
		p.head = head
		p.open(p.first, head)
		if head < last {
			p.open(last, last)
		}
		return
	}
	if p.end > 0 {
		p.open(last, last)
		last--
	}
	p.open(p.first, last)
}

// open sends as many new flows as a hop with one router needs to these hops.
func (p *Paths) open(from, to int) {
	for range p.rule.flows(1) - 1 {
		if from > to {
			return
		}
		flow, ok := p.moreFlow()
		if !ok {
			return
		}
		for ttl := max(from, p.first); ttl <= to; ttl++ {
			p.opening = append(p.opening, want{flow, ttl})
			p.flows[flow].cells[ttl].planned = true
		}
	}
}

// opens reports whether it is time for a probe of the opening. What it is no longer needed for is taken back. So is
// what waits for a flow's answer at the head though the flow isn't sent there any more, as the target has turned out to
// be nearer: it would wait forever, and count as being asked.
func (p *Paths) opens(w want) bool {
	f := p.flows[w.flow]
	c, head := &f.cells[w.ttl], &f.cells[p.head]
	waits := w.ttl < p.head && f.router < p.head && !head.silent && head.tries < fastTries
	inVain := waits && p.gets(f, p.head) && head.flying == 0
	if inVain || p.gets(f, w.ttl) || f.ends > 0 && (w.ttl > f.ends || p.head > 0 && f.ends <= p.head) {
		c.planned = false
	}
	if p.end == 0 && w.ttl > p.first { // the target may be so near that it would get all of them
		before := &f.cells[w.ttl-1]
		return c.planned && (len(before.seen) > 0 || before.silent || before.doubt)
	}
	return c.planned && !waits
}

func (p *Paths) want(flow, ttl int) { p.wants = append(p.wants, want{flow, ttl}) }

// shuffle mixes what is to be sent, for some routers send packets their ways in turn.
func (p *Paths) shuffle() {
	p.rng.Shuffle(len(p.wants), func(i, j int) { p.wants[i], p.wants[j] = p.wants[j], p.wants[i] })
}

// may reports whether a probe may be sent now; ready is when that changes by itself.
func (p *Paths) may(now time.Time, w want) (ready time.Time, ok bool) {
	if p.slow(w.ttl) {
		return ready, false // it has its turns
	}
	return p.free(now, w)
}

// free reports whether a flow may have one more probe in flight. Of those that may get to the target it has only one,
// for the target's answer names no more than the flow.
func (p *Paths) free(now time.Time, w want) (ready time.Time, ok bool) {
	f := p.flows[w.flow]
	switch {
	case p.connects() && f.flying > 0:
		return ready, false
	case p.head > 0 && w.ttl > f.router && !p.near(f, w.ttl):
		return ready, float64(p.syns)+p.risked(w.ttl) < float64(p.o.TargetSYNs+1)
	case !p.near(f, w.ttl):
		return ready, true
	case now.Before(f.ready):
		return f.ready, false
	case p.syns+p.arrivals(w.ttl) > p.o.TargetSYNs:
		return ready, false
	}
	one := slices.ContainsFunc(p.flying, func(a *pathAsk) bool { return a.flow == w.flow && p.near(f, a.ttl) })
	return ready, !one
}

// near reports whether a flow's probe to this TTL may get to the target: that may be nearer to some flows than to the
// ordinary trace's. Once it is known to be, it may be so by any number of hops.
func (p *Paths) near(f *pathFlow, ttl int) bool {
	reset := f.resets > 0 && ttl >= f.resets
	return p.alone || ttl > f.router &&
		(ttl >= p.reach-nearer || reset || p.blind(ttl) || p.uneven() || p.gets(f, ttl))
}

// gets reports whether the target is taken to get a flow's probe to this TTL. A target that has answered nobody may be
// right beyond each router beyond which nobody has answered: ways may have different lengths.
func (p *Paths) gets(f *pathFlow, ttl int) bool {
	if ttl >= p.reach {
		return true
	}
	return p.end == 0 && f.router > 0 && ttl > p.extent[spotName{f.router, f.cells[f.router].seen[0]}]
}

// lastHop reports whether flows that are sent on from a spot are taken to get to the target.
func (p *Paths) lastHop(ttl int, s *spot) bool {
	return ttl+1 >= p.reach || p.end == 0 && p.extent[spotName{ttl, s.key}] == ttl
}

// recharge counts anew which SYNs a target may have got that has answered nobody, by what is known now.
func (p *Paths) recharge() {
	for _, a := range slices.Concat(p.unheard, p.flying) {
		switch gets := p.gets(p.flows[a.flow], a.ttl); {
		case gets && !a.counts:
			p.syns++
			a.counts = true
		case !gets && a.counts && !a.arrived:
			p.syns--
			a.counts = false
		}
	}
}

// uneven reports whether the target is known to be nearer to some flows than to that of the ordinary trace. By
// connections the trace's own distance is too rough for that.
func (p *Paths) uneven() bool { return p.end < p.traced && !p.connects() }

// blind reports whether the target may be nearer to some flows than to others, so that a probe to this TTL gets to it,
// and not enough is known of the hop to rule that out.
func (p *Paths) blind(ttl int) bool {
	return p.end > 0 && ttl < p.reach && p.hops[ttl].met < p.rule.flows(1) && (ttl >= p.end-nearer || p.head > 0)
}

// arrivals is how many SYNs may get to the target beside those that are counted, if one more is sent to this TTL: one
// more than can be expected, for the last SYNs that are left must not be spent by two probes at once.
func (p *Paths) arrivals(ttl int) int {
	n, expected := 1, p.mayArrive(ttl)
	for _, a := range p.flying {
		if a.near && !a.counts {
			n++
			expected += p.mayArrive(a.ttl)
		}
	}
	return min(n, 1+int(math.Ceil(expected)))
}

// risked is how many SYNs get to the target of those that are in flight to hops at which it isn't taken to be, and of
// one more to this TTL, if it is nearer to as many flows as may be.
func (p *Paths) risked(ttl int) float64 {
	expected := p.rule.hidden(p.hops[ttl].past)
	for _, a := range p.flying {
		if !a.counts && a.ttl > p.flows[a.flow].router {
			expected += p.rule.hidden(p.hops[a.ttl].past)
		}
	}
	return expected + math.Sqrt(expected)/2
}

// mayArrive is the share of the flows that may meet the target at a TTL, or before. That it is nearer by more than one
// hop is rare on short paths.
func (p *Paths) mayArrive(ttl int) float64 {
	switch {
	case ttl >= p.reach:
		return 1
	case !p.blind(ttl):
		return p.rule.hidden(p.hops[ttl].met)
	case ttl < p.end-1 && p.head == 0:
		return 0.25
	}
	return 1
}

func (p *Paths) send(now time.Time, w want, round bool) Action {
	f := p.flows[w.flow]
	probe := p.maker.ProbeBy(f.port, w.ttl)
	probe.FlowLabel = f.label
	a := &pathAsk{key: probe.Key(), flow: w.flow, ttl: w.ttl, sent: now, round: round,
		counts: p.gets(f, w.ttl) && !p.alone, blind: p.blind(w.ttl) && w.ttl > f.router,
		near: p.near(f, w.ttl)}
	p.hops[w.ttl].last = now
	p.flying, f.asks = append(p.flying, a), append(f.asks, a)
	c := &f.cells[w.ttl]
	c.flying, c.planned, c.unclear = c.flying+1, false, false
	f.flying++
	p.sent++
	if p.soon = now.Add(p.maker.o.Spacing); a.counts {
		p.syns++
	}
	action := Send(probe)
	action.Note = a
	switch {
	case p.alone:
		action.Trust = TrustAlone
	case !p.near(f, w.ttl):
		action.Trust = TrustAside
	}
	return action
}

// Learn implements Plan.
func (p *Paths) Learn(now time.Time, r Result) {
	a, ok := r.Note.(*pathAsk)
	if !ok {
		return
	}
	p.stale = true
	switch r.Outcome {
	case Answered:
		p.close(a)
		if p.doubtful(a, r) {
			p.flows[a.flow].cells[a.ttl].unclear = true
			p.confuse(now, a, r)
			p.endTurn(a, false)
			return
		}
		p.answer(now, a, r)
	case Lost:
		p.close(a)
		p.silence(a)
	case Failed, Unknown:
		p.close(a)
		p.flows[a.flow].cells[a.ttl].tries++ // so that this comes to an end
		p.endTurn(a, false)
	case Late:
		if r.FromTarget() && r.Evidence != ByTag && !p.connects() { // a connection is its probe's own
			p.confuse(now, a, r)
			return
		}
		if c := &p.flows[a.flow].cells[a.ttl]; len(c.seen) == 0 {
			p.trust(a)
			p.answer(now, a, r)
		}
	case Shared:
		if p.sole(a, r) {
			p.answer(now, a, r)
			return
		}
		p.confuse(now, a, r)
	case Duplicate:
		switch {
		case r.FromTarget():
			p.repeated(a.flow)
		case r.Evidence == ByTag && !r.Refused():
			p.disproves(a, r)
		}
	case Rewritten:
		if p.scraps++; p.scraps >= rewriteProof {
			p.alone, p.reach = true, p.first
		}
	}
}

// close takes a probe out of those in flight.
func (p *Paths) close(a *pathAsk) {
	a.over = true
	f := p.flows[a.flow]
	f.flying--
	f.cells[a.ttl].flying--
	if i := slices.Index(p.flying, a); i >= 0 {
		p.flying = slices.Delete(p.flying, i, i+1)
	}
}

func (p *Paths) answer(now time.Time, a *pathAsk, r Result) {
	f := p.flows[a.flow]
	p.meet(a.flow, a.ttl, r)
	at := p.gotTo(r)
	if r.FromTarget() {
		f.ready = now.Add(resetTime + r.RTT()/resetShare)
	}
	switch {
	case at:
		p.arrived(f, a)
	case a.counts:
		p.syns--
		a.counts = false
	}
	if r.FromTarget() && p.value(r) == resetValue {
		f.reset = append(f.reset, a)
		p.recount()
	}
	if c := &f.cells[a.ttl]; c.doubt {
		p.trust(a)
	}
	p.endTurn(a, true)
}

// sole reports whether all probes of a flow that an answer of the target may belong to had one TTL: then it doesn't
// matter which of them it was. Those that were answered before don't count if it is a reset: that comes once.
func (p *Paths) sole(a *pathAsk, r Result) bool {
	f, reset := p.flows[a.flow], p.value(r) == resetValue
	for ttl := f.router + 1; ttl <= p.last; ttl++ {
		c := &f.cells[ttl]
		if ttl != a.ttl && (c.flying > 0 || c.tries > 0 || c.unclear || len(c.seen) > 0 && !reset) {
			return false
		}
	}
	return a.ttl > f.router
}

// confuse takes in that the target has answered a flow, but not which of its probes. From now on none that may be
// answered by it is in flight with another of its flow, and those that were are sent anew. If only older ones are
// meant, which were given up before, it is enough to ask once more.
func (p *Paths) confuse(now time.Time, a *pathAsk, r Result) {
	f, low := p.flows[a.flow], p.first
	for ttl := p.first; ttl <= p.last; ttl++ {
		if s := f.cells[ttl].seen; len(s) > 0 && !p.final(s[0]) {
			low = ttl + 1
		}
	}
	f.ready = now.Add(p.timeout())
	reset := p.accepts && p.value(r) == resetValue
	switch {
	case reset: // not the target's, which may be as far as ever
		f.resets = low
	default:
		p.arrived(f, a)
	}
	f.told = !reset && f.ends == 0
	if !slices.ContainsFunc(p.flying, func(b *pathAsk) bool { return b.flow == a.flow && b != a }) {
		a.unclear = true
		return
	}
	if reset {
		return
	}
	p.reach = min(p.reach, low)
	for _, b := range append(p.flying, a) {
		if b.flow == a.flow && b.ttl >= p.reach && !b.counts {
			b.counts = true
			p.syns++
		}
	}
}

// arrived counts a SYN that has got to the target. If the one that was answered, as far as is known, was answered
// before, it was another one of its flow.
func (p *Paths) arrived(f *pathFlow, a *pathAsk) {
	for _, b := range slices.Concat([]*pathAsk{a}, f.asks) {
		if seen := f.cells[b.ttl].seen; b.arrived || len(seen) > 0 && !p.final(seen[0]) {
			continue // or a router has answered it
		}
		if b.arrived = true; !b.counts {
			b.counts = true
			p.syns++
		}
		return
	}
}

// doubtful reports whether a reset that the target hasn't sent may be the answer to another probe of its flow. What
// resets flows may be at any hop, so probes to hops that were not thought to be the target's count, too.
func (p *Paths) doubtful(a *pathAsk, r Result) bool {
	if !r.FromTarget() || r.Evidence == ByTag || p.connects() || !p.accepts || p.value(r) != resetValue {
		return false
	}
	router := p.flows[a.flow].router
	return slices.ContainsFunc(p.flying, func(b *pathAsk) bool {
		return b.flow == a.flow && b.ttl > router && b.ttl != a.ttl
	})
}

// disproves takes in that a router has answered a probe, though an answer in the target's name was taken for the
// probe's: it was another one's.
func (p *Paths) disproves(a *pathAsk, r Result) {
	f := p.flows[a.flow]
	c := &f.cells[a.ttl]
	if len(c.seen) != 1 || !inName(c.seen[0]) {
		return
	}
	c.seen = nil
	ended := func(c cell) bool { return len(c.seen) > 0 && p.final(c.seen[0]) }
	f.ends = max(0, slices.IndexFunc(f.cells, ended))
	p.meet(a.flow, a.ttl, r)
}

// repeated takes in that the target has answered a flow once more, after one of its probes was answered: others of its
// probes may have got there, too.
func (p *Paths) repeated(flow int) {
	for _, b := range p.flying {
		if b.flow == flow && b.near && !b.counts {
			b.counts = true
			p.syns++
		}
	}
}

// silence takes in that a probe was not answered.
func (p *Paths) silence(a *pathAsk) {
	c, h := &p.flows[a.flow].cells[a.ttl], &p.hops[a.ttl]
	c.tries++
	if a.counts || p.end == 0 {
		p.unheard = append(p.unheard, a)
	}
	defer p.endTurn(a, false)
	switch {
	case len(c.seen) > 0 || c.silent || c.flying > 0 || c.doubt:
	case c.tries < fastTries && (!p.slow(a.ttl) || p.deadEnd(a.flow, a.ttl)):
	case p.deadEnd(a.flow, a.ttl):
		c.silent = true
	case p.gets(p.flows[a.flow], a.ttl) && !a.unclear:
		c.tries = 2 * fastTries // enough of those
	case a.unclear:
	case h.mute && p.roundsNeeded(a.flow, a.ttl) == cleanRounds:
		c.silent = true
	default:
		p.suspect(a.flow, a.ttl)
	}
}

// mayEnd reports whether the target is next to a spot, or may be for all that is known.
func (p *Paths) mayEnd(ttl int, s *spot) bool {
	return slices.ContainsFunc(s.next, inName) || len(s.next) == 0 && p.lastHop(ttl, s)
}

// spared reports whether a spot was tested less than others, as the target is spared SYNs.
func (p *Paths) spared(ttl int, s *spot) bool {
	return p.mayEnd(ttl, s) && s.n < p.rule.flows(max(1, len(s.next)))
}
