package trace

import (
	"errors"
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
