package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

func TestEachTTLFindsItsRouter(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, `
			router $1 delay=1ms
			router $2 delay=10ms back-delay=4ms
			router $3 delay=100ms ttl=64
			target $T delay=1ms`)
		for ttl := range uint8(4) {
			p := f.syn(ttl + 1)
			p.ID = uint16(ttl)
			inject(t, m, 0, p)
		}
		all := receive(t, m, ms(900))
		want := []struct {
			at   time.Duration
			from string
			ttl  uint8
			kind packet.Kind
		}{
			{ms(2), "$1", 255, packet.KindTimeExceeded},
			{ms(26), "$2", 254, packet.KindTimeExceeded},
			{ms(226), "$3", 62, packet.KindTimeExceeded},
			{ms(228), "$T", 61, packet.KindTCP},
		}
		if len(all) != len(want) {
			t.Fatalf("%d answers, want %d", len(all), len(want))
		}
		for i, w := range want {
			g := all[i]
			if g.at != w.at || g.From() != f.addr(w.from) || g.IP.TTL != w.ttl || g.Kind != w.kind {
				t.Errorf("answer %d: at %v from %v, TTL %d, %v; want %v", i+1, g.at, g.From(), g.IP.TTL, g.Kind, w)
			}
			if g.Kind != packet.KindTimeExceeded {
				continue
			}
			if q := g.Quote; q.IP.TTL != 1 || q.TCP.Seq != 1000 || q.TCP.SrcPort != testPort || q.IP.Dst != f.target || f.v4 && q.IP.ID != uint16(i) {
				t.Errorf("answer %d quotes %+v", i+1, q)
			}
		}
		if truth := m.Truth(0); truth.Sent != 4 || truth.Hops[0].Members[0].Arrived != 5 || truth.Hops[0].Members[0].Resets != 1 || truth.Hops[2].Members[0].Expired != 1 || truth.Target.SYN != 1 {
			t.Errorf("truth: %+v", truth)
		}
	})
}

func TestTTLZeroExpires(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		if g := f.one(t, "router $1\ntarget $T", f.syn(0)); g.Kind != packet.KindTimeExceeded || g.Quote.IP.TTL != 0 {
			t.Errorf("%v, quoted TTL %d", g.Kind, g.Quote.IP.TTL)
		}
	})
}

// fates sends n probes to the first router, far apart, and returns when the
// answers to each came.
func (f family) fates(t *testing.T, text string, n int) [][]time.Duration {
	t.Helper()
	m := f.network(t, text)
	fates := make([][]time.Duration, n)
	for i := range n {
		at := time.Duration(i) * 10 * time.Second
		inject(t, m, at, f.syn(1))
		for _, g := range receive(t, m, at+9*time.Second) {
			fates[i] = append(fates[i], g.at-at)
		}
	}
	return fates
}

func TestLink(t *testing.T) {
	const n = 1000
	// within four standard deviations of n·p, which a right model misses in one of
	// 16,000 seeds
	about := func(p float64) func(int) bool {
		return func(k int) bool { return math.Abs(float64(k)-n*p) <= 4*math.Sqrt(n*p*(1-p)) }
	}
	exactly := func(want int) func(int) bool { return func(k int) bool { return k == want } }
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			words    string
			answers  func(int) bool // how many in all
			min, max time.Duration  // of the times
			spread   bool           // both ends of the range are used
		}{
			{"delay=5ms", exactly(n), ms(10), ms(10), false},
			{"delay=5ms jitter=20ms", exactly(n), ms(10), ms(50), true},
			{"delay=5ms back-jitter=40ms", exactly(n), ms(10), ms(50), true},
			{"delay=5ms back-delay=7ms", exactly(n), ms(17), ms(17), false},
			{"loss=1", exactly(0), 0, 0, false},
			{"back-loss=1", exactly(0), 0, 0, false},
			{"loss=0.3", about(.7), 0, 0, false},
			{"back-loss=0.3", about(.7), 0, 0, false},
			{"loss=0.5 back-loss=0.5", about(.25), 0, 0, false},
			{"dup=1", exactly(2 * n), 0, 0, false},
			{"back-dup=1", exactly(2 * n), 0, 0, false},
			{"dup=1 back-dup=1", exactly(4 * n), 0, 0, false},
			{"dup=0.2 jitter=1ms", func(k int) bool { return about(.2)(k - n) }, 0, ms(2), true},
			{"held=1/50ms", exactly(n), ms(50), ms(50), false},
			{"back-held=1/50ms", exactly(n), ms(50), ms(50), false},
		} {
			fates := f.fates(t, "router $1 "+c.words+"\ntarget $T", n)
			times := slices.Concat(fates...)
			if !c.answers(len(times)) {
				t.Errorf("%s: %d answers to %d probes", c.words, len(times), n)
			}
			if len(times) == 0 {
				continue
			}
			slices.Sort(times)
			lo, hi := times[0], times[len(times)-1]
			if lo < c.min || hi > c.max {
				t.Errorf("%s: took from %v to %v", c.words, lo, hi)
			}
			if margin := (c.max - c.min) / 4; c.spread && (lo > c.min+margin || hi < c.max-margin) {
				t.Errorf("%s: took from %v to %v only", c.words, lo, hi)
			}
		}
	})
}

