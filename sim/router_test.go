package sim

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// path returns who answers a flow at TTL 1 to n.
func (f family) path(t *testing.T, m *Model, at time.Duration, srcPort uint16, n int) (path []netip.Addr) {
	t.Helper()
	for i := range n {
		p := f.syn(uint8(i + 1))
		p.Src = netip.AddrPortFrom(f.host, srcPort)
		inject(t, m, at, p)
		all := receive(t, m, at)
		if len(all) != 1 {
			t.Fatalf("%d answers", len(all))
		}
		path = append(path, all[0].From())
	}
	return path
}

func TestFlowsKeepTheirWay(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1\nrouter $2,$3\nrouter $4,$5\nrouter $6\nrouter $7,$8\ntarget $T")
		seen := map[string]int{}
		for port := range uint16(100) {
			path := f.path(t, m, 0, 2000+port, 5)
			if again := f.path(t, m, 0, 2000+port, 5); !slices.Equal(path, again) {
				t.Fatalf("port %d: %v, then %v", 2000+port, path, again)
			}
			p := f.syn(9)
			p.Src = netip.AddrPortFrom(f.host, 2000+port)
			b, _ := f.probeBytes(p)
			if hops, err := m.Route(b); err != nil || !slices.Equal(hops, path) {
				t.Fatalf("port %d: route %v (%v), found %v", 2000+port, hops, err, path)
			}
			// $2 goes with $4 and $3 with $5: one diamond. $7 and $8 are another.
			if (path[1] == f.addr("$2")) != (path[2] == f.addr("$4")) {
				t.Errorf("port %d changes its branch: %v", 2000+port, path)
			}
			seen[fmt.Sprint(path[1], path[4])]++
		}
		if len(seen) != 4 {
			t.Errorf("branches taken together: %v", seen)
		}
		for branches, n := range seen {
			if n < 8 { // of 25 on average
				t.Errorf("%s taken %d times only", branches, n)
			}
		}
	})
}

// The hash is over the packet as it is at the router.
func TestRouteBehindNAT(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, words := range []string{"dnat=$9", "set-dport=99", "snat=:6000", "random-isn"} {
			m := f.network(t, "router $1 "+words+"\nrouter $2,$3\nrouter $4\nrouter $5,$6\ntarget $T")
			for port := range uint16(30) {
				p := f.syn(9)
				p.Src = netip.AddrPortFrom(f.host, 2000+port)
				b, _ := f.probeBytes(p)
				before, _ := m.Route(b)
				path := f.path(t, m, 0, 2000+port, 4)
				if after, _ := m.Route(b); !slices.Equal(before, path) || !slices.Equal(after, path) {
					t.Fatalf("%s: routes %v and %v, found %v", words, before, after, path)
				}
			}
		}
	})
}

func TestPerPacket(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1,$2,$3 per-packet\ntarget $T")
		n := map[netip.Addr]int{}
		for range 300 {
			n[f.path(t, m, 0, 2000, 1)[0]]++
		}
		for _, a := range []string{"$1", "$2", "$3"} {
			if got := n[f.addr(a)]; got < 70 || got > 130 {
				t.Errorf("%s answered %d of 300", a, got)
			}
		}
		b, _ := f.probeBytes(f.syn(1))
		if hops, err := m.Route(b); err != nil || !slices.Equal(hops, []netip.Addr{{}}) {
			t.Errorf("route %v, %v", hops, err)
		}
		for _, w := range m.Truth(0).Hops[0].Members {
			if w.Answered != n[w.Addr] || w.Arrived != w.Expired {
				t.Errorf("truth %+v, %d answers", w, n[w.Addr])
			}
		}
	})
}

// Within a diamond a packet stays in its branch, and so do its duplicates.
func TestPerPacketDiamond(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1,$2 per-packet\nrouter $3,$4 per-packet dup=1\ntarget $T filtered")
		var way []netip.Addr
		m.Watch = func(a Arrival) { way = append(way, a.Addr) }
		left := 0
		for range 100 {
			way = nil
			inject(t, m, 0, f.syn(2))
			receive(t, m, 0)
			one, two := f.addr("$1"), f.addr("$3")
			if way[0] == one {
				left++
			}
			if len(way) != 3 || (way[0] == one) != (way[1] == two) || way[1] != way[2] {
				t.Fatalf("way %v", way)
			}
		}
		if left < 30 || left > 70 {
			t.Errorf("%d of 100 on the left", left)
		}
	})
}

