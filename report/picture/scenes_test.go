package picture_test

import (
	"fmt"
	"strings"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// long is a path of 24 hops with long names, silent hops, several responders, and many networks.
func long(v6 bool) scene.Scene {
	var b strings.Builder
	s := scene.Scene{Host: "a-rather-long-host-name.of-some-service.example.com", Names: map[string]string{}, Owners: map[string]record.Owner{}}
	address := func(n, k int) string {
		if v6 {
			return fmt.Sprintf("2001:db8:%x:%x:1234:5678:9abc:%x", n, k, 0xdef0+k)
		}
		return fmt.Sprintf("198.51.%d.%d", n, 100+k)
	}
	b.WriteString("seed 11\n")
	for n := 1; n < 24; n++ {
		width := 1
		switch n {
		case 3, 9, 17:
			b.WriteString("router * delay=1ms\n")
			continue
		case 6:
			width = 4
		case 13, 14:
			width = 2
		}
		var all []string
		for k := range width {
			a := address(n, k)
			all = append(all, a)
			s.Names[a] = fmt.Sprintf("ae-%d.edge%d.frankfurt%d.level%d.example.net", n*7+k, n, k+1, n%5)
			s.Owners[a] = record.Owner{ASN: uint32(64500 + n/6), Name: "Example Networks"}
		}
		fmt.Fprintf(&b, "router %s delay=%dms jitter=%dms per-packet loss=%.2f\n", strings.Join(all, ","), 1+n%4, 1+n%3, float64(n%7)/60)
	}
	target := address(24, 9)
	s.Names[target] = s.Host
	s.Owners[target] = record.Owner{ASN: 65000, Name: "The Service of Examples"}
	fmt.Fprintf(&b, "target %s delay=12ms jitter=9ms closed\n", target)
	s.Network, s.Path = b.String(), trace.PathOptions{Queries: 4}
	return s
}

// filtered is a path on which nothing answers behind hop 3.
var filtered = scene.Scene{
	Network: "router 198.51.100.1 delay=1ms\nrouter 198.51.100.2 delay=2ms\nrouter 198.51.100.3\nrouter * drop\ntarget 203.0.113.9",
	Path:    trace.PathOptions{MaxTTL: 9},
}

func must(o packet.Options, err error) packet.Options {
	if err != nil {
		panic(err)
	}
	return o
}

// short is a path with one of everything.
var short = scene.Scene{
	Network: `
		seed 3
		router 198.51.100.1 delay=1ms jitter=1ms
		router 198.51.100.5,198.51.100.6 per-packet delay=1ms mpls=16001/5/1,17/0/2
		router *
		router 198.51.100.9 delay=4ms jitter=2ms set-mss=1380
		router 198.51.100.13 dnat=203.0.113.77:8443 raw-quote
		router 198.51.100.17 loss=0.3 delay=3ms
		target 203.0.113.9 delay=9ms jitter=3ms open`,
	Path:  trace.PathOptions{Queries: 5, Options: must(packet.Options{}.WithMSS(1460))},
	Host:  "www.example.com",
	Names: map[string]string{"198.51.100.1": "gw.example", "198.51.100.9": "ae-12-3512.edge7.frankfurt1.example.net", "203.0.113.9": "www.example.com"},
	Owners: map[string]record.Owner{
		"198.51.100.5": {ASN: 64500, Name: "Example Access Networks"}, "198.51.100.6": {ASN: 64500, Name: "Example Access Networks"},
		"198.51.100.9": {ASN: 64500, Name: "Example Access Networks"}, "198.51.100.13": {ASN: 64501, Name: "Cloud <Inc> & Sons"},
		"198.51.100.17": {ASN: 64501, Name: "Cloud <Inc> & Sons"}, "203.0.113.9": {ASN: 64502, Name: "T"},
	},
}
