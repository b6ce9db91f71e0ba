package test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
)

// Situations: several ways, translations, limits, ways back.

// narrow makes the link beyond a hop take less.
func narrow(ttl at, mtu int) act {
	return func(t *testing.T, s *stage) { ttl.host(s).Interfaces[1].Link.SetMTU(t, mtu) }
}

const (
	balanced = "port-open certain, load-balancer likely"
	someDie  = "port-open certain, broken-branch certain, other-way certain, load-balancer likely, path-ends possible"
)

// deadMember is a network of ways of which one router forwards nothing, answers or not.
func deadMember(name string, rows string, dead string, rule string, lengths ...int) situation {
	return situation{
		name: name, build: ways(lengths...), do: []act{named(dead).rules("prerouting", rule)}, rows: rows,
		must: "broken-branch|port-open|path-ends|other-way", may: someDie, truth: "load.balanc|branch|member|broken",
	}
}

var balancerSituations = []situation{
	{name: "two equal ways, open", ci: true, build: ways(1, 1), rows: "1 2 a1|b1 join T", must: "port-open",
		may: balanced},
	{name: "two equal ways, closed", build: ways(1, 1), port: 9, rows: "1 2 a1|b1 join T", must: "port-closed",
		may: closedOnly + ", load-balancer likely"},
	{name: "eight equal ways, open", build: ways(1, 1, 1, 1, 1, 1, 1, 1),
		rows: "1 2 a1|b1|c1|d1|e1|f1|g1|h1 join T", must: "port-open", may: balanced},
	{name: "two ways, one longer by one, open", build: ways(1, 2), rows: "1 2 a1|b1 join|b2 T|join T|-",
		must: "port-open", may: balanced},
	{name: "two ways, one longer by two, open", ci: true, build: ways(1, 3),
		rows: "1 2 a1|b1 join|b2 T|b3 join|- T|-", must: "port-open", may: balanced},
	{name: "two ways, one longer by two, closed", build: ways(1, 3), port: 9,
		rows: "1 2 a1|b1 join|b2 T|b3 join|- T|-", must: "port-closed|reset-on-path",
		may: closedOnly + ", load-balancer likely, reset-on-path possible", truth: "length"},
	{name: "two ways, the first longer by two, closed", build: ways(3, 1), port: 9,
		rows: "1 2 a1|b1 join|a2 T|a3 join|- T|-", must: "port-closed|reset-on-path",
		may: closedOnly + ", load-balancer likely, reset-on-path possible", truth: "length"},
	deadMember(
		"one of two ways is dead, its router answers", "1 2 a1|b1 join|- T|-", "b1",
		"iifname eth0 meta l4proto { tcp, icmp, icmpv6 } {ip} {ttl} > 1 {ip} saddr {self} drop", 1, 1,
	),
	deadMember(
		"one of two ways is dead, its router is silent", "1 2 a1|- join|- T|-", "b1",
		"iifname eth0 {ip} saddr {self} drop", 1, 1,
	),
	deadMember(
		"one of three ways is dead, its router answers", "1 2 a1|b1|c1 join|- T|-", "b1",
		"iifname eth0 {ip} {ttl} > 1 {ip} saddr {self} drop", 1, 1, 1,
	),
	deadMember(
		"one of eight ways is dead, its router answers", "1 2 a1|b1|c1|d1|e1|f1|g1|h1 join|- T|-", "b1",
		"iifname eth0 {ip} {ttl} > 1 {ip} saddr {self} drop", 1, 1, 1, 1, 1, 1, 1, 1,
	),
	deadMember(
		"one of two ways of two routers is dead at the first", "1 2 a1|b1 a2|- join|- T|-", "b1",
		"iifname eth0 {ip} {ttl} > 1 {ip} saddr {self} drop", 2, 2,
	),
	deadMember(
		"one of two ways of two routers is dead at the second", "1 2 a1|b1 a2|b2 join|- T|-", "b2",
		"iifname eth0 {ip} {ttl} > 1 {ip} saddr {self} drop", 2, 2,
	),
	deadMember(
		"the longer of two ways is dead", "1 2 a1|b1 join|b2 T|- -", "b2",
		"iifname eth0 {ip} {ttl} > 1 {ip} saddr {self} drop", 1, 2,
	),
	{name: "one of two ways rejects", build: ways(1, 1),
		do:   []act{named("b1").rules("forward", "iifname eth0 reject with icmpx type admin-prohibited")},
		rows: "1 2 a1|b1 join|b1 T|-", must: "port-open|rejected-by-router|broken-branch",
		may: balanced + ", rejected-by-router certain, broken-branch certain, other-way certain"},
	{name: "one of two ways drops a port", build: ways(1, 1),
		do: []act{named("b1").rules("forward", "tcp dport 9000 drop"), goal.listens(9000)}, port: 9000,
		rows: "1 2 a1|b1 join|- T|-", must: "port-open|filtered-port|broken-branch|other-way|path-ends",
		may: someDie + ", filtered-port possible", truth: "branch|member|balanc"},
	{name: "a port goes by another router, and vanishes", ci: true, build: ways(1, 1),
		do: []act{portBy("b1", 9000), named("b1").rules("forward", "iifname eth0 drop")}, port: 9000,
		rows: "1 2 b1", must: "other-way|broken-branch|path-ends",
		may:   "other-way likely, path-ends possible, filtered-port possible",
		truth: "another (way|router)|branch|routes?"},
	{name: "a port goes by another router, and arrives", build: ways(1, 1),
		do: []act{portBy("b1", 9000), goal.listens(9000)}, port: 9000, rows: "1 2 b1 join T", must: "port-open",
		may: balanced + ", other-way certain"},
	{name: "each packet goes by another of two ways, open", build: ways(1, 1), do: []act{eachPacket(2)},
		rows: "1 2 a1|b1 join T", must: "port-open", may: balanced},
	{name: "each packet goes by another of two ways, one is dead", build: ways(1, 1),
		do:   []act{eachPacket(2), named("b1").rules("forward", "iifname eth0 {ip} saddr {self} drop")},
		args: "-q 12", free: true, rows: "1 2 a1|b1 join|- T|-", must: "port-open|packet-loss",
		may: balanced + ", packet-loss likely, broken-branch likely, rate-limited possible, icmp-rate-limit " +
			"possible"},
	{name: "one way there, two ways back, open", build: ways(1, 1), do: []act{backByBoth}, rows: "1 2 a1|b1 join T",
		must: "port-open", may: balanced + ", asymmetric-return possible"},
	{name: "one way there, a longer one back, open", build: ways(1, 4), do: []act{backBy(1), onlyWay(0)},
		rows: "1 2 a1 join T", must: "port-open", may: openOnly + ", asymmetric-return likely"},
	{name: "one way there, a longer one back, closed", build: ways(1, 4), do: []act{backBy(1), onlyWay(0)}, port: 9,
		rows: "1 2 a1 join T", must: "port-closed", may: closedOnly + ", asymmetric-return likely"},
	{name: "one way there, two of different length back, closed", build: ways(1, 4),
		do: []act{backByBoth, onlyWay(0)}, port: 9, rows: "1 2 a1 join T", must: "port-closed|reset-on-path",
		may:   closedOnly + ", asymmetric-return likely, load-balancer possible, reset-on-path possible",
		truth: "length|way back"},
}

