package trace

import (
	"slices"

	"go.example/tcptraceroute/packet"
)

// Trace is the pure fold of one path's results into hops. The zero value is not ready: use NewTrace.
type Trace struct {
	first, last    int // TTLs
	farthest       int // the highest TTL at which a router answered
	queries        int
	hops           []Hop
	options        PathOptions
	distanceProbes []Result // the outcomes of probes that were not sent for a hop
	secondDistance []Result // second answers to these
	target         int      // the lowest TTL that the target answered at; else the highest that may be probed
	beforeTop      int      // the number of the first probe to the hop before the highest TTL; 0: none
	refusals       refusals
	elsewhere      refusals // of distance probes
	voices         voices
	shared         *Result
	foreign        []Result
	over           bool
}

// Hop is what is known of one TTL.
type Hop struct {
	TTL    int
	Probes []Result // the outcomes, in order of sending, without those that are Unknown
	Extra  []Result // notices: late and second answers

	// Unknown are the first probes that are Unknown, no more than there are queries, in no order. Most were sent anew
	// because a limit may have dropped them.
	Unknown []Result
}

// NewTrace begins a trace of the path that o describes.
func NewTrace(o PathOptions) *Trace {
	o = o.withDefaults()
	t := &Trace{first: o.FirstTTL, last: o.MaxTTL, target: o.MaxTTL, queries: o.Queries, options: o}
	t.hops = make([]Hop, o.MaxTTL-o.FirstTTL+1)
	for i := range t.hops {
		t.hops[i].TTL = o.FirstTTL + i
	}
	return t
}

// usualQueries is for how many probes a hop has room from the beginning. Whoever asks for billions has hardly memory
// for them.
const usualQueries = 100

// Add takes a result in.
func (t *Trace) Add(r Result) { t.Take(r) }

// Take takes a result in, as Add does. A notice may tell that the outcome of its probe is another one than it was said
// to be: the router's answer instead of one that somebody else gave in the target's name, or a refusal instead of
// silence. Take returns that outcome; nil where all outcomes stay as they are.
func (t *Trace) Take(r Result) (amended *Result) {
	ttl := int(r.Probe.TTL)
	if ttl < t.first || ttl-t.first >= len(t.hops) {
		return nil
	}
	h := &t.hops[ttl-t.first]
	t.voices.add(r)
	if r.Outcome == Elsewhere {
		t.foreign = append(t.foreign, r)
		return nil
	}
	if r.Role != RoleHop { // it belongs to no hop unless the target has answered it, see Hop
		return t.addDistance(r)
	}
	if r.Outcome.Final() && ttl == t.options.MaxTTL-1 && (t.beforeTop == 0 || r.N < t.beforeTop) {
		t.beforeTop = r.N
	}
	switch r.Outcome {
	case Answered, Lost, Failed:
		if h.Probes == nil {
			h.Probes = make([]Result, 0, min(t.queries, usualQueries))
		}
		h.Probes = inOrder(h.Probes, r)
		if r.Outcome == Answered {
			t.place(r)
		}
	case Unknown:
		h.unknown(r, t.queries)
	case Late, Duplicate:
		return t.addNotice(h, r)
	case Shared:
		t.place(r)
		if t.shared == nil {
			shared := r // so that only this one gets to the heap
			t.shared = &shared
		}
	}
	return nil
}

// addDistance takes in what became of a probe that was not sent for a hop.
func (t *Trace) addDistance(r Result) (amended *Result) {
	switch {
	case r.Outcome.Final():
		t.distanceProbes = inOrder(t.distanceProbes, r)
	case r.Outcome == Duplicate:
		amended = correct(t.distanceProbes, &r)
	case r.Outcome == Late && r.Refused():
		t.distanceProbes, amended = refuse(t.distanceProbes, r)
	}
	if amended != nil {
		r = *amended
	}
	switch r.Outcome {
	case Answered:
		t.elsewhere.add(r)
	case Duplicate:
		t.secondDistance = append(t.secondDistance, r)
	}
	if r.Role == RoleControl {
		t.endRow()
	}
	if r.FromTarget() && !t.refusals.beside {
		t.refusals.beside = true
		t.endRow()
	}
	return amended
}