func TestHeldPacketsAreOvertaken(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "seed 3\nrouter $1 held=0.5/20ms\ntarget $T")
		for i := range 100 {
			p := f.syn(1)
			p.Seq = uint32(i)
			inject(t, m, ms(i), p)
		}
		overtaken := 0
		all := receive(t, m, time.Second)
		for i, g := range all[1:] {
			if g.Quote.TCP.Seq < all[i].Quote.TCP.Seq {
				overtaken++
			}
		}
		if len(all) != 100 || overtaken < 10 {
			t.Errorf("%d answers, %d overtaken", len(all), overtaken)
		}
	})
}

func TestLostPacketsAreCounted(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, words := range []string{"loss=1", "back-loss=1"} {
			m := f.network(t, "router $1\nrouter $2 "+words+"\ntarget $T "+words)
			inject(t, m, 0, f.syn(1))
			inject(t, m, 0, f.syn(2))
			receive(t, m, time.Second)
			if h := m.Truth(0).Hops; h[0].Lost != 0 || h[1].Lost != 1 {
				t.Errorf("%s: lost %d and %d", words, h[0].Lost, h[1].Lost)
			}
		}
		m := f.network(t, "router $1\ntarget $T loss=1")
		inject(t, m, 0, f.syn(2))
		receive(t, m, time.Second)
		if lost := m.Truth(0).Target.Lost; lost != 1 {
			t.Errorf("lost %d before the target", lost)
		}
	})
}

// An answer whose own TTL is too small for the way back gets lost.
func TestAnswerExpires(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		text := "router $1\nrouter $2\nrouter $3 ttl=%d\ntarget $T"
		f.none(t, fmt.Sprintf(text, 2), f.syn(3))
		if g := f.one(t, fmt.Sprintf(text, 3), f.syn(3)); g.IP.TTL != 1 {
			t.Errorf("TTL %d left", g.IP.TTL)
		}
	})
}

// everything is a network with all that is random in it.
const everything = `
	router $1 delay=1ms jitter=2ms loss=0.05 dup=0.05 held=0.1/5ms back-loss=0.05 back-dup=0.05 back-held=0.1/5ms
	router $2,$3,$4 delay=1ms slow=1ms late=0.1/100ms rate=20ms/3
	router $5,$6 per-packet delay=1ms silent=0.2
	router $7 delay=2ms random-id random-isn snat=$a:2000 spoof=10ms/200ms
	change packet=150
	router $8 delay=9ms jitter=1ms
	target $T delay=1ms jitter=1ms`

// trace injects a fixed sequence of packets, and returns all that comes back.
// poll: it looks for that after each packet, else at the end.
func (f family) trace(t *testing.T, text string, poll bool) (times []time.Duration, packets [][]byte) {
	m := f.network(t, text)
	collect := func(until time.Duration) {
		for _, g := range receive(t, m, until) {
			times, packets = append(times, g.at), append(packets, g.b)
		}
	}
	for i := range 300 {
		p := f.syn(uint8(i%6) + 1)
		p.Src = netip.AddrPortFrom(f.host, testPort+uint16(i%7))
		p.ID = uint16(i)
		inject(t, m, ms(3*i), p)
		if poll {
			collect(ms(3*i + 2))
		}
	}
	collect(time.Hour)
	return times, packets
}

