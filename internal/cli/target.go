package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/record"
)

// address finds the target and its port.
func (p *program) address(ctx context.Context) error {
	port := uint16(measure.DefaultPort)
	if p.ServiceSet {
		var err error
		if port, err = p.portNumber(p.Service); err != nil {
			return err
		}
	}
	targets, err := p.lookup(ctx, p.Host, p.Family, "destination")
	if err != nil {
		return err
	}
	target := targets[0]
	p.Path.Target, p.Others = netip.AddrPortFrom(target, port), targets[1:]
	if !p.SourceSet {
		return nil
	}
	family := names.IPv6
	if target.Is4() {
		family = names.IPv4
	}
	from, err := p.lookup(ctx, strings.TrimSpace(p.Source), family, "source")
	if err != nil {
		return err
	}
	p.Path.Source = netip.AddrPortFrom(from[0], 0)
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
	case options.Digits(s):
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
		addrs, err = measure.LookUpTarget(ctx, p.resolve, host, family, p.Interface)
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
	why := ""
	if text := names.Why(host, family, err); text != "" {
		why = " (" + text + ")"
	}
	return nil, fmt.Errorf("Bad %s address: %s%s", what, host, why)
}

// target is what is traced, as people read it.
func (p *program) target(port string) string {
	address := p.Path.Target.Addr().String()
	text := address
	if name, err := names.ASCII(p.Host); err == nil && name != address {
		text = fmt.Sprintf("%s (%s)", name, address)
	}
	text += port + strconv.Itoa(int(p.Path.Target.Port()))
	if s := p.ports.Service(p.Path.Target.Port()); s != "" {
		text += " (" + s + ")"
	}
	return text
}

// sayOthers says which address was taken of a name that has more than one.
func (p *program) sayOthers() {
	if len(p.Others) == 0 {
		return
	}
	const most = 4 // to be named
	var others []string
	for _, a := range p.Others[:min(len(p.Others), most)] {
		others = append(others, a.String())
	}
	if more := len(p.Others) - most; more > 0 {
		others = append(others, fmt.Sprintf("and %d more", more))
	}
	name, _ := names.ASCII(p.Host) // it has been looked up
	fmt.Fprintf(p.stderr, "%s has %d addresses: tracing to %v, not %s\n",
		record.Printable(name), 1+len(p.Others), p.Path.Target.Addr(), strings.Join(others, ", "))
}

// asciiHost is the form of a host's name that is looked up and printed: that of the DNS, where it has other letters.
func asciiHost(host, what string) (string, error) {
	ascii, err := names.ASCII(host)
	if err != nil {
		return "", fmt.Errorf("Bad %s address: %s (%w)", what, host, err)
	}
	return ascii, nil
}