// portBy routes a port by a router of a network of ways, and all else by the first.
func portBy(name string, port int) act {
	return func(t *testing.T, s *stage) {
		split := s.hosts["split"]
		via := s.hosts[name].Interfaces[0].Peer
		only := split.Interfaces[1]
		split.Default(t, only)
		s.v.ip(t, split, fmt.Sprintf("route add default via %v table 9", s.v.at(via.Peer)))
		s.v.ip(t, split, fmt.Sprintf("rule add ipproto tcp dport %d lookup 9", port))
	}
}

// onlyWay sends all there by one way.
func onlyWay(n int) act {
	return func(t *testing.T, s *stage) { s.hosts["split"].Default(t, s.hosts["split"].Interfaces[1+n]) }
}

func (s *stage) returns(t *testing.T, via ...*lab.Interface) {
	for _, l := range []*lab.Link{s.source.Interfaces[0].Link, s.hop[0].Interfaces[1].Link} {
		s.hosts["join"].Route(t, l.Net4, via...)
		s.hosts["join"].Route(t, l.Net6, via...)
	}
}

// backBy is the way back of all.
func backBy(n int) act {
	return func(t *testing.T, s *stage) { s.returns(t, s.hosts["join"].Interfaces[n]) }
}

func backByBoth(t *testing.T, s *stage) {
	s.returns(t, s.hosts["join"].Interfaces[0], s.hosts["join"].Interfaces[1])
}

// eachPacket takes one of the ways by chance, whatever the flow.
func eachPacket(n int) act {
	return func(t *testing.T, s *stage) {
		split := s.hosts["split"]
		split.Filter(t, "prerouting", fmt.Sprintf("iifname eth0 meta mark set numgen random mod %d offset 1", n))
		for i := range n {
			s.v.ip(t, split, fmt.Sprintf("route add default via %v table %d", s.v.at(split.Interfaces[1+i].Peer), i+1))
			s.v.ip(t, split, fmt.Sprintf("rule add fwmark %d lookup %[1]d", i+1))
		}
	}
}

const hidden = "hidden-rewrite likely, ip-id-rewritten likely"

// published hands a port of one router on.
func published(a at, port int, to string) act {
	return a.translates("prerouting", "dstnat",
		fmt.Sprintf("{ip} daddr {%d} tcp dport %d dnat {ip} to %s", a, port, to))
}

