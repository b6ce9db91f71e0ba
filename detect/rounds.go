package detect

import (
	"fmt"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/trace"
)

// leastMissing is how many probes of a hop must be lost in rounds to speak of it: one may be by chance anywhere.
const leastMissing = 2

// LossInRounds says what the loss at the hops means, by the judgement that they are marked by too (trace.LossKind). So
// what it says of a hop never differs from its mark.
func LossInRounds(t *trace.Stats) []Finding {
	f := &facts{path: statsPath(t)}
	all := lostInRounds(f, t)
	return append(all, limitedInRounds(f, t)...)
}

// tallyPath is what is known of who is where.
func statsPath(t *trace.Stats) *path {
	p := new(path)
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		h := hop{ttl: ttl}
		if a := t.Hop(ttl).Responder(); a.IsValid() {
			h.routers = []netip.Addr{a}
		}
		p.hops = append(p.hops, h)
	}
	return p
}

// limitedInRounds names the hops that answer less often than they forward.
func limitedInRounds(f *facts, t *trace.Stats) []Finding {
	var who []string
	first, last, missing, sent := 0, 0, 0, 0
	chance := 0.0
	for ttl := t.First(); ttl <= t.Last(); ttl++ {
		h := t.Hop(ttl)
		if t.LossKind(ttl) != trace.Harmless || h.Received == 0 || h.Lost < leastMissing {
			continue
		}
		who = append(who, f.hopName(ttl))
		missing, sent = missing+h.Lost, sent+h.Sent()
		if last = ttl; first == 0 {
			first = ttl
		}
		chance = max(chance, chanceOfMore(leastBeyond(t, ttl).tried, lossOf(h).tried))
	}
	if len(who) == 0 {
		return nil
	}
	x := Finding{
		Code: ICMPRateLimit, Confidence: Likely, Weight: weightNotice, After: first, Before: last,
		Title: fmt.Sprintf("Missing answers at %s are no loss", strings.Join(who, ", ")),
		Evidence: []string{fmt.Sprintf("%d of %s there got no answer, but beyond it far fewer are lost: the packets "+
			"get through.",
			missing, times(sent, "probe", "probes"))},
		Advice: limitAdvice,
	}
	x.byChance(min(1, chance*float64(t.Last()-t.First()+1))) // each hop had its chance to look so
	return []Finding{x}
}

// leastBeyond is the loss of the hop that has the least of those beyond one.
func leastBeyond(t *trace.Stats, ttl int) (least hopLoss) {
	for k := ttl + 1; k <= t.Last(); k++ {
		if h := t.Hop(k); h.Received > 0 && (least.sent == 0 || h.Loss() < float64(least.lost)/float64(least.sent)) {
			least = lossOf(h)
		}
	}
	return least
}

// lostInRounds finds loss at the target, and where it begins. Hops that limit their answers tell nothing of it.
func lostInRounds(f *facts, t *trace.Stats) []Finding {
	if !t.Ended() {
		return nil
	}
	end := t.Hop(t.Last())
	if t.LossKind(end.TTL) != trace.AtEnd || end.State == nil || !end.State.FromTarget() {
		return nil
	}
	var hops []hopLoss
	for ttl := t.First(); ttl < end.TTL; ttl++ {
		if h := t.Hop(ttl); h.Received > 0 && t.LossKind(ttl) != trace.Harmless {
			hops = append(hops, lossOf(h))
		}
	}
	return f.lossFinding(hops, lossOf(end))
}

// lossOf is what was lost at a hop.
func lossOf(h *trace.HopStats) hopLoss { return hopLoss{h.TTL, tried{h.Lost, h.Received + h.Lost}} }
