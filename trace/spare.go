package trace

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.example/tcptraceroute/packet"
)

// A TargetBudget bounds how many SYNs may get to one target: those of all traces to it, and of ordinary connections.
// Whoever is about to send one asks it before. A SYN may get there if no router has let a probe to the target expire
// that had the same TTL or a higher one, unless a router has refused it, or its flow is dropped on the way. Nil has
// no bound. Any goroutine may use it.
type TargetBudget struct {
	target netip.Addr
	most   int

	mu       sync.Mutex
	others   int       // SYNs of ordinary connections
	before   int       // the highest TTL with which a probe has expired at a router
	routers  [256]bool // at these TTLs some have
	ahead    int       // see expectAhead; 0: nothing is believed
	expected int       // SYNs with lower TTLs should not get there, by the target's answers; 0: that isn't known
	flows    map[synFlow]*flowSYNs
	withheld int
	known    bool // n is what spent returns
	n        int
}

// synFlow is by what filters and balancers tell the SYNs to one target apart.
type synFlow struct{ from, to uint16 }

// flowSYNs are the SYNs of one flow.
type flowSYNs struct {
	syns    []ttlSYNs
	farther int  // the highest TTL of one that was answered, by whomever
	refused bool // a router has refused one
	reached bool // somebody has answered in the target's name
}

// ttlSYNs are those with one TTL.
type ttlSYNs struct{ ttl, pending, lost, other int }

// expectAhead is how many hops beyond the last router, and no more than there are up to there, the target's own
// answers are believed to be no target's as long as probes to them may be answered. With fewer a trace takes longer;
// each is a SYN too many where these answers mislead.
const expectAhead = 8

// dropLosses is how many SYNs of a flow must be lost at routers that answer others to show that the flow is dropped
// before them.
const dropLosses = 2

// dropped reports whether the flow is dropped or refused on the way to the target.
func (f *flowSYNs) dropped(routers *[256]bool) bool {
	if f.refused && !f.reached {
		return true
	}
	n := 0
	for _, s := range f.syns {
		if s.ttl > f.farther && routers[s.ttl] {
			n += s.lost
		}
	}
	return n >= dropLosses
}

// NewTargetBudget lets so many SYNs get to an address.
func NewTargetBudget(target netip.Addr, most int) *TargetBudget {
	return &TargetBudget{target: target.WithZone(""), most: most, flows: make(map[synFlow]*flowSYNs)}
}

// Before is the highest TTL with which a probe to the target has expired at a router; 0: none has.
func (b *TargetBudget) Before() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.before
}

// Spent is how many SYNs may have got to the target.
func (b *TargetBudget) Spent() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent()
}

func (b *TargetBudget) spent() int {
	if b.known {
		return b.n
	}
	b.known, b.n = true, b.others
	answersAll := b.answersAll()
	for _, f := range b.flows {
		if f.dropped(&b.routers) {
			continue
		}
		for _, s := range f.syns {
			switch {
			case s.ttl <= b.before:
			case s.ttl < b.expected:
				b.n += s.pending
				if s.ttl <= b.before+min(b.before, b.ahead) {
					b.n -= s.pending
				}
				if !answersAll {
					b.n += s.lost + s.other
				}
			default:
				b.n += s.pending + s.lost + s.other
			}
		}
	}
	return b.n
}

// answersAll reports whether the target has answered all SYNs that it got, as far as its own answers say how far away
// it is: then it would have answered those that were lost before, if they had got there.
func (b *TargetBudget) answersAll() bool {
	for _, f := range b.flows {
		if slices.ContainsFunc(f.syns, func(s ttlSYNs) bool { return s.ttl >= b.expected && s.lost > 0 }) {
			return false
		}
	}
	return b.expected > 0
}

// at are the SYNs like a probe.
func (b *TargetBudget) at(p *packet.Probe) (*flowSYNs, *ttlSYNs) {
	b.known = false
	name, ttl := synFlow{p.Src.Port(), p.Dst.Port()}, int(p.TTL)
	f := b.flows[name]
	if f == nil {
		f = new(flowSYNs)
		b.flows[name] = f
	}
	i := slices.IndexFunc(f.syns, func(s ttlSYNs) bool { return s.ttl == ttl })
	if i < 0 {
		i = len(f.syns)
		f.syns = append(f.syns, ttlSYNs{ttl: ttl})
	}
	return f, &f.syns[i]
}

