package wire

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// router asks the kernel what it would do with a flow (rtnetlink(7)).
type router struct {
	conn    *netlink.Conn // nil where netlink is refused: see sockets
	tried   sync.Once     // whether it answers, see online
	asking  sync.Mutex    // of conn, and of what askRoute keeps
	request []byte
	answer  []byte
	asked   uint32 // the number of the request
	without error  // why
	mark    uint32
	tos     uint8
	bound   int // interface index that all probes are sent by; 0: none
	iface   string
	names   map[int]string // of interfaces, as far as somebody has asked; not to be used by several goroutines
	sockets *sockets       // where there is no conn
}

// loopbackIndex is the number of the loopback interface in every network namespace (LOOPBACK_IFINDEX).
const loopbackIndex = 1

func newRouter(o Options) (*router, error) {
	r := &router{mark: o.Mark, tos: o.TOS, iface: o.Interface, names: make(map[int]string)}
	var err error
	if r.conn, err = netlink.Dial(unix.NETLINK_ROUTE, nil); err != nil {
		r.conn = nil
		r.refuse(err)
	}
	if o.Interface != "" {
		if r.bound, err = interfaceIndex(o.Interface); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// online reports whether netlink answers. That is tried when somebody first asks, for by then privileges are given up.
// If it doesn't, sockets have to do.
func (r *router) online() bool {
	r.tried.Do(func() {
		if r.conn == nil {
			return
		}
		if _, err := r.ask(unix.RTM_GETLINK, 0, linkRequest(loopbackIndex)); err != nil {
			r.Close()
			r.conn = nil
			r.refuse(err)
		}
	})
	return r.conn != nil
}

// refuse takes in why netlink isn't to be had.
func (r *router) refuse(err error) { r.without, r.sockets = without(ErrNoNetlink, err), newSockets() }

func (r *router) Close() error {
	if r.conn == nil {
		return nil
	}
	return r.conn.Close()
}

// ask has one question answered.
func (r *router) ask(kind netlink.HeaderType, flags netlink.HeaderFlags, body []byte) ([]netlink.Message, error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	return r.conn.Execute(netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | flags}, Data: body})
}

// hop is the kernel's answer.
type hop struct {
	source, gateway netip.Addr
	index           int
	local           bool
	mtu, advmss     int    // of the route itself, where it has them
	table           uint32 // if flow.tabled
}

// Route tells what the kernel does with a connection to dst, from src where its address or port is given, and with
// the mark and TOS of Options. Probes go the same way. Where they can't, because a raw socket's packets are routed
// without their ports, the rest of Route is about the probes, and Route.Elsewhere names the connection's interface.
// The error is the kernel's: ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL.
func (c *Conn) Route(dst, src netip.AddrPort) (Route, error) {
	if c.sender(dst.Addr()) < 0 {
		return Route{}, opError("raw socket", nil, unix.EAFNOSUPPORT)
	}
	return c.route.describe(dst, src, true)
}

// describe is Route for raw packets, or for connections.
func (r *router) describe(dst, src netip.AddrPort, raw bool) (Route, error) {
	if !r.online() {
		route, err := r.sockets.route(r, dst, src)
		if err != nil {
			return Route{}, opError("route to", dst.Addr(), err)
		}
		return route, nil
	}
	choice, err := r.choose(flow{dst: dst, src: src, tos: r.tos})
	if err != nil {
		return Route{}, opError("route to", dst.Addr(), err)
	}
	h := choice.connection
	elsewhere := raw && !choice.follows
	if elsewhere && choice.raw.index != 0 {
		h = choice.raw
	}
	out := Route{Source: h.source.WithZone(""), Gateway: h.gateway, Local: h.local}
	if src.Addr().IsValid() && !src.Addr().IsUnspecified() {
		out.Source = src.Addr().WithZone("")
	}
	l, err := r.link(h.index)
	if err != nil {
		return Route{}, err
	}
	out.Interface, out.MTU, out.Kind = l.name, l.mtu, l.kind
	r.names[h.index] = out.Interface
	out.MSS = h.mss(out.MTU, dst.Addr().Is6())
	if elsewhere {
		other, err := r.link(choice.connection.index)
		if err != nil {
			return Route{}, err
		}
		out.Elsewhere = other.name
	}
	return out, nil
}

// lookup asks for one flow: as a connection with its ports, or as a raw socket's packets.
func (r *router) lookup(f flow, ports bool) (hop, error) {
	h, err := r.askBy(f, ports, r.bound)
	if err == nil && r.bound != 0 && h.index != r.bound && !h.local && f.src.Addr().IsValid() {
		// Of a flow with a source IPv6 takes the interface for a wish; the sockets are bound to it.
		f.src = netip.AddrPortFrom(netip.Addr{}, f.src.Port())
		h, err = r.askBy(f, ports, r.bound)
	}
	return h, err
}