// natSituations translate, on the way or on this host.
var natSituations = []situation{
	{name: "the source is masqueraded at hop 1", ci: true,
		do: []act{at(1).translates("postrouting", "srcnat", `oifname eth1 masquerade`)}, rows: all6,
		must: "port-open", may: openOnly + ", " + hidden},
	{name: "the source is masqueraded at hop 3, ports at random",
		do: []act{
			at(3).translates(
				"postrouting", "srcnat", `oifname eth1 meta l4proto tcp masquerade to :20000-29999 fully-random`,
			),
		},
		rows: all6, must: "port-open", may: openOnly + ", " + hidden},
	{name: "the source is masqueraded at the last router, closed",
		do: []act{at(5).translates("postrouting", "srcnat", `oifname eth1 masquerade`)}, port: 9, rows: all6,
		must: "port-closed", may: closedOnly + ", " + hidden},
	{name: "the source is masqueraded at hops 1 and 3",
		do: []act{
			at(1).translates("postrouting", "srcnat", `oifname eth1 masquerade`),
			at(3).translates("postrouting", "srcnat", `oifname eth1 masquerade`),
		},
		rows: all6, must: "port-open", may: openOnly + ", " + hidden},
	{name: "the source is masqueraded at hop 1, hop 3 drops a port",
		do: []act{
			at(1).translates("postrouting", "srcnat", `oifname eth1 masquerade`),
			at(3).rules("forward", "tcp dport 9000 drop"),
		},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port certain, " + hidden,
		where: [2]int{3, 4}},
	{name: "hop 3 translates a port to another of the target",
		do: []act{
			goal.listens(8080),
			at(3).translates("prerouting", "dstnat", "{ip} daddr {target} tcp dport 9000 dnat {ip} to {end}:8080"),
		},
		port: 9000, rows: "1 2 3|T 4|T 5|T T", must: "port-open", may: openOnly + ", dnat certain, " + hidden},
	{name: "hop 3 sends a port to its own service", ci: true,
		do:   []act{at(3).listens(9999), at(3).translates("prerouting", "dstnat", "tcp dport 9000 redirect to :9999")},
		port: 9000, rows: "1 2 T", must: "tcp-proxy", may: "tcp-proxy certain", where: [2]int{2, 3}},
	{name: "hop 1 sends a port to its own service",
		do:   []act{at(1).listens(9999), at(1).translates("prerouting", "dstnat", "tcp dport 80 redirect to :9999")},
		rows: "T", must: "tcp-proxy", may: "tcp-proxy certain, local-gateway possible", where: [2]int{0, 1}},
	{name: "hop 3 sends a port to its own, closed",
		do: []act{at(3).translates("prerouting", "dstnat", "tcp dport 9000 redirect to :9999")}, port: 9000,
		rows: "1 2 T", must: "reset-on-path", may: "reset-on-path certain", where: [2]int{2, 3}},
	{name: "the last router sends a port to its own service",
		do:   []act{at(5).listens(9999), at(5).translates("prerouting", "dstnat", "tcp dport 9000 redirect to :9999")},
		port: 9000, rows: "1 2 3 4 T", must: "tcp-proxy", may: "tcp-proxy certain", where: [2]int{4, 5}},
	{name: "hop 3 redirects a port without memory", do: []act{goal.listens(8080), stateless(3, 9010, 8080)},
		port: 9010, rows: all6, must: "dnat;port-open", may: "dnat certain, " + openOnly, where: [2]int{2, 3}},
	{name: "the last router hands a port on", ci: true,
		do: []act{goal.listens(8080), published(5, 9210, "{end}:8080")}, to: "{5}", port: 9210, rows: "1 2 3 4 T T",
		must: "forwarded-port|dnat", may: "forwarded-port certain, dnat certain, " + openOnly},
	{name: "the last router hands a port on, closed behind", do: []act{published(5, 9211, "{end}:8081")}, to: "{5}",
		port: 9211, rows: "1 2 3 4 T T", must: "forwarded-port|dnat",
		may: "forwarded-port certain, dnat certain, port-closed likely", never: "the target, or a firewall right in front of it, refuses"},
	{name: "the last router hands a port on, the machine behind is gone",
		do: []act{published(5, 9212, "{away}:80")}, to: "{5}", port: 9212, args: "-w 5", rows: "1 2 3 4 T T",
		must: "unreachable-host", may: "forwarded-port certain, dnat certain, unreachable-host certain",
		names: `\bbehind (it|the target)\b|forward|hands? it on|handed`,
		never: "The target can't be reached|Is the address right"},
	{name: "the last router hands a port on, dropped behind",
		do: []act{goal.rules("input", "tcp dport 8080 drop"), published(5, 9213, "{end}:8080")}, to: "{5}",
		port: 9213, rows: "1 2 3 4 T", must: "forwarded-port|filtered-port|path-ends",
		may: "forwarded-port certain, dnat certain, " + lastHop, truth: "behind", never: "the target is down"},
	{name: "a balancer's address at hop 3, open", ci: true,
		do: []act{goal.listens(8080), published(3, 9207, "{end}:8080")}, to: "{3}", port: 9207, rows: "1 2 T T T T",
		must: "forwarded-port|dnat", may: "forwarded-port certain, dnat certain, " + openOnly},
	{name: "a balancer's address at hop 1, open", do: []act{goal.listens(8080), published(1, 9207, "{end}:8080")},
		to: "{1}", port: 9207, rows: "T T T T T T", must: "forwarded-port|dnat",
		may: "forwarded-port certain, dnat certain, " + openOnly},
	{name: "a balancer's address at hop 3, hop 4 drops",
		do: []act{published(3, 9207, "{end}:8080"), at(4).rules("forward", "tcp dport 8080 drop")}, to: "{3}",
		port: 9207, rows: "1 2 T T", must: "forwarded-port;filtered-port|path-ends",
		may:   "forwarded-port certain, dnat certain, filtered-port certain, path-ends possible",
		never: "the target is down|443 got no farther|echo requests got no farther"},
	{name: "the last router hands port 443 on, another is closed on it", ci: true,
		do: []act{goal.listens(8080), published(5, 443, "{end}:8080")}, to: "{5}", port: 9, rows: "1 2 3 4 T",
		must: "port-closed;forwarded-port", may: closedOnly + ", forwarded-port likely", names: "443 is handed on|closed"},
	{name: "the last router hands port 443 on, another is closed on it, and it answers no echo",
		do: []act{
			goal.listens(8080), published(5, 443, "{end}:8080"),
			at(5).rules("input", "icmp type echo-request drop", "icmpv6 type echo-request drop"),
		},
		to: "{5}", port: 9, rows: "1 2 3 4 T", must: "port-closed;forwarded-port", may: closedOnly + ", forwarded-port likely"},
	{name: "the last router hands port 443 on, and drops another itself",
		do: []act{
			goal.listens(8080), published(5, 443, "{end}:8080"), at(5).rules("input", "tcp dport 9000 drop"),
		},
		to: "{5}", port: 9000, rows: "1 2 3 4", must: "filtered-port", may: "filtered-port possible", names: ownWall},
	{name: "hop 2 hands a port to a machine that is gone, and whose router drops silently",
		do: []act{
			at(2).translates("prerouting", "dstnat", "{ip} daddr {target} tcp dport 9000 dnat {ip} to {4next}"),
			at(4).rules("forward", "{ip} daddr {4next} drop"),
		},
		port: 9000, must: "filtered-port|path-ends", may: "filtered-port possible, path-ends possible, dnat likely",
		names: "machine that"},
	{name: "an address that the last router translates as a whole",
		do: []act{
			at(4).ip("route add {lost} via {4next}"),
			at(5).translates("prerouting", "dstnat", "{ip} daddr {lost} dnat {ip} to {target}"),
		},
		to: "{lost}", rows: "1 2 3 4 5|T T", must: "port-open",
		may: openOnly + ", forwarded-port certain, dnat certain, " + hidden},
	{name: "this host translates a service's address", ci: true,
		do: []act{
			goal.listens(8080),
			self.translates("output", "-100", "{ip} daddr {service} tcp dport 443 dnat {ip} to {end}:8080"),
		},
		to: "{service}", port: 443, rows: "1 2 3 4 5 T", must: "port-open",
		may: openOnly + ", this-host certain, dnat certain", never: "ask whoever runs"},
	{name: "this host masquerades its source",
		do: []act{ownSource, self.translates("postrouting", "srcnat", "oifname eth0 masquerade")}, args: "-s {own}",
		rows: all6, must: "port-open", may: openOnly + ", this-host certain, snat certain",
		never: "ask whoever runs"},
	{name: "this host takes ports at random",
		do:   []act{self.translates("postrouting", "srcnat", "meta l4proto tcp masquerade to :20000-30000 random")},
		rows: all6, must: "port-open", may: openOnly + ", this-host certain, snat certain",
		never: "ask whoever runs"},
	{name: "this host sends a port to its own proxy",
		do:   []act{self.listens(3128), self.translates("output", "-100", "tcp dport 90 redirect to :3128")},
		port: 90, rows: "T", must: "port-open|this-host|tcp-proxy",
		may: openOnly + ", this-host certain, dnat certain, tcp-proxy certain, local-gateway possible"},
	{name: "this host's firewall drops the answers", do: []act{self.rules("input", "tcp sport 80 drop")},
		rows: all6, must: "this-host|port-open", may: "this-host certain, port-open certain", names: "this host",
		truth: "this host"},
	{name: "this host's firewall drops the answers to all it doesn't expect",
		do: []act{
			self.rules(
				"input", "ct state established,related accept",
				"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", "drop",
			),
		},
		rows: all6, must: "port-open", may: openOnly + ", this-host certain"},
	{name: "this host drops the answers, closed", do: []act{self.rules("input", "tcp sport 9 drop")}, port: 9,
		rows: all6, must: "this-host|port-closed", may: "this-host certain, port-closed likely"},
	{name: "this host marks, routes by the mark and masquerades", build: uplinks, do: []act{markOwn(80)},
		rows: "b1 b2|- join T", must: "port-open",
		may: openOnly + ", this-host certain, snat certain, other-way likely", never: "ask whoever runs"},
}

