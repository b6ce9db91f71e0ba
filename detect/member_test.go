package detect_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// One member of a load-balanced group is dead: of traces that go by it, all say that a branch is broken, and by which
// router; none blames the port, or anything else, for certain.
func TestDeadMember(t *testing.T) {
	t.Parallel()
	const died = 50
	for _, tt := range []struct {
		share  string // of the flows that go by the dead member
		silent bool   // it doesn't even answer
		v6     bool
	}{
		{share: "0.5"}, {share: "0.5", v6: true}, {share: "0.3333"}, {share: "0.125"}, {share: "0.125", v6: true},
		{share: "0.5", silent: true}, {share: "0.125", silent: true, v6: true},
	} {
		t.Run(fmt.Sprintf("%s silent %v v6 %v", tt.share, tt.silent, tt.v6), func(t *testing.T) {
			addr := func(hop, member int) string {
				if tt.v6 {
					return fmt.Sprintf("2001:db8:a%d::%d", hop, member)
				}
				return fmt.Sprintf("10.0.%d.%d", hop, member)
			}
			dead, target := addr(3, 2), "198.51.100.9"
			if tt.silent {
				dead = "*"
			}
			if tt.v6 {
				target = "2001:db8:99::1"
			}
			var net strings.Builder
			for hop := range 5 {
				fmt.Fprintf(&net, "router %s delay=1ms\n", addr(hop+1, 1))
			}
			fmt.Fprintf(&net, "change share=%s\n", tt.share)
			for hop := range 2 {
				fmt.Fprintf(&net, "router %s delay=1ms\n", addr(hop+1, 1))
			}
			fmt.Fprintf(&net, "router %s delay=1ms drop drop=not-tcp\ntarget %s delay=1ms\n", dead, target)
			s := scenario{name: "dead member", network: net.String()}
			said := map[string]int{}
			seen := 0
			for seed := uint64(1); seen < died; seed++ {
				all := detect.Findings(s.evidence(t, seed, nil))
				if slices.ContainsFunc(all, func(x detect.Finding) bool { return x.Code == detect.PortOpen }) {
					continue
				}
				seen++
				what := strings.Join(text(all), ", ")
				said[what]++
				if all[0].Code != detect.BrokenBranch || all[0].Confidence < detect.Likely || !tt.silent && !strings.Contains(all[0].Title, dead) {
					t.Errorf("seed %d: %s\n%s", seed, what, details(all))
				}
			}
			for _, k := range slices.Sorted(maps.Keys(said)) {
				t.Logf("%3d %s", said[k], k)
			}
		})
	}
}

// Where the target hands a port on to several machines, all beyond it speak in its name. So flows that die and flows that
// pass seem to come by the same last router: that is no fault of the way back.
func TestDeadMachineBehind(t *testing.T) {
	own := "router 198.51.100.9 delay=1ms\n"
	s := scenario{name: "behind", with: []string{"source=192.0.2.21"}, network: "router 10.0.1.1 delay=1ms\n" +
		"change port=443\nrouter 10.0.1.1 delay=1ms\n" + own + own + own +
		"fork\nway\nrouter * delay=1ms hidden drop drop=not-tcp\nway\nrouter * delay=1ms hidden\nend\n" +
		"target 198.51.100.9 delay=1ms\n"}
	got := strings.Join(text(detect.Findings(s.evidence(t, 1, nil))), ", ")
	if want := "broken-branch possible 4-5, forwarded-port certain 2-2"; got != want {
		t.Errorf("found %s, want %s", got, want)
	}
}

// A member of a load-balanced group that loses packets makes no router one that limits its ICMP errors: of those that
// say so, hardly any is more than possible.
func TestLossyMember(t *testing.T) {
	t.Parallel()
	for _, hop := range []int{2, 4} {
		var net strings.Builder
		for h := 1; h <= 6; h++ {
			if h == hop {
				fmt.Fprintf(&net, "fork\nway\nrouter 10.0.%d.1 delay=1ms loss=0.2\nway\nrouter 10.0.%d.2 delay=1ms\nend\n", h, h)
				continue
			}
			fmt.Fprintf(&net, "router 10.0.%d.1 delay=1ms\n", h)
		}
		net.WriteString("target 198.51.100.9 delay=1ms\n")
		s := scenario{name: "lossy member", network: net.String()}
		said := 0
		for seed := uint64(1); seed <= 200; seed++ {
			for _, x := range detect.Findings(s.evidence(t, seed, nil)) {
				if x.Code == detect.ICMPRateLimit && x.Confidence > detect.Possible {
					t.Errorf("hop %d, seed %d: %s", hop, seed, details([]detect.Finding{x}))
				}
				if x.Code == detect.ICMPRateLimit {
					said++
				}
			}
		}
		if said < 20 {
			t.Errorf("hop %d: said %d times of 200: nothing shows that it may be", hop, said)
		}
	}
}

// Of the programs that share the target's port some are stuck, and two routers stand in front of it: whichever flows
// vanish, hardly ever do they all go by one router, and then nothing is certain.
func TestStuckPrograms(t *testing.T) {
	t.Parallel()
	s := scenario{name: "stuck programs", network: "router 10.0.1.1 delay=1ms\nrouter 10.0.2.1 delay=1ms\n" +
		"fork\nway\nrouter 10.0.3.1 delay=1ms\nway\nrouter 10.0.3.2 delay=1ms\nend\n" +
		"fork\nway\nrouter * delay=1ms hidden drop=443:syn\nway\nrouter * delay=1ms hidden\nend\n" +
		"target 198.51.100.9 delay=1ms\n"}
	died, named := 0, 0
	for seed := uint64(1); seed <= 100; seed++ {
		all := detect.Findings(s.evidence(t, seed, nil))
		if all[0].Code == detect.PortOpen {
			continue
		}
		died++
		if all[0].Confidence > detect.Possible {
			t.Errorf("seed %d: %s", seed, details(all))
		}
		if text := details(all); strings.Contains(text, "programs") || all[0].Code == detect.WayBack {
			named++
		}
	}
	if died < 30 || named < died*9/10 {
		t.Errorf("%d of 100 died, and in %d of them a program that is stuck is named", died, named)
	}
}
