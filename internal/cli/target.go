package cli

import (
	"context"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"go.example/tcptraceroute/internal/words"
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
	targets, err := measure.LookUpTarget(ctx, p.resolve, p.Host, p.Family, p.Interface)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		_, none := os.Stat(p.Host)
		return words.NoTarget(&p.Config, none == nil, err)
	}
	p.Path.Target, p.Others = netip.AddrPortFrom(targets[0], port), targets[1:]
	return p.sourceAddress(ctx, names.FamilyOf(targets[0]))
}

// sourceAddress finds the address that the user wants to send from, if there is one.
func (p *program) sourceAddress(ctx context.Context, family names.Family) error {
	if !p.SourceSet {
		return nil
	}
	host := strings.TrimSpace(p.Source)
	from, err := measure.LookUp(ctx, p.resolve, host, family)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return words.NoAddress("source", host, family, err)
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
	if err != nil {
		return 0, words.NoPort(s)
	}
	return n, nil
}
