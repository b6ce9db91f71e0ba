package test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"go.example/tcptraceroute/lab"
)

// Whatever a router of the kernel hashes, as many paths are found as flows take that differ in source port and, over
// IPv6, in flow label.
func TestPathsHashPolicies(t *testing.T) {
	const width = 4
	m := lab.Diamond(t, lab.DiamondOptions{Width: width, Beyond: 1})
	m.Target.Listen(t, 80)
	head := regexp.MustCompile(`(?m)^(\d+) paths? to `)
	for policy, paths := range []struct{ v4, v6 int }{
		{1, width},     // addresses, and over IPv6 the label
		{width, width}, // addresses and ports
		{1, width},     // as the first, for what isn't in a tunnel
		{1, 1},         // chosen fields: addresses and protocol by default
	} {
		m.Split.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", strconv.Itoa(policy))
		m.Split.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", strconv.Itoa(policy))
		for _, v4 := range []bool{true, false} {
			want := paths.v6
			if v4 {
				want = paths.v4
			}
			t.Run(fmt.Sprintf("policy %d v4 %v", policy, v4), func(t *testing.T) {
				for try := 1; ; try++ { // one in a hundred searches misses a path, as is claimed
					out := run(t, m.Source, program(t), "-n", "-q", "1", "--paths", addressOf(m.Target.Interfaces[0], v4), "80")
					found := head.FindStringSubmatch(out.stdout)
					switch {
					case found != nil && found[1] == strconv.Itoa(want):
						return
					case found == nil || try == 4 || found[1] > strconv.Itoa(want):
						t.Fatalf("not %d paths:\n%v", want, out)
					}
				}
			})
		}
	}
}
