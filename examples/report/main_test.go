package main

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

func TestTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect("router 10.0.0.1 delay=1ms\nrouter *\ntarget 203.0.113.9 delay=5ms closed open=443")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		found, err := trace.Find(t.Context(), conn, trace.PathOptions{
			Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
			Queries: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := writeTable(&out, found); err != nil {
			t.Fatal(err)
		}
		const want = `| hop | who | times |
|---|---|---|
| 1 | 10.0.0.1 | 2ms |
| 2 | no answer | lost |
| 3 | 203.0.113.9 [open] | 12ms |
`
		if got := out.String(); got != want {
			t.Errorf("printed\n%s\nwant\n%s", got, want)
		}
	})
}
