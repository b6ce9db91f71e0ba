package detect_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
)

// However many probes this host could not send, a finding about those that it has sent is the same. That there are such
// is said beside it.
func TestSomeUnsent(t *testing.T) {
	const network = `router 10.0.1.1 delay=1ms
		router 10.0.2.1 delay=1ms
		router 10.0.3.1 delay=1ms drop=443
		router 10.0.4.1 delay=1ms
		router 10.0.5.1 delay=1ms
		target 198.51.100.9 delay=1ms open`
	for unsent := range 12 {
		t.Run(fmt.Sprint(unsent), func(t *testing.T) {
			s := scenario{network: network, with: []string{"max=10", fmt.Sprintf("unsent=ENOBUFS/%d", unsent)}}
			got := text(detect.Findings(s.evidence(t, 1, nil)))
			want := []string{"filtered-port likely 3-4"}
			if unsent > 1 { // the first is never one
				want = append(want, "this-host certain 0-0")
			}
			if !slices.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}

// Routers that seldom answer make one flow seem to pass and another to vanish, before a target that drops both; and of
// a ban after some SYNs the place isn't known by what passed before it. What is said of the wrong place is only possible.
func TestPlacesByChance(t *testing.T) {
	const chain = "router 10.0.1.1 delay=1ms\nrouter 10.0.2.1 delay=1ms %s\nrouter 10.0.3.1 delay=1ms\n" +
		"router 10.0.4.1 delay=1ms %s\nrouter 10.0.5.1 delay=1ms %[2]s\ntarget 198.51.100.9 delay=1ms %s\n"
	for name, x := range map[string]struct {
		network     string
		after, last int // the place is between these hops
	}{
		"seldom":  {fmt.Sprintf(chain, "", "silent=0.8", "filtered=443"), 5, 6},
		"seldom2": {fmt.Sprintf(chain, "", "silent=0.7", "filtered=443"), 5, 6},
		"ban":     {fmt.Sprintf(chain, "drop=443:over3600s/4", "", ""), 2, 3},
		"ban 8":   {fmt.Sprintf(chain, "drop=443:over3600s/8", "", ""), 2, 3},
		"ban 12":  {fmt.Sprintf(chain, "drop=443:over3600s/12", "", ""), 2, 3},
	} {
		for seed := range uint64(40) {
			s := scenario{name: name, network: x.network}
			for _, f := range detect.Findings(s.evidence(t, seed, nil)) {
				right := f.After <= x.after && f.Before >= x.last
				if !right && f.Weight >= 300 && f.Confidence > detect.Possible {
					t.Errorf("%s, seed %d: %s %v %d-%d: %s", name, seed, f.Code, f.Confidence, f.After, f.Before, f.Title)
				}
				if !right && strings.Contains(f.Title, "passed at first") {
					t.Errorf("%s, seed %d: %d-%d: %s", name, seed, f.After, f.Before, f.Title)
				}
			}
		}
	}
}

// Where all connections come to the same end, some of them a hop later because one of the ways is longer, no flow is
// known to pass: the service is stuck.
func TestLongerWayIsNoBrokenBranch(t *testing.T) {
	s := scenario{name: "longer way", network: `
router 10.0.1.1 delay=232us
router 10.0.2.1 delay=193us snat=203.0.113.94
router * delay=637us lowest-ttl=6
router * delay=840us linux
router 10.0.5.1 delay=686us
router * delay=2.218ms
router 10.0.7.1 delay=3.432ms
fork
way share=0.25
way
router 10.0.8.20 delay=1.638ms
end
router 10.0.8.1 delay=1.638ms linux
router 10.0.9.1,10.0.9.2 delay=819us syn-limit=2.597s/2
target 198.51.100.9 delay=1ms stuck=443
`}
	all := detect.Findings(s.evidence(t, 9809336, nil))
	if len(all) == 0 || all[0].Confidence > detect.Possible {
		t.Errorf("%v", text(all))
	}
}

// Probes that die nearer say nothing of the place: that they got no farther isn't said, and a filter of the port is named.
func TestWitnessesDieNearer(t *testing.T) {
	s := scenario{network: `router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms drop=not-tcp drop=443 drop=80
router 10.0.3.1 delay=1ms
router 10.0.4.1 delay=1ms drop=9000
router 10.0.5.1 delay=1ms
target 198.51.100.9 delay=1ms`, with: []string{"port=9000"}}
	all := detect.Findings(s.evidence(t, 1, nil))
	said := details(all)
	if len(all) != 1 || all[0].Code != detect.PathEnds || !strings.Contains(said, "ICMP echo requests died nearer") ||
		strings.Contains(said, "ICMP echo requests and ACKs got no farther") || !strings.Contains(said, "drops port 9000") {
		t.Errorf("%v\n%s", text(all), said)
	}
}

// No title claims that others pass where none was seen to, and a target that answers later than was waited is named.
func TestLateTarget(t *testing.T) {
	s := scenario{network: `router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms
target 198.51.100.9 delay=1ms drop=syn`}
	all := detect.Findings(s.evidence(t, 1, nil))
	said := details(all)
	if len(all) != 1 || strings.Contains(said, "other SYNs pass") || !strings.Contains(said, "come later than 3 s") {
		t.Errorf("%v\n%s", text(all), said)
	}
}

// A router that has spent its errors says of SYNs nothing, and of echo requests that nobody is there.
func TestNobodyThereSaidOfEcho(t *testing.T) {
	s := scenario{network: `router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms unresolved=3s
target 198.51.100.9 delay=1ms`}
	spent := false
	all := detect.Findings(s.evidence(t, 1, func(b []byte) []byte {
		var r packet.Reply
		if packet.Parse(b, &r) != nil {
			return b
		}
		limited := !spent && r.Kind == packet.KindTimeExceeded && r.From() == netip.MustParseAddr("10.0.2.1")
		if spent = spent || limited; limited || r.Kind == packet.KindUnreachable && r.Quote.IP.Protocol == 6 {
			return nil
		}
		return b
	}))
	if len(all) != 1 || all[0].Code != detect.UnreachableHost || all[0].Confidence != detect.Likely {
		t.Errorf("%v\n%s", text(all), details(all))
	}
}
