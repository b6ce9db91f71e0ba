package trace

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// MTU is what was found of the largest packet that gets to the target whole.
type MTU struct {
	Size      int        // of that packet; 0: not known, for not even small ones were answered
	First     int        // the largest size that was to be tried: the interface's, MTUMost at the most
	Narrow    bool       // larger ones don't pass
	TTL       int        // of the hop behind which it is narrower; 0: not known
	From      netip.Addr // that hop, which says so by ICMP, or behind which larger packets vanish
	BlackHole bool       // nobody says so: larger packets vanish
}

// MTUOptions say what is known before the search.
type MTUOptions struct {
	Path  PathOptions   // probes are like those of this path, in its session where it has one
	Wait  time.Duration // how long a probe may be answered; 0: as long as one of the path
	First int           // the size to begin with
	Hops  []netip.Addr  // who has answered by time exceeded, from TTL 1 on; invalid: nobody
	To    int           // the TTL of the router that is to answer, which is one of Hops; 0: the target is
	Label uint32        // the flow label of the probes; 0: that of the path
}

// MTUSearch is the plan that finds the path's MTU (RFC 1191, RFC 8201), and where nobody tells it, by itself (RFC
// 4821). One probe is in flight at a time. First a small one is sent, so that silence to a large one means something;
// and before silence counts at the end, the size found is asked once more, for the connection may be gone by then.
type MTUSearch struct {
	o     MTUOptions
	flow  *Flow
	found MTU

	good, bad int // the largest size that passed, the smallest that did not
	size      int // asked now
	ttl       int
	tries     int
	flying    bool
	over      bool
	silent    bool // bad is one to which nobody answered
	told      int  // what a router has called the most that its link takes
	again     bool // the size found is asked once more
	placing   bool // the black hole is looked for
	low, high int  // TTLs then: the highest that answers large packets, the lowest that doesn't
	ready     time.Time
}

const (
	// mtuTries is how often a size is tried before silence counts.
	mtuTries = 2

	// confirmTries is how often the size found is asked for again, until there is an answer.
	confirmTries = 4

	// mtuSmall is the payload of the first probe.
	mtuSmall = 8

	// MTUMost is the largest packet that is tried: what IPv4's length field holds. A loopback interface takes more.
	MTUMost = 65535
)

// plateaus are sizes that links and tunnels really have, tried before all between them (RFC 1191 7.1, and what PPPoE,
// GRE, IPsec and VXLAN leave of 1500).
var plateaus = []int{9000, 4352, 1500, 1492, 1480, 1476, 1460, 1450, 1440, 1420, 1400, 1380, 1360, 1280, 1006, 576, 296}

// NewMTUSearch is a search on one path. The error is that of NewFlow.
func NewMTUSearch(o MTUOptions) (*MTUSearch, error) {
	f, err := NewFlow(o.Path)
	if err != nil {
		return nil, err
	}
	o.First = min(o.First, MTUMost)
	if o.Wait == 0 {
		o.Wait = o.Path.ProbeWait()
	}
	s := &MTUSearch{o: o, flow: f, found: MTU{First: o.First}, ttl: cmp.Or(o.To, 255)}
	s.size = f.Length(0) + mtuSmall
	return s, nil
}

// Found is the result, once the run is over.
func (s *MTUSearch) Found() MTU { return s.found }

// Next implements Plan.
func (s *MTUSearch) Next(now time.Time) Action {
	if s.flying || s.over {
		return Action{}
	}
	if now.Before(s.ready) {
		return WaitUntil(s.ready)
	}
	return s.send(s.ttl, s.size)
}

// send sends a probe of this size in bytes.
func (s *MTUSearch) send(ttl, size int) Action {
	s.flying = true
	probe := s.flow.Sized(ttl, size)
	probe.FlowLabel = cmp.Or(s.o.Label, probe.FlowLabel)
	return s.flow.send(probe, s.o.Wait)
}

// Learn implements Plan.
func (s *MTUSearch) Learn(now time.Time, r Result) {
	if !r.Outcome.Final() || s.over {
		return
	}
	s.flying = false
	if s.o.Path.Session != nil && (r.Outcome == Lost || unnamed(r)) {
		// Such answers may be limited, and a late one would be taken for the next probe's.
		s.ready = now.Add(resendAnswerTime)
	}
	if s.o.To > 0 && r.Outcome == Lost {
		s.ready = now.Add(longRest) // the router may limit its answers
	}
	switch {
	case r.Outcome == Failed || r.Outcome == Unknown:
		s.over = true // this host can't tell
	case s.again:
		s.confirm(r)
	case s.placing:
		s.place(r)
	case r.Outcome == Lost:
		if s.tries++; s.tries >= mtuTries {
			s.fail()
		}
	case s.passed(r):
		s.good = max(s.good, s.size)
		s.step(0)
	case tooBig(r.Reply):
		s.found.From, s.found.TTL = r.Reply.From(), s.at(r.Reply.From())
		s.bad, s.silent = s.size, false
		s.step(int(r.Reply.MTU))
	default:
		s.over = true // something else ends the path
	}
}

