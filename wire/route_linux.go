package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"tcptraceroute/packet"
)

// router asks the kernel what it would do with a flow (rtnetlink(7)).
type router struct {
	conn  *netlink.Conn
	mark  uint32
	bound int // interface index that all probes are sent by; 0: none
}

func newRouter(o Options) (*router, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, opError("netlink", nil, err)
	}
	r := &router{conn: conn, mark: o.Mark}
	if o.Interface != "" {
		if r.bound, err = interfaceIndex(o.Interface); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return r, nil
}

func (r *router) Close() error { return r.conn.Close() }

// hop is the kernel's answer.
type hop struct {
	source, gateway netip.Addr
	index           int
	local           bool
	mtu, advmss     int // of the route itself, where it has them
}

// Route tells what the kernel does with probes to dst, from src where its address is given. A raw socket's packets are
// routed without their ports, so rules that look at ports don't apply to them; where those would send a TCP connection
// with these ports by another interface, Route.Elsewhere says so. The error is the kernel's: ENETUNREACH, EHOSTUNREACH,
// EACCES, EINVAL.
func (c *Conn) Route(dst, src netip.AddrPort) (Route, error) {
	return c.route.describe(dst, src, false)
}

// describe is Route for raw packets, or for connections, which are routed by their ports too.
func (r *router) describe(dst, src netip.AddrPort, ports bool) (Route, error) {
	given := src.Addr().IsValid() && !src.Addr().IsUnspecified()
	h, err := r.lookup(dst, src, ports)
	if err != nil && given {
		// The source is not an address of this host. The packets go where the others go.
		h, err = r.lookup(dst, netip.AddrPort{}, ports)
	}
	if err != nil {
		return Route{}, opError("route to", dst.Addr(), err)
	}
	out := Route{Source: h.source.WithZone(""), Gateway: h.gateway, Local: h.local}
	if given {
		out.Source = src.Addr().WithZone("")
	}
	if out.Interface, out.MTU, err = r.link(h.index); err != nil {
		return Route{}, err
	}
	out.MSS = h.mss(out.MTU, dst.Addr().Is6())
	if exact, err := r.lookup(dst, src, true); err == nil && exact.index != h.index {
		if out.Elsewhere, _, err = r.link(exact.index); err != nil {
			return Route{}, err
		}
	}
	return out, nil
}

// lookup asks for one flow: as a TCP connection with its ports, or as a raw socket's packets.
func (r *router) lookup(dst, src netip.AddrPort, ports bool) (hop, error) {
	h, err := r.ask(dst, src, ports)
	if err == nil && r.bound != 0 && h.index != r.bound && !h.local && src.Addr().IsValid() {
		// Of a flow with a source IPv6 takes the interface for a wish; the sockets are bound to it.
		h, err = r.ask(dst, netip.AddrPortFrom(netip.Addr{}, src.Port()), ports)
	}
	return h, err
}

func (r *router) ask(dst, src netip.AddrPort, ports bool) (hop, error) {
	family, bits := byte(unix.AF_INET), byte(32)
	if dst.Addr().Is6() {
		family, bits = unix.AF_INET6, 128
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, dst.Addr().AsSlice())
	header := unix.RtMsg{Family: family, Dst_len: bits, Flags: 0}
	if src.Addr().IsValid() && !src.Addr().IsUnspecified() {
		header.Src_len = bits
		ae.Bytes(unix.RTA_SRC, src.Addr().AsSlice())
	}
	oif := r.bound
	if zone := dst.Addr().Zone(); zone != "" {
		index, err := interfaceIndex(zone)
		if err != nil {
			return hop{}, err
		}
		oif = index
	}
	if oif != 0 {
		ae.Uint32(unix.RTA_OIF, uint32(oif))
	}
	if r.mark != 0 {
		ae.Uint32(unix.RTA_MARK, r.mark)
	}
	ae.Uint32(unix.RTA_UID, uint32(os.Geteuid()))
	if ports {
		ae.Uint8(unix.RTA_IP_PROTO, unix.IPPROTO_TCP)
		ae.Bytes(unix.RTA_DPORT, []byte{byte(dst.Port() >> 8), byte(dst.Port())})
		if src.Port() != 0 {
			ae.Bytes(unix.RTA_SPORT, []byte{byte(src.Port() >> 8), byte(src.Port())})
		}
	}
	attrs, err := ae.Encode()
	if err != nil {
		return hop{}, err
	}
	body := []byte{
		header.Family, header.Dst_len, header.Src_len, header.Tos, header.Table, header.Protocol, header.Scope, header.Type,
		0, 0, 0, 0,
	}
	answers, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request},
		Data:   append(body, attrs...),
	})
	if err != nil {
		return hop{}, errno(err)
	}
	if len(answers) != 1 || len(answers[0].Data) < unix.SizeofRtMsg {
		return hop{}, errors.New("the kernel's answer can't be read")
	}
	return parseRoute(answers[0].Data)
}

