// The command json traces the path to an address and prints it as JSON, version 1 of the schema that package record
// describes, with what the answers say about the path:
//
//	go build ./examples/json && sudo ./json 192.0.2.1:443
package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
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
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s ADDRESS:PORT", os.Args[0])
	}
	target, err := netip.ParseAddrPort(os.Args[1])
	if err != nil {
		return err
	}
	conn, err := wire.Open(wire.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	source, err := conn.Source(target)
	if err != nil {
		return err
	}
	return writeTrace(context.Background(), os.Stdout, conn, trace.PathOptions{Target: target, Source: source})
}

// writeTrace traces a path over a connection and writes the document when the trace is over.
func writeTrace(ctx context.Context, w io.Writer, conn trace.Conn, o trace.PathOptions) error {
	o = o.Prepare(conn)
	plan, err := trace.NewPath(o)
	if err != nil {
		return err
	}
	found := trace.NewTrace(o) // the document adds the results to it
	made := &record.Trace{Header: record.Header{Version: "example", Started: time.Now(), Host: o.Target.Addr().String(),
		Path: o, Length: plan.Length(o.Length)}}
	document := report.NewJSON(w, &report.Run{Trace: made}, found)
	counts, failed := trace.Run(ctx, conn, plan, o.RunOptions(conn), func(r trace.Result) {
		document.Add(r) // writes nothing yet, so that it can't fail
	})
	view := detect.View{Trace: found, Options: o, Counts: counts}
	made.Findings = append([]detect.Finding{}, detect.Findings(detect.Evidence{View: view})...)
	made.Ending = record.Ending{Time: time.Now(), Reason: record.Complete, Counts: counts, Err: failed}
	if failed != nil {
		made.Ending.Reason, made.Ending.ExitCode = record.Interrupted, 1
	}
	return document.Finish()
}
