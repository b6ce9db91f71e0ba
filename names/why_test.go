package names

import (
	"fmt"
	"net"
	"syscall"
	"testing"
)

// A name that doesn't exist, one without addresses and one that nobody could look up are different troubles.
func TestWhy(t *testing.T) {
	missing := &net.DNSError{IsNotFound: true}
	unsuitable := &net.AddrError{Err: "no suitable address found", Addr: "a.example"}
	for _, tt := range []struct {
		host   string
		family Family
		err    error
		want   string
	}{
		{"a.example", Any, missing, ""},
		{"a.example", Any, fmt.Errorf("%w: %w", ErrNoName, missing), "the DNS has no such name: NXDOMAIN"},
		{"a.example", Any, fmt.Errorf("%w: %w", ErrNoAddress, missing), "the name is in the DNS, but has no address: neither A nor AAAA"},
		{"a.example", IPv6, fmt.Errorf("%w: %w", ErrNoAddress, missing), "the name is in the DNS, but has no IPv6 address"},
		{"a.example", IPv6, fmt.Errorf("%w: %w", ErrNoAddress, unsuitable), "the name has no IPv6 address"},
		{"a.example", Any, fmt.Errorf("%w: %w", ErrNoAddress, unsuitable),
			"the name has only IPv4-mapped IPv6 addresses (::ffff:...), which no packet is sent to"},
		{"a.example", Any, fmt.Errorf("%w: %w", ErrNoServer, &net.DNSError{IsTimeout: true}), "no name server answered"},
		{"a.example", Any, fmt.Errorf("%w: %w: %w", ErrNoServer, &net.DNSError{}, syscall.ECONNREFUSED), "no name server could be reached: connection refused"},
		{"a.example", Any, &net.DNSError{IsTimeout: true, IsTemporary: true}, "a name server did not answer"},
		{"a.example", Any, &net.DNSError{Err: "server misbehaving", IsTemporary: true}, "the name servers could not tell"},
		{"a.example/x", Any, missing, "give the host alone, or a whole URL"},
		{"me@a.example", Any, missing, "give the host alone, without a user's name"},
	} {
		if got := Why(tt.host, tt.family, fmt.Errorf("host: %w", tt.err)); got != tt.want {
			t.Errorf("%s, %v: %q, want %q", tt.host, tt.err, got, tt.want)
		}
	}
}
