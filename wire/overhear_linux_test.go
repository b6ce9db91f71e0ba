package wire

import (
	"net/netip"
	"testing"
)

// Lines of /proc/net/tcp and tcp6, as a little-endian kernel writes them.
func TestParseConnection(t *testing.T) {
	for _, tt := range []struct {
		line, source, target string
		uid                  uint32
		inode, state         uint64
	}{
		{"   0: 010112C6:AFC8 020312C6:0050 01 00000000:00000000 02:000003E8 00000000  1000        0 4711 2 0000000000000000 20 4 30 10 -1",
			"198.18.1.1:45000", "198.18.3.2:80", 1000, 4711, tcpEstablished},
		{"   1: B80D0120000001000000000001000000:AFC8 B80D0120000003000000000002000000:0050 01 00000000:00000000 00:00000000 00000000     0 " +
			"       0 12 1 0000000000000000 20 4 30 10 -1", "[2001:db8:1::1]:45000", "[2001:db8:3::2]:80", 0, 12, tcpEstablished},
		{"   2: 0000000000000000FFFF0000010112C6:0050 0000000000000000FFFF0000020312C6:AFC8 01 00000000:00000000 00:00000000 00000000     0 " +
			"       0 13 1 0000000000000000 20 4 30 10 -1", "198.18.1.1:80", "198.18.3.2:45000", 0, 13, tcpEstablished},
		{"   3: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0000000000000000 100 0 0 10 0",
			"0.0.0.0:80", "0.0.0.0:0", 0, 14, 10},
	} {
		e, state, ok := parseConnection(tt.line)
		want := Established{netip.MustParseAddrPort(tt.source), netip.MustParseAddrPort(tt.target), tt.uid, tt.inode}
		if !littleEndian() {
			t.Skip("the lines are those of another byte order")
		}
		if !ok || state != tt.state || e != want {
			t.Errorf("%s: %v %d %v", tt.line, e, state, ok)
		}
	}
	for _, line := range []string{"", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		"   0: 010112C:AFC8 020312C6:0050 01 0:0 02:0 0 1000 0 4711", "   0: 010112C6 020312C6:0050 01 0:0 02:0 0 1000 0 4711 1"} {
		if e, _, ok := parseConnection(line); ok {
			t.Errorf("%q: %v", line, e)
		}
	}
}

// littleEndian reports whether this host's byte order is that of the test's lines.
func littleEndian() bool { return hton(1) != 1 }
