package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Interface is one end of a link.
type Interface struct {
	Host      *Host
	Name      string // eth0, eth1, ...
	Index     int
	MAC       net.HardwareAddr
	V4, V6    netip.Addr
	LinkLocal netip.Addr // fe80::NUMBER:1 or :2, without a zone
	Link      *Link
	Peer      *Interface // the other end
}

// Link is a veth pair between two hosts. Link number 7 is 198.18.7.0/24 and 2001:db8:7::/64; its ends have the
// addresses ending in 1 (A) and 2 (B).
type Link struct {
	A, B       *Interface
	Net4, Net6 netip.Prefix

	mtu int
}

// Link connects two hosts.
func (l *Lab) Link(t testing.TB, a, b *Host) *Link {
	t.Helper()
	link, err := l.link(a, b)
	if err != nil {
		t.Fatalf("lab: link %s - %s: %v", a.Name, b.Name, err)
	}
	return link
}

func (l *Lab) link(a, b *Host) (*Link, error) {
	l.mu.Lock()
	l.links++
	n := l.links
	l.mu.Unlock()
	if n > 255 {
		return nil, errors.New("more than 255 links")
	}
	four, six := l.Net4.Masked().Addr().As4(), l.Net6.Masked().Addr().As16()
	four[2], six[5] = byte(n), byte(n)
	link := &Link{
		Net4: netip.PrefixFrom(netip.AddrFrom4(four), 24),
		Net6: netip.PrefixFrom(netip.AddrFrom16(six), 64),
		mtu:  1500,
	}
	end := func(h *Host, side byte) *Interface {
		four, six := four, six
		four[3], six[15] = side, side
		return &Interface{
			Host:      h,
			Name:      fmt.Sprintf("eth%d", len(h.Interfaces)),
			MAC:       net.HardwareAddr{2, 0x1a, 0xb0, 0, byte(n), side},
			V4:        netip.AddrFrom4(four),
			V6:        netip.AddrFrom16(six),
			LinkLocal: netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: byte(n), 15: side}),
			Link:      link,
		}
	}
	link.A, link.B = end(a, 1), end(b, 2)
	link.A.Peer, link.B.Peer = link.B, link.A
	veth := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: link.A.Name, HardwareAddr: link.A.MAC, MTU: link.mtu},
		PeerName:         link.B.Name,
		PeerHardwareAddr: link.B.MAC,
		PeerMTU:          uint32(link.mtu),
		PeerNamespace:    netlink.NsFd(b.ns.Fd()),
	}
	if err := a.nl.LinkAdd(veth); err != nil {
		return nil, err
	}
	for _, i := range []*Interface{link.A, link.B} {
		dev, err := i.Host.nl.LinkByName(i.Name)
		if err != nil {
			return nil, err
		}
		i.Index = dev.Attrs().Index
		i.Host.Interfaces = append(i.Host.Interfaces, i)
	}
	if err := errors.Join(link.A.up(), link.B.up()); err != nil {
		return nil, err
	}
	return link, link.ready()
}

// ready waits until both ends, which are up, send and receive.
func (l *Link) ready() error {
	for _, i := range []*Interface{l.A, l.B} {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			ok, err := i.ready()
			if err != nil {
				return err
			}
			if ok {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s of %s doesn't come up", i.Name, i.Host.Name)
			}
		}
	}
	return nil
}

// ready tells whether the kernel has done what it does behind our back. After its peer came up, an interface swallows
// packets until the link watch has seen to it (asking for one interface makes a kernel from 6.7 on do that at once).
// And an IPv6 address takes no packets until duplicate address detection is over, which a work queue does even where
// there is nothing to do; then there is a local route.
func (i *Interface) ready() (bool, error) {
	dev, err := i.Host.nl.LinkByIndex(i.Index)
	if err != nil || dev.Attrs().OperState != netlink.OperUp {
		return false, err
	}
	local := &netlink.Route{Table: unix.RT_TABLE_LOCAL, LinkIndex: i.Index}
	routes, err := i.Host.nl.RouteListFiltered(netlink.FAMILY_V6, local, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF)
	if err != nil {
		return false, err
	}
	taken := make(map[netip.Addr]bool)
	for _, r := range routes {
		if a, ok := netip.AddrFromSlice(r.Dst.IP); ok && r.Type == unix.RTN_LOCAL {
			taken[a] = true
		}
	}
	return taken[i.V6] && taken[i.LinkLocal], nil
}

// up brings the interface up, with all its addresses and neighbours, whatever is there already.
func (i *Interface) up() error {
	nl := i.Host.nl
	dev := i.device()
	if err := nl.LinkSetUp(dev); err != nil {
		return fmt.Errorf("%s: up: %w", i.Name, err)
	}
	for _, a := range []struct {
		own, peer netip.Addr
		bits      int
	}{{i.V4, i.Peer.V4, 24}, {i.V6, i.Peer.V6, 64}, {i.LinkLocal, i.Peer.LinkLocal, 64}} {
		addr := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a.own, a.bits)), Flags: unix.IFA_F_NODAD}
		if err := nl.AddrReplace(dev, addr); err != nil {
			return fmt.Errorf("%s: address %s: %w", i.Name, a.own, err)
		}
		neigh := &netlink.Neigh{LinkIndex: i.Index, State: unix.NUD_PERMANENT, IP: a.peer.AsSlice(), HardwareAddr: i.Peer.MAC}
		if err := nl.NeighSet(neigh); err != nil {
			return fmt.Errorf("%s: neighbour %s: %w", i.Name, a.peer, err)
		}
	}
	return nil
}

