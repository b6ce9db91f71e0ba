package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"testing/synctest"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, err := sim.Connect("router 10.0.0.1 delay=1ms\ntarget 203.0.113.9 delay=5ms closed open=443")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var out bytes.Buffer
		err = writeTrace(t.Context(), &out, conn, trace.PathOptions{
			Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
		})
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Schema  string
			Outcome struct{ Reached bool }
			Hops    []struct{ TTL int }
		}
		if err := json.Unmarshal(out.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		if document.Schema != record.ID || !document.Outcome.Reached || len(document.Hops) != 2 {
			t.Errorf("%+v\n%s", document, out.Bytes())
		}
	})
}