// askBy asks for a flow by an interface; 0: by any.
func (r *router) askBy(f flow, ports bool, oif int) (hop, error) {
	if !r.online() {
		return hop{}, r.without
	}
	dst, src := f.dst, f.src
	family, bits := byte(unix.AF_INET), byte(32)
	if dst.Addr().Is6() {
		family, bits = unix.AF_INET6, 128
	}
	b := attribute(nil, unix.RTA_DST, dst.Addr().AsSlice()...)
	header := unix.RtMsg{Family: family, Dst_len: bits, Tos: f.tos &^ ecnBits}
	if src.Addr().IsValid() && !src.Addr().IsUnspecified() {
		header.Src_len = bits
		b = attribute(b, unix.RTA_SRC, src.Addr().AsSlice()...)
	}
	if zone := dst.Addr().Zone(); zone != "" {
		index, err := interfaceIndex(zone)
		if err != nil {
			return hop{}, err
		}
		oif = index
	}
	number := func(kind uint16, n uint32) {
		if n != 0 {
			b = attribute(b, kind, binary.NativeEndian.AppendUint32(nil, n)...)
		}
	}
	number(unix.RTA_OIF, uint32(oif))
	number(unix.RTA_MARK, cmp.Or(f.mark, r.mark))
	if f.tabled {
		header.Flags = unix.RTM_F_LOOKUP_TABLE
	}
	b = attribute(b, unix.RTA_UID, binary.NativeEndian.AppendUint32(nil, uint32(os.Geteuid()))...)
	proto := cmp.Or(f.proto, unix.IPPROTO_TCP)
	b = attribute(b, unix.RTA_IP_PROTO, uint8(proto))
	if ports && proto == unix.IPPROTO_TCP {
		b = attribute(b, unix.RTA_DPORT, byte(dst.Port()>>8), byte(dst.Port()))
		if src.Port() != 0 {
			b = attribute(b, unix.RTA_SPORT, byte(src.Port()>>8), byte(src.Port()))
		}
	}
	return r.askRoute(header, b)
}

// ecnBits of the TOS mean nothing to routes.
const ecnBits = 3

func parseRoute(b []byte) (hop, error) {
	h := hop{local: b[7] == unix.RTN_LOCAL}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return hop{}, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.RTA_TABLE:
			h.table = ad.Uint32()
		case unix.RTA_OIF:
			h.index = int(ad.Uint32())
		case unix.RTA_PREFSRC:
			h.source, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_GATEWAY:
			h.gateway, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_VIA: // an IPv4 route by an IPv6 gateway: family, then address
			if via := ad.Bytes(); len(via) > 2 {
				h.gateway, _ = netip.AddrFromSlice(via[2:])
			}
		case unix.RTA_METRICS:
			ad.Nested(func(metrics *netlink.AttributeDecoder) error {
				for metrics.Next() {
					switch metrics.Type() {
					case unix.RTAX_MTU:
						h.mtu = int(metrics.Uint32())
					case unix.RTAX_ADVMSS:
						h.advmss = int(metrics.Uint32())
					}
				}
				return nil
			})
		}
	}
	return h, ad.Err()
}

// mss is the maximum segment size that the kernel's TCP tells the other side (ipv4_default_advmss and
// ip6_default_advmss in the kernel), where the interface has this MTU.
func (h *hop) mss(mtu int, v6 bool) int {
	switch {
	case h.advmss > 0:
		return min(h.advmss, math.MaxUint16)
	case h.mtu > 0:
		mtu = h.mtu
	}
	if v6 {
		return min(max(mtu-60, 1280-60), math.MaxUint16)
	}
	return min(max(mtu-40, 256), math.MaxUint16-40)
}

