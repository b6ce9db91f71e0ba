package detect

import (
	"fmt"
	"slices"
	"strings"

	"go.example/tcptraceroute/packet"
)

// An explanation has its time. What isn't asked for want of it is said, and nothing becomes more certain by it: a cause
// that the question could have shown isn't excluded.

// NotAsked says which questions were not asked, or not to their end, because the time was up; "": all were.
func NotAsked(all []Question) string {
	var kinds []string
	for i := range all {
		if k := all[i].kind(); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return ""
	}
	return "Not asked, or not to the end, for it would have taken too long: " + strings.Join(kinds, ", ") + "."
}

// kind says in words what a question sends.
func (q *Question) kind() string {
	o := &q.Options
	if o.Protocol == packet.ProtoEcho {
		return "ICMP echo requests"
	}
	text := fmt.Sprintf("%s to port %d", when(asksSYNs(*o), "SYNs", "ACKs"), o.Target.Port())
	switch q.Ask {
	case AskFlow, AskReach, AskWay:
		text += when(q.Flow > 0, " from other source ports", ", again")
	case AskLoose:
		text += ", answered by another number (--loose)"
	case AskShort:
		text += " without the length"
	case AskUnmarked:
		text += " without the mark"
	case AskOptions:
		text += " with other TCP options"
	case AskTTL:
		text += " with an ordinary TTL"
	}
	return text
}

// SomePass reports whether probes vanish, and others to the same port pass, as far as has been asked.
func SomePass(e Evidence) bool {
	if e.Trace == nil {
		return false
	}
	d := newDrop(read(&e))
	return d != nil && len(d.passing()) > 0
}

// inTime lowers what would be certain if all had been asked, and names what wasn't: what is dropped, and who answers.
// What this host itself does is seen, and no question would change it.
func inTime(all []Finding, unasked []Question) {
	text := NotAsked(unasked)
	if text == "" {
		return
	}
	for i := range all {
		x := &all[i]
		if x.Weight != weightFatal && x.Code != PortOpen || x.Code == ThisHost {
			continue
		}
		x.Confidence = min(x.Confidence, Likely)
		x.Evidence = append(slices.Clone(x.Evidence), text)
	}
}
