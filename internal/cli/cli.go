// Package cli turns a command line into a plan, a network and a report, and what came of it into an exit code.
//
// The rule of this room: it has no logic of its own. It is the only place that sees both the sockets and the trace.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tcptraceroute/names"
	"tcptraceroute/packet"
	"tcptraceroute/report"
	"tcptraceroute/trace"
	"tcptraceroute/wire"
)

// Version is the program's, set by the linker in releases.
var Version = "0.1.0-dev"

// Exit codes.
const (
	exitReached    = 0
	exitNotReached = 1 // or the command line was wrong, or nothing could be sent
	exitLocal      = 2 // the trace was given up because this host could not send
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
	p := &program{stdout: stdout, stderr: stderr}
	return p.code(p.run(ctx, args))
}

type program struct {
	stdout, stderr io.Writer
	config
	ports   *names.Services
	resolve *names.Resolver
}

// errNotReached ends a trace whose target gave no answer.
var errNotReached = errors.New("Destination not reached")

// code says on stderr what went wrong, and is the exit code for it.
func (p *program) code(err error) int {
	if err == nil {
		return exitReached
	}
	var usage *usageError
	var interrupted *Interrupted
	var send *trace.SendError
	switch {
	case errors.As(err, &interrupted):
		fmt.Fprintln(p.stderr, "Interrupted")
		return interrupted.ExitCode()
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "%s\n\n%s", quoted(err.Error()), usageText())
		return exitNotReached
	}
	fmt.Fprintln(p.stderr, quoted(err.Error()))
	if errors.As(err, &send) {
		return exitLocal
	}
	return exitNotReached
}

func (p *program) run(ctx context.Context, args []string) error {
	operands, err := parse(options(), args, &p.config)
	switch {
	case err != nil:
		return err
	case p.version:
		_, err := fmt.Fprint(p.stdout, versionText())
		return err
	case p.help:
		_, err := fmt.Fprint(p.stdout, helpText(options()))
		return err
	}
	if err := p.operands(operands); err != nil {
		return err
	}
	if err := p.path.Validate(); err != nil {
		return err
	}
	conn, err := p.open()
	if err != nil {
		return err
	}
	defer conn.Close()

	// From here on there are no privileges, and no answer or name was read before.
	p.ports = names.NewServices(names.ServicesFile)
	p.resolve = names.New(names.Options{Policy: p.names})
	defer p.resolve.Close()
	if err := p.address(ctx); err != nil {
		return err
	}
	if err := p.reserve(conn); err != nil {
		return err
	}
	return p.trace(ctx, conn)
}

func (p *program) operands(operands []string) error {
	switch {
	case len(operands) == 0:
		return &usageError{"Host is missing"}
	case len(operands) > 3:
		return &usageError{fmt.Sprintf("Too many operands: %s", quoted(operands[3]))}
	}
	p.host = operands[0]
	if len(operands) > 1 {
		p.service = operands[1]
	}
	if len(operands) > 2 {
		p.length = operands[2]
	}
	return p.packetLength()
}

// packetLength reads -l or the third operand.
func (p *program) packetLength() error {
	if p.length == "" {
		return nil
	}
	return number("-l", 0, 65535, func(c *config, n int) { c.path.Length = n })(&p.config, p.length)
}

// open opens the sockets and drops every privilege.
func (p *program) open() (*wire.Conn, error) {
	who := wire.Caller()
	if who.Setuid && !who.Root() && (p.source != "" || p.port != 0) {
		return nil, errors.New("Only root may use -s, -p and -P in a setuid installation")
	}
	o := wire.Options{Interface: p.iface, Mark: p.mark}
	if p.port > 0 && p.port < 1024 && !p.anyPort {
		o.Port = uint16(p.port)
	}
	conn, err := wire.Open(o)
	if err != nil {
		return nil, p.socketError(err)
	}
	if _, err := wire.Drop(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("giving up privileges: %w", err)
	}
	if !who.Root() {
		p.path.Spacing = userSpacing
	}
	return conn, nil
}

// userSpacing keeps users who are not root to 200 packets a second: the binary may lend them its privilege.
const userSpacing = 5 * time.Millisecond

// address finds the target.
func (p *program) address(ctx context.Context) error {
	addrs, err := p.resolve.Host(ctx, p.host, p.family)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, names.ErrFamily):
		return fmt.Errorf("Bad destination address: %s (no IPv%d address)", quoted(p.host), p.family)
	case err != nil:
		return fmt.Errorf("Bad destination address: %s", quoted(p.host))
	}
	port := uint64(defaultPort)
	if p.service != "" {
		if port, err = strconv.ParseUint(p.service, 10, 16); err != nil {
			n, err := p.ports.Port(p.service)
			if err != nil {
				return fmt.Errorf("Unknown port: %s", quoted(p.service))
			}
			port = uint64(n)
		}
	}
	p.path.Target = netip.AddrPortFrom(addrs[0], uint16(port))
	if p.source == "" {
		return nil
	}
	family := names.IPv6
	if addrs[0].Is4() {
		family = names.IPv4
	}
	from, err := p.resolve.Host(ctx, p.source, family)
	if err != nil {
		return fmt.Errorf("Bad source address: %s", quoted(p.source))
	}
	p.path.Source = netip.AddrPortFrom(from[0], 0)
	return nil
}

