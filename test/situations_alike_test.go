package test

import (
	"fmt"
	"testing"
)

// Situations: what looks like another cause. Each of them was told as that other one once.

// echoDetour sends ICMP from the last router to the target by a router more than TCP, and back too if it is so wanted.
// The errors of the last router itself may come back by a router more as well.
func echoDetour(back, errors bool) act {
	return func(t *testing.T, s *stage) {
		target, last, before := goal.host(s), at(5).host(s), at(4).host(s)
		aside := s.Host(t, "aside")
		in, out := s.Link(t, last, aside), s.Link(t, aside, target)
		proto := pick(s.v, "icmp", "ipv6-icmp")
		s.v.ip(t, aside, s.expand(fmt.Sprintf("route add {target} via %v", s.v.at(out.B))))
		aside.Default(t, in.B)
		s.v.ip(t, last, s.expand(fmt.Sprintf("route add {target} via %v table 9", s.v.at(in.B))))
		s.v.ip(t, last, fmt.Sprintf("rule add ipproto %s lookup 9", proto))
		if back {
			s.v.ip(t, target, fmt.Sprintf("route add default via %v table 9", s.v.at(out.A)))
			s.v.ip(t, target, fmt.Sprintf("rule add ipproto %s lookup 9", proto))
		}
		if errors {
			longer := s.Host(t, "longer")
			from, to := s.Link(t, last, longer), s.Link(t, longer, before)
			longer.Default(t, to.A)
			s.v.ip(t, last, s.expand(fmt.Sprintf("route add {self} via %v table 9", s.v.at(from.B))))
		}
	}
}

// What may be said if a few SYNs in a minute pass: some connections open, and why the others don't is named.
const (
	fewSYNs  = "port-open|broken-branch|rate-limited|path-ends|filtered-port|filtered-syn|filtered-tcp"
	fewNames = "is open|limit on new connections|SYNs above some rate|rate of SYNs"
	fewMay   = "rate-limited likely, broken-branch possible, path-ends possible, filtered-port possible, " +
		"filtered-syn possible, filtered-tcp possible, icmp-rate-limit possible"
)

