package test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.example/tcptraceroute/lab"
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
	for i, p := range s.Paths {
		queries := 1 + i/16
		got := run(t, h.Host, binary, "-n", "-q", fmt.Sprint(queries), p.Target.Addr.String())
		hops := hopsShown(got.stdout)
		last := ""
		if len(hops) > 0 {
			last = hops[len(hops)-1]
		}
		if got.code != 0 || len(hops) != len(p.Routers)+1 || last != p.Target.Addr.String() {
			t.Errorf("%d hops, -q %d: %v", len(p.Routers)+1, queries, got)
		}
	}
}
