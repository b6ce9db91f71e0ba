package test

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
)

// labelled answers what comes out of a TUN as a path of routers in an MPLS network does, each by these RFC 4884 objects;
// behind them a target answers with these flags. MPLS forwarding is none of this kernel's.
func labelled(t *testing.T, tun *os.File, flags packet.Flags, routers ...[]byte) {
	var wg sync.WaitGroup
	t.Cleanup(func() {
		tun.Close()
		wg.Wait()
	})
	wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, err := tun.Read(buf)
			if err != nil {
				return // closed
			}
			var r packet.Reply
			if packet.Parse(buf[:n], &r) != nil || r.Kind != packet.KindTCP || r.TCP.Flags.Has(packet.RST) {
				continue
			}
			if _, err := tun.Write(labelledAnswer(&r, buf[:n], flags, routers)); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

func labelledAnswer(r *packet.Reply, probe []byte, flags packet.Flags, routers [][]byte) []byte {
	if hop := int(r.IP.TTL) - 1; hop < len(routers) {
		e := packet.ICMPError{Src: labelledHop(r.IP.Version == 6, hop), Dst: r.IP.Src, TTL: 60, Type: packet.ICMPv4TimeExceeded, Quote: probe, Extensions: routers[hop]}
		if r.IP.Version == 6 {
			e.Type = packet.ICMPv6TimeExceeded
		}
		b, _ := packet.AppendICMP(nil, &e)
		return b
	}
	b, _ := packet.AppendTCP(nil, &packet.Segment{
		Src: netip.AddrPortFrom(r.IP.Dst, r.TCP.DstPort), Dst: netip.AddrPortFrom(r.IP.Src, r.TCP.SrcPort), TTL: 60,
		Ack: r.TCP.Seq + 1, Flags: flags,
	})
	return b
}

func labelledHop(v6 bool, hop int) netip.Addr {
	if v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:a::%d", hop+1))
	}
	return netip.MustParseAddr(fmt.Sprintf("198.19.0.%d", hop+1))
}

// The binary shows label stacks in the very words of traceroute -e, through real sockets, of both families.
func TestExtensions(t *testing.T) {
	lab.NeedProgram(t, "traceroute")
	t.Parallel()
	ours := program(t)
	object := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	deep := object(packet.AppendMPLS(nil, packet.Label{Label: 24001, TTL: 1}, packet.Label{Label: 1048575, TC: 7, Bottom: true, TTL: 255}))
	one := object(packet.AppendMPLS(nil, packet.Label{Label: 16, Bottom: true, TTL: 1}))
	iface := object(packet.AppendInterface(nil, packet.Interface{Index: 7, Name: []byte("\x1b[31mred"), MTU: 9000}))
	h := lab.New(t).Host(t, "source")
	labelled(t, h.TUN(t, "tun0"), packet.RST|packet.ACK, nil, deep, one, iface)
	h.Add(t, "address", "198.19.1.1/24 dev tun0")
	h.Add(t, "address", "2001:db8:b::1/64 dev tun0 nodad")
	for _, target := range []string{"198.19.1.9", "2001:db8:b::9"} {
		v6 := strings.Contains(target, ":")
		hop := func(i int) string { return labelledHop(v6, i).String() }
		want := fmt.Sprintf(" 1  %s  T ms\n 2  %s <MPLS:L=24001,E=0,S=0,T=1/L=1048575,E=7,S=1,T=255>  T ms\n 3  %s <MPLS:L=16,E=0,S=1,T=1>  T ms\n",
			hop(0), hop(1), hop(2))
		mine := fmt.Sprintf(" 4  %s <IF:in,name=\"\\x1b[31mred\",index=7,mtu=9000>  T ms\n 5  %s [closed]  T ms\n", hop(3), target)
		mask := func(s string) string { return regexp.MustCompile(`[0-9]+\.[0-9]{3} ms`).ReplaceAllString(s, "T ms") }
		for _, e := range []string{"-e", "--extensions"} {
			if o := run(t, h, ours, "-n", "-q1", e, target, "443"); mask(o.stdout) != want+mine || o.code != 0 {
				t.Errorf("%s: want\n%s\n%v", target, want+mine, o)
			}
		}
		if o := run(t, h, ours, "-n", "-q1", target, "443"); strings.Contains(o.stdout, "<") {
			t.Errorf("%s: not asked for: %v", target, o)
		}
		// Else it gives a probe up when ten times what the next hop took is over, which is no time on a busy machine.
		const wait = "-w5,0,0"
		if o := run(t, h, "traceroute", "-T", "-n", "-q1", "-N1", wait, "-e", "-p", "443", target); !strings.Contains(mask(o.stdout), want) {
			t.Errorf("%s: traceroute shows\n%v", target, o)
		}
	}
}
