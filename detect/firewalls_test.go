package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// TestFirewalls puts firewalls of different kinds in different places of a path of ten hops: the hop pair named is the
// right one each time, and what is only possible is said to be no more.
func TestFirewalls(t *testing.T) {
	kinds := []struct {
		rule string
		code detect.Code
		sure detect.Confidence // where the target isn't next
	}{
		{"drop=443", detect.FilteredPort, detect.Likely},
		{"drop=syn", detect.FilteredSYN, detect.Possible}, // a slow limit on SYNs looks the same
		{"drop", detect.FilteredTCP, detect.Possible},
		{"drop=443:syn", detect.FilteredPort, detect.Likely},
		{"drop=1-1023", detect.FilteredTCP, detect.Possible},
		{"pass=80 drop", detect.FilteredPort, detect.Likely},
		{"drop=not-tcp drop", detect.PathEnds, detect.Possible},
	}
	const distance = 10
	for i := range 28 {
		kind := kinds[i%len(kinds)]
		at := 1 + (i*5+i/9)%(distance-1)
		v6, silent := i%3 == 1, i%4 == 3
		short := i%5 == 2 && !v6 // RFC 4443 3.3: as much as fits
		var net strings.Builder
		for hop := 1; hop < distance; hop++ {
			addr := fmt.Sprintf("10.0.%d.1", hop)
			if v6 {
				addr = fmt.Sprintf("2001:db8:a%d::1", hop)
			}
			words := "delay=2ms"
			if short {
				words += " quote=min"
			}
			if hop == at {
				words += " " + kind.rule
				if silent {
					addr = "*"
				}
			}
			fmt.Fprintf(&net, "router %s %s\n", addr, words)
		}
		target := "198.51.100.9"
		if v6 {
			target = "2001:db8:99::1"
		}
		fmt.Fprintf(&net, "target %s delay=2ms\n", target)
		s := scenario{name: fmt.Sprintf("%s at hop %d", kind.rule, at), network: net.String()}

		after, before, sure := at, at+1, kind.sure
		if silent {
			after = at - 1
		}
		switch {
		case kind.code == detect.PathEnds:
			before = after + 1 // nothing tells how far it is
		case before == distance:
			sure = detect.Possible
		}
		want := fmt.Sprintf("%s %v %d-%d", kind.code, sure, after, before)
		t.Run(s.name, func(t *testing.T) {
			findings := detect.Findings(s.evidence(t, uint64(i), nil))
			if got := strings.Join(text(findings), "\n"); got != want {
				t.Errorf("found\n%s\nwant\n%s\n%s\n%s", got, want, details(findings), s.network)
			}
		})
	}
}
