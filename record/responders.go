package record

import (
	"net/netip"
	"time"

	"go.example/tcptraceroute/trace"
)

// Responder is who answered at a hop, and how fast.
type Responder struct {
	Addr                 netip.Addr
	Answered             int
	Best, Average, Worst time.Duration
}

// Responders are those who answered one of the probes, in order of the first that they did.
func Responders(results []trace.Result) []Responder {
	var found []Responder
	at := make(map[netip.Addr]int)
	for _, r := range results {
		if r.Outcome != trace.Answered {
			continue
		}
		a, rtt := r.Reply.From(), r.RTT()
		i, ok := at[a]
		if !ok {
			i = len(found)
			at[a] = i
			found = append(found, Responder{Addr: a, Best: rtt})
		}
		s := &found[i]
		s.Answered++
		s.Best, s.Worst, s.Average = min(s.Best, rtt), max(s.Worst, rtt), s.Average+rtt
	}
	for i := range found {
		found[i].Average /= time.Duration(found[i].Answered)
	}
	return found
}
