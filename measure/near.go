package measure

import (
	"math"
	"net/netip"
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

	// A hop is sure if in so many traces it answered some probes and not others, and if these are so many times those
	// in which it answered all. Where probes are lost by chance, most traces lack none.
	sureLimited   = 8
	limitedFactor = 2

	// chanceAlike is how probable it may be that all traces between two routers show the same one only by chance,
	// because it answers more often than another one that stands there too.
	chanceAlike = 0.001

	// The path may change, to a router that never answers. So the last answer must not be older than nearFresh (with
	// Linux's limit there is one a second), and at most nearShare targets take over what it says.
	nearFresh = 3 * time.Second
	nearShare = 64

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

// between is who stands at the hop of a stretch.
type between struct {
	who           netip.Addr
	disputed      bool // somebody else was seen there too
	whole, partly int  // traces in which it answered all probes, and only some
	at            time.Time
	taken         int // targets that have taken it over since
}

// behind is who answered so many hops behind a router, whoever stands behind that.
type behind struct {
	before netip.Addr
	hop    int
}

// near is what the traces of a run say of near routers.
type near struct {
	between map[stretch]*between
	behind  map[behind]map[netip.Addr]int // in how many traces each router answered
}

func newNear() near {
	return near{make(map[stretch]*between), make(map[behind]map[netip.Addr]int)}
}

// nearHop is what one trace says of a hop.
type nearHop struct {
	who     netip.Addr // the router there; invalid: none answered, or several did
	several bool
	partly  bool // it answered some probes only
	silent  bool // it was asked, and did not answer
	other   bool // who is known by other traces
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
		h.who, h.partly, h.silent = r.Reply.From(), h.partly || h.silent, false
	case r.Outcome == trace.Lost:
		h.partly = h.partly || h.who.IsValid()
		h.silent = !h.who.IsValid()
	}
}

// certain reports whether a hop shows one router and no other.
func (h *nearHop) certain() bool { return h.who.IsValid() && !h.several }

// learn takes in who answered in a trace that has come to its end.
func (n near) learn(hops []nearHop, now time.Time) {
	for hop := range hops {
		h := &hops[hop]
		if h.other || !h.several && !h.who.IsValid() {
			continue
		}
		for first := max(hop-longestStretch+1, 0); first < hop; first++ {
			if !hops[first].certain() {
				continue
			}
			if h.who.IsValid() {
				n.count(behind{hops[first].who, hop - first}, h.who)
			}
			for last := hop + 1; last < min(len(hops), first+longestStretch+1); last++ {
				if hops[last].certain() {
					n.add(stretch{hops[first].who, hops[last].who, hop - first, last - first}, h, now)
				}
			}
		}
	}
}

// count takes in that a router answered.
func (n near) count(b behind, who netip.Addr) {
	if n.behind[b] == nil && len(n.behind) < mostStretches {
		n.behind[b] = make(map[netip.Addr]int)
	}
	if routers := n.behind[b]; routers != nil && (routers[who] > 0 || len(routers) < mostBehindOne) {
		routers[who]++
	}
}

func (n near) add(s stretch, h *nearHop, now time.Time) {
	b := n.between[s]
	if b == nil {
		if len(n.between) == mostStretches {
			return
		}
		b = &between{who: h.who}
		n.between[s] = b
	}
	b.disputed = b.disputed || h.several || b.who != h.who
	b.at, b.taken = now, 0
	if h.partly {
		b.partly++
	} else {
		b.whole++
	}
}

// takeOver is who stands at a silent hop; invalid: that isn't sure.
func (n near) takeOver(hops []nearHop, hop int, now time.Time) netip.Addr {
	first, last := hop-1, hop+1
	for first >= 0 && !hops[first].certain() {
		first--
	}
	for last < len(hops) && !hops[last].certain() {
		last++
	}
	if first < 0 || last >= len(hops) {
		return netip.Addr{}
	}
	s := stretch{hops[first].who, hops[last].who, hop - first, last - first}
	b := n.between[s]
	if b == nil || !n.sure(s, b) || b.taken == nearShare || now.Sub(b.at) > nearFresh {
		return netip.Addr{}
	}
	b.taken++
	return b.who
}

// sure reports whether nobody but one router stands at the hop of a stretch, and that one limits its answers.
func (n near) sure(s stretch, b *between) bool {
	if b.disputed || b.partly < max(sureLimited, limitedFactor*b.whole) {
		return false
	}
	all := 0
	routers := n.behind[behind{s.before, s.hop}]
	for _, traces := range routers {
		all += traces
	}
	its := routers[b.who]
	return all > 0 && (its == all || math.Pow(float64(its)/float64(all), float64(b.whole+b.partly)) < chanceAlike)
}

// takeOverNear says who stands at the near hops that were silent for a target, by the traces to other targets.
func (r *manyRun) takeOverNear(o *opened, f *record.Fold) {
	hops := nearHopsOf(o.trace.Path.Source.Addr(), f, o.trace.Inferred)
	now := o.trace.Ending.Time
	r.near.learn(hops, now)
	for hop := 1; hop < min(len(hops), nearHops+1); hop++ {
		if h := &hops[hop]; !h.silent || h.several || h.other {
			continue
		}
		if who := r.near.takeOver(hops, hop, now); who.IsValid() {
			if o.trace.Inferred == nil {
				o.trace.Inferred = make(map[int]netip.Addr)
			}
			o.trace.Inferred[hop] = who
		}
	}
}
