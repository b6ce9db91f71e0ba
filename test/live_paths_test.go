package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// TestLivePaths watches all paths on a screen: a member that begins to drop packets is marked and named, its own tab shows
// its hops, and the paths are printed in the end. When the router shares out the flows anew, they are searched for again,
// and that is said in the end, too.
func TestLivePaths(t *testing.T) {
	t.Parallel()
	m := lab.Diamond(t, lab.DiamondOptions{Width: 4})
	m.Target.Listen(t, 80)
	for _, v4 := range []bool{true, false} {
		target, member := addressOf(m.Target.Interfaces[0], v4), addressOf(m.Middle[2].Interfaces[0], v4)
		x := inTerminal(t, m.Source, 100, 24, "LC_ALL=C.UTF-8 TERM=xterm-256color", "-n --live --paths --interval 0.1 "+target+" 80")
		x.await(`(?s)4 paths.*Watching 4 paths: in each round \d+ probes, 4 of them SYNs to the target.*4 reached · round \d\d`)
		x.keys("t")
		x.await(`-> 2a-2d`)
		x.keys("t")
		m.Middle[2].Drop(t, "meta nfproto "+map[bool]string{true: "ipv4", false: "ipv6"}[v4]+" tcp dport 80")
		x.await(`(?s)! +[\d.]+% 2\w ` + `[^\n]*` + regexp.QuoteMeta(member) + `.*likely +The branch by ` + regexp.QuoteMeta(member))
		x.keys("1")
		x.await(`path by 2a`)
		if v4 {
			x.keys("q")
			x.await(`(?s)The branch by .*the same terminal\s+exit code 0`)
			continue
		}
		out := m.Split.Interfaces
		m.Split.Default(t, out[1], out[2], out[4]) // without the one that drops
		x.await(`Watching 3 paths \(remapped at `)
		x.keys("q")
		x.await(`(?s)the same terminal\s+exit code 0`)
		said, err := os.ReadFile(filepath.Join(x.dir, "stderr"))
		if err != nil || !strings.Contains(string(said), "Remapped at ") {
			t.Errorf("%v: said in the end: %s", err, said)
		}
	}
}