// passed reports whether who is to answer has got the probe.
func (s *MTUSearch) passed(r Result) bool {
	if s.o.To == 0 {
		return r.FromTarget()
	}
	return r.Outcome == Answered && r.Reply.Kind == packet.KindTimeExceeded && r.From() == s.o.Hops[s.o.To-1]
}

// unnamed reports whether a target's answer doesn't name what was repeated (RFC 2883).
func unnamed(r Result) bool {
	if !r.FromTarget() {
		return false
	}
	_, n, _ := r.Reply.TCP.Options.SACK()
	return n == 0
}

// tooBig reports whether a router says that a packet doesn't fit its link.
func tooBig(r *packet.Reply) bool {
	return r.Kind == packet.KindTooBig || r.Kind == packet.KindUnreachable && r.IP.Version == 4 && r.Code == 4
}

// at is the TTL of a hop; 0: not known.
func (s *MTUSearch) at(a netip.Addr) int {
	for i, h := range s.o.Hops {
		if h == a {
			return i + 1
		}
	}
	return 0
}

// fail takes in that nobody answered to a size.
func (s *MTUSearch) fail() {
	if s.good == 0 {
		s.over = true
		return
	}
	s.bad, s.silent = s.size, true
	s.step(0)
}

// step decides on the next size. said is what a router has called the most that its link takes; 0: nothing.
func (s *MTUSearch) step(said int) {
	s.tries = 0
	if said > s.good && said < s.bad {
		s.told = said
	}
	switch {
	case s.bad == 0 && s.good < s.o.First:
		s.size = s.o.First
	case s.bad == 0, s.bad == s.good+1, s.good == s.told:
		s.settle()
	case s.told > s.good && s.told < s.bad:
		s.size = s.told
	default:
		s.size = s.between()
	}
}

// between is a size between good and bad: the middle one of the plateaus, or what proves that good is one, or the
// middle.
func (s *MTUSearch) between() int {
	var real []int
	for _, p := range plateaus {
		if p < s.bad && p > s.good {
			real = append(real, p)
		}
	}
	switch {
	case len(real) > 0:
		return real[len(real)/2]
	case slices.Contains(plateaus, s.good):
		return s.good + 1
	}
	return (s.good + s.bad) / 2
}

// settle takes the size for found. If what is larger vanishes without a word, it asks that size once more.
func (s *MTUSearch) settle() {
	if s.bad > 0 && s.silent {
		s.again, s.size = true, s.good
		return
	}
	s.found.Size, s.found.Narrow, s.over = s.good, s.bad > 0, true
}

// confirm takes in what became of a packet of the size found. If it still passes, larger ones vanish, and the search
// goes on to find where. Else silence has had another reason, and nothing is known.
func (s *MTUSearch) confirm(r Result) {
	switch {
	case s.passed(r):
	case r.Outcome == Lost && s.tries+1 < confirmTries:
		s.tries++
		return
	default:
		s.found, s.over = MTU{First: s.o.First}, true
		return
	}
	s.again = false
	s.found.Size, s.found.Narrow = s.good, true
	s.found.BlackHole, s.found.From, s.found.TTL = true, netip.Addr{}, 0
	s.placing, s.high, s.size = true, cmp.Or(s.o.To, len(s.o.Hops)+1), s.bad
	s.seek()
}

// seek asks the hop in the middle of those between low and high that are known to speak.
func (s *MTUSearch) seek() {
	speak := s.speakers(s.low, s.high)
	if s.tries, s.over = 0, len(speak) == 0; !s.over {
		s.ttl = speak[len(speak)/2]
	}
}

// speakers are the TTLs between two others of who is known to answer.
func (s *MTUSearch) speakers(low, high int) (speak []int) {
	for ttl := low + 1; ttl < high; ttl++ {
		if s.o.Hops[ttl-1].IsValid() {
			speak = append(speak, ttl)
		}
	}
	return speak
}

// place takes in what a hop made of a large packet.
func (s *MTUSearch) place(r Result) {
	if r.Outcome == Answered && r.Reply.Kind == packet.KindTimeExceeded {
		s.low, s.found.TTL, s.found.From = s.ttl, s.ttl, r.Reply.From()
		s.seek()
		return
	}
	if s.tries++; s.tries >= mtuTries {
		s.high = s.ttl
		s.seek()
	}
}
