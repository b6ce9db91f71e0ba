package measure

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Routers near this host stand on the way to many targets. One that answers little, as Linux does, is asked too often
// and is silent in nearly every trace. Where a trace shows who stands before and behind such a hop, it takes over who
// stands between the two in the traces to other targets. A router alone would say nothing: targets may go other ways.
//
// Silence may have another reason: a second router that never answers, beside the one that does. Targets that go by
// the second one must not take over the first. So a hop is taken over only if it is a limit that makes it silent: then
// traces get an answer to some of their probes. A router beside it answers all of a trace's probes or none, since all
// go one way. That one of two limits its answers while the other never answers can't be told from one that limits.

const (
	// nearHops is how far away a near router is at the most: farther ones stand on the way to few targets.
	nearHops = 8

	// longestStretch is how many hops there are between the router before and the router behind, at the most, and one
	// more: up to three routers in a row limit their answers.
	longestStretch = 4

	// A hop is sure if in so many traces it answered some probes and not others; if these are so many times those in
	// which it answered all; and if those in which it was silent are so many times all of these. Where probes are lost by
	// chance, most traces lack none, and fewer lack all. If one of two routers never answers, half of them lack all.
	sureLimited   = 8
	limitedFactor = 3
	silentFactor  = 2

	// chanceAlike is how probable it may be that all traces between two routers show the same one only by chance,
	// because it answers more often than another one that stands there too.
	chanceAlike = 0.001

	// The path may change, to a router that never answers. So a hop is taken over only if the router has answered before
	// it was silent, between the same two others and not longer ago than nearFresh (with Linux's limit there is one
	// answer a second, for all that may stand behind it), and afterwards behind the first of them, within
	// longestAwaiting. So long targets wait, mostAwaiting of them at the most.
	nearFresh = 20 * time.Second

	// mostStretches is how many are kept in mind. Those that most paths share come first.
	mostStretches = 4096

	// mostBehindOne is how many routers are kept in mind that stand behind another.
	mostBehindOne = 256
)

// stretch is the part of a path between two hops, and a hop between these.
type stretch struct {
	before, after netip.Addr // who stands at its ends
	hop, length   int        // how far behind the first of them are the hop, and the other one
}

// between is who stands at the hop of a stretch, and in how many traces.
type between struct {
	who      netip.Addr
	disputed bool      // somebody else was seen there too
	at       time.Time // of its last answer
	whole    int       // traces in which it answered all probes
	partly   int       // and only some
	silent   int       // and none
}

// behind is who answered so many hops behind a router, whoever stands behind that.
type behind struct {
	before netip.Addr
	hop    int
}

// near is what the traces of a run say of near routers.
type near struct {
	between map[stretch]*between
	behind  map[behind]map[netip.Addr]sightings
}

// sightings are in how many traces a router answered, and when last.
type sightings struct {
	traces int
	at     time.Time
}

func newNear() near {
	return near{make(map[stretch]*between), make(map[behind]map[netip.Addr]sightings)}
}

// nearHop is what one trace says of a hop.
type nearHop struct {
	who     netip.Addr // the router there; invalid: none answered, or several did
	several bool
	partly  bool      // it answered some probes only
	silent  bool      // it was asked, and did not answer
	other   bool      // who is known by other traces
	at      time.Time // when it answered last; or when it was asked last, if it did not
}

// nearHopsOf is what a trace says of its near hops, as far as the path's end. The first is this host.
func nearHopsOf(source netip.Addr, f *record.Fold, inferred map[int]netip.Addr) []nearHop {
	hops := []nearHop{{who: source}}
	for ttl := 1; ttl <= min(f.Last(), nearHops+longestStretch); ttl++ {
		var h nearHop
		if ttl >= f.First() {
			for _, r := range f.Hop(ttl).Probes {
				h.add(&r)
			}
		}
		if who := inferred[ttl]; !h.who.IsValid() && who.IsValid() {
			h.who, h.other = who, true
		}
		hops = append(hops, h)
	}
	return hops
}

// add takes in what became of a probe.
func (h *nearHop) add(r *trace.Result) {
	switch answered := r.Outcome == trace.Answered; {
	case r.Role != trace.RoleHop:
	case answered && r.Reply.Kind != packet.KindTimeExceeded:
		h.several = true // who says so may be the target, or not stand here
	case answered:
		h.several = h.several || h.who.IsValid() && h.who != r.Reply.From()
		h.who, h.partly, h.silent, h.at = r.Reply.From(), h.partly || h.silent, false, r.Recv
	case r.Outcome != trace.Lost:
	case h.who.IsValid():
		h.partly = true
	default:
		h.silent, h.at = true, r.Sent
	}
}

// certain reports whether a hop shows one router and no other.
func (h *nearHop) certain() bool { return h.who.IsValid() && !h.several }