// Down takes the interface down. Its routes vanish with it, as on any host, and come back when t ends or the function
// it returns is called.
func (i *Interface) Down(t testing.TB) (up func()) {
	t.Helper()
	routes := i.Host.routes(t)
	if err := i.Host.nl.LinkSetDown(i.device()); err != nil {
		t.Fatalf("lab: %s: %s: %v", i.Host.Name, i.Name, err)
	}
	up = sync.OnceFunc(func() {
		if err := errors.Join(i.up(), i.Link.ready(), i.Host.restore(routes)); err != nil {
			t.Errorf("lab: %s: %v", i.Host.Name, err)
		}
	})
	t.Cleanup(up)
	return up
}

// SetMTU changes the MTU of both ends until t ends. IPv6 leaves a link of less than 1280 bytes, with its routes.
func (l *Link) SetMTU(t testing.TB, mtu int) {
	t.Helper()
	a, b := l.A.Host.routes(t), l.B.Host.routes(t)
	set := func(mtu int) error {
		return errors.Join(l.A.Host.nl.LinkSetMTU(l.A.device(), mtu), l.B.Host.nl.LinkSetMTU(l.B.device(), mtu))
	}
	old := l.mtu
	t.Cleanup(func() {
		l.mtu = old
		if err := set(old); err != nil {
			t.Errorf("lab: MTU %d: %v", old, err)
		}
		if old < 1280 {
			return
		}
		if err := errors.Join(l.A.up(), l.B.up(), l.ready(), l.A.Host.restore(a), l.B.Host.restore(b)); err != nil {
			t.Errorf("lab: MTU %d: %v", old, err)
		}
	})
	l.mtu = mtu
	if err := set(mtu); err != nil {
		t.Fatalf("lab: MTU %d: %v", mtu, err)
	}
}

// routes are those that the host was given: the kernel's own come and go with the addresses.
func (h *Host) routes(t testing.TB) []netlink.Route {
	t.Helper()
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := h.nl.RouteListFiltered(netlink.FAMILY_ALL, all, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatalf("lab: %s: routes: %v", h.Name, err)
	}
	return slices.DeleteFunc(routes, func(r netlink.Route) bool { return r.Protocol == unix.RTPROT_KERNEL })
}

func (h *Host) restore(routes []netlink.Route) error {
	for _, r := range routes {
		if err := h.nl.RouteReplace(&r); err != nil {
			return fmt.Errorf("route %v: %w", r, err)
		}
	}
	return nil
}

func (i *Interface) device() netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: i.Index}}
}

// Forget removes what the lab entered by hand about the interface's neighbour, so that the host must ask, until t ends.
func (i *Interface) Forget(t testing.TB) {
	t.Helper()
	for _, peer := range []netip.Addr{i.Peer.V4, i.Peer.V6, i.Peer.LinkLocal} {
		if err := i.Host.nl.NeighDel(&netlink.Neigh{LinkIndex: i.Index, IP: peer.AsSlice()}); err != nil {
			t.Fatalf("lab: %s: neighbour %s: %v", i.Host.Name, peer, err)
		}
	}
	t.Cleanup(func() {
		if err := i.up(); err != nil {
			t.Errorf("lab: %s: %v", i.Host.Name, err)
		}
	})
}

// Route enters a route by way of the neighbours on the interfaces. With more than one, each flow takes one of them.
func (h *Host) Route(t testing.TB, to netip.Prefix, via ...*Interface) {
	t.Helper()
	if err := h.route(to, 0, via...); err != nil {
		t.Fatalf("lab: %s: route %s: %v", h.Name, to, err)
	}
}

// Default enters default routes for both families.
func (h *Host) Default(t testing.TB, via ...*Interface) {
	t.Helper()
	h.Route(t, default4, via...)
	h.Route(t, default6, via...)
}

var (
	default4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	default6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// route enters a route in a table, 0 for the main one.
func (h *Host) route(to netip.Prefix, table int, via ...*Interface) error {
	r := &netlink.Route{Dst: ipNet(to), Table: table}
	for _, i := range via {
		gw := i.Peer.V6
		if to.Addr().Is4() {
			gw = i.Peer.V4
		}
		if len(via) == 1 {
			r.LinkIndex, r.Gw = i.Index, gw.AsSlice()
		} else {
			r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: i.Index, Gw: gw.AsSlice()})
		}
	}
	return h.nl.RouteReplace(r)
}

// AddAddr gives the host one more address, on lo, until t ends. Getting packets for it there is the matter of routes.
func (h *Host) AddAddr(t testing.TB, a netip.Addr) {
	t.Helper()
	lo := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: 1}}
	addr := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: unix.IFA_F_NODAD}
	if err := h.nl.AddrAdd(lo, addr); err != nil {
		t.Fatalf("lab: %s: address %s: %v", h.Name, a, err)
	}
	t.Cleanup(func() {
		if err := h.nl.AddrDel(lo, addr); err != nil {
			t.Errorf("lab: %s: address %s: %v", h.Name, a, err)
		}
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
