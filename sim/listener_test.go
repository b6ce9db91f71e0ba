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

// The tables of this file were measured on Linux 6.18, in two network namespaces
// without delay; the host's resets were filtered where the text says no-host-rst.
// Not measured: what comes after 8 s (tcp_synack_retries), TestOldTimestamp
// (RFC 7323), TestChallenge (TestEstablished for a connection of somebody else).

// segments is what one side of a connection sends: when, and what.
func segments(all []got, iss uint32) string {
	var s []string
	for _, g := range all {
		s = append(s, fmt.Sprintf("%dms %v %d,%d", g.at.Milliseconds(), g.TCP.Flags, g.TCP.Seq-iss, g.TCP.Ack))
	}
	return strings.Join(s, " ")
}

type sent struct {
	at       int // ms
	seq, ack uint32
	flags    packet.Flags
	tsVal    uint32 // 0: no options
	payload  int
}

func stamped(val uint32) packet.Options {
	o := with(with(with(packet.Options{}.WithMSS(1460)).WithSACKPermitted()).WithTimestamps(val, 0))
	return with(nop(o).WithWindowScale(7))
}

func (f family) converse(t *testing.T, text string, watch time.Duration, probes ...sent) (*Model, []got) {
	t.Helper()
	m := f.network(t, text)
	for _, s := range probes {
		p := f.syn(64)
		p.Seq, p.Ack, p.Flags = s.seq, s.ack, s.flags
		if s.tsVal != 0 {
			p.Options = stamped(s.tsVal)
		}
		p.Length = uint16(p.HeaderLength() + s.payload)
		inject(t, m, ms(s.at), p)
	}
	return m, receive(t, m, watch)
}

func sixSYNs(step uint32) (s []sent) {
	for i := range 6 {
		s = append(s, sent{at: 20 * i, seq: 1000 + uint32(i)*step, flags: packet.SYN})
	}
	return s
}

