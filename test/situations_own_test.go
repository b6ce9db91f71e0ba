package test

import (
	"fmt"
	"net/netip"
	"testing"

	"go.example/tcptraceroute/lab"
)

// Situations: this host itself has several ways out.

// outbound is a host that shares its connections out over three links by their ports, each to a router of its own,
// a1, b1 and c1. They meet at one router. If oneSource, this host's address is no link's.
func outbound(oneSource bool) func(t *testing.T, s *stage) {
	return func(t *testing.T, s *stage) {
		join, target := s.Host(t, "join"), s.Host(t, "target")
		var out []*lab.Interface
		for i := range 3 {
			name := fmt.Sprintf("%c1", 'a'+i)
			h := s.Host(t, name)
			l := s.Link(t, s.source, h)
			in := s.Link(t, h, join)
			h.Default(t, in.A)
			for _, first := range s.source.Interfaces {
				if first != l.A {
					h.Route(t, first.Link.Net4, in.A)
					h.Route(t, first.Link.Net6, in.A)
				}
			}
			join.Route(t, l.Net4, in.B)
			join.Route(t, l.Net6, in.B)
			out = append(out, l.A)
			s.hosts[name], s.known[name] = h, []string{s.v.of(h).String()}
			s.known["join"] = append(s.known["join"], s.v.at(in.B).String())
		}
		last := s.Link(t, join, target)
		join.Default(t, last.A)
		target.Default(t, last.B)
		s.source.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", "1")
		s.source.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", "1")
		source := ""
		if oneSource {
			ownSource(t, s)
			source = "src {own} "
			own := netip.MustParseAddr(s.vars["own"])
			to := netip.PrefixFrom(own, own.BitLen())
			for i, h := range []*lab.Host{s.hosts["a1"], s.hosts["b1"], s.hosts["c1"]} {
				h.Route(t, to, out[i].Peer)
			}
			join.Route(t, to, join.Interfaces[0])
		}
		s.hop = []*lab.Host{s.hosts["a1"], join, target}
		s.v.ip(t, s.source, s.expand("route add default "+source+nexthops(s.v, out)))
	}
}

// nexthops are the words of a route by several interfaces.
func nexthops(v family, by []*lab.Interface) (text string) {
	for _, i := range by {
		text += fmt.Sprintf(" nexthop via %v dev %s", v.at(i.Peer), i.Name)
	}
	return text
}

// markedOut marks what this host sends to port 80, and shares it out by routes of the mark's own.
func markedOut(t *testing.T, s *stage) {
	s.v.ip(t, s.source, "route add default table 7"+nexthops(s.v, s.source.Interfaces[1:]))
	s.v.ip(t, s.source, "rule add fwmark 3 lookup 7")
	s.source.NFT(t, "chain output { type route hook output priority mangle; tcp dport 80 meta mark set 3; }\n")
}

const (
	manyOut = "port-open certain, load-balancer likely"
	anyOut  = "a1|b1|c1 join T"
)

var ownSituations = []situation{
	{name: "this host has three ways out, open", ci: true, build: outbound(false), rows: anyOut,
		must: "port-open", may: manyOut},
	{name: "this host has three ways out, all paths", ci: true, build: outbound(false), args: "--paths",
		rows: anyOut, must: "port-open", may: manyOut},
	{name: "this host has three ways out and one address, open", ci: true, build: outbound(true), rows: anyOut,
		must: "port-open", may: manyOut},
	{name: "this host has three ways out and one address, six probes", build: outbound(true), args: "-q 6",
		rows: anyOut, must: "port-open", may: manyOut},
	{name: "this host has three ways out and one address, all paths", ci: true, build: outbound(true),
		args: "--paths", rows: anyOut, must: "port-open", may: manyOut},
	{name: "this host has three ways out and one address, closed", build: outbound(true), port: 9,
		rows: anyOut, must: "port-closed", may: closedOnly + ", load-balancer likely"},
	{name: "this host has three ways out, and masquerades", build: outbound(true),
		do:   []act{self.translates("postrouting", "srcnat", `oifname "eth*" masquerade`)},
		rows: anyOut, must: "port-open", may: manyOut + ", this-host certain, snat certain",
		never: "leave it otherwise"},
	{name: "this host marks, and has two ways out by the mark", build: outbound(true), do: []act{markedOut},
		rows: "b1|c1 join T", must: "port-open", may: manyOut + ", this-host certain", never: "leave it otherwise"},
	{name: "this host has three ways out, one of them drops a port", build: outbound(true),
		do:   []act{named("b1").rules("forward", "tcp dport 80 drop")},
		rows: "a1|b1|c1 join|- T|-", must: "port-open|broken-branch|path-ends|other-way|filtered-port", may: someDie,
		truth: "branch|member|balanc"},
	{name: "this host has three ways out, one of them is dead", build: outbound(true),
		do:   []act{named("b1").rules("forward", "iifname eth0 drop")},
		rows: "a1|b1|c1 join|- T|-", must: "port-open|broken-branch|path-ends|other-way", may: someDie,
		truth: "branch|member|balanc"},
	{name: "this host has three ways out, two of them are dead by IPv4", ci: true, only: ip4, build: outbound(false),
		do: []act{
			named("a1").rules("forward", "iifname eth0 drop"), named("b1").rules("forward", "iifname eth0 drop"),
		},
		rows: "a1|b1|c1 join|- T|-", must: "port-open|broken-branch|path-ends", names: "is open|fare differently|" +
			"own ways out one is dead|shares its connections out over several ways", may: someDie,
		truth: "branch|member|balanc|several ways"},
	{name: "this host has three ways out, two of them are dead by IPv6", only: ip6, build: outbound(false),
		do: []act{
			named("a1").rules("forward", "iifname eth0 drop"), named("b1").rules("forward", "iifname eth0 drop"),
		},
		rows: "a1|b1|c1 join|- T|-", must: "port-open|broken-branch|path-ends", names: "is open|fare differently|" +
			"own ways out one is dead|shares its connections out over several ways", may: someDie,
		truth: "branch|member|balanc|several ways"},
}