// stateless translates a port packet by packet.
func stateless(a at, from, to uint16) act {
	return func(t *testing.T, s *stage) {
		target := netip.MustParseAddr(s.expand("{target}"))
		a.host(s).Redirect(t, netip.AddrPortFrom(target, from), netip.AddrPortFrom(target, to))
	}
}

func ownSource(t *testing.T, s *stage) {
	s.vars["own"] = own(s.v)
	s.source.AddAddr(t, netip.MustParseAddr(own(s.v)))
}

// uplinks is a host with two ways out, a1 and b1 b2, that meet at one router.
func uplinks(t *testing.T, s *stage) {
	a1, b1, b2 := s.Host(t, "a1"), s.Host(t, "b1"), s.Host(t, "b2")
	join, target := s.Host(t, "join"), s.Host(t, "target")
	la, lb := s.Link(t, s.source, a1), s.Link(t, s.source, b1)
	lz, lbb := s.Link(t, a1, join), s.Link(t, b1, b2)
	lbz, last := s.Link(t, b2, join), s.Link(t, join, target)
	s.source.Default(t, la.A)
	a1.Default(t, lz.A)
	b1.Default(t, lbb.A)
	b2.Default(t, lbz.A)
	join.Default(t, last.A)
	target.Default(t, last.B)
	for _, r := range []struct {
		h    *lab.Host
		link *lab.Link
		via  *lab.Interface
	}{{join, la, lz.B}, {join, lb, lbz.B}, {b2, lb, lbb.B}} {
		r.h.Route(t, r.link.Net4, r.via)
		r.h.Route(t, r.link.Net6, r.via)
	}
	s.hop = []*lab.Host{a1, join, target}
	s.hosts["b1"], s.hosts["b2"] = b1, b2
	s.known["b1"], s.known["b2"] = []string{s.v.of(b1).String()}, []string{s.v.of(b2).String()}
	s.known["join"] = []string{s.v.at(lz.B).String(), s.v.at(lbz.B).String()}
}

// markOwn marks what this host sends to a port, routes it by the mark by the second uplink, and masquerades it there.
func markOwn(port int) act {
	return func(t *testing.T, s *stage) {
		s.v.ip(t, s.source, fmt.Sprintf("route add default via %v table 7", s.v.at(s.source.Interfaces[1].Peer)))
		s.v.ip(t, s.source, "rule add fwmark 3 lookup 7")
		mark := fmt.Sprintf("chain output { type route hook output priority mangle; "+
			"tcp dport %d meta mark set 3; }\n", port)
		s.source.NFT(t, mark+natChain("postrouting", "srcnat", "oifname eth1 masquerade"))
	}
}

// synLimit passes so many SYNs per second, some of them at once.
func synLimit(hook string, a at, rate, burst int) act {
	return a.rules(hook, fmt.Sprintf("%s limit rate over %d/second burst %d packets drop", syn, rate, burst))
}

const limited = "port-open certain, rate-limited certain, packet-loss likely, icmp-rate-limit possible"

var limitSituations = []situation{
	{name: "10 SYNs per second at hop 3", free: true, do: []act{synLimit("forward", 3, 10, 5)}, rows: all6,
		must: "port-open", may: limited},
	{name: "10 SYNs per second at hop 1", free: true, do: []act{synLimit("forward", 1, 10, 5)}, rows: all6,
		must: "port-open", may: limited},
	{name: "10 SYNs per second at the last router", free: true, do: []act{synLimit("forward", 5, 10, 5)},
		rows: all6, must: "port-open", may: limited},
	{name: "20 SYNs per second, 2 at once, at hop 3", free: true, do: []act{synLimit("forward", 3, 20, 2)},
		rows: all6, must: "port-open", may: limited},
	{name: "5 SYNs per second, 10 at once, at hop 2", free: true, do: []act{synLimit("forward", 2, 5, 10)},
		rows: all6, must: "port-open", may: limited},
	{name: "10 SYNs per second at hop 3, closed", free: true, do: []act{synLimit("forward", 3, 10, 5)}, port: 9,
		rows: all6, must: "port-closed",
		may: "port-closed likely, rate-limited certain, packet-loss likely, icmp-rate-limit possible"},
	{name: "the target takes 5 SYNs per second, 2 at once", free: true, do: []act{synLimit("input", goal, 5, 2)},
		rows: all6, must: "port-open", may: limited},
	{name: "10 SYN+ACKs per second come back at hop 3", free: true,
		do: []act{
			at(3).rules(
				"forward", "tcp flags & (syn|ack) == (syn|ack) limit rate over 10/second burst 2 packets drop",
			),
		},
		rows: all6, must: "port-open", may: limited},
	{name: "hop 3 sends one ICMP error per second", free: true,
		do: []act{
			at(3).rules(
				"output", "icmp type time-exceeded limit rate over 1/second burst 1 packets drop",
				"icmpv6 type time-exceeded limit rate over 1/second burst 1 packets drop",
			),
		},
		rows: "1 2 3|- 4 5 T", must: "port-open", may: openOnly + ", icmp-rate-limit likely"},
	{name: "all hops send one ICMP error per second", free: true,
		do: []act{
			everyRouter(
				"icmp type time-exceeded limit rate over 1/second burst 1 packets drop",
				"icmpv6 type time-exceeded limit rate over 1/second burst 1 packets drop",
			),
		},
		rows: "1|- 2|- 3|- 4|- 5|- T", must: "port-open",
		may: openOnly + ", icmp-rate-limit likely, rate-limited likely"},
	{name: "hop 3 loses one packet in ten, both ways", free: true, args: "-q 10",
		do: []act{at(3).rules("forward", "numgen random mod 10 == 0 drop")}, rows: all6,
		must: "port-open|packet-loss",
		may:  openOnly + ", packet-loss likely, icmp-rate-limit possible, rate-limited likely"},
	{name: "hop 3 loses three packets in ten", free: true, args: "-q 20",
		do: []act{at(3).rules("forward", "iifname eth0 numgen random mod 10 < 3 drop")}, rows: all6,
		must: "packet-loss;port-open",
		may:  openOnly + ", packet-loss likely, icmp-rate-limit possible, rate-limited possible", truth: "los"},
	{name: "hop 3 lets 20 connections of a host pass",
		do: []act{at(3).rules("forward", "tcp dport 80 ct state new ct count over 20 drop")}, rows: all6,
		must: "port-open", may: openOnly},
	{name: "the first SYN of a flow is dropped at the target", do: []act{firstSYN}, rows: all6, must: "port-open",
		may: limited},
	{name: "two seconds ago somebody else traced", do: []act{tracedBefore}, rows: all6, must: "port-open",
		may: openOnly + ", icmp-rate-limit likely"},
}

