package trace_test

import (
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// TestLateTarget: the target is no farther away than the nearest probe that it answered, also if that answer came after
// the wait. An answer that names only the flow says nothing of the hop, and a probe with the highest TTL goes as far as
// the target in any case.
func TestLateTarget(t *testing.T) {
	for _, c := range []struct {
		name     string
		ttl      uint8
		evidence trace.Evidence
		router   uint8 // the last one that answers
		last     int
	}{
		{"the probe is named", 3, trace.ByTag, 2, 3},
		{"with a silent hop before", 4, trace.ByTag, 2, 4},
		{"only the flow is named", 3, trace.ByFlow, 2, 6},
		{"a router is farther away", 3, trace.ByTag, 4, 6},
		{"the highest TTL", 10, trace.ByTag, 2, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := trace.PathOptions{MaxTTL: 10, Queries: 1}
			f, at := trace.NewTrace(o), time.Unix(1000, 0)
			add := func(ttl uint8, fate trace.Outcome, evidence trace.Evidence, reply *packet.Reply) {
				f.Add(trace.Result{Probe: packet.Probe{TTL: ttl, Dst: netip.MustParseAddrPort("10.0.9.9:80")}, N: int(ttl),
					Outcome: fate, Evidence: evidence, Sent: at, Recv: at, Reply: reply})
			}
			for ttl := uint8(1); ttl <= 6; ttl++ {
				if ttl == c.router {
					expired := packet.Reply{Kind: packet.KindTimeExceeded, IP: packet.IP{Src: netip.MustParseAddr("10.0.1.1")}}
					add(ttl, trace.Answered, trace.ByTag, &expired)
					continue
				}
				add(ttl, trace.Lost, 0, nil)
			}
			if int(c.ttl) == o.MaxTTL {
				add(c.ttl, trace.Unknown, 0, nil)
			}
			opened := packet.Reply{Kind: packet.KindTCP, IP: packet.IP{Src: netip.MustParseAddr("10.0.9.9")},
				TCP: packet.TCP{Flags: packet.SYN | packet.ACK}}
			add(c.ttl, trace.Late, c.evidence, &opened)
			f.Finish()
			if f.Last() != c.last {
				t.Errorf("the last hop is %d, want %d", f.Last(), c.last)
			}
		})
	}
}

// TestTargetSlowerThanTheWait: the list doesn't go on beyond a target whose answers take longer than a probe waits, and
// name their probes. It was up to two hops too long.
func TestTargetSlowerThanTheWait(t *testing.T) {
	t.Parallel()
	for n, delay := range map[int]time.Duration{4: 1304 * time.Millisecond, 5: 1278 * time.Millisecond} {
		p := chain(true, n, 5*time.Millisecond)
		p.Target.Delay = delay
		s := withProbePorts(newSetup(p))
		s.path.Wait, s.path.Patient = time.Second, true
		if o := s.trace(t); o.trace.Last() > n {
			t.Errorf("a target %v away at hop %d: the last hop is %d", delay, n, o.trace.Last())
		}
	}
}
