package compare

import (
	"fmt"
	"slices"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
)

// Kind is what a difference is about.
type Kind string

const (
	Target    Kind = "target"    // the name or the port: another target
	State     Kind = "state"     // of the port
	End       Kind = "end"       // where a path without an answer falls silent
	Route     Kind = "route"     // other routers
	Member    Kind = "member"    // a router among those that share out packets or flows
	Distance  Kind = "distance"  // hops to the target
	Time      Kind = "time"      // round-trip time
	Loss      Kind = "loss"      // of the target's answers
	Rewriting Kind = "rewriting" // what is changed in packets on the way, by NAT or else
	MTU       Kind = "mtu"
	Finding   Kind = "finding"
)

// Difference is one thing that has changed, or seems to have.
type Difference struct {
	Kind        Kind
	First, Last int      // the hops that it is about, of the new trace if both have them; 0: it is about no hop
	Old, New    []string // addresses, or a value
	Text        string   // what has changed: one sentence
	Chance      float64  // how often chance alone does this, if nothing has changed; 0: never, or not known
	Doubt       string   // why it may be no change; "": it is one
}

// Report is what comparing two traces has found.
type Report struct {
	Old, New    *record.Trace
	SameFlow    bool // both are of the same flow
	Differences []Difference
	Doubtful    []Difference // what seems to have changed, but may be chance or another flow
	Notes       []string     // what could not be compared, and why
}

// Changed reports whether anything is different beyond doubt.
func (r *Report) Changed() bool { return len(r.Differences) > 0 }

// comparison is a Report in the making.
type comparison struct {
	old, new *side
	r        *Report
	longer   bool // a difference of routes changes the distance
}

// Compare says what is different in a trace from one that was made before.
func Compare(old, new *record.Trace) *Report {
	c := &comparison{old: newSide(old), new: newSide(new), r: &Report{Old: old, New: new}}
	c.r.SameFlow = sameFlow(c.old, c.new)
	c.notes()
	c.target()
	c.state()
	c.route()
	c.members()
	c.graphs()
	c.distance()
	c.time()
	c.loss()
	c.rewriting()
	c.mtu()
	c.findings()
	return c.r
}

// rememberedFlow is how long firewalls may remember a connection that never opened: a minute or two, some longer.
const rememberedFlow = 10 * time.Minute

// add reports a difference, or a doubtful one if it has a doubt.
func (c *comparison) add(d Difference) {
	if d.Doubt == "" && d.Chance > mostChance {
		d.Doubt = "chance does that " + often(d.Chance) + "; more probes (-q) would tell"
	}
	if d.Doubt == "" {
		c.r.Differences = append(c.r.Differences, d)
	} else {
		c.r.Doubtful = append(c.r.Doubtful, d)
	}
}

func (c *comparison) note(format string, args ...any) {
	c.r.Notes = append(c.r.Notes, fmt.Sprintf(format, args...))
}

// has reports whether a difference of a kind was found.
func (c *comparison) has(k Kind) bool {
	return slices.ContainsFunc(c.r.Differences, func(d Difference) bool { return d.Kind == k })
}

// often is a probability in words.
func often(p float64) string {
	switch {
	case p > 0.1:
		return fmt.Sprintf("in %.0f of 100 comparisons", 100*p)
	case p < 1e-6:
		return "in less than 1 of 1,000,000 comparisons"
	}
	return fmt.Sprintf("in 1 of %.0f comparisons", 1/p)
}

