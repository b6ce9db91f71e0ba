package test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/sim"
)

// TestNearCookies: a Linux kernel nearby that answers each SYN by a cookie has one number for all SYNs of a flow. It is
// never shown one hop too far, and its hop is told. With one probe a hop 4 of 54 were shown one hop too far, and that
// of 9 was not told.
func TestNearCookies(t *testing.T) {
	t.Parallel()
	const runs = 48
	rng := rand.New(rand.NewPCG(1, 1))
	var text strings.Builder
	for i := range runs {
		n := 1 + i%4
		rtt := []time.Duration{time.Millisecond, 2 * time.Millisecond, 12 * time.Millisecond, 60 * time.Millisecond}[i/4%4]
		delay := rtt / time.Duration(2*n)
		for ttl := 1; ttl < n; ttl++ {
			fmt.Fprintf(&text, "router 10.0.%d.%d delay=%v jitter=%v\n", i, ttl, delay, delay/time.Duration(2+rng.IntN(20)))
		}
		fmt.Fprintf(&text, "target 198.19.0.%d delay=%v jitter=%v real\n", i+1, delay, delay/time.Duration(2+rng.IntN(20)))
	}
	s, err := sim.Parse(text.String())
	if err != nil {
		t.Fatal(err)
	}
	l, binary := lab.New(t), program(t)
	far := l.Host(t, "far")
	far.Sysctl(t, "net.ipv4.tcp_syncookies", "2")
	far.Listen(t, 80)
	h := simulate(t, l, s, far)
	record := h.device.Capture(t)
	wrong := make(map[netip.Addr]string)
	for i, p := range s.Paths {
		queries := 1 + i/16
		got := run(t, h.Host, binary, "-n", "-q", fmt.Sprint(queries), p.Target.Addr.String())
		hops := hopsShown(got.stdout)
		last := ""
		if len(hops) > 0 {
			last = hops[len(hops)-1]
		}
		if got.code != 0 || len(hops) != len(p.Routers)+1 || last != p.Target.Addr.String() {
			wrong[p.Target.Addr] = fmt.Sprintf("%d hops, -q %d: %v", len(p.Routers)+1, queries, got)
		}
	}
	took := firstAnswers(record.Stop(t))
	for target, what := range wrong {
		if took[target] > 70*time.Millisecond+20*time.Millisecond { // what the longest path takes, and some
			t.Logf("the simulated network was late, %v: %s", took[target], what)
			continue
		}
		t.Errorf("answered after %v at the most: %s", took[target], what)
	}
}

// firstAnswers is the longest time that each target took to answer the first SYN from a port.
func firstAnswers(packets []lab.Packet) map[netip.Addr]time.Duration {
	type flow struct {
		target netip.Addr
		port   uint16
	}
	sent, took := make(map[flow]time.Time), make(map[netip.Addr]time.Duration)
	for _, p := range packets {
		var r packet.Reply
		if packet.Parse(p.Data, &r) != nil || r.Kind != packet.KindTCP {
			continue
		}
		f := flow{r.IP.Src, r.TCP.DstPort}
		if p.Out {
			f = flow{r.IP.Dst, r.TCP.SrcPort}
		}
		at, any := sent[f]
		switch {
		case p.Out && !any:
			sent[f] = p.Time
		case !p.Out && !at.IsZero():
			took[f.target] = max(took[f.target], p.Time.Sub(at))
			sent[f] = time.Time{} // answered
		}
	}
	return took
}
