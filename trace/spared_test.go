package trace_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// A target that answers nothing gets no more SYNs than it may get, and the list of hops ends a few hops beyond the last
// router that answers. What is silent between routers that answer is asked as often as the others.
func TestSilentTargetIsSpared(t *testing.T) {
	t.Parallel()
	const most = 6
	for _, silent := range []int{0, 1, 2} { // routers before the last one
		for routers := range 12 {
			for _, queries := range []int{1, 3, 5} {
				if routers > 0 && routers <= silent {
					continue
				}
				network := ""
				for i := range routers {
					addr := fmt.Sprintf("10.0.%d.1", i)
					if i < routers-1 && i >= routers-1-silent {
						addr = "*"
					}
					network += fmt.Sprintf("router %s delay=%dms\n", addr, 1+i)
				}
				network += "target 198.51.100.9 delay=1ms filtered"
				folded, syns, spared := traceSilent(t, network, trace.PathOptions{TargetSYNs: most, UnheardSYNs: most, Queries: queries})
				if syns > most || !spared || folded.Last() > routers+5 || folded.Last() < routers+1 {
					t.Errorf("%d SYNs, spared %v, the last hop is %d\n%s", syns, spared, folded.Last(), network)
				}
				for ttl := 1; ttl <= routers; ttl++ {
					addr, answered := fmt.Sprintf("10.0.%d.1", ttl-1), 0
					for _, r := range folded.Hop(ttl).Probes {
						if r.Outcome == trace.Answered && r.Reply.From().String() == addr {
							answered++
						}
					}
					quiet := strings.Count(network, "router *") > 0 && ttl < routers && ttl >= routers-silent
					if want := map[bool]int{false: queries}[quiet]; answered != want || len(folded.Hop(ttl).Probes) != queries {
						t.Errorf("hop %d: %d answers of %d\n%s", ttl, answered, len(folded.Hop(ttl).Probes), network)
					}
				}
			}
		}
	}
}

// Without that bound the whole list is asked.
func TestSilentTargetUnbounded(t *testing.T) {
	t.Parallel()
	folded, _, spared := traceSilent(t, "router 10.0.1.1\ntarget 198.51.100.9 filtered", trace.PathOptions{})
	if folded.Last() != trace.DefaultMaxTTL || spared {
		t.Errorf("the last hop is %d, spared %v", folded.Last(), spared)
	}
}

// traceSilent traces a network, and returns the hops, how many SYNs the target got, and whether it was spared.
func traceSilent(t *testing.T, network string, o trace.PathOptions) (folded *trace.Trace, syns int, spared bool) {
	t.Helper()
	s, err := sim.Parse(network)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(s)
		if err != nil {
			t.Fatal(err)
		}
		c := sim.NewConn(m)
		defer c.Close()
		o.Target = netip.AddrPortFrom(s.Paths[0].Target.Addr, 443)
		o.Source = netip.MustParseAddrPort("192.0.2.1:40000")
		o.ProbePorts, o.Rand = []uint16{40001, 40002, 40003, 40004}, rand.New(rand.NewPCG(1, 2))
		plan, err := trace.NewPath(o)
		if err != nil {
			t.Fatal(err)
		}
		folded = trace.NewTrace(o)
		if _, err := trace.Run(t.Context(), c, plan, trace.Options{}, folded.Add); err != nil {
			t.Fatal(err)
		}
		folded.Finish()
		syns, spared = c.Truth(0).Target.SYN, plan.Spared()
	})
	return folded, syns, spared
}
