package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Situations: somebody says no.

// rejectedIn are the words in which a rule may refuse one port, as nft has them in IPv4 and IPv6.
var rejectedIn = []struct {
	four, six string
	ci        bool
}{
	{"net-unreachable", "no-route", true},
	{"host-unreachable", "addr-unreachable", true},
	{"port-unreachable", "port-unreachable", false},
	{"admin-prohibited", "admin-prohibited", true},
	{"prot-unreachable", "policy-fail", false},
	{"net-prohibited", "reject-route", false},
	{"host-prohibited", "no-route", false},
}

// rejects refuses what matches, in words for each family.
func (a at) rejects(hook, match, four, six string) act {
	return func(t *testing.T, s *stage) {
		reject := fmt.Sprintf(" reject with %s type %s", pick(s.v, "icmp", "icmpv6"), pick(s.v, four, six))
		a.host(s).Filter(t, hook, s.expand(match)+reject)
	}
}

// refusesOnePort are rules for one port, in all words and at every place.
func refusesOnePort() (all []situation) {
	for _, w := range rejectedIn {
		for _, place := range []at{1, 3, 5} {
			rows := []string{1: "1 1", 3: "1 2 3 3", 5: "1 2 3 4 5 5"}[place]
			all = append(all, situation{
				name: fmt.Sprintf("hop %d rejects a port, %s or %s", place, w.four, w.six), ci: w.ci && place == 3,
				do: []act{place.rejects("forward", "tcp dport 9000", w.four, w.six)}, port: 9000, rows: rows,
				must: "rejected-by-router", may: "rejected-by-router certain", never: "knows? the way|it is down",
				where: [2]int{int(place), int(place)},
			})
		}
		all = append(all, situation{
			name: fmt.Sprintf("the target rejects a port, %s or %s", w.four, w.six), ci: w.four == "host-unreachable",
			do: []act{goal.rejects("input", "tcp dport 9000", w.four, w.six)}, port: 9000, rows: all6,
			must: "rejected-by-target", may: "rejected-by-target certain", never: "can't be reached from|it is down",
		})
	}
	return all
}

// routesAway are routes that lead nowhere, at every place. The router looks at the TTL after it has looked for a
// route.
func routesAway() (all []situation) {
	for _, place := range []at{1, 3, 5} {
		rows := []string{1: "1", 3: "1 2 3", 5: "1 2 3 4 5"}[place]
		before := []string{1: "-", 3: "1 2", 5: "1 2 3 4"}[place]
		add := func(kind string, x situation) {
			x.name = fmt.Sprintf("hop %d has a route: %s", place, kind)
			x.do = append(x.do, place.ip("route add "+kind+" {target}"))
			x.ci = place == 3
			all = append(all, x)
		}
		here := [2]int{int(place), int(place)}
		add("prohibit", situation{rows: rows, must: "rejected-by-router|unreachable-network",
			may:   "rejected-by-router certain, unreachable-network likely",
			names: `\broute\b`, where: here})
		add("unreachable", situation{rows: rows, must: "unreachable-host|unreachable-network",
			may: "unreachable-host likely, unreachable-network certain", where: here})
		add("blackhole", situation{rows: before, must: "path-ends", may: "path-ends possible, way-back possible"})
	}
	return all
}

