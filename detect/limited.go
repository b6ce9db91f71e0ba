package detect

import (
	"fmt"
	"strings"

	"go.example/tcptraceroute/trace"
)

// limited finds hops that answered some probes and not others, though everything beyond them got through: they limit
// their ICMP, and lose nothing.
func limited(f *facts) []Finding {
	var who []string
	first, last, missing := 0, 0, 0
	behind, beyond := 0, 0 // hops further on that answered every probe; beyond the last that didn't
	fed := false
	limit := f.limit()
	for i := len(f.hops) - 1; i >= 0; i-- {
		h := &f.hops[i]
		n, gone := len(h.results), h.gone()
		switch {
		case limit != nil && h.ttl > limit.after: // it is SYNs that are limited
		case n >= 2 && gone > 0 && len(h.routers) > 0 && behind > 0:
			who = append([]string{fmt.Sprintf("hop %d (%v)", h.ttl, h.routers[0])}, who...)
			missing += gone
			if first = h.ttl; last == 0 {
				last, beyond = h.ttl, behind
			}
			fed = true
		case n >= 2 && gone == 0 && h.answered() && !h.refused(): // what is refused got no farther than that
			behind++
		}
	}
	if !fed {
		return nil
	}
	x := Finding{
		Code: ICMPRateLimit, Confidence: Likely, Weight: weightNotice, After: first, Before: last,
		Title:    fmt.Sprintf("Missing answers at %s are no loss", strings.Join(who, ", ")),
		Evidence: []string{fmt.Sprintf("%s there got no answer, but beyond %s every one: the packets get through.", capital(times(missing, "probe", "probes")), answeredHops(beyond))},
		Advice:   "Routers limit how many ICMP errors they send, and some are slow to make them. Only loss that goes on to the target harms a connection.",
	}
	if beyond < 2 {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "With so few probes chance is not ruled out: a longer run (-q 10) tells.")
	}
	return []Finding{x}
}

// gone is how many probes were never answered, not even late.
func (h *hop) gone() int {
	n := h.lost
	for _, r := range h.extra {
		if r.Fate == trace.Late {
			n--
		}
	}
	return max(n, 0)
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