func TestSYNReceived(t *testing.T) {
	const S, A, R = packet.SYN, packet.ACK, packet.RST
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			name   string
			probes []sent
			watch  time.Duration
			want   string // sequence numbers less the target's first one
		}{
			// Three replies to six SYNs within 3 s. The timer starts anew with the second.
			{"same number", sixSYNs(0), 8 * time.Second,
				"0ms SYN|ACK 0,1001 20ms SYN|ACK 0,1001 1020ms SYN|ACK 0,1001 3020ms SYN|ACK 0,1001 7020ms SYN|ACK 0,1001"},
			{"other numbers", sixSYNs(10_000_000), 8 * time.Second,
				"0ms SYN|ACK 0,1001 20ms ACK 1,1001 1000ms SYN|ACK 0,1001 3000ms SYN|ACK 0,1001 7000ms SYN|ACK 0,1001"},
			{"repeated at leisure", []sent{{at: 0, seq: 1000, flags: S}, {at: 100, seq: 1000, flags: S}, {at: 300, seq: 1000, flags: S},
				{at: 550, seq: 1000, flags: S}, {at: 700, seq: 1000, flags: S}, {at: 1200, seq: 1000, flags: S}, {at: 1300, seq: 1000, flags: S}}, 3 * time.Second,
				"0ms SYN|ACK 0,1001 100ms SYN|ACK 0,1001 700ms SYN|ACK 0,1001 1200ms SYN|ACK 0,1001 2200ms SYN|ACK 0,1001"},
			{"until it gives up", sixSYNs(0)[:1], time.Hour,
				"0ms SYN|ACK 0,1001 1000ms SYN|ACK 0,1001 3000ms SYN|ACK 0,1001 7000ms SYN|ACK 0,1001 15000ms SYN|ACK 0,1001 31000ms SYN|ACK 0,1001"},
			{"wrong acknowledgement", []sent{{0, 1000, 0, S, 0, 0}, {20, 1001, 77, A, 0, 0}}, ms(900),
				"0ms SYN|ACK 0,1001 20ms RST 77,0"},
			{"reset beyond the next number, which uses the limit up", []sent{{0, 1000, 0, S, 0, 0}, {40, 5000, 0, R, 0, 0}, {60, 1000, 0, S, 0, 0}}, ms(900),
				"0ms SYN|ACK 0,1001 40ms ACK 1,1001"},
			{"reset before the window", []sent{{0, 1000, 0, S, 0, 0}, {20, 1000, 0, R, 0, 0}, {40, 1000, 0, S, 0, 0}}, ms(900),
				"0ms SYN|ACK 0,1001 40ms SYN|ACK 0,1001"},
			{"newer timestamps; the first one is echoed", []sent{{0, 1000, 0, S, 100, 0}, {20, 1000, 0, S, 110, 0}, {40, 1000, 0, S, 120, 0}, {600, 1000, 0, S, 130, 0}}, ms(900),
				"0ms SYN|ACK 0,1001 20ms SYN|ACK 0,1001 600ms SYN|ACK 0,1001"},
			{"older timestamps", []sent{{0, 1000, 0, S, 1000, 0}, {20, 1000, 0, S, 990, 0}, {40, 1000, 0, S, 980, 0}, {600, 1000, 0, S, 970, 0}}, ms(1100),
				"0ms SYN|ACK 0,1001 20ms ACK 1,1001 600ms ACK 1,1001 1000ms SYN|ACK 0,1001"},
			{"data isn't limited", []sent{{0, 1000, 0, S, 0, 0}, {20, 900, 0, 0, 0, 5}, {40, 900, 0, 0, 0, 5}, {60, 900, 0, 0, 0, 0}, {80, 900, 0, 0, 0, 0}}, ms(900),
				"0ms SYN|ACK 0,1001 20ms ACK 1,1001 40ms ACK 1,1001 60ms ACK 1,1001"},
			{"with data", []sent{{0, 1000, 0, S, 0, 5}, {20, 1000, 0, S, 0, 5}, {40, 1000, 0, S, 0, 5}}, ms(900),
				"0ms SYN|ACK 0,1001 20ms SYN|ACK 0,1001"},
			{"SYN and FIN", []sent{{0, 1000, 0, S, 0, 0}, {20, 1000, 0, S | packet.FIN, 0, 0}, {40, 1001, 0, packet.FIN, 0, 0}}, ms(900),
				"0ms SYN|ACK 0,1001 20ms SYN|ACK 0,1001"},
			{"no acknowledgement", []sent{{0, 1000, 0, S, 0, 0}, {20, 1001, 0, 0, 0, 5}}, ms(900),
				"0ms SYN|ACK 0,1001"},
		} {
			m, all := f.converse(t, "no-host-rst\ntarget $T", c.watch, c.probes...)
			iss := all[0].TCP.Seq
			want := c.want
			if c.name == "wrong acknowledgement" { // this one is not relative
				want = strings.Replace(want, "77", fmt.Sprint(77-iss), 1)
			}
			if got := segments(all, iss); got != want {
				t.Errorf("%s:\n%s, want\n%s", c.name, got, want)
			}
			for _, g := range all {
				_, ecr, ok := g.TCP.Options.Timestamps()
				if want := c.probes[0].tsVal; ok != (want != 0) || ecr != want {
					t.Errorf("%s: TSecr %d, %v", c.name, ecr, ok)
				}
			}
			if half := m.Truth(0).Target.HalfOpen; (half == 0) != (c.watch == time.Hour) {
				t.Errorf("%s: %d half open", c.name, half)
			}
		}
	})
}

// Another number within the window resets the connection; the next is a new one.
func TestSYNWithinTheWindow(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		_, all := f.converse(t, "no-host-rst\ntarget $T", ms(500), sixSYNs(10)...)
		if len(all) != 6 {
			t.Fatalf("%d answers", len(all))
		}
		for i, g := range all {
			want := packet.SYN | packet.ACK
			if i%2 == 1 {
				want = packet.RST | packet.ACK
			}
			if g.TCP.Flags != want || g.TCP.Ack != 1001+10*uint32(i) || g.at != ms(20*i) {
				t.Errorf("answer %d at %v: %v, acknowledges %d", i+1, g.at, g.TCP.Flags, g.TCP.Ack)
			}
		}
		if all[0].TCP.Seq == all[2].TCP.Seq {
			t.Error("two connections have the same sequence number")
		}
	})
}

