package wire_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// A host is traced in ten lines, those not counted that only look at errors.
func Example() {
	target := netip.MustParseAddrPort("203.0.113.5:443")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := wire.Open(wire.Options{}) // needs CAP_NET_RAW; nothing after it does
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	source, err := conn.Source(target)
	if err != nil {
		log.Fatal(err)
	}
	found, err := trace.Find(ctx, conn, trace.PathOptions{Source: source, Target: target})
	if err != nil {
		log.Fatal(err)
	}
	for hop := range found.Hops() {
		for _, r := range hop.Probes {
			fmt.Println(hop.TTL, r.Outcome, r.From(), r.RTT())
		}
	}
}