var refusalSituations = slices.Concat(refusesOnePort(), routesAway(), []situation{
	{name: "hop 3 has no route", do: []act{at(3).ip("route del default")}, to: "{lost}", rows: till3,
		must: "unreachable-network", may: "unreachable-network certain", where: [2]int{3, 3}},
	{name: "the target doesn't have the address, and no route", to: "{lost}", rows: "1 2 3 4 5 6",
		must: "unreachable-network", may: "unreachable-network certain"},
	{name: "hop 3 rejects all to the target, admin-prohibited",
		do:   []act{at(3).rejects("forward", "{ip} daddr {target}", "admin-prohibited", "admin-prohibited")},
		rows: "1 2 3 3", must: "rejected-by-router", may: "rejected-by-router certain", where: [2]int{3, 3}},
	{name: "hop 3 rejects all to the target, no-route",
		do: []act{at(3).rejects("forward", "{ip} daddr {target}", "net-unreachable", "no-route")}, rows: "1 2 3 3",
		must: "rejected-by-router|unreachable-network",
		may:  "rejected-by-router certain, unreachable-network certain", names: `\brule\b`, where: [2]int{3, 3}},
	{name: "hop 3 rejects all to the target, host-unreachable",
		do:   []act{at(3).rejects("forward", "{ip} daddr {target}", "host-unreachable", "addr-unreachable")},
		rows: "1 2 3 3", must: "rejected-by-router|unreachable-host",
		may: "rejected-by-router certain, unreachable-host likely", where: [2]int{3, 3}},
	{name: "hop 3 rejects TCP, echo passes",
		do:   []act{at(3).rejects("forward", "iifname eth0 meta l4proto tcp", "host-unreachable", "addr-unreachable")},
		rows: "1 2 3 3", must: "rejected-by-router", may: "rejected-by-router certain",
		never: "it is down|knows? the way", where: [2]int{3, 3}},
	{name: "the target rejects all TCP",
		do: []act{goal.rejects("input", "meta l4proto tcp", "port-unreachable", "port-unreachable")}, rows: all6,
		must: "rejected-by-target", may: "rejected-by-target certain"},
	{name: "the target rejects everything",
		do: []act{goal.rejects("input", "{ip} saddr {self}", "admin-prohibited", "admin-prohibited")}, rows: all6,
		must: "rejected-by-target", may: "rejected-by-target certain"},
	{name: "hop 1 resets a port", ci: true,
		do: []act{at(1).rules("forward", "tcp dport 9000 reject with tcp reset")}, port: 9000, rows: "1 T",
		must: "reset-on-path", may: "reset-on-path certain", where: [2]int{1, 2}},
	{name: "hop 3 resets a port", ci: true,
		do: []act{at(3).rules("forward", "tcp dport 9000 reject with tcp reset")}, port: 9000, rows: "1 2 3 T",
		must: "reset-on-path", may: "reset-on-path certain", where: [2]int{3, 4}},
	{name: "hop 3 resets a port that is open",
		do: []act{at(3).rules("forward", "tcp dport 80 reject with tcp reset")}, rows: "1 2 3 T",
		must: "reset-on-path", may: "reset-on-path certain", where: [2]int{3, 4}},
	{name: "hop 3 resets all TCP",
		do: []act{at(3).rules("forward", "iifname eth0 meta l4proto tcp reject with tcp reset")}, rows: "1 2 3 T",
		must: "reset-on-path", may: "reset-on-path certain", where: [2]int{3, 4}},
	{name: "hop 3 resets all TCP, and drops the rest",
		do: []act{
			at(3).rules(
				"forward", "iifname eth0 meta l4proto tcp reject with tcp reset",
				"iifname eth0 {ip} daddr {target} drop",
			),
		},
		rows: "1 2 3 T", must: "reset-on-path|port-closed", may: "reset-on-path certain, port-closed possible",
		truth: "firewall|router", where: [2]int{3, 4}},
	{name: "the last router resets a port", ci: true,
		do: []act{at(5).rules("forward", "tcp dport 9000 reject with tcp reset")}, port: 9000, rows: all6,
		must: "reset-on-path", may: "reset-on-path certain, port-closed possible", truth: "firewall|router"},
	{name: "the last router resets all TCP, echo passes", ci: true,
		do: []act{at(5).rules("forward", "iifname eth0 meta l4proto tcp reject with tcp reset")}, rows: all6,
		must: "reset-on-path", may: "reset-on-path certain, port-closed possible", truth: "firewall|router"},
	{name: "the last router resets all TCP, and drops the rest",
		do: []act{
			at(5).rules(
				"forward", "iifname eth0 meta l4proto tcp reject with tcp reset",
				"iifname eth0 {ip} daddr {target} drop",
			),
		},
		rows: all6, must: "reset-on-path|port-closed", may: "reset-on-path certain, port-closed possible",
		truth: "firewall|router"},
	{name: "the target's own firewall resets a port",
		do: []act{goal.rules("input", "tcp dport 9000 reject with tcp reset")}, port: 9000, rows: all6,
		must: "port-closed", may: closedOnly},
	{name: "by connections: hop 3 rejects a port", args: "--unprivileged",
		do: []act{at(3).rejects("forward", "tcp dport 9000", "host-unreachable", "addr-unreachable")}, port: 9000,
		rows: "1 2 3 3", must: "rejected-by-router", may: "rejected-by-router certain",
		never: "knows? the way|it is down", where: [2]int{3, 3}},
	{name: "by connections: hop 3 resets a port", args: "--unprivileged",
		do: []act{at(3).rules("forward", "tcp dport 9000 reject with tcp reset")}, port: 9000, rows: "1 2 3 T",
		must: "reset-on-path", may: "reset-on-path certain", where: [2]int{3, 4}},
	{name: "hop 3 and hop 4 send to each other", ci: true, do: []act{at(4).ip("route add {target} via {3way}")},
		rows: "1 2 3 4" + strings.Repeat(" 3|{3way}|- 4|-", 5), args: "-m 14", must: "routing-loop",
		may: "routing-loop certain", names: "loop from hop [34] "},
	{name: "hops 2, 3 and 4 send in a circle",
		do: []act{
			at(4).ip("route add {target} via {3way}"),
			at(3).early("iifname eth1 {ip} daddr {target} meta mark set 5"),
			at(3).ip("rule add fwmark 5 lookup 50"), at(3).ip("route add default via {2way} table 50"),
		},
		rows: "", args: "-m 20", must: "routing-loop", may: "routing-loop certain", names: "loop from hop [23] "},
})