func everyRouter(rules ...string) act {
	return func(t *testing.T, s *stage) {
		for i := range s.hop[:len(s.hop)-1] {
			at(i+1).rules("output", rules...)(t, s)
		}
	}
}

// firstSYN is a target that takes the second SYN of a flow.
func firstSYN(t *testing.T, s *stage) {
	goal.host(s).NFT(t, defence("ip saddr . tcp sport", "ipv4_addr . inet_service", "ip6 saddr . tcp sport",
		"ipv6_addr . inet_service", "KEY SEEN accept", "add SEEN { KEY } drop"))
}

// tracedBefore has routers say what they may say right before.
func tracedBefore(t *testing.T, s *stage) {
	s.before = func(t *testing.T) {
		launch(t, s.source, s.expand("-n -q 2 {target} 80")).outcome()
	}
}

// noWayBack removes a host's route to the source.
func noWayBack(a at) act {
	return func(t *testing.T, s *stage) {
		h := a.host(s)
		s.v.ip(t, h, s.expand("route add blackhole {self}/{bits} metric 1"))
	}
}

const lostBack = "way-back likely, path-ends possible, filtered-port possible, filtered-syn possible, " +
	"filtered-tcp possible, stuck-service possible"

// backSituations lose the answers, not the probes.
var backSituations = []situation{
	{name: "hop 3 drops what comes back from a port", ci: true,
		do: []act{goal.listens(8080), at(3).rules("forward", "tcp sport 8080 drop")}, port: 8080, rows: "1 2 3 4 5",
		must: "filtered-port|path-ends|way-back", may: lostBack, names: wayBack},
	{name: "hop 1 drops what comes back from a port",
		do: []act{goal.listens(8080), at(1).rules("forward", "tcp sport 8080 drop")}, port: 8080, rows: "1 2 3 4 5",
		must: "filtered-port|path-ends|way-back", may: lostBack, names: wayBack},
	{name: "the target drops its own answers", do: []act{goal.rules("output", "tcp sport 80 drop")},
		rows: "1 2 3 4 5", must: "filtered-port|path-ends|way-back", may: lostBack, names: wayBack + "|" + ownWall},
	{name: "the target has no route back", ci: true, do: []act{noWayBack(goal)}, rows: "1 2 3 4 5",
		must: "path-ends|way-back", may: lostBack, names: wayBack},
	{name: "hop 4 has no route back", do: []act{noWayBack(4)}, rows: "1 2 3", must: "path-ends|way-back",
		may: lostBack, names: wayBack},
	{name: "the last router has no route back", do: []act{noWayBack(5)}, rows: "1 2 3 4",
		must: "path-ends|way-back", may: lostBack, names: wayBack},
	{name: "hop 3 drops all that comes back from the target",
		do: []act{at(3).rules("forward", "{ip} saddr {target} drop")}, rows: "1 2 3 4 5",
		must: "path-ends|way-back", may: lostBack, names: wayBack},
	{name: "hop 3 drops SYN+ACKs on the way back",
		do: []act{at(3).rules("forward", "tcp flags & (syn|ack) == (syn|ack) drop")}, rows: "1 2 3 4 5",
		must: "filtered-port|filtered-syn|path-ends|way-back", may: lostBack, names: wayBack},
	{name: "a firewall at hop 3 sees only the way back",
		do: []act{
			at(3).early("iifname eth0 notrack"),
			at(3).rules("forward", "iifname eth1 meta l4proto tcp ct state invalid drop"),
		},
		rows: "1 2 3 4 5", must: "filtered-port|filtered-syn|filtered-tcp|path-ends|way-back", may: lostBack,
		names: wayBack},
	{name: "hop 3 drops all about a port that comes back", ci: true,
		do: []act{
			at(3).early("tcp dport 9000 notrack"),
			at(3).rules("forward", "ct state invalid drop", "tcp sport 9000 ct state new drop"),
		},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4},
		names: `dropped beyond .*, on the way there or back`},
	{name: "hop 3 drops errors about a port that come back, and its answers",
		do: []act{at(3).rules("forward", "tcp sport 9000 drop", "icmp type time-exceeded @th,240,16 9000 drop",
			"icmpv6 type time-exceeded @th,400,16 9000 drop")},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4},
		names: `dropped beyond .*, on the way there or back`},
	{name: "by connections: hop 3 drops all about a port that comes back", args: "--unprivileged",
		do: []act{
			at(3).early("tcp dport 9000 notrack"),
			at(3).rules("forward", "ct state invalid drop", "tcp sport 9000 ct state new drop"),
		},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port likely", where: [2]int{3, 4},
		names: `dropped beyond .*, on the way there or back`},
	{name: "hop 3 drops errors that come back",
		do:   []act{at(3).rules("forward", "icmp type time-exceeded drop", "icmpv6 type time-exceeded drop")},
		rows: "1 2 3 - - T", must: "port-open", may: openOnly},
	{name: "hop 3 drops all ICMP that comes back",
		do: []act{at(3).rules("forward", "iifname eth1 meta l4proto { icmp, icmpv6 } drop")}, rows: "1 2 3 - - T",
		must: "port-open", may: openOnly},
	{name: "hop 3 drops errors that come back, the target a port",
		do: []act{
			at(3).rules("forward", "icmp type time-exceeded drop", "icmpv6 type time-exceeded drop"),
			goal.rules("input", "tcp dport 9000 drop"),
		},
		port: 9000, rows: "1 2 3", must: "filtered-port|path-ends",
		may: "filtered-port possible, path-ends possible, way-back possible"},
	{name: "the answers come from another address",
		do:   []act{at(5).early("iifname eth1 {ip} saddr {target} tcp sport 80 {ip} saddr set {5}")},
		rows: "1 2 3 4 5", must: "answered-from-elsewhere|path-ends|filtered-port",
		may:   "answered-from-elsewhere certain, path-ends possible, filtered-port possible, filtered-syn possible",
		names: "another address|elsewhere|way back|return"},
	{name: "the errors of hop 3 come from the target's address",
		do: []act{
			at(3).rules(
				"output", "icmp type time-exceeded ip saddr set {target4}",
				"icmpv6 type time-exceeded ip6 saddr set {target6}",
			),
		},
		rows: "1 2 T 4 5 T", must: "port-open", may: openOnly, truth: "gives its ICMP errors"},
}