func TestSilence(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, text := range []string{"router $1 silent\ntarget $T", "router *\ntarget $T"} {
			f.none(t, text, f.syn(1))
			if g := f.one(t, text, f.syn(2)); g.From() != f.target {
				t.Errorf("%s: answer from %v", text, g.From())
			}
		}
		answered := 0
		for _, fate := range f.fates(t, "router $1 silent=0.25\ntarget $T", 1000) {
			answered += len(fate)
		}
		if answered < 695 || answered > 805 {
			t.Errorf("%d of 1000 answered", answered)
		}
	})
}

func TestRateLimit(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			rate    string
			spacing time.Duration
			n, want int
		}{
			{"1s/6", 0, 500, 6},          // Linux's default at a burst of 500
			{"1s/6", ms(100), 100, 15},   // and at 10 a second
			{"100ms/6", ms(50), 100, 55}, // and its IPv6 default at 20 a second
			{"10ms/1", ms(10), 50, 50},
			{"10ms/0", ms(5), 50, 25},
		} {
			m := f.network(t, "router $1 rate="+c.rate+"\ntarget $T")
			for i := range c.n {
				inject(t, m, time.Duration(i)*c.spacing, f.syn(1))
			}
			got := len(receive(t, m, time.Hour))
			if got != c.want {
				t.Errorf("%s, %d at %v: %d answers, want %d", c.rate, c.n, c.spacing, got, c.want)
			}
			if w := m.Truth(0).Hops[0].Members[0]; w.Answered != got || w.Limited != c.n-got {
				t.Errorf("truth %+v", w)
			}
		}
		// A long rest gives no more than a full bucket.
		rested := f.network(t, "router $1 rate=1s/6\ntarget $T")
		for i := range 40 {
			inject(t, rested, time.Duration(i/20)*time.Hour, f.syn(1))
		}
		if got := len(receive(t, rested, time.Hour)); got != 12 {
			t.Errorf("%d answers to two bursts, want 6 each", got)
		}
		// Routers side by side have a limit each; forwarding isn't limited.
		m := f.network(t, "router $1,$2 rate=1s/6 per-packet\ntarget $T filtered")
		for range 500 {
			inject(t, m, 0, f.syn(1))
		}
		if got := len(receive(t, m, 0)); got != 12 {
			t.Errorf("%d answers from two", got)
		}
	})
}

func TestSlowAndLate(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		times := slices.Concat(f.fates(t, "router $1 slow=2ms\ntarget $T", 1000)...)
		slices.Sort(times)
		if median := times[500]; median < ms(2)*8/10 || median > ms(2)*12/10 {
			t.Errorf("median %v", median)
		}
		if p99 := times[990]; p99 < ms(60) || times[999] > 2*time.Second {
			t.Errorf("99 in 100 within %v, all within %v", p99, times[999])
		}
		late := 0
		for _, fate := range f.fates(t, "router $1 delay=1ms late=0.1/4s\ntarget $T", 1000) {
			switch fate[0] {
			case ms(4002):
				late++
			case ms(2):
			default:
				t.Fatalf("an answer after %v", fate[0])
			}
		}
		if late < 60 || late > 140 {
			t.Errorf("%d of 1000 late", late)
		}
	})
}

