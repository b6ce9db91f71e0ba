package packet

import "math/bits"

// Stack is what a host's TCP puts into the SYN of every connection, as Linux
// does it.
type Stack struct {
	MSS              uint16 // maximum segment size that it tells the other side; 0: none
	SACK, Timestamps bool
	WindowScale      int // shift, 0 to 14; NoWindowScale: without the option
	Space            int // bytes that it has to receive into at first
}

// NoWindowScale is that of a host that scales no windows.
const NoWindowScale = -1

// LinuxStack is what Linux does unless its administrator wants it otherwise, on
// an Ethernet: those are the defaults of net.ipv4.tcp_rmem, tcp_sack and their
// like in ip-sysctl.rst of the kernel.
func LinuxStack() Stack {
	return Stack{MSS: 1460, SACK: true, Timestamps: true, WindowScale: WindowScaleFor(6 << 20), Space: 65536}
}

// WindowScaleFor is the shift with which Linux can offer so many bytes
// (tcp_select_initial_window in the kernel).
func WindowScaleFor(bytes int) int {
	return min(max(bits.Len(uint(max(bytes, 0)))-1-15, 0), 14)
}

// SYN is the options and the window of its SYNs. TSval is 0: it is a clock.
func (s Stack) SYN() (o Options, window uint16) {
	add := func(kind uint8, data ...byte) { o, _ = o.With(kind, data...) } // 20 bytes at the most, of 40
	if s.MSS > 0 {
		add(OptionMSS, byte(s.MSS>>8), byte(s.MSS))
	}
	// The kernel fills each group up to 32 bits in its own way (tcp_options_write).
	switch {
	case s.Timestamps && s.SACK:
		add(OptionSACKPermitted)
		add(OptionTimestamps, make([]byte, 8)...)
	case s.Timestamps:
		add(OptionNOP)
		add(OptionNOP)
		add(OptionTimestamps, make([]byte, 8)...)
	case s.SACK:
		add(OptionNOP)
		add(OptionNOP)
		add(OptionSACKPermitted)
	}
	if s.WindowScale >= 0 {
		add(OptionNOP)
		add(OptionWindowScale, byte(min(s.WindowScale, 14)))
	}
	space := max(s.Space, 0)
	if mss := int(s.MSS); mss > 0 && space > mss {
		space -= space % mss
	}
	return o, uint16(min(space, 0xffff))
}
