package test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// TestImpossibleAddresses has a router answer from addresses that can't be a router's: they are shown as they came, each with a
// mark that says why, in text and in every format that may say so.
func TestImpossibleAddresses(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		p.Target.Listen(t, 80)
		odd := pick(v, []string{"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "240.0.0.1", "255.255.255.255"},
			[]string{"::", "::1", "ff02::1", "::ffff:192.0.2.1"})
		why := pick(v, []string{"unspecified", "this-network", "loopback", "multicast", "reserved", "broadcast"},
			[]string{"unspecified", "loopback", "multicast", "IPv4-mapped"})
		var addrs []netip.Addr
		for _, a := range odd {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		p.Routers[0].AnswerFrom(t, addrs...)
		args := fmt.Sprintf("-n -q %d %v", len(odd), v.of(p.Target))
		text := launch(t, p.Source, args).outcome()
		for i, a := range odd {
			if want := fmt.Sprintf(" %s <?%s>  ", a, why[i]); !strings.Contains(text.stdout, want) {
				t.Errorf("no %q in %v", want, text)
			}
		}
		if !strings.Contains(masked(text.stdout), hop(2, v.of(p.Hop(2)), len(odd), "")) || text.code != 0 {
			t.Errorf("hop 2 is not as ever: %v", text)
		}
		var doc struct {
			Hops []struct {
				Responders []struct {
					Address string
					Note    string `json:"address_note"`
				}
			}
		}
		got := launch(t, p.Source, "--json "+args).outcome()
		if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
			t.Fatalf("%v: %v", err, got)
		}
		notes := map[string]string{}
		for i, h := range doc.Hops {
			for _, r := range h.Responders {
				if notes[r.Address] = r.Note; i > 0 && r.Note != "" {
					t.Errorf("%+v at hop %d", r, i+1)
				}
			}
		}
		csv := launch(t, p.Source, "--csv "+args).outcome()
		table := launch(t, p.Source, fmt.Sprintf("-n --report -c %d --interval 0.05 %v", len(odd), v.of(p.Target))).outcome()
		for i, a := range odd {
			if notes[a] != why[i] {
				t.Errorf("%s: %q in JSON, want %q", a, notes[a], why[i])
			}
			if !strings.Contains(csv.stdout, ","+a+",") || !strings.Contains(csv.stdout, ","+why[i]+",") {
				t.Errorf("no %s, %s in %v", a, why[i], csv)
			}
			if !strings.Contains(table.stdout, a+"<?"+why[i]+">") {
				t.Errorf("no %s, %s in %v", a, why[i], table)
			}
		}
	})
}

// TestOwnAddressAnswers has a router answer in this host's own name: that is no hop, and it is said without -d.
func TestOwnAddressAnswers(t *testing.T) {
	families(t, func(t *testing.T, v family) {
		p := lab.Chain(t, lab.ChainOptions{Hops: 3})
		p.Target.Listen(t, 80)
		p.Routers[0].AnswerFrom(t, v.of(p.Source))
		got := launch(t, p.Source, fmt.Sprintf("-n -w 1 %v", v.of(p.Target))).outcome()
		got.expect(t, " 1  * * *\n"+hop(2, v.of(p.Hop(2)), 3, "")+hop(3, fmt.Sprintf("%v [open]", v.of(p.Target)), 3, ""),
			"Warning: ICMP errors about the probes came from this host's own address, which is no hop: 3 (-d shows them)\n", 0)
	})
}

// TestLinkLocalHop has a router answer from the address that it has on the link only: with the zone, or it means nothing.
func TestLinkLocalHop(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	router := p.Routers[0].Interfaces[0].LinkLocal
	p.Routers[0].AnswerFrom(t, router)
	for _, how := range []string{"", "--unprivileged", "--track-port"} {
		got := launch(t, p.Source, fmt.Sprintf("-n %s %v", how, p.Target.V6())).outcome()
		want := hop(1, router.String()+"%eth0", 3, "") + hop(2, p.Hop(2).V6(), 3, "") + hop(3, fmt.Sprintf("%v [open]", p.Target.V6()), 3, "")
		if masked(got.stdout) != want || got.code != 0 {
			t.Errorf("%s: %v\nwant %s", how, got, lines(want))
		}
	}
}
