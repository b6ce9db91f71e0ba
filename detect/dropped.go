package detect

import (
	"fmt"

	"tcptraceroute/packet"
	"tcptraceroute/trace"
)

// enoughSilence is how many hops in a row must say nothing before silence is more than a few silent routers.
const enoughSilence = 3

// dropped finds where probes end without a word: firewalls that drop, and paths that are dead. What kind of probes gets
// farther than that tells what is dropped, and the first hop that such probes are answered from tells where.
func dropped(f *facts) []Finding {
	if f.answer != nil || f.refusal != nil || !f.complete || len(f.hops) == 0 || f.cycle() > 0 {
		return nil
	}
	last := f.lastRouter()
	if more := f.sameFate(); more > last {
		last = more
	}
	silent, failed := 0, 0
	for _, h := range f.hops {
		if h.ttl > last && h.lost > 0 {
			silent++
		}
		for _, r := range h.results {
			if r.Fate == trace.Failed {
				failed++
			}
		}
	}
	d := &drop{facts: f, last: last}
	switch {
	case silent == 0 && failed > 0 || len(f.hops) == failed:
		return nil // this host could not send; that is no finding about the path
	case silent < enoughSilence && f.hops[len(f.hops)-1].ttl >= f.maxTTL():
		return []Finding{d.limit(silent)}
	case silent < enoughSilence:
		return nil
	}
	return []Finding{d.finding()}
}

// sameFate is how far a second trace of the same kind came that vanished too, but got a few hops farther: routers there
// had not answered the first by chance. 0: there was none, or it got much farther, or to the target.
func (f *facts) sameFate() int {
	if f.flow == nil || f.flow.answer != nil || f.flow.refusal != nil {
		return 0
	}
	if last := f.flow.lastRouter(); last-f.lastRouter() < enoughSilence {
		return last
	}
	return 0
}

// maxTTL is the highest TTL that might be asked.
func (p *path) maxTTL() int {
	if p.options.MaxTTL == 0 {
		return trace.DefaultMaxTTL
	}
	return p.options.MaxTTL
}

// drop is what is known of a place where probes vanish.
type drop struct {
	*facts
	last int // the hop that they get to for sure
}

// limit is the finding where the trace just ended too early.
func (d *drop) limit(silent int) Finding {
	x := Finding{
		Code: HopLimit, Confidence: Likely, Weight: weightNotice, After: d.last, Before: d.last,
		Title:    fmt.Sprintf("The trace ended at its limit of %d hops, before the target", d.maxTTL()),
		Evidence: []string{fmt.Sprintf("The last answer came from %s.", d.hopName(d.last))},
		Advice:   "Trace again with a larger -m.",
	}
	if silent > 0 {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("Behind it %s asked, and silent. A firewall that drops the probes would look the same.", times(silent, "hop was", "hops were")))
	}
	return x
}

// reach is the hop at which a trace of another kind first got an answer beyond the place, from a router or from the
// target itself; 0: it got no farther. An answer in the target's name from nearer than the target is somebody else's.
func (d *drop) reach(p *path) int {
	if p == nil {
		return 0
	}
	for _, h := range p.hops {
		if h.ttl > d.last && len(h.routers) > 0 {
			return h.ttl
		}
	}
	if n := p.distance(); n > d.last && n == d.farthest() {
		return n
	}
	return 0
}

