package test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// maskedSYNs are the SYNs that a host sent, each once, without what differs from connection to connection: source port,
// sequence number, TSval, IP ID or flow label, TTL, and the checksums over them.
func maskedSYNs(packets []lab.Packet) []string {
	var all []string
	seen := make(map[string]bool)
	for _, p := range packets {
		b := append([]byte(nil), p.Data...)
		n := 20
		switch {
		case !p.Out || len(b) < 40:
			continue
		case b[0] == 0x45 && b[9] == 6:
			clear(b[4:6])
			b[8] = 0
			clear(b[10:12])
		case len(b) >= 60 && b[0]>>4 == 6 && b[6] == 6:
			n = 40
			b[1] &= 0xf0
			clear(b[2:4])
			b[7] = 0
		default:
			continue
		}
		tcp := b[n:]
		if tcp[13]&0x12 != 0x02 {
			continue
		}
		clear(tcp[:2])
		clear(tcp[4:8])
		clear(tcp[16:18])
		for o := tcp[20:]; len(o) > 1 && o[0] != 0; {
			switch {
			case o[0] == 1:
				o = o[1:]
				continue
			case o[0] == 8 && len(o) >= 6:
				clear(o[2:6])
			}
			o = o[min(max(int(o[1]), 2), len(o)):]
		}
		if s := hex.EncodeToString(b); !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	return all
}

// What --syn linux sends is what the kernel of this very host sends, byte for byte, whatever its administrator has set.
func TestLinuxSYN(t *testing.T) {
	t.Parallel()
	ours := program(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Target.Listen(t, 25)
	p.Source.Listen(t, 26)
	device := p.Source.Interfaces[0]
	for _, tt := range []struct {
		name string
		set  func(t *testing.T)
		args string
	}{
		{name: "as it is", set: func(*testing.T) {}},
		{name: "MTU 1400", set: func(t *testing.T) { p.Links[0].SetMTU(t, 1400) }},
		{name: "a route with an MTU", set: func(t *testing.T) {
			p.Source.Add(t, "route", fmt.Sprintf("198.18.2.2/32 via %s mtu 1300", p.Hop(1).V4()))
			p.Source.Add(t, "route", fmt.Sprintf("2001:db8:2::2/128 via %s mtu 1300", p.Hop(1).V6()))
		}},
		{name: "a route with an MSS", set: func(t *testing.T) {
			p.Source.Add(t, "route", fmt.Sprintf("198.18.2.2/32 via %s advmss 1000", p.Hop(1).V4()))
			p.Source.Add(t, "route", fmt.Sprintf("2001:db8:2::2/128 via %s advmss 1000", p.Hop(1).V6()))
		}},
		{name: "no SACK", set: func(t *testing.T) { p.Source.Sysctl(t, "net.ipv4.tcp_sack", "0") }},
		{name: "no window scaling", set: func(t *testing.T) { p.Source.Sysctl(t, "net.ipv4.tcp_window_scaling", "0") }},
		{name: "little memory", set: func(t *testing.T) { p.Source.Sysctl(t, "net.ipv4.tcp_rmem", "4096 20000 300000") }},
		{name: "much memory", set: func(t *testing.T) { p.Source.Sysctl(t, "net.ipv4.tcp_rmem", "4096 1000000 100000000") }},
		{name: "no timestamps", set: func(t *testing.T) { p.Source.Sysctl(t, "net.ipv4.tcp_timestamps", "0") }},
		{name: "ECN", set: func(t *testing.T) { p.Source.Sysctl(t, "net.ipv4.tcp_ecn", "1") }, args: "-E"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.set(t)
			for _, target := range []netip.Addr{p.Target.V4(), p.Target.V6()} {
				if tt.name == "no timestamps" && target.Is6() {
					continue // which tag the probes there
				}
				syns := func(f func()) []string {
					c := device.Capture(t)
					f()
					return maskedSYNs(c.Stop(t))
				}
				want := syns(func() {
					p.Source.Run(t, "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/25", target))
				})
				var o outcome
				got := syns(func() {
					o = run(t, p.Source, ours, strings.Fields(fmt.Sprintf("-n --syn linux %s %s 25", tt.args, target))...)
				})
				if len(want) != 1 || len(got) != 1 || want[0] != got[0] {
					t.Errorf("%s: the kernel sends\n\t%q\nwe send\n\t%q\n%v", target, want, got, o)
				}
				if o.code != 0 || !strings.Contains(o.stdout, "[open") {
					t.Errorf("%s: %v", target, o)
				}
			}
		})
	}
}

