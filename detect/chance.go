package detect

import (
	"fmt"
	"math"
)

// unlikely is the probability from which on a difference is held to be no chance.
const unlikely = 0.05

// tried is how many probes were sent, and how many of them were lost.
type tried struct{ lost, sent int }

// add pools the probes of two hops.
func (a tried) add(b tried) tried { return tried{a.lost + b.lost, a.sent + b.sent} }

func (a tried) String() string { return fmt.Sprintf("%d of %d", a.lost, a.sent) }

// chanceOfMore is the probability that b loses as many probes as it does, or more, if all the losses of both fall on
// any of the probes alike: Fisher's exact test, one-sided.
func chanceOfMore(a, b tried) float64 {
	lost := a.lost + b.lost
	p := 0.0
	for n := b.lost; n <= min(lost, b.sent); n++ {
		if lost-n <= a.sent {
			p += math.Exp(choose(b.sent, n) + choose(a.sent, lost-n) - choose(a.sent+b.sent, lost))
		}
	}
	return min(p, 1)
}

// choose is the logarithm of the number of ways to choose k of n.
func choose(n, k int) float64 {
	of := func(n int) float64 {
		l, _ := math.Lgamma(float64(n + 1))
		return l
	}
	return of(n) - of(k) - of(n-k)
}

// chanceText is a probability in words.
func chanceText(p float64) string {
	switch {
	case p < 0.0001:
		return "less than once in 10,000 times"
	case p < 0.1:
		return fmt.Sprintf("once in %.0f times", 1/p)
	}
	return fmt.Sprintf("in %.0f %% of all cases", 100*p)
}
