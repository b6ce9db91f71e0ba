// Package cli turns a command line into a plan, a network and a report, and what came of it into an exit code.
//
// The rule of this room: it has no logic of its own. It is the only place that sees both the sockets and the trace.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// Version is the program's, set by the linker in releases.
var Version = "0.1.0-dev"

// Exit codes.
const (
	exitReached    = 0
	exitNotReached = 1 // or the command line was wrong
	exitLocal      = 2 // this host could send nothing, or nothing more
	exitSignal     = 128
)

const defaultPort = 80

// Interrupted is the cause with which a context is cancelled by a signal.
type Interrupted struct{ Signal syscall.Signal }

func (e *Interrupted) Error() string { return "interrupted" }

// ExitCode is the shell's convention for a program ended by a signal.
func (e *Interrupted) ExitCode() int { return exitSignal + int(e.Signal) }

// Run is the program. args are those after its name.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr, drop: wire.Drop}
	return p.code(p.run(ctx, args))
}

type program struct {
	stdout, stderr io.Writer
	config
	drop    func(readable ...func() []string) ([]error, error) // gives every privilege up
	root    bool
	ports   *names.Services
	resolve *names.Resolver
	plan    plan
	route   wire.Route             // of the probes
	out     string                 // the interface that the probes leave by; "": not known
	own     netip.Addr             // their source address, on this host
	linkMTU int                    // of that interface
	width   struct{ out, err int } // of the terminals that standard output and error are; 0: they are none

	onTerminal bool // both are terminals, whatever these can do
	capture    capture
	rescue     *rescue // nil: nothing ends the program but its context
}

// pointToExplain says, to somebody who sits before a terminal, how to find out why the target was not reached.
func (p *program) pointToExplain() {
	if p.onTerminal && p.forPeople() && !p.explain && !p.watch.on() && !p.inSession {
		fmt.Fprintln(p.stderr, "To find out why, and where: the same with --explain")
	}
}

// errNotReached ends a trace whose target gave no answer.
var errNotReached = errors.New("Destination not reached")

// code says on stderr what went wrong, and is the exit code for it.
func (p *program) code(err error) int {
	switch {
	case err == nil:
	case errors.As(err, new(*Interrupted)):
		fmt.Fprintln(p.stderr, "Interrupted")
	case err == errHelp:
		p.usage()
	default:
		fmt.Fprintln(p.stderr, quoted(err.Error()))
	}
	if err == errNotReached {
		p.pointToExplain()
	}
	return exitCode(err)
}

// exitCode is what an error means to the shell.
func exitCode(err error) int {
	var interrupted *Interrupted
	switch {
	case err == nil:
		return exitReached
	case errors.As(err, &interrupted):
		return interrupted.ExitCode()
	case errors.As(err, new(*trace.SendError)), errors.As(err, new(*routeError)):
		return exitLocal
	}
	return exitNotReached
}

// usage prints what the old program prints for -h: the version on stdout, the rest on stderr.
func (p *program) usage() {
	fmt.Fprint(p.stdout, versionText())
	fmt.Fprint(p.stderr, usageText(groups()))
}

