// The command plan measures the round-trip time to a TCP port by a plan of its own: one SYN after the other, each a
// flow of its own, and the next when the last was answered or is lost.
//
//	go build ./examples/plan && sudo ./plan 192.0.2.1:443
package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"go.example/tcptraceroute/packet"
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
	return ping(context.Background(), os.Stdout, conn, &pings{source: source, target: target, left: 5})
}

// pings is the plan: it decides which probe to send and when, and does nothing else. The engine owns time and I/O.
type pings struct {
	source, target netip.AddrPort
	left           int       // how many are still to be sent
	waiting        bool      // for the last one
	soon           time.Time // when the next may leave
}

// Next implements trace.Plan. A wait with nothing in flight and nothing to come is the end.
func (p *pings) Next(now time.Time) trace.Action {
	switch {
	case p.waiting || p.left == 0:
		return trace.Action{}
	case now.Before(p.soon):
		return trace.WaitUntil(p.soon)
	}
	p.left--
	p.waiting, p.soon = true, now.Add(time.Second)
	return trace.Send(packet.Probe{
		Src: p.source, Dst: p.target, TTL: 64, Flags: packet.SYN, Window: 5840,
		ID:  uint16(p.left + 1), // which answers of routers bring back
		Seq: rand.Uint32(),      // which every answer brings back
	})
}

// Learn implements trace.Plan.
func (p *pings) Learn(now time.Time, r trace.Result) {
	if r.Outcome.Final() {
		p.waiting = false
	}
}

// ping carries the plan out and prints each outcome.
func ping(ctx context.Context, w io.Writer, conn trace.Conn, p *pings) error {
	o := trace.PathOptions{Source: p.source, Target: p.target}
	_, err := trace.Run(ctx, conn, p, o.RunOptions(conn), func(r trace.Result) {
		switch {
		case r.Outcome == trace.Answered:
			fmt.Fprintf(w, "%v: %v, %v\n", r.From(), r.Reply.Kind, r.RTT().Round(time.Microsecond))
		case r.Outcome.Final():
			fmt.Fprintf(w, "%v\n", r.Outcome)
		}
	})
	return err
}
