package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// A device beside the way answers SYNs in the target's name and lets them go on, so that each SYN that gets to the
// target has two answers. At a hop before the target only the device's comes, and if the router there is silent,
// nothing else tells that hop from the target's. Which two answers those are, distance probes tell: no other probe has
// their ports.

// voice is what tells who has answered in the target's name, as long as nothing changes: how, and how far away.
type voice struct {
	reset bool
	left  uint8 // of the answer's TTL
}

// mostVoices is how many are kept: a device may answer each time as if it were elsewhere.
const mostVoices = 256

// voices are what was heard in the target's name.
type voices struct {
	first []firstVoice  // of probes by ports of their own
	two   bool          // such a probe had answers from two boxes
	pair  [2]voice      // these
	took  time.Duration // the longest that the second of them took
	hops  []hopVoice
	kinds kinds // of all answers
}

type firstVoice struct {
	n int // the probe
	fingerprint
}

type hopVoice struct {
	ttl int
	voice
}

// add takes a result in.
func (v *voices) add(r Result) {
	if !r.FromTarget() || r.Reply.Kind != packet.KindTCP || r.Reply.TCP.Flags&(packet.SYN|packet.RST) == 0 {
		return
	}
	said := fingerprintOf(r)
	v.kinds |= kindOf(r)
	if r.Role != RoleHop {
		v.again(r, said)
	}
	// By the flow alone the second answer to one probe of the path's own flow can't be told from that to another.
	sure := r.Role != RoleHop || r.Outcome == Answered || r.Evidence == ByTag
	at := hopVoice{int(r.Probe.TTL), said.voice()}
	if sure && len(v.hops) < mostVoices && !slices.Contains(v.hops, at) {
		v.hops = append(v.hops, at)
	}
}

// again takes in an answer to a probe that has a port of its own.
func (v *voices) again(r Result, said fingerprint) {
	if r.Outcome == Answered {
		v.first = append(v.first, firstVoice{r.N, said})
		return
	}
	for _, f := range v.first {
		if f.n == r.N && f.other(said, true) && f.voice() != said.voice() {
			v.two, v.pair = true, [2]voice{f.voice(), said.voice()}
		}
	}
}

func (f fingerprint) voice() voice { return voice{f.reset, f.ttl} }

// lacks reports whether a hop is not the target's for all that was heard there, though two boxes answer: the one is
// missing that no hop up to the farthest router has, or, where that can't be told, one of the two.
func (v *voices) lacks(ttl, farthest int) bool {
	if !v.two {
		return false
	}
	var here, device [2]bool
	for _, h := range v.hops {
		for i, b := range v.pair {
			if h.reset != b.reset || v.pair[0].reset == v.pair[1].reset && h.left != b.left {
				continue
			}
			here[i] = here[i] || h.ttl == ttl
			device[i] = device[i] || h.ttl <= farthest
		}
	}
	if device[0] != device[1] {
		return device[0] && !here[1] || device[1] && !here[0]
	}
	return !here[0] || !here[1]
}
