package test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// deadAddresses are addresses on the last link of a chain that nobody has. Each is another one, which the last router doesn't
// know to be dead yet, or no longer.
func deadAddresses(v family, p *lab.Path) (next func() netip.Addr) {
	link, n := len(p.Links), 0
	return func() netip.Addr {
		n++
		return netip.MustParseAddr(pick(v, fmt.Sprintf("198.18.%d.%d", link, 100+n%150), fmt.Sprintf("2001:db8:%x::%x", link, 100+n)))
	}
}

// wantReport checks what came of a trace to an address that nobody has. The router's timers and this program's are a few
// milliseconds apart by design, which a busy machine may make more: then the next one counts, to another address.
func wantReport(t *testing.T, first *live, reported func(outcome) bool, again func() *live) {
	t.Helper()
	got := first.outcome()
	eventually(t, "the report of the last router", func() bool {
		if reported(got) {
			return true
		}
		t.Logf("not reported:\n%v", got)
		got = again().outcome()
		return false
	})
}

// TestTargetDown traces to an address that nobody has on the last link. The last router reports it just after the usual wait
// is over.
func TestTargetDown(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		const hops = 4
		p := lab.Chain(t, lab.ChainOptions{Hops: hops})
		dead := deadAddresses(v, p)
		last := v.of(p.Hop(hops - 1))
		refusal := regexp.MustCompile(fmt.Sprintf(`(?m)^ %d  (\* )*%v  ?\d+\.\d+ ms !H`, hops, last))
		var runs sideBySide
		begin := func(args string, reported func(outcome) bool) {
			runs.begin(t, args, func(t *testing.T) func(*testing.T) {
				start := func() *live { return launch(t, p.Source, fmt.Sprintf("-n %s %v", args, dead())) }
				l := start()
				return func(t *testing.T) { wantReport(t, l, reported, start) }
			})
		}
		for _, args := range []string{
			"", "-q 1", "-w 3", "-w 3 -q 1", "-w 1", "-w 2 -q 1", "-w 5", "--parallel 1 -q 1", "--parallel 1", "--track-port", "-m 7", "-f 3", "--unprivileged",
		} {
			from, queries := 1, 3
			if strings.Contains(args, "-f 3") {
				from = 3
			}
			if strings.Contains(args, "-q 1") {
				queries = 1
			}
			var want string
			for ttl := from; ttl < hops; ttl++ {
				want += hop(ttl, v.of(p.Hop(ttl)), queries, "")
			}
			begin(args, func(got outcome) bool {
				rows := masked(got.stdout)
				return strings.HasPrefix(rows, want) && refusal.MatchString(got.stdout) && strings.Count(rows, "\n") == hops-from+1 && got.code == 0
			})
		}
		begin("--json", func(got outcome) bool {
			return strings.Contains(got.stdout, "\"state\": \"refused\",\n    \"ttl\": 4,")
		})
		begin("--report -c 1", func(got outcome) bool {
			return strings.Contains(got.stdout, fmt.Sprintf("%d.|-- %v ", hops, last)) && got.code == 0
		})
		runs.finish(t)
	})
}

// TestTargetDownBesideOthers: ours shows what the others show, who wait for longer.
func TestTargetDownBesideOthers(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 4})
		dead := deadAddresses(v, p)
		neverLessRight(t, v, "", func(*testing.T) puzzle { return chainPuzzle(p, v, dead(), 80) })
	})
}

// TestTargetDownWithDefaultLimits is the same where the routers limit their ICMP as Linux does by default.
func TestTargetDownWithDefaultLimits(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		const hops = 3
		var runs sideBySide
		for _, args := range []string{"", "-q 1", "-w 3 -q 1", "--parallel 1 -q 1", "--unprivileged", "--unprivileged -q 2", "--unprivileged -w 1"} {
			p := lab.Chain(t, lab.ChainOptions{Hops: hops})
			for _, r := range p.Routers {
				r.DefaultLimits(t)
			}
			runs.begin(t, args, func(t *testing.T) func(*testing.T) {
				dead := deadAddresses(v, p)
				start := func() *live { return launch(t, p.Source, fmt.Sprintf("-n %s %v", args, dead())) }
				l := start()
				return func(t *testing.T) {
					refusal := fmt.Sprintf("\n %d  %v  T !H", hops, v.of(p.Hop(hops-1)))
					wantReport(t, l, func(got outcome) bool {
						rows := masked(got.stdout)
						return strings.Contains(rows, refusal) && strings.Count(rows, "\n") == hops && got.code == 0
					}, start)
				}
			})
		}
		runs.finish(t)
	})
}