// impostorSituations have somebody answer in the target's name.
var impostorSituations = []situation{
	{name: "a reset beside the target's answer", do: []act{tap(3, 8080, false), goal.listens(8080)}, port: 8080,
		rows: "1 2 3 4|T 5|T T", must: "reset-on-path", may: "reset-on-path certain, port-open certain"},
	{name: "a SYN+ACK beside the target's reset", do: []act{tap(3, 8080, true)}, port: 8080,
		rows: "1 2 3 4|T 5|T T", must: "tcp-proxy", may: "tcp-proxy certain, port-closed likely"},
	{name: "a reset with the TTL of the target's answers",
		do: []act{
			at(3).rules("forward", "tcp dport 9502 reject with tcp reset"),
			at(3).rules("output", "tcp flags & rst == rst {ip} {ttl} set 62"),
		},
		port: 9502, rows: "1 2 3 T", must: "reset-on-path|port-closed",
		may: "reset-on-path certain, port-closed possible"},
	{name: "hop 3 resets whatever TTL the probe has", ci: true,
		do: []act{at(3).rules("prerouting", "tcp dport 9502 reject with tcp reset")}, port: 9502, rows: "1 2 T",
		must: "reset-on-path", may: "reset-on-path certain", where: [2]int{2, 3}},
	{name: "hop 1 resets whatever TTL the probe has",
		do: []act{at(1).rules("prerouting", "tcp dport 9502 reject with tcp reset")}, port: 9502, rows: "T",
		must: "reset-on-path", may: "reset-on-path certain, local-gateway possible", where: [2]int{0, 1}},
	{name: "a SYN proxy at hop 3, open behind", only: ip4, do: []act{synProxy(3, 9202), goal.listens(9202)},
		port: 9202, rows: "1 2 3 T", must: "tcp-proxy", may: "tcp-proxy certain, port-open possible",
		where: [2]int{3, 4}},
	{name: "a SYN proxy at hop 3, closed behind", ci: true, only: ip4, do: []act{synProxy(3, 9202)}, port: 9202,
		rows: "1 2 3 T", must: "tcp-proxy", may: "tcp-proxy certain, port-open possible", where: [2]int{3, 4}},
	{name: "a SYN proxy at the last router, closed behind", only: ip4, do: []act{synProxy(5, 9202)}, port: 9202,
		rows: all6, must: "tcp-proxy", may: "tcp-proxy certain, port-open possible"},
	{name: "a SYN proxy at hop 1, closed behind", only: ip4, do: []act{synProxy(1, 9202)}, port: 9202, rows: "1 T",
		must: "tcp-proxy", may: "tcp-proxy certain, port-open possible, local-gateway possible",
		where: [2]int{1, 2}},
	{name: "hop 3 takes all of the target's TCP for itself",
		do: []act{
			at(3).listens(9999),
			at(3).translates(
				"prerouting", "dstnat", "iifname eth0 {ip} daddr {target} meta l4proto tcp redirect to :9999",
			),
		},
		rows: "1 2 T", must: "tcp-proxy", may: "tcp-proxy certain, local-gateway possible", where: [2]int{2, 3}},
	{name: "hop 3 resets a port, the target is down",
		do: []act{at(3).rules("forward", "tcp dport 9000 reject with tcp reset")}, to: "{nobody}", port: 9000,
		rows: "1 2 3 T", must: "reset-on-path", may: "reset-on-path certain, unreachable-host certain"},
}

// tap is a device beside a router that gets a copy of what goes to a port of the target, and answers in its name.
func tap(a at, port int, open bool) act {
	return func(t *testing.T, s *stage) {
		last := len(s.hop) - 1
		links := make([]*lab.Link, last+1)
		p := &lab.Path{Lab: s.Lab, Source: s.source, Target: s.hop[last], Routers: s.hop[:last], Links: links}
		besides(t, p, s.v, int(a), fmt.Sprintf("tcp dport %d %s", port, syn), open)
	}
}

// synProxy accepts connections in the target's name, and opens them to it when they are there.
func synProxy(a at, port int) act {
	return func(t *testing.T, s *stage) {
		a.host(s).Mangle(t, fmt.Sprintf("tcp dport %d %s notrack", port, syn))
		a.host(s).Filter(t, "forward", fmt.Sprintf("tcp dport %d ct state invalid,untracked "+
			"synproxy mss 1460 wscale 7 timestamp sack-perm", port))
		a.host(s).Sysctl(t, "net.netfilter.nf_conntrack_tcp_loose", "0")
	}
}

// targetSituations are about the target and its last link.
var targetSituations = []situation{
	{name: "nobody has the address on the last link", to: "{nobody}", rows: "1 2 3 4 5 5", must: "unreachable-host",
		may: "unreachable-host certain", where: [2]int{5, 5}},
	{name: "nobody has the address on the link of two hops", hops: 2, to: "{nobody}", rows: "1 1",
		must: "unreachable-host", may: "unreachable-host certain", where: [2]int{1, 1}},
	{name: "the router at hop 4 is down", rows: "1 2 3 3",
		do:   []act{at(4).ip("link set eth0 down"), at(3).ip("neigh flush nud permanent dev eth1")},
		must: "unreachable-host", may: "unreachable-host certain", names: "a router in front of it",
		where: [2]int{3, 3}},
	{name: "nobody has the address, and hop 3 drops errors", to: "{nobody}",
		do: []act{at(3).rules("forward", "iifname eth1 meta l4proto { icmp, icmpv6 } drop")}, rows: "1 2 3",
		must: "path-ends", may: "path-ends possible, way-back possible"},
	{name: "a connection has our ports", do: []act{inUse(9600)}, args: "-P 5556", port: 9600, rows: all6,
		must: "port-unclear", may: "port-unclear certain"},
	{name: "the target has a connection with our ports that this host has forgotten", do: []act{forgotten(9600)},
		args: "-p 5556", port: 9600, rows: all6, must: "port-unclear|port-open",
		may: "port-unclear certain, " + openOnly},
	{name: "the program accepts no more connections", do: []act{stuck(9601)}, port: 9601, rows: "1 2 3 4 5 T|-",
		must: "stuck-service|filtered-port|path-ends", may: lastHop + ", stuck-service certain",
		truth: "program|service|accept|queue"},
	{name: "the target is down, and a tunnel's end answers at once",
		do: []act{at(5).ip("route add unreachable {lost}")}, to: "{lost}", rows: "1 2 3 4 5",
		must: "unreachable-host|unreachable-network", may: "unreachable-host likely, unreachable-network certain"},
}

// ownPort is the source port of connections that stay.
const ownPort = 5556

