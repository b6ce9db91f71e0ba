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
// Trace is the front door. Programs that want to know why a path ends, or a record to keep, use package measure. Those
// that trace many targets, choose the probes, or give up their privileges use what it is made of: package wire opens
// sockets, package trace finds the path, package detect says what the answers mean, and the packages below report show
// them. ARCHITECTURE.md is the map, and examples has whole programs.
//
// # Stability
//
// Until version 1.0.0 a minor version may change the Go API; the changelog says how. A patch version does not. What the
// command prints in the classic form, its options, its exit codes and version 1 of the JSON are stable already.
package tcptraceroute

import (
	"context"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/names"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// DefaultPort is the target's port if none is given.
const DefaultPort = measure.DefaultPort

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
	t, err := measure.Open(measure.Options{Wire: o.Wire})
	if err != nil {
		return nil, err
	}
	defer t.Close()
	made, err := t.Trace(ctx, measure.Request{Host: host, Port: o.Port, Family: o.Family, Path: o.Path})
	if made == nil {
		return nil, err
	}
	return made.Fold().Trace, err
}
