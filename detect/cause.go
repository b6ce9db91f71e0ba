package detect

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// Differential diagnosis of probes that vanish. A cause predicts what becomes of each class of probes that comes to the
// place; what was seen of a class (a sighting) excludes the causes that predict otherwise. What was seen counts only as
// far as it went the same way: a probe that another router stood at the place for says nothing about this one.

// fate is what becomes of probes at the place where those of the trace vanish.
type fate uint8

const (
	either fate = iota // that isn't known, or nothing can be said
	passes
	vanishes
	nearer // they vanish before the place, and say nothing of it
)

// way is whether probes came to the place by the router that the trace's own came by.
type way uint8

const (
	unknownWay way = iota
	sameWay
	otherWay
)

// class is all that a cause may look at in a probe, beside the trace's own probes.
type class struct {
	echo bool // it is an ICMP echo request
	syn  bool // it is a SYN
	port bool // it goes to the same port
	flow bool // it has the same addresses and both ports
	// It has what the trace's own probes have, and most connections begin without:
	long, marked, options bool
}

// sighting is what became of the probes of one class and flow.
type sighting struct {
	class
	what string // was sent
	fate fate
	at   int // the hop beyond the place that answered first; 0: none
	way  way
	via  netip.Addr // who answered at the hop before the place
	ends bool       // the target has answered it
	weak bool       // only one router has answered, which doesn't always

	control bool // it is no probe, but an ordinary connection
}

// cause is why probes may vanish.
type cause struct {
	code    Code
	predict func(class) fate
}

// causes are those that make the trace's own probes vanish, the most special first.
func (d *drop) causes() []cause {
	// A filter by length or mark may look at SYNs only, and pass the same ACK or echo request.
	has := func(it bool, c class) fate {
		if it && (c.echo || c.syn != d.asks()) {
			return either
		}
		return when(it, vanishes, passes)
	}
	all := []cause{
		{SizeFilter, func(c class) fate { return has(c.long, c) }},
		{MarkDropped, func(c class) fate { return has(c.marked, c) }},
		{filteredOptions, func(c class) fate {
			switch {
			case c.echo:
				return either
			case c.syn && c.options:
				return vanishes
			}
			return passes
		}},
		{StuckService, stuck},
		{FilteredPort, func(c class) fate {
			switch {
			case c.echo, c.port && c.syn != d.asks():
				return either
			}
			return when(c.port, vanishes, passes)
		}},
		{when(d.asks(), FilteredSYN, FilteredACK), func(c class) fate {
			if c.echo {
				return either
			}
			return when(c.syn == d.asks(), vanishes, passes)
		}},
		{FilteredTCP, func(c class) fate { return when(c.echo, passes, vanishes) }},
		{PathEnds, func(class) fate { return vanishes }},
		{BrokenBranch, func(c class) fate { return when(c.flow, vanishes, either) }},
	}
	all = d.untestedLast(all)
	return slices.DeleteFunc(all, func(c cause) bool {
		switch c.code {
		case SizeFilter:
			return !d.long()
		case MarkDropped:
			return d.options.TOS == 0
		case filteredOptions:
			return !d.asks()
		case StuckService:
			return !d.mayBeStuck()
		}
		return false
	})
}

// untestedLast has the most special causes behind the others that filter, if no probe without what they look for is
// known to pass: there is nothing to say for them, to spare the target or because too few were answered.
func (d *drop) untestedLast(all []cause) []cause {
	if len(d.more) == 0 {
		return all
	}
	var later []cause
	all = slices.DeleteFunc(all, func(c cause) bool {
		untested := !d.shows(c.code)
		if untested {
			later = append(later, c)
		}
		return untested
	})
	end := slices.IndexFunc(all, func(c cause) bool { return c.code == PathEnds })
	return slices.Insert(all, end, later...)
}

// shows reports whether probes are known to pass that lack what a cause looks for. Of other causes it reports true.
func (d *drop) shows(code Code) bool {
	pass := func(what func(class) bool) bool {
		return slices.ContainsFunc(d.seen, func(s sighting) bool {
			return s.fate == passes && s.way != otherWay && what(s.class)
		})
	}
	lacks := func(what func(class) bool) bool {
		return pass(func(c class) bool { return !c.echo && c.syn == d.asks() && what(c) })
	}
	switch code {
	case FilteredSYN, FilteredACK:
		return pass(func(c class) bool { return !c.echo && c.syn != d.asks() })
	case FilteredTCP:
		return pass(func(c class) bool { return c.echo })
	case SizeFilter:
		return lacks(func(c class) bool { return !c.long })
	case MarkDropped:
		return lacks(func(c class) bool { return !c.marked })
	case filteredOptions:
		return lacks(func(c class) bool { return !c.options })
	case FilteredPort:
		// Or what stands there answers another port itself.
		return lacks(func(c class) bool { return !c.port }) || d.port != nil && d.port.answer != nil
	}
	return true
}