func TestQuoteLength(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		header := 40
		if f.v4 {
			header = 20
		}
		for _, c := range []struct {
			words       string
			length      uint16 // of the probe
			want, total int    // 0: whatever
		}{
			{"", 100, 100, 0},
			{"quote=min", 100, header + 8, 0},
			{fmt.Sprint("quote=", header+8), 100, header + 8, 0},
			{fmt.Sprint("quote=", header+20), 100, header + 20, 0},
			{"quote=1000", 100, 100, 0},
			{"", 1500, 0, map[bool]int{true: 576, false: 1280}[f.v4]},
		} {
			p := f.syn(1)
			p.Length = c.length
			g := f.one(t, "router $1 "+c.words+"\ntarget $T", p)
			if c.want != 0 && g.Quote.Bytes != c.want || c.total != 0 && len(g.b) != c.total {
				t.Errorf("%q: %d bytes quoted in a packet of %d", c.words, g.Quote.Bytes, len(g.b))
			}
			if !g.Quote.TCP.HasSeq() || g.Quote.TCP.Seq != 1000 {
				t.Errorf("%q: quotes %+v", c.words, g.Quote.TCP)
			}
		}
		p := f.syn(1)
		p.Length = 100
		for n := header; n <= 100; n++ { // each length, RFC 792's minimum or not
			g := f.one(t, fmt.Sprintf("router $1 quote=%d\ntarget $T", n), p)
			if g.Quote.Bytes != n {
				t.Errorf("quote=%d: %d bytes", n, g.Quote.Bytes)
			}
		}
	})
}

func TestQuotedFields(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		p := f.syn(1)
		p.ID, p.FlowLabel, p.TOS = 7, 7, 7
		if f.v4 {
			p.FlowLabel = 0
		} else {
			p.ID = 0
		}
		plain := f.one(t, "router $1\ntarget $T", p).Quote
		for _, c := range []struct {
			word   string
			change func(q *packet.Quote)
			v4, v6 bool
		}{
			{"src=$a", func(q *packet.Quote) { q.IP.Src = f.addr("$a") }, true, true},
			{"dst=$b", func(q *packet.Quote) { q.IP.Dst = f.addr("$b") }, true, true},
			{"sport=9", func(q *packet.Quote) { q.TCP.SrcPort = 9 }, true, true},
			{"dport=8080", func(q *packet.Quote) { q.TCP.DstPort = 8080 }, true, true},
			{"seq=+1000000", func(q *packet.Quote) { q.TCP.Seq += 1000000 }, true, true},
			{"seq=-1001", func(q *packet.Quote) { q.TCP.Seq = 0xffffffff }, true, true},
			{"id=0", func(q *packet.Quote) { q.IP.ID = 0 }, true, false},
			{"tos=0", func(q *packet.Quote) { q.IP.TOS = 0 }, true, true},
			{"ttl=0", func(q *packet.Quote) { q.IP.TTL = 0 }, true, true},
			{"label=0xfffff", func(q *packet.Quote) { q.IP.FlowLabel = 0xfffff }, false, true},
		} {
			want := plain
			if f.v4 && c.v4 || !f.v4 && c.v6 {
				c.change(&want)
			}
			got := f.one(t, "router $1 quote-"+c.word+"\ntarget $T", p).Quote
			if got.TCP.Checksum != packet.CheckGood {
				t.Errorf("%s: quoted checksum %v", c.word, got.TCP.Checksum)
			}
			got.TCP.ChecksumField = want.TCP.ChecksumField
			if !sameQuote(got, want) {
				t.Errorf("%s: quotes\n%+v, want\n%+v", c.word, got, want)
			}
		}
	})
}

func sameQuote(a, b packet.Quote) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// What a router changes in packets that it forwards shows in the quotes of those
// behind it, and at the target; not in its own.
func TestForwardedFields(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		p := f.syn(1)
		p.TOS = 0x2e
		text := "no-host-rst\nrouter $1 set-tos=4 set-ttl=40 set-seq=+5\nrouter $2\ntarget $T"
		if q := f.one(t, text, p).Quote; q.IP.TOS != 0x2e || q.TCP.Seq != 1000 {
			t.Errorf("the first quotes %+v", q)
		}
		p.TTL = 2
		g := f.one(t, text, p) // TTL 40 takes it to the target
		if g.From() != f.target || g.TCP.Ack != 1006 {
			t.Errorf("answer from %v, acknowledges %d", g.From(), g.TCP.Ack)
		}
		p.TTL = 3
		q := f.one(t, strings.Replace(text, "set-ttl=40", "", 1)+" reject=3", p).Quote
		if q.IP.TOS != 4 || q.TCP.Seq != 1005 || q.TCP.Checksum != packet.CheckGood || q.IP.TTL != 1 {
			t.Errorf("the target quotes %+v", q)
		}
	})
}

