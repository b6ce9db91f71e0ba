package trace

import "time"

// Some targets answer a few SYNs and then no more: they ban who sends too many, or take only so many in a long time.
// Such a target is silent at the hop where it should be by its answers, which is what one that is farther looks like.
// But hop after hop is no use, and costs the target a SYN each: it would answer from nowhere. So before any hop beyond
// but the next is asked, the target must answer the highest TTL once more.
//
// This takes ports for distance probes; without them the hops beyond are asked.

// enoughVain is how many probes with the highest TTL must be silent, one after the other: two may be lost.
const enoughVain = 3

// fallenState is what a plan knows of a target that may answer no more.
type fallenState struct {
	at    int       // the hop where it should be, and was silent; 0: none, or it has answered since
	known bool      // it answers no more, or it does
	last  time.Time // when the last probe was sent that it has answered
	lost  int       // how many distance probes that were sent after that were given up
}

// silent reports whether the target is known to answer no more.
func (f *fallenState) silent() bool { return f.known && f.at > 0 }

// missingAt takes in that the target isn't where it should be.
func (p *Path) missingAt(ttl int) {
	f := &p.fallen
	if f.known || p.rounds.on() || !p.target.answers || !p.sendsSYNs() || p.tried == 0 || ttl >= p.limit {
		return
	}
	f.at = ttl
}

// answersStill takes in that the target has answered a probe. If that was said to be over, the path is what it was.
func (p *Path) answersStill(r Result) {
	f := &p.fallen
	if f.silent() && r.Role != RoleHop && p.limit == f.at {
		p.limit = p.bound()
	}
	f.known = f.known || f.at > 0
	f.at, f.lost, f.last = 0, 0, later(f.last, r.Sent)
}

// countVain takes in that a distance probe was given up.
func (p *Path) countVain(r Result) {
	if r.Outcome == Lost && int(r.Probe.TTL) == p.o.MaxTTL && r.Sent.After(p.fallen.last) {
		p.fallen.lost++
	}
}

// farthestDue reports whether a probe with the highest TTL is to be sent now, when that may change by itself, and
// whether it has just turned out that the target answers no more.
func (p *Path) farthestDue(now time.Time) (due bool, again time.Time, over bool) {
	if due, again, over = p.falling(now); due || over {
		return due, again, over
	}
	due, at := p.distanceDue(now)
	return due, sooner(again, at), false
}

// falling looks whether the target still answers. It reports whether a distance probe is to be sent to see that, when
// to look again, and whether it has just turned out that the target answers no more.
func (p *Path) falling(now time.Time) (ask bool, again time.Time, over bool) {
	f := &p.fallen
	if f.at == 0 || f.known {
		return false, again, false
	}
	vain, took := f.lost, min(settled(p.target.rtt), p.o.Wait)
	if next := p.hop(f.at + 1); next.asked == 0 || p.purge {
		return false, again, false // mostly it is there
	} else if at := next.first.Add(took); now.Before(at) {
		return false, at, false
	}
	for _, a := range p.pending {
		if !a.distance || !a.byProbePort || !a.sent.After(f.last) {
			continue
		}
		if at := a.sent.Add(took); now.Before(at) {
			again = sooner(again, at)
		} else {
			vain++
		}
	}
	if len(p.ports) == 0 && len(p.spare) > 0 {
		p.ports, p.spare = p.spare[:1], p.spare[1:]
	}
	full := p.tookAll(p.o.MaxTTL) || p.o.Budget.full(p.o.MaxTTL)
	switch {
	case vain >= enoughVain || vain == enoughVain-1 && len(p.ports) == 0 && again.IsZero():
		f.known = true
		return false, again, true
	case !again.IsZero():
		return false, again, false
	case len(p.ports) == 0 || full:
		f.known, f.at = true, 0
		return false, again, false
	}
	return true, again, false
}

// fell ends the search beyond the hop where the target should be. What is up to there may be asked slowly.
func (p *Path) fell(now time.Time) Action {
	p.limit = min(p.limit, max(p.fallen.at, p.asked))
	p.fallen.at = p.limit
	if p.suspicious() {
		p.slowDown(now)
		p.slow.pause = knockPause // it may take one SYN a second
	}
	return p.Next(now)
}