// filteredOptions is FilteredSYN by a filter that looks at the SYN's options.
const filteredOptions Code = "filtered-syn by options"

func when[T any](so bool, then, otherwise T) T {
	if so {
		return then
	}
	return otherwise
}

// contradicts reports whether what was seen can't be if this is the cause.
func (s *sighting) contradicts(c cause) bool {
	if s.fate == either || s.fate == nearer || s.way == otherWay {
		return false
	}
	p := c.predict(s.class)
	return p != either && p != s.fate
}

// left are the causes that nothing contradicts.
func (d *drop) left() []cause {
	return slices.DeleteFunc(d.causes(), func(c cause) bool {
		return slices.ContainsFunc(d.seen, func(s sighting) bool { return s.contradicts(c) })
	})
}

// coincidences is of how many other flows it would be a coincidence that they fared as this cause predicts, if really
// one member of a load-balanced group were dead: each may go by any of them.
func (d *drop) coincidences(c cause) (n int) {
	for _, s := range d.seen {
		if !s.flow && !s.echo && s.way != otherWay && s.fate != either && s.fate == c.predict(s.class) {
			n++
		}
	}
	return n
}

// provenFlows is how many such coincidences exclude a dead member: one of two would do it once in 2^provenFlows times,
// and only where it answers nothing and the load balancer is right before the place.
const provenFlows = 7

// sightings says what was seen of each class and flow, and by which way it went.
func (d *drop) sightings() (all []sighting) {
	for _, w := range d.witnesses() {
		s := sighting{class: d.classOf(w.path), what: w.what, fate: d.fateOf(w.path), at: d.reach(w.path)}
		s.weak = s.fate == passes && !d.proves(w.path)
		s.way, s.via = d.wayAt(w.path, d.last)
		s.ends = w.answer != nil
		all = append(all, s)
	}
	for _, r := range d.path.distanceProbes {
		if r.Reply != nil && r.Reply.Kind != packet.KindTimeExceeded { // else its TTL was set, or it goes round
			s := sighting{class: d.mine, what: "A distance probe from another source port", fate: passes, ends: true}
			s.flow = false
			all = append(all, s)
		}
	}
	flows := d.flowSightings()
	alone := slices.ContainsFunc(flows, func(s sighting) bool { return s.syn && !s.port && s.fate == passes })
	for i := range all {
		if s := &all[i]; alone && s.syn && !s.port && s.fate == vanishes {
			s.fate = either // a limit on SYNs has dropped them: one alone has passed
		}
	}
	return slices.Concat(all, flows, d.controlSightings())
}

// allSYNs reports whether it looks as if SYNs to all ports were dropped. Then a limit on SYNs may have dropped those to
// another port.
func (d *drop) allSYNs() bool {
	return slices.ContainsFunc(d.left(), func(c cause) bool { return c.code == FilteredSYN })
}

// flowSightings are those of AskReach and AskWay, which belong together by their flow.
func (d *drop) flowSightings() (all []sighting) {
	index, tries, vague := map[int]int{}, map[[2]int]int{}, map[int]bool{}
	passed := func(a netip.Addr) bool { return d.before(a, d.last) }
	for _, p := range d.asked(AskReach) {
		if p.question.Flow == 0 {
			continue // it is the trace's own: see ownAgain
		}
		i, known := index[p.question.Flow]
		if !known {
			i = len(all)
			index[p.question.Flow] = i
			all = append(all, sighting{class: d.classOf(p),
				what: fmt.Sprintf("%s to port %d from another source port", oneOf[p.kind()], p.target.Port())})
		}
		s, at := &all[i], p.question.Options.FirstTTL
		switch {
		case p.heard() && at == d.maxTTL() && p.answer == nil && slices.ContainsFunc(p.hops[0].routers, passed):
			// A router before the place has answered: it got no farther, whatever its TTL.
		case p.heard() && at == d.maxTTL() && p.answer == nil && p.refusal == nil:
			vague[p.question.Flow] = true // its TTL was set, or it goes round
		case p.heard() && at == d.maxTTL():
			s.fate, s.ends = passes, true
		case p.heard() && (p.answer != nil || slices.ContainsFunc(p.hops[0].routers, d.beyond)):
			s.fate, s.at = passes, at
		case p.heard() && !slices.ContainsFunc(p.hops[0].routers, passed):
			vague[p.question.Flow] = true // it is somewhere on another way
		case at == d.maxTTL(), d.nearOnly() && d.othersAt(at):
			probe := [2]int{p.question.Flow, at}
			if tries[probe]++; tries[probe] == 2 && s.fate == either { // twice in vain
				s.fate = vanishes
			}
		}
	}
	for _, p := range d.asked(AskWay) {
		if i, known := index[p.question.Flow]; known {
			all[i].way, all[i].via = d.wayAt(p, d.last)
		}
	}
	for flow, i := range index {
		if vague[flow] && all[i].fate == vanishes {
			all[i].fate = either
		}
	}
	return all
}

