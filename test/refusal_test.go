package test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// limitAsUsual gives a host the limits on ICMP errors that Linux has by default: six at once to one address, then one a second.
func limitAsUsual(t *testing.T, h *lab.Host) {
	t.Helper()
	h.Sysctl(t, "net.ipv4.icmp_ratemask", "6168")
	h.Sysctl(t, "net.ipv4.icmp_ratelimit", "1000")
	h.Sysctl(t, "net.ipv6.icmp.ratelimit", "1000")
}

// refuser is a network where somebody refuses, and where that shows.
type refuser struct {
	name string
	*lab.Path
	who *lab.Host
	end int
}

// refusers are networks where each router, or the target, refuses by a rule or by a route, with the limits on ICMP of default.
func refusers(t *testing.T) (all []refuser) {
	const hops = 5
	add := func(name string, at, end int) *lab.Path {
		p := lab.Chain(t, lab.ChainOptions{Hops: hops})
		p.AllowRateLimits()
		for ttl := 1; ttl <= hops; ttl++ {
			limitAsUsual(t, p.Hop(ttl))
		}
		all = append(all, refuser{fmt.Sprintf("%s at hop %d", name, at), p, p.Hop(at), end})
		return p
	}
	for at := 1; at < hops; at++ {
		p := add("reject", at, at+1) // a router looks at the TTL first
		p.Hop(at).Filter(t, "forward", "tcp dport 80 reject with icmpx type admin-prohibited")
		for _, kind := range []string{"prohibit", "unreachable"} {
			p := add(kind, at, at)
			p.Hop(at).Add(t, "route", fmt.Sprintf("%s %v", kind, p.Target.V4()))
			p.Hop(at).Add(t, "route", fmt.Sprintf("%s %v", kind, p.Target.V6()))
		}
	}
	add("reject", hops, hops).Target.Filter(t, "input", "tcp dport 80 reject with icmpx type admin-prohibited")
	return all
}

// TestRefusalDistance has somebody refuse who limits his ICMP errors as Linux does by default, four times in a row. The first
// trace, when he may still send some, shows all hops and the refusal at its own. Later, when most of the answers are missing,
// none shows the refusal at another hop, and none a hop that isn't there.
func TestRefusalDistance(t *testing.T) {
	t.Parallel()
	all := refusers(t)
	for run := range 4 {
		var running []*live // all at once, for most of it is waiting
		for _, p := range all {
			for _, v := range []family{ip4, ip6} {
				running = append(running, launch(t, p.Source, fmt.Sprintf("-n %v", v.of(p.Target))))
			}
		}
		for i, l := range running {
			p, v := all[i/2], []family{ip4, ip6}[i%2]
			got := l.outcome()
			if wrong := p.wrong(got, v, run == 0); len(wrong) > 0 {
				t.Errorf("%s, IPv%d, run %d: %s\n%v", p.name, v, run+1, strings.Join(wrong, ", "), got)
			}
		}
	}
}

var hopLine = regexp.MustCompile(`^ *(\d+)  (.*)$`)

// wrong is what is wrong in the lines of a trace. whole: it should show the refusal, and every hop before.
func (p *refuser) wrong(got outcome, v family, whole bool) (wrong []string) {
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	shown := map[int]string{}
	for line := range strings.Lines(got.stdout) {
		m := hopLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			note("what is this: %q", line)
			continue
		}
		ttl, _ := strconv.Atoi(m[1])
		shown[ttl] = strings.Trim(m[2], "* ")
	}
	for ttl, text := range shown {
		switch refused := strings.Contains(text, "!"); {
		case refused && (ttl != p.end || !strings.Contains(text, v.of(p.who).String())):
			note("hop %d refuses, not hop %d (%v)", ttl, p.end, v.of(p.who))
		case !refused && text != "" && ttl >= p.end:
			note("hop %d answers beyond the refusal", ttl)
		case !refused && text != "" && !strings.Contains(text, v.of(p.Hop(ttl)).String()):
			note("hop %d is another", ttl)
		}
	}
	if !whole {
		return wrong
	}
	for ttl := 1; ttl <= p.end; ttl++ {
		if shown[ttl] == "" {
			note("hop %d is missing", ttl)
		}
	}
	if len(shown) != p.end {
		note("%d hops, not %d", len(shown), p.end)
	}
	return wrong
}
