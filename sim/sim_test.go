package sim

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/packet"
)

// family is the addresses of a test that runs over IPv4 and IPv6. In its texts,
// $H is the host, $T the target, $1 to $9 are routers, $a to $c spare.
type family struct {
	name         string
	v4           bool
	host, target netip.Addr
	replace      *strings.Replacer
}

var families = []family{newFamily("IPv4", "10.0.0.%x", "192.0.2.1", "203.0.113.9"), newFamily("IPv6", "2001:db8::%x", "2001:db8:1::1", "2001:db8:9::9")}

func newFamily(name, router, host, target string) family {
	pairs := []string{"$H", host, "$T", target}
	for i := 1; i < 10; i++ {
		pairs = append(pairs, fmt.Sprintf("$%d", i), fmt.Sprintf(router, i))
	}
	for i, s := range []string{"$a", "$b", "$c"} {
		pairs = append(pairs, s, fmt.Sprintf(router, 50+i))
	}
	h := netip.MustParseAddr(host)
	return family{name, h.Is4(), h, netip.MustParseAddr(target), strings.NewReplacer(pairs...)}
}

func (f family) addr(name string) netip.Addr { return netip.MustParseAddr(f.replace.Replace(name)) }

// both runs a test for each family.
func both(t *testing.T, test func(t *testing.T, f family)) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}

func (f family) network(t testing.TB, text string) *Model {
	t.Helper()
	s, err := Parse(f.replace.Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const testPort = 33000

// syn is a SYN to port 80 of the target.
func (f family) syn(ttl uint8) packet.Probe {
	return packet.Probe{
		Src: netip.AddrPortFrom(f.host, testPort), Dst: netip.AddrPortFrom(f.target, 80),
		TTL: ttl, Seq: 1000, Flags: packet.SYN,
	}
}

func inject(t testing.TB, m *Model, at time.Duration, p packet.Probe) {
	t.Helper()
	b, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Inject(at, b); err != nil {
		t.Fatal(err)
	}
}

// got is a packet that the host received.
type got struct {
	at time.Duration
	*packet.Reply
	b []byte
}

// receive returns what the host receives until an instant. All of it must be in
// order, and right by its checksums.
func receive(t testing.TB, m *Model, until time.Duration) []got {
	t.Helper()
	var all []got
	buf := make([]byte, 2000)
	for {
		n, at, ok := m.Receive(until, buf)
		if !ok {
			return all
		}
		if len(all) > 0 && at < all[len(all)-1].at {
			t.Fatalf("received at %v after one at %v", at, all[len(all)-1].at)
		}
		g := got{at, new(packet.Reply), append([]byte(nil), buf[:n]...)}
		if err := packet.Parse(g.b, g.Reply); err != nil {
			t.Fatalf("%v: % x", err, g.b)
		}
		if g.Checksum != packet.CheckGood || g.IP.Checksum == packet.CheckBad || g.Quote.IP.Checksum == packet.CheckBad {
			t.Errorf("checksums: %v, IP %v, quoted IP %v: % x", g.Checksum, g.IP.Checksum, g.Quote.IP.Checksum, g.b)
		}
		all = append(all, g)
	}
}

// one sends a probe at time 0 to a fresh network, and returns the one answer.
func (f family) one(t testing.TB, text string, p packet.Probe) got {
	t.Helper()
	m := f.network(t, text)
	inject(t, m, 0, p)
	all := receive(t, m, 900*time.Millisecond)
	if len(all) != 1 {
		t.Fatalf("%d answers, want 1", len(all))
	}
	return all[0]
}

// none sends a probe at time 0 to a fresh network, and expects no answer.
func (f family) none(t testing.TB, text string, p packet.Probe) {
	t.Helper()
	m := f.network(t, text)
	inject(t, m, 0, p)
	if all := receive(t, m, time.Minute); len(all) != 0 {
		t.Errorf("%d answers, want none", len(all))
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }
