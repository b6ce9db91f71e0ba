package cli

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
	"go.example/tcptraceroute/wire"
)

// fromHost is a simulated network that a host of the simulated Internet is in.
type fromHost struct {
	simMedium
	own netip.Addr
}

func (m fromHost) Route(dst, src netip.AddrPort) (wire.Route, error) {
	return wire.Route{Source: m.own, Interface: "eth0", MTU: simMTU}, nil
}

// Reserve is that of the simulated connection.
func (m fromHost) Reserve(src netip.AddrPort) (uint16, error) { return m.Conn.Reserve(src) }

// Zone is the interface of Route.
func (fromHost) Zone(netip.AddrPort, netip.AddrPort) string { return "eth0" }

// through is what a trace through a path of a simulated network took and found.
type through struct {
	took time.Duration
	hops string
}

// traceSim traces a path, as the program or by a call of the library, with the same randomness.
func traceSim(t *testing.T, seed uint64, path sim.Path, by func(*testing.T, *fromHost, trace.PathOptions) *trace.Trace) (got through) {
	synctest.Test(t, func(t *testing.T) {
		model, err := sim.New(sim.Scenario{Seed: seed, Paths: []sim.Path{path}})
		if err != nil {
			t.Fatal(err)
		}
		m := &fromHost{simMedium{Conn: sim.NewConn(model)}, sim.InternetHosts4.Addr().Next()}
		if path.Target.Addr.Is6() {
			m.own = sim.InternetHosts6.Addr().Next()
		}
		defer m.Close()
		start := time.Now()
		found := by(t, m, trace.PathOptions{
			Target:    netip.AddrPortFrom(path.Target.Addr, sim.InternetPort),
			LabelSeed: seed + 1, Rand: rand.New(rand.NewPCG(seed, 9)),
		})
		got.took = time.Since(start)
		var hops strings.Builder
		for hop := range found.Hops() {
			for _, r := range hop.Probes {
				fmt.Fprintln(&hops, hop.TTL, r.Outcome, r.From(), r.RTT())
			}
		}
		got.hops = hops.String()
	})
	return got
}

// byProgram is what the command line does from the source ports on.
func byProgram(t *testing.T, m *fromHost, o trace.PathOptions) (found *trace.Trace) {
	var p program
	p.Path = o
	made, err := measure.Over(m, p.Network(false)).Trace(t.Context(), p.request())
	if err != nil {
		t.Fatal(err)
	}
	return made.Fold().Trace
}

// byLibrary is the documented call.
func byLibrary(t *testing.T, m *fromHost, o trace.PathOptions) *trace.Trace {
	port, err := m.Reserve(netip.AddrPortFrom(m.own, 0))
	if err != nil {
		t.Fatal(err)
	}
	o.Source = netip.AddrPortFrom(m.own, port)
	found, err := trace.Find(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The documented call of the library is the program: the same hops, answers and times.
func TestLibraryEqualsProgram(t *testing.T) {
	t.Parallel()
	paths := sim.Internet(1, 200, sim.InternetOptions{}).Paths
	routers := func(silent int) (p sim.Path) {
		p.Target = sim.Target{Addr: netip.MustParseAddr("203.0.113.5")}
		p.Target.Delay = 3 * time.Millisecond
		for i := range 12 {
			r := sim.Router{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}}
			r.Delay = 3 * time.Millisecond
			if i+1 == silent {
				r.Silent = 1
			}
			p.Routers = append(p.Routers, r)
		}
		return p
	}
	paths = append(paths, routers(0), routers(6))
	var took []time.Duration
	for i, path := range paths {
		program, library := traceSim(t, uint64(i), path, byProgram), traceSim(t, uint64(i), path, byLibrary)
		if program != library {
			t.Errorf("path %d: the program took %v, the library %v\n%s\n%s", i, program.took, library.took, program.hops, library.hops)
		}
		took = append(took, library.took)
	}
	const most = 200 * time.Millisecond
	for i, d := range took[len(took)-2:] {
		if t.Logf("12 routers of 3 ms, %d of them silent: %v", i, d); d > most {
			t.Errorf("12 routers of 3 ms, %d of them silent: %v, more than %v", i, d, most)
		}
	}
	slices.Sort(took)
	t.Logf("median %v", took[len(took)/2].Round(time.Millisecond))
}