func TestEqualSeedsGiveEqualBytes(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		times, packets := f.trace(t, "seed 1\n"+everything, false)
		if len(packets) < 200 {
			t.Fatalf("only %d packets came back", len(packets))
		}
		again, packetsAgain := f.trace(t, "seed 1\n"+everything, false)
		if !slices.Equal(times, again) || !slices.EqualFunc(packets, packetsAgain, bytes.Equal) {
			t.Error("the same seed gave something else")
		}
		polled, packetsPolled := f.trace(t, "seed 1\n"+everything, true)
		if !slices.Equal(times, polled) || !slices.EqualFunc(packets, packetsPolled, bytes.Equal) {
			t.Error("receiving in between changed something")
		}
		other, packetsOther := f.trace(t, "seed 2\n"+everything, false)
		if slices.Equal(times, other) || slices.EqualFunc(packets, packetsOther, bytes.Equal) {
			t.Error("another seed gave the same")
		}
	})
}

// What happens to a packet must not depend on when others are sent.
func TestFatesDoNotDependOnTiming(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		answered := func(spacing time.Duration) (seen [200]bool) {
			m := f.network(t, "seed 9\nrouter $1 loss=0.2 back-loss=0.2 dup=0.2\nrouter $2 loss=0.1 silent=0.3\ntarget $T")
			for i := range seen {
				p := f.syn(uint8(i%2) + 1)
				p.Seq = uint32(i)
				inject(t, m, time.Duration(i)*spacing, p)
			}
			for _, g := range receive(t, m, time.Hour) {
				seen[g.Quote.TCP.Seq] = true
			}
			return seen
		}
		if answered(0) != answered(ms(50)) {
			t.Error("other packets were answered")
		}
	})
}

func TestOneInstantKeepsTheOrderOfSending(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1 delay=1ms\nrouter $2\ntarget $T")
		for i := range 50 {
			p := f.syn(uint8(i%2) + 1)
			p.Seq = uint32(i)
			inject(t, m, 0, p)
		}
		var one, two []uint32
		for _, g := range receive(t, m, ms(2)) {
			if g.From() == f.addr("$1") {
				one = append(one, g.Quote.TCP.Seq)
			} else {
				two = append(two, g.Quote.TCP.Seq)
			}
		}
		if len(one) != 25 || len(two) != 25 || !slices.IsSorted(one) || !slices.IsSorted(two) {
			t.Errorf("from the first: %v, from the second: %v", one, two)
		}
	})
}

func TestRouteChange(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, when := range []string{"packet=3", "time=25ms"} {
			m := f.network(t, "router $1 delay=20ms\nchange "+when+"\nrouter $2 delay=20ms\nrouter $3\nchange packet=100\nrouter $4\ntarget $T")
			for i := range 5 {
				inject(t, m, ms(10*i), f.syn(1))
			}
			var from []netip.Addr
			for _, g := range receive(t, m, time.Second) {
				from = append(from, g.From())
			}
			one, two := f.addr("$1"), f.addr("$2")
			want := []netip.Addr{one, one, two, two, two}
			if when == "time=25ms" {
				want[2] = one // sent at 20 ms: on its way, but on the old one
			}
			if !slices.Equal(from, want) {
				t.Errorf("%s: answers from %v, want %v", when, from, want)
			}
			b, _ := f.probeBytes(f.syn(1))
			if hops, err := m.Route(b); err != nil || !slices.Equal(hops, []netip.Addr{two, f.addr("$3")}) {
				t.Errorf("%s: route %v, %v", when, hops, err)
			}
		}
	})
}

func (f family) probeBytes(p packet.Probe) ([]byte, error) { return p.AppendBinary(nil) }

func TestSeveralPaths(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1\ntarget $T\nrouter $2\nrouter $3\ntarget $a")
		p := f.syn(1)
		inject(t, m, 0, p)
		p.Dst = netip.AddrPortFrom(f.addr("$a"), 80)
		inject(t, m, 1, p)
		all := receive(t, m, ms(1))
		if len(all) != 2 || all[0].From() != f.addr("$1") || all[1].From() != f.addr("$2") {
			t.Errorf("answers: %v", all)
		}
		if m.Truth(1).Sent != 1 || len(m.Truth(1).Hops) != 2 {
			t.Errorf("truth of the second path: %+v", m.Truth(1))
		}
	})
}

