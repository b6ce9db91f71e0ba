package packet_test

import (
	"fmt"
	"net/netip"

	"go.example/tcptraceroute/packet"
)

// A probe becomes bytes, and a router's answer becomes a value that names the probe.
func Example() {
	probe := packet.Probe{
		Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:443"),
		TTL: 3, ID: 7, Seq: 0x12345678, Flags: packet.SYN,
	}
	sent, err := probe.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	received, err := packet.AppendICMP(nil, &packet.ICMPError{
		Src: netip.MustParseAddr("198.51.100.1"), Dst: probe.Src.Addr(), TTL: 62,
		Type: packet.ICMPv4TimeExceeded, Quote: sent,
	})
	if err != nil {
		panic(err)
	}
	var reply packet.Reply
	if err := packet.Parse(received, &reply); err != nil {
		panic(err)
	}
	fmt.Println(reply.From(), reply.Kind, reply.Quote.Key() == probe.Key())
	// Output: 198.51.100.1 time exceeded true
}

// What the path has changed in a probe is seen in what an answer quotes of it.
func ExampleQuote_Changes() {
	probe := packet.Probe{
		Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:443"),
		TTL: 3, TOS: 0xb8, Seq: 1, Flags: packet.SYN,
	}
	changed := probe
	changed.TOS = 0
	quoted, err := changed.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	received, err := packet.AppendICMP(nil, &packet.ICMPError{
		Src: netip.MustParseAddr("198.51.100.1"), Dst: probe.Src.Addr(), Type: packet.ICMPv4TimeExceeded, Quote: quoted,
	})
	if err != nil {
		panic(err)
	}
	var reply packet.Reply
	if err := packet.Parse(received, &reply); err != nil {
		panic(err)
	}
	for change := range reply.Quote.Changes(probe) {
		if change.Field == packet.FieldDSCP {
			fmt.Println(change)
		}
	}
	// Output: DSCP 46 -> 0
}
