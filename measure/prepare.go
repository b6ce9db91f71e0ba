package measure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// Measurement is what was asked for, made ready: the target is known, the way to it, and the ports to send from.
type Measurement struct {
	Request
	Header    record.Header // Trace and Watch may still change its Path until the stage Tracing
	LeastSize int           // the length of a probe that has only its headers, in bytes
	Doubt     Doubt         // why no answer may come
	Away      int           // with Overhear: how many hops the target is away, an estimate

	t       *Tracer
	plan    plan
	route   wire.Route   // of a connection like the probes
	others  []netip.Addr // see Progress.OtherSources
	own     netip.Addr   // the source address as this host has it: a link-local one with its zone
	linkMTU int
	session *wire.Session // nil: none, or not yet
	silent  trace.Conn    // for probes of a connection that other programs hold; nil: these are none
	asking  *explainer    // nil: no trace has begun
	watched watched
	before  *opened             // a trace of a list that is to be explained; nil: it is still to be made
	budget  *trace.TargetBudget // of the SYNs that the target may get; nil: it has none
}

// plan is what decides on the probes of a trace.
type plan interface {
	trace.Plan
	Length(wanted int) int
}

// Prepare makes a request ready, and sends nothing yet, but for a connection if it is to go inside one. The error is a
// *[RouteError], a *[SourceError] or a *[PortError] if this host is the reason. Close the measurement in the end.
func (t *Tracer) Prepare(ctx context.Context, r Request) (*Measurement, error) {
	m := &Measurement{Request: r, t: t}
	m.Header = record.Header{Host: r.Host, Path: r.Path, Mark: t.o.Wire.Mark, Numeric: true}
	if !r.Path.Target.IsValid() {
		var err error
		if m.Header.Path.Target, err = t.target(ctx, &r); err != nil {
			return nil, err
		}
	}
	if err := m.wayOut(); err != nil {
		return nil, err
	}
	if t.pace != nil && t.o.Lent && m.Header.Path.Spacing == 0 {
		m.Header.Path.Spacing = userSpacing
	}
	if err := m.reserve(ctx); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close ends the connection that the probes went inside of, if there is one.
func (m *Measurement) Close() {
	if m.session != nil {
		m.session.Close()
		m.session = nil
	}
}

// Without returns what the kernel has refused: see [wire.Conn.Without].
func (m *Measurement) Without() []error {
	if c, ok := m.t.conn.(interface{ Without() []error }); ok {
		return c.Without()
	}
	return nil
}

// NoRawSocket returns why the probes are connections, if it isn't a lack of privilege; nil: it is, or they aren't.
func (m *Measurement) NoRawSocket() error { return m.t.noRaw }

// SeesWire reports whether answers are seen as they come in, before this host's own translation: by a packet socket.
func (m *Measurement) SeesWire() bool {
	return !m.Header.Connections && !slices.ContainsFunc(m.Without(),
		func(err error) bool { return errors.Is(err, ErrNoPacketSocket) })
}

// ByRule reports whether the probes are connections because a routing rule looks at ports.
func (m *Measurement) ByRule() bool { return m.t.rule }

// Departure returns how this host changes the probes on their way out; "": it is not known to.
func (m *Measurement) Departure() string {
	raw, ok := m.t.conn.(interface{ Departures() []wire.Departure })
	if !ok {
		return ""
	}
	all := raw.Departures()
	if len(all) == 0 {
		return ""
	}
	i := slices.IndexFunc(all, func(d wire.Departure) bool { return d.Meant.Src == m.Header.Path.Source })
	return all[max(i, 0)].String()
}

// wayOut finds the way out, and the network that goes it: raw packets don't follow routing rules that look at ports,
// and connections do.
func (m *Measurement) wayOut() error {
	if err := m.findRoute(); err != nil {
		return err
	}
	if m.Paths != nil {
		m.checkPorts()
	}
	rawOnly := m.t.o.RawOnly && !m.t.o.SessionOnly // a connection would go another way than the probes inside it
	if m.route.Elsewhere != "" && !rawOnly && m.t.o.Wire.Port == 0 {
		by, err := wire.OpenUnprivileged(m.t.o.Wire)
		if err != nil {
			return err
		}
		m.t.conn.Close()
		m.t.conn, m.t.rule, m.t.pace = by, true, nil
		if err := m.findRoute(); err != nil {
			return err
		}
		m.route.Elsewhere = ""
	}
	return nil
}

// checkPorts finds out whether this host shares its connections out by their source ports: over gateways that raw
// packets can't be made to follow, or over links with other source addresses.
func (m *Measurement) checkPorts() {
	const ports, first = 64, 40000 // a way that gets a tenth of the ports is missed once in 850
	for port := range uint16(ports) {
		r, err := m.t.conn.Route(m.Header.Path.Target, netip.AddrPortFrom(m.Header.Path.Source.Addr(), first+port))
		if err != nil {
			continue
		}
		m.route.Elsewhere = cmp.Or(m.route.Elsewhere, r.Elsewhere)
		if r.Source != m.route.Source && !slices.Contains(m.others, r.Source) {
			m.others = append(m.others, r.Source)
		}
	}
	slices.SortFunc(m.others, netip.Addr.Compare)
}

// otherWays are the ways that this host shares out connections to the target over, beside that of the probes: as it
// sends those that are not bound to a source address.
func (m *Measurement) otherWays() (all []detect.WayOut) {
	if m.Request.Path.Source.Addr().IsValid() || m.route.Gateway == (netip.Addr{}) {
		return nil // another address is not wanted, or there is nothing beyond this link
	}
	const ports, first = 32, 40000 // of two ways each is met, but for once in 2^31
	for port := range uint16(ports) {
		r, err := m.t.conn.Route(m.Header.Path.Target, netip.AddrPortFrom(netip.Addr{}, first+port))
		w := detect.WayOut{Interface: r.Interface, Gateway: r.Gateway, Source: r.Source}
		if err != nil || r.Gateway == m.route.Gateway || r.Source == m.route.Source || slices.Contains(all, w) {
			continue
		}
		all = append(all, w)
	}
	return all
}

// findRoute asks what the kernel does with a connection like the probes.
func (m *Measurement) findRoute() (err error) {
	target := m.Header.Path.Target
	m.route, err = m.t.conn.Route(target, m.Header.Path.Source)
	switch {
	case errors.Is(err, syscall.ENODEV): // a zone that the user gave
		return &RouteError{target.Addr().Zone(), err}
	case err != nil:
		return &RouteError{Err: err}
	case !m.route.Source.IsValid() || m.route.Source.IsUnspecified():
		return &RouteError{Err: fmt.Errorf("no address on %s to send from", m.route.Interface)}
	}
	return nil
}

// maxPorts is how many source ports TrackPort takes at the most; then they come round again.
const maxPorts = 256

// reserve takes the source ports, and chooses the plan.
func (m *Measurement) reserve(ctx context.Context) (err error) {
	o, conn, route := &m.Header.Path, m.t.conn, m.route
	if err := m.checkSource(); err != nil {
		return err
	}
	m.own = ownAddress(route)
	m.progress(Progress{Stage: Routed, Interface: route.Interface, Elsewhere: route.Elsewhere,
		OtherSources: m.others})
	given := o.Source.Port() != 0 || m.AnyPort
	if m.Overhear {
		if err := m.overhear(ctx); err != nil {
			return err
		}
	} else if given {
		if err := m.takePort(o.Source.Port()); err != nil {
			return err
		}
	}
	if err := o.Validate(); err != nil {
		return err
	}
	track := m.TrackPort && !given
	ports := []uint16{o.Source.Port()}
	switch {
	case m.enterSession(ctx):
		ports = []uint16{o.Source.Port()}
	case track:
		ports, err = m.freePorts(min(maxPorts, o.Probes()))
	case !given:
		ports, err = m.preferredPorts(o.SourcePorts())
	}
	if err != nil {
		return err
	}
	o.Source = netip.AddrPortFrom(route.Source, ports[0])
	if _, connects := conn.(trace.Connector); o.LabelSeed == 0 && !connects { // whose labels are all 0
		o.LabelSeed = rand.Uint64()
	}
	if again, err := conn.Route(o.Target, o.Source); err == nil && !track { // now that the port is known
		route = again
	}
	m.shapeSYN(route)
	if track {
		o.Ports = ports
	} else {
		o.ProbePorts = append(o.ProbePorts, ports[1:]...)
	}
	m.Header.Interface, m.Header.Kind = route.Interface, route.Kind
	m.own, m.linkMTU = ownAddress(route), route.MTU
	m.Doubt = m.doubt(route)
	return m.choosePlan()
}

// choosePlan makes the plan that suits the request and the network.
func (m *Measurement) choosePlan() error {
	if m.Explain && m.Rounds == nil && m.budget == nil && !m.spares() {
		m.budget = trace.NewTargetBudget(m.Header.Path.Target.Addr(), detect.MostSYNs)
	}
	o := m.ordinary()
	var err error
	if m.Rounds != nil && m.Paths == nil && !m.t.connects() {
		m.plan, err = trace.NewRounds(o, m.Rounds.interval(), m.Rounds.Count)
	} else {
		m.plan, err = planOver(m.t.conn, o)
	}
	if err != nil {
		return err
	}
	m.LeastSize, m.Header.Connections = m.plan.Length(0), m.t.connects()
	if !m.Header.Connections { // there it is the kernel's choice
		m.Header.Length = m.plan.Length(o.Length)
	}
	return nil
}

// spares reports whether the trace and the questions after it spare the target by themselves, as they do where the
// trace finds its hop by probes from ports of their own. A bound besides would leave out hops behind silent routers and
// devices. By connections each hop is asked by a SYN: eight would find next to nothing.
func (m *Measurement) spares() bool {
	o := m.Header.Path
	return m.t.connects() || m.Paths == nil && len(o.ProbePorts) > 0 && o.Effective().Queries <= trace.DefaultQueries
}

// ordinary are the options of the ordinary trace. Before a search for all paths it leaves that some of the SYNs that
// the target may get, though the target answers none.
func (m *Measurement) ordinary() trace.PathOptions {
	o := m.Header.Path
	if m.Paths != nil {
		o.SilentSYNs = max(m.mostSYNs()-trace.SearchSYNs, trace.SearchSYNs)
	}
	if m.Explain && m.Rounds == nil {
		o.TargetSYNs, o.UnheardSYNs, o.Budget = detect.TraceSYNs, detect.TraceSYNs, m.budget
	}
	if m.budget != nil && m.Paths != nil && m.Paths.TargetSYNs == 0 {
		o.UnheardSYNs = detect.TraceSYNs / 2 // the other half is the search's
	}
	return o
}

// mostSYNs is how many SYNs the target gets at the most by the trace and a search for all paths: fewer with Explain,
// which asks for an ordinary connection too.
func (m *Measurement) mostSYNs() int {
	if m.budget != nil && m.Paths.TargetSYNs == 0 {
		return detect.MostSYNs - 1
	}
	return cmp.Or(m.Paths.TargetSYNs, trace.DefaultTargetSYNs)
}

// planOver returns the plan of one trace that suits a network.
func planOver(conn trace.Conn, o trace.PathOptions) (plan, error) {
	if c, ok := conn.(trace.Connector); ok {
		return trace.NewSerial(o, c.ConnectWait())
	}
	return trace.NewPath(o)
}

// shapeSYN settles window and options of SYNs that go by this route. If the host has timestamps switched off, the plan
// adds them in IPv6 all the same: it has no other tag there.
func (m *Measurement) shapeSYN(r wire.Route) {
	if !m.HostSYN && m.MSS == 0 {
		return
	}
	s := packet.Stack{WindowScale: packet.NoWindowScale} // without any options
	if m.HostSYN {
		s = m.t.stack(r)
		m.Header.Path.DontFragment = true // as it finds path MTUs
	}
	if m.MSS > 0 {
		s.MSS = m.MSS
	}
	m.Header.Path.Options, m.Header.Path.Window = s.SYN()
}

// checkSource refuses a source address that connections of the user's own couldn't have, if the program's privilege is
// lent: with it the kernel takes any.
func (m *Measurement) checkSource() error {
	from := m.route.Source
	switch {
	case !m.t.o.Lent || !m.Request.Path.Source.Addr().IsValid() || m.answerable(m.route):
		return nil
	case from.IsLoopback():
		return &SourceError{Addr: from, Reason: LoopbackSource}
	case m.t.o.Wire.Interface != "": // a socket bound to an interface knows its addresses only
		return &SourceError{Addr: from, Reason: ElsewhereSource, Device: m.t.o.Wire.Interface}
	}
	return &SourceError{Addr: from, Reason: ForeignSource}
}

// answerable reports whether answers to what leaves this way get back here by its source address.
func (m *Measurement) answerable(out wire.Route) bool {
	// Multicast and broadcast addresses can be bound to (ip(7)), so binding proves nothing.
	to, err := m.t.conn.Route(netip.AddrPortFrom(out.Source, 0), netip.AddrPort{})
	return err == nil && to.Local && (out.Local || !out.Source.IsLoopback())
}

// doubt returns why what leaves this way may not be answered.
func (m *Measurement) doubt(out wire.Route) Doubt {
	switch own, err := net.InterfaceAddrs(); {
	case m.Header.Path.Target.Addr().IsUnspecified():
		return NobodysTarget
	case m.t.o.Wire.Interface == "lo" && !out.Local:
		return LoopbackDevice
	case !m.Request.Path.Source.Addr().IsValid() || err != nil || m.answerable(out):
	case out.Source.IsLoopback():
		return LoopbackSource
	case !slices.ContainsFunc(own, func(a net.Addr) bool { return isAddr(a, out.Source) }):
		// Of a socket that is bound to an interface only the addresses of that are answerable; others may be all the same.
		return ForeignSource
	}
	return NoDoubt
}

// isAddr reports whether an interface's address is this one.
func isAddr(a net.Addr, want netip.Addr) bool {
	addr, _, _ := strings.Cut(a.String(), "/")
	ip, err := netip.ParseAddr(addr)
	return err == nil && ip.Unmap() == want
}

// takePort takes the source port that the user wants. It is in use if any address of the host uses it.
func (m *Measurement) takePort(port uint16) error {
	if port == 0 {
		return &PortError{port}
	}
	if m.AnyPort {
		return m.t.conn.Use(port)
	}
	_, err := m.t.conn.Reserve(netip.AddrPortFrom(unspecified(m.route.Source.Is6()), port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortError{port}
	}
	return err
}

// freePorts reserves source ports of the kernel's choice, as many as there are.
func (m *Measurement) freePorts(wanted int) (ports []uint16, err error) {
	for range wanted {
		port, err := m.freePort()
		if errors.Is(err, syscall.EADDRINUSE) && len(ports) > 0 {
			break // there are no more
		}
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// preferredPorts are freePorts, of which the first is the one that is preferred if nobody uses it.
func (m *Measurement) preferredPorts(wanted int) ([]uint16, error) {
	if m.PreferredPort == 0 {
		return m.freePorts(wanted)
	}
	port, err := m.t.conn.Reserve(netip.AddrPortFrom(m.own, m.PreferredPort))
	if err != nil {
		return m.freePorts(wanted)
	}
	others, err := m.freePorts(wanted - 1)
	return append([]uint16{port}, others...), err
}

// freePort reserves a source port of the kernel's choice.
func (m *Measurement) freePort() (uint16, error) {
	port, err := m.t.conn.Reserve(netip.AddrPortFrom(m.own, 0))
	if errors.Is(err, syscall.EADDRNOTAVAIL) && !m.t.o.Lent && !m.t.connects() {
		// Root may send in another's name; the port is then reserved on every address.
		port, err = m.t.conn.Reserve(netip.AddrPortFrom(unspecified(m.own.Is6()), 0))
	}
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return 0, &SourceError{Addr: m.own, Reason: ForeignSource}
	case errors.Is(err, syscall.EADDRINUSE):
		return 0, &RouteError{Err: noPort{m.own}}
	}
	return port, err
}

// noPort is EADDRINUSE of every source port.
type noPort struct{ from netip.Addr }

func (e noPort) Error() string { return fmt.Sprintf("no source port is free on %v", e.from) }

func (noPort) Is(err error) bool { return err == syscall.EADDRINUSE }

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