func TestInjectRefuses(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "target $T")
		good, _ := f.probeBytes(f.syn(1))
		p := f.syn(1)
		p.Dst = netip.AddrPortFrom(f.addr("$1"), 80)
		elsewhere, _ := f.probeBytes(p)
		for _, c := range []struct {
			name string
			b    []byte
			want error
		}{
			{"nothing", nil, ErrMalformed},
			{"one byte short", good[:len(good)-1], ErrMalformed},
			{"half a header", good[:15], ErrMalformed},
			{"another version", append([]byte{0x55}, good[1:]...), ErrMalformed},
			{"another destination", elsewhere, ErrNoRoute},
			{"padding behind it", append(slices.Clone(good), 0, 0, 0), nil},
		} {
			if err := m.Inject(0, c.b); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			if _, err := m.Route(c.b); !errors.Is(err, c.want) {
				t.Errorf("route of %s: %v", c.name, err)
			}
		}
		if sent := m.Truth(0).Sent; sent != 1 {
			t.Errorf("%d packets counted", sent)
		}
		m = f.network(t, "router $1\ntarget $T")
		if err := m.Inject(0, append(slices.Clone(good), 0, 0, 0)); err != nil {
			t.Fatal(err)
		}
		if g := receive(t, m, 0)[0]; !bytes.HasSuffix(g.b, good[20:]) {
			t.Errorf("the padding went along: % x", g.b)
		}
	})
}

func TestTimeDoesNotGoBack(t *testing.T) {
	f := families[0]
	m := f.network(t, "router $1 delay=1ms\ntarget $T")
	inject(t, m, ms(10), f.syn(1))
	inject(t, m, ms(5), f.syn(1))
	all := receive(t, m, time.Second)
	if len(all) != 2 || all[1].at != ms(12) {
		t.Errorf("answers: %v", all)
	}
}

func TestNext(t *testing.T) {
	f := families[0]
	m := f.network(t, "router $1 delay=3ms\ntarget $T")
	if due, ok := m.Next(); ok {
		t.Errorf("something is due at %v in an idle network", due)
	}
	inject(t, m, ms(1), f.syn(1))
	if due, ok := m.Next(); !ok || due != ms(4) {
		t.Errorf("due %v, %v; the probe gets to the router at 4 ms", due, ok)
	}
	if _, _, ok := m.Receive(ms(7)-1, nil); ok {
		t.Error("received before it was due")
	}
	if due, ok := m.Next(); !ok || due != ms(7) {
		t.Errorf("due %v, %v; the answer arrives at 7 ms", due, ok)
	}
	inject(t, m, ms(7), f.syn(9)) // lets the answer arrive
	if due, ok := m.Next(); !ok || due != ms(7) {
		t.Errorf("due %v, %v; an answer has arrived", due, ok)
	}
	var buf [3]byte
	if n, due, ok := m.Receive(ms(7), buf[:]); !ok || n != 3 || due != ms(7) || buf[0] != 0x45 {
		t.Errorf("received % x at %v, %v", buf[:n], due, ok)
	}
}

func TestForge(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "no-host-rst\nrouter $1 delay=5ms\ntarget $T")
		inject(t, m, 0, f.syn(1))
		forged, _ := f.probeBytes(f.syn(77))
		m.Forge(ms(4), forged)
		m.Forge(ms(10), forged)
		forged[0] = 0 // it was copied
		all := receive(t, m, time.Second)
		forged[0] = all[0].b[0]
		m.Forge(ms(3), forged) // has passed
		all = append(all, receive(t, m, time.Second)...)
		if len(all) != 4 || all[3].at != ms(10) || all[0].at != ms(4) || all[0].IP.TTL != 77 || all[1].at != ms(10) || all[2].at != ms(10) {
			t.Errorf("answers: %v", all)
		}
	})
}

// The host's kernel resets what it knows nothing of, in the forward direction:
// it passes the routers, and clears the target's half-open connection.
func TestHostReset(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, quiet := range []bool{false, true} {
			text := "router $1 delay=10ms\ntarget $T delay=10ms"
			if quiet {
				text = "no-host-rst\n" + text
			}
			m := f.network(t, text)
			var resets []Arrival
			var reply packet.Reply
			m.Watch = func(a Arrival) {
				if packet.Parse(a.Packet, &reply); reply.TCP.Flags.Has(packet.RST) {
					resets = append(resets, a)
					if reply.TCP.Flags != packet.RST || reply.TCP.Seq != 1001 || reply.IP.TTL != 65-uint8(a.Hop) || reply.Checksum != packet.CheckGood {
						t.Errorf("reset %+v", reply)
					}
				}
			}
			inject(t, m, 0, f.syn(9))
			all := receive(t, m, ms(500))
			if len(all) != 1 || all[0].at != ms(40) {
				t.Fatalf("answers: %v", all)
			}
			truth := m.Truth(0).Target
			if quiet {
				if len(resets) != 0 || truth.HalfOpen != 1 {
					t.Errorf("quiet: %d resets, truth %+v", len(resets), truth)
				}
				continue
			}
			if len(resets) != 2 || resets[1].At != ms(60)+hostRSTDelay || !resets[1].Target || resets[1].Addr != f.target || resets[0].Addr != f.addr("$1") {
				t.Errorf("resets %+v", resets)
			}
			if truth.RST != 1 || truth.HalfOpen != 0 || m.Truth(0).Sent != 1 {
				t.Errorf("truth %+v", truth)
			}
		}
	})
}

