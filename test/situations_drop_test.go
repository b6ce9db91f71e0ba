package test

// Situations: nothing is wrong, or something vanishes on the way.

const (
	openOnly   = "port-open certain"
	closedOnly = "port-closed certain"
	all6       = "1 2 3 4 5 T"
	till3      = "1 2 3"

	// What from outside nobody could tell apart, where probes die at the target or right in front of it.
	lastHop = "filtered-port possible, filtered-syn possible, filtered-tcp possible, path-ends possible, way-back possible, stuck-service possible"
	ownWall = `the target's own firewall|own firewall|security group`
	wayBack = `way back|return|answers? (is|are|may be|get|gets) (lost|dropped)`
)

// cleanSituations have nothing to be found but the port's state.
var cleanSituations = []situation{
	{name: "open", ci: true, rows: all6, must: "port-open", may: openOnly},
	{name: "closed", ci: true, port: 9, rows: all6, must: "port-closed", may: closedOnly},
	{name: "open, one hop", ci: true, hops: 1, rows: "T", must: "port-open", may: openOnly},
	{name: "closed, one hop", hops: 1, port: 9, rows: "T", must: "port-closed", may: closedOnly},
	{name: "open, two hops", hops: 2, rows: "1 T", must: "port-open", may: openOnly},
	{name: "closed, two hops", hops: 2, port: 9, rows: "1 T", must: "port-closed", may: closedOnly},
	{name: "open, fifteen hops", hops: 15, rows: "1 2 3 4 5 6 7 8 9 10 11 12 13 14 T", must: "port-open", may: openOnly},
	{name: "closed, fifteen hops", hops: 15, port: 9, rows: "1 2 3 4 5 6 7 8 9 10 11 12 13 14 T", must: "port-closed", may: closedOnly},
	{name: "open, port 443", port: 443, rows: all6, must: "port-open", may: openOnly},
	{name: "open, SYNs as Linux sends them", args: "--syn linux", rows: all6, must: "port-open", may: openOnly},
	{name: "open, ten probes per hop", args: "-q 10", free: true, rows: all6, must: "port-open", may: openOnly},
	{name: "closed, asked by ACKs", args: "-A", port: 9, rows: all6, must: "target-alive", may: "target-alive certain"},
	{name: "open, asked by ACKs", args: "-A", rows: all6, must: "target-alive", may: "target-alive certain"},
	{name: "open, by connections", args: "--unprivileged", rows: all6, must: "port-open", may: openOnly},
	{name: "closed, by connections", args: "--unprivileged", port: 9, rows: all6, must: "port-closed", may: closedOnly},
	{name: "open, one source port for each probe", args: "--track-port", rows: all6, must: "port-open", may: openOnly},
	{name: "open, routers 2 and 4 silent", ci: true, do: []act{silent(2, 4)}, rows: "1 - 3 - 5 T", must: "port-open", may: openOnly},
	{name: "closed, last router silent", do: []act{silent(5)}, port: 9, rows: "1 2 3 4 - T", must: "port-closed", may: closedOnly},
	{name: "open, all routers silent", do: []act{silent(1, 2, 3, 4, 5)}, rows: "- - - - - T", must: "port-open", may: openOnly},
	{name: "closed, all routers silent", do: []act{silent(1, 2, 3, 4, 5)}, port: 9, rows: "- - - - - T", must: "port-closed", may: closedOnly},
	{name: "open, the target answers no echo", ci: true, do: []act{noEcho(goal, "input")}, rows: all6, must: "port-open", may: openOnly},
	{name: "closed, the target answers no echo", do: []act{noEcho(goal, "input")}, port: 9, rows: all6, must: "port-closed", may: closedOnly},
	{name: "open, the last router drops echo", do: []act{noEcho(5, "forward")}, rows: all6, must: "port-open", may: openOnly},
	{name: "open, hop 2 drops echo", do: []act{noEcho(2, "forward")}, rows: all6, must: "port-open", may: openOnly},
	{name: "closed, hop 2 drops echo", do: []act{noEcho(2, "forward")}, port: 9, rows: all6, must: "port-closed", may: closedOnly},
	{name: "open, the only port that the target lets in", ci: true, do: []act{cloudHost("80")}, rows: all6, must: "port-open", may: openOnly},
	{name: "closed, the only port that the target lets in", do: []act{cloudHost("9")}, port: 9, rows: all6, must: "port-closed", may: closedOnly},
	{name: "open, the target sends SYN cookies", do: []act{goal.sysctl("net.ipv4.tcp_syncookies", "2")}, rows: all6, must: "port-open", may: openOnly},
	{name: "open, the target has neither SACK nor timestamps",
		do: []act{goal.sysctl("net.ipv4.tcp_sack", "0"), goal.sysctl("net.ipv4.tcp_timestamps", "0")}, rows: all6, must: "port-open", may: openOnly},
	{name: "open, a stateful firewall at hop 2", ci: true, do: []act{at(2).rules("forward", "ct state invalid drop")}, rows: all6, must: "port-open", may: openOnly},
	{name: "closed, a stateful firewall at hop 2", do: []act{at(2).rules("forward", "ct state invalid drop")}, port: 9, rows: all6, must: "port-closed", may: closedOnly},
	{name: "open, hop 4 drops UDP", do: []act{at(4).rules("forward", "meta l4proto udp drop")}, rows: all6, must: "port-open", may: openOnly},
	{name: "open, TTL 255 at the target", do: []act{goal.sysctl("net.ipv4.ip_default_ttl", "255"), goal.sysctl("net.ipv6.conf.all.hop_limit", "255")},
		rows: all6, must: "port-open", may: openOnly},
	{name: "open, TTL 128 at the target", do: []act{goal.sysctl("net.ipv4.ip_default_ttl", "128")}, rows: all6, must: "port-open", may: openOnly},
	{name: "open, a link of 1,400 bytes", do: []act{narrow(3, 1400)}, rows: all6, must: "port-open", may: openOnly},
}

