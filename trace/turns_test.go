package trace_test

import (
	"net/netip"
	"testing"
	"time"
)

// Routers that a balancer takes strictly in turn are all seen, however many hops there are and however often each is asked.
func TestStrictTurns(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, width := range []int{2, 3, 4} {
			for _, distance := range []int{4, 5, 6, 7, 8, 9, 12} {
				for _, delay := range []time.Duration{50 * time.Microsecond, 5 * time.Millisecond} {
					p := chain(v6, distance, delay)
					r := &p.Routers[1]
					r.InTurn = true
					for i := 1; i < width; i++ {
						r.Addrs = append(r.Addrs, netip.AddrFrom16(other(r.Addrs[0], i)).Unmap())
					}
					s := withProbePorts(newSetup(p))
					s.path.Queries = 16
					o := s.trace(t)
					seen := make(map[string]int)
					for _, who := range o.hop(2) {
						seen[who]++
					}
					for _, a := range r.Addrs {
						if seen[a.String()] == 0 {
							t.Errorf("%d in turn, %d hops, delay %v: %v", width, distance, delay, seen)
							break
						}
					}
				}
			}
		}
	})
}