// oneOf is one of several probes of a kind.
var oneOf = map[string]string{"SYNs": "A SYN", "ACKs": "An ACK", "ICMP echo requests": "An ICMP echo request",
	"segments of a connection": "A segment of a connection"}

// ownAgain is what became of the trace's own flow when it was asked again, after others had passed.
func (d *drop) ownAgain() fate {
	tries := 0
	for _, p := range d.asked(AskReach) {
		switch {
		case p.question.Flow != 0:
		case p.answer != nil, p.heard() && slices.ContainsFunc(p.hops[0].routers, d.beyond):
			return passes
		case !p.heard():
			tries++
		}
	}
	return when(tries >= 2, vanishes, either)
}

// routerBeyond is the first hop beyond the place at which a router has answered other probes; 0: none has.
func (d *drop) routerBeyond() (ttl int) {
	for _, w := range d.witnesses() {
		from := d.comesTo(w.path, d.last)
		for _, h := range w.hops {
			if h.ttl > from && len(h.routers) > 0 && (ttl == 0 || h.ttl < ttl) {
				ttl = h.ttl
			}
		}
	}
	return ttl
}

// nearOnly reports whether flows are asked no farther than the first router beyond the place. SYNs that go farther get
// to the target if they pass, and also if they go to it another way, over silent routers.
func (d *drop) nearOnly() bool {
	return !d.told() && d.routerBeyond() > 0 && (d.counted || d.asks() && !d.hearsPort())
}

// hearsPort reports whether the target has answered any SYN to the port in question, of whichever flow.
func (f *facts) hearsPort() bool {
	return slices.ContainsFunc(f.path.distanceProbes, trace.Result.FromTarget) ||
		slices.ContainsFunc(f.more, func(p *path) bool {
			return p.target == f.target && p.options.Protocol == packet.ProtoTCP && p.asks() && p.answer != nil
		}) || slices.ContainsFunc(f.controls(), func(c Control) bool { return c.passes() })
}

// othersAt reports whether a router beyond the place has answered other probes with this TTL.
func (d *drop) othersAt(ttl int) bool {
	return ttl > d.last && slices.ContainsFunc(d.witnesses(), func(w witness) bool {
		h := w.at(ttl)
		return h != nil && len(h.routers) > 0
	})
}

// beyond reports whether a router has answered other probes beyond the place.
func (d *drop) beyond(a netip.Addr) bool {
	return !d.before(a, d.last) && slices.ContainsFunc(d.witnesses(), func(w witness) bool {
		from := d.comesTo(w.path, d.last)
		return slices.ContainsFunc(w.hops, func(h hop) bool { return h.ttl > from && slices.Contains(h.routers, a) })
	})
}

// classOf is what the probes of a further trace are like.
func (d *drop) classOf(p *path) class {
	o := &p.options
	return class{
		echo: o.Protocol == packet.ProtoEcho, syn: p.asks(),
		port: p.target.Port() == d.target.Port(),
		flow: o.Protocol == d.options.Protocol && o.Source.Port() == d.options.Source.Port() &&
			p.target.Port() == d.target.Port(),
		long:   p.long(),
		marked: o.TOS != 0,
		options: o.Flags&^packet.SYN == d.options.Flags&^packet.SYN &&
			slices.Equal(kindsOf(o.Options), kindsOf(d.options.Options)),
	}
}

