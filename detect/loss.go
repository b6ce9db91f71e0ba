package detect

import "fmt"

const (
	// lossProbes is how many probes it takes to speak of loss.
	lossProbes = 10

	// leastLost is how many of them must be lost at the target: one may be by chance anywhere.
	leastLost = 2

	// lossShare is the share of the target's loss that a hop must have to share it.
	lossShare = 0.5
)

// lastLinkAdvice is for loss that the target alone shows.
const lastLinkAdvice = "Check the target and its link: the link loses packets, or the way back does, or the target, " +
	"or a firewall in front of it, doesn't answer every SYN. To see which, trace to another port of it."

// lost finds loss that goes on to the target, and where it begins. Loss at a hop that later hops don't share is none.
func lost(f *facts) []Finding {
	end := f.at(f.distance())
	if f.distance() == 0 || end == nil || f.stranger != nil {
		return nil
	}
	var hops []hopLoss
	for i := range f.hops {
		if h := &f.hops[i]; h.ttl < end.ttl && h.answered() && len(h.results) >= lossProbes {
			hops = append(hops, hopLoss{h.ttl, tried{h.lost, len(h.results)}})
		}
	}
	return f.lossFinding(hops, hopLoss{end.ttl, tried{end.lost, len(end.results)}})
}

// hopLoss is what was lost of the probes to a hop.
type hopLoss struct {
	ttl int
	tried
}

// lossFinding says how much is lost on the way to the target, and where that begins, as far as the hops before it tell.
// It takes enough losses to name a place: the last hop before it must have lost so much less than the target that it is
// no chance.
func (f *facts) lossFinding(hops []hopLoss, end hopLoss) []Finding {
	if end.sent < lossProbes || end.lost < leastLost || end.lost == end.sent {
		return nil
	}
	clean, first := hopLoss{ttl: f.first() - 1}, hopLoss{} // the last hop before the place, and the first beyond it
	for _, h := range hops {
		switch {
		case chanceOfMore(h.tried, end.tried) <= unlikely:
			clean, first = h, hopLoss{}
		case first.ttl == 0 && h.shares(clean, end):
			first = h
		}
	}
	x := Finding{
		Code: PacketLoss, Confidence: Likely, Weight: weightHarm, After: clean.ttl, Before: end.ttl,
	}
	if first.ttl > 0 {
		x.Before = first.ttl
	}
	x.Title = fmt.Sprintf("Packets are lost %s: %v to the target", f.between(x.After, x.Before), end)
	if clean.sent > 0 {
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s lost %v. That it and the target lose alike would show so %s.",
			capital(f.hopName(clean.ttl)), clean, chanceText(chanceOfMore(clean.tried, end.tried))))
	}
	switch {
	case first.ttl > 0:
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s lost %v.", capital(f.hopName(first.ttl)), first))
		x.Advice = "Ask " + f.owner(x.After, x.Before) + ". Packets may be lost on the way there, or on the way back, " +
			"which may be another."
	case clean.sent == 0 && len(hops) > 0:
		x.Confidence = Possible
		x.Title = fmt.Sprintf("Packets are lost on the way to the target: %v", end)
		x.Evidence = append(x.Evidence,
			"At no hop is the loss so much less that it can't be chance: where it begins isn't known.")
		x.Advice = "Run it with more probes (-q 100) to see where: on the way there, or on the way back. Or the " +
			"target doesn't answer every SYN."
	default:
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "No other hop shares the loss.")
		x.Advice = lastLinkAdvice
	}
	return []Finding{x}
}

// shares reports whether a hop has the loss of the target: about as much, and so much more than the last hop without it
// that it is no chance.
func (h hopLoss) shares(clean, end hopLoss) bool {
	if h.lost < leastLost || float64(h.lost)*float64(end.sent) < lossShare*float64(end.lost)*float64(h.sent) {
		return false
	}
	if chanceOfMore(end.tried, h.tried) <= unlikely {
		return false // it loses more than the target does, so it limits its answers
	}
	return clean.sent == 0 || chanceOfMore(clean.tried, h.tried) <= unlikely
}