// addNotice takes in a late or second answer to a probe of a hop.
func (t *Trace) addNotice(h *Hop, r Result) (amended *Result) {
	other := func(p Result) bool { return p.Outcome == Answered && !p.Refused() }
	switch {
	case r.Outcome == Duplicate:
		amended = correct(h.Probes, &r)
	case r.Refused() && !slices.ContainsFunc(h.Probes, other): // it is why nothing is heard from here on
		h.Probes, amended = refuse(h.Probes, r)
	}
	if amended == nil || r.Outcome == Duplicate {
		h.Extra = append(h.Extra, r)
	}
	if r.Reply.Kind == packet.KindTimeExceeded || r.FromTarget() {
		t.place(r)
	}
	if amended != nil {
		t.place(*amended)
	}
	return amended
}

// unknown keeps a probe that is Unknown, if it is one of the first.
func (h *Hop) unknown(r Result, most int) {
	if len(h.Unknown) < most {
		h.Unknown = append(h.Unknown, r)
	}
}

// correct has a probe that was answered twice show the answer of who was farther from the host: the router at which it
// expired instead of somebody who answered in the target's name. r is then the other answer. It returns the outcome
// that the probe has now; nil where it is the same as before.
func correct(probes []Result, r *Result) *Result {
	i := slices.IndexFunc(probes, func(p Result) bool { return p.N == r.N && p.Outcome == Answered })
	if i < 0 || !probes[i].FromTarget() || r.Reply.Kind != packet.KindTimeExceeded || r.Evidence != ByTag {
		return nil
	}
	probes[i], *r = *r, probes[i]
	probes[i].Outcome, r.Outcome = Answered, Duplicate
	now := probes[i]
	return &now
}

// refuse puts a refusal that came late in the place of the silence that it ends. It returns the outcome that the probe
// has now.
func refuse(probes []Result, r Result) ([]Result, *Result) {
	r.Outcome = Answered
	if i := slices.IndexFunc(probes, func(p Result) bool { return p.N == r.N }); i >= 0 {
		probes[i] = r
	} else { // it was taken back, to be sent anew
		probes = inOrder(probes, r)
	}
	return probes, &r
}

// place takes in what an answer says of where the path ends. Whoever answered in the target's name at a hop where a
// router answers, or before such a hop, was a device on the way.
func (t *Trace) place(r Result) {
	if r.Reply.Kind == packet.KindTimeExceeded {
		t.farthest = max(t.farthest, int(r.Probe.TTL))
	}
	t.refusals.add(r)
	t.endRow()
}

// endRow finds the hop where the path ends as far as is known.
func (t *Trace) endRow() {
	top := t.Top()
	if t.target = min(max(t.first, t.farthest+1), top); len(t.options.Ports) > 0 {
		t.target = t.first // one flow may go farther than another
	}
	at := t.byControl()
	unseen := func(ttl int) bool { return ttl == at && len(t.hops[ttl-t.first].Probes) == 0 }
	for t.target < top && !t.hops[t.target-t.first].reached() && !unseen(t.target) {
		t.target++
	}
	t.target = t.beyondDevice(t.target, at)
	if t.target == top && at > 0 {
		t.target = at
	}
	t.last = t.target
	if end := t.refusals.end(); end > 0 {
		t.last = max(min(t.last, end), t.first)
	}
}

// beyondDevice is the target's hop where it seems to be this one, the first beyond all routers that was reached: if a
// device has answered there alone, a silent router stands there. byControl is as the method says.
func (t *Trace) beyondDevice(seems, byControl int) int {
	for ttl := seems; ttl <= min(t.farthest+sweepAhead, t.Top()) && len(t.options.Ports) == 0; ttl++ {
		if ttl == byControl || t.hops[ttl-t.first].reached() && !t.voices.lacks(ttl, t.farthest) {
			return ttl
		}
	}
	return seems
}

