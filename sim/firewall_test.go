package sim

import (
	"net/netip"
	"slices"
	"testing"

	"go.example/tcptraceroute/packet"
)

func TestRules(t *testing.T) {
	const none = packet.Kind(255)
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			rules string
			port  uint16
			flags packet.Flags
			want  packet.Kind
			code  uint8
		}{
			{"drop", 80, packet.SYN, none, 0},
			{"drop=80", 80, packet.SYN, none, 0},
			{"drop=80", 81, packet.SYN, packet.KindTCP, 0},
			{"drop=79-81", 79, packet.SYN, none, 0},
			{"drop=79-81", 81, packet.SYN, none, 0},
			{"drop=79-81", 82, packet.SYN, packet.KindTCP, 0},
			{"drop=79-81", 78, packet.SYN, packet.KindTCP, 0},
			{"drop=syn", 80, packet.SYN, none, 0},
			{"drop=syn", 80, packet.SYN | packet.ECE | packet.CWR, none, 0},
			{"drop=syn", 80, packet.ACK, packet.KindTCP, 0},
			{"drop=syn", 80, packet.SYN | packet.ACK, packet.KindTCP, 0},
			{"drop=not-syn", 80, packet.SYN, packet.KindTCP, 0},
			{"drop=not-syn", 80, packet.ACK, none, 0},
			{"drop=80:syn", 80, packet.SYN, none, 0},
			{"drop=80:syn", 81, packet.SYN, packet.KindTCP, 0},
			{"pass=80 drop", 80, packet.SYN, packet.KindTCP, 0},
			{"pass=80 drop", 81, packet.SYN, none, 0},
			{"drop pass=80", 80, packet.SYN, none, 0},
			{"reject=0", 80, packet.SYN, packet.KindUnreachable, 0},
			{"reject=13", 80, packet.SYN, packet.KindUnreachable, 13},
			{"reject=1:80", 80, packet.SYN, packet.KindUnreachable, 1},
			{"reject=1:80", 81, packet.SYN, packet.KindTCP, 0},
			{"drop=22 reject=5:1-100:syn", 80, packet.SYN, packet.KindUnreachable, 5},
		} {
			for _, where := range []string{"router $1\nrouter $2 " + c.rules + "\ntarget $T closed", "router $1\nrouter $2\ntarget $T closed " + c.rules} {
				m := f.network(t, where)
				p := f.syn(9)
				p.Flags, p.Dst = c.flags, netip.AddrPortFrom(f.target, c.port)
				inject(t, m, 0, p)
				all := receive(t, m, ms(1))
				switch {
				case c.want == none && len(all) != 0 || c.want != none && len(all) != 1:
					t.Errorf("%s: port %d, %v: %d answers", where, c.port, c.flags, len(all))
				case c.want != none && (all[0].Kind != c.want || all[0].Code != c.code):
					t.Errorf("%s: port %d, %v: %v, code %d", where, c.port, c.flags, all[0].Kind, all[0].Code)
				}
			}
		}
	})
}

// A rule lets a TTL end at its router; behind it everything is dark.
func TestRulesAreForForwarding(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const text = "router $1\nrouter $2 drop\nrouter $3\ntarget $T"
		if g := f.one(t, text, f.syn(2)); g.Kind != packet.KindTimeExceeded || g.From() != f.addr("$2") {
			t.Errorf("%v from %v", g.Kind, g.From())
		}
		f.none(t, text, f.syn(3))
		m := f.network(t, text)
		inject(t, m, 0, f.syn(3))
		receive(t, m, ms(1))
		if w := m.Truth(0).Hops[1].Members[0]; w.Dropped != 1 || w.Answered != 0 {
			t.Errorf("truth %+v", w)
		}
	})
}

