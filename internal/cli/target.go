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
	switch { // the host may be the file of mtr's -F, or of nmap's -iL
	case what == "destination" && p.Path.DontFragment:
		why += fmt.Sprintf("; -F sets the don't-fragment bit, and a list of targets is traced by --targets %s", host)
	case what == "destination" && p.Interface == "L":
		why += fmt.Sprintf("; -iL chooses the interface L, and a list of targets is traced by --targets %s", host)
	}
	return nil, fmt.Errorf("Bad %s address: %s%s", what, host, why)
}

// asciiHost is the form of a host's name that is looked up and printed: that of the DNS, where it has other letters.
func asciiHost(host, what string) (string, error) {
	ascii, err := names.ASCII(host)
	if err != nil {
		return "", fmt.Errorf("Bad %s address: %s (%w)", what, host, err)
	}
	return ascii, nil
}