// byControl is the hop where the target is by the probes to hops that had ports of their own: the lowest TTL at which
// it has answered one of them, if it has not answered one to the hop before, or a router did; else 0. They count only
// where the target has answered the path's own flow, too, and as far away.
func (t *Trace) byControl() (at int) {
	if t.shared == nil && !t.voices.two {
		return 0
	}
	for _, r := range t.distanceProbes {
		switch ttl := int(r.Probe.TTL); {
		case !r.FromTarget():
		case !t.voices.two && r.Reply.IP.TTL != t.shared.Reply.IP.TTL:
			return 0 // other ports go another way, or two boxes answer
		case r.Role == RoleControl && !t.voices.lacks(ttl, t.farthest) && (at == 0 || ttl < at):
			at = ttl
		}
	}
	before := func(r Result) bool {
		waited := r.Outcome == Lost || r.Outcome == Answered || t.voices.two && r.Outcome == Unknown // in a sweep
		return r.Role == RoleControl && int(r.Probe.TTL) == at-1 && waited
	}
	if at <= t.farthest || at > max(t.first, t.farthest+1) && !slices.ContainsFunc(t.distanceProbes, before) {
		return 0
	}
	return at
}

// reached reports whether the target is known to have answered a probe to the hop. That the answer came after the wait
// doesn't matter, if it names the probe.
func (h *Hop) reached() bool {
	late := func(r Result) bool { return r.Outcome == Late && r.Evidence == ByTag && r.FromTarget() }
	return slices.ContainsFunc(h.Probes, Result.FromTarget) || slices.ContainsFunc(h.Extra, late)
}

// Distance probes are the outcomes of the probes that were not sent for a hop (see [Role]), in order of sending.
func (t *Trace) DistanceProbes() []Result { return slices.Clip(t.distanceProbes) }

// SecondAnswers are the second answers to those.
func (t *Trace) SecondAnswers() []Result { return slices.Clip(t.secondDistance) }

// FromElsewhere are the answers to probes that came from another address or port than the probes were sent to.
func (t *Trace) FromElsewhere() []Result { return slices.Clip(t.foreign) }

// Finish says that no more results come: every hop is as complete as it gets.
func (t *Trace) Finish() {
	t.over = true
	if f := &t.elsewhere; t.refusals.nearest == 0 && t.last == t.options.MaxTTL && f.end() > t.refusals.router &&
		f.end() >= t.first {
		// All that the path's own flow was refused is missing.
		t.refusals = *f
		t.last = min(t.last, f.end())
	}
}

// Last is the last TTL that belongs to the path as far as is known now: the target's, that of a refusal, else the
// highest that may be probed; once the trace is over, no further than anything was probed.
func (t *Trace) Last() int {
	if !t.over {
		return t.last
	}
	last := t.last
	if top := len(t.hops) - 1; last == t.hops[top].TTL && top > 0 && len(t.hops[top-1].Probes) == 0 {
		last-- // only a distance probe has got there
	}
	for ttl := last; ttl >= t.first; ttl-- {
		if len(t.own(ttl)) > 0 || ttl == t.last && ttl == t.byControl() {
			return ttl
		}
	}
	return t.first - 1
}

// Complete reports whether the hop will not change any more.
func (t *Trace) Complete(ttl int) bool {
	if t.over {
		return true
	}
	probes := t.Hop(ttl).Probes
	return len(probes) >= t.queries && !t.disputed(ttl) && !t.soughtAt(ttl) && !refusedOnly(probes) &&
		!failedOnly(probes) && !t.contested(probes)
}