func TestRejectAndReset(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		g := f.one(t, "router $1\nrouter $2 reject=9 ttl=100\ntarget $T", f.syn(9))
		if g.From() != f.addr("$2") || g.IP.TTL != 99 || g.Quote.IP.TTL != 7 {
			t.Errorf("rejected from %v with TTL %d, quoting TTL %d", g.From(), g.IP.TTL, g.Quote.IP.TTL)
		}
		g = f.one(t, "router $1\nrouter $2\ntarget $T ttl=128 reject=3", f.syn(9))
		if g.From() != f.target || g.IP.TTL != 126 || g.Code != 3 {
			t.Errorf("the target rejects from %v with TTL %d, code %d", g.From(), g.IP.TTL, g.Code)
		}
		// The reset has the target's address and the distance of the router.
		m := f.network(t, "router $1 delay=1ms\nrouter $2 delay=1ms reset=80 ttl=100\ntarget $T delay=50ms")
		inject(t, m, 0, f.syn(9))
		all := receive(t, m, ms(500))
		if len(all) != 1 || all[0].at != ms(4) || all[0].From() != f.target || all[0].IP.TTL != 99 ||
			all[0].TCP.Flags != packet.RST|packet.ACK || all[0].TCP.Ack != 1001 {
			t.Errorf("reset: %+v", all)
		}
		if w := m.Truth(0).Hops[1].Members[0]; w.Dropped != 1 || w.Answered != 1 || m.Truth(0).Target.Arrived != 0 {
			t.Errorf("truth %+v", m.Truth(0))
		}
		f.none(t, "router $1 reset\ntarget $T", withFlags(f.syn(9), packet.RST))
		m = f.network(t, "router $1\ntarget $T reset")
		inject(t, m, 0, f.syn(9))
		if all := receive(t, m, ms(500)); len(all) != 1 || m.Truth(0).Target.Resets != 1 || all[0].IP.TTL != 63 {
			t.Errorf("the target's firewall: %+v, truth %+v", all, m.Truth(0).Target)
		}
	})
}

func withFlags(p packet.Probe, flags packet.Flags) packet.Probe {
	p.Flags = flags
	return p
}

func TestNAT(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		type end struct {
			addr string
			port uint16
		}
		client, server := end{"$H", testPort}, end{"$T", 80}
		bracketed := func(name string) string { return netip.AddrPortFrom(f.addr(name), 8080).String() }
		for _, c := range []struct {
			words    string
			src, dst end // behind the router
		}{
			{"dnat=$a", client, end{"$a", 80}},
			{"dnat=:8080", client, end{"$T", 8080}},
			{"dnat=" + bracketed("$a"), client, end{"$a", 8080}},
			{"snat=$b", end{"$b", testPort}, server},
			{"snat=:5000", end{"$H", 5000}, server},
			{"snat=" + bracketed("$b") + " dnat=$a", end{"$b", 8080}, end{"$a", 80}},
		} {
			is := func(q packet.Quote, src, dst end) bool {
				return q.IP.Src == f.addr(src.addr) && q.TCP.SrcPort == src.port && q.IP.Dst == f.addr(dst.addr) && q.TCP.DstPort == dst.port &&
					q.TCP.Checksum == packet.CheckGood
			}
			text := "router $1\nrouter $2 " + c.words
			// Its own answers, and those before it, are about the packet as it was.
			if g := f.one(t, text+"\ntarget $T", f.syn(2)); !is(g.Quote, client, server) {
				t.Errorf("%s: quotes %+v", c.words, g.Quote)
			}
			// Those behind it are translated back, or not.
			g := f.one(t, text+"\nrouter $3\ntarget $T", f.syn(3))
			if !is(g.Quote, client, server) || g.IP.Dst != f.host || g.From() != f.addr("$3") {
				t.Errorf("%s: from %v to %v, quotes %+v", c.words, g.From(), g.IP.Dst, g.Quote)
			}
			g = f.one(t, text+" raw-quote\nrouter $3\ntarget $T", f.syn(3))
			if !is(g.Quote, c.src, c.dst) || g.IP.Dst != f.host {
				t.Errorf("%s raw-quote: to %v, quotes %+v", c.words, g.IP.Dst, g.Quote)
			}
			for _, quote := range []string{"quote=min", "quote=20"} { // too short for the checksum; without ports
				g = f.one(t, text+"\nrouter $3 "+quote+"\ntarget $T", f.syn(3))
				if quote == "quote=min" && (g.Quote.IP.Dst != f.target || g.Quote.TCP.DstPort != 80 || g.Quote.TCP.SrcPort != testPort || g.IP.Dst != f.host) {
					t.Errorf("%s %s: to %v, quotes %+v", c.words, quote, g.IP.Dst, g.Quote)
				}
				if !f.v4 { // cut within the IP header
					break
				}
			}
			// The target's own answers, of both kinds.
			m := f.network(t, text+"\nrouter $3\ntarget $T")
			var seen packet.Reply
			m.Watch = func(a Arrival) {
				if a.Target {
					_ = packet.Parse(a.Packet, &seen)
					if seen.Checksum != packet.CheckGood || !is(packet.Quote{IP: seen.IP, TCP: seen.TCP}, c.src, c.dst) || a.Addr != f.addr(c.dst.addr) {
						t.Errorf("%s: the target gets %+v at %v", c.words, seen, a.Addr)
					}
				}
			}
			inject(t, m, 0, f.syn(9))
			all := receive(t, m, ms(1))
			if len(all) != 1 || all[0].From() != f.target || all[0].IP.Dst != f.host || all[0].TCP.SrcPort != 80 || all[0].TCP.DstPort != testPort {
				t.Fatalf("%s: answers %+v", c.words, all)
			}
			if !seen.TCP.Flags.Has(packet.RST) || m.Truth(0).Target.HalfOpen != 0 {
				t.Errorf("%s: the host's reset did not come through", c.words)
			}
			g = f.one(t, text+"\nrouter $3\ntarget $T reject=3", f.syn(9))
			if g.From() != f.target || !is(g.Quote, client, server) {
				t.Errorf("%s: rejected from %v, quotes %+v", c.words, g.From(), g.Quote)
			}
		}
	})
}

