package measure

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// The first router stands on the way to every target, as far as the routing table sends them there. Asked for each of
// them it is asked too often: Linux answers 6 probes, and then one a second, so nearly every trace would lack it. So it
// is asked for some targets only, and the others take over what it answered.

const (
	// sureAnswers is to how many targets a gateway must have answered, by the same address, before others take that over.
	// Two devices that share an address, and answer by one of their own each, are taken for one router once in 16 times.
	sureAnswers = 5

	// wholeShare: one target in so many is asked whole, hop 1 too. If its answer is another one, nothing is taken over
	// from then on.
	wholeShare = 16

	// A gateway is asked for so many targets at once, and one in wholePause after that. With two probes per hop that is 20
	// probes in the first second, and 10 in each that follows.
	wholeBurst = 5
	wholePause = 200 * time.Millisecond

	// mostAwaiting is how many targets that have come to their end wait for the gateway's first answers.
	mostAwaiting = 256

	// longestAwaiting is how long the first of them waits. By then the gateway seems to be silent, and no other waits.
	longestAwaiting = 2 * time.Second
)

// gateway is a first router, and what is known of it.
type gateway struct {
	addr     netip.Addr // that it answers by; invalid: it has not answered
	answers  int        // targets whose probes it has answered by that
	disputed bool       // it has answered by another address too: several devices, perhaps

	begun int       // targets since one was asked whole
	free  float64   // targets that may be asked whole now
	at    time.Time // when they were counted

	silent   bool      // it seems to be, see longestAwaiting
	since    time.Time // when the first began to wait
	awaiting []*opened // targets that were not asked at hop 1 and have come to their end, as long as nothing is sure
}

// gatewayKey is what the routing table says of a gateway.
type gatewayKey struct {
	device       string
	next, source netip.Addr
}

// gatewayOf is the gateway that a route goes by; nil: it goes to the target itself, or that isn't known.
func (r *manyRun) gatewayOf(route *wire.Route, o *trace.PathOptions) *gateway {
	first := o.Effective().FirstTTL
	if !route.Gateway.IsValid() || route.Elsewhere != "" || first != 1 || o.Effective().MaxTTL < 3 {
		return nil
	}
	key := gatewayKey{route.Interface, route.Gateway, route.Source}
	if r.gateways[key] == nil {
		r.gateways[key] = &gateway{free: wholeBurst}
	}
	return r.gateways[key]
}

// sure reports whether targets may take over who stands at hop 1.
func (g *gateway) sure() bool { return !g.disputed && g.answers >= sureAnswers }

// open reports whether it may still turn out that targets may take over who stands at hop 1.
func (g *gateway) open() bool { return !g.disputed && !g.sure() && !g.silent }

// askWhole reports whether the next target is to be asked at hop 1 too.
func (g *gateway) askWhole(now time.Time) bool {
	if g.disputed {
		return true
	}
	if g.begun++; g.sure() && g.begun < wholeShare || !g.mayAsk(now) {
		return false
	}
	g.begun = 0
	return true
}

// mayAsk reports whether the gateway may be asked for one more target now, and counts it.
func (g *gateway) mayAsk(now time.Time) bool {
	if !g.at.IsZero() {
		g.free = min(g.free+float64(now.Sub(g.at))/float64(wholePause), wholeBurst)
	}
	g.at = now
	if g.free < 1 {
		return false
	}
	g.free--
	return true
}

// learn takes in who has answered a target's probe at hop 1.
func (g *gateway) learn(from netip.Addr) {
	switch {
	case !g.addr.IsValid():
		g.addr, g.answers = from, 1
	case g.addr != from:
		g.disputed = true
	default:
		g.answers++
	}
}

// expiredAtFirst reports whether a router says that a probe has expired at hop 1.
func expiredAtFirst(r *trace.Result) bool {
	return r.Probe.TTL == 1 && r.Role == trace.RoleHop && r.Outcome == trace.Answered &&
		r.Reply.Kind == packet.KindTimeExceeded
}

// beyondFirst is the plan for a target that is not asked at hop 1 unless what comes from beyond makes that needed.
type beyondFirst struct {
	trace.Plan                      // of the hops beyond, then of hop 1
	o          trace.PathOptions    // whole
	beyond     *trace.Trace         // the hops beyond
	first      bool                 // hop 1 is being asked, or was
	pending    int                  // probes in flight
	mayAsk     func(time.Time) bool // for a target that nothing is known of
	asked      func()               // is called when hop 1 is asked
}

func newBeyondFirst(o trace.PathOptions) (*beyondFirst, error) {
	further := o
	further.FirstTTL = 2
	plan, err := trace.NewPath(further)
	if err != nil {
		return nil, err
	}
	return &beyondFirst{Plan: plan, o: o, beyond: trace.NewTrace(further)}, nil
}

// Next implements trace.Plan.
func (b *beyondFirst) Next(now time.Time) trace.Action {
	a := b.Plan.Next(now)
	if a.Do == trace.DoSend {
		b.pending++
	}
	if a.Do != trace.DoWait || !a.Until.IsZero() || b.pending > 0 || b.first {
		return a
	}
	b.first = true
	b.beyond.Finish()
	if !b.needsFirst(now) {
		return a
	}
	nearest := b.o
	nearest.FirstTTL, nearest.MaxTTL = 1, 1
	plan, err := trace.NewPath(nearest)
	if err != nil {
		return a // the options were good before
	}
	b.Plan = plan
	b.asked()
	return b.Next(now)
}

// needsFirst reports whether hop 1 has to be asked: the target, or who refuses, may stand there; or nothing is known.
func (b *beyondFirst) needsFirst(now time.Time) bool {
	for ttl := b.beyond.First(); ttl <= b.beyond.Last(); ttl++ {
		for _, r := range b.beyond.Hop(ttl).Probes {
			if r.Outcome != trace.Answered {
				continue
			}
			return ttl == 2 && (r.Refused() || r.FromTarget() && !routed(r.Reply.IP.TTL))
		}
	}
	return b.beyond.Unplaced() != nil || b.mayAsk(now)
}

// routed reports whether a packet has passed a router: its TTL is not one that packets are sent with.
func routed(ttl uint8) bool { return !slices.Contains([]uint8{32, 64, 128, 255}, ttl) }

// Spared is that of [trace.Path].
func (b *beyondFirst) Spared() bool { return !b.first && b.Plan.(*trace.Path).Spared() }

// Short is that of [trace.Path].
func (b *beyondFirst) Short() bool { return !b.first && b.Plan.(*trace.Path).Short() }

// Learn implements trace.Plan.
func (b *beyondFirst) Learn(now time.Time, r trace.Result) {
	if r.Outcome.Final() {
		b.pending--
	}
	if !b.first {
		b.beyond.Add(r)
	}
	b.Plan.Learn(now, r)
}