// contested reports whether a router may turn out to stand where these answers in the target's name are from: a device
// answers in its name, or may do so, for nothing was heard but resets, and of no router.
func (t *Trace) contested(probes []Result) bool {
	v := &t.voices
	device := v.two || v.kinds == resets|accepts || v.kinds == resets && t.farthest < t.first ||
		slices.ContainsFunc(v.hops, func(h hopVoice) bool { return h.ttl <= t.farthest })
	router := func(r Result) bool { return r.Outcome == Answered && !r.FromTarget() }
	return device && len(t.options.Ports) == 0 && slices.ContainsFunc(probes, Result.FromTarget) &&
		!slices.ContainsFunc(probes, router)
}

// soughtAt reports whether a hop, whose own probes nobody answered, may be asked once more because the target has
// answered: the hop beyond all routers may turn out to be the target's, and where each hop is asked once, a limit on
// SYNs is found by asking again.
func (t *Trace) soughtAt(ttl int) bool {
	if ttl <= t.farthest && t.queries > 1 || slices.ContainsFunc(t.hops[ttl-t.first].Probes, answered) {
		return false
	}
	heard := t.shared != nil || t.hops[t.target-t.first].reached()
	return heard || slices.ContainsFunc(t.distanceProbes, Result.FromTarget)
}

// failedOnly reports whether none of the probes has left this host: then others may be tried.
func failedOnly(probes []Result) bool {
	return !slices.ContainsFunc(probes, func(r Result) bool { return r.Outcome != Failed })
}

// disputed reports whether a hop, whose own probes nobody answered, may turn out to be the one that refuses: distance
// probes were refused there.
func (t *Trace) disputed(ttl int) bool {
	end := t.elsewhere.end()
	return end > 0 && ttl >= end && t.refusals.nearest == 0 && !slices.ContainsFunc(t.hops[ttl-t.first].Probes, answered)
}

func answered(r Result) bool { return r.Outcome == Answered }

// Hop is the hop at a TTL between the first and Last. That of the target has, where it was asked less often itself, the
// target's answers to distance probes too, behind its own: they have other TTLs. That of a refusal has all that were
// refused there, whatever their TTLs, before its own that nobody answered.
func (t *Trace) Hop(ttl int) Hop {
	h := t.hops[ttl-t.first]
	h.Probes = t.own(ttl)
	if ttl == t.last && ttl == t.refusals.end() && !slices.ContainsFunc(h.Probes, Result.FromTarget) {
		return t.refusal(h)
	}
	if ttl != t.last || !slices.ContainsFunc(h.Probes, Result.FromTarget) && ttl != t.byControl() {
		return h
	}
	distant := slices.Clone(t.distanceProbes)
	slices.SortStableFunc(distant, func(a, b Result) int { // those with this TTL say more of the hop than others
		here, there := int(a.Probe.TTL) == ttl, int(b.Probe.TTL) == ttl
		switch {
		case here == there:
			return 0
		case here:
			return -1
		}
		return 1
	})
	if top := t.hops[len(t.hops)-1]; ttl < top.TTL {
		distant = slices.Concat(top.Probes, distant)
	}
	for i := 0; i < len(distant) && len(h.Probes) < t.queries; i++ {
		if distant[i].FromTarget() {
			h.Probes = append(slices.Clip(h.Probes), distant[i])
		}
	}
	return h
}

// own are the outcomes of a hop's own probes: strays are left out, and probes that never left this host, where others
// were sent in their place.
func (t *Trace) own(ttl int) []Result {
	probes := t.hops[ttl-t.first].Probes
	for len(probes) > t.queries {
		i := slices.IndexFunc(probes, func(r Result) bool { return r.Outcome == Failed })
		if i < 0 && ttl == t.Top() && probes[0].N < t.beforeTop && probes[1].FromTarget() {
			i = 0 // the distance probe, in the place of which another was sent, see Strays
		}
		if i < 0 {
			break
		}
		probes = slices.Concat(probes[:i], probes[i+1:])
	}
	if len(t.Strays(ttl)) == 0 {
		return probes
	}
	return slices.DeleteFunc(slices.Clone(probes), Result.FromTarget)
}

