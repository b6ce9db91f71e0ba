package trace_test

import (
	"context"
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// A path in a simulated network. For a real one, see the example of package wire: only the connection is another.
func ExampleFind() {
	conn := simulated(`
		router 10.0.0.1 delay=1ms
		router 10.0.1.1 delay=2ms
		target 203.0.113.9 delay=1ms closed open=443`)
	found, err := trace.Find(context.Background(), conn, trace.PathOptions{
		Source:  netip.MustParseAddrPort("192.0.2.1:40000"),
		Target:  netip.MustParseAddrPort("203.0.113.9:443"),
		Queries: 1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for hop := range found.Hops() {
		for _, r := range hop.Probes {
			fmt.Println(hop.TTL, r.From(), r.Reply.Kind, r.RTT() > 0)
		}
	}
	// Output:
	// 1 10.0.0.1 time exceeded true
	// 2 10.0.1.1 time exceeded true
	// 3 203.0.113.9 tcp true
}

// Results can be watched as they come, and two paths traced at once with one pair of sockets.
func ExampleRun() {
	conn := simulated(`
		router 10.0.0.1
		target 203.0.113.9 closed open=443`)
	var plans []trace.Plan
	for i, port := range []uint16{443, 25} {
		plan, err := trace.NewPath(trace.PathOptions{
			Source: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 40000+uint16(i)),
			Target: netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), port),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		plans = append(plans, plan)
	}
	both := trace.NewGroup(plans...)
	open := make([]bool, len(plans))
	_, err := trace.Run(context.Background(), conn, both, trace.Options{}, func(r trace.Result) {
		if r.FromTarget() {
			i, _ := both.Of(r)
			open[i] = r.Reply.TCP.Flags.Has(packet.SYN | packet.ACK)
		}
	})
	fmt.Println("443:", open[0], "25:", open[1], err)
	// Output: 443: true 25: false <nil>
}

// simulated is a connection to a simulated network.
func simulated(text string) *sim.Conn {
	c, err := sim.Connect(text)
	if err != nil {
		panic(err)
	}
	return c
}