// A reset with the next sequence number ends it, whatever it acknowledges.
func TestExactResetEndsIt(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, flags := range []packet.Flags{packet.RST, packet.RST | packet.ACK} {
			m, all := f.converse(t, "no-host-rst\ntarget $T", 20*time.Second, sent{0, 1000, 0, packet.SYN, 0, 0}, sent{30, 1001, 77, flags, 0, 0})
			if len(all) != 1 || m.Truth(0).Target.HalfOpen != 0 || m.Truth(0).Target.Retransmitted != 0 {
				t.Errorf("%v: %d answers, truth %+v", flags, len(all), m.Truth(0).Target)
			}
		}
	})
}

// Six SYNs 20 ms apart: with a port each all are answered; with the host's
// resets, and a round trip shorter than 20 ms, in all modes. With a longer one
// they are not, and that is what a traceroute has to cope with.
func TestSixSYNs(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			text  string
			step  uint32
			ports bool
			want  int // SYN+ACKs within 900 ms
		}{
			{"no-host-rst\ntarget $T delay=1ms", 0, false, 2},
			{"no-host-rst\ntarget $T delay=1ms", 1e7, false, 1},
			{"no-host-rst\ntarget $T delay=1ms", 0, true, 6},
			{"target $T delay=1ms", 0, false, 6},
			{"target $T delay=1ms", 1e7, false, 6},
			{"target $T delay=1ms", 0, true, 6},
			{"target $T delay=100ms", 0, false, 2},
			{"target $T delay=100ms", 1e7, false, 1},
			{"target $T delay=100ms", 0, true, 6},
		} {
			m := f.network(t, c.text)
			for i, s := range sixSYNs(c.step) {
				p := f.syn(64)
				p.Seq = s.seq
				if c.ports {
					p.Src = netip.AddrPortFrom(f.host, testPort+uint16(i))
				}
				inject(t, m, ms(s.at), p)
			}
			answers, isns := 0, map[uint32]bool{}
			for _, g := range receive(t, m, ms(900)) {
				if g.TCP.Flags == packet.SYN|packet.ACK {
					answers++
					isns[g.TCP.Seq] = true
				}
			}
			if answers != c.want {
				t.Errorf("%s, step %d, ports %v: %d SYN+ACKs, want %d", c.text, c.step, c.ports, answers, c.want)
			}
			if c.want == 6 && len(isns) != 6 {
				t.Errorf("%s: %d initial sequence numbers in 6 connections", c.text, len(isns))
			}
			truth := m.Truth(0).Target
			if truth.SYN != 6 || truth.SYNACKs != answers || truth.ACKs != map[bool]int{true: 1}[c.want == 1] {
				t.Errorf("%s: truth %+v", c.text, truth)
			}
		}
	})
}

