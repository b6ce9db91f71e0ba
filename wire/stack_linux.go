package wire

import (
	"os"
	"strconv"
	"strings"

	"go.example/tcptraceroute/packet"
)

// The sysctls that decide what Linux puts into a SYN (ip-sysctl.rst in the kernel's documentation), and what their
// files hold by default.
const (
	sysctlReceive    = "/proc/sys/net/ipv4/tcp_rmem"
	sysctlReceiveMax = "/proc/sys/net/core/rmem_max"
	sysctlScaling    = "/proc/sys/net/ipv4/tcp_window_scaling"
	sysctlSACK       = "/proc/sys/net/ipv4/tcp_sack"
	sysctlTimestamps = "/proc/sys/net/ipv4/tcp_timestamps"
)

// StackFiles are what Stack reads, for Drop.
func StackFiles() []string {
	return []string{sysctlReceive, sysctlReceiveMax, sysctlScaling, sysctlSACK, sysctlTimestamps}
}

// Stack is what this host's TCP puts into its SYNs by this route. What can't be read is what Linux does by default.
func (r Route) Stack() packet.Stack {
	s := packet.LinuxStack()
	s.MSS = uint16(r.MSS)
	on := func(path string) bool {
		v, ok := sysctl(path)
		return !ok || v[0] != 0
	}
	s.SACK, s.Timestamps = on(sysctlSACK), on(sysctlTimestamps)
	most := 0
	if v, ok := sysctl(sysctlReceive); ok && len(v) == 3 {
		s.Space, most = v[1]/2, v[2] // half of it is for what isn't payload (TCP_DEFAULT_SCALING_RATIO)
	}
	if v, ok := sysctl(sysctlReceiveMax); ok {
		most = max(most, v[0])
	}
	if most > 0 {
		s.WindowScale = packet.WindowScaleFor(max(most, s.Space))
	}
	if !on(sysctlScaling) {
		s.WindowScale = packet.NoWindowScale
	}
	return s
}

// sysctl reads the numbers in a file; ok is false where it holds anything else.
func sysctl(path string) (numbers []int, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	for _, f := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	return numbers, len(numbers) > 0
}
