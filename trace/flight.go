package trace

import (
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// flowID names a flow in what comes back. Never the destination: NAT rewrites it.
type flowID struct {
	port uint16
	seq  uint32
}

// flow is all that the matcher knows of one flow.
type flow struct {
	src, dst   netip.AddrPort
	first      packet.Probe  // what all its probes have in common
	flights    []*flight     // those that may still be answered, in order of sending
	lastRouter uint8         // the highest TTL known to end at a router: lower ones don't reach the target either
	alone      bool          // see TrustAlone
	ended      bool          // nothing is sent with it any more
	trust      Trust         // of its first probe: TrustStrict and TrustLoose
	wait       time.Duration // how long its probes wait at the most
	scrubbed   int           // how many tags have come back that were never sent
	far        time.Duration // the longest that a router's answer took
	near       time.Duration // the shortest that those of the router at spent took
	*distance
	opened []opening // newest last
	// no longer than this, by the best that is known, took an answer of the target that fitted several probes
	bound   time.Duration
	doubts  []doubt
	senders []sender    // whose answers were believed though they named no probe
	blurred []time.Time // when the last answers came that fitted several probes
	fresh   []time.Time // when the last of them came that were SYN+ACKs, and no copies of others
	older   older
	place   int // see index.byLocal
}

// distance is how far a target is, as all flows to it have seen.
type distance struct {
	best, worst time.Duration // the shortest and the longest that an answer took
	// the longest that any answer took to a probe to it, the target's or a router's; 0: there was none
	slowest time.Duration
	// how long after each of the probes that it may be for the last answer came that fitted several, the youngest first
	ages    []time.Duration
	routers uint8 // the highest TTL that any flow to it was answered at by a router, and none by the target
	flows   int
	bare    bare
}

// opening is an initial sequence number of the target, and when a SYN+ACK last brought it.
type opening struct {
	seq  uint32
	last time.Time
}

// mostOpenings are remembered of a flow.
const mostOpenings = 8

// opening finds the one that a segment brings again; nil: it is none, or new.
func (fl *flow) opening(t *packet.TCP) *opening {
	if t.Flags.Has(packet.SYN) {
		for i := range fl.opened {
			if fl.opened[i].seq == t.Seq {
				return &fl.opened[i]
			}
		}
	}
	return nil
}

// flight is one probe on its way.
type flight struct {
	flow     *flow
	probe    packet.Probe
	key      packet.Key
	n        int
	sent     time.Time
	outcome  Outcome
	passed   bool
	role     Role
	note     any
	trust    Trust
	wait     time.Duration
	until    time.Time // it waits so long at least, see Extend
	due      time.Time // when its wait is over
	place    int       // in engine.inFlight
	shared   bool      // an answer came that fits this probe among others: one more doesn't tell either
	recv     time.Time // of its answer, late or not
	byTarget bool      // it was answered, and by the target
	notices  *notices  // nil: none yet
}

func (f *flight) result(fate Outcome) Result {
	return Result{Probe: f.probe, Role: f.role, Note: f.note, N: f.n, Outcome: fate, Sent: f.sent}
}

// beyond reports whether a probe may have got as far as the target.
func (fl *flow) beyond(f *flight) bool { return f.probe.TTL > fl.lastRouter && f.trust&TrustAside == 0 }

// candidate reports whether an answer that names only the flow may be this probe's.
func (f *flight) candidate(at time.Time) bool {
	return f.outcome == Pending && !f.passed && !f.sent.After(at)
}

// newest is the probe of the flow that was sent last, of those that are so.
func (fl *flow) newest(at time.Time, so func(*flight) bool) *flight {
	for _, f := range slices.Backward(fl.flights) {
		if !f.sent.After(at) && so(f) {
			return f
		}
	}
	return nil
}

func anyFlight(*flight) bool { return true }

func byTarget(f *flight) bool { return f.byTarget }

// verdict is what an answer that names this probe is.
func (f *flight) verdict() Verdict {
	switch f.outcome {
	case Pending:
		return Believed
	case Answered:
		return IsDuplicate
	}
	if !f.recv.IsZero() {
		return IsDuplicate
	}
	return IsLate
}

// last adds a time to the last mostDoubts ones.
func last(times []time.Time, at time.Time) []time.Time {
	if len(times) == mostDoubts {
		times = slices.Delete(times, 0, 1)
	}
	return append(times, at)
}

// open remembers the target's initial sequence number, where the segment brings one.
func (fl *flow) open(t *packet.TCP, at time.Time) {
	if known := fl.opening(t); known != nil {
		known.last = at
		return
	}
	if !t.Flags.Has(packet.SYN) {
		return
	}
	if len(fl.opened) == mostOpenings {
		fl.opened = slices.Delete(fl.opened, 0, 1)
	}
	fl.opened = append(fl.opened, opening{t.Seq, at})
}
