package trace

import (
	"sync"
	"time"
)

// A Pace limits how many packets leave: a token bucket. All runs that share one, whatever their plans are, stay below
// its rate together. It may be changed at any time, by any goroutine.
type Pace struct {
	mu     sync.Mutex
	rate   float64 // packets per second
	burst  float64
	tokens float64
	at     time.Time // when tokens were counted
}

// NewPace returns a pace of so many packets per second on average, of which so many may leave at once. Both are at
// least a little above 0: a pace slows packets down and never stops them.
func NewPace(perSecond float64, burst int) *Pace {
	p := new(Pace)
	p.Set(perSecond, burst)
	p.tokens = p.burst
	return p
}

// Set changes the pace, from the next packet on.
func (p *Pace) Set(perSecond float64, burst int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate, p.burst = max(perSecond, leastRate), float64(max(burst, 1))
}

const (
	leastRate = 0.001 // packets per second

	// together is for how long tokens are let come in once there is none: to wake up for each costs more than to send it.
	together = 2 * time.Millisecond

	// wholeToken allows for what rounding takes off a token.
	wholeToken = 1 - 1e-6
)

// next returns when one packet more may leave, behind so many that are about to leave: now, or later.
func (p *Pace) next(now time.Time, before int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(now)
	left := p.tokens - float64(before)
	if left >= wholeToken {
		return now
	}
	some := max(min(p.rate*together.Seconds(), p.burst/2), 1) // not all: who is late would lose what comes in then
	return now.Add(time.Duration((some-left)/p.rate*1e9) + 1)
}

// take spends a token for a packet that leaves now.
func (p *Pace) take(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(now)
	p.tokens--
}

// count adds the tokens that came in since they were counted last.
func (p *Pace) count(now time.Time) {
	if since := now.Sub(p.at); since > 0 {
		if !p.at.IsZero() {
			p.tokens += since.Seconds() * p.rate
		}
		p.at = now
	}
	p.tokens = min(p.tokens, p.burst)
}
