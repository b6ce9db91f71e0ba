package detect

import (
	"net/netip"
	"testing"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/trace"
)

// A change is certain only where routers of two hops quote it, and a checksum would show a change of the quotes alone.
func TestRewriteConfidence(t *testing.T) {
	two := []netip.Addr{netip.MustParseAddr("10.0.3.1"), netip.MustParseAddr("10.0.3.2")}
	for _, tt := range []struct {
		name      string
		version   uint8
		field     packet.Field
		last      int
		witnesses []netip.Addr
		doubt     string
		want      Confidence
	}{
		{"two hops", 4, packet.FieldDSCP, 4, two, "", Certain},
		{"two addresses of one hop", 4, packet.FieldDSCP, 3, two, "", Likely},
		{"one router", 4, packet.FieldDSCP, 3, two[:1], "", Likely},
		{"one router at two hops", 4, packet.FieldDSCP, 4, two[:1], "", Likely},
		{"one router, and a checksum that doesn't fit", 4, packet.FieldMSS, 3, two[:1], "?", Possible},
		{"one hop, and a checksum that doesn't fit", 4, packet.FieldMSS, 3, two, "?", Possible},
		{"two hops, and a checksum that doesn't fit", 4, packet.FieldMSS, 4, two, "?", Likely},
		{"no checksum covers it", 6, packet.FieldDSCP, 4, two, "", Likely},
		{"no checksum covers it", 6, packet.FieldECN, 4, two, "", Likely},
		{"no checksum covers it", 6, packet.FieldFlowLabel, 4, two, "", Likely},
		{"TCP's covers it", 6, packet.FieldMSS, 4, two, "", Certain},
	} {
		reply := &packet.Reply{Quote: packet.Quote{IP: packet.IP{Version: tt.version}}}
		w := rewrite{
			Change: packet.Change{Field: tt.field}, before: 3, last: tt.last, witnesses: tt.witnesses, doubt: tt.doubt,
			result: &trace.Result{Reply: reply},
		}
		if got := w.confidence(); got != tt.want {
			t.Errorf("%s (%v in IPv%d): %v, want %v", tt.name, tt.field, tt.version, got, tt.want)
		}
	}
}
