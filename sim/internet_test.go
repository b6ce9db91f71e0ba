package sim

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// probeOf is a SYN on a path of an Internet.
func probeOf(s Scenario, path int, srcPort uint16, ttl uint8) packet.Probe {
	dst := s.Paths[path].Target.Addr
	src := InternetHosts6.Addr().Next()
	if dst.Is4() {
		src = InternetHosts4.Addr().Next()
	}
	return packet.Probe{
		Src: netip.AddrPortFrom(src, srcPort), Dst: netip.AddrPortFrom(dst, InternetPort),
		TTL: ttl, Seq: uint32(path) << 8, ID: uint16(ttl) + 1, Flags: packet.SYN,
	}
}

func TestInternetIsWhatItsConstantsSay(t *testing.T) {
	const n = 20000
	s := Internet(7, n, InternetOptions{})
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	note := func(what string, yes bool) {
		count[what] += 0
		if yes {
			count[what]++
		}
	}
	var rtts []float64
	seen := map[netip.Addr]bool{}
	fresh := func(a netip.Addr, in4, in6 netip.Prefix) {
		if in := map[bool]netip.Prefix{true: in4, false: in6}[a.Is4()]; seen[a] || !in.Contains(a) {
			t.Fatalf("%v twice, or not in %v", a, in)
		}
		seen[a] = true
	}
	routers, routers4 := 0, 0
	for i, p := range s.Paths {
		v4 := p.Target.Addr.Is4()
		note("IPv6", !v4)
		if p.Target.Addr != InternetTarget(i, v4) {
			t.Fatalf("target %d is %v", i, p.Target.Addr)
		}
		fresh(p.Target.Addr, InternetTargets4, InternetTargets6)
		rtt, hops := p.Target.Delay, 1
		var tunnel, hidden, perFlow, perPacket, nat, firewall, synLimit bool
		for _, r := range p.Routers {
			rtt += r.Delay
			synLimit = synLimit || r.SYNs != Rate{}
			if r.Hidden {
				hidden = true
				continue
			}
			hops++
			routers++
			if v4 {
				routers4++
				note("minimum", r.Quote == QuoteMinimum)
			} else if r.Quote != QuoteFull {
				t.Errorf("path %d: an IPv6 router quotes %d", i, r.Quote)
			}
			for _, a := range r.Addrs {
				fresh(a, InternetRouters4, InternetRouters6)
			}
			note("silent", r.Silent == 1)
			note("slow", r.Slow == slowICMP)
			note("late", r.Late.P > 0)
			note("limited", r.Rate.Every > 0 || r.SourceRate.Every > 0)
			note("Linux", r.Linux)
			tunnel = tunnel || len(r.Extensions.MPLS) > 0
			perFlow = perFlow || len(r.Addrs) > 1 && !r.PerPacket
			perPacket = perPacket || r.PerPacket
			nat = nat || r.NAT != NAT{}
			firewall = firewall || len(r.Rules) > 0 || r.Stateful
		}
		if hops < leastHops || hops > mostHops {
			t.Errorf("path %d has %d hops", i, hops)
		}
		rtts = append(rtts, float64(2*rtt))
		note("hidden", hidden)
		note("labels", tunnel)
		note("NAT", nat)
		note("firewall", firewall)
		state := p.Target.State
		if st, ok := p.Target.Ports[InternetPort]; ok {
			state = st
		}
		note("SYN limit", synLimit)
		note("defended", p.Target.Defence != Defence{})
		note("closed", state == Closed)
		note("filtered", state == Filtered)
		note("per flow", perFlow) // less than drawn: some don't fit
		note("per packet", perPacket)
	}
	for _, c := range []struct {
		what  string
		of    int
		share float64
	}{
		{"IPv6", n, share6}, {"silent", routers, shareSilent}, {"slow", routers, shareSlow}, {"late", routers, shareLate},
		{"limited", routers, shareLimited}, {"minimum", routers4, shareMinimum}, {"Linux", routers, shareLinux},
		{"hidden", n, shareTunnel * tunnelHidden}, {"labels", n, shareTunnel * (1 - tunnelHidden) * tunnelLabels},
		{"NAT", n, shareNAT}, {"firewall", n, shareFirewall}, {"closed", n, shareClosed}, {"filtered", n, shareFiltered},
		{"SYN limit", n, shareSYNLimit}, {"defended", n, shareDefended},
	} {
		got, sigma := float64(count[c.what])/float64(c.of), math.Sqrt(c.share*(1-c.share)/float64(c.of))
		if math.Abs(got-c.share) > 4*sigma {
			t.Errorf("%s: %.4f, want %.4f", c.what, got, c.share)
		}
	}
	for what, share := range map[string]float64{"per flow": sharePerFlow, "per packet": sharePerPacket} {
		if got := float64(count[what]) / n; got > share || got < share/2 {
			t.Errorf("%s: %.4f of the paths, want at most %.4f and at least half of it", what, got, share)
		}
	}
	slices.Sort(rtts)
	for _, c := range []struct{ quantile, least, most float64 }{
		{0, float64(leastRTT) * .99, float64(leastRTT) * 1.01}, {.5, float64(medianRTT) * .97, float64(medianRTT) * 1.03}, {1, float64(mostRTT) * .99, float64(mostRTT) * 1.01},
	} {
		if got := rtts[int(c.quantile*(n-1))]; got < c.least || got > c.most {
			t.Errorf("RTT at %.2f: %v", c.quantile, time.Duration(got))
		}
	}
}