func (p *program) run(ctx context.Context, args []string) error {
	who := wire.Caller()
	p.root = who.RealUID == 0
	p.lent = who.SetID() && !p.root
	p.elevated = who.Elevated && !p.root
	p.width.out, p.width.err = width(p.stdout), width(p.stderr)
	p.onTerminal = isTerminal(p.stdout) && isTerminal(p.stderr)
	operands, err := parse(options(), args, &p.config)
	switch {
	case err != nil:
		return err
	case p.helpAll:
		_, err := fmt.Fprint(p.stdout, helpText(groups()))
		return err
	case p.help:
		return errHelp
	case p.version:
		_, err := fmt.Fprint(p.stdout, versionText())
		return err
	}
	if err := p.operands(operands); err != nil {
		return err
	}
	if err := p.checkSYN(); err != nil {
		return err
	}
	if err := cmp.Or(p.watch.check(&p.config), p.watch.terminal(p.stdout)); err != nil {
		return err
	}
	if err := p.checkExplain(); err != nil {
		return err
	}
	if err := p.checkSession(); err != nil {
		return err
	}
	conn, openErr := p.open()
	if conn != nil {
		defer func() { conn.Close() }() // the one that there is in the end, see wayOut
	}
	// What the user wants written is opened by his own rights: all that root has, or those that are left of a program's.
	var captureErr error
	capture := sync.OnceValue(func() (none []string) {
		if openErr == nil {
			captureErr = p.openCapture()
		}
		return none
	})
	if !p.elevated && !p.lent {
		capture()
	}
	if _, err := p.drop(capture, p.files); err != nil {
		return fmt.Errorf("giving up privileges: %w", err)
	}
	defer p.capture.close()
	if captureErr != nil {
		return captureErr
	}

	// From here on there are no privileges, and no answer or name was read before. What is wrong is told in the old
	// program's order: names, the way out, the device and the port, and the numbers at last.
	p.ports = names.NewServices(names.ServicesFile)
	databases, err := p.openDatabases()
	defer closeDatabases(databases) // behind those who look into them
	if err != nil {
		return err
	}
	p.resolve = names.New(names.Options{Policy: p.names, Databases: databases, OwnerDNS: p.show.asDNS, Guard: p.rescue.guard})
	defer p.resolve.Close()
	if err := p.address(ctx); err != nil {
		return err
	}
	if openErr != nil {
		if openErr == errPortInUse {
			p.oneTrack()
		}
		return openErr
	}
	if conn, err = p.wayOut(conn); err != nil {
		return err
	}
	if err := p.reserve(ctx, conn); err != nil {
		return err
	}
	defer p.leaveSession()
	return p.captured(func() error { return p.trace(ctx, conn) })
}

// files are those that are read later, beyond what names need. It is called with the caller's own rights.
func (p *program) files() (all []string) {
	if p.linuxSYN() {
		all = append(all, wire.StackFiles()...)
	}
	return append(all, p.findDatabases()...)
}

// operands reads host, port and length.
func (p *program) operands(operands []string) (err error) {
	switch {
	case len(operands) == 0:
		return errors.New("host missing: tcptraceroute [options] host [port]; see tcptraceroute --help")
	case len(operands) > 3:
		return fmt.Errorf("Too many arguments, the first is %s: after host, port and packet length there is none; see tcptraceroute --help", quoted(operands[3]))
	}
	if p.host, p.service, err = splitHost(operands[0]); err != nil {
		return err
	}
	p.serviceSet = p.service != ""
	if len(operands) > 1 && p.afterN != "" && p.afterN == p.host && len(p.afterN) <= 3 && !digits(operands[1]) {
		return fmt.Errorf("The host would be %s, and the port %s: %s", p.host, quoted(operands[1]), afterN)
	}
	if len(operands) > 1 {
		port := strings.TrimSpace(operands[1])
		if p.serviceSet && port != p.service {
			return fmt.Errorf("Two ports for the target: %s by %s, and %s by the argument after it: leave one out", p.service, p.host, port)
		}
		p.service, p.serviceSet = port, true
	}
	if len(operands) > 2 && operands[2] != "" { // scripts leave it empty for the default
		return p.lengthOperand(strings.TrimSpace(operands[2]))
	}
	return nil
}

// lengthOperand reads the third operand. The old program takes what is no number for 0.
func (p *program) lengthOperand(v string) error {
	n, err := strconv.Atoi(v)
	if !digits(v) || err != nil || n > math.MaxUint16 {
		return fmt.Errorf("The third argument is the packet length, and must be between 0 and %d: %s", math.MaxUint16, given(v))
	}
	p.path.Length = n
	return nil
}

