package trace

import (
	"time"

	"go.example/tcptraceroute/packet"
)

// A probe that has its outcome is remembered for a while, so that a late answer or a second one is recognised. How long
// answers may still come depends on the path: a multiple of the slowest answer that was seen to a probe to the same
// target, and much longer where no answer was seen.
const (
	// memoryFactor is how many times the slowest answer seen. Queues on the way seldom make an answer ten times slower.
	memoryFactor = 20

	// leastMemory is the lower bound. A target sends its SYN+ACK again after 1, 3 and 7 seconds (RFC 6298).
	leastMemory = 15 * time.Second

	// mostMemory is the upper bound.
	mostMemory = time.Minute

	// endedShare: once nothing is sent with a flow any more, this part of the lower bound is enough, about two seconds. A
	// later answer changes no result, and where thousands of targets end each second, memory is what their probes take.
	endedShare = 8

	// waitMemory is how many times its wait a probe is remembered at least: a wait that is set long means slow answers.
	waitMemory = 2
)

// memory is the probes that are remembered, by how old they must be at least before they are forgotten: each queue
// twice as old as the one before.
type memory [6]queue

// memoryBounds returns the bounds of the time that a probe is remembered, by how long a probe may be answered.
func memoryBounds(wait time.Duration) (least, most time.Duration) {
	least = max(leastMemory, waitMemory*wait)
	return least, max(least, mostMemory)
}

// lasts is how long the probes of a flow are remembered.
func (fl *flow) lasts(wait time.Duration) time.Duration {
	least, most := memoryBounds(wait)
	switch {
	case fl.ended:
		least, most = least/endedShare, least
	case fl.slowest == 0:
		return most
	}
	return min(max(least, memoryFactor*fl.slowest), most)
}

// endFlow takes in that nothing is sent any more with the flow of a probe.
func (m *matcher) endFlow(k packet.Key) {
	if fl := m.bySeq[flowID{k.Port, k.Seq}]; fl != nil {
		fl.ended = true
	}
}

// took takes in how long an answer took, in time or late.
func (d *distance) took(v Verdict, rtt time.Duration) {
	if v == Believed || v == IsLate {
		d.slowest = max(d.slowest, rtt)
	}
}

// forget drops the probes that have been remembered for long enough.
func (e *engine) forget(now time.Time) {
	least, _ := memoryBounds(e.m.wait)
	for i := range e.done {
		q, age := &e.done[i], least/endedShare<<i
		for f := q.first(); f != nil && now.Sub(f.sent) > age; f = q.first() {
			q.pop()
			if i+1 < len(e.done) && now.Sub(f.sent) < f.flow.lasts(e.m.wait) {
				e.done[i+1].push(f)
			} else {
				e.m.forget(f)
			}
		}
	}
}