// Strays are the target's answers to probes with the highest TTL that were sent before anything was known of the hops
// in front, where nothing else says that the target is there. They belong to no hop: the probes went as far as the
// target, how far that is they don't tell. At other TTLs there are none.
func (t *Trace) Strays(ttl int) (strays []Result) {
	top := len(t.hops) - 1
	if ttl != t.hops[top].TTL || t.last < ttl || top == 0 || !t.options.sendsDistanceProbes() {
		return nil
	}
	before := t.hops[top-1].Probes
	router := func(r Result) bool { return r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded }
	if slices.ContainsFunc(before, router) {
		return nil
	}
	for _, r := range t.hops[top].Probes {
		switch {
		case !r.FromTarget():
		case len(before) > 0 && r.N > t.beforeTop, r.Reply.IP.TTL != 0 && backwards(r.Reply.IP.TTL) >= ttl:
			return nil
		default:
			strays = append(strays, r)
		}
	}
	return strays
}

// refusal is the hop that refuses the flow, with the refusals of others that were refused there.
func (t *Trace) refusal(h Hop) Hop {
	silent := func(r Result) bool { return !answered(r) }
	probes := slices.DeleteFunc(slices.Clone(h.Probes), silent)
	for _, beyond := range t.hops[h.TTL-t.first+1:] {
		for _, r := range beyond.Probes {
			if t.refusals.at(r, true) {
				probes = append(probes, r)
			}
		}
	}
	for _, r := range t.distanceProbes {
		if t.refusals.at(r, false) {
			probes = append(probes, r)
		}
	}
	probes = append(probes, slices.DeleteFunc(slices.Clone(h.Probes), answered)...)
	h.Probes = probes[:min(len(probes), t.queries)]
	return h
}

// inOrder inserts a result into those sorted by the order of sending.
func inOrder(s []Result, r Result) []Result {
	i, _ := slices.BinarySearchFunc(s, r, func(a, b Result) int { return a.N - b.N })
	return slices.Insert(s, i, r)
}

// First is the first TTL probed.
func (t *Trace) First() int { return t.first }

// Top is the highest TTL that may be probed. Every hop up to there can be asked for, also those beyond Last.
func (t *Trace) Top() int { return t.first + len(t.hops) - 1 }

// Reached reports whether an answer came from the target, or an ICMP error other than time exceeded for a probe.
func (t *Trace) Reached() bool {
	if t.shared != nil {
		return true
	}
	ended := func(r Result) bool { return r.FromTarget() || r.Refused() }
	return slices.ContainsFunc(t.distanceProbes, ended) ||
		slices.ContainsFunc(t.hops, func(h Hop) bool { return slices.ContainsFunc(h.Probes, ended) })
}

// TargetAnswered reports whether the target itself has answered: a refusal by a router ends a path, too.
func (t *Trace) TargetAnswered() bool {
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		if slices.ContainsFunc(t.Hop(ttl).Probes, Result.FromTarget) {
			return true
		}
	}
	return t.Unplaced() != nil
}

// Unplaced is the target's answer that no hop shows, because how far it is could not be told; nil where there is none.
func (t *Trace) Unplaced() *Result {
	if t.answered(packet.KindTCP) || t.answered(packet.KindEcho) || t.last == t.byControl() {
		return nil
	}
	far := slices.Concat(t.Strays(t.hops[len(t.hops)-1].TTL), t.distanceProbes)
	if i := slices.IndexFunc(far, Result.FromTarget); i >= 0 && t.shared == nil {
		answer := far[i]
		answer.Outcome = Shared // how far it got isn't known
		return &answer
	}
	return t.shared
}

func (t *Trace) answered(k packet.Kind) bool {
	for i := range t.hops {
		for _, r := range t.own(t.hops[i].TTL) {
			if r.Reply != nil && r.Reply.Kind == k {
				return true
			}
		}
	}
	return false
}
