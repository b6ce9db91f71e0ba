package packet

import (
	"net/netip"
	"testing"
)

func TestImpossible(t *testing.T) {
	for a, want := range map[string]string{
		"0.0.0.0": "unspecified", "0.0.0.1": "this-network", "0.255.255.255": "this-network", "127.0.0.1": "loopback",
		"127.255.255.255": "loopback", "224.0.0.1": "multicast", "239.255.255.255": "multicast", "240.0.0.1": "reserved",
		"255.255.255.254": "reserved", "255.255.255.255": "broadcast",
		"::": "unspecified", "::1": "loopback", "ff02::1": "multicast", "ffff::1": "multicast", "::ffff:192.0.2.1": "IPv4-mapped",

		"1.0.0.0": "", "10.0.0.1": "", "126.255.255.255": "", "128.0.0.1": "", "169.254.1.1": "", "192.0.2.255": "", "223.255.255.255": "",
		"::2": "", "2001:db8::1": "", "64:ff9b::1.2.3.4": "", "fe80::1": "", "fe80::1%eth0": "", "fd00::1": "", "fe00::1": "",
	} {
		if got := Impossible(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
	if got := Impossible(netip.Addr{}); got != "" {
		t.Errorf("no address: %q", got)
	}
}