// connected is a connection of this host that the target has.
func connected(t *testing.T, s *stage, port uint16) net.Conn {
	var c net.Conn
	s.source.Do(t, func() {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.v.of(s.source), ownPort))}
		d.SetMultipathTCP(false)
		var err error
		if c, err = d.Dial("tcp", netip.AddrPortFrom(s.v.of(goal.host(s)), port).String()); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// inUse has a connection open that has the same ports as the trace.
func inUse(port uint16) act {
	return func(t *testing.T, s *stage) {
		goal.listens(port)(t, s)
		connected(t, s, port)
	}
}

// forgotten leaves a connection at the target that this host has no more.
func forgotten(port uint16) act {
	return func(t *testing.T, s *stage) {
		goal.listens(port)(t, s)
		c := connected(t, s, port)
		s.source.Run(t, "nft", fmt.Sprintf("table inet forget { chain out { "+
			"type filter hook output priority 0; tcp dport %d drop; }; }", port))
		if err := c.(*net.TCPConn).SetLinger(0); err != nil {
			t.Error(err)
		}
		c.Close()
		s.source.Run(t, "nft", "delete table inet forget")
	}
}

// stuck is a program that accepts nothing, with its queue full.
func stuck(port uint16) act {
	return func(t *testing.T, s *stage) {
		h := goal.host(s)
		h.Sysctl(t, "net.core.somaxconn", "1")
		h.Listen(t, port)
		to := netip.AddrPortFrom(s.v.of(h), port).String()
		s.source.Do(t, func() {
			for range 3 { // the queue has room for two
				if c, err := net.DialTimeout("tcp", to, 300*time.Millisecond); err == nil {
					t.Cleanup(func() { c.Close() })
				}
			}
		})
	}
}

// changeSituations change the packets on the way.
var changeSituations = []situation{
	{name: "hop 3 lowers the MSS", ci: true,
		do: []act{at(3).early("tcp dport 80 tcp flags syn tcp option maxseg size set 1200")}, rows: all6,
		must: "mss-clamped;port-open", may: "mss-clamped certain, " + openOnly, where: [2]int{2, 3}},
	{name: "hop 1 lowers the MSS",
		do: []act{at(1).early("tcp dport 80 tcp flags syn tcp option maxseg size set 1200")}, rows: all6,
		must: "mss-clamped;port-open", may: "mss-clamped certain, " + openOnly, where: [2]int{0, 1}},
	{name: "the last router lowers the MSS",
		do: []act{at(5).rules("forward", "tcp dport 80 tcp flags syn tcp option maxseg size set 1200")}, rows: all6,
		must: "port-open", may: "mss-clamped likely, " + openOnly},
	{name: "hop 3 removes timestamps", args: "--syn linux",
		do: []act{at(3).early("tcp dport 80 tcp flags syn reset tcp option timestamp")}, rows: all6,
		must: "options-removed", may: "options-removed certain, " + openOnly, never: "window scal|SACK|selective",
		where: [2]int{2, 3}},
	{name: "hop 3 removes SACK", args: "--syn linux",
		do: []act{at(3).early("tcp dport 80 tcp flags syn reset tcp option sack-perm")}, rows: all6,
		must: "options-removed", may: "options-removed certain, " + openOnly, never: "timestamp",
		where: [2]int{2, 3}},
	{name: "hop 4 clears the DSCP", args: "-t 184", do: []act{at(4).early("tcp dport 80 {ip} dscp set 0")},
		rows: all6, must: "dscp-changed", may: "dscp-changed certain, " + openOnly, where: [2]int{3, 4}},
	{name: "hop 3 sets a DSCP", do: []act{at(3).early("tcp dport 80 {ip} dscp set 46")}, rows: all6,
		must: "dscp-changed", may: "dscp-changed certain, " + openOnly, where: [2]int{2, 3}},
	{name: "hop 3 clears ECN", args: "-t 2", do: []act{at(3).early("tcp dport 80 {ip} ecn set not-ect")},
		rows: all6, must: "ecn-erased", may: "ecn-erased certain, " + openOnly, where: [2]int{2, 3}},
	{name: "hop 3 clears flow labels", only: ip6, ci: true,
		do: []act{at(3).early("iifname eth0 ip6 flowlabel set 0")}, rows: all6, must: "label-rewritten",
		may: "label-rewritten certain, " + openOnly, where: [2]int{2, 3}},
	{name: "hop 3 sets the IP ID", only: ip4, do: []act{at(3).early("iifname eth0 tcp dport 80 ip id set 7")},
		rows: "", must: "port-open", may: "ip-id-rewritten certain, " + openOnly},
	{name: "hop 3 sets the TTL to 64", do: []act{at(3).early("iifname eth0 tcp dport 80 {ip} {ttl} set 64")},
		rows: "1 2 T", must: "ttl-changed|local-gateway|asymmetric-return|tcp-proxy|port-open",
		may: "ttl-changed certain, local-gateway likely, asymmetric-return possible, tcp-proxy possible, " +
			"port-open certain",
		truth: "TTL"},
	{name: "hop 3 raises low TTLs by two",
		do: []act{
			at(3).early(
				"iifname eth0 tcp dport 80 {ip} {ttl} 2 {ip} {ttl} set 4",
				"iifname eth0 tcp dport 80 {ip} {ttl} 1 {ip} {ttl} set 3",
			),
		},
		rows: "", must: "port-open", may: "ttl-changed certain, asymmetric-return possible, " + openOnly},
	{name: "hop 3 of nine sets the TTL to 64", hops: 9,
		do: []act{at(3).early("{ip} daddr {target} {ip} {ttl} set 64")}, rows: "1 2 T", must: "ttl-changed",
		may: "ttl-changed possible, " + openOnly, where: [2]int{2, 3}},
	{name: "hop 2 sets the TTL of TCP that comes back, closed",
		do: []act{at(2).rules("forward", "iifname eth1 meta l4proto tcp {ip} {ttl} set 64")}, port: 9, rows: all6,
		must: "reset-on-path|port-closed", may: "reset-on-path possible, port-closed likely, asymmetric-return possible",
		truth: "sets their TTL"},
	{name: "hop 2 sets the TTL of all that comes back, closed",
		do: []act{at(2).rules("forward", "iifname eth1 {ip} {ttl} set 64")}, port: 9, rows: all6,
		must: "port-closed", may: "port-closed likely, asymmetric-return likely"},
	{name: "this host sets the TTL of what it sends", only: ip4,
		do:   []act{self.rules("postrouting", "meta l4proto tcp ip ttl set 64")},
		rows: "T", must: "this-host", may: openOnly + ", this-host certain, ttl-changed likely"},
	{name: "hop 3 sets the TTL too low", args: "-m 14",
		do:   []act{at(3).early("{ip} daddr {target} {ip} {ttl} set 2")},
		rows: "1 2" + strings.Repeat(" 4|-", 12), must: "ttl-changed|path-ends",
		may: "ttl-changed likely, path-ends possible", where: [2]int{2, 3}},
	{name: "hop 2 drops packets with a low TTL", do: []act{at(2).rules("forward", "{ip} {ttl} < 8 drop")},
		rows: "1 2 - - - - - - - T", must: "ttl-filtered",
		may: "ttl-filtered possible, " + openOnly, where: [2]int{2, 3}},
}

