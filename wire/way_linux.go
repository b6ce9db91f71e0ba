package wire

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/packet"
)

// way is how the probes of a flow are handed to the kernel, so that it routes them as it would a connection with
// their source, mark, TOS and ports. A raw socket's packets are routed without a source, a TOS and a protocol unless
// the kernel is told, and always without ports.
type way struct {
	to      unix.Sockaddr
	control []byte
	index   int    // the interface that a connection would leave by; 0: not known
	iface   string // its name, where that is known already
}

// wayKey is what a way depends on.
type wayKey struct {
	src, dst netip.AddrPort
	tos      uint8
	protocol packet.Protocol
}

// maxWays are remembered: of very many targets only few are traced at a time.
const maxWays = 4096

// way finds the way of a probe. Each flow's is asked for once, as long as there aren't very many.
func (c *Conn) way(p *packet.Probe) (*way, error) {
	key := wayKey{p.Src, p.Dst, p.TOS, p.Protocol}
	if c.last != nil && c.lastKey == key {
		return c.last, nil
	}
	w := c.ways[key]
	if w == nil {
		var keep bool
		var err error
		if w, keep, err = c.newWay(p); err != nil {
			return nil, err
		}
		if keep {
			if len(c.ways) == maxWays {
				clear(c.ways) // those that are still in use are asked for once more
			}
			c.ways[key] = w
		}
	}
	if c.ways[key] == w {
		c.last, c.lastKey = w, key
	}
	return w, nil
}

// newWay asks for one. keep is false where there is no route now.
func (c *Conn) newWay(p *packet.Probe) (w *way, keep bool, err error) {
	proto := 0
	if !c.noProto {
		proto = p.IPProtocol()
	}
	w = &way{}
	// In IPv6 what would be a port is the protocol (ipv6(7)).
	to := p.Dst.Addr()
	if w.to, err = sockaddr(to, pickPort(to, proto)); err != nil {
		return nil, false, err
	}
	flow := flow{dst: p.Dst, src: p.Src, tos: p.TOS, proto: p.IPProtocol()}
	choice, rerr := c.route.choose(flow)
	var own netip.Addr
	forced := 0
	if rerr == nil {
		w.index, w.iface = choice.take().index, c.route.names[choice.take().index]
		forced = choice.forced
		if choice.sourced {
			own = p.Src.Addr().WithZone("")
		}
	} else if !c.route.online() {
		own = p.Src.Addr().WithZone("")
	}
	w.control = controlMessages(to.Is4(), own, forced, p.TOS, proto)
	return w, rerr == nil || !c.route.online(), nil
}

func pickPort(to netip.Addr, proto int) uint16 {
	if to.Is4() {
		return 0
	}
	return uint16(proto)
}

// controlMessages tell the kernel what to route a raw packet by: its source where it is valid, an interface where it
// is not 0, its TOS, and its protocol where that is not 0.
func controlMessages(v4 bool, src netip.Addr, index int, tos uint8, proto int) (b []byte) {
	number := func(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }
	if v4 {
		if src.Is4() || index != 0 {
			info := number(index) // struct in_pktinfo
			if src.Is4() {
				info = append(info, src.AsSlice()...)
			} else {
				info = append(info, 0, 0, 0, 0)
			}
			b = cmsg(b, unix.SOL_IP, unix.IP_PKTINFO, append(info, 0, 0, 0, 0))
		}
		b = cmsg(b, unix.SOL_IP, unix.IP_TOS, number(int(tos)))
		if proto != 0 {
			b = cmsg(b, unix.SOL_IP, unix.IP_PROTOCOL, number(proto))
		}
		return b
	}
	if src.Is6() || index != 0 {
		info := make([]byte, 16, 20) // struct in6_pktinfo
		if src.Is6() {
			copy(info, src.AsSlice())
		}
		b = cmsg(b, unix.SOL_IPV6, unix.IPV6_PKTINFO, append(info, number(index)...))
	}
	return cmsg(b, unix.SOL_IPV6, unix.IPV6_TCLASS, number(int(tos)))
}

// flow is what the kernel chooses a route by, besides the mark and the user.
type flow struct {
	dst, src netip.AddrPort
	tos      uint8
	proto    int // 0: TCP
	mark     uint32
	tabled   bool // the table is asked for, too
}

// choice is what the kernel would do with a flow.
type choice struct {
	connection hop  // with a connection
	raw        hop  // with raw packets; of no meaning where they have no route
	follows    bool // raw packets go the way of a connection, if they are told the interface in forced
	forced     int  // 0: they go there anyway
	sourced    bool // the kernel has been asked with the source
}

// take is the way that raw packets take.
func (c *choice) take() hop {
	if c.follows {
		return c.connection
	}
	return c.raw
}

// choose asks the kernel. The error is that of a connection.
func (r *router) choose(f flow) (c choice, err error) {
	given := f.src.Addr().IsValid() && !f.src.Addr().IsUnspecified()
	c.sourced = given
	c.connection, err = r.lookup(f, true)
	if err != nil && given {
		// The source is not an address of this host. The packets go where the others go.
		without := f
		without.src = netip.AddrPortFrom(netip.Addr{}, f.src.Port())
		if h, werr := r.lookup(without, true); werr == nil {
			f, c.connection, c.sourced, err = without, h, false, nil
		}
	}
	if err != nil {
		return c, err
	}
	var rerr error
	c.raw, rerr = r.lookup(f, false)
	if rerr == nil && c.raw.index == c.connection.index {
		c.follows = c.raw.gateway == c.connection.gateway // no message to the kernel chooses among gateways of one link
		if !given && f.src.Port() != 0 && c.connection.source.IsValid() {
			// A connection asks once more, with the source that it has got. That may lead to another gateway.
			f.src = netip.AddrPortFrom(c.connection.source, f.src.Port())
			if again, err := r.choose(f); err == nil {
				c.follows = again.follows
			}
		}
		return c, nil
	}
	if rerr != nil {
		c.raw = hop{}
	}
	unsourced := f
	unsourced.src = netip.AddrPort{}
	for _, try := range []flow{f, unsourced} { // in IPv6 an interface is a wish only, unless there is no source
		h, err := r.askBy(try, false, c.connection.index)
		if err == nil && h.index == c.connection.index && h.gateway == c.connection.gateway {
			c.follows, c.forced, c.sourced = true, c.connection.index, c.sourced && try.src == f.src
			break
		}
	}
	return c, nil
}
