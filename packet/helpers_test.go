package packet

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

var (
	src4 = netip.MustParseAddrPort("198.18.1.1:40000")
	dst4 = netip.MustParseAddrPort("198.18.3.2:443")
	src6 = netip.MustParseAddrPort("[2001:db8:1::1]:40000")
	dst6 = netip.MustParseAddrPort("[2001:db8:3::2]:443")
	rtr4 = netip.MustParseAddr("198.18.2.2")
	rtr6 = netip.MustParseAddr("2001:db8:2::2")
)

func endpoints(h *IP, t *TCP) (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(h.Src, t.SrcPort), netip.AddrPortFrom(h.Dst, t.DstPort)
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// must is for encoders whose arguments are known to be good.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// linuxSYN are the options of a Linux SYN.
func linuxSYN(tsval uint32) Options {
	o := must(Options{}.WithMSS(1460))
	o = must(o.WithSACKPermitted())
	o = must(o.WithTimestamps(tsval, 0))
	o = must(o.With(OptionNOP))
	return must(o.WithWindowScale(7))
}

func probe4() Probe {
	return Probe{Src: src4, Dst: dst4, TTL: 1, ID: 0x1234, Seq: 0x01020304, Flags: SYN, Window: 64240, Options: linuxSYN(99)}
}

func probe6() Probe {
	return Probe{Src: src6, Dst: dst6, TTL: 1, FlowLabel: 0x12345, Seq: 0x01020304, Flags: SYN, Window: 64800, Options: linuxSYN(99)}
}

// icmpAbout is an ICMP error of the probe's family, from a router to its source.
func icmpAbout(p Probe, quote []byte) ICMPError {
	e := ICMPError{Src: rtr4, Dst: p.Src.Addr(), TTL: 64, Type: ICMPv4TimeExceeded, Quote: quote}
	if p.Src.Addr().Is6() {
		e.Src, e.Type = rtr6, ICMPv6TimeExceeded
	}
	return e
}

func timeExceeded(p Probe) []byte {
	e := icmpAbout(p, must(p.AppendBinary(nil)))
	return must(AppendICMP(nil, &e))
}
