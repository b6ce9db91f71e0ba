package trace

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.example/tcptraceroute/packet"
)

// Targets is the plan for many targets, one after the other and some at the same time: the next is begun when one ends.
// It keeps nothing of a target that has come to its end, so a run may have any number of them.
type Targets struct {
	o      TargetsOptions
	group  *Group
	open   map[int]*bounded     // by their numbers in the group
	nearby map[netip.Prefix]int // how many of them are in each network

	// waiting are those that were taken and are held back because too many of their network are open, held is how many.
	// Of the networks in freed a target has ended since.
	waiting map[netip.Prefix][]Offer
	held    int
	freed   []netip.Prefix

	mu      sync.Mutex
	stop    time.Time // see Stop; zero: nobody asked
	stopped bool      // those that are open know of it
}

// TargetsOptions say how many targets are traced at the same time, and which. The zero value of a number is its
// default.
type TargetsOptions struct {
	Open    int           // how many targets are open at the most; default 100
	Nearby  int           // how many of them are in one network (an IPv4 /24, an IPv6 /48) at the most; default 2
	Timeout time.Duration // how long a target is traced at the most; 0: as long as it takes

	// Next hands over the next target, if there is one now; it must not wait. It is called by the goroutine that called
	// Run. If there is one only later, wake the run then (Options.Wake).
	Next func() (Offer, bool)

	// Hold reports whether no target may be begun now, because the results can't be taken so fast; nil: one may always be.
	// Wake the run when that changes (Options.Wake).
	Hold func() bool

	// Over is called when a target has come to its end, with its number (see Targets.Of). It is whole unless it was ended
	// before its time, by Timeout or Stop.
	Over func(target int, whole bool)
}

// An Offer is a target that may be traced when its turn comes.
type Offer struct {
	Addr netip.Addr // of the target

	// Begin makes the target's plan when its turn has come. number is what Targets.Of and Over call the target; they are
	// counted from 0. nil: it can't be traced.
	Begin func(number int) Plan
}

const (
	defaultOpen   = 100
	defaultNearby = 2

	// mostHeldBack is how many targets wait at the most because too many of their network are open; so many following
	// ones are looked at for one in another network.
	mostHeldBack = 4096

	network4, network6 = 24, 48 // bits of what is one network
)

// NewTargets returns a plan for the targets that o.Next hands over.
func NewTargets(o TargetsOptions) *Targets {
	if o.Open == 0 {
		o.Open = defaultOpen
	}
	if o.Nearby == 0 {
		o.Nearby = defaultNearby
	}
	t := &Targets{o: o, group: NewGroup(), open: make(map[int]*bounded), nearby: make(map[netip.Prefix]int),
		waiting: make(map[netip.Prefix][]Offer)}
	t.group.Over = t.over
	return t
}

// Of returns which target, by its number, a result belongs to, and the result as the target's plan sees it. Results may
// come after the target's end. -1: it belongs to none.
func (t *Targets) Of(r Result) (target int, own Result) { return t.group.Of(r) }

// Open returns how many targets are being traced, or wait until fewer of their network are. Only the goroutine that
// called Run may call it.
func (t *Targets) Open() int { return len(t.open) + t.held }

// Stop begins no further target, and ends those that are open at a time: what is known of them then is the result. Any
// goroutine may call it; wake the run afterwards (Options.Wake).
func (t *Targets) Stop(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop.IsZero() || at.Before(t.stop) {
		t.stop, t.stopped = at, false
	}
}

// Next implements Plan.
func (t *Targets) Next(now time.Time) Action {
	for {
		stopping := t.tellStop()
		if !stopping {
			t.fill(now)
		}
		a := t.group.Next(now)
		if a.Do != DoWait || t.tellStop() == stopping && (stopping || !t.fill(now)) {
			return a
		}
	}
}

// tellStop reports whether no further target is begun, and lets those that are open know when they end.
func (t *Targets) tellStop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop.IsZero() {
		return false
	}
	if !t.stopped {
		t.stopped = true
		t.waiting, t.held, t.freed = nil, 0, nil
		for number, p := range t.open {
			p.endBy(t.stop)
			t.group.Ask(number)
		}
	}
	return true
}

// fill begins targets as long as there is room for them, and reports whether it has begun any.
func (t *Targets) fill(now time.Time) (any bool) {
	if len(t.open) >= t.o.Open || t.o.Hold != nil && t.o.Hold() {
		return false
	}
	for len(t.freed) > 0 && len(t.open) < t.o.Open {
		o, ok := t.release(t.freed[0])
		if !ok {
			t.freed = t.freed[1:]
			continue
		}
		any = t.begin(now, o) || any
	}
	for len(t.open) < t.o.Open && t.held < mostHeldBack {
		o, ok := t.o.Next()
		if !ok {
			return any
		}
		if network := networkOf(o.Addr); t.nearby[network] < t.o.Nearby {
			any = t.begin(now, o) || any
		} else {
			t.waiting[network] = append(t.waiting[network], o)
			t.held++
		}
	}
	return any
}