func TestRandomID(t *testing.T) {
	f := families[0]
	m := f.network(t, "router $1 random-id\nrouter $2\ntarget $T")
	ids := map[uint16]bool{}
	for range 20 {
		p := f.syn(2)
		p.ID = 5
		inject(t, m, 0, p)
		ids[receive(t, m, 0)[0].Quote.IP.ID] = true
	}
	if len(ids) < 15 || ids[5] {
		t.Errorf("IDs %v", ids)
	}
	six := families[1] // has none: packets pass unharmed
	if g := six.one(t, "router $1 random-id\ntarget $T", six.syn(2)); g.Kind != packet.KindTCP {
		t.Errorf("IPv6: %v", g.Kind)
	}
}

// A DNAT box may answer by the target's own address.
func TestAnswerHeader(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		g := f.one(t, "router $1 from=$T ttl=70 tos=192\ntarget $T", f.syn(1))
		if g.From() != f.target || g.Kind != packet.KindTimeExceeded || g.IP.TTL != 70 || g.IP.TOS != 192 || g.IP.Dst != f.host {
			t.Errorf("%v from %v to %v, TTL %d, TOS %d", g.Kind, g.From(), g.IP.Dst, g.IP.TTL, g.IP.TOS)
		}
		m := f.network(t, "router $1\ntarget $T")
		ids, labels := map[uint16]bool{}, map[uint32]bool{}
		for range 10 {
			inject(t, m, 0, f.syn(1))
			g := receive(t, m, 0)[0]
			ids[g.IP.ID], labels[g.IP.FlowLabel] = true, true
		}
		if f.v4 && len(ids) < 9 || len(labels) != 1 || labels[0] != f.v4 {
			t.Errorf("IP IDs %v, flow labels %v", ids, labels)
		}
		if g := f.one(t, "router * from=$a\ntarget $T", f.syn(1)); g.From() != f.addr("$a") {
			t.Errorf("from %v", g.From())
		}
	})
}

func TestExtensions(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		const anything = packet.Check(255)
		const words = "mpls=16001/5/1,16002/0/255 if-role=2 if-index=7 if-addr=$9 if-name=ge-0%2F0 if-mtu=1500 "
		for _, c := range []struct {
			words     string
			objects   int
			compliant bool
			checksum  packet.Check
		}{
			{"", 2, true, packet.CheckGood},
			{"quote=min", 2, true, packet.CheckGood},
			{"non-compliant", 2, false, packet.CheckGood},
			{"ext-bad-checksum", 2, true, packet.CheckBad},
			{"ext-bad-checksum non-compliant", 0, false, packet.CheckUnknown}, // nothing tells them from the quote
			{"ext-length=1", 2, false, anything},                              // not true, but they stand where they used to
			{"ext-length=0", 2, false, packet.CheckGood},
			{"ext-length=255", 2, false, anything},
			{"ext-object=0", 0, true, packet.CheckGood},
			{"ext-object=3", 0, true, packet.CheckGood},
			{"ext-object=65535", 0, true, packet.CheckGood},
			{"ext-cut=3", 1, true, packet.CheckBad},
			{"ext-cut=9999", 0, false, packet.CheckUnknown},
		} {
			m := f.network(t, "router $1 "+words+c.words+"\ntarget $T")
			inject(t, m, 0, f.syn(1))
			buf := make([]byte, 1500)
			n, _, _ := m.Receive(0, buf)
			var g packet.Reply
			if err := packet.Parse(buf[:n], &g); err != nil && c.words != "ext-cut=9999" {
				t.Errorf("%s: %v", c.words, err)
			}
			if g.Checksum != packet.CheckGood || g.IP.TotalLength != n {
				t.Errorf("%s: checksum %v, length %d of %d", c.words, g.Checksum, g.IP.TotalLength, n)
			}
			var labels []packet.Label
			var names []packet.Interface
			objects := 0
			for o := range g.Extensions.Objects() {
				objects++
				labels = slices.AppendSeq(labels, o.MPLS())
				if i, err := o.Interface(); err == nil {
					names = append(names, i)
				}
			}
			if objects != c.objects || g.Extensions.Compliant != c.compliant || c.checksum != anything && g.Extensions.Checksum != c.checksum {
				t.Errorf("%s: %d objects, compliant %v, checksum %v", c.words, objects, g.Extensions.Compliant, g.Extensions.Checksum)
			}
			if objects > 0 && !slices.Equal(labels, []packet.Label{{Label: 16001, TC: 5, TTL: 1}, {Label: 16002, Bottom: true, TTL: 255}}) {
				t.Errorf("%s: labels %v", c.words, labels)
			}
			if objects > 1 && (len(names) != 1 || string(names[0].Name) != "ge-0/0" || names[0].Index != 7 || names[0].Addr != f.addr("$9") || names[0].MTU != 1500 || names[0].Role != packet.RoleOutgoing) {
				t.Errorf("%s: interface %v", c.words, names)
			}
		}
	})
}

