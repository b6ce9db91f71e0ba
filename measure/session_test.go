package measure

import (
	"net/netip"
	"testing"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// Findings get what a search for the MTU proves. Outside of a connection large SYNs may vanish for another reason.
func TestMTUEvidence(t *testing.T) {
	a := netip.MustParseAddr("10.0.3.1")
	hole := trace.MTU{Size: 1413, First: 1500, Narrow: true, TTL: 3, From: a, BlackHole: true}
	told := hole
	told.BlackHole = false
	for _, tt := range []struct {
		name    string
		found   trace.MTU
		session bool
		want    bool
	}{
		{"told", told, true, true},
		{"told to SYNs", told, false, true},
		{"black hole", hole, true, true},
		{"large SYNs vanish", hole, false, false},
		{"not known", trace.MTU{First: 1500}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mtuEvidence(&record.MTU{MTU: tt.found, InSession: tt.session})
			if tt.want != (got != nil) || got != nil && *got != detect.PathMTU(tt.found) {
				t.Errorf("%+v, want it: %v", got, tt.want)
			}
		})
	}
}
