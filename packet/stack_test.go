package packet

import (
	"encoding/hex"
	"testing"
)

// The bytes are those of Linux 6.18, seen by tcpdump; in test/ real connections are compared with.
func TestStackSYN(t *testing.T) {
	linux := LinuxStack()
	change := func(f func(*Stack)) Stack {
		s := linux
		f(&s)
		return s
	}
	for _, tt := range []struct {
		name   string
		s      Stack
		opts   string
		window uint16
	}{
		{"Ethernet", linux, "020405b40402080a000000000000000001030307", 64240},
		{"IPv6", change(func(s *Stack) { s.MSS = 1440 }), "020405a00402080a000000000000000001030307", 64800},
		{"loopback", change(func(s *Stack) { s.MSS = 65495 }), "0204ffd70402080a000000000000000001030307", 65495},
		{"jumbo frames", change(func(s *Stack) { s.MSS = 8960 }), "020423000402080a000000000000000001030307", 62720},
		{"no timestamps", change(func(s *Stack) { s.Timestamps = false }), "020405b40101040201030307", 64240},
		{"no SACK", change(func(s *Stack) { s.SACK = false }), "020405b40101080a000000000000000001030307", 64240},
		{"no scaling", change(func(s *Stack) { s.WindowScale = NoWindowScale }), "020405b40402080a0000000000000000", 64240},
		{"a scale of 20", change(func(s *Stack) { s.WindowScale = 20 }), "020405b40402080a00000000000000000103030e", 64240},
		{"little space", change(func(s *Stack) { s.Space = 1000 }), "020405b40402080a000000000000000001030307", 1000},
		{"much space", change(func(s *Stack) { s.Space = 1 << 20 }), "020405b40402080a000000000000000001030307", 65535},
		{"nothing", Stack{WindowScale: NoWindowScale}, "", 0},
		{"an MSS alone", Stack{MSS: 1200, WindowScale: NoWindowScale}, "020404b0", 0},
	} {
		o, window := tt.s.SYN()
		if got := hex.EncodeToString(o.Append(nil)); got != tt.opts || window != tt.window {
			t.Errorf("%s: options %s, window %d, want %s and %d", tt.name, got, window, tt.opts, tt.window)
		}
	}
	for bytes, want := range map[int]int{-1: 0, 0: 0, 65535: 0, 65536: 1, 6 << 20: 7, 32 << 20: 10, 1<<31 - 1: 14} {
		if got := WindowScaleFor(bytes); got != want {
			t.Errorf("%d bytes: scale %d, want %d", bytes, got, want)
		}
	}
}