// open opens the sockets.
func (p *program) open() (medium, error) {
	if p.ifaceSet && p.iface == "" {
		return nil, p.noDevice()
	}
	return p.openNetwork(p.wireOptions())
}

// wireOptions is what the sockets have to be told.
func (p *program) wireOptions() wire.Options {
	o := wire.Options{Interface: p.iface, Mark: p.mark, TOS: uint8(p.path.TOS), Sessions: p.inSession || p.mtu}
	if p.portSet && p.port < 1024 && !p.anyPort {
		o.Port = uint16(p.port)
	}
	return o
}

// userSpacing keeps users who are not root to 200 packets a second, with a timer that is a little early too: the binary may
// lend them its privilege.
const userSpacing = 5100 * time.Microsecond

// address finds the target and its port.
func (p *program) address(ctx context.Context) error {
	port := uint16(defaultPort)
	if p.serviceSet {
		var err error
		if port, err = p.portNumber(p.service); err != nil {
			return err
		}
	}
	targets, err := p.lookup(ctx, p.host, p.family, "destination")
	if err != nil {
		return err
	}
	target := targets[0]
	p.path.Target, p.others = netip.AddrPortFrom(target, port), targets[1:]
	if !p.sourceSet {
		return nil
	}
	family := names.IPv6
	if target.Is4() {
		family = names.IPv4
	}
	from, err := p.lookup(ctx, strings.TrimSpace(p.source), family, "source")
	if err != nil {
		return err
	}
	p.path.Source = netip.AddrPortFrom(from[0], 0)
	return nil
}

// portNumber reads a TCP port, by number or by name.
func (p *program) portNumber(s string) (uint16, error) {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return uint16(n), nil
	}
	n, err := p.ports.Port(s)
	switch {
	case err == nil:
		return n, nil
	case digits(s):
		return 0, fmt.Errorf("Unknown port: %s (a port is a number from 0 to %d)", s, math.MaxUint16)
	}
	return 0, fmt.Errorf("Unknown port: %s", s)
}

// limitedBroadcast is nobody's address (RFC 919).
var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// lookup finds the addresses of a host, each once. Of a destination the first is good.
func (p *program) lookup(ctx context.Context, host string, family names.Family, what string) ([]netip.Addr, error) {
	ascii, err := asciiHost(host, what)
	if err != nil {
		return nil, err
	}
	addrs, err := p.resolve.Host(ctx, ascii, family)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, names.ErrFamily):
		return nil, fmt.Errorf("Bad %s address: %s (it is not IPv%d)", what, host, family)
	case err != nil:
		return nil, fmt.Errorf("Bad %s address: %s%s", what, host, whyBad(host, family, err))
	case addrs[0] == limitedBroadcast:
		return nil, fmt.Errorf("Bad %s address: %s", what, host)
	case what == "destination" && addrs[0].Is6() && addrs[0].IsLinkLocalUnicast() && addrs[0].Zone() == "":
		if p.iface == "" {
			return nil, fmt.Errorf("Bad %s address: %s (a link-local address needs its interface: %[2]s%%eth0)", what, host)
		}
		addrs[0] = addrs[0].WithZone(p.iface) // -i says which
	}
	var distinct []netip.Addr
	for _, a := range addrs {
		if !slices.Contains(distinct, a) {
			distinct = append(distinct, a)
		}
	}
	return distinct, nil
}

// whyBad says more of a host that can't be found, where more is known: "" otherwise.
func whyBad(host string, family names.Family, err error) string {
	dns, _ := errors.AsType[*net.DNSError](err)
	errno, _ := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, names.ErrNoName):
		return " (the DNS has no such name: NXDOMAIN)"
	case errors.Is(err, names.ErrNoAddress) && family == names.Any:
		return " (the name is in the DNS, but has no address: neither A nor AAAA)"
	case errors.Is(err, names.ErrNoAddress):
		return fmt.Sprintf(" (the name is in the DNS, but has no IPv%d address)", family)
	case errors.Is(err, names.ErrNoServer) && errno != 0:
		return fmt.Sprintf(" (no name server could be reached: %v)", errno)
	case errors.Is(err, names.ErrNoServer):
		return " (no name server answered)"
	case dns != nil && dns.IsTimeout:
		return " (a name server did not answer)"
	case dns != nil && !dns.IsNotFound:
		return " (the name servers could not tell)"
	case strings.Contains(host, "/"):
		return " (give the host alone, or a whole URL)"
	case strings.Contains(host, "@"):
		return " (give the host alone, without a user's name)"
	}
	return ""
}