// reserve finds the way out, and takes the source ports.
func (p *program) reserve(conn *wire.Conn) error {
	from := netip.AddrPortFrom(p.path.Source.Addr(), uint16(p.port))
	route, err := conn.Route(p.path.Target, from)
	if err != nil {
		return fmt.Errorf("No route to %s: %w", p.path.Target.Addr(), reason(err))
	}
	from = netip.AddrPortFrom(route.Source, uint16(p.port))
	wanted := 1
	if p.trackPort {
		if p.port != 0 {
			fmt.Fprintln(p.stderr, "Warning: --track-id implied by specifying the local source port")
			p.trackPort = false
		} else {
			wanted = min(maxPorts, p.probes())
		}
	}
	var ports []uint16
	for range wanted {
		port := from.Port()
		if p.anyPort {
			err = conn.Use(port)
		} else {
			port, err = conn.Reserve(from)
		}
		if err != nil {
			return p.portError(from, err)
		}
		ports = append(ports, port)
	}
	p.path.Source = netip.AddrPortFrom(from.Addr(), ports[0])
	device := fmt.Sprintf("Selected device %s, address %s", quoted(route.Interface), from.Addr())
	if p.trackPort {
		p.path.Ports = ports
	} else {
		device += fmt.Sprintf(", port %d", ports[0])
	}
	fmt.Fprintf(p.stderr, "%s for outgoing packets\n", device)
	return nil
}

// maxPorts is how many source ports --track-port takes at the most; then they come round again.
const maxPorts = 256

func (p *program) probes() int {
	first, last, queries := max(p.path.FirstTTL, 1), p.path.MaxTTL, p.path.Queries
	if last == 0 {
		last = trace.DefaultMaxTTL
	}
	if queries == 0 {
		queries = trace.DefaultQueries
	}
	return (last - first + 1) * queries
}

func (p *program) portError(from netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("Source port %d is in use (-P takes it all the same)", from.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("Bad source address: %s is not an address of this host", from.Addr())
	}
	return err
}

func (p *program) socketError(err error) error {
	switch {
	case errors.Is(err, wire.ErrPrivilege):
		return errors.New("Raw sockets need root or the capability CAP_NET_RAW; run it with sudo, or once: setcap cap_net_raw+ep tcptraceroute")
	case p.iface != "" && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO)):
		return fmt.Errorf("No such interface: %s", quoted(p.iface))
	case errors.Is(err, syscall.EADDRINUSE):
		return p.portError(netip.AddrPortFrom(netip.Addr{}, uint16(p.port)), err)
	}
	return err
}

// reason is the innermost error: what the system said.
func reason(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// announce says what is traced.
func (p *program) announce() {
	var b strings.Builder
	target := p.path.Target.Addr().String()
	shown := target
	if p.host != target {
		shown = fmt.Sprintf("%s (%s)", quoted(p.host), target)
	}
	fmt.Fprintf(&b, "Tracing the path to %s on TCP port %d", shown, p.path.Target.Port())
	if s := p.ports.Service(p.path.Target.Port()); s != "" {
		fmt.Fprintf(&b, " (%s)", quoted(s))
	}
	last := p.path.MaxTTL
	if last == 0 {
		last = trace.DefaultMaxTTL
	}
	fmt.Fprintf(&b, ", %d hops max", last)
	fmt.Fprintln(p.stderr, b.String())
}

// trace carries the trace out and prints it.
func (p *program) trace(ctx context.Context, conn *wire.Conn) error {
	plan, err := trace.NewPath(p.path)
	if err != nil {
		return err
	}
	p.announce()
	o := trace.Options{Wait: p.path.Wait, Strict: p.strict, Loose: p.loose, Fault: conn.Fault}
	if p.debug {
		o.Observe = debug(p.stderr)
	}
	folded := trace.NewTrace(p.path)
	text := report.NewClassic(p.stdout, folded, report.ClassicOptions{
		DNAT: p.dnat,
		Name: func(a netip.Addr) string { return p.resolve.Name(ctx, a) },
	})
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := startPrinter(text, func(err error) { stop(fmt.Errorf("writing: %w", err)) })
	var troubles troubles
	counts, err := trace.Run(running, conn, plan, o, func(r trace.Result) {
		if r.Reply != nil && r.Reply.Kind != packet.KindOther {
			p.resolve.Start(r.Reply.From())
		}
		troubles.add(r)
		w.add(r)
	})
	if werr := w.close(); werr != nil {
		err = fmt.Errorf("writing: %w", werr)
	}
	troubles.print(p.stderr)
	if counts.NearMisses >= trace.NearMissAlarm {
		fmt.Fprintf(p.stderr, "Warning: %d answers do not match our probes: they are forged, or a device rewrites sequence numbers (--loose believes them)\n", counts.NearMisses)
	}
	switch {
	case err != nil:
		return err
	case !folded.Reached():
		return errNotReached
	}
	if u := folded.Unplaced(); u != nil {
		fmt.Fprintf(p.stderr, "%s answered [%s], but which probe it answered could not be told\n", u.Reply.From(), report.State(u.Reply.TCP.Flags))
	}
	return nil
}

// troubles collects the probes that failed on this host, to say in words what their marks mean.
type troubles struct {
	errs   []error
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