// The bytes that a Linux 6.18 router sent in a network of namespaces, for the
// same probes.
func TestErrorsAreThoseOfLinux(t *testing.T) {
	type linux struct {
		text  string
		probe packet.Probe
		want  string
	}
	asWritten := family{replace: strings.NewReplacer()}
	opts := with(with(with(packet.Options{}.WithMSS(1460)).WithSACKPermitted()).WithTimestamps(5, 0))
	opts = with(nop(opts).WithWindowScale(7))
	probe := func(src, dst string, ttl uint8) packet.Probe {
		return packet.Probe{Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), TTL: ttl, ID: 77, DontFragment: true, Seq: 1, Flags: packet.SYN}
	}
	expired := probe("10.7.1.1:30000", "10.7.2.1:80", 1)
	expired.TOS, expired.Options = 0x28, opts
	for _, c := range []linux{
		{"router 10.7.1.254 ttl=64 tos=0xc8\ntarget 10.7.2.1", expired,
			"45c8005822b200004001401f0a0701fe0a0701010b000c3e00000000" +
				"4528003c004d4000010662380a0701010a0702017530005000000001" +
				"00000000a0020000bb6a0000020405b40402080a0000000500000000" + "01030307"},
		{"router 10.7.1.254 ttl=64 tos=0xc0 reject=13\ntarget 10.7.2.1", probe("10.7.1.1:30000", "10.7.2.1:82", 9),
			"45c00044230a000040013fe30a0701fe0a070101030d141d00000000" +
				"45000028004d400008065b740a0701010a0702017530005200000001" +
				"00000000500200002350" + "0000"},
	} {
		g := asWritten.one(t, c.text, c.probe)
		got, want := g.b, mustHex(c.want)
		put16(got, 4, uint16(want[4])<<8|uint16(want[5]), ipv4Sum) // the IP ID is random
		if string(got) != string(want) {
			t.Errorf("%s:\n%x, Linux sent\n%x", c.text, got, want)
		}
	}
	// IPv6: the ICMP checksum covers all but the flow label, which is a hash.
	expired = probe("[2001:db8:71::1]:30000", "[2001:db8:72::1]:80", 1)
	expired.TOS, expired.Options, expired.ID, expired.DontFragment = 0x28, opts, 0, false
	rejected := probe("[2001:db8:71::1]:30000", "[2001:db8:72::1]:82", 9)
	rejected.ID, rejected.DontFragment = 0, false
	for _, c := range []linux{
		{"router 2001:db8:71::fe ttl=64\ntarget 2001:db8:72::1", expired, "0300369f"},
		{"router 2001:db8:71::fe ttl=64 reject=1\ntarget 2001:db8:72::1", rejected, "01013b2b"},
	} {
		g := asWritten.one(t, c.text, c.probe)
		if hex.EncodeToString(g.b[40:44]) != c.want || g.IP.TTL != 64 || g.IP.TOS != 0 {
			t.Errorf("%s: %x, Linux's ICMP starts with %s", c.text, g.b, c.want)
		}
	}
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
