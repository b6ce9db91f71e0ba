package detect

import (
	"fmt"
	"slices"
	"strings"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// limited finds hops that answered some probes and not others, though everything beyond them got through: they limit
// their ICMP, and lose nothing.
func limited(f *facts) []Finding {
	var who []string
	first, last, missing := 0, 0, 0
	hops, beyond := 0, 0 // further on that answered every probe; beyond the last that didn't
	var further tried    // the probes to hops further on that answer, without those that are known to limit
	chance := 0.0        // that a hop has lost as much though it answers like those
	from, goneOn := 0, 0 // the first hop that lost any, and how many were lost where the loss goes on
	for _, h := range slices.Backward(f.hops) {
		own := f.tried(&h)
		byChance := chanceOfMore(further, own)
		switch {
		case f.limit != nil && h.ttl > f.limit.after: // it is SYNs that are limited
		case own.sent >= 2 && own.lost > 0 && byChance > unlikely && further.goesOn(own):
			further = further.add(own) // the loss goes on: it is no habit of this hop
			goneOn += when(len(h.routers) > 0, own.lost, 0)
			from = when(len(h.routers) > 0, h.ttl, from)
		case own.sent >= 2 && own.lost > 0 && len(h.routers) > 0 && hops > 0:
			who = append([]string{fmt.Sprintf("hop %d (%v)", h.ttl, h.routers[0])}, who...)
			missing += own.lost
			from = h.ttl
			if first = h.ttl; last == 0 {
				last, beyond = h.ttl, hops
			}
			if chance = max(chance, byChance); byChance > unlikely {
				further = further.add(own)
			}
		case h.ttl >= f.distance() && len(h.unknown) > 0: // whether it has answered every one isn't known
		case own.sent >= 2 && own.lost == 0 && h.answered() && !h.refused(): // what is refused got no farther than that
			hops++
			further = further.add(own)
		}
	}
	if len(who) == 0 {
		return nil
	}
	x := Finding{
		Code: ICMPRateLimit, Confidence: Likely, Weight: weightNotice, After: first, Before: last,
		Title: fmt.Sprintf("Missing answers at %s are no loss", strings.Join(who, ", ")),
		Evidence: []string{fmt.Sprintf("%s there got no answer, but beyond %s every one.",
			capital(times(missing, "probe", "probes")), answeredHops(beyond))},
		Advice: limitAdvice,
	}
	// Each hop that was asked had its chance to look so.
	if x.byChance(min(1, chance*float64(len(f.hops)))); x.Confidence == Possible {
		x.Title = fmt.Sprintf("Missing answers at %s may be no loss", strings.Join(who, ", "))
	}
	if x.Confidence == Possible && last-from >= 2 && f.lossyUpTo(from, f.distance()-1) {
		return []Finding{f.maybeLimited(from, missing+goneOn)}
	}
	return []Finding{x}
}

// goesOn reports whether probes further on were lost as often as those to a hop, or half as often.
func (further tried) goesOn(own tried) bool {
	return further.lost > 0 && float64(further.lost)*float64(own.sent) >= lossShare*float64(own.lost)*float64(further.sent)
}

// lossyUpTo reports whether hops that answer lost probes, all of them from one hop to another, and none before.
func (f *facts) lossyUpTo(first, last int) bool {
	for i := range f.hops {
		h := &f.hops[i]
		if lossy := h.answered() && f.tried(h).lost > 0; h.ttl <= last && lossy != (h.ttl >= first) {
			return false
		}
	}
	return last > first
}

// maybeLimited is for loss that begins at one hop and goes on at all beyond it, too little to tell what it is: routers
// that each limit their ICMP errors would have to stand side by side, and loss would spare the target by chance.
func (f *facts) maybeLimited(first, missing int) Finding {
	return Finding{
		Code: RateLimited, Confidence: Possible, Weight: weightNotice, After: first - 1, Before: first,
		Title: fmt.Sprintf("New connections may be limited in number %s", f.between(first-1, first)),
		Evidence: []string{
			fmt.Sprintf("%s to the hops from there on got no answer, up to %s none was lost.",
				capital(times(missing, "probe", "probes")), f.hopName(first-1)),
			"Routers that all limit their ICMP errors, or loss that spares the target by chance, look the same.",
		},
		Advice: fmt.Sprintf("Trace again with more probes (-q 10), which tells these apart. If it is so, ask %s: "+
			"a firewall there drops SYNs above some rate.", f.owner(first-1, first)),
	}
}

// limitAdvice is for hops that answer less often than they forward.
const limitAdvice = "Nothing to do: routers limit how many ICMP errors they send, and some are slow to make them. " +
	"Only loss that goes on to the target harms a connection."

// byChance says that missing answers may be loss that happens to spare later hops, unless that is unlikely.
func (x *Finding) byChance(chance float64) {
	if chance > unlikely {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, fmt.Sprintf(
			"Loss, or a limit on new connections, that spares later hops by chance looks so %s at the most: a longer run "+
				"(-q 10) tells.", chanceText(chance)))
	}
}

// tried counts the probes to a hop, and those that were never answered, not even late.
func (f *facts) tried(h *hop) tried {
	again := len(f.unanswered(h))
	n := h.lost
	for _, r := range h.extra {
		if r.Outcome == trace.Late {
			n--
		}
	}
	return tried{max(n, 0) + again, len(h.results) + again}
}

// unanswered are the probes to a router that the trace took back to send them anew, and that nobody has answered
// though one that was sent later was, after more than a moment. Without them the loss that a limit makes seems to be at
// those hops alone that were not asked anew.
func (f *facts) unanswered(h *hop) (all []trace.Result) {
	if h.ttl >= f.distance() || f.counts.LostHere > 0 || !f.named() {
		return nil // its answer may have been taken for another's, or this host has lost it
	}
	for _, r := range h.unknown {
		late := slices.ContainsFunc(h.extra, func(x trace.Result) bool { return x.N == r.N })
		if !late && slices.ContainsFunc(h.results, func(x trace.Result) bool {
			return x.Outcome == trace.Answered && x.N > r.N && x.Sent.Sub(r.Sent) >= slowly
		}) {
			all = append(all, r)
		}
	}
	return all
}

// named reports whether each router's answer named its probe.
func (p *path) named() bool {
	return !slices.ContainsFunc(p.hops, func(h hop) bool {
		return slices.ContainsFunc(h.results, func(r trace.Result) bool {
			return r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded && !names(&r)
		})
	})
}

// refused reports whether any probe to the hop was refused.
func (h *hop) refused() bool {
	for r := range h.replies() {
		if r.Refused() {
			return true
		}
	}
	return false
}

func answeredHops(n int) string {
	if n == 1 {
		return "one hop answered"
	}
	return fmt.Sprintf("%d hops answered", n)
}
