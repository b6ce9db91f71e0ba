package detect

import (
	"fmt"
	"net/netip"
	"strings"

	"go.example/tcptraceroute/trace"
)

// leastMissing is how many probes of a hop must be lost in rounds to speak of it: one may be by chance anywhere.
const leastMissing = 2

// LossInRounds says what the loss at the hops means, by the judgement that they are marked by too (trace.LossKind). So what it
// says of a hop never differs from its mark.
func LossInRounds(t *trace.Tally) []Finding {
	f := &facts{path: tallyPath(t)}
	all := lostInRounds(f, t)
	return append(all, limitedInRounds(f, t)...)
}

// tallyPath is what is known of who is where.
func tallyPath(t *trace.Tally) *path {
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
func limitedInRounds(f *facts, t *trace.Tally) []Finding {
	var who []string
	first, last, missing, sent := 0, 0, 0, 0
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
	}
	if len(who) == 0 {
		return nil
	}
	return []Finding{{
		Code: ICMPRateLimit, Confidence: Likely, Weight: weightNotice, After: first, Before: last,
		Title: fmt.Sprintf("Missing answers at %s are no loss", strings.Join(who, ", ")),
		Evidence: []string{fmt.Sprintf("%d of %s there got no answer, but beyond it far fewer are lost: the packets get through.",
			missing, times(sent, "probe", "probes"))},
		Advice: "Routers limit how many ICMP errors they send, and some are slow to make them. Only loss that goes on to the target harms a connection.",
	}}
}

// lostInRounds finds loss at the target, and where it begins. Hops that limit their answers tell nothing of it.
func lostInRounds(f *facts, t *trace.Tally) []Finding {
	if !t.Ended() {
		return nil
	}
	end := t.Hop(t.Last())
	if t.LossKind(end.TTL) != trace.AtEnd || end.State == nil || !end.State.FromTarget() || end.Sent() < lossProbes || end.Lost < leastLost {
		return nil
	}
	after, before, sharing := t.First()-1, end.TTL, 0
	for ttl := t.First(); ttl < end.TTL; ttl++ {
		h := t.Hop(ttl)
		switch kind := t.LossKind(ttl); {
		case h.Received == 0 || kind == trace.Harmless:
		case h.Loss() < lossShare*end.Loss():
			after, before, sharing = ttl, end.TTL, 0
		default:
			if sharing++; sharing == 1 {
				before = ttl
			}
		}
	}
	x := Finding{
		Code: PacketLoss, Confidence: Likely, Weight: weightHarm, After: after, Before: before,
		Title:    fmt.Sprintf("Packets are lost %s: %d of %d to the target", f.between(after, before), end.Lost, end.Sent()),
		Evidence: []string{fmt.Sprintf("Up to %s far fewer are lost, and from there on as many at every hop that doesn't limit its answers.", f.hopName(after))},
		Advice:   "On the way there or on the way back, which may be another. Ask " + f.owner(after, before) + ".",
	}
	if sharing == 0 {
		x.Confidence = Possible
		x.Evidence[0] = "No other hop shares the loss."
		x.Advice = lastLinkAdvice
	}
	return []Finding{x}
}
