package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkPackets sends probes through 15 routers, one TTL after the other from
// 1 to 16, at 200,000 a second and 50 ms of round trip: 10,000 packets are in
// flight. Each probe is answered by a router, or by the target and then reset.
func BenchmarkPackets(b *testing.B) {
	for _, f := range families {
		b.Run(f.name, func(b *testing.B) {
			var text strings.Builder
			for i := range 15 {
				fmt.Fprintf(&text, "router $%d delay=1500us jitter=100us mpls=16001/0/1\n", i%9+1)
			}
			m := f.network(b, text.String()+"target $T delay=2500us")
			var probes [16][]byte
			for i := range probes {
				probes[i], _ = f.probeBytes(f.syn(uint8(i + 1)))
			}
			buf := make([]byte, 1500)
			now, answers, n := time.Duration(0), 0, 0
			b.ReportAllocs()
			for b.Loop() {
				now += 5 * time.Microsecond
				if err := m.Inject(now, probes[n%16]); err != nil {
					b.Fatal(err)
				}
				n++
				for {
					if _, _, ok := m.Receive(now, buf); !ok {
						break
					}
					answers++
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			if b.N > 100000 && answers < b.N/2 {
				b.Errorf("%d answers to %d probes", answers, b.N)
			}
		})
	}
}
