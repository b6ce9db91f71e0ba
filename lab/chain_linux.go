package lab

import (
	"net/netip"
	"strconv"
	"testing"
)

// ChainOptions say what [Chain] builds.
type ChainOptions struct {
	Hops   int   // where the target answers, 1 (no router) to 100; 0: 4
	Silent []int // TTLs of routers that never answer
	// Net4 and Net6 replace those of [Lab]. Names of private addresses (10.0.0.0/16) aren't looked up by everyone.
	Net4, Net6 netip.Prefix
}

// Path is a ready network with one way from Source to Target.
type Path struct {
	*Lab
	Source, Target *Host
	Routers        []*Host // Routers[0] answers at TTL 1
	Links          []*Link // Links[0] is Source's
}

// Chain builds a line of routers, for IPv4 and IPv6:
//
//	source ----- r1 ----- r2 ----- ... ----- target
//	       .1  .2   .1  .2   .1           .2
//	   eth0  eth0 eth1 eth0 eth1            eth0
//	      link 1    link 2     link 3    link Hops
//	198.18.1.0/24  198.18.2.0/24  ...
//	2001:db8:1::/64  2001:db8:2::/64
//
// The router at TTL n is seen as 198.18.n.2 and 2001:db8:n::2, and so is the target at TTL Hops. Source and routers
// send what they don't know towards the target, which has no default route: an address given to the target by
// [Host.AddAddr] is reached, and any other one is unreachable there. All links are reached from everywhere.
func Chain(t testing.TB, o ChainOptions) *Path {
	t.Helper()
	if o.Hops == 0 {
		o.Hops = 4
	}
	if o.Hops < 1 || o.Hops > 100 {
		t.Fatalf("lab: a chain of %d hops", o.Hops)
	}
	p := &Path{Lab: New(t)}
	p.setNets(o.Net4, o.Net6)
	p.Source = p.Host(t, "source")
	hosts := []*Host{p.Source}
	for i := range o.Hops - 1 {
		r := p.Host(t, "r"+strconv.Itoa(i+1))
		p.Routers = append(p.Routers, r)
		hosts = append(hosts, r)
	}
	p.Target = p.Host(t, "target")
	hosts = append(hosts, p.Target)
	for i := range o.Hops {
		p.Links = append(p.Links, p.Link(t, hosts[i], hosts[i+1]))
	}
	for i, h := range hosts {
		if i < o.Hops {
			h.Default(t, p.Links[i].A)
		}
		for k := range i - 1 { // links that end before the one to the host ahead
			h.Route(t, p.Links[k].Net4, p.Links[i-1].B)
			h.Route(t, p.Links[k].Net6, p.Links[i-1].B)
		}
	}
	for _, ttl := range o.Silent {
		p.Hop(ttl).Silent(t)
	}
	return p
}

// Hop is the host that answers at a TTL.
func (p *Path) Hop(ttl int) *Host {
	if ttl == len(p.Links) {
		return p.Target
	}
	return p.Routers[ttl-1]
}

// DiamondOptions say what [Diamond] builds.
type DiamondOptions struct {
	Width      int  // routers side by side, 2 to 16; 0: 2
	PerPacket  bool // each packet takes the next one in turn, not each flow its own (by addresses, ports and protocol)
	Beyond     int  // routers between join and target
	Net4, Net6 netip.Prefix
}

// Mesh is a ready network with several ways from Source to Target.
type Mesh struct {
	*Lab
	Source, Split, Join, Target *Host
	Middle                      []*Host
	Beyond                      []*Host // routers between Join and Target
}

// Diamond builds routers side by side, for IPv4 and IPv6:
//
//	                  .---- m1 ----.
//	source --- split -+---- m2 ----+- join --- target
//	                  '---- mN ----'
//	TTL          1          2          3         4
//
// The way back is always by m1. Join answers in IPv4 from its address there, in IPv6 from the one where the packet
// came in.
func Diamond(t testing.TB, o DiamondOptions) *Mesh {
	t.Helper()
	if o.Width == 0 {
		o.Width = 2
	}
	if o.Width < 2 || o.Width > 16 {
		t.Fatalf("lab: a diamond of width %d", o.Width)
	}
	m := &Mesh{Lab: New(t)}
	m.setNets(o.Net4, o.Net6)
	m.Source, m.Split = m.Host(t, "source"), m.Host(t, "split")
	first := m.Link(t, m.Source, m.Split)
	m.Source.Default(t, first.A)
	var out, in []*Interface // of split, of join
	m.Join = m.Host(t, "join")
	for i := range o.Width {
		h := m.Host(t, "m"+strconv.Itoa(i+1))
		m.Middle = append(m.Middle, h)
		a, b := m.Link(t, m.Split, h), m.Link(t, h, m.Join)
		out, in = append(out, a.A), append(in, b.B)
		h.Default(t, b.A)
		h.Route(t, first.Net4, a.B)
		h.Route(t, first.Net6, a.B)
	}
	m.Join.Route(t, first.Net4, in[0])
	m.Join.Route(t, first.Net6, in[0])
	last := m.Join
	for i := range o.Beyond + 1 {
		name := "target"
		if i < o.Beyond {
			name = "r" + strconv.Itoa(i+1)
		}
		h := m.Host(t, name)
		if i < o.Beyond {
			m.Beyond = append(m.Beyond, h)
		}
		link := m.Link(t, last, h)
		last.Default(t, link.A)
		h.Route(t, first.Net4, link.B)
		h.Route(t, first.Net6, link.B)
		last = h
	}
	m.Target = last
	// Policy 1 hashes the ports too, as the routers of today do.
	m.Split.Sysctl(t, "net.ipv4.fib_multipath_hash_policy", "1")
	m.Split.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", "1")
	m.Split.Default(t, out...)
	if o.PerPacket {
		m.Split.spread(t, out)
	}
	return m
}

// spread sends the packets that come in on eth0 by the interfaces in turn: the kernel itself knows ways for flows only.
func (h *Host) spread(t testing.TB, out []*Interface) {
	t.Helper()
	h.NFT(t, chain("filter", "prerouting", "mangle", []string{
		"iifname eth0 meta mark set numgen inc mod " + strconv.Itoa(len(out)) + " offset 1",
	}))
	for i, via := range out {
		table := strconv.Itoa(i + 1)
		for _, to := range []netip.Prefix{default4, default6} {
			if err := h.route(to, i+1, via); err != nil {
				t.Fatalf("lab: %s: table %s: %v", h.Name, table, err)
			}
		}
		h.IP(t, "rule add fwmark "+table+" lookup "+table)
		h.IP(t, "-6 rule add fwmark "+table+" lookup "+table)
	}
}

func (l *Lab) setNets(net4, net6 netip.Prefix) {
	if net4.IsValid() {
		l.Net4 = net4
	}
	if net6.IsValid() {
		l.Net6 = net6
	}
}
