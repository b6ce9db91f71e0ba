package trace_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

// BenchmarkTargets says what a probe costs of the processor, the simulated network included, by how many targets are open.
// The promise is a ratio: with 10,000 open targets at most 1.3 times what it costs with 100. So it is where most targets
// are held back, because they are in few networks.
func BenchmarkTargets(b *testing.B) {
	const targets = 10_000
	var sc sim.Scenario
	for i := range targets {
		p := sim.Path{Target: sim.Target{Addr: netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})}}
		for ttl := range 2 + i%9 {
			p.Routers = append(p.Routers, sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(ttl)})},
				Link: sim.Link{Delay: 5 * time.Millisecond}})
		}
		sc.Paths = append(sc.Paths, p)
	}
	for _, tt := range []struct{ open, nearby int }{{100, 100}, {1000, 1000}, {targets, targets}, {100, 2}} {
		open := tt.open
		b.Run(fmt.Sprintf("open=%d,nearby=%d", open, tt.nearby), func(b *testing.B) {
			for b.Loop() {
				model, err := sim.New(sc)
				if err != nil {
					b.Fatal(err)
				}
				conn := sim.NewConn(model)
				rng, next, ended := rand.New(rand.NewPCG(1, 2)), 0, 0
				plan := trace.NewTargets(trace.TargetsOptions{Open: open, Nearby: tt.nearby,
					Next: func() (trace.Offer, bool) {
						if next == targets {
							return trace.Offer{}, false
						}
						a := sc.Paths[next].Target.Addr
						next++
						return trace.Offer{Addr: a, Begin: func(int) trace.Plan {
							p, err := trace.NewPath(trace.PathOptions{Target: netip.AddrPortFrom(a, 80), Queries: 2, Rand: rng,
								Source: netip.MustParseAddrPort("192.0.2.1:40000"), ProbePorts: []uint16{40001, 40002, 40003, 40004}})
							if err != nil {
								b.Fatal(err)
							}
							return p
						}}, true
					},
					Over: func(int, bool) { ended++ },
				})
				before := cpu(b)
				counts, err := trace.Run(b.Context(), conn, plan, trace.Options{}, func(trace.Result) {})
				if err != nil || ended != targets {
					b.Fatalf("%v, %d targets", err, ended)
				}
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(counts.Sent)/1000, "cpu-µs/probe")
				b.ReportMetric(float64(counts.Sent)/targets, "probes/target")
				conn.Close()
			}
		})
	}
}

// cpu is how much of the processor this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
