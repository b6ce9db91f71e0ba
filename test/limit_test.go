package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

var rowOf = regexp.MustCompile(`(?m)^ *(\d+) +(?:\* +)*([0-9a-f][0-9a-f.:]+)( .*)?$`)

// shownHops are who any traceroute shows at each hop, nobody where it shows only stars, and what stands in the last row.
func shownHops(stdout string) (who []string, last string) {
	for _, m := range rowOf.FindAllStringSubmatch(stdout, -1) {
		ttl := 0
		fmt.Sscan(m[1], &ttl)
		for len(who) < ttl {
			who = append(who, "")
		}
		who[ttl-1], last = m[2], m[3]
	}
	return who, last
}

// hopsRight is how many hops of a chain a traceroute shows where they are; each wrong one takes one off.
func hopsRight(p *lab.Path, v family, who []string) (n int) {
	for i, w := range who {
		switch {
		case w == "":
		case i < len(p.Links) && w == v.of(p.Hop(i+1)).String():
			n++
		default:
			n--
		}
	}
	return n
}

// wantAllHops checks that a run shows each hop of a chain, and the target's port in its state.
func wantAllHops(t *testing.T, p *lab.Path, v family, got outcome, state string) {
	t.Helper()
	who, last := shownHops(got.stdout)
	if len(who) != len(p.Links) || hopsRight(p, v, who) != len(p.Links) || !strings.Contains(last, state) || got.code != 0 {
		t.Errorf("%v\nwant all %d hops, and %s", got, len(p.Links), state)
	}
	if n := strings.Count(strings.TrimSpace(got.stdout), "\n") + 1; n != len(p.Links) {
		t.Errorf("%d rows, want %d:\n%s", n, len(p.Links), got.stdout)
	}
}

// TestSYNLimit has a router that forwards only so many SYNs. All hops are shown, whoever shows less.
func TestSYNLimit(t *testing.T) {
	for _, tt := range []struct{ at, rate, burst int }{{1, 5, 1}, {3, 10, 5}, {5, 20, 2}, {6, 50, 1}, {2, 5, 10}} {
		t.Run(fmt.Sprintf("%d per second, %d at once, at hop %d", tt.rate, tt.burst, tt.at), func(t *testing.T) {
			build := func(t *testing.T) *lab.Path {
				p := lab.Chain(t, lab.ChainOptions{Hops: 7})
				p.Hop(tt.at).Filter(t, "forward",
					fmt.Sprintf("tcp flags & (syn|ack) == syn limit rate over %d/second burst %d packets drop", tt.rate, tt.burst))
				return p
			}
			families(t, func(t *testing.T, v family) {
				for _, state := range []string{"[open]", "[closed]"} {
					t.Run(state, func(t *testing.T) {
						t.Parallel()
						p := build(t)
						if state == "[open]" {
							p.Target.Listen(t, 80)
						}
						recorded := p.Links[len(p.Links)-1].B.Capture(t)
						got := launch(t, p.Source, fmt.Sprintf("-n %v", v.of(p.Target))).outcome()
						wantAllHops(t, p, v, got, state)
						if n := arrived(recorded.Stop(t)); n > 9 { // 7 were seen, and where nothing is limited it is 3
							t.Errorf("%d SYNs at the target, which was to get 3", n)
						}
					})
				}
				if tt.at == 3 {
					t.Run("beside others", func(t *testing.T) {
						t.Parallel()
						neverLessRight(t, v, "", puzzleOf(v, build))
					})
				}
			})
		})
	}
}

// arrived counts the SYNs that came in.
func arrived(packets []lab.Packet) (n int) {
	for _, p := range packets {
		b := p.Data
		switch {
		case p.Out || len(b) < 40:
		case b[0] == 0x45 && b[9] == 6 && b[33]&0x12 == 0x02:
			n++
		case len(b) >= 60 && b[0]>>4 == 6 && b[6] == 6 && b[53]&0x12 == 0x02:
			n++
		}
	}
	return n
}

// defence is the rules of a target that knows its clients by a key.
func defence(key4, type4, key6, type6 string, rules ...string) string {
	sets, chain := "", "chain input {\ntype filter hook input priority 0\n"
	for _, f := range []struct{ name, key, kind, family string }{{"4", key4, type4, "ipv4"}, {"6", key6, type6, "ipv6"}} {
		for _, set := range []string{"seen", "recent"} {
			sets += fmt.Sprintf("set %s%s { type %s; flags dynamic,timeout; timeout 30s; }\n", set, f.name, f.kind)
		}
		for _, r := range rules {
			r = strings.NewReplacer("KEY", f.key, "SEEN", "@seen"+f.name, "RECENT", "@recent"+f.name).Replace(r)
			chain += fmt.Sprintf("meta nfproto %s tcp flags & (syn|ack) == syn %s\n", f.family, r)
		}
	}
	return sets + chain + "}"
}

// TestDefendedTarget traces to targets that take a SYN for real only if its sender behaves as a kernel does.
func TestDefendedTarget(t *testing.T) {
	first := []string{"KEY SEEN accept", "add SEEN { KEY } drop"}
	pause := []string{
		"KEY RECENT update RECENT { KEY timeout 1500ms } drop",
		"KEY SEEN accept",
		"add RECENT { KEY timeout 1500ms } add SEEN { KEY } drop",
	}
	always := []string{"KEY RECENT update RECENT { KEY timeout 1500ms } drop", "add RECENT { KEY timeout 1500ms } accept"}
	flow := func(rules []string) string {
		return defence("ip saddr . tcp sport", "ipv4_addr . inet_service", "ip6 saddr . tcp sport", "ipv6_addr . inet_service", rules...)
	}
	source := func(rules []string) string {
		return defence("ip saddr", "ipv4_addr", "ip6 saddr", "ipv6_addr", rules...)
	}
	for _, tt := range []struct{ name, rules string }{
		{"the first SYN of a flow", flow(first)},
		{"the first SYN of a source", source(first)},
		{"SYNs of a flow in less than 1.5 s", flow(pause)},
		{"SYNs of a source in less than 1.5 s", source(pause)},
		{"a second SYN in 1.5 s", flow(always)},
		{"cookies", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			build := func(t *testing.T) *lab.Path {
				p := lab.Chain(t, lab.ChainOptions{Hops: 5})
				if tt.rules == "" {
					p.Target.Sysctl(t, "net.ipv4.tcp_syncookies", "2")
				} else {
					p.Target.NFT(t, tt.rules)
				}
				return p
			}
			families(t, func(t *testing.T, v family) {
				states := []string{"[open]", "[closed]"}
				if tt.rules == "" {
					states = states[:1]
				}
				for _, state := range states {
					t.Run(state, func(t *testing.T) {
						t.Parallel()
						p := build(t)
						if state == "[open]" {
							p.Target.Listen(t, 80)
						}
						wantAllHops(t, p, v, launch(t, p.Source, fmt.Sprintf("-n %v", v.of(p.Target))).outcome(), state)
					})
				}
				if tt.name == "the first SYN of a flow" {
					t.Run("beside others", func(t *testing.T) {
						t.Parallel()
						neverLessRight(t, v, "", puzzleOf(v, build))
					})
				}
			})
		})
	}
}
