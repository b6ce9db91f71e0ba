package measure

import (
	"net/netip"
	"syscall"
	"testing"

	"go.example/tcptraceroute/names"
)

// TestLookUpListed: why a host of a list can't be traced is said in words, without the host, which its line has.
func TestLookUpListed(t *testing.T) {
	by := names.New(names.Options{Policy: names.Never})
	defer by.Close()
	for _, tt := range []struct {
		host  string
		iface string
		want  string // the error, or the address
	}{
		{"no..host", "", "no such host"},
		{"192.0.2.1", "eth0", "192.0.2.1"},
		{"fe80::1", "", ErrZone.Error()},
		{"fe80::1", "eth0", "fe80::1%eth0"},
		{"fe80::1%eth1", "eth0", "fe80::1%eth1"},
		{"255.255.255.255", "", ErrBroadcast.Error()},
	} {
		addrs, err := LookUpListed(t.Context(), by, tt.host, names.Any, tt.iface)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = addrs[0].String()
		}
		if got != tt.want {
			t.Errorf("%s by %q: %s, want %s", tt.host, tt.iface, got, tt.want)
		}
	}
}

// A route that prohibits, rejects or discards is a rule of this host; that there is none isn't.
func TestRuledByRoute(t *testing.T) {
	for err, want := range map[syscall.Errno]bool{
		syscall.EACCES: true, syscall.EHOSTUNREACH: true, syscall.EINVAL: true, syscall.ENETUNREACH: false,
	} {
		e := &RouteError{Err: err}
		if got := e.Ruled(netip.MustParseAddr("192.0.2.1")); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}
