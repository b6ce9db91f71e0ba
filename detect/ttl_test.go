package detect_test

import (
	"regexp"
	"testing"

	"go.example/tcptraceroute/detect"
)

// A TTL that doesn't begin with one of the usual values seems to have passed more routers than any way has: no finding
// counts them.
func TestNoWayIsSoLong(t *testing.T) {
	tooMany := regexp.MustCompile(`\b([5-9]\d|1\d\d) (hops|routers)`)
	for _, network := range []string{
		"router 10.0.1.1 delay=1ms\ntarget 198.51.100.9 delay=1ms",
		"router 10.0.1.1 delay=1ms\nrouter 10.0.2.1 delay=1ms\nrouter 10.0.3.1 delay=1ms\nrouter 10.0.4.1 delay=1ms\n" +
			"target 198.51.100.9 delay=1ms",
	} {
		for _, option := range []string{"begins-ttl=50", "begins-ttl=150", "begins-ttl=200", "all-back-ttl=20"} {
			s := scenario{name: option, network: network, with: []string{option}}
			all := detect.Findings(s.evidence(t, 1, nil))
			if n := tooMany.FindString(details(all)); n != "" {
				t.Errorf("%s: %q in\n%s", option, n, details(all))
			}
		}
	}
}
