package compare

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

const (
	// A change of time is at least this many milliseconds, and this part of what the time was.
	leastShift     = 1.0
	leastShiftPart = 0.1
)

// timed is a hop whose round-trip times both traces know.
type timed struct {
	ttl int // of the new trace
	who who
	stratum
}

// shift is how much longer the new trace's answers took, in milliseconds.
func (t *timed) shift() float64 { return median(t.new) - median(t.old) }

// large reports whether the times have moved by more than hosts do by themselves.
func (t *timed) large() bool {
	return math.Abs(t.shift()) >= max(leastShift, leastShiftPart*median(t.old))
}

// timed are the hops that have the same responder in both traces, by their places in the new one.
func (c *comparison) timed() (all []timed) {
	for ttl, h := range c.new.hops {
		for _, w := range h.responders() {
			same := c.old.at(ttl + 1)
			if w.target {
				same = c.old.targetHop()
			}
			if same == nil || same.from[w] == 0 {
				continue
			}
			all = append(all, timed{ttl + 1, w, stratum{same.samples(c.old, w), h.samples(c.new, w)}})
		}
	}
	return all
}

// time compares round-trip times at the end, and finds from which hop on they have changed.
func (c *comparison) time() {
	all := c.timed()
	if len(all) == 0 {
		return
	}
	end := &all[len(all)-1]
	if !end.large() {
		return
	}
	from := len(all) - 1
	for from > 0 && all[from-1].shift()/end.shift() >= 0.5 {
		from--
	}
	var strata []stratum
	for _, t := range all[from:] {
		strata = append(strata, t.stratum)
	}
	chance := min(1, ranks(strata)*float64(len(all)))
	d := Difference{Kind: Time, First: all[from].ttl, Last: end.ttl, Chance: chance,
		Old: []string{fmt.Sprintf("%.3f", median(end.old))},
		New: []string{fmt.Sprintf("%.3f", median(end.new))},
		Text: fmt.Sprintf("%s takes %.3f ms, and took %.3f ms%s", c.new.name(end.who), median(end.new),
			median(end.old), c.since(all, from))}
	if chance > 0.05 {
		return // times vary
	}
	if !c.r.SameFlow && !c.has(Target) && c.doubtfulRoute() {
		d.Doubt = otherFlow
	}
	c.add(d)
}

// since says from which hop on the times have changed.
func (c *comparison) since(all []timed, from int) string {
	switch {
	case from == len(all)-1 && from > 0:
		return "; the hops before it are as fast as they were"
	case from > 0:
		return fmt.Sprintf("; from hop %d (%s) on the times have changed", all[from].ttl, c.new.name(all[from].who))
	}
	return ""
}

// doubtfulRoute reports whether the route seems to be another.
func (c *comparison) doubtfulRoute() bool {
	return slices.ContainsFunc(c.r.Doubtful, func(d Difference) bool { return d.Kind == Route || d.Kind == Distance })
}

// change is a field that was changed, and how.
type change struct {
	field  packet.Field
	how    packet.Alteration
	option uint8
	value  string // what it became, if that is no choice of a translator
}

func (c change) String() string {
	text := c.field.String()
	if c.field == packet.FieldOption {
		text += fmt.Sprintf(" %d", c.option)
	}
	text += " " + c.how.String()
	if c.value != "" {
		text += " to " + c.value
	}
	return text
}

// fixed reports whether a device changes a field to the same value each time.
func fixed(f packet.Field) bool {
	switch f {
	case packet.FieldDSCP, packet.FieldECN, packet.FieldMSS, packet.FieldWindow, packet.FieldWindowScale,
		packet.FieldDontFragment, packet.FieldDestinationPort:
		return true
	}
	return false
}

// view is what a router's quotes of one trace show.
type view struct {
	quotes int
	shown  map[change]int // how many quotes show it
}

// quoting is a router at a hop that quotes so many bytes.
type quoting struct {
	ttl   int
	addr  netip.Addr
	bytes int
}

// congestion is the ECN field that a router sets if its queue fills (RFC 3168).
const congestion = 3

// views are what the quotes of each router show.
func (s *side) views() map[quoting]*view {
	all := make(map[quoting]*view)
	for ttl, h := range s.hops {
		for _, r := range h.probes {
			if r.Outcome != trace.Answered || r.Reply.Quote.Bytes == 0 {
				continue
			}
			k := quoting{ttl + 1, r.Reply.From(), r.Reply.Quote.Bytes}
			if all[k] == nil {
				all[k] = &view{shown: make(map[change]int)}
			}
			all[k].quotes++
			for x := range r.Reply.Quote.Changes(r.Probe) {
				if x.Field == packet.FieldECN && x.Seen == congestion {
					continue // a queue was full
				}
				seen := change{field: x.Field, how: x.Alteration, option: x.Option}
				if fixed(x.Field) && x.Alteration == packet.Altered {
					seen.value = x.SeenText()
				}
				all[k].shown[seen]++
			}
		}
	}
	return all
}

// rewriting compares what is changed in packets on the way, at the first hop that shows a difference.
func (c *comparison) rewriting() {
	old, new := c.old.views(), c.new.views()
	var places []quoting
	for k := range new {
		if old[k] != nil {
			places = append(places, k)
		}
	}
	slices.SortFunc(places, func(a, b quoting) int { return a.ttl - b.ttl })
	for _, k := range places {
		began, ended := only(new[k], old[k]), only(old[k], new[k])
		if len(began)+len(ended) == 0 {
			continue
		}
		d := Difference{Kind: Rewriting, First: k.ttl, Last: k.ttl, Old: texts(ended), New: texts(began)}
		var what []string
		if len(began) > 0 {
			what = append(what, "now "+strings.Join(d.New, ", "))
		}
		if len(ended) > 0 {
			what = append(what, "before "+strings.Join(d.Old, ", "))
		}
		d.Text = fmt.Sprintf("packets are changed on the way to hop %d (%s): %s", k.ttl, c.new.name(who{addr: k.addr}),
			strings.Join(what, "; "))
		if !c.r.SameFlow && c.doubtfulRoute() {
			d.Doubt = otherFlow
		}
		c.add(d)
		return // what changes a packet shows at every hop beyond
	}
}

// only are the changes that all quotes of one view show, and none of the other.
func only(a, b *view) (all []change) {
	for x, n := range a.shown {
		if n == a.quotes && b.shown[x] == 0 {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b change) int { return strings.Compare(a.String(), b.String()) })
	return all
}

func texts(all []change) (t []string) {
	for _, c := range all {
		t = append(t, c.String())
	}
	return t
}
