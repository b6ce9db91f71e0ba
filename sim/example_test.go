package sim_test

import (
	"fmt"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// Each probe goes in with the instant of its sending; what comes back has the
// instant of its arrival.
func ExampleModel() {
	scenario, err := sim.Parse(`
		router 10.0.0.1 delay=1ms
		router 10.0.1.1 delay=9ms mpls=16001/0/1
		router *                             # never answers
		target 203.0.113.9 delay=5ms closed open=80,443`)
	if err != nil {
		panic(err)
	}
	m, err := sim.New(scenario)
	if err != nil {
		panic(err)
	}
	for ttl := range uint8(4) {
		p := packet.Probe{
			Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:80"),
			TTL: ttl + 1, Flags: packet.SYN,
		}
		b, err := p.AppendBinary(nil)
		if err != nil {
			panic(err)
		}
		if err := m.Inject(0, b); err != nil {
			panic(err)
		}
	}
	buf := make([]byte, 1500)
	for {
		n, at, ok := m.Receive(time.Second, buf)
		if !ok {
			break
		}
		var r packet.Reply
		if err := packet.Parse(buf[:n], &r); err != nil {
			panic(err)
		}
		fmt.Println(at, r.From(), r.Kind, r.TCP.Flags)
	}
	fmt.Println("SYNs at the target:", m.Truth(0).Target.SYN)
	// Output:
	// 2ms 10.0.0.1 time exceeded 0
	// 20ms 10.0.1.1 time exceeded 0
	// 30ms 203.0.113.9 tcp SYN|ACK
	// SYNs at the target: 1
}