// notes says what limits the comparison.
func (c *comparison) notes() {
	if !c.r.SameFlow {
		c.note("the traces are of different flows: routers may send them different ways; -p keeps the source port")
	}
	for _, s := range []struct {
		what string
		of   *side
	}{{"old", c.old}, {"new", c.new}} {
		if !s.of.complete() {
			c.note("the %s trace didn't come to its end (%s)", s.what, s.of.Ending.Reason)
		}
	}
	old, new := c.old.Path.Effective(), c.new.Path.Effective()
	options := func(what string, a, b any) {
		if a != b {
			c.note("the options differ: %s %v before, %v now", what, a, b)
		}
	}
	options("first TTL", old.FirstTTL, new.FirstTTL)
	options("last TTL", old.MaxTTL, new.MaxTTL)
	options("protocol", old.Protocol, new.Protocol)
	options("TCP flags", old.Flags, new.Flags)
	options("TOS", old.TOS, new.TOS)
	options("packet length", c.old.Length, c.new.Length)
	options("connections in the place of raw packets", c.old.Connections, c.new.Connections)
}

// target compares what was traced.
func (c *comparison) target() {
	old, new := c.old.Path.Target, c.new.Path.Target
	if old != new {
		c.add(Difference{Kind: Target, Old: []string{old.String()}, New: []string{new.String()},
			Text: fmt.Sprintf("the target is %v, and was %v", new, old)})
	}
}

// state compares how the paths end.
func (c *comparison) state() {
	if !c.old.complete() || !c.new.complete() || c.old.out.State == record.Unsent || c.new.out.State == record.Unsent {
		return // a note says so
	}
	old, new := c.old.stateText(), c.new.stateText()
	d := Difference{Kind: State, Old: []string{string(c.old.out.State)}, New: []string{string(c.new.out.State)},
		First: c.new.out.TTL, Last: c.new.out.TTL, Text: fmt.Sprintf("%s, and was %s", new, old)}
	a, b := c.old.out.State, c.new.out.State
	switch {
	case a == record.NoAnswer && b == record.NoAnswer:
		c.end()
		return
	case old != new && c.otherProbes():
		d.Doubt = otherKind
	case a == record.NoAnswer:
		d.Chance = fell(c.new, c.old)
	case b == record.NoAnswer:
		d.Chance = fell(c.old, c.new)
		if ago := c.new.Started.Sub(c.old.Ending.Time); c.r.SameFlow && ago >= 0 && ago < rememberedFlow {
			c.note("the same source port was used %v before: a firewall may remember it, and drop what doesn't fit",
				ago.Round(time.Second))
		}
	case old == new:
		return
	case c.old.states[b] || c.new.states[a]:
		d.Doubt = "one trace has seen both answers"
	}
	c.add(d)
}

// otherProbes reports whether the probes of the traces are of different kinds, which firewalls and targets treat
// differently.
func (c *comparison) otherProbes() bool {
	old, new := c.old.Path.Effective(), c.new.Path.Effective()
	return old.Protocol != new.Protocol || old.Flags != new.Flags
}

const otherKind = "the probes are of another kind (protocol or TCP flags)"

// stateText is how a path ends, in words.
func (s *side) stateText() string {
	switch s.out.State {
	case record.NoAnswer:
		if s.lastAnswer() == 0 {
			return "no answer from any hop"
		}
		return "no answer, " + s.silentText()
	case record.Refused:
		return fmt.Sprintf("refused by %v (%s)", s.out.Addr, s.out.Mark)
	}
	return string(s.out.State)
}

// fell is the probability that nobody answers the probes of the silent trace that got as far as the one who answered
// the other, or farther. Where routers answer up to the last hop, what they answered came to nobody else either.
func fell(answering, silent *side) float64 {
	var a, b outcomes
	for ttl := answering.out.TTL; ttl > 0 && ttl <= len(answering.hops); ttl++ { // if the distance is known
		h := answering.at(ttl)
		a.seen, a.not = a.seen+h.answered()+h.refused, a.not+h.lost
	}
	for ttl := max(1, answering.out.TTL); ttl <= len(silent.hops); ttl++ {
		b.not += silent.at(ttl).lost
		if silent.goesOn() {
			b.not += silent.at(ttl).answered()
		}
	}
	if a.seen == 0 {
		a.seen = 1 // a notice, which fits several probes
	}
	return fisher(a, b)
}

