package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
)

// operands reads host, port and length.
func (p *program) operands(operands []string) (err error) {
	switch {
	case len(operands) == 0:
		return errors.New("host missing: tcptraceroute [options] host [port]; see tcptraceroute --help")
	case len(operands) > 3:
		return fmt.Errorf("Too many arguments, the first is %s: after host, port and packet length there is none; see "+
			"tcptraceroute --help", quoted(operands[3]))
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
			return fmt.Errorf("Two ports for the target: %s by %s, and %s by the argument after it: leave one out", p.service,
				p.host, port)
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
		return fmt.Errorf("The third argument is the packet length, and must be between 0 and %d: %s", math.MaxUint16,
			given(v))
	}
	p.path.Length = n
	return nil
}

// address finds the target and its port.
func (p *program) address(ctx context.Context) error {
	port := uint16(measure.DefaultPort)
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

// lookup finds the addresses of a host.
func (p *program) lookup(ctx context.Context, host string, family names.Family, what string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	_, err := asciiHost(host, what)
	switch {
	case err != nil:
		return nil, err
	case what == "destination":
		addrs, err = measure.LookUpTarget(ctx, p.resolve, host, family, p.iface)
	default:
		addrs, err = measure.LookUp(ctx, p.resolve, host, family)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return addrs, nil
	case errors.Is(err, names.ErrFamily):
		return nil, fmt.Errorf("Bad %s address: %s (it is not IPv%d)", what, host, family)
	case errors.Is(err, measure.ErrBroadcast):
		return nil, fmt.Errorf("Bad %s address: %s", what, host)
	case errors.Is(err, measure.ErrZone):
		return nil, fmt.Errorf("Bad %s address: %s (a link-local address needs its interface: %[2]s%%eth0)", what, host)
	}
	return nil, fmt.Errorf("Bad %s address: %s%s", what, host, whyBad(host, family, err))
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
