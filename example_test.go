package tcptraceroute_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"go.example/tcptraceroute"
	"go.example/tcptraceroute/trace"
)

// The path to a web server, as the command finds it.
func ExampleTrace() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	found, err := tcptraceroute.Trace(ctx, "www.example.com", tcptraceroute.Options{
		Port: 443,
		Path: trace.PathOptions{Queries: 1},
	})
	if err != nil {
		log.Fatal(err)
	}
	for hop := range found.Hops() {
		for _, r := range hop.Probes {
			fmt.Println(hop.TTL, r.From(), r.RTT())
		}
	}
}
