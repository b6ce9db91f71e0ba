package trace_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// Some targets answer a SYN by a segment that acknowledges nothing: a reset without ACK, or a SYN of their own. They
// are shown where they are, and get few SYNs.
func TestAcknowledgesNothing(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v6 bool) {
		for _, flags := range []packet.Flags{packet.RST, packet.SYN} {
			for _, distance := range []int{1, 2, 5, 8, 14} {
				for _, delay := range []time.Duration{100 * time.Microsecond, 3 * time.Millisecond, 15 * time.Millisecond} {
					for _, queries := range []int{1, 3, 10} {
						p := chain(v6, distance, delay)
						p.Target.Bare = flags
						s := withProbePorts(newSetup(p))
						s.path.Queries = queries
						o := s.trace(t)
						what := fmt.Sprintf("%v, distance %d, delay %v, %d probes per hop", flags, distance, delay, queries)
						if shown := targetAt(o.trace); shown != distance || o.trace.Last() != distance {
							t.Errorf("%s: the target is shown at %d, the list ends at %d: %v", what, shown, o.trace.Last(), allHops(o))
						}
						if n := o.truth.Target.SYN; n > queries+10 {
							t.Errorf("%s: %d SYNs at the target", what, n)
						}
						for _, r := range o.results {
							if r.FromTarget() && r.Proven() {
								t.Errorf("%s: %v is said to prove that a probe was seen", what, r.Reply.TCP.Flags)
							}
						}
						w := rounds(t, sim.Scenario{Seed: 1, Paths: []sim.Path{p}}, time.Second, max(queries, 3), nil)
						if w.stats.Last() != distance || !w.stats.Ended() {
							t.Errorf("%s: in rounds the list ends at %d", what, w.stats.Last())
						}
					}
				}
			}
		}
	})
}

// Resets without ACK that come more often than probes are sent answer none of them. Nor do they where the target
// acknowledges its SYNs.
func TestAcknowledgesNothingDoubted(t *testing.T) {
	for _, state := range []sim.State{sim.Filtered, sim.Open} {
		p := chain(false, 9, 10*time.Millisecond)
		p.Target.State = state
		sameBesides(t, p, 5*time.Millisecond, packet.Segment{
			Src: netip.AddrPortFrom(p.Target.Addr, 443), Dst: source4, TTL: 60, Flags: packet.RST,
		})
	}
}