// Withheld is how many probes of traces were not sent because their SYNs would have been too many.
func (b *TargetBudget) Withheld() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.withheld
}

// TakeOrdinary asks for a SYN of an ordinary connection after which so many are left, and reports whether it may
// leave.
func (b *TargetBudget) TakeOrdinary(left int) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent()+left >= b.most {
		return false
	}
	b.others++
	b.known = false
	return true
}

// expect says that SYNs with lower TTLs should not get to the target, by its own answers: as long as they may still
// be answered, they don't count. 0: none are.
func (b *TargetBudget) expect(ttl, queries int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = b.known && b.expected == ttl
	b.expected, b.ahead = ttl, 0
	if queries <= DefaultQueries { // else too many go to each hop at once
		b.ahead = expectAhead
	}
}

// Spend takes in that so many SYNs may have got to the target by a search for all paths, with those of the trace
// before.
func (b *TargetBudget) Spend(syns int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.others += max(syns+b.others-b.spent(), 0)
	b.known = false
}

// full reports whether no SYN with this TTL may leave any more.
func (b *TargetBudget) full(ttl int) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return ttl > b.before && b.spent() >= b.most
}

// counts reports whether a probe is a SYN to the target.
func (b *TargetBudget) counts(p *packet.Probe) bool {
	return p.Protocol == packet.ProtoTCP && p.Flags&(packet.SYN|packet.ACK) == packet.SYN &&
		p.Dst.Addr().WithZone("") == b.target
}

// take asks for a SYN.
func (b *TargetBudget) take(p *packet.Probe) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(p.TTL) > b.before && b.spent() >= b.most {
		b.withheld++
		return false
	}
	_, s := b.at(p)
	s.pending++
	return true
}

// learn takes in what became of a probe.
func (b *TargetBudget) learn(r Result) {
	ttl := int(r.Probe.TTL)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts(&r.Probe) {
		f, s := b.at(&r.Probe)
		if r.Reply != nil && (r.Outcome == Answered || r.Outcome == Late) {
			f.farther = max(f.farther, ttl)
			f.reached = f.reached || r.FromTarget()
			f.refused = f.refused || r.Refused() && r.Reply.From() != b.target
		}
		if r.Outcome.Final() {
			s.pending--
		}
		switch {
		case r.Outcome == Lost:
			s.lost++
		case r.Outcome == Unknown, r.Outcome == Answered && (r.FromTarget() || r.Reply.From() == b.target):
			s.other++
		}
	}
	expired := r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded
	if expired && (r.Outcome == Answered || r.Outcome == Late) {
		b.known = false
		b.before, b.routers[ttl] = max(b.before, ttl), true
	}
}

// A Guarded is a plan for the target of a [TargetBudget]. Its SYNs that would be too many are not sent: to the plan
// they are lost, and nobody else hears of them.
type Guarded struct {
	Plan
	budget   *TargetBudget
	withheld int
}

// Guard returns the plan, held to the budget.
func (b *TargetBudget) Guard(p Plan) *Guarded { return &Guarded{Plan: p, budget: b} }

// Withheld is how many probes of the plan were not sent.
func (g *Guarded) Withheld() int { return g.withheld }

// Next implements Plan.
func (g *Guarded) Next(now time.Time) Action {
	for {
		a := g.Plan.Next(now)
		if a.Do != DoSend || g.budget == nil || !g.budget.counts(&a.Probe) || g.budget.take(&a.Probe) {
			return a
		}
		g.withheld++
		g.Plan.Learn(now, Result{Probe: a.Probe, Role: a.Role, Note: a.Note, Outcome: Lost, Sent: now})
	}
}

// Learn implements Plan.
func (g *Guarded) Learn(now time.Time, r Result) {
	if g.budget != nil {
		g.budget.learn(r)
	}
	g.Plan.Learn(now, r)
}