// What is answered to each kind of segment, and how it looks.
func TestAnswersAreThoseOfLinux(t *testing.T) {
	const S, A, R, F = packet.SYN, packet.ACK, packet.RST, packet.FIN
	type answer struct {
		flags    packet.Flags // 0: none
		seq, ack uint32
	}
	synAck, reset, none := answer{S | A, 0, 1001}, answer{R, 555, 0}, answer{}
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			flags        packet.Flags
			payload      int
			open, closed answer
		}{
			{S, 0, synAck, answer{R | A, 0, 1001}},
			{S, 11, synAck, answer{R | A, 0, 1012}},
			{A, 0, reset, reset},
			{A, 11, reset, reset},
			{S | A, 0, reset, reset},
			{F | A, 0, reset, reset},
			{F, 0, none, answer{R | A, 0, 1001}},
			{0, 0, none, answer{R | A, 0, 1000}},
			{S | F, 0, none, answer{R | A, 0, 1002}},
			{S | R, 0, none, none},
			{R, 0, none, none},
			{R | A, 0, none, none},
			{S | packet.ECE | packet.CWR, 0, answer{S | A | packet.ECE, 0, 1001}, answer{R | A, 0, 1001}},
			{S | packet.ECE | packet.CWR | packet.AE, 0, answer{S | A | packet.ECE, 0, 1001}, answer{R | A, 0, 1001}},
			{S | packet.ECE, 0, synAck, answer{R | A, 0, 1001}},
		} {
			for state, want := range map[string]answer{"open": c.open, "closed": c.closed, "filtered": none} {
				p := f.syn(9)
				p.Flags, p.Ack, p.TOS, p.ID = c.flags, 555, 0xb8, 7
				if !f.v4 {
					p.ID = 0
				}
				if c.flags == S || !c.flags.Has(A) {
					p.Ack = 0
				}
				p.Length = uint16(p.HeaderLength() + c.payload)
				m := f.network(t, "router $1\ntarget $T "+state)
				inject(t, m, 0, p)
				all := receive(t, m, ms(1))
				if want == none {
					if len(all) != 0 {
						t.Errorf("%v to %s: %+v", c.flags, state, all)
					}
					continue
				}
				if len(all) != 1 {
					t.Errorf("%v to %s: %d answers", c.flags, state, len(all))
					continue
				}
				g := all[0]
				syn := want.flags.Has(S)
				if syn {
					g.TCP.Seq = 0 // random
				}
				tos, window, options := uint8(0xb8), uint16(0), ""
				if syn {
					tos, window, options = 0, 64240, "020405b4"
					if !f.v4 {
						window, options = 64800, "020405a0"
					}
				}
				if got := (answer{g.TCP.Flags, g.TCP.Seq, g.TCP.Ack}); got != want {
					t.Errorf("%v and %d bytes to %s: %v, want %v", c.flags, c.payload, state, got, want)
				}
				if resets := m.Truth(0).Target.Resets; (resets == 1) == syn {
					t.Errorf("%v to %s: %d resets counted", c.flags, state, resets)
				}
				if again := f.one(t, "router $1\ntarget $T "+state, p); (g.IP.FlowLabel == 0) != f.v4 || again.IP.FlowLabel != g.IP.FlowLabel {
					t.Errorf("%v to %s: flow labels %#x, %#x", c.flags, state, g.IP.FlowLabel, again.IP.FlowLabel)
				}
				if g.IP.TTL != 63 || g.IP.TOS != tos || g.IP.ID != 0 || g.IP.DontFragment != f.v4 || g.TCP.Window != window || hexOptions(g) != options {
					t.Errorf("%v to %s: TTL %d, TOS %#x, ID %d, DF %v, window %d, options %s", c.flags, state, g.IP.TTL, g.IP.TOS, g.IP.ID, g.IP.DontFragment, g.TCP.Window, hexOptions(g))
				}
			}
		}
	})
}

func hexOptions(g got) string { return hex.EncodeToString(g.TCP.Options.Append(nil)) }

func TestOptionsAreAnsweredInKind(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		mss, plain, withTS := "020405b4", 64240, 65160
		if !f.v4 {
			mss, plain, withTS = "020405a0", 64800, 64260
		}
		for _, c := range []struct {
			syn, want string // ssssssss: the target's clock
			window    int
		}{
			{"", "", plain},
			{"020405b4", "", plain},
			{"020405b40402080a000030390000000001030307", "0402080assssssss0000303901030307", withTS},
			{"0101080a0000004d00000000", "0101080assssssss0000004d", withTS},
			{"01010402", "01010402", plain},
			{"01030303", "01030307", plain},
			{"22020101", "", plain}, // Fast Open, not enabled
		} {
			p := f.syn(9)
			p.Options = packet.ParseOptions(mustHex(c.syn))
			g := f.one(t, "router $1\ntarget $T", p)
			val, _, _ := g.TCP.Options.Timestamps()
			want := mss + strings.Replace(c.want, "ssssssss", fmt.Sprintf("%08x", val), 1)
			if hexOptions(g) != want || int(g.TCP.Window) != c.window {
				t.Errorf("%q: options %s, window %d; want %s, %d", c.syn, hexOptions(g), g.TCP.Window, want, c.window)
			}
			if g := f.one(t, "target $T no-options", p); hexOptions(g) != "" {
				t.Errorf("no-options: %s", hexOptions(g))
			}
		}
		// The clock starts elsewhere for each flow.
		one, two := f.syn(9), f.syn(9)
		one.Options, two.Options = stamped(1), stamped(1)
		two.Src = netip.AddrPortFrom(f.host, testPort+1)
		val1, _, _ := f.one(t, "target $T", one).TCP.Options.Timestamps()
		val2, _, _ := f.one(t, "target $T", two).TCP.Options.Timestamps()
		if val1 == val2 {
			t.Errorf("TSval %d of two flows", val1)
		}
		p := withFlags(f.syn(9), packet.SYN|packet.ECE|packet.CWR)
		if g := f.one(t, "target $T no-ecn", p); g.TCP.Flags != packet.SYN|packet.ACK {
			t.Errorf("no-ecn: %v", g.TCP.Flags)
		}
	})
}

