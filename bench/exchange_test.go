package main

import (
	"net/netip"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// Answers find their probes by what they quote, also behind a translator that rewrites ports and IP IDs, and by the numbers
// of the front end.
func TestReadTraffic(t *testing.T) {
	for _, tt := range []struct {
		name, target, network string
		ports                 int // 1: one flow, told apart by tags; else one flow a probe
		sequential            bool
		answered              []bool // by TTL
	}{
		{"one flow", "203.0.113.9", "router 10.0.0.1 delay=3ms\nrouter *\nrouter 10.0.0.3 delay=1ms quote=min\ntarget 203.0.113.9 open", 1, false, []bool{true, false, true, false}},
		{"one flow, one probe at a time", "203.0.113.9", "router 10.0.0.1 delay=3ms\nrouter *\nrouter 10.0.0.3 delay=1ms quote=min\ntarget 203.0.113.9 open", 1, true, []bool{true, false, true, true}},
		{"a flow a probe", "203.0.113.9", "router 10.0.0.1\nrouter 10.0.0.2\nrouter 10.0.0.3\ntarget 203.0.113.9 closed", 4, false, []bool{true, true, true, true}},
		{"IPv6", "2001:db8::9", "router 2001:db8::1\nrouter 2001:db8::2\nrouter *\ntarget 2001:db8::9 closed", 1, true, []bool{true, true, false, true}},
		{"translated", "203.0.113.9", "router 10.0.0.1 snat=198.18.0.9:1024 raw-quote random-id\nrouter 10.0.0.2\nrouter 10.0.0.3\ntarget 203.0.113.9 open", 4, false, []bool{true, true, true, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scenario, err := sim.Parse(tt.network)
			if err != nil {
				t.Fatal(err)
			}
			model, err := sim.New(scenario)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Unix(1000, 0)
			var all []seen
			buf := make([]byte, 1500)
			now := time.Duration(0)
			receive := func() {
				for {
					n, due, ok := model.Receive(now, buf)
					if !ok {
						return
					}
					all = append(all, seen{at: start.Add(due), data: append([]byte(nil), buf[:n]...)})
				}
			}
			dst := netip.AddrPortFrom(netip.MustParseAddr(tt.target), 80)
			src := netip.MustParseAddr("192.0.2.1")
			if dst.Addr().Is6() {
				src = netip.MustParseAddr("2001:db8::100")
			}
			for i := range 4 {
				p := packet.Probe{Src: netip.AddrPortFrom(src, uint16(40000+i%tt.ports)), Dst: dst, TTL: uint8(i + 1), Flags: packet.SYN, Seq: 7 + uint32(i%tt.ports)*1000, ID: uint16(i * 100), Window: uint16(i)}
				if dst.Addr().Is6() {
					p.ID = 0
				}
				b, err := p.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := model.Inject(now, b); err != nil {
					t.Fatal(err)
				}
				all = append(all, seen{at: start.Add(now), out: true, data: b})
				now += time.Microsecond
				if tt.sequential {
					now += time.Second
					receive()
				}
			}
			now += time.Second
			receive()
			distance := 4
			if !tt.sequential && tt.ports == 1 {
				distance = 1 // then several probes may be meant
			}
			got := readTraffic(all, dst.Addr(), distance)
			if len(got.probes) != 4 || got.packets != 4 || !got.first.Equal(start) {
				t.Fatalf("%d probes, %d packets, the first at %v", len(got.probes), got.packets, got.first)
			}
			for i, p := range got.probes {
				if p.got.IsZero() == tt.answered[i] {
					t.Errorf("TTL %d: answered by %v at %v, want an answer: %v", i+1, p.from, p.got, tt.answered[i])
				}
			}
		})
	}
}

func TestNumbersDecide(t *testing.T) {
	p := packet.Probe{Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("203.0.113.9:80"), TTL: 9, Flags: packet.SYN}
	syn, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	reset, err := packet.AppendTCP(nil, &packet.Segment{Src: p.Dst, Dst: p.Src, TTL: 64, Flags: packet.RST | packet.ACK, Ack: 1})
	if err != nil {
		t.Fatal(err)
	}
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	got := readTraffic([]seen{
		{at: at(0), out: true, data: syn, number: 5}, {at: at(1), out: true, data: syn, number: 6},
		{at: at(7), data: reset, number: 6}, {at: at(8), data: reset, number: 6}, {at: at(9), data: reset, number: 4},
	}, p.Dst.Addr(), 1)
	if len(got.probes) != 2 || !got.probes[0].got.IsZero() || !got.probes[1].got.Equal(at(7)) || got.probes[1].from != p.Dst.Addr() {
		t.Errorf("%+v", got.probes)
	}
}
