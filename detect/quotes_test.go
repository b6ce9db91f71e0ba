package detect_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// icmpHeader is the length of an ICMP header.
const icmpHeader = 8

// quoteSpoiler changes the packets that ICMP errors quote, those from one router or from all (the zero Addr), and makes
// everything around them right again. Too short quotes stay as they are.
func quoteSpoiler(from netip.Addr, change func(quote []byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		var r packet.Reply
		packet.Parse(b, &r)
		v4 := r.IP.Version == 4
		isError := v4 && r.IP.Protocol == 1 && r.Type != packet.ICMPv4EchoReply || r.IP.Version == 6 && r.IP.Protocol == 58 && r.Type < 128
		if !isError || from.IsValid() && r.IP.Src != from {
			return b
		}
		head := r.IP.HeaderLength + icmpHeader
		b = append(slices.Clone(b[:head]), change(slices.Clone(b[head:r.IP.TotalLength]))...)
		if v4 {
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			packet.CompleteIPChecksum(b)
		} else {
			binary.BigEndian.PutUint16(b[4:], uint16(len(b)-r.IP.HeaderLength))
		}
		msg := b[r.IP.HeaderLength:]
		msg[2], msg[3] = 0, 0
		sum := uint32(^packet.Checksum(msg))
		if !v4 {
			sum += uint32(^packet.Checksum(b[8:40])) + uint32(len(msg)) + 58
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(msg[2:], ^uint16(sum))
		return b
	}
}

// wholeQuote is how much the routers of these networks quote.
func wholeQuote(v6 bool) int {
	if v6 {
		return 80
	}
	return 60
}

// quoteNetworks are those whose quotes are spoiled, each with its routers.
var quoteNetworks = []scenario{
	{name: "clean", network: "router 10.0.1.1\nrouter 10.0.2.1\nrouter 10.0.3.1\nrouter 10.0.4.1\ntarget 198.51.100.9"},
	{name: "clean IPv6", network: "router 2001:db8:a1::1\nrouter 2001:db8:2::1\nrouter 2001:db8:3::1\ntarget 2001:db8:9::1"},
	{name: "filtered", network: "router 10.0.1.1\nrouter 10.0.2.1\nrouter 10.0.3.1 drop=443\nrouter 10.0.4.1\nrouter 10.0.5.1\ntarget 198.51.100.9"},
	{name: "rejected", network: "router 10.0.1.1\nrouter 10.0.2.1 reject=13\nrouter 10.0.3.1\ntarget 198.51.100.9"},
	{name: "NAT", network: "router 10.0.1.1\nrouter 10.0.2.1 dnat=10.9.0.9:8443 raw-quote\nrouter 10.0.3.1\nrouter 10.0.4.1\ntarget 198.51.100.9"},
}

// spoiling is one way to spoil quotes.
type spoiling struct {
	what  string
	spoil func([]byte) []byte
}

// spoilings cut the quotes at every length and flip every byte of them, those of one router and those of all.
func spoilings(v6 bool, one netip.Addr) (ways []spoiling) {
	for n := range wholeQuote(v6) + 1 {
		cut := func(q []byte) []byte { return q[:min(n, len(q))] }
		ways = append(ways, spoiling{fmt.Sprintf("all cut to %d bytes", n), quoteSpoiler(netip.Addr{}, cut)},
			spoiling{fmt.Sprintf("one cut to %d bytes", n), quoteSpoiler(one, cut)})
	}
	for n := range wholeQuote(v6) {
		for _, mask := range []byte{0xff, 0x01, 0x80} {
			flip := func(q []byte) []byte {
				if n < len(q) {
					q[n] ^= mask
				}
				return q
			}
			ways = append(ways, spoiling{fmt.Sprintf("byte %d of one flipped by %#x", n, mask), quoteSpoiler(one, flip)})
			// Where no checksum covers it (the first words of an IPv6 header), what all routers say is so.
			if !v6 || n >= 8 {
				ways = append(ways, spoiling{fmt.Sprintf("byte %d of all flipped by %#x", n, mask), quoteSpoiler(netip.Addr{}, flip)})
			}
		}
	}
	return ways
}

// nextTag is the way to spoil a quote that does most harm: what tells an IPv6 probe from the others is then that of the
// next one.
func nextTag(one netip.Addr) spoiling {
	const stamp = 71 // its last byte
	return spoiling{"the tag is that of the next probe", quoteSpoiler(one, func(q []byte) []byte {
		if len(q) > stamp {
			q[stamp] ^= 1
		}
		return q
	})}
}

var quoteWays = flag.Int("quote-ways", 6, "in how many ways TestSpoiledQuotes spoils each scenario; 0: in all")

// quoters are the routers of a scenario that may quote, of all its ways.
func quoters(s *scenario) (all []netip.Addr) {
	network, err := sim.Parse(s.network)
	if err != nil {
		return nil
	}
	for _, r := range network.Paths[0].Routers {
		if len(r.Addrs) > 0 {
			all = append(all, r.Addrs[0])
		}
	}
	return all
}

// TestSpoiledQuotes spoils what ICMP errors quote, in all scenarios: what is certain then must be so, or likely,
// without that too, and where it is so then. Each scenario is spoiled in a few ways, which its name chooses; in every way:
//
//	go test ./detect -run TestSpoiledQuotes -quote-ways 0 -timeout 1h
func TestSpoiledQuotes(t *testing.T) {
	for _, s := range append(slices.Clone(quoteNetworks), scenarios(t)...) {
		t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			routers := quoters(&s)
			if len(routers) == 0 {
				return
			}
			hash := fnv.New32a()
			hash.Write([]byte(s.name))
			i, truth := int(hash.Sum32()>>1), s.truth(t)
			ways := spoilings(routers[0].Is6(), routers[i%len(routers)])
			step := 1
			if *quoteWays > 0 {
				step = max(1, len(ways) / *quoteWays)
			}
			for n := i % step; n < len(ways); n += step {
				checkSpoiled(t, &s, truth, ways[n])
			}
			for _, one := range routers {
				if one.Is6() {
					checkSpoiled(t, &s, truth, nextTag(one))
				}
			}
		})
	}
}