// learn takes in who answered in a trace that has come to its end.
func (n near) learn(hops []nearHop) {
	for hop := range hops {
		h := &hops[hop]
		if h.other || !h.several && !h.silent && !h.who.IsValid() {
			continue
		}
		for first := max(hop-longestStretch+1, 0); first < hop; first++ {
			if !hops[first].certain() {
				continue
			}
			if h.who.IsValid() {
				n.count(behind{hops[first].who, hop - first}, h)
			}
			for last := hop + 1; last < min(len(hops), first+longestStretch+1); last++ {
				if hops[last].certain() {
					n.add(stretch{hops[first].who, hops[last].who, hop - first, last - first}, h)
				}
			}
		}
	}
}

// count takes in that a router answered.
func (n near) count(b behind, h *nearHop) {
	if n.behind[b] == nil && len(n.behind) < mostStretches {
		n.behind[b] = make(map[netip.Addr]sightings)
	}
	routers := n.behind[b]
	if a := routers[h.who]; routers != nil && (a.traces > 0 || len(routers) < mostBehindOne) {
		routers[h.who] = sightings{a.traces + 1, later(a.at, h.at)}
	}
}

// later is the later one of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// add takes in what a trace says of the hop of a stretch, as soon as a router has answered there.
func (n near) add(s stretch, h *nearHop) {
	b := n.between[s]
	if b == nil {
		if h.silent || len(n.between) == mostStretches {
			return
		}
		b = &between{who: h.who}
		n.between[s] = b
	}
	switch {
	case h.several || !h.silent && h.who != b.who:
		b.disputed = true
	case h.silent:
		b.silent++
	case h.partly:
		b.partly++
	default:
		b.whole++
	}
	if !h.silent {
		b.at = later(b.at, h.at)
	}
}

// around is the stretch around a silent hop between the nearest routers that a trace shows for sure. ok: there is one.
func around(hops []nearHop, hop int) (s stretch, ok bool) {
	first, last := hop-1, hop+1
	for first >= 0 && !hops[first].certain() {
		first--
	}
	for last < len(hops) && !hops[last].certain() {
		last++
	}
	if first < 0 || last >= len(hops) {
		return s, false
	}
	return stretch{hops[first].who, hops[last].who, hop - first, last - first}, true
}

// sure reports whether nobody but one router stands at the hop of a stretch, and that one limits its answers.
func (n near) sure(s stretch) bool {
	b := n.between[s]
	if b == nil || b.disputed || b.partly < max(sureLimited, limitedFactor*b.whole) ||
		b.silent < silentFactor*(b.whole+b.partly) {
		return false
	}
	all := 0
	routers := n.behind[behind{s.before, s.hop}]
	for _, a := range routers {
		all += a.traces
	}
	its := routers[b.who].traces
	return all > 0 && (its == all || math.Pow(float64(its)/float64(all), float64(b.whole+b.partly)) < chanceAlike)
}

// answeredSince reports whether the router of a stretch has answered after a time, whoever stood behind it.
func (n near) answeredSince(s stretch, t time.Time) bool {
	return n.behind[behind{s.before, s.hop}][n.between[s].who].at.After(t)
}

// unconfirmed is a target that has come to its end, some of whose near hops were silent.
type unconfirmed struct {
	opened *opened
	fold   *record.Fold
	since  time.Time
	hops   []silentHop
}

// silentHop is a hop that was silent where others show a router.
type silentHop struct {
	ttl     int
	stretch stretch
	at      time.Time // when it was asked
}

// learnNear takes in what the trace to a target says of near routers, and reports whether the target has to wait for
// others that say it of its silent hops.
func (r *manyRun) learnNear(o *opened, f *record.Fold) (wait bool) {
	hops := nearHopsOf(o.trace.Path.Source.Addr(), f, o.trace.Inferred)
	r.near.learn(hops)
	r.confirm(time.Now())
	u := unconfirmed{opened: o, fold: f, since: time.Now()}
	for ttl := 1; ttl < min(len(hops), nearHops+1); ttl++ {
		h := &hops[ttl]
		if !h.silent || h.several || h.other {
			continue
		}
		s, ok := around(hops, ttl)
		if ok && r.near.sure(s) && h.at.Sub(r.near.between[s].at) <= nearFresh {
			u.hops = append(u.hops, silentHop{ttl, s, h.at})
		}
	}
	if len(u.hops) == 0 || len(r.unconfirmed) == mostAwaiting {
		return false
	}
	r.unconfirmed, r.awaiting = append(r.unconfirmed, u), true
	return true
}

// confirm settles the targets whose silent hops have answered others since, and those that have waited for too long.
func (r *manyRun) confirm(now time.Time) {
	waiting := r.unconfirmed[:0]
	for _, u := range r.unconfirmed {
		open := func(h silentHop) bool { return !r.near.answeredSince(h.stretch, h.at) }
		if slices.ContainsFunc(u.hops, open) && now.Sub(u.since) <= longestAwaiting {
			waiting = append(waiting, u)
			continue
		}
		for _, h := range u.hops {
			if open(h) || !r.near.sure(h.stretch) {
				continue
			}
			if u.opened.trace.Inferred == nil {
				u.opened.trace.Inferred = make(map[int]netip.Addr)
			}
			u.opened.trace.Inferred[h.ttl] = r.near.between[h.stretch].who
		}
		r.settled(u.opened, u.fold)
	}
	clear(r.unconfirmed[len(waiting):])
	r.unconfirmed = waiting
}