// doubleSituations have two things wrong at once.
var doubleSituations = []situation{
	{name: "hop 2 drops a port, hop 4 another",
		do:   []act{at(2).rules("forward", "tcp dport 9000 drop"), at(4).rules("forward", "tcp dport 443 drop")},
		port: 9000, rows: "1 2", must: "filtered-port", may: "filtered-port certain", where: [2]int{2, 3}},
	{name: "hop 3 drops a port, all echo dies at hop 2", ci: true,
		do: []act{at(3).rules("forward", "tcp dport 9000 drop"), noEcho(2, "forward")}, port: 9000, rows: till3,
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 3 drops a port and lowers the MSS",
		do: []act{
			at(3).rules("forward", "tcp dport 9000 drop"),
			at(3).early("tcp flags syn tcp option maxseg size set 1200"),
		},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port certain, mss-clamped likely",
		where: [2]int{3, 4}},
	{name: "10 SYNs per second at hop 2, hop 4 drops a port", free: true,
		do: []act{synLimit("forward", 2, 10, 5), at(4).rules("forward", "tcp dport 9000 drop")}, port: 9000,
		rows: "1 2 3|- 4|-", must: "filtered-port|path-ends|filtered-tcp",
		may: "filtered-port certain, rate-limited likely, path-ends possible, filtered-syn possible, " +
			"filtered-tcp possible",
		where: [2]int{4, 5}},
	{name: "hop 2 resets a port, hop 4 drops it",
		do: []act{
			at(2).rules("forward", "tcp dport 9000 reject with tcp reset"),
			at(4).rules("forward", "tcp dport 9000 drop"),
		},
		port: 9000, rows: "1 2 T", must: "reset-on-path", may: "reset-on-path certain", where: [2]int{2, 3}},
	{name: "hop 2 rejects a port, hop 4 rejects all else",
		do: []act{
			at(2).rejects("forward", "tcp dport 9000", "host-unreachable", "addr-unreachable"),
			at(4).rejects("forward", "iifname eth0", "admin-prohibited", "admin-prohibited"),
		},
		port: 9000, rows: "1 2 2", must: "rejected-by-router", may: "rejected-by-router certain",
		where: [2]int{2, 2}},
	{name: "hop 3 drops a port, hop 2 rejects another",
		do: []act{
			at(3).rules("forward", "tcp dport 9000 drop"),
			at(2).rejects("forward", "tcp dport 443", "host-unreachable", "addr-unreachable"),
		},
		port: 9000, rows: till3, must: "filtered-port|filtered-tcp|path-ends",
		may:   "filtered-port possible, filtered-tcp possible, filtered-syn possible, path-ends possible",
		where: [2]int{3, 4}},
	{name: "closed, the MSS is lowered at hop 2 and echo dropped at hop 4",
		do: []act{at(2).early("tcp flags syn tcp option maxseg size set 1200"), noEcho(4, "forward")}, port: 9,
		rows: all6, must: "port-closed;mss-clamped", may: closedOnly + ", mss-clamped certain"},
	{name: "masqueraded at hop 1, a port goes to hop 3's own service",
		do: []act{
			at(1).translates("postrouting", "srcnat", "oifname eth1 masquerade"), at(3).listens(9999),
			at(3).translates("prerouting", "dstnat", "tcp dport 9000 redirect to :9999"),
		},
		port: 9000, rows: "1 2 T", must: "tcp-proxy", may: "tcp-proxy certain, " + hidden, where: [2]int{2, 3}},
	{name: "DSCP is cleared at hop 2, hop 4 drops a port", args: "-t 184",
		do: []act{at(2).early("{ip} dscp set 0"), at(4).rules("forward", "tcp dport 9000 drop")}, port: 9000,
		rows: "1 2 3 4", must: "filtered-port", may: "filtered-port certain, dscp-changed certain",
		where: [2]int{4, 5}},
	{name: "the target drops a port and has no route for echo",
		do: []act{goal.rules("input", "tcp dport 9000 drop"), noEcho(goal, "input")}, port: 9000, rows: "1 2 3 4 5",
		must: "filtered-port|path-ends", may: lastHop, names: ownWall, where: [2]int{5, 6}},
	{name: "two ways, beyond them a port is dropped", build: ways(1, 1),
		do: []act{named("join").rules("forward", "tcp dport 9000 drop")}, port: 9000, rows: "1 2 a1|b1 join",
		must: "filtered-port|path-ends", may: lastHop + ", load-balancer likely", where: [2]int{4, 5}},
	{name: "two ways, before them a port is dropped", build: ways(1, 1),
		do: []act{named("split").rules("forward", "tcp dport 9000 drop")}, port: 9000, rows: "1 2",
		must: "filtered-port", may: "filtered-port certain, load-balancer likely", where: [2]int{2, 3}},
	{name: "one of two ways is dead, beyond them a port is dropped", build: ways(1, 1),
		do: []act{
			named("b1").rules("prerouting", "iifname eth0 {ip} {ttl} > 1 {ip} saddr {self} drop"),
			named("join").rules("forward", "tcp dport 9000 drop"),
		},
		port: 9000, rows: "1 2 a1|b1 join|-", must: "filtered-port|path-ends|broken-branch|filtered-tcp",
		may: lastHop + ", load-balancer likely, broken-branch certain, other-way likely"},
	{name: "hop 3 drops a port, and the way back of echo is lost",
		do: []act{
			at(3).rules("forward", "tcp dport 9000 drop"),
			at(2).rules("forward", "icmp type echo-reply drop", "icmpv6 type echo-reply drop"),
		},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "one packet in twenty is lost at hop 2, hop 4 drops a port",
		do: []act{
			at(2).rules("forward", "numgen random mod 20 == 0 drop"), at(4).rules("forward", "tcp dport 9000 drop"),
		},
		free: true, port: 9000, rows: "1 2 3|- 4|-", must: "filtered-port",
		may: "filtered-port certain, icmp-rate-limit possible", where: [2]int{4, 5}},
}
