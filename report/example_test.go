package report_test

import (
	"net/netip"
	"os"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// A report takes results as they come, and prints a hop when it is complete.
func ExampleNewClassic() {
	o := trace.PathOptions{
		Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
		Queries: 1,
	}
	out := report.NewClassic(os.Stdout, trace.NewTrace(o), report.ClassicOptions{})
	sent := time.Unix(0, 0)
	router := &packet.Reply{Kind: packet.KindTimeExceeded, IP: packet.IP{Src: netip.MustParseAddr("198.51.100.1")}}
	target := &packet.Reply{
		Kind: packet.KindTCP, IP: packet.IP{Src: o.Target.Addr()},
		TCP: packet.TCP{Flags: packet.SYN | packet.ACK},
	}
	for i, reply := range []*packet.Reply{router, target} {
		out.Add(trace.Result{
			Probe: packet.Probe{Src: o.Source, Dst: o.Target, TTL: uint8(i + 1)}, N: i + 1, Outcome: trace.Answered,
			Sent: sent, Recv: sent.Add(time.Duration(i+1) * 1500 * time.Microsecond), Reply: reply,
		})
	}
	out.Finish()
	// Output:
	//  1  198.51.100.1  1.500 ms
	//  2  203.0.113.9 [open]  3.000 ms
}
