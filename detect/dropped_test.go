package detect_test

import (
	"fmt"
	"slices"
	"testing"

	"go.example/tcptraceroute/detect"
)

// However many probes this host could not send, a finding about those that it has sent is the same.
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
			if want := []string{"filtered-port certain 3-4"}; !slices.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}
