package measure

import (
	"net/netip"
	"testing"
)

// TestSeenTargets: targets are the same if address, zone and port are.
func TestSeenTargets(t *testing.T) {
	seen := newSeenTargets()
	for _, a := range []string{"192.0.2.1:80", "192.0.2.1:81", "192.0.2.0:80", "0.0.2.1:80", "192.0.3.1:80", "[2001:db8::1]:80",
		"[2001:db8::1]:81", "[2001:db8::2]:80", "[::ffff:192.0.2.1]:80", "[fe80::1%eth0]:80", "[fe80::1%eth1]:80"} {
		if seen.add(netip.MustParseAddrPort(a)) {
			t.Errorf("%s: is there before", a)
		}
		if !seen.add(netip.MustParseAddrPort(a)) {
			t.Errorf("%s: is not there", a)
		}
	}
}