// finding decides what is dropped.
func (d *drop) finding() Finding {
	x := Finding{Weight: weightFatal, Confidence: Certain, After: d.last, Before: d.last + 1}
	port := d.target.Port()
	kind := d.kind()
	what := kind
	if d.options.Protocol == packet.ProtoTCP {
		what = fmt.Sprintf("%s to port %d", kind, port)
	}
	nowhere := d.last < d.first() // not even the first hop answered
	if nowhere {
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s were not answered by anybody, at %s.", what, times(d.silentHops(), "hop", "hops")))
	} else {
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s got to %s, and no farther: %s behind it were silent.", what, d.hopName(d.last), times(d.silentHops(), "hop", "hops")))
	}

	before, weak := 0, true // weak: only one router more has answered, which may not have answered the others by chance
	passed := func(p *path, who string) bool {
		n := d.reach(p)
		if n == 0 {
			if p != nil {
				x.Evidence = append(x.Evidence, fmt.Sprintf("%s got no farther either.", who))
			}
			return false
		}
		// Where TCP gets by, it tells the place: errors about TCP do come back from there. Those about ICMP may come from
		// behind a NAT that hides the others.
		if p != d.echo && (before == 0 || n < before) || before == 0 {
			before = n
		}
		weak = weak && !d.proves(p)
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s got farther: %s answered.", who, d.who(p, n)))
		return true
	}
	flow := passed(d.flow, fmt.Sprintf("The same %s from another source port", kind))
	other := d.port != nil && passed(d.port, fmt.Sprintf("%s to port %d", kind, d.port.target.Port()))
	ack := passed(d.ack, fmt.Sprintf("ACKs to port %d", port))
	syn := passed(d.syn, fmt.Sprintf("SYNs to port %d", port))
	echo := passed(d.echo, "ICMP echo requests")
	if before > 0 {
		x.Before = before
	}
	place := d.between(x.After, x.Before)
	whom := d.owner(x.After, x.Before)
	switch {
	case flow:
		x.Code, x.Confidence, x.Weight = BrokenBranch, Likely, weightFatal
		x.Title = fmt.Sprintf("Some connections to port %d vanish %s, and others pass", port, place)
		x.Advice = fmt.Sprintf("One member of a load-balanced group is broken, if it is always the same source ports; or it was broken for a moment. Ask %s.", whom)
	case syn:
		x.Code, x.Weight = FilteredACK, weightNotice
		x.Title = fmt.Sprintf("ACKs without a connection are dropped %s, where SYNs pass", place)
		x.Advice = "A firewall that keeps track of connections is there. Connections are not harmed: trace without -A."
	case other:
		x.Code = FilteredPort
		x.Title = fmt.Sprintf("Port %d is silently dropped %s", port, place)
		x.Advice = fmt.Sprintf("A firewall there lets port %d pass and drops port %d. Ask %s.", d.port.target.Port(), port, whom)
		if ack {
			x.Advice = fmt.Sprintf("A packet filter there drops new connections to port %d. Ask %s.", port, whom)
		}
	case ack:
		x.Code = FilteredSYN
		x.Title = fmt.Sprintf("New connections are silently dropped %s: SYNs vanish where ACKs pass", place)
		x.Advice = fmt.Sprintf("A packet filter there lets packets of established connections pass, and drops what opens one. Ask %s.", whom)
	case echo && !d.asks() && d.syn == nil:
		x.Code, x.Confidence = Filtered, Possible
		x.Title = fmt.Sprintf("ACKs vanish %s, where ICMP passes", place)
		x.Advice = "A firewall that keeps track of connections drops ACKs without one, or one drops all TCP: trace without -A."
	case echo:
		x.Code, x.Confidence = FilteredTCP, Likely
		x.Title = fmt.Sprintf("TCP is silently dropped %s, where ICMP passes", place)
		x.Advice = fmt.Sprintf("A firewall there drops TCP to this target, or all of it but some ports that were not tried. Ask %s.", whom)
	case d.echo != nil || d.port != nil || d.ack != nil || d.syn != nil:
		x.Code, x.Confidence = PathEnds, Possible
		x.Title = fmt.Sprintf("Nothing gets farther than %s", d.hopName(d.last))
		x.Advice = fmt.Sprintf("Either a firewall behind it drops everything to this target, or the path is broken there, or the target is down: these look the same from here. Ask %s.", d.owner(d.last, d.last))
	default:
		x.Code, x.Confidence = Filtered, Possible
		x.Title = fmt.Sprintf("The probes vanish behind %s", d.hopName(d.last))
		x.Advice = "A firewall drops them, or the path is broken there. --explain sends a few probes of other kinds to tell these apart."
	}
	if odd := d.odd(); odd != "" && (x.Code == FilteredSYN || x.Code == FilteredTCP) {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf("All these SYNs had %s, which most connections don't begin with: that alone may be what is dropped.", odd))
		x.Advice = "Trace again by ordinary SYNs (--explain alone sends such), to see whether they pass. " + x.Advice
	}
	if nowhere && before == 0 {
		x.Title = "Nobody answers at all, neither a router nor the target"
		x.Advice = "Look near by first: does this host's own firewall drop the answers, does its router know the way back to this source address, and does anything else get out?"
	}
	if weak && before > 0 && x.Confidence == Certain {
		x.Confidence = Likely
		x.Evidence = append(x.Evidence, "That is one router only, which may have answered these and not the others by chance.")
	}
	if x.Before == d.farthest() && x.Code != BrokenBranch && before > 0 {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "The next to answer is the target: its own firewall may drop them, or one in front of it. Nothing from outside tells these apart.")
		x.Advice = "Check the target's own firewall or security group first. " + x.Advice
	}
	return x
}

// proves reports whether a trace of another kind shows enough of what is beyond the place: several routers, or the target
// and none but one that always answers. One that doesn't may have left the others unanswered though they got there.
func (d *drop) proves(p *path) bool {
	routers, lost := 0, 0
	for _, h := range p.hops {
		if h.ttl > d.last && len(h.routers) > 0 {
			routers++
			lost += h.lost
		}
	}
	return routers > 1 || lost == 0 && p.answer != nil
}

// who is who answered a trace of another kind at a hop.
func (d *drop) who(p *path, ttl int) string {
	if h := p.at(ttl); h != nil && len(h.routers) > 0 {
		return fmt.Sprintf("the router %v, hop %d,", h.routers[0], ttl)
	}
	return fmt.Sprintf("the target, hop %d,", ttl)
}

func (d *drop) silentHops() (n int) {
	for _, h := range d.hops {
		if h.ttl > d.last && h.lost > 0 {
			n++
		}
	}
	return n
}

// odd is what sets the SYNs, of the trace and of those to tell cases apart, off from those of most connections; "": nothing.
func (p *path) odd() string {
	flags := p.options.Flags &^ packet.SYN
	switch {
	case !p.asks():
		return ""
	case flags != 0:
		return fmt.Sprintf("the flags %v", flags)
	case p.options.Options.Len() == 0:
		return "no options"
	}
	return ""
}
