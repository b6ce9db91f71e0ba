package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// claims knows, round by round, who answers in the target's name. A device on the way may do so, beside the target or
// in place of some of its answers. It gives itself away: it answers a probe that a router answers too, or a probe that
// the target answers otherwise, or at a hop where a router answers other probes, or between two probes of which a
// router farther away has answered one. From then on the target stands beyond all routers that answer, whatever is said
// in its name before.
type claims struct {
	known bool
	first int // TTL
	hops  []claim
	last  kinds     // of the last answer in the target's name
	seq   uint32    // of it
	heard time.Time // when it came
}

// claim is what is known of one TTL. A turn is an answer in the target's name that was not the target's: a router
// answered the next probe, or the same one.
type claim struct {
	probe  int   // the last one that was answered
	router bool  // a router has answered it
	kinds  kinds // of the answers to it in the target's name
	stood  bool  // a router has answered at all
	gone   int   // how many probes were answered by others since, or lost
	lost   int   // the last one that was lost
	shared int   // the last one that an answer in the target's name fitted, maybe beside others
	vain   bool  // a router answered such a probe before
	turns  int

	counts [2]int // for how many probes that are answered each kind of answer in the target's name still counts
}

// kinds are kinds of answers in the target's name.
type kinds uint8

const (
	resets kinds = 1 << iota
	accepts
)

func kindOf(r Result) kinds {
	if r.Reply.Kind == packet.KindTCP && r.Reply.TCP.Flags.Has(packet.RST) {
		return resets
	}
	return accepts
}

// The constants of claims.
const (
	// claimTurns is how many turns of a hop show that there is a device. When the way becomes longer, there is one.
	claimTurns = 2

	// claimGone is how many probes a router leaves to others, or unanswered, until it is held to be gone: a device that
	// answers every other one does so once in 256 times.
	claimGone = 8

	// claimTime is how soon an answer of one kind follows one of the other kind if there are two who answer. A target that
	// begins to listen, or ceases, changes its answers seldom.
	claimTime = time.Second
)

func newClaims(first, last int) claims {
	return claims{first: first, hops: make([]claim, last-first+1)}
}

// add takes a result in.
func (c *claims) add(r Result) {
	i := int(r.Probe.TTL) - c.first
	if i < 0 || i >= len(c.hops) {
		return
	}
	h := &c.hops[i]
	copied := r.FromTarget() && c.hear(r)
	expired := r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded
	switch {
	case r.Outcome == Lost:
		h.gone++
		h.lost = max(h.lost, r.N)
	case expired && (r.Outcome == Answered || r.Outcome == Late && r.Evidence == ByTag && r.N > h.probe):
		if h.probe > 0 && !h.router || h.shared == r.N && h.vain {
			h.turns++
		}
		h.vain = h.vain || h.shared == r.N
		h.answered(r.N, true, 0)
		h.stood, h.gone = true, 0
	case r.Outcome == Answered && r.FromTarget():
		c.known = c.known || h.probe > 0 && !h.router && c.passed(i, h.probe)
		h.answered(r.N, false, kindOf(r))
		h.gone++
	case r.Outcome == Shared:
		h.shared = r.N
	case r.N != h.probe || r.Outcome != Late && r.Outcome != Duplicate:
	case expired && r.Evidence == ByTag && !h.router:
		c.known, h.stood, h.gone = true, true, 0
	case r.FromTarget() && (h.router || h.kinds != kindOf(r)):
		c.known = true
		h.said(kindOf(r))
	case r.FromTarget() && r.Outcome == Duplicate && !copied:
		h.turns++ // it is the answer to a probe that a router has answered
	}
	c.known = c.known || h.turns >= claimTurns
}

// answered takes in who has answered a probe, and how.
func (h *claim) answered(n int, router bool, k kinds) {
	h.probe, h.router, h.kinds = n, router, 0
	for i := range h.counts {
		h.counts[i] = max(h.counts[i]-1, 0)
	}
	h.said(k)
}

// said takes in an answer in the target's name to the last probe.
func (h *claim) said(k kinds) {
	h.kinds |= k
	for i := range h.counts {
		if k&(1<<i) != 0 {
			h.counts[i] = claimGone
		}
	}
}

// lately are the kinds of answers in the target's name to the last probes that were answered.
func (h *claim) lately() (k kinds) {
	for i, n := range h.counts {
		if n > 0 {
			k |= 1 << i
		}
	}
	return k
}

// passed reports whether a router beyond a hop has answered a probe that was sent after this one.
func (c *claims) passed(i, probe int) bool {
	return slices.ContainsFunc(c.hops[i+1:], func(h claim) bool { return h.router && h.probe > probe })
}

// routed reports whether a router answered the last probe to a hop that was answered.
func (c *claims) routed(ttl int) bool { return c.hops[ttl-c.first].router }

// doubtful reports whether a nearer hop than this one, beyond all routers, may be the target's: an answer in its name
// fitted the last probe to that hop that anything is known of.
func (c *claims) doubtful(ttl int) bool {
	for i := c.farthest() + 1; i < ttl; i++ {
		if h := &c.hops[i-c.first]; h.shared > 0 && h.shared >= max(h.probe, h.lost) {
			return true
		}
	}
	return false
}

// hear takes in what an answer in the target's name is, and reports whether it is a copy of the one before.
func (c *claims) hear(r Result) (copied bool) {
	kind, since := kindOf(r), r.Recv.Sub(c.heard)
	c.known = c.known || kind|c.last == resets|accepts && since < claimTime
	copied = since <= echoTime || kind == accepts && r.Reply.TCP.Seq == c.seq
	c.last, c.heard, c.seq = kind, r.Recv, r.Reply.TCP.Seq
	return copied
}

// farthest is the highest TTL at which a router stands: up to there nobody is the target.
func (c *claims) farthest() int {
	for i := len(c.hops) - 1; i >= 0; i-- {
		if h := &c.hops[i]; h.stood && h.gone < claimGone {
			return c.first + i
		}
	}
	return c.first - 1
}

// exposed reports whether an answer in the target's name at a hop is known to be somebody else's.
func (c *claims) exposed(ttl int) bool { return c.known && ttl <= c.farthest() }

// target returns where the target stands beside a device: at the first hop beyond all routers where the answer is not
// of the device's kind. If there is none, it isn't sure, and the first hop that was answered is returned; 0: none was.
func (c *claims) target() (ttl int, sure bool) {
	beyond := c.farthest() + 1 - c.first
	var device kinds
	for _, h := range c.hops[:beyond] {
		device |= h.lately()
	}
	for i, h := range c.hops[beyond:] {
		switch {
		case (device == resets || device == accepts) && h.lately()&^device != 0:
			return c.first + beyond + i, true
		case ttl == 0 && (h.lately() != 0 || h.shared > 0):
			ttl = c.first + beyond + i
		}
	}
	return ttl, false
}
