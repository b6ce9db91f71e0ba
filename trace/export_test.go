package trace

import "time"

// CheckPace is for the tests that see the package from outside.
var CheckPace = checkPace

// LooksTooLate reports whether a plan would look at a probe in flight after the wait for it has ended: it works that
// end out only for probes that may be at it.
func (p *Path) LooksTooLate(now time.Time) bool {
	for _, a := range p.pending {
		next := p.deadline(a, now)
		if end := p.ending(a).at; next.do == DoWait && !next.at.IsZero() && !end.IsZero() && end.Before(next.at) {
			return true
		}
	}
	return false
}
