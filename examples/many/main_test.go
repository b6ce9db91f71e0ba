package main

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect(`
			router 10.0.0.1 delay=1ms
			target 203.0.113.9 delay=5ms
			router 10.0.0.1 delay=1ms
			router 10.0.1.1 delay=1ms
			target 203.0.113.10 delay=5ms filtered`)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		from := netip.MustParseAddr("192.0.2.1")
		var out bytes.Buffer
		err = traceAll(t.Context(), &out, conn, []trace.PathOptions{
			{Source: netip.AddrPortFrom(from, 40000), Target: netip.MustParseAddrPort("203.0.113.9:443")},
			{Source: netip.AddrPortFrom(from, 40001), Target: netip.MustParseAddrPort("203.0.113.10:443")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), "203.0.113.9:443: 2 hops\n203.0.113.10:443: no answer\n"; got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	})
}
