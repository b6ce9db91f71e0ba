package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// besides gives a router a device on a tap: it gets a copy of the packets that match, has the target's address, and so answers
// in the target's name what the target answers, too. What expires at the router is answered as well.
func besides(t *testing.T, p *lab.Path, v family, ttl int, match string, open bool) {
	t.Helper()
	r := p.Hop(ttl)
	tap := p.Host(t, "tap")
	l := p.Link(t, r, tap)
	tap.Default(t, l.B)
	tap.AddAddr(t, v.of(p.Target))
	eventually(t, "the tap has the target's address", func() bool { // the kernel takes it in a work queue
		return strings.Contains(tap.IP(t, fmt.Sprintf("-%d route show table local", v)), v.of(p.Target).String())
	})
	if open {
		tap.Listen(t, 8080)
	}
	to := pick(v, l.B.V4, l.B.V6)
	// The copy has one hop less to live, and is local where it comes. Tables of the inet family can't do that.
	table := pick(v, "ip", "ip6")
	r.Run(t, "nft", fmt.Sprintf("add table %[1]s tap; add chain %[1]s tap in { type filter hook prerouting priority -150; }; "+
		"add rule %[1]s tap in iifname eth0 %s dup to %v device eth2", table, match, to))
}

// TestInjected has a device that answers in the target's name, beside the target: all hops up to the target are shown.
func TestInjected(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		for _, open := range []bool{false, true} { // of the device's port; the target's is the other way round
			t.Run(fmt.Sprintf("open %v", open), func(t *testing.T) {
				t.Parallel()
				const hops, at = 6, 3
				p := lab.Chain(t, lab.ChainOptions{Hops: hops})
				if !open {
					p.Target.Listen(t, 8080)
				}
				besides(t, p, v, at, "tcp dport 8080 tcp flags & (syn | ack) == syn", open)
				target := v.of(p.Target).String()
				for _, args := range []string{"", "--parallel 1", "-q 5"} {
					got := launch(t, p.Source, fmt.Sprintf("-n %s %s 8080", args, target)).outcome()
					rows := regexp.MustCompile(`(?m)^ *\d+ .*$`).FindAllString(got.stdout, -1)
					if len(rows) != hops || got.code != 0 {
						t.Errorf("%s: %v\nwant %d hops", args, got, hops)
						continue
					}
					for ttl := 1; ttl <= hops; ttl++ {
						if who := v.of(p.Hop(ttl)).String(); !strings.Contains(rows[ttl-1], who+" ") {
							t.Errorf("%s: hop %d isn't %s\n%v", args, ttl, who, got)
						}
					}
				}
				report := launch(t, p.Source, fmt.Sprintf("-n --report -c 3 %s 8080", target)).outcome()
				rows := regexp.MustCompile(`(?m)^ *\d+\.\|-- (\S+)`).FindAllStringSubmatch(report.stdout, -1)
				if len(rows) != hops || report.code != 0 {
					t.Errorf("round by round: %v\nwant %d hops", report, hops)
				}
				for i, row := range rows {
					if i < hops && row[1] != v.of(p.Hop(i+1)).String() {
						t.Errorf("round by round: hop %d is %s\n%v", i+1, row[1], report)
					}
				}
				if got := launch(t, p.Source, fmt.Sprintf("-n --json %s 8080", target)).outcome(); !strings.Contains(got.stdout, `"closed"`) ||
					!strings.Contains(got.stdout, `"open"`) {
					t.Errorf("both answers are to be told: %v", got)
				}
				neverLessRight(t, v, "", func(*testing.T) puzzle { return chainPuzzle(p, v, v.of(p.Target), 8080) })
			})
		}
	})
}

// TestSomeRefused has a router that rejects some of the packets: the list goes on to the target, which stands in its row.
func TestSomeRefused(t *testing.T) {
	for _, some := range []string{"numgen random mod 3 == 0", "numgen inc mod 3 == 0", "limit rate over 5/second burst 3 packets"} {
		t.Run(some, func(t *testing.T) {
			families(t, func(t *testing.T, v family) {
				const hops, at = 5, 2
				p := lab.Chain(t, lab.ChainOptions{Hops: hops})
				p.Target.Listen(t, 80)
				target := v.of(p.Target).String()
				last := regexp.MustCompile(fmt.Sprintf(`(?m)^ %d .*\n(    .*\n)*`, hops))
				missed := 0
				for i := range 12 {
					t.Run(fmt.Sprint(i), func(t *testing.T) { // with a rule of its own: what others sent doesn't count
						p.Hop(at).Filter(t, "forward", "meta l4proto tcp iifname eth0 "+some+" reject with icmpx type admin-prohibited")
						got := launch(t, p.Source, fmt.Sprintf("-n -q %d %s", 1+2*(i%2), target)).outcome()
						if !strings.Contains(last.FindString(got.stdout), target+" [open]") || strings.Contains(got.stdout, fmt.Sprintf("\n %d ", hops+1)) {
							missed++
							t.Log(got)
						}
					})
				}
				if missed > 2 { // all probes to a hop may be refused
					t.Errorf("%d of 12 lists don't end at the target", missed)
				}
			})
		})
	}
}

// A device stands at the first router, or before the first one that is asked, so no router was heard when it answers: it
// resets every other SYN, or answers all of them beside the target while that router is silent. The list ends at the target.
func TestDeviceAtTheFirstRouter(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		row := regexp.MustCompile(`(?m)^ ?\d+ `)
		wantEnd := func(t *testing.T, p *lab.Path, args string, end int) {
			t.Helper()
			got := launch(t, p.Source, fmt.Sprintf("-n %s %v 8080", args, v.of(p.Target))).outcome()
			rows := row.FindAllStringIndex(got.stdout, -1)
			if len(rows) == 0 || !strings.HasPrefix(strings.TrimSpace(got.stdout[rows[len(rows)-1][0]:]), fmt.Sprintf("%d  %v ", end, v.of(p.Target))) {
				t.Errorf("%s: %v\nwant %d hops", args, got, end)
			}
		}
		t.Run("every other SYN is reset", func(t *testing.T) {
			t.Parallel()
			const hops = 4
			p := lab.Chain(t, lab.ChainOptions{Hops: hops})
			p.Target.Listen(t, 8080)
			p.Hop(1).Filter(t, "forward", "tcp dport 8080 tcp flags & (syn | ack) == syn numgen inc mod 2 == 0 reject with tcp reset")
			for range 4 {
				wantEnd(t, p, "-f 2", hops)
				wantEnd(t, p, "-f 3 -q 5", hops)
			}
		})
		t.Run("all are answered beside the target", func(t *testing.T) {
			t.Parallel()
			p := lab.Chain(t, lab.ChainOptions{Hops: 2})
			besides(t, p, v, 1, "tcp dport 8080 tcp flags & (syn | ack) == syn", true)
			p.Hop(1).Filter(t, "output", pick(v, "icmp type time-exceeded drop", "icmpv6 type time-exceeded drop"))
			for _, args := range []string{"", "-q 1", "-q 5"} {
				wantEnd(t, p, args, 2)
			}
		})
	})
}
