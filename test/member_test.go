package test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// A member of a balanced group that loses packets is named with its place, and no other.
func TestBadMember(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		width int
		rule  string // of the bad member
		code  string
	}{
		{2, "", ""}, {4, "", ""},
		{2, `iifname "eth0" drop`, "broken-branch"},
		{4, `iifname "eth0" drop`, "broken-branch"},
		{2, `iifname "eth0" numgen random mod 10 < 3 drop`, "lossy-branch"},
		{4, `iifname "eth0" numgen random mod 10 < 3 drop`, "lossy-branch"},
		{2, `iifname "eth0" numgen random mod 10 < 1 drop`, "lossy-branch"},
		{4, `iifname "eth0" numgen random mod 10 < 1 drop`, "lossy-branch"},
	} {
		if testing.Short() && c.width != 2 {
			continue
		}
		for _, v4 := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d %s IPv4 %v", c.width, c.rule, v4), func(t *testing.T) {
				t.Parallel()
				m := lab.Diamond(t, lab.DiamondOptions{Width: c.width, Beyond: 1})
				m.Target.Listen(t, 80)
				bad := m.Middle[1] // the way back is by the first one
				if c.rule != "" {
					bad.Filter(t, "forward", c.rule)
				}
				badMember(t, m, v4, c.code, addressOf(bad.Interfaces[0], v4), addressOf(bad.Interfaces[1].Peer, v4))
			})
		}
	}
}

// badMember looks for the finding about a member, or for none if code is "". One in a hundred searches misses a branch, or
// a loss of 10 %, as is claimed, or gives the branch the name of the next router on it too, or alone, which has answered
// nearly all probes by chance. So it is repeated then; what is said is never about another branch.
func badMember(t *testing.T, m *lab.Mesh, v4 bool, code, who, next string) {
	t.Helper()
	for try := 1; ; try++ {
		out := run(t, m.Source, program(t), "-n", "--paths", addressOf(m.Target.Interfaces[0], v4), "80")
		said, right, near := 0, false, false
		for _, line := range strings.Split(out.stdout, "\n") {
			if strings.HasPrefix(line, "The branch ") || strings.HasPrefix(line, "The link ") || strings.Contains(line, " die beyond ") {
				said++
				right = strings.HasPrefix(line, "The branch by "+who+" (hop 2) loses ")
				near = strings.HasPrefix(line, "The branch by "+next+" (hop 3) loses ") ||
					strings.HasPrefix(line, "The branch by "+who+" (hop 2), "+next+" (hop 3) loses ")
			}
		}
		right = right && strings.Contains(strings.Join(strings.Fields(out.stdout), " "), "["+code+", likely]")
		switch {
		case code == "" && said > 0 || said > 1 || said == 1 && !right && !near:
			t.Fatalf("%s is %q:\n%v", who, code, out)
		case said == 1 && !near || code == "" && !strings.Contains(out.stdout, "1 path to "):
			if !strings.Contains(out.stderr, "Measuring loss by ") {
				t.Errorf("the measurement was not announced:\n%v", out)
			}
			return
		case try == 4:
			t.Fatalf("%s is %s, and isn't named after %s tries:\n%v", who, code, strconv.Itoa(try), out)
		}
	}
}