func parseRoute(b []byte) (hop, error) {
	h := hop{local: b[7] == unix.RTN_LOCAL}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return hop{}, err
	}
	for ad.Next() {
		switch ad.Type() {
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

// mss is the maximum segment size that the kernel's TCP tells the other side (ipv4_default_advmss and ip6_default_advmss in
// the kernel), where the interface has this MTU.
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

// link is the name and MTU of an interface.
func (r *router) link(index int) (name string, mtu int, err error) {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	answers, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request},
		Data:   body,
	})
	if err != nil {
		return "", 0, opError("interface number", index, errno(err))
	}
	if len(answers) != 1 || len(answers[0].Data) < unix.SizeofIfInfomsg {
		return "", 0, fmt.Errorf("interface number %d: the kernel's answer can't be read", index)
	}
	ad, err := netlink.NewAttributeDecoder(answers[0].Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return "", 0, opError("interface number", index, err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			name = ad.String()
		case unix.IFLA_MTU:
			mtu = int(ad.Uint32())
		}
	}
	return name, mtu, opError("interface number", index, ad.Err())
}

// NextHopError is what Fault answers with: the link's neighbour, the first router or the target itself, does not resolve.
type NextHopError struct {
	NextHop   netip.Addr
	Interface string
}

func (e *NextHopError) Error() string {
	return fmt.Sprintf("next hop %v on %s does not answer (no ARP or neighbour discovery reply)", e.NextHop, e.Interface)
}

// Unwrap makes it the error that the kernel gives for it.
func (e *NextHopError) Unwrap() error { return unix.EHOSTUNREACH }

// Fault tells what our own host knows of why a probe got no answer: the route is gone, or the next hop does not resolve;
// nil where it knows of nothing.
func (c *Conn) Fault(p packet.Probe) error { return c.route.fault(p) }

func (r *router) fault(p packet.Probe) error {
	h, err := r.lookup(p.Dst, netip.AddrPort{}, false)
	if err != nil {
		return opError("route to", p.Dst.Addr(), err)
	}
	next := p.Dst.Addr().WithZone("")
	if h.gateway.IsValid() {
		next = h.gateway
	}
	if h.local || !r.unresolved(next, h.index) {
		return nil
	}
	name, _, err := r.link(h.index)
	if err != nil {
		return err
	}
	return &NextHopError{next, name}
}

// unresolved reports whether the kernel is looking for this neighbour in vain.
func (r *router) unresolved(a netip.Addr, index int) bool {
	family := byte(unix.AF_INET)
	if a.Is6() {
		family = unix.AF_INET6
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.NDA_DST, a.AsSlice())
	attrs, err := ae.Encode()
	if err != nil {
		return false
	}
	body := make([]byte, unix.SizeofNdMsg)
	body[0] = family
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	answers, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETNEIGH, Flags: netlink.Request},
		Data:   append(body, attrs...),
	})
	if err != nil || len(answers) != 1 || len(answers[0].Data) < unix.SizeofNdMsg {
		return false // kernels before 5.0 tell nothing
	}
	state := binary.NativeEndian.Uint16(answers[0].Data[8:])
	return state&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) != 0
}