// truth is what is found without spoiled quotes. A trace takes longer with them: so it is as true what is found after a
// change of the network that comes with time.
func (s *scenario) truth(t *testing.T) []detect.Finding {
	t.Helper()
	all := detect.Findings(s.evidence(t, 1, nil))
	network, err := sim.Parse(s.network)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range network.Paths[0].Changes {
		if c.Time > 0 || c.Packet > 0 {
			after := network
			after.Paths = []sim.Path{{Routers: c.Routers, Target: network.Paths[0].Target}}
			changed := *s
			changed.network = after.String()
			all = append(all, detect.Findings(changed.evidence(t, 1, nil))...)
		}
	}
	return all
}

// checkSpoiled runs a scenario with spoiled quotes.
func checkSpoiled(t *testing.T, s *scenario, truth []detect.Finding, how spoiling) {
	t.Helper()
	for _, f := range detect.Findings(s.evidence(t, 1, how.spoil)) {
		right := slices.ContainsFunc(truth, func(x detect.Finding) bool {
			there := f.After <= x.After && x.Before <= f.Before || f.Before == 0 // it claims no place
			if f.Code == detect.RoutingLoop {
				there = x.After <= f.Before // packets go round from there on, wherever it begins
			}
			// Who rejects a port, or a length, in words that nobody can read drops it.
			unread := f.Code == detect.FilteredPort && (x.Code == detect.RejectedByRouter || x.Code == detect.MTULimit) ||
				f.Code == detect.SizeFilter && x.Code == detect.MTULimit
			return (x.Code == f.Code || unread) && x.Confidence >= detect.Likely && there
		})
		if f.Confidence == detect.Certain && !right {
			t.Errorf("%s, %s: found for certain %s %d-%d, true is %v\n%s",
				s.name, how.what, f.Code, f.After, f.Before, text(truth), details([]detect.Finding{f}))
		}
	}
}
