package sim

import (
	"math/bits"
	"time"
)

// chance is a stream of random numbers (splitmix64). Each packet has one of its
// own, seeded from the model's seed and the packet's number: what happens to a
// packet doesn't depend on what happens to others.
type chance uint64

func (c *chance) next() uint64 {
	*c += 0x9e3779b97f4a7c15
	return mix(uint64(*c))
}

// hit is true with probability p.
func (c *chance) hit(p float64) bool { return p > 0 && float64(c.next()>>11) < p*(1<<53) }

// below is uniform from 0 up to d, d left out.
func (c *chance) below(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	hi, _ := bits.Mul64(c.next(), uint64(d))
	return time.Duration(hi)
}

// longTail is log-logistic: half of the times are below the median, one in
// (k+1) above k times the median. It is cut at 1000 times the median.
func (c *chance) longTail(median time.Duration) time.Duration {
	if median <= 0 {
		return 0
	}
	u := c.next() >> 11
	ratio := float64(u) / float64(1<<53-u)
	return time.Duration(float64(median) * min(ratio, 1000))
}

// mix is the finaliser of splitmix64: each bit of the result depends on all of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
