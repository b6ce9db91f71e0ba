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
const lastLinkAdvice = "The last link loses packets, or the target doesn't answer every SYN: hosts limit that too, and so do firewalls in " +
	"front of them. Trace with another kind of probe, or look at the target."

// lost finds loss that goes on to the target, and where it begins. Loss at a hop that later hops don't share is none.
func lost(f *facts) []Finding {
	end := f.at(f.distance())
	if f.distance() == 0 || end == nil || f.impostorDistance() > 0 {
		return nil
	}
	n := len(end.results)
	if n < lossProbes || end.lost < leastLost || end.lost == n {
		return nil
	}
	least := lossShare * float64(end.lost) / float64(n)
	after, before, sharing := f.first()-1, end.ttl, 0
	for i := range f.hops {
		switch h := &f.hops[i]; {
		case h.ttl >= end.ttl || !h.answered() || len(h.results) < lossProbes:
		case float64(h.lost)/float64(len(h.results)) < least:
			after, before, sharing = h.ttl, end.ttl, 0
		default:
			if sharing++; sharing == 1 {
				before = h.ttl
			}
		}
	}
	x := Finding{
		Code: PacketLoss, Confidence: Likely, Weight: weightHarm, After: after, Before: before,
		Title:    fmt.Sprintf("Packets are lost %s: %d of %d to the target", f.between(after, before), end.lost, n),
		Evidence: []string{fmt.Sprintf("Up to %s hardly any is lost, and from there on at every hop that answers.", f.hopName(after))},
		Advice:   "On the way there or on the way back, which may be another. Ask " + f.owner(after, before) + ".",
	}
	if sharing == 0 {
		x.Confidence = Possible
		x.Evidence[0] = "No other hop shares the loss."
		x.Advice = lastLinkAdvice
	}
	return []Finding{x}
}