// A bare ACK has the window scaled, and timestamps.
func TestBareACK(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		_, all := f.converse(t, "no-host-rst\ntarget $T", ms(500), sent{0, 1000, 0, packet.SYN, 500, 0}, sent{20, 1000, 0, packet.SYN, 400, 0})
		if len(all) != 2 {
			t.Fatalf("%d answers", len(all))
		}
		a, b := all[0].TCP, all[1].TCP
		val1, _, _ := a.Options.Timestamps()
		val2, ecr, _ := b.Options.Timestamps()
		if b.Window != a.Window>>7 || b.Options.Len() != 12 || ecr != 500 || val2-val1 != 20 {
			t.Errorf("window %d after %d, %d bytes of options, TSval %d after %d, TSecr %d", b.Window, a.Window, b.Options.Len(), val2, val1, ecr)
		}
	})
}

// An acknowledgement with an old timestamp doesn't open it (RFC 7323 5.3).
func TestOldTimestamp(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for val, accepted := range map[uint32]int{900: 0, 1000: 1, 1100: 1} {
			m := f.network(t, "no-host-rst\ntarget $T")
			p := f.syn(9)
			p.Options = stamped(1000)
			inject(t, m, 0, p)
			p.Seq, p.Ack, p.Flags = 1001, receive(t, m, 0)[0].TCP.Seq+1, packet.ACK
			p.Options = stamped(val)
			inject(t, m, 0, p)
			if answers := len(receive(t, m, 0)); answers != 1-accepted || m.Truth(0).Target.Accepted != accepted {
				t.Errorf("TSval %d: %d answers, %d accepted", val, answers, m.Truth(0).Target.Accepted)
			}
		}
	})
}

func TestEstablished(t *testing.T) {
	const S, A, R = packet.SYN, packet.ACK, packet.RST
	type step struct {
		at, seq, ack int // ack less the target's first number
		flags        packet.Flags
		payload      int
	}
	both(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			steps []step
			want  string
		}{
			{[]step{{10, 1000, 0, S, 0}, {20, 1000, 0, S, 0}, {40, 1001, 1, A, 0}, {60, 900, 1, A, 0}, {610, 50_000_000, 0, S, 0}, {620, 1001, 0, R, 0}},
				"10ms ACK 1,1001 610ms ACK 1,1001"},
			{[]step{{10, 5000, 0, R, 0}, {20, 5000, 0, R, 0}, {610, 900, 1, A, 0}, {620, 900, 1, A, 0}, {640, 1001, 5000, A, 0}, {660, 900, 0, R, 0}},
				"10ms ACK 1,1001 610ms ACK 1,1001"},
			{[]step{{10, 700_000_000, 0, S, 0}, {20, 1001, -9000, A, 0}, {40, 700_000_000, 1, A, 0}, {60, 700_000_000, 1, A, 1}},
				"10ms ACK 1,1001 60ms ACK 1,1001"},
		} {
			m := f.network(t, "no-host-rst\ntarget $T")
			inject(t, m, 0, f.syn(9))
			iss := receive(t, m, 0)[0].TCP.Seq
			for _, s := range append([]step{{0, 1001, 1, A, 0}}, c.steps...) {
				p := withFlags(f.syn(9), s.flags)
				p.Seq = uint32(s.seq)
				if s.flags.Has(A) {
					p.Ack = iss + uint32(s.ack)
				}
				p.Length = uint16(p.HeaderLength() + s.payload)
				inject(t, m, ms(s.at), p)
			}
			all := receive(t, m, time.Hour)
			if got := segments(all, iss); got != c.want {
				t.Errorf("%v: %s, want %s", c.steps, got, c.want)
			}
			if f.v4 && len(all) == 2 && (all[0].IP.ID == 0 || all[1].IP.ID != all[0].IP.ID+1) {
				t.Errorf("IP IDs %d, %d", all[0].IP.ID, all[1].IP.ID)
			}
			if truth := m.Truth(0).Target; truth.Accepted != 1 || truth.HalfOpen != 0 || truth.Retransmitted != 0 {
				t.Errorf("truth %+v", truth)
			}
			// Only the first one was reset: there a SYN opens a new connection.
			inject(t, m, 2*time.Hour, f.syn(9))
			last := receive(t, m, 2*time.Hour)[0].TCP
			if reset := c.steps[len(c.steps)-1].flags == R && c.steps[len(c.steps)-1].seq == 1001; last.Flags.Has(S) != reset || reset && last.Seq == iss {
				t.Errorf("%v: afterwards %+v", c.steps, last)
			}
		}
	})
}

