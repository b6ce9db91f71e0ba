package trace

import (
	"time"

	"go.example/tcptraceroute/packet"
)

// Serial is the plan for a network that takes only one probe of a flow at a time, such as one without privileges, where
// a probe is a connection and two can't have the same addresses and ports. Its probes are one flow, or with
// PathOptions.Ports as many flows as there are ports, of which up to PathOptions.Parallel are in flight.
//
// Hops are asked in passes, as [Path] does it. But here every silence holds up the trace, so a probe waits its whole
// time only where that can bring something. To know how long an answer takes, the very first probe is one to MaxTTL:
// most targets answer it. Without that a target behind a long link would answer the probe before the one that is in
// flight, for which a kernel sends its SYN again at once.
type Serial struct {
	flow     *Flow         // makes the probes
	whole    time.Duration // how long a probe waits at the most
	o        PathOptions
	hops     []serialHop
	pending  []serialProbe
	free     []uint16 // ports without a probe in flight, the one that is longest so first
	limit    int      // the last TTL worth asking
	target   int      // the lowest TTL that the target answered at; else the highest
	refusals refusals
	known    int  // the highest TTL that anything is known of but by the first probe: answered, or given up
	begun    bool // the first probe was sent
	heard    bool // any answer
	arrived  bool // one of the target
	soon     time.Time
}

type serialHop struct {
	asked int
	whole bool          // a probe to it waited its whole time
	rtt   time.Duration // the longest; 0: no answer
}

type serialProbe struct {
	key  packet.Key
	ttl  int
	sent time.Time
	wait time.Duration
}

// The constants of waiting, all times multiples of what has answered near by.
const (
	// A hop that has answered is waited for againFactor times as long, and leastAgain at least.
	againFactor = 3
	leastAgain  = 250 * time.Millisecond

	// One that has not is waited for half as long again as its neighbours, and quickMargin.
	quickMargin = 50 * time.Millisecond
	leastQuick  = 100 * time.Millisecond

	// If nothing at all has answered, a probe waits untested to the first untestedHops hops, and leastQuick to those
	// beyond: hardly ever are so many silent, and the next one answers. Once each was asked, a probe waits inVain.
	untested     = 250 * time.Millisecond
	untestedHops = 8
	inVain       = 10 * time.Millisecond

	// fullWaits is how many hops beyond the last that has answered are waited for as long as can be, once. All but
	// the nearest are so at the first time: a router that can't find the target on its link says so 3.06 s after the
	// first probe that it could not deliver, to all probes since then, and Linux sends six such answers at once and
	// no more. So few may have been sent by then, and one must still be waited for.
	fullWaits = 4
)

// NewSerial is a plan for one target, with probes that wait no longer than most. The error is that of NewFlow.
func NewSerial(o PathOptions, most time.Duration) (*Serial, error) {
	f, err := newConnectFlow(o)
	if err != nil {
		return nil, err
	}
	o = f.o
	s := &Serial{flow: f, o: o, limit: o.MaxTTL, target: o.MaxTTL, known: o.FirstTTL - 1}
	s.o.Wait = min(o.ProbeWait(), most)
	s.whole = min(o.Wait, most)
	s.hops = make([]serialHop, o.MaxTTL-o.FirstTTL+1)
	s.free = append(s.free, o.Ports...)
	if len(s.free) == 0 {
		s.free = []uint16{o.Source.Port()}
	}
	return s, nil
}

// newConnectFlow makes a flow whose probes are connections: they have timestamps, which tell them apart, and in IPv6
// the flow label 0, whatever port they go by. The error is that of NewFlow.
func newConnectFlow(o PathOptions) (*Flow, error) {
	if _, _, ok := o.Options.Timestamps(); !ok {
		var err error
		if o.Options, err = o.Options.WithTimestamps(0, 0); err != nil {
			return nil, err
		}
	}
	f, err := NewFlow(o)
	if err != nil {
		return nil, err
	}
	f.labels = 0
	return f, nil
}

// Last is the last TTL that may be asked.
func (s *Serial) Last() int { return s.o.MaxTTL }

// Length is how long a packet is in bytes if this length is asked for: at least its headers.
func (s *Serial) Length(wanted int) int { return s.flow.Length(wanted) }

func (s *Serial) hop(ttl int) *serialHop { return &s.hops[ttl-s.o.FirstTTL] }

// Next implements Plan.
func (s *Serial) Next(now time.Time) Action {
	var when time.Time
	for _, a := range s.pending {
		due := a.sent.Add(a.wait)
		switch {
		case a.ttl > s.limit:
			return Withdraw(a.key) // it went past the target
		case a.wait >= s.o.Wait: // that it has waited its whole time, the engine knows by itself
			continue
		case !now.Before(due):
			return GiveUp(a.key)
		}
		when = sooner(when, due)
	}
	ttl := s.least()
	if !s.begun && !s.o.Patient {
		ttl = s.o.MaxTTL
	}
	if ttl == 0 || len(s.free) == 0 || len(s.pending) >= s.o.Parallel {
		return WaitUntil(when)
	}
	if now.Before(s.soon) {
		return WaitUntil(sooner(when, s.soon))
	}
	return s.ask(ttl, now)
}