func TestSNATPorts(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1 snat=:5000 raw-quote\nrouter $2\ntarget $T")
		for i, want := range []uint16{5000, 5001, 5002, 5001} {
			p := f.syn(2)
			port := testPort + want
			p.Src = netip.AddrPortFrom(f.host, port)
			inject(t, m, 0, p)
			if all := receive(t, m, 0); len(all) != 1 || all[0].Quote.TCP.SrcPort != want {
				t.Errorf("flow %d: %+v, want port %d", i, all, want)
			}
		}
	})
}

func TestOneISN(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1 one-isn\nrouter $2\ntarget $T filtered")
		try := func(seq uint32, port uint16, flags packet.Flags) int {
			p := f.syn(2)
			p.Seq, p.Src, p.Flags = seq, netip.AddrPortFrom(f.host, port), flags
			inject(t, m, 0, p)
			return len(receive(t, m, 0))
		}
		for i, c := range []struct {
			seq   uint32
			port  uint16
			flags packet.Flags
			want  int
		}{
			{1000, 1, packet.SYN, 1},
			{1000, 1, packet.SYN, 1}, // looks like a retransmission
			{1001, 1, packet.SYN, 0},
			{1001, 2, packet.SYN, 1}, // another flow
			{5000, 1, packet.ACK, 1}, // not a SYN
			{1000, 1, packet.SYN, 1},
			{1001, 1, packet.RST, 1}, // ends it
			{7777, 1, packet.SYN, 1},
			{1000, 1, packet.SYN, 0},
		} {
			if got := try(c.seq, c.port, c.flags); got != c.want {
				t.Errorf("packet %d: %d answers, want %d", i+1, got, c.want)
			}
		}
		if w := m.Truth(0).Hops[0].Members[0]; w.Dropped != 2 {
			t.Errorf("truth %+v", w)
		}
	})
}

func TestStateful(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const text = "router $1 stateful\nrouter $2\ntarget $T filtered"
		f.none(t, text, withFlags(f.syn(2), packet.ACK))
		f.none(t, text, withFlags(f.syn(2), packet.SYN|packet.ACK))
		m := f.network(t, text)
		inject(t, m, 0, f.syn(2))
		inject(t, m, 0, withFlags(f.syn(2), packet.ACK))
		if all := receive(t, m, 0); len(all) != 2 {
			t.Errorf("%d answers, want 2", len(all))
		}
	})
}

