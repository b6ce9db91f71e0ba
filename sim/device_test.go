package sim_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// TestDevice: routers of several paths that are one device share its limit, and send equal flows the same way; others
// don't.
func TestDevice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		router string
		want   int // answers to ten probes
	}{{"router 10.0.0.1 rate=1s/3 device=7", 3}, {"router 10.0.0.1 rate=1s/3", 10}} {
		synctest.Test(t, func(t *testing.T) {
			network := ""
			for i := range 10 {
				network += fmt.Sprintf("%s\ntarget 198.18.0.%d\n", tt.router, i+1)
			}
			conn, err := sim.Connect(network)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for i := range 10 {
				p := packet.Probe{Src: netip.MustParseAddrPort("192.0.2.1:40000"), TTL: 1, Flags: packet.SYN, ID: uint16(i + 1),
					Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(i + 1)}), 80)}
				if _, err := conn.Send(p); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			answers := 0
			for {
				var buf [1500]byte
				soon, cancel := context.WithCancel(t.Context())
				cancel()
				if _, _, err := conn.Recv(soon, buf[:]); err != nil {
					break
				}
				answers++
			}
			if answers != tt.want {
				t.Errorf("%s: %d answers, want %d", tt.router, answers, tt.want)
			}
		})
	}
}