func noEcho(a at, hook string) act {
	return a.rules(hook, "icmp type echo-request drop", "icmpv6 type echo-request drop")
}

// cloudHost is a target that lets nothing in but one port.
func cloudHost(port string) act {
	return goal.rules("input", "tcp dport "+port+" accept", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", "drop")
}

const syn = "tcp flags & (syn|ack) == syn"

// filterSituations have a firewall that drops, somewhere.
var filterSituations = []situation{
	{name: "hop 1 drops a port", ci: true, do: []act{at(1).rules("forward", "tcp dport 9000 drop")}, port: 9000, rows: "1",
		must: "filtered-port", may: "filtered-port certain", where: [2]int{1, 2}},
	{name: "hop 3 drops a port", ci: true, do: []act{at(3).rules("forward", "tcp dport 9000 drop")}, port: 9000, rows: till3,
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 4 drops a port, as it comes", do: []act{at(4).early("tcp dport 9000 drop")}, port: 9000, rows: till3,
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 1 drops a port, as it comes", ci: true, do: []act{at(1).early("tcp dport 9000 drop")}, port: 9000, rows: "-",
		must: "filtered-port", may: "filtered-port certain", where: [2]int{0, 1}},
	{name: "hop 4 drops a port, as it leaves", do: []act{at(4).rules("postrouting", "tcp dport 9000 drop")}, port: 9000, rows: "1 2 3 4",
		must: "filtered-port", may: "filtered-port certain", where: [2]int{4, 5}},
	{name: "the last router drops a port", ci: true, do: []act{at(5).rules("forward", "tcp dport 9000 drop")}, port: 9000, rows: "1 2 3 4 5",
		must: "filtered-port|path-ends", may: lastHop, names: ownWall, where: [2]int{5, 6}},
	{name: "the target drops a port", ci: true, do: []act{goal.rules("input", "tcp dport 9000 drop")}, port: 9000, rows: "1 2 3 4 5",
		must: "filtered-port|path-ends", may: lastHop, names: ownWall, where: [2]int{5, 6}},
	{name: "the target lets nothing in but port 443", do: []act{cloudHost("443")}, port: 80, rows: "1 2 3 4 5",
		must: "filtered-port|path-ends", may: lastHop, names: ownWall, where: [2]int{5, 6}},
	{name: "the target lets nothing in but port 22", do: []act{cloudHost("22")}, port: 80, rows: "1 2 3 4 5",
		must: "filtered-port|filtered-tcp|path-ends", may: lastHop, where: [2]int{5, 6}},
	{name: "hop 3 lets ports 80 and 443 pass alone", do: []act{at(3).rules("forward", "tcp dport { 80, 443 } accept", "ct state established,related accept", "meta l4proto tcp "+syn+" drop")},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 3 drops SYNs to a port", ci: true, do: []act{at(3).rules("forward", "tcp dport 9000 "+syn+" drop")}, port: 9000, rows: till3,
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 1 drops all SYNs", do: []act{at(1).rules("forward", syn+" drop")}, rows: "1",
		must: "filtered-syn", may: "filtered-syn certain", where: [2]int{1, 2}},
	{name: "hop 3 drops all SYNs", ci: true, do: []act{at(3).rules("forward", syn+" drop")}, rows: till3,
		must: "filtered-syn", may: "filtered-syn certain", where: [2]int{3, 4}},
	{name: "the last router drops all SYNs", do: []act{at(5).rules("forward", syn+" drop")}, rows: "1 2 3 4 5",
		must: "filtered-syn|path-ends", may: lastHop + ", filtered-syn possible", where: [2]int{5, 6}},
	{name: "the target drops all SYNs", do: []act{goal.rules("input", syn+" drop")}, rows: "1 2 3 4 5",
		must: "filtered-syn|path-ends", may: lastHop, where: [2]int{5, 6}},
	{name: "hop 1 drops TCP", do: []act{at(1).rules("forward", "iifname eth0 meta l4proto tcp drop")}, rows: "1",
		must: "filtered-tcp", may: "filtered-tcp likely", where: [2]int{1, 2}},
	{name: "hop 3 drops TCP", ci: true, do: []act{at(3).rules("forward", "iifname eth0 meta l4proto tcp drop")}, rows: till3,
		must: "filtered-tcp", may: "filtered-tcp likely", where: [2]int{3, 4}},
	{name: "the target drops TCP", do: []act{goal.rules("input", "meta l4proto tcp drop")}, rows: "1 2 3 4 5",
		must: "filtered-tcp|path-ends", may: lastHop, where: [2]int{5, 6}},
	{name: "hop 1 drops all to the target", do: []act{at(1).rules("forward", "{ip} daddr {target} drop")}, rows: "1",
		must: "path-ends", may: "path-ends possible, way-back possible", where: [2]int{1, 2}},
	{name: "hop 3 drops all to the target", ci: true, do: []act{at(3).rules("forward", "{ip} daddr {target} drop")}, rows: till3,
		must: "path-ends", may: "path-ends possible, way-back possible", where: [2]int{3, 4}},
	{name: "hop 3 drops all from this host", do: []act{at(3).rules("forward", "{ip} saddr {self} drop")}, rows: till3,
		must: "path-ends", may: "path-ends possible, way-back possible", where: [2]int{3, 4}},
	{name: "the target drops all", do: []act{goal.rules("input", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", "drop")}, rows: "1 2 3 4 5",
		must: "path-ends", may: lastHop, where: [2]int{5, 6}},
	{name: "hop 1 drops all it gets", do: []act{at(1).early("iifname eth0 {ip} daddr {target} drop")}, rows: "-", must: "path-ends", may: "path-ends possible, way-back possible"},
	{name: "hop 3 drops one source port", ci: true, do: []act{at(3).rules("forward", "tcp sport 45678 drop")}, args: "-p 45678", rows: till3,
		must: "broken-branch", may: "broken-branch likely", names: "source port", where: [2]int{3, 4}},
	{name: "hop 3 drops odd source ports, ours among them", do: []act{at(3).rules("forward", "tcp sport & 1 == 1 tcp dport != 443 drop")}, args: "-p 45679", rows: till3,
		must: "broken-branch|path-ends|filtered-port", may: "broken-branch likely, path-ends possible, filtered-port possible", truth: "source port", where: [2]int{3, 4}},
	{name: "hop 3 drops source ports from 32768 on", do: []act{at(3).rules("forward", "tcp sport >= 32768 drop")}, args: "-p 45678", rows: till3,
		must: "filtered-tcp", may: "filtered-tcp likely", where: [2]int{3, 4}},
	{name: "hop 3 drops SYNs with a payload", ci: true, do: []act{at(3).rules("forward", syn+" meta length > 100 drop")}, args: "-l 200", rows: till3,
		must: "size-filter", may: "size-filter certain", where: [2]int{3, 4}},
	{name: "hop 1 drops SYNs with a payload", do: []act{at(1).rules("forward", syn+" meta length > 100 drop")}, args: "-l 200", rows: "1",
		must: "size-filter", may: "size-filter certain", where: [2]int{1, 2}},
	{name: "the last router drops SYNs with a payload", do: []act{at(5).rules("forward", syn+" meta length > 100 drop")}, args: "-l 200", rows: "1 2 3 4 5",
		must: "size-filter", may: "size-filter certain", where: [2]int{5, 6}},
	{name: "a black hole of 1,400 bytes beyond hop 3", ci: true, do: []act{narrow(3, 1400), at(3).rules("output", "icmp type destination-unreachable drop", "icmpv6 type packet-too-big drop")},
		args: "-F -l 1500", rows: till3, must: "size-filter|mtu-black-hole", may: "size-filter certain, mtu-black-hole likely", where: [2]int{3, 4}},
	{name: "a black hole of 1,400 bytes before the target", do: []act{narrow(5, 1400), at(5).rules("output", "icmp type destination-unreachable drop", "icmpv6 type packet-too-big drop")},
		args: "-F -l 1500", rows: "1 2 3 4 5", must: "size-filter|mtu-black-hole", may: "size-filter certain, mtu-black-hole likely", where: [2]int{5, 6}},
	{name: "hop 3 drops DSCP EF", ci: true, do: []act{at(3).rules("forward", "{ip} dscp ef drop")}, args: "-t 184", rows: till3,
		must: "mark-dropped", may: "mark-dropped certain", where: [2]int{3, 4}},
	{name: "hop 1 drops DSCP EF", do: []act{at(1).rules("forward", "{ip} dscp ef drop")}, args: "-t 184", rows: "1",
		must: "mark-dropped", may: "mark-dropped certain", where: [2]int{1, 2}},
	{name: "hop 3 drops ECN-capable packets", do: []act{at(3).rules("forward", "{ip} ecn ect0 drop")}, args: "-t 2", rows: till3,
		must: "mark-dropped", may: "mark-dropped certain", where: [2]int{3, 4}},
	{name: "the target drops DSCP EF", do: []act{goal.rules("input", "{ip} dscp ef drop")}, args: "-t 184", rows: "1 2 3 4 5",
		must: "mark-dropped", may: "mark-dropped certain", where: [2]int{5, 6}},
	{name: "hop 3 drops SYNs that ask for ECN", do: []act{at(3).rules("forward", "tcp flags & (syn|ecn) == (syn|ecn) drop")}, args: "-E", rows: till3,
		must: "filtered-syn", may: "filtered-syn certain", where: [2]int{3, 4}},
	{name: "hop 3 drops SYNs that permit SACK", ci: true, do: []act{at(3).rules("forward", "tcp option sack-perm exists drop")}, args: "--syn linux", rows: till3,
		must: "filtered-syn", may: "filtered-syn certain", where: [2]int{3, 4}},
	{name: "hop 1 drops SYNs with timestamps", do: []act{at(1).rules("forward", syn+" tcp option timestamp exists drop")}, args: "--syn linux", rows: "1",
		must: "filtered-syn", may: "filtered-syn certain", where: [2]int{1, 2}},
	{name: "hop 3 drops SYNs without options", only: ip4, do: []act{at(3).rules("forward", syn+" tcp doff 5 drop")}, args: "--syn bare", rows: till3,
		must: "filtered-syn", may: "filtered-syn certain", where: [2]int{3, 4}},
	{name: "hop 3 drops ACKs without a connection", ci: true, do: []act{at(3).sysctl("net.netfilter.nf_conntrack_tcp_loose", "0"), at(3).rules("forward", "ct state invalid drop")}, args: "-A", rows: till3,
		must: "filtered-ack", may: "filtered-ack certain", where: [2]int{3, 4}},
	{name: "hop 3 drops what it gets with a low TTL", do: []act{at(3).early("{ip} {ttl} < 10 tcp dport 80 drop")}, rows: "1 2 - - - T|- T|- T|- T|- T|- T|- T",
		must: "ttl-filtered|port-open", may: "ttl-filtered certain, port-open certain, filtered-port possible, path-ends possible", truth: "low TTL|TTL of the probe"},
	{name: "hop 3 passes a port from another host only", do: []act{at(3).rules("forward", "tcp dport 9000 {ip} saddr != {4} drop")}, port: 9000, rows: till3,
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 3 drops a port, hops 4 and 5 are silent", do: []act{at(3).rules("forward", "tcp dport 9000 drop"), silent(4, 5)}, port: 9000, rows: till3,
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 3 drops a port and is silent", do: []act{at(3).rules("forward", "tcp dport 9000 drop"), silent(3)}, port: 9000, rows: "1 2 -",
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "hop 3 drops a port, the target is silent about all else", do: []act{at(3).rules("forward", "tcp dport 9000 drop"), goal.rules("input", "icmp type echo-request drop", "icmpv6 type echo-request drop", "tcp dport 443 drop")},
		port: 9000, rows: till3, must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "by connections: hop 3 drops a port", args: "--unprivileged", do: []act{at(3).rules("forward", "tcp dport 9000 drop")}, port: 9000, rows: till3,
		must: "filtered-port", may: "filtered-port certain", where: [2]int{3, 4}},
	{name: "by connections: the target drops a port", args: "--unprivileged", do: []act{goal.rules("input", "tcp dport 9000 drop")}, port: 9000, rows: "1 2 3 4 5",
		must: "filtered-port|path-ends|filtered", may: lastHop + ", filtered possible", where: [2]int{5, 6}},
	{name: "by connections: hop 3 drops all to the target", args: "--unprivileged", do: []act{at(3).rules("forward", "{ip} daddr {target} drop")}, rows: till3,
		must: "path-ends", may: "path-ends possible, filtered possible", where: [2]int{3, 4}},
	{name: "the trace ends before the target", args: "-m 4", rows: "1 2 3 4", must: "hop-limit", may: "hop-limit likely"},
}