// end compares where two paths fall silent.
func (c *comparison) end() {
	old, new := c.old.lastAnswer(), c.new.lastAnswer()
	if old == new {
		return
	}
	far, near := c.old, c.new
	if new > old {
		far, near = near, far
	}
	chance := 1.0
	for ttl := min(old, new) + 1; ttl <= max(old, new); ttl++ {
		if far.at(ttl).answered() > 0 {
			chance *= fisher(far.at(ttl).outcomes(), outcomes{0, near.at(ttl).lost})
		}
	}
	d := Difference{Kind: End, Old: c.old.addresses(c.old.at(old)), New: c.new.addresses(c.new.at(new)),
		First: min(old, new) + 1, Last: max(old, new), Chance: chance,
		Text: fmt.Sprintf("%s, and was %s", c.new.silentText(), c.old.silentText())}
	switch {
	case c.otherProbes():
		d.Doubt = otherKind
	case max(old, new)-min(old, new) == 1:
		d.Doubt = "a single router may answer now and then"
	}
	c.add(d)
}

// distance compares how far the target is.
func (c *comparison) distance() {
	old, new := c.old.out.TTL, c.new.out.TTL
	if old == 0 || new == 0 || old == new || c.old.out.State == record.Refused || c.new.out.State == record.Refused {
		return
	}
	d := Difference{Kind: Distance, Old: []string{fmt.Sprint(old)}, New: []string{fmt.Sprint(new)}, First: new, Last: new,
		Text: fmt.Sprintf("the target is %d hops away, and was %d", new, old)}
	switch {
	case c.longer:
	case !c.r.SameFlow:
		d.Doubt = otherFlow
	case c.doubtfulRoute():
		d.Doubt = "the other route is doubtful too"
	default:
		d.Doubt = "the routers on the way are the same as far as they answered; answers of the target may have been lost"
	}
	c.add(d)
}

const otherFlow = "it is another flow, for which a router may have chosen another way"

// mtu compares what was found by searching for the path's MTU.
func (c *comparison) mtu() {
	old, new := c.old.MTU, c.new.MTU
	switch {
	case old == nil || new == nil:
		if old != nil || new != nil {
			c.note("only one of the traces has measured the MTU")
		}
		return
	case old.Size == 0 || new.Size == 0:
		c.note("one of the traces could not measure the MTU")
		return
	case old.Size == new.Size && old.BlackHole == new.BlackHole:
		return
	}
	d := Difference{Kind: MTU, Old: []string{fmt.Sprint(old.Size)}, New: []string{fmt.Sprint(new.Size)},
		First: new.TTL, Last: new.TTL,
		Text: fmt.Sprintf("the path MTU is %s, and was %s", mtuText(new), mtuText(old))}
	if !sureMTU(old) || !sureMTU(new) {
		d.Doubt = "the MTU was measured by SYNs, which firewalls drop if they are large"
	}
	c.add(d)
}

// sureMTU reports whether an MTU can't be smaller than it is because firewalls drop large SYNs: the largest packet got
// through, or a router said that a larger one doesn't fit.
func sureMTU(m *record.MTU) bool {
	return m.InSession || !m.Narrow || m.From.IsValid() && !m.BlackHole
}

func mtuText(m *record.MTU) string {
	text := fmt.Sprintf("%d bytes", m.Size)
	if m.BlackHole {
		text += " with a black hole for larger packets"
	}
	return text
}