var alikeSituations = []situation{
	{name: "ICMP goes to the target by a router more, open", do: []act{echoDetour(false, false)}, rows: all6,
		must: "port-open", may: "port-open certain, tcp-proxy possible"},
	{name: "ICMP goes to the target by a router more, closed", do: []act{echoDetour(false, false)}, port: 9, rows: all6,
		must: "port-closed|reset-on-path", may: closedOnly + ", reset-on-path possible"},
	{name: "ICMP goes to the target and back by a router more, open", do: []act{echoDetour(true, false)}, rows: all6,
		must: "port-open|tcp-proxy", may: "port-open certain, tcp-proxy possible", truth: "way"},
	{name: "ICMP goes to the target and back by a router more, closed", do: []act{echoDetour(true, false)}, port: 9,
		rows: all6, must: "port-closed|reset-on-path", may: "port-closed likely, reset-on-path possible", truth: "way"},
	{name: "ICMP goes to the target and back by a router more, errors too, open", do: []act{echoDetour(true, true)},
		rows: "", must: "port-open|tcp-proxy", may: "port-open certain, tcp-proxy possible", truth: "way"},
	{name: "ICMP goes to the target and back by a router more, errors too, closed", do: []act{echoDetour(true, true)},
		port: 9, rows: "", must: "port-closed|reset-on-path", may: "port-closed likely, reset-on-path possible",
		truth: "way"},
	{name: "four in five answers are lost on the way back", free: true,
		do:   []act{at(1).rules("forward", "iifname eth1 numgen random mod 10 < 8 drop")},
		rows: "1 2|- 3|- 4|- 5|- T|- T|- T|- T|- T|- T|-", must: "",
		may:   openOnly + ", packet-loss likely, path-ends possible, filtered-port possible, broken-branch possible",
		never: "are no loss|packets get through", truth: "los[st]"},
	{name: "four in five answers are lost on the way back, ten probes", free: true, args: "-q 10",
		do:   []act{at(1).rules("forward", "iifname eth1 numgen random mod 10 < 8 drop")},
		rows: "1 2|- 3|- 4|- 5|- T|- T|- T|- T|- T|- T|-", must: "packet-loss",
		may:   openOnly + ", packet-loss likely, path-ends possible, filtered-port possible, broken-branch possible",
		never: "are no loss|packets get through", truth: "los[st]"},
	{name: "hop 2 answers echo in the target's name, hop 4 drops all",
		do: []act{
			at(2).translates("prerouting", "dstnat", "{ip} daddr {target} meta l4proto {echo} redirect"),
			at(4).rules("forward", "{ip} daddr {target} drop"),
		},
		rows: "1 2 3 4", must: "path-ends|filtered-tcp", may: "path-ends possible, filtered-tcp possible",
		never: "target is alive"},
	{name: "hop 4 answers echo in the target's name, and drops all else",
		do: []act{
			at(4).translates("prerouting", "dstnat", "{ip} daddr {target} meta l4proto {echo} redirect"),
			at(4).rules("forward", "{ip} daddr {target} drop"),
		},
		rows: "1 2 3 4", must: "path-ends|filtered-tcp", may: "path-ends possible, filtered-tcp possible",
		never: "target is alive"},
	{name: "6 SYNs per minute at hop 3", free: true,
		do:   []act{at(3).rules("forward", syn+" limit rate over 6/minute burst 5 packets drop")},
		rows: "1 2 3 4|- 5|- T|- T|- T|- T|- T|- T|-", must: fewSYNs, may: openOnly + ", " + fewMay, names: fewNames},
	{name: "6 SYNs per minute at hop 3, 2 at once", free: true,
		do:   []act{at(3).rules("forward", syn+" limit rate over 6/minute burst 2 packets drop")},
		rows: "1 2 3 4|- 5|- T|- T|- T|- T|- T|- T|-", must: fewSYNs, may: openOnly + ", " + fewMay, names: fewNames},
	{name: "30 SYNs per minute at hop 3, 8 at once", free: true,
		do:   []act{at(3).rules("forward", syn+" limit rate over 30/minute burst 8 packets drop")},
		rows: "1 2 3 4|- 5|- T|- T|- T|- T|- T|- T|-", must: fewSYNs, may: openOnly + ", " + fewMay, names: fewNames},
	{name: "hop 2 takes port 443 for itself, hop 4 drops another", port: 9000,
		do: []act{
			at(2).listens(9999), at(2).translates("prerouting", "dstnat", "tcp dport 443 redirect to :9999"),
			at(4).rules("forward", "tcp dport 9000 drop"), goal.listens(9000),
		},
		rows: "1 2 3 4", must: "filtered-port|filtered-tcp", names: "port 9000|one port",
		may: "filtered-port likely, filtered-tcp possible", where: [2]int{4, 5}},
	{name: "two hops lower the MSS", rows: all6, must: "mss-clamped", names: `to 1200`,
		do: []act{
			at(2).early("tcp dport 80 tcp flags syn tcp option maxseg size set 1400"),
			at(4).early("tcp dport 80 tcp flags syn tcp option maxseg size set 1200"),
		},
		may: openOnly + ", mss-clamped certain"},
	{name: "hop 3 lets port 22 pass, and rejects the rest in the words of no route",
		do:   []act{at(3).rules("forward", "tcp dport 22 accept", "iifname eth0 reject with {reject} type {noway}")},
		rows: "1 2 3 3", must: "unreachable-network|rejected-by-router",
		may: "unreachable-network likely, rejected-by-router certain", names: `\brule\b`, where: [2]int{3, 3}},
	{name: "hop 3 lets port 22 pass, and rejects the rest as it comes",
		do: []act{
			at(3).rules(
				"prerouting", "{ip} daddr != {target} accept", "tcp dport 22 accept",
				"iifname eth0 reject with {reject} type {noway}",
			),
		},
		rows: "1 2 3", must: "unreachable-network|rejected-by-router",
		may: "unreachable-network likely, rejected-by-router certain", names: `\brule\b`},
	{name: "hop 3 rejects a port with a low TTL", port: 9000,
		do: []act{
			at(3).rejects("forward", "tcp dport 9000 {ip} {ttl} < 20", "net-unreachable", "no-route"), goal.listens(9000),
		},
		rows: "", must: "broken-branch|rejected-by-router|port-open",
		may: "broken-branch possible, rejected-by-router possible, port-open certain, this-host possible", names: "TTL|open",
		never: "knows? the way"},
	{name: "hop 3 rejects SYNs above 10 per second", free: true,
		do: []act{
			at(3).rejects("forward", syn+" limit rate over 10/second burst 3 packets", "net-unreachable", "no-route"),
		},
		rows: "", must: "broken-branch|rejected-by-router|port-open|rate-limited",
		may:   "broken-branch possible, port-open certain, rate-limited likely, rejected-by-router possible",
		names: "rate of SYNs|limited|open", never: "knows? the way"},
	{name: "by connections: this host translates a port to a dead machine", args: "--unprivileged",
		do: []act{
			self.translates("output", "-100", "{ip} daddr {target} tcp dport 9000 dnat {ip} to {away}:8080"),
		},
		rows: "", port: 9000, must: "unreachable-host|rejected-by-target",
		may:   "unreachable-host possible, rejected-by-target possible, forwarded-port possible",
		names: "this host"},
	{name: "hop 2 translates a port, and two routers behind it point at each other", port: 9000, rows: "",
		free: true,
		do:   []act{at(2).translates("prerouting", "dstnat", "{ip} daddr {target} tcp dport 9000 dnat {ip} to {lost}"), at(5).ip("route replace {lost} via {4way}")},
		must: "routing-loop", may: "routing-loop likely, forwarded-port possible, dnat likely", never: "TTL is set too low b"},
	{name: "hop 2 lowers TTLs above 4", free: true, rows: "1 2 3 4 5 5 5 5 5 5 5 5", args: "-m 12", where: [2]int{1, 2},
		do:   []act{at(2).early("iifname eth0 meta l4proto tcp {ip} {ttl} > 4 {ip} {ttl} set 4")},
		must: "ttl-changed", may: "ttl-changed likely"},
	{name: "hop 3 gives its errors the target's address, the target is down", to: "{nobody}", rows: "1 2 T 4 5 5",
		do:   []act{at(3).rules("output", "{icmp} type time-exceeded {ip} saddr set {nobody}")},
		must: "unreachable-host", may: "unreachable-host certain, forwarded-port possible", where: [2]int{5, 5},
		never: "is translated to can't"},
	{name: "all flows die where ways of one and of four routers join", build: ways(1, 4), rows: "", port: 9000,
		do: []act{goal.listens(9000), named("join").rules("prerouting", "tcp dport 9000 drop")}, must: "",
		may: "broken-branch possible, filtered-port certain, filtered-tcp possible, path-ends possible, load-balancer likely"},
	{name: "by connections: this host rejects a port in the words of a dead next hop", args: "--unprivileged", rows: "-",
		do:   []act{self.rejects("output", "tcp dport 9000", "host-unreachable", "addr-unreachable")},
		port: 9000, must: "this-host", may: "this-host likely", never: "does not answer", names: "nft list ruleset"},
	{name: "by connections: this host routes a port to a dead next hop", args: "--unprivileged", rows: "-", port: 9000,
		do: []act{deadGateway(9000)}, must: "unreachable-host", may: "unreachable-host likely", names: "ip rule",
		never: "itself rejects"},
	{name: "this host routes a port to a dead next hop", rows: "-", port: 9000, do: []act{deadGateway(9000)},
		must: "unreachable-host", may: "unreachable-host likely", names: "ip rule", never: "itself rejects"},
	{name: "a SYN proxy at hop 3, open behind, IPv6", only: ip6, do: []act{synProxy(3, 9202), goal.listens(9202)},
		port: 9202, rows: "1 2 3 T|-", must: "tcp-proxy|broken-branch", may: inItsName},
	{name: "a SYN proxy at hop 3, closed behind, IPv6", ci: true, only: ip6, do: []act{synProxy(3, 9202)}, port: 9202,
		rows: "1 2 3 T|-", must: "tcp-proxy|broken-branch", may: inItsName},
	{name: "a SYN proxy at the last router, closed behind, IPv6", only: ip6, do: []act{synProxy(5, 9202)}, port: 9202,
		rows: all6 + "|-", must: "tcp-proxy|broken-branch|filtered-port|filtered-syn|path-ends",
		may: inItsName + ", port-open possible"},
	{name: "this host routes a port into a dead tunnel", port: 9000,
		do:   []act{deadTunnel(9000)},
		rows: "", must: "this-host|other-way|filtered-port|path-ends", names: "ip rule|this host itself",
		may: "this-host certain, other-way likely, filtered-port likely, path-ends possible"},
}

// inItsName is what may be said of a router that takes connections in the target's name. In IPv6 the kernel's passes only
// SYNs whose checksum is left to the device, as those of its own connections are: probes vanish there.
const inItsName = "tcp-proxy certain, broken-branch possible, filtered-port possible, filtered-syn possible, path-ends possible"

// deadGateway routes a port of this host to a next hop that nobody has.
func deadGateway(port int) act {
	return func(t *testing.T, s *stage) {
		s.v.ip(t, s.source, "route add default via "+pick(s.v, "198.18.1.77", "2001:db8:1::77")+" table 9")
		s.v.ip(t, s.source, fmt.Sprintf("rule add ipproto tcp dport %d lookup 9", port))
	}
}

// deadTunnel routes a port of this host into an interface at whose other end nobody is.
func deadTunnel(port int) act {
	return func(t *testing.T, s *stage) {
		s.source.IP(t, "tuntap add dev tunnel0 mode tun")
		s.source.IP(t, "link set tunnel0 up")
		s.v.ip(t, s.source, "route add default dev tunnel0 table 9")
		s.v.ip(t, s.source, fmt.Sprintf("rule add ipproto tcp dport %d lookup 9", port))
	}
}
