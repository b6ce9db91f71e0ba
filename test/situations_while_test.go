package test

import (
	"fmt"
	"testing"
)

// Situations: what is let pass for a while, or of which only some is.

// ban drops all of a host for a minute that matches a rule once.
func ban(a at, hook, what string) act {
	return func(t *testing.T, s *stage) {
		a.host(s).NFT(t, s.expand(`
		set banned { type `+pick(s.v, "ipv4_addr", "ipv6_addr")+`; flags dynamic; timeout 60s; }
		chain ban { type filter hook `+hook+` priority 0; {ip} saddr @banned drop; {ip} saddr {self} `+what+`; }`))
	}
}

// fewOpen resets SYNs of a host that has so many connections open.
func fewOpen(a at, most int) act {
	return func(t *testing.T, s *stage) {
		a.host(s).NFT(t, s.expand(fmt.Sprintf(`
		set open { type %s; flags dynamic; size 100; }
		chain open { type filter hook forward priority 0;
			%s add @open { {ip} saddr ct count over %d } reject with tcp reset; }`,
			pick(s.v, "ipv4_addr", "ipv6_addr"), syn, most)))
	}
}

var whileSituations = []situation{
	{name: "hop 1 drops ICMP both ways, open", do: []act{noICMP(1)}, rows: "1 - - - - T", must: "port-open",
		may: openOnly},
	{name: "hop 1 drops ICMP both ways, closed", port: 9, do: []act{noICMP(1)}, rows: "1 - - - - T", must: "port-closed",
		may: closedOnly},
	{name: "hop 1 drops ICMP both ways, hop 4 drops a port", port: 9000, rows: "1", must: "filtered-port|path-ends",
		do:  []act{goal.listens(9000), noICMP(1), at(4).rules("forward", "tcp dport 9000 drop")},
		may: lastHop, truth: "443|port 9000|filter"},
	{name: "hop 3 drops all that may not be fragmented", only: ip4, rows: till3,
		do:   []act{at(3).rules("forward", "ip saddr {self} ip frag-off & 0x4000 != 0 drop")},
		must: "path-ends|filtered-port|filtered-tcp|filtered-syn|size-filter", may: lastHop, truth: "drops everything"},
	{name: "the target bans who sends 7 SYNs in a minute", rows: all6, must: "port-open",
		do:  []act{ban(goal, "input", syn+" limit rate over 6/minute burst 6 packets add @banned { {ip} saddr }")},
		may: openOnly + ", packet-loss likely, rate-limited likely"},
	{name: "the target bans who sends 4 SYNs in a minute", rows: "1 2 3 4 5|- T|-",
		must: "port-open|path-ends|filtered-port",
		do:   []act{ban(goal, "input", syn+" limit rate over 3/minute burst 3 packets add @banned { {ip} saddr }")},
		may:  openOnly + ", packet-loss possible, rate-limited likely"},
	{name: "hop 3 bans who asks for port 80 or 443, another is closed", port: 9000, rows: all6,
		do:   []act{ban(at(3), "forward", "tcp dport { 80, 443 } add @banned { {ip} saddr }")},
		must: "port-closed|reset-on-path", may: closedOnly + ", reset-on-path possible"},
	{name: "hop 3 bans who asks for port 80 or 443, hop 4 drops another", port: 9000, rows: "1 2 3 4", where: [2]int{4, 5},
		do: []act{
			goal.listens(9000), ban(at(3), "forward", "tcp dport { 80, 443 } add @banned { {ip} saddr }"),
			at(4).rules("forward", "tcp dport 9000 drop"),
		},
		must: "filtered-port|path-ends|filtered-syn|filtered-tcp",
		may:  "filtered-port certain, filtered-syn possible, filtered-tcp possible, path-ends possible"},
	{name: "hop 3 passes 2,000 bytes, then nothing", must: "port-open|path-ends|filtered-port",
		do:  []act{at(3).rules("forward", "{ip} saddr {self} quota over 2000 bytes drop")},
		may: openOnly + ", packet-loss possible, path-ends possible, icmp-rate-limit possible"},
	{name: "this host limits its own SYNs", ci: true, free: true, must: "port-open;this-host",
		names: "is open|refuses to send",
		do:    []act{self.rules("output", syn+" limit rate over 5/second burst 5 packets drop")},
		may:   openOnly + ", this-host certain"},
	{name: "this host drops time exceeded", rows: all6, must: "port-open", may: openOnly,
		do: []act{self.rules("input", "icmp type time-exceeded drop", "icmpv6 type time-exceeded drop")}},
	{name: "hops 2 and 4 reset a port", port: 9000, rows: "1 2 T", must: "reset-on-path", may: "reset-on-path certain",
		do: []act{
			at(4).rules("forward", "tcp dport 9000 reject with tcp reset"),
			at(2).rules("forward", "tcp dport 9000 reject with tcp reset"),
		},
		where: [2]int{2, 3}},
	{name: "hop 3 passes one SYN+ACK of three", free: true, must: "port-open|packet-loss|rate-limited",
		do: []act{
			at(3).rules("forward", "tcp flags & (syn|ack) == (syn|ack) numgen inc mod 3 != 0 drop"),
		},
		may: openOnly + ", packet-loss likely, rate-limited possible, broken-branch possible, way-back likely"},
	{name: "the target resets SYNs above one per second", free: true, rows: all6, must: "port-closed|broken-branch|port-open",
		do: []act{
			goal.rules("input", syn+" limit rate over 1/second burst 1 packets reject with tcp reset"), tracedBefore,
		},
		may:   "port-closed likely, broken-branch possible, port-open certain, packet-loss possible",
		names: "over (it|a limit)|is open"},
	{name: "hop 3 resets what is over three connections of a host", rows: "",
		must: "reset-on-path|broken-branch|port-open", do: []act{fewOpen(3, 3), tracedBefore},
		may:   "reset-on-path certain, broken-branch possible, port-open certain, icmp-rate-limit possible",
		names: "over it|over a limit|resets connections|is open|fare differently"},
	{name: "hop 3 forgets a SYN after a second", rows: all6, must: "port-open", may: openOnly,
		do: []act{
			at(3).sysctl("net.netfilter.nf_conntrack_tcp_timeout_syn_sent", "1"),
			at(3).rules("forward", "iifname eth1 ct state invalid drop"),
		}},
}

// noICMP is a hop that sends no ICMP on, and no errors of others.
func noICMP(a at) act { return a.rules("forward", "meta l4proto { icmp, icmpv6 } drop") }
