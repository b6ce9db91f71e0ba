package export_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/netip"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/trace"
)

// A trace of one hop as CSV: a row for each probe.
func ExampleNewCSV() {
	o := trace.PathOptions{
		Source: netip.MustParseAddrPort("192.0.2.1:40000"), Target: netip.MustParseAddrPort("203.0.113.9:443"),
		Queries: 1, MaxTTL: 1,
	}
	run := &report.Run{Trace: &record.Trace{Header: record.Header{Host: "www.example.com", Path: o}}}
	var table bytes.Buffer
	out := export.NewCSV(&table, run, trace.NewTrace(o))
	out.Add(trace.Result{
		Probe: packet.Probe{Src: o.Source, Dst: o.Target, TTL: 1}, N: 1, Outcome: trace.Lost, Sent: time.Unix(0, 0),
	})
	if err := out.Finish(); err != nil {
		panic(err)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil {
		panic(err)
	}
	for _, row := range rows {
		fmt.Println(row[:3])
	}
	// Output:
	// [ttl n fate]
	// [1 1 lost]
}

// No text is a formula.
func ExampleCell() {
	fmt.Println(export.Cell("=1+1"), export.Cell("www.example.com"))
	// Output: '=1+1 www.example.com
}
