package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// A router with a limit forwards what its bucket has tokens for, and no more; what ends at it costs none.
func TestLimits(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1\nrouter $2 syn-limit=100ms/3\ntarget $T closed")
		var answered []int
		for i := range 12 {
			inject(t, m, ms(50*i), f.syn(2)) // ends at the router
			inject(t, m, ms(50*i), f.syn(9))
			p := f.syn(9)
			p.Flags = packet.ACK
			inject(t, m, ms(50*i), p) // no SYN
			n := 0
			for _, g := range receive(t, m, ms(50*i+49)) {
				if g.Kind == packet.KindTCP && g.TCP.Flags == packet.RST|packet.ACK {
					n++
				}
			}
			answered = append(answered, n)
		}
		// Three at once, one each 100 ms: those at 0 to 150 ms (one more by then), at 200, 300 ...
		if want := []int{1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 1, 0}; !slices.Equal(answered, want) {
			t.Errorf("answered: %v, want %v", answered, want)
		}
		if hop := m.Truth(0).Hops[1].Members[0]; hop.Dropped != 4 || hop.Expired != 12 {
			t.Errorf("%+v", hop)
		}
	})
}

// A policer drops whatever is too much, TCP or not.
func TestPacketLimit(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "no-host-rst\nrouter $1 packet-limit=1s/2\ntarget $T closed")
		for i := range 5 {
			p := f.syn(9)
			if i%2 == 1 {
				p.Flags = packet.ACK
			}
			inject(t, m, ms(i), p)
		}
		if n := len(receive(t, m, ms(500))); n != 2 {
			t.Errorf("%d answers, want 2", n)
		}
	})
}

// Routers in turn are taken in turn.
func TestInTurn(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		m := f.network(t, "router $1,$2 in-turn\nrouter $3\ntarget $T")
		var from []string
		for i := range 6 {
			p := f.syn(uint8(1 + i/4))
			inject(t, m, ms(i), p)
			for _, g := range receive(t, m, ms(i)) {
				from = append(from, g.From().String())
			}
		}
		want := []string{f.addr("$1").String(), f.addr("$2").String(), f.addr("$1").String(), f.addr("$2").String(), f.addr("$3").String(), f.addr("$3").String()}
		if !slices.Equal(from, want) {
			t.Errorf("answers from %v, want %v", from, want)
		}
	})
}

// What a defended target answers, of SYNs by one port at these times (ms) and one more by another port at the end.
func TestDefence(t *testing.T) {
	for _, tt := range []struct {
		words string
		at    []int
		want  string // . is no answer, A a bare ACK, R a reset
	}{
		{"drop-first", []int{0, 1, 2}, ".RR."},
		{"drop-first by-source", []int{0, 1, 2}, ".RRR"},
		{"drop-first pause=1.5s", []int{0, 1000, 2600, 2700}, "..RR."},
		{"drop-first pause=1.5s pause-always", []int{0, 1500, 1501, 3001}, ".R.R."},
		{"pause=1.5s", []int{0, 10, 20}, "RRRR"},
		{"pause=1.5s pause-always", []int{0, 1499, 2999}, "R.RR"},
		{"pause=1.5s pause-always by-source", []int{0, 1499, 2999}, "R.R."},
		{"bad-ack", []int{0, 1, 2}, "ARRA"},
		{"bad-ack by-source", []int{0, 1, 2}, "ARRR"},
	} {
		t.Run(tt.words, func(t *testing.T) {
			both(t, func(t *testing.T, f family) {
				m := f.network(t, "router $1\ntarget $T closed "+tt.words)
				got := ""
				send := func(at int, port uint16) {
					p := f.syn(9)
					p.Src = netip.AddrPortFrom(p.Src.Addr(), port)
					inject(t, m, ms(at), p)
					answers := receive(t, m, ms(at))
					switch {
					case len(answers) == 0:
						got += "."
					case answers[0].TCP.Flags.Has(packet.RST):
						got += "R"
					default:
						got += "A"
					}
				}
				for _, at := range tt.at {
					send(at, 1000)
				}
				send(tt.at[len(tt.at)-1], 1001)
				if got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			})
		})
	}
}

// Cookies: each SYN is answered, whatever came before and however soon.
func TestCookies(t *testing.T) {
	for words, want := range map[string]int{"cookies": 1, "changing-cookies": 4} {
		both(t, func(t *testing.T, f family) {
			m := f.network(t, fmt.Sprintf("no-host-rst\nrouter $1\ntarget $T open %s", words))
			numbers := map[uint32]bool{}
			for i := range 4 {
				inject(t, m, ms(i), f.syn(9))
				for _, g := range receive(t, m, ms(i)) {
					if g.TCP.Flags != packet.SYN|packet.ACK || g.TCP.Ack != f.syn(9).Seq+1 {
						t.Errorf("%s: %v", words, g.TCP)
					}
					numbers[g.TCP.Seq] = true
				}
			}
			if len(numbers) != want || len(receive(t, m, time.Minute)) > 0 {
				t.Errorf("%s: %d numbers, want %d, and nothing more", words, len(numbers), want)
			}
		})
	}
}