// compared are the codes that other rules compare, or that chance decides.
var compared = []detect.Code{
	detect.PortOpen, detect.PortClosed, detect.PortUnclear, detect.TargetAlive,
	detect.FilteredPort, detect.FilteredSYN, detect.FilteredACK, detect.FilteredTCP, detect.PathEnds, detect.Filtered,
	detect.HopLimit, detect.MTUBlackHole, detect.MTULimit,
	detect.RejectedByRouter, detect.RejectedByTarget, detect.UnreachableNetwork, detect.UnreachableHost,
	detect.DNAT, detect.SNAT, detect.HiddenRewrite, detect.MSSClamped, detect.MSSRaised, detect.OptionsRemoved,
	detect.SeqRewritten, detect.IPIDRewritten, detect.LabelRewritten, detect.DSCPChanged, detect.ECNErased,
	detect.HeaderRewritten,
	detect.LoadBalancer, detect.ICMPRateLimit, detect.PacketLoss,
}

// findings compares what was found besides.
func (c *comparison) findings() {
	if c.old.Findings == nil || c.new.Findings == nil {
		return
	}
	if (c.old.Explanation == nil) != (c.new.Explanation == nil) {
		c.note("only one of the traces was made with --explain: findings aren't compared")
		return
	}
	c.missing(c.new.Findings, c.old.Findings, "now", func(d *Difference, v []string) { d.New = v })
	c.missing(c.old.Findings, c.new.Findings, "before, not any more", func(d *Difference, v []string) { d.Old = v })
}

// missing reports findings that others lack.
func (c *comparison) missing(all, others []detect.Finding, when string, set func(*Difference, []string)) {
	for i := range all {
		f := &all[i]
		same := func(o detect.Finding) bool { return o.Code == f.Code }
		if slices.Contains(compared, f.Code) || slices.ContainsFunc(others, same) {
			continue
		}
		d := Difference{Kind: Finding, First: f.After, Last: f.Before, Text: fmt.Sprintf("%s: %s", when, f.Title)}
		set(&d, []string{string(f.Code)})
		switch {
		case c.otherProbes():
			d.Doubt = otherKind
		case f.Confidence < detect.Likely:
			d.Doubt = "the finding is only " + f.Confidence.String()
		case !c.r.SameFlow && c.doubtfulRoute():
			d.Doubt = otherFlow
		}
		c.add(d)
	}
}

// loss compares how many of its probes the target answers.
func (c *comparison) loss() {
	a, b := c.old.targetHop(), c.new.targetHop()
	if a == nil || b == nil {
		return
	}
	old, new := a.outcomes(), b.outcomes()
	if old.not*new.all() == new.not*old.all() {
		return
	}
	chance := fisher(old, new)
	if chance > mostChance {
		return // some loss now and then is no news
	}
	where := ""
	if ttl := c.lossFrom(); ttl > 0 && ttl < c.new.out.TTL {
		where = fmt.Sprintf(", and so do all hops from %d on", ttl)
	}
	d := Difference{Kind: Loss, First: c.new.out.TTL, Last: c.new.out.TTL, Chance: chance,
		Old: []string{share(old)}, New: []string{share(new)},
		Text: fmt.Sprintf("the target leaves %d of %d probes unanswered, and left %d of %d%s", new.not, new.all(), old.not,
			old.all(), where)}
	switch {
	case c.otherProbes():
		d.Doubt = otherKind
	case c.old.out.TTL != c.new.out.TTL && !c.has(Route):
		d.Doubt = "which hop the target is isn't certain"
	}
	c.add(d)
}

func share(o outcomes) string { return fmt.Sprintf("%.3f", float64(o.not)/float64(o.all())) }

// lossFrom is the first hop from which on every hop that answers has the change in loss that the target has; 0: not
// known.
func (c *comparison) lossFrom() (from int) {
	more := func(a, b outcomes) int { return b.not*a.all() - a.not*b.all() }
	end := more(c.old.targetHop().outcomes(), c.new.targetHop().outcomes())
	for ttl := c.new.out.TTL - 1; ttl > 0; ttl-- {
		a, b := c.old.at(ttl), c.new.at(ttl)
		switch {
		case a.answered() == 0 || b.answered() == 0:
		case more(a.outcomes(), b.outcomes())*end <= 0:
			return from
		default:
			from = ttl
		}
	}
	return from
}
