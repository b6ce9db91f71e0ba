package test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// countSYNs counts the SYNs that get to a host from now on, whatever its own firewall makes of them.
func countSYNs(t *testing.T, h *lab.Host) (so func() int) {
	t.Helper()
	h.NFT(t, "counter syns { }\nchain count {\ntype filter hook prerouting priority raw\n"+
		"tcp flags & (syn | ack | rst) == syn counter name syns\n}")
	last := 0
	return func() int {
		t.Helper()
		m := regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(h.Run(t, "nft", "list", "counters"))
		if m == nil {
			t.Fatal("nft shows no counter")
		}
		all, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n := all - last
		last = all
		return n
	}
}

// TestTargetSYNs counts the SYNs that get to a target with --explain, whatever it or the way does with them: at most 8,
// those of the trace, of the ordinary connection and of the questions together.
func TestTargetSYNs(t *testing.T) {
	t.Parallel()
	for _, hops := range []int{1, 3, 6} {
		t.Run(fmt.Sprint("hop ", hops), func(t *testing.T) {
			families(t, func(t *testing.T, v family) { explainCounted(t, v, hops) })
		})
	}
}

// explainCounted counts the SYNs at a target at this hop.
func explainCounted(t *testing.T, v family, hops int) {
	const most = 8
	p := lab.Chain(t, lab.ChainOptions{Hops: hops})
	kinds := []string{"open", "closed", "silent", "rejecting"}
	for port := range 7 {
		if port != 1 {
			p.Target.Listen(t, uint16(9000+port))
		}
	}
	p.Target.Filter(t, "input", "tcp dport 9002 drop", "tcp dport 9003 reject with icmpx type admin-prohibited")
	if hops > 1 {
		p.Hop(hops-1).Filter(t, "forward", "tcp dport 9004 drop",
			"tcp dport 9005 numgen inc mod 3 0 reject with tcp reset",
			"tcp dport 9006 ip6 hoplimit > 2 reject with tcp reset", "tcp dport 9006 ip ttl > 2 reject with tcp reset")
		kinds = append(kinds, "filtered before", "reset in part before", "high TTLs reset before")
	}
	got := countSYNs(t, p.Target)
	for port, kind := range kinds {
		for _, args := range []string{"", "-q 1"} {
			o := launch(t, p.Source, fmt.Sprintf("-n --explain %s %v %d", args, v.of(p.Target), 9000+port)).outcome()
			n, said := got(), strings.Contains(strings.Join(strings.Fields(o.stdout), " "), "To spare the target")
			t.Logf("%s, %q: %d SYNs, %s", kind, args, n, strings.Join(found(t, o), ", "))
			if n > most || said != (kind == "silent" || kind == "filtered before") {
				t.Errorf("%s: %d SYNs at the target; that hops were not asked is said: %v\n%v", kind, n, said, o)
			}
		}
	}
}

// TestTargetSYNsBehindSilence counts them where three and more routers in a row are silent, right before the target or
// with a router in between that answers.
func TestTargetSYNsBehindSilence(t *testing.T) {
	t.Parallel()
	const most = 8
	for _, silent := range []int{3, 4, 5} {
		for beyond := range 2 {
			t.Run(fmt.Sprintf("%d silent, %d beyond", silent, beyond), func(t *testing.T) {
				families(t, func(t *testing.T, v family) {
					p := lab.Chain(t, lab.ChainOptions{Hops: silent + beyond + 2})
					for hop := 2; hop < 2+silent; hop++ {
						p.Hop(hop).Filter(t, "output", "icmp type time-exceeded drop", "icmpv6 type time-exceeded drop")
					}
					p.Target.Listen(t, 9000)
					p.Target.Filter(t, "input", "tcp dport 9002 drop", "tcp dport 9003 reject with icmpx type admin-prohibited")
					got := countSYNs(t, p.Target)
					for port, kind := range []string{"open", "closed", "silent", "rejecting"} {
						o := launch(t, p.Source, fmt.Sprintf("-n --explain %v %d", v.of(p.Target), 9000+port)).outcome()
						n := got()
						t.Logf("%s: %d SYNs, %s", kind, n, strings.Join(found(t, o), ", "))
						if n > most {
							t.Errorf("%s: %d SYNs at the target\n%v", kind, n, o)
						}
					}
				})
			})
		}
	}
}