// least is the hop to ask next, as Path has it: the one asked least, the nearest first. 0: none.
func (s *Serial) least() int {
	best := 0
	for ttl := s.o.FirstTTL; ttl <= min(s.limit, s.known+lookAhead); ttl++ {
		asked := s.hop(ttl).asked
		if asked >= s.o.Queries || s.spent(ttl) || asked > 0 && ttl > s.known {
			continue
		}
		if best == 0 || asked < s.hop(best).asked {
			best = ttl
		}
	}
	return best
}

// spent reports whether no more probes may be sent to a hop, see PathOptions.SilentSYNs.
func (s *Serial) spent(ttl int) bool {
	if s.o.SilentSYNs == 0 || s.arrived || s.refusals.end() > 0 {
		return false
	}
	last, sent := max(s.nearest(s.limit+1, -1), s.o.FirstTTL-1), 0
	for beyond := last + 1; beyond <= s.limit; beyond++ {
		sent += s.hop(beyond).asked
	}
	return ttl > last && sent >= s.o.SilentSYNs
}

// Spared is that of [Path].
func (s *Serial) Spared() bool {
	for ttl := s.o.FirstTTL; ttl <= s.limit; ttl++ {
		if s.hop(ttl).asked == 0 && s.spent(ttl) {
			return true
		}
	}
	return false
}

func (s *Serial) ask(ttl int, now time.Time) Action {
	port := s.free[0]
	s.free = s.free[1:]
	probe := s.flow.ProbeBy(port, ttl)
	wait := s.timeout(ttl)
	s.pending = append(s.pending, serialProbe{probe.Key(), ttl, now, wait})
	s.hop(ttl).asked++
	s.hop(ttl).whole = s.hop(ttl).whole || wait == s.whole
	s.begun = true
	s.soon = now.Add(s.o.Spacing)
	return s.flow.send(probe, s.o.Wait)
}

// timeout is how long a probe waits. With Patient that is Wait. Else:
//
//   - Where the hop has answered before, it is againFactor times that.
//   - Where it has not, its first probe and all after the second wait a little more than the nearest hops before and
//     beyond took to answer. The second one waits its whole time, for a router may be slow to speak of its own, or
//     behind a long link: if hops beyond have answered, or it is one of fullWaits beyond those that have. Farther ones
//     have only silence to expect. The first one waits its whole time in place of the second if the hop before is
//     silent too, and no hop beyond has answered (see fullWaits). With one probe per hop it would be too late: the
//     nearest hop is complete then.
//   - Where nothing has answered at all, the very first probe and the nearest hop's wait their whole time. For the
//     others see untested.
func (s *Serial) timeout(ttl int) time.Duration {
	h := s.hop(ttl)
	before, beyond := s.nearest(ttl, -1), s.nearest(ttl, 1)
	lastHeard := max(before, s.o.FirstTTL-1)
	var near time.Duration
	for _, n := range []int{before, beyond} {
		if n != 0 {
			near = max(near, s.hop(n).rtt)
		}
	}
	var wait time.Duration
	switch {
	case s.o.Patient,
		!s.heard && h.asked == 0 && (ttl == s.o.FirstTTL || ttl == s.o.MaxTTL),
		s.heard && h.rtt == 0 && h.asked == 1 && !h.whole && (beyond != 0 || ttl <= lastHeard+fullWaits),
		s.o.Queries > 1 && before != 0 && beyond == 0 && h.asked == 0 &&
			ttl > lastHeard+1 && ttl <= lastHeard+fullWaits:
		return s.whole
	case h.rtt > 0:
		wait = max(againFactor*h.rtt, leastAgain)
	case near == 0 && h.asked > 0:
		wait = inVain
	case near == 0 && ttl >= s.o.FirstTTL+untestedHops:
		wait = leastQuick
	case near == 0:
		wait = untested
	default:
		wait = max(near+near/2+quickMargin, leastQuick)
	}
	return min(wait, s.whole)
}

// nearest is the hop that has answered and is nearest to ttl in a direction; 0: none.
func (s *Serial) nearest(ttl, step int) int {
	for ttl += step; ttl >= s.o.FirstTTL && ttl <= s.limit; ttl += step {
		if s.hop(ttl).rtt > 0 {
			return ttl
		}
	}
	return 0
}

// Learn implements Plan.
func (s *Serial) Learn(_ time.Time, r Result) {
	ttl := int(r.Probe.TTL)
	if r.Outcome.Final() {
		s.over(r.Probe.Key())
		if ttl < s.o.MaxTTL {
			s.known = max(s.known, ttl)
		}
		if s.known == s.o.MaxTTL-1 {
			s.known = s.o.MaxTTL
		}
	}
	if r.Outcome != Answered {
		return
	}
	s.heard = true
	s.hop(ttl).rtt = max(s.hop(ttl).rtt, r.RTT(), time.Nanosecond)
	if r.FromTarget() {
		s.target, s.arrived = min(s.target, ttl), true
	}
	s.refusals.add(r)
	s.limit = s.target
	if end := s.refusals.end(); end > 0 {
		s.limit = min(s.limit, max(end, s.o.FirstTTL))
	}
}

// over frees a probe's port.
func (s *Serial) over(k packet.Key) {
	for i, a := range s.pending {
		if a.key == k {
			s.pending = append(s.pending[:i], s.pending[i+1:]...)
			s.free = append(s.free, k.Port)
			return
		}
	}
}