func TestInternetComesFromItsSeed(t *testing.T) {
	s := Internet(1, 60, InternetOptions{})
	if again := Internet(1, 60, InternetOptions{}); !reflect.DeepEqual(s, again) {
		t.Error("not the same again")
	}
	if few := Internet(1, 20, InternetOptions{}); !reflect.DeepEqual(s.Paths[:20], few.Paths) {
		t.Error("its first paths depend on how many there are")
	}
	if other := Internet(2, 60, InternetOptions{}); reflect.DeepEqual(s.Paths, other.Paths) {
		t.Error("the same from another seed")
	}
	for i, p := range Internet(1, 60, InternetOptions{Family: OnlyIPv6}).Paths {
		if !p.Target.Addr.Is6() {
			t.Errorf("path %d is not IPv6", i)
		}
	}
	text := s.String()
	if read, err := Parse(text); err != nil || read.String() != text {
		t.Errorf("its text doesn't read back: %v", err)
	}
}

// Each packet of a calm Internet has the answer that Expect tells, at the instant
// that it tells, and no other.
func TestExpectTellsEveryAnswer(t *testing.T) {
	s := Internet(3, 600, InternetOptions{Calm: true}) // whose host resets what is open, before the next probe
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	now := time.Duration(0)
	for path := range s.Paths {
		for port := range uint16(2) {
			b, _ := probeOf(s, path, 40000+port, 64).AppendBinary(nil)
			want, err := m.Expect(b)
			if err != nil {
				t.Fatal(err)
			}
			seen[fmt.Sprint(want.End.Action, want.End.State)]++
			for ttl := 1; ttl <= len(want.Hops)+2; ttl++ {
				var h ExpectedHop
				switch {
				case ttl <= len(want.Hops):
					h = want.Hops[ttl-1]
				case len(want.Hops) > 0 && want.Hops[len(want.Hops)-1].Kind != packet.KindTimeExceeded:
					h = want.Hops[len(want.Hops)-1]
				}
				p := probeOf(s, path, 40000+port, uint8(ttl))
				inject(t, m, now, p)
				all := receive(t, m, now+400*time.Millisecond)
				switch {
				case len(h.Addrs) == 0 && len(all) > 0:
					t.Errorf("path %d, TTL %d: answered by %v, expected nothing", path, ttl, all[0].From())
				case len(h.Addrs) == 0:
				case len(all) != 1:
					t.Errorf("path %d, TTL %d: %d answers, expected %+v", path, ttl, len(all), h)
				case all[0].From() != h.Addrs[0] || len(h.Addrs) != 1 || all[0].Kind != h.Kind || all[0].Code != h.Code || all[0].at-now != h.RTT:
					t.Errorf("path %d, TTL %d: %v %v/%d after %v, expected %+v", path, ttl, all[0].From(), all[0].Kind, all[0].Code, all[0].at-now, h)
				}
				now += time.Second
			}
		}
	}
	for _, end := range []End{{Action: Drop}, {Action: Reject}, {Action: Reset}, {State: Open}, {State: Closed}, {State: Filtered}} {
		if seen[fmt.Sprint(end.Action, end.State)] == 0 {
			t.Errorf("no path ends in %+v", end)
		}
	}
}

// Where chance has its say, an answer still is one that Expect allows, and each of
// those comes.
func TestExpectAllowsEveryAnswer(t *testing.T) {
	s := Internet(4, 200, InternetOptions{})
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	const each = 60
	missing, balanced := 0, 0
	for path := range s.Paths {
		now := time.Duration(path) * time.Hour
		b, _ := probeOf(s, path, 40000, 64).AppendBinary(nil)
		want, err := m.Expect(b)
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range want.Hops {
			got := map[netip.Addr]bool{}
			for range each {
				now += 2 * time.Second
				inject(t, m, now, probeOf(s, path, 40000, uint8(i+1)))
				for _, r := range receive(t, m, now+1900*time.Millisecond) {
					if r.Kind == packet.KindTCP && s.Paths[path].Target.Addr == r.From() && (h.Kind != packet.KindTCP || r.at-now < h.RTT) {
						continue // where the host's reset was lost, a half open connection repeats its answer
					}
					if !slices.Contains(h.Addrs, r.From()) || r.Kind != h.Kind || r.at-now < h.RTT {
						t.Fatalf("path %d, TTL %d: %v %v after %v, expected %+v", path, i+1, r.From(), r.Kind, r.at-now, h)
					}
					got[r.From()] = true
				}
			}
			if len(h.Addrs) > 1 {
				balanced++
			}
			if len(got) < len(h.Addrs) {
				missing++
				t.Logf("path %d, TTL %d: only %v came, expected %+v", path, i+1, got, h)
			}
		}
	}
	if missing > 0 || balanced == 0 {
		t.Errorf("%d hops were never answered that should be; %d are balanced by packet", missing, balanced)
	}
}
