package main

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/sim"
)

func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect("router 10.0.0.1 delay=1ms\ntarget 203.0.113.9 delay=5ms closed open=443")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var out bytes.Buffer
		start := time.Now()
		err = ping(t.Context(), &out, conn, &pings{
			source: netip.MustParseAddrPort("192.0.2.1:40000"), target: netip.MustParseAddrPort("203.0.113.9:443"), left: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		const line = "203.0.113.9: tcp, 12ms\n"
		if got := out.String(); got != line+line+line {
			t.Errorf("printed %q", got)
		}
		if took := time.Since(start); took < 2*time.Second {
			t.Errorf("3 SYNs within %v", took)
		}
	})
}