func TestChallenge(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "target $T challenge=80")
		for i := range 60 {
			inject(t, m, ms(20*i), f.syn(9))
		}
		all := receive(t, m, time.Hour)
		var at []time.Duration
		for _, g := range all {
			at = append(at, g.at)
			if g.TCP.Flags != packet.ACK || g.TCP.Ack == 1001 || g.TCP.Ack != all[0].TCP.Ack || g.TCP.Seq != all[0].TCP.Seq {
				t.Errorf("at %v: %+v", g.at, g.TCP)
			}
		}
		if !slices.Equal(at, []time.Duration{0, ms(500), ms(1000)}) {
			t.Errorf("answers at %v", at)
		}
		if truth := m.Truth(0).Target; truth.ACKs != 3 || truth.HalfOpen != 0 {
			t.Errorf("truth %+v", truth)
		}
	})
}

func TestPortStates(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		for port, want := range map[uint16]packet.Flags{79: packet.RST | packet.ACK, 80: packet.SYN | packet.ACK, 443: packet.SYN | packet.ACK, 25: 0, 22: packet.ACK} {
			m := f.network(t, "target $T closed open=80,443 filtered=25 challenge=22")
			p := f.syn(9)
			p.Dst = netip.AddrPortFrom(f.target, port)
			inject(t, m, 0, p)
			flags := packet.Flags(0)
			for _, g := range receive(t, m, ms(1)) {
				flags = g.TCP.Flags
			}
			if flags != want {
				t.Errorf("port %d: %v, want %v", port, flags, want)
			}
		}
	})
}

func TestTargetDropsBadChecksums(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "target $T")
		b, _ := f.probeBytes(f.syn(9))
		b[len(b)-4] ^= 1
		if err := m.Inject(0, b); err != nil {
			t.Fatal(err)
		}
		if all := receive(t, m, ms(1)); len(all) != 0 || m.Truth(0).Target.Arrived != 1 || m.Truth(0).Target.SYN != 0 {
			t.Errorf("answers %v, truth %+v", all, m.Truth(0).Target)
		}
	})
}

func TestSpoof(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1 delay=1ms\nrouter $2 delay=1ms spoof=10ms/300ms\ntarget $T filtered")
		p := f.syn(9)
		inject(t, m, 0, p)
		inject(t, m, ms(1), p)
		all := receive(t, m, time.Hour)
		if len(all) != 30 || all[0].at != ms(12) || all[29].at != ms(302) {
			t.Fatalf("%d forged answers", len(all))
		}
		ids := map[uint16]bool{}
		for i, g := range all {
			switch i % 3 {
			case 0:
				ids[g.Quote.IP.ID] = true
				if g.Kind != packet.KindTimeExceeded || g.From() != f.addr("$2") || g.Quote.TCP.SrcPort != testPort || g.Quote.TCP.Seq == p.Seq || g.Quote.IP.Dst != f.target || g.Quote.IP.TTL != 1 {
					t.Errorf("forged %+v", g)
				}
			case 1:
				if g.TCP.Flags != packet.SYN|packet.ACK || g.From() != f.target || g.TCP.DstPort != testPort || g.TCP.Ack == p.Seq+1 {
					t.Errorf("forged %+v", g.TCP)
				}
			case 2:
				if g.TCP.Flags != packet.RST|packet.ACK || g.From() != f.target || g.TCP.Ack == p.Seq+1 {
					t.Errorf("forged %+v", g.TCP)
				}
			}
		}
		if f.v4 && len(ids) < 9 {
			t.Errorf("forged IP IDs %v", ids)
		}
		if g := f.one(t, "router * spoof=1ms/1ms\ntarget $T filtered", p); g.From() != f.target {
			t.Errorf("a router without address forges from %v", g.From())
		}
	})
}
