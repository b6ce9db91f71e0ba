//go:build !linux

package wire

import "go.example/tcptraceroute/packet"

// StackFiles are what Stack reads, for Drop.
func StackFiles() []string { return nil }

// Stack is what Linux puts into its SYNs by default.
func (r Route) Stack() packet.Stack {
	s := packet.LinuxStack()
	s.MSS = uint16(r.MSS)
	return s
}