// errno takes the system's error out of netlink's wrapping, which names internals.
func errno(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// linkRequest asks for an interface: a struct ifinfomsg (rtnetlink(7)).
func linkRequest(index int) []byte {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	return body
}

// link is what the kernel says of an interface.
type link struct {
	name string
	mtu  int
	kind string // see Route.Kind
}

func (r *router) link(index int) (l link, err error) {
	if !r.online() {
		return link{}, r.without
	}
	answers, err := r.ask(unix.RTM_GETLINK, 0, linkRequest(index))
	if err != nil {
		return link{}, opError("interface number", index, errno(err))
	}
	if len(answers) != 1 || len(answers[0].Data) < unix.SizeofIfInfomsg {
		return link{}, fmt.Errorf("interface number %d: the kernel's answer can't be read", index)
	}
	ad, err := netlink.NewAttributeDecoder(answers[0].Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, opError("interface number", index, err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.name = ad.String()
		case unix.IFLA_MTU:
			l.mtu = int(ad.Uint32())
		case unix.IFLA_LINKINFO:
			ad.Nested(func(info *netlink.AttributeDecoder) error {
				for info.Next() {
					if info.Type() == unix.IFLA_INFO_KIND {
						l.kind = info.String()
					}
				}
				return nil
			})
		}
	}
	return l, opError("interface number", index, ad.Err())
}

// NextHopError is what Fault answers with: the link's neighbour, the first router or the target itself, does not
// resolve.
type NextHopError struct {
	NextHop   netip.Addr
	Interface string
}

func (e *NextHopError) Error() string {
	return fmt.Sprintf("next hop %v on %s does not answer (no ARP or neighbour discovery reply)", e.NextHop, e.Interface)
}

// Unwrap makes it the error that the kernel gives for it.
func (e *NextHopError) Unwrap() error { return unix.EHOSTUNREACH }

// Unresolved is the next hop.
func (e *NextHopError) Unresolved() netip.Addr { return e.NextHop }

// Fault tells what our own host knows of why a probe got no answer: the route is gone, or the next hop does not
// resolve; nil where it knows of nothing. Unreachable says that the kernel has answered the probe with host
// unreachable.
func (c *Conn) Fault(p packet.Probe, unreachable bool) error {
	if c.flows.elsewhere(&p) {
		return nil // what is known of the route that was meant says nothing
	}
	return c.route.fault(p, unreachable)
}

func (r *router) fault(p packet.Probe, unreachable bool) error {
	if !r.online() {
		return nil
	}
	h, err := r.lookup(flow{dst: p.Dst, src: p.Src, tos: p.TOS, proto: p.IPProtocol()}, true)
	if err != nil {
		h, err = r.lookup(flow{dst: p.Dst, tos: p.TOS, proto: p.IPProtocol()}, true)
	}
	if err != nil {
		return opError("route to", p.Dst.Addr(), err)
	}
	next := p.Dst.Addr().WithZone("")
	if h.gateway.IsValid() {
		next = h.gateway
	}
	if h.local {
		return nil
	}
	// A neighbour that didn't resolve is soon forgotten, over IPv6 within a second: the kernel's own answer is proof
	// enough.
	const vain = unix.NUD_INCOMPLETE | unix.NUD_FAILED
	switch state := r.neighbour(next, h.index); {
	case state&vain == 0 && !unreachable:
		return nil
	case state&^vain != 0:
		return nil // it answers: the kernel speaks of another one, of a route that this look-up doesn't find
	}
	l, err := r.link(h.index)
	if err != nil {
		return err
	}
	return &NextHopError{next, l.name}
}

// neighbour is the state in which the kernel knows a neighbour; 0: it doesn't know it, or doesn't tell.
func (r *router) neighbour(a netip.Addr, index int) (state uint16) {
	family := byte(unix.AF_INET)
	if a.Is6() {
		family = unix.AF_INET6
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.NDA_DST, a.AsSlice())
	attrs, err := ae.Encode()
	if err != nil {
		return 0
	}
	body := make([]byte, unix.SizeofNdMsg)
	body[0] = family
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	answers, err := r.ask(unix.RTM_GETNEIGH, 0, append(body, attrs...))
	if err != nil || len(answers) != 1 || len(answers[0].Data) < unix.SizeofNdMsg {
		return 0 // kernels before 5.0 tell nothing
	}
	return binary.NativeEndian.Uint16(answers[0].Data[8:])
}

// under reports whether what leaves by the first interface goes through the second one in turn: a bond, a bridge, a
// VLAN, and what it is made of; or the other way round, as with a VRF.
func (r *router) under(over, below int) bool {
	if !r.online() {
		return false
	}
	answers, err := r.ask(unix.RTM_GETLINK, netlink.Dump, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return false
	}
	beneath := make(map[int][]int)
	for _, a := range answers {
		if len(a.Data) < unix.SizeofIfInfomsg {
			continue
		}
		index := int(binary.NativeEndian.Uint32(a.Data[4:]))
		master, lower := stacked(a.Data[unix.SizeofIfInfomsg:])
		if master != 0 {
			beneath[master] = append(beneath[master], index)
		}
		if lower != 0 {
			beneath[index] = append(beneath[index], lower)
		}
	}
	return reaches(beneath, over, below) || reaches(beneath, below, over)
}

// stacked reads the interface that one belongs to, and the one that it stands on; 0: none. The other end of a pair is
// none, nor is what stands in another namespace.
func stacked(attributes []byte) (master, lower int) {
	ad, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return 0, 0
	}
	pair := false
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_MASTER:
			master = int(ad.Uint32())
		case unix.IFLA_LINK:
			lower = int(ad.Uint32())
		case unix.IFLA_LINK_NETNSID:
			pair = true
		case unix.IFLA_LINKINFO:
			ad.Nested(func(info *netlink.AttributeDecoder) error {
				for info.Next() {
					if info.Type() == unix.IFLA_INFO_KIND {
						pair = pair || info.String() == "veth"
					}
				}
				return nil
			})
		}
	}
	if pair {
		lower = 0
	}
	return master, lower
}

// reaches reports whether one can go down from an interface to another.
func reaches(beneath map[int][]int, from, to int) bool {
	seen := map[int]bool{from: true}
	for todo := []int{from}; len(todo) > 0; todo = todo[1:] {
		for _, next := range beneath[todo[0]] {
			if next == to {
				return true
			}
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return false
}
