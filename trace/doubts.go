package trace

import (
	"slices"
	"time"

	"go.example/tcptraceroute/packet"
)

// doubt is an answer of the target that fits several probes. Where all but one of them turn out to have ended at
// routers, it is that one's.
type doubt struct {
	reply *packet.Reply
	at    time.Time
	among []*flight
}

// mostDoubts are remembered of a flow.
const mostDoubts = 8

// ambiguous reports whether a probe of another TTL, that was given up early, may just as well be answered: how far the
// target is would be told wrongly. A busy host is late by some hundredths of a second.
func (fl *flow) ambiguous(f *flight, at time.Time, wait time.Duration, again bool) bool {
	horizon := hauntFactor*max(fl.worst, fl.far) + hauntSlack
	if fl.best == 0 {
		if horizon = wait; fl.bound > 0 { // then nothing more is known of how far the target is
			horizon = settled(fl.bound)
		}
	}
	if again {
		horizon = wait
	}
	same := 0 // of f's TTL: which of them is answered tells how long it took
	other := fl.newest(at, func(g *flight) bool {
		may := (g.outcome == Lost || (fl.best == 0 || again) && (g.outcome == Unknown || g.passed)) && g.recv.IsZero() &&
			fl.beyond(g) && g != f && at.Sub(g.sent) < horizon
		if may && fl.best == 0 && (g.outcome != Lost || g.shared) && g.probe.TTL == f.probe.TTL {
			same++
		}
		return may && g.probe.TTL != f.probe.TTL
	})
	for i := range fl.blurred {
		if at.Sub(fl.blurred[i]) < horizon {
			same-- // has been answered, by this one
		}
	}
	return other != nil || same > 0
}

// See ambiguous.
const (
	hauntFactor = 3
	hauntSlack  = 100 * time.Millisecond
)

// doubt remembers an answer that fits several probes, unless the target sends its answer again.
func (fl *flow) doubt(got match, r *packet.Reply, at time.Time, wait time.Duration) {
	if got.verdict == IsShared {
		fl.lagged(at)
		var bound time.Duration
		for _, f := range fl.flights { // those too that nobody waits for any more
			if age := at.Sub(f.sent); f.recv.IsZero() && fl.beyond(f) && age >= 0 && age <= wait {
				bound = max(bound, age)
			}
		}
		if fl.bound == 0 || bound < fl.bound && fl.opening(&r.TCP) == nil { // one that is sent again comes at any time
			fl.bound = bound
		}
		if r.TCP.Flags.Has(packet.SYN) && fl.opening(&r.TCP) == nil {
			fl.fresh = last(fl.fresh, at)
		}
		fl.blurred = last(fl.blurred, at)
	}
	if got.verdict != IsShared || fl.opening(&r.TCP) != nil || len(fl.doubts) == mostDoubts || !fl.older.at.IsZero() {
		return
	}
	d := doubt{reply: r.Clone(), at: at}
	for _, f := range fl.flights {
		switch {
		case !fl.beyond(f) || f.sent.After(at) || f.outcome == Answered:
		case f.shared || !f.candidate(at):
			return // an answer before may be this one's, or this one that of a probe that nobody waits for
		default:
			d.among = append(d.among, f)
		}
	}
	fl.doubts = append(fl.doubts, d)
}

// resolve finds a probe that turns out to be the only one that an answer in doubt can belong to; nil: none.
func (m *matcher) resolve(fl *flow) (f *flight, r *packet.Reply, at time.Time) {
	for i := 0; i < len(fl.doubts) && f == nil; i++ {
		d := &fl.doubts[i]
		open := true
		d.among = slices.DeleteFunc(d.among, func(f *flight) bool {
			if f.probe.TTL <= fl.lastRouter {
				return true
			}
			open = open && f.outcome == Pending
			return false
		})
		switch {
		case open && len(d.among) > 1:
			continue
		case open && len(d.among) == 1:
			f, r, at = d.among[0], d.reply, d.at
		}
		fl.doubts = slices.Delete(fl.doubts, i, i+1)
		i--
	}
	if f == nil || fl.betterMatch(f, at) != nil {
		return nil, nil, time.Time{}
	}
	m.settle(match{Believed, f, ByFlow}, r, at)
	return f, r, at
}
