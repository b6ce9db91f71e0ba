package detect_test

import (
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

// More scenarios, of which a place or a confidence is all that matters.
func TestPlaces(t *testing.T) {
	for _, s := range []scenario{
		{name: "dnat that gives all hops beyond it the target's address, and an snat that quotes what it has made of them", want: []string{"dnat likely 1-2", "dnat certain 1-5", "snat certain 4-5", "port-open certain 8-8"},
			network: `router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms dnat=10.9.0.9 hide-hops
router 10.0.3.1 delay=1ms
router 10.0.4.1 delay=1ms snat=203.0.113.77 raw-quote
router 10.0.5.1 delay=1ms
router 10.0.6.1 delay=1ms
router 10.0.7.1 delay=1ms
target 198.51.100.9 delay=1ms
`},
		{name: "dnat that an snat beyond it shows: the place is likely only", want: []string{"dnat likely 4-5", "snat certain 4-5", "port-open certain 8-8"},
			network: `router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms dnat=10.9.0.9
router 10.0.3.1 delay=1ms
router 10.0.4.1 delay=1ms snat=203.0.113.77 raw-quote
router 10.0.5.1 delay=1ms
router 10.0.6.1 delay=1ms
router 10.0.7.1 delay=1ms
target 198.51.100.9 delay=1ms
`},
		{name: "hop limit: an ordinary connection opens, and the last hops of a short trace are silent", want: []string{"hop-limit possible 3-3"},
			with: []string{"max=6"},
			network: `router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms
router 10.0.3.1 delay=1ms
router * delay=1ms
router * delay=1ms
router * delay=1ms
router * delay=1ms
target 198.51.100.9 delay=1ms
`},
		{name: "broken branch, possibly: all routers beyond the place are silent, and the dead member is anywhere among them", want: []string{"broken-branch possible 2-7"},
			with: []string{"source=192.0.2.21"},
			network: `router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms
router * delay=1ms
router * delay=1ms
router * delay=1ms
router * delay=1ms
change share=0.5
router 10.0.1.1 delay=1ms
router 10.0.2.1 delay=1ms
router * delay=1ms
router * delay=1ms
router * delay=1ms drop drop=not-tcp
target 198.51.100.9 delay=1ms
`},
	} {
		findings := detect.Findings(s.evidence(t, 1, nil))
		if got, want := strings.Join(text(findings), ", "), strings.Join(s.want, ", "); got != want {
			t.Errorf("%s: found %s, want %s\n%s", s.name, got, want, details(findings))
		}
	}
}
