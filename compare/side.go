package compare

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// side is one of the two traces, as the rules read it.
type side struct {
	*record.Trace
	fold   *record.Fold
	out    record.Outcome
	hops   []*hop // by TTL, from 1; those that were not asked are empty
	states map[record.PathState]bool
}

// hop is what is known of one TTL of the path.
type hop struct {
	probes  []trace.Result
	from    map[who]int // answers of those who are at this hop
	refused int         // refusals: who refuses may be nearer
	lost    int
}

// who is a responder. The target is one under whatever address, so that traces of two addresses can be compared.
type who struct {
	addr   netip.Addr
	target bool
}

func (h *hop) answered() (n int) {
	for _, k := range h.from {
		n += k
	}
	return n
}

func (h *hop) outcomes() outcomes { return outcomes{h.answered(), h.lost} }

// meets reports whether the hops have a responder in common.
func (h *hop) meets(o *hop) bool {
	for w := range h.from {
		if o.from[w] > 0 {
			return true
		}
	}
	return false
}

func newSide(t *record.Trace) *side {
	s := &side{Trace: t, fold: t.Fold(), states: make(map[record.PathState]bool)}
	s.out = s.fold.Outcome()
	for e := range s.fold.Entries() {
		if e.Beyond {
			continue
		}
		for len(s.hops) < e.TTL {
			s.hops = append(s.hops, &hop{from: make(map[who]int)})
		}
		h := s.hops[e.TTL-1]
		h.probes = e.Probes
		for _, r := range e.Probes {
			w := who{}
			if r.Outcome == trace.Answered {
				w = s.who(r)
			}
			switch {
			case r.Outcome == trace.Lost:
				h.lost++
			case r.Outcome != trace.Answered:
			case r.Refused() && !w.target:
				h.refused++
			default:
				h.from[w]++
			}
			if r.FromTarget() && r.Reply.Kind == packet.KindTCP {
				s.states[record.PortStateOf(r)] = true
			}
		}
	}
	return s
}

// who answered. A router that says in the target's name that a probe expired isn't the target.
func (s *side) who(r trace.Result) who {
	a := r.Reply.From().WithZone("")
	if r.FromTarget() || r.Refused() && a == s.Path.Target.Addr().WithZone("") {
		return who{target: true}
	}
	return who{addr: a}
}

// at returns the hop with this TTL, an empty one where there is none.
func (s *side) at(ttl int) *hop {
	if ttl < 1 || ttl > len(s.hops) {
		return &hop{}
	}
	return s.hops[ttl-1]
}

// lastAnswer is the last hop at which somebody answered; 0: none.
func (s *side) lastAnswer() int {
	for ttl := len(s.hops); ttl > 0; ttl-- {
		if s.at(ttl).answered() > 0 {
			return ttl
		}
	}
	return 0
}

// goesOn reports whether routers answer up to the last hop that may be asked: the path goes on, in a loop, or to a
// target farther away.
func (s *side) goesOn() bool {
	last := s.lastAnswer()
	return last > 0 && last == int(s.Path.Effective().MaxTTL)
}

// silentText is where a path without an answer of the target ends, in words.
func (s *side) silentText() string {
	switch last := s.lastAnswer(); {
	case last == 0:
		return "silent from the first hop on"
	case s.goesOn():
		return fmt.Sprintf("not reached in %d hops (the last is %s)", last, s.names(s.at(last)))
	default:
		return fmt.Sprintf("silent after hop %d (%s)", last, s.names(s.at(last)))
	}
}

// complete reports whether the trace came to its end.
func (s *side) complete() bool { return s.Ending.Reason.Whole() }

// flow identifies what routers that share out flows look at.
type flow struct {
	src, dst netip.AddrPort
	label    uint32
	protocol packet.Protocol
}

// flows are those of the probes that ask hops.
func (s *side) flows() map[flow]bool {
	all := make(map[flow]bool)
	for i := range s.Results {
		if r := &s.Results[i]; r.Role == trace.RoleHop && r.Outcome.Final() {
			p := &r.Probe
			all[flow{p.Src, p.Dst, p.FlowLabel, p.Protocol}] = true
		}
	}
	return all
}

// sameFlow reports whether all probes that ask hops are of one and the same flow.
func sameFlow(a, b *side) bool {
	flows := a.flows()
	return len(flows) == 1 && maps.Equal(flows, b.flows())
}

// samples are the round-trip times of a hop's responder, in milliseconds.
func (h *hop) samples(s *side, w who) (all []float64) {
	for _, r := range h.probes {
		if r.Outcome == trace.Answered && s.who(r) == w {
			all = append(all, float64(r.RTT())/float64(time.Millisecond))
		}
	}
	return all
}

// targetHop is the hop of the target's answers, nil if there is none.
func (s *side) targetHop() *hop {
	if h := s.at(s.out.TTL); h.from[who{target: true}] > 0 {
		return h
	}
	return nil
}

// name is what a responder is called in a text.
func (s *side) name(w who) string {
	if w.target {
		return "the target"
	}
	if n := s.NameOf(w.addr); n != "" {
		return fmt.Sprintf("%s (%v)", record.Printable(n), w.addr)
	}
	return w.addr.String()
}

// addresses are those of a hop's responders, for programs.
func (s *side) addresses(h *hop) (all []string) {
	for _, w := range h.responders() {
		a := w.addr
		if w.target {
			a = s.Path.Target.Addr()
		}
		all = append(all, a.String())
	}
	return all
}

// names are those of a hop's responders, in a sentence.
func (s *side) names(h *hop) string {
	var all []string
	for _, w := range h.responders() {
		all = append(all, s.name(w))
	}
	if len(all) == 0 {
		return "no answer"
	}
	return strings.Join(all, " and ")
}

// responders are those of the hop, in order.
func (h *hop) responders() []who {
	return slices.SortedFunc(maps.Keys(h.from), func(a, b who) int {
		switch {
		case a.target == b.target:
			return a.addr.Compare(b.addr)
		case a.target:
			return 1
		}
		return -1
	})
}