// oneTrack settles that probes with a given source port can't have ports of their own.
func (p *program) oneTrack() {
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

// wayOut finds the way out, and the network that goes it: raw packets don't follow routing rules that look at ports, and
// connections do.
func (p *program) wayOut(conn medium) (medium, error) {
	if err := p.findRoute(conn); err != nil || p.route.Elsewhere == "" {
		return conn, err
	}
	o := p.wireOptions()
	if p.needsRaw() != "" || o.Port != 0 {
		fmt.Fprintf(p.stderr, "Warning: a routing rule that looks at ports sends such connections by %s; the probes go by %s\n",
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
	p.oneTrack()
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
		p.path.SparePorts = ports[1:]
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

// A routeError says that the kernel has no way to the target: nothing can be sent.
type routeError struct{ err error }

func (e *routeError) Error() string { return "connect: " + capital(e.err) }

// ownSource refuses, to users who are not root, a source address that their own connections couldn't have: the program may
// have been lent its privilege, and with it the kernel takes any.
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
	fmt.Fprintf(p.stderr, "Warning: %s %d is the source port; the target's port is %d. For the target's port %[2]d: tcptraceroute HOST %[2]d\n",
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
		fmt.Fprintf(p.stderr, "Warning: -i lo leads to this host only, and %v is not one of its addresses: no answer will come\n", p.path.Target.Addr())
	case !p.sourceSet || err != nil || p.answerable(conn, out):
	case out.Source.IsLoopback():
		fmt.Fprintf(p.stderr, "Warning: the source address %v: %s\n", out.Source, onlyItself)
	case !slices.ContainsFunc(own, func(a net.Addr) bool { return isAddr(a, out.Source) }):
		// Of a socket that is bound to an interface only the addresses of that are answerable; others may be all the same.
		fmt.Fprintf(p.stderr, "Warning: no interface of this host has the source address %v: the answers will go elsewhere\n", out.Source)
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

// freePorts reserves source ports of the kernel's choice: one for all probes and spare ones for scouts, or one for each.
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

var errPortInUse = errors.New("Sorry, requested local port is already in use.  Use -P, instead of -p, to override.")

func (p *program) socketError(err error) error {
	switch {
	case errors.Is(err, syscall.EACCES) && p.portSet && !p.anyPort && p.port < 1024: // CAP_NET_RAW is there, CAP_NET_BIND_SERVICE isn't
		return fmt.Errorf("Sorry, must be root to use -p %d%s", p.port, p.orTarget())
	case errors.Is(err, wire.ErrPrivilege):
		return errors.New("Raw sockets need root or the capability CAP_NET_RAW: " + howToRaw)
	case p.iface != "" && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EINVAL)):
		return p.noDevice()
	case errors.Is(err, syscall.EADDRINUSE):
		return errPortInUse
	}
	return err
}

func (p *program) noDevice() error {
	hint := ""
	if _, err := strconv.ParseFloat(p.iface, 64); err == nil {
		hint = "; the seconds of a round are set by --interval" // as mtr's -i does
	}
	return fmt.Errorf("error opening device %s: %[1]s: No such device exists (No such device exists)%s", p.iface, hint)
}

// reason is the innermost error: what the system said.
func reason(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// capital writes an error as the C library does.
func capital(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// target is what is traced, as people read it.
func (p *program) target(port string) string {
	address := p.path.Target.Addr().String()
	text := address
	if name, err := names.ASCII(p.host); err == nil && name != address {
		text = fmt.Sprintf("%s (%s)", name, address)
	}
	text += port + strconv.Itoa(int(p.path.Target.Port()))
	if s := p.ports.Service(p.path.Target.Port()); s != "" {
		text += " (" + s + ")"
	}
	return text
}

// sayOthers says which address was taken of a name that has more than one.
func (p *program) sayOthers() {
	if len(p.others) == 0 {
		return
	}
	const most = 4 // to be named
	var others []string
	for _, a := range p.others[:min(len(p.others), most)] {
		others = append(others, a.String())
	}
	if more := len(p.others) - most; more > 0 {
		others = append(others, fmt.Sprintf("and %d more", more))
	}
	name, _ := names.ASCII(p.host) // it has been looked up
	fmt.Fprintf(p.stderr, "%s has %d addresses: tracing to %v, not %s\n",
		quoted(name), 1+len(p.others), p.path.Target.Addr(), strings.Join(others, ", "))
}

// announce says what is traced.
func (p *program) announce() {
	p.sayOthers()
	text := "Tracing the path to " + p.target(" on TCP port ")
	text += fmt.Sprintf(", %d hops max", p.plan.Last())
	if n := p.plan.Length(p.path.Length); n > p.plan.Length(0) {
		text += fmt.Sprintf(", %d byte packets", n)
	}
	fmt.Fprintln(p.stderr, quoted(text))
}

// trace carries the trace out and prints it.
func (p *program) trace(ctx context.Context, conn medium) error {
	p.announce()
	p.rescue.begin()
	if p.watch.on() {
		return p.watched(ctx, conn)
	}
	kept, err := p.traceInside(ctx, conn)
	if err != nil {
		return err
	}
	folded := trace.NewTrace(p.path) // the report's
	known := trace.NewTrace(p.path)  // ours
	var counts trace.Counts
	// came is what came of the run; it is asked when the report has all results.
	came := func() error {
		if err == nil && !folded.Reached() {
			return errNotReached
		}
		return err
	}
	awaited := newAwaited(p.path)
	status := p.showStatus(awaited.say)
	out := p.writer(ctx, folded, func() report.Ending { return ending(counts, came()) })
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := startPrinter(out, func(err error) { stop(fmt.Errorf("writing: %w", err)) })
	var troubles troubles
	seen := func(r trace.Result) {
		if r.Reply != nil && r.Reply.Kind != packet.KindOther {
			p.lookUp(r.Reply.From())
		}
		troubles.add(r)
		known.Add(r)
		if status != nil {
			awaited.add(r)
		}
		w.add(r)
	}
	if kept != nil {
		for _, r := range kept.results {
			seen(r)
		}
		counts, err = kept.counts, kept.err
	} else {
		counts, err = trace.Run(running, conn, p.plan, p.engine(conn), seen)
	}
	// Programs get the findings with the trace; people can read the hops meanwhile.
	known.Finish()
	view := func() detect.View { return detect.View{Trace: known, Options: p.path, Counts: counts} }
	explaining := p.explain && err == nil
	if explaining && !p.forPeople() {
		err = p.ask(ctx, conn, view())
	}
	if werr := w.close(); werr != nil {
		err = fmt.Errorf("writing: %w", werr)
	}
	status.stop()
	p.warn(&troubles, counts)
	p.sayDepartures(conn)
	p.sayHidden(conn, known)
	p.sayECN(folded)
	if p.mtu && err == nil && folded.Reached() {
		err = p.searchMTU(ctx, conn, known)
	}
	if p.explain && p.forPeople() {
		if explaining && err == nil {
			err = p.ask(ctx, conn, view())
		}
		if werr := p.sayFindings(view()); err == nil {
			err = werr
		}
	}
	if err := came(); err != nil {
		return err
	}
	if u := folded.Unplaced(); u != nil {
		fmt.Fprintf(p.stderr, "%s answered [%s], but how far away it is could not be told\n", u.Reply.From(), report.StateOf(*u))
	}
	return nil
}

// engine is what the engine is told.
func (p *program) engine(conn medium) trace.Options {
	o := p.path.RunOptions(conn)
	o.Strict, o.Loose, o.Zone = p.strict, p.loose, p.out
	if p.debug {
		o.Observe = debug(p.stderr, p.connecting)
		if !p.root {
			o.Observe = ofOurs(o.Observe)
		}
	}
	o.Observe = p.capture.observe(o.Observe)
	return o
}

// sayDepartures says, once, that this host changes probes on their way out.
func (p *program) sayDepartures(conn medium) {
	raw, ok := conn.(interface{ Departures() []wire.Departure })
	if !ok || p.departureSaid {
		return
	}
	all := raw.Departures()
	if len(all) == 0 {
		return
	}
	i := slices.IndexFunc(all, func(d wire.Departure) bool { return d.Meant.Src == p.path.Source })
	fmt.Fprintf(p.stderr, "This host changes the probes: %s\n", quoted(all[max(i, 0)].String()))
	p.departureSaid = true
}

// sayHidden says that routers may be hidden by this host's own translation of the destination: the kernel then puts the target's
// address in the place of theirs, and only a packet socket sees what came in.
func (p *program) sayHidden(conn medium, known *trace.Trace) {
	if !p.connecting && !slices.ContainsFunc(conn.Without(), func(err error) bool { return errors.Is(err, wire.ErrNoPacketSocket) }) {
		return
	}
	hidden := func(r trace.Result) bool {
		return r.Reply != nil && r.Reply.Kind == packet.KindTimeExceeded && r.Reply.From() == p.path.Target.Addr().WithZone("")
	}
	for ttl := known.First(); ttl <= known.Last(); ttl++ {
		if slices.ContainsFunc(known.Hop(ttl).Probes, hidden) {
			fmt.Fprintln(p.stderr, "Routers answered from the target's address. If this host translates that address itself, as for a service, theirs are known only to a trace with packet sockets")
			return
		}
	}
}

// warn says what was not as it should be.
func (p *program) warn(t *troubles, counts trace.Counts) {
	t.print(p.stderr)
	if counts.LostHere > 0 {
		fmt.Fprintf(p.stderr, "Warning: packets lost on this host, which was too busy to read them: %d. Probes in flight then are not counted as lost\n", counts.LostHere)
	}
	if counts.BadChecksum > 0 {
		fmt.Fprintf(p.stderr, "Warning: %d answers had a wrong checksum and were not believed\n", counts.BadChecksum)
	}
	if counts.OwnAddress > 0 {
		fmt.Fprintf(p.stderr, "Warning: ICMP errors about the probes came from this host's own address, which is no hop: %d (-d shows them)\n", counts.OwnAddress)
	}
	if counts.NearMisses >= trace.NearMissAlarm {
		fmt.Fprintf(p.stderr, "Warning: %d answers do not match our probes: they are forged, or a device rewrites sequence numbers (--loose believes them)\n", counts.NearMisses)
	}
}

// troubles collects the probes that failed on this host, to say in words what their marks mean.
type troubles struct {
	errs   []error // each text once
	counts map[string]int
}

func (t *troubles) add(r trace.Result) {
	if r.Fate != trace.Failed {
		return
	}
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	if t.counts[r.Err.Error()]++; t.counts[r.Err.Error()] == 1 {
		t.errs = append(t.errs, r.Err)
	}
}

func (t *troubles) print(w io.Writer) {
	for _, err := range t.errs {
		n := t.counts[err.Error()]
		s := "s"
		if n == 1 {
			s = ""
		}
		fmt.Fprintf(w, "%s: %d probe%s not sent: %s\n", report.LocalMark(err), n, s, quoted(err.Error()))
	}
}
