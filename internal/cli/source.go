package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"go.example/tcptraceroute/wire"
)

// open opens the sockets.
func (p *program) open() (medium, error) {
	if p.ifaceSet && p.iface == "" {
		return nil, p.noDevice()
	}
	return p.openNetwork(p.wireOptions())
}

// wireOptions is what the sockets have to be told.
func (p *program) wireOptions() wire.Options {
	o := wire.Options{Interface: p.iface, Mark: p.mark, TOS: uint8(p.path.TOS), Sessions: p.inSession || p.mtu,
		Attempts: p.explain, Chains: p.explain && p.root}
	if p.portSet && p.port < 1024 && !p.anyPort {
		o.Port = uint16(p.port)
	}
	return o
}

const (
	// userRate is how many packets a second users who are not root may send, whatever they ask for: the binary may lend
	// them its privilege.
	userRate = 200

	// userSpacing keeps one trace below that of its own accord, with a timer that is a little early too.
	userSpacing = 5100 * time.Microsecond
)

// dropTrackPort settles that probes with a given source port can't have ports of their own.
func (p *program) dropTrackPort() {
	if p.trackPort && p.portSet {
		fmt.Fprintln(p.stderr, "Warning: --track-id implied by specifying the local source port")
		p.trackPort = false
	}
}

// findRoute asks what the kernel does with a connection like the probes.
func (p *program) findRoute(conn medium) (err error) {
	p.route, err = conn.Route(p.path.Target, netip.AddrPortFrom(p.path.Source.Addr(), uint16(p.port)))
	switch {
	case errors.Is(err, syscall.ENODEV): // a zone that the user gave
		return fmt.Errorf("connect: %s: %s", capital(reason(err)), p.path.Target.Addr().Zone())
	case err != nil:
		return &routeError{reason(err)}
	case !p.route.Source.IsValid() || p.route.Source.IsUnspecified():
		return &routeError{fmt.Errorf("%s has no address to send from", quoted(p.route.Interface))}
	}
	return nil
}

// wayOut finds the way out, and the network that goes it: raw packets don't follow routing rules that look at ports,
// and connections do.
func (p *program) wayOut(conn medium) (medium, error) {
	if err := p.findRoute(conn); err != nil || p.route.Elsewhere == "" {
		return conn, err
	}
	o := p.wireOptions()
	if p.needsRaw() != "" || o.Port != 0 {
		fmt.Fprintf(p.stderr,
			"Warning: a routing rule that looks at ports sends such connections by %s; the probes go by %s\n",
			quoted(p.route.Elsewhere), quoted(p.route.Interface))
		return conn, nil
	}
	by, err := wire.OpenUnprivileged(o)
	if err != nil {
		return conn, p.socketError(err)
	}
	p.connecting, p.why = true, ", for a routing rule looks at ports"
	conn.Close()
	return by, p.findRoute(by)
}

// reserve takes the source ports.
func (p *program) reserve(ctx context.Context, conn medium) (err error) {
	route := p.route
	if err := p.ownSource(conn, route); err != nil {
		return err
	}
	p.dropTrackPort()
	ports := []uint16{uint16(p.port)}
	if p.portSet {
		if err := p.takePort(conn, route.Source.Is6()); err != nil {
			return err
		}
	}
	if err := p.path.Validate(); err != nil {
		return err
	}
	if port, ok := p.enterSession(ctx, conn, ownAddress(route)); ok {
		ports = []uint16{port}
	} else if !p.portSet {
		if ports, err = p.freePorts(conn, ownAddress(route)); err != nil {
			return err
		}
	}
	p.path.Source, p.path.LabelSeed = netip.AddrPortFrom(route.Source, ports[0]), rand.Uint64()
	if again, err := conn.Route(p.path.Target, p.path.Source); err == nil && !p.trackPort { // now that the port is known
		route = again
	}
	p.shapeSYN(route)
	if p.trackPort {
		p.path.Ports = ports
	} else {
		p.path.ProbePorts = ports[1:]
	}
	if p.plan, err = p.newPlan(); err != nil {
		return err
	}
	p.out, p.own, p.linkMTU = route.Interface, ownAddress(route), route.MTU
	if least := p.plan.Length(0); p.path.Length != 0 && p.path.Length < least {
		fmt.Fprintf(p.stderr, "Warning: Increasing packet length to %d bytes\n", least)
	}
	p.sayHow(conn)
	p.saySourcePort()
	p.sayNoAnswer(conn, route)
	device := fmt.Sprintf("Selected device %s, address %s", route.Interface, route.Source)
	if route.Interface == "" {
		device = fmt.Sprintf("Selected address %s", route.Source)
	}
	if !p.trackPort {
		device += fmt.Sprintf(", port %d", ports[0])
	}
	fmt.Fprintf(p.stderr, "%s for outgoing packets\n", quoted(device))
	return nil
}