func TestRandomISN(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const text = "router $1 random-isn\nrouter $2\ntarget $T closed=81"
		q := f.one(t, text, f.syn(2)).Quote.TCP
		if q.Seq == 1000 || q.Checksum != packet.CheckGood {
			t.Errorf("quotes %+v", q)
		}
		if again := f.one(t, text, f.syn(2)).Quote.TCP; again.Seq != q.Seq {
			t.Errorf("one flow has sequence numbers %d and %d", q.Seq, again.Seq)
		}
		other := f.syn(2)
		other.Src = netip.AddrPortFrom(f.host, testPort+1)
		if o := f.one(t, text, other).Quote.TCP; o.Seq == q.Seq {
			t.Errorf("two flows have sequence number %d", q.Seq)
		}
		if q := f.one(t, text, f.syn(1)).Quote.TCP; q.Seq != 1000 {
			t.Errorf("the router itself quotes %d", q.Seq)
		}
		m := f.network(t, text)
		inject(t, m, 0, f.syn(9))
		if all := receive(t, m, 0); len(all) != 1 || all[0].TCP.Ack != 1001 {
			t.Errorf("the target's answer: %+v", all)
		}
		receive(t, m, ms(1))
		if truth := m.Truth(0).Target; truth.HalfOpen != 0 || truth.RST != 1 {
			t.Errorf("the host's reset: %+v", truth)
		}
		ack := withFlags(f.syn(9), packet.ACK)
		ack.Ack = 555
		if g := f.one(t, text, ack); g.TCP.Flags != packet.RST || g.TCP.Ack != 0 || g.TCP.Seq != 555 {
			t.Errorf("a reset without ACK: %+v", g.TCP)
		}
		closed := f.syn(9)
		closed.Dst = netip.AddrPortFrom(f.target, 81)
		if g := f.one(t, text, closed); g.TCP.Ack != 1001 || !g.TCP.Flags.Has(packet.RST) {
			t.Errorf("a closed port's answer: %+v", g.TCP)
		}
	})
}

// What isn't TCP passes filters and tables, and gets a time exceeded.
func TestOtherProtocols(t *testing.T) {
	f := families[0]
	m := f.network(t, "router $1 stateful drop snat=$a\nrouter $2\ntarget $T")
	b, _ := f.probeBytes(f.syn(2))
	b[9] = 17
	packet.CompleteIPChecksum(b)
	if err := m.Inject(0, b); err != nil {
		t.Fatal(err)
	}
	if all := receive(t, m, 0); len(all) != 1 || all[0].From() != f.addr("$2") || all[0].IP.Dst != f.host {
		t.Errorf("answers %+v", all)
	}
	// A fragment that isn't the first has no TCP header.
	p := f.syn(2)
	p.Length = 60
	b, _ = f.probeBytes(p)
	b[7] = 1
	packet.CompleteIPChecksum(b)
	if err := m.Inject(0, b); err != nil {
		t.Fatal(err)
	}
	if all := receive(t, m, 0); len(all) != 1 || all[0].Quote.IP.FragmentOffset != 8 {
		t.Errorf("answers to a fragment %+v", all)
	}
	b[8] = 9
	packet.CompleteIPChecksum(b)
	if err := m.Inject(0, b); err != nil {
		t.Fatal(err)
	}
	if all := receive(t, m, 0); len(all) != 0 || m.Truth(0).Target.Arrived != 1 {
		t.Errorf("answers of the target: %+v", all)
	}
}

// Behind IPv4 options the ports are elsewhere.
func TestIPv4Options(t *testing.T) {
	f := families[0]
	b, _ := f.probeBytes(f.syn(2))
	b = slices.Insert(b, 20, 1, 1, 1, 0)
	b[0], b[3] = 0x46, b[3]+4
	packet.CompleteIPChecksum(b)
	m := f.network(t, "router $1 drop=81 snat=:5000 dnat=:8080 raw-quote\nrouter $2 quote=min\ntarget $T")
	if err := m.Inject(0, b); err != nil {
		t.Fatal(err)
	}
	all := receive(t, m, 0)
	if len(all) != 1 || all[0].Quote.TCP.SrcPort != 5000 || all[0].Quote.TCP.DstPort != 8080 || all[0].Quote.TCP.Seq != 1000 || all[0].Quote.Bytes != 32 {
		t.Errorf("answers %+v", all)
	}
}

// A rule for each third packet is for the third, sixth, and so on of those that it fits; one for those over a limit for
// what comes too soon.
func TestRulesForSome(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct{ rule, want string }{
			{"reject=1:syn:turn3", "..!..!..!."},
			{"reject=1:81:syn:turn3", ".........."},
			{"reject=1:syn:over2s/3", ".....!.!.!"}, // one each second: five get through, then each other one
		} {
			for _, where := range []string{"router $1 " + c.rule + "\ntarget $T", "router $1\ntarget $T " + c.rule} {
				m, got := f.network(t, where), ""
				for i := range 10 {
					inject(t, m, ms(1000*i), f.syn(9))
					what := "."
					for _, r := range receive(t, m, ms(1000*i+1)) {
						if r.Kind == packet.KindUnreachable {
							what = "!"
						}
					}
					got += what
				}
				if got != c.want {
					t.Errorf("%s: %s, want %s", where, got, c.want)
				}
			}
		}
	})
}
