// Package tcptraceroute traces the path of a TCP connection, as the command of that name does:
//
//	found, err := tcptraceroute.Trace(ctx, "www.example.com", tcptraceroute.Options{Port: 443})
//	...
//	for hop := range found.Hops() {
//		for _, r := range hop.Probes {
//			fmt.Println(hop.TTL, r.From(), r.RTT())
//		}
//	}
//
// Trace is the front door. Programs that trace many targets, choose the probes, or give up their privileges use the
// packages that it is made of: package wire opens sockets, package trace finds the path, package detect says what the
// answers mean, and the packages below report show them. ARCHITECTURE.md is the map, and examples has whole programs.
//
// # Stability
//
// Until version 1.0.0 a minor version may change the Go API; the changelog says how. A patch version does not. What the
// command prints in the classic form, its options, its exit codes and version 1 of the JSON are stable already.
package tcptraceroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// DefaultPort is the target's port if none is given.
const DefaultPort = 80

// Options say how to trace. The zero value is what the command does without options.
type Options struct {
	Port   uint16       // the target's TCP port; 0: DefaultPort
	Family names.Family // IPv4 or IPv6 only; names.Any: IPv4 if the host has it

	Path trace.PathOptions // Target and Source are filled in
	Wire wire.Options
}

// Trace finds the path to a host, a name or an address. It needs the capability CAP_NET_RAW, but does without if it
// lacks that: each probe is then a connection, and the trace is slower (see [wire.Unprivileged]). It gives up no
// privileges.
//
// If ctx ends, Trace returns what is known by then, with ctx's cause as the error. The Trace is nil if no probe could
// be sent: no such host, no route, options that make no sense.
func Trace(ctx context.Context, host string, o Options) (*trace.Trace, error) {
	conn, err := open(o.Wire)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if o.Path.Target, err = lookUp(ctx, host, o); err != nil {
		return nil, err
	}
	if o.Path.Source, err = conn.Source(o.Path.Target); err != nil {
		return nil, fmt.Errorf("source for %v: %w", o.Path.Target, err)
	}
	return trace.Find(ctx, conn, o.Path)
}

// connection is a way to the network, by raw sockets or without.
type connection interface {
	trace.Conn
	Source(target netip.AddrPort) (netip.AddrPort, error)
	Close() error
}

var _ connection = (*wire.Unprivileged)(nil)

// open opens raw sockets, or does without if they are refused.
func open(o wire.Options) (connection, error) {
	conn, err := wire.Open(o)
	if errors.Is(err, wire.ErrPrivilege) {
		return wire.OpenUnprivileged(o)
	}
	return conn, err
}

// lookUp finds the target's address.
func lookUp(ctx context.Context, host string, o Options) (target netip.AddrPort, err error) {
	ascii, err := names.ASCII(host)
	if err != nil {
		return target, err
	}
	resolver := names.New(names.Options{Policy: names.Never})
	defer resolver.Close()
	addrs, err := resolver.Host(ctx, ascii, o.Family)
	if err != nil {
		return target, err
	}
	port := o.Port
	if port == 0 {
		port = DefaultPort
	}
	a := addrs[0]
	if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
		a = a.WithZone(o.Wire.Interface)
	}
	return netip.AddrPortFrom(a, port), nil
}