// ownSource refuses, to users who are not root, a source address that their own connections couldn't have: the
// program may have been lent its privilege, and with it the kernel takes any.
func (p *program) ownSource(conn medium, out wire.Route) error {
	if p.root || !p.sourceSet {
		return nil
	}
	switch {
	case p.answerable(conn, out):
		return nil
	case out.Source.IsLoopback():
		return fmt.Errorf("Bad source address: %s (%s)", out.Source, onlyItself)
	case p.iface != "": // a socket bound to an interface knows its addresses only
		return fmt.Errorf("Bad source address: %s is not an address of %s", out.Source, p.iface)
	}
	return notOurs(out.Source)
}

// answerable reports whether answers to what leaves this way get back here by its source address.
func (p *program) answerable(conn medium, out wire.Route) bool {
	// Multicast and broadcast addresses can be bound to (ip(7)), so binding proves nothing.
	to, err := conn.Route(netip.AddrPortFrom(out.Source, 0), netip.AddrPort{})
	return err == nil && to.Local && (out.Local || !out.Source.IsLoopback())
}

// saySourcePort says what -p is, where somebody may have meant the target's port.
func (p *program) saySourcePort() {
	if !p.portSet || p.serviceSet {
		return
	}
	by := "-p"
	if p.anyPort {
		by = "-P"
	}
	fmt.Fprintf(p.stderr,
		"Warning: %s %d is the source port; the target's port is %d. For the target's port %[2]d: tcptraceroute HOST %[2]d\n",
		by, p.port, p.path.Target.Port())
}

// orTarget says, behind the refusal of a source port, how to give the target's port, which may have been meant.
func (p *program) orTarget() string {
	if p.serviceSet {
		return ""
	}
	return fmt.Sprintf(" (it is the source port; for the target's port: tcptraceroute HOST %d)", p.port)
}

// sayNoAnswer warns before a trace that can't be answered.
func (p *program) sayNoAnswer(conn medium, out wire.Route) {
	switch own, err := net.InterfaceAddrs(); {
	case p.iface == "lo" && !out.Local:
		fmt.Fprintf(p.stderr,
			"Warning: -i lo leads to this host only, and %v is not one of its addresses: no answer will come\n",
			p.path.Target.Addr())
	case !p.sourceSet || err != nil || p.answerable(conn, out):
	case out.Source.IsLoopback():
		fmt.Fprintf(p.stderr, "Warning: the source address %v: %s\n", out.Source, onlyItself)
	case !slices.ContainsFunc(own, func(a net.Addr) bool { return isAddr(a, out.Source) }):
		// Of a socket that is bound to an interface only the addresses of that are answerable; others may be all the same.
		fmt.Fprintf(p.stderr,
			"Warning: no interface of this host has the source address %v: the answers will go elsewhere\n", out.Source)
	}
}

// onlyItself is what is wrong with a loopback address as the source of packets that leave the host.
const onlyItself = "a loopback address, which no other host can answer"

// isAddr reports whether an interface's address is this one.
func isAddr(a net.Addr, want netip.Addr) bool {
	n, ok := a.(*net.IPNet)
	if !ok {
		return false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	return ok && ip.Unmap() == want
}

func notOurs(a netip.Addr) error {
	return fmt.Errorf("Bad source address: %s is not an address of this host", a)
}

// maxPorts is how many source ports --track-port takes at the most; then they come round again.
const maxPorts = 256

// freePorts reserves source ports of the kernel's choice: one for all probes and spare ones for distance probes, or one
// for each.
func (p *program) freePorts(conn medium, from netip.Addr) ([]uint16, error) {
	wanted := p.path.SourcePorts()
	if p.trackPort {
		wanted = min(maxPorts, p.path.Probes())
	}
	var ports []uint16
	for range wanted {
		port, err := p.freePort(conn, from)
		if errors.As(err, new(*routeError)) && len(ports) > 0 {
			break // there are no more
		}
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// freePort reserves a source port of the kernel's choice.
func (p *program) freePort(conn medium, from netip.Addr) (uint16, error) {
	port, err := conn.Reserve(netip.AddrPortFrom(from, 0))
	if errors.Is(err, syscall.EADDRNOTAVAIL) && p.root && !p.connecting {
		// Root may send in another's name; the port is then reserved on every address.
		port, err = conn.Reserve(netip.AddrPortFrom(unspecified(from.Is6()), 0))
	}
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return 0, notOurs(from)
	case errors.Is(err, syscall.EADDRINUSE):
		return 0, &routeError{fmt.Errorf("no source port is free on %v", from)}
	}
	return port, err
}

// ownAddress is the address that a way out has on this host: a link-local one with its zone.
func ownAddress(r wire.Route) netip.Addr {
	if r.Source.IsLinkLocalUnicast() && r.Source.Is6() {
		return r.Source.WithZone(r.Interface)
	}
	return r.Source
}

func unspecified(v6 bool) netip.Addr {
	if v6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// takePort takes the source port that the user wants. It is in use where any address of the host uses it.
func (p *program) takePort(conn medium, v6 bool) error {
	if p.port == 0 {
		return errPortInUse
	}
	if p.anyPort {
		return conn.Use(uint16(p.port))
	}
	_, err := conn.Reserve(netip.AddrPortFrom(unspecified(v6), uint16(p.port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return errPortInUse
	}
	return err
}
