package trace_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"tcptraceroute/packet"
	"tcptraceroute/sim"
	"tcptraceroute/trace"
)

// TestAcrossTheInternet traces 200 paths of a simulated Internet with the default options, in virtual time, and compares what
// was found with the truth. No address may stand at a TTL where the truth has another. Of the hops that answer at all, the
// log tells how many were found and at what cost: with -v this is the strategy's figures without a machine's noise.
func TestAcrossTheInternet(t *testing.T) {
	const paths = 200
	network := sim.Internet(1, paths, sim.InternetOptions{})
	answering, found, probes := 0, 0, 0
	var took []time.Duration
	var syns []int
	for i, path := range network.Paths {
		s := newSetup(path)
		s.scenario.Seed = uint64(i)
		s.path.Target = netip.AddrPortFrom(path.Target.Addr, sim.InternetPort)
		o := s.trace(t)
		if o.err != nil {
			t.Fatal(o.err)
		}
		fresh, err := sim.New(sim.Scenario{Seed: uint64(i), Paths: []sim.Path{path}}) // the run has left nothing in it
		if err != nil {
			t.Fatal(err)
		}
		b, err := o.sent[0].Probe.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		truth, err := fresh.Expect(b)
		if err != nil {
			t.Fatal(err)
		}
		at := func(ttl int) sim.ExpectedHop { return truth.Hops[min(ttl, len(truth.Hops))-1] }
		seen := make(map[int]bool)
		for _, r := range o.results {
			if r.Fate != trace.Answered && r.Fate != trace.Late || r.Evidence == trace.ByFlow && r.Fate == trace.Late {
				continue // a late answer that only tells the flow is nobody's
			}
			ttl := int(r.Probe.TTL)
			if len(truth.Hops) == 0 || !slices.Contains(at(ttl).Addrs, r.Reply.From()) || at(ttl).Kind != r.Reply.Kind {
				t.Errorf("path %d, TTL %d: %v %v, the truth is %+v", i, ttl, r.Reply.Kind, r.Reply.From(), truth)
			}
			seen[ttl] = true
		}
		for ttl, h := range truth.Hops {
			if len(h.Addrs) > 0 {
				answering++
				if seen[ttl+1] {
					found++
				} else {
					t.Logf("path %d, TTL %d was not found: %+v", i, ttl+1, h)
				}
			}
			if h.Kind != packet.KindTimeExceeded {
				break
			}
		}
		probes += len(o.sent)
		took = append(took, o.took)
		syns = append(syns, o.truth.Target.SYN)
	}
	slices.Sort(took)
	slices.Sort(syns)
	share := float64(found) / float64(answering)
	t.Logf("found %d of %d hops (%.2f %%); %d probes; %v each (95th percentile %v, all %v); SYNs at the target: %d, at most %d", found, answering, 100*share,
		probes, took[paths/2], took[paths*95/100], took[paths-1], syns[paths/2], syns[paths-1])
	if share < leastFound {
		t.Errorf("found %.2f %% of the hops, want %.2f %%", 100*share, 100*leastFound)
	}
}

// leastFound of the hops that answer at all, with the default options.
const leastFound = 0.995
