package detect_test

import (
	"context"
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// Findings are a pure function of a finished trace.
func ExampleFindings() {
	conn, err := sim.Connect("router 10.0.0.1\nrouter 10.0.1.1\ntarget 203.0.113.9 open=443")
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	o := trace.PathOptions{
		Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
	}
	found, err := trace.Find(context.Background(), conn, o)
	if err != nil {
		panic(err)
	}
	for _, f := range detect.Findings(detect.Evidence{View: detect.View{Trace: found, Options: o}}) {
		fmt.Printf("%s [%s, %v]\n", f.Title, f.Code, f.Confidence)
	}
	// Output: Port 443 is open: the target's address accepts the connection [port-open, certain]
}