// kindsOf are the kinds of TCP options.
func kindsOf(o packet.Options) (kinds []byte) {
	for x := range o.All() {
		kinds = append(kinds, byte(x.Kind))
	}
	return kinds
}

// fateOf is what became of a further trace at the place.
func (d *drop) fateOf(p *path) fate {
	switch {
	case d.reach(p) > 0:
		return passes
	case p.answer != nil, d.cameShorter(p):
		return either // it took a shorter way, or somebody nearer has answered in its stead: it did not come here
	case p.refusal != nil:
		return either
	case d.diedNearer(p):
		return nearer
	}
	silent, lost := 0, 0 // hops, and probes to them
	twice := false       // at a router that has answered others, where none is asked farther
	for _, h := range p.hops {
		if h.ttl > d.last && h.lost > 0 {
			silent, lost = silent+1, lost+h.lost
			twice = twice || h.lost >= questionQueries && d.nearOnly() && d.othersAt(h.ttl)
		}
	}
	target := d.farthest() // which answers others
	toTarget := target > d.last && p.at(target) != nil && p.at(target).lost > 0 && lost >= enoughSilence
	return when(silent >= enoughSilence || toTarget || twice, vanishes, either)
}

// diedNearer reports whether a further trace did not come to the place: hops up to there answered none of its probes,
// and answered so many of the trace's own that this is hardly by chance.
func (d *drop) diedNearer(p *path) bool {
	end, chance := p.at(d.last), 1.0
	if end == nil || p.lastRouter() >= d.last {
		return false
	}
	for _, h := range p.hops {
		if own := d.at(h.ttl); own != nil && h.ttl > p.lastRouter() && h.ttl <= d.last {
			chance *= math.Pow(float64(own.lost+1)/float64(len(own.results)+2), float64(h.lost)) // as Laplace has it
		}
	}
	return chance <= unlikely
}

// wayAt reports whether another trace is known to have come to a hop by the same router or by another one, and by
// which. If several routers answer there, it is only known if none of them has answered both. Where a NAT speaks in the
// target's name for all beyond it, nothing says who stands there.
func (f *facts) wayAt(p *path, ttl int) (way, netip.Addr) {
	if ttl < 1 {
		return sameWay, netip.Addr{} // nobody stands between this host and the place
	}
	own, its := f.at(ttl), p.at(ttl)
	switch {
	case its == nil || len(its.routers) == 0:
		return unknownWay, netip.Addr{}
	case own == nil || len(own.routers) == 0:
		return unknownWay, its.routers[0]
	case f.only(ttl) == f.target.Addr() != (p.only(ttl) == p.target.Addr()):
		return unknownWay, its.routers[0]
	case !slices.ContainsFunc(its.routers, func(a netip.Addr) bool { return slices.Contains(own.routers, a) }):
		return otherWay, its.routers[0]
	case len(own.routers) > 1 || len(its.routers) > 1:
		return unknownWay, its.routers[0]
	}
	return sameWay, its.routers[0]
}

// cameShorter reports whether a trace of another kind shows, up to the place, a router that others show beyond it.
func (d *drop) cameShorter(p *path) bool {
	return slices.ContainsFunc(p.hops, func(h hop) bool {
		return h.ttl <= d.last &&
			slices.ContainsFunc(h.routers, d.beyond)
	})
}

// cameBy reports whether another trace is known to have come to a hop in that way.
func (f *facts) cameBy(p *path, ttl int, by way) bool {
	w, _ := f.wayAt(p, ttl)
	return w == by
}

// long reports whether the probes are longer than their headers.
func (p *path) long() bool {
	for i := range p.hops {
		for _, r := range p.hops[i].results {
			return r.Probe.PayloadLength() > 0 && p.options.Length > 0
		}
	}
	return false
}

// witnesses are the further traces of whole stretches, each with what it is called.
func (f *facts) witnesses() []witness {
	all := f.others()
	for _, w := range []witness{
		{f.short, f.kind() + " of the usual length"},
		{f.plain, f.kind() + " without the mark (TOS)"},
		{f.bare, f.kind() + " " + when(f.odd() == "", f.withoutOptions(), "with the usual TCP options")},
	} {
		if w.path != nil {
			all = append(all, w)
		}
	}
	return all
}

// withoutOptions is what a SYN has that no TCP options were asked for: in IPv6 its tag is in the timestamps.
func (f *facts) withoutOptions() string {
	return when(f.target.Addr().Is6(), "without TCP options but timestamps", "without TCP options")
}
