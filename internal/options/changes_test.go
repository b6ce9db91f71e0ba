package options

import (
	"strings"
	"testing"

	"go.example/tcptraceroute/names"
)

// A baseline's name is safe whatever the target is called.
func TestBaselineName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host, service string
		family        names.Family
		want          string
	}{
		{"www.Example.com", "", names.Any, "www.example.com_80.json"},
		{"2001:db8::1", "443", names.IPv6, "2001%3Adb8%3A%3A1_443_6.json"},
		{"../../etc/passwd", "https", names.Any, "%2E.%2F..%2Fetc%2Fpasswd_https.json"},
		{".", "", names.IPv4, "%2E_80_4.json"},
		{strings.Repeat("x", 300), "", names.Any, strings.Repeat("x", 200) + ".json"},
	} {
		if got := baselineName(tt.host, tt.service, tt.family); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.host, got, tt.want)
		}
	}
}
