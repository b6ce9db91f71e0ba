// The command many traces the paths to many targets at once over one connection, and says how far each is:
//
//	go build ./examples/many && sudo ./many 192.0.2.1:443 198.51.100.1:22
package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"

	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	conn, err := wire.Open(wire.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	var paths []trace.PathOptions
	for _, arg := range os.Args[1:] {
		target, err := netip.ParseAddrPort(arg)
		if err != nil {
			return err
		}
		source, err := conn.Source(target)
		if err != nil {
			return err
		}
		paths = append(paths, trace.PathOptions{Target: target, Source: source})
	}
	return traceAll(context.Background(), os.Stdout, conn, paths)
}

// traceAll traces the paths side by side and prints a line for each.
func traceAll(ctx context.Context, w io.Writer, conn trace.Conn, paths []trace.PathOptions) error {
	if len(paths) == 0 {
		return nil
	}
	var plans []trace.Plan
	var found []*trace.Trace
	for _, o := range paths {
		plan, err := trace.NewPath(o)
		if err != nil {
			return fmt.Errorf("%v: %w", o.Target, err)
		}
		plans, found = append(plans, plan), append(found, trace.NewTrace(o))
	}
	all := trace.NewGroup(plans...)
	run := paths[0].RunOptions(conn)
	run.Pace = trace.NewPace(1000, 16) // packets a second, over all paths
	_, err := trace.Run(ctx, conn, all, run, func(r trace.Result) {
		if i, r := all.Of(r); i >= 0 {
			found[i].Add(r)
		}
	})
	for i, t := range found {
		t.Finish()
		if t.Reached() {
			fmt.Fprintf(w, "%v: %d hops\n", paths[i].Target, t.Last())
		} else {
			fmt.Fprintf(w, "%v: no answer\n", paths[i].Target)
		}
	}
	return err
}