// The other shapes: what --mss adds to either, the third ECN bit, and nothing by default.
func TestSYNShapes(t *testing.T) {
	t.Parallel()
	ours := program(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Target.Listen(t, 25)
	for _, tt := range []struct{ args, header string }{
		{"", "50020000" + "00000000"},
		{"--syn bare", "50020000" + "00000000"},
		{"--syn bare --mss 1200", "60020000" + "00000000" + "020404b0"},
		{"--mss 65535", "60020000" + "00000000" + "0204ffff"},
		{"--accecn", "51c20000" + "00000000"},
		{"--accecn -E --mss 1", "61c20000" + "00000000" + "02040001"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			c := p.Source.Interfaces[0].Capture(t)
			o := run(t, p.Source, ours, strings.Fields("-n "+tt.args+" 198.18.2.2 25")...)
			headers := synHeaders(c.Stop(t))
			if len(headers) != 1 || headers[0] != tt.header || o.code != 0 {
				t.Errorf("from the data offset on: %q, want %q\n%v", headers, tt.header, o)
			}
		})
	}
}

// synHeaders are the different TCP headers of the SYNs that a host sent, from the data offset on and without the checksum.
func synHeaders(packets []lab.Packet) []string {
	var all []string
	seen := make(map[string]bool)
	for _, p := range packets {
		if b := p.Data; p.Out && len(b) >= 40 && b[0] == 0x45 && b[9] == 6 && b[33]&0x12 == 0x02 {
			h := append([]byte(nil), b[32:]...)
			clear(h[4:6])
			s := hex.EncodeToString(h)
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}

// Accurate ECN with a kernel that knows the older one, one that knows none, and a router that takes two of the flags away.
// Plain -E says no more than the old program does.
func TestAccurateECN(t *testing.T) {
	t.Parallel()
	ours := program(t)
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 25)
	for _, tt := range []struct {
		name, args, ecn string
		strip           bool
		want            []string
	}{
		{"a target that knows the older ECN", "--accecn", "2", false, []string{
			"sent: SYN with AE, CWR and ECE, IP ECN field Not-ECT", "hops 1 to 2: as it was sent",
			"target: SYN+ACK with ECE: it uses ECN, but not Accurate ECN",
		}},
		{"a target without ECN", "--accecn", "0", false, []string{
			"sent: SYN with AE, CWR and ECE, IP ECN field Not-ECT", "hops 1 to 2: as it was sent",
			"target: SYN+ACK with no ECN flag: it does not use ECN",
		}},
		{"a router that takes the flags away", "--accecn", "2", true, []string{
			"sent: SYN with AE, CWR and ECE, IP ECN field Not-ECT", "hop 1 (198.18.1.2): as it was sent",
			"hop 2 (198.18.2.2): without CWR and ECE, changed between hop 1 and hop 2",
			"target: SYN+ACK with no ECN flag: it does not use ECN",
		}},
		{"-E", "-E", "1", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.Target.Sysctl(t, "net.ipv4.tcp_ecn", tt.ecn)
			if tt.strip {
				p.Hop(2).Mangle(t, "tcp flags == (syn | ecn | cwr) tcp flags set syn")
			}
			o := run(t, p.Source, ours, strings.Fields("-n "+tt.args+" 198.18.3.2 25")...)
			var got []string
			for line := range strings.Lines(o.stderr) {
				if said, ok := strings.CutPrefix(line, "ECN: "); ok {
					got = append(got, strings.TrimSuffix(said, "\n"))
				}
			}
			if !slices.Equal(got, tt.want) || o.code != 0 {
				t.Errorf("%q\nwant\n%q\n%v", got, tt.want, o)
			}
		})
	}
}

// A target that knows Accurate ECN, as no kernel here does: it answers in the three bits (RFC 9768 table 2).
func TestAccurateECNAgreed(t *testing.T) {
	t.Parallel()
	ours := program(t)
	h := lab.New(t).Host(t, "source")
	labelled(t, h.TUN(t, "tun0"), packet.SYN|packet.ACK|packet.CWR, nil)
	h.Add(t, "address", "198.19.1.1/24 dev tun0")
	const want = "ECN: hop 1 (198.19.0.1): as it was sent\n" +
		"ECN: target: SYN+ACK with CWR: it uses Accurate ECN (RFC 9768), and got the SYN with IP ECN field Not-ECT\n"
	eventually(t, "the target's answer in time", func() bool { // the model may be late on a busy machine
		o := run(t, h, ours, "-n", "-q1", "-w3", "--accecn", "198.19.1.9", "443")
		if !strings.Contains(o.stdout, " [open]") {
			t.Logf("the target is missing:\n%v", o)
			return false
		}
		if !strings.HasSuffix(o.stderr, want) || o.code != 0 {
			t.Errorf("want\n%s\n%v", want, o)
		}
		return true
	})
}