// release takes the first target of a network that is held back, if one is and there is room for it.
func (t *Targets) release(network netip.Prefix) (o Offer, ok bool) {
	held := t.waiting[network]
	if len(held) == 0 || t.nearby[network] >= t.o.Nearby {
		return o, false
	}
	o, held[0] = held[0], Offer{}
	if t.held--; len(held) == 1 {
		delete(t.waiting, network)
	} else {
		t.waiting[network] = held[1:]
	}
	return o, true
}

// begin makes a target's plan a member of the group.
func (t *Targets) begin(now time.Time, o Offer) bool {
	b := &bounded{network: networkOf(o.Addr)}
	if t.o.Timeout > 0 {
		b.end = now.Add(t.o.Timeout)
	}
	number := t.group.Add(b)
	if b.plan = o.Begin(number); b.plan == nil {
		t.group.Remove(number)
		return false
	}
	t.open[number] = b
	t.nearby[b.network]++
	return true
}

func (t *Targets) over(number int) {
	b := t.open[number]
	if b == nil {
		return
	}
	delete(t.open, number)
	if t.nearby[b.network]--; t.nearby[b.network] == 0 {
		delete(t.nearby, b.network)
	}
	if len(t.waiting[b.network]) > 0 {
		t.freed = append(t.freed, b.network)
	}
	if t.o.Over != nil {
		t.o.Over(number, !b.cut)
	}
}

// networkOf is the network that an address counts for.
func networkOf(a netip.Addr) netip.Prefix {
	bits := network6
	if a.Is4() {
		bits = network4
	}
	p, _ := a.WithZone("").Prefix(bits) // an address has so many bits
	return p
}

// Learn implements Plan.
func (t *Targets) Learn(now time.Time, r Result) { t.group.Learn(now, r) }

// bounded is the plan of one target, which ends at a time whatever that plan wants: the probes that are in flight then
// are withdrawn.
type bounded struct {
	plan     Plan
	network  netip.Prefix
	end      time.Time // zero: as late as the plan wants
	inFlight []packet.Key
	flows    []packet.Key // a probe of each flow that is in use
	failed   int          // how many probes failed
	left     bool         // one has left this host
	cut      bool         // its end came before the plan's
}

// endBy has the plan end at a time, unless it ends before.
func (b *bounded) endBy(at time.Time) {
	if b.end.IsZero() || at.Before(b.end) {
		b.end = at
	}
}

// Next implements Plan.
func (b *bounded) Next(now time.Time) Action {
	if !b.end.IsZero() && !now.Before(b.end) {
		b.cut = b.cut || b.failed < mostFailed || b.left
		if len(b.inFlight) == 0 {
			return b.endFlow()
		}
		k := b.inFlight[0]
		b.inFlight = b.inFlight[1:]
		return Withdraw(k)
	}
	a := b.plan.Next(now)
	switch {
	case a.Do == DoSend:
		b.sends(a.Probe.Key())
	case a.Do == DoWait && a.Until.IsZero() && len(b.inFlight) == 0:
		return b.endFlow()
	case a.Do != DoWait || b.end.IsZero():
	case !a.Until.IsZero() && a.Until.After(b.end), a.Until.IsZero() && len(b.inFlight) > 0:
		a.Until = b.end
	}
	return a
}

// sends takes in that a probe is sent.
func (b *bounded) sends(k packet.Key) {
	b.inFlight = append(b.inFlight, k)
	if !slices.ContainsFunc(b.flows, func(f packet.Key) bool { return f.Port == k.Port && f.Seq == k.Seq }) {
		b.flows = append(b.flows, k)
	}
}

// endFlow ends one of the flows in use, when the plan has come to its end. The zero Action: there is none.
func (b *bounded) endFlow() Action {
	if len(b.flows) == 0 {
		return Action{}
	}
	k := b.flows[0]
	b.flows = b.flows[1:]
	return EndFlow(k)
}

// mostFailed is how many probes of a target may fail before one has left this host: after each the engine pauses, and
// the other targets with it.
const mostFailed = 3

// Learn implements Plan.
func (b *bounded) Learn(now time.Time, r Result) {
	switch r.Outcome {
	case Failed:
		b.failed++
	case Answered, Lost:
		b.left = true
	}
	if b.failed >= mostFailed && !b.left {
		b.endBy(now)
	}
	if r.Outcome.Final() {
		own := r.Probe.Key()
		b.inFlight = slices.DeleteFunc(b.inFlight, func(k packet.Key) bool { return k == own })
	}
	b.plan.Learn(now, r)
}
