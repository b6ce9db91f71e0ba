package record_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/trace"
)

// A trace of one hop as a document, and what another program reads of it.
func ExampleTrace_WriteJSON() {
	o := trace.PathOptions{
		Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
		Queries: 1, MaxTTL: 1,
	}
	run := &report.Run{
		Trace: &record.Trace{
			Header: record.Header{Version: "1.0", Started: time.Unix(0, 0), Host: "www.example.com", Path: o},
			Ending: record.Ending{Time: time.Unix(1, 0), Reason: record.Complete},
		},
	}
	var out bytes.Buffer
	document := report.NewJSON(&out, run, trace.NewTrace(o))
	sent := time.Unix(0, 0)
	document.Add(trace.Result{
		Probe: packet.Probe{Src: o.Source, Dst: o.Target, TTL: 1}, N: 1, Outcome: trace.Answered,
		Sent: sent, Recv: sent.Add(1500 * time.Microsecond),
		Reply: &packet.Reply{Kind: packet.KindTimeExceeded, IP: packet.IP{Src: netip.MustParseAddr("198.51.100.1")}},
	})
	if err := document.Finish(); err != nil {
		panic(err)
	}
	var read struct {
		Schema string
		Hops   []struct {
			TTL    int
			Probes []struct {
				Fate  string
				Reply struct {
					Address string
					RTT     float64 `json:"rtt_ms"`
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		panic(err)
	}
	fmt.Println(read.Schema)
	for _, hop := range read.Hops {
		for _, p := range hop.Probes {
			fmt.Println(hop.TTL, p.Fate, p.Reply.Address, p.Reply.RTT)
		}
	}
	// Output:
	// urn:tcptraceroute:trace:1
	// 1 answered 198.51.100.1 1.5
}