func TestHostResetTakesTheNewRoute(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1 delay=10ms\nchange time=15ms\nrouter $2 delay=10ms\ntarget $T")
		var way []netip.Addr
		m.Watch = func(a Arrival) { way = append(way, a.Addr) }
		inject(t, m, 0, f.syn(9))
		receive(t, m, ms(500))
		if want := []netip.Addr{f.addr("$1"), f.target, f.addr("$2"), f.target}; !slices.Equal(way, want) {
			t.Errorf("way %v, want %v", way, want)
		}
	})
}

// A segment with a wrong checksum is nobody's, and isn't reset.
func TestHostIgnoresBadChecksums(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "target $T filtered")
		b, err := packet.AppendTCP(nil, &packet.Segment{
			Src: netip.AddrPortFrom(f.target, 80), Dst: netip.AddrPortFrom(f.host, testPort), TTL: 64, Flags: packet.SYN | packet.ACK, Ack: 1001,
		})
		if err != nil {
			t.Fatal(err)
		}
		m.Forge(0, b)
		b[len(b)-12]++ // of the acknowledgement number
		m.Forge(0, b)
		buf := make([]byte, 100)
		for range 2 {
			if _, _, ok := m.Receive(ms(1), buf); !ok {
				t.Fatal("not received")
			}
		}
		receive(t, m, ms(1))
		if truth := m.Truth(0).Target; truth.RST != 1 || truth.Arrived != 1 {
			t.Errorf("truth %+v", truth)
		}
	})
}

func TestQueue(t *testing.T) {
	var q queue
	c := chance(1)
	type key struct {
		due    time.Duration
		serial int
	}
	var want, got []key
	for i := range 1000 {
		due := c.below(100)
		want = append(want, key{due, i})
		q.push(due, &spoofer{turn: i})
	}
	slices.SortStableFunc(want, func(a, b key) int { return int(a.due - b.due) })
	for {
		next, ok := q.next()
		if !ok {
			break
		}
		due, what := q.pop()
		if due != next {
			t.Fatalf("next said %v, pop %v", next, due)
		}
		got = append(got, key{due, what.(*spoofer).turn})
	}
	if !slices.Equal(got, want) {
		t.Error("not in the order of time and pushes")
	}
}

func FuzzInject(f *testing.F) {
	for _, fam := range families {
		p := fam.syn(3)
		b, _ := p.AppendBinary(nil)
		f.Add(b, uint8(3))
		f.Add(b[:len(b)-20], uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, ttl uint8) {
		for _, fam := range families {
			m := fam.network(t, `
				router $1 mpls=3/0/1 ext-cut=3 ext-object=9 quote-seq=+5 quote-id=3 quote-tos=1 quote-label=4
				router $2,$3 random-id one-isn random-isn snat=$4:77 dnat=$5:8080 set-tos=7 set-label=3
				router $6 stateful drop=9:syn reset=11 reject=3:12 quote=min
				target $T closed=81 challenge=82 reject=3:83`)
			// Make it one that gets through to the network, whatever else is in it.
			if len(b) >= 40 {
				if fam.v4 {
					b[0] = 4<<4 | b[0]&15
					copy(b[16:], fam.target.AsSlice())
					b[8] = ttl
				} else {
					b[0] = 6<<4 | b[0]&15
					copy(b[24:], fam.target.AsSlice())
					b[7] = ttl
				}
			}
			_ = m.Inject(0, b)
			buf := make([]byte, 2000)
			for range 100 {
				if _, _, ok := m.Receive(time.Minute, buf); !ok {
					break
				}
			}
		}
	})
}
