package picture_test

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/picture"
	"go.example/tcptraceroute/trace"
)

// A trace of one hop as a Mermaid diagram.
func ExampleNewMermaid() {
	o := trace.PathOptions{
		Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
		Queries: 1, MaxTTL: 1,
	}
	run := &report.Run{
		Trace: &record.Trace{
			Header: record.Header{Version: "1.0", Started: time.Unix(0, 0).UTC(), Host: "www.example.com", Path: o},
			Ending: record.Ending{Reason: record.Complete},
		},
	}
	var diagram strings.Builder
	out := picture.NewMermaid(&diagram, run, trace.NewTrace(o))
	sent := time.Unix(0, 0)
	out.Add(trace.Result{
		Probe: packet.Probe{Src: o.Source, Dst: o.Target, TTL: 1}, N: 1, Outcome: trace.Answered,
		Sent: sent, Recv: sent.Add(1500 * time.Microsecond),
		Reply: &packet.Reply{Kind: packet.KindTimeExceeded, IP: packet.IP{Src: netip.MustParseAddr("198.51.100.1")}},
	})
	if err := out.Finish(); err != nil {
		panic(err)
	}
	for line := range strings.Lines(diagram.String()) {
		if strings.HasPrefix(line, "    h1") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// h1["hop 1<br/>198.51.100.1<br/>1.50 ms"]:::router
	// h1 -.-> target
}
