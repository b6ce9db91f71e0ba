package detect

import (
	"fmt"
	"math"
	"slices"
	"time"

	"go.example/tcptraceroute/trace"
)

const (
	// A probe that follows another within quick is quick; one that comes no sooner than slowly is slow.
	quick  = 20 * time.Millisecond
	slowly = 50 * time.Millisecond

	// leastLimited is how many quick probes must be lost, at leastLimitedHops hops, to speak of a limit, and chanceOfSlow
	// the probability that as many slow ones are answered, and the quick ones in that order, if all are lost alike.
	leastLimited     = 3
	leastLimitedHops = 2
	leastThrough     = 2 // quick probes that are answered by one hop, and none lost, show that there is none
	chanceOfSlow     = 0.05
)

// rateLimited finds that SYNs above some rate are dropped: from one hop on, probes that follow each other quickly are
// lost, and those that come slowly are all answered.
func rateLimited(f *facts) []Finding {
	l := f.limit
	if l == nil {
		return nil
	}
	x := Finding{
		Code: RateLimited, Confidence: Likely, Weight: weightNotice, After: l.free, Before: l.after + 1,
		Title: fmt.Sprintf("New connections are limited in number %s", f.between(l.free, l.after+1)),
		Evidence: []string{
			fmt.Sprintf("Of %s beyond %s that followed each other within %v, %d were lost; of %d that came at least %v "+
				"apart, none.",
				times(l.quick, "probe", "probes"), f.hopName(l.after), quick, l.lost, l.slow, slowly),
			fmt.Sprintf("Up to %s none was lost.", f.hopName(l.after)),
		},
		Advice: fmt.Sprintf("Ask %s, if many connections are to be opened at once: a firewall there drops SYNs above "+
			"some rate. Single connections pass. Routers beyond that all limit their ICMP errors would look similar.",
			f.owner(l.free, l.after+1)),
	}
	if !f.echoUnlimited(l.after) {
		x.Confidence = Possible
		x.Evidence = append(x.Evidence, "It is not known that other packets are not limited: "+
			"what limits may also stand on the way back, and drop answers.")
	}
	return []Finding{x}
}

// leastEcho is how many quick echo requests must be answered, and none lost, to say that not all packets are limited.
const leastEcho = 4

// echoUnlimited reports whether ICMP echo requests that followed each other as quickly as SYNs were all answered from
// beyond a hop.
func (f *facts) echoUnlimited(after int) bool {
	if f.echo == nil {
		return false
	}
	answered := 0
	for i := range f.echo.hops {
		h := &f.echo.hops[i]
		if h.ttl <= after || !h.answered() {
			continue
		}
		if h.lost > 0 {
			return false
		}
		answered += len(h.results)
	}
	return answered >= leastEcho
}

// limit is what shows that SYNs are limited.
type limit struct {
	after             int // the last hop without loss
	free              int // the last hop that probes came to while others were lost: the limit is beyond it
	quick, lost, slow int // probes beyond it: quick ones, those of them that were lost, slow ones
}

// findLimit looks for one; nil: there is none, as far as can be seen.
func (f *facts) findLimit() *limit {
	if f.distance() == 0 || !f.asks() {
		return nil
	}
	l := &limit{after: f.lossless(), free: f.first() - 1}
	var beyond, before []trace.Result
	lossy := 0
	for i := range f.hops {
		h := &f.hops[i]
		if h.ttl <= l.after {
			before = append(before, h.results...)
			continue
		}
		again := f.unanswered(h)
		lossy += when(h.lost+len(again) > 0 && h.answered(), 1, 0)
		beyond = slices.Concat(beyond, h.results, again)
	}
	for _, r := range f.distanceProbes { // the others follow them
		if !slices.ContainsFunc(beyond, func(b trace.Result) bool { return b.N == r.N }) {
			beyond = append(beyond, r)
		}
	}
	slices.SortFunc(beyond, func(a, b trace.Result) int { return a.Sent.Compare(b.Sent) })
	through := map[uint8]int{} // quick probes that each TTL answered; negative: it lost some
	ordered := true            // no quick probe was answered after another had been lost
	for i, r := range beyond {
		gap := r.Sent.Sub(beyond[max(i, 1)-1].Sent)
		switch {
		case i == 0, int(r.Probe.TTL) > f.distance(): // a distance probe is one of the first, which pass
		case gap < quick:
			l.quick++
			ordered = ordered && (unheard(r) || l.lost == 0)
			l.lost += when(unheard(r), 1, 0)
			through[r.Probe.TTL] += when(unheard(r), -len(beyond), 1)
		case gap >= slowly && unheard(r):
			return nil
		case gap >= slowly:
			l.slow++
		}
	}
	for _, n := range through {
		if n >= leastThrough {
			return nil // quick probes get there
		}
	}
	chance := math.Pow(1-float64(l.lost)/float64(max(l.quick, 1)), float64(l.slow))
	if ordered { // as a limit leaves them that lets the first pass
		chance /= math.Exp(choose(l.quick, l.lost))
	}
	if l.lost < leastLimited || lossy < leastLimitedHops || chance > chanceOfSlow {
		return nil
	}
	for _, r := range before {
		if ttl := int(r.Probe.TTL); ttl > l.free && follows(r, beyond) >= leastThrough {
			l.free = ttl
		}
	}
	return l
}

// unheard reports whether a probe that was sent to find a limit got no answer.
func unheard(r trace.Result) bool { return r.Outcome == trace.Lost || r.Outcome == trace.Unknown }

// lossless is the last hop before the target that answered, and up to which no probe was lost.
func (f *facts) lossless() int {
	last := f.first() - 1
	for i := range f.hops {
		h := &f.hops[i]
		if h.ttl >= f.distance() || h.lost+len(f.unanswered(h)) > 0 {
			break
		}
		if h.answered() {
			last = h.ttl
		}
	}
	return last
}

// follows counts the lost probes that were sent at most quick before another.
func follows(r trace.Result, others []trace.Result) (n int) {
	for _, o := range others {
		if gap := r.Sent.Sub(o.Sent); unheard(o) && gap > 0 && gap < quick {
			n++
		}
	}
	return n
}
