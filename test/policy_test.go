package test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"go.example/tcptraceroute/lab"
)

// Whatever a router of the kernel hashes, as many paths are found as flows take that differ in source port and, over
// IPv6, in flow label. By which of them the router shares them out is said.
func TestPathsHashPolicies(t *testing.T) {
	t.Parallel()
	const width = 4
	m := lab.Diamond(t, lab.DiamondOptions{Width: width, Beyond: 1})
	m.Target.Listen(t, 80)
	head := regexp.MustCompile(`(?m)^(\d+) paths? to `)
	for policy, paths := range []struct {
		v4, v6 int
		by6    string
	}{
		{1, width, "label"},    // addresses, and over IPv6 the label
		{width, width, "port"}, // addresses and ports
		{1, width, "label"},    // as the first, for what isn't in a tunnel
		{1, 1, ""},             // chosen fields: addresses and protocol by default
	} {
		m.Split.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", strconv.Itoa(policy))
		m.Split.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", strconv.Itoa(policy))
		for _, v4 := range []bool{true, false} {
			want, by := paths.v6, paths.by6
			if v4 {
				if want, by = paths.v4, ""; want > 1 {
					by = "port"
				}
			}
			t.Run(fmt.Sprintf("policy %d v4 %v", policy, v4), func(t *testing.T) {
				for try := 1; ; try++ { // one in a hundred searches misses a path, as is claimed
					out := run(t, m.Source, program(t), "-n", "-q", "1", "--paths", addressOf(m.Target.Interfaces[0], v4), "80")
					found := head.FindStringSubmatch(out.stdout)
					said := ""
					for _, line := range sharesBy.FindAllStringSubmatch(out.stdout, -1) {
						if said += line[2]; line[1] != "1" {
							t.Errorf("another hop shares out:\n%v", out)
						}
					}
					if said != "" && said != by {
						t.Fatalf("not by %q:\n%v", by, out)
					}
					switch {
					case found != nil && found[1] == strconv.Itoa(want) && said == by:
						return
					case found == nil || try == 4 || found[1] > strconv.Itoa(want):
						t.Fatalf("not %d paths, shared out by %q:\n%v", want, by, out)
					}
				}
			})
		}
	}
}
